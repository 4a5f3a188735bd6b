//! Peers that break rules: each one is told once, by the right code.

use crate::pair::{Pair, config};
use crate::raw::{Raw, encode, preface};
use bytes::Bytes;
use core::time::Duration;
use smrp::wire::*;
use smrp::{Code, Event, SessionError, StreamId};
use wirekit::Machine;

pub(crate) fn id(number: u64) -> StreamId {
    StreamId::new(number)
}

pub(crate) fn open(stream: u64, kind: u8, data: &'static [u8], fin: bool) -> Frame {
    open_with(stream, kind, Bytes::from_static(data), fin)
}

fn open_with(stream: u64, kind: u8, data: Bytes, fin: bool) -> Frame {
    Frame::Open(Open {
        stream: id(stream),
        kind_and_priority: kind << 4 | 3,
        credit: None,
        ttl_ms: None,
        metadata: None,
        data,
        fin,
    })
}

pub(crate) fn data(stream: u64, len: usize, fin: bool) -> Frame {
    Frame::Data { stream: id(stream), offset: None, fin, data: Bytes::from(vec![5; len]) }
}

pub(crate) fn msg(stream: u64, number: Option<u64>, first: bool, last: bool, len: usize) -> Frame {
    let data = Bytes::from(vec![5; len]);
    Frame::Msg(Msg { stream: id(stream), id: number, offset: None, ttl_ms: None, first, last, data })
}

fn reset(stream: u64, final_len: u64, reliable_len: u64) -> Frame {
    Frame::Reset { stream: id(stream), code: Code::CANCELLED, final_len, reliable_len }
}

fn meta(stream: u64, is_trailer: bool) -> Frame {
    let parameters = ParametersBuilder::new().with(parameter::CONTENT_TYPE, b"x").build();
    Frame::Meta { stream: id(stream), is_trailer, parameters }
}

/// What a session says to these frames behind a handshake.
pub(crate) fn answer(frames: &[Frame]) -> Code {
    let mut raw = Raw::ready();
    raw.send(frames);
    raw.closed()
}

pub(crate) fn tolerated(frames: &[Frame]) -> bool {
    let mut raw = Raw::ready();
    raw.send(frames);
    raw.is_fine()
}

#[test]
fn prefaces_that_cannot_be() {
    //= SMRP-P2, SMRP-P3
    for octets in [&b"GET / HTTP/1.1\r\n"[..], &[0x16, 3, 1, 0], b"SSH-2.0-x"] {
        let mut raw = Raw::before(config());
        raw.send_octets(octets);
        let events = raw.end.events();
        assert!(matches!(events[..], [Event::Ended(SessionError::Fault(smrp::Fault::Preface(_)))]), "{events:?}");
        assert_eq!(raw.end.transmit(raw.now), b"", "another protocol gets no answer in this one");
    }
}

#[test]
fn versions_that_have_nothing_in_common() {
    //= SMRP-P6, SMRP-P7
    let mut raw = Raw::before(config());
    raw.send_octets(&preface(vec![7, 0x1A2A_3A4A], Security::Plaintext));
    let answer = raw.end.transmit(raw.now);
    let (answer, _) = Preface::decode(&answer).unwrap().unwrap();
    assert_eq!(answer.versions, [VERSION_1, VERSION_1]);
    let events = raw.end.events();
    let [Event::Ended(error)] = &events[..] else { panic!("{events:?}") };
    assert!(error.to_string().contains("the peer speaks [7]"), "{error}");

    let mut pair = Pair::new(config(), config());
    pair.a.transmit(pair.now);
    pair.a.receive(pair.now, &preface(vec![VERSION_1, VERSION_1], Security::Plaintext));
    let events = pair.a.events();
    assert!(matches!(events[..], [Event::Ended(SessionError::Fault(smrp::Fault::Version { .. }))]), "{events:?}");
}

#[test]
fn the_best_common_version_is_chosen_whatever_stands_beside_it() {
    //= SMRP-P5, SMRP-P7, SMRP-V1
    let mut raw = Raw::before(config());
    raw.send_octets(&preface(vec![0x0A0A_0A0A, 9, VERSION_1], Security::Plaintext));
    let answer = raw.end.transmit(raw.now);
    assert_eq!(Preface::decode(&answer).unwrap().unwrap().0.versions, [VERSION_1]);
}

