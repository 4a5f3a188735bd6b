//! `cargo xtask mutants`: faults planted in the protocols, one at a time; the conformance cases have to notice each.

mod list;
mod scratch;

use std::time::Instant;

use anyhow::{Result, bail};

use crate::run::{self, Fault, Outcome, Root};
use list::Mutant;
use scratch::{Fate, Scratch};

const PAGE: &str = "docs/mutants.md";

const HEAD: &str = "\
# Planted faults

Written by `cargo xtask mutants --write`; do not edit. Each line is a fault that was planted in the code of a protocol, alone, and what the
conformance cases of that protocol said: how many of them failed, and the first. A fault that no case notices fails the command. The faults are
data, in `crates/conformance/mutants`.
";

/// What the command line asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    check: bool,
    few: bool,
    write: bool,
    /// Systems, or ids of mutants; all where there are none.
    names: Vec<String>,
}

fn parse(rest: &[String]) -> Result<Options, String> {
    let mut options = Options::default();
    for arg in rest {
        match arg.as_str() {
            "--check" => options.check = true,
            "--few" => options.few = true,
            "--write" => options.write = true,
            other if other.starts_with('-') => return Err(format!("unexpected argument {other:?}")),
            name => options.names.push(name.to_owned()),
        }
    }
    let are_systems = options.names.iter().all(|name| list::systems().any(|system| system == *name));
    if options.write && (options.check || options.few || !are_systems) {
        return Err("--write is for all mutants, or all of a system".to_owned());
    }
    Ok(options)
}

/// Checks the lists, or runs mutants.
pub(crate) fn command(root: &Root, rest: &[String]) -> Result<Outcome> {
    let options = match parse(rest) {
        Ok(options) => options,
        Err(why) => return Ok(Outcome::Misused(why)),
    };
    let all = list::load(root)?;
    let faults = list::faults(root, &all);
    let applies = run::verdict("mutants", &faults, &format!("{} planted faults apply", all.len()));
    if options.check || applies != Outcome::Passed {
        return Ok(applies);
    }
    let is_chosen =
        |mutant: &Mutant| options.names.is_empty() || options.names.iter().any(|name| mutant.is_named(name));
    let mut chosen: Vec<&Mutant> = all.iter().filter(|mutant| is_chosen(mutant)).collect();
    if options.few {
        chosen = list::first_of_each(&chosen);
    }
    if chosen.is_empty() {
        return Ok(Outcome::Misused(format!("no mutant or system is named {:?}", options.names)));
    }
    let fates = run_all(root, &chosen)?;
    let rows: Vec<(&Mutant, Fate)> = chosen.into_iter().zip(fates).collect();
    if options.write {
        let before = std::fs::read_to_string(root.path(PAGE)).unwrap_or_default();
        std::fs::write(root.path(PAGE), page(&before, &rows))?;
        say!("wrote {PAGE}");
    }
    let faults: Vec<Fault> = rows.iter().filter_map(|(mutant, fate)| fault_of(mutant, fate)).collect();
    Ok(run::verdict("mutants", &faults, &format!("all of {} planted faults were noticed", rows.len())))
}

/// The gate of CI: all still apply, and the first of each list is noticed.
pub(crate) fn gate(root: &Root) -> Result<Outcome> {
    command(root, &["--few".to_owned()])
}

fn run_all(root: &Root, chosen: &[&Mutant]) -> Result<Vec<Fate>> {
    let mut scratch = Scratch::new(root)?;
    let systems = list::systems_of(chosen);
    if let Fate::Caught { first, .. } | Fate::NoBuild { first } = scratch.run(None, &systems)? {
        bail!("without any planted fault the cases do not pass: {first}");
    }
    let mut fates = Vec::new();
    for (at, mutant) in chosen.iter().enumerate() {
        let begun = Instant::now();
        let fate = scratch.run(Some(mutant), mutant.systems())?;
        let took = begun.elapsed().as_secs_f64();
        say!("{:>3}/{} {:<44} {:<28} {took:>5.1} s", at + 1, chosen.len(), mutant.id, fate.brief());
        fates.push(fate);
    }
    Ok(fates)
}

fn fault_of(mutant: &Mutant, fate: &Fate) -> Option<Fault> {
    let Mutant { id, fault, .. } = mutant;
    match fate {
        Fate::Caught { .. } | Fate::Stuck => None,
        Fate::Survived => Some(Fault::new(
            format!("{id} survived: {fault}"),
            "write the case that notices it, in crates/conformance/cases",
        )),
        Fate::NoBuild { first } => Some(Fault::new(
            format!("{id} does not compile: {first}"),
            "a planted fault has to be one that a compiler lets through; correct it in crates/conformance/mutants",
        )),
    }
}

/// The page with the sections of the systems that were run; those of others stay.
fn page(before: &str, rows: &[(&Mutant, Fate)]) -> String {
    let mut text = HEAD.to_owned();
    for system in list::systems() {
        let heading = format!("\n## {system}\n");
        let of_system: Vec<_> = rows.iter().filter(|(mutant, _)| mutant.system == system).collect();
        if of_system.is_empty() {
            let section = before.split_once(&heading).map(|(_, behind)| behind.split("\n## ").next().unwrap_or(behind));
            let missing = format!("\nNot written yet: `cargo xtask mutants --write {system}`.\n");
            text = text + &heading + section.unwrap_or(&missing);
            continue;
        }
        let noticed = of_system.iter().filter(|(_, fate)| fate.is_noticed()).count();
        text.push_str(&format!("{heading}\n{noticed} of {} were noticed.\n\n", of_system.len()));
        text.push_str("| planted fault | where | failed | first |\n| --- | --- | --- | --- |\n");
        for (mutant, fate) in of_system {
            let file = mutant.file.strip_prefix("crates/").unwrap_or(&mutant.file);
            text.push_str(&format!("| {} | `{file}` | {} |\n", mutant.fault, fate.cells()));
        }
    }
    text
}

#[cfg(test)]
mod tests;
