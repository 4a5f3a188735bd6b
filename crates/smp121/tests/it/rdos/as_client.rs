//! RDOS serves, we ask.

use super::world::{OURS, Setup, THEIRS, World};
use super::{ms, secs};
use bytes::Bytes;
use smp121::machine::SendOptions;
use smp121::{ExchangeError, Profile, UsageError};
use testkit::network::DatagramConditions;

#[test]
fn first_contact_takes_five_datagrams() {
    let mut world = World::perfect();
    world.ask_theirs(0, b"hello");
    assert_eq!(world.finish(), ms(4), "two round trips");
    world.rest(secs(600));
    assert_eq!(world.segment_count(), 5, "the name and its reply, the request and its reply, the ACK");
    world.assert_sound();
}

#[test]
fn back_to_back_requests_take_two_datagrams_each() {
    let mut world = World::perfect();
    for serial in 0..100u8 {
        world.ask_theirs(0, &[serial]);
        world.finish();
    }
    world.rest(secs(600));
    assert_eq!(world.segment_count(), 2 + 2 * 100 + 1);
    assert_eq!(world.their_executed, (0..100).map(|serial| vec![serial]).collect::<Vec<_>>());
    world.assert_sound();
}

#[test]
fn fifty_at_once_are_served_in_order_and_once() {
    let mut world = World::new(Setup { their_service: ms(0)..ms(20), ..Setup::new() }, 1);
    for serial in 0..50u8 {
        world.ask_theirs(0, &[serial; 30]);
    }
    world.finish();
    assert_eq!(world.their_executed, (0..50).map(|serial| vec![serial; 30]).collect::<Vec<_>>());
    world.assert_sound();
}

//= SMP121-A25
#[test]
fn empty_messages_go_both_ways() {
    let mut world = World::new(Setup { reply_len_max: 0, ..Setup::new() }, 0);
    for _ in 0..3 {
        world.ask_theirs(0, b"");
        world.ask_ours(0, b"");
        world.finish();
    }
    assert_eq!((world.their_executed.len(), world.our_executed.len()), (3, 3));
    world.assert_sound();
}

//= SMP121-I9
#[test]
fn the_longest_message_of_one_segment_goes_both_ways_and_one_octet_more_is_refused() {
    let mut world = World::perfect();
    world.ask_theirs(0, &[7; 1384]);
    world.finish();
    let remote = world.our_remote(0);
    let refused = world.ours.send(world.clock.now(), remote, vec![7; 1385].into(), SendOptions::default());
    assert_eq!(refused, Err(UsageError::TooLarge { len: 1385, max: 1384 }));
    world.assert_sound();
}

/// RDOS resets a request that comes again while it is at work, a second later, and runs it once more under its new number.
//= SMP121-A14
#[test]
fn a_handler_of_up_to_four_seconds_runs_once_and_a_longer_one_again() {
    for (service, executed_count) in [(ms(2900), 1), (ms(3900), 1), (ms(4500), 2), (ms(10_000), 4)] {
        let mut world = World::new(Setup { their_service: service..service, ..Setup::new() }, 0);
        world.ask_theirs(0, b"slow");
        let took = world.finish();
        assert_eq!(world.their_executed.len(), executed_count, "a service of {service:?} took {took:?}");
        world.assert_sound();
    }
}

#[test]
fn a_longer_timeout_is_what_slow_handlers_need() {
    let service = secs(10);
    let profile = Profile::RDOS.with_rto_min(secs(15));
    let mut world = World::new(Setup { profile, their_service: service..service, ..Setup::new() }, 0);
    for serial in 0..3 {
        world.ask_theirs(0, &[serial]);
    }
    assert!(world.finish() < secs(31));
    assert_eq!(world.their_executed, [[0], [1], [2]]);
    world.assert_sound();
}

//= SMP121-A17
#[test]
fn a_name_that_it_does_not_know_is_an_error_after_half_a_minute() {
    let mut world = World::perfect();
    let remote = world.ours.get((THEIRS, 0).into(), OURS.into(), b"nobody").unwrap();
    world.ask_remote(remote, b"x", SendOptions::default());
    let took = world.finish();
    assert!((secs(30)..secs(46)).contains(&took), "{took:?}");
    assert_eq!(world.our_outcomes, [(b"x".to_vec(), Err(ExchangeError::NotResolved))]);
    assert_eq!(world.to_ours.counts().sent_count, 0, "it says nothing to that");
    assert!(world.theirs.crashes().is_empty());
    world.our_outcomes.clear();
    world.ask_theirs(0, b"others go on");
    world.finish();
    world.assert_sound();
}

