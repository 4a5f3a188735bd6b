//! What is promised, and whether it was kept.

use crate::record::{Record, Series};
use std::time::Duration;
use testkit::process::Sample;

/// After the end of a fault, a request that is asked then is answered within so long.
pub(crate) const RESUME_WITHIN: Duration = Duration::from_secs(10);
/// What memory may grow by over the time in which it is judged, by the line of least squares, in KiB.
pub(crate) const GROWTH_KIB_MAX: f64 = 4.0 * 1_024.0;
/// The same where that time is short, and what fills once and is used again is most of it.
const GROWTH_KIB_MAX_SHORT: f64 = 16.0 * 1_024.0;
const SHORT: Duration = Duration::from_secs(120);
/// What there may be more of at the end than in the beginning, by median.
pub(crate) const FDS_MORE_MAX: u64 = 4;
pub(crate) const THREADS_MORE_MAX: u64 = 2;
pub(crate) const TASKS_MORE_MAX: u64 = 8;
/// A part of a process's life that is not judged: memory is filled with what is kept for use again.
const WARM_UP_PART: usize = 4;
/// Samples that a line is drawn through at least.
const SAMPLES_MIN: usize = 8;
/// At the end, when there are no faults.
const LAST: usize = 5;

/// A process, judged.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Line {
    pub(crate) growth_kib: f64,
    pub(crate) kib_per_minute: f64,
    pub(crate) last: Sample,
}

/// A stack, judged.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) record: Record,
    pub(crate) server: Option<Line>,
    pub(crate) client: Option<Line>,
    pub(crate) tasks: u64,
    /// The slowest of all faults.
    pub(crate) resumed: Duration,
    /// Promises that were not kept.
    pub(crate) broken: Vec<String>,
}

/// Judges one stack.
pub(crate) fn judge(record: Record) -> Row {
    let mut broken = Vec::new();
    if record.skipped.is_none() {
        requests(&record, &mut broken);
        faults(&record, &mut broken);
        words(&record, &mut broken);
    }
    let server = record.servers.last().and_then(|series| process("server", series, &mut broken));
    let client = process("client", &record.client, &mut broken);
    let tasks: Vec<u64> = record.tasks.iter().filter(|(at, _)| *at >= record.from).map(|(_, count)| *count).collect();
    more("tasks of the client", &tasks, TASKS_MORE_MAX, &mut broken);
    let resumed = record.faults.iter().filter_map(|fault| fault.resumed).max().unwrap_or_default();
    let tasks = tasks.last().copied().unwrap_or_default();
    Row { record, server, client, tasks, resumed, broken }
}

/// Every one has an end, the right one, and an error only where a fault is near.
fn requests(record: &Record, broken: &mut Vec<String>) {
    let counts = record.counts;
    if counts.answered == 0 {
        broken.push("nothing was answered".to_owned());
    }
    if counts.wrong > 0 {
        broken.push(format!("{} replies were not what was sent", counts.wrong));
    }
    let ended = counts.answered + counts.failed + counts.wrong;
    if counts.asked != ended {
        broken.push(format!("{} of {} requests had no end", counts.asked.abs_diff(ended), counts.asked));
    }
    let outlives = record.outlives_connections;
    let excused = |at: Duration| {
        let mut faults = record.faults.iter().filter(|injected| injected.fault.may_fail(outlives));
        faults.any(|injected| injected.from <= at && at <= injected.to + RESUME_WITHIN)
    };
    let without_reason: Vec<_> = record.failures.iter().filter(|failure| !excused(failure.at)).collect();
    if let Some(first) = without_reason.first() {
        let before = record.faults.iter().rev().find(|injected| injected.from <= first.at);
        let before = before.map_or("before any fault".to_owned(), |injected| {
            format!("{:.1} s into {}", (first.at - injected.from).as_secs_f64(), injected.fault.name())
        });
        broken.push(format!(
            "{} errors that no fault excuses; the first {before}: {}",
            without_reason.len(),
            first.why
        ));
    }
}

fn faults(record: &Record, broken: &mut Vec<String>) {
    if record.faults.is_empty() {
        broken.push("no fault was injected".to_owned());
    }
    for injected in record.faults.iter().filter(|injected| injected.resumed.is_none()) {
        broken.push(format!("did not go on within {RESUME_WITHIN:?} after {}", injected.fault.name()));
    }
}

/// Nothing ends, nothing panics, and without a fault there is nothing to say.
fn words(record: &Record, broken: &mut Vec<String>) {
    broken.extend(record.ended.iter().cloned());
    let near_a_fault =
        |at: Duration| record.faults.iter().any(|injected| injected.from <= at && at <= injected.to + RESUME_WITHIN);
    let is_panic = |(_, line): &&(Duration, String)| line.contains("panicked");
    let without_reason = |(at, _): &&(Duration, String)| *at < record.to && !near_a_fault(*at);
    if let Some((at, line)) = record.said.iter().find(is_panic).or_else(|| record.said.iter().find(without_reason)) {
        broken.push(format!("said after {:.0} s: {line}", at.as_secs_f64()));
    }
}

fn process(who: &str, series: &Series, broken: &mut Vec<String>) -> Option<Line> {
    let samples = series.samples.get(series.samples.len() / WARM_UP_PART..).unwrap_or_default();
    let (first, last) = (samples.first()?, samples.last()?);
    if samples.len() < SAMPLES_MIN {
        return None;
    }
    let points: Vec<(f64, f64)> =
        samples.iter().map(|(at, sample)| (at.as_secs_f64(), sample.rss_kib as f64)).collect();
    let slope = slope(&points);
    let span = last.0 - first.0;
    let growth_kib = slope * span.as_secs_f64();
    let most = if span < SHORT { GROWTH_KIB_MAX_SHORT } else { GROWTH_KIB_MAX };
    if growth_kib > most {
        broken.push(format!("memory of the {who} grew by {growth_kib:.0} KiB, {most:.0} at most"));
    }
    let of = |pick: fn(&Sample) -> u64| samples.iter().map(|(_, sample)| pick(sample)).collect::<Vec<_>>();
    more(&format!("descriptors of the {who}"), &of(|sample| sample.fd_count), FDS_MORE_MAX, broken);
    more(&format!("threads of the {who}"), &of(|sample| sample.thread_count), THREADS_MORE_MAX, broken);
    Some(Line { growth_kib, kib_per_minute: slope * 60.0, last: last.1 })
}

/// The slope of the line through all points that has the least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0 / count, sum.1 + point.1 / count));
    let (mut products, mut squares) = (0.0, 0.0);
    for point in points {
        products += (point.0 - x) * (point.1 - y);
        squares += (point.0 - x) * (point.0 - x);
    }
    if squares > 0.0 { products / squares } else { 0.0 }
}

fn more(what: &str, counts: &[u64], more_max: u64, broken: &mut Vec<String>) {
    if counts.len() < SAMPLES_MIN {
        return;
    }
    let early = median(counts.get(..counts.len() / WARM_UP_PART).unwrap_or_default());
    let late = median(counts.get(counts.len().saturating_sub(LAST)..).unwrap_or_default());
    if late > early + more_max {
        broken.push(format!("{what}: {late} at the end, {early} in the beginning, {more_max} more at most"));
    }
}

fn median(counts: &[u64]) -> u64 {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
