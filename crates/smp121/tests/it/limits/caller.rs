//! What the application asks for beside the message.

use crate::rig::{B, Lone, Side, World, ack, ms, octets, raw_ip, secs};
use bytes::Bytes;
use smp121::machine::{Event, SendOptions};
use smp121::wire::{Direction, Outgoing};
use smp121::{ExchangeError, ReplyError, UsageError};

//= SMP121-A30, SMP121-I15
#[test]
fn precedence_is_the_code_point_of_a_requests_segments() {
    let mut client = Lone::new();
    let remote = client.client(100);
    client.send_with(remote, &octets(3000), SendOptions::default().with_dscp(46));
    client.send_with(remote, b"plain", SendOptions::default());
    client.send_with(remote, b"more", SendOptions::default().with_dscp(0xff));
    let dscps: Vec<u8> = client.out().iter().map(|out| out.dscp).collect();
    // Messages take turns.
    let count = |dscp| dscps.iter().filter(|other| **other == dscp).count();
    assert_eq!((dscps.len(), count(46), count(0), count(63)), (5, 3, 1, 1), "{dscps:?}");
    client.now = client.now + secs(1);
    client.machine_timeout();
    assert!(client.out().iter().any(|out| out.dscp == 46), "and when they are sent again");
    client.reply(101, 9, b"x");
    client.now = client.now + ms(200);
    client.machine_timeout();
    assert!(client.out().iter().filter(|out| !out.seen.is_data(Direction::Request)).all(|out| out.dscp == 0));
}

//= SMP121-A30, SMP121-I15
#[test]
fn replies_have_the_precedence_of_their_mailslot() {
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    server.machine.set_dscp(mailslot, 46 | 0xc0).unwrap();
    server.request(first, mailslot.number(), b"hello");
    server.serve(mailslot, b"yes");
    assert_eq!(server.out().iter().map(|out| out.dscp).collect::<Vec<_>>(), [46]);
    server.machine.undefine(server.now, mailslot).unwrap();
    assert_eq!(server.machine.set_dscp(mailslot, 1), Err(UsageError::Gone));
}

//= SMP121-U13, SMP121-A22
#[test]
fn the_callers_own_time_ends_the_exchange_wherever_it_is() {
    let timeout = SendOptions::default().with_timeout(ms(500));
    // Before the name is known, in flight, and behind others.
    for stage in 0..3 {
        let mut client = Lone::new();
        let remote = if stage == 0 { client.get(b"printer") } else { client.client(100) };
        if stage == 2 {
            for _ in 0..16 {
                client.send(remote, b"in front");
            }
        }
        let exchange = client.send_with(remote, b"hello", timeout);
        client.wait(ms(499));
        assert_eq!(client.outcomes(), [], "stage {stage}");
        client.wait(ms(1));
        assert_eq!(client.outcomes(), [(exchange, Err(ExchangeError::Timeout))], "stage {stage}");
        client.wait(secs(1));
        if stage > 0 {
            client.reply(if stage == 1 { 100 } else { 116 }, 9, b"late");
            assert!(client.outcomes().iter().all(|(other, _)| *other != exchange), "an exchange ends once");
        }
    }
}

//= SMP121-A19
#[test]
fn giving_up_lets_the_window_move_even_where_the_peer_never_answers() {
    let mut client = Lone::new();
    let remote = client.client(100);
    for _ in 0..16 {
        let exchange = client.send(remote, b"given up");
        client.machine.cancel(exchange);
    }
    let last = client.send(remote, b"last");
    assert_eq!(client.seen().len(), 16, "they go all the same");
    client.wait(secs(150));
    assert_eq!(client.outcomes(), [(last, Err(ExchangeError::PeerGone))], "no event of those given up");
    assert_eq!(client.timer(), None);
}

//= SMP121-U7, SMP121-U12
#[test]
fn a_handle_that_was_given_back_can_be_used_no_more_where_its_place_was_taken() {
    let mut client = Lone::new();
    let remote = client.get(b"printer");
    client.machine.free(remote);
    let other = client.get(b"scanner");
    assert_ne!(remote, other);
    let send = client.machine.send(client.now, remote, Bytes::new(), SendOptions::default());
    assert_eq!(send, Err(UsageError::Gone));
    assert_eq!(client.machine.resolve(client.now, remote), Err(UsageError::Gone));
    client.machine.free(remote);
}

