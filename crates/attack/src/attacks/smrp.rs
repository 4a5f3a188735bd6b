//! Attacks of a peer whose session is established.

use super::Promise::{Bears, Ends};
use super::{Attack, attack};
use crate::field::Field;
use crate::peer::{Peer, encode};
use bytes::Bytes;
use smrp::wire::{Frame, Open, ParametersBuilder, VARINT_MAX, number, parameter};
use smrp::{Code, StreamId};
use std::time::Duration;

const STACK: &str = "smrp+tcp";
/// Frames that are written at once.
const BATCH: u64 = 500;

pub(crate) fn list() -> Vec<Attack> {
    vec![
        attack("rapid-reset", STACK, "5.1/1", "streams opened and reset at once", Ends(""), rapid_reset),
        attack("provoked-resets", STACK, "5.1/2", "streams of an unknown kind", Ends("ABUSE"), provoked_resets),
        attack("metadata", STACK, "5.1/3", "trailers of 4,000 octets on streams that are reset", Bears, metadata),
        attack("empty-data", STACK, "5.1/4", "data without octets", Ends("PROTOCOL_VIOLATION"), empty_data),
        attack("pings", STACK, "5.1/5", "PING", Ends("ABUSE"), pings),
        attack("settings", STACK, "5.1/5", "SETTINGS that change nothing", Ends("ABUSE"), settings),
        attack("priorities", STACK, "5.1/5", "PRIORITY of one stream", Ends("ABUSE"), priorities),
        attack("blocked", STACK, "5.1/5", "BLOCKED", Ends("ABUSE"), blocked),
        attack("unknown-frames", STACK, "5.1/5", "frames of unknown types", Ends("ABUSE"), unknown_frames),
        attack(
            "window-dribble",
            STACK,
            "5.1/5",
            "credit that grows by one octet, for a reply that waits",
            Bears,
            dribble,
        ),
        attack("slow-reader", STACK, "5.1/8", "requests of 12 KiB without end, replies never read", Bears, slow_reader),
        attack(
            "slow-reader-large",
            STACK,
            "5.1/8",
            "requests of 900 KiB without end, no credit for the replies",
            Bears,
            no_credit,
        ),
        attack(
            "credit-overflow",
            STACK,
            "5.1/9",
            "all credit that can be written, again and again",
            Ends("ABUSE"),
            credit_overflow,
        ),
        attack("overrun", STACK, "5.1/9", "data beyond the credit", Ends("FLOW_CONTROL"), overrun),
        attack("half-requests", STACK, "5.1/21", "500 requests that are never whole", Bears, half_requests),
        attack(
            "stream-exhaustion",
            STACK,
            "5.1/20",
            "all streams that are permitted, held open, and one more",
            Ends("STREAM_LIMIT"),
            exhaustion,
        ),
        attack(
            "lying-length",
            STACK,
            "5.1/21",
            "a frame that claims 2^30 - 1 octets",
            Ends("FRAME_ENCODING"),
            lying_length,
        ),
        attack("urgency", STACK, "5.1/34", "requests of the highest urgency without end", Bears, urgency),
        attack("forged-reason", STACK, "5.1/35", "goodbyes with control characters", Bears, forged_reason),
        attack("guessed-tokens", STACK, "5.1/32", "credentials without end", Ends("AUTH_FAILED"), tokens),
    ]
}

fn id(index: u64) -> StreamId {
    StreamId::new(index * 4)
}

fn open(index: u64, kind: u8, urgency: u8, data: Vec<u8>, fin: bool) -> Frame {
    let kind_and_priority = kind << 4 | urgency;
    let data = Bytes::from(data);
    Frame::Open(Open { stream: id(index), kind_and_priority, credit: None, ttl_ms: None, metadata: None, data, fin })
}

/// Connects again and again, and writes what `batch` makes for as long as the connection takes it.
fn flood(field: &mut Field, mut batch: impl FnMut(u64) -> Vec<Frame>) {
    while !field.is_over() {
        let Some(mut peer) = Peer::connect(field, ParametersBuilder::new()) else { continue };
        let mut number = 0;
        loop {
            let frames: Vec<Frame> = (number..number + BATCH).flat_map(&mut batch).collect();
            number += BATCH;
            if !peer.send(field, &encode(&frames)) || field.is_over() {
                break;
            }
        }
    }
}

/// One stream, then the same frame without end.
fn flood_stream(field: &mut Field, frame: &Frame) {
    flood(field, |number| match number {
        0 => vec![open(0, 0, 3, Vec::new(), false)],
        _ => vec![frame.clone()],
    });
}

