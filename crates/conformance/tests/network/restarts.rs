//! Processes that are killed in the middle of what they do, and started again.

use super::child::Child;
use super::clean::serve;
use super::namespace::Namespace;
use super::roles::{Load, Place, Report, Role};
use super::{alone, raw};
use std::net::SocketAddr;
use std::time::Duration;

fn load(peer: SocketAddr) -> Load {
    Load { in_flight: 4, pause: Duration::from_millis(2), ..Load::new(peer, 2000, 3000) }
}

/// The server dies twice, once while the client asks and once for a second, and the client goes on by itself.
pub(crate) fn the_server_dies(near: Option<&Namespace>, far: Option<&Namespace>, here: SocketAddr, there: SocketAddr) {
    let mut server = serve(far, Place::spec(there));
    let client = Child::start(near, &Role::Ask { place: Place::spec(here), load: load(there) });
    for (at_count, pause) in [(400, Duration::ZERO), (1000, Duration::from_secs(1))] {
        client.wait_for(at_count);
        server.kill();
        std::thread::sleep(pause);
        server = serve(far, Place::spec(there));
    }
    let Report::Asked { ok_count, failures, took, traffic } = client.finish() else { panic!("not asked for") };
    println!("two restarts of the server: {took:?}, {traffic:?}");
    assert_eq!((ok_count, failures), (2000, Vec::new()));
    let Report::Served { executed_count, distinct_count, .. } = server.ask() else { panic!("not asked for") };
    assert!(executed_count >= 900, "the last life of the server has executed {executed_count}");
    assert_eq!(executed_count, distinct_count, "no life of a server executes a request twice");
}

/// The client dies in the middle; its next life has the same address and asks for other things.
pub(crate) fn the_client_dies(near: Option<&Namespace>, far: Option<&Namespace>, here: SocketAddr, there: SocketAddr) {
    let mut server = serve(far, Place::spec(there));
    let mut first_id = 0;
    for at_count in [300, 700] {
        let load = Load { first_id, ..load(there) };
        let client = Child::start(near, &Role::Ask { place: Place::spec(here), load });
        client.wait_for(at_count);
        client.kill();
        first_id += 10_000;
    }
    let load = Load { first_id, count: 500, ..load(there) };
    let client = Child::start(near, &Role::Ask { place: Place::spec(here), load });
    let Report::Asked { ok_count, failures, took, traffic } = client.finish() else { panic!("not asked for") };
    println!("two restarts of the client: {took:?}, {traffic:?}");
    assert_eq!((ok_count, failures), (500, Vec::new()), "and no reply to an earlier life");
    let Report::Served { distinct_count, most_count, .. } = server.ask() else { panic!("not asked for") };
    assert!(distinct_count >= 1500, "{distinct_count}");
    assert_eq!(most_count, 1, "each is executed once: the server did not restart");
}

//= SMP121-R-K, SMP121-A14, SMP121-O1
#[test]
fn a_server_that_is_killed_is_found_again() {
    let _alone = alone();
    let Some((near, far)) = Namespace::pair() else { return };
    the_server_dies(Some(&near), Some(&far), raw("10.9.0.1"), raw("10.9.0.2"));
}

//= SMP121-R-K, SMP121-O1
#[test]
fn a_client_that_is_killed_begins_anew() {
    let _alone = alone();
    let Some((near, far)) = Namespace::pair() else { return };
    the_client_dies(Some(&near), Some(&far), raw("fd09::1"), raw("fd09::2"));
}
