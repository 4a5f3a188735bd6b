//! What tests of the machine share: segments by hand and read back, one machine among made-up peers, two machines on a
//! scripted network.

pub(crate) mod ladder;
pub(crate) mod lone;
pub(crate) mod seen;
pub(crate) mod world;

pub(crate) use lone::Lone;
pub(crate) use seen::{Seen, What};
pub(crate) use world::{Fate, Side, World};

use smp121::wire::{Action, Response};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Where `a` and `b` live.
pub(crate) const A: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
pub(crate) const B: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

pub(crate) const fn raw_ip(address: IpAddr) -> SocketAddr {
    SocketAddr::new(address, 0)
}

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) const fn ack(number: u32, mailslot: u16, offset: u32) -> Response {
    Response { number, mailslot, action: Action::Accepted { offset } }
}

pub(crate) const fn record(number: u32, mailslot: u16, action: Action) -> Response {
    Response { number, mailslot, action }
}

/// `len` octets that tell where they are.
pub(crate) fn octets(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from((at * 7 + at / 251) % 256).unwrap()).collect()
}
