//! Rule c: messages of several segments, as TCP sends them.

use crate::rig::{Fate, Lone, Seen, Side, What, World, ack, ms, octets, secs};
use smp121::Limits;
use smp121::machine::RemoteId;
use smp121::wire::{Direction, Position};

const LEN: usize = 1384;

/// A client that has begun to send `count` segments; the starts of those that went.
fn sending(count: usize) -> (Lone, Vec<u32>) {
    let mut client = Lone::new();
    let remote = client.client(100);
    let starts = begin(&mut client, remote, count);
    (client, starts)
}

fn begin(client: &mut Lone, remote: RemoteId, count: usize) -> Vec<u32> {
    client.send(remote, &octets(count * LEN));
    starts(&client.seen())
}

/// Where the parts begin, counted in whole segments.
fn starts(seen: &[Seen]) -> Vec<u32> {
    let start = |seen: &Seen| match seen.what {
        What::Data { position, .. } => Some(position.offset() / u32::try_from(LEN).unwrap()),
        _ => None,
    };
    seen.iter().filter_map(start).collect()
}

const fn at(segments: u32) -> u32 {
    segments * 1384
}

//= SMP121-R-C, SMP121-A21
#[test]
fn ten_segments_go_at_first_and_two_more_for_each_that_is_acknowledged() {
    let (mut client, first) = sending(40);
    assert_eq!(first, (0..10).collect::<Vec<_>>());
    assert!(client.is_silent(), "the window is full");
    client.records(&[ack(100, 9, at(2))]);
    assert_eq!(starts(&client.seen()), [10, 11, 12, 13], "slow start");
    client.records(&[ack(100, 9, at(4))]);
    assert_eq!(starts(&client.seen()), [14, 15, 16, 17]);
}

//= SMP121-R-C, SMP121-A21
#[test]
fn nothing_goes_beyond_the_limit_of_what_may_be_in_flight() {
    let mut limits = Limits::default();
    limits.flight_len_max = 2 * 1400;
    let mut client = Lone::with(|builder| builder.with_limits(limits));
    let remote = client.client(100);
    assert_eq!(begin(&mut client, remote, 40), [0, 1]);
    for acked in 1..20 {
        client.records(&[ack(100, 9, at(acked))]);
        assert_eq!(starts(&client.seen()), [acked + 1]);
    }
}

//= SMP121-R-C, SMP121-A21
#[test]
fn the_window_is_one_for_all_messages_to_a_peer() {
    let mut client = Lone::new();
    let remote = client.client(100);
    assert_eq!(begin(&mut client, remote, 6).len(), 6);
    assert_eq!(begin(&mut client, remote, 6).len(), 4, "ten in all");
    let other = client.machine.get(crate::rig::raw_ip("10.0.0.3".parse().unwrap()), crate::rig::B, b"x").unwrap();
    client.machine.resolve(client.now, other).unwrap();
    client.seen();
}

//= SMP121-R-C1
#[test]
fn every_second_part_is_acknowledged_at_once_and_an_odd_one_soon() {
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    let mut acked = Vec::new();
    for part in 0..6u32 {
        server.part(Direction::Request, first, mailslot.number(), at(part), at(7), &octets(LEN));
        acked.extend(server.seen().iter().filter_map(|seen| seen.acked(first)));
    }
    assert_eq!(acked, [at(2), at(4), at(6)]);
    server.part(Direction::Request, first + 1, mailslot.number(), 0, at(7), &octets(LEN));
    assert!(server.is_silent());
    let later = server.wait(ms(100));
    assert_eq!((later.len(), later[0].0, later[0].1.acked(first + 1)), (1, ms(20), Some(at(1))));
}

//= SMP121-R-C1
#[test]
fn parts_of_replies_are_acknowledged_alike() {
    let mut client = Lone::new();
    let remote = client.client(100);
    client.send(remote, b"hello");
    client.seen();
    let mut acked = Vec::new();
    for part in 0..6u32 {
        client.part(Direction::Reply, 100, 9, at(part), at(7), &octets(LEN));
        acked.extend(client.seen().iter().filter_map(|seen| seen.acked(100)));
    }
    assert_eq!(acked, [at(2), at(4), at(6)]);
}

