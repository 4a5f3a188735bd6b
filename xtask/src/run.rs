//! Running programs, walking the tree, and saying what a gate found.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The promise holds.
    Passed,
    /// It does not; why has been printed.
    Failed,
    /// The command line was not understood.
    Misused(String),
}

impl Outcome {
    /// Both passed, or the first that did not.
    pub(crate) fn and(self, other: impl FnOnce() -> Result<Outcome>) -> Result<Outcome> {
        if self == Outcome::Passed { other() } else { Ok(self) }
    }

    fn of(passed: bool) -> Outcome {
        if passed { Outcome::Passed } else { Outcome::Failed }
    }
}

/// The workspace's own folder.
#[derive(Debug, Clone)]
pub(crate) struct Root(pub(crate) PathBuf);

impl Root {
    /// From where xtask was built, or, if it has moved since, from the current folder upward.
    pub(crate) fn find() -> Result<Root> {
        let built = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf);
        let here = std::env::current_dir().context("the current folder cannot be read")?;
        let is_root = |path: &Path| path.join("xtask/deps.toml").is_file() && path.join("Cargo.toml").is_file();
        let found = here.ancestors().find(|path| is_root(path)).map(Path::to_path_buf);
        match found.or(built.filter(|path| is_root(path))) {
            Some(path) => Ok(Root(path)),
            None => bail!("no workspace found from {} upward; run this inside the repository", here.display()),
        }
    }

    /// A path inside the workspace.
    pub(crate) fn path(&self, inner: &str) -> PathBuf {
        self.0.join(inner)
    }
}

/// One thing that is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fault {
    /// Where and what.
    pub(crate) what: String,
    /// What to do now.
    pub(crate) remedy: String,
}

impl Fault {
    /// A fault with its remedy.
    pub(crate) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Fault {
        Fault { what: what.into(), remedy: remedy.into() }
    }
}

/// What turned gates red since it was last asked for: long after the lines themselves have scrolled away, `ci` says it once more.
static REASONS: Mutex<Vec<String>> = Mutex::new(Vec::new());
const REASONS_MAX: usize = 100;

/// Keeps a line for the closing table of `ci`, once however often it is said.
pub(crate) fn remember(reason: &str) {
    let mut reasons = REASONS.lock().unwrap_or_else(PoisonError::into_inner);
    if reasons.len() < REASONS_MAX && !reasons.iter().any(|kept| kept == reason) {
        reasons.push(reason.to_owned());
    }
}