//= SMP121-U4, SMP121-U11
#[test]
fn a_mailslot_of_this_endpoint_is_reached_without_the_network() {
    let mut machine = Lone::new();
    let mailslot = machine.machine.define(b"printer", 100).unwrap();
    for handle in
        [machine.machine.get_local(b"printer").unwrap(), machine.machine.get(raw_ip(B), B, b"printer").unwrap()]
    {
        let exchange = machine.send(handle, b"hello");
        assert!(machine.is_silent(), "no segment");
        assert_eq!(machine.events(), [Event::Ready(mailslot)]);
        let request = machine.receive(mailslot).unwrap();
        assert_eq!((request.source, &request.message[..]), (None, &b"hello"[..]));
        assert_eq!(machine.receive(mailslot), None);
        machine.machine.reply(machine.now, request.id, "world".into()).unwrap();
        assert_eq!(machine.outcomes(), [(exchange, Ok("world".into()))]);
        assert_eq!(machine.machine.reply(machine.now, request.id, "twice".into()), Err(ReplyError::Void));
    }
    assert_eq!(machine.machine.peer_count(), 0);
}

//= SMP121-U4, SMP121-U14
#[test]
fn the_short_way_has_the_same_bounds_as_the_long_one() {
    let mut machine = Lone::new();
    let mailslot = machine.machine.define(b"printer", 100).unwrap();
    let handle = machine.machine.get_local(b"printer").unwrap();
    let too_large = machine.machine.send(machine.now, handle, octets(101).into(), SendOptions::default());
    assert_eq!(too_large, Err(UsageError::TooLarge { len: 101, max: 100 }));
    let resolved = machine.machine.resolve(machine.now, handle).unwrap().unwrap();
    assert_eq!(resolved.request_len_max, 100);
    let exchange = machine.send_with(handle, &octets(100), SendOptions::default().with_reply_len_max(3));
    let request = machine.receive(mailslot).unwrap();
    machine.machine.reply(machine.now, request.id, "four".into()).unwrap();
    assert_eq!(machine.outcomes(), [(exchange, Err(ExchangeError::ReplyTooLarge { len: 4, max: 3 }))]);
    let nobody = machine.machine.get_local(b"nobody").unwrap();
    let exchange = machine.send(nobody, b"x");
    assert_eq!(machine.outcomes(), [(exchange, Err(ExchangeError::NoSuchMailslot))]);
    let mut taken = 0;
    while machine.machine.send(machine.now, handle, Bytes::new(), SendOptions::default()).is_ok() {
        taken += 1;
    }
    assert_eq!(taken, 1024);
}

//= SMP121-U4, SMP121-U13
#[test]
fn local_exchanges_end_by_time_by_giving_up_and_with_the_mailslot() {
    let mut machine = Lone::new();
    let mailslot = machine.machine.define(b"printer", 100).unwrap();
    let handle = machine.machine.get_local(b"printer").unwrap();
    let late = machine.send_with(handle, b"late", SendOptions::default().with_timeout(ms(10)));
    let given_up = machine.send(handle, b"given up");
    let waits = machine.send(handle, b"waits");
    machine.machine.cancel(given_up);
    machine.wait(ms(10));
    assert_eq!(machine.outcomes(), [(late, Err(ExchangeError::Timeout))]);
    let request = machine.receive(mailslot).unwrap();
    assert_eq!(request.message, "waits", "what nobody waits for is passed over");
    machine.machine.undefine(machine.now, mailslot).unwrap();
    assert_eq!(machine.outcomes(), [(waits, Err(ExchangeError::MailslotGone))]);
    assert_eq!(machine.machine.reply(machine.now, request.id, "x".into()), Err(ReplyError::Void));
    assert_eq!(machine.machine.undefine(machine.now, mailslot), Err(UsageError::Gone));
    assert_eq!((machine.timer(), machine.receive(mailslot)), (None, None));
}

