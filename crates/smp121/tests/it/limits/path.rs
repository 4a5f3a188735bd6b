//! What the path says, or does not say.

use crate::rig::{A, B, Lone, Side, World, ms, octets, raw_ip, record, secs};
use bytes::Bytes;
use smp121::ExchangeError;
use smp121::wire::Action;
use wirekit::datagram::{PathError, PathErrorKind};

fn error(kind: PathErrorKind, quoted: Option<[u8; 8]>) -> PathError {
    let mut error = PathError::new(raw_ip(A), kind);
    error.quoted = quoted;
    error
}

fn quoting(number: u32) -> Option<[u8; 8]> {
    let mut quoted = [0; 8];
    quoted[..4].copy_from_slice(&number.to_be_bytes());
    Some(quoted)
}

//= SMP121-O19
#[test]
fn a_host_that_does_not_speak_the_protocol_fails_the_exchange_at_once() {
    for kind in [
        PathErrorKind::ProtocolUnreachable,
        PathErrorKind::PortUnreachable,
        PathErrorKind::HostUnreachable,
        PathErrorKind::NetworkUnreachable,
        PathErrorKind::Prohibited,
    ] {
        for quoted in [None, quoting(0)] {
            let mut client = Lone::new();
            let remote = client.get(b"printer");
            let exchange = client.send(remote, b"hello");
            client.seen();
            client.path_error(&error(kind, quoted));
            assert_eq!(client.outcomes(), [(exchange, Err(ExchangeError::Unreachable(kind)))]);
        }
    }
}

//= SMP121-O19
#[test]
fn a_report_that_quotes_nothing_of_ours_is_ignored() {
    let unreachable = PathErrorKind::ProtocolUnreachable;
    let mut client = Lone::new();
    let remote = client.get(b"printer");
    client.send(remote, b"hello");
    client.seen();
    client.path_error(&error(unreachable, quoting(77)));
    client.path_error(&PathError::new(raw_ip("10.0.0.9".parse().unwrap()), unreachable));
    assert_eq!(client.outcomes(), []);
    client.name_reply(100, 9, None);
    client.seen();
    // The peer was heard a moment ago: it may be starting anew, or somebody lies.
    client.path_error(&error(unreachable, quoting(100)));
    client.path_error(&error(unreachable, quoting(99)));
    client.wait(secs(6));
    client.path_error(&error(unreachable, quoting(99)));
    client.path_error(&error(PathErrorKind::HostUnreachable, quoting(100)));
    assert_eq!(client.outcomes(), [], "not in flight; and a route may come back");
    client.path_error(&error(unreachable, quoting(100)));
    assert_eq!(client.outcomes()[0].1, Err(ExchangeError::Unreachable(unreachable)));
}

//= SMP121-O19, SMP121-A32
#[test]
fn a_path_that_takes_less_gets_shorter_segments() {
    for (mtu, len_max) in [(1000, 980), (0, 1400), (100, 556), (576, 556), (9000, 1400)] {
        let mut client = Lone::new();
        let remote = client.client(100);
        client.send(remote, &octets(50_000));
        assert_eq!(client.seen()[0].len, 1400);
        client.path_error(&error(PathErrorKind::TooLong { mtu }, quoting(100)));
        let again = client.wait(secs(2));
        assert_eq!(again[0].1.len, len_max, "mtu {mtu}");
        assert!(again.iter().all(|(_, seen)| seen.len <= len_max));
    }
}

//= SMP121-O19
#[test]
fn a_report_of_a_short_path_is_believed_where_it_quotes_what_is_on_its_way() {
    let too_long = PathErrorKind::TooLong { mtu: 700 };
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    let remote = server.client(1000);
    server.send(remote, &octets(5000));
    server.request(first, mailslot.number(), b"x");
    server.serve(mailslot, &octets(5000));
    server.seen();
    for forged in [1001, 999, first + 1, 0, u32::MAX] {
        server.path_error(&error(too_long, quoting(forged)));
        server.path_error(&PathError::new(raw_ip("10.0.0.9".parse().unwrap()), too_long));
    }
    assert!(server.wait(secs(2)).iter().any(|(_, seen)| seen.len == 1400), "still long segments");
    for number in [1000, first] {
        let mut copy = Lone::new();
        let (mailslot, again_first) = copy.server();
        assert_eq!(again_first, first, "the same seed");
        let remote = copy.client(1000);
        copy.send(remote, &octets(5000));
        copy.request(first, mailslot.number(), b"x");
        copy.serve(mailslot, &octets(5000));
        copy.seen();
        copy.path_error(&error(too_long, quoting(number)));
        assert!(copy.wait(secs(5)).iter().all(|(_, seen)| seen.len <= 680), "{number} is on its way");
    }
}

