//! Carriers over real sockets on this machine, and their limits.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "helpers of tests fail by panicking, as tests do"
)]

mod accept;
#[cfg(target_os = "linux")]
mod datagrams;
mod dead_network;
mod every_carrier;
mod handshakes;
mod memory_datagrams;
mod mismatch;
mod support;
mod tcp;
mod tls;
mod unix_and_memory;
mod ws;
mod ws_messages;
mod ws_server;
