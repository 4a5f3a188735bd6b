//! Somebody who forges addresses.

use super::child::Child;
use super::clean::serve;
use super::namespace::Namespace;
use super::roles::{Load, Place, Report, Role};
use super::{alone, raw};
use smp121::wire::{Outgoing, PseudoHeader, encode};
use socket2::{Domain, Protocol, Socket, Type};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// A name request from an address that is not ours.
fn forged(source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
    let pseudo = PseudoHeader::between(IpAddr::V4(source), IpAddr::V4(destination)).unwrap();
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 60, 121, 0, 0];
    packet.extend(source.octets());
    packet.extend(destination.octets());
    encode(&Outgoing::NameRequest { name: b"work" }, &[], &pseudo, &mut packet);
    packet
}

/// 10,000 name requests a second for two seconds, from 65,536 addresses; some of them those of the real client.
//= SMP121-L1, SMP121-L7, SMP121-O1
#[test]
fn a_flood_of_forged_name_requests_leaves_others_alone() {
    let _alone = alone();
    let Some((near, far)) = Namespace::pair() else { return };
    // Answers to the forged addresses have somewhere to go.
    far.run("ip route add 10.8.0.0/16 via 10.9.0.1 dev far");
    let mut server = serve(Some(&far), Place::spec(raw("10.9.0.2")));
    let load = Load { in_flight: 4, pause: Duration::from_millis(2), ..Load::new(raw("10.9.0.2"), 2000, 500) };
    let client = Child::start(Some(&near), &Role::Ask { place: Place::spec(raw("10.9.0.1")), load });
    client.wait_for(100);
    let socket = near.open(|| Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(255))).unwrap());
    let destination = Ipv4Addr::new(10, 9, 0, 2);
    let to = SocketAddr::new(IpAddr::V4(destination), 0).into();
    let begun = Instant::now();
    let mut sent_count = 0u32;
    while begun.elapsed() < Duration::from_secs(2) {
        for _ in 0..10 {
            let [_, _, high, low] = sent_count.to_be_bytes();
            let is_known = sent_count.is_multiple_of(100);
            let source = if is_known { Ipv4Addr::new(10, 9, 0, 1) } else { Ipv4Addr::new(10, 8, high, low) };
            sent_count += u32::from(socket.send_to(&forged(source, destination), &to).is_ok());
        }
        let due = begun + Duration::from_micros(100) * sent_count;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    let Report::Asked { ok_count, failures, took, traffic } = client.finish() else { panic!("not asked for") };
    println!("{sent_count} forged requests; 2,000 exchanges in {took:?}, {traffic:?}");
    assert!(sent_count > 2000, "only {sent_count} could be sent");
    assert_eq!((ok_count, failures), (2000, Vec::new()));
    let Report::Served { executed_count, most_count, traffic, .. } = server.ask() else { panic!("not asked for") };
    println!("the server: {traffic:?}");
    assert_eq!((executed_count, most_count), (2000, 1));
    assert_eq!(traffic.resets_sent_count, 0, "no exchange of others was flushed");
}
