//! Each packet of each flow lost, doubled, doubled much later, overtaken.

use super::scenarios::{FLOWS, Flow};
use crate::rig::ladder::ladder;
use crate::rig::{Fate, ms};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Packets that one disturbance may cost beyond those of the flow itself.
const EXTRA_MAX: usize = 12;

const FATES: [Fate; 6] = [
    Fate::Lost,
    Fate::Doubled(ms(0)),
    Fate::Doubled(ms(70)),
    Fate::Doubled(ms(3000)),
    Fate::Overtaken,
    Fate::Late(ms(450)),
];

fn packet_count(flow: &Flow) -> usize {
    let mut world = (flow.make)();
    (flow.drive)(&mut world);
    world.packets.len()
}

fn run(flow: &Flow, fates: &[(usize, Fate)], packets_max: usize) -> Result<(), String> {
    let mut world = (flow.make)();
    for (packet, fate) in fates {
        world.fate(*packet, *fate);
    }
    world.packets_max = packets_max;
    let resets_before = world.resets_sent();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        (flow.drive)(&mut world);
        flow.check_outcome(&mut world);
        let resets = world.resets_sent() - resets_before;
        assert!(resets <= 4, "{resets} resets");
    }));
    outcome.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map_or("a panic", String::as_str);
        format!("flow {} with {fates:?}: {text}\n{}", flow.name, ladder(&world))
    })
}

//= SMP121-I5, SMP121-I14, SMP121-O1
#[test]
fn any_one_packet_disturbed() {
    let mut count = 0;
    let mut failures = Vec::new();
    for flow in FLOWS {
        let packets = packet_count(flow);
        for packet in 0..packets {
            for fate in FATES {
                count += 1;
                failures.extend(run(flow, &[(packet, fate)], packets + EXTRA_MAX).err());
            }
        }
    }
    println!("{count} variants of {} flows", FLOWS.len());
    assert!(count >= 250, "{count} variants");
    assert!(failures.is_empty(), "{} of {count}:\n{}", failures.len(), failures[..failures.len().min(3)].join("\n"));
}

//= SMP121-I5, SMP121-I14, SMP121-I17, SMP121-O1
#[test]
fn any_two_packets_disturbed() {
    let mut count = 0;
    let mut failures = Vec::new();
    for flow in FLOWS {
        let packets = packet_count(flow);
        for first in 0..packets {
            for second in first + 1..packets + 2 {
                for (one, two) in [
                    (Fate::Lost, Fate::Lost),
                    (Fate::Lost, Fate::Doubled(ms(70))),
                    (Fate::Overtaken, Fate::Lost),
                    (Fate::Doubled(ms(3000)), Fate::Lost),
                    (Fate::Overtaken, Fate::Overtaken),
                ] {
                    count += 1;
                    failures.extend(run(flow, &[(first, one), (second, two)], packets + 2 * EXTRA_MAX).err());
                }
            }
        }
    }
    println!("{count} variants of {} flows", FLOWS.len());
    assert!(count >= 1000, "{count} variants");
    assert!(failures.is_empty(), "{} of {count}:\n{}", failures.len(), failures[..failures.len().min(3)].join("\n"));
}
