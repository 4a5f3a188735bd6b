//! The server under attack: the release binary, with a bound on its memory.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What the server may have of address space, in KiB: more than it ever needs, and what an allocation without bound hits.
const ADDRESS_SPACE_KIB: u64 = 2 << 20;

/// A running `postroad serve URL --echo`.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn start(binary: &Path, url: &str) -> Result<Self, String> {
        let run = format!("ulimit -v {ADDRESS_SPACE_KIB}; exec \"$0\" serve \"$1\" --echo");
        let mut child = Command::new("sh")
            .args(["-c", &run])
            .arg(binary)
            .arg(url)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("could not start {}: {error}", binary.display()))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            drop(BufReader::new(stdout).read_line(&mut line));
        }
        let url = line.trim_end().strip_prefix("listening ").map(str::to_owned);
        let Some(url) = url else {
            drop(child.kill());
            drop(child.wait());
            return Err(format!("{} does not serve {url:?}: {line:?}", binary.display()));
        };
        Ok(Self { child, url })
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> String {
        let rest = self.url.split("://").nth(1).unwrap_or_default();
        rest.split(['/', '?']).next().unwrap_or_default().to_owned()
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap_or_default()
    }

    /// Processor time so far, user and system.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = self.proc("stat");
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

    /// A field of `status`, such as VmRSS or VmHWM, in KiB.
    pub(crate) fn memory_kib(&self, field: &str) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
