//! What is done only so often.

use crate::rig::{A, Lone, What, lone, ms, octets, secs};
use smp121::Limits;
use smp121::machine::DropReason;
use smp121::wire::{Direction, Outgoing};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

fn is_name_reply(what: &What) -> bool {
    matches!(what, What::NameReply { .. })
}

//= SMP121-L8
#[test]
fn twenty_name_requests_of_a_peer_are_answered_at_once_and_ten_a_second_from_then_on() {
    let mut server = Lone::new();
    server.define(b"printer");
    let ask = |server: &mut Lone, count: usize| {
        let mut answered = 0;
        for _ in 0..count {
            server.name_request(b"printer");
            answered += server.seen().iter().filter(|seen| is_name_reply(&seen.what)).count();
        }
        answered
    };
    assert_eq!(ask(&mut server, 20), 20);
    assert_eq!((ask(&mut server, 1), server.dropped(DropReason::NameRequestRate)), (0, 1));
    server.now = server.now + secs(1);
    assert_eq!(ask(&mut server, 100), 10);
    server.now = server.now + ms(99);
    assert_eq!(ask(&mut server, 1), 0);
    server.now = server.now + ms(1);
    assert_eq!(ask(&mut server, 2), 1);
}

//= SMP121-L8
#[test]
fn one_peer_that_asks_too_often_does_not_keep_others_from_asking() {
    let mut server = Lone::new();
    server.define(b"printer");
    for _ in 0..1000 {
        server.name_request(b"printer");
    }
    server.seen();
    server.segment_from("10.0.0.9".parse().unwrap(), &Outgoing::NameRequest { name: b"printer" }, &[]);
    assert_eq!(server.seen().len(), 1);
}

//= SMP121-L9, SMP121-R-D
#[test]
fn two_hundred_resets_go_out_at_once_and_a_hundred_a_second_from_then_on() {
    for is_known in [false, true] {
        let mut server = Lone::new();
        let (mailslot, _) = server.server();
        let source = |at: u32| if is_known { A } else { IpAddr::V4(Ipv4Addr::from(0x0b00_0000 + at)) };
        let provoke = |server: &mut Lone, count: u32| {
            let mut resets = 0;
            for at in 0..count {
                let data = lone::whole(Direction::Request, 0x7fff_f000 + at, mailslot.number(), b"x");
                server.segment_from(source(at), &data, &[]);
                resets += server.seen().iter().filter(|seen| seen.is_reset()).count();
            }
            resets
        };
        assert_eq!(provoke(&mut server, 250), 200, "known: {is_known}");
        assert_eq!(server.dropped(DropReason::ResetRate), 50);
        server.now = server.now + secs(1);
        assert_eq!(provoke(&mut server, 150), 100);
        assert_eq!(server.counters().resets_sent_count, 300);
    }
}

//= SMP121-L13
#[test]
fn a_reset_never_answers_a_reset() {
    // To a stranger, to a peer of a mailslot of ours, to one of whose mailslots we know.
    let mut stranger = Lone::new();
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    let mut client = Lone::new();
    let remote = client.client(100);
    client.send(remote, b"hello");
    client.seen();
    for machine in [&mut stranger, &mut server, &mut client] {
        for number in [0, 1, 99, 101, first, first + 100, u32::MAX] {
            for slot in [0, 9, mailslot.number(), 0xffff] {
                if (number, slot) == (100, 9) {
                    continue;
                }
                let reset = Outgoing::Reset { number, mailslot: slot };
                let record = crate::rig::record(number, slot, smp121::wire::Action::Reset);
                machine.segment(&reset, &[]);
                machine.segment(&reset, &[record]);
                machine.records(&[record]);
            }
        }
        assert!(machine.seen().iter().all(|seen| !seen.is_reset()));
        assert_eq!(machine.counters().resets_sent_count, 0);
    }
}

//= SMP121-L13
#[test]
fn two_ends_that_know_nothing_of_each_other_exchange_one_reset() {
    let mut client = Lone::new();
    let remote = client.client(100);
    client.send(remote, b"hello");
    let request = client.seen().remove(0);
    let mut server = Lone::new();
    server.define(b"another");
    // The client's packets go from B to A here: another checksum.
    let what = lone::whole(Direction::Request, 100, 9, b"hello");
    assert!(request.is_data(Direction::Request));
    server.segment(&what, &[]);
    let reset = server.seen().remove(0);
    let What::Reset { number, mailslot } = reset.what else { panic!() };
    client.segment(&Outgoing::Reset { number, mailslot }, &reset.records);
    let answers = client.seen();
    assert!(answers.len() == 1 && matches!(answers[0].what, What::NameRequest(_)), "{answers:?}");
}

//= SMP121-L8, SMP121-L11
#[test]
fn a_spoofed_flush_ten_thousand_times_a_second_moves_nothing_of_other_hosts() {
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    server.request(first, mailslot.number(), b"at work");
    let request = server.receive(mailslot).unwrap();
    let victim = "10.0.0.77".parse().unwrap();
    server.segment_from(victim, &Outgoing::NameRequest { name: b"printer" }, &[]);
    let number = match server.seen()[0].what {
        What::NameReply { number, .. } => number,
        ref other => panic!("{other:?}"),
    };
    server.segment_from(
        victim,
        &lone::part(Direction::Request, number, mailslot.number(), 0, 2000, &octets(1000)),
        &[],
    );
    server.seen();
    let before = server.counters().assembly_len;
    for at in 0..10_000u32 {
        server.now = server.now + Duration::from_micros(100);
        server.name_request(b"printer");
        server.segment_from(victim, &Outgoing::NameRequest { name: b"printer" }, &[]);
        if at % 100 == 0 {
            server.seen();
        }
    }
    assert_eq!(server.counters().assembly_len, before);
    assert!(server.counters().datagrams_sent_count < 100, "{}", server.counters().datagrams_sent_count);
    assert_eq!(server.machine.reply(server.now, request.id, "done".into()), Ok(()));
    server.segment_from(
        victim,
        &lone::part(Direction::Request, number, mailslot.number(), 1000, 2000, &octets(1000)),
        &[],
    );
    assert_eq!(server.serve(mailslot, b"").len(), 1);
}

#[test]
fn rates_can_be_set() {
    let mut limits = Limits::default();
    (limits.name_requests_per_second, limits.resets_per_second) = (1, 1);
    let mut server = Lone::with(|builder| builder.with_limits(limits));
    server.define(b"printer");
    for _ in 0..10 {
        server.name_request(b"printer");
    }
    // The answer that waits is not queued twice.
    assert_eq!((server.seen().len(), server.dropped(DropReason::NameRequestRate)), (1, 8));
}

#[test]
fn short_answers_that_wait_for_one_peer_are_bounded() {
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    for step in 0..100 {
        server.request(first + 1000 + step, mailslot.number(), b"x");
    }
    assert_eq!(server.seen().iter().filter(|seen| seen.is_reset()).count(), 32, "the peer asks again for the others");
}