//= SMP121-R-C2
#[test]
fn after_a_timeout_the_first_segment_without_acknowledgement_goes_again_and_no_other() {
    let (mut client, _) = sending(40);
    client.records(&[ack(100, 9, at(3))]);
    client.seen();
    let (when, again): (Vec<_>, Vec<_>) = client.wait(ms(900)).into_iter().unzip();
    // First three probes, then by the time-out of 200 ms, doubled.
    assert!(starts(&again).iter().all(|start| *start == 3), "one segment: the window is closed");
    assert_eq!(when.iter().map(|when| when.as_millis()).collect::<Vec<_>>(), [92, 237, 437, 637]);
    assert_eq!((client.counters().probes_count, client.counters().timeouts_count), (3, 1));
}

//= SMP121-R-C2
#[test]
fn nothing_goes_again_before_its_time() {
    // Of several segments one is missed early: a round trip of 20 ms, four times its variation of 10, and the 25 that the
    // peer may take.
    let (mut client, _) = sending(5);
    assert_eq!(client.wait(ms(84)), []);
    assert_eq!(client.wait(ms(1)).len(), 1);
    // Of one segment the reply is the acknowledgement, and may take its time.
    let (mut client, _) = sending(1);
    assert_eq!(client.wait(ms(199)), []);
    assert_eq!(client.counters().resent_count, 0);
}

//= SMP121-R-C3, SMP121-I12
#[test]
fn a_part_out_of_order_is_acknowledged_at_once() {
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    let mut acked_for = |part: u32| {
        server.part(Direction::Request, first, mailslot.number(), at(part), at(9), &octets(LEN));
        server.seen().iter().filter_map(|seen| seen.acked(first)).collect::<Vec<_>>()
    };
    assert!(acked_for(0).is_empty(), "in order: the second will do");
    assert_eq!(acked_for(2), [at(1)]);
    assert_eq!(acked_for(3), [at(1)]);
    assert_eq!(acked_for(4), [at(1)]);
    assert_eq!(acked_for(4), [at(1)], "a copy as well");
    assert_eq!(acked_for(6), [at(1)]);
    assert_eq!(acked_for(1), [at(5)], "the gap is filled, another is left");
}

//= SMP121-R-C, SMP121-A21
#[test]
fn three_acknowledgements_of_the_same_send_the_missing_segment_and_two_do_not() {
    let (mut client, _) = sending(10);
    client.records(&[ack(100, 9, at(1))]);
    client.seen();
    for _ in 0..2 {
        client.records(&[ack(100, 9, at(1))]);
        assert!(client.is_silent());
    }
    client.records(&[ack(100, 9, at(1))]);
    assert_eq!(starts(&client.seen()), [1]);
    client.records(&[ack(100, 9, at(1))]);
    assert!(client.is_silent(), "once");
    assert_eq!(client.counters().fast_resent_count, 1);
}

//= SMP121-R-C
#[test]
fn a_partial_acknowledgement_in_recovery_sends_the_next_hole() {
    let (mut client, _) = sending(10);
    for _ in 0..4 {
        client.records(&[ack(100, 9, at(1))]);
    }
    assert_eq!(starts(&client.seen()), [1]);
    client.records(&[ack(100, 9, at(4))]);
    assert_eq!(starts(&client.seen()), [4]);
    client.records(&[ack(100, 9, at(10))]);
    assert!(client.is_silent());
}

//= SMP121-R-C, SMP121-W24
#[test]
fn repetitions_count_wherever_they_ride_and_each_of_several_in_one_datagram() {
    let data = crate::rig::lone::whole(Direction::Reply, 77, 5, b"x");
    let (mut client, _) = sending(10);
    client.records(&[ack(100, 9, at(1))]);
    client.seen();
    client.segment(&data, &[ack(100, 9, at(1)), ack(100, 9, at(1))]);
    assert!(client.is_silent());
    client.segment(&data, &[ack(100, 9, at(1))]);
    assert_eq!(starts(&client.seen()), [1]);
}

