//! What every [`wirekit::Machine`] must hold, checked with inputs of the machine's own generator.
//!
//! A failure names the law, the seed and the step, shows the last lines of the trace, and replays with the same seed.

use crate::{Rng, VirtualClock};
use core::fmt;
use core::ops::Range;
use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};
use wirekit::{Instant, Machine};

/// A machine under test, and how to feed it.
pub trait Subject {
    /// The machine.
    type Machine: Machine;

    /// A fresh machine. The same seed must give the same machine.
    fn make(&self, seed: u64) -> Self::Machine;

    /// Hands in one input that `rng` chooses, and says in one line what it was and what came of it.
    fn step(&self, machine: &mut Self::Machine, now: Instant, rng: &mut Rng) -> String;

    /// Hands in octets that nobody meant.
    fn hostile(&self, machine: &mut Self::Machine, now: Instant, rng: &mut Rng) -> String;

    /// One call of `poll_transmit`: the octets it appended, `None` where it returned `false`.
    fn transmit(&self, machine: &mut Self::Machine, now: Instant) -> Option<Vec<u8>>;

    /// An event in one line.
    fn describe(&self, event: &<Self::Machine as Machine>::Event) -> String;

    /// True for the event behind which there is nothing.
    fn is_final(&self, event: &<Self::Machine as Machine>::Event) -> bool;
}

/// How long and how hard to try.
#[derive(Clone, Debug)]
pub struct Effort {
    /// Which seeds.
    pub seeds: Range<u64>,
    /// Inputs for each seed.
    pub step_count: u64,
    /// The longest time between two inputs.
    pub step_time_max: Duration,
    /// Hostile inputs, per mille of all.
    pub hostile_per_mille: u32,
    /// Transmits and events that one drain may give together.
    pub drain_count_max: usize,
}

impl Default for Effort {
    /// 64 seeds of 200 inputs up to 10 s apart, 20 of 1000 hostile, drains of up to 10,000.
    fn default() -> Self {
        Self {
            seeds: 0..64,
            step_count: 200,
            step_time_max: Duration::from_secs(10),
            hostile_per_mille: 20,
            drain_count_max: 10_000,
        }
    }
}

/// The laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Law {
    /// After `handle_timeout(now)` and a drain nothing is due at `now`.
    NothingDueAfterDrain,
    /// A second `handle_timeout` at the same instant yields nothing.
    SecondTimeoutIsSilent,
    /// A `handle_timeout` before anything is due yields nothing.
    EarlyTimeoutIsSilent,
    /// A drain ends.
    DrainEnds,
    /// A transmit has octets.
    TransmitHasOctets,
    /// The same seed and inputs give the same trace.
    SameTrace,
    /// After the final event every poll returns nothing.
    SilentAfterFinal,
    /// Time that goes back is ignored.
    TimeGoingBackIsIgnored,
    /// No input panics.
    NoPanic,
}

/// A law that did not hold.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which one.
    pub law: Law,
    /// The seed that shows it.
    pub seed: u64,
    /// The input after which it showed, from 0.
    pub step: u64,
    /// What was seen.
    pub detail: String,
    /// The last lines of the trace.
    pub trace_end: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "law {:?} broken: seed={} step={}: {}", self.law, self.seed, self.step, self.detail)?;
        self.trace_end.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

impl core::error::Error for Violation {}

/// Checks all laws.
///
/// # Errors
/// The first [`Violation`].
pub fn check<S: Subject>(subject: &S, effort: &Effort) -> Result<(), Violation> {
    for seed in effort.seeds.clone() {
        let first = run_caught(subject, effort, seed, Time::Forward)?;
        let second = run_caught(subject, effort, seed, Time::Forward)?;
        compare(Law::SameTrace, seed, &first, &second)?;
        let with_old_times = run_caught(subject, effort, seed, Time::SometimesBack)?;
        compare(Law::TimeGoingBackIsIgnored, seed, &first, &with_old_times)?;
    }
    Ok(())
}

/// Whether the machine is told old times where time stands still.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Time {
    Forward,
    SometimesBack,
}

const TRACE_END_COUNT: usize = 12;

fn compare(law: Law, seed: u64, expected: &[String], got: &[String]) -> Result<(), Violation> {
    let same_count = expected.iter().zip(got).take_while(|(expected, got)| expected == got).count();
    if same_count == expected.len() && same_count == got.len() {
        return Ok(());
    }
    let line = |trace: &[String]| trace.get(same_count).map_or_else(|| "nothing".to_owned(), Clone::clone);
    Err(Violation {
        law,
        seed,
        step: 0,
        detail: format!("line {same_count} of the trace: `{}` at first, then `{}`", line(expected), line(got)),
        trace_end: end_of(got.get(..same_count).unwrap_or(got)),
    })
}

fn end_of(trace: &[String]) -> Vec<String> {
    trace.get(trace.len().saturating_sub(TRACE_END_COUNT)..).unwrap_or(trace).to_vec()
}

fn run_caught<S: Subject>(subject: &S, effort: &Effort, seed: u64, time: Time) -> Result<Vec<String>, Violation> {
    let mut run = Run {
        subject,
        effort,
        machine: subject.make(seed),
        clock: VirtualClock::new(),
        seed,
        step: 0,
        time,
        told_at: None,
        finished: false,
        trace: Vec::new(),
    };
    // The machine is thrown away after a panic, so nothing broken is seen.
    match catch_unwind(AssertUnwindSafe(|| run.run())) {
        Ok(Ok(())) => Ok(run.trace),
        Ok(Err(violation)) => Err(violation),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without text");
            Err(run.violation(Law::NoPanic, text.to_owned()))
        }
    }
}

