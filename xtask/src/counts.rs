//! `cargo xtask counts`: instructions and allocations of the hot paths stay what docs/counts.toml says.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

use crate::run::{self, Fault, Outcome, Root};

const FILE: &str = "docs/counts.toml";
const PROGRAM: &str = "target/release/counts";
/// Items of the two runs; their difference is what items take, without what a process takes.
const ITEMS: (u64, u64) = (1_000, 3_000);
/// How far a count may be from what is committed, in percent.
const SLACK: f64 = 3.0;
/// Allocations for an item that are too few to matter.
const ALLOCATIONS_SLACK: f64 = 0.05;

const HEAD: &str = "\
# What an item of each hot path of crates/counts takes, both ends: instructions as callgrind counts them, and allocations.
# Written by `cargo xtask counts --write`, held by `cargo xtask counts` to 3 %.
";

/// What an item takes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cost {
    instructions: f64,
    allocations: f64,
}

/// Checks or writes the counts.
pub(crate) fn command(root: &Root, rest: &[String]) -> Result<Outcome> {
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    match rest[..] {
        [] => gate(root),
        ["--write"] => {
            std::fs::write(root.path(FILE), written(&measured(root)?))?;
            say!("wrote {FILE}");
            Ok(Outcome::Passed)
        }
        _ => Ok(Outcome::Misused(format!("unexpected arguments {rest:?}"))),
    }
}

/// The committed counts are what the code takes.
pub(crate) fn gate(root: &Root) -> Result<Outcome> {
    let committed = std::fs::read_to_string(root.path(FILE)).with_context(|| format!("{FILE} cannot be read"))?;
    let (committed, measured) = (read(&committed)?, measured(root)?);
    let faults = compared(&committed, &measured);
    Ok(run::verdict("counts", &faults, &format!("{} hot paths take what {FILE} says", measured.len())))
}

fn measured(root: &Root) -> Result<BTreeMap<String, Cost>> {
    if run::cargo(root, &["build", "--release", "--quiet", "-p", "counts"]).outcome()? != Outcome::Passed {
        bail!("crates/counts does not build");
    }
    let program = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.path(PROGRAM), |dir| std::path::Path::new(&dir).join("release/counts"));
    let program = program.to_str().context("a path that is text")?;
    let names = run::program(root, program, &[]).read()?;
    let mut costs = BTreeMap::new();
    for name in names.lines() {
        let (few, many) = (counted(root, program, name, ITEMS.0)?, counted(root, program, name, ITEMS.1)?);
        #[allow(clippy::cast_precision_loss, reason = "counts below 2^52")]
        let per_item = |few: u64, many: u64| many.saturating_sub(few) as f64 / (ITEMS.1 - ITEMS.0) as f64;
        let cost = Cost { instructions: per_item(few.0, many.0), allocations: per_item(few.1, many.1) };
        say!("{name:<20} {:>10.0} instructions {:>8.2} allocations", cost.instructions, cost.allocations);
        costs.insert(name.to_owned(), cost);
    }
    Ok(costs)
}

/// Instructions and allocations of one run.
fn counted(root: &Root, program: &str, name: &str, items: u64) -> Result<(u64, u64)> {
    let items = items.to_string();
    // What callgrind says goes to standard output as well, behind what the program says.
    let args = ["--tool=callgrind", "--callgrind-out-file=/dev/null", "--log-fd=1", program, name, &items];
    let said = run::program(root, "valgrind", &args).read()?;
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let instructions = said.lines().find_map(|line| number(line.split_once("Collected :")?.1));
    let allocations = said.lines().find_map(number);
    instructions.zip(allocations).with_context(|| format!("{name} was not counted: {said}"))
}

fn written(costs: &BTreeMap<String, Cost>) -> String {
    let mut out = HEAD.to_owned();
    for (name, cost) in costs {
        out.push_str(&format!(
            "\n[{name}]\ninstructions = {:.0}\nallocations = {:.2}\n",
            cost.instructions, cost.allocations
        ));
    }
    out
}

fn read(text: &str) -> Result<BTreeMap<String, Cost>> {
    let table: toml::Table = text.parse().context(FILE)?;
    let number = |path: &toml::Value, key: &str| {
        let value = path.get(key).and_then(|value| value.as_float().or(value.as_integer().map(|whole| whole as f64)));
        value.with_context(|| format!("{FILE}: a path without {key}"))
    };
    table
        .iter()
        .map(|(name, path)| {
            let (instructions, allocations) = (number(path, "instructions")?, number(path, "allocations")?);
            Ok((name.clone(), Cost { instructions, allocations }))
        })
        .collect()
}

fn compared(committed: &BTreeMap<String, Cost>, measured: &BTreeMap<String, Cost>) -> Vec<Fault> {
    let remedy = "find out what changed; where it has to be so, `cargo xtask counts --write` and say why in the commit";
    let mut faults = Vec::new();
    for name in committed.keys().filter(|name| !measured.contains_key(*name)) {
        faults.push(Fault::new(format!("{FILE} has {name}, crates/counts has not"), remedy));
    }
    for (name, cost) in measured {
        let Some(before) = committed.get(name) else {
            faults.push(Fault::new(format!("{FILE} does not have {name}"), remedy));
            continue;
        };
        let change = (cost.instructions / before.instructions - 1.0) * 100.0;
        if change.abs() > SLACK + 1e-9 {
            let (now, then) = (cost.instructions, before.instructions);
            faults.push(Fault::new(
                format!("{name} takes {now:.0} instructions, not {then:.0} ({change:+.1} %)"),
                remedy,
            ));
        }
        let most = (before.allocations * SLACK / 100.0).max(ALLOCATIONS_SLACK);
        if (cost.allocations - before.allocations).abs() > most + 1e-9 {
            let (now, then) = (cost.allocations, before.allocations);
            faults.push(Fault::new(format!("{name} allocates {now:.2} times, not {then:.2}"), remedy));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(list: &[(&str, f64, f64)]) -> BTreeMap<String, Cost> {
        let cost = |&(name, instructions, allocations): &(&str, f64, f64)| {
            (name.to_owned(), Cost { instructions, allocations })
        };
        list.iter().map(cost).collect()
    }

    #[test]
    fn what_is_written_is_read_and_is_what_was_measured() {
        let all = costs(&[("a", 1_000.0, 0.0), ("b", 25.0, 3.5)]);
        assert_eq!(read(&written(&all)).unwrap(), all);
        assert_eq!(compared(&all, &all), []);
    }

    #[test]
    fn a_count_beyond_three_percent_is_red_in_both_directions() {
        let before = costs(&[("a", 1_000.0, 2.0)]);
        let faults = |instructions, allocations| compared(&before, &costs(&[("a", instructions, allocations)])).len();
        assert_eq!((faults(1_030.0, 2.0), faults(1_031.0, 2.0)), (0, 1));
        assert_eq!(
            (faults(970.0, 2.0), faults(969.0, 2.0)),
            (0, 1),
            "a gain is written down, or the next loss hides in it"
        );
        assert_eq!((faults(1_000.0, 2.06), faults(1_000.0, 2.07)), (0, 1));
        assert_eq!(compared(&before, &costs(&[("b", 1.0, 1.0)])).len(), 2, "one gone, one new");
    }
}
