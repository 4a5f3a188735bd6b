//! Requirements that cannot have a case of some kind, each with the reason: `cases/without.toml`.
//!
//! Every MUST that is done has a case that keeps it and one that breaks it. Where that cannot be, the file says so, and is wrong as soon
//! as there is one all the same.

use crate::case::{Kind, LoadError};
use crate::report::Coverage;
use crate::requirements::Requirement;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::Path;

/// Protocols whose MUSTs have to have a case of each kind; those of the others are listed and counted.
pub const BOTH_KINDS_DUE: &[&str] = &["smp121", "smp-framing", "wrp", "wrp-ssp", "smrp"];

/// Requirements that lack cases for one reason.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Without {
    /// What they have no case of.
    pub lacks: Lacks,
    /// Why not, and what shows them instead.
    pub reason: String,
    /// The requirements.
    pub ids: Vec<String>,
}

/// The kinds of cases that a requirement lacks.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Lacks {
    /// No case can keep it.
    Positive,
    /// No case can break it.
    Negative,
    /// Neither.
    Both,
}

impl Lacks {
    /// Does that include cases of this kind?
    #[must_use]
    pub const fn includes(self, kind: Kind) -> bool {
        matches!((self, kind), (Self::Both, _) | (Self::Positive, Kind::Positive) | (Self::Negative, Kind::Negative))
    }

    /// As the file has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Positive => "positive",
            Self::Negative => "negative",
            Self::Both => "both",
        }
    }
}

#[derive(Deserialize)]
struct WithoutFile {
    without: Vec<Without>,
}

/// The entries of a file's text.
///
/// # Errors
/// [`LoadError`] where it is no such file.
pub fn parse(file: &str, text: &str) -> Result<Vec<Without>, LoadError> {
    let parsed: WithoutFile =
        toml::from_str(text).map_err(|error| LoadError { file: file.to_owned(), reason: error.to_string() })?;
    Ok(parsed.without)
}

/// The entries of this repository.
///
/// # Errors
/// [`LoadError`] where the file is missing or wrong.
pub fn load(repository: &Path) -> Result<Vec<Without>, LoadError> {
    let path = repository.join("crates/conformance/cases/without.toml");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| LoadError { file: path.display().to_string(), reason: error.to_string() })?;
    parse("without.toml", &text)
}

/// The entries without the ids that are not among `requirements`: of all those of one protocol.
#[must_use]
pub fn about(mut without: Vec<Without>, requirements: &[Requirement]) -> Vec<Without> {
    for entry in &mut without {
        entry.ids.retain(|id| requirements.iter().any(|requirement| requirement.id == *id));
    }
    without.retain(|entry| !entry.ids.is_empty());
    without
}

/// The kinds of cases that a requirement has to have, has not, and has no reason to lack.
#[must_use]
pub fn missing(coverage: &Coverage, without: &[Without]) -> Vec<Kind> {
    let is_due = coverage.requirement.level == "must" && coverage.requirement.status == "done";
    let is_excused = |kind: Kind| {
        let of = |entry: &&Without| entry.lacks.includes(kind) && entry.ids.contains(&coverage.requirement.id);
        without.iter().any(|entry| of(&entry))
    };
    let lacks = |kind: &Kind| is_due && coverage.count_of(*kind) == 0 && !is_excused(*kind);
    [Kind::Positive, Kind::Negative].into_iter().filter(lacks).collect()
}

/// What is wrong with the file itself: ids that nothing has, ids that are there twice, and reasons for a lack that there is not.
#[must_use]
pub fn faults(coverage: &[Coverage], without: &[Without]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    for entry in without {
        if entry.reason.trim().is_empty() {
            faults.push(format!("without.toml gives no reason for {}", entry.ids.join(" ")));
        }
        for id in &entry.ids {
            let Some(coverage) = coverage.iter().find(|coverage| coverage.requirement.id == *id) else {
                faults.push(format!("without.toml names {id}, which is no requirement"));
                continue;
            };
            for kind in [Kind::Positive, Kind::Negative].into_iter().filter(|kind| entry.lacks.includes(*kind)) {
                if coverage.count_of(kind) > 0 {
                    faults.push(format!("without.toml says that {id} has no {} case, and it has", kind.name()));
                }
                if !seen.insert((id, kind.name())) {
                    faults.push(format!("without.toml names {id} twice"));
                }
            }
        }
    }
    faults
}
