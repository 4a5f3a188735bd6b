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
mod budget;
mod drain;
mod driver;
mod hostile;
mod inspect;
mod laws;
mod messages;
mod naming;
mod order;
mod pair;
mod proofs;
mod raw;
mod redial;
mod renewal;
mod resume;
mod session;
mod simulation;
mod telling;
mod waiting;
mod wire;
