//! Inputs that are right as segments and wrong where they come. Each leaves what is under way as it was.
//!
//! Beside these: totals that change, overlaps, gaps and floods in `limits`, numbers at the window's edge in `rules/window`, spoofed flushes
//! in `limits/rates`, and what is wrong in itself in `wire/bad_inputs`.

use crate::rig::{A, Fate, Lone, Side, World, ack, lone, ms, octets, record, secs};
use bytes::Bytes;
use smp121::machine::{DropReason, MailslotId};
use smp121::wire::{Action, Data, Direction, Outgoing, Position};

/// A server with a request half there.
fn half() -> (Lone, MailslotId, u32) {
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    server.part(Direction::Request, first, mailslot.number(), 0, 3000, &octets(3000)[..1000]);
    (server, mailslot, first)
}

/// The rest comes, and all of it is right.
fn finish(server: &mut Lone, mailslot: MailslotId, first: u32) {
    for start in [1000usize, 2000] {
        let offset = u32::try_from(start).unwrap();
        server.part(Direction::Request, first, mailslot.number(), offset, 3000, &octets(3000)[start..start + 1000]);
    }
    assert_eq!(server.serve(mailslot, b"ok"), [&octets(3000)[..]]);
}

fn data(
    direction: Direction,
    number: u32,
    mailslot: u16,
    position: Position,
    is_last: bool,
    octets: &[u8],
) -> Outgoing<'_> {
    Outgoing::Data(Data { direction, number, mailslot, position, is_last, octets })
}

//= SMP121-A4
#[test]
fn an_end_before_the_total_ends_nothing() {
    let (mut server, mailslot, first) = half();
    let early = data(Direction::Request, first, mailslot.number(), Position::At { offset: 1000 }, true, &[0; 0]);
    server.segment(&early, &[]);
    assert_eq!(server.receive(mailslot), None);
    finish(&mut server, mailslot, first);
}

//= SMP121-A4
#[test]
fn a_total_without_an_end_ends_the_message() {
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    let no_end = data(Direction::Request, first, mailslot.number(), Position::First { total: 5 }, false, b"hello");
    server.segment(&no_end, &[]);
    assert_eq!(server.serve(mailslot, b""), [&b"hello"[..]]);
}

//= SMP121-A4, SMP121-I19
#[test]
fn a_first_and_last_segment_with_fewer_octets_than_its_total_is_a_part() {
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    // As the deployed implementation sends behind a reset: everything but the octets.
    let empty = data(Direction::Request, first, mailslot.number(), Position::First { total: 5 }, true, b"");
    server.segment(&empty, &[]);
    assert_eq!((server.receive(mailslot), server.counters().dropped_all_count()), (None, 0));
    server.request(first, mailslot.number(), b"hello");
    assert_eq!(server.serve(mailslot, b""), [&b"hello"[..]]);
}

#[test]
fn parts_of_no_octets_change_nothing() {
    let (mut server, mailslot, first) = half();
    for offset in [1, 1000, 2999, 3000] {
        server.segment(&data(Direction::Request, first, mailslot.number(), Position::At { offset }, false, b""), &[]);
    }
    finish(&mut server, mailslot, first);
}

//= SMP121-L15
#[test]
fn parts_beyond_the_total_are_dropped() {
    let (mut server, mailslot, first) = half();
    for (offset, len) in [(2999, 2), (3000, 1), (3001, 0), (u32::MAX, 0), (u32::MAX - 10, 10), (1 << 31, 1)] {
        let beyond = octets(len);
        server
            .segment(&data(Direction::Request, first, mailslot.number(), Position::At { offset }, false, &beyond), &[]);
    }
    assert_eq!(server.dropped(DropReason::BeyondTotal), 6);
    finish(&mut server, mailslot, first);
}

