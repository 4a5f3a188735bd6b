//! `cargo xtask spec`: the requirements of SMRP are the normative statements of docs/smrp.md, so that the two cannot drift apart.

use std::collections::BTreeMap;

use anyhow::Result;
use toml::Value;

use crate::manifest;
use crate::run::{self, Fault, Outcome, Root};

const SPECIFICATION: &str = "docs/smrp.md";
const REQUIREMENTS: &str = "docs/requirements/smrp.toml";
const VECTORS: &str = "docs/smrp-vectors.toml";
const PREFIX: &str = "SMRP-";

/// One normative statement.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Statement {
    id: String,
    level: String,
    clause: String,
    text: String,
    is_later: bool,
}

/// Compares, or writes with `--write`. What is done stays done.
pub(crate) fn command(root: &Root, rest: &[String]) -> Result<Outcome> {
    let write = match rest {
        [] => false,
        [arg] if arg == "--write" => true,
        [arg, ..] => return Ok(Outcome::Misused(format!("unexpected argument {arg:?}"))),
    };
    let statements = match statements(&run::text_of(&root.path(SPECIFICATION))?) {
        Ok(statements) => statements,
        Err(faults) => return Ok(run::verdict("spec", &faults, "")),
    };
    let path = root.path(REQUIREMENTS);
    let generated = requirements(&statements, &statuses(root)?);
    if write {
        std::fs::write(&path, &generated)?;
    }
    let committed = std::fs::read_to_string(&path).ok();
    let mut faults = run::stale(REQUIREMENTS, committed.as_deref(), &generated, "spec");
    let vectors = run::cargo(root, &["run", "--quiet", "-p", "conformance", "--", "--smrp-vectors"]).read()?;
    if write {
        std::fs::write(root.path(VECTORS), &vectors)?;
    }
    let committed = std::fs::read_to_string(root.path(VECTORS)).ok();
    faults.extend(run::stale(VECTORS, committed.as_deref(), &vectors, "spec"));
    Ok(run::verdict("spec", &faults, &format!("{} statements, as in {REQUIREMENTS}", statements.len())))
}

fn statuses(root: &Root) -> Result<BTreeMap<String, String>> {
    let path = root.path(REQUIREMENTS);
    if !path.is_file() {
        return Ok(BTreeMap::new());
    }
    let table = manifest::table(&path)?;
    let entries = manifest::tables(&table, "requirement").into_iter();
    let field = |entry: &toml::Table, key| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(entries.map(|entry| (field(entry, "id"), field(entry, "status"))).collect())
}

/// The items of the form `- **ID** *level* text`, with `*later*` before the level where it is for later.
fn statements(text: &str) -> Result<Vec<Statement>, Vec<Fault>> {
    let (mut list, mut faults, mut clause) = (Vec::<Statement>::new(), Vec::new(), String::new());
    for (number, line) in text.lines().enumerate() {
        if let Some(title) = line.strip_prefix("## ").or_else(|| line.strip_prefix("### ")) {
            clause = title.to_owned();
        }
        let Some((id, rest)) = line.strip_prefix("- **").and_then(|rest| rest.split_once("** ")) else { continue };
        if !id.starts_with(PREFIX) {
            continue;
        }
        let (is_later, rest) = rest.strip_prefix("*later* ").map_or((false, rest), |rest| (true, rest));
        let level = ["must", "should", "may"].into_iter().find(|level| rest.starts_with(&format!("*{level}* ")));
        let place = format!("{SPECIFICATION}:{}: {id}", number + 1);
        let Some(level) = level else {
            faults.push(Fault::new(
                format!("{place} has no level"),
                "write `*must*`, `*should*` or `*may*` behind the id",
            ));
            continue;
        };
        if list.iter().any(|other| other.id == id) {
            faults.push(Fault::new(format!("{place} is there twice"), "give one of them another id"));
        }
        let text = rest.split_at(level.len() + 3).1.to_owned();
        list.push(Statement { id: id.to_owned(), level: level.to_owned(), clause: clause.clone(), text, is_later });
    }
    if faults.is_empty() { Ok(list) } else { Err(faults) }
}

fn requirements(statements: &[Statement], statuses: &BTreeMap<String, String>) -> String {
    let mut out = String::from(
        "# The normative statements of docs/smrp.md, made by `cargo xtask spec --write`: change the text there.\n\nsystem = \"smrp\"\nprefix = \"SMRP\"\n",
    );
    for statement in statements {
        let status = match statuses.get(&statement.id) {
            Some(status) if status == "done" && !statement.is_later => "done",
            _ => "planned",
        };
        let quoted = |text: &str| Value::String(text.to_owned()).to_string();
        out.push_str(&format!(
            "\n[[requirement]]\nid = {}\nlevel = {}\nclause = {}\ntext = {}\nstatus = \"{status}\"\n",
            quoted(&statement.id),
            quoted(&statement.level),
            quoted(&statement.clause),
            quoted(&statement.text)
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "## 3. Things\n\n- **SMRP-C1** *must* One.\n- **SMRP-C2** *later* *should* Two.\n- **bold** no.\n";

    #[test]
    fn statements_keep_their_level_clause_and_status() {
        let list = statements(TEXT).unwrap();
        assert_eq!(list.len(), 2);
        assert_eq!((list[0].clause.as_str(), list[0].text.as_str(), list[0].is_later), ("3. Things", "One.", false));
        assert_eq!((list[1].level.as_str(), list[1].is_later), ("should", true));
        let done = ["SMRP-C1", "SMRP-C2"].map(|id| (id.to_owned(), "done".to_owned())).into();
        let text = requirements(&list, &done);
        assert_eq!(text.matches("status = \"done\"").count(), 1, "what is for later is never done");
        assert!(text.contains("text = \"One.\""), "{text}");
    }

    #[test]
    fn a_statement_without_level_or_twice_is_red() {
        assert_eq!(statements("- **SMRP-C1** One.").unwrap_err().len(), 1);
        assert_eq!(statements(&format!("{TEXT}{TEXT}")).unwrap_err().len(), 2);
    }
}
