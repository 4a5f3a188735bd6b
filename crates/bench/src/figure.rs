//! What was measured, and how it compares.

/// What one contender did in one round, per item.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Nanoseconds by the clock.
    pub(crate) wall_ns: f64,
    /// Nanoseconds of processor time of the whole process, both ends.
    pub(crate) cpu_ns: Option<f64>,
    /// The 99th percentile, where each item was timed.
    pub(crate) p99_ns: Option<f64>,
    /// Items for each call of write of either end, where those were counted.
    pub(crate) items_per_write: Option<f64>,
}

/// A median and where it lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// `None` where there are no values.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let upper = *values.get(values.len() / 2)?;
        let lower = *values.get((values.len() - 1) / 2)?;
        Some(Self { median: f64::midpoint(lower, upper), min, max })
    }
}

/// How the values of a figure are shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Unit {
    /// ns per message.
    Nanos,
    /// us per round trip.
    Micros,
    /// Millions of messages a second.
    Messages,
    /// GB/s of items of so many octets.
    Gigabytes(f64),
}

impl Unit {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Nanos => "ns/message",
            Self::Micros => "us/round trip",
            Self::Messages => "M messages/s",
            Self::Gigabytes(_) => "GB/s",
        }
    }

    /// The value shown for so many nanoseconds per item.
    pub(crate) fn value(self, nanos: f64) -> f64 {
        match self {
            Self::Nanos => nanos,
            Self::Micros => nanos / 1e3,
            Self::Messages => 1e3 / nanos,
            Self::Gigabytes(octets) => octets / nanos,
        }
    }

    /// The spread shown; smallest and largest trade places in rates.
    pub(crate) fn spread(self, nanos: Spread) -> Spread {
        let (median, min, max) = (self.value(nanos.median), self.value(nanos.min), self.value(nanos.max));
        Spread { median, min: min.min(max), max: max.max(min) }
    }
}

/// What the ratio to the best peer has to be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    /// Our time over the peer's.
    TimeAtMost(f64),
    /// Our rate over the peer's.
    RateAtLeast(f64),
    /// Our time by itself, in microseconds.
    MicrosAtMost(f64),
}

/// What is to be reached: one of ours against the best of some peers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aim {
    pub(crate) ours: &'static str,
    pub(crate) peers: &'static [&'static str],
    pub(crate) bound: Bound,
}

/// One contender's results.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) samples: Vec<Sample>,
}

impl Row {
    pub(crate) fn wall(&self) -> Option<Spread> {
        Spread::of(self.samples.iter().map(|sample| sample.wall_ns))
    }

    pub(crate) fn cpu(&self) -> Option<Spread> {
        Spread::of(self.samples.iter().filter_map(|sample| sample.cpu_ns))
    }

    pub(crate) fn items_per_write(&self) -> Option<Spread> {
        Spread::of(self.samples.iter().filter_map(|sample| sample.items_per_write))
    }

    pub(crate) fn p99(&self) -> Option<Spread> {
        Spread::of(self.samples.iter().filter_map(|sample| sample.p99_ns))
    }
}

/// What became of an aim.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verdict {
    pub(crate) aim: Aim,
    /// The best of the peers, by its median.
    pub(crate) peer: &'static str,
    /// Ratios within the rounds, in the sense of the bound; or our times.
    pub(crate) ratio: Spread,
    /// Our processor time over the peer's.
    pub(crate) cpu_ratio: Option<Spread>,
    pub(crate) is_met: bool,
}

/// Contenders side by side.
#[derive(Clone, Debug)]
pub(crate) struct Race {
    pub(crate) group: &'static str,
    pub(crate) name: String,
    pub(crate) note: &'static str,
    pub(crate) unit: Unit,
    pub(crate) rows: Vec<Row>,
    pub(crate) verdicts: Vec<Verdict>,
    /// Share of the machine that other processes used meanwhile, 0 to 1.
    pub(crate) foreign_share: f64,
}

/// A number with a bound of its own.
#[derive(Clone, Debug)]
pub(crate) struct Count {
    pub(crate) group: &'static str,
    pub(crate) name: String,
    pub(crate) note: String,
    pub(crate) unit: &'static str,
    pub(crate) value: f64,
    /// The value has to be at most this; `None` for numbers that only explain others.
    pub(crate) at_most: Option<f64>,
}

