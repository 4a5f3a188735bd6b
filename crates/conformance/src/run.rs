//! Running one case: under many ways of cutting what comes, all of which must give the same.

use crate::case::{Case, Settings, Step};
use crate::engine::{Engine, SmpEngine};
use crate::notation::{CaseUnit, NotationError, matches};
use core::fmt;
use core::time::Duration;
use smp_framing::wire::ReceiveBuffer;
use std::collections::VecDeque;
use std::sync::mpsc::RecvTimeoutError;
use wirekit::Instant;

/// Why a case failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The step, from 0; behind the last one for what was left over.
    pub step: usize,
    /// How the octets that came were cut.
    pub cutting: String,
    /// What was expected and what happened.
    pub detail: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}, {}: {}", self.step, self.cutting, self.detail)
    }
}

/// Makes the engine that a case runs against.
pub type MakeEngine<'a> = dyn Fn(Instant, &Settings) -> Result<Box<dyn Engine>, NotationError> + 'a;

/// How the octets of each `receive` are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cutting {
    Whole,
    Fixed(usize),
    /// One cut at this place of all octets of the case, counted through its steps.
    Once(usize),
}

impl fmt::Display for Cutting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("uncut"),
            Self::Fixed(len) => write!(f, "in chunks of {len}"),
            Self::Once(at) => write!(f, "cut at octet {at}"),
        }
    }
}

/// Every single cut is tried up to this many octets in a case.
const EVERY_CUT_LEN_MAX: usize = 600;
/// Up to this many octets, chunks of one octet are tried.
const SMALL_CHUNKS_LEN_MAX: usize = 100_000;

fn cuttings(len: usize) -> Vec<Cutting> {
    let mut cuttings = vec![Cutting::Whole];
    if len > 1 {
        cuttings.extend([5, 1000, 4096].map(Cutting::Fixed));
    }
    if len <= SMALL_CHUNKS_LEN_MAX {
        cuttings.extend([1, 2, 3, 7].map(Cutting::Fixed));
    }
    if len <= EVERY_CUT_LEN_MAX {
        cuttings.extend((1..len).map(Cutting::Once));
    }
    cuttings
}

/// Runs a case against our engine.
///
/// # Errors
/// The first [`Failure`].
pub fn run(case: &Case) -> Result<(), Failure> {
    run_with(case, &|now, settings| Ok(Box::new(SmpEngine::new(now, settings)?)))
}

/// Runs a case against our engine, and gives it up after `timeout`: an engine that never comes back must not stop the run.
/// The thread of a case given up stays until the process ends.
///
/// # Errors
/// The first [`Failure`], or that it did not end.
pub fn run_bounded(case: &Case, timeout: Duration) -> Result<(), Failure> {
    bounded(run, case, timeout)
}

/// The same with the runner of another protocol.
///
/// # Errors
/// As [`run_bounded`]; also that the engine panicked.
pub fn bounded(run: fn(&Case) -> Result<(), Failure>, case: &Case, timeout: Duration) -> Result<(), Failure> {
    let (done, result) = std::sync::mpsc::channel();
    let case = case.clone();
    std::thread::spawn(move || done.send(run(&case)));
    result.recv_timeout(timeout).unwrap_or_else(|why| {
        let detail = match why {
            RecvTimeoutError::Timeout => format!("no end after {timeout:?}: the engine hangs"),
            RecvTimeoutError::Disconnected => "the engine panicked".to_owned(),
        };
        Err(Failure { step: 0, cutting: "unknown".into(), detail })
    })
}

/// Runs a case against any engine.
///
/// # Errors
/// The first [`Failure`].
pub fn run_with(case: &Case, make: &MakeEngine<'_>) -> Result<(), Failure> {
    let unreadable = |step: usize, error: NotationError| Failure {
        step,
        cutting: "unread".into(),
        detail: format!("the case is wrong: {error}"),
    };
    let parsed =
        case.steps.iter().enumerate().map(|(at, line)| Step::parse(line).map_err(|error| unreadable(at, error)));
    let steps = parsed.collect::<Result<Vec<_>, _>>()?;
    let received_len = steps.iter().map(|step| if let Step::Receive(octets) = step { octets.len() } else { 0 }).sum();
    for cutting in cuttings(received_len) {
        let engine = make(Run::START, &case.config).map_err(|error| unreadable(0, error))?;
        let mut run = Run::new(engine, cutting);
        for (at, step) in steps.iter().enumerate() {
            run.step(step).map_err(|detail| Failure { step: at, cutting: cutting.to_string(), detail })?;
        }
        run.nothing_left().map_err(|detail| Failure { step: steps.len(), cutting: cutting.to_string(), detail })?;
    }
    Ok(())
}

struct Run {
    engine: Box<dyn Engine>,
    cutting: Cutting,
    now: Instant,
    /// Octets of the case handed in so far.
    received_len: usize,
    /// What came and was not taken yet.
    buffer: ReceiveBuffer,
    /// What went out and was not expected yet.
    sent: VecDeque<u8>,
    events: VecDeque<String>,
}

