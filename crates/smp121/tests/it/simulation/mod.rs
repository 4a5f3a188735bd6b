//! Endpoints on a bad network. A failing seed is printed; `SMP121_SEED=n` runs that one alone.

mod ledger;
mod world;

use smp121::Profile;
use std::ops::Range;
use std::time::Duration;
use testkit::Rng;
use testkit::network::DatagramConditions;
use world::{Scenario, World};

/// The seeds to run: so many, unless `SMP121_SEEDS` says how many, or `SMP121_SEED` which one.
fn seeds(default: u64) -> Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    match (number("SMP121_SEED"), number("SMP121_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(count)) => 0..count,
        (None, None) => 0..default,
    }
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A scenario that the seed chooses: any of the faults, in any strength.
fn any_scenario(seed: u64) -> Scenario {
    let mut rng = Rng::with_stream(seed, 77);
    let mut often =
        |per_mille_max: u64| if rng.chance(500) { 0 } else { u32::try_from(rng.below(per_mille_max + 1)).unwrap() };
    let (loss, duplicate, corrupt, reorder) = (often(300), often(200), often(50), often(300));
    let delay = [ms(0)..ms(1), ms(1)..ms(5), ms(20)..ms(60), ms(100)..ms(1900)];
    Scenario {
        node_count: if rng.chance(700) { 2 } else { rng.range(3..9) },
        request_count: 1 + rng.below(24),
        pause_max: *rng.pick(&[ms(1), ms(50), ms(400)]).unwrap(),
        message_len_max: *rng.pick(&[65, 1300, 6000, 30_000]).unwrap(),
        service_max: *rng.pick(&[ms(0), ms(5), ms(900)]).unwrap(),
        chaos: DatagramConditions {
            loss_per_mille: loss,
            duplicate_per_mille: duplicate,
            corrupt_per_mille: corrupt,
            reorder_per_mille: reorder,
            reorder: ms(1)..ms(100),
            delay: rng.pick(&delay).unwrap().clone(),
            mtu: *rng.pick(&[1500, 1500, 1500, 600]).unwrap(),
            ..DatagramConditions::new()
        },
        chaos_time: ms(500 + rng.below(20_000)),
        reboot_count: if rng.chance(600) { 0 } else { rng.below(4) },
        partition_count: if rng.chance(700) { 0 } else { rng.below(4) },
        partition_max: Duration::from_secs(40),
        cancel_per_mille: if rng.chance(700) { 0 } else { 100 },
        profile: Profile::SPEC,
    }
}

fn run(scenario: &Scenario, seed: u64) -> World {
    let mut world = World::new(scenario.clone(), seed);
    if let Err(fault) = world.run() {
        panic!("SMP121_SEED={seed}: {fault}\n{scenario:?}");
    }
    world
}

/// Runs seeds that leave `rest` over when divided by two, so that both processors have something to do.
fn every_request_is_served_once_and_in_order(rest: u64) {
    let mut ok_count = 0;
    for seed in seeds(10_000).filter(|seed| seed % 2 == rest || std::env::var_os("SMP121_SEED").is_some()) {
        ok_count += run(&any_scenario(seed), seed).ledger.ok_count();
    }
    println!("{ok_count} exchanges");
    assert!(ok_count > 0);
}

//= SMP121-R-H, SMP121-R-I, SMP121-R-K, SMP121-O1
#[test]
fn every_request_is_served_once_and_in_order_whatever_the_network_does_even_seeds() {
    every_request_is_served_once_and_in_order(0);
}

//= SMP121-R-H, SMP121-R-I, SMP121-R-K, SMP121-O1
#[test]
fn every_request_is_served_once_and_in_order_whatever_the_network_does_odd_seeds() {
    every_request_is_served_once_and_in_order(1);
}

//= SMP121-O2
#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..20 {
        let trace = |_| run(&any_scenario(seed), seed).ledger.trace;
        assert_eq!(trace(1), trace(2), "seed {seed}");
    }
}