#[test]
fn security_is_asserted() {
    //= SMRP-P8, SMRP-P13
    for security in [Security::Tls, Security::Inner] {
        let mut raw = Raw::before(config());
        raw.send_octets(&preface(vec![VERSION_1], security));
        assert_eq!(raw.closed(), Code::DOWNGRADE);
    }
    let mut unknown = preface(vec![VERSION_1], Security::Plaintext).to_vec();
    unknown[15] = 3;
    let mut raw = Raw::before(config());
    raw.send_octets(&unknown);
    assert_eq!(raw.closed(), Code::DOWNGRADE);
}

#[test]
fn a_preface_that_was_changed_on_the_way_is_noticed_by_both() {
    //= SMRP-P11
    let mut raw = Raw::before(config());
    raw.prefaces = vec![preface(vec![9, VERSION_1], Security::Plaintext)];
    raw.send_octets(&preface(vec![VERSION_1], Security::Plaintext));
    let hello = raw.hello(ParametersBuilder::new());
    raw.send(&[hello]);
    assert_eq!(raw.closed(), Code::DOWNGRADE);

    let mut pair = Pair::new(config(), config());
    let flight = pair.a.transmit(pair.now);
    pair.b.receive(pair.now, &flight);
    let mut answer = pair.b.transmit(pair.now);
    answer[20] ^= 1;
    pair.a.receive(pair.now, &answer);
    let events = pair.a.events();
    assert!(pair.a.transmit(pair.now).len() > 3);
    let events = [events, pair.a.events()].concat();
    assert!(events.contains(&Event::Ended(SessionError::Fault(smrp::Fault::PrefaceHash))), "{events:?}");
}

#[test]
fn hello_comes_first_and_once_and_says_what_can_be() {
    //= SMRP-S1, SMRP-S3, SMRP-C5
    let mut raw = Raw::before(config());
    raw.prefaces = vec![preface(vec![VERSION_1], Security::Plaintext)];
    let first = raw.prefaces[0].clone();
    raw.send_octets(&first);
    raw.send(&[Frame::Ping { ack: false, data: 1 }]);
    assert_eq!(raw.closed(), Code::PROTOCOL_VIOLATION);
    let mut raw = Raw::ready();
    let again = raw.hello(ParametersBuilder::new());
    raw.send(&[again]);
    assert_eq!(raw.closed(), Code::PROTOCOL_VIOLATION);
    for list in [
        ParametersBuilder::new().with_number(parameter::MAX_FRAME, 16_383),
        ParametersBuilder::new().with(parameter::MAX_FRAME, &[]),
        ParametersBuilder::new().with(0x41, &[]),
        ParametersBuilder::new().with_number(parameter::IDLE_MS, 5_000).with_number(parameter::IDLE_MS, 5_000),
    ] {
        assert_eq!(Raw::greeted_with(config(), list.clone()).closed(), Code::SETTINGS, "{list:?}");
    }
    let mut fine = Raw::greeted_with(config(), ParametersBuilder::new().with(0x40, b"unknown and even"));
    assert!(fine.is_fine());
    let mut raw = Raw::before(config());
    raw.send_octets(&preface(vec![VERSION_1], Security::Plaintext));
    raw.send(&[Frame::Hello(ParametersBuilder::new().build())]);
    assert_eq!(raw.closed(), Code::SETTINGS, "no hash at all");
}

#[test]
fn a_frame_longer_than_was_declared_is_refused_before_it_is_there() {
    //= SMRP-F2
    let mut raw = Raw::ready();
    raw.send_octets(&[number::DATA, 0, 0x80, 1, 0, 1]);
    assert_eq!(raw.closed(), Code::FRAME_ENCODING);
    let mut raw = Raw::ready();
    raw.send_octets(&[number::DATA, 0, 0x80, 1, 0, 0]);
    assert!(raw.is_fine());
}