//= SMP121-O19
#[test]
fn over_ipv6_the_header_is_longer() {
    let (here, there) = ("fd00::2".parse().unwrap(), "fd00::1".parse().unwrap());
    let mut client = Lone::new();
    let remote = client.machine.get(raw_ip(there), here, b"printer").unwrap();
    client.machine.send(client.now, remote, octets(5000).into(), Default::default()).unwrap();
    client.seen();
    let mut error = PathError::new(raw_ip(there), PathErrorKind::TooLong { mtu: 1280 });
    error.quoted = None;
    client.path_error(&error);
    let mut reply = Vec::new();
    let segment = smp121::wire::Outgoing::NameReply(smp121::wire::NameReply {
        number: 5,
        request_len_max: 100_000,
        mailslot: 9,
        outstanding_max: 16,
        name: None,
    });
    let pseudo = smp121::wire::PseudoHeader::between(there, here).unwrap();
    smp121::wire::encode(&segment, &[], &pseudo, &mut reply);
    client.datagram(raw_ip(there), here, &reply);
    assert_eq!(client.seen()[0].len, 1240);
}

//= SMP121-O18, SMP121-I5
#[test]
fn a_path_that_swallows_long_segments_is_found_out() {
    let mut world = World::new();
    world.mtu = 1000;
    world.end(Side::B).reply_len = Some(20_000);
    world.send(Side::A, &octets(20_000));
    world.run();
    assert_eq!(world.end(Side::A).done, [Ok(octets(20_000).into())]);
    assert_eq!(world.end(Side::B).handled, [Bytes::from(octets(20_000))]);
    let long = world.packets.iter().filter(|packet| packet.seen.len > 1000).count();
    assert!(long < 40, "{long} were swallowed");
    world.begin();
    world.send(Side::A, &octets(20_000));
    world.run();
    assert!(world.packets.iter().all(|packet| packet.seen.len <= 556), "and it is remembered");
    world.assert_idle();
}

#[test]
fn a_short_message_lost_three_times_makes_no_path_short() {
    let mut client = Lone::new();
    let remote = client.client(100);
    client.send(remote, b"short");
    client.wait(secs(20));
    client.reply(100, 9, b"yes");
    client.send(remote, &octets(5000));
    let lens: Vec<usize> = client.seen().iter().map(|seen| seen.len).collect();
    assert_eq!(lens[0], 1400, "{lens:?}");
    assert!(client.machine.get(raw_ip(B), B, b"x").is_ok());
}

/// The client asks for the reply that does not come, so the server need not wait for its own time-outs, of 10 s together.
//= SMP121-O18
#[test]
fn a_path_that_swallows_long_replies_is_found_out_in_some_seconds() {
    for (begun_after, reply_len) in [(None, 1300), (None, 2000), (None, 20_000), (Some(ms(55)), 200_000)] {
        let mut world = World::new();
        world.send(Side::A, b"measure the path");
        world.run();
        world.end(Side::B).reply_len = Some(reply_len);
        world.send(Side::A, b"hello");
        if let Some(after) = begun_after {
            world.run_for(after);
        }
        let begun = world.now;
        world.mtu = 1000;
        world.run_until_done();
        assert_eq!(world.end(Side::A).done[1], Ok(octets(reply_len).into()));
        let took = world.now - begun;
        assert!(took < secs(5), "{reply_len} octets took {took:?}");
    }
}

//= SMP121-O18
#[test]
fn a_long_reply_that_is_asked_for_four_times_in_vain_goes_in_short_segments() {
    let ask = |server: &mut Lone, number, mailslot, by_request, pause| {
        server.wait(pause);
        // Questions that come at once are one.
        for _ in 0..3 {
            if by_request {
                server.request(number, mailslot, b"x");
            } else {
                server.records(&[record(number, mailslot, Action::Accepted { offset: 0 })]);
            }
        }
        server.seen().first().map(|seen| seen.len)
    };
    for (by_request, len) in [(true, 1300), (false, 1300), (true, 540), (true, 541), (false, 541), (true, 1384)] {
        let mut server = Lone::new();
        let (mailslot, number) = server.server();
        server.request(number, mailslot.number(), b"x");
        server.serve(mailslot, &octets(len));
        assert_eq!(server.seen()[0].len, 16 + len);
        // What comes this soon may have crossed the reply.
        for _ in 0..9 {
            assert_eq!(ask(&mut server, number, mailslot.number(), true, ms(5)), None);
        }
        for asked_count in 1..=3 {
            let again_len = ask(&mut server, number, mailslot.number(), by_request, ms(100));
            assert_eq!(again_len, Some(16 + len), "{asked_count}");
        }
        assert_eq!(ask(&mut server, number, mailslot.number(), by_request, ms(100)), Some((16 + len).min(556)));
    }
}

//= SMP121-O18
#[test]
fn a_long_segment_that_arrives_shows_that_the_others_were_lost_otherwise() {
    let mut server = Lone::new();
    let (mailslot, number) = server.server();
    for number in [number, number + 1] {
        server.request(number, mailslot.number(), b"x");
        server.serve(mailslot, &octets(1300));
    }
    for asked_count in 1..=9 {
        server.wait(ms(100));
        server.request(number, mailslot.number(), b"x");
        if asked_count == 2 {
            server.records(&[record(number + 1, mailslot.number(), Action::Accepted { offset: 1300 })]);
        }
        assert_eq!(server.seen()[0].len, 1316, "asked {asked_count} times");
    }
}
