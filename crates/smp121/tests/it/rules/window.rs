//! Rules d, e and i: which connection numbers are taken, and where they come from.

use crate::rig::{A, B, Lone, Seen, Side, What, World, octets, raw_ip, record, secs};
use smp121::machine::{DropReason, Event};
use smp121::wire::{Action, Direction, NameReply, Outgoing};
use smp121::{ExchangeError, Profile};

fn resets(seen: &[Seen]) -> usize {
    seen.iter().filter(|seen| seen.is_reset()).count()
}

//= SMP121-R-D, SMP121-A12, SMP121-R-I1
#[test]
fn numbers_outside_of_the_window_draw_a_reset_and_those_inside_do_not() {
    for (step, is_inside) in [
        (0i64, true),
        (1, true),
        (15, true),
        (16, true),
        (31, true),
        (32, false),
        (33, false),
        (-1, false),
        (-20, false),
    ] {
        let mut server = Lone::new();
        let (mailslot, first) = server.server();
        // The range is in use.
        server.request(first, mailslot.number(), b"a");
        server.serve(mailslot, b"b");
        server.seen();
        let next = first + 1;
        server.request(u32::try_from(i64::from(next) + step).unwrap(), mailslot.number(), b"hello");
        let seen = server.seen();
        // One below is the request that was answered: known.
        let is_inside = is_inside || step == -1;
        assert_eq!(resets(&seen), usize::from(!is_inside), "next {step:+}: {seen:?}");
        assert_eq!(server.dropped(DropReason::OutsideWindow), u64::from(!is_inside));
    }
}

//= SMP121-A6
#[test]
fn a_reset_says_it_by_flag_and_by_record_in_one_datagram() {
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    server.request(first + 500, mailslot.number(), b"x");
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].what, What::Reset { number: first + 500, mailslot: mailslot.number() });
    assert_eq!(seen[0].records, [record(first + 500, mailslot.number(), Action::Reset)]);
}

//= SMP121-A6
#[test]
fn a_reset_is_taken_in_either_form() {
    for form in 0..3 {
        let mut client = Lone::new();
        let remote = client.client(100);
        client.send(remote, b"hello");
        client.seen();
        let reset = Outgoing::Reset { number: 100, mailslot: 9 };
        let known = record(100, 9, Action::Reset);
        match form {
            0 => client.segment(&reset, &[]),
            1 => client.records(&[known]),
            _ => client.segment(&reset, &[known]),
        }
        assert_eq!(client.lines(100), ["name? printer"], "form {form}");
        assert_eq!(client.counters().resets_obeyed_count, 1);
    }
}

//= SMP121-R-D1, SMP121-R-E
#[test]
fn a_reset_of_a_number_in_flight_resolves_the_name_anew_and_of_any_other_changes_nothing() {
    for (number, mailslot, is_obeyed) in
        [(100, 9, true), (101, 9, true), (102, 9, false), (99, 9, false), (100, 8, false)]
    {
        let mut client = Lone::new();
        let remote = client.client(100);
        client.send(remote, b"one");
        client.send(remote, b"two");
        client.seen();
        client.segment(&Outgoing::Reset { number, mailslot }, &[]);
        assert_eq!(client.lines(100) == ["name? printer"], is_obeyed, "{number} {mailslot}");
        assert_eq!(client.dropped(DropReason::ResetUnknown), u64::from(!is_obeyed));
        if !is_obeyed {
            client.reply(100, 9, b"1");
            client.reply(101, 9, b"2");
            assert_eq!(client.outcomes().len(), 2, "all goes on");
        }
    }
}

//= SMP121-R-D2
#[test]
fn replies_of_unknown_numbers_are_dropped_without_an_answer() {
    let mut client = Lone::new();
    let remote = client.client(100);
    client.send(remote, b"hello");
    client.seen();
    for (number, mailslot) in [(99, 9), (101, 9), (100, 8), (0xffff_ffff, 9)] {
        client.reply(number, mailslot, b"forged");
        client.part(Direction::Reply, number, mailslot, 5, 100, b"forged");
    }
    assert!(client.is_silent());
    assert_eq!((client.events(), client.dropped(DropReason::Unknown)), (vec![], 8));
}

