//! The flows as data: how each begins, and what happens in it.

use crate::rig::world::answer;
use crate::rig::{Fate, Side, World, ms, octets};
use bytes::Bytes;
use smp121::Profile;

pub(crate) struct Flow {
    pub(crate) name: &'static str,
    /// A world as it is before the flow.
    pub(crate) make: fn() -> World,
    pub(crate) drive: fn(&mut World),
    /// What A asks in it, in order.
    pub(crate) requests: &'static [&'static [u8]],
    /// A restart in it may make a request run again.
    pub(crate) has_reboot: bool,
}

impl Flow {
    /// Every exchange got its reply, and every request ran once, in order; where an end restarted, at least once.
    pub(crate) fn check_outcome(&self, world: &mut World) {
        world.assert_idle();
        let expected: Vec<Bytes> = self.requests.iter().map(|request| reply_to(request)).collect();
        let done: Vec<Bytes> = world.end(Side::A).done.iter().map(|outcome| outcome.clone().unwrap()).collect();
        // Replies may pass each other on their way.
        let (mut done_sorted, mut expected_sorted) = (done, expected);
        done_sorted.sort();
        expected_sorted.sort();
        assert_eq!(done_sorted, expected_sorted, "each exchange has its reply");
        let handled = world.end(Side::B).handled.clone();
        if self.has_reboot {
            let mut first_times: Vec<&[u8]> = Vec::new();
            for message in &handled {
                if !first_times.contains(&&message[..]) {
                    first_times.push(message);
                }
            }
            assert_eq!(first_times, self.requests, "in order");
            assert!(handled.len() <= self.requests.len() + 2, "{handled:?}");
        } else {
            assert_eq!(handled, self.requests, "once each, in order");
        }
    }
}

fn reply_to(request: &[u8]) -> Bytes {
    if request.len() > 1000 { octets(3000).into() } else { answer(request) }
}

/// Both know each other: one exchange is over.
fn known() -> World {
    acquainted(World::new())
}

fn acquainted(mut world: World) -> World {
    world.send(Side::A, b"first");
    world.run();
    for side in [Side::A, Side::B] {
        world.end(side).done.clear();
        world.end(side).handled.clear();
    }
    world.begin();
    world
}

fn one(world: &mut World) {
    world.send(Side::A, b"one");
    world.run();
}

fn one_and_two(world: &mut World) {
    world.send(Side::A, b"one");
    world.send(Side::A, b"two");
    world.run();
}

const ONE: &[&[u8]] = &[b"one"];
const ONE_TWO: &[&[u8]] = &[b"one", b"two"];

const fn flow(
    name: &'static str,
    make: fn() -> World,
    drive: fn(&mut World),
    requests: &'static [&'static [u8]],
) -> Flow {
    Flow { name, make, drive, requests, has_reboot: false }
}

const LARGE: &[u8] = &[5; 3000];

/// Packets count from 0; the fates of a flow are part of it, and a variant puts another in the place of one.
pub(crate) const FLOWS: &[Flow] = &[
    flow("three-messages", known, one, ONE),
    flow(
        "two-messages",
        known,
        |world| {
            world.send(Side::A, b"one");
            world.run_until_done();
            world.send(Side::A, b"two");
            world.run();
        },
        ONE_TWO,
    ),
    flow(
        "large-message",
        known,
        |world| {
            world.end(Side::B).reply_len = Some(3000);
            world.send(Side::A, LARGE);
            world.run();
        },
        &[LARGE],
    ),
    flow(
        "old-duplicate",
        || {
            let mut world = known();
            world.fate(0, Fate::Doubled(ms(300)));
            world
        },
        |world| {
            world.send(Side::A, b"one");
            world.run_until_done();
            world.run_for(ms(250));
            world.end(Side::B).service = ms(100);
            world.send(Side::A, b"two");
            world.run();
        },
        ONE_TWO,
    ),
    flow("first-send", World::new, one, ONE),
    Flow {
        name: "receiver-rebooted",
        make: known,
        drive: |world| {
            world.reboot(Side::B);
            one(world);
        },
        requests: ONE,
        has_reboot: true,
    },
    Flow {
        name: "sender-rebooted",
        make: known,
        drive: |world| {
            world.reboot(Side::A);
            one(world);
        },
        requests: ONE,
        has_reboot: true,
    },
    flow(
        "busy",
        || {
            let mut world = acquainted(World::with(|builder| builder.with_profile(Profile::SPEC.with_busy(true))));
            world.end(Side::B).service = ms(2000);
            world.fate(3, Fate::Lost);
            world
        },
        one,
        ONE,
    ),
    flow(
        "lost",
        || {
            let mut world = known();
            world.fate(0, Fate::Lost);
            world.fate(2, Fate::Lost);
            world
        },
        one,
        ONE,
    ),
    flow(
        "duplicated",
        || {
            let mut world = known();
            world.fate(0, Fate::Late(ms(250)));
            world.fate(1, Fate::Late(ms(150)));
            world
        },
        one,
        ONE,
    ),
    flow("two-at-once", known, one_and_two, ONE_TWO),
    flow(
        "out-of-order",
        || {
            let mut world = known();
            world.fate(0, Fate::Late(ms(20)));
            world.fate(2, Fate::Late(ms(20)));
            world
        },
        one_and_two,
        ONE_TWO,
    ),
    flow(
        "first-lost",
        || {
            let mut world = known();
            world.fate(0, Fate::Lost);
            world.fate(5, Fate::Late(ms(395)));
            world
        },
        one_and_two,
        ONE_TWO,
    ),
];
