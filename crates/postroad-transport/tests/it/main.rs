//! Carriers over real sockets on this machine, and their limits.

mod accept;
mod every_carrier;
mod handshakes;
mod mismatch;
mod support;
mod tcp;
mod tls;
mod unix_and_memory;
mod ws;
mod ws_server;