//= SMP121-R-D2
#[test]
fn a_reply_that_comes_again_is_acknowledged_again_and_not_delivered_again() {
    let mut client = Lone::new();
    let remote = client.client(100);
    client.send(remote, b"hello");
    client.seen();
    client.reply(100, 9, b"world");
    assert_eq!(client.outcomes().len(), 1);
    assert_eq!(client.wait(secs(1)).len(), 1);
    client.reply(100, 9, b"world");
    assert_eq!(client.outcomes(), []);
    let later = client.wait(secs(1));
    assert_eq!((later.len(), later[0].1.acked(100)), (1, Some(5)));
}

//= SMP121-R-E, SMP121-U5
#[test]
fn no_message_goes_before_the_name_is_resolved() {
    let mut client = Lone::new();
    let remote = client.get(b"printer");
    assert!(client.is_silent(), "getting a handle sends nothing");
    client.send(remote, b"one");
    client.send(remote, b"two");
    let all = client.wait(secs(20));
    assert!(all.len() > 2 && all.iter().all(|(_, seen)| seen.what == What::NameRequest(b"printer".to_vec())));
}

//= SMP121-R-E, SMP121-W35
#[test]
fn a_name_that_is_known_is_not_asked_for_again() {
    let mut client = Lone::new();
    let remote = client.client(100);
    for number in 100..110 {
        client.send(remote, b"hello");
        assert!(client.seen().iter().all(|seen| seen.is_data(Direction::Request)));
        client.reply(number, 9, b"world");
    }
    let same = client.get(b"printer");
    client.send(same, b"hello");
    assert!(client.seen().iter().all(|seen| seen.is_data(Direction::Request)), "another handle shares it");
    client.machine.free(same);
    client.machine.free(remote);
    let again = client.get(b"printer");
    client.send(again, b"hello");
    assert!(client.seen().iter().all(|seen| seen.is_data(Direction::Request)), "it is remembered without a handle");
}

//= SMP121-W2, SMP121-I10, SMP121-I11
#[test]
fn numbers_begin_where_the_receiver_says_and_go_up_by_one() {
    let mut client = Lone::new();
    let remote = client.client(0x1234_5678);
    for step in 0..40u32 {
        client.send(remote, b"hello");
        let number = 0x1234_5678 + step;
        assert!(matches!(client.seen()[..], [Seen { what: What::Data { number: sent, .. }, .. }] if sent == number));
        client.reply(number, 9, b"world");
    }
}

//= SMP121-A18, SMP121-I11
#[test]
fn first_numbers_are_random_and_far_from_both_ends() {
    let mut numbers: Vec<u32> = Vec::new();
    for seed in 0..200u8 {
        let mut server = Lone::with(|_| smp121::Config::builder([seed; 32]));
        numbers.push(server.server().1);
    }
    assert!(numbers.iter().all(|number| (1..=0x7ffe_ffff).contains(number)));
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 200);
    assert!(numbers.iter().any(|number| *number < 0x2000_0000) && numbers.iter().any(|number| *number > 0x6000_0000));
}

//= SMP121-A17, SMP121-A18
#[test]
fn a_number_that_is_not_used_is_offered_again_and_one_that_is_used_never() {
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    server.wait(secs(3));
    assert_eq!(server.offered(b"printer"), first, "a resent question gets the same answer");
    server.request(first, mailslot.number(), b"x");
    server.serve(mailslot, b"y");
    server.seen();
    let second = server.offered(b"printer");
    assert!(second.wrapping_sub(first) >= 65_536 + 32 && second.wrapping_sub(first) < 1 << 31);
    server.wait(secs(60));
    assert!(server.offered(b"printer").wrapping_sub(second) >= 65_536, "an old offer is not fresh any more");
}

//= SMP121-R-I, SMP121-A24, SMP121-W18
#[test]
fn sixteen_requests_go_at_once_and_the_seventeenth_waits() {
    let mut client = Lone::new();
    let remote = client.client(100);
    for _ in 0..20 {
        client.send(remote, b"hello");
    }
    assert_eq!(client.seen().len(), 16);
    client.reply(101, 9, b"second");
    assert!(client.is_silent(), "the window moves with the first");
    client.reply(100, 9, b"first");
    assert_eq!(client.lines(100)[..2], ["request 16 0..5 of 5 end + ack 1 6 + ack 0 5", "request 17 0..5 of 5 end"]);
}