fn rapid_reset(field: &mut Field) {
    let reset = |index| Frame::Reset { stream: id(index), code: Code::CANCELLED, final_len: 0, reliable_len: 0 };
    let stop = |index| Frame::Stop { stream: id(index), code: Code::CANCELLED };
    // Below what is permitted at once, and slow enough that the server can permit more.
    while !field.is_over() {
        let Some(mut peer) = Peer::connect(field, ParametersBuilder::new()) else { continue };
        let mut index = 0;
        loop {
            let frames: Vec<Frame> = (index..index + 100)
                .flat_map(|index| [open(index, 0, 3, Vec::new(), false), reset(index), stop(index)])
                .collect();
            index += 100;
            if !peer.send(field, &encode(&frames)) || field.is_over() {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn provoked_resets(field: &mut Field) {
    flood(field, |index| vec![open(index, 9, 3, Vec::new(), true)]);
}

fn metadata(field: &mut Field) {
    let parameters = ParametersBuilder::new().with(parameter::HEADER, &[b'x'; 4_000]).build();
    flood(field, |index| {
        vec![
            open(index, 0, 3, Vec::new(), false),
            Frame::Meta { stream: id(index), is_trailer: true, parameters: parameters.clone() },
            Frame::Reset { stream: id(index), code: Code::CANCELLED, final_len: 0, reliable_len: 0 },
        ]
    });
}

fn empty_data(field: &mut Field) {
    flood_stream(field, &Frame::Data { stream: id(0), offset: None, fin: false, data: Bytes::new() });
}

fn pings(field: &mut Field) {
    flood(field, |number| vec![Frame::Ping { ack: false, data: number }]);
}

fn settings(field: &mut Field) {
    flood(field, |_| vec![Frame::Settings(ParametersBuilder::new().build())]);
}

fn priorities(field: &mut Field) {
    flood_stream(field, &Frame::Priority { stream: id(0), priority: 3 });
}

fn blocked(field: &mut Field) {
    flood(field, |_| vec![Frame::Blocked { scope: 0, stream: id(0), at: 0 }]);
}

fn unknown_frames(field: &mut Field) {
    flood(field, |_| vec![Frame::Unknown { number: 0xF0, flags: 0, body: Bytes::from_static(&[0; 64]) }]);
}

fn dribble(field: &mut Field) {
    // The reply is longer than what a stream may send at its beginning.
    let mut first = vec![open(0, 3, 3, vec![7; 16_000], false)];
    first.extend((0..7).map(|at| Frame::Data {
        stream: id(0),
        offset: None,
        fin: at == 6,
        data: vec![7; 16_000].into(),
    }));
    flood(field, |number| match number {
        0 => first.clone(),
        _ => vec![Frame::MaxStream { stream: id(0), octets: 16_384 + number, messages: None }],
    });
}

/// Everything that can be declared in favour of the sender.
fn generous() -> ParametersBuilder {
    ParametersBuilder::new()
        .with_number(parameter::INIT_MAX_DATA, VARINT_MAX)
        .with_number(parameter::INIT_MAX_STREAM, VARINT_MAX)
}

fn slow_reader(field: &mut Field) {
    ask_deaf(field, &generous(), 12 << 10);
}

fn no_credit(field: &mut Field) {
    ask_deaf(field, &ParametersBuilder::new(), 900 << 10);
}

/// Sends whole requests, as far as streams and credit go without a word from the server, and then as it takes them.
fn ask_deaf(field: &mut Field, declared: &ParametersBuilder, len: usize) {
    while !field.is_over() {
        let Some(mut peer) = Peer::deaf(field, declared.clone()) else { continue };
        for index in 0.. {
            let mut frames = vec![open(index, 3, 3, Vec::new(), false)];
            let mut left = len;
            while left > 0 {
                let piece = left.min(12 << 10);
                left -= piece;
                frames.push(Frame::Data {
                    stream: id(index),
                    offset: None,
                    fin: left == 0,
                    data: vec![7; piece].into(),
                });
            }
            if !peer.send(field, &encode(&frames)) || field.is_over() {
                break;
            }
            // Slow enough that the server can raise its limits in between, which stay unread.
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

fn credit_overflow(field: &mut Field) {
    flood(field, |_| vec![Frame::MaxData { octets: VARINT_MAX }, Frame::MaxStreams { class: 0, count: VARINT_MAX }]);
}

fn overrun(field: &mut Field) {
    // Nobody takes what is not whole, so no credit comes back.
    flood(field, |number| match number {
        0 => vec![open(0, 3, 3, Vec::new(), false)],
        _ => vec![Frame::Data { stream: id(0), offset: None, fin: false, data: Bytes::from_static(&[7; 16_000]) }],
    });
}

fn half_requests(field: &mut Field) {
    flood(field, |number| {
        let stream = number % 500;
        match number {
            0..500 => vec![open(stream, 3, 3, vec![7; 60], false)],
            _ => vec![Frame::Data {
                stream: id(stream),
                offset: None,
                fin: false,
                data: Bytes::from_static(&[7; 1_000]),
            }],
        }
    });
}

fn exhaustion(field: &mut Field) {
    while !field.is_over() {
        let Some(mut peer) = Peer::connect(field, generous()) else { continue };
        let frames: Vec<Frame> = (0..1_024).map(|index| open(index, 0, 3, b"x".to_vec(), false)).collect();
        if !peer.send(field, &encode(&frames)) {
            continue;
        }
        peer.wait(field, Duration::from_millis(500));
        peer.send(field, &encode(&[open(1 << 20, 0, 3, Vec::new(), false)]));
        peer.wait(field, Duration::from_millis(500));
    }
}

fn lying_length(field: &mut Field) {
    while !field.is_over() {
        let Some(mut peer) = Peer::connect(field, ParametersBuilder::new()) else { continue };
        peer.send(field, &[number::DATA, 0, 0xBF, 0xFF, 0xFF, 0xFF]);
        peer.wait(field, Duration::from_secs(1));
    }
}

fn urgency(field: &mut Field) {
    flood(field, |index| vec![open(index, 3, 0, vec![7; 64], true)]);
}

fn forged_reason(field: &mut Field) {
    let reason = Bytes::from(b"\r\nERROR forged line \x1b[31m\x07".repeat(12));
    while !field.is_over() {
        let Some(mut peer) = Peer::connect(field, ParametersBuilder::new()) else { continue };
        let close = Frame::Close { code: Code::INTERNAL, frame_type: 0, reason: reason.slice(..250) };
        peer.send(field, &encode(&[close]));
    }
}

fn tokens(field: &mut Field) {
    flood(field, |number| {
        let token = format!("guess {number}");
        let parameters = ParametersBuilder::new().with(parameter::TOKEN, token.as_bytes()).build();
        vec![Frame::Auth { method: 3, parameters }]
    });
}