/// Takes what was kept.
pub(crate) fn reasons() -> Vec<String> {
    std::mem::take(&mut *REASONS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Prints the faults of a gate, or one line that there are none.
pub(crate) fn verdict(gate: &str, faults: &[Fault], passed_because: &str) -> Outcome {
    for fault in faults {
        complain!("{gate}: {}\n    {}", fault.what, fault.remedy);
        remember(&fault.what);
    }
    if faults.is_empty() {
        say!("{gate}: {passed_because}");
    } else {
        complain!("{gate}: {} fault{}", faults.len(), if faults.len() == 1 { "" } else { "s" });
    }
    Outcome::of(faults.is_empty())
}

/// What is wrong with a committed file that `cargo xtask COMMAND --write` makes.
pub(crate) fn stale(file: &str, committed: Option<&str>, generated: &str, command: &str) -> Vec<Fault> {
    let write = format!("run `cargo xtask {command} --write` and commit the file");
    if generated.trim().is_empty() {
        return vec![Fault::new(format!("an empty {file} was made"), "whatever makes it has to print it")];
    }
    match committed {
        None => vec![Fault::new(format!("{file} is missing"), write)],
        Some(text) if text == generated => Vec::new(),
        Some(text) => {
            let same = text.lines().zip(generated.lines()).take_while(|(a, b)| a == b).count();
            vec![Fault::new(format!("{file} is stale from line {} on", same + 1), write)]
        }
    }
}

/// Runs a gate that takes no arguments.
pub(crate) fn no_arguments(rest: &[String], gate: impl FnOnce() -> Result<Outcome>) -> Result<Outcome> {
    match rest.first() {
        Some(arg) => Ok(Outcome::Misused(format!("unexpected argument {arg:?}"))),
        None => gate(),
    }
}

/// Arguments without the first bare `--`.
pub(crate) fn behind_dashes(rest: &[String]) -> Vec<&str> {
    let dashes = rest.iter().position(|arg| arg == "--");
    rest.iter().enumerate().filter(|(at, _)| Some(*at) != dashes).map(|(_, arg)| arg.as_str()).collect()
}

/// The same, with the page that `--write` writes behind it.
pub(crate) fn with_page<'a>(rest: &'a [String], page: &'a str) -> Vec<&'a str> {
    behind_dashes(rest).into_iter().flat_map(|arg| if arg == "--write" { vec![arg, page] } else { vec![arg] }).collect()
}

/// A program to run in the workspace's folder.
#[derive(Debug)]
pub(crate) struct Run {
    command: Command,
    shown: String,
    limit: Option<Duration>,
}

/// `cargo` with arguments.
pub(crate) fn cargo(root: &Root, args: &[&str]) -> Run {
    program(root, "cargo", args)
}

/// Any program with arguments.
pub(crate) fn program(root: &Root, name: &str, args: &[&str]) -> Run {
    let mut command = Command::new(name);
    command.current_dir(&root.0);
    Run { command, shown: name.to_owned(), limit: None }.args(args.iter().copied())
}

/// What a program that was listened to said about tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Tests that passed.
    pub(crate) passed: u64,
    /// Tests that failed.
    pub(crate) failed: u64,
}

impl Run {
    /// Adds arguments.
    pub(crate) fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Run {
        for arg in args {
            self.command.arg(arg);
            self.shown.push(' ');
            self.shown.push_str(arg);
        }
        self
    }

    /// Sets a variable of its environment.
    pub(crate) fn env(mut self, key: &str, value: impl AsRef<std::ffi::OsStr>) -> Run {
        self.command.env(key, value);
        self
    }

    /// Ends it when it takes longer. What `cargo run` starts takes cargo's place, so it is ended as well; children of `cargo test` are not.
    pub(crate) fn within(mut self, limit: Duration) -> Run {
        self.limit = Some(limit);
        self
    }

    /// Runs it in our terminal.
    pub(crate) fn outcome(mut self) -> Result<Outcome> {
        complain!("$ {}", self.shown);
        let mut child = self.command.spawn().with_context(|| format!("{} could not be started", self.shown))?;
        let deadline = self.limit.map(|limit| Instant::now() + limit);
        while let Some(deadline) = deadline {
            if child.try_wait()?.is_some() {
                break;
            }
            if Instant::now() > deadline {
                complain!("{} took too long and is ended", self.shown);
                child.kill()?;
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let status = child.wait().with_context(|| format!("{} could not be waited for", self.shown))?;
        if !status.success() {
            complain!("{} ended with {status}", self.shown);
        }
        Ok(Outcome::of(status.success()))
    }

    /// Whether it runs at all and ends well; it may say nothing.
    pub(crate) fn works(mut self) -> bool {
        self.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.command.status().is_ok_and(|status| status.success())
    }

    /// Its standard output; an error if it fails.
    pub(crate) fn read(mut self) -> Result<String> {
        let output = self.command.stderr(Stdio::inherit()).output();
        let output = output.with_context(|| format!("{} could not be started", self.shown))?;
        if !output.status.success() {
            bail!("{} ended with {}", self.shown, output.status);
        }
        String::from_utf8(output.stdout).with_context(|| format!("{} did not print UTF-8", self.shown))
    }

    /// Runs it and keeps what it says to itself unless it fails, when the last lines are shown. Returns the last of them.
    pub(crate) fn quietly(mut self, lines_max: usize) -> Result<(Outcome, Vec<String>)> {
        complain!("$ {}", self.shown);
        self.command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = self.command.spawn().with_context(|| format!("{} could not be started", self.shown))?;
        let mut last = VecDeque::new();
        if let Some(pipe) = child.stderr.take() {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                if last.len() == lines_max {
                    last.pop_front();
                }
                last.push_back(String::from_utf8_lossy(&line).into_owned());
            }
        }
        let status = child.wait().with_context(|| format!("{} could not be waited for", self.shown))?;
        if !status.success() {
            last.iter().for_each(|line| complain!("{line}"));
            complain!("{} ended with {status}", self.shown);
        }
        Ok((Outcome::of(status.success()), last.into()))
    }

    /// Runs it, shows all it says, and counts the tests that it tells of.
    pub(crate) fn counted(mut self) -> Result<(Outcome, Counts)> {
        complain!("$ {}", self.shown);
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().with_context(|| format!("{} could not be started", self.shown))?;
        let err = child.stderr.take().map(|pipe| thread::spawn(move || listen(pipe, |line| complain!("{line}"))));
        let out = child.stdout.take().map(|pipe| listen(pipe, |line| say!("{line}"))).unwrap_or_default();
        let err = err.and_then(|thread| thread.join().ok()).unwrap_or_default();
        let status = child.wait().with_context(|| format!("{} could not be waited for", self.shown))?;
        Ok((Outcome::of(status.success()), total(&[out, err].concat())))
    }
}

/// Shows each line, and keeps those that close a test run.
fn listen(pipe: impl Read, show: impl Fn(&str)) -> Vec<Closing> {
    let mut closings = Vec::new();
    for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        show(&line);
        closings.extend(count_tests(&line));
        if let Some(name) = failed_test(&line) {
            remember(name);
        }
    }
    closings
}

/// The name in a line that says that one test failed.
fn failed_test(line: &str) -> Option<&str> {
    let line = line.trim();
    if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
        return Some(name);
    }
    let (word, rest) = line.split_once(" [")?;
    let is_red = ["FAIL", "TIMEOUT", "SIGABRT", "SIGSEGV", "SIGKILL", "LEAK-FAIL"].contains(&word);
    is_red.then(|| rest.split_once(']').map(|(_, name)| name.trim())).flatten()
}