//= SMP121-R-C3
#[test]
fn a_receiver_says_of_each_part_out_of_order_that_one_is_missing_though_they_came_together() {
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    for part in [0, 2, 3, 4, 5, 6, 7] {
        server.part(Direction::Request, first, mailslot.number(), at(part), at(9), &octets(LEN));
    }
    let seen = server.seen();
    assert_eq!(seen.len(), 1, "one datagram");
    let acked: Vec<_> =
        seen[0].records.iter().filter(|record| **record == ack(first, mailslot.number(), at(1))).collect();
    assert_eq!(acked.len(), 4, "one, and three times again: as many as show a loss");
}

//= SMP121-A21
#[test]
fn a_loss_halves_what_may_be_in_flight() {
    let (mut client, _) = sending(72);
    // Slow start until 26 segments are in flight.
    let (mut acked, mut sent) = (0u32, 10u32);
    let deliver = |client: &mut Lone, part: u32| {
        client.records(&[ack(100, 9, at(part))]);
        u32::try_from(client.seen().len()).unwrap()
    };
    while sent - acked < 26 {
        acked += 2;
        sent += deliver(&mut client, acked);
    }
    for _ in 0..3 {
        deliver(&mut client, acked);
    }
    assert_eq!(client.counters().fast_resent_count, 1);
    // Everything that was sent is there: half of what was in flight may be now.
    let may = deliver(&mut client, sent);
    assert!((12..=15).contains(&may), "{may} of {}", sent - acked);
}

/// The window stands for all messages to the peer, each of which would have one of its own in TCP.
//= SMP121-A21
#[test]
fn a_loss_leaves_what_a_new_connection_may_send() {
    let (mut client, _) = sending(60);
    for _ in 0..4 {
        client.records(&[ack(100, 9, at(1))]);
    }
    client.seen();
    client.records(&[ack(100, 9, at(14))]);
    let in_flight = client.seen().len();
    assert!((9..=11).contains(&in_flight), "{in_flight}");
}

//= SMP121-A21
#[test]
fn the_time_of_a_segment_that_was_sent_twice_says_nothing() {
    let (mut client, _) = sending(3);
    // Sent again after 200 ms and more; an acknowledgement right behind it is of either copy.
    client.wait(ms(250));
    client.records(&[ack(100, 9, at(1))]);
    client.seen();
    let first = client.wait(secs(5)).iter().find(|(_, seen)| seen.is_data(Direction::Request)).unwrap().0;
    assert_eq!(first, ms(65), "a round trip of 20 ms as before, and no 5 ms");
}

//= SMP121-A21
#[test]
fn the_time_of_service_is_no_round_trip() {
    let mut client = Lone::new();
    let remote = client.client(100);
    for number in 100..110 {
        client.send(remote, b"hello");
        client.seen();
        // Three seconds of service; meanwhile the peer says that it has the request.
        client.records(&[ack(number, 9, 5)]);
        client.now = client.now + secs(3);
        client.reply(number, 9, b"world");
        client.wait(ms(300));
    }
    client.events();
    client.send(remote, b"hello");
    client.seen();
    let (again, _) = client.wait(secs(5)).into_iter().find(|(_, seen)| seen.is_data(Direction::Request)).unwrap();
    assert_eq!(again, ms(200), "the round trip is still the 20 ms of the name reply");
}

//= SMP121-A32
#[test]
fn segments_fit_the_path() {
    for (len_max, body) in [(556, 540), (1400, 1384), (9000, 8984)] {
        let mut client = Lone::with(|builder| builder.with_segment_len_max(len_max));
        let remote = client.client(100);
        client.send(remote, &octets(20_000));
        let seen = client.seen();
        assert!(seen.iter().all(|seen| seen.len <= len_max));
        assert_eq!(seen[0].len, len_max);
        let What::Data { position: Position::First { total: 20_000 }, octets, .. } = &seen[0].what else { panic!() };
        assert_eq!(octets.len(), body);
    }
}

