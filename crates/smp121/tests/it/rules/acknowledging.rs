//! Rules a and b: the last acknowledgement waits, and a reply is one for its request.

use crate::rig::{A, B, Lone, Side, World, ack, ms, octets, raw_ip, record, secs};
use bytes::Bytes;
use smp121::machine::SendOptions;
use smp121::wire::{Action, Direction};
use smp121::{Config, Profile, Timing};

//= SMP121-R-A, SMP121-A9
#[test]
fn the_last_acknowledgement_waits_its_time() {
    let mut client = Lone::new();
    let remote = client.client(100);
    client.send(remote, b"hello");
    assert_eq!(client.lines(100), ["request 0 0..5 of 5 end"]);
    client.reply(100, 9, b"world");
    assert!(client.is_silent(), "nothing goes at once");
    let later = client.wait(secs(5));
    assert_eq!(later.len(), 1, "one acknowledgement, nothing else");
    assert_eq!((later[0].0, later[0].1.acked(100)), (ms(200), Some(5)));
}

//= SMP121-R-A, SMP121-A9
#[test]
fn how_long_it_waits_can_be_set_up_to_a_second() {
    let timing = |delay| {
        let mut timing = Timing::default();
        timing.ack_delay = delay;
        timing
    };
    assert!(Config::builder([0; 32]).with_timing(timing(ms(1001))).build().is_err());
    let mut client = Lone::with(|builder| builder.with_timing(timing(ms(1000))));
    let remote = client.client(100);
    client.send(remote, b"hello");
    client.seen();
    client.reply(100, 9, b"world");
    assert_eq!(client.wait(ms(999)), []);
    assert_eq!(client.wait(ms(1)).len(), 1);
}

//= SMP121-R-A, SMP121-W25, SMP121-W24
#[test]
fn the_next_segment_to_that_host_takes_it_along_whatever_mailslot_it_is_for() {
    let mut client = Lone::new();
    let remote = client.client(100);
    client.send(remote, b"hello");
    client.seen();
    client.reply(100, 9, b"world");
    let other = client.machine.get(raw_ip(A), B, b"scanner").unwrap();
    client.machine.resolve(client.now, other).unwrap();
    assert_eq!(client.lines(100), ["name? scanner + ack 0 5"]);
    assert_eq!(client.wait(ms(500)).iter().filter(|(_, seen)| seen.acked(100).is_some()).count(), 0, "once is enough");
}

//= SMP121-R-A
#[test]
fn a_segment_to_another_host_takes_nothing_along() {
    let mut client = Lone::new();
    let remote = client.client(100);
    client.send(remote, b"hello");
    client.seen();
    client.reply(100, 9, b"world");
    let elsewhere = raw_ip("10.0.0.3".parse().unwrap());
    let other = client.machine.get(elsewhere, B, b"printer").unwrap();
    client.machine.resolve(client.now, other).unwrap();
    assert_eq!(client.lines(100), ["name? printer"]);
}

//= SMP121-R-A
#[test]
fn several_replies_wait_for_the_same_time_and_share_a_segment() {
    let mut client = Lone::new();
    let remote = client.client(100);
    for _ in 0..3 {
        client.send(remote, b"hello");
    }
    client.seen();
    for number in 100..103 {
        client.reply(number, 9, b"world");
        assert_eq!(client.wait(ms(30)), []);
    }
    let later = client.wait(secs(1));
    assert_eq!(later.len(), 1);
    assert_eq!(later[0].0, ms(200 - 90), "the first of them sets the time");
    assert_eq!(later[0].1.records, [ack(100, 9, 5), ack(101, 9, 5), ack(102, 9, 5)]);
}

//= SMP121-O12, SMP121-R-A, SMP121-R-B
#[test]
fn n_exchanges_one_behind_the_other_take_2n_and_2_packets_at_most() {
    let mut world = World::new();
    for _ in 0..500 {
        world.send(Side::A, b"ping");
        world.run_until_done();
    }
    world.run();
    // And two for the name.
    assert_eq!(world.packets.len(), 2 * 500 + 1 + 2);
    assert_eq!(world.counters(Side::A).resent_count + world.counters(Side::B).resent_count, 0);
}

//= SMP121-R-B, SMP121-W28
#[test]
fn a_request_that_is_answered_is_acknowledged_by_nothing_else() {
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    server.request(first, mailslot.number(), b"hello");
    assert_eq!(server.serve(mailslot, b"world"), [&b"hello"[..]]);
    assert_eq!(server.lines(first), ["reply 0 0..5 of 5 end"]);
    // In parts, an acknowledgement of the whole waits for the reply and goes with it if it is late.
    server.part(Direction::Request, first + 1, mailslot.number(), 0, 2000, &octets(1000));
    server.part(Direction::Request, first + 1, mailslot.number(), 1000, 2000, &octets(1000));
    assert_eq!(server.serve(mailslot, b"world").len(), 1);
    assert_eq!(server.lines(first), ["reply 1 0..5 of 5 end"]);
}

//= SMP121-R-B, SMP121-W28
#[test]
fn a_request_in_parts_is_acknowledged_where_its_reply_takes_its_time() {
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    server.part(Direction::Request, first, mailslot.number(), 0, 2000, &octets(1000));
    server.part(Direction::Request, first, mailslot.number(), 1000, 2000, &octets(1000));
    let later = server.wait(secs(1));
    assert_eq!(later.iter().filter_map(|(_, seen)| seen.acked(first)).collect::<Vec<_>>(), [2000]);
    assert!(later[0].0 <= ms(100), "before its sender's time runs out: {:?}", later[0].0);
}

