//! What peers can make grow.

use crate::rig::{A, B, Lone, Side, What, World, ack, lone, octets, raw_ip, secs};
use bytes::Bytes;
use smp121::machine::{DropReason, MailslotId, SendOptions};
use smp121::wire::{Direction, Outgoing};
use smp121::{Config, Limits, UsageError};
use std::net::{IpAddr, Ipv4Addr};

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

fn server(change: impl FnOnce(&mut Limits)) -> (Lone, MailslotId, u32) {
    let mut server = Lone::with(|builder| builder.with_limits(limits(change)));
    let mailslot = server.machine.define(b"printer", 2000).unwrap();
    let number = server.offered(b"printer");
    (server, mailslot, number)
}

fn nth_peer(at: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(0x0b00_0000 + at))
}

/// Another peer gets its number.
fn introduce(server: &mut Lone, peer: IpAddr) -> Option<u32> {
    server.segment_from(peer, &Outgoing::NameRequest { name: b"printer" }, &[]);
    server.out().into_iter().find_map(|out| match out.seen.what {
        What::NameReply { number, .. } if out.to.ip() == peer => Some(number),
        _ => None,
    })
}

fn request_from(server: &mut Lone, peer: IpAddr, mailslot: MailslotId, number: u32, octets: &[u8]) {
    server.segment_from(peer, &lone::whole(Direction::Request, number, mailslot.number(), octets), &[]);
}

//= SMP121-L3
#[test]
fn a_flood_of_strangers_leaves_a_running_exchange_untouched_and_the_table_bounded() {
    let (mut server, mailslot, first) = server(|_| {});
    server.part(Direction::Request, first, mailslot.number(), 0, 2000, &octets(1000));
    server.seen();
    for at in 0..100_000 {
        introduce(&mut server, nth_peer(at));
        assert!(server.machine.peer_count() <= 4096);
    }
    assert!(server.machine.peer_count() <= 4096 / 4 + 1, "{} of those who proved nothing", server.machine.peer_count());
    server.part(Direction::Request, first, mailslot.number(), 1000, 2000, &octets(1000));
    assert_eq!(server.serve(mailslot, b"").len(), 1);
    assert_eq!(server.out().len(), 1, "and its reply goes");
}

//= SMP121-L3
#[test]
fn where_all_peers_are_busy_a_newcomer_is_dropped_and_where_one_is_idle_it_goes() {
    let (mut server, mailslot, _) = server(|limits| limits.peers_max = 8);
    // Peers that proved themselves and have a request at work.
    let mut numbers = Vec::new();
    for at in 0..7 {
        let number = introduce(&mut server, nth_peer(at)).expect("there is room");
        request_from(&mut server, nth_peer(at), mailslot, number, b"x");
        numbers.push(number);
    }
    request_from(&mut server, A, mailslot, 0, b"");
    server.out();
    assert!(server.machine.peer_count() <= 8);
    let before = server.machine.peer_count();
    // One more than there is room for, where the first of all is idle.
    let eighth = introduce(&mut server, nth_peer(100)).expect("an idle one makes room");
    request_from(&mut server, nth_peer(100), mailslot, eighth, b"x");
    assert!(server.machine.peer_count() <= 8 && server.machine.peer_count() >= before);
    assert_eq!(introduce(&mut server, nth_peer(101)), None);
    assert_eq!(server.dropped(DropReason::PeersFull), 1);
    assert_eq!(server.serve(mailslot, b"y").len(), 8, "nobody who was there lost anything");
}

//= SMP121-L3
#[test]
fn those_that_the_application_asked_for_are_not_pushed_out() {
    let mut client = Lone::new();
    let remote = client.client(100);
    client.define(b"printer");
    client.send(remote, b"hello");
    client.seen();
    for at in 0..20_000 {
        introduce(&mut client, nth_peer(at));
    }
    client.reply(100, 9, b"world");
    assert_eq!(client.outcomes()[0].1, Ok(Bytes::from("world")));
}

