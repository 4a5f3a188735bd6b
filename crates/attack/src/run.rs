//! One attack from beginning to end, and the verdict on it.

use crate::attacks::{Attack, Promise, all};
use crate::bystander::{Bystander, Latencies};
use crate::field::{Field, Outcome};
use crate::server;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use testkit::process::Serving;

/// Memory that one attacker may cost, in KiB.
pub(crate) const MEMORY_KIB_MAX: u64 = 32 << 10;
/// The same over smp: its `assembly_len_max` of 64 MiB, and half as much again for the allocator and what is sent back.
pub(crate) const MEMORY_KIB_MAX_SMP: u64 = 96 << 10;
/// What the bystander may be slowed down by, times what it was before.
pub(crate) const SLOWER_MAX: u32 = 2;
/// Below this a latency is not told from what else the machine does.
pub(crate) const NOISE: Duration = Duration::from_millis(10);
/// Attacks after which the bystander waited too long are measured again, so often: the machine has other things to do.
const TRIES: usize = 3;
/// Time of the phases around an attack.
const BEFORE: Duration = Duration::from_millis(1_500);
const AFTER: Duration = Duration::from_millis(1_000);
/// Time that an attacker gets to stop.
const GRACE: Duration = Duration::from_secs(15);

/// What was measured.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) id: &'static str,
    pub(crate) stack: &'static str,
    pub(crate) row: &'static str,
    pub(crate) what: &'static str,
    pub(crate) outcome: Outcome,
    pub(crate) cpu: Duration,
    pub(crate) growth_kib: u64,
    pub(crate) before: Latencies,
    pub(crate) during: Latencies,
    pub(crate) after: Latencies,
    /// The p99 that was allowed during the attack.
    pub(crate) allowed: Duration,
    /// The promises that were not kept.
    pub(crate) broken: Vec<String>,
}

/// What is attacked, and by what it is judged.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) binary: PathBuf,
    /// Times the bounds on memory.
    pub(crate) memory_times: u64,
    /// Without a verdict on the bystander's latencies.
    pub(crate) no_times: bool,
}

/// What an honest peer does to the bystander, by stack.
#[derive(Debug, Default)]
pub(crate) struct Controls(BTreeMap<&'static str, Duration>);

/// In the attacker's process.
pub(crate) fn attack(attack: &Attack, address: &str, time: Duration) -> Outcome {
    let mut field = Field::new(address, time);
    (attack.run)(&mut field);
    field.outcome
}

/// In the process that looks on.
pub(crate) fn measure(
    rules: &Rules,
    attack: &Attack,
    time: Duration,
    controls: &mut Controls,
) -> Result<Measured, String> {
    if !rules.no_times && attack.row != "control" && !controls.0.contains_key(attack.stack) {
        let control = all().into_iter().find(|other| other.row == "control" && other.stack == attack.stack);
        if let Some(control) = control {
            let result = watch(rules, &control, time)?;
            controls.0.insert(attack.stack, result.during.p99);
        }
    }
    let control = controls.0.get(attack.stack).copied().unwrap_or_default();
    let mut result = watch(rules, attack, time)?;
    if attack.row == "control" {
        controls.0.insert(attack.stack, result.during.p99);
        return Ok(result);
    }
    for _ in 1..TRIES {
        result.allowed = (result.before.p99 * SLOWER_MAX).max(NOISE).max(control);
        if rules.no_times || result.during.p99 <= result.allowed || !result.broken.is_empty() {
            return Ok(result);
        }
        result = watch(rules, attack, time)?;
    }
    result.allowed = (result.before.p99 * SLOWER_MAX).max(NOISE).max(control);
    if result.during.p99 > result.allowed {
        result.broken.push(format!("the bystander waited {:?} (p99), {:?} at most", result.during.p99, result.allowed));
    }
    Ok(result)
}

fn watch(rules: &Rules, attack: &Attack, time: Duration) -> Result<Measured, String> {
    let mut server = server::start(&rules.binary, &format!("{}://127.0.0.1:0", attack.stack))?;
    let bystander = Bystander::connect(&server.url)?;
    let phase = |time: Duration| {
        let begun = Instant::now();
        bystander.ask(|| begun.elapsed() < time)
    };
    // What the first requests make the server keep is not the attacker's doing.
    phase(Duration::from_millis(200));
    let before = phase(BEFORE);
    let process = server.process();
    let (cpu, memory) = (process.cpu(), process.status("VmRSS"));
    let myself = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut attacker = Command::new("nice")
        .args(["-n", "10"])
        .arg(myself)
        .args(["--attacker", attack.id, &server::address(&server), "--seconds", &time.as_secs().to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("could not start the attacker: {error}"))?;
    let begun = Instant::now();
    let during = bystander.ask(|| matches!(attacker.try_wait(), Ok(None)) && begun.elapsed() < time + GRACE);
    let cpu = process.cpu().saturating_sub(cpu);
    let growth_kib = process.status("VmHWM").saturating_sub(memory);
    drop(attacker.kill());
    let output = attacker.wait_with_output().map_err(|error| error.to_string())?;
    let said = serde_json::from_slice(&output.stdout).map_err(|_| format!("the attacker {} broke", attack.id))?;
    let after = phase(AFTER);
    let outcome = Outcome::from_json(&said);
    let broken = judge(attack, &outcome, &mut server, growth_kib / rules.memory_times.max(1), [before, during, after]);
    let allowed = Duration::ZERO;
    let Attack { id, stack, row, what, .. } = *attack;
    Ok(Measured { id, stack, row, what, outcome, cpu, growth_kib, before, during, after, allowed, broken })
}

/// The promises that hold whatever the machine does.
fn judge(
    attack: &Attack,
    outcome: &Outcome,
    server: &mut Serving,
    growth_kib: u64,
    latencies: [Latencies; 3],
) -> Vec<String> {
    let mut broken = Vec::new();
    if !server.is_alive() {
        broken.push("the server is gone".to_owned());
    }
    let most = if attack.stack.starts_with("smp+") { MEMORY_KIB_MAX_SMP } else { MEMORY_KIB_MAX };
    if growth_kib > most && attack.row != "control" {
        broken.push(format!("memory grew by {} MiB, {} at most", growth_kib >> 10, most >> 10));
    }
    let failed: usize = latencies.iter().map(|phase| phase.failed).sum();
    if failed > 0 {
        broken.push(format!("{failed} requests of the bystander were not answered"));
    }
    if outcome.connection_count == 0 {
        broken.push("the attacker did not get to attack".to_owned());
    }
    if let Promise::Ends(word) = attack.promise {
        match &outcome.ended {
            None => broken.push("the server did not end it".to_owned()),
            Some((how, _)) if !how.contains(word) => broken.push(format!("the server said {how}, not {word}")),
            Some(_) => {}
        }
    }
    broken
}
