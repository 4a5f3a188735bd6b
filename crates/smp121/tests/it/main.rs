//! The integration tests of the crate, in one binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests and their helpers"
)]

mod flows;
mod limits;
mod rig;
mod rules;
mod simulation;
mod wire;
