//! Results as a table, as JSON, as a page.

use crate::bystander::Latencies;
use crate::field::ms;
use crate::run::{MEMORY_KIB_MAX, MEMORY_KIB_MAX_SMP, Measured, NOISE, SLOWER_MAX};
use std::time::Duration;

fn time(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1_000.0)
}

fn both(latencies: &Latencies) -> String {
    format!("{} / {}", time(latencies.p50), time(latencies.p99))
}

fn answer(result: &Measured) -> String {
    let outcome = &result.outcome;
    let ended = match &outcome.ended {
        Some((how, after)) => format!("{how} after {} ms", ms(*after)),
        None if outcome.held_back > Duration::from_millis(200) => "held back".to_owned(),
        None => "put up with it".to_owned(),
    };
    format!("{ended}; {} connections, {} KiB taken", outcome.connection_count, outcome.sent_len >> 10)
}

fn verdict(result: &Measured) -> String {
    if result.broken.is_empty() { "kept".to_owned() } else { format!("BROKEN: {}", result.broken.join("; ")) }
}

pub(crate) fn line(result: &Measured) -> String {
    format!(
        "{}: {:.2} s CPU, {} KiB, p50/p99 {} | {} | {} ms, {}: {}",
        result.id,
        result.cpu.as_secs_f64(),
        result.growth_kib,
        both(&result.before),
        both(&result.during),
        both(&result.after),
        answer(result),
        verdict(result)
    )
}

pub(crate) fn table(results: &[Measured]) -> String {
    let broken = results.iter().filter(|result| !result.broken.is_empty()).count();
    let lines: String = results.iter().map(|result| line(result) + "\n").collect();
    format!("{lines}{} attacks, {broken} with a promise that was not kept\n", results.len())
}

pub(crate) fn json(results: &[Measured]) -> serde_json::Value {
    let latencies = |latencies: &Latencies| {
        serde_json::json!({
            "p50_ms": latencies.p50.as_secs_f64() * 1_000.0, "p99_ms": latencies.p99.as_secs_f64() * 1_000.0,
            "count": latencies.count, "failed": latencies.failed,
        })
    };
    let one = |result: &Measured| {
        serde_json::json!({
            "id": result.id, "stack": result.stack, "row": result.row, "what": result.what,
            "attacker": result.outcome.to_json(), "cpu_s": result.cpu.as_secs_f64(), "growth_kib": result.growth_kib,
            "before": latencies(&result.before), "during": latencies(&result.during), "after": latencies(&result.after),
            "allowed_p99_ms": result.allowed.as_secs_f64() * 1_000.0, "broken": result.broken,
        })
    };
    serde_json::json!({ "schema": "postroad-attack/1", "attacks": results.iter().map(one).collect::<Vec<_>>() })
}

fn machine() -> String {
    let field = |file: &str, key: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key)).map(str::to_owned);
        line.and_then(|line| line.split_once(':').map(|(_, value)| value.trim().to_owned())).unwrap_or_default()
    };
    let threads = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let is_virtual = field("/proc/cpuinfo", "flags").split_whitespace().any(|flag| flag == "hypervisor");
    format!(
        "- processor: {}, {threads} hardware threads, {} machine.\n- memory: {}.\n- system: {} {} ({}).\n- load at the end: {}.\n",
        field("/proc/cpuinfo", "model name"),
        if is_virtual { "virtual" } else { "physical" },
        field("/proc/meminfo", "MemTotal"),
        std::env::consts::OS,
        kernel.trim(),
        std::env::consts::ARCH,
        load.split_whitespace().next().unwrap_or_default()
    )
}

pub(crate) fn markdown(results: &[Measured]) -> String {
    let mut text = format!(
        "# Attacks\n\nWritten by `cargo xtask attack --write`. Each attack has a server of its own, `postroad serve URL --echo` as released, over loopback, with 2 GiB of \
address space. A bystander has a session of its own and asks 64 octets every 4 ms, one request at a time; then one attacker, with less priority (nice 10), attacks for 3 s \
or as long as the row says, and connects again whenever it is thrown out. Its octets are made with the encoder of the implementation.\n\n{}\n\
What is promised: the server lives; its memory grows by {} MiB at most, from what it was to its peak ({} MiB over smp, whose bound on what is not whole or not taken is 64 MiB); every request of the bystander is answered; its p99 during the attack is at most {SLOWER_MAX} times what it was before, \
or {NOISE:?}, below which the machine's noise is, or what it is beside an honest peer that asks as fast as it is answered (the control of the same run): two processors are shared by server, \
attacker and bystander, and what any peer may do is no attack. Where only this was not kept, the attack was measured again, three times at most. Where an attack is a fault, the server ends it with the code for it.\n\n\
Rows `5.1/N` are those of the catalogue in the proposal of SMRP, the others sections of the paper on reliability. Latencies are p50 / p99 in ms.\n\n",
        machine(),
        MEMORY_KIB_MAX >> 10,
        MEMORY_KIB_MAX_SMP >> 10
    );
    text.push_str("| attack | stack | row | what is sent | CPU s | memory KiB | before | during | after | what became of it | promises |\n");
    text.push_str("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
    for result in results {
        text.push_str(&format!(
            "| {} | {} | {} | {} | {:.2} | {} | {} | {} | {} | {} | {} |\n",
            result.id,
            result.stack,
            result.row,
            result.what,
            result.cpu.as_secs_f64(),
            result.growth_kib,
            both(&result.before),
            both(&result.during),
            both(&result.after),
            answer(result),
            verdict(result)
        ));
    }
    text
}
