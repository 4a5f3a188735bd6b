//! Runs the conformance cases and says which requirement has which proof.
//!
//! Exit code 0 where every case passes (and, in process, every MUST has a proof), 1 where not, 2 for wrong arguments.

mod options;
#[cfg(feature = "sockets")]
mod sockets;

use conformance::case::{self, Case};
use conformance::output::{self, Row, Verdict};
use conformance::report::{CaseResult, Report};
use conformance::requirements::{self, Requirement};
use conformance::{SYSTEMS, cases_directory, repository, run_case, without};
use options::{Mode, Options, USAGE};
use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// A case takes milliseconds, the largest some seconds in a build without optimization on a busy machine.
const CASE_TIMEOUT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(reason) => {
            say_error(&format!("{reason}\n\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    let worked = match options.mode {
        _ if options.smrp_vectors => conformance::smrp::vectors().map(|vectors| {
            say(&vectors);
            Vec::new()
        }),
        Mode::Engine => in_process(&options),
        #[cfg(feature = "sockets")]
        _ => sockets::work(&options),
        #[cfg(not(feature = "sockets"))]
        _ => Err("this runner was built without the feature sockets".to_owned()),
    };
    match worked {
        Ok(faults) if faults.is_empty() => ExitCode::SUCCESS,
        Ok(faults) => {
            say_error(&faults.join("\n"));
            ExitCode::FAILURE
        }
        Err(error) => {
            say_error(&error);
            ExitCode::FAILURE
        }
    }
}

/// Runs cases against our machines; the faults found.
fn in_process(options: &Options) -> Result<Vec<String>, String> {
    let mut cases = Vec::new();
    for system in SYSTEMS.into_iter().filter(|system| options.has_system(system)) {
        let loaded = case::load(&cases_directory(system)).map_err(|error| error.to_string())?;
        cases.extend(loaded.into_iter().filter(|case| options.has_case(&case.id)).map(|case| (system, case)));
    }
    if cases.is_empty() {
        return Ok(vec!["no such case; --list shows them".into()]);
    }
    if options.list {
        say(&cases.iter().map(|(_, case)| line_of(case)).collect::<String>());
        return Ok(Vec::new());
    }
    let (mut results, mut rows) = (Vec::new(), Vec::new());
    for (system, case) in cases {
        let started = Instant::now();
        let failure = run_case(system, &case, CASE_TIMEOUT).err();
        let verdict = failure.as_ref().map_or(Verdict::Passed, |failure| Verdict::Failed(failure.to_string()));
        rows.push(row(system, &case, verdict, started.elapsed()));
        results.push(CaseResult { case, failure });
    }
    if !options.cases.is_empty() {
        for result in &results {
            say(&format!("{}    {}\n", line_of(&result.case), result.case.steps.join("\n    ")));
        }
        let failed = results.iter().filter_map(|result| result.failure.as_ref().map(ToString::to_string));
        return Ok(failed.collect());
    }
    let required = required(options, &SYSTEMS)?;
    files(options, "Conformance of our machines", &rows, &required)?;
    let mut reasons = without::load(&repository()).map_err(|error| error.to_string())?;
    if options.system.is_some() {
        reasons = without::about(reasons, &required);
    }
    let report = Report::new(results, required, &requirements::tagged_tests(&repository())).with_reasons(reasons);
    match (options.json, options.markdown) {
        (true, _) => say(&format!("{:#}\n", report.json())),
        (_, true) => say(&report.markdown()),
        _ => say(&report.table()),
    }
    Ok(report.faults())
}

fn row(system: &str, case: &Case, verdict: Verdict, took: Duration) -> Row {
    Row {
        system: system.to_owned(),
        id: case.id.clone(),
        kind: case.kind,
        requirements: case.requirements.clone(),
        why: case.why.clone(),
        carrier: "engine".to_owned(),
        verdict,
        took,
    }
}

/// The requirements of the systems chosen.
fn required(options: &Options, systems: &[&str]) -> Result<Vec<Requirement>, String> {
    let mut required = Vec::new();
    for system in systems.iter().filter(|system| options.has_system(system)) {
        required.extend(requirements::load(&repository(), system).map_err(|error| error.to_string())?);
    }
    Ok(required)
}

/// Writes what was asked for as files.
fn files(options: &Options, title: &str, rows: &[Row], required: &[Requirement]) -> Result<(), String> {
    let write = |path: &std::path::Path, text: String| {
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
    };
    if let Some(path) = &options.junit {
        write(path, output::suites(rows))?;
    }
    match &options.html {
        Some(path) => write(path, output::page(title, rows, required)),
        None => Ok(()),
    }
}

fn line_of(case: &Case) -> String {
    format!("{:<40} {:<9} {}  {}\n", case.id, case.kind.name(), case.requirements.join(" "), case.why)
}

/// To stdout; whoever closed it does not want the rest.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn say_error(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
