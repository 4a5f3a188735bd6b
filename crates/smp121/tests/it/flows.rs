//! The flows of section 2.5: the exact packets of each, its ladder, and what becomes of it when any one packet is lost, doubled or
//! overtaken.

mod scenarios;
mod variants;

use crate::rig::ladder::ladder;
use crate::rig::{World, ms, secs};
use scenarios::{FLOWS, Flow};
use std::path::PathBuf;

impl Flow {
    /// The flow undisturbed: its packets are exactly `expected`, its ladder is the one in `ladders/`.
    fn check(name: &str, expected: &[&str]) -> World {
        let flow = FLOWS.iter().find(|flow| flow.name == name).expect("a flow of that name");
        let mut world = (flow.make)();
        (flow.drive)(&mut world);
        let ladder = ladder(&world);
        assert_eq!(world.lines(), expected, "\n{ladder}");
        flow.check_outcome(&mut world);
        compare(name, &ladder);
        world
    }
}

/// The ladder has to be the one that is kept; with `POSTROAD_LADDERS=write` it becomes it.
fn compare(name: &str, ladder: &str) {
    let path: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "tests", "it", "flows", "ladders", &format!("{name}.txt")].iter().collect();
    if std::env::var("POSTROAD_LADDERS").is_ok_and(|value| value == "write") {
        std::fs::write(&path, ladder).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(ladder, kept, "the ladder of {name} is another; POSTROAD_LADDERS=write keeps it");
}

/// The times between packets, in milliseconds, from the first.
fn times(world: &World) -> Vec<u128> {
    let first = world.packets[0].at;
    world.packets.iter().map(|packet| (packet.at - first).as_millis()).collect()
}

//= SMP121-F1, SMP121-R-A, SMP121-R-B
#[test]
fn three_messages() {
    let world =
        Flow::check("three-messages", &["A: request a1 0..3 of 3 end", "B: reply a1 0..7 of 7 end", "A: ack a1 7"]);
    assert_eq!(times(&world), [0, 10, 220], "the acknowledgement waits 200 ms");
}

//= SMP121-F2, SMP121-R-A, SMP121-R-B, SMP121-W25, SMP121-I4
#[test]
fn two_messages() {
    Flow::check(
        "two-messages",
        &[
            "A: request a1 0..3 of 3 end",
            "B: reply a1 0..7 of 7 end",
            "A: request a2 0..3 of 3 end + ack a1 7",
            "B: reply a2 0..7 of 7 end",
            "A: ack a2 7",
        ],
    );
}

//= SMP121-F3, SMP121-R-C1
#[test]
fn large_message() {
    Flow::check(
        "large-message",
        &[
            "A: request a1 0..1384 of 3000",
            "A: request a1 1384..2768",
            "A: request a1 2768..3000 end",
            "B: ack a1 2768",
            "B: reply a1 0..1384 of 3000",
            "B: reply a1 1384..2768",
            "B: reply a1 2768..3000 end",
            "A: ack a1 2768",
            "A: ack a1 3000",
        ],
    );
}

//= SMP121-F4, SMP121-R-D, SMP121-R-D2, SMP121-I10
#[test]
fn duplicate_from_an_old_connection() {
    Flow::check(
        "old-duplicate",
        &[
            "A: request a1 0..3 of 3 end TWICE",
            "B: reply a1 0..7 of 7 end",
            "A: ack a1 7",
            "A: request a2 0..3 of 3 end",
            "B: reset a1 + unknown a1",
            "B: reply a2 0..7 of 7 end",
            "A: ack a2 7",
        ],
    );
}

//= SMP121-F5, SMP121-R-E, SMP121-W34
#[test]
fn first_send_to_a_mailslot() {
    Flow::check(
        "first-send",
        &["A: name? printer", "B: name! a0", "A: request a0 0..3 of 3 end", "B: reply a0 0..7 of 7 end", "A: ack a0 7"],
    );
}

