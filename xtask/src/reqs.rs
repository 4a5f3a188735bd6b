//! The gate on requirements: docs/requirements/*.toml against the tags in the code and the conformance cases.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use toml::{Table, Value};

use crate::manifest;
use crate::run::{self, Fault, Outcome, Root};
use crate::tags::{self, Kind};

const FOLDER: &str = "docs/requirements";
const CODE: [&str; 3] = ["crates", "xtask", "fuzz"];
const CASES: &str = "crates/conformance/cases";

/// One entry of a requirements file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    id: String,
    level: String,
    status: String,
    file: String,
}

/// Where an id is named.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Mentions {
    tests: BTreeSet<String>,
    ignored: BTreeSet<String>,
    code: BTreeSet<String>,
}

/// Everything the gate looks at.
#[derive(Debug, Default)]
struct Survey {
    requirements: Vec<Requirement>,
    mentions: BTreeMap<String, Mentions>,
    faults: Vec<Fault>,
}

/// `cargo xtask reqs`.
pub(crate) fn command(root: &Root, rest: &[String]) -> Result<Outcome> {
    let (mut show_table, mut write) = (false, false);
    for arg in rest {
        match arg.as_str() {
            "--table" => show_table = true,
            "--write" => write = true,
            other => return Ok(Outcome::Misused(format!("unexpected argument {other:?}"))),
        }
    }
    if write {
        mark_done(root)?;
    }
    let survey = survey(root)?;
    if show_table {
        say!("{}", table(&survey).trim_end());
    }
    let faults = judge(&survey);
    let (done, ready) = (count(&survey, "done"), ready(&survey));
    let mut fine = format!(
        "{} requirements, {done} done and tested, {} planned",
        survey.requirements.len(),
        count(&survey, "planned")
    );
    if !ready.is_empty() {
        fine.push_str(&format!(
            "; {} planned ones have a test (`cargo xtask reqs --write` marks them as done)",
            ready.len()
        ));
    }
    Ok(run::verdict("reqs", &faults, &fine))
}

fn count(survey: &Survey, status: &str) -> usize {
    survey.requirements.iter().filter(|requirement| requirement.status == status).count()
}

/// Ids that are planned and have a test.
fn ready(survey: &Survey) -> BTreeSet<String> {
    let tested = |id: &String| survey.mentions.get(id).is_some_and(|mentions| !mentions.tests.is_empty());
    let planned = survey.requirements.iter().filter(|requirement| requirement.status == "planned");
    planned.map(|requirement| requirement.id.clone()).filter(tested).collect()
}

fn survey(root: &Root) -> Result<Survey> {
    let mut survey = Survey::default();
    let mut prefixes = Vec::new();
    for path in run::files(&root.path(FOLDER), ".toml")? {
        let (name, table) = (relative(root, &path), manifest::table(&path)?);
        prefixes.extend(table.get("prefix").and_then(Value::as_str).map(str::to_owned));
        survey.read_requirements(&name, &table);
    }
    for folder in CODE {
        for path in run::files(&root.path(folder), ".rs")? {
            survey.read_code(&relative(root, &path), &run::text_of(&path)?, &prefixes);
        }
    }
    for path in run::files(&root.path(CASES), ".toml")? {
        let name = relative(root, &path);
        survey.read_cases(&name, &Value::Table(manifest::table(&path)?));
    }
    Ok(survey)
}

