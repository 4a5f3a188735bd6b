//! A network that loses nothing.

use super::child::Child;
use super::namespace::Namespace;
use super::roles::{Load, Place, Report, Role, Traffic};
use super::{alone, raw};
use std::time::Duration;

/// Makes the requests and says what the client did, and what the server.
#[track_caller]
pub(crate) fn run(near: Option<&Namespace>, server: &mut Child, place: Place, load: Load) -> (Traffic, Duration) {
    let count = load.count;
    let client = Child::start(near, &Role::Ask { place, load });
    let Report::Asked { ok_count, failures, took, traffic } = client.finish() else { panic!("not asked for") };
    assert_eq!((ok_count, failures), (count, Vec::new()));
    let Report::Served { most_count, .. } = server.ask() else { panic!("not asked for") };
    assert_eq!(most_count, 1, "each request is executed once");
    (traffic, took)
}

#[track_caller]
pub(crate) fn serve(far: Option<&Namespace>, place: Place) -> Child {
    Child::start(far, &Role::Serve { place })
}

//= SMP121-O1, SMP121-R-A
#[test]
fn a_thousand_exchanges_over_ipv4_and_ipv6() {
    let _alone = alone();
    let Some((near, far)) = Namespace::pair() else { return };
    for (client, peer) in [("10.9.0.1", "10.9.0.2"), ("fd09::1", "fd09::2")] {
        let mut server = serve(Some(&far), Place::spec(raw(peer)));
        let load = Load::new(raw(peer), 1000, 64);
        let (traffic, took) = run(Some(&near), &mut server, Place::spec(raw(client)), load);
        println!("{peer}: 1,000 exchanges of 64 octets one by one in {took:?}, {traffic:?}");
    }
}

/// As the kernels count: not the endpoints' word. A machine that has no time for a fifth of a second lets a timer run out, so
/// there are some tries.
//= SMP121-O12
#[test]
fn the_kernel_counts_two_packets_an_exchange() {
    let _alone = alone();
    let Some((near, far)) = Namespace::pair() else { return };
    let Some(counter) = near.counter() else { return };
    let mut server = serve(Some(&far), Place::spec(raw("10.9.0.2")));
    let mut counts = Vec::new();
    for round in 0..4 {
        counter.take();
        let load = Load { first_id: round * 1000, ..Load::new(raw("10.9.0.2"), 500, 64) };
        let (traffic, _) = run(Some(&near), &mut server, Place::spec(raw("10.9.0.1")), load);
        // The last acknowledgement waits for up to a second for something to ride on.
        std::thread::sleep(Duration::from_millis(1200));
        let count = counter.take();
        assert!(count >= 2 * 500, "{count} packets cannot be all");
        // Each client is a new process: two datagrams for the name. Then two an exchange, and the last acknowledgement.
        let exchanged_count = count - 2;
        if exchanged_count <= 2 * 500 + 1 {
            return;
        }
        counts.push((count, traffic));
    }
    panic!("never as few as two an exchange: {counts:?}");
}

#[test]
fn messages_of_a_mebibyte_both_ways() {
    let _alone = alone();
    let Some((near, far)) = Namespace::pair() else { return };
    let mut server = serve(Some(&far), Place::spec(raw("10.9.0.2")));
    let load = Load { in_flight: 4, ..Load::new(raw("10.9.0.2"), 32, 1 << 20) };
    let (traffic, took) = run(Some(&near), &mut server, Place::spec(raw("10.9.0.1")), load);
    println!("32 MiB each way in {took:?}, {traffic:?}");
}

/// A figure, not a promise: the machine has other work too.
#[test]
fn how_many_small_exchanges_a_second() {
    let _alone = alone();
    let Some((near, far)) = Namespace::pair() else { return };
    let mut server = serve(Some(&far), Place::spec(raw("10.9.0.2")));
    let load = Load { in_flight: 16, ..Load::new(raw("10.9.0.2"), 20_000, 64) };
    let (traffic, took) = run(Some(&near), &mut server, Place::spec(raw("10.9.0.1")), load);
    println!("{:.0} exchanges of 64 octets a second, {traffic:?}", 20_000.0 / took.as_secs_f64());
}
