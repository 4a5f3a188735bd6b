//! Each law seen red: a small sound machine, and one mutant of it for each law.

use super::*;
use std::cell::Cell;
use wirekit::Deadline;

/// What is wrong with the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    DeadlineStays,
    BeatsOnEveryTimeout,
    BeatsAgain,
    NeverStopsTalking,
    TransmitsNothing,
    Forgets,
    TalksAfterTheEnd,
    DeadlineAfterTheEnd,
    BelievesOldTimes,
    PanicsOnHighOctets,
}

/// Echoes octets, beats once a second, ends at octet 0xff.
struct Echo {
    fault: Fault,
    last_at: Option<Instant>,
    beat_at: Option<Instant>,
    outgoing: Vec<u8>,
    events: Vec<String>,
    ended: bool,
    beat_again: bool,
}

thread_local! {
    /// State outside the machine: what the mutant that forgets its seed depends on.
    static OUTSIDE: Cell<u8> = const { Cell::new(0) };
}

const INTERVAL: Duration = Duration::from_secs(1);

impl Machine for Echo {
    type Input<'a> = &'a [u8];
    type Event = String;
    type Transmit = Vec<u8>;
    type Reason = &'static str;
    type Error = ();

    fn handle(&mut self, now: Instant, octets: &[u8]) -> Result<(), ()> {
        let talks = self.fault == Fault::TalksAfterTheEnd;
        if self.ended && !talks {
            return Err(());
        }
        let now =
            if self.fault == Fault::BelievesOldTimes { now } else { self.last_at.map_or(now, |last| last.max(now)) };
        self.last_at = Some(now);
        assert!(self.fault != Fault::PanicsOnHighOctets || octets.iter().all(|octet| *octet < 0xf0), "high octet");
        self.beat_at = Some(now + INTERVAL);
        self.outgoing.extend_from_slice(octets);
        if self.fault == Fault::Forgets {
            OUTSIDE.set(OUTSIDE.get().wrapping_add(1));
            self.outgoing.push(OUTSIDE.get());
        }
        if octets.contains(&0xff) && !self.ended {
            self.ended = true;
            self.events.push("end".into());
            if self.fault != Fault::DeadlineAfterTheEnd {
                self.beat_at = None;
            }
        }
        Ok(())
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.ended {
            return;
        }
        let now = self.last_at.map_or(now, |last| last.max(now));
        let due = self.beat_at.is_some_and(|at| at <= now);
        if self.fault == Fault::BeatsOnEveryTimeout {
            self.outgoing.push(0);
        }
        let again = core::mem::take(&mut self.beat_again);
        if due || again {
            self.beat_again = due && self.fault == Fault::BeatsAgain;
            self.outgoing.push(0);
            self.last_at = Some(now);
            if self.fault != Fault::DeadlineStays {
                self.beat_at = Some(now + INTERVAL);
            }
        }
    }

    fn poll_transmit(&mut self, _now: Instant, out: &mut Vec<u8>) -> bool {
        if self.fault == Fault::NeverStopsTalking {
            out.push(1);
            return true;
        }
        if self.outgoing.is_empty() {
            return self.fault == Fault::TransmitsNothing;
        }
        out.append(&mut self.outgoing);
        true
    }

    fn poll_event(&mut self) -> Option<String> {
        self.events.pop()
    }

    fn poll_timeout(&self) -> Option<Deadline<&'static str>> {
        self.beat_at.map(|at| Deadline::new(at, "beat"))
    }
}

struct EchoSubject(Fault);

impl Subject for EchoSubject {
    type Machine = Echo;

    fn make(&self, _seed: u64) -> Echo {
        Echo {
            fault: self.0,
            last_at: None,
            beat_at: None,
            outgoing: Vec::new(),
            events: Vec::new(),
            ended: false,
            beat_again: false,
        }
    }

    fn step(&self, machine: &mut Echo, now: Instant, rng: &mut Rng) -> String {
        let octets: Vec<u8> = (0..rng.range(1..5)).map(|_| rng.next_u8() & 0x7f).collect();
        let result = machine.handle(now, &octets);
        format!("octets {octets:?} {result:?}")
    }

    fn hostile(&self, machine: &mut Echo, now: Instant, rng: &mut Rng) -> String {
        let octets = rng.bytes(8);
        let result = machine.handle(now, &octets);
        format!("hostile {octets:?} {result:?}")
    }

    fn transmit(&self, machine: &mut Echo, now: Instant) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        machine.poll_transmit(now, &mut out).then_some(out)
    }

    fn describe(&self, event: &String) -> String {
        event.clone()
    }

    fn is_final(&self, event: &String) -> bool {
        event == "end"
    }
}

fn law_broken_by(fault: Fault) -> Option<Law> {
    check(&EchoSubject(fault), &Effort::default()).err().map(|violation| violation.law)
}

#[test]
fn a_sound_machine_breaks_no_law() {
    assert_eq!(law_broken_by(Fault::None), None);
}

#[test]
fn each_mutant_breaks_its_law() {
    for (fault, law) in [
        (Fault::DeadlineStays, Law::NothingDueAfterDrain),
        (Fault::BeatsOnEveryTimeout, Law::EarlyTimeoutIsSilent),
        (Fault::BeatsAgain, Law::SecondTimeoutIsSilent),
        (Fault::NeverStopsTalking, Law::DrainEnds),
        (Fault::TransmitsNothing, Law::TransmitHasOctets),
        (Fault::Forgets, Law::SameTrace),
        (Fault::TalksAfterTheEnd, Law::SilentAfterFinal),
        (Fault::DeadlineAfterTheEnd, Law::SilentAfterFinal),
        (Fault::BelievesOldTimes, Law::TimeGoingBackIsIgnored),
        (Fault::PanicsOnHighOctets, Law::NoPanic),
    ] {
        assert_eq!(law_broken_by(fault), Some(law), "{fault:?}");
    }
}

#[test]
fn a_violation_says_how_to_replay_it() {
    let violation = check(&EchoSubject(Fault::DeadlineStays), &Effort::default()).unwrap_err();
    let text = violation.to_string();
    assert!(text.contains("seed=0") && text.contains("step="), "{text}");
    assert!(!violation.trace_end.is_empty());
}