//= SMP121-A24, SMP121-W18
#[test]
fn a_client_keeps_to_the_lesser_of_what_it_is_offered_and_its_own() {
    for (offered, own, expected) in [(3, 16, 3), (40, 16, 16), (16, 5, 5), (1, 16, 1), (65_535, 16, 16)] {
        let mut profile = Profile::SPEC;
        profile.outstanding_max = own;
        let mut client = Lone::with(|builder| builder.with_profile(profile));
        let remote = client.get(b"printer");
        for _ in 0..30 {
            client.send(remote, b"hello");
        }
        client.seen();
        let reply = NameReply { number: 7, request_len_max: 100, mailslot: 9, outstanding_max: offered, name: None };
        client.segment(&Outgoing::NameReply(reply), &[]);
        assert_eq!(client.seen().len(), expected, "{offered} offered, {own} of our own");
    }
}

//= SMP121-R-I, SMP121-R-I1
#[test]
fn sixteen_requests_of_one_host_are_taken_at_once_whatever_their_order() {
    let mut server = Lone::new();
    let (mailslot, first) = server.server();
    for step in (0..16).rev() {
        server.request(first + step, mailslot.number(), &[u8::try_from(step).unwrap()]);
    }
    assert!(server.is_silent());
    let served = server.serve(mailslot, b"");
    assert_eq!(served.iter().map(|message| message[0]).collect::<Vec<_>>(), (0..16).collect::<Vec<_>>());
    assert_eq!(server.counters().dropped_all_count(), 0);
}

//= SMP121-O21, SMP121-U10
#[test]
fn an_endpoint_that_never_had_a_mailslot_answers_for_nobody() {
    let mut client = Lone::new();
    client.name_request(b"printer");
    client.request(100, 9, b"hello");
    assert!(client.is_silent());
    // Nor where it knows the one who asks.
    let remote = client.client(100);
    client.send(remote, b"hello");
    client.seen();
    client.name_request(b"printer");
    client.request(100, 7, b"hello");
    assert!(client.is_silent());
    assert_eq!(client.dropped(DropReason::NoMailslots), 4);
    let mailslot = client.define(b"printer");
    client.machine.undefine(client.now, mailslot).unwrap();
    client.name_request(b"printer");
    assert_eq!(client.lines(0), ["name! none"], "one that had some answers");
}

//= SMP121-W19, SMP121-A17
#[test]
fn a_name_that_nobody_has_is_answered_and_ends_the_exchange_at_once() {
    let mut server = Lone::new();
    server.define(b"printer");
    server.name_request(b"nobody");
    assert_eq!(server.lines(0), ["name! none"]);
    assert_eq!(server.machine.peer_count(), 0, "and who asked is forgotten");
    let mut client = Lone::new();
    let remote = client.get(b"nobody");
    let exchange = client.send(remote, b"hello");
    client.seen();
    let none = NameReply { number: 0, request_len_max: 0, mailslot: 0, outstanding_max: 0, name: Some(b"nobody") };
    client.segment(&Outgoing::NameReply(none), &[]);
    assert_eq!(client.outcomes(), [(exchange, Err(ExchangeError::NoSuchMailslot))]);
    assert!(client.wait(secs(10)).is_empty());
    assert_eq!(client.timer(), None);
}

//= SMP121-A17
#[test]
fn name_requests_come_at_doubling_times_and_end() {
    let mut client = Lone::new();
    let remote = client.get(b"printer");
    let exchange = client.send(remote, b"hello");
    let times: Vec<_> = client.wait(secs(200)).iter().map(|(when, _)| when.as_millis()).collect();
    assert_eq!(times, [0, 1000, 3000, 7000, 11_000, 15_000, 19_000, 23_000, 27_000]);
    assert_eq!(client.outcomes(), [(exchange, Err(ExchangeError::NotResolved))]);
    assert_eq!(client.timer(), None);
}

