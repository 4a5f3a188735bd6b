//! What a session says, in which order, and how it counts what was passed over, skipped or refused.

use crate::hostile::{answer, data, id, msg, open, tolerated};
use crate::pair::{Pair, config};
use crate::raw::{Raw, encode};
use bytes::Bytes;
use smrp::Code;
use smrp::wire::*;

/// What a session with these streams' data at hand says, as stream and length of its frames of data.
fn said(raw: &mut Raw) -> Vec<(u64, usize)> {
    let lens = |frame: &Frame| match frame {
        Frame::Data { stream, data, .. } => Some((stream.number(), data.len())),
        Frame::Open(open) if !open.data.is_empty() => Some((open.stream.number(), open.data.len())),
        _ => None,
    };
    raw.read().iter().filter_map(lens).collect()
}

#[test]
fn data_is_cut_short_while_others_wait_and_goes_behind_control() {
    //= SMRP-O1, SMRP-O4
    let window = ParametersBuilder::new().with_number(parameter::INIT_MAX_STREAM, 1 << 20);
    let window = window.with_number(parameter::INIT_MAX_DATA, 1 << 20).with_number(parameter::MAX_FRAME, 1 << 20);
    let mut raw = Raw::greeted_with(config(), window.clone());
    raw.read();
    raw.send(&[open(0, 0, b"", false), open(4, 0, b"", false), open(8, 0, b"x", false)]);
    raw.end.session.write(id(0), &[1; 50_000]).unwrap();
    assert_eq!(said(&mut raw), [(0, 50_000)], "alone it may be long");
    raw.end.session.write(id(0), &[1; 50_000]).unwrap();
    raw.end.session.write(id(4), &[1; 50_000]).unwrap();
    let frames = said(&mut raw);
    assert!(frames[..4].iter().all(|(_, len)| *len <= 16 << 10), "{frames:?}");
    raw.end.session.write(id(0), &[1; 50_000]).unwrap();
    raw.end.session.stop(raw.now, id(8), Code::CANCELLED);
    let frames = raw.read();
    let stop = frames.iter().position(|frame| matches!(frame, Frame::Stop { .. })).unwrap();
    let data = frames.iter().position(|frame| matches!(frame, Frame::Data { .. })).unwrap();
    assert!(stop < data, "{frames:?}");
}

#[test]
fn what_is_said_again_takes_as_many_octets_again() {
    //= SMRP-X12
    let mut raw = Raw::ready();
    let secret: Vec<u8> = b"cookie=".repeat(100);
    let list = ParametersBuilder::new().with(parameter::CONTENT_TYPE, &secret).build();
    raw.send(&[0, 4].map(|number| open(number, 0, b"", false)));
    let said = [0, 4].map(|number| {
        raw.end.session.send_metadata(id(number), list.clone()).unwrap();
        raw.end.session.write(id(number), &secret).unwrap();
        raw.end.transmit(raw.now)
    });
    for octets in &said {
        let places = octets.windows(secret.len()).filter(|window| *window == secret).count();
        assert_eq!(places, 2, "metadata and data as they are");
    }
    assert_eq!(said[0].len(), said[1].len(), "nothing is remembered");
}

#[test]
fn priority_says_which_stream_goes_first() {
    //= SMRP-O2, SMRP-O7
    let mut raw = Raw::ready();
    raw.send(&[open(0, 0, b"", false), open(4, 0, b"", false)]);
    raw.send(&[Frame::Priority { stream: id(4), priority: 0 }]);
    raw.end.session.write(id(0), &[1; 1_000]).unwrap();
    raw.end.session.write(id(4), &[1; 1_000]).unwrap();
    assert_eq!(said(&mut raw), [(4, 1_000), (0, 1_000)]);
}

#[test]
fn a_fault_is_told_once_by_its_code_and_frame() {
    //= SMRP-E1
    let mut raw = Raw::ready();
    raw.send(&[Frame::Ping { ack: false, data: 9 }, data(4, 1, false), data(4, 1, false)]);
    let frames = raw.read();
    let [Frame::Close { code, frame_type, .. }] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!((*code, *frame_type), (Code::STREAM_STATE, u64::from(number::DATA)));
}

#[test]
fn a_blocked_sender_says_so_once_and_is_heard() {
    //= SMRP-FC7
    let mut raw =
        Raw::greeted_with(config(), ParametersBuilder::new().with_number(parameter::INIT_MAX_STREAM, 1 << 20));
    raw.read();
    raw.send(&[open(0, 0, b"", false)]);
    raw.end.session.write(id(0), &[1; 100_000]).unwrap();
    let blocked = |frames: &[Frame]| {
        frames.iter().filter(|frame| matches!(frame, Frame::Blocked { scope: 0, at: 65_536, .. })).count()
    };
    assert_eq!(blocked(&raw.read()), 1);
    raw.end.session.write(id(0), &[1; 10]).unwrap();
    assert_eq!(blocked(&raw.read()), 0);
    raw.send(&[Frame::MaxData { octets: 200_000 }]);
    assert_eq!(said(&mut raw).iter().map(|(_, len)| len).sum::<usize>(), 100_010 - 65_536);
}

