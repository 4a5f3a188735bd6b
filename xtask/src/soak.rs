//! `cargo xtask soak`: all stacks under load for minutes, with faults, and docs/soak.md, which is what one run said.

use std::time::Duration;

use anyhow::Result;

use crate::run::{self, Outcome, Root};

const PAGE: &str = "docs/soak.md";
/// The short run of CI, and what it may take with its beginning and end.
const SHORT: &str = "60";
const SHORT_MAX: Duration = Duration::from_secs(150);

/// Runs it, as long as is asked for.
pub(crate) fn command(root: &Root, rest: &[String]) -> Result<Outcome> {
    let args = run::with_page(rest, PAGE);
    run::cargo(root, &["build", "--release", "-p", "postroad-cli", "-p", "soak"]).outcome()?.and(|| {
        let tool = run::cargo(root, &["run", "--quiet", "--release", "-p", "soak", "--"]);
        tool.args(args.iter().copied()).outcome()
    })
}

/// A minute of all stacks, with the binaries as they are in development.
pub(crate) fn gate(root: &Root) -> Result<Outcome> {
    run::cargo(root, &["build", "--quiet", "-p", "postroad-cli", "-p", "soak"]).outcome()?.and(|| {
        let tool = run::cargo(root, &["run", "--quiet", "-p", "soak", "--", "--debug", "--seconds", SHORT]);
        tool.within(SHORT_MAX).outcome()
    })
}
