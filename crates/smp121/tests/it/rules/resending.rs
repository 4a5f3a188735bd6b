//! Rules f, g and h: who sends again, and when.

use crate::rig::{Fate, Lone, Side, World, ack, ms, octets, record, secs};
use bytes::Bytes;
use smp121::wire::{Action, Direction};
use smp121::{ExchangeError, Profile};
use std::time::Duration;

/// A server that has a request at work.
fn at_work(profile: Profile) -> (Lone, u16, u32, smp121::machine::RequestId) {
    let mut server = Lone::with(|builder| builder.with_profile(profile));
    let (mailslot, first) = server.server();
    server.request(first, mailslot.number(), b"hello");
    let request = server.receive(mailslot).unwrap();
    (server, mailslot.number(), first, request.id)
}

//= SMP121-R-F, SMP121-R-F1, SMP121-A10
#[test]
fn the_first_resend_of_a_request_at_work_is_silent_and_those_after_it_are_answered() {
    for (profile, answer) in [(Profile::SPEC, "ack 0 5"), (Profile::SPEC.with_busy(true), "busy 0")] {
        let (mut server, mailslot, first, request) = at_work(profile);
        server.request(first, mailslot, b"hello");
        assert!(server.wait(ms(100)).is_empty(), "{answer}: the second copy");
        for copy in 3..6 {
            server.request(first, mailslot, b"hello");
            assert_eq!(server.lines(first), [answer], "copy {copy}");
        }
        server.machine.reply(server.now, request, "world".into()).unwrap();
        assert_eq!(server.lines(first), ["reply 0 0..5 of 5 end"], "and it runs once");
    }
}

//= SMP121-R-F, SMP121-A10
#[test]
fn a_request_that_waits_its_turn_is_busy_as_well() {
    let (mut server, mailslot, first, _) = at_work(Profile::SPEC.with_busy(true));
    for copy in 1..4 {
        server.request(first + 1, mailslot, b"next");
        assert_eq!(server.lines(first).len(), usize::from(copy == 3), "copy {copy}");
    }
}

//= SMP121-W30, SMP121-A10, SMP121-A22
#[test]
fn a_peer_that_says_that_it_is_busy_is_waited_for() {
    for action in [Action::Busy, Action::Accepted { offset: 5 }] {
        let mut client = Lone::new();
        let remote = client.client(100);
        client.send(remote, b"hello");
        client.seen();
        // Each of ten times 50 s would be half of the patience.
        for _ in 0..10 {
            assert!(!client.wait(secs(50)).is_empty(), "it goes on asking");
            client.records(&[record(100, 9, action)]);
        }
        client.reply(100, 9, b"world");
        assert_eq!(client.outcomes()[0].1, Ok(Bytes::from("world")));
    }
}

//= SMP121-A22
#[test]
fn a_peer_that_says_nothing_for_100_seconds_is_gone() {
    let mut client = Lone::new();
    let remote = client.client(100);
    client.send(remote, b"hello");
    client.send(remote, b"more");
    client.wait(secs(99));
    assert_eq!(client.outcomes(), []);
    client.wait(secs(30));
    let outcomes: Vec<_> = client.outcomes().into_iter().map(|(_, outcome)| outcome).collect();
    assert_eq!(outcomes, [Err(ExchangeError::PeerGone), Err(ExchangeError::PeerGone)]);
    assert_eq!(client.timer(), None);
    client.send(remote, b"again");
    assert_eq!(client.lines(0), ["name? printer"], "its number is forgotten");
}

