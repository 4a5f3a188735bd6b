//! Tests of smrp: the wire, sessions in pairs, hostile peers, simulations, real carriers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests and their helpers"
)]

mod auth;
mod bounds;
mod drain;
mod driver;
mod hostile;
mod laws;
mod order;
mod pair;
mod raw;
mod redial;
mod resume;
mod session;
mod simulation;
mod wire;