fn relative(root: &Root, path: &std::path::Path) -> String {
    path.strip_prefix(&root.0).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

impl Survey {
    fn read_requirements(&mut self, file: &str, table: &Table) {
        let prefix = table.get("prefix").and_then(Value::as_str);
        if prefix.is_none() {
            self.faults.push(Fault::new(format!("{file}: no `prefix`"), "say at its head how its ids begin"));
        }
        for entry in manifest::tables(table, "requirement") {
            let field = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let id = field("id");
            for key in ["id", "level", "clause", "text", "status"] {
                if field(key).trim().is_empty() {
                    self.faults.push(Fault::new(
                        format!("{file}: {id}: `{key}` is missing"),
                        "every entry has all five fields",
                    ));
                }
            }
            let mut one_of = |key: &str, values: &[&str]| {
                if !values.contains(&field(key).as_str()) {
                    let what = format!("{file}: {id}: `{key}` is {:?}", field(key));
                    self.faults.push(Fault::new(what, format!("it is one of {}", values.join(", "))));
                }
            };
            one_of("level", &["must", "should", "may"]);
            one_of("status", &["done", "planned"]);
            if prefix.is_some_and(|prefix| !id.starts_with(&format!("{prefix}-"))) {
                self.faults.push(Fault::new(
                    format!("{file}: {id} does not begin with the file's prefix"),
                    "rename or move it",
                ));
            }
            self.requirements.push(Requirement {
                id,
                level: field("level"),
                status: field("status"),
                file: file.to_owned(),
            });
        }
    }

    fn read_code(&mut self, path: &str, text: &str, prefixes: &[String]) {
        let (tags, faults) = tags::scan(path, text, prefixes);
        self.faults.extend(faults);
        for tag in tags {
            let place = format!("{path}:{}", tag.line);
            let mentions = self.mentions.entry(tag.id).or_default();
            match tag.kind {
                Kind::Test(name) => mentions.tests.insert(name),
                Kind::Ignored(name) => mentions.ignored.insert(name),
                Kind::Code => mentions.code.insert(place),
            };
        }
    }

    fn read_cases(&mut self, path: &str, value: &Value) {
        match value {
            Value::Array(list) => list.iter().for_each(|inner| self.read_cases(path, inner)),
            Value::Table(table) => {
                let name = ["id", "name"].iter().find_map(|key| table.get(*key).and_then(Value::as_str));
                let case = name.map_or_else(|| path.to_owned(), |name| format!("{path}: {name}"));
                let one = table.get("requirement").and_then(Value::as_str).map(str::to_owned);
                for id in manifest::strings(table, "requirements").into_iter().chain(one) {
                    self.mentions.entry(id).or_default().tests.insert(case.clone());
                }
                table.values().for_each(|inner| self.read_cases(path, inner));
            }
            _ => {}
        }
    }
}

fn judge(survey: &Survey) -> Vec<Fault> {
    let mut faults = survey.faults.clone();
    if survey.requirements.is_empty() {
        faults.push(Fault::new(
            format!("{FOLDER} holds no requirements"),
            "the gate has nothing to check; restore the files",
        ));
    }
    let mut known = BTreeMap::new();
    for requirement in &survey.requirements {
        if let Some(before) = known.insert(&requirement.id, &requirement.file) {
            let what = format!("{}: {} is there twice (also in {before})", requirement.file, requirement.id);
            faults.push(Fault::new(what, "give one of them another id"));
        }
        let mentions = survey.mentions.get(&requirement.id).cloned().unwrap_or_default();
        if requirement.status == "done" && mentions.tests.is_empty() {
            let ignored = if mentions.ignored.is_empty() { "" } else { " but ignored ones" };
            let what = format!("{} is done and has no test{ignored}", requirement.id);
            faults.push(Fault::new(what, "tag a test that proves it, or write one; nothing else makes it done"));
        }
    }
    for (id, mentions) in survey.mentions.iter().filter(|(id, _)| !known.contains_key(id)) {
        let places: Vec<&String> = mentions.tests.iter().chain(&mentions.ignored).chain(&mentions.code).collect();
        let place = places.first().map_or("", |place| place.as_str());
        faults.push(Fault::new(format!("{place}: unknown id {id}"), format!("the ids are in {FOLDER}")));
    }
    faults
}

fn table(survey: &Survey) -> String {
    let mut text = String::new();
    for requirement in &survey.requirements {
        let mentions = survey.mentions.get(&requirement.id).cloned().unwrap_or_default();
        text.push_str(&format!(
            "{:<22} {:<6} {:<8} tests: {}\n",
            requirement.id,
            requirement.level,
            requirement.status,
            mentions.tests.len()
        ));
        for name in &mentions.tests {
            text.push_str(&format!("    {name}\n"));
        }
        for name in &mentions.ignored {
            text.push_str(&format!("    {name} (ignored, does not count)\n"));
        }
    }
    text
}

fn mark_done(root: &Root) -> Result<()> {
    let ready = ready(&survey(root)?);
    for path in run::files(&root.path(FOLDER), ".toml")? {
        let before = run::text_of(&path)?;
        let after = with_done(&before, &ready);
        if after != before {
            std::fs::write(&path, after)?;
            say!("wrote {}", relative(root, &path));
        }
    }
    Ok(())
}

/// The same text with `status = "done"` in the entries of these ids; nothing else moves.
fn with_done(text: &str, ids: &BTreeSet<String>) -> String {
    let mut within = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim() == "[[requirement]]" {
            within = false;
        } else if let Some(id) = line.strip_prefix("id = \"").and_then(|rest| rest.strip_suffix('"')) {
            within = ids.contains(id);
        }
        let flips = within && line.trim() == "status = \"planned\"";
        lines.push(if flips { "status = \"done\"" } else { line });
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests;
