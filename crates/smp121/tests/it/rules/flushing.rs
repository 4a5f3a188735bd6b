//! Rules j and k: what is dropped, and what a name resolution ends.

use crate::rig::{A, Lone, Side, What, World, lone, ms, octets, raw_ip, record, secs};
use bytes::Bytes;
use smp121::ReplyError;
use smp121::machine::{DropReason, Event};
use smp121::wire::{Action, Direction, Outgoing, PseudoHeader};
use std::time::Duration;

/// What is right but for its flags.
fn with_flags(octets: &[u8], flags: u8) -> Vec<u8> {
    let mut octets = octets.to_vec();
    octets[12] = flags;
    octets[14..16].copy_from_slice(&[0, 0]);
    let pseudo = crate::wire::pseudo_octets(
        &PseudoHeader::between(A, crate::rig::B).unwrap(),
        u16::try_from(octets.len()).unwrap(),
    );
    let sum = crate::wire::oracle(&[&pseudo[..], &octets].concat());
    octets[14..16].copy_from_slice(&sum.to_be_bytes());
    octets
}

//= SMP121-R-J, SMP121-R-J1
#[test]
fn request_and_reply_at_once_are_dropped_with_all_they_carry() {
    let mut client = Lone::new();
    let remote = client.client(100);
    client.send(remote, b"hello");
    client.seen();
    let right = lone::encoded(A, &lone::whole(Direction::Reply, 100, 9, b"world"), &[record(100, 9, Action::Reset)]);
    for flags in [0x0f, 0x0c, 0x1c, 0x2c, 0x4b, 0x8b, 0xcb] {
        client.octets(A, &with_flags(&right, flags));
    }
    assert!(client.is_silent(), "the reset that rode along is dropped as well");
    assert_eq!((client.events(), client.dropped(DropReason::Flags)), (vec![], 7));
    client.octets(A, &with_flags(&right, 0x0b));
    assert_eq!(client.outcomes().len(), 1, "with the right flags it is a reply");
}

//= SMP121-R-J, SMP121-A33
#[test]
fn a_wrong_checksum_is_dropped_whatever_it_carries() {
    let mut client = Lone::new();
    let remote = client.client(100);
    client.send(remote, b"hello");
    client.seen();
    let right = lone::encoded(A, &lone::whole(Direction::Reply, 100, 9, b"world"), &[]);
    for bit in 0..right.len() * 8 {
        let mut wrong = right.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        client.octets(A, &wrong);
    }
    client.octets("10.0.0.9".parse().unwrap(), &right);
    assert_eq!(client.outcomes(), []);
    client.octets(A, &right);
    assert_eq!(client.outcomes().len(), 1);
}

