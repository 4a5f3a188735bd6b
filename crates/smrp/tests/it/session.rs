//! Two sessions in good order.

use crate::pair::{Pair, config};
use bytes::Bytes;
use core::time::Duration;
use smrp::wire::{Code, ParametersBuilder, parameter};
use smrp::{Direction, Event, Kind, Priority, ReceiveError, Request, SendError, StreamId};

fn ready() -> Pair {
    Pair::ready(config(), config())
}

fn open(pair: &mut Pair, kind: Kind) -> StreamId {
    pair.a.session.open(pair.now, kind, Direction::Bidi, Request::default()).unwrap()
}

#[test]
fn a_handshake_works_octet_by_octet_and_settings_are_known_after_it() {
    //= SMRP-S1, SMRP-S2, SMRP-P5, SMRP-P11
    let mut pair = Pair::new(config(), config());
    pair.piece_len = 1;
    pair.pump();
    assert!(pair.a.events().contains(&Event::Established));
    assert!(pair.b.events().contains(&Event::Established));
    assert_eq!(pair.a.session.peer_settings(), &config().settings);
    assert_eq!(pair.b.session.peer_settings(), &config().settings);
    assert!(pair.a.session.stats().rtt.is_some(), "a ping was answered");
}

#[test]
fn grease_is_sent_nonces_are_fresh_and_only_what_is_spoken_is_offered() {
    //= SMRP-C7, SMRP-P7, SMRP-P10, SMRP-V2, SMRP-PR2
    use smrp::wire::{Frame, Header, Preface, is_grease};
    let flight = |seed| {
        let mut end = crate::pair::End::new(smrp::Role::Initiator, config(), wirekit::Instant::EPOCH, seed);
        let octets = end.transmit(wirekit::Instant::EPOCH);
        let (preface, mut at) = Preface::decode(&octets).unwrap().unwrap();
        let octets = Bytes::from(octets);
        let mut frames = Vec::new();
        while let Ok(Some(header)) = Header::decode(&octets[at..]) {
            frames.push(Frame::decode(header, &octets, at, true).unwrap());
            at += header.len + header.body_len;
        }
        (preface, frames)
    };
    let (one, frames) = flight(1);
    let (two, _) = flight(2);
    assert_ne!(one.nonce, two.nonce);
    let spoken: Vec<u32> = one.versions.iter().copied().filter(|version| !is_grease(*version)).collect();
    assert_eq!((spoken, one.versions.len()), (vec![1], 2));
    assert!(frames.iter().any(|frame| matches!(frame, Frame::Unknown { .. })), "{frames:?}");
}

#[test]
fn streams_that_are_only_permitted_cost_nothing() {
    //= SMRP-ST5
    let heap = |max: u64| {
        let mut settings = config().settings;
        settings.max_streams_bidi = max;
        settings.max_streams_uni = max;
        testkit::allocations::measure(|| {
            let pair = Pair::ready(config().with_settings(settings.clone()), config().with_settings(settings));
            assert_eq!(pair.b.session.stream_count(), 0);
        })
        .bytes_total
    };
    let (few, many) = (heap(8), heap(1 << 60));
    // The settings have more digits on their way; a single slot for each stream would be 2^61 of them.
    assert!(many.abs_diff(few) < 2_048, "{few} and {many}");
}

#[test]
fn the_first_flight_carries_data_within_the_floor() {
    //= SMRP-S6
    let mut pair = Pair::new(config(), config());
    let id = open(&mut pair, Kind::Bytes);
    let data = vec![7; 40_000];
    assert_eq!(pair.a.session.write(id, &data), Ok(40_000));
    let flight = pair.a.transmit(pair.now);
    pair.b.receive(pair.now, &flight);
    let [stream] = pair.b.opened()[..] else { panic!("one stream") };
    let mut into = vec![0; 65_536];
    assert_eq!(pair.b.session.read(pair.now, stream, &mut into), Ok(16_384), "the floor of a stream");
    pair.pump();
    assert_eq!(pair.b.session.read(pair.now, stream, &mut into), Ok(40_000 - 16_384));
}