#[test]
fn ids_that_were_passed_over_are_over() {
    //= SMRP-ST3, SMRP-ST4
    let mut raw = Raw::ready();
    raw.send(&[open(255 << 2, 0, b"", true)]);
    let stream = id(255 << 2);
    raw.end.session.finish(stream).unwrap();
    raw.end.session.release_send(raw.now, stream);
    raw.end.session.release_receive(raw.now, stream);
    let mut said = raw.read();
    said.extend(raw.read());
    assert!(said.contains(&Frame::MaxStreams { class: 0, count: 512 }), "{said:?}");
}

#[test]
fn a_datagram_above_what_was_declared() {
    //= SMRP-M8
    let datagram = |len| Frame::Dgram { flow: 1, ttl_ms: None, data: Bytes::from(vec![0; len]) };
    assert_eq!(answer(&[datagram(16_385)]), Code::PROTOCOL_VIOLATION);
    assert!(tolerated(&[datagram(16_384)]));
}

#[test]
fn messages_that_were_skipped_never_come_and_their_parts_are_given_back() {
    //= SMRP-M4
    let skip = |first, count| Frame::MsgSkip { stream: id(0), first, count };
    assert_eq!(answer(&[open(0, 1, b"", false), skip(0, 5), msg(0, Some(4), true, true, 1)]), Code::PROTOCOL_VIOLATION);
    assert!(tolerated(&[open(0, 1, b"", false), skip(0, 5), msg(0, Some(5), true, true, 1)]));
    let mut raw = Raw::ready();
    raw.send(&[open(0, 1, b"", false), msg(0, None, true, false, 1_000), skip(0, 1), msg(0, None, true, true, 7)]);
    let stats = raw.end.session.stats();
    assert_eq!(
        (stats.untaken_len, stats.incomplete_len),
        (7, 0),
        "what the application has not taken, and nothing else"
    );
}

#[test]
fn an_end_needs_no_credit_and_does_not_wait_behind_one_that_does() {
    //= SMRP-FC1
    let mut raw =
        Raw::greeted_with(config(), ParametersBuilder::new().with_number(parameter::INIT_MAX_STREAM, 1 << 20));
    raw.read();
    raw.send(&[open(0, 0, b"", false), open(4, 0, b"", false)]);
    raw.end.session.set_priority(id(0), smrp::Priority::new(0), false);
    raw.end.session.write(id(0), &[1; 100_000]).unwrap();
    raw.read();
    raw.end.session.finish(id(4)).unwrap();
    let said = raw.read();
    assert!(said.contains(&data(4, 0, true)), "{said:?}");
}

#[test]
fn a_final_goaway_refuses_what_it_does_not_count() {
    //= SMRP-L6, SMRP-L8
    let mut pair = Pair::ready(config(), config());
    let open = |pair: &mut Pair| {
        pair.a.session.open(pair.now, smrp::Kind::Bytes, smrp::Direction::Bidi, smrp::Request::default()).unwrap()
    };
    let (first, second) = (open(&mut pair), open(&mut pair));
    let goaway =
        Frame::GoAway { is_final: true, bidi: 1, uni: 0, drain_ms: 1, code: Code::SHUTDOWN, redirect: Bytes::new() };
    pair.a.receive(pair.now, &encode(&[goaway]));
    assert_eq!(pair.a.session.read(pair.now, first, &mut [0]), Err(smrp::ReceiveError::Blocked));
    assert_eq!(pair.a.session.read(pair.now, second, &mut [0]), Err(smrp::ReceiveError::Reset(Code::REFUSED)));
    assert_eq!(pair.a.session.write(second, b"x"), Err(smrp::SendError::Stopped(Code::REFUSED)));
}

#[test]
fn idle_sessions_and_streams_hold_little() {
    // A gate on heap of the machine, per end: what a driver adds is its task.
    let mut pair = Pair::ready(config(), config());
    let heap = |info: testkit::allocations::AllocationInfo, count: i64| info.bytes_current / count;
    let mut kept = Vec::new();
    let sessions = testkit::allocations::measure(|| kept.extend((0..10).map(|_| Pair::ready(config(), config()))));
    let of_a_session = heap(sessions, 20) - i64::try_from(size_of::<Pair>() / 2).unwrap();
    let streams = testkit::allocations::measure(|| {
        for _ in 0..200 {
            pair.a.session.open(pair.now, smrp::Kind::Bytes, smrp::Direction::Bidi, smrp::Request::default()).unwrap();
        }
        pair.pump();
        pair.a.events();
        pair.b.events();
    });
    let of_a_stream = heap(streams, 400);
    println!(
        "heap: {of_a_session} octets an idle session beside its {} own, {of_a_stream} an idle stream, per end",
        size_of::<smrp::SessionMachine>()
    );
    assert!(of_a_stream <= 400, "{of_a_stream}");
    assert!(of_a_session <= 1_000, "{of_a_session}");
}