//= SMP121-A22, SMP121-R-I2
#[test]
fn those_behind_one_that_is_served_are_not_given_up_while_the_mailslot_answers() {
    let mut client = Lone::new();
    let remote = client.client(100);
    for _ in 0..16 {
        client.send(remote, b"hello");
    }
    // One in 30 s is served; the mailslot's queue is full of others' requests, so no copy is answered.
    for number in 100..116 {
        client.wait(secs(30));
        client.reply(number, 9, b"world");
        assert!(client.outcomes().iter().all(|(_, outcome)| outcome.is_ok()), "{number}");
    }
    // The one in front has to be answered itself, whatever is said of those behind.
    for _ in 0..3 {
        client.send(remote, b"hello");
    }
    for _ in 0..5 {
        client.wait(secs(30));
        client.records(&[ack(117, 9, 5)]);
    }
    assert_eq!(client.outcomes().len(), 3);
}

//= SMP121-R-H
#[test]
fn the_client_sends_again_at_growing_intervals_until_the_reply_begins() {
    let mut client = Lone::new();
    let remote = client.client(100);
    client.send(remote, b"hello");
    let times: Vec<u128> = client.wait(secs(10)).iter().map(|(when, _)| when.as_millis()).collect();
    assert_eq!(times, [0, 200, 600, 1400, 3000, 6200]);
}

//= SMP121-R-G, SMP121-R-G1, SMP121-A34
#[test]
fn a_request_that_comes_again_after_its_reply_draws_the_first_segment_again() {
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    server.request(first, mailslot.number(), b"hello");
    server.serve(mailslot, &octets(5000));
    assert_eq!(server.lines(first).len(), 4);
    server.now = server.now + ms(100);
    server.request(first, mailslot.number(), b"hello");
    assert_eq!(server.lines(first), ["reply 0 0..1384 of 5000"], "one segment, not all");
    server.records(&[ack(first, mailslot.number(), 1384)]);
    server.seen();
    server.now = server.now + ms(100);
    server.request(first, mailslot.number(), b"hello");
    assert_eq!(server.lines(first), ["reply 0 1384..2768"], "the first that is not acknowledged");
}

//= SMP121-R-G, SMP121-L12
#[test]
fn copies_that_follow_each_other_closely_draw_one_reply() {
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    server.request(first, mailslot.number(), b"hello");
    server.serve(mailslot, b"world");
    server.seen();
    for _ in 0..100 {
        server.request(first, mailslot.number(), b"hello");
    }
    assert!(server.is_silent(), "the reply is on its way");
    server.now = server.now + ms(60);
    for _ in 0..100 {
        server.request(first, mailslot.number(), b"hello");
    }
    assert_eq!(server.seen().len(), 1);
    assert_eq!(server.counters().requests_count, 1);
}

//= SMP121-R-G, SMP121-R-D
#[test]
fn a_request_that_comes_again_after_its_reply_was_acknowledged_draws_a_reset() {
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    server.request(first, mailslot.number(), b"hello");
    server.serve(mailslot, b"world");
    server.seen();
    server.records(&[ack(first, mailslot.number(), 5)]);
    server.request(first, mailslot.number(), b"hello");
    assert_eq!(server.lines(first), ["reset 0 + unknown 0"]);
    assert_eq!((server.receive(mailslot), server.counters().requests_count), (None, 1), "it does not run again");
}

//= SMP121-R-H1, SMP121-L12
#[test]
fn the_server_sends_a_reply_again_a_bounded_number_of_times_at_growing_intervals() {
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    server.request(first, mailslot.number(), b"hello");
    server.serve(mailslot, b"world");
    let times: Vec<u128> = server.wait(secs(600)).iter().map(|(when, _)| when.as_millis()).collect();
    assert_eq!(times.len(), 6, "once, and five times again: {times:?}");
    assert!(times[1] >= 1500 && times.windows(3).all(|at| at[2] - at[1] >= at[1] - at[0]), "{times:?}");
    assert_eq!((server.timer(), server.counters().replies_len), (None, 0), "then it is dropped in silence");
}

