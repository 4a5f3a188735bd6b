//! Planted faults: in expectations and in an engine. Each must be found.

use crate::made_up;
use conformance::case::{Action, load};
use conformance::cases_directory;
use conformance::engine::{Engine, SmpEngine};
use conformance::run::{run, run_with};
use smp_framing::wire::ReceiveBuffer;
use std::collections::BTreeSet;
use wirekit::Instant;

fn failure_of(steps: &[&str]) -> String {
    run(&made_up(steps)).expect_err(&format!("{steps:?} passed")).to_string()
}

#[test]
fn a_right_case_passes() {
    assert_eq!(
        run(&made_up(&["receive 0 'a'", "event message 'a'", "do send 'b'", "sent 0 'b'", "open", "missing 0"])),
        Ok(())
    );
}

#[test]
fn every_kind_of_wrong_expectation_fails() {
    for (steps, said) in [
        (&["receive 0 'a'", "event message 'b'"][..], "expected `message 'b'`, got `message 'a'`"),
        (&["receive 0 'a'"], "nothing more was expected, but the event `message 'a'`"),
        (&["event message 'a'"], "got nothing"),
        (&["do send 'a'", "sent 0 'b'"], "expected `0 'b'`, got `0 'a'`"),
        (&["do send 'a'"], "`0 'a'` was sent"),
        (&["do send 'a'", "sent*2 0 'a'"], "got nothing"),
        (&["do send 'a'", "sent hex 01 0001 62"], "expected `01000162`, got `01000161`"),
        (&["do send 'a'", "sent hex 01 0001 61 00"], "got `01000161`"),
        (&["receive 1@0#0 'a'", "open"], "expected [], got [0]"),
        (&["receive hex 01", "missing 3"], "expected 3, got 2"),
        (&["refused closing send 'a'"], "taken, expected refusal closing"),
        (&["do send . . . . . . . . . . . . . . . ."], "refused with argument_count"),
        (&["refused closing send . . . . . . . . . . . . . . . ."], "expected closing"),
        (&["do finish-body 0"], "opened no body 0"),
        (&["wait 3"], "the case is wrong"),
    ] {
        let failure = failure_of(steps);
        assert!(failure.contains(said), "{steps:?}: {failure}");
    }
}

#[test]
fn settings_that_cannot_be_fail_the_case() {
    let mut wrong = made_up(&["do send 'a'", "sent 0 'a'"]);
    wrong.config.mode = Some("loose".into());
    assert!(run(&wrong).unwrap_err().detail.contains("no mode"));
    wrong.config.mode = None;
    wrong.config.limits.insert("patience".into(), 3);
    assert!(run(&wrong).unwrap_err().detail.contains("no limit of this name"));
}

/// What the faulty engine does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    LosesEvents,
    DoublesEvents,
    TurnsABit,
    AnswersHeartbeats,
    ForgetsChunksOfOneOctet,
    TakesEverything,
    NeverTimesOut,
    SaysNothingIsOpen,
    MiscountsMissing,
}

/// Our engine with a fault planted between it and the runner.
struct Faulty {
    engine: SmpEngine,
    fault: Fault,
    again: Option<String>,
    owed: Vec<u8>,
}

impl Engine for Faulty {
    fn receive(&mut self, now: Instant, buffer: &mut ReceiveBuffer) {
        if self.fault == Fault::AnswersHeartbeats && buffer.incoming().first().is_some_and(|octet| octet >> 4 == 6) {
            self.owed.push(0x60);
        }
        if self.fault == Fault::ForgetsChunksOfOneOctet && buffer.len() == 1 {
            buffer.clear();
        }
        self.engine.receive(now, buffer);
    }

    fn end(&mut self, now: Instant, left: &ReceiveBuffer) {
        self.engine.end(now, left);
    }

    fn act(&mut self, now: Instant, action: &Action) -> Result<(), String> {
        match self.engine.act(now, action) {
            Err(_) if self.fault == Fault::TakesEverything => Ok(()),
            result => result,
        }
    }

    fn timeout(&mut self, now: Instant) {
        self.engine.timeout(now);
    }

    fn transmit(&mut self, now: Instant) -> Option<Vec<u8>> {
        if !self.owed.is_empty() {
            return Some(std::mem::take(&mut self.owed));
        }
        let mut octets = self.engine.transmit(now)?;
        if self.fault == Fault::TurnsABit
            && let Some(last) = octets.last_mut()
        {
            *last ^= 1;
        }
        Some(octets)
    }

    fn event(&mut self) -> Option<String> {
        if let Some(again) = self.again.take() {
            return Some(again);
        }
        let event = self.engine.event();
        match self.fault {
            Fault::LosesEvents => self.engine.event(),
            Fault::DoublesEvents => {
                self.again.clone_from(&event);
                event
            }
            _ => event,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.engine.deadline().filter(|_| self.fault != Fault::NeverTimesOut)
    }

    fn open_ids(&self) -> Vec<u16> {
        if self.fault == Fault::SaysNothingIsOpen { Vec::new() } else { self.engine.open_ids() }
    }

    fn missing_len(&self, left: &ReceiveBuffer) -> usize {
        self.engine.missing_len(left) + usize::from(self.fault == Fault::MiscountsMissing)
    }
}

/// Few enough to run against each fault in a moment, and with something of everything.
const CASES: [&str; 8] = [
    "example-1-decodes",
    "example-1-encodes",
    "a-heartbeat-asks-for-no-answer",
    "sixteen-arguments-are-refused",
    "a-silent-peer-is-lost",
    "two-frames-are-a-message",
    "the-end-inside-a-unit",
    "nothing-stands-between-units",
];

fn cases_failing(fault: Fault) -> Vec<String> {
    let all = load(&cases_directory("smp-framing")).unwrap();
    let chosen: Vec<_> = all.into_iter().filter(|case| CASES.contains(&case.id.as_str())).collect();
    assert_eq!(chosen.len(), CASES.len(), "a case was renamed");
    let failing = chosen.iter().filter(|case| {
        run_with(case, &|now, settings| {
            let engine = SmpEngine::new(now, settings)?;
            Ok(Box::new(Faulty { engine, fault, again: None, owed: Vec::new() }))
        })
        .is_err()
    });
    failing.map(|case| case.id.clone()).collect()
}

#[test]
fn an_engine_without_a_fault_passes_through_the_wrapper() {
    assert_eq!(cases_failing(Fault::None), Vec::<String>::new());
}

#[test]
fn every_fault_planted_in_the_engine_is_found() {
    for (fault, case) in [
        (Fault::LosesEvents, "example-1-decodes"),
        (Fault::DoublesEvents, "example-1-decodes"),
        (Fault::TurnsABit, "example-1-encodes"),
        (Fault::AnswersHeartbeats, "a-heartbeat-asks-for-no-answer"),
        (Fault::ForgetsChunksOfOneOctet, "nothing-stands-between-units"),
        (Fault::TakesEverything, "sixteen-arguments-are-refused"),
        (Fault::NeverTimesOut, "a-silent-peer-is-lost"),
        (Fault::SaysNothingIsOpen, "two-frames-are-a-message"),
        (Fault::MiscountsMissing, "the-end-inside-a-unit"),
    ] {
        let failing: BTreeSet<_> = cases_failing(fault).into_iter().collect();
        assert!(failing.contains(case), "{fault:?} was found by {failing:?} only");
    }
}
