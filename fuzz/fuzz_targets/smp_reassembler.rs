//! Frames with any IDs, numbers, codes, times and limits, against a model that keeps every frame.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use postroad_fuzz::{Payload, arguments};
use smp_framing::reassembler::{Assembled, Outcome, Reassembler, SequenceFault};
use smp_framing::{Arguments, Code, Config, Delivery, FrameIdent, Limit, Limits, Mode};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use wirekit::Instant;

#[derive(Arbitrary, Debug)]
struct Input {
    is_lenient: bool,
    keeps_frames: bool,
    open_ids_max: u8,
    broken_ids_max: u8,
    message_len_max: u16,
    assembly_len_max: u16,
    overhead_len: u8,
    ops: Vec<Op>,
}

#[derive(Arbitrary, Debug)]
enum Op {
    /// The next number of this ID, which is what makes whole messages.
    Next {
        code: u8,
        id: u8,
        payloads: Vec<Payload>,
    },
    Any {
        code: u8,
        id: u8,
        number: u32,
        payloads: Vec<Payload>,
    },
    Wait {
        millis: u16,
    },
    Abandon {
        id: u8,
    },
}

type Frames = Vec<(u32, Arguments)>;

struct Model {
    config: Config,
    is_lenient: bool,
    keeps_frames: bool,
    open: BTreeMap<u16, (Frames, Instant)>,
    broken: BTreeSet<u16>,
}

impl Model {
    fn limits(&self) -> &Limits {
        self.config.limits()
    }

    fn charge(&self, frames: &Frames) -> usize {
        frames.iter().map(|(_, arguments)| arguments.payload_len() + self.limits().fragment_overhead_len).sum()
    }

    fn charged_len(&self) -> usize {
        if self.keeps_frames { 0 } else { self.open.values().map(|(frames, _)| self.charge(frames)).sum() }
    }

    /// Drops a message; `outcome` unless the broken IDs are too many.
    fn break_off(&mut self, code: Code, id: u16, outcome: &'static str) -> &'static str {
        self.open.remove(&id);
        if code == Code::LastFrame {
            return outcome;
        }
        if self.broken.len() == self.limits().broken_ids_max {
            return "fatal";
        }
        self.broken.insert(id);
        outcome
    }

    fn accept(&mut self, now: Instant, code: Code, ident: FrameIdent, arguments: &Arguments) -> (&'static str, Frames) {
        let FrameIdent { id, number } = ident;
        if code == Code::NewFrame {
            self.broken.remove(&id);
            self.open.remove(&id);
        }
        if self.broken.contains(&id) {
            if code == Code::LastFrame {
                self.broken.remove(&id);
            }
            return ("dropped", vec![]);
        }
        let mut frames = match self.open.get(&id) {
            Some((frames, _)) => {
                let wanted = frames.last().unwrap().0.wrapping_add(1);
                if wanted != number {
                    let fault = if (number.wrapping_sub(wanted) as i32) > 0 { "gap" } else { "repeat" };
                    return (self.break_off(code, id, fault), vec![]);
                }
                frames.clone()
            }
            None if code == Code::ContinuingFrame && !self.is_lenient => {
                return (self.break_off(code, id, "no new frame"), vec![]);
            }
            None if code != Code::LastFrame && self.open.len() == self.limits().open_ids_max => {
                return (self.break_off(code, id, "open ids"), vec![]);
            }
            None => vec![],
        };
        let is_only = frames.is_empty() && code == Code::LastFrame;
        frames.push((number, arguments.clone()));
        if !self.keeps_frames {
            let others = self.charged_len() - self.open.get(&id).map_or(0, |(frames, _)| self.charge(frames));
            if self.charge(&frames) > self.limits().message_len_max {
                return (self.break_off(code, id, "message len"), vec![]);
            }
            // A message of one frame is never under assembly.
            if !is_only && others + self.charge(&frames) > self.limits().assembly_len_max {
                return (self.break_off(code, id, "assembly len"), vec![]);
            }
        }
        if code == Code::LastFrame {
            self.open.remove(&id);
            return (if self.keeps_frames { "frame" } else { "message" }, frames);
        }
        self.open.insert(id, (frames, now));
        (if self.keeps_frames { "frame" } else { "kept" }, vec![])
    }
}

fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Kept => "kept",
        Outcome::Deliver(_) => "frame",
        Outcome::Assembled(_) => "message",
        Outcome::Dropped => "dropped",
        Outcome::OutOfSequence(SequenceFault::NoNewFrame) => "no new frame",
        Outcome::OutOfSequence(SequenceFault::Gap) => "gap",
        Outcome::OutOfSequence(SequenceFault::Repeat) => "repeat",
        Outcome::Refused(exceeded) => match exceeded.limit {
            Limit::OpenIds => "open ids",
            Limit::MessageLen => "message len",
            Limit::AssemblyLen => "assembly len",
            Limit::AssemblyIdle => "idle",
            other => panic!("{other}"),
        },
        Outcome::Fatal(exceeded) => {
            assert_eq!(exceeded.limit, Limit::BrokenIds);
            "fatal"
        }
    }
}

