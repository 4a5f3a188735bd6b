//! The same inside UDP on loopback, which needs no privilege.

use super::alone;
use super::clean::{run, serve};
use super::faults::fail;
use super::restarts::{the_client_dies, the_server_dies};
use super::roles::{Failure, Load, Place};
use std::net::SocketAddr;
use std::time::Duration;

/// Two addresses of loopback that nothing else has, most likely: a port of this process's own.
fn places() -> (SocketAddr, SocketAddr) {
    let port = || std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    (port(), port())
}

//= SMP121-O1, SMP121-O3
#[test]
fn exchanges_of_all_lengths() {
    let _alone = alone();
    let (here, there) = places();
    let mut server = serve(None, Place::spec(there));
    for (first_id, count, len, in_flight) in
        [(0, 500, 64, 1), (1000, 2000, 64, 16), (5000, 200, 8192, 16), (9000, 8, 1 << 20, 4)]
    {
        let load = Load { first_id, in_flight, ..Load::new(there, count, len) };
        let (traffic, took) = run(None, &mut server, Place::spec(here), load);
        println!("UDP: {count} exchanges of {len} octets, {in_flight} at once, in {took:?}, {traffic:?}");
    }
}

//= SMP121-W19
#[test]
fn nobody_at_the_port_and_no_such_mailslot_are_errors_at_once() {
    let _alone = alone();
    let (here, there) = places();
    let took = fail(None, here, Load::new(there, 1, 64), &Failure::PortUnreachable);
    assert!(took < Duration::from_secs(1), "{took:?}");
    let _server = serve(None, Place::spec(there));
    let load = Load { mailslot: "nobody".to_owned(), ..Load::new(there, 1, 64) };
    let took = fail(None, here, load, &Failure::NoSuchMailslot);
    assert!(took < Duration::from_secs(1), "{took:?}");
}

//= SMP121-R-K, SMP121-A14, SMP121-O1
#[test]
fn a_server_that_is_killed_is_found_again() {
    let _alone = alone();
    let (here, there) = places();
    the_server_dies(None, None, here, there);
}

//= SMP121-R-K, SMP121-O1
#[test]
fn a_client_that_is_killed_begins_anew() {
    let _alone = alone();
    let (here, there) = places();
    the_client_dies(None, None, here, there);
}
