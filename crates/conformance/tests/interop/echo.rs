//! The package in the echo role of docs/guide/conformance.md: the runner's wire cases find its known faults, and nothing else.

use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/npm-smp-echo.js");
const KNOWN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/npm-smp.toml");
/// One run takes a second for each case that fails.
const RUN_MAX: Duration = Duration::from_secs(80);

fn node(arguments: &[&str]) -> Child {
    let package = std::env::var_os("POSTROAD_NPM_SMP").expect("`cargo xtask interop npm-smp` sets POSTROAD_NPM_SMP");
    let mut node = Command::new("node");
    node.args(["--no-deprecation", SCRIPT]).args(arguments);
    node.env("POSTROAD_NPM_SMP", std::path::absolute(package).unwrap());
    node.stdout(Stdio::piped()).kill_on_drop(true).spawn().expect("node runs")
}

fn conformance(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conformance"));
    command.args(arguments).args(["--exceptions", KNOWN, "--patience", "1s"]);
    command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
}

async fn first_line(process: &mut Child) -> (String, BufReader<tokio::process::ChildStdout>) {
    let mut out = BufReader::new(process.stdout.take().unwrap());
    let mut line = String::new();
    timeout(RUN_MAX, out.read_line(&mut line)).await.expect("it says that it is ready").unwrap();
    (line.trim().to_owned(), out)
}

fn known_count() -> usize {
    std::fs::read_to_string(KNOWN).unwrap().matches("[[exception]]").count()
}

/// All the known faults were found, and nothing else.
fn assert_known(summary: &str, code: Option<i32>) {
    assert_eq!(code, Some(0), "{summary}");
    let count = known_count();
    assert!(count > 20 && summary.contains(&format!(", {count} excepted")), "{summary}");
}

#[tokio::test]
#[ignore = "needs Node.js and npm smp: cargo xtask interop npm-smp"]
async fn its_known_faults_are_found_where_it_listens_and_nothing_else() {
    let mut peer = node(&["listen", "0"]);
    let (line, _out) = first_line(&mut peer).await;
    let url = format!("smp+tcp://127.0.0.1:{}", line.strip_prefix("listening ").unwrap());
    let run = conformance(&["--connect", &url]);
    let output = timeout(RUN_MAX, run.wait_with_output()).await.expect("the run ends").unwrap();
    assert_known(&String::from_utf8_lossy(&output.stdout), output.status.code());
}

#[tokio::test]
#[ignore = "needs Node.js and npm smp: cargo xtask interop npm-smp"]
async fn its_known_faults_are_found_where_it_connects_and_nothing_else() {
    let mut run = conformance(&["--listen", "smp+tcp://127.0.0.1:0"]);
    let (line, mut out) = first_line(&mut run).await;
    let port = line.rsplit(':').next().unwrap().to_owned();
    let _peer = node(&["connect", &port]);
    let mut summary = String::new();
    timeout(RUN_MAX, out.read_to_string(&mut summary)).await.expect("the run ends").unwrap();
    let status = timeout(RUN_MAX, run.wait()).await.expect("the run ends").unwrap();
    assert_known(&summary, status.code());
}
