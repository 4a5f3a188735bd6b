//! Faults of the reference implementation, each with what happens here instead.

use crate::{base, cut, drain, join, options, packet, stream};
use wirekit::Instant;
use wrp_ssp::{Refused, StreamError};

const START: Instant = Instant::EPOCH;

/// There the reader gets a clean end in the middle.
//= SSP-E9
#[test]
fn fault_2_gzip_without_a_payload_is_an_error_not_an_end() {
    let messages = [
        packet(0, &[], b"head "),
        packet(1, &["stream-encoding: gzip"], b""),
        packet(2, &["stream-final-packet: eof"], b"tail"),
    ];
    let (octets, end) = join(&messages);
    assert_eq!(octets, b"head ");
    assert!(matches!(end, Some(Err(StreamError::Decode { number: 1, .. }))), "{end:?}");
}

/// There a stream that was cut off looks whole.
//= SSP-R7
#[test]
fn fault_3_a_stream_without_its_final_packet_is_never_whole() {
    let mut stream = stream();
    stream.take_message(START, &packet(0, &[], b"all of it?")).unwrap();
    stream.close(START);
    let (octets, end) = drain(&mut stream, START);
    assert_eq!(octets, b"all of it?", "what is here can be read");
    let error = end.unwrap().unwrap_err().to_string();
    assert_eq!(error, "the stream was closed before its end; missing: packets 1");
}

/// There the reader waits for ever.
//= SSP-R6
#[test]
fn fault_4_empty_packets_in_a_row_hold_nobody_up() {
    let mut messages: Vec<_> = (0..1000).map(|number| packet(number, &[], b"")).collect();
    messages.push(packet(1000, &["stream-final-packet: eof"], b"x"));
    assert_eq!(join(&messages), (b"x".to_vec(), Some(Ok(()))));
}

/// There 1 MB becomes 1 GiB at the first octet read. `codec::a_bomb_ends_at_the_limit` has the memory.
//= SSP-L3, SSP-L4
#[test]
fn fault_5_a_bomb_is_an_error_of_its_packet() {
    let mut bomb = Vec::new();
    let codec = &mut wrp_ssp::codec::Compressor::new(wrp_ssp::Encoding::Gzip, wrp_ssp::Level::Best);
    codec.compress(&vec![0; 32 << 20], &mut bomb);
    let (octets, end) = join(&[packet(0, &[], b"a"), packet(1, &["stream-encoding: gzip"], &bomb)]);
    assert_eq!(octets, b"a");
    let error = end.unwrap().unwrap_err().to_string();
    assert!(error.starts_with("packet 1: 3") && error.ends_with("which ratio_max allows"), "{error}");
}

/// There a stream is held whole while its reader pauses, and without a limit behind a hole.
//= SSP-L1, SSP-B1
#[test]
fn fault_6_a_reader_that_pauses_stops_its_sender() {
    let mut stream = stream();
    let mut taken = 0;
    while !stream.is_full() {
        stream.take_message(START, &packet(taken, &[], &[7; 65_536])).unwrap();
        taken += 1;
    }
    assert_eq!((taken, stream.kept_len()), (128, 8 << 20));
    let mut holed = crate::stream();
    let kept = (1..8192).take_while(|number| holed.take_message(START, &packet(*number, &[], &[7; 65_536])).is_ok());
    assert_eq!(kept.count(), 128);
}

/// There what was read is gone, and its number too.
//= SSP-S11
#[test]
fn fault_7_a_message_that_would_be_refused_is_refused_before_anything_is_read() {
    let invalid = wrp::Message { source: String::new(), ..base() };
    assert!(wrp_ssp::Segmenter::new(invalid, options()).is_err());
}

/// There packets of two streams are mixed.
//= SSP-M1
#[test]
fn fault_8_a_packet_of_another_stream_is_refused() {
    let mut stream = stream();
    stream.take_message(START, &packet(0, &[], b"a")).unwrap();
    let mut other = packet(1, &["stream-final-packet: eof"], b"b");
    other.headers[0] = "stream-id: s2".into();
    assert_eq!(stream.take_message(START, &other), Err(Refused::OtherStream));
    assert_eq!(drain(&mut stream, START), (b"a".to_vec(), None));
}

/// There each packet costs 33 to 55 allocations and a megabyte.
//= SSP-S12
#[test]
fn fault_9_states_and_buffers_are_used_again() {
    use wrp_ssp::codec::{Caps, Compressor, Decompressor};
    use wrp_ssp::{Encoding, Level};
    let plain = testkit::vectors::wrp::json_lines(1, 65_536);
    let (mut compressor, mut decompressor) = (Compressor::new(Encoding::Gzip, Level::Default), Decompressor::default());
    let caps = Caps { len_max: 4 << 20, ratio_max: 100 };
    let mut payload = Vec::new();
    compressor.compress(&plain, &mut payload);
    decompressor.decompress(Encoding::Gzip, &payload, caps).unwrap();
    let info = testkit::allocations::measure(|| {
        for _ in 0..10 {
            payload.clear();
            compressor.compress(&plain, &mut payload);
            assert_eq!(decompressor.decompress(Encoding::Gzip, &payload, caps).unwrap().len(), plain.len());
        }
    });
    assert_eq!(info.count_total, 0);
}

/// There two finals with different reasons are what comes first; the lower number ends the stream here too.
//= SSP-R5
#[test]
fn of_two_finals_the_lower_number_ends_the_stream() {
    let messages = [
        packet(2, &["stream-final-packet: late"], b"c"),
        packet(1, &["stream-final-packet: eof"], b"b"),
        packet(0, &[], b"a"),
    ];
    assert_eq!(join(&messages), (b"ab".to_vec(), Some(Ok(()))));
    assert_eq!(cut(b"abcd", options()).len(), 1);
}
