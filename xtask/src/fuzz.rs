//! `cargo xtask fuzz-smoke`: each fuzz target for a short while, from committed seeds.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use toml::Value;

use crate::manifest;
use crate::run::{self, Fault, Outcome, Root};

/// How long each target runs unless told otherwise.
pub(crate) const SECONDS: u32 = 30;
const RSS_MIB_MAX: u32 = 2048;
/// How much of what libFuzzer says is shown of a run that found something: its recommended dictionary may follow the finding.
const LINES_MAX: usize = 400;

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Plan {
    seconds: u32,
    target: Option<String>,
}

fn parse(rest: &[String]) -> Result<Plan, String> {
    let mut plan = Plan { seconds: SECONDS, target: None };
    let mut args = rest.iter();
    while let Some(arg) = args.next() {
        let value = args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--seconds" => plan.seconds = value?.parse().map_err(|_| "--seconds takes a whole number".to_owned())?,
            "--target" => plan.target = Some(value?.clone()),
            _ => return Err(format!("unexpected argument {arg:?}")),
        }
    }
    if plan.seconds == 0 {
        return Err("--seconds 0 would run for ever".to_owned());
    }
    Ok(plan)
}

/// Runs the targets, one after the other.
pub(crate) fn command(root: &Root, rest: &[String]) -> Result<Outcome> {
    let plan = match parse(rest) {
        Ok(plan) => plan,
        Err(why) => return Ok(Outcome::Misused(why)),
    };
    let folder = root.path("fuzz");
    if !folder.join("Cargo.toml").is_file() {
        let fault = Fault::new(
            "there is no fuzz/Cargo.toml, so nothing can be fuzzed",
            "add the fuzz workspace with its targets",
        );
        return Ok(run::verdict("fuzz-smoke", &[fault], ""));
    }
    let targets = targets(&folder)?;
    let mut faults = check(&targets, &seeds(&folder)?);
    if let Some(name) = plan.target.as_ref().filter(|name| !targets.contains(*name)) {
        let known: Vec<&str> = targets.iter().map(String::as_str).collect();
        faults.push(Fault::new(format!("no fuzz target {name}"), format!("there are {}", known.join(", "))));
    }
    if run::verdict("fuzz-smoke", &faults, &format!("{} targets, each with seeds", targets.len())) == Outcome::Failed {
        return Ok(Outcome::Failed);
    }
    if let Some(outcome) = tools(root)? {
        return Ok(outcome);
    }
    let mut broken = Vec::new();
    for target in targets.iter().filter(|name| plan.target.as_ref().is_none_or(|only| only == *name)) {
        if fuzz_one(root, target, plan.seconds)? != Outcome::Passed {
            let again = format!("cargo +nightly fuzz run --fuzz-dir fuzz {target} fuzz/artifacts/{target}/NAME");
            broken
                .push(Fault::new(format!("{target} found something"), format!("see above; to run it again: {again}")));
        }
    }
    Ok(run::verdict("fuzz-smoke", &broken, &format!("nothing found in {} s each", plan.seconds)))
}

/// Nightly and cargo-fuzz; an outcome only if one cannot be had.
fn tools(root: &Root) -> Result<Option<Outcome>> {
    if !run::cargo(root, &["+nightly", "--version"]).works() {
        let fault = Fault::new("no nightly toolchain", "rustup toolchain install nightly --profile minimal");
        return Ok(Some(run::verdict("fuzz-smoke", &[fault], "")));
    }
    if run::cargo(root, &["+nightly", "fuzz", "--version"]).works() {
        return Ok(None);
    }
    let installed = run::cargo(root, &["install", "cargo-fuzz", "--locked"]).outcome()?;
    Ok((installed != Outcome::Passed).then_some(installed))
}

