//! Exchanges with npm `smp` 1.1.3, a program that nobody here wrote, over TCP on the loopback.
//!
//! They need Node.js and the package, so they are ignored unless asked for: `cargo xtask interop npm-smp` installs it, sets `POSTROAD_NPM_SMP`
//! to its directory and runs them. What works between the two is the matrix of the package's facts: whole messages and control units
//! both ways, towards it never without arguments; ERROR and code 14 with three arguments towards it; no frames.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod cut;
mod echo;
mod exchanges;
mod peer;
