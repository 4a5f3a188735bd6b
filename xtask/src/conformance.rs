//! `cargo xtask conformance`: runs the cases, and keeps docs/conformance.md what the runner says.

use std::time::Duration;

use anyhow::Result;

use crate::run::{self, Outcome, Root};

const PAGE: &str = "docs/conformance.md";
/// All cases together take seconds; in CI they get this long.
const CASES_MAX: Duration = Duration::from_secs(300);
/// Those over sockets take seconds too.
const WIRE_MAX: Duration = Duration::from_secs(60);

/// Runs the cases, or writes or checks the page.
pub(crate) fn command(root: &Root, rest: &[String]) -> Result<Outcome> {
    match rest.first().map(String::as_str) {
        Some("--write") if rest.len() == 1 => {
            std::fs::write(root.path(PAGE), page(root)?)?;
            say!("wrote {PAGE}");
            Ok(Outcome::Passed)
        }
        Some("--check") if rest.len() == 1 => check_page(root),
        _ => run::cargo(root, &["run", "--quiet", "-p", "conformance", "--"]).args(run::behind_dashes(rest)).outcome(),
    }
}

/// The cases pass and the page is current. A case that never ends is a failure too.
pub(crate) fn gate(root: &Root) -> Result<Outcome> {
    run::cargo(root, &["build", "--quiet", "-p", "conformance"]).outcome()?.and(|| {
        let cases = run::cargo(root, &["run", "--quiet", "-p", "conformance"]);
        cases.within(CASES_MAX).outcome()?.and(|| check_page(root))
    })
}

/// Our own servers pass the wire cases, over every carrier.
pub(crate) fn wire_gate(root: &Root) -> Result<Outcome> {
    run::cargo(root, &["build", "--quiet", "-p", "conformance"]).outcome()?.and(|| {
        let cases = run::cargo(root, &["run", "--quiet", "-p", "conformance", "--", "--self"]);
        cases.within(WIRE_MAX).outcome()
    })
}

fn page(root: &Root) -> Result<String> {
    run::cargo(root, &["run", "--quiet", "-p", "conformance", "--", "--markdown"]).read()
}

fn check_page(root: &Root) -> Result<Outcome> {
    let committed = std::fs::read_to_string(root.path(PAGE)).ok();
    let faults = run::stale(PAGE, committed.as_deref(), &page(root)?, "conformance");
    Ok(run::verdict("conformance", &faults, &format!("{PAGE} is current")))
}