#[test]
fn a_part_beyond_the_total_of_a_reply_is_dropped() {
    let mut client = Lone::new();
    let remote = client.client(100);
    client.send(remote, b"hello");
    client.seen();
    client.part(Direction::Reply, 100, 9, 0, 2000, &octets(1000));
    client.part(Direction::Reply, 100, 9, 1500, 9999, &octets(501));
    client.part(Direction::Reply, 100, 9, 0, 1999, &octets(1000));
    assert_eq!((client.dropped(DropReason::BeyondTotal), client.dropped(DropReason::OtherTotal)), (1, 1));
    client.part(Direction::Reply, 100, 9, 1000, 2000, &octets(2000)[1000..]);
    assert_eq!(client.outcomes()[0].1, Ok(Bytes::from(octets(2000))));
}

//= SMP121-L1
#[test]
fn a_claim_of_four_gibibytes_takes_up_nothing() {
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    server.segment(
        &data(Direction::Request, first, mailslot.number(), Position::First { total: u32::MAX }, false, b"x"),
        &[],
    );
    assert_eq!(server.counters().assembly_len, 0);
    assert_eq!(server.lines(first), ["too-large 0"]);
    // Without a beginning, what lies far ahead is not kept.
    server.segment(
        &data(Direction::Request, first + 1, mailslot.number(), Position::At { offset: 1 << 30 }, false, b"x"),
        &[],
    );
    assert_eq!(server.counters().assembly_len, 0);
    let mut client = Lone::new();
    let remote = client.client(100);
    client.send(remote, b"hello");
    client.seen();
    client.segment(&data(Direction::Reply, 100, 9, Position::First { total: u32::MAX }, false, b"x"), &[]);
    assert!(client.outcomes()[0].1.is_err());
}

#[test]
fn requests_to_mailslots_that_are_not_there_draw_a_reset_each() {
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    for number in [0, 0xffff, mailslot.number() ^ 1] {
        server.request(first, number, b"x");
        assert!(server.seen()[0].is_reset(), "mailslot {number}");
    }
    server.request(first, mailslot.number(), b"x");
    assert_eq!(server.serve(mailslot, b"").len(), 1);
}

#[test]
fn requests_before_any_name_request_draw_a_reset_and_are_not_remembered() {
    let mut server = Lone::new();
    let mailslot = server.define(b"printer");
    server.request(5, mailslot.number(), b"x");
    assert_eq!(server.lines(5), ["reset 0 + unknown 0"]);
    assert_eq!((server.receive(mailslot), server.machine.peer_count()), (None, 0));
}

#[test]
fn replies_and_records_before_any_request_change_nothing() {
    let mut client = Lone::new();
    let remote = client.get(b"printer");
    client.reply(0, 9, b"x");
    client.name_reply(100, 9, Some(b"printer"));
    client.records(&[
        ack(0, 9, 0),
        record(0, 9, Action::Busy),
        record(0, 9, Action::TooLarge),
        record(0, 9, Action::Reset),
    ]);
    assert!(client.is_silent());
    assert_eq!((client.events(), client.timer()), (vec![], None));
    client.send(remote, b"hello");
    assert_eq!(client.lines(0), ["name? printer"], "an answer that was not asked for is none");
}

#[test]
fn records_about_other_exchanges_change_nothing() {
    let (mut server, mailslot, first) = half();
    let number = mailslot.number();
    for action in [Action::Accepted { offset: 3000 }, Action::TooLarge, Action::Busy, Action::Reset] {
        server.records(&[
            record(first, number, action),
            record(first + 1, number, action),
            record(first, number ^ 1, action),
        ]);
    }
    assert_eq!(server.seen().iter().filter(|seen| seen.is_reset()).count(), 0);
    finish(&mut server, mailslot, first);
    // A request is no reply: busy and reset are nothing to a server.
    server.records(&[record(first, number, Action::Busy), record(first, number, Action::Reset)]);
    assert_eq!(server.counters().replies_len, 2);
}