//= SMP121-U8, SMP121-R-D
#[test]
fn a_mailslot_that_was_taken_away_is_unknown_to_those_who_knew_it() {
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    server.request(first, mailslot.number(), b"at work");
    let request = server.receive(mailslot).unwrap();
    server.request(first + 1, mailslot.number(), b"waits");
    server.machine.undefine(server.now, mailslot).unwrap();
    assert_eq!(server.machine.reply(server.now, request.id, "x".into()), Err(ReplyError::Void));
    assert_eq!(server.counters().assembly_len, 0);
    server.request(first + 1, mailslot.number(), b"waits");
    assert_eq!(server.lines(first), ["reset 1 + unknown 1"]);
    server.name_request(b"printer");
    assert_eq!(server.lines(first), ["name! none"]);
    // Another with its name is another mailslot.
    let anew = server.define(b"printer");
    assert_ne!((anew, anew.number()), (mailslot, mailslot.number()));
    assert_eq!(server.receive(mailslot), None);
}

//= SMP121-U9, SMP121-I18
#[test]
fn a_mailslot_says_once_that_there_is_something_and_again_when_it_was_seen_empty() {
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    for step in 0..3 {
        server.request(first + step, mailslot.number(), b"x");
    }
    let handle = server.machine.get_local(b"printer").unwrap();
    server.send(handle, b"of our own");
    assert_eq!(server.events(), [Event::Ready(mailslot)], "two are there to be received");
    assert_eq!(server.serve(mailslot, b"").len(), 4);
    server.events();
    server.request(first + 3, mailslot.number(), b"x");
    assert_eq!(server.events(), [Event::Ready(mailslot)]);
}

/// The numbers of a mailslot wrap: at 2^31, which the deployed implementation compares across, and at 2^32.
//= SMP121-W2, SMP121-O15
#[test]
fn connection_numbers_wrap() {
    for first in [0x7fff_fff0_u32, 0xffff_fff0, 0xffff_ffff, 0] {
        let mut client = Lone::new();
        let remote = client.client(first);
        for _ in 0..40 {
            client.send(remote, b"hello");
        }
        let mut done = 0;
        // The peer answers in pairs, the second first.
        for pair in 0..20u32 {
            client.seen();
            for step in [2 * pair + 1, 2 * pair] {
                client.reply(first.wrapping_add(step), 9, b"world");
            }
            done += client.outcomes().len();
        }
        assert_eq!(done, 40, "from {first:#x}");
        client.reply(first.wrapping_add(39), 9, b"world");
        assert_eq!(client.wait(secs(1)).last().unwrap().1.acked(first.wrapping_add(39)), Some(5));
    }
}

//= SMP121-W2, SMP121-O15, SMP121-A18
#[test]
fn a_servers_ranges_go_all_the_way_round() {
    let mut server = Lone::new();
    let (mailslot, mut first) = server.server();
    let begin = first;
    let mut wraps = 0;
    for _ in 0..600 {
        for step in 0..3u32 {
            server.request(first.wrapping_add(step), mailslot.number(), b"x");
        }
        assert_eq!(server.serve(mailslot, b"").len(), 3, "{first:#x}");
        server.seen();
        server.now = server.now + secs(1);
        let next = server.offered(b"printer");
        assert!(next.wrapping_sub(first) >= 65_536);
        wraps += u32::from(next < first);
        // What was of the range before is unknown once the new one is used, and the other way round.
        server.records(&[ack(first, mailslot.number(), 0)]);
        first = next;
    }
    assert!(wraps >= 2, "{wraps} times round from {begin:#x}");
    server.segment(&Outgoing::Reset { number: first, mailslot: mailslot.number() }, &[]);
    assert!(server.is_silent());
}

//= SMP121-O1, SMP121-I2, SMP121-I4
#[test]
fn both_ends_ask_each_other_at_the_same_time() {
    let mut world = World::new();
    world.end(Side::A).reply_len = Some(4000);
    world.end(Side::B).reply_len = Some(4000);
    for _ in 0..30 {
        for side in [Side::A, Side::B] {
            world.send(side, &octets(5000));
        }
    }
    world.run();
    for side in [Side::A, Side::B] {
        assert_eq!((world.end(side).handled.len(), world.end(side).done.len()), (30, 30));
    }
    world.assert_idle();
}