/// A summary says it all: the results beside it are of single tests whose output it shows.
fn total(closings: &[Closing]) -> Counts {
    let summary = closings.iter().any(|closing| closing.is_summary);
    let counted = closings.iter().filter(|closing| closing.is_summary == summary);
    counted.fold(Counts::default(), |sum, closing| Counts {
        passed: sum.passed + closing.counts.passed,
        failed: sum.failed + closing.counts.failed,
    })
}

/// The line that closes a run of tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Closing {
    counts: Counts,
    /// Of cargo-nextest, for all binaries, rather than of one binary.
    is_summary: bool,
}

/// Reads the closing line of a test run: the summary of cargo-nextest or the result of one test binary.
fn count_tests(line: &str) -> Option<Closing> {
    let line = line.trim_start();
    let (figures, is_summary) = match line.strip_prefix("test result:") {
        Some(rest) => (rest, false),
        None => (line.strip_prefix("Summary")?.split_once("run:")?.1, true),
    };
    let before = |word: &str| {
        let words: Vec<&str> = figures.split([' ', ',', ';', '.']).filter(|part| !part.is_empty()).collect();
        words.windows(2).find_map(|pair| match pair {
            [number, name] if *name == word => number.parse::<u64>().ok(),
            _ => None,
        })
    };
    let failed = before("failed").unwrap_or(0) + before("timed").unwrap_or(0);
    Some(Closing { counts: Counts { passed: before("passed").unwrap_or(0), failed }, is_summary })
}

