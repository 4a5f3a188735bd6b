use super::*;
use crate::faults::Fault;
use crate::record::{Counts, Failure, Injected};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn series(each: impl Fn(u64) -> Sample) -> Series {
    Series { samples: (0..200).map(|at| (seconds(at), each(at))).collect() }
}

const STEADY: Sample = Sample { rss_kib: 20_000, fd_count: 12, thread_count: 3 };

/// A run of 200 s with one fault, at which everything was kept.
fn good() -> Record {
    let noisy = |at: u64| Sample { rss_kib: 20_000 + at * 7_919 % 500, ..STEADY };
    Record {
        stack: "smp+tcp".to_owned(),
        to: seconds(200),
        counts: Counts { asked: 100, answered: 99, failed: 1, wrong: 0, lost: 0 },
        failures: vec![Failure { at: seconds(101), why: "lost: gone".to_owned() }],
        servers: vec![series(|at| Sample { rss_kib: 1_000 * at, ..STEADY }), series(noisy)],
        client: series(noisy),
        tasks: (0..200).map(|at| (seconds(at), 9)).collect(),
        faults: vec![Injected { fault: Fault::Kill, from: seconds(100), to: seconds(102), resumed: Some(seconds(1)) }],
        said: vec![(seconds(101), "server: gone".to_owned())],
        ..Record::default()
    }
}

fn broken(change: impl FnOnce(&mut Record)) -> String {
    let mut record = good();
    change(&mut record);
    judge(record).broken.join("; ")
}

#[test]
fn what_keeps_every_promise_passes() {
    assert_eq!(broken(|_| {}), "");
}

#[test]
fn a_lost_message_and_a_wrong_one_fail() {
    assert!(broken(|record| record.counts.asked += 1).contains("1 of 101 requests had no end"));
    let lost = |record: &mut Record| (record.counts.answered, record.counts.lost) = (98, 1);
    assert!(broken(lost).contains("1 of 100 requests had no end"));
    let wrong = |record: &mut Record| (record.counts.answered, record.counts.wrong) = (98, 1);
    assert!(broken(wrong).contains("1 replies were not what was sent"));
    assert!(broken(|record| record.counts = Counts::default()).contains("nothing was answered"));
}

#[test]
fn a_leak_fails_past_its_bound() {
    let by = |kib: u64| move |at: u64| Sample { rss_kib: 20_000 + at * kib / 149, ..STEADY };
    // Judged are 150 samples, so 149 s.
    assert_eq!(broken(|record| record.client = series(by(4_000))), "");
    assert!(broken(|record| record.client = series(by(4_300))).contains("memory of the client grew"));
    assert!(broken(|record| record.servers = vec![series(by(4_300))]).contains("memory of the server grew"));
}

#[test]
fn what_was_watched_for_a_short_time_may_grow_by_more() {
    let by = |kib: u64| Series {
        samples: (0..100).map(|at| (seconds(at), Sample { rss_kib: 20_000 + at * kib / 74, ..STEADY })).collect(),
    };
    assert_eq!(broken(|record| record.client = by(16_000)), "");
    assert!(broken(|record| record.client = by(16_800)).contains("memory of the client grew"));
}

#[test]
fn descriptors_threads_and_tasks_that_stay_fail() {
    let fds = |more: u64| move |at: u64| Sample { fd_count: if at > 150 { 12 + more } else { 12 }, ..STEADY };
    assert_eq!(broken(|record| record.client = series(fds(FDS_MORE_MAX))), "");
    assert!(broken(|record| record.client = series(fds(FDS_MORE_MAX + 1))).contains("descriptors of the client"));
    let threads = |at: u64| Sample { thread_count: if at > 150 { 6 } else { 3 }, ..STEADY };
    assert!(broken(|record| record.servers = vec![series(threads)]).contains("threads of the server"));
    let tasks = |record: &mut Record| record.tasks.iter_mut().skip(150).for_each(|(_, count)| *count += 9);
    assert!(broken(tasks).contains("tasks of the client: 18 at the end"));
}

#[test]
fn an_error_is_excused_by_a_fault_that_may_cost_one_and_is_near() {
    let at = |at: u64| {
        move |record: &mut Record| record.failures = vec![Failure { at: seconds(at), why: "lost".to_owned() }]
    };
    assert_eq!(broken(at(112)), "");
    assert!(broken(at(113)).contains("errors that no fault excuses; the first 13.0 s into kill: lost"));
    assert!(broken(at(99)).contains("before any fault"));
    let frozen = |record: &mut Record| record.faults.iter_mut().for_each(|injected| injected.fault = Fault::Freeze);
    assert!(broken(frozen).contains("errors that no fault excuses"));
    let cut = |record: &mut Record| record.faults.iter_mut().for_each(|injected| injected.fault = Fault::Cut);
    assert_eq!(broken(cut), "");
    let resumed = |record: &mut Record| {
        cut(record);
        record.outlives_connections = true;
    };
    assert!(broken(resumed).contains("errors that no fault excuses"));
}

#[test]
fn who_does_not_go_on_panics_ends_or_speaks_fails() {
    let stuck = |record: &mut Record| record.faults.iter_mut().for_each(|injected| injected.resumed = None);
    assert!(broken(stuck).contains("did not go on within 10s after kill"));
    assert!(broken(|record| record.faults.clear()).contains("no fault was injected"));
    let panics = |record: &mut Record| record.said.push((seconds(101), "server: thread 'x' panicked at".to_owned()));
    assert!(broken(panics).contains("panicked"));
    assert!(broken(|record| record.said.push((seconds(50), "server: error".to_owned()))).contains("said after 50 s"));
    assert!(broken(|record| record.ended.push("the server ended by itself".to_owned())).contains("ended by itself"));
}

#[test]
fn the_line_goes_through_points_and_between_them() {
    assert!((slope(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) - 2.0).abs() < 1e-9);
    assert!((slope(&[(0.0, 0.0), (1.0, 1.0), (2.0, 0.0)])).abs() < 1e-9);
    assert!((slope(&[(1.0, 5.0)])).abs() < 1e-9);
}
