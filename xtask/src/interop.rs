//! `cargo xtask interop`: fetches foreign programs and runs the exchanges with them. The exchanges are tests of the conformance crate, marked as ignored
//! there because they need the programs.

use std::path::Path;

use anyhow::Result;

use crate::run::{self, Counts, Fault, Outcome, Root};
use crate::test;

const FOLDER: &str = "target/interop";

/// A foreign program, or what one of ours is made of.
struct Program {
    /// Its name on the command line.
    name: &'static str,
    /// The packages and their versions.
    packages: &'static [(&'static str, &'static str)],
    /// What the exchanges find the packages by, and what it says.
    variable: &'static str,
    folder: &'static str,
    /// The test of the conformance crate that has the exchanges.
    test: &'static str,
}

const PROGRAMS: [Program; 2] = [
    Program {
        name: "npm-smp",
        packages: &[("smp", "1.1.3")],
        variable: "POSTROAD_NPM_SMP",
        folder: "target/interop/node_modules/smp",
        test: "interop",
    },
    Program {
        name: "npm-wrp",
        packages: &[("ws", "8.23.0"), ("@msgpack/msgpack", "3.1.3")],
        variable: "POSTROAD_NPM_WRP",
        folder: FOLDER,
        test: "devices",
    },
];

/// The names of all programs, for messages.
fn names() -> String {
    PROGRAMS.map(|program| program.name).join(" and ")
}

/// Runs the exchanges with one named program.
pub(crate) fn command(root: &Root, rest: &[String]) -> Result<Outcome> {
    match rest {
        [name] if PROGRAMS.iter().any(|program| program.name == name) => exchange(root, name),
        [] => Ok(Outcome::Misused(format!("which program? {} are known", names()))),
        [name, ..] => Ok(Outcome::Misused(format!("no program {name:?}; {} are known", names()))),
    }
}

/// The programs, for the steps of CI.
pub(crate) fn programs() -> [&'static str; 2] {
    PROGRAMS.map(|program| program.name)
}

/// Installs the packages and exchanges messages with them.
pub(crate) fn exchange(root: &Root, name: &str) -> Result<Outcome> {
    let Some(program) = PROGRAMS.iter().find(|program| program.name == name) else {
        return Ok(Outcome::Misused(format!("no program {name:?}; {} are known", names())));
    };
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
    let package = |name: &str| root.path(FOLDER).join("node_modules").join(name);
    let missing = || program.packages.iter().filter(|(name, version)| !is_installed(&package(name), version));
    let specs: Vec<String> = missing().map(|(name, version)| format!("{name}@{version}")).collect();
    if !specs.is_empty() {
        std::fs::create_dir_all(root.path(FOLDER))?;
        // npm removes what it is not told of: the packages of all programs go together.
        let all = PROGRAMS.iter().flat_map(|program| program.packages);
        let all: Vec<String> = all.map(|(name, version)| format!("{name}@{version}")).collect();
        let fixed = ["install", "--prefix", FOLDER, "--ignore-scripts", "--no-save", "--no-audit", "--no-fund"];
        let args: Vec<&str> = fixed.into_iter().chain(all.iter().map(String::as_str)).collect();
        if run::program(root, "npm", &args).outcome()? == Outcome::Failed {
            return Ok(Outcome::Failed);
        }
    }
    let faults: Vec<Fault> = missing()
        .map(|(name, version)| {
            let what = format!("{name} {version} is not in {FOLDER} after its installation");
            Fault::new(what, "delete the folder and try again")
        })
        .collect();
    if run::verdict("interop", &faults, &format!("the packages of {name} are in {FOLDER}")) == Outcome::Failed {
        return Ok(Outcome::Failed);
    }
    let runner = exchanges(test::has_nextest(root), program.test);
    let (outcome, counts) = run::cargo(root, &runner).env(program.variable, root.path(program.folder)).counted()?;
    outcome.and(|| {
        Ok(run::verdict("interop", ran_nothing(counts).as_slice(), &format!("{} exchanges hold", counts.passed)))
    })
}

/// The command that runs the exchanges; cargo-nextest ends one that hangs.
fn exchanges(nextest: bool, test: &'static str) -> Vec<&'static str> {
    if nextest {
        let fixed = ["nextest", "run", "--config-file", test::NEXTEST, "--no-fail-fast", "--run-ignored", "only"];
        fixed.into_iter().chain(["-p", "conformance", "--test", test]).collect()
    } else {
        vec!["test", "-p", "conformance", "--test", test, "--", "--ignored"]
    }
}

fn is_installed(package: &Path, version: &str) -> bool {
    let json = std::fs::read_to_string(package.join("package.json")).unwrap_or_default();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap_or_default();
    json.get("version").and_then(|found| found.as_str()) == Some(version)
}

fn ran_nothing(counts: Counts) -> Option<Fault> {
    let remedy = "the exchanges are #[ignore]d tests in the conformance crate's tests `interop` and `devices`; there has to be one";
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
        assert!(!is_installed(folder.path(), "1.1.3"));
        std::fs::write(folder.path().join("package.json"), r#"{"version":"1.0.8"}"#).unwrap();
        assert!(!is_installed(folder.path(), "1.1.3"));
        std::fs::write(folder.path().join("package.json"), r#"{"version":"1.1.3"}"#).unwrap();
        assert!(is_installed(folder.path(), "1.1.3"));
    }
}
