//! What holds for any stream and any network, beside a model that is slow and plain.

use crate::{cut, drain, options, stream};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use wirekit::Instant;
use wrp::Message;
use wrp_ssp::{Encoding, Level, PacketRef, Refused, StreamError};

fn any_options() -> impl Strategy<Value = (usize, Encoding, Level)> {
    let encoding = prop_oneof![Just(Encoding::Identity), Just(Encoding::Gzip), Just(Encoding::Deflate)];
    (1_usize..100, encoding, prop_oneof![Just(Level::None), Just(Level::Fastest), Just(Level::Best)])
}

/// All packets kept, joined at the end.
fn model(messages: &[Message]) -> (Vec<u8>, bool) {
    let mut packets: BTreeMap<u64, (Vec<u8>, bool)> = BTreeMap::new();
    for message in messages {
        let packet = PacketRef::from_message(message).unwrap().unwrap();
        let caps = wrp_ssp::codec::Caps { len_max: usize::MAX, ratio_max: usize::MAX };
        let mut codec = wrp_ssp::codec::Decompressor::default();
        let plain = codec.decompress(packet.encoding, &packet.payload, caps).unwrap().to_vec();
        packets.entry(packet.number).or_insert((plain, packet.end.is_some()));
    }
    let mut octets = Vec::new();
    for number in 0.. {
        let Some((plain, is_last)) = packets.get(&number) else { return (octets, false) };
        octets.extend(plain);
        if *is_last {
            return (octets, true);
        }
    }
    unreachable!()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    //= SSP-R1, SSP-R2, SSP-R3, SSP-B2
    #[test]
    fn any_order_with_any_copies_gives_the_same_octets(
        octets in vec(any::<u8>(), 0..600),
        (len, encoding, level) in any_options(),
        copies in 0_usize..3,
        spread in 0_usize..5,
        seed in any::<u64>(),
        reads_between in any::<bool>(),
    ) {
        let options = options().with_packet_len(len).with_encoding(encoding, level).with_copies(copies, spread);
        let mut messages = cut(&octets, options);
        testkit::Rng::new(seed).shuffle(&mut messages);
        let mut stream = stream();
        let (mut read, mut end) = (Vec::new(), None);
        for message in &messages {
            match stream.take_message(Instant::EPOCH, message) {
                Ok(()) => {}
                // A copy that comes once all was read.
                Err(Refused::Ended) => prop_assert!(reads_between),
                Err(other) => prop_assert!(false, "{other}"),
            }
            if reads_between {
                let (more, ended) = drain(&mut stream, Instant::EPOCH);
                read.extend(more);
                end = ended;
            }
        }
        let (more, ended) = drain(&mut stream, Instant::EPOCH);
        read.extend(more);
        prop_assert_eq!(&read, &octets);
        prop_assert_eq!(ended.or(end), Some(Ok(())));
        prop_assert_eq!(model(&messages), (octets, true));
        prop_assert_eq!(stream.stats().conflict_count, 0);
        prop_assert_eq!(stream.kept_len(), 0);
    }

    //= SSP-R7, SSP-R8
    #[test]
    fn any_loss_is_an_error_that_names_it(
        octets in vec(any::<u8>(), 1..600),
        len in 1_usize..60,
        losses in vec(any::<prop::sample::Index>(), 1..4),
        seed in any::<u64>(),
    ) {
        let mut messages = cut(&octets, options().with_packet_len(len));
        let count = messages.len() as u64;
        let mut lost: Vec<u64> = losses.iter().map(|at| at.index(count as usize) as u64).collect();
        lost.sort_unstable();
        lost.dedup();
        messages.retain(|message| {
            let number = PacketRef::from_message(message).unwrap().unwrap().number;
            lost.binary_search(&number).is_err()
        });
        testkit::Rng::new(seed).shuffle(&mut messages);
        let mut stream = stream();
        for message in &messages {
            stream.take_message(Instant::EPOCH, message).unwrap();
        }
        stream.close(Instant::EPOCH);
        let (read, end) = drain(&mut stream, Instant::EPOCH);
        prop_assert_eq!(&read[..], &octets[..octets.len().min(lost[0] as usize * len)]);
        let Some(Err(StreamError::Closed { missing })) = end else {
            return Err(TestCaseError::fail(format!("{end:?}")));
        };
        let named: Vec<u64> = missing.0.into_iter().flatten().collect();
        // Of those at the end nobody knows how many there were: the first of them is named.
        let last_came = PacketRef::from_message(&messages.last().cloned().unwrap_or_default()).is_ok();
        prop_assert!(last_came);
        let farthest = (0..count).rev().find(|number| lost.binary_search(number).is_err());
        let mut wanted: Vec<u64> = lost.iter().copied().filter(|number| farthest.is_some_and(|far| *number < far)).collect();
        if farthest != Some(count - 1) {
            wanted.push(farthest.map_or(0, |far| far + 1));
        }
        prop_assert_eq!(named, wanted);
        prop_assert_eq!(model(&messages).1, false);
    }
}