//= SMP121-R-K, SMP121-R-K3, SMP121-A14
#[test]
fn a_sender_flushes_before_it_asks_and_then_sends_all_again_in_order() {
    let mut client = Lone::new();
    let remote = client.client(100);
    for message in [b"a", b"b", b"c"] {
        client.send(remote, message);
    }
    client.seen();
    client.segment(&Outgoing::Reset { number: 101, mailslot: 9 }, &[]);
    assert_eq!(client.lines(100), ["name? printer"]);
    client.reply(100, 9, b"late");
    assert_eq!(client.outcomes(), [], "the old connections are flushed");
    client.send(remote, b"d");
    client.name_reply(900, 10, Some(b"printer"));
    let messages: Vec<(u32, Vec<u8>)> = client
        .seen()
        .into_iter()
        .map(|seen| match seen.what {
            What::Data { number, mailslot: 10, octets, .. } => (number, octets),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [b"a", b"b", b"c", b"d"];
    assert_eq!(
        messages,
        expected.iter().zip(900..).map(|(octets, number)| (number, octets.to_vec())).collect::<Vec<_>>()
    );
}

/// A number is good within its range alone: the peer that sent this reply is gone.
//= SMP121-R-K
#[test]
fn a_reply_that_was_finished_before_a_flush_is_acknowledged_no_more_after_it() {
    let mut client = Lone::new();
    let remote = client.client(100);
    for number in 100..102 {
        client.send(remote, b"hello");
        client.seen();
        client.reply(number, 9, b"world");
        client.reply(number, 9, b"world");
        assert_eq!(client.dropped(DropReason::Duplicate), u64::from(number - 99));
        assert_eq!(client.wait(ms(300)).iter().filter_map(|(_, seen)| seen.acked(number)).next_back(), Some(5));
    }
    client.send(remote, b"again");
    client.segment(&Outgoing::Reset { number: 102, mailslot: 9 }, &[]);
    client.name_reply(900, 9, Some(b"printer"));
    client.seen();
    client.reply(900, 9, b"world");
    client.wait(ms(300));
    for number in 100..102 {
        client.reply(number, 9, b"world");
    }
    assert_eq!(client.wait(secs(1)), []);
    assert_eq!((client.dropped(DropReason::Duplicate), client.dropped(DropReason::Unknown)), (2, 2));
}

//= SMP121-R-K1, SMP121-R-K2, SMP121-A14
#[test]
fn a_receiver_flushes_what_its_sender_had_open_when_the_new_number_is_used() {
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    server.request(first, mailslot.number(), b"at work");
    server.request(first + 1, mailslot.number(), b"queued");
    let at_work = server.receive(mailslot).unwrap();
    server.events();
    let second = server.offered(b"printer");
    assert_ne!(second, first);
    server.request(second, mailslot.number(), b"new");
    let events = server.events();
    assert!(events.contains(&Event::Void(at_work.id)), "{events:?}");
    assert_eq!(server.machine.reply(server.now, at_work.id, "late".into()), Err(ReplyError::Void));
    assert_eq!(server.serve(mailslot, b"yes"), [&b"new"[..]], "what was queued is dropped");
    assert_eq!(server.lines(second), ["reply 0 0..3 of 3 end"]);
    server.request(first + 1, mailslot.number(), b"queued");
    assert_eq!(server.seen().iter().filter(|seen| seen.is_reset()).count(), 1, "the old numbers are unknown");
}

//= SMP121-R-K1, SMP121-L11, SMP121-O14
#[test]
fn a_name_request_alone_flushes_nothing_however_often_it_comes() {
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    server.request(first, mailslot.number(), b"one");
    let request = server.receive(mailslot).unwrap();
    server.request(first + 1, mailslot.number(), b"two");
    // Anybody can write our peer's address on an envelope, ten thousand times a second.
    for _ in 0..10_000 {
        server.name_request(b"printer");
        server.now = server.now + Duration::from_micros(100);
        server.seen();
    }
    server.machine.reply(server.now, request.id, "1".into()).unwrap();
    assert_eq!(server.serve(mailslot, b"2"), [&b"two"[..]]);
    let replies = server.seen().iter().filter(|seen| seen.is_data(Direction::Reply)).count();
    assert_eq!(replies, 2);
    // Nor does guessing numbers beside the one that was offered.
    for guess in (0..1000).map(|step: u32| step.wrapping_mul(4_294_967)) {
        server.request(guess, mailslot.number(), b"forged");
    }
    server.request(first + 2, mailslot.number(), b"three");
    assert_eq!(server.serve(mailslot, b"3"), [&b"three"[..]]);
}

//= SMP121-A13
#[test]
fn a_flush_concerns_one_mailslot_in_one_direction() {
    let mut end = Lone::new();
    let (printer, first) = end.server();
    let scanner = end.define(b"scanner");
    let other_first = end.offered(b"scanner");
    let remote = end.client(100);
    end.send(remote, b"ours");
    end.request(first, printer.number(), b"p");
    end.request(other_first, scanner.number(), b"s");
    end.seen();
    let second = end.offered(b"printer");
    end.request(second, printer.number(), b"again");
    assert_eq!(end.serve(scanner, b"")[..], [&b"s"[..]], "the other mailslot");
    end.reply(100, 9, b"theirs");
    assert_eq!(end.outcomes()[0].1, Ok(Bytes::from("theirs")), "the other direction");
    let theirs = end.machine.get(raw_ip(A), crate::rig::B, b"other").unwrap();
    end.machine.resolve(end.now, theirs).unwrap();
    end.name_reply(500, 10, Some(b"other"));
    end.send(theirs, b"x");
    end.send(remote, b"y");
    end.seen();
    end.records(&[record(500, 10, Action::Reset)]);
    end.reply(101, 9, b"still there");
    assert_eq!(end.outcomes().len(), 1, "the other mailslot of the peer");
}

//= SMP121-R-K4, SMP121-A14, SMP121-O1
#[test]
fn either_end_may_start_anew_at_any_moment() {
    for side in [Side::A, Side::B] {
        for at in 0..60 {
            let mut world = World::new();
            world.end(Side::B).service = ms(15);
            world.end(Side::B).reply_len = Some(3000);
            for message in [&b"one"[..], &octets(3000), b"three"] {
                world.send(Side::A, message);
            }
            world.run_for(ms(at * 5));
            world.reboot(side);
            world.send(Side::A, b"last");
            world.run();
            let handled = world.end(Side::B).handled.clone();
            assert_eq!(handled.last().unwrap(), "last", "{side:?} at {at}");
            let done = world.end(Side::A).done.clone();
            assert!(done.iter().all(Result::is_ok) && !done.is_empty(), "{side:?} at {at}: {done:?}");
            world.assert_idle();
            assert!(world.resets_sent() <= 6, "{}", world.resets_sent());
        }
    }
}

//= SMP121-A14
#[test]
fn a_request_that_is_reset_again_and_again_fails() {
    let mut client = Lone::new();
    let remote = client.client(0);
    let exchange = client.send(remote, b"hello");
    for round in 1..30u32 {
        let seen = client.seen();
        let Some(What::Data { number, .. }) =
            seen.iter().map(|seen| &seen.what).find(|what| matches!(what, What::Data { .. }))
        else {
            break;
        };
        client.segment(&Outgoing::Reset { number: *number, mailslot: 9 }, &[]);
        client.seen();
        client.name_reply(round * 70_000, 9, Some(b"printer"));
    }
    assert_eq!(client.outcomes(), [(exchange, Err(smp121::ExchangeError::Reset))]);
}

//= SMP121-R-K
#[test]
fn an_old_name_reply_brings_no_used_numbers_back() {
    let mut client = Lone::new();
    let remote = client.client(100);
    client.send(remote, b"one");
    client.send(remote, b"two");
    client.seen();
    client.records(&[record(100, 9, Action::Reset)]);
    client.seen();
    client.name_reply(100, 9, Some(b"printer"));
    client.name_reply(101, 9, Some(b"printer"));
    assert!(client.is_silent());
    assert_eq!(client.dropped(DropReason::NameReplyUnasked), 2);
    client.name_reply(102, 9, Some(b"printer"));
    assert_eq!(client.seen().len(), 2);
}

//= SMP121-R-K3, SMP121-R-I4
#[test]
fn what_was_in_flight_goes_before_what_waited() {
    let mut client = Lone::new();
    let remote = client.get(b"printer");
    for message in [b"a", b"b", b"c"] {
        client.send(remote, message);
    }
    client.seen();
    let two = |number| {
        Outgoing::NameReply(smp121::wire::NameReply {
            number,
            request_len_max: 100,
            mailslot: 9,
            outstanding_max: 2,
            name: None,
        })
    };
    client.segment(&two(100), &[]);
    assert_eq!(client.seen().len(), 2, "the third waits");
    client.segment(&Outgoing::Reset { number: 100, mailslot: 9 }, &[]);
    client.seen();
    client.segment(&two(70_000), &[]);
    let sent: Vec<Vec<u8>> = client
        .seen()
        .into_iter()
        .filter_map(|seen| match seen.what {
            What::Data { octets, .. } => Some(octets),
            _ => None,
        })
        .collect();
    assert_eq!(sent, [b"a", b"b"]);
    client.reply(70_000, 9, b"");
    assert_eq!(client.lines(70_000), ["request 2 0..1 of 1 end + ack 0 0"]);
}