/// Outputs that one drain may give: more is an engine that never ends.
const DRAIN_COUNT_MAX: usize = 1_000_000;

impl Run {
    const START: Instant = Instant::from_epoch(Duration::from_secs(1_000_000));

    fn new(engine: Box<dyn Engine>, cutting: Cutting) -> Self {
        Self {
            engine,
            cutting,
            now: Self::START,
            received_len: 0,
            buffer: ReceiveBuffer::new(),
            sent: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Receive(octets) => self.receive(octets),
            Step::End => {
                let left = core::mem::take(&mut self.buffer);
                self.engine.end(self.now, &left);
                self.drain()
            }
            Step::Wait(duration) => self.wait(*duration),
            Step::Act(action, refusal) => {
                let result = self.engine.act(self.now, action);
                match (result.as_ref().err(), refusal) {
                    (None, None) => {}
                    (Some(got), Some(expected)) if got == expected => {}
                    (None, Some(expected)) => return Err(format!("taken, expected refusal {expected}")),
                    (Some(got), None) => return Err(format!("refused with {got}")),
                    (Some(got), Some(expected)) => return Err(format!("refused with {got}, expected {expected}")),
                }
                self.drain()
            }
            Step::Event(expected) => match self.events.pop_front() {
                Some(got) if matches(expected, &got) => Ok(()),
                got => Err(differ("event", expected, got)),
            },
            Step::Sent(expected, count) => (0..*count).try_for_each(|_| match self.sent_unit() {
                Some(got) if matches(expected, &got) => Ok(()),
                got => Err(differ("sent", expected, got)),
            }),
            Step::SentOctets(expected) => {
                let got: Vec<u8> = self.sent.drain(..expected.len().min(self.sent.len())).collect();
                if got == *expected { Ok(()) } else { Err(differ("octets", &hex(expected), Some(hex(&got)))) }
            }
            Step::Open(expected) => {
                let got = self.engine.open_ids();
                if got == *expected { Ok(()) } else { Err(format!("open: expected {expected:?}, got {got:?}")) }
            }
            Step::Missing(expected) => {
                let got = self.engine.missing_len(&self.buffer);
                if got == *expected { Ok(()) } else { Err(format!("missing: expected {expected}, got {got}")) }
            }
        }
    }

    fn receive(&mut self, octets: &[u8]) -> Result<(), String> {
        let start = self.received_len;
        self.received_len += octets.len();
        let chunks: Vec<&[u8]> = match self.cutting {
            Cutting::Whole => vec![octets],
            Cutting::Fixed(len) => octets.chunks(len).collect(),
            Cutting::Once(at) => match at.checked_sub(start).and_then(|at| octets.split_at_checked(at)) {
                Some((before, behind)) => vec![before, behind],
                None => vec![octets],
            },
        };
        chunks.into_iter().try_for_each(|chunk| self.receive_chunk(chunk))
    }

    /// As a driver does it: what the engine has no room for is handed in again when its events are out.
    fn receive_chunk(&mut self, chunk: &[u8]) -> Result<(), String> {
        self.buffer.incoming().extend_from_slice(chunk);
        loop {
            let before_len = self.buffer.len();
            self.engine.receive(self.now, &mut self.buffer);
            self.drain()?;
            if self.buffer.is_empty() || self.buffer.len() == before_len {
                return Ok(());
            }
        }
    }

    fn wait(&mut self, duration: Duration) -> Result<(), String> {
        let until = self.now + duration;
        for _ in 0..DRAIN_COUNT_MAX {
            match self.engine.deadline().filter(|at| *at <= until) {
                Some(at) => {
                    self.now = self.now.max(at);
                    self.engine.timeout(self.now);
                    self.drain()?;
                }
                None => {
                    self.now = until;
                    return Ok(());
                }
            }
        }
        Err("its deadlines never end".into())
    }

    fn drain(&mut self) -> Result<(), String> {
        for _ in 0..DRAIN_COUNT_MAX {
            let octets = self.engine.transmit(self.now);
            let event = self.engine.event();
            if octets.is_none() && event.is_none() {
                return Ok(());
            }
            self.sent.extend(octets.into_iter().flatten());
            self.events.extend(event);
        }
        Err("its output never ends".into())
    }

    fn sent_unit(&mut self) -> Option<String> {
        if self.sent.is_empty() {
            return None;
        }
        match CaseUnit::read(self.sent.make_contiguous()) {
            Some((unit, len)) => {
                self.sent.drain(..len);
                Some(unit.to_string())
            }
            None => Some(format!("{} octets that are no whole unit", self.sent.len())),
        }
    }

    fn nothing_left(&mut self) -> Result<(), String> {
        if let Some(event) = self.events.pop_front() {
            return Err(format!("nothing more was expected, but the event `{event}` came"));
        }
        match self.sent_unit() {
            Some(unit) => Err(format!("nothing more was expected, but `{unit}` was sent")),
            None => Ok(()),
        }
    }
}

fn differ(what: &str, expected: &str, got: Option<String>) -> String {
    format!("{what}: expected `{expected}`, got {}", got.map_or_else(|| "nothing".into(), |got| format!("`{got}`")))
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