struct Run<'a, S: Subject> {
    subject: &'a S,
    effort: &'a Effort,
    machine: S::Machine,
    clock: VirtualClock,
    seed: u64,
    step: u64,
    time: Time,
    /// When the last input was handed in.
    told_at: Option<Instant>,
    finished: bool,
    trace: Vec<String>,
}

impl<S: Subject> Run<'_, S> {
    fn run(&mut self) -> Result<(), Violation> {
        while self.step < self.effort.step_count {
            let mut rng = Rng::with_stream(self.seed, self.step);
            let idle = self.let_time_pass(&mut rng);
            let seen = self.seen_now();
            if !idle {
                self.told_at = Some(self.clock.now());
            }
            let line = if idle {
                "nothing".to_owned()
            } else if rng.chance(self.effort.hostile_per_mille) {
                self.subject.hostile(&mut self.machine, seen, &mut rng)
            } else {
                self.subject.step(&mut self.machine, seen, &mut rng)
            };
            self.trace.push(format!("{:?} {line}", self.clock.now()));
            self.drain(seen)?;
            self.timeouts(seen)?;
            self.trace.push(format!("deadline {:?}", self.machine.poll_timeout()));
            self.step += 1;
        }
        Ok(())
    }

    /// True where nothing but time is to happen in this step.
    fn let_time_pass(&mut self, rng: &mut Rng) -> bool {
        match rng.below(5) {
            0 => {}
            1 => {
                self.clock.advance(rng.duration(Duration::ZERO..Duration::from_millis(1)));
            }
            2 => {
                self.clock.advance(rng.duration(Duration::ZERO..self.effort.step_time_max));
            }
            3 => {
                self.clock.advance_to_earliest([self.machine.poll_timeout()]);
                return true;
            }
            _ => {
                self.clock.advance(rng.duration(Duration::ZERO..self.effort.step_time_max));
                return true;
            }
        }
        false
    }

    /// The time as the machine is told. An older one where an input told it this very instant already, so that ignoring
    /// it must change nothing.
    fn seen_now(&self) -> Instant {
        let now = self.clock.now();
        if self.time == Time::Forward || self.told_at != Some(now) {
            return now;
        }
        let back = Rng::with_stream(!self.seed, self.step).duration(Duration::ZERO..Duration::from_secs(3000));
        Instant::from_epoch(now.since_epoch().saturating_sub(back))
    }

    fn timeouts(&mut self, seen: Instant) -> Result<(), Violation> {
        let now = self.clock.now();
        let due = self.machine.poll_timeout().filter(|deadline| deadline.is_due(now));
        self.machine.handle_timeout(if due.is_some() { now } else { seen });
        let drained_count = self.drain(now)?;
        if due.is_none() && drained_count > 0 {
            return Err(self.violation(Law::EarlyTimeoutIsSilent, format!("{drained_count} outputs, nothing was due")));
        }
        if let Some(still) = self.machine.poll_timeout().filter(|deadline| deadline.is_due(now)) {
            return Err(self.violation(Law::NothingDueAfterDrain, format!("{still:?} at {now:?}")));
        }
        self.machine.handle_timeout(seen);
        match self.drain(seen)? {
            0 => Ok(()),
            count => Err(self.violation(Law::SecondTimeoutIsSilent, format!("{count} outputs"))),
        }
    }

    /// Takes everything out; says how much that was.
    fn drain(&mut self, now: Instant) -> Result<usize, Violation> {
        let mut drained_count = 0;
        loop {
            let before_count = drained_count;
            while let Some(octets) = self.subject.transmit(&mut self.machine, now) {
                drained_count += 1;
                self.on_output(drained_count, format!("transmit {} octets {:016x}", octets.len(), hash(&octets)))?;
                if octets.is_empty() {
                    return Err(self.violation(Law::TransmitHasOctets, "poll_transmit said true for nothing".into()));
                }
            }
            while let Some(event) = self.machine.poll_event() {
                drained_count += 1;
                self.on_output(drained_count, format!("event {}", self.subject.describe(&event)))?;
                self.finished |= self.subject.is_final(&event);
            }
            if drained_count == before_count {
                break;
            }
        }
        if let Some(deadline) = self.machine.poll_timeout().filter(|_| self.finished) {
            return Err(self.violation(Law::SilentAfterFinal, format!("{deadline:?}")));
        }
        Ok(drained_count)
    }

    fn on_output(&mut self, drained_count: usize, line: String) -> Result<(), Violation> {
        self.trace.push(line);
        if self.finished {
            return Err(self.violation(Law::SilentAfterFinal, "an output behind the final event".into()));
        }
        if drained_count > self.effort.drain_count_max {
            return Err(self.violation(Law::DrainEnds, format!("{drained_count} outputs in one drain")));
        }
        Ok(())
    }

    fn violation(&self, law: Law, detail: String) -> Violation {
        Violation { law, seed: self.seed, step: self.step, detail, trace_end: end_of(&self.trace) }
    }
}

/// FNV-1a: enough to tell two traces apart.
fn hash(octets: &[u8]) -> u64 {
    octets.iter().fold(0xcbf2_9ce4_8422_2325, |hash, octet| (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests;
