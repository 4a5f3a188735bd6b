//! `cargo xtask ci`: every gate, run to the end, with times.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::run::{self, Outcome, Root};
use crate::{
    attack, conformance, counts, deps, dissector, fuzz, interop, models, mutants, reqs, soak, spec, test, tidy,
};

/// Feature sets that clippy sees, besides the whole workspace as it is: name of the step, package, features instead of the default ones.
const FEATURE_SETS: [(&str, &str, &str); 14] = [
    ("clippy:smp-framing-core", "smp-framing", ""),
    ("clippy:wrp-core", "wrp", ""),
    ("clippy:wrp-link", "wrp", "tokio"),
    ("clippy:smrp-core", "smrp", ""),
    ("clippy:smrp-all", "smrp", "jwt,keys,qlog,x509"),
    ("clippy:conformance-core", "conformance", ""),
    ("clippy:tcp", "postroad-transport", "tcp"),
    ("clippy:unix", "postroad-transport", "unix"),
    ("clippy:memory", "postroad-transport", "memory"),
    ("clippy:tls", "postroad-transport", "tls"),
    ("clippy:ws", "postroad-transport", "ws"),
    ("clippy:udp", "postroad-transport", "udp"),
    ("clippy:raw-ip", "postroad-transport", "raw-ip"),
    ("clippy:dev-certs", "postroad-transport", "dev-certs"),
];

/// The crates that have to build without their default features, so without a runtime.
const CORES: [&str; 6] = ["wirekit", "smp121", "smp-framing", "wrp", "wrp-ssp", "smrp"];

type Action = Box<dyn Fn(&Root) -> Result<Outcome>>;

/// One line of the closing table.
struct Step {
    /// `name` or `group:name`.
    name: String,
    action: Action,
}

fn step(name: &str, action: impl Fn(&Root) -> Result<Outcome> + 'static) -> Step {
    Step { name: name.to_owned(), action: Box::new(action) }
}

fn cargo_step(name: &str, args: &[&str]) -> Step {
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    step(name, move |root| run::cargo(root, &[]).args(args.iter().map(String::as_str)).outcome())
}

/// The tests of a feature that the workspace as it is does not have.
fn feature_test(name: &str, choice: &'static [&'static str]) -> Step {
    step(&format!("test:{name}"), move |root| {
        let runner: &[&str] = if test::has_nextest(root) { &["nextest", "run"] } else { &["test"] };
        run::cargo(root, runner).args(choice.iter().copied()).outcome()
    })
}

/// All steps, the quick ones first.
fn steps(fuzz_seconds: u32) -> Vec<Step> {
    let mut steps = vec![
        cargo_step("fmt", &["fmt", "--all", "--check"]),
        step("deps", deps::gate),
        step("reqs", |root| reqs::command(root, &[])),
        step("spec", |root| spec::command(root, &[])),
        step("tidy", tidy::gate),
        step("vectors", |root| Ok(test::vectors_gate(root))),
        cargo_step("clippy:workspace", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    ];
    for (name, package, features) in FEATURE_SETS {
        let args =
            ["clippy", "-p", package, "--no-default-features", "--features", features, "--lib", "--", "-D", "warnings"];
        steps.push(cargo_step(name, &args));
    }
    for core in CORES {
        steps.push(cargo_step(&format!("core:{core}"), &["check", "-p", core, "--no-default-features"]));
    }
    steps.push(step("docs", |root| {
        // The command's binary has the library's name, and both cannot have a page; the library's is the one people read.
        let args = ["doc", "--workspace", "--no-deps", "--exclude", "postroad-cli"];
        run::cargo(root, &args).env("RUSTDOCFLAGS", "-D warnings").outcome()
    }));
    steps.push(step("test", |root| test::command(root, &[])));
    // What no other step builds: the other backend of streams, and every way of saying who one is.
    steps.push(feature_test("libdeflate", &["-p", "wrp-ssp", "--features", "libdeflate"]));
    steps.push(feature_test("smrp", &["-p", "smrp", "--all-features"]));
    steps.push(step("conformance", conformance::gate));
    steps.push(step("conformance:wire", conformance::wire_gate));
    steps.push(step("mutants", mutants::gate));
    steps.push(step("dissector", dissector::gate));
    steps.push(step("counts", counts::gate));
    steps.push(step("attack", attack::gate));
    steps.push(step("models", models::gate));
    steps.push(step("soak", soak::gate));
    for name in interop::programs() {
        steps.push(step(&format!("interop:{name}"), move |root| interop::exchange(root, name)));
    }
    steps
        .push(step("fuzz-smoke", move |root| fuzz::command(root, &["--seconds".to_owned(), fuzz_seconds.to_string()])));
    steps
}

/// How one step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ended {
    name: String,
    passed: bool,
    took: Duration,
    /// What the step said when it failed, as far as it names something.
    reasons: Vec<String>,
}

/// What the command line asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Options {
    only: Vec<String>,
    list: bool,
    fuzz_seconds: u32,
}

fn parse(rest: &[String]) -> Result<Options, String> {
    let mut options = Options { only: Vec::new(), list: false, fuzz_seconds: fuzz::SECONDS };
    let mut args = rest.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--list" => options.list = true,
            "--only" => {
                let names = args.next().ok_or("--only needs names")?;
                options.only.extend(names.split(',').filter(|name| !name.is_empty()).map(str::to_owned));
            }
            "--fuzz-seconds" => {
                let number = args.next().and_then(|text| text.parse().ok()).filter(|seconds| *seconds > 0);
                options.fuzz_seconds = number.ok_or("--fuzz-seconds needs a number above 0")?;
            }
            other => return Err(format!("unexpected argument {other:?}")),
        }
    }
    Ok(options)
}

