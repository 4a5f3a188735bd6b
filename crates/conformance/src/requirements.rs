//! The requirements of a protocol, and the tests that are tagged with them.

use crate::case::LoadError;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// One entry of `docs/requirements/*.toml`.
#[derive(Clone, Debug, Deserialize)]
pub struct Requirement {
    /// The protocol, for example `smp-framing`; [`load`] fills it in.
    #[serde(skip)]
    pub system: String,
    /// For example `SMPF-R9`.
    pub id: String,
    /// `must`, `should` or `may`.
    pub level: String,
    /// The place in the source, the reading, or that it is ours.
    pub clause: String,
    /// What is required, in our own words.
    pub text: String,
    /// `done`, or `planned` where there is no proof yet.
    #[serde(default)]
    pub status: String,
}

#[derive(Deserialize)]
struct RequirementFile {
    requirement: Vec<Requirement>,
}

/// The requirements of a file's text.
///
/// # Errors
/// [`LoadError`] where it is no file of requirements.
pub fn parse(file: &str, text: &str) -> Result<Vec<Requirement>, LoadError> {
    let parsed: RequirementFile =
        toml::from_str(text).map_err(|error| LoadError { file: file.to_owned(), reason: error.to_string() })?;
    Ok(parsed.requirement)
}

/// The requirements of one protocol, in the order of their file.
///
/// # Errors
/// [`LoadError`] where the file is missing or wrong.
pub fn load(repository: &Path, system: &str) -> Result<Vec<Requirement>, LoadError> {
    let path = repository.join("docs/requirements").join(format!("{system}.toml"));
    let text = std::fs::read_to_string(&path)
        .map_err(|error| LoadError { file: path.display().to_string(), reason: error.to_string() })?;
    let mut requirements = parse(&format!("{system}.toml"), &text)?;
    requirements.iter_mut().for_each(|requirement| system.clone_into(&mut requirement.system));
    Ok(requirements)
}

/// How many tags of each id stand in test code below `crates`. Tags of tests that do not run by themselves are not counted.
///
/// That a tag is well formed and belongs to a test is what `cargo xtask reqs` checks; here they are only counted.
#[must_use]
pub fn tagged_tests(repository: &Path) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let mut directories = vec![repository.join("crates")];
    while let Some(directory) = directories.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        for path in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && let Ok(text) = std::fs::read_to_string(&path)
            {
                let is_test_file = path.components().any(|part| part.as_os_str() == "tests")
                    || path.file_name().is_some_and(|name| name == "tests.rs");
                for id in tags_in_tests(&text, is_test_file) {
                    *counts.entry(id).or_default() += 1;
                }
            }
        }
    }
    counts
}

/// The ids tagged in the test code of one file: all of it in a test file, else what stands behind `#[cfg(test)]` and its
/// `mod`.
fn tags_in_tests(text: &str, is_test_file: bool) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let opens_tests = |at: &usize| {
        let line = |at: usize| lines.get(at).copied().unwrap_or_default();
        line(*at).starts_with("#[cfg(test)]") && line(at + 1).starts_with("mod ") && line(at + 1).ends_with('{')
    };
    let from = if is_test_file { 0 } else { (0..lines.len()).find(opens_tests).unwrap_or(lines.len()) };
    let near = |at: usize| lines.get(at.saturating_sub(3)..(at + 4).min(lines.len())).unwrap_or_default();
    (from..lines.len())
        .filter(|at| !near(*at).iter().any(|line| line.starts_with("#[ignore")))
        .filter_map(|at| lines.get(at)?.strip_prefix("//= "))
        .flat_map(|ids| ids.split([' ', ',']).filter(|id| !id.is_empty()).map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tag lines, written so that this file has none by accident.
    fn tag(ids: &str) -> String {
        format!("//{} {ids}\n", '=')
    }

    #[test]
    fn tags_count_in_test_code_alone() {
        let text = format!(
            "{}fn f() {{}}\n#[cfg(test)]\nmod tests {{\n{}#[test]\nfn t() {{}}\n}}\n",
            tag("X-1"),
            tag("X-2 X-3")
        );
        assert_eq!(tags_in_tests(&text, false), ["X-2", "X-3"]);
        assert_eq!(tags_in_tests(&text, true), ["X-1", "X-2", "X-3"]);
    }

    #[test]
    fn tags_of_ignored_tests_do_not_count() {
        let text = format!("{}#[test]\n#[ignore = \"needs a program\"]\nfn t() {{}}\n", tag("X-1"));
        assert_eq!(tags_in_tests(&text, true), Vec::<String>::new());
    }

    #[test]
    fn the_requirements_of_this_repository_are_read() {
        let all = load(&crate::repository(), "smp-framing").unwrap();
        assert!(all.len() > 80);
        assert!(all.iter().all(|requirement| ["must", "should", "may"].contains(&requirement.level.as_str())));
        assert!(parse("x", "nothing = 1").is_err());
    }
}
