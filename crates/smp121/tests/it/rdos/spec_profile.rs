//! What an endpoint with the default profile does to RDOS: small messages work, and what does not is what the other
//! profile is for.

use super::world::{Setup, World};
use super::{ms, secs};
use smp121::Profile;
use testkit::rdos::Defect;

fn setup() -> Setup {
    Setup { profile: Profile::SPEC, ..Setup::new() }
}

//= SMP121-O4
#[test]
fn small_messages_work_both_ways() {
    let mut world = World::new(setup(), 0);
    for serial in 0..50u8 {
        world.ask_theirs(0, &[serial; 100]);
        world.ask_ours(0, &[serial; 100]);
        world.finish();
    }
    assert_eq!((world.their_executed.len(), world.our_executed.len()), (50, 50));
    world.assert_sound();
}

#[test]
fn sixteen_at_once_work_where_nothing_is_lost_and_nothing_takes_time() {
    let mut world = World::new(setup(), 0);
    for serial in 0..64u8 {
        world.ask_theirs(0, &[serial; 100]);
    }
    world.finish();
    assert_eq!(world.their_executed, (0..64).map(|serial| vec![serial; 100]).collect::<Vec<_>>());
    world.assert_sound();
}

/// Repeated after a fifth of a second, it is reset at work, and run again.
#[test]
fn a_handler_of_two_seconds_runs_more_than_once() {
    let mut world = World::new(Setup { their_service: secs(2)..secs(2), ..setup() }, 0);
    world.ask_theirs(0, b"warm the clock");
    world.finish();
    let before_count = world.their_executed.len();
    world.ask_theirs(0, b"slow");
    world.finish();
    assert!(world.their_executed.len() > before_count + 1, "{}", world.their_executed.len());
    world.assert_sound();
}

#[test]
fn a_long_request_arrives_where_nothing_is_lost_and_a_long_reply_to_it_is_garbage() {
    let mut world = World::new(setup(), 0);
    world.ask_theirs(0, &[9; 3000]);
    world.finish();
    assert_eq!(world.their_executed, [[9; 3000]]);
    world.assert_sound();
    world.setup.reply_len_max = 4000;
    let long = (0..u8::MAX).find(|octet| super::world::reply_to(&[*octet], 4000).len() > 2000).unwrap();
    world.ask_ours(0, &[long]);
    world.rest(ms(100));
    assert!(matches!(world.theirs.crashes(), [Defect::ReplyBeyondSegment { .. }]), "{:?}", world.theirs.crashes());
}