//= SMP121-L4
#[test]
fn so_many_mailslots_and_no_more_of_ours_and_of_a_peer() {
    let mut machine = Lone::with(|builder| {
        builder.with_limits(limits(|limits| (limits.mailslots_max, limits.mailslots_per_peer_max) = (3, 2)))
    });
    let define = |machine: &mut Lone, at: u8| machine.machine.define(&[at], 10);
    let kept: Vec<MailslotId> = (1..=3).map(|at| define(&mut machine, at).unwrap()).collect();
    assert!(
        matches!(define(&mut machine, 4), Err(UsageError::Limit(limit)) if (limit.limit, limit.got) == ("mailslots_max", 4))
    );
    machine.machine.undefine(machine.now, kept[0]).unwrap();
    assert!(define(&mut machine, 4).is_ok(), "one went, one comes");
    // A peer that asks for more of ours than the limit.
    for at in [2u8, 3, 4] {
        machine.name_request(&[at]);
    }
    assert_eq!((machine.seen().len(), machine.dropped(DropReason::MailslotsFull)), (2, 1));
    // And ours of a peer's.
    let first = machine.get(b"a");
    machine.get(b"b");
    let third = machine.machine.get(raw_ip(A), B, b"c");
    assert!(matches!(third, Err(UsageError::Limit(limit)) if limit.limit == "mailslots_per_peer_max"));
    machine.machine.free(first);
    assert!(machine.machine.get(raw_ip(A), B, b"c").is_ok());
}

//= SMP121-L2
#[test]
fn a_mailslot_queues_so_many_requests_and_the_next_in_turn_always() {
    let (mut server, mailslot, first) = server(|limits| limits.mailslot_queue_max = 4);
    for step in 1..=5 {
        server.request(first + step, mailslot.number(), b"x");
    }
    assert_eq!(server.dropped(DropReason::MailslotQueue), 1, "four wait, the fifth does not");
    server.request(first, mailslot.number(), b"x");
    assert_eq!(server.dropped(DropReason::MailslotQueue), 1, "the one in turn needs no place");
    assert_eq!(server.serve(mailslot, b"").len(), 5);
    server.request(first + 5, mailslot.number(), b"x");
    assert_eq!(server.serve(mailslot, b"").len(), 1, "what was dropped comes again");
}

//= SMP121-L2
#[test]
fn one_peer_that_fills_the_queue_does_not_keep_out_the_requests_in_turn_of_others() {
    let (mut server, mailslot, first) = server(|limits| limits.mailslot_queue_max = 4);
    for step in 1..=20 {
        server.request(first + step, mailslot.number(), b"x");
    }
    for at in 0..50 {
        let number = introduce(&mut server, nth_peer(at)).unwrap();
        request_from(&mut server, nth_peer(at), mailslot, number, b"y");
    }
    assert_eq!(server.serve(mailslot, b"").len(), 50);
}

//= SMP121-L5
#[test]
fn so_many_octets_of_one_peer_are_put_together_and_the_next_in_turn_has_half_of_them() {
    // 128 are charged for each message beside its octets.
    let (mut server, mailslot, first) = server(|limits| limits.peer_assembly_len_max = 4 * 1128);
    let part = |server: &mut Lone, step| {
        server.part(Direction::Request, first + step, mailslot.number(), 0, 2000, &octets(1000));
    };
    part(&mut server, 1);
    part(&mut server, 2);
    assert_eq!((server.counters().assembly_len, server.dropped(DropReason::AssemblyRoom)), (2 * 1128, 0));
    part(&mut server, 3);
    assert_eq!((server.counters().assembly_len, server.dropped(DropReason::AssemblyRoom)), (2 * 1128, 1));
    part(&mut server, 0);
    server.part(Direction::Request, first, mailslot.number(), 1000, 2000, &octets(1000));
    assert_eq!(server.dropped(DropReason::AssemblyRoom), 1);
    assert_eq!(server.serve(mailslot, b"").len(), 1);
    let later = server.wait(secs(61));
    assert!(!later.is_empty());
    assert_eq!(server.counters().assembly_len, 0, "what stands still goes");
}

