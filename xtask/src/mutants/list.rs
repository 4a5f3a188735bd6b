//! The lists of planted faults, and whether they still apply.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

use crate::run::{Fault, Root};

const FOLDER: &str = "crates/conformance/mutants";
/// A list has this many at least.
const COUNT_MIN: usize = 20;

/// A fault to plant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mutant {
    /// The list it stands in.
    pub(super) system: String,
    /// Its name.
    pub(super) id: String,
    /// Which file it is planted in, from the top of the repository.
    pub(super) file: String,
    /// What stands there, exactly once.
    pub(super) find: String,
    /// What is planted in its place.
    pub(super) replace: String,
    /// What is wrong then.
    pub(super) fault: String,
}

impl Mutant {
    /// The protocols whose cases have to notice it.
    pub(super) fn systems(&self) -> &[&'static str] {
        systems_of_list(&self.system)
    }

    /// True where `name` is its own or its list's.
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.id == name || self.system == name
    }
}

/// The lists, and the protocols that each is about.
const LISTS: [(&str, &[&str]); 4] =
    [("smp-framing", &["smp-framing"]), ("smp121", &["smp121"]), ("wrp", &["wrp", "wrp-ssp"]), ("smrp", &["smrp"])];

fn systems_of_list(list: &str) -> &'static [&'static str] {
    LISTS.iter().find(|(name, _)| *name == list).map_or(&[], |(_, systems)| systems)
}

/// The names of the lists, in order.
pub(super) fn systems() -> impl Iterator<Item = &'static str> {
    LISTS.iter().map(|(name, _)| *name)
}

/// The protocols of some mutants, each once.
pub(super) fn systems_of(mutants: &[&Mutant]) -> Vec<&'static str> {
    let all: BTreeSet<&'static str> = mutants.iter().flat_map(|mutant| mutant.systems()).copied().collect();
    all.into_iter().collect()
}

/// All lists, in order.
pub(super) fn load(root: &Root) -> Result<Vec<Mutant>> {
    let mut all = Vec::new();
    for (system, _) in LISTS {
        let file = format!("{FOLDER}/{system}.toml");
        let text = std::fs::read_to_string(root.path(&file)).with_context(|| format!("{file} cannot be read"))?;
        all.extend(read(system, &text).with_context(|| file.clone())?);
    }
    Ok(all)
}

/// The faults of one list.
pub(super) fn read(system: &str, text: &str) -> Result<Vec<Mutant>> {
    let table: toml::Table = text.parse()?;
    let entries = table.get("mutant").and_then(toml::Value::as_array).context("no [[mutant]]")?;
    let of = |entry: &toml::Value| {
        let get = |key: &str| {
            let text = entry.get(key).and_then(toml::Value::as_str).with_context(|| format!("a mutant without {key}"));
            text.map(str::to_owned)
        };
        Ok(Mutant {
            system: system.to_owned(),
            id: get("id")?,
            file: get("file")?,
            find: get("find")?,
            replace: get("replace")?,
            fault: get("fault")?,
        })
    };
    entries.iter().map(of).collect()
}

/// What is wrong with the lists: too short, names used twice, and faults that can no longer be planted.
pub(super) fn faults(root: &Root, all: &[Mutant]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (system, _) in LISTS {
        let count = all.iter().filter(|mutant| mutant.system == system).count();
        if count < COUNT_MIN {
            let what = format!("{FOLDER}/{system}.toml has {count} planted faults");
            faults.push(Fault::new(what, format!("there have to be {COUNT_MIN} at least")));
        }
    }
    let mut ids = BTreeSet::new();
    for mutant in all {
        if !ids.insert(&mutant.id) {
            faults.push(Fault::new(format!("two mutants are named {}", mutant.id), "give one another name"));
        }
        let source = std::fs::read_to_string(root.path(&mutant.file)).unwrap_or_default();
        if let Err(why) = applied(mutant, &source) {
            faults.push(Fault::new(
                format!("{} cannot be planted in {}: {why}", mutant.id, mutant.file),
                "the code has changed; plant the same fault in what stands there now",
            ));
        }
    }
    faults
}

/// The source with the fault in it.
pub(super) fn applied(mutant: &Mutant, source: &str) -> Result<String, String> {
    let Mutant { find, replace, fault, .. } = mutant;
    if find.trim().is_empty() || find == replace || fault.trim().is_empty() {
        return Err("it changes nothing, or does not say what is wrong".to_owned());
    }
    match source.matches(find.as_str()).count() {
        1 => Ok(source.replacen(find.as_str(), replace, 1)),
        count => Err(format!("what it replaces stands there {count} times")),
    }
}

/// The first of each list.
pub(super) fn first_of_each<'a>(mutants: &[&'a Mutant]) -> Vec<&'a Mutant> {
    let mut seen = BTreeSet::new();
    mutants.iter().copied().filter(|mutant| seen.insert(&mutant.system)).collect()
}