#[test]
fn octets_go_both_ways_and_end_each_for_itself() {
    //= SMRP-ST8, SMRP-ST14
    let mut pair = ready();
    let id = open(&mut pair, Kind::Bytes);
    pair.a.session.write(id, b"ping").unwrap();
    pair.a.session.finish(id).unwrap();
    pair.pump();
    assert_eq!(pair.b.opened(), [id]);
    let mut into = [0; 16];
    assert_eq!(pair.b.session.read(pair.now, id, &mut into), Ok(4));
    assert_eq!(pair.b.session.read(pair.now, id, &mut into), Ok(0), "the end");
    assert_eq!(pair.a.session.read(pair.now, id, &mut into), Err(ReceiveError::Blocked));
    pair.b.session.write(id, b"pong").unwrap();
    pair.pump();
    assert_eq!(pair.a.events(), [Event::Readable(id)]);
    assert_eq!(pair.a.session.read(pair.now, id, &mut into), Ok(4));
    assert_eq!(pair.a.session.write(id, b"x"), Err(SendError::Finished));
    pair.b.session.finish(id).unwrap();
    pair.pump();
    assert_eq!(pair.a.session.read(pair.now, id, &mut into), Ok(0));
    for end in [&mut pair.a, &mut pair.b] {
        end.session.release_send(pair.now, id);
        end.session.release_receive(pair.now, id);
        assert_eq!(end.session.stream_count(), 0);
    }
}

#[test]
fn a_one_way_stream_has_one_way() {
    //= SMRP-ST7
    let mut pair = ready();
    let id = pair.a.session.open(pair.now, Kind::Bytes, Direction::Uni, Request::default()).unwrap();
    pair.a.session.write(id, b"x").unwrap();
    pair.pump();
    assert_eq!(pair.b.opened(), [id]);
    assert!(matches!(pair.b.session.write(id, b"y"), Err(SendError::Kind(_))));
    assert!(matches!(pair.a.session.read(pair.now, id, &mut [0]), Err(ReceiveError::Kind(_))));
}