/// Asked again after such, it sends the rest as if it were the whole.
//= SMP121-O4
#[test]
fn rdos_hears_of_no_part_and_of_the_whole_of_a_reply() {
    for (profile, hears) in [(Profile::SPEC, true), (Profile::RDOS, false)] {
        let mut server = Lone::with(|builder| builder.with_profile(profile));
        let (mailslot, first) = server.server();
        for (offset, copies_count) in [(0, 1), (1000, 1), (4000, 2)] {
            for _ in 0..copies_count {
                server.part(Direction::Request, first, mailslot.number(), offset, 9000, &octets(1000));
            }
            assert_eq!(!server.wait(ms(100)).is_empty(), hears, "{}, a request up to {offset}", profile.name);
        }
        let mut client = Lone::with(|builder| builder.with_profile(profile));
        let remote = client.client(100);
        client.send(remote, b"hello");
        client.seen();
        for (offset, copies_count) in [(0, 1), (2000, 1), (2000, 2)] {
            for _ in 0..copies_count {
                client.part(Direction::Reply, 100, 9, offset, 3000, &octets(1000));
            }
            assert_eq!(!client.wait(ms(30)).is_empty(), hears, "{}, a reply up to {offset}", profile.name);
        }
        client.part(Direction::Reply, 100, 9, 1000, 3000, &octets(1000));
        let acked: Vec<_> = client.wait(secs(2)).iter().filter_map(|(_, seen)| seen.acked(100)).collect();
        assert_eq!(acked, [3000]);
    }
}

//= SMP121-R-B
#[test]
fn a_reply_ends_the_resending_of_its_request_and_silence_does_not() {
    for is_answered in [true, false] {
        let mut client = Lone::new();
        let remote = client.client(100);
        client.send(remote, b"hello");
        client.seen();
        if is_answered {
            client.reply(100, 9, b"world");
            assert_eq!(client.outcomes()[0].1, Ok(Bytes::from("world")));
        }
        let resent = client.wait(secs(10)).iter().filter(|(_, seen)| seen.is_data(Direction::Request)).count();
        assert_eq!(resent > 0, !is_answered);
    }
}

//= SMP121-A23, SMP121-A8, SMP121-A25
#[test]
fn an_empty_reply_is_the_receipt_of_a_message_that_needs_none() {
    let mut world = World::new();
    world.end(Side::B).reply_len = Some(0);
    world.send(Side::A, b"");
    world.run();
    assert_eq!(world.end(Side::A).done, [Ok(Bytes::new())]);
    assert_eq!(world.end(Side::B).handled, [Bytes::new()]);
    assert_eq!(
        world.lines()[2..],
        ["A: request a0 0..0 of 0 end", "B: reply a0 0..0 of 0 end", "A: ack a0 0"],
        "of an empty reply, 0 acknowledges the whole"
    );
    world.assert_idle();
}

//= SMP121-A20, SMP121-U14
#[test]
fn a_reply_that_is_too_large_is_refused_and_not_acknowledged() {
    for (len, fits) in [(5, true), (6, false)] {
        let mut client = Lone::new();
        let remote = client.client(100);
        client.send_with(remote, b"hello", SendOptions::default().with_reply_len_max(5));
        client.seen();
        client.reply(100, 9, &octets(len));
        let outcome = client.outcomes().remove(0).1;
        let lines: Vec<String> =
            client.wait(secs(1)).iter().map(|(_, seen)| seen.describe(&|n| n.to_string())).collect();
        if fits {
            assert_eq!((outcome, lines), (Ok(octets(len).into()), vec!["ack 100 5".to_owned()]));
        } else {
            let error = smp121::ExchangeError::ReplyTooLarge { len: 6, max: 5 };
            assert_eq!((outcome, lines), (Err(error), vec!["too-large 100".to_owned()]));
        }
    }
}

//= SMP121-A20
#[test]
fn a_reply_that_the_caller_has_no_room_for_is_dropped_by_its_sender() {
    let mut world = World::new();
    world.end(Side::B).reply_len = Some(5000);
    world.send_with(Side::A, b"one", SendOptions::default().with_reply_len_max(4999));
    world.run();
    assert!(world.end(Side::A).done[0].is_err());
    world.assert_idle();
    assert!(world.lines().iter().any(|line| line.starts_with("A: too-large")), "{:#?}", world.lines());
    world.end(Side::B).reply_len = None;
    world.send(Side::A, b"two");
    world.run();
    assert_eq!(world.end(Side::A).done[1], Ok(Bytes::from("re: two")), "and all goes on");
}

//= SMP121-A20, SMP121-A7
#[test]
fn a_server_that_is_told_that_its_reply_is_too_large_forgets_it() {
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    server.request(first, mailslot.number(), b"x");
    server.serve(mailslot, &octets(5000));
    server.seen();
    server.records(&[record(first, mailslot.number(), Action::TooLarge)]);
    assert_eq!(server.counters().replies_len, 0);
    assert!(server.wait(secs(60)).is_empty(), "and sends it no more");
}
