//! `cargo xtask attack`: attacks on the release binary, and docs/attacks.md, which is what one full run said.

use std::time::Duration;

use anyhow::Result;

use crate::run::{self, Outcome, Root};

const PAGE: &str = "docs/attacks.md";
/// The short run of CI: what needs no quiet machine.
const SHORT: &str = "rapid-reset,provoked-resets,pings,slow-reader-large,stream-exhaustion,lying-length";
const SHORT_MAX: Duration = Duration::from_secs(120);

/// Runs attacks, or runs all and writes the page.
pub(crate) fn command(root: &Root, rest: &[String]) -> Result<Outcome> {
    let args = run::with_page(rest, PAGE);
    run::cargo(root, &["build", "--release", "-p", "postroad-cli"]).outcome()?.and(|| {
        let tool = run::cargo(root, &["run", "--quiet", "-p", "attack", "--"]);
        tool.args(args.iter().copied()).outcome()
    })
}

/// Six attacks of a second each on the binary as it is in development, judged by memory and life alone; memory by twice the bound, as that
/// binary is not the one that is promised about.
pub(crate) fn gate(root: &Root) -> Result<Outcome> {
    run::cargo(root, &["build", "--quiet", "-p", "postroad-cli", "-p", "attack"]).outcome()?.and(|| {
        let tool = run::cargo(root, &["run", "--quiet", "-p", "attack", "--", "--debug", "--no-times"]);
        tool.args(["--memory-times", "2", "--seconds", "1", "--only", SHORT]).within(SHORT_MAX).outcome()
    })
}