#[test]
fn frames_that_must_be_understood_or_have_no_place_here() {
    //= SMRP-F3, SMRP-F6, SMRP-F7, SMRP-P13
    let unknown = |flags| Frame::Unknown { number: 0x2A, flags, body: Bytes::new() };
    assert_eq!(answer(&[unknown(CRITICAL)]), Code::UNSUPPORTED_FRAME);
    let mut raw = Raw::ready();
    raw.send(&[unknown(0)]);
    assert!(raw.is_fine());
    assert_eq!(raw.end.session.stats().frames_skipped, 1);
    for frame in crate::wire::one_of_each() {
        let Some(entry) = frame_type(frame.number()) else { continue };
        if entry.service != Service::Core || !entry.on_octets {
            assert_eq!(answer(&[frame]), Code::UNSUPPORTED_FRAME, "{}", entry.name);
        }
    }
    assert_eq!(answer(&[Frame::Handshake { offset: 0, data: Bytes::new() }]), Code::UNSUPPORTED_FRAME);
}

#[test]
fn streams_are_opened_by_their_owner_in_order_and_within_the_limit() {
    //= SMRP-ST1, SMRP-ST2, SMRP-X11
    assert_eq!(answer(&[open(1, 0, b"", false)]), Code::STREAM_STATE, "ours");
    assert_eq!(answer(&[open(4, 0, b"", false), open(4, 0, b"", false)]), Code::STREAM_STATE, "twice");
    assert_eq!(answer(&[open(8, 0, b"", false), open(4, 0, b"", false)]), Code::STREAM_STATE, "passed over");
    assert_eq!(answer(&[open(256 << 2, 0, b"", false)]), Code::STREAM_LIMIT);
    assert!(tolerated(&[open(255 << 2, 0, b"", false)]));
    assert_eq!(answer(&[open(u64::MAX >> 2, 0, b"", false)]), Code::STREAM_STATE, "2^62 - 1 is ours, and one way");
    assert_eq!(answer(&[open((u64::MAX >> 2) - 3, 0, b"", false)]), Code::STREAM_LIMIT);
}

#[test]
fn an_unknown_kind_is_refused_and_nothing_else_happens() {
    //= SMRP-ST15, SMRP-ST17
    let mut raw = Raw::ready();
    raw.send(&[open(0, 9, b"x", false)]);
    let said = raw.read();
    let refused = |frame: &Frame| matches!(frame, Frame::Stop { code: Code::REFUSED, .. });
    let reset = |frame: &Frame| matches!(frame, Frame::Reset { code: Code::REFUSED, .. });
    assert!(said.iter().any(refused) && said.iter().any(reset), "{said:?}");
    assert!(raw.is_fine() && raw.end.events().is_empty());
    raw.send(&[data(0, 100, true)]);
    assert!(raw.is_fine());
    assert_eq!(raw.end.session.stream_count(), 0);
}

#[test]
fn frames_for_streams_that_never_were() {
    //= SMRP-ST6
    let max = |stream| Frame::MaxStream { stream: id(stream), octets: 1 << 30, messages: None };
    let stop = |stream| Frame::Stop { stream: id(stream), code: Code::CANCELLED };
    let skip = |stream| Frame::MsgSkip { stream: id(stream), first: 0, count: 1 };
    let priority = |stream| Frame::Priority { stream: id(stream), priority: 3 };
    for frame in [
        data(4, 1, false),
        msg(4, None, true, true, 1),
        meta(4, false),
        reset(4, 0, 0),
        stop(4),
        max(4),
        skip(4),
        priority(4),
    ] {
        assert_eq!(answer(std::slice::from_ref(&frame)), Code::STREAM_STATE, "{frame:?}");
    }
}

#[test]
fn frames_for_streams_that_are_over_are_dropped_and_counted() {
    //= SMRP-ST6
    let mut raw = Raw::ready();
    raw.send(&[open(0, 0, b"x", true)]);
    let session = &mut raw.end.session;
    session.finish(id(0)).unwrap();
    session.release_send(raw.now, id(0));
    session.release_receive(raw.now, id(0));
    raw.read();
    assert_eq!(raw.end.session.stream_count(), 0);
    raw.send(&[
        data(0, 10, false),
        meta(0, true),
        reset(0, 1, 0),
        Frame::Stop { stream: id(0), code: Code::CANCELLED },
    ]);
    assert!(raw.is_fine());
    assert_eq!(raw.end.session.stats().frames_late, 4);
}

