//! `cargo xtask test`: the command that the README names.

use std::path::PathBuf;

use anyhow::Result;

use crate::run::{self, Counts, Fault, Outcome, Root};

/// The variable that says where the vectors are.
const VECTORS: &str = "POSTROAD_VECTORS";
/// How cargo-nextest is to run tests.
pub(crate) const NEXTEST: &str = "xtask/nextest.toml";
/// A file that is there if the vectors are.
const ONE_OF_THEM: &str = "smp/spec10_units.json";

/// Runs tests and documentation examples; `rest` may choose packages.
pub(crate) fn command(root: &Root, rest: &[String]) -> Result<Outcome> {
    if let Some(wrong) = not_a_package_choice(rest) {
        return Ok(Outcome::Misused(format!("unexpected argument {wrong:?}")));
    }
    let scope: Vec<&str> =
        if rest.is_empty() { vec!["--workspace"] } else { rest.iter().map(String::as_str).collect() };
    if vectors_gate(root) == Outcome::Failed {
        return Ok(Outcome::Failed);
    }
    let vectors = vectors(root);
    let mut all = Counts::default();
    let mut outcome = Outcome::Passed;
    let [tests, examples] = commands(has_nextest(root));
    let libraries = with_library(root, &scope);
    for (args, scope) in [(tests, &scope), (examples, &libraries)] {
        if scope.is_empty() {
            continue;
        }
        let mut run = run::cargo(root, args).args(scope.iter().copied());
        if let Some(path) = &vectors {
            run = run.env(VECTORS, path);
        }
        let (ended, counts) = run.counted()?;
        all.passed += counts.passed;
        all.failed += counts.failed;
        if ended != Outcome::Passed {
            outcome = Outcome::Failed;
        }
    }
    say!("{} passed, {} failed", all.passed, all.failed);
    if all.passed == 0 && rest.is_empty() {
        complain!("test: no test ran at all, which proves nothing");
        outcome = Outcome::Failed;
    }
    Ok(outcome)
}

/// Whether cargo-nextest is there.
pub(crate) fn has_nextest(root: &Root) -> bool {
    run::cargo(root, &["nextest", "--version"]).works()
}

/// The two commands: all tests, then the examples in the documentation.
fn commands(nextest: bool) -> [&'static [&'static str]; 2] {
    let tests: &[&str] = if nextest {
        &["nextest", "run", "--config-file", NEXTEST, "--no-fail-fast", "--no-tests=pass"]
    } else {
        &["test", "--no-fail-fast", "--lib", "--bins", "--tests"]
    };
    [tests, &["test", "--no-fail-fast", "--doc"]]
}

/// The same choice without packages that have no library, whose documentation cargo refuses to test.
fn with_library<'a>(root: &Root, scope: &[&'a str]) -> Vec<&'a str> {
    let is_binary = |name: &str| {
        let folders = [root.path("crates").join(name), root.path(name)];
        folders.iter().any(|folder| folder.join("src/main.rs").is_file() && !folder.join("src/lib.rs").is_file())
    };
    let chosen = scope.chunks(2).filter(|pair| !pair.get(1).is_some_and(|name| is_binary(name)));
    chosen.flatten().copied().collect()
}

/// The first argument that is not `-p NAME` or `--package NAME`.
fn not_a_package_choice(rest: &[String]) -> Option<&String> {
    let mut args = rest.iter();
    while let Some(arg) = args.next() {
        if !(arg == "-p" || arg == "--package") || args.next().is_none() {
            return Some(arg);
        }
    }
    None
}

/// Fails where CI runs without the vectors; elsewhere only says so.
pub(crate) fn vectors_gate(root: &Root) -> Outcome {
    let must = std::env::var("CI").is_ok_and(|value| value == "true");
    run::verdict("vectors", &missing_vectors(vectors(root).is_some(), must), "present, or not demanded here")
}

fn missing_vectors(found: bool, must: bool) -> Vec<Fault> {
    if !found && must {
        let remedy = format!("put them at ../shared/vectors or name their folder in {VECTORS}; CI has to have them");
        return vec![Fault::new(format!("{ONE_OF_THEM} not found"), remedy)];
    }
    if !found {
        say!("vectors: not found, so the tests that need them skip; set {VECTORS} to their folder");
    }
    Vec::new()
}

/// The folder of the vectors, if it is there.
fn vectors(root: &Root) -> Option<PathBuf> {
    let folder = match std::env::var_os(VECTORS) {
        Some(path) => PathBuf::from(path),
        None => root.path("../shared/vectors"),
    };
    let folder = folder.canonicalize().ok()?;
    folder.join(ONE_OF_THEM).is_file().then_some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ci_without_vectors_is_red_and_a_lone_clone_is_not() {
        assert_eq!(missing_vectors(false, true).len(), 1);
        assert_eq!(missing_vectors(false, false), []);
        assert_eq!(missing_vectors(true, true), []);
    }

    #[test]
    fn only_packages_can_be_chosen() {
        let args = |list: &[&str]| list.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>();
        assert_eq!(not_a_package_choice(&args(&["-p", "a", "--package", "b"])), None);
        assert_eq!(not_a_package_choice(&args(&["-p"])), Some(&"-p".to_owned()));
        assert_eq!(not_a_package_choice(&args(&["--release"])), Some(&"--release".to_owned()));
    }

    #[test]
    fn examples_are_only_looked_for_in_libraries() {
        let root = Root::find().unwrap();
        assert_eq!(with_library(&root, &["--workspace"]), ["--workspace"]);
        assert_eq!(with_library(&root, &["-p", "xtask", "-p", "wirekit"]), ["-p", "wirekit"]);
    }

    #[test]
    fn both_runners_cover_tests_and_examples() {
        for nextest in [true, false] {
            let [tests, examples] = commands(nextest);
            assert!(tests.contains(&"--no-fail-fast"));
            assert_eq!(examples, ["test", "--no-fail-fast", "--doc"]);
        }
    }
}
