//! Conformance cases as data, and their runner.
//!
//! A case is a list of steps in the words of [`case::Step`] and [`notation`]: what the peer sends, what the application does, what must
//! come of it. [`run::run`] runs one in process against our engine; [`report`] says which requirement has which proof.
#![forbid(unsafe_code)]

pub mod case;
pub mod engine;
pub mod notation;
pub mod output;
pub mod report;
pub mod requirements;
pub mod run;
pub mod smp121;
pub mod smrp;
pub mod smrp_run;
#[cfg(feature = "sockets")]
pub mod wire;
pub mod without;
pub mod wrp;

use case::Case;
use core::time::Duration;
use std::path::PathBuf;

/// The protocols that have cases, each in its folder.
pub const SYSTEMS: [&str; 5] = ["smp-framing", "smp121", "wrp", "wrp-ssp", "smrp"];

/// Runs a case of a protocol, for `timeout` at most.
///
/// # Errors
/// The first [`run::Failure`].
pub fn run_case(system: &str, case: &Case, timeout: Duration) -> Result<(), run::Failure> {
    match system {
        "smp121" => smp121::run(case),
        "wrp" | "wrp-ssp" => wrp::run(case),
        "smrp" => run::bounded(smrp_run::run, case, timeout),
        _ => run::run_bounded(case, timeout),
    }
}

/// The top of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", ".."].iter().collect()
}

/// The directory of the cases of a protocol, for example `smp-framing`.
#[must_use]
pub fn cases_directory(system: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "cases", system].iter().collect()
}
