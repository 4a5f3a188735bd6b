//! Verdicts as a table, as JSON, as a page.

use crate::client::UNDER_WAY;
use crate::faults::Fault;
use crate::judge::{FDS_MORE_MAX, GROWTH_KIB_MAX, Line, RESUME_WITHIN, Row, TASKS_MORE_MAX, THREADS_MORE_MAX};
use crate::record::Record;
use crate::watch::SHARE;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

fn memory(line: Option<Line>) -> String {
    line.map_or("-".to_owned(), |line| format!("{:+.0}", line.kib_per_minute))
}

fn grown(line: Option<Line>) -> String {
    line.map_or("-".to_owned(), |line| format!("{:+.0} of {}", line.growth_kib, line.last.rss_kib))
}

fn held(row: &Row) -> String {
    let of = |line: Option<Line>| line.unwrap_or_default().last;
    let (server, client) = (of(row.server), of(row.client));
    format!("{}/{} {}/{} {}", server.fd_count, client.fd_count, server.thread_count, client.thread_count, row.tasks)
}

fn faults(record: &Record) -> String {
    let of = |fault: Fault| record.faults.iter().filter(|injected| injected.fault == fault).count();
    let counted = Fault::ALL.into_iter().map(|(fault, name)| (of(fault), name)).filter(|(count, _)| *count > 0);
    counted.map(|(count, name)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
}

fn verdict(row: &Row) -> String {
    match &row.record.skipped {
        Some(why) => format!("skipped: {why}"),
        None if row.broken.is_empty() => "kept".to_owned(),
        None => format!("BROKEN: {}", row.broken.join("; ")),
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64())
}

/// A table for people.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<14} {:>8} {:>9} {:>6} {:>8} {:>15} {:>19}  verdict\n",
        "stack", "asked/s", "answered", "errors", "resume s", "KiB/min srv/cl", "fds thr tasks"
    );
    for row in rows {
        text.push_str(&format!(
            "{:<14} {:>8.1} {:>9} {:>6} {:>8} {:>15} {:>19}  {}\n",
            row.record.stack,
            row.record.planned,
            row.record.counts.answered,
            row.record.counts.failed,
            seconds(row.resumed),
            format!("{}/{}", memory(row.server), memory(row.client)),
            held(row),
            verdict(row)
        ));
    }
    for why in not_injected(rows) {
        text.push_str(&format!("not injected: {why}\n"));
    }
    let broken = rows.iter().filter(|row| !row.broken.is_empty()).count();
    text.push_str(&format!("{} stacks, {broken} with a promise that was not kept\n", rows.len()));
    text
}

fn not_injected(rows: &[Row]) -> BTreeSet<&str> {
    rows.iter().flat_map(|row| row.record.not_injected.iter().map(String::as_str)).collect()
}

/// For machines.
pub(crate) fn json(rows: &[Row], time: Duration, seed: u64) -> Value {
    let line = |line: Option<Line>| {
        line.map(|line| {
            json!({
                "kib_per_minute": line.kib_per_minute, "growth_kib": line.growth_kib, "rss_kib": line.last.rss_kib,
                "descriptors": line.last.fd_count, "threads": line.last.thread_count,
            })
        })
    };
    let one = |row: &Row| {
        let record = &row.record;
        let faults: Vec<Value> = record
            .faults
            .iter()
            .map(|injected| {
                json!({
                    "fault": injected.fault.name(), "from_s": injected.from.as_secs_f64(), "to_s": injected.to.as_secs_f64(),
                    "resumed_after_s": injected.resumed.map(|after| after.as_secs_f64()),
                })
            })
            .collect();
        json!({
            "stack": record.stack, "skipped": record.skipped, "measured_per_second": record.measured,
            "planned_per_second": record.planned, "asked": record.counts.asked, "answered": record.counts.answered,
            "failed": record.counts.failed, "wrong": record.counts.wrong, "lost": record.counts.lost,
            "server": line(row.server), "client": line(row.client), "client_tasks": row.tasks, "faults": faults,
            "not_injected": record.not_injected, "broken": row.broken,
        })
    };
    let stacks: Vec<Value> = rows.iter().map(one).collect();
    json!({ "schema": "postroad-soak/1", "seconds": time.as_secs(), "seed": seed, "stacks": stacks })
}

fn date() -> String {
    let output = std::process::Command::new("date").args(["-u", "+%Y-%m-%d"]).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

/// The page.
pub(crate) fn markdown(rows: &[Row], time: Duration, seed: u64) -> String {
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let mut text = format!(
        "# Soak\n\nWritten by `cargo xtask soak --write`: {:.0} minutes with seed {seed} on {}, on a virtual machine with {processors} processors.\n\n\
Every stack runs at the same time, `postroad serve URL --echo` as released and a client process for each, over loopback; stacks in memory have both in one process. The client has {UNDER_WAY} requests of 16 octets to 64 KiB \
under way. For a few seconds all ask as fast as they are answered; {:.0} % of what each got then is its load for the rest. \
Meanwhile, one after the other and in an order that the seed decides:\n\n\
- `kill`: the server is killed (SIGKILL) and started again at its address, in the first quarter of the run; `restart`: in memory, all its tasks end at once;\n\
- `freeze`: the server stands still for 1.5 s (SIGSTOP, SIGCONT);\n\
- `cut`: a relay between the two closes all connections; of UDP the client gets another address;\n\
- `stall`: nothing passes the relay for 1.5 s; `slow`: for 2 s it takes at most 100 KiB/s from the server, as a client that reads slowly does; of UDP it loses one datagram in five, both ways;\n\
- `abandon`: other connections of the client go away with requests under way;\n\
- `emfile`: every second `accept` of the server fails for want of descriptors (by strace), while connections are cut six times.\n\n\
What is promised: every request ends, with what was sent or with a typed error; errors only from a `kill`, `restart`, `cut` or `emfile` until {RESUME_WITHIN:?} after it, and over sessions of SMRP not even from the last two; \
{RESUME_WITHIN:?} after the end of a fault at most, a request that is asked then is answered; no process ends, panics, or says something without a fault; \
the memory of each process, by the line of least squares through what was resident behind the first quarter of its life, grows by {:.0} MiB at most (by 16 MiB where that is less than 2 minutes: what is kept for use again is not full yet); at the end there are at most {FDS_MORE_MAX} descriptors, \
{THREADS_MORE_MAX} threads and {TASKS_MORE_MAX} tasks of the client more than in the beginning. Servers are judged by their last process.\n\n\
| stack | requests/s | answered | errors | faults | slowest resume s | server KiB | client KiB | descriptors, threads (server/client), tasks | promises |\n\
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        time.as_secs_f64() / 60.0,
        date(),
        SHARE * 100.0,
        GROWTH_KIB_MAX / 1_024.0
    );
    for row in rows {
        text.push_str(&format!(
            "| {} | {:.1} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
            row.record.stack,
            row.record.planned,
            row.record.counts.answered,
            row.record.counts.failed,
            faults(&row.record),
            seconds(row.resumed),
            grown(row.server),
            grown(row.client),
            held(row),
            verdict(row)
        ));
    }
    let missing = not_injected(rows).into_iter().collect::<Vec<_>>().join("; ");
    if !missing.is_empty() {
        text.push_str(&format!("\nNot injected: {missing}.\n"));
    }
    text
}
