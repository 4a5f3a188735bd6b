//! We serve, RDOS asks.

use super::world::{BUFFER_LEN, OURS, Setup, World, reply_to};
use super::{ms, secs};
use smp121::ReplyError;
use testkit::network::DatagramConditions;
use testkit::rdos::Defect;

fn executed(serials: core::ops::Range<u8>) -> Vec<Vec<u8>> {
    serials.map(|serial| vec![serial; 20]).collect()
}

#[test]
fn first_contact_takes_five_datagrams_and_back_to_back_requests_two_each() {
    let mut world = World::perfect();
    world.ask_ours(0, b"hello");
    assert_eq!(world.finish(), ms(4));
    for serial in 0..99u8 {
        world.ask_ours(0, &[serial]);
        world.finish();
    }
    world.rest(secs(600));
    assert_eq!(world.segment_count(), 2 + 2 * 100 + 1);
    assert_eq!(world.our_executed.len(), 100);
    world.assert_sound();
}

//= SMP121-R-I
#[test]
fn fifteen_at_once_are_served_in_order_and_once() {
    let mut world = World::new(Setup { our_service: ms(0)..ms(20), ..Setup::new() }, 1);
    for serial in 0..15u8 {
        world.ask_ours(0, &[serial; 20]);
    }
    world.finish();
    assert_eq!(world.our_executed, executed(0..15));
    world.assert_sound();
}

/// What it repeats while its request is at work is never reset, whatever the handler takes.
//= SMP121-R-F, SMP121-A10
#[test]
fn slow_handlers_run_once() {
    for service in [secs(3), secs(10), secs(200)] {
        let mut world = World::new(Setup { our_service: service..service, ..Setup::new() }, 0);
        world.ask_ours(0, b"slow");
        world.ask_ours(0, b"behind it");
        let took = world.finish();
        assert!(took < 2 * service + secs(1), "{took:?}");
        assert_eq!(world.our_executed, [&b"slow"[..], b"behind it"]);
        world.assert_sound();
    }
}

#[test]
fn a_name_that_we_do_not_have_is_asked_for_until_we_do() {
    let mut world = World::perfect();
    let remote = world.theirs.get(world.clock.now(), OURS, b"later");
    let ticket = world.theirs.send(world.clock.now(), remote, b"x", BUFFER_LEN).unwrap();
    world.rest(secs(60));
    assert!(world.to_theirs.counts().sent_count >= 4, "each is answered, which it does not understand");
    assert_eq!(world.theirs.poll_reply(ticket), None);
    world.ours.define(b"later", 4000).unwrap();
    world.run_while(secs(60), |world| world.our_executed.is_empty());
    world.rest(secs(1));
    assert_eq!(world.theirs.poll_reply(ticket), Some(reply_to(b"x", 1000)));
    world.assert_sound();
}

/// It ignores the answer and asks for ever, but what comes behind is not held up.
//= SMP121-A19
#[test]
fn a_request_that_is_too_large_holds_up_no_other() {
    let mut world = World::new(Setup { our_len_max: 500, reply_len_max: 500, ..Setup::new() }, 0);
    let too_large = world.ask_ours(0, &[1; 501]);
    let fits = world.ask_ours(0, &[2; 500]);
    world.rest(secs(100));
    assert_eq!(world.our_executed, [[2; 500]]);
    assert_eq!(world.their_open(0).collect::<Vec<_>>(), [too_large]);
    assert_ne!(too_large, fits);
    world.assert_sound();
}

/// It cuts a reply at the size of the mailslot, and reads beyond the first segment of one that has several.
#[test]
fn replies_that_it_could_not_take_whole_are_refused() {
    for (our_len_max, max) in [(500, 500), (4000, 1384)] {
        let mut world = World::new(Setup { our_len_max, ..Setup::new() }, 0);
        world.setup.our_service = secs(1000)..secs(1000);
        let remote = world.their_remote(0);
        let ticket = world.theirs.send(world.clock.now(), remote, b"x", BUFFER_LEN).unwrap();
        world.rest(ms(10));
        let (request, now) = (world.take_our_work().unwrap(), world.clock.now());
        let too_large = world.ours.reply(now, request, vec![7; max + 1].into());
        assert_eq!(too_large, Err(ReplyError::TooLarge { len: max + 1, max }));
        world.ours.reply(now, request, vec![7; max].into()).unwrap();
        world.rest(secs(10));
        assert_eq!(world.theirs.poll_reply(ticket), Some(vec![7; max]));
        world.assert_sound();
    }
}

/// It looks at the low 16 bits of what a mailslot takes before it sends.
#[test]
fn a_mailslot_whose_size_has_low_bits_of_zero_is_offered_as_a_little_smaller() {
    // It adds the mailslot's number, so only a low one shows it.
    let world = |seed| World::new(Setup { our_len_max: 0x1_0000, ..Setup::new() }, seed);
    let mut world = (0..10_000).map(world).find(|world| world.our_number(0) < 1000).unwrap();
    world.ask_ours(0, b"x");
    world.finish();
    world.ask_ours(0, &[5; 1464]);
    world.finish();
    world.assert_sound();
}

