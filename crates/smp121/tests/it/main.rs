//! The integration tests of the crate, in one binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests and their helpers"
)]

mod driver;
mod flows;
mod goodput;
mod hostile;
mod laws;
mod limits;
mod profiles;
mod rdos;
mod rig;
mod rules;
mod simulation;
mod wire;
