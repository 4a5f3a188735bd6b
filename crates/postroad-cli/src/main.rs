//! The `postroad` command: thin, from the command line to the `postroad` crate and back.
#![forbid(unsafe_code)]

mod args;
mod failure;
mod parts;
mod talk;
mod verbs;

use args::{Cli, Verb};
use clap::Parser;
use failure::{FAILED, Failure};
use std::process::ExitCode;
use talk::Talk;
use tracing_subscriber::filter::LevelFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let talk = Talk::new(&cli.common);
    start_log(&talk);
    let done = match cli.verb {
        Verb::Inspect(verb) => verbs::inspect::run(&verb, &talk),
        Verb::Cert(verb) => verbs::cert::run(&verb, &talk),
        Verb::Completions(verb) => verbs::completions::run(&verb),
        Verb::Man(verb) => verbs::man::run(&verb, &talk),
        Verb::Demo(verb) => in_runtime(interruptible(verbs::demo::run(verb, talk))),
        Verb::Forward(verb) => in_runtime(verbs::forward::run(verb, talk)),
        Verb::Serve(verb) => in_runtime(verbs::serve::run(verb, talk)),
        Verb::Send(verb) => in_runtime(interruptible(verbs::send::run(verb, talk))),
        Verb::Request(verb) => in_runtime(interruptible(verbs::request::run(verb, talk))),
        Verb::Copy(verb) => in_runtime(interruptible(verbs::copy::run(verb, talk))),
        Verb::Bench(verb) => in_runtime(interruptible(verbs::bench::run(verb, talk))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell(&talk);
            ExitCode::from(failure.exit_code)
        }
    }
}

fn in_runtime(verb: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("system", "could not start", error.to_string()))?;
    let done = runtime.block_on(Box::pin(verb));
    // A read of standard input cannot be called off: do not wait for it.
    runtime.shutdown_background();
    done
}

/// Ctrl-C drops what is under way, so that it cleans up behind itself.
async fn interruptible(verb: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::select! {
        done = verb => done,
        _ = tokio::signal::ctrl_c() => {
            Err(Failure { exit_code: FAILED, ..Failure::new("interrupted", "interrupted", "Ctrl-C was pressed") })
        }
    }
}

fn start_log(talk: &Talk) {
    let level = match (talk.is_quiet(), talk.verbosity()) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) => LevelFilter::WARN,
        (false, 1) => LevelFilter::INFO,
        (false, 2) => LevelFilter::DEBUG,
        (false, _) => LevelFilter::TRACE,
    };
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(talk.is_coloured())
        .with_target(false)
        .with_max_level(level)
        .without_time()
        .init();
}
