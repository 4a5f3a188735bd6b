//! Processes of the tests' own: this program once more, in another role and network.

use super::namespace::Namespace;
use super::roles::{Report, Role};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child as Process, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Holds the role, as JSON.
pub(crate) const ROLE: &str = "POSTROAD_TEST_ROLE";

/// What a child says begins with this; all else is the test harness.
pub(crate) const MARK: &str = "@@";

/// How long a child may take over anything.
const PATIENCE: Duration = Duration::from_secs(200);

#[derive(Debug)]
pub(crate) struct Child {
    process: Process,
    stdin: ChildStdin,
    reports: Receiver<Report>,
}

impl Child {
    /// Starts one, in `namespace` or here, and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(namespace: Option<&Namespace>, role: &Role) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut command = match namespace {
            Some(namespace) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--net={}", namespace.path())).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.args(["--exact", "roles::child", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env(ROLE, serde_json::to_string(role).unwrap());
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let (sender, reports) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // The harness leaves its own line unfinished.
                if let Some((_, json)) = line.split_once(MARK)
                    && sender.send(serde_json::from_str(json).unwrap()).is_err()
                {
                    return;
                }
            }
        });
        let child = Self { process, stdin, reports };
        assert_eq!(child.next(), Report::Ready);
        child
    }

    /// What it says next.
    #[track_caller]
    pub(crate) fn next(&self) -> Report {
        match self.reports.recv_timeout(PATIENCE) {
            Ok(report) => report,
            Err(RecvTimeoutError::Timeout) => panic!("nothing from the child in {PATIENCE:?}"),
            Err(RecvTimeoutError::Disconnected) => panic!("the child has ended"),
        }
    }

    /// Waits until it has done so many exchanges.
    #[track_caller]
    pub(crate) fn wait_for(&self, done_count: u64) {
        loop {
            match self.next() {
                Report::Progress { done_count: now_count } if now_count >= done_count => return,
                Report::Progress { .. } => {}
                other => panic!("over before it was to be disturbed: {other:?}"),
            }
        }
    }

    /// What it says in the end.
    #[track_caller]
    pub(crate) fn finish(&self) -> Report {
        let begun = Instant::now();
        loop {
            let report = self.next();
            if !matches!(report, Report::Progress { .. }) {
                return report;
            }
            assert!(begun.elapsed() < PATIENCE, "no end in {PATIENCE:?}");
        }
    }

    /// Asks for what it has done so far.
    #[track_caller]
    pub(crate) fn ask(&mut self) -> Report {
        self.stdin.write_all(b"\n").unwrap();
        self.finish()
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