//= SMP121-L6
#[test]
fn so_many_octets_of_all_peers_together_are_put_together() {
    let (mut server, mailslot, _) =
        server(|limits| (limits.peer_assembly_len_max, limits.assembly_len_max) = (4 * 1128, 6 * 1128));
    let mut taken = 0;
    for at in 0..20 {
        let Some(number) = introduce(&mut server, nth_peer(at)) else { panic!() };
        let half = octets(1000);
        let part = lone::part(Direction::Request, number, mailslot.number(), 0, 2000, &half);
        server.segment_from(nth_peer(at), &part, &[]);
        taken += 1;
        assert!(server.counters().assembly_len <= 6 * 1128);
    }
    assert_eq!(taken - server.dropped(DropReason::AssemblyRoom), 6);
}

//= SMP121-L7
#[test]
fn a_message_has_so_many_gaps_and_each_piece_is_charged() {
    let (mut server, mailslot, first) = server(|limits| limits.gaps_max = 3);
    for at in 1..=4 {
        server.part(Direction::Request, first, mailslot.number(), at * 10, 2000, &[1]);
    }
    assert_eq!(server.dropped(DropReason::Gaps), 1, "three gaps, not four");
    // One octet each, and 128 for each piece and for the message.
    assert_eq!(server.counters().assembly_len, 3 + 3 * 128 + 128);
    server.part(Direction::Request, first, mailslot.number(), 0, 2000, &octets(1000));
    assert_eq!(server.counters().assembly_len, 1000 + 128, "no gap is left");
}

//= SMP121-L7
#[test]
fn one_octet_in_two_never_costs_more_than_the_limit() {
    let (mut server, mailslot, first) = server(|_| {});
    for at in (1..2000).step_by(2) {
        server.part(Direction::Request, first, mailslot.number(), at, 2000, &[1]);
    }
    assert_eq!(server.counters().assembly_len, 64 + 64 * 128 + 128);
}

//= SMP121-L16
#[test]
fn a_first_part_that_says_another_total_changes_nothing() {
    let (mut server, mailslot, first) = server(|_| {});
    server.part(Direction::Request, first, mailslot.number(), 0, 1500, &octets(1000));
    server.part(Direction::Request, first, mailslot.number(), 0, 1000, &octets(1000));
    server.part(Direction::Request, first, mailslot.number(), 0, 1999, &octets(1000));
    assert_eq!((server.receive(mailslot), server.dropped(DropReason::OtherTotal)), (None, 2));
    server.part(Direction::Request, first, mailslot.number(), 1000, 1500, &octets(1500)[1000..]);
    assert_eq!(server.serve(mailslot, b""), [&octets(1500)[..]]);
}

//= SMP121-L17
#[test]
fn where_parts_overlap_with_other_octets_the_first_hold_and_the_conflict_is_counted() {
    let (mut server, mailslot, first) = server(|_| {});
    let number = mailslot.number();
    server.part(Direction::Request, first, number, 4, 12, b"eeee");
    server.part(Direction::Request, first, number, 2, 12, b"ccdEee");
    assert_eq!(server.counters().conflicts_count, 1);
    server.part(Direction::Request, first, number, 0, 12, b"abcc");
    server.part(Direction::Request, first, number, 0, 12, b"abcc");
    assert_eq!(server.counters().conflicts_count, 1, "the same octets are no conflict");
    server.part(Direction::Request, first, number, 8, 12, b"iiii");
    let served = server.serve(mailslot, b"");
    assert_eq!(served, [&b"abcceeeeiiii"[..]]);
}

//= SMP121-O17
#[test]
fn a_peer_that_makes_us_owe_it_and_never_reads_is_owed_no_more_than_255() {
    let (mut server, mailslot, first) = server(|_| {});
    server.request(first, mailslot.number(), b"x");
    server.serve(mailslot, b"");
    server.seen();
    // Parts with gaps are acknowledged at once; nothing is polled meanwhile.
    for round in 0..100 {
        for step in 1..31 {
            server.part(Direction::Request, first + step, mailslot.number(), 10 + round, 2000, &[1]);
            server.part(Direction::Request, first + 500 + step, mailslot.number(), 0, 2000, &[1]);
        }
    }
    let seen = server.seen();
    let records: usize = seen.iter().map(|seen| seen.records.len()).sum();
    assert!(records <= 255 + 32, "{records}");
    assert!(seen.len() <= 40, "{}", seen.len());
}

