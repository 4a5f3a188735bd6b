//! The machine: what it is, and what else it does meanwhile.

use crate::figure::Spread;
use crate::harness::clock;
use rustix::time::{ClockId, clock_gettime};
use std::fs;
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Processor time of this process so far, all threads, and of the [`Helper`].
pub(crate) fn process_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), nanos) + helper_cpu()
}

/// The process of the [`Helper`]; 0 where there is none.
static HELPER: AtomicU32 = AtomicU32::new(0);

/// A program that is part of what is measured: its processor time is ours while this lives. There is one at most.
#[derive(Debug)]
pub(crate) struct Helper(());

impl Helper {
    pub(crate) fn count(process: u32) -> Self {
        HELPER.store(process, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        HELPER.store(0, Ordering::Relaxed);
    }
}

/// Processor time of the helper so far, all threads it has now; zero where there is none, or the system does not tell.
fn helper_cpu() -> Duration {
    let process = HELPER.load(Ordering::Relaxed);
    if process == 0 {
        return Duration::ZERO;
    }
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return Duration::ZERO };
    let nanos = threads.filter_map(|thread| {
        let times = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        times.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// What reading the clock twice costs, in ns: taken off each timed batch.
pub(crate) fn clock_overhead_ns() -> f64 {
    let pairs = (0..1001).map(|_| {
        let start = clock();
        start.elapsed().as_secs_f64() * 1e9
    });
    Spread::of(pairs).map_or(0.0, |spread| spread.median)
}

/// What other processes do while something is measured.
#[derive(Debug)]
pub(crate) struct Load {
    wall: Instant,
    busy: Option<Duration>,
    own: Duration,
}

impl Load {
    pub(crate) fn begin() -> Self {
        Self { wall: clock(), busy: busy_time(), own: process_cpu() + children_cpu() }
    }

    /// The share of all processors that others used since `begin`, 0 to 1; 0 where the system does not tell.
    pub(crate) fn foreign_share(&self) -> f64 {
        let (Some(before), Some(after)) = (self.busy, busy_time()) else { return 0.0 };
        let own = (process_cpu() + children_cpu()).saturating_sub(self.own);
        let foreign = after.saturating_sub(before).saturating_sub(own).as_secs_f64();
        let cpus = std::thread::available_parallelism()
            .map_or(1.0, |count| f64::from(u32::try_from(count.get()).unwrap_or(1)));
        foreign / (self.wall.elapsed().as_secs_f64() * cpus)
    }
}

/// Processor time of children that are contenders, in ns.
static CHILDREN_CPU_NS: AtomicU64 = AtomicU64::new(0);

/// A contender in a process of its own has used so much: that is no foreign load.
pub(crate) fn count_child(cpu: Duration) {
    CHILDREN_CPU_NS.fetch_add(u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

fn children_cpu() -> Duration {
    Duration::from_nanos(CHILDREN_CPU_NS.load(Ordering::Relaxed))
}

/// Time that processors were not idle since the start: user, nice, system, irq, softirq, steal.
fn busy_time() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<u64> =
        stat.lines().next()?.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    let all: u64 = ticks.iter().take(8).sum();
    // A tick is a hundredth of a second wherever Linux says so to programs.
    Some(Duration::from_millis((all - idle) * 10))
}

/// A loop of fixed work, timed between rounds: it shows what load figures do not, such as a busy sibling thread.
#[derive(Debug, Default)]
pub(crate) struct Noise {
    dense_loop_ms: Vec<f64>,
}

impl Noise {
    pub(crate) fn sample(&mut self) {
        let start = clock();
        let mut lanes = [1_u64, 2, 3, 4, 5, 6, 7, 8];
        for step in 0..500_000_u64 {
            for lane in &mut lanes {
                *lane = lane.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(7) ^ step;
            }
        }
        black_box(lanes);
        self.dense_loop_ms.push(start.elapsed().as_secs_f64() * 1e3);
    }

    pub(crate) fn dense_loop_ms(&self) -> Option<Spread> {
        Spread::of(self.dense_loop_ms.iter().copied())
    }
}

/// The machine in a few words, without names.
pub(crate) fn description() -> Vec<(&'static str, String)> {
    let field = |file: &str, key: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key)).map(str::to_owned);
        line.and_then(|line| line.split_once(':').map(|(_, value)| value.trim().to_owned())).unwrap_or("unknown".into())
    };
    let threads = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let virtual_machine = field("/proc/cpuinfo", "flags").split_whitespace().any(|flag| flag == "hypervisor");
    let kind = if virtual_machine { "virtual machine" } else { "physical machine" };
    vec![
        ("processor", format!("{}, {threads} hardware threads, {kind}", field("/proc/cpuinfo", "model name"))),
        ("cache", field("/proc/cpuinfo", "cache size")),
        ("memory", field("/proc/meminfo", "MemTotal")),
        ("system", format!("{} {} ({})", std::env::consts::OS, kernel.trim(), std::env::consts::ARCH)),
    ]
}

/// A field of `/proc/self/status` in KiB, such as `VmHWM` or `VmRSS`.
pub(crate) fn status_kib(key: &str) -> anyhow::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| anyhow::anyhow!("/proc/self/status has no {key}: this figure needs Linux"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_helper_is_ours_while_it_lives() {
        let (mut noise, before) = (Noise::default(), process_cpu());
        while process_cpu() < before + Duration::from_millis(20) {
            noise.sample();
        }
        // As its own helper, this process counts twice.
        let once = process_cpu();
        let helper = Helper::count(std::process::id());
        let twice = process_cpu();
        drop(helper);
        let once_again = process_cpu();
        assert!(twice >= once + Duration::from_millis(20), "{once:?}, with the helper {twice:?}");
        assert!(once_again < twice, "{once_again:?} after it, {twice:?} with it");
    }
}
