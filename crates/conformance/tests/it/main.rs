//! The runner itself: that it passes what is right and finds what is wrong, in cases and in engines.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

use conformance::case::{Case, Kind, Settings};

/// A case that no file has.
fn made_up(steps: &[&str]) -> Case {
    Case {
        id: "made-up".into(),
        requirements: vec![],
        kind: Kind::Positive,
        why: String::new(),
        config: Settings::default(),
        steps: steps.iter().map(|step| (*step).to_owned()).collect(),
    }
}

mod cases;
mod command;
mod faults;
mod simulation;
mod smp121;
mod smrp;
mod smrp_run;
mod wire;
mod wrp;