#[test]
fn a_request_is_one_frame_each_way() {
    //= SMRP-M6
    let mut pair = ready();
    let before = (pair.a.session.stats().frames_sent, pair.b.session.stats().frames_sent);
    let metadata = ParametersBuilder::new().with(parameter::NAME, b"/clock").build();
    let id = pair
        .a
        .session
        .request(pair.now, Bytes::from_static(b"time?"), Request::default().with_metadata(metadata))
        .unwrap();
    pair.pump();
    let events = pair.b.events();
    let [Event::Opened(opened)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((opened.stream, opened.kind), (id, Kind::Request));
    assert_eq!(opened.metadata.as_ref().unwrap().get(parameter::NAME).as_deref(), Some(&b"/clock"[..]));
    assert_eq!(pair.b.session.receive_whole(pair.now, id), Ok(Bytes::from_static(b"time?")));
    pair.b.session.send_whole(id, Bytes::from_static(b"noon")).unwrap();
    pair.b.session.release_send(pair.now, id);
    pair.b.session.release_receive(pair.now, id);
    assert_eq!(pair.a.session.receive_whole(pair.now, id), Err(ReceiveError::Blocked));
    pair.pump();
    assert_eq!(pair.a.events(), [Event::Readable(id)]);
    assert_eq!(pair.a.session.receive_whole(pair.now, id), Ok(Bytes::from_static(b"noon")));
    pair.a.session.release_receive(pair.now, id);
    let after = (pair.a.session.stats().frames_sent, pair.b.session.stats().frames_sent);
    assert_eq!((after.0 - before.0, after.1 - before.1), (1, 1));
    assert_eq!((pair.a.session.stream_count(), pair.b.session.stream_count()), (0, 0));
}

#[test]
fn a_request_far_above_every_window_comes_whole() {
    //= SMRP-M6, SMRP-FC6
    let mut pair = ready();
    let body = Bytes::from(vec![3; 1 << 20]);
    let id = pair.a.session.request(pair.now, body.clone(), Request::default()).unwrap();
    pair.pump();
    assert_eq!(pair.b.opened(), [id]);
    assert_eq!(pair.b.session.receive_whole(pair.now, id).unwrap(), body);
    let too_large = pair.a.session.request(pair.now, Bytes::from(vec![3; (1 << 20) + 1]), Request::default());
    assert!(matches!(too_large, Err(smrp::OpenError::TooLarge { .. })));
}

#[test]
fn metadata_takes_its_room_in_the_first_frame() {
    //= SMRP-F2
    let mut pair = ready();
    let metadata = ParametersBuilder::new().with(parameter::NAME, &[b'n'; 4_000]).build();
    let body = Bytes::from(vec![3; 100_000]);
    let id = pair.a.session.request(pair.now, body.clone(), Request::default().with_metadata(metadata)).unwrap();
    pair.pump();
    assert_eq!(pair.b.opened(), [id]);
    assert_eq!(pair.b.session.receive_whole(pair.now, id).unwrap(), body);
}

#[test]
fn messages_keep_their_boundaries_and_their_order() {
    //= SMRP-M1, SMRP-M2
    for kind in [Kind::Messages, Kind::UnorderedMessages] {
        let mut pair = ready();
        let id = open(&mut pair, kind);
        let lens = [0, 1, 100_000, 5, 70_000, 0, 64];
        let mut sent: Vec<Bytes> = lens.iter().map(|len| Bytes::from(vec![9; *len])).collect();
        for message in &sent {
            pair.a.session.send_message(pair.now, id, message.clone(), None).unwrap();
        }
        pair.a.session.finish(id).unwrap();
        pair.pump();
        assert_eq!(pair.b.opened(), [id]);
        let mut came = Vec::new();
        loop {
            match pair.b.session.receive_message(pair.now, id) {
                Ok(Some(message)) => came.push(message),
                Ok(None) => break,
                Err(ReceiveError::Blocked) => pair.pump(),
                Err(error) => panic!("{error}"),
            }
        }
        if kind == Kind::UnorderedMessages {
            sent.sort();
            came.sort();
        }
        assert_eq!(came, sent);
    }
}

#[test]
fn messages_without_order_overtake_a_long_one() {
    //= SMRP-M2
    let mut pair = ready();
    let id = open(&mut pair, Kind::UnorderedMessages);
    pair.a.session.send_message(pair.now, id, Bytes::from(vec![1; 900_000]), None).unwrap();
    let small = Bytes::from_static(b"small");
    assert_eq!(pair.a.session.send_message(pair.now, id, small, None), Err(SendError::Blocked), "the channel is full");
    pair.pump();
    assert_eq!(pair.b.opened(), [id]);
    // The window is 256 KiB: the long one is under way.
    let mut pair = ready();
    let id = open(&mut pair, Kind::UnorderedMessages);
    pair.a.session.send_message(pair.now, id, Bytes::from(vec![1; 200_000]), None).unwrap();
    pair.a.session.send_message(pair.now, id, Bytes::from_static(b"small"), None).unwrap();
    pair.pump();
    assert_eq!(pair.b.opened(), [id]);
    assert_eq!(pair.b.session.receive_message(pair.now, id).unwrap().unwrap(), &b"small"[..]);
    assert_eq!(pair.b.session.receive_message(pair.now, id).unwrap().unwrap().len(), 200_000);
}

#[test]
fn metadata_goes_ahead_and_behind() {
    //= SMRP-ST13
    let mut pair = ready();
    let id = open(&mut pair, Kind::Bytes);
    pair.a.session.write(id, b"x").unwrap();
    pair.pump();
    pair.b.opened();
    let list = |id| ParametersBuilder::new().with(id, b"v").build();
    pair.b.session.send_metadata(id, list(parameter::CONTENT_TYPE)).unwrap();
    assert!(pair.b.session.send_metadata(id, list(parameter::CONTENT_TYPE)).is_err(), "once");
    pair.b.session.write(id, b"y").unwrap();
    pair.b.session.finish_with(id, list(parameter::HEADER)).unwrap();
    pair.pump();
    let events = pair.a.events();
    let metadata: Vec<bool> = events
        .iter()
        .filter_map(|event| if let Event::Metadata { is_trailer, .. } = event { Some(*is_trailer) } else { None })
        .collect();
    assert_eq!(metadata, [false, true], "{events:?}");
}

#[test]
fn a_reset_delivers_what_it_promised_and_then_its_code() {
    //= SMRP-ST10, SMRP-ST11
    let mut pair = ready();
    let id = open(&mut pair, Kind::Bytes);
    pair.a.session.write(id, b"headbody").unwrap();
    pair.a.session.reset(pair.now, id, Code::new(0x1001), 4);
    pair.pump();
    assert_eq!(pair.b.opened(), [id]);
    let mut into = [0; 16];
    assert_eq!(pair.b.session.read(pair.now, id, &mut into), Ok(4));
    assert_eq!(pair.b.session.read(pair.now, id, &mut into), Err(ReceiveError::Reset(Code::new(0x1001))));
}

#[test]
fn stop_is_answered_by_reset_with_the_same_code() {
    //= SMRP-ST12
    let mut pair = ready();
    let id = open(&mut pair, Kind::Bytes);
    pair.a.session.write(id, b"x").unwrap();
    pair.pump();
    pair.b.opened();
    pair.b.session.stop(pair.now, id, Code::new(0x1002));
    pair.pump();
    assert_eq!(pair.a.session.write(id, b"y"), Err(SendError::Stopped(Code::new(0x1002))));
    assert_eq!(pair.a.session.stopped(id), Some(Code::new(0x1002)));
    pair.b.session.finish(id).unwrap();
    pair.pump();
    for end in [&mut pair.a, &mut pair.b] {
        end.session.release_send(pair.now, id);
        end.session.release_receive(pair.now, id);
        assert_eq!(end.session.stream_count(), 0);
    }
}

#[test]
fn letting_go_gives_up_what_is_not_at_its_end() {
    //= SMRP-ST16
    let mut pair = ready();
    let id = open(&mut pair, Kind::Bytes);
    pair.a.session.write(id, b"x").unwrap();
    pair.pump();
    pair.b.opened();
    pair.a.session.release_send(pair.now, id);
    pair.a.session.release_receive(pair.now, id);
    pair.pump();
    assert_eq!(pair.b.session.read(pair.now, id, &mut [0; 4]), Err(ReceiveError::Reset(Code::CANCELLED)));
    assert_eq!(pair.b.session.write(id, b"y"), Err(SendError::Stopped(Code::CANCELLED)));
    assert_eq!(pair.a.session.stream_count(), 0);
}

#[test]
fn a_stream_that_was_given_up_before_anybody_heard_of_it_is_passed_over() {
    //= SMRP-ST3
    let mut pair = ready();
    let first = open(&mut pair, Kind::Bytes);
    pair.a.session.release_send(pair.now, first);
    pair.a.session.release_receive(pair.now, first);
    let second = open(&mut pair, Kind::Bytes);
    pair.a.session.write(second, b"x").unwrap();
    pair.pump();
    assert_eq!(pair.b.opened(), [second]);
    assert_eq!(pair.b.session.stream_count(), 1);
    assert_eq!(pair.a.session.stream_count(), 1);
}

#[test]
fn streams_are_opened_in_order_whichever_speaks_first() {
    //= SMRP-ST1
    let mut pair = ready();
    let ids: Vec<StreamId> = (0..5).map(|_| open(&mut pair, Kind::Bytes)).collect();
    pair.a.session.set_priority(ids[4], Priority::new(0), false);
    pair.a.session.write(ids[4], b"urgent").unwrap();
    pair.pump();
    assert_eq!(pair.b.opened(), ids);
}

#[test]
fn the_limit_of_streams_rises_as_streams_are_let_go_of() {
    //= SMRP-ST2, SMRP-ST4
    let mut settings = config().settings;
    settings.max_streams_bidi = 8;
    let mut pair = Pair::ready(config(), config().with_settings(settings));
    let ids: Vec<StreamId> = (0..8).map(|_| open(&mut pair, Kind::Bytes)).collect();
    let blocked = pair.a.session.open(pair.now, Kind::Bytes, Direction::Bidi, Request::default());
    assert_eq!(blocked, Err(smrp::OpenError::Blocked));
    pair.pump();
    pair.b.opened();
    for id in &ids {
        pair.a.session.finish(*id).unwrap();
        pair.a.session.release_send(pair.now, *id);
        pair.b.session.finish(*id).unwrap();
        pair.b.session.release_send(pair.now, *id);
    }
    pair.pump();
    assert!(
        !pair.a.events().contains(&Event::MayOpen(Direction::Bidi)),
        "the application of the acceptor still has them"
    );
    for id in &ids {
        pair.b.session.release_receive(pair.now, *id);
    }
    pair.pump();
    assert!(pair.a.events().contains(&Event::MayOpen(Direction::Bidi)));
    open(&mut pair, Kind::Bytes);
}

#[test]
fn a_message_whose_time_has_passed_is_skipped_and_the_peer_is_told() {
    //= SMRP-O5, SMRP-O6, SMRP-M4, SMRP-M5
    let mut settings = config().settings;
    settings.init_max_msgs = 16;
    let mut pair = Pair::ready(config(), config().with_settings(settings));
    let id = open(&mut pair, Kind::Messages);
    for number in 0..20_u8 {
        let ttl = (number >= 16).then(|| Duration::from_millis(50));
        pair.a.session.send_message(pair.now, id, Bytes::from(vec![number]), ttl).unwrap();
    }
    pair.pump();
    pair.b.opened();
    pair.wait(Duration::from_millis(51));
    let mut came = Vec::new();
    for _ in 0..3 {
        while let Ok(Some(message)) = pair.b.session.receive_message(pair.now, id) {
            came.push(message[0]);
        }
        pair.pump();
    }
    assert_eq!(came, (0..16).collect::<Vec<u8>>());
    pair.a.session.send_message(pair.now, id, Bytes::from_static(&[20]), None).unwrap();
    pair.pump();
    assert_eq!(pair.b.session.receive_message(pair.now, id).unwrap().unwrap(), &[20][..]);
}

#[test]
fn a_stream_whose_time_has_passed_ends_with_deadline() {
    //= SMRP-O5
    let mut pair = ready();
    let request = Request::default().with_ttl(Duration::from_millis(200));
    let id = pair.a.session.request(pair.now, Bytes::from_static(b"slow?"), request).unwrap();
    pair.pump();
    let events = pair.b.events();
    let [Event::Opened(opened)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(opened.ttl, Some(Duration::from_millis(200)));
    assert_eq!(pair.a.session.receive_whole(pair.now, id), Err(ReceiveError::Blocked));
    pair.wait(Duration::from_millis(200));
    assert_eq!(pair.a.events(), [Event::Readable(id)]);
    assert_eq!(pair.a.session.receive_whole(pair.now, id), Err(ReceiveError::Reset(Code::DEADLINE)));
    assert_eq!(pair.b.session.send_whole(id, Bytes::from_static(b"late")), Err(SendError::Stopped(Code::DEADLINE)));
}

#[test]
fn datagrams_are_dropped_by_age_and_by_number_and_counted() {
    //= SMRP-M7, SMRP-M8
    let mut pair = ready();
    let send = |pair: &mut Pair, data: Bytes, ttl| pair.a.session.send_datagram(pair.now, 7, data, ttl);
    send(&mut pair, Bytes::from_static(b"old"), Some(Duration::from_millis(5))).unwrap();
    pair.now = pair.now + Duration::from_millis(5);
    send(&mut pair, Bytes::from_static(b"new"), Some(Duration::from_millis(5))).unwrap();
    pair.pump();
    assert_eq!(pair.b.events(), [Event::Datagrams]);
    assert_eq!(pair.b.session.receive_datagram(), Some((7, Bytes::from_static(b"new"))));
    assert_eq!(pair.b.session.receive_datagram(), None);
    assert_eq!(pair.a.session.stats().datagrams_dropped, 1);
    for _ in 0..17 {
        send(&mut pair, Bytes::from(vec![0; 16_384]), None).unwrap();
    }
    assert_eq!(pair.a.session.stats().datagrams_dropped, 2, "256 KiB wait at most");
    let too_large = send(&mut pair, Bytes::from(vec![0; 16_385]), None);
    assert!(matches!(too_large, Err(smrp::DatagramError::TooLarge { max: 16_384, .. })));
    for _ in 0..2 {
        pair.pump();
        send(&mut pair, Bytes::from(vec![0; 16_384]), None).unwrap();
    }
    pair.pump();
    assert!(pair.b.session.stats().datagrams_lost > 0, "nobody took them");
}

#[test]
fn a_drain_lets_what_is_open_end_and_refuses_what_is_new() {
    //= SMRP-L6, SMRP-L7, SMRP-L8, SMRP-L9
    let mut pair = ready();
    let id = open(&mut pair, Kind::Bytes);
    pair.a.session.write(id, b"x").unwrap();
    pair.pump();
    pair.b.events();
    pair.b.session.drain(pair.now, Duration::from_secs(5), Some("smrp+tls://other"));
    // Opened before the first GOAWAY arrives: it is served.
    let crossing = open(&mut pair, Kind::Bytes);
    pair.a.session.write(crossing, b"y").unwrap();
    pair.pump();
    assert_eq!(pair.b.opened(), [crossing]);
    let refused = pair.a.session.open(pair.now, Kind::Bytes, Direction::Bidi, Request::default());
    assert_eq!(refused, Err(smrp::OpenError::GoingAway { redirect: Some("smrp+tls://other".to_owned()) }));
    pair.wait(Duration::from_secs(1));
    let events = pair.a.events();
    assert!(events.iter().any(|event| matches!(event, Event::GoingAway { is_final: true, .. })), "{events:?}");
    for id in [id, crossing] {
        pair.a.session.finish(id).unwrap();
        pair.b.session.finish(id).unwrap();
        for end in [&mut pair.a, &mut pair.b] {
            end.session.release_send(pair.now, id);
        }
        pair.pump();
        for end in [&mut pair.a, &mut pair.b] {
            end.session.release_receive(pair.now, id);
        }
    }
    pair.pump();
    let events = pair.a.events();
    let closed =
        |event: &Event| matches!(event, Event::Ended(smrp::SessionError::ClosedByPeer { code: Code::NO_ERROR, .. }));
    assert!(events.iter().any(closed), "{events:?}");
}

#[test]
fn a_drain_ends_when_its_time_is_over() {
    //= SMRP-L7
    let mut pair = ready();
    let id = open(&mut pair, Kind::Bytes);
    pair.a.session.write(id, b"x").unwrap();
    pair.pump();
    pair.b.session.drain(pair.now, Duration::from_secs(5), None);
    pair.wait(Duration::from_millis(4_999));
    assert!(pair.a.session.ended().is_none());
    pair.wait(Duration::from_millis(1));
    assert!(matches!(pair.a.session.ended(), Some(smrp::SessionError::ClosedByPeer { code: Code::SHUTDOWN, .. })));
}

#[test]
fn streams_and_drops_are_counted_by_their_reason() {
    let mut small = config();
    small.settings.init_max_stream = 16_384;
    small.settings.max_message = 50_000;
    small.limits.datagram_queue_len_max = 128;
    let mut pair = Pair::ready(small.clone(), small);
    let now = pair.now;
    let (octets, channel) = {
        let a = &mut pair.a.session;
        let octets = a.open(now, Kind::Bytes, Direction::Bidi, Request::default()).unwrap();
        let channel = a.open(now, Kind::Messages, Direction::Bidi, Request::default()).unwrap();
        a.write(octets, &[7; 20_000]).unwrap();
        a.send_message(now, channel, Bytes::from_static(b"on time"), None).unwrap();
        a.send_message(now, channel, Bytes::from_static(b"late"), Some(Duration::ZERO)).unwrap();
        for _ in 0..3 {
            a.send_datagram(now, 1, Bytes::from_static(b"datagram"), None).unwrap();
        }
        a.send_datagram(now, 1, Bytes::from_static(b"datagram"), Some(Duration::ZERO)).unwrap();
        (octets, channel)
    };
    pair.pump();
    let sent = pair.a.session.stream_stats(octets).unwrap();
    assert_eq!((sent.sent_len, sent.queued_len, sent.credit_left, sent.blocked_count), (16_384, 3_616, 0, 1));
    let came = pair.b.session.stream_stats(octets).unwrap();
    assert_eq!((came.received_len, came.taken_len), (16_384, 0));
    let sent = pair.a.session.stream_stats(channel).unwrap();
    assert_eq!((sent.messages_sent, sent.messages_expired, sent.sent_len), (1, 1, 7));
    let came = pair.b.session.stream_stats(channel).unwrap();
    assert_eq!((came.messages_received, came.messages_skipped, came.received_len), (1, 1, 7));
    let stats = pair.a.session.stats();
    assert_eq!((stats.datagrams_dropped, stats.datagrams_displaced, stats.datagrams_expired), (3, 2, 1));
    assert_eq!((stats.messages_sent, stats.messages_expired), (1, 1));

    // What comes when nobody wants it, a message that is too long, and a stream that is refused.
    pair.b.session.stop(now, octets, Code::CANCELLED);
    pair.a.session.send_message(now, channel, Bytes::from(vec![1; 1]), None).unwrap();
    let flight = pair.a.transmit(now);
    pair.b.session.release_receive(now, channel);
    pair.b.receive(now, &flight);
    assert_eq!(pair.b.session.stats().data_dropped_len, 1);
    pair.pump();
    assert_eq!(pair.a.session.stopped(octets), Some(Code::CANCELLED));
    let request = pair.b.session.request(now, Bytes::from(vec![1; 40_000]), Request::default()).unwrap();
    pair.pump();
    assert_eq!(pair.a.session.stats().messages_refused, 0);
    assert_eq!(pair.a.session.receive_whole(now, request).unwrap().len(), 40_000);
    pair.a.session.drain(now, Duration::from_secs(9), None);
    pair.wait(Duration::from_secs(1));
    assert_eq!((pair.a.session.stats().streams_refused, pair.b.session.stats().streams_refused), (0, 0));
    assert_eq!(pair.a.session.stream_stats(StreamId::new(400)), None);
}
