//! `cargo xtask interop`: fetches a foreign program and runs the exchanges with it. The exchanges are tests of the conformance crate, marked as ignored
//! there because they need the program.

use std::path::Path;

use anyhow::Result;

use crate::run::{self, Counts, Fault, Outcome, Root};
use crate::test;

const FOLDER: &str = "target/interop";
const PACKAGE: &str = "smp";
const VERSION: &str = "1.1.3";

/// Runs the exchanges with one named program.
pub(crate) fn command(root: &Root, rest: &[String]) -> Result<Outcome> {
    match rest {
        [name] if name == "npm-smp" => npm_smp(root),
        [] => Ok(Outcome::Misused("which program? npm-smp is known".to_owned())),
        [name, ..] => Ok(Outcome::Misused(format!("no program {name:?}; npm-smp is known"))),
    }
}

/// Installs the npm package and exchanges messages with it.
pub(crate) fn npm_smp(root: &Root) -> Result<Outcome> {
    let faults: Vec<Fault> = ["node", "npm"]
        .into_iter()
        .filter(|name| !run::program(root, name, &["--version"]).works())
        .map(|name| {
            Fault::new(format!("{name} does not run"), "install Node.js with npm (Debian: apt-get install nodejs npm)")
        })
        .collect();
    if !faults.is_empty() {
        return Ok(run::verdict("interop", &faults, ""));
    }
    let package = root.path(FOLDER).join("node_modules").join(PACKAGE);
    if !is_installed(&package) {
        std::fs::create_dir_all(root.path(FOLDER))?;
        let spec = format!("{PACKAGE}@{VERSION}");
        let args = ["install", "--prefix", FOLDER, "--ignore-scripts", "--no-save", "--no-audit", "--no-fund", &spec];
        if run::program(root, "npm", &args).outcome()? == Outcome::Failed {
            return Ok(Outcome::Failed);
        }
    }
    let installed = is_installed(&package);
    let fault = (!installed).then(|| {
        Fault::new(
            format!("{PACKAGE} {VERSION} is not in {FOLDER} after its installation"),
            "delete the folder and try again",
        )
    });
    if run::verdict("interop", fault.as_slice(), &format!("npm {PACKAGE} {VERSION} is in {FOLDER}")) == Outcome::Failed
    {
        return Ok(Outcome::Failed);
    }
    let runner = exchanges(test::has_nextest(root));
    let (outcome, counts) = run::cargo(root, runner).env("POSTROAD_NPM_SMP", &package).counted()?;
    outcome.and(|| {
        Ok(run::verdict("interop", ran_nothing(counts).as_slice(), &format!("{} exchanges hold", counts.passed)))
    })
}

/// The command that runs the exchanges; cargo-nextest ends one that hangs.
fn exchanges(nextest: bool) -> &'static [&'static str] {
    if nextest {
        &[
            "nextest",
            "run",
            "--config-file",
            test::NEXTEST,
            "--no-fail-fast",
            "--run-ignored",
            "only",
            "-p",
            "conformance",
            "--test",
            "interop",
        ]
    } else {
        &["test", "-p", "conformance", "--test", "interop", "--", "--ignored"]
    }
}

fn is_installed(package: &Path) -> bool {
    let json = std::fs::read_to_string(package.join("package.json")).unwrap_or_default();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap_or_default();
    json.get("version").and_then(|version| version.as_str()) == Some(VERSION)
}

fn ran_nothing(counts: Counts) -> Option<Fault> {
    let remedy = "the exchanges are #[ignore]d tests in the conformance crate's test `interop`; there has to be one";
    (counts.passed == 0).then(|| Fault::new("no exchange ran", remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_a_single_exchange_is_red() {
        assert!(ran_nothing(Counts::default()).is_some());
        assert!(ran_nothing(Counts { passed: 1, failed: 0 }).is_none());
    }

    #[test]
    fn only_the_pinned_version_counts_as_installed() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_installed(folder.path()));
        std::fs::write(folder.path().join("package.json"), r#"{"version":"1.0.8"}"#).unwrap();
        assert!(!is_installed(folder.path()));
        std::fs::write(folder.path().join("package.json"), r#"{"version":"1.1.3"}"#).unwrap();
        assert!(is_installed(folder.path()));
    }
}
