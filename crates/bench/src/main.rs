//! Figures beside peers, measured in the same run: `cargo xtask bench -- --help`.
//!
//! Contenders for one figure take turns (A B A B ...), so that whatever the machine does meanwhile falls on all of them;
//! what counts is the median of the ratios within the rounds.
#![forbid(unsafe_code)]

mod allocations;
mod args;
mod bodies;
mod carriers;
mod children;
mod codec;
mod figure;
mod harness;
mod idle;
mod loopback;
mod machine;
mod memory;
mod net;
mod report;
mod smp121;
mod smrp;
mod streams;
mod wrp;

use anyhow::Context as _;
use args::{Action, Group, Output, Settings};
use figure::Figure;
use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "bench: {error:#}"));
            ExitCode::from(2)
        }
    }
}

/// `true` where every aim was met.
fn run() -> anyhow::Result<bool> {
    match args::parse(std::env::args().skip(1))? {
        Action::Help => {
            writeln!(std::io::stdout(), "{}", args::HELP)?;
            Ok(true)
        }
        Action::Child(child) => {
            let report = children::run(&child)?;
            writeln!(std::io::stdout(), "{report}")?;
            Ok(true)
        }
        Action::Measure(settings) => measure(&settings),
    }
}

fn measure(settings: &Settings) -> anyhow::Result<bool> {
    let mut noise = machine::Noise::default();
    let mut figures = Vec::new();
    for group in &settings.groups {
        progress(&format!("{}:", group.name()));
        let measured = match group {
            Group::Codec => codec::figures(settings, &mut noise),
            Group::Loopback => loopback::figures(settings, &mut noise),
            Group::Carriers => carriers::figures(settings, &mut noise),
            Group::Allocations => allocations::figures(),
            Group::Memory => memory::figures(settings),
            Group::Smp121 => smp121::figures(settings, &mut noise),
            Group::Wrp => wrp::figures(settings, &mut noise),
            Group::Smrp => smrp::figures(settings, &mut noise),
            Group::Idle => idle::figures(settings),
        };
        figures.extend(measured.with_context(|| format!("group {}", group.name()))?);
    }
    let report = report::Report::new(settings, figures, &noise);
    match settings.output {
        Output::Text => write!(std::io::stdout(), "{}", report.text())?,
        Output::Json => writeln!(std::io::stdout(), "{}", report.json())?,
        Output::Markdown => {
            let path = args::workspace_root()?.join("docs/performance.md");
            std::fs::write(&path, report.markdown()).with_context(|| format!("write {}", path.display()))?;
            write!(std::io::stdout(), "{}", report.text())?;
        }
    }
    Ok(report.figures().iter().all(Figure::is_met))
}

/// Says what is going on, to standard error: figures take a while.
fn progress(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}
