//! A copy of the workspace in which faults are planted, and what the cases say of it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::list::{self, Mutant};
use crate::run::Root;

/// All cases of a protocol take a second; a fault can make them take for ever.
const CASES_MAX: Duration = Duration::from_secs(60);
/// A fault can make something grow without end; in kibibytes.
const MEMORY_MAX: u32 = 4 << 20;
/// The cases take less than what is saved by building like this.
const QUICK: [&str; 3] =
    ["profile.dev.debug=false", "profile.dev.package.smp121.opt-level=0", "profile.dev.package.smrp.opt-level=0"];
/// What of the workspace the cases need.
const NEEDED: [&str; 6] = ["Cargo.toml", "Cargo.lock", "clippy.toml", "crates", "xtask", "docs"];

/// What became of a planted fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Cases failed: how many, and the first.
    Caught { count: usize, first: String },
    /// The cases never ended.
    Stuck,
    /// All cases passed.
    Survived,
    /// It does not compile: the first error.
    NoBuild { first: String },
}

impl Fate {
    /// In a few words.
    pub(super) fn brief(&self) -> String {
        match self {
            Fate::Caught { count, .. } => format!("noticed by {count}"),
            Fate::Stuck => "noticed: never ends".to_owned(),
            Fate::Survived => "SURVIVED".to_owned(),
            Fate::NoBuild { .. } => "DOES NOT COMPILE".to_owned(),
        }
    }

    /// As two cells of the page.
    pub(super) fn cells(&self) -> String {
        match self {
            Fate::Caught { count, first } => format!("{count} | `{first}`"),
            Fate::Stuck => "all | they never end".to_owned(),
            Fate::Survived => "none | survived".to_owned(),
            Fate::NoBuild { first } => format!("none | does not compile: {first}"),
        }
    }

    /// True where it was noticed.
    pub(super) const fn is_noticed(&self) -> bool {
        matches!(self, Fate::Caught { .. } | Fate::Stuck)
    }
}

/// The copy. What is built of it is kept from run to run.
#[derive(Debug)]
pub(super) struct Scratch {
    workspace: PathBuf,
    target: PathBuf,
    /// The file that has a fault in it, and what it was before.
    planted: Option<(PathBuf, String)>,
}

impl Scratch {
    /// Copies what has changed since the last time.
    pub(super) fn new(root: &Root) -> Result<Scratch> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.path("target"), PathBuf::from);
        let target = std::path::absolute(target)?.join("mutants");
        let workspace = target.join("workspace");
        fs::create_dir_all(&workspace)?;
        for name in NEEDED {
            let from = root.path(name);
            if from.exists() {
                mirror(&from, &workspace.join(name)).with_context(|| format!("{name} could not be copied"))?;
            }
        }
        Ok(Scratch { workspace, target, planted: None })
    }

    /// Plants a fault, or none, and asks the cases of some protocols.
    pub(super) fn run(&mut self, mutant: Option<&Mutant>, systems: &[&str]) -> Result<Fate> {
        self.restore()?;
        if let Some(mutant) = mutant {
            let path = self.workspace.join(&mutant.file);
            let source = fs::read_to_string(&path)?;
            let Ok(changed) = list::applied(mutant, &source) else { bail!("{} no longer applies", mutant.id) };
            fs::write(&path, changed)?;
            self.planted = Some((path, source));
        }
        if let Some(first) = self.build_error()? {
            return Ok(Fate::NoBuild { first });
        }
        let mut failed = Vec::new();
        for system in systems {
            match self.cases(system)? {
                Some(cases) => failed.extend(cases),
                None => return Ok(Fate::Stuck),
            }
        }
        Ok(match failed.first() {
            Some(first) => Fate::Caught { count: failed.len(), first: first.clone() },
            None => Fate::Survived,
        })
    }

    fn restore(&mut self) -> Result<()> {
        if let Some((path, source)) = self.planted.take() {
            fs::write(path, source)?;
        }
        Ok(())
    }

    /// Builds the runner; the first error, where there is one.
    fn build_error(&self) -> Result<Option<String>> {
        let output = Command::new("cargo")
            // Without sockets, which no fault here needs and which take most of the time to build.
            .args(["build", "--quiet", "-p", "conformance", "--no-default-features", "--target-dir"])
            .arg(self.target.join("build"))
            .args(QUICK.iter().flat_map(|setting| ["--config", *setting]))
            .current_dir(&self.workspace)
            .env("CARGO_INCREMENTAL", "1")
            .stdout(Stdio::null())
            .output()
            .context("cargo could not be started")?;
        if output.status.success() {
            return Ok(None);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let first = said.lines().find(|line| line.starts_with("error")).unwrap_or("error");
        Ok(Some(first.to_owned()))
    }

    /// The cases of a protocol that failed; `None` where they did not end.
    fn cases(&self, system: &str) -> Result<Option<Vec<String>>> {
        let said = self.target.join("said");
        let mut child = Command::new("sh")
            // Where a system has no such limit, the limit of time has to do.
            .args(["-c", &format!("ulimit -v {MEMORY_MAX} 2>/dev/null; exec \"$0\" \"$@\"")])
            .arg(self.target.join("build/debug/conformance"))
            .args(["--system", system])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&said)?)
            .spawn()
            .context("the cases could not be started")?;
        let deadline = Instant::now() + CASES_MAX;
        while child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
            thread::sleep(Duration::from_millis(10));
        }
        let passed = child.wait()?.success();
        let said = fs::read(&said)?;
        Ok(Some(failed_cases(passed, &String::from_utf8_lossy(&said))))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The next run copies what differs anyway.
        drop(self.restore());
    }
}

