//! Measurements that need a process of their own, because they are about its memory.

use crate::{idle, memory};
use anyhow::{Context as _, bail};
use serde_json::Value;
use std::process::Command;

/// Runs this program again for one measurement and reads the JSON object that it prints.
pub(crate) fn measure(what: &[&str]) -> anyhow::Result<Value> {
    let program = std::env::current_exe().context("find this program")?;
    let output = Command::new(program).arg("--child").args(what).output().context("start a process to measure in")?;
    if !output.status.success() {
        bail!("measuring {}: {}", what.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("what the measuring process printed")
}

/// A number in what a child printed.
pub(crate) fn number(report: &Value, key: &str) -> anyhow::Result<f64> {
    report.get(key).and_then(Value::as_f64).with_context(|| format!("no {key} in {report}"))
}

/// In the child.
pub(crate) fn run(what: &[String]) -> anyhow::Result<Value> {
    let what: Vec<&str> = what.iter().map(String::as_str).collect();
    match what[..] {
        ["body", how, len] => memory::child(how, len.parse()?),
        ["stream", how] => crate::wrp::memory::child(how),
        ["idle", how, count] => idle::child(how, count.parse()?),
        _ => bail!("no measurement {what:?}"),
    }
}