/// Anything that was measured.
#[derive(Clone, Debug)]
pub(crate) enum Figure {
    Race(Race),
    Count(Count),
}

impl Figure {
    /// True where every aim was met.
    pub(crate) fn is_met(&self) -> bool {
        match self {
            Self::Race(race) => race.verdicts.iter().all(|verdict| verdict.is_met),
            Self::Count(count) => count.at_most.is_none_or(|most| count.value <= most),
        }
    }
}

/// Compares within the rounds; `None` where a name is not among the rows.
pub(crate) fn judge(rows: &[Row], aim: Aim) -> Option<Verdict> {
    let ours = rows.iter().find(|row| row.name == aim.ours)?;
    if let Bound::MicrosAtMost(most) = aim.bound {
        let ratio = Spread::of(ours.samples.iter().map(|sample| sample.wall_ns / 1e3))?;
        return Some(Verdict { aim, peer: "nobody", ratio, cpu_ratio: None, is_met: ratio.median <= most });
    }
    let median = |row: &Row| row.wall().map_or(f64::INFINITY, |wall| wall.median);
    let peer = rows
        .iter()
        .filter(|row| aim.peers.contains(&row.name))
        .min_by(|left, right| median(left).total_cmp(&median(right)))?;
    let rounds = || ours.samples.iter().zip(&peer.samples);
    let ratio = match aim.bound {
        Bound::TimeAtMost(_) | Bound::MicrosAtMost(_) => {
            Spread::of(rounds().map(|(ours, peer)| ours.wall_ns / peer.wall_ns))
        }
        Bound::RateAtLeast(_) => Spread::of(rounds().map(|(ours, peer)| peer.wall_ns / ours.wall_ns)),
    }?;
    let is_met = match aim.bound {
        Bound::TimeAtMost(most) | Bound::MicrosAtMost(most) => ratio.median <= most,
        Bound::RateAtLeast(least) => ratio.median >= least,
    };
    let cpu_ratio = Spread::of(rounds().filter_map(|(ours, peer)| Some(ours.cpu_ns? / peer.cpu_ns?)));
    Some(Verdict { aim, peer: peer.name, ratio, cpu_ratio, is_met })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &'static str, walls: &[f64]) -> Row {
        let sample = |&wall_ns| Sample { wall_ns, cpu_ns: None, p99_ns: None, items_per_write: None };
        Row { name, samples: walls.iter().map(sample).collect() }
    }

    #[test]
    fn ratios_are_taken_within_rounds_and_against_the_best_peer() {
        // The machine gets twice as slow in the second and third round: ratios do not see it.
        let rows =
            [row("ours", &[10.0, 20.0, 20.0]), row("slow", &[30.0, 60.0, 60.0]), row("best", &[8.0, 16.0, 16.0])];
        let aim = |bound| Aim { ours: "ours", peers: &["slow", "best"], bound };
        let verdict = judge(&rows, aim(Bound::TimeAtMost(1.2))).unwrap();
        assert_eq!((verdict.peer, verdict.ratio.median, verdict.is_met), ("best", 1.25, false));
        let verdict = judge(&rows, aim(Bound::RateAtLeast(0.8))).unwrap();
        assert_eq!((verdict.ratio.median, verdict.is_met), (0.8, true));
        let verdict = judge(&rows, aim(Bound::MicrosAtMost(0.019))).unwrap();
        assert_eq!((verdict.ratio.median, verdict.is_met), (0.02, false));
        assert!(judge(&rows, Aim { ours: "nobody", peers: &["best"], bound: Bound::RateAtLeast(1.0) }).is_none());
    }

    #[test]
    fn the_median_of_an_even_count_lies_between_the_middle_two() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((spread.median, spread.min, spread.max), (2.5, 1.0, 4.0));
        assert!(Spread::of([]).is_none());
    }

    #[test]
    fn a_rate_is_the_inverse_and_its_spread_stays_in_order() {
        let shown = Unit::Messages.spread(Spread { median: 100.0, min: 50.0, max: 200.0 });
        assert_eq!((shown.median, shown.min, shown.max), (10.0, 5.0, 20.0));
    }
}