/// The cases that the runner names; where it names none and did not pass, how it ended.
pub(super) fn failed_cases(passed: bool, said: &str) -> Vec<String> {
    let named = |line: &str| Some(line.strip_prefix("case ")?.split_once(" failed: ")?.0.to_owned());
    let cases: Vec<String> = said.lines().filter_map(named).collect();
    if passed || !cases.is_empty() {
        return cases;
    }
    let panicked = said.lines().any(|line| line.contains("panicked at") || line.contains("overflowed its stack"));
    vec![if panicked { "(a panic)" } else { "(the runner ended badly)" }.to_owned()]
}

/// Makes `to` what `from` is. What is the same stays untouched, so that it is not built again.
fn mirror(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(to)? {
            let entry = entry?;
            if !from.join(entry.file_name()).exists() {
                let path = entry.path();
                if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
            }
        }
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            mirror(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    let content = fs::read(from)?;
    if fs::read(to).ok().as_ref() != Some(&content) {
        fs::write(to, content)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_what_the_original_is_and_what_is_the_same_stays_untouched() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("deep")).unwrap();
        fs::write(from.join("deep/a"), "a").unwrap();
        fs::write(from.join("b"), "b").unwrap();
        mirror(&from, &to).unwrap();
        let time = |name: &str| fs::metadata(to.join(name)).unwrap().modified().unwrap();
        let (a, b) = (time("deep/a"), time("b"));
        thread::sleep(Duration::from_millis(20));
        fs::write(from.join("b"), "c").unwrap();
        fs::write(to.join("deep/gone"), "").unwrap();
        mirror(&from, &to).unwrap();
        assert_eq!((time("deep/a") == a, time("b") == b), (true, false));
        assert_eq!(fs::read_to_string(to.join("b")).unwrap(), "c");
        assert!(!to.join("deep/gone").exists());
    }

    #[test]
    fn failed_cases_are_told_by_name_and_other_ends_by_words() {
        let said = "case a-b failed: step 1\nX-1 is a MUST without case or test\ncase c failed: no\n";
        assert_eq!(failed_cases(false, said), ["a-b", "c"]);
        assert_eq!(failed_cases(true, ""), Vec::<String>::new());
        assert_eq!(failed_cases(false, "thread 'main' panicked at x.rs:1:1"), ["(a panic)"]);
        assert_eq!(failed_cases(false, "Killed"), ["(the runner ended badly)"]);
    }
}