fn fuzz_one(root: &Root, target: &str, seconds: u32) -> Result<Outcome> {
    let corpus = format!("fuzz/corpus/{target}");
    std::fs::create_dir_all(root.path(&corpus)).with_context(|| format!("{corpus} cannot be made"))?;
    let seeds = format!("fuzz/seeds/{target}");
    let (time, memory) = (format!("-max_total_time={seconds}"), format!("-rss_limit_mb={RSS_MIB_MAX}"));
    let args = [
        "+nightly",
        "fuzz",
        "run",
        "--fuzz-dir",
        "fuzz",
        target,
        &corpus,
        &seeds,
        "--",
        &time,
        &memory,
        "-print_final_stats=1",
    ];
    let dictionary = format!("fuzz/dictionaries/{target}.dict");
    let mut run = run::cargo(root, &args);
    if root.path(&dictionary).is_file() {
        run = run.args([format!("-dict={dictionary}").as_str()]);
    }
    let (outcome, said) = run.quietly(LINES_MAX)?;
    if let Some(done) = said.iter().rev().find(|line| line.starts_with("Done ")).filter(|_| outcome == Outcome::Passed)
    {
        say!("{target}: {done}");
    }
    Ok(outcome)
}

fn targets(fuzz: &Path) -> Result<BTreeSet<String>> {
    let table = manifest::table(&fuzz.join("Cargo.toml"))?;
    let bins = manifest::tables(&table, "bin").into_iter();
    Ok(bins.filter_map(|bin| bin.get("name").and_then(Value::as_str)).map(str::to_owned).collect())
}

/// The targets that have at least one seed.
fn seeds(fuzz: &Path) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let Ok(entries) = std::fs::read_dir(fuzz.join("seeds")) else { return Ok(found) };
    for entry in entries {
        let entry = entry?;
        let filled = std::fs::read_dir(entry.path()).is_ok_and(|mut inner| inner.next().is_some());
        if filled {
            found.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(found)
}

fn check(targets: &BTreeSet<String>, seeds: &BTreeSet<String>) -> Vec<Fault> {
    let mut faults = Vec::new();
    if targets.is_empty() {
        faults.push(Fault::new("fuzz/Cargo.toml lists no targets", "add a [[bin]] for each"));
    }
    for target in targets.difference(seeds) {
        faults.push(Fault::new(
            format!("fuzz target {target} has no seeds"),
            format!("commit some inputs in fuzz/seeds/{target}"),
        ));
    }
    for folder in seeds.difference(targets) {
        faults.push(Fault::new(
            format!("fuzz/seeds/{folder} belongs to no target"),
            "list the target in fuzz/Cargo.toml or drop the seeds",
        ));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_and_seeds_must_match() {
        let folder = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let faults = || check(&targets(folder.path()).unwrap(), &seeds(folder.path()).unwrap());
        put("Cargo.toml", "[package]\nname = \"fuzz\"\n");
        assert_eq!(faults().len(), 1, "no targets at all");
        put("Cargo.toml", "[[bin]]\nname = \"decode\"\npath = \"x.rs\"\n");
        assert_eq!(faults().len(), 1, "a target without seeds");
        std::fs::create_dir_all(folder.path().join("seeds/decode")).unwrap();
        assert_eq!(faults().len(), 1, "an empty folder is no seed");
        put("seeds/decode/hello", "x");
        assert_eq!(faults(), []);
        put("seeds/gone/hello", "x");
        assert_eq!(faults().len(), 1, "seeds without a target");
    }

    #[test]
    fn arguments_are_checked() {
        let args = |list: &[&str]| parse(&list.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>());
        assert_eq!(args(&[]).unwrap(), Plan { seconds: SECONDS, target: None });
        assert_eq!(
            args(&["--seconds", "5", "--target", "t"]).unwrap(),
            Plan { seconds: 5, target: Some("t".to_owned()) }
        );
        for wrong in [&["--seconds"][..], &["--seconds", "x"], &["--seconds", "0"], &["fast", "x"]] {
            assert!(args(wrong).is_err(), "{wrong:?}");
        }
    }
}