#[test]
fn data_that_its_stream_does_not_take() {
    //= SMRP-ST7, SMRP-ST8, SMRP-ST9
    assert_eq!(answer(&[open(0, 0, b"", false), msg(0, None, true, true, 1)]), Code::STREAM_STATE);
    assert_eq!(answer(&[open(0, 1, b"", false), data(0, 1, false)]), Code::STREAM_STATE);
    assert_eq!(answer(&[open(0, 1, b"x", false)]), Code::STREAM_STATE);
    let mut raw = Raw::ready();
    let ours =
        raw.end.session.open(raw.now, smrp::Kind::Bytes, smrp::Direction::Uni, smrp::Request::default()).unwrap();
    raw.read();
    raw.send(&[data(ours.number(), 1, false)]);
    assert_eq!(raw.closed(), Code::STREAM_STATE, "against its direction");
    assert_eq!(answer(&[open(0, 0, b"x", true), data(0, 1, false)]), Code::FINAL_SIZE);
    assert_eq!(answer(&[open(0, 0, b"x", true), data(0, 0, true)]), Code::FINAL_SIZE);
    assert_eq!(answer(&[open(0, 1, b"", true), msg(0, None, true, true, 1)]), Code::FINAL_SIZE);
    let at = |offset| Frame::Data { stream: id(0), offset: Some(offset), fin: false, data: Bytes::from_static(b"y") };
    assert_eq!(answer(&[open(0, 0, b"x", false), at(2)]), Code::PROTOCOL_VIOLATION);
    assert!(tolerated(&[open(0, 0, b"x", false), at(1)]));
}

#[test]
fn resets_with_sizes_that_cannot_be() {
    //= SMRP-ST10
    let begin = open(0, 0, b"12345", false);
    assert_eq!(answer(&[begin.clone(), reset(0, 4, 0)]), Code::FINAL_SIZE);
    assert_eq!(answer(&[begin.clone(), reset(0, 6, 0)]), Code::FINAL_SIZE, "octets of data cannot be lost on the way");
    assert_eq!(answer(&[begin.clone(), reset(0, 5, 6)]), Code::FINAL_SIZE);
    assert_eq!(answer(&[begin.clone(), reset(0, 5, 0), reset(0, 5, 0)]), Code::FINAL_SIZE);
    assert!(tolerated(&[begin, reset(0, 5, 5)]));
}

#[test]
fn metadata_out_of_place() {
    //= SMRP-ST13
    assert_eq!(answer(&[open(0, 0, b"", false), meta(0, false)]), Code::STREAM_STATE, "the opener's head is in OPEN");
    assert_eq!(answer(&[open(0, 0, b"", false), meta(0, true), meta(0, true)]), Code::STREAM_STATE);
    assert_eq!(answer(&[open(0, 0, b"", true), meta(0, true)]), Code::FINAL_SIZE);
    let large = ParametersBuilder::new().with(parameter::HEADER, &[0; 4_096]).build();
    assert_eq!(
        answer(&[open(0, 0, b"", false), Frame::Meta { stream: id(0), is_trailer: true, parameters: large.clone() }]),
        Code::STREAM_STATE
    );
    let opening = Open {
        stream: id(0),
        kind_and_priority: 3,
        credit: None,
        ttl_ms: None,
        metadata: Some(large),
        data: Bytes::new(),
        fin: false,
    };
    assert_eq!(answer(&[Frame::Open(opening)]), Code::STREAM_STATE);
}