//= SMP121-A32, SMP121-W25
#[test]
fn records_take_room_from_parts_and_never_make_a_message_of_one_segment_two() {
    let mut world = World::new();
    world.end(Side::B).reply_len = Some(10);
    // The request that takes the acknowledgement along fills its segment but for 5 octets: the record waits.
    for len in [10, 1384 - 12, 1384 - 5, 1384, 2000] {
        world.send(Side::A, &octets(len));
        world.run_until_done();
    }
    world.run();
    let requests: Vec<_> = world.lines().into_iter().filter(|line| line.starts_with("A: request")).collect();
    assert_eq!(
        requests,
        [
            "A: request a0 0..10 of 10 end",
            "A: request a1 0..1372 of 1372 end + ack a0 10",
            "A: request a2 0..1379 of 1379 end",
            "A: request a3 0..1384 of 1384 end",
            "A: request a4 0..1348 of 2000 + ack a1 10 + ack a2 10 + ack a3 10",
            "A: request a4 1348..2000 end",
        ]
    );
}

//= SMP121-R-C, SMP121-I5
#[test]
fn a_megabyte_goes_through_one_loss_in_ten() {
    let mut world = World::new();
    world.packets_max = 5000;
    for packet in (7..2000).step_by(10) {
        world.fate(packet, Fate::Lost);
    }
    world.end(Side::B).reply_len = Some(50_000);
    for _ in 0..10 {
        world.send(Side::A, &octets(100_000));
    }
    world.run();
    assert_eq!(world.end(Side::B).handled.len(), 10);
    assert!(world.end(Side::A).done.iter().all(|outcome| *outcome == Ok(octets(50_000).into())));
    world.assert_idle();
}

//= SMP121-R-C, SMP121-I14
#[test]
fn a_reply_that_nobody_acknowledges_keeps_no_window_from_others() {
    let mut end = Lone::new();
    let (mailslot, first) = end.server();
    end.request(first, mailslot.number(), b"x");
    end.serve(mailslot, &octets(20 * LEN));
    assert_eq!(end.seen().len(), 10);
    assert_eq!(end.wait(secs(2)).len(), 1, "one time-out, one segment again");
    end.events();
    let remote = end.client(first.wrapping_add(1 << 20));
    let number = first.wrapping_add(1 << 20);
    end.send(remote, &octets(6 * LEN));
    // No time passes: each acknowledgement lets the next ones go.
    let mut gone = 0;
    for _ in 0..6 {
        let seen = end.seen();
        gone += u32::try_from(starts(&seen).len()).unwrap();
        assert!(gone > 0, "the first goes at once");
        end.records(&[ack(number, 9, at(gone))]);
    }
    assert_eq!(gone, 6);
}

//= SMP121-R-C2
#[test]
fn what_was_not_acknowledged_goes_again_one_segment_at_a_time() {
    let (mut client, _) = sending(10);
    let again = client.wait(secs(3));
    let times: Vec<u128> = again.iter().map(|(when, _)| when.as_millis()).collect();
    // Three probes, then time-outs of 200 ms and more.
    assert_eq!(times, [85, 215, 415, 615, 1015, 1815]);
    assert!(again.iter().all(|(_, seen)| starts(std::slice::from_ref(seen)) == [0]));
    client.records(&[ack(100, 9, at(10))]);
    assert!(client.is_silent(), "all of it was there");
}

//= SMP121-R-I, SMP121-A19
#[test]
fn requests_to_one_mailslot_go_in_order_and_what_is_lost_of_any_goes_at_once() {
    let mut client = Lone::new();
    let remote = client.client(100);
    client.send(remote, &octets(12 * LEN));
    client.send(remote, &octets(3 * LEN));
    let numbers = |seen: &[Seen]| {
        let number = |seen: &Seen| match seen.what {
            What::Data { number, .. } => Some(number),
            _ => None,
        };
        seen.iter().filter_map(number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&client.seen()), [100; 10], "the first one has the window");
    client.records(&[ack(100, 9, at(4))]);
    assert_eq!(numbers(&client.seen()), [100, 100, 101, 101, 101]);
    for _ in 0..3 {
        client.records(&[ack(101, 9, 0)]);
    }
    assert_eq!(numbers(&client.seen()), [101], "out of turn");
}
