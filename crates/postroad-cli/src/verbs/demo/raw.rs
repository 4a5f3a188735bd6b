//! Raw IP in the demo: here where this process may, else in a network of its own, else not at all.

use super::{FileMark, Row, Stage, Verdict, row_from};
use postroad::url::{Stack, Transport};
use serde_json::Value;
use std::path::Path;
use std::process::Output;
use tokio::process::Command;

/// Makes this user root of a new, empty network, in which raw sockets are allowed.
const NAMESPACE: [&str; 2] = ["unshare", "-rn"];

/// The loopback interface of a new network is down. Then the command line itself.
const UP: &str = "ip link set lo up && exec \"$0\" \"$@\"";

/// How a stack is played.
pub(super) enum Way {
    /// In this process; with words for the table where there are several ways.
    Here(Option<&'static str>),
    /// By this program once more, in a network of its own.
    Namespace,
}

/// The way to play `stack`, or why there is none.
pub(super) async fn way(stack: &str, in_namespace: bool) -> Result<Way, String> {
    let known = Stack::ALL.into_iter().find(|known| known.to_string() == stack);
    let Some(known) = known.filter(|known| known.transport() == Transport::Ip) else { return Ok(Way::Here(None)) };
    let missing = match known.available() {
        Ok(()) => return Ok(Way::Here(Some("on the loopback interface"))),
        Err(error) => error,
    };
    if in_namespace {
        return Err(missing.why().to_owned());
    }
    // Tried out first, so that a failure of the demo itself is never taken for a machine that cannot.
    match command(Path::new("true")).output().await {
        Ok(output) if output.status.success() => Ok(Way::Namespace),
        Ok(output) => Err(format!("{}, and `unshare -rn` does not work: {}", missing.why(), last_line(&output.stderr))),
        Err(error) => Err(format!("{}, and `unshare` could not be run: {error}", missing.why())),
    }
}

/// An address of this host that other demos do not use: over raw IP there are no ports to tell them apart.
pub(super) fn address() -> String {
    let [.., high, low] = std::process::id().to_be_bytes();
    format!("127.121.{high}.{}", low.clamp(1, 254))
}

fn command(program: &Path) -> Command {
    let [unshare, flags] = NAMESPACE;
    let mut command = Command::new(unshare);
    command.args([flags, "sh", "-c", UP]).arg(program).kill_on_drop(true).stdin(std::process::Stdio::null());
    command
}

/// Plays `stack` by this program in a network of its own.
pub(super) async fn run(stack: &str, stage: &Stage, original: &FileMark) -> Row {
    let way = Some("in a network of its own (unshare -rn)");
    let failed = |why: String| row_from(stack, Err(why), way);
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return failed(error.to_string()),
    };
    let mut command = command(&program);
    command.args(["demo", "--json", "--in-namespace", "--stack", stack, "--messages", &stage.messages.to_string()]);
    match command.arg("--file").arg(&stage.file).output().await {
        Ok(output) => row_of(stack, &output, original).map_or_else(failed, |row| Row { way, ..row }),
        Err(error) => failed(error.to_string()),
    }
}

/// What the other run says, if it says so about the same file.
fn row_of(stack: &str, output: &Output, original: &FileMark) -> Result<Row, String> {
    let told = || last_line(&output.stderr);
    let object: Value = serde_json::from_slice(&output.stdout).map_err(|_| told())?;
    let row = object.get("stacks").and_then(|stacks| stacks.get(0)).ok_or_else(told)?;
    let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let count = |key: &str| row.get(key).and_then(Value::as_u64).unwrap_or_default();
    let verdict = match text("result").as_str() {
        "ok" if text("sha256") == original.sha256 && output.status.success() => Verdict::Ok,
        "ok" => Verdict::Failed("it was done with another file".to_owned()),
        "skipped" => Verdict::Skipped(text("why")),
        _ => Verdict::Failed(text("why")),
    };
    Ok(Row {
        stack: stack.to_owned(),
        messages: u32::try_from(count("messages")).unwrap_or(u32::MAX),
        octets: count("octets"),
        seconds: row.get("seconds").and_then(Value::as_f64).unwrap_or_default(),
        sha256: text("sha256"),
        verdict,
        way: None,
    })
}

/// What a program said last, harmless.
fn last_line(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets);
    postroad::escape::text(text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it says nothing"))
}