#[test]
fn more_than_was_given() {
    //= SMRP-FC1, SMRP-FC2
    let mut settings = config().settings;
    settings.init_max_stream = 16_384;
    settings.init_max_data = 65_536;
    settings.init_max_msgs = 16;
    let with = |frames: &[Frame]| {
        let mut raw = Raw::greeted(config().with_settings(settings.clone()));
        raw.read();
        raw.send(frames);
        if raw.is_fine() { None } else { Some(raw.closed()) }
    };
    assert_eq!(with(&[open(0, 0, b"", false), data(0, 16_384, false)]), None);
    assert_eq!(with(&[open(0, 0, b"", false), data(0, 16_384, false), data(0, 1, false)]), Some(Code::FLOW_CONTROL));
    let many = |last: usize| {
        let mut frames = Vec::new();
        for stream in 0..4 {
            frames.extend([open(stream * 4, 0, b"", false), data(stream * 4, 16_384, false)]);
        }
        frames.extend([open(16, 0, b"", false), data(16, last, true)]);
        frames
    };
    assert_eq!(with(&many(0)), None);
    assert_eq!(with(&many(1)), Some(Code::FLOW_CONTROL), "of the session");
    let messages = |count| {
        let mut frames = vec![open(0, 1, b"", false)];
        frames.extend((0..count).map(|_| msg(0, None, true, true, 0)));
        frames
    };
    assert_eq!(with(&messages(16)), None);
    assert_eq!(with(&messages(17)), Some(Code::FLOW_CONTROL));
}

#[test]
fn fragments_in_the_wrong_order() {
    //= SMRP-M1, SMRP-M2
    let ordered = |frames: Vec<Frame>| answer(&[vec![open(0, 1, b"", false)], frames].concat());
    let v = Code::PROTOCOL_VIOLATION;
    assert_eq!(ordered(vec![msg(0, None, false, true, 1)]), v, "nothing was begun");
    assert_eq!(ordered(vec![msg(0, None, true, false, 1), msg(0, None, true, false, 1)]), v);
    assert_eq!(ordered(vec![msg(0, Some(5), true, true, 1), msg(0, Some(5), true, true, 1)]), v);
    assert_eq!(ordered(vec![msg(0, None, true, false, 1), data(0, 0, true)]), v, "ended within a message");
    let begun: Vec<Frame> = (0..65).map(|_| msg(0, None, true, false, 1)).collect();
    assert_eq!(answer(&[vec![open(0, 2, b"", false)], begun.clone()].concat()), v, "65 at once");
    assert!(tolerated(&[vec![open(0, 2, b"", false)], begun[..64].to_vec()].concat()));
    let by_id = [
        open(0, 2, b"", false),
        msg(0, Some(0), true, false, 1),
        msg(0, Some(1), true, false, 1),
        msg(0, Some(0), false, true, 1),
    ];
    assert!(tolerated(&by_id));
}

#[test]
fn a_message_above_the_limit_costs_its_stream_and_its_octets_come_back() {
    //= SMRP-M3
    let mut settings = config().settings;
    settings.max_message = 1_000;
    for (kind, frame) in [(1, msg(0, None, true, true, 1_001)), (3, data(0, 1_001, true))] {
        let mut raw = Raw::greeted(config().with_settings(settings.clone()));
        raw.read();
        raw.send(&[open(0, kind, b"", false), frame]);
        let said = raw.read();
        assert!(raw.is_fine());
        assert!(said.iter().any(|frame| matches!(frame, Frame::Stop { code: Code::TOO_LARGE, .. })), "{said:?}");
    }
}

#[test]
fn limits_that_rise_by_nothing_are_charged_and_numbers_never_overflow() {
    //= SMRP-C8, SMRP-FC3, SMRP-X1
    let mut raw = Raw::ready();
    let before = raw.end.session.stats().ledger_charged;
    raw.send(&[open(0, 0, b"", false), Frame::MaxData { octets: VARINT_MAX }, Frame::MaxData { octets: 5 }]);
    raw.send(&[Frame::MaxStream { stream: id(0), octets: VARINT_MAX, messages: Some(VARINT_MAX) }]);
    raw.send(&[Frame::MaxStreams { class: 0, count: VARINT_MAX }, Frame::MaxStreams { class: 0, count: 1 }]);
    assert!(raw.is_fine());
    let charged = raw.end.session.stats().ledger_charged - before;
    assert_eq!(charged, 1_000 + 5 * 50 + 2 * 1_000, "OPEN, five frames, two that changed nothing");
    raw.end.session.write(id(0), &[1; 1000]).unwrap();
    assert!(raw.read().iter().any(|frame| matches!(frame, Frame::Data { .. })));
}

