//! Rule i: requests are processed in order, one behind the other.

use crate::rig::{Fate, Lone, Side, World, ms, octets, record, secs};
use bytes::Bytes;
use smp121::machine::SendOptions;
use smp121::wire::{Action, Direction};
use smp121::{ExchangeError, ReplyError};

//= SMP121-R-I2, SMP121-R-I3, SMP121-A19
#[test]
fn a_request_is_not_begun_before_the_one_in_front_is_answered() {
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    server.request(first, mailslot.number(), b"one");
    server.request(first + 1, mailslot.number(), b"two");
    let one = server.receive(mailslot).unwrap();
    assert_eq!(server.receive(mailslot), None, "one is at work");
    server.machine.reply(server.now, one.id, "1".into()).unwrap();
    let two = server.receive(mailslot).unwrap();
    assert_eq!((&one.message[..], &two.message[..]), (&b"one"[..], &b"two"[..]));
    assert_eq!(server.machine.reply(server.now, one.id, "1".into()), Err(ReplyError::Void), "each is answered once");
}

//= SMP121-R-I2, SMP121-R-I3
#[test]
fn a_request_is_not_begun_before_the_one_in_front_has_come() {
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    for step in [3, 1, 2] {
        server.request(first + step, mailslot.number(), &[u8::try_from(step).unwrap()]);
        assert_eq!(server.receive(mailslot), None);
    }
    // In two parts, so that it is not whole at first.
    server.part(Direction::Request, first, mailslot.number(), 0, 2, &[0]);
    assert_eq!(server.receive(mailslot), None);
    server.part(Direction::Request, first, mailslot.number(), 1, 2, &[0]);
    assert_eq!(server.serve(mailslot, b""), [&[0, 0][..], &[1], &[2], &[3]]);
}

//= SMP121-R-I2
#[test]
fn requests_of_different_peers_do_not_wait_for_each_other() {
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    let other = "10.0.0.7".parse().unwrap();
    server.segment_from(other, &smp121::wire::Outgoing::NameRequest { name: b"printer" }, &[]);
    let seen = server.seen();
    let crate::rig::What::NameReply { number, .. } = seen[0].what else { panic!() };
    server.request(first + 1, mailslot.number(), b"waits");
    let whole = crate::rig::lone::whole(Direction::Request, number, mailslot.number(), b"goes");
    server.segment_from(other, &whole, &[]);
    assert_eq!(server.serve(mailslot, b""), [&b"goes"[..]]);
}

//= SMP121-R-I4
#[test]
fn requests_go_out_in_the_order_they_were_asked_for() {
    let mut client = Lone::new();
    let remote = client.client(100);
    for len in [1usize, 1384, 7, 3] {
        client.send(remote, &octets(len));
    }
    let lines = client.lines(100);
    let first_words: Vec<&str> = lines.iter().map(|line| line.split(" 0..").next().unwrap()).collect();
    assert_eq!(first_words, ["request 0", "request 1", "request 2", "request 3"]);
}

//= SMP121-A19, SMP121-U13
#[test]
fn a_request_that_was_given_up_keeps_the_window_moving() {
    for by_timeout in [false, true] {
        let mut world = World::new();
        world.fate(2, Fate::Lost);
        let options = if by_timeout { SendOptions::default().with_timeout(ms(50)) } else { SendOptions::default() };
        let first = world.send_with(Side::A, b"given up", options);
        world.send(Side::A, b"stays");
        world.run_for(ms(60));
        if !by_timeout {
            world.end(Side::A).machine.cancel(first);
            world.end(Side::A).open.remove(&first);
        }
        world.run();
        assert_eq!(world.end(Side::B).handled, [&b"given up"[..], b"stays"], "it is seen to its end all the same");
        let done = world.end(Side::A).done.clone();
        let stays = Ok(Bytes::from("re: stays"));
        assert_eq!(done, if by_timeout { vec![Err(ExchangeError::Timeout), stays] } else { vec![stays] });
        world.assert_idle();
    }
}

//= SMP121-A19
#[test]
fn a_request_that_has_no_number_yet_is_given_up_without_a_trace() {
    let mut client = Lone::new();
    let remote = client.get(b"printer");
    let exchange = client.send(remote, b"hello");
    client.machine.cancel(exchange);
    client.seen();
    client.name_reply(100, 9, None);
    assert!(client.is_silent());
    assert!(client.wait(secs(10)).is_empty());
    assert_eq!((client.outcomes(), client.timer()), (vec![], None));
}

//= SMP121-A19, SMP121-L1, SMP121-W29
#[test]
fn a_request_that_is_too_large_is_refused_before_anything_is_stored_and_counts_as_processed() {
    let mut server = Lone::new();
    let mailslot = server.machine.define(b"small", 100).unwrap();
    let first = server.offered(b"small");
    server.part(Direction::Request, first, mailslot.number(), 0, 101, &octets(50));
    server.request(first + 1, mailslot.number(), &octets(100));
    assert_eq!(server.lines(first), ["too-large 0"]);
    assert_eq!(server.serve(mailslot, b""), [&octets(100)[..]], "one octet less is taken, and does not wait");
    assert_eq!(server.counters().assembly_len, 0);
    server.seen();
    server.part(Direction::Request, first, mailslot.number(), 0, 101, &octets(50));
    assert_eq!(server.lines(first), ["too-large 0"], "and again when it comes again");
}

//= SMP121-W29, SMP121-I3
#[test]
fn a_request_that_the_peer_finds_too_large_fails_alone() {
    let mut client = Lone::new();
    let remote = client.client(100);
    let large = client.send(remote, &octets(500));
    let small = client.send(remote, b"hello");
    client.seen();
    client.records(&[record(100, 9, Action::TooLarge)]);
    client.reply(101, 9, b"world");
    let outcomes = client.outcomes();
    assert!(matches!(outcomes[0], (id, Err(ExchangeError::RequestTooLarge { len: 500, .. })) if id == large));
    assert_eq!(outcomes[1], (small, Ok(Bytes::from("world"))));
    let later: Vec<_> = client.wait(secs(5));
    assert_eq!(later.len(), 1, "an acknowledgement and no more: {later:?}");
}

//= SMP121-L19
#[test]
fn a_hole_in_the_window_blocks_those_behind_it_for_a_bounded_time() {
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    for step in 1..5 {
        server.request(first + step, mailslot.number(), b"behind");
    }
    assert_eq!(server.receive(mailslot), None);
    server.wait(secs(61));
    assert_eq!(server.counters().assembly_len, 0, "what waits for one that never comes is dropped");
    // It is not as if they had been served: the peer may send them all again.
    for step in 0..5 {
        server.request(first + step, mailslot.number(), b"again");
    }
    assert_eq!(server.serve(mailslot, b"").len(), 5);
}

//= SMP121-R-I, SMP121-O1
#[test]
fn a_thousand_requests_with_every_seventh_packet_lost_run_once_and_in_order() {
    let mut world = World::new();
    world.packets_max = 20_000;
    for packet in (3..20_000).step_by(7) {
        world.fate(packet, if packet % 2 == 0 { Fate::Lost } else { Fate::Doubled(ms(35)) });
    }
    let messages: Vec<Bytes> = (0..1000).map(|at: u32| Bytes::from(at.to_string())).collect();
    for message in &messages {
        world.send(Side::A, message);
    }
    world.run();
    assert_eq!(world.end(Side::B).handled, messages);
    assert_eq!(world.end(Side::A).done.len(), 1000);
    world.assert_idle();
}
