//! The runner itself: that it passes what is right and finds what is wrong, in cases and in engines.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod cases;
mod command;
mod faults;
mod simulation;
mod smp121;
mod smrp;
mod smrp_run;
mod wire;
mod wrp;