#[test]
fn resets_without_end_are_abuse() {
    //= SMRP-X1, SMRP-X3
    let mut raw = Raw::ready();
    let mut next = 0;
    let mut paused = false;
    for _ in 0..20_000 {
        if !raw.end.session.wants_octets() {
            paused = true;
        }
        raw.send(&[open(next * 4, 0, b"", false), reset(next * 4, 0, 0)]);
        if !raw.is_fine() {
            break;
        }
        // The application lets go at once, as it would.
        for stream in raw.end.opened() {
            raw.end.session.release_send(raw.now, stream);
            raw.end.session.release_receive(raw.now, stream);
        }
        raw.read();
        next += 1;
    }
    assert!(paused, "back-pressure comes first");
    assert_eq!(raw.closed(), Code::ABUSE);
    assert!(next < 600, "{next}");
}

#[test]
fn streams_that_are_reset_count_until_the_application_has_let_go() {
    //= SMRP-X3, SMRP-ST4
    let mut settings = config().settings;
    settings.max_streams_bidi = 8;
    let mut raw = Raw::greeted(config().with_settings(settings));
    raw.read();
    for stream in 0..8 {
        raw.send(&[open(stream * 4, 0, b"", false), reset(stream * 4, 0, 0)]);
    }
    assert!(raw.is_fine());
    raw.send(&[open(32, 0, b"", false)]);
    assert_eq!(raw.closed(), Code::STREAM_LIMIT);
}

#[test]
fn floods_of_cheap_frames() {
    //= SMRP-X1, SMRP-X5, SMRP-X6, SMRP-X7, SMRP-X8
    let ping = Frame::Ping { ack: false, data: 1 };
    let flood = |frame: Frame, count: usize| {
        let mut raw = Raw::ready();
        for _ in 0..count {
            raw.send(std::slice::from_ref(&frame));
            if !raw.is_fine() {
                return Some(raw.closed());
            }
        }
        assert!(raw.end.transmit(raw.now).len() < 1_000, "answers do not pile up");
        None
    };
    assert_eq!(flood(ping.clone(), 100), None);
    assert_eq!(flood(ping, 10_000), Some(Code::ABUSE));
    assert_eq!(flood(Frame::Blocked { scope: 0, stream: id(0), at: 0 }, 10_000), Some(Code::ABUSE));
    assert_eq!(flood(Frame::Unknown { number: 0xF0, flags: 0, body: Bytes::new() }, 10_000), Some(Code::ABUSE));
    let settings = || Frame::Settings(ParametersBuilder::new().build());
    assert_eq!(flood(settings(), 8), None);
    assert_eq!(flood(settings(), 9), Some(Code::ABUSE));
    let mut raw = Raw::ready();
    raw.send(&[open(0, 0, b"", false)]);
    (0..10).for_each(|_| raw.send(&[data(0, 0, false)]));
    assert!(raw.is_fine());
    raw.send(&[data(0, 0, false)]);
    assert_eq!(raw.closed(), Code::PROTOCOL_VIOLATION);
}

#[test]
fn pings_are_answered_by_the_newest_at_once() {
    //= SMRP-L1, SMRP-X7
    let mut raw = Raw::ready();
    raw.send(&[
        Frame::Ping { ack: false, data: 1 },
        Frame::Ping { ack: false, data: 2 },
        Frame::Ping { ack: false, data: 3 },
    ]);
    assert_eq!(raw.read(), [Frame::Ping { ack: true, data: 3 }]);
}

#[test]
fn resets_that_our_side_had_to_send_are_charged_to_the_peer() {
    //= SMRP-X4
    let mut raw = Raw::ready();
    let before = raw.end.session.stats().ledger_charged;
    raw.send(&[open(0, 9, b"", false)]);
    assert_eq!(raw.end.session.stats().ledger_charged - before, 1_000 + 5_000);
}

#[test]
fn positions_that_cannot_be() {
    //= SMRP-R3
    assert_eq!(answer(&[Frame::SessionAck { received: 1 << 40 }]), Code::PROTOCOL_VIOLATION);
    assert!(tolerated(&[Frame::SessionAck { received: 0 }]));
    let handle = Bytes::from(vec![1; 32]);
    assert_eq!(answer(&[Frame::Reattach { epoch: 1, received: 0, handle: handle.clone() }]), Code::PROTOCOL_VIOLATION);
    assert_eq!(
        answer(&[Frame::ReattachResult { code: Code::NO_ERROR, epoch: 0, received: 0 }]),
        Code::PROTOCOL_VIOLATION
    );
    assert_eq!(answer(&[Frame::Ticket { lifetime_s: 1, offline_ms: 1, handle }]), Code::PROTOCOL_VIOLATION);
}

