//! Peers without the protocol or the mailslot, and links that change under way.

use super::child::Child;
use super::clean::serve;
use super::namespace::Namespace;
use super::roles::{Failure, Load, Place, Report, Role};
use super::{alone, raw};
use std::net::SocketAddr;
use std::time::Duration;

/// One request that fails.
#[track_caller]
pub(crate) fn fail(near: Option<&Namespace>, here: SocketAddr, load: Load, expected: &Failure) -> Duration {
    let client = Child::start(near, &Role::Ask { place: Place::spec(here), load });
    let Report::Asked { failures, took, .. } = client.finish() else { panic!("not asked for") };
    assert_eq!(failures, std::slice::from_ref(expected));
    took
}

//= SMP121-A22
#[test]
fn a_host_without_the_protocol_is_an_error_at_once() {
    let _alone = alone();
    let Some((near, _far)) = Namespace::pair() else { return };
    for (here, there) in [("10.9.0.1", "10.9.0.2"), ("fd09::1", "fd09::2")] {
        let load = Load::new(raw(there), 1, 64);
        let took = fail(Some(&near), raw(here), load, &Failure::ProtocolUnreachable);
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}

//= SMP121-W19
#[test]
fn a_mailslot_that_the_host_does_not_have_is_an_error_at_once() {
    let _alone = alone();
    let Some((near, far)) = Namespace::pair() else { return };
    let _server = serve(Some(&far), Place::spec(raw("10.9.0.2")));
    let load = Load { mailslot: "nobody".to_owned(), ..Load::new(raw("10.9.0.2"), 1, 64) };
    let took = fail(Some(&near), raw("10.9.0.1"), load, &Failure::NoSuchMailslot);
    assert!(took < Duration::from_secs(1), "{took:?}");
}

/// Exchanges during which something is done to the network. All arrive, each once.
#[track_caller]
fn survive(near: &Namespace, far: &Namespace, load: Load, disturb: impl Fn()) -> Duration {
    let mut server = serve(Some(far), Place::spec(raw("10.9.0.2")));
    let count = load.count;
    let client = Child::start(Some(near), &Role::Ask { place: Place::spec(raw("10.9.0.1")), load });
    client.wait_for(count / 4);
    disturb();
    let Report::Asked { ok_count, failures, took, traffic } = client.finish() else { panic!("not asked for") };
    println!("{took:?}, {traffic:?}");
    assert_eq!((ok_count, failures), (count, Vec::new()));
    let Report::Served { executed_count, most_count, .. } = server.ask() else { panic!("not asked for") };
    assert_eq!((executed_count, most_count), (count, 1));
    took
}

fn load() -> Load {
    Load { in_flight: 4, pause: Duration::from_millis(5), ..Load::new(raw("10.9.0.2"), 200, 50_000) }
}

//= SMP121-A32
#[test]
fn an_mtu_that_shrinks_here_is_followed() {
    let _alone = alone();
    let Some((near, far)) = Namespace::pair() else { return };
    survive(&near, &far, load(), || _ = near.run("ip link set near mtu 700"));
}

/// The far end drops what is long, and says nothing.
//= SMP121-A32
#[test]
fn an_mtu_that_shrinks_in_silence_is_found_out() {
    let _alone = alone();
    let Some((near, far)) = Namespace::pair() else { return };
    survive(&near, &far, load(), || _ = far.run("ip link set far mtu 700"));
}

//= SMP121-R-H
#[test]
fn a_link_that_is_down_for_three_seconds_costs_three_seconds() {
    let _alone = alone();
    let Some((near, far)) = Namespace::pair() else { return };
    let took = survive(&near, &far, load(), || {
        near.run("ip link set near down");
        std::thread::sleep(Duration::from_secs(3));
        near.run("ip link set near up");
        // The address goes with the link where it is an IPv6 one; IPv4 stays.
    });
    assert!(took > Duration::from_secs(3), "{took:?}");
    assert!(took < Duration::from_secs(30), "{took:?}");
}
