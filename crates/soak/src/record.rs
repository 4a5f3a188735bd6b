//! What was seen of one stack, for the judge.

use crate::faults::Fault;
use std::time::Duration;
use testkit::process::Sample;

/// How many failures and lines are kept; all are counted.
pub(crate) const KEPT_MAX: usize = 2_000;

/// Requests, as the client counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) asked: u64,
    pub(crate) answered: u64,
    /// Ended with a typed error.
    pub(crate) failed: u64,
    /// Answered with something else than was sent.
    pub(crate) wrong: u64,
    /// Neither answered nor ended with an error, long after their time-out.
    pub(crate) lost: u64,
}

/// A request that ended with a typed error. All times are from the beginning of the run.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) at: Duration,
    pub(crate) why: String,
}

/// One process from start to end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    pub(crate) samples: Vec<(Duration, Sample)>,
}

/// A fault that was injected.
#[derive(Clone, Debug)]
pub(crate) struct Injected {
    pub(crate) fault: Fault,
    pub(crate) from: Duration,
    pub(crate) to: Duration,
    /// How long after its end the first request that was asked then was answered.
    pub(crate) resumed: Option<Duration>,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    pub(crate) stack: String,
    /// A cut costs no request.
    pub(crate) outlives_connections: bool,
    /// Requests a second: what was measured, and what was asked for then.
    pub(crate) measured: f64,
    pub(crate) planned: f64,
    /// From when on it was watched: after the calibration.
    pub(crate) from: Duration,
    pub(crate) to: Duration,
    pub(crate) counts: Counts,
    pub(crate) failures: Vec<Failure>,
    /// The server's processes, one after the other. None where the client listens itself.
    pub(crate) servers: Vec<Series>,
    pub(crate) client: Series,
    /// Tasks of the client.
    pub(crate) tasks: Vec<(Duration, u64)>,
    pub(crate) faults: Vec<Injected>,
    /// Faults that this machine cannot inject, and why.
    pub(crate) not_injected: Vec<String>,
    /// Lines on standard error.
    pub(crate) said: Vec<(Duration, String)>,
    /// What ended that should not.
    pub(crate) ended: Vec<String>,
    /// Why the stack was not run at all.
    pub(crate) skipped: Option<String>,
}