#[test]
fn a_close_is_not_answered_and_its_reason_is_shown_escaped() {
    //= SMRP-L4, SMRP-L5
    let mut raw = Raw::ready();
    let reason = Bytes::from_static(b"line\r\nforged \xFF");
    raw.send(&[Frame::Close { code: Code::new(0x1234), frame_type: 0, reason }, open(0, 0, b"", false)]);
    assert_eq!(raw.end.transmit(raw.now), b"");
    let events = raw.end.events();
    let [Event::Ended(error @ SessionError::ClosedByPeer { .. })] = &events[..] else { panic!("{events:?}") };
    assert_eq!(error.to_string(), "closed by the peer (0x1234): line\\r\\nforged \u{FFFD}");
}

#[test]
fn a_slow_handshake_is_ended_in_time() {
    //= SMRP-P12, SMRP-X10
    let mut raw = Raw::before(config());
    let octets = preface(vec![VERSION_1], Security::Plaintext);
    let due = raw.end.session.poll_timeout().unwrap();
    assert_eq!(due.at, raw.now + Duration::from_secs(3));
    raw.send_octets(&octets[..octets.len() - 1]);
    raw.end.session.handle_timeout(due.at);
    let events = raw.end.events();
    assert!(matches!(events[..], [Event::Ended(SessionError::HandshakeTimeout { what: "preface", .. })]), "{events:?}");
    let mut raw = Raw::before(config());
    raw.send_octets(&octets);
    let due = raw.end.session.poll_timeout().unwrap();
    assert_eq!(due.at, raw.now + Duration::from_secs(10));
    raw.send_octets(&encode(&[Frame::Hello(ParametersBuilder::new().with(1, &[0; 32]).build())])[..20]);
    raw.end.session.handle_timeout(due.at);
    raw.read();
    let events = raw.end.events();
    assert!(
        matches!(events[..], [Event::Ended(SessionError::HandshakeTimeout { what: "handshake", .. })]),
        "{events:?}"
    );
}

#[test]
fn a_silent_peer_is_pinged_and_then_lost() {
    //= SMRP-L2, SMRP-L3
    let mut raw = Raw::ready();
    raw.send(&[Frame::Ping { ack: true, data: 1 }]);
    let due = raw.end.session.poll_timeout().unwrap();
    assert_eq!((due.at, due.reason), (raw.now + Duration::from_secs(40), smrp::Reason::Ping));
    raw.now = due.at;
    raw.end.session.handle_timeout(raw.now);
    assert!(!raw.end.transmit(raw.now).is_empty());
    let due = raw.end.session.poll_timeout().unwrap();
    assert_eq!((due.at, due.reason), (raw.now + Duration::from_secs(80), smrp::Reason::Idle));
    raw.send_octets(&[0]);
    let later = raw.end.session.poll_timeout().unwrap();
    assert_eq!(later.at, raw.now + Duration::from_secs(120), "half a frame is a sign of life");
    raw.now = later.at;
    raw.end.session.handle_timeout(raw.now);
    raw.read();
    let events = raw.end.events();
    assert!(matches!(events.last(), Some(Event::Ended(SessionError::Idle(_)))), "{events:?}");
}

#[test]
fn control_that_piles_up_stops_the_reading() {
    //= SMRP-X5, SMRP-FC10
    let mut raw = Raw::ready();
    let mut count = 0;
    while raw.end.session.wants_octets() && count < 100_000 {
        raw.send(&[open(count * 4, 0, b"", true)]);
        for stream in raw.end.opened() {
            let list = ParametersBuilder::new().with(parameter::HEADER, &[0; 1_000]).build();
            raw.end.session.send_metadata(stream, list).unwrap();
            raw.end.session.finish(stream).unwrap();
        }
        count += 1;
        assert!(raw.is_fine());
    }
    assert!(count < 100, "64 KiB wait at most, and one frame more: {count}");
    raw.read();
    assert!(raw.end.session.wants_octets(), "once it went out, reading goes on");
}
