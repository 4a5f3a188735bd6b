//! Every stack that the command speaks, under load for minutes, while servers are killed and frozen, connections cut, stalled and slowed, and
//! descriptors run out: `postroad serve --echo` as users run it, over loopback, a client process for each.
//!
//! `soak [--minutes N | --seconds N] [--seed N] [--only STACK,..] [--debug] [--json] [--write FILE] [--plant FAULT,..] | --list`. Exit code 0 where every
//! promise was kept, 1 where not, 2 for wrong arguments. It starts itself as the clients. `--plant` makes clients that do what must be found: `leak`,
//! `lost`, `wrong`, `descriptors`, `panic`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints")]

mod client;
mod faults;
mod judge;
mod page;
mod record;
mod relay;
mod stacks;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "usage: soak [--minutes N | --seconds N] [--seed N] [--only STACK,STACK..] [--debug] [--json] [--write FILE] | --list";
const MINUTES: u64 = 10;

/// What the command line asked for.
#[derive(Debug, Default)]
struct Options {
    time: Duration,
    seed: u64,
    only: Vec<String>,
    /// Run the binary beside this program.
    debug: bool,
    json: bool,
    list: bool,
    write: Option<PathBuf>,
    plant: Vec<client::Plant>,
    /// Of a client: where it connects, and whether it also listens there.
    client: Option<(String, bool)>,
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { time: Duration::from_secs(MINUTES * 60), seed: 1, ..Options::default() };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|_| format!("{argument} needs a number"));
        match argument.as_str() {
            "--minutes" => options.time = Duration::from_secs(number(value()?)? * 60),
            "--seconds" => options.time = Duration::from_secs(number(value()?)?),
            "--seed" => options.seed = number(value()?)?,
            "--only" => options.only.extend(value()?.split(',').map(str::to_owned)),
            "--write" => options.write = Some(value()?.into()),
            "--plant" => options.plant = value()?.split(',').map(client::Plant::named).collect::<Result<_, _>>()?,
            "--client" => options.client = Some((value()?, false)),
            "--client-and-server" => options.client = Some((value()?, true)),
            "--debug" => options.debug = true,
            "--json" => options.json = true,
            "--list" => options.list = true,
            other => return Err(format!("{other}: no such option")),
        }
    }
    if options.time < watch::TIME_MIN {
        return Err(format!("it takes at least {:?}", watch::TIME_MIN));
    }
    Ok(options)
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("{why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let done = match runtime {
        Err(error) => Err(error.to_string()),
        Ok(runtime) => runtime.block_on(act(&options)),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("soak: {why}");
            ExitCode::from(2)
        }
    }
}

async fn act(options: &Options) -> Result<bool, String> {
    if let Some((url, listens)) = &options.client {
        return client::run(url, *listens, options.seed, options.plant.clone()).await.map(|()| true);
    }
    let all = stacks::all();
    if options.list {
        all.iter().for_each(|stack| println!("{stack}"));
        return Ok(true);
    }
    if let Some(unknown) = options.only.iter().find(|name| !all.iter().any(|stack| stack.to_string() == **name)) {
        return Err(format!("no stack {unknown:?}; --list prints them"));
    }
    let chosen = all.into_iter().filter(|stack| options.only.is_empty() || options.only.contains(&stack.to_string()));
    let plan = watch::Plan {
        stacks: chosen.collect(),
        time: options.time,
        seed: options.seed,
        binary: testkit::process::command(!options.debug)?,
        plant: options.plant.clone(),
    };
    let rows: Vec<_> = watch::run(&plan).await?.into_iter().map(judge::judge).collect();
    if let Some(file) = &options.write {
        let text = page::markdown(&rows, options.time, options.seed);
        std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    if options.json {
        println!("{}", page::json(&rows, options.time, options.seed));
    } else {
        print!("{}", page::table(&rows));
    }
    Ok(rows.iter().all(|row| row.broken.is_empty()))
}