//= SMP121-R-H1, SMP121-R-C2
#[test]
fn the_server_sends_again_what_is_missing_of_a_reply_that_has_begun() {
    let mut world = World::new();
    world.end(Side::B).reply_len = Some(4 * 1384);
    // The second and the last segment of the reply.
    world.fate(4, Fate::Lost);
    world.fate(6, Fate::Lost);
    world.send(Side::A, b"one");
    world.run();
    let lines = world.lines();
    let again: Vec<&String> = lines.iter().skip(7).filter(|line| line.starts_with("B: reply")).collect();
    assert_eq!(again, ["B: reply a0 1384..2768", "B: reply a0 4152..5536 end"], "{lines:#?}");
    assert_eq!(
        lines.iter().filter(|line| line.starts_with("A: request")).count(),
        1,
        "the client does not: {lines:#?}"
    );
    assert_eq!(world.end(Side::B).handled.len(), 1);
}

/// A client that has the first part of a reply, and hears no more.
fn stuck() -> Lone {
    let mut client = Lone::new();
    let remote = client.client(100);
    client.send(remote, b"hello");
    client.seen();
    client.part(Direction::Reply, 100, 9, 0, 5000, &octets(1384));
    client
}

//= SMP121-R-H3, SMP121-A11
#[test]
fn a_client_stuck_inside_a_reply_repeats_its_acknowledgement() {
    let mut client = stuck();
    let later = client.wait(secs(20));
    let acks: Vec<Duration> =
        later.iter().filter(|(_, seen)| seen.acked(100) == Some(1384)).map(|(when, _)| *when).collect();
    assert!(acks.len() >= 4, "{later:?}");
    assert_eq!(acks[0], ms(20));
    assert!(acks.windows(3).skip(1).all(|times| times[2] - times[1] >= (times[1] - times[0]) * 2), "{acks:?}");
}

//= SMP121-R-H4, SMP121-A11, SMP121-A22
#[test]
fn where_that_draws_no_answer_the_mailslot_is_flushed() {
    let mut client = stuck();
    client.wait(secs(170));
    assert_eq!(client.outcomes()[0].1, Err(ExchangeError::PeerGone));
    let handle = client.get(b"printer");
    client.send(handle, b"again");
    assert_eq!(client.lines(100), ["name? printer"]);
}

//= SMP121-R-H2
#[test]
fn while_a_reply_is_on_its_way_both_ends_may_send_again() {
    let mut world = World::new();
    world.end(Side::B).reply_len = Some(3 * 1384);
    // The whole reply is lost, twice.
    for packet in 3..8 {
        world.fate(packet, Fate::Lost);
    }
    world.send(Side::A, b"one");
    world.run();
    let count = |what: &str| world.lines().iter().filter(|line| line.starts_with(what)).count();
    assert!(count("A: request") >= 2 && count("B: reply") >= 6, "{:#?}", world.lines());
    assert_eq!(world.end(Side::A).done, [Ok(octets(3 * 1384).into())]);
    assert_eq!(world.end(Side::B).handled.len(), 1);
}

//= SMP121-A7
#[test]
fn a_record_that_fits_both_ways_is_for_the_reply() {
    // Our mailslot and the peer's have the same number, and so do a request and a reply.
    let mut end = Lone::new();
    let (mailslot, first) = end.server();
    let number = mailslot.number();
    let remote = end.get(b"theirs");
    end.machine.resolve(end.now, remote).unwrap();
    end.seen();
    end.name_reply(first, number, Some(b"theirs"));
    end.send(remote, b"hello");
    end.request(first, number, b"their question");
    end.serve(mailslot, b"world");
    end.seen();
    let replies_len = end.counters().replies_len;
    end.records(&[ack(first, number, 5)]);
    assert_eq!((replies_len, end.counters().replies_len), (5, 0), "the reply is acknowledged");
    let resent = end.wait(ms(500)).iter().filter(|(_, seen)| seen.is_data(Direction::Request)).count();
    assert!(resent > 0, "the request is not");
    // A reset is for our request all the same.
    end.records(&[record(first, number, Action::Reset)]);
    assert_eq!(end.lines(first), ["name? theirs"]);
}