/// `name` is the step's own or that of its group.
fn is_chosen(step: &str, names: &[String]) -> bool {
    let group = step.split(':').next().unwrap_or(step);
    names.is_empty() || names.iter().any(|name| name == step || name == group)
}

/// Runs the chosen steps and prints the table.
pub(crate) fn command(root: &Root, rest: &[String]) -> Result<Outcome> {
    let options = match parse(rest) {
        Ok(options) => options,
        Err(why) => return Ok(Outcome::Misused(why)),
    };
    let all = steps(options.fuzz_seconds);
    if let Some(name) =
        options.only.iter().find(|name| !all.iter().any(|step| is_chosen(&step.name, &[(*name).clone()])))
    {
        return Ok(Outcome::Misused(format!("no step {name:?}; `cargo xtask ci --list` prints them")));
    }
    let chosen: Vec<Step> = all.into_iter().filter(|step| is_chosen(&step.name, &options.only)).collect();
    if options.list {
        chosen.iter().for_each(|step| say!("{}", step.name));
        return Ok(Outcome::Passed);
    }
    let ended = run_all(root, &chosen);
    say!("{}", summary(&ended).trim_end());
    Ok(if ended.iter().all(|step| step.passed) { Outcome::Passed } else { Outcome::Failed })
}

fn run_all(root: &Root, steps: &[Step]) -> Vec<Ended> {
    let mut ended = Vec::new();
    for step in steps {
        say!("\n== {}", step.name);
        let begun = Instant::now();
        run::reasons();
        let passed = match (step.action)(root) {
            Ok(outcome) => outcome == Outcome::Passed,
            Err(error) => {
                complain!("{}: {error:#}", step.name);
                run::remember(&format!("{error:#}"));
                false
            }
        };
        let took = begun.elapsed();
        say!("== {} {} in {:.1} s", step.name, if passed { "passed" } else { "FAILED" }, took.as_secs_f64());
        let reasons = if passed { Vec::new() } else { run::reasons() };
        ended.push(Ended { name: step.name.clone(), passed, took, reasons });
    }
    ended
}

/// The closing table; its last line counts steps.
fn summary(ended: &[Ended]) -> String {
    let mut text = String::from("\n");
    for step in ended {
        let result = if step.passed { "passed" } else { "FAILED" };
        text.push_str(&format!("{:<26} {result}  {:>7.1} s\n", step.name, step.took.as_secs_f64()));
    }
    for step in ended {
        for reason in &step.reasons {
            text.push_str(&format!("{} failed: {reason}\n", step.name));
        }
    }
    let total: Duration = ended.iter().map(|step| step.took).sum();
    let failed = ended.iter().filter(|step| !step.passed).count();
    text.push_str(&format!("{:<26}         {:>7.1} s\n", "all", total.as_secs_f64()));
    text.push_str(&format!("{} passed, {failed} failed\n", ended.len() - failed));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest;

    #[test]
    fn all_steps_run_and_one_failure_is_counted() {
        let root = Root(std::env::temp_dir());
        let steps = [
            step("good", |_| Ok(Outcome::Passed)),
            step("bad", |_| Ok(Outcome::Failed)),
            step("broken", |_| anyhow::bail!("planted")),
            step("late", |_| Ok(Outcome::Passed)),
        ];
        let ended = run_all(&root, &steps);
        let passed: Vec<bool> = ended.iter().map(|step| step.passed).collect();
        assert_eq!(passed, [true, false, false, true]);
        let text = summary(&ended);
        assert!(text.ends_with("\n2 passed, 2 failed\n"), "{text}");
        assert!(text.contains("bad                        FAILED"), "{text}");
        assert!(text.contains("\nbroken failed: planted\n"), "{text}");
    }

    #[test]
    fn steps_are_chosen_by_name_or_group() {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert!(is_chosen("clippy:tcp", &[]));
        assert!(is_chosen("clippy:tcp", &names(&["fmt", "clippy"])));
        assert!(is_chosen("clippy:tcp", &names(&["clippy:tcp"])));
        assert!(!is_chosen("clippy:tcp", &names(&["clippy:ws", "fmt"])));
    }

    #[test]
    fn a_wrong_command_line_is_refused() {
        for wrong in [&["--only"][..], &["--fuzz-seconds", "0"], &["--quick"]] {
            assert!(parse(&wrong.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>()).is_err(), "{wrong:?}");
        }
        let root = Root(std::env::temp_dir());
        let unknown = ["--only".to_owned(), "fmt,nonsense".to_owned()];
        assert!(matches!(command(&root, &unknown).unwrap(), Outcome::Misused(_)));
    }

    #[test]
    fn names_of_steps_are_unique() {
        let names: Vec<String> = steps(1).into_iter().map(|step| step.name).collect();
        let unique: std::collections::BTreeSet<&String> = names.iter().collect();
        assert_eq!(unique.len(), names.len());
    }

    #[test]
    fn every_carrier_feature_has_its_clippy_step() {
        let table = manifest::table(&Root::find().unwrap().path("crates/postroad-transport/Cargo.toml")).unwrap();
        for feature in table["features"].as_table().unwrap().keys().filter(|name| *name != "default") {
            let covered =
                FEATURE_SETS.iter().any(|(_, package, set)| *package == "postroad-transport" && set == feature);
            assert!(covered, "feature {feature} of postroad-transport has no line in FEATURE_SETS");
        }
    }
}
