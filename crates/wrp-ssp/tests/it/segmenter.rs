//! Cutting beyond what the vectors have.

use crate::{base, cut, join, options, packet};
use std::io::{self, Read};
use testkit::vectors::wrp::{json_lines, random};
use wrp::{Event, Message, MessageType};
use wrp_ssp::codec::Compressor;
use wrp_ssp::{Encoding, End, Level, Options, PacketRef, SegmentError, Segmenter, Segments};

fn numbers(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(|message| PacketRef::from_message(message).unwrap().unwrap().number).collect()
}

//= SSP-S3, SSP-S4
#[test]
fn a_stream_that_is_known_whole_has_no_empty_packet_but_one_of_nothing() {
    for (len, wanted) in [(0, vec![0]), (1, vec![1]), (4, vec![4]), (5, vec![4, 1]), (8, vec![4, 4])] {
        let messages = cut(&vec![7; len], options());
        assert_eq!(messages.iter().map(|message| message.payload.as_ref().unwrap().len()).collect::<Vec<_>>(), wanted);
        let ends = messages.iter().filter(|message| PacketRef::from_message(message).unwrap().unwrap().end.is_some());
        assert_eq!(ends.count(), 1, "exactly the last one says so");
    }
}

//= SSP-S12
#[test]
fn octets_that_make_a_packet_by_themselves_are_not_copied_and_any_pieces_give_the_same_packets() {
    for pieces in [&[4, 4, 4][..], &[12], &[1, 11], &[4, 1, 7], &[5, 7], &[3, 3, 3, 3], &[9, 3], &[8, 3, 1]] {
        let octets = bytes::Bytes::from_static(b"abcdefghijkl");
        let mut segmenter = Segmenter::new(base(), options()).unwrap();
        let (mut rest, mut messages) = (octets.clone(), Vec::new());
        for len in pieces {
            let mut piece = rest.split_to(*len);
            while !piece.is_empty() {
                segmenter.push_bytes(&mut piece);
                if piece.is_empty() && rest.is_empty() {
                    segmenter.finish(End::Clean);
                }
                messages.extend(std::iter::from_fn(|| segmenter.poll_message()));
            }
        }
        assert_eq!(messages, cut(&octets, options()), "{pieces:?}");
        if pieces.len() == 1 {
            let payload = messages[1].payload.as_ref().unwrap();
            assert_eq!(payload.as_ptr(), octets[4..].as_ptr(), "a slice of what was handed over");
        }
    }
}

//= SSP-S9
#[test]
fn packets_are_sent_again_as_often_and_as_far_apart_as_asked() {
    assert_eq!(numbers(&cut(&[0; 12], options().with_copies(1, 0))), [0, 0, 1, 1, 2, 2]);
    assert_eq!(numbers(&cut(&[0; 16], options().with_copies(1, 2))), [0, 1, 2, 0, 3, 1, 2, 3]);
    let thrice = numbers(&cut(&[0; 12], options().with_copies(2, 1)));
    for number in 0..3 {
        assert_eq!(thrice.iter().filter(|sent| **sent == number).count(), 3, "{thrice:?}");
    }
    assert_eq!(join(&cut(&[7; 12], options().with_copies(2, 1))).0, [7; 12]);
}

//= SSP-S8
#[test]
fn messages_fit_their_transport() {
    for unshrunk in [false, true] {
        for max in [1000, 2000, 65_536, 262_144] {
            let options = || {
                Options::new("upload-1")
                    .with_packet_len(1 << 20)
                    .with_encoding(Encoding::Gzip, Level::None)
                    .with_message_len_max(max)
                    .with_unshrunk(unshrunk)
                    .with_estimated_len(u64::MAX)
            };
            let messages = cut(&random(1, 600_000), options());
            let longest = messages.iter().map(|message| message.encode().len()).max().unwrap();
            assert!(longest <= max, "{longest} octets, {max} are allowed");
            assert!(longest * 10 > max * 2, "and the room is used: {longest} of {max}");
            assert_eq!(join(&messages).0, random(1, 600_000));
        }
    }
    let none = Segmenter::new(base(), options().with_message_len_max(100)).unwrap_err();
    assert!(matches!(none, SegmentError::NoRoom { max: 100, .. }), "{none}");
}

