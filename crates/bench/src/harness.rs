//! Contenders in turns.

use crate::args::Settings;
use crate::figure::{Aim, Figure, Race, Row, Sample, Unit, judge};
use crate::machine::{self, Noise};
use std::time::{Duration, Instant};

/// Rounds in which other processes used more of the machine than this are repeated, up to as many as were asked for.
const FOREIGN_SHARE_MAX: f64 = 0.12;

/// What so many items took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    /// Median (or what the figure is about instead) and 99th percentile of single items in ns, where each was timed; the first then counts.
    pub(crate) percentiles: Option<(f64, f64)>,
    /// Calls of write of both ends, where they were counted.
    pub(crate) writes: Option<u64>,
}

/// Measures the clock and the processor time from its making on.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    wall: Instant,
    cpu: Duration,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self { cpu: machine::process_cpu(), wall: clock() }
    }

    pub(crate) fn stop(&self) -> Timing {
        let wall = self.wall.elapsed();
        Timing { wall, cpu: machine::process_cpu().saturating_sub(self.cpu), percentiles: None, writes: None }
    }
}

/// The clock of this program, which is about time.
#[allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
pub(crate) fn clock() -> Instant {
    Instant::now()
}

/// Something in memory that is timed batch by batch; the median batch counts, so that a preempted one does not.
pub(crate) trait Batch {
    /// Makes the next batch ready; not timed.
    fn prepare(&mut self);
    /// Runs it; the number of messages in it.
    fn run(&mut self) -> anyhow::Result<u32>;
}

/// One contender: its name, and what it does for about so long.
pub(crate) struct Contender<'a> {
    name: &'static str,
    round: Box<dyn FnMut(Duration) -> anyhow::Result<Sample> + 'a>,
}

impl<'a> Contender<'a> {
    /// One that is timed batch by batch.
    pub(crate) fn batched(name: &'static str, mut batch: impl Batch + 'a) -> Self {
        Self { name, round: Box::new(move |time| run_batches(&mut batch, time)) }
    }

    /// One that does as many items as it is told. How many make a round is found out in its first, which does not count.
    pub(crate) fn counted(name: &'static str, mut run: impl FnMut(u64) -> anyhow::Result<Timing> + 'a) -> Self {
        let mut items = None;
        let round = move |time: Duration| {
            let items = match items {
                Some(items) => items,
                None => *items.insert(calibrate(&mut run, time)?),
            };
            let timing = run(items)?;
            #[allow(clippy::cast_precision_loss, reason = "counts below 2^52")]
            let per_item = |duration: Duration| duration.as_secs_f64() * 1e9 / items as f64;
            #[allow(clippy::cast_precision_loss, reason = "counts below 2^52")]
            Ok(Sample {
                wall_ns: timing.percentiles.map_or_else(|| per_item(timing.wall), |(median, _)| median),
                cpu_ns: Some(per_item(timing.cpu)),
                p99_ns: timing.percentiles.map(|(_, p99)| p99),
                items_per_write: timing.writes.map(|writes| items as f64 / writes.max(1) as f64),
            })
        };
        Self { name, round: Box::new(round) }
    }
}

fn calibrate(run: &mut impl FnMut(u64) -> anyhow::Result<Timing>, time: Duration) -> anyhow::Result<u64> {
    let mut items = 16_u64;
    loop {
        let wall = run(items)?.wall;
        if wall >= time / 4 {
            #[allow(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "an estimate"
            )]
            let scaled = (items as f64 * time.as_secs_f64() / wall.as_secs_f64()) as u64;
            return Ok(scaled.max(1));
        }
        items *= 4;
    }
}

fn run_batches(batch: &mut impl Batch, time: Duration) -> anyhow::Result<Sample> {
    let overhead = machine::clock_overhead_ns();
    let mut per_message = Vec::new();
    let began = clock();
    while began.elapsed() < time || per_message.len() < 5 {
        batch.prepare();
        let start = clock();
        let count = batch.run()?;
        let wall = start.elapsed();
        per_message.push((wall.as_secs_f64() * 1e9 - overhead).max(0.0) / f64::from(count));
    }
    per_message.sort_by(f64::total_cmp);
    let wall_ns = per_message.get(per_message.len() / 2).copied().unwrap_or(f64::NAN);
    Ok(Sample { wall_ns, cpu_ns: None, p99_ns: None, items_per_write: None })
}

/// A figure to measure.
pub(crate) struct Plan<'a> {
    pub(crate) group: &'static str,
    pub(crate) name: String,
    pub(crate) note: &'static str,
    pub(crate) unit: Unit,
    pub(crate) contenders: Vec<Contender<'a>>,
    pub(crate) aims: Vec<Aim>,
}

impl Plan<'_> {
    /// Lets the contenders take turns, each round in another order, after one round that does not count.
    pub(crate) fn measure(mut self, settings: &Settings, noise: &mut Noise) -> anyhow::Result<Figure> {
        crate::progress(&format!("  {}", self.name));
        for contender in &mut self.contenders {
            (contender.round)(settings.round_time)?;
        }
        let count = self.contenders.len();
        let mut rounds: Vec<(f64, Vec<Sample>)> = Vec::new();
        let mut quiet_count = 0;
        while quiet_count < settings.rounds && rounds.len() < 2 * settings.rounds {
            let load = machine::Load::begin();
            let mut samples = vec![None; count];
            for turn in 0..count {
                let index = (turn + rounds.len()) % count;
                if let (Some(contender), Some(slot)) = (self.contenders.get_mut(index), samples.get_mut(index)) {
                    *slot = Some((contender.round)(settings.round_time)?);
                }
            }
            let foreign_share = load.foreign_share();
            quiet_count += usize::from(foreign_share <= FOREIGN_SHARE_MAX);
            rounds.push((foreign_share, samples.into_iter().flatten().collect()));
            noise.sample();
        }
        // The quietest as many as were asked for.
        rounds.sort_by(|(left, _), (right, _)| left.total_cmp(right));
        rounds.truncate(settings.rounds);
        Ok(Figure::Race(self.into_race(&rounds)))
    }

    fn into_race(self, rounds: &[(f64, Vec<Sample>)]) -> Race {
        let names = self.contenders.iter().enumerate();
        let rows: Vec<Row> = names
            .map(|(index, contender)| Row {
                name: contender.name,
                samples: rounds.iter().filter_map(|(_, samples)| samples.get(index).copied()).collect(),
            })
            .collect();
        let verdicts = self.aims.iter().filter_map(|aim| judge(&rows, *aim)).collect();
        let foreign_share = rounds.iter().map(|(share, _)| *share).fold(0.0, f64::max);
        Race { group: self.group, name: self.name, note: self.note, unit: self.unit, rows, verdicts, foreign_share }
    }
}
