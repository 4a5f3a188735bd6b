//! Networks that lose, double, damage, delay and reorder.

use super::clean::{run, serve};
use super::namespace::Namespace;
use super::relay::{Conditions, Relay};
use super::roles::{Load, Place};
use super::{alone, raw};
use std::time::Duration;

/// The kernel loses a tenth of what arrives at either end, and sends a twentieth twice.
fn lose(near: &Namespace, far: &Namespace, per_mille: u32) -> bool {
    let share = f64::from(per_mille) / 1000.0;
    for (namespace, other) in [(near, "10.9.0.2"), (far, "10.9.0.1")] {
        let chance = "-m statistic --mode random --probability";
        let rules = [
            format!("iptables -A INPUT -p 121 {chance} {share} -j DROP"),
            format!("iptables -t mangle -A POSTROUTING -p 121 {chance} 0.05 -j TEE --gateway {other}"),
        ];
        for rule in rules {
            if let Err(why) = namespace.try_run(&rule) {
                eprintln!("SKIPPED: nothing is lost or doubled, {why}");
                assert_ne!(
                    std::env::var("CI").as_deref(),
                    Ok("true"),
                    "CI has to have iptables with statistic and TEE"
                );
                return false;
            }
        }
    }
    true
}

//= SMP121-O1, SMP121-R-C, SMP121-R-H
#[test]
fn a_thousand_exchanges_of_8_kib_with_a_tenth_lost_each_way_and_some_doubled() {
    let _alone = alone();
    let Some((near, far)) = Namespace::pair() else { return };
    if !lose(&near, &far, 100) {
        return;
    }
    let mut server = serve(Some(&far), Place::spec(raw("10.9.0.2")));
    let load = Load { in_flight: 16, ..Load::new(raw("10.9.0.2"), 1000, 8192) };
    let (traffic, took) = run(Some(&near), &mut server, Place::spec(raw("10.9.0.1")), load);
    println!("1,000 x 8 KiB at 10 % loss each way in {took:?}, {traffic:?}");
    assert!(took < Duration::from_secs(60), "{took:?}");
}

/// Measured on two cores: 49 to 64 s for the requests, 12 to 32 s for the replies. A child is given 200 s for either: other tests run beside it.
//= SMP121-O1, SMP121-R-C
#[test]
fn messages_of_a_mebibyte_with_a_tenth_lost_each_way_and_some_doubled() {
    let _alone = alone();
    let Some((near, far)) = Namespace::pair() else { return };
    if !lose(&near, &far, 100) {
        return;
    }
    let mut server = serve(Some(&far), Place::spec(raw("10.9.0.2")));
    let load = Load { in_flight: 16, reply_len: 16, ..Load::new(raw("10.9.0.2"), 48, 1 << 20) };
    let (traffic, took) = run(Some(&near), &mut server, Place::spec(raw("10.9.0.1")), load);
    println!("48 x 1 MiB at 10 % loss each way in {took:?}, {traffic:?}");
    let load = Load { first_id: 1000, reply_len: 1 << 20, in_flight: 8, ..Load::new(raw("10.9.0.2"), 16, 16) };
    let (traffic, took) = run(Some(&near), &mut server, Place::spec(raw("10.9.0.1")), load);
    println!("16 replies of 1 MiB at 10 % loss each way in {took:?}, {traffic:?}");
}

//= SMP121-O1, SMP121-R-C, SMP121-R-H, SMP121-R-J
#[test]
fn a_thousand_exchanges_of_8_kib_through_all_faults_at_once() {
    let _alone = alone();
    let conditions = Conditions {
        loss_per_mille: 100,
        duplicate_per_mille: 50,
        flip_per_mille: 10,
        reorder_per_mille: 100,
        delay: Duration::from_millis(15)..Duration::from_millis(25),
    };
    let Some(relay) = Relay::start(&conditions, 1) else { return };
    let mut server = serve(Some(relay.far()), Place::spec(raw("10.9.0.2")));
    let load = Load { in_flight: 16, ..Load::new(raw("10.9.0.2"), 1000, 8192) };
    let (traffic, took) = run(Some(relay.near()), &mut server, Place::spec(raw("10.9.0.1")), load);
    println!("1,000 x 8 KiB through all faults in {took:?}, {traffic:?}, {:?}", relay.counts());
    let counts = relay.counts();
    assert!(counts.lost_count > 500 && counts.doubled_count > 250 && counts.flipped_count > 50, "{counts:?}");
    assert!(took < Duration::from_secs(60), "{took:?}");
}

/// Prints how many octets a second get through, for the papers. `--ignored --nocapture` runs it.
#[test]
#[ignore = "a measurement"]
fn goodput_by_loss() {
    for delay_ms in [0, 10] {
        for loss_per_mille in [0, 10, 50, 100] {
            let delay = Duration::from_millis(delay_ms);
            let conditions = Conditions { loss_per_mille, delay: delay..delay, ..Conditions::default() };
            let Some(relay) = Relay::start(&conditions, 1) else { return };
            let mut server = serve(Some(relay.far()), Place::spec(raw("10.9.0.2")));
            let load = Load { in_flight: 8, reply_len: 16, ..Load::new(raw("10.9.0.2"), 16, 1 << 20) };
            let (traffic, took) = run(Some(relay.near()), &mut server, Place::spec(raw("10.9.0.1")), load);
            let rate = 16.0 / took.as_secs_f64();
            println!("loss {loss_per_mille} per mille each way, {delay_ms} ms each way: {rate:.2} MiB/s, {traffic:?}");
        }
    }
}