//= SMP121-F6, SMP121-R-K3, SMP121-R-K4, SMP121-R-E, SMP121-R-D1
#[test]
fn receiver_has_rebooted() {
    Flow::check(
        "receiver-rebooted",
        &[
            "A: request a1 0..3 of 3 end",
            "B: reset a1 + unknown a1",
            "A: name? printer",
            "B: name! b0",
            "A: request b0 0..3 of 3 end",
            "B: reply b0 0..7 of 7 end",
            "A: ack b0 7",
        ],
    );
}

//= SMP121-F7, SMP121-R-K1, SMP121-R-K4
#[test]
fn sender_has_rebooted() {
    Flow::check(
        "sender-rebooted",
        &["A: name? printer", "B: name! b0", "A: request b0 0..3 of 3 end", "B: reply b0 0..7 of 7 end", "A: ack b0 7"],
    );
}

//= SMP121-F8, SMP121-R-F, SMP121-R-F1, SMP121-W30
#[test]
fn receiver_is_busy() {
    Flow::check(
        "busy",
        &[
            "A: request a1 0..3 of 3 end",
            "A: request a1 0..3 of 3 end",
            "A: request a1 0..3 of 3 end",
            "B: busy a1 LOST",
            "A: request a1 0..3 of 3 end",
            "B: busy a1",
            "B: reply a1 0..7 of 7 end",
            "A: ack a1 7",
        ],
    );
}

//= SMP121-F9, SMP121-R-G, SMP121-I6
#[test]
fn lost_packets() {
    Flow::check(
        "lost",
        &[
            "A: request a1 0..3 of 3 end LOST",
            "A: request a1 0..3 of 3 end",
            "B: reply a1 0..7 of 7 end LOST",
            "A: request a1 0..3 of 3 end",
            "B: reply a1 0..7 of 7 end",
            "A: ack a1 7",
        ],
    );
}

//= SMP121-F10, SMP121-R-G, SMP121-O1
#[test]
fn duplicated_packets() {
    Flow::check(
        "duplicated",
        &[
            "A: request a1 0..3 of 3 end LATE",
            "A: request a1 0..3 of 3 end LATE",
            "B: reply a1 0..7 of 7 end",
            "B: reply a1 0..7 of 7 end",
            "A: ack a1 7",
        ],
    );
}

//= SMP121-F11, SMP121-R-I4
#[test]
fn two_requests_at_once() {
    Flow::check(
        "two-at-once",
        &[
            "A: request a1 0..3 of 3 end",
            "A: request a2 0..3 of 3 end",
            "B: reply a1 0..7 of 7 end",
            "B: reply a2 0..7 of 7 end",
            "A: ack a1 7 + ack a2 7",
        ],
    );
}

//= SMP121-F12, SMP121-R-I2, SMP121-R-I3
#[test]
fn two_requests_out_of_order() {
    Flow::check(
        "out-of-order",
        &[
            "A: request a1 0..3 of 3 end LATE",
            "A: request a2 0..3 of 3 end",
            "B: reply a1 0..7 of 7 end LATE",
            "B: reply a2 0..7 of 7 end",
            "A: ack a2 7 + ack a1 7",
        ],
    );
}

//= SMP121-F13, SMP121-R-I2, SMP121-R-I3
#[test]
fn two_requests_the_first_lost() {
    Flow::check(
        "first-lost",
        &[
            "A: request a1 0..3 of 3 end LOST",
            "A: request a2 0..3 of 3 end",
            "A: request a1 0..3 of 3 end",
            "A: request a2 0..3 of 3 end",
            "B: reply a1 0..7 of 7 end",
            "B: reply a2 0..7 of 7 end LATE",
            "A: ack a1 7",
            "A: request a2 0..3 of 3 end",
            "B: reply a2 0..7 of 7 end",
            "A: ack a2 7",
        ],
    );
}

/// A flow that waits would hide a fault of its own: they all end within a virtual minute.
#[test]
fn no_flow_takes_longer_than_a_minute() {
    for flow in FLOWS {
        let mut world = (flow.make)();
        let start = world.now;
        (flow.drive)(&mut world);
        assert!(world.now - start < secs(60), "{}: {:?}", flow.name, world.now - start);
        assert!(world.now - start >= ms(200), "{}: the last acknowledgement waits", flow.name);
    }
}
