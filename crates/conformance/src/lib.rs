//! Conformance cases as data, and their runner.
//!
//! A case is a list of steps in the words of [`case::Step`] and [`notation`]: what the peer sends, what the application does, what must
//! come of it. [`run::run`] runs one in process against our engine; [`report`] says which requirement has which proof.
#![forbid(unsafe_code)]

pub mod case;
pub mod engine;
pub mod notation;
pub mod report;
pub mod requirements;
pub mod run;

use std::path::PathBuf;

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
