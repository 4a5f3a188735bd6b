//! Runs wire cases, one after the other, each on a new connection.

use super::carriers::{self, Place};
use super::case::WireCase;
use super::exceptions::Exception;
use super::ours::Ours;
use super::target::Target;
use super::{smp, smp121, smrp, wrp};
use crate::output::{Row, Verdict};
use core::time::Duration;
use std::time::Instant;

/// No case takes longer.
pub const CASE_MAX: Duration = Duration::from_secs(30);

/// Runs one case.
///
/// # Errors
/// The first thing that was not as expected.
pub async fn run_case(system: &str, case: &WireCase, target: &Target, ours: Option<&Ours>) -> Result<(), String> {
    let running = async {
        match system {
            "smp-framing" => Box::pin(smp::run(&case.steps, target)).await,
            // What rides on a datagram is seen in the words of smp121.
            "carriers" if case.protocol.as_deref() == Some("smp121") => {
                Box::pin(smp121::run(&case.steps, target)).await
            }
            "carriers" => Box::pin(carriers::run(&case.steps, &Place { target, ours })).await,
            "smrp" => Box::pin(smrp::run(&case.steps, target)).await,
            "smp121" => Box::pin(smp121::run(&case.steps, target)).await,
            "wrp" | "wrp-ssp" => Box::pin(wrp::run(&case.steps, target)).await,
            _ => Err(format!("{system} has no wire cases")),
        }
    };
    // Who waits for a client gives up by itself.
    let max = if target.is_waiting() { CASE_MAX + super::target::ARRIVAL_MAX } else { CASE_MAX };
    tokio::time::timeout(max, running).await.unwrap_or_else(|_| Err(format!("no end after {max:?}")))
}

/// Why a case does not run there; `None` where it does.
fn skip_reason(system: &str, case: &WireCase, target: &Target, ours: Option<&Ours>) -> Option<String> {
    let carrier = target.carrier();
    let is_about_settings = case.options.is_some() || case.steps.iter().any(|line| is_of_ours(line));
    if ours.is_none() && is_about_settings {
        return Some("about settings of our own server".into());
    }
    // Frames and handshakes of WebSockets and TLS are written as clients write them.
    let is_of_clients = |line: &String| line == "bare" || line.starts_with("tls");
    let is_carrier = system == super::case::CARRIERS;
    if target.is_waiting() && is_carrier && (carrier.starts_with("ws") || case.steps.iter().any(is_of_clients)) {
        return Some("what a client sends: for those who listen".into());
    }
    if target.is_waiting() && (system == "smrp" || case.protocol.as_deref() == Some("smrp")) {
        return Some("the runner is the initiator: for those who listen".into());
    }
    let is_for = case.carriers.is_empty() || case.carriers.iter().any(|of| of == carrier);
    (!is_for).then(|| format!("for {} alone", case.carriers.join(", ")))
}

/// True for lines about our own library, or with its certificates.
fn is_of_ours(line: &str) -> bool {
    ["cannot-", "no-url"].iter().any(|beginning| line.starts_with(beginning)) || line.contains("identity=")
}

/// Runs all cases of a system and judges them by what is known of the implementation.
pub async fn run_all(
    system: &str,
    cases: &[WireCase],
    target: &Target,
    ours: Option<&Ours>,
    exceptions: &[Exception],
) -> Vec<Row> {
    let mut rows = Vec::new();
    // Once nobody comes any more, nobody is waited for again.
    let mut nobody = None;
    for case in cases {
        let started = Instant::now();
        let verdict = match skip_reason(system, case, target, ours).or_else(|| nobody.clone()) {
            Some(reason) => Verdict::Skipped(reason),
            None => {
                let result = run_case(system, case, target, ours).await;
                if let Err(detail) = &result
                    && detail.starts_with("nobody connected")
                {
                    nobody = Some(detail.clone());
                }
                judge(result, exceptions.iter().find(|exception| exception.is_about(&case.id, target.carrier())))
            }
        };
        rows.push(row(system, case, target.carrier(), verdict, started.elapsed()));
    }
    rows
}

fn judge(result: Result<(), String>, exception: Option<&Exception>) -> Verdict {
    match (result, exception) {
        (Ok(()), None) => Verdict::Passed,
        (Ok(()), Some(exception)) => Verdict::Stale(format!("{} ({})", exception.reason, exception.date)),
        (Err(detail), None) => Verdict::Failed(detail),
        (Err(detail), Some(exception)) => {
            Verdict::Excepted(format!("{} ({}); {detail}", exception.reason, exception.date))
        }
    }
}

/// What became of a case, with all that is told about it.
#[must_use]
pub fn row(system: &str, case: &WireCase, carrier: &str, verdict: Verdict, took: Duration) -> Row {
    Row {
        system: system.to_owned(),
        id: case.id.clone(),
        kind: case.kind,
        requirements: case.requirements.clone(),
        why: case.why.clone(),
        carrier: carrier.to_owned(),
        verdict,
        took,
    }
}
