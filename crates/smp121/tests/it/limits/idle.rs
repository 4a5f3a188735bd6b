//! What is left when all is done: nothing that wakes anybody, nothing that takes up room.

use crate::rig::{Fate, Lone, Side, World, lone, ms, octets, secs};
use smp121::machine::SendOptions;
use smp121::wire::{Direction, Outgoing};
use std::net::{IpAddr, Ipv4Addr};

fn assert_idle(machine: &mut Lone, what: &str) {
    machine.wait(secs(30 * 60));
    assert_eq!(machine.timer(), None, "{what}: no timer is left");
    let counters = machine.counters();
    assert_eq!((counters.assembly_len, counters.replies_len), (0, 0), "{what}: nothing is kept");
}

//= SMP121-O20
#[test]
fn whatever_a_peer_left_half_done_goes_with_time() {
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    assert_idle(&mut server, "an offer that nobody took up");
    let first = if server.offered(b"printer") == first { first } else { server.offered(b"printer") };
    server.part(Direction::Request, first, mailslot.number(), 0, 5000, &octets(1000));
    server.part(Direction::Request, first, mailslot.number(), 3000, 5000, &octets(1000));
    assert_idle(&mut server, "a request in parts");
    server.request(first + 3, mailslot.number(), b"behind a hole");
    server.part(Direction::Request, first + 4, mailslot.number(), 7, 5000, &octets(1000));
    assert_idle(&mut server, "requests behind a hole");
    server.request(first, mailslot.number(), b"x");
    server.serve(mailslot, &octets(50_000));
    assert_idle(&mut server, "a reply that nobody acknowledges");
    server.request(first + 1, mailslot.number(), b"x");
    let request = server.receive(mailslot).unwrap();
    server.wait(secs(3600));
    assert_eq!(server.timer(), None, "a request at work wakes nobody");
    server.machine.reply(server.now, request.id, "late".into()).unwrap();
    assert_idle(&mut server, "a reply after an hour");
}

//= SMP121-O20
#[test]
fn whatever_a_peer_never_answers_goes_with_time() {
    let mut client = Lone::new();
    let remote = client.get(b"printer");
    client.send(remote, b"hello");
    client.machine.resolve(client.now, remote).unwrap();
    assert_idle(&mut client, "a name");
    assert_eq!(client.events().len(), 2, "the exchange and the resolution");
    let other = client.client(100);
    for len in [0, 1, 5000] {
        client.send(other, &octets(len));
        client.send_with(other, &octets(len), SendOptions::default().with_timeout(ms(1)));
    }
    assert_idle(&mut client, "requests");
    assert_eq!(client.outcomes().len(), 6);
}

//= SMP121-O20
#[test]
fn strangers_leave_nothing() {
    let mut server = Lone::new();
    let mailslot = server.define(b"printer");
    for at in 0..5000 {
        let source = IpAddr::V4(Ipv4Addr::from(0x0b00_0000 + at));
        server.segment_from(source, &Outgoing::NameRequest { name: b"printer" }, &[]);
        server.segment_from(source, &lone::whole(Direction::Request, at, mailslot.number(), b"x"), &[]);
        server.segment_from(source, &Outgoing::Reset { number: at, mailslot: mailslot.number() }, &[]);
    }
    server.seen();
    assert_eq!(server.timer(), None);
    assert_idle(&mut server, "strangers");
}

//= SMP121-O20
#[test]
fn an_idle_relation_wakes_nobody() {
    let mut world = World::new();
    world.fate(3, Fate::Lost);
    for _ in 0..5 {
        world.send(Side::A, b"one");
        world.send(Side::B, b"two");
    }
    world.run_until_done();
    let before = world.now;
    world.run();
    assert!(
        world.now - before < secs(130),
        "the last thing to happen is a reply that is forgotten: {:?}",
        world.now - before
    );
    world.assert_idle();
}