#[test]
fn as_many_records_as_fit_are_taken_in_one_segment() {
    let mut client = Lone::new();
    let remote = client.client(100);
    for _ in 0..16 {
        client.send(remote, &octets(100));
    }
    client.seen();
    let records: Vec<_> = (0..255u32).map(|at| ack(100 + at % 16, 9, 100)).collect();
    client.records(&records);
    assert!(client.wait(ms(199)).is_empty(), "all sixteen are there: nothing goes again yet");
}

#[test]
fn a_reply_that_answers_its_own_request_by_a_reset_counts_as_a_reply() {
    let mut client = Lone::new();
    let remote = client.client(100);
    client.send(remote, b"hello");
    client.seen();
    client.segment(&lone::whole(Direction::Reply, 100, 9, b"world"), &[record(100, 9, Action::Reset)]);
    assert_eq!(client.outcomes()[0].1, Ok(Bytes::from("world")), "data first, then the records");
    assert!(client.wait(ms(100)).is_empty());
}

#[test]
fn a_request_from_another_address_is_another_peers() {
    let (mut server, mailslot, first) = half();
    let other = "10.0.0.9".parse().unwrap();
    let part = octets(3000);
    server.segment_from(
        other,
        &lone::part(Direction::Request, first, mailslot.number(), 1000, 3000, &part[1000..2000]),
        &[],
    );
    assert!(server.out().iter().any(|out| out.to.ip() == other && out.seen.is_reset()));
    assert_eq!(server.receive(mailslot), None);
    finish(&mut server, mailslot, first);
}

#[test]
fn a_reset_from_another_address_is_nothing() {
    let mut client = Lone::new();
    let remote = client.client(100);
    client.send(remote, b"hello");
    client.seen();
    client.segment_from("10.0.0.9".parse().unwrap(), &Outgoing::Reset { number: 100, mailslot: 9 }, &[]);
    assert!(client.is_silent());
    client.reply(100, 9, b"world");
    assert_eq!(client.outcomes().len(), 1);
}

//= SMP121-O1, SMP121-A28
#[test]
fn everything_twice_and_everything_three_times_late_changes_nothing() {
    for delay in [ms(0), ms(15), ms(90), secs(2), secs(90)] {
        let mut world = World::new();
        world.packets_max = 4000;
        for packet in 0..4000 {
            world.fate(packet, Fate::Doubled(delay));
        }
        world.end(Side::B).reply_len = Some(3000);
        for len in [10, 4000, 0, 100, 20_000] {
            world.send(Side::A, &octets(len));
        }
        world.run();
        let lens: Vec<usize> = world.end(Side::B).handled.iter().map(Bytes::len).collect();
        assert_eq!(lens, [10, 4000, 0, 100, 20_000], "{delay:?}");
        assert!(world.end(Side::A).done.iter().all(|outcome| *outcome == Ok(octets(3000).into())));
        world.assert_idle();
    }
}

/// A recording of a whole dialogue, played again: to the ends themselves, and to ends that were started anew.
//= SMP121-O1, SMP121-I10
#[test]
fn a_dialogue_that_is_played_again_runs_nothing_twice() {
    for reboots in [false, true] {
        let mut world = World::new();
        for _ in 0..5 {
            world.send(Side::A, b"once");
        }
        world.run();
        let recorded = world.packets.clone();
        if reboots {
            world.reboot(Side::B);
        }
        let handled = world.end(Side::B).handled.len();
        for packet in recorded.iter().filter(|packet| packet.from == Side::A) {
            let now = world.now;
            let input = smp121::machine::Input::Datagram {
                source: crate::rig::raw_ip(A),
                destination: crate::rig::B,
                payload: &packet.seen.payload,
            };
            let end = world.end(Side::B);
            wirekit::Machine::handle(&mut end.machine, now, input).unwrap();
            world.pump(Side::B);
        }
        world.run();
        assert_eq!((world.end(Side::B).handled.len(), handled), (5, 5), "restarted: {reboots}");
        world.send(Side::A, b"new");
        world.run();
        assert_eq!(world.end(Side::A).done.last().unwrap(), &Ok(Bytes::from("re: new")));
    }
}