#[test]
fn what_its_mailslot_does_not_take_is_never_sent() {
    let mut world = World::new(Setup { their_len_max: 100, reply_len_max: 100, ..Setup::new() }, 0);
    // Before the name is resolved nobody knows how much that is.
    world.ask_theirs(0, &[1; 101]);
    world.ask_theirs(0, &[2; 100]);
    world.finish();
    let (message, outcome) = world.our_outcomes.remove(0);
    assert_eq!((message.len(), outcome), (101, Err(ExchangeError::RequestTooLarge { len: 101, max: 100 })));
    assert_eq!(world.their_executed, [[2; 100]]);
    let remote = world.our_remote(0);
    let refused = world.ours.send(world.clock.now(), remote, Bytes::from(vec![3; 101]), SendOptions::default());
    assert_eq!(refused, Err(UsageError::TooLarge { len: 101, max: 100 }));
    world.assert_sound();
}

/// It sends a reply of any length as one datagram that must not be fragmented.
#[test]
fn a_reply_that_the_path_does_not_take_ends_in_an_error_and_the_next_one_goes_through() {
    let mut world = World::new(Setup { reply_len_max: 3000, ..Setup::new() }, 0);
    let long = (0..u8::MAX).find(|octet| super::world::reply_to(&[*octet], 3000).len() > 1464).unwrap();
    let short = (0..u8::MAX).find(|octet| super::world::reply_to(&[*octet], 3000).len() < 1464).unwrap();
    world.ask_theirs(0, &[long]);
    world.finish();
    assert_eq!(world.our_outcomes, [(vec![long], Err(ExchangeError::PeerGone))]);
    world.our_outcomes.clear();
    world.ask_theirs(0, &[short]);
    world.finish();
    world.assert_sound();
}

//= SMP121-A20
#[test]
fn a_reply_longer_than_the_caller_takes_is_an_error_and_the_next_one_goes_through() {
    let mut world = World::perfect();
    let long = (0..u8::MAX).find(|octet| super::world::reply_to(&[*octet], 1000).len() > 500).unwrap();
    let remote = world.our_remote(0);
    let options = SendOptions::default().with_reply_len_max(500);
    world.ask_remote(remote, &[long], options);
    world.finish();
    let (_, outcome) = world.our_outcomes.remove(0);
    assert!(matches!(outcome, Err(ExchangeError::ReplyTooLarge { max: 500, .. })), "{outcome:?}");
    world.ask_theirs(0, b"next");
    world.finish();
    assert_eq!(world.their_executed.len(), 2);
    world.assert_sound();
}

#[test]
fn it_restarts_while_idle_and_while_at_work() {
    let mut world = World::new(Setup { their_service: ms(100)..ms(100), ..Setup::new() }, 0);
    world.ask_theirs(0, b"before");
    world.finish();
    world.reboot_theirs();
    world.ask_theirs(0, b"idle");
    let took = world.finish();
    assert!(took < secs(2), "its reset comes after 1 s: {took:?}");
    world.ask_theirs(0, b"at work");
    world.rest(ms(50));
    world.reboot_theirs();
    world.finish();
    assert_eq!(world.their_executed, [&b"before"[..], b"idle", b"at work", b"at work"]);
    world.assert_sound();
}

#[test]
fn we_restart_while_it_is_at_work() {
    let mut world = World::new(Setup { their_service: ms(100)..ms(100), ..Setup::new() }, 0);
    world.ask_theirs(0, b"before");
    world.rest(ms(50));
    world.reboot_ours();
    world.ask_theirs(0, b"after");
    world.finish();
    assert_eq!(world.their_executed, [&b"before"[..], b"after"]);
    assert_eq!(world.our_outcomes.len(), 1, "nothing of before comes back");
    world.assert_sound();
}

#[test]
fn a_name_request_that_comes_twice_costs_a_reset_and_heals() {
    let mut world = World::perfect();
    world.set_network(&DatagramConditions { duplicate_per_mille: 1000, ..DatagramConditions::new() });
    world.ask_theirs(0, b"hello");
    world.settle();
    world.set_network(&DatagramConditions::new());
    let took = world.finish();
    assert!(took < secs(2), "its reset comes after 1 s: {took:?}");
    assert_eq!(world.their_executed, [b"hello"]);
    world.assert_sound();
}

#[test]
fn several_mailslots_do_not_hold_each_other_up() {
    let setup = Setup { mailslot_count: 5, their_service: ms(500)..ms(500), ..Setup::new() };
    let mut world = World::new(setup, 0);
    for round in 0..4 {
        for mailslot in 0..5 {
            world.ask_theirs(mailslot, &[u8::try_from(mailslot).unwrap(), round]);
        }
    }
    assert!(world.finish() < secs(3));
    assert_eq!(world.their_executed.len(), 20);
    world.assert_sound();
}