#[test]
fn so_many_requests_wait_at_a_handle_and_so_many_octets() {
    let mut client = Lone::with(|builder| {
        builder.with_limits(limits(|limits| (limits.waiting_count_max, limits.waiting_len_max) = (3, 100)))
    });
    let remote = client.get(b"printer");
    let mut send = |len: usize| client.machine.send(client.now, remote, octets(len).into(), SendOptions::default());
    assert!(send(500).is_ok(), "one may exceed it where nothing else waits");
    assert!(matches!(send(1), Err(UsageError::Limit(limit)) if (limit.limit, limit.got) == ("waiting_len_max", 501)));
    let mut client = Lone::with(|builder| {
        builder.with_limits(limits(|limits| (limits.waiting_count_max, limits.waiting_len_max) = (3, 100)))
    });
    let remote = client.get(b"printer");
    let mut send = |len: usize| client.machine.send(client.now, remote, octets(len).into(), SendOptions::default());
    assert!(send(50).is_ok() && send(49).is_ok() && send(1).is_ok());
    assert!(matches!(send(0), Err(UsageError::Limit(limit)) if (limit.limit, limit.got) == ("waiting_count_max", 4)));
}

/// The reply that has to go would make its request run again.
//= SMP121-L20, SMP121-O1
#[test]
fn while_many_replies_are_kept_the_next_requests_wait_for_acknowledgements() {
    let (mut server, mailslot, first) = server(|limits| limits.replies_len_max = 1000);
    for step in 0..10 {
        server.request(first + step, mailslot.number(), b"x");
    }
    assert_eq!(server.serve(mailslot, &octets(400)).len(), 3, "400, 800 and then enough");
    server.seen();
    assert_eq!(server.counters().replies_len, 1200);
    let acknowledge = |server: &mut Lone, step, offset| server.records(&[ack(first + step, mailslot.number(), offset)]);
    acknowledge(&mut server, 1, 400);
    assert_eq!(server.serve(mailslot, &octets(5000)).len(), 1, "the last one below the limit may be of any length");
    assert_eq!(server.counters().replies_len, 5800);
    acknowledge(&mut server, 0, 400);
    acknowledge(&mut server, 2, 400);
    assert!(server.serve(mailslot, b"").is_empty());
    // Nobody lost anything meanwhile: all that waited is served, once.
    server.wait(secs(70));
    server.request(first + 4, mailslot.number(), b"x");
    acknowledge(&mut server, 3, 5000);
    assert_eq!(server.serve(mailslot, b"").len(), 6);
    assert_eq!(server.counters().requests_count, 10);
}

//= SMP121-L20
#[test]
fn a_peer_that_acknowledges_nothing_holds_up_its_own_requests_to_other_mailslots_and_not_for_ever() {
    let (mut server, mailslot, first) = server(|limits| limits.replies_len_max = 1000);
    let other = server.machine.define(b"other", 2000).unwrap();
    let other_first = server.offered(b"other");
    server.request(first, mailslot.number(), b"x");
    assert_eq!(server.serve(mailslot, &octets(1000)).len(), 1);
    server.request(other_first, other.number(), b"y");
    let stranger = nth_peer(1);
    let strangers = introduce(&mut server, stranger).unwrap();
    request_from(&mut server, stranger, mailslot, strangers, b"z");
    assert_eq!(server.serve(mailslot, b""), [Bytes::from_static(b"z")]);
    assert!(server.serve(other, b"").is_empty());
    server.wait(secs(300));
    assert_eq!(
        server.serve(other, b""),
        [Bytes::from_static(b"y")],
        "the reply was kept as long as the peer could ask for it"
    );
}

#[test]
fn a_reply_larger_than_the_limit_is_refused_and_can_be_given_shorter() {
    let (mut server, mailslot, first) = server(|limits| limits.reply_len_max = 100);
    server.request(first, mailslot.number(), b"x");
    let request = server.receive(mailslot).unwrap();
    let too_large = server.machine.reply(server.now, request.id, octets(101).into());
    assert_eq!(too_large, Err(smp121::ReplyError::TooLarge { len: 101, max: 100 }));
    assert_eq!(server.machine.reply(server.now, request.id, octets(100).into()), Ok(()));
}

