//! Commands on messages: parts in, output out, within bounds.

use postroad::Bytes;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::Semaphore;

/// Octets of output that are sent back.
const OUTPUT_LEN_MAX: u64 = 16 << 20;

/// Runs one command line, a bounded number of times at once.
#[derive(Clone, Debug)]
pub(super) struct Runner {
    command: Arc<str>,
    running: Arc<Semaphore>,
    timeout: Duration,
}

impl Runner {
    pub(super) fn new(command: &str, running_max: u32, timeout: Duration) -> Self {
        let places = usize::try_from(running_max).unwrap_or(1);
        Self { command: command.into(), running: Arc::new(Semaphore::new(places)), timeout }
    }

    /// The command's standard output, or why there is none, in words that may be told to a peer.
    pub(super) async fn run(&self, parts: Vec<Bytes>) -> Result<Bytes, String> {
        let _place = self.running.acquire().await.map_err(|_| "the server ends".to_owned())?;
        // Dropping the future at the time-out kills the command.
        tokio::time::timeout(self.timeout, run(&self.command, parts))
            .await
            .unwrap_or_else(|_| Err(format!("the command took longer than {:?}", self.timeout)))
    }
}

async fn run(command: &str, parts: Vec<Bytes>) -> Result<Bytes, String> {
    let could_not = |error: std::io::Error| format!("the command could not be run: {error}");
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(could_not)?;
    let (mut input, output) = (child.stdin.take(), child.stdout.take());
    let writing = async move {
        if let Some(input) = &mut input {
            for part in parts {
                // A command need not read its input.
                if input.write_all(&part).await.is_err() {
                    break;
                }
            }
        }
        drop(input);
    };
    let reading = async move {
        let mut octets = Vec::new();
        match output {
            Some(output) => output.take(OUTPUT_LEN_MAX + 1).read_to_end(&mut octets).await.map(|_| octets),
            None => Ok(octets),
        }
    };
    let ((), octets) = tokio::join!(writing, reading);
    let octets = octets.map_err(could_not)?;
    if octets.len() as u64 > OUTPUT_LEN_MAX {
        return Err("the command wrote more than 16 MiB".to_owned());
    }
    let status = child.wait().await.map_err(could_not)?;
    if status.success() { Ok(octets.into()) } else { Err(format!("the command failed: {status}")) }
}
