//! Everything the repository promises, as commands: `cargo xtask COMMAND`. Each gate prints what is wrong and what to do about it,
//! and its exit code is 0 when it passes, 1 when it fails and 2 when the command line was not understood.

/// Prints a line to standard output; a reader that has gone (`| head`) is no fault.
macro_rules! say {
    ($($what:tt)*) => {{
        use std::io::Write as _;
        drop(writeln!(std::io::stdout(), $($what)*));
    }};
}

/// Prints a line to standard error, like `say`.
macro_rules! complain {
    ($($what:tt)*) => {{
        use std::io::Write as _;
        drop(writeln!(std::io::stderr(), $($what)*));
    }};
}

mod attack;
mod ci;
mod conformance;
mod counts;
mod deps;
mod dissector;
mod examples;
mod fuzz;
mod help;
mod interop;
mod manifest;
mod models;
mod mutants;
mod reqs;
mod run;
mod soak;
mod spec;
mod tags;
mod test;
mod tidy;

use std::process::ExitCode;

use run::{Outcome, Root};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, rest)) = args.split_first() else {
        say!("{}", help::OVERVIEW);
        return ExitCode::from(2);
    };
    if matches!(command.as_str(), "-h" | "--help" | "help") {
        say!("{}", rest.first().and_then(|name| help::of(name)).unwrap_or(help::OVERVIEW));
        return ExitCode::SUCCESS;
    }
    let Some(text) = help::of(command) else {
        complain!("no command named {command:?}\n\n{}", help::OVERVIEW);
        return ExitCode::from(2);
    };
    // `--help` behind a bare `--` belongs to the program that is started.
    let own = rest.iter().take_while(|arg| *arg != "--");
    if own.clone().any(|arg| arg == "--help" || arg == "-h") {
        say!("{text}");
        return ExitCode::SUCCESS;
    }
    match Root::find().and_then(|root| dispatch(&root, command, rest)) {
        Ok(Outcome::Passed) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::FAILURE,
        Ok(Outcome::Misused(why)) => {
            complain!("{why}\n\n{text}");
            ExitCode::from(2)
        }
        Err(error) => {
            complain!("xtask {command}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(root: &Root, command: &str, rest: &[String]) -> anyhow::Result<Outcome> {
    match command {
        "deps" => run::no_arguments(rest, || deps::gate(root)),
        "reqs" => reqs::command(root, rest),
        "spec" => spec::command(root, rest),
        "tidy" => run::no_arguments(rest, || tidy::gate(root)),
        "test" => test::command(root, rest),
        "ci" => ci::command(root, rest),
        "attack" => attack::command(root, rest),
        "models" => run::no_arguments(rest, || models::gate(root)),
        "soak" => soak::command(root, rest),
        "conformance" => conformance::command(root, rest),
        "counts" => counts::command(root, rest),
        "dissector" => dissector::command(root, rest),
        "interop" => interop::command(root, rest),
        "mutants" => mutants::command(root, rest),
        "bench" => {
            run::cargo(root, &["run", "--release", "-p", "bench", "--"]).args(run::behind_dashes(rest)).outcome()
        }
        "fuzz-smoke" => fuzz::command(root, rest),
        other => anyhow::bail!("{other} has a help text and no implementation"),
    }
}
