//! Large streams in little memory.

use crate::{drain, packet};
use std::collections::VecDeque;
use testkit::Rng;
use testkit::allocations::measure;
use wirekit::Instant;
use wrp::Message;
use wrp_ssp::{Demultiplexer, DemuxLimits, Fill, Limits, Options, Reassembler, Routed, StreamKey, Timing};

const START: Instant = Instant::EPOCH;
const PACKET_LEN: usize = 64 << 10;

/// Packets in any order within a window of 256, a tenth of them twice, as they would come from a network. One payload serves
/// them all, so what is measured is what the receiver does with them; it keeps clones of that one.
fn shuffled(count: u64, payload: &[u8], mut each: impl FnMut(&Message)) {
    let payload = bytes::Bytes::copy_from_slice(payload);
    let mut rng = Rng::new(7);
    let mut window = VecDeque::new();
    let mut next = 0;
    while next < count || !window.is_empty() {
        // One window is sent whole, in any order, before the next.
        while window.is_empty() || (next % 256 != 0 && next < count) {
            window.push_back(next);
            if rng.chance(100) {
                window.push_back(next);
            }
            next += 1;
        }
        let at = rng.range(0..window.len());
        let number: u64 = window.remove(at).unwrap();
        let end: &[&str] = if number == count - 1 { &["stream-final-packet: eof"] } else { &[] };
        let mut message = packet(number, end, b"");
        message.payload = Some(payload.clone());
        each(&message);
    }
}

//= SSP-L1, SSP-R1
#[test]
fn a_stream_in_any_order_within_a_window_takes_a_window_of_memory() {
    let count = 2048;
    let mut len = 0_u64;
    let limits = Limits { window_len_max: 24 << 20, ..Limits::default() };
    let mut stream = Reassembler::new(limits, Timing::default());
    let mut kept_max = 0;
    shuffled(count, &[7; PACKET_LEN], |message| {
        stream.take_message(START, message).unwrap();
        kept_max = kept_max.max(stream.kept_len());
        while let Fill::Octets(octets) = stream.fill(START) {
            let read_len = octets.len();
            len += read_len as u64;
            stream.consume(read_len);
        }
    });
    assert_eq!(len, count * PACKET_LEN as u64);
    assert_eq!(drain(&mut stream, START).1, Some(Ok(())));
    assert!(kept_max <= 24 << 20, "{kept_max} octets kept at once");
    assert!(stream.stats().duplicate_count > 100 && stream.stats().out_of_order_count > 1000);
}

/// Ten of a hundred streams of a mebibyte at a time.
//= SSP-M3, SSP-M4
#[test]
fn a_thousand_streams_at_once_take_what_they_keep() {
    let limits = DemuxLimits { streams_per_source_max: 1000, ..DemuxLimits::default() };
    let mut demux = Demultiplexer::new(Limits::default(), Timing::default(), limits, None);
    let streams: Vec<Vec<Message>> = (0..1000_u32)
        .map(|id| {
            let options =
                Options::new(format!("s{id}")).with_encoding(wrp_ssp::Encoding::Identity, wrp_ssp::Level::Default);
            crate::cut(&[id as u8; 4 * 1024], options.with_packet_len(1024))
        })
        .collect();
    let mut lens = vec![0; 1000];
    let info = measure(|| {
        for round in 0..4 {
            for (id, messages) in streams.iter().enumerate() {
                let key = StreamKey { source: "mac:112233445566/log".into(), stream_id: format!("s{id}") };
                assert_eq!(demux.take_message(START, &messages[3 - round]), Routed::Taken(key.clone()));
                while let Some(Fill::Octets(octets)) = demux.fill(START, &key) {
                    assert!(octets.iter().all(|octet| *octet == id as u8));
                    let len = octets.len();
                    lens[id] += len;
                    demux.consume(&key, len);
                }
            }
        }
    });
    assert!(lens.iter().all(|len| *len == 4096));
    assert_eq!((demux.stream_count(), demux.kept_len()), (1000, 0));
    assert!(info.bytes_max < 4 << 20, "{} octets for 1,000 streams", info.bytes_max);
}

/// What compresses is made when it is needed first.
//= SSP-S12
#[test]
fn a_stream_that_is_not_compressed_takes_little() {
    use wrp_ssp::{Encoding, Level, Segmenter};
    let info = measure(|| {
        let options = Options::new("s1").with_encoding(Encoding::Identity, Level::Default);
        let mut segmenter = Segmenter::new(crate::base(), options).unwrap();
        segmenter.push(&[7; 100]);
        let mut stream = crate::stream();
        stream.take_message(START, &packet(0, &[], b"x")).unwrap();
        drain(&mut stream, START);
    });
    assert!(info.bytes_max < 10_000, "{}", info.bytes_max);
}

/// Out and in, in MessagePack: nothing is allocated for a packet once buffers have their size. The bound of the plan is two.
//= SSP-S12
#[test]
fn packets_cost_no_allocations_in_steady_state() {
    use wrp_ssp::{Encoding, Level, Segmenter};
    let plain = testkit::vectors::wrp::json_lines(1, 10_000);
    for (encoding, allowed_in) in [(Encoding::Identity, 1), (Encoding::Gzip, 1), (Encoding::Deflate, 1)] {
        let options = Options::new("s1").with_packet_len(plain.len()).with_encoding(encoding, Level::Fastest);
        let mut segmenter = Segmenter::new(crate::base(), options.with_estimated_len(5)).unwrap();
        let mut out = Vec::with_capacity(20_000);
        let mut round = |segmenter: &mut Segmenter| {
            out.clear();
            segmenter.push(&plain);
            assert!(segmenter.poll_encoded(&mut out));
            bytes::Bytes::copy_from_slice(&out)
        };
        // Numbers of two digits do not grow.
        let mut packets: Vec<_> = (0..12).map(|_| round(&mut segmenter)).collect();
        let info = measure(|| packets.extend((0..50).map(|_| round(&mut segmenter))));
        // One for each copy that this test keeps, which has a count of its own, and the list of them.
        assert!(info.count_total <= 2 * 50 + 8, "{encoding:?}: {} for 50 packets out", info.count_total);

        let mut stream = crate::stream();
        let read = |stream: &mut Reassembler, octets: &bytes::Bytes| {
            stream.take_encoded(START, octets, &wrp::Limits::default()).unwrap();
            let Fill::Octets(octets) = stream.fill(START) else { panic!("a packet came") };
            assert_eq!(octets, plain);
            let len = octets.len();
            stream.consume(len);
        };
        packets.iter().take(12).for_each(|octets| read(&mut stream, octets));
        let info = measure(|| packets.iter().skip(12).for_each(|octets| read(&mut stream, octets)));
        assert!(info.count_total <= 50 * allowed_in, "{encoding:?}: {} for 50 packets in", info.count_total);
    }
}
