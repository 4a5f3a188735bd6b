//! The gate on sizes and on what the papers say is there.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use crate::examples;
use crate::run::{self, Fault, Outcome, Root};

const LINES_MAX: usize = 600;
const PAPERS: [&str; 2] = ["README.md", "ARCHITECTURE.md"];
const FOLDERS: [&str; 6] = ["crates/", "xtask/", "docs/", "fuzz/", ".ci/", ".cargo/"];

/// Checks the whole workspace.
pub(crate) fn gate(root: &Root) -> Result<Outcome> {
    Ok(run::verdict(
        "tidy",
        &check(root)?,
        "files are short enough, the papers name what exists, wire examples are well formed",
    ))
}

fn check(root: &Root) -> Result<Vec<Fault>> {
    let mut faults = Vec::new();
    for folder in ["crates", "xtask", "fuzz"] {
        for path in run::files(&root.path(folder), ".rs")? {
            faults.extend(too_long(
                &path.strip_prefix(&root.0).unwrap_or(&path).to_string_lossy(),
                &run::text_of(&path)?,
            ));
        }
    }
    for path in run::files(&root.path("docs/wire"), ".md")? {
        let page = path.strip_prefix(&root.0).unwrap_or(&path).to_string_lossy();
        faults.extend(examples::check(&page, &run::text_of(&path)?));
    }
    for paper in PAPERS {
        let path = root.path(paper);
        if path.is_file() {
            faults.extend(missing_paths(paper, &run::text_of(&path)?, &root.0));
        } else {
            faults.push(Fault::new(format!("{paper} is missing"), "write it"));
        }
    }
    if let Ok(text) = run::text_of(&root.path("ARCHITECTURE.md")) {
        let mut crates = BTreeSet::new();
        for entry in std::fs::read_dir(root.path("crates"))? {
            let entry = entry?;
            if entry.path().join("Cargo.toml").is_file() {
                crates.insert(entry.file_name().to_string_lossy().into_owned());
            }
        }
        faults.extend(unnamed_crates(&text, &crates));
    }
    Ok(faults)
}

fn too_long(path: &str, text: &str) -> Option<Fault> {
    let lines = text.lines().count();
    let remedy = format!("cut it along an idea; {LINES_MAX} lines are the most, under 400 is the aim");
    (lines > LINES_MAX).then(|| Fault::new(format!("{path} has {lines} lines"), remedy))
}

/// Paths in backticks or links that do not exist. Patterns and placeholders are left alone.
fn missing_paths(paper: &str, text: &str, root: &Path) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fenced = false;
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        if fenced {
            continue;
        }
        let quoted =
            line.split('`').skip(1).step_by(2).filter(|code| FOLDERS.iter().any(|folder| code.starts_with(folder)));
        let linked = line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
        let linked = linked
            .filter(|link| !link.contains("://") && !link.starts_with(['#', '/']) && !link.starts_with("mailto:"));
        for path in quoted.chain(linked) {
            let bare = path.split(['#', ':', ' ']).next().unwrap_or_default();
            if !bare.contains(['*', '<', '{', '$', '…']) && !root.join(bare).exists() {
                faults.push(Fault::new(
                    format!("{paper}:{} names {path}, which does not exist", at + 1),
                    "correct the path or drop it",
                ));
            }
        }
    }
    faults
}

/// `crates/NAME` anywhere in the text is a name of a crate; so is any word, for the other direction.
fn unnamed_crates(text: &str, crates: &BTreeSet<String>) -> Vec<Fault> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let words: BTreeSet<&str> = text.split(|c: char| !is_name(c)).collect();
    let mut faults: Vec<Fault> = crates
        .iter()
        .filter(|name| !words.contains(name.as_str()))
        .map(|name| {
            Fault::new(format!("ARCHITECTURE.md does not name the crate {name}"), "say in a line what it is for")
        })
        .collect();
    let named: BTreeSet<&str> =
        text.split("crates/").skip(1).filter_map(|rest| rest.split(|c: char| !is_name(c)).next()).collect();
    for name in named.into_iter().filter(|name| !name.is_empty() && !crates.contains(*name)) {
        faults.push(Fault::new(
            format!("ARCHITECTURE.md names crates/{name}, which does not exist"),
            "correct it or drop it",
        ));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_hundred_lines_pass_and_one_more_is_red() {
        assert_eq!(too_long("a.rs", &"x\n".repeat(600)), None);
        assert!(too_long("a.rs", &"x\n".repeat(601)).is_some());
    }

    #[test]
    fn a_path_that_does_not_exist_is_red() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("crates/a/src")).unwrap();
        std::fs::write(folder.path().join("LICENSE"), "").unwrap();
        let fine = "See `crates/a/src`, `crates/*/b`, `tokio/net`, [licence](LICENSE#top) and [site](https://example.com/x).\n```\n`crates/no`\n```\n";
        assert_eq!(missing_paths("R", fine, folder.path()), []);
        assert_eq!(missing_paths("R", "`crates/b/src/lib.rs`", folder.path()).len(), 1);
        assert_eq!(missing_paths("R", "[guide](docs/guide.md)", folder.path()).len(), 1);
    }

    #[test]
    fn crates_and_architecture_must_name_each_other() {
        let crates = BTreeSet::from(["smp-framing".to_owned(), "wirekit".to_owned()]);
        assert_eq!(unnamed_crates("`crates/wirekit` and smp-framing.", &crates), []);
        assert_eq!(unnamed_crates("crates/wirekit only; smp-framing-x is another", &crates).len(), 1);
        let found = unnamed_crates("wirekit, smp-framing, crates/smp121/src", &crates);
        assert_eq!(found.len(), 1);
        assert!(found[0].what.contains("smp121"));
    }

    #[test]
    fn the_whole_gate_is_red_on_planted_faults() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("crates/a/src");
        std::fs::create_dir_all(&source).unwrap();
        std::fs::write(folder.path().join("crates/a/Cargo.toml"), "").unwrap();
        std::fs::write(source.join("lib.rs"), "\n").unwrap();
        for paper in PAPERS {
            std::fs::write(folder.path().join(paper), "crates/a\n").unwrap();
        }
        let root = Root(folder.path().to_path_buf());
        assert_eq!(check(&root).unwrap(), []);
        std::fs::write(source.join("lib.rs"), "\n".repeat(601)).unwrap();
        std::fs::write(folder.path().join("ARCHITECTURE.md"), "nothing\n").unwrap();
        std::fs::remove_file(folder.path().join("README.md")).unwrap();
        std::fs::create_dir_all(folder.path().join("docs/wire")).unwrap();
        std::fs::write(folder.path().join("docs/wire/x.md"), "```hex name=a\n01\n```\n").unwrap();
        assert_eq!(check(&root).unwrap().len(), 4);
    }
}
