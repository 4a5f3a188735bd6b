//! Programs under test as the system sees them: `postroad serve` until it listens, and what `/proc` says of a process (Linux).

use core::time::Duration;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A running `postroad serve URL`, ended when it is dropped.
#[derive(Debug)]
pub struct Serving {
    /// The process.
    pub child: Child,
    /// The URL that it said it listens at.
    pub url: String,
}

impl Serving {
    /// Starts it, and waits until it says where it listens.
    ///
    /// # Errors
    /// It could not be started, or said something else first.
    pub fn start(command: &mut Command) -> Result<Self, String> {
        let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| format!("could not start: {error}"))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            drop(BufReader::new(stdout).read_line(&mut line));
        }
        match line.trim_end().strip_prefix("listening ") {
            Some(url) => Ok(Self { url: url.to_owned(), child }),
            None => {
                drop(child.kill());
                drop(child.wait());
                Err(format!("does not serve, and said {line:?}"))
            }
        }
    }

    /// True as long as it has not ended.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What the system says of it.
    #[must_use]
    pub fn process(&self) -> Process {
        Process(self.child.id())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Where `cargo build` puts the command `postroad`, for a program that it built too: as released, or beside that program. Whether it is there is
/// not looked at.
///
/// # Errors
/// The system does not say where the program is.
pub fn command(as_released: bool) -> Result<PathBuf, String> {
    let myself = std::env::current_exe().map_err(|error| error.to_string())?;
    let beside = myself.with_file_name("postroad");
    let release = myself.parent().and_then(|folder| folder.parent()).map(|target| target.join("release/postroad"));
    Ok(release.filter(|_| as_released).unwrap_or(beside))
}

/// A process, by its id. What cannot be read counts as 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(pub u32);

/// What a process holds at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Resident memory in KiB.
    pub rss_kib: u64,
    /// Open descriptors.
    pub fd_count: u64,
    /// Threads.
    pub thread_count: u64,
}

impl Process {
    fn read(self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.0)).unwrap_or_default()
    }

    /// Processor time so far, user and system, to 10 ms.
    #[must_use]
    pub fn cpu(self) -> Duration {
        let stat = self.read("stat");
        // The name of the program, which may hold anything, ends with the last bracket.
        let fields: Vec<u64> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .map(|field| field.parse().unwrap_or_default())
            .collect();
        // Fields 14 and 15 of the file, in ticks of 10 ms.
        let ticks = fields.get(11).copied().unwrap_or_default() + fields.get(12).copied().unwrap_or_default();
        Duration::from_millis(ticks * 10)
    }

    /// A field of `status`: VmRSS or VmHWM in KiB, Threads.
    #[must_use]
    pub fn status(self, field: &str) -> u64 {
        field_of(&self.read("status"), field)
    }

    /// What it holds now; `None` where it is gone.
    #[must_use]
    pub fn sample(self) -> Option<Sample> {
        let status = self.read("status");
        let rss_kib = field_of(&status, "VmRSS");
        let fds = std::fs::read_dir(format!("/proc/{}/fd", self.0)).ok()?;
        (rss_kib > 0).then(|| Sample {
            rss_kib,
            fd_count: fds.count() as u64,
            thread_count: field_of(&status, "Threads"),
        })
    }
}

fn field_of(status: &str, field: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_threads_and_the_descriptor_that_it_opens() {
        let myself = Process(std::process::id());
        let before = myself.sample().unwrap_or_default();
        assert!(before.rss_kib > 0 && before.thread_count > 0, "{before:?}");
        let file = std::fs::File::open("/dev/null");
        let after = myself.sample().unwrap_or_default();
        assert!(file.is_ok() && after.fd_count > before.fd_count, "{before:?} {after:?}");
        assert_eq!(Process(u32::MAX).sample(), None);
    }

    #[test]
    fn who_does_not_listen_is_no_server() {
        let wrong = Serving::start(Command::new("echo").arg("no"));
        assert!(wrong.is_err_and(|why| why.contains("no")));
        let right = Serving::start(Command::new("sh").args(["-c", "echo listening smp+tcp://x; exec sleep 10"]));
        assert!(right.is_ok_and(|mut serving| serving.url == "smp+tcp://x" && serving.is_alive()));
    }
}