//= SMP121-A15
#[test]
fn a_name_reply_without_the_name_is_taken_where_one_question_is_open() {
    for (questions, is_taken) in [(1, true), (2, false)] {
        let mut client = Lone::new();
        let remote = client.get(b"printer");
        client.send(remote, b"hello");
        if questions == 2 {
            let other = client.get(b"scanner");
            client.send(other, b"hello");
        }
        client.seen();
        client.name_reply(100, 9, None);
        assert_eq!(client.lines(100).len(), usize::from(is_taken), "{questions} open");
        assert_eq!(client.dropped(DropReason::NameReplyUnasked), u64::from(!is_taken));
    }
}

//= SMP121-A15, SMP121-A17
#[test]
fn the_first_valid_name_reply_holds() {
    let mut client = Lone::new();
    let remote = client.get(b"printer");
    client.send(remote, b"hello");
    client.seen();
    client.name_reply(100, 0, Some(b"printer"));
    client.name_reply(100, 9, Some(b"Printer"));
    assert!(client.is_silent(), "mailslot 0 and another name are none");
    client.name_reply(100, 9, Some(b"printer"));
    client.name_reply(5000, 8, Some(b"printer"));
    assert_eq!(client.lines(100), ["request 0 0..5 of 5 end"]);
    assert_eq!(client.dropped(DropReason::NameReplyUnasked), 3);
}

//= SMP121-A29
#[test]
fn names_travel_in_name_segments_alone() {
    let mut world = World::new();
    world.send(Side::A, b"hello");
    world.run();
    let with_name = world.packets.iter().filter(|packet| packet.seen.payload.windows(7).any(|part| part == b"printer"));
    assert_eq!(with_name.count(), 2);
    assert!(matches!(world.packets[0].seen.what, What::NameRequest(_)));
}

//= SMP121-A5
#[test]
fn the_mailslot_field_is_the_servers_number_both_ways() {
    let mut world = World::new();
    let number = world.end(Side::B).mailslot.number();
    world.end(Side::B).reply_len = Some(5000);
    world.send(Side::A, &octets(5000));
    world.run();
    let mut seen = 0;
    for packet in &world.packets {
        match &packet.seen.what {
            What::Data { mailslot, .. } => assert_eq!(*mailslot, number),
            What::NameReply { mailslot, .. } => assert_eq!(*mailslot, number),
            _ => {}
        }
        seen += packet.seen.records.len();
        assert!(packet.seen.records.iter().all(|record| record.mailslot == number));
    }
    assert!(seen >= 3, "{seen}");
}

//= SMP121-W3, SMP121-I3, SMP121-U6
#[test]
fn a_request_larger_than_the_mailslot_takes_does_not_go() {
    let mut client = Lone::new();
    let remote = client.get(b"printer");
    let early = client.send(remote, &octets(101));
    client.seen();
    let reply = NameReply { number: 7, request_len_max: 100, mailslot: 9, outstanding_max: 16, name: None };
    client.segment(&Outgoing::NameReply(reply), &[]);
    assert_eq!(client.outcomes(), [(early, Err(ExchangeError::RequestTooLarge { len: 101, max: 100 }))]);
    assert!(client.machine.send(client.now, remote, octets(101).into(), Default::default()).is_err());
    client.send(remote, &octets(100));
    assert_eq!(client.lines(7), ["request 0 0..100 of 100 end"]);
}

//= SMP121-U2, SMP121-W34
#[test]
fn resolving_says_what_is_known() {
    let mut client = Lone::new();
    let remote = client.client(100);
    let resolved = client.machine.resolve(client.now, remote).unwrap().expect("known");
    assert_eq!((resolved.request_len_max, resolved.outstanding_max), (100_000, 16));
    assert!(client.is_silent());
    let nobody = client.machine.get(raw_ip(A), B, b"nobody").unwrap();
    assert_eq!(client.machine.resolve(client.now, nobody), Ok(None));
    client.wait(secs(60));
    let events = client.events();
    assert!(
        matches!(events[..], [Event::Resolved { remote, outcome: Err(ExchangeError::NotResolved) }] if remote == nobody)
    );
}
