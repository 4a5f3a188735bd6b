//! Attacks on `postroad serve --echo`, as users run it, over loopback: one attacker at a time, and a bystander who wants nothing but its
//! requests answered. Each attack has a verdict by what the project promises.
//!
//! `attack [--only IDS] [--seconds N] [--no-times] [--memory-times N] [--debug] [--json] [--write FILE] | --list`. The binary is the one that was built as
//! release, or with `--debug` beside this program. Exit code 0 where every promise was kept, 1 where not, 2 for wrong arguments. It starts itself as
//! the attacker, with less priority than everybody else.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints")]

mod attacks;
mod bystander;
mod field;
mod peer;
mod report;
mod run;
mod server;

use attacks::Attack;
use run::Rules;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "usage: attack [--only ID,ID..] [--seconds N] [--no-times] [--memory-times N] [--debug] [--json] [--write FILE] | --list";

/// What the command line asked for.
#[derive(Debug, Default)]
struct Options {
    /// Attack the binary beside this program.
    debug: bool,
    write: Option<PathBuf>,
    memory_times: Option<u64>,
    only: Vec<String>,
    seconds: Option<u64>,
    no_times: bool,
    json: bool,
    list: bool,
    /// Of the attacker: which one it is, and whom it attacks.
    attacker: Option<(String, String)>,
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::default();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--debug" => options.debug = true,
            "--write" => options.write = Some(value()?.into()),
            "--memory-times" => {
                options.memory_times = Some(value()?.parse().map_err(|_| "--memory-times needs a number")?)
            }
            "--only" => options.only.extend(value()?.split(',').map(str::to_owned)),
            "--seconds" => options.seconds = Some(value()?.parse().map_err(|_| "--seconds needs a number")?),
            "--attacker" => options.attacker = Some((value()?, value()?)),
            "--no-times" => options.no_times = true,
            "--json" => options.json = true,
            "--list" => options.list = true,
            other => return Err(format!("{other}: no such option")),
        }
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
    match act(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("attack: {why}");
            ExitCode::from(2)
        }
    }
}

fn act(options: &Options) -> Result<bool, String> {
    let all = attacks::all();
    if options.list {
        all.iter().for_each(|attack| println!("{:<26} {:<10} {}", attack.id, attack.stack, attack.what));
        return Ok(true);
    }
    if let Some(unknown) = options.only.iter().find(|id| !all.iter().any(|attack| attack.id == id.as_str())) {
        return Err(format!("no attack {unknown:?}; --list prints them"));
    }
    if let Some((id, address)) = &options.attacker {
        let attack = all.iter().find(|attack| attack.id == id.as_str()).ok_or("no such attack")?;
        println!("{}", run::attack(attack, address, seconds(options, attack)).to_json());
        return Ok(true);
    }
    let binary = testkit::process::command(!options.debug)?;
    if !binary.is_file() {
        return Err(format!("build postroad-cli first: {} is not there", binary.display()));
    }
    let rules = Rules { binary, memory_times: options.memory_times.unwrap_or(1), no_times: options.no_times };
    let chosen = all.iter().filter(|attack| options.only.is_empty() || options.only.iter().any(|id| id == attack.id));
    let mut results = Vec::new();
    let mut controls = run::Controls::default();
    for attack in chosen {
        eprintln!("{} ...", attack.id);
        let result = run::measure(&rules, attack, seconds(options, attack), &mut controls)?;
        eprintln!("{}", report::line(&result));
        results.push(result);
    }
    if let Some(page) = &options.write {
        std::fs::write(page, report::markdown(&results)).map_err(|error| format!("{}: {error}", page.display()))?;
    }
    if options.json {
        println!("{}", report::json(&results));
    } else {
        print!("{}", report::table(&results));
    }
    Ok(results.iter().all(|result| result.broken.is_empty()))
}

fn seconds(options: &Options, attack: &Attack) -> Duration {
    Duration::from_secs(options.seconds.unwrap_or(attack.seconds))
}