/// All files below a folder with one of these endings, sorted; build output and hidden folders are left out. Nothing if there is no such folder.
pub(crate) fn files(below: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![below.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", folder.display())),
        };
        for entry in entries {
            let path = entry.with_context(|| format!("{} cannot be read", folder.display()))?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if path.is_dir() {
                let skipped =
                    name.starts_with('.') || ["target", "corpus", "artifacts", "node_modules"].contains(&&*name);
                if !skipped {
                    folders.push(path);
                }
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A file's text; the error names the file.
pub(crate) fn text_of(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(lines: &[&str]) -> (u64, u64) {
        let closings: Vec<Closing> = lines.iter().filter_map(|line| count_tests(line)).collect();
        let Counts { passed, failed } = total(&closings);
        (passed, failed)
    }

    #[test]
    fn counts_come_from_both_kinds_of_test_runner() {
        let nextest = "     Summary [   0.041s] 12 tests run: 9 passed (1 slow), 2 failed, 1 timed out, 3 skipped";
        let libtest =
            "test result: FAILED. 5 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(counts(&[nextest]), (9, 3));
        assert_eq!(counts(&["     Summary [ 1.0s] 1 test run: 1 failed, 0 skipped"]), (0, 1));
        assert_eq!(counts(&[libtest, "test wire::hello ... ok", libtest]), (10, 2));
    }

    #[test]
    fn a_failed_test_shown_by_the_summary_is_counted_once() {
        let shown =
            "    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 12 filtered out; finished in 0.08s";
        let summary = "     Summary [   2.060s] 13 tests run: 11 passed, 1 failed, 1 timed out, 0 skipped";
        assert_eq!(counts(&[shown, summary, shown]), (11, 2));
    }

    #[test]
    fn a_program_that_fails_is_a_failed_outcome() {
        let root = Root(std::env::temp_dir());
        assert_eq!(program(&root, "false", &[]).outcome().unwrap(), Outcome::Failed);
        assert_eq!(program(&root, "true", &[]).outcome().unwrap(), Outcome::Passed);
        assert!(program(&root, "no-such-program-here", &[]).outcome().is_err());
        let shell = program(&root, "sh", &["-c", "echo 'test result: ok. 2 passed; 0 failed;'; exit 3"]);
        assert_eq!(shell.counted().unwrap(), (Outcome::Failed, Counts { passed: 2, failed: 0 }));
    }

    #[test]
    fn failed_tests_are_named_whichever_runner_says_so() {
        assert_eq!(failed_test("test wire::hello ... FAILED"), Some("wire::hello"));
        assert_eq!(
            failed_test("        FAIL [   0.041s] (3/9) wrp::laws link::hello"),
            Some("(3/9) wrp::laws link::hello")
        );
        assert_eq!(failed_test("     TIMEOUT [ 300.0s] wrp::laws link::hello"), Some("wrp::laws link::hello"));
        for other in
            ["        PASS [   0.041s] wrp::laws a", "test wire::hello ... ok", "test result: FAILED. 0 passed"]
        {
            assert_eq!(failed_test(other), None, "{other}");
        }
    }

    #[test]
    fn a_quiet_program_is_heard_when_it_fails() {
        let root = Root(std::env::temp_dir());
        let run = |script| program(&root, "sh", &["-c", script]).quietly(2).unwrap();
        let lines = vec!["b".to_owned(), "c".to_owned()];
        assert_eq!(run("printf 'a\\nb\\nc\\n' >&2"), (Outcome::Passed, lines.clone()));
        assert_eq!(run("printf 'a\\nb\\nc\\n' >&2; exit 1"), (Outcome::Failed, lines));
    }

    #[test]
    fn a_program_that_hangs_is_ended_and_red() {
        let root = Root(std::env::temp_dir());
        let begun = Instant::now();
        assert_eq!(
            program(&root, "sleep", &["30"]).within(Duration::from_millis(50)).outcome().unwrap(),
            Outcome::Failed
        );
        assert!(begun.elapsed() < Duration::from_secs(20));
        assert_eq!(program(&root, "true", &[]).within(Duration::from_secs(20)).outcome().unwrap(), Outcome::Passed);
    }

    #[test]
    fn one_fault_turns_a_gate_red() {
        assert_eq!(verdict("gate", &[], "fine"), Outcome::Passed);
        assert_eq!(verdict("gate", &[Fault::new("a", "b")], "fine"), Outcome::Failed);
    }

    #[test]
    fn a_stale_missing_or_empty_file_is_red() {
        let faults = |committed, generated| stale("page", committed, generated, "command");
        assert_eq!(faults(Some("a\nb\n"), "a\nb\n"), []);
        let changed = faults(Some("a\nb\n"), "a\nc\n");
        assert!(changed[0].what.contains("line 2"), "{changed:?}");
        assert_eq!(faults(None, "a\n").len(), 1);
        assert_eq!(faults(Some(""), "").len(), 1);
        assert_eq!(faults(Some("a\n"), "a\nb\n").len(), 1, "a file cut short");
    }

    #[test]
    fn only_the_first_dashes_are_ours() {
        let given: Vec<String> = ["a", "--", "b", "--", "c"].map(str::to_owned).to_vec();
        assert_eq!(behind_dashes(&given), ["a", "b", "--", "c"]);
    }

    #[test]
    fn a_page_is_written_whatever_else_is_asked_for() {
        let given = ["--only", "x", "--write"].map(str::to_owned);
        assert_eq!(with_page(&given, "docs/p.md"), ["--only", "x", "--write", "docs/p.md"]);
    }
}
