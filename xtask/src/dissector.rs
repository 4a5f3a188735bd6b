//! `cargo xtask dissector`: keeps docs/wire/smp121.lua what the table of the layout says.

use anyhow::Result;

use crate::run::{self, Outcome, Root};

const FILE: &str = "docs/wire/smp121.lua";

/// Prints, writes or checks the dissector.
pub(crate) fn command(root: &Root, rest: &[String]) -> Result<Outcome> {
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    match rest[..] {
        [] => say!("{}", made(root)?.trim_end()),
        ["--check"] => return gate(root),
        ["--write"] => {
            std::fs::write(root.path(FILE), made(root)?)?;
            say!("wrote {FILE}");
        }
        _ => return Ok(Outcome::Misused(format!("unexpected arguments {rest:?}"))),
    }
    Ok(Outcome::Passed)
}

/// The committed file is what the table makes.
pub(crate) fn gate(root: &Root) -> Result<Outcome> {
    let committed = std::fs::read_to_string(root.path(FILE)).ok();
    let faults = run::stale(FILE, committed.as_deref(), &made(root)?, "dissector");
    Ok(run::verdict("dissector", &faults, &format!("{FILE} is current")))
}

fn made(root: &Root) -> Result<String> {
    run::cargo(root, &["run", "--quiet", "-p", "smp121", "--example", "dissector"]).read()
}
