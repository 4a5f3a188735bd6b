//! `cargo xtask models`: all orders of threads for shared state that was written by hand, by loom.

use std::time::Duration;

use anyhow::Result;

use crate::run::{self, Outcome, Root};

/// The crates that have models.
const CRATES: [&str; 4] = ["smrp", "smp-framing", "postroad-transport", "postroad"];
/// All models together, once they are built: they take some 50 s, and more beside other work.
const TIME_MAX: Duration = Duration::from_secs(180);

/// Builds with other flags, so in a folder of its own, and runs the models of each crate.
pub(crate) fn gate(root: &Root) -> Result<Outcome> {
    let cargo = |last: &[&str]| {
        let packages = CRATES.iter().flat_map(|name| ["-p", name]);
        let args = ["test", "--quiet", "--lib", "--target-dir", "target/models"].into_iter().chain(packages);
        run::cargo(root, &[]).args(args).args(last.iter().copied()).env("RUSTFLAGS", "--cfg postroad_model")
    };
    cargo(&["--no-run"]).outcome()?.and(|| cargo(&["models::"]).within(TIME_MAX).outcome())
}
