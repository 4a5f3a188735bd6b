//! What goes out to those who have not shown that their address is theirs.

use crate::rig::{A, B, Lone, ack, lone, ms, octets, raw_ip, record, secs};
use smp121::machine::DropReason;
use smp121::wire::{Action, Direction, NameReply, Outgoing, Response};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use testkit::Rng;

/// Octets in and out, by address.
#[derive(Default)]
struct Balance(BTreeMap<IpAddr, (usize, usize)>);

impl Balance {
    fn send(&mut self, machine: &mut Lone, source: IpAddr, payload: &[u8]) {
        self.0.entry(source).or_default().0 += payload.len();
        machine.octets(source, payload);
    }

    fn drain(&mut self, machine: &mut Lone) {
        for out in machine.out() {
            self.0.entry(out.to.ip()).or_default().1 += out.seen.len;
        }
    }

    fn check(&self) {
        for (source, (came, went)) in &self.0 {
            assert!(*went <= 3 * came, "{source}: {came} octets came, {went} went");
        }
    }
}

/// Anything that a stranger could send.
fn attack(rng: &mut Rng, source: IpAddr, mailslot: u16, guess: u32) -> Vec<u8> {
    let names: [&[u8]; 3] = [b"printer", b"p", b"nobody"];
    let name = *rng.pick(&names).unwrap();
    let number = if rng.chance(500) { guess } else { u32::try_from(rng.below(1 << 32)).unwrap() };
    let body_len = rng.range(0..64);
    let body = rng.bytes(body_len);
    let records: Vec<Response> = (0..rng.range(0..6))
        .map(|_| match rng.below(4) {
            0 => ack(number, mailslot, u32::try_from(rng.below(70_000)).unwrap()),
            1 => record(number, mailslot, Action::Reset),
            2 => record(number, mailslot, Action::TooLarge),
            _ => record(number, mailslot, Action::Busy),
        })
        .collect();
    let reply = NameReply {
        number,
        request_len_max: 1000,
        mailslot,
        outstanding_max: 16,
        name: rng.chance(500).then_some(name),
    };
    let segment = match rng.below(7) {
        0 | 1 => Outgoing::NameRequest { name },
        2 => Outgoing::NameReply(reply),
        3 => Outgoing::Reset { number, mailslot },
        4 => lone::whole(Direction::Request, number, mailslot, &body),
        5 => lone::part(Direction::Request, number, mailslot, 1 + u32::try_from(rng.below(1000)).unwrap(), 2000, &body),
        _ => lone::whole(Direction::Reply, number, mailslot, &body),
    };
    lone::encoded(source, &segment, &records)
}

//= SMP121-L10
#[test]
fn no_stranger_draws_more_than_three_times_what_it_sends() {
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let mut machine = Lone::new();
        let mailslot = machine.define(b"printer");
        machine.define(b"p");
        machine.define(&[b'x'; 255]);
        let mut balance = Balance::default();
        for _ in 0..2000 {
            // Some come often, most once.
            let host = if rng.chance(300) { rng.below(3) } else { rng.below(1000) };
            let source = IpAddr::V4(Ipv4Addr::from(0x0b00_0000 + u32::try_from(host).unwrap()));
            // An attacker does not see what it was offered, but may try near what others got.
            let payload = attack(&mut rng, source, mailslot.number(), 0x1000_0000);
            balance.send(&mut machine, source, &payload);
            if rng.chance(100) {
                machine.serve(mailslot, &octets(50_000));
            }
            if rng.chance(50) {
                let wait = rng.duration(ms(0)..secs(3));
                for (_, seen) in machine.wait(wait) {
                    assert!(seen.len < 100, "nothing large goes to anybody: {seen:?}");
                }
            }
            balance.drain(&mut machine);
        }
        balance.check();
        assert!(machine.wait(secs(600)).is_empty(), "nothing is owed to any of them");
    }
}

//= SMP121-L10
#[test]
fn the_shortest_of_each_that_draws_an_answer_draws_less_than_twice_its_length() {
    let mut machine = Lone::new();
    machine.define(b"p");
    let shortest: [&Outgoing<'_>; 3] = [
        &Outgoing::NameRequest { name: b"p" },
        &Outgoing::NameRequest { name: b"n" },
        &lone::whole(Direction::Request, 7, 1, b""),
    ];
    for (at, segment) in (0u32..).zip(shortest) {
        let source = IpAddr::V4(Ipv4Addr::from(0x0b00_0000 + at));
        let payload = lone::encoded(source, segment, &[]);
        machine.octets(source, &payload);
        let went: usize = machine.seen().iter().map(|seen| seen.len).sum();
        assert!(went > 0 && went < 2 * payload.len(), "{segment:?}: {} drew {went}", payload.len());
    }
}

//= SMP121-L10
#[test]
fn a_large_reply_goes_only_to_one_who_used_the_number_it_was_offered() {
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    for guess in [first - 1, first + 32, first ^ 0x4000_0000, 0, u32::MAX] {
        server.request(guess, mailslot.number(), b"x");
    }
    assert!(server.serve(mailslot, &octets(50_000)).is_empty());
    assert!(server.seen().iter().all(|seen| seen.len <= 24));
    server.request(first, mailslot.number(), b"x");
    server.serve(mailslot, &octets(50_000));
    assert!(server.seen().len() >= 10);
}

//= SMP121-L10, SMP121-L12
#[test]
fn a_repeated_request_draws_its_reply_at_the_pace_of_the_round_trip_and_no_more() {
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    server.request(first, mailslot.number(), b"x");
    server.serve(mailslot, &octets(1384));
    server.seen();
    // A thousand copies in a second, as an eavesdropper could send.
    let mut went = 0;
    for _ in 0..1000 {
        server.now = server.now + ms(1);
        server.request(first, mailslot.number(), b"x");
        went += server.seen().len();
    }
    assert!(went <= 20, "{went} replies a second");
}

//= SMP121-R-J
#[test]
fn addresses_that_nobody_has_are_dropped() {
    let mut machine = Lone::new();
    machine.define(b"printer");
    let payload = |source, destination| {
        let mut octets = Vec::new();
        let pseudo = smp121::wire::PseudoHeader::between(source, destination).unwrap();
        smp121::wire::encode(&Outgoing::NameRequest { name: b"printer" }, &[], &pseudo, &mut octets);
        octets
    };
    let v4 = |text: &str| text.parse::<IpAddr>().unwrap();
    for (source, destination) in [
        ("224.0.0.1", "10.0.0.2"),
        ("0.0.0.0", "10.0.0.2"),
        ("255.255.255.255", "10.0.0.2"),
        ("10.0.0.1", "224.0.0.1"),
        ("10.0.0.1", "255.255.255.255"),
        ("ff02::1", "fd00::2"),
        ("::", "fd00::2"),
        ("fd00::1", "ff02::1"),
    ] {
        let (source, destination) = (v4(source), v4(destination));
        machine.datagram(raw_ip(source), destination, &payload(source, destination));
        assert!(machine.is_silent(), "{source} to {destination}");
    }
    assert_eq!(machine.dropped(DropReason::Address), 8);
    machine.datagram(SocketAddr::new(v4("fd00::1"), 0), B, &payload(A, B));
    assert_eq!(machine.dropped(DropReason::Address), 9, "one IPv6, the other IPv4");
    machine.datagram(raw_ip(A), B, &payload(A, B));
    assert_eq!(machine.seen().len(), 1);
    assert_eq!(machine.machine.peer_count(), 1);
}