fn joined(frames: &Frames) -> Vec<Vec<u8>> {
    let count = frames.iter().map(|(_, arguments)| arguments.count()).max().unwrap_or(0);
    let part = |index| frames.iter().flat_map(move |(_, arguments)| arguments.get(index).unwrap_or_default().to_vec());
    (0..count).map(|index| part(index).collect()).collect()
}

fuzz_target!(|input: Input| {
    let mut limits = Limits::default();
    limits.open_ids_max = 1 + usize::from(input.open_ids_max % 8);
    limits.broken_ids_max = 1 + usize::from(input.broken_ids_max % 8);
    limits.message_len_max = 1 + usize::from(input.message_len_max);
    limits.assembly_len_max = 1 + usize::from(input.assembly_len_max);
    limits.fragment_overhead_len = usize::from(input.overhead_len);
    limits.assembly_idle_timeout = Duration::from_secs(10);
    let config = Config::builder()
        .with_limits(limits)
        .with_mode(if input.is_lenient { Mode::Lenient } else { Mode::Strict })
        .with_delivery(if input.keeps_frames { Delivery::Frames } else { Delivery::Assembled })
        .build()
        .unwrap();
    let mut real = Reassembler::new(&config);
    let (is_lenient, keeps_frames) = (input.is_lenient, input.keeps_frames);
    let mut model = Model { config, is_lenient, keeps_frames, open: BTreeMap::new(), broken: BTreeSet::new() };
    let mut now = Instant::EPOCH;
    for op in &input.ops {
        match op {
            Op::Next { code, id, payloads } => {
                let id = u16::from(id % 12);
                let number =
                    model.open.get(&id).map_or(u32::MAX - 1, |(frames, _)| frames.last().unwrap().0.wrapping_add(1));
                frame(&mut real, &mut model, now, *code, FrameIdent { id, number }, arguments(payloads));
            }
            Op::Any { code, id, number, payloads } => {
                let ident = FrameIdent { id: u16::from(id % 12), number: *number };
                frame(&mut real, &mut model, now, *code, ident, arguments(payloads));
            }
            Op::Wait { millis } => {
                now = now + Duration::from_millis(u64::from(*millis));
                expire(&mut real, &mut model, now);
            }
            Op::Abandon { id } => {
                let id = u16::from(id % 12);
                assert_eq!(real.abandon(id), model.open.remove(&id).is_some());
            }
        }
        check(&real, &model);
    }
});

fn frame(real: &mut Reassembler, model: &mut Model, now: Instant, code: u8, ident: FrameIdent, arguments: Arguments) {
    let code = [Code::NewFrame, Code::ContinuingFrame, Code::LastFrame][usize::from(code % 3)];
    assert_eq!(real.abandons(code, ident.id), code == Code::NewFrame && model.open.contains_key(&ident.id));
    let (expected, frames) = model.accept(now, code, ident, &arguments);
    let outcome = real.accept(now, code, ident, arguments.clone());
    assert_eq!(name(&outcome), expected);
    match outcome {
        Outcome::Deliver(got) => assert_eq!(got, arguments),
        Outcome::Assembled(Assembled { id, first_number, frame_count, arguments }) => {
            assert_eq!((id, first_number, frame_count as usize), (ident.id, frames[0].0, frames.len()));
            assert!(arguments.iter().eq(joined(&frames).iter().map(Vec::as_slice)));
        }
        Outcome::Refused(exceeded) | Outcome::Fatal(exceeded) => assert!(exceeded.got > exceeded.max),
        _ => {}
    }
}

fn expire(real: &mut Reassembler, model: &mut Model, now: Instant) {
    let timeout = model.limits().assembly_idle_timeout;
    loop {
        let oldest = model.open.iter().map(|(id, (_, touched_at))| (*touched_at + timeout, *id)).min();
        let expired = real.expire(now);
        match oldest.filter(|(due_at, _)| *due_at <= now) {
            None => {
                assert!(expired.is_none());
                assert_eq!(real.idle_check_at().is_some_and(|at| at <= now), false, "nothing is due after it was done");
                return;
            }
            Some((_, id)) => {
                let expected = model.break_off(Code::ContinuingFrame, id, "idle");
                let (got, outcome) = expired.unwrap();
                assert_eq!((got, name(&outcome)), (id, expected));
            }
        }
    }
}

fn check(real: &Reassembler, model: &Model) {
    let limits = model.limits();
    assert_eq!(real.charged_len(), model.charged_len());
    assert!(real.charged_len() <= limits.assembly_len_max);
    let open: BTreeSet<u16> = real.open_ids().collect();
    assert!(open.iter().eq(model.open.keys()) && open.len() <= limits.open_ids_max);
    assert_eq!(real.idle_check_at().is_some(), !open.is_empty());
    let due_at = model.open.values().map(|(_, touched_at)| *touched_at + limits.assembly_idle_timeout).min();
    assert!(real.idle_check_at() <= due_at, "never later than the first that is due");
}