//= SMP121-L14, SMP121-U8
#[test]
fn names_have_1_to_255_octets_and_no_nul() {
    let mut machine = Lone::new();
    for (name, works) in [
        (vec![], false),
        (vec![b'a'; 255], true),
        (vec![b'a'; 256], false),
        (b"a\0b".to_vec(), false),
        ("ä ✂".into(), true),
        (vec![0xff, 0x1b, b'\n'], true),
    ] {
        assert_eq!(machine.machine.define(&name, 10).is_ok(), works, "{name:?}");
        assert_eq!(machine.machine.get(raw_ip(A), B, &name).is_ok(), works);
        assert_eq!(machine.machine.get_local(&name).is_ok(), works);
    }
    assert_eq!(machine.machine.define("ä ✂".as_bytes(), 10), Err(UsageError::NameTaken));
}

//= SMP121-L1, SMP121-U8
#[test]
fn a_mailslot_takes_at_most_half_of_the_room_of_a_peer() {
    let mut machine = Lone::new();
    for (len, works) in [(0, false), (1, true), (2 << 20, true), ((2 << 20) + 1, false), (usize::MAX, false)] {
        assert_eq!(machine.machine.define(format!("m{len}").as_bytes(), len).is_ok(), works, "{len}");
    }
}

#[test]
fn limits_that_cannot_be_are_refused_by_name() {
    let refused = |change: fn(&mut Limits)| {
        Config::builder([0; 32]).with_limits(limits(change)).build().err().map(|error| error.field)
    };
    assert_eq!(refused(|_| {}), None);
    assert_eq!(refused(|limits| limits.peers_max = 3), Some("peers_max"));
    assert_eq!(refused(|limits| limits.gaps_max = 0), Some("limits"));
    assert_eq!(refused(|limits| limits.mailslots_max = 65_536), Some("mailslots_max"));
    assert_eq!(refused(|limits| limits.peer_assembly_len_max = 65 << 20), Some("peer_assembly_len_max"));
    assert_eq!(refused(|limits| limits.flight_len_max = 2799), Some("flight_len_max"));
}

//= SMP121-I5, SMP121-L2, SMP121-L5
#[test]
fn under_the_tightest_limits_everything_still_gets_through() {
    let mut world = World::with(|builder| {
        builder.with_limits(limits(|limits| {
            limits.mailslot_queue_max = 15;
            limits.peer_assembly_len_max = 200_000;
            limits.assembly_len_max = 200_000;
            limits.gaps_max = 1;
            limits.flight_len_max = 2800;
            limits.peers_max = 4;
        }))
    });
    world.packets_max = 20_000;
    for at in 0..20usize {
        world.send(Side::A, &octets(at * 3000));
    }
    world.run();
    let served_count = world.end(Side::B).handled.len();
    assert_eq!(served_count, 20, "{}", crate::rig::ladder::ladder(&world));
    world.assert_idle();
}

//= SMP121-I5, SMP121-L5
#[test]
fn sixteen_large_requests_at_once_are_more_than_the_room_and_get_through_all_the_same() {
    let mut world = World::new();
    world.packets_max = 200_000;
    world.end(Side::B).reply_len = Some(10);
    let large = vec![7; 1 << 20];
    for _ in 0..16 {
        world.send(Side::A, &large);
    }
    let start = world.now;
    world.run_until_done();
    let done = world.end(Side::A).done.clone();
    assert!(done.iter().all(Result::is_ok), "{done:?}");
    assert!(world.now - start < secs(2), "{:?}", world.now - start);
}

//= SMP121-L3
#[test]
fn a_peer_that_proved_itself_is_remembered_through_a_flood_of_those_who_did_not() {
    let (mut server, mailslot, first) = server(|_| {});
    server.request(first, mailslot.number(), b"x");
    server.serve(mailslot, b"y");
    server.seen();
    server.records(&[ack(first, mailslot.number(), 1)]);
    for at in 0..5000 {
        introduce(&mut server, nth_peer(at));
    }
    server.request(first + 1, mailslot.number(), b"x");
    assert_eq!(server.serve(mailslot, b"y").len(), 1, "no reset: its numbers are known");
}