//= SMP121-A28
#[test]
fn order_and_repetition_of_records_mean_nothing() {
    for turn in 0..6 {
        let mut client = Lone::new();
        let remote = client.client(100);
        for _ in 0..3 {
            client.send(remote, &octets(3000));
        }
        client.seen();
        let mut records = vec![ack(100, 9, 1384), ack(101, 9, 2768), ack(102, 9, 1384), ack(100, 9, 2768)];
        records.rotate_left(turn % 4);
        if turn > 3 {
            records.reverse();
        }
        client.records(&records);
        for (step, octets) in [(2, b"c"), (0, b"a"), (1, b"b")] {
            client.reply(100 + step, 9, octets);
        }
        assert_eq!(client.outcomes().len(), 3, "turn {turn}");
        assert_eq!(client.counters().resets_obeyed_count, 0);
    }
}

//= SMP121-A8
#[test]
fn an_acknowledgement_of_what_was_never_sent_is_none() {
    let mut client = Lone::new();
    let remote = client.client(100);
    client.send(remote, &octets(40 * 1384));
    client.seen();
    client.records(&[ack(100, 9, 40 * 1384)]);
    client.records(&[ack(100, 9, u32::MAX)]);
    assert!(client.is_silent());
    let again = client.wait(ms(100));
    assert_eq!(again.len(), 1, "it is sent again as if nothing had come");
}

//= SMP121-I14, SMP121-A4
#[test]
fn a_peer_that_gave_up_the_first_parts_of_a_request_gets_them_again() {
    let mut world = World::new();
    world.send(Side::A, &octets(90_000));
    // The first ten segments are there and acknowledged, and the next ones on their way.
    world.run_for(ms(35));
    // Longer than parts are kept, and not as long as a caller waits.
    world.cut_until = world.now + secs(75);
    world.run();
    let done = world.end(Side::A).done.clone();
    assert_eq!(world.end(Side::B).handled, [Bytes::from(octets(90_000))], "{done:?}");
    world.assert_idle();
}

//= SMP121-R-C3, SMP121-A4
#[test]
fn a_part_whose_beginning_is_not_here_says_so() {
    for offset in [1384, 70_000] {
        let mut server = Lone::new();
        let (mailslot, first) = server.server();
        server.part(Direction::Request, first, mailslot.number(), offset, 90_000, &octets(1384));
        assert_eq!(server.lines(first), ["ack 0 0"], "at {offset}");
    }
}

//= SMP121-A8
#[test]
fn an_old_acknowledgement_takes_nothing_back_while_new_ones_come() {
    let mut client = Lone::new();
    let remote = client.client(100);
    client.send(remote, &octets(40 * 1384));
    client.seen();
    client.records(&[ack(100, 9, 5 * 1384)]);
    client.seen();
    for offset in [0, 1384, 4 * 1384] {
        client.records(&[ack(100, 9, offset)]);
        assert!(client.is_silent());
    }
    assert_eq!(client.counters().resent_count, 0);
}

//= SMP121-R-C2, SMP121-A4
#[test]
fn what_a_peer_lost_after_it_had_it_all_goes_again_as_if_for_the_first_time() {
    let mut client = Lone::new();
    let remote = client.client(100);
    client.send(remote, &octets(3 * 1384));
    client.seen();
    client.records(&[ack(100, 9, 3 * 1384)]);
    assert_eq!(client.wait(ms(250)).len(), 1, "asked again");
    client.records(&[ack(100, 9, 0)]);
    assert_eq!(client.seen().len(), 3);
    client.records(&[ack(100, 9, 1384)]);
    let label = |number: u32| (number - 100).to_string();
    let again: Vec<String> = client.wait(secs(1)).iter().map(|(_, seen)| seen.describe(&label)).collect();
    assert_eq!(again[0], "request 0 1384..2768", "{again:?}");
}