//= SSP-S7
#[test]
fn packets_that_do_not_shrink_go_as_they_are_and_soon_others_are_not_tried() {
    let options = || Options::new("s").with_packet_len(1000).with_encoding(Encoding::Gzip, Level::Default);
    let encodings = |messages: &[Message]| {
        messages.iter().map(|message| PacketRef::from_message(message).unwrap().unwrap().encoding).collect::<Vec<_>>()
    };
    let messages = cut(&random(1, 100_000), options());
    assert!(encodings(&messages).iter().all(|encoding| *encoding == Encoding::Identity));
    assert_eq!(join(&messages).0, random(1, 100_000));
    let text = cut(&json_lines(1, 10_000), options());
    assert!(encodings(&text).iter().all(|encoding| *encoding == Encoding::Gzip));
    // Text behind it is found again, after sixteen packets at most.
    let both = [random(1, 100_000), json_lines(1, 50_000)].concat();
    let found = encodings(&cut(&both, options())).iter().position(|encoding| *encoding == Encoding::Gzip).unwrap();
    assert!((101..=116).contains(&found), "the first packet of text is one that is not tried: {found}");
    let mut alone = Vec::new();
    Compressor::new(Encoding::Gzip, Level::Default).compress(&random(1, 1000), &mut alone);
    assert!(alone.len() > 1000);
}

//= SSP-S10, SSP-S11
#[test]
fn nothing_is_lost_when_a_transaction_cannot_be_named_and_the_peer_learns_why() {
    let fails_at_1 =
        Box::new(|number| if number == 1 { Err("no more names".to_owned()) } else { Ok(format!("t{number}")) });
    let messages = cut(&[7; 12], options().with_transaction(fails_at_1));
    assert_eq!(numbers(&messages), [0, 1]);
    assert_eq!(messages[0].transaction_uuid, "t0");
    let (octets, end) = join(&messages);
    assert_eq!(octets, [7; 8], "what was in the packet went with it");
    assert_eq!(end.unwrap().unwrap_err().to_string(), "the sender ended the stream: no more names");
}

//= SSP-S1, SSP-S6, SSP-S11
#[test]
fn what_could_be_wrong_is_found_before_an_octet_is_taken() {
    let new = |message: Message, options| Segmenter::new(message, options).map(|_| ()).unwrap_err();
    assert!(matches!(new(base(), Options::new("a b")), SegmentError::StreamId(_)));
    assert!(matches!(new(base(), Options::new("")), SegmentError::StreamId(_)));
    assert!(matches!(new(Message { dest: String::new(), ..base() }, options()), SegmentError::Invalid(_)));
    for number in [2, 9, 10, 11] {
        let message = Message { msg_type: MessageType(number), status: Some(0), ..Message::default() };
        assert!(matches!(new(message, options()), SegmentError::NoHeaders(_)), "{number}");
    }
    let request = Message { msg_type: MessageType::REQUEST, ..base() };
    assert!(matches!(new(request.clone(), options()), SegmentError::Invalid(_)), "a transaction is missing");
    let named = options().with_transaction(Box::new(|number| Ok(number.to_string())));
    assert!(Segmenter::new(request, named).is_ok(), "each packet gets one");
    // Headers of the application stay, those of a stream are ours.
    let with = Event::new("self:", "event:x").header("a: b").header("Stream-ID : other").build().unwrap();
    assert_eq!(cut(b"x", options())[0].headers.len(), 3);
    let mut segmenter = Segmenter::new(with, options()).unwrap();
    segmenter.finish(End::Clean);
    let headers = segmenter.poll_message().unwrap().headers;
    assert_eq!(headers, ["a: b", "stream-id: s1", "stream-packet-number: 0", "stream-final-packet: eof"]);
}

/// Gives a few octets a call, and fails at the end.
struct Failing(u32);

impl Read for Failing {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_sub(1);
        match self.0 {
            0 => Err(io::Error::other("eof")),
            1 => Err(io::ErrorKind::Interrupted.into()),
            _ => {
                out[0] = 7;
                Ok(1)
            }
        }
    }
}

//= SSP-F4, SSP-F6
#[test]
fn an_error_of_the_reader_is_told_to_the_peer_and_then_to_the_caller() {
    let mut segments = Segments::new(Failing(8), base(), options()).unwrap();
    let messages: Vec<Message> = std::iter::from_fn(|| segments.next().and_then(Result::ok)).collect();
    let (octets, end) = join(&messages);
    assert_eq!(octets, [7; 6]);
    assert_eq!(end.unwrap().unwrap_err().to_string(), "the sender ended the stream: error: eof");
    let mut again = Segments::new(Failing(8), base(), options()).unwrap();
    assert_eq!(again.by_ref().filter_map(Result::err).count(), 1);
    assert!(again.next().is_none());
}

//= SSP-F6
#[test]
fn only_the_first_end_counts_and_nothing_is_taken_behind_it() {
    let mut segmenter = Segmenter::new(base(), options()).unwrap();
    assert_eq!(segmenter.push(b"ab"), 2);
    segmenter.finish(End::Failed("why".into()));
    segmenter.finish(End::Clean);
    assert_eq!(segmenter.push(b"cd"), 0);
    let message = segmenter.poll_message().unwrap();
    assert_eq!(message, packet(0, &["stream-final-packet: why"], b"ab"));
    assert!(segmenter.poll_message().is_none() && segmenter.is_over());
}

