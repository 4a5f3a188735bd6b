//! Runs the conformance cases and says which requirement has which proof.
//!
//! `conformance [--list] [--case ID] [--json | --markdown]`. Exit code 0 where every case passes and every MUST has a proof, 1 where not,
//! 2 for wrong arguments.

use conformance::case::{self, Case};
use conformance::report::{CaseResult, Report};
use conformance::{SYSTEMS, cases_directory, repository, requirements, run_case, without};
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

/// A case takes milliseconds, the largest some seconds in a build without optimization on a busy machine.
const CASE_TIMEOUT: Duration = Duration::from_secs(60);
const USAGE: &str = "usage: conformance [--list] [--case ID] [--json | --markdown | --smrp-vectors]";

#[derive(Debug, Default)]
struct Options {
    list: bool,
    case: Option<String>,
    json: bool,
    markdown: bool,
    smrp_vectors: bool,
}

fn options(arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::default();
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--list" => options.list = true,
            "--case" => options.case = Some(arguments.next().ok_or("--case needs the id of a case")?),
            "--json" => options.json = true,
            "--markdown" => options.markdown = true,
            "--smrp-vectors" => options.smrp_vectors = true,
            other => return Err(format!("{other}: no such option")),
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(reason) => {
            say_error(&format!("{reason}\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    match work(&options) {
        Ok(faults) if faults.is_empty() => ExitCode::SUCCESS,
        Ok(faults) => {
            say_error(&faults.join("\n"));
            ExitCode::FAILURE
        }
        Err(error) => {
            say_error(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Does what was asked; the faults found.
fn work(options: &Options) -> Result<Vec<String>, case::LoadError> {
    if options.smrp_vectors {
        return Ok(match conformance::smrp::vectors() {
            Ok(vectors) => {
                say(&vectors);
                Vec::new()
            }
            Err(fault) => vec![fault],
        });
    }
    let mut cases = Vec::new();
    for system in SYSTEMS {
        cases.extend(case::load(&cases_directory(system))?.into_iter().map(|case| (system, case)));
    }
    if let Some(id) = &options.case {
        cases.retain(|(_, case)| case.id == *id);
        if cases.is_empty() {
            return Ok(vec![format!("no case {id}; --list shows them")]);
        }
    }
    if options.list {
        say(&cases.iter().map(|(_, case)| line_of(case)).collect::<String>());
        return Ok(Vec::new());
    }
    let result_of = |(system, case)| CaseResult { failure: run_case(system, &case, CASE_TIMEOUT).err(), case };
    let results: Vec<_> = cases.into_iter().map(result_of).collect();
    if options.case.is_some() {
        for result in &results {
            say(&format!("{}    {}\n", line_of(&result.case), result.case.steps.join("\n    ")));
        }
        let failed = results.iter().filter_map(|result| result.failure.as_ref().map(ToString::to_string));
        return Ok(failed.collect());
    }
    let root = repository();
    let tests = requirements::tagged_tests(&root);
    let mut required = Vec::new();
    for system in SYSTEMS {
        required.extend(requirements::load(&root, system)?);
    }
    let report = Report::new(results, required, &tests).with_reasons(without::load(&root)?);
    match (options.json, options.markdown) {
        (true, _) => say(&format!("{:#}\n", report.json())),
        (_, true) => say(&report.markdown()),
        _ => say(&report.table()),
    }
    Ok(report.faults())
}

fn line_of(case: &Case) -> String {
    format!("{:<40} {:<9} {}  {}\n", case.id, case.kind.name(), case.requirements.join(" "), case.why)
}

/// To stdout; whoever closed it does not want the rest.
fn say(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

fn say_error(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
