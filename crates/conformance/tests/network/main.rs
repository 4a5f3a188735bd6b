//! Real sockets of protocol 121, one process at each end, in network namespaces that the tests make and that end with them.
//!
//! Needs root or `unshare -rn`, with util-linux, iproute2 and iptables; says in one line where it cannot run. What goes over
//! UDP on loopback needs nothing.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests and their helpers"
)]

mod child;
mod clean;
mod faults;
mod hostile;
mod lossy;
mod namespace;
mod rdos;
mod relay;
mod restarts;
mod roles;
mod udp;

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Raw IP has no ports.
fn raw(address: &str) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), 0)
}

/// One at a time, where a runner has the tests in one process: they measure, and the machine may be small.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