/// What it had in flight it sends first without any octets, all with the right total.
#[test]
fn we_restart_with_fifteen_in_flight() {
    let mut world = World::new(Setup { our_service: ms(100)..ms(100), ..Setup::new() }, 0);
    for serial in 0..15u8 {
        world.ask_ours(0, &[serial; 20]);
    }
    world.rest(ms(350));
    assert!((2..=4).contains(&world.our_executed.len()));
    world.reboot_ours();
    world.our_executed.clear();
    let took = world.finish();
    assert!(took < secs(120), "{took:?}");
    let mut served = world.our_executed.clone();
    served.sort();
    served.dedup();
    assert!(served.len() >= 12 && served.len() == world.our_executed.len(), "each once: {served:x?}");
    world.assert_sound();
}

#[test]
fn it_restarts_while_we_are_at_work() {
    let mut world = World::new(Setup { our_service: ms(500)..ms(500), ..Setup::new() }, 0);
    world.ask_ours(0, b"before");
    world.rest(ms(100));
    world.reboot_theirs();
    world.ask_ours(0, b"after");
    world.finish();
    world.rest(secs(600));
    assert_eq!(world.our_executed, [&b"before"[..], b"after"]);
    assert_eq!((world.void_count, world.their_replies.len()), (1, 1));
    world.assert_sound();
}

//= SMP121-A11
#[test]
fn an_acknowledgement_that_is_lost_is_waited_for_a_few_times_and_then_no_more() {
    let mut world = World::perfect();
    world.ask_ours(0, b"x");
    world.finish();
    world.to_ours.set_conditions(DatagramConditions { loss_per_mille: 1000, ..DatagramConditions::new() });
    world.rest(ms(1200));
    world.to_ours.set_conditions(DatagramConditions::new());
    let before_count = world.to_theirs.counts().sent_count;
    world.rest(secs(1000));
    assert_eq!(world.to_theirs.counts().sent_count - before_count, 5);
    assert_eq!(world.ours.counters().replies_len, 0);
    world.assert_sound();
}

/// Everything towards them is lost, or nothing.
fn deaf(world: &mut World, is_deaf: bool) {
    let loss_per_mille = if is_deaf { 1000 } else { 0 };
    world.to_theirs.set_conditions(DatagramConditions { loss_per_mille, ..DatagramConditions::new() });
}

/// Its resends are far apart when many are in flight.
#[test]
fn replies_are_kept_for_as_long_as_it_may_take_to_come_back_for_them() {
    let mut world = World::perfect();
    world.ask_ours(0, b"hello");
    world.finish();
    deaf(&mut world, true);
    for serial in 0..15u8 {
        world.ask_ours(0, &[serial; 20]);
    }
    world.rest(secs(200));
    deaf(&mut world, false);
    world.finish();
    assert_eq!(world.our_executed[1..], executed(0..15));
    world.assert_sound();
}

/// A reset of a request that it has an answer to already would reset all others that it has open.
//= SMP121-A12
#[test]
fn a_late_copy_of_a_request_that_is_done_with_draws_no_reset() {
    let mut world = World::perfect();
    world.ask_ours(0, b"hello");
    world.finish();
    deaf(&mut world, true);
    world.ask_ours(0, b"its reply is lost");
    world.rest(ms(2));
    deaf(&mut world, false);
    world.ask_ours(0, b"answered");
    world.settle();
    let copy = world.their_last.clone();
    world.rest(ms(1500));
    let now = world.clock.now();
    world.to_ours.send(now, &copy);
    world.finish();
    world.rest(secs(600));
    assert_eq!(world.ours.counters().resets_sent_count, 0);
    assert_eq!(world.our_executed, [&b"hello"[..], b"its reply is lost", b"answered"]);
    world.assert_sound();
}

/// It stops for good where the table of its requests fills up behind a reply that is missing.
//= SMP121-R-C
#[test]
fn a_reply_that_is_lost_is_not_left_behind_while_later_ones_are_acknowledged() {
    let mut world = World::perfect();
    world.ask_ours(0, b"hello");
    world.finish();
    deaf(&mut world, true);
    world.ask_ours(0, b"its reply is lost");
    world.rest(ms(2));
    deaf(&mut world, false);
    // Another of its threads goes on.
    for serial in 0..40u8 {
        let ticket = world.ask_ours(0, &[serial; 20]);
        world.run_while(secs(1), |world| world.their_open(0).any(|open| open == ticket));
    }
    world.finish();
    assert_eq!(world.our_executed.len(), 42);
    world.assert_sound();
}

/// Nobody can help a client that overwrites its own table. Documents where the harm ends.
#[test]
fn seventeen_that_wait_for_a_name_cost_it_the_oldest_by_its_own_fault() {
    let mut world = World::perfect();
    let oldest = world.ask_ours(0, &[0; 20]);
    for serial in 1..17u8 {
        world.ask_ours(0, &[serial; 20]);
    }
    world.rest(secs(100));
    assert_eq!(world.our_executed, executed(0..17), "all are served");
    assert!(matches!(world.theirs.crashes(), [Defect::OldestForgotten { ticket }, ..] if *ticket == oldest));
}