//= SSP-S12, SSP-V1
#[test]
fn what_is_written_at_once_is_what_a_message_would_be_and_is_read_without_one() {
    for (copies, encoding) in [(0, Encoding::Identity), (0, Encoding::Gzip), (1, Encoding::Deflate)] {
        let options =
            || Options::new("s1").with_packet_len(1000).with_encoding(encoding, Level::Best).with_copies(copies, 1);
        let plain = [json_lines(1, 3500), random(1, 2500)].concat();
        let wanted: Vec<Vec<u8>> = cut(&plain, options()).iter().map(|message| message.encode().to_vec()).collect();
        let mut segmenter = Segmenter::new(base(), options()).unwrap();
        let (mut rest, mut got) = (&plain[..], Vec::new());
        while !segmenter.is_over() {
            let len = segmenter.push(rest);
            rest = &rest[len..];
            if rest.is_empty() {
                segmenter.finish(End::Clean);
            }
            let mut out = Vec::new();
            while segmenter.poll_encoded(&mut out) {
                got.push(std::mem::take(&mut out));
            }
        }
        assert_eq!(got, wanted);
        let mut stream = crate::stream();
        for octets in got {
            let taken = stream.take_encoded(wirekit::Instant::EPOCH, &octets.into(), &wrp::Limits::default());
            assert_eq!(taken, Ok(()));
        }
        assert_eq!(crate::drain(&mut stream, wirekit::Instant::EPOCH), (plain, Some(Ok(()))));
    }
    let mut stream = crate::stream();
    let mut take = |octets: Vec<u8>| {
        stream.take_encoded(wirekit::Instant::EPOCH, &octets.into(), &wrp::Limits::default()).unwrap_err()
    };
    assert!(matches!(take(vec![0x81]), wrp_ssp::Refused::Decode(_)));
    assert_eq!(take(base().encode().to_vec()), wrp_ssp::Refused::NotSsp);
    let odd = Message { source: "talaria".into(), ..packet(0, &[], b"x") };
    assert!(matches!(take(odd.encode().to_vec()), wrp_ssp::Refused::Invalid(_)));
    let bad = packet(0, &["stream-encoding: br"], b"x");
    assert!(matches!(take(bad.encode().to_vec()), wrp_ssp::Refused::Header(_)));
}

//= SSP-S13
#[test]
fn threads_give_the_same_packets_in_order_and_read_no_more_than_they_may() {
    use std::num::NonZeroUsize;
    use wrp_ssp::ParallelSegments;
    let plain = [json_lines(1, 50_000), random(2, 30_000), json_lines(3, 7)].concat();
    for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Deflate] {
        let options =
            || Options::new("s1").with_packet_len(1000).with_encoding(encoding, Level::Best).with_unshrunk(true);
        // The second ends in an empty packet.
        for (count, len) in [(1, 80_007), (2, 80_000), (5, 80_007)] {
            let (count, plain) = (NonZeroUsize::new(count).unwrap(), &plain[..len]);
            let one: Vec<Message> = Segments::new(plain, base(), options()).unwrap().map(Result::unwrap).collect();
            let many = ParallelSegments::new(plain, base(), options(), count).unwrap();
            assert_eq!(many.map(Result::unwrap).collect::<Vec<_>>(), one, "{encoding:?} {count}");
        }
    }
    let shrinks = || Options::new("s1").with_packet_len(1000);
    let two = NonZeroUsize::new(2).unwrap();
    let messages: Vec<Message> =
        ParallelSegments::new(&plain[..], base(), shrinks(), two).unwrap().map(Result::unwrap).collect();
    assert!(messages.iter().any(|message| message.headers.len() == 2), "those that do not shrink go as they are");
    assert_eq!(join(&messages).0, plain);

    let mut read_len = 0;
    let counting = Counting(&mut read_len);
    let mut segments = ParallelSegments::new(counting, base(), shrinks(), two).unwrap();
    segments.next().unwrap().unwrap();
    drop(segments);
    assert_eq!(read_len, 4000, "two packets for each of two threads");

    let mut failing = ParallelSegments::new(Failing(8), base(), options(), two).unwrap();
    let messages: Vec<Message> = failing.by_ref().take(2).map(Result::unwrap).collect();
    assert_eq!(join(&messages).0, [7; 6]);
    assert!(failing.next().unwrap().is_err() && failing.next().is_none());
}

/// Gives zeros for ever.
struct Counting<'a>(&'a mut usize);

impl Read for Counting<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        *self.0 += out.len();
        Ok(out.len())
    }
}
