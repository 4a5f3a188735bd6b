//! Frames to messages: sequence checks, assembly, and the limits on both.

use crate::config::{Config, Delivery};
use crate::{Arguments, Code, FrameIdent, Limit, LimitExceeded, Limits};
use bytes::{Bytes, BytesMut};
use std::collections::{HashMap, HashSet};
use wirekit::Instant;

/// A message put together from frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assembled {
    /// Its ID; free again now.
    pub id: u16,
    /// The number of its first frame.
    pub first_number: u32,
    /// How many frames it came in.
    pub frame_count: u32,
    /// Its arguments, each joined over the frames.
    pub arguments: Arguments,
}

/// What is wrong with a frame's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SequenceFault {
    /// A CONTINUING FRAME of a message that was not opened.
    NoNewFrame,
    /// The number is ahead of the one that is next.
    Gap,
    /// The number was there before.
    Repeat,
}

/// What became of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Kept; its message is open.
    Kept,
    /// To be delivered now, as the application wants frames.
    Deliver(Arguments),
    /// The last one: here is the message.
    Assembled(Assembled),
    /// Of a broken ID: dropped without a word.
    Dropped,
    /// Out of sequence: its message was dropped and its ID is broken.
    OutOfSequence(SequenceFault),
    /// Past a limit: its message was dropped and its ID is broken.
    Refused(LimitExceeded),
    /// Past the limit on broken IDs: there is no way to go on.
    Fatal(LimitExceeded),
}

#[derive(Debug)]
struct Open {
    first_number: u32,
    next_number: u32,
    frame_count: u32,
    parts: Vec<BytesMut>,
    charged_len: usize,
    touched_at: Instant,
}

/// Follows the messages of frames of one direction of a connection.
///
/// Payloads under assembly are copied into one buffer per argument, so that a frame never holds a read buffer alive; a
/// buffer doubles as it grows, so a message needs up to twice its octets. With [`Delivery::Frames`] nothing is kept.
//= SMPF-R5 SMPF-R6 SMPF-R8 SMPF-R9 SMPF-R10 SMPF-R11 SMPF-R12 SMPF-R13 SMPF-CONV-4 SMPF-CONV-5
#[derive(Debug)]
pub struct Reassembler {
    takes_continuing_first: bool,
    delivery: Delivery,
    limits: Limits,
    open: HashMap<u16, Open>,
    broken: HashSet<u16>,
    charged_len: usize,
    /// Not later than the first idle time-out; exact after [`expire`](Self::expire).
    idle_check_at: Option<Instant>,
}

impl Reassembler {
    /// Nothing open.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            takes_continuing_first: config.mode.takes_continuing_first(),
            delivery: config.delivery,
            limits: config.limits,
            open: HashMap::new(),
            broken: HashSet::new(),
            charged_len: 0,
            idle_check_at: None,
        }
    }

    /// The IDs of the messages that have no end yet, in no order. IDs broken by an error are not among them.
    pub fn open_ids(&self) -> impl Iterator<Item = u16> + '_ {
        self.open.keys().copied()
    }

    /// Octets under assembly, overhead counted.
    #[must_use]
    pub const fn charged_len(&self) -> usize {
        self.charged_len
    }

    /// True where a frame of this code and ID makes an open message void: a NEW FRAME on an open ID.
    //= SMPF-R9
    #[must_use]
    pub fn abandons(&self, code: Code, id: u16) -> bool {
        code == Code::NewFrame && self.open.contains_key(&id)
    }

    /// Drops the open message of this ID, without breaking the ID. `true` where there was one.
    pub fn abandon(&mut self, id: u16) -> bool {
        self.close(id).is_some()
    }

    /// Takes one frame. `code` is one of the three frame codes.
    pub fn accept(&mut self, now: Instant, code: Code, ident: FrameIdent, arguments: Arguments) -> Outcome {
        let FrameIdent { id, number } = ident;
        if code == Code::NewFrame {
            self.broken.remove(&id);
            self.close(id);
        }
        if self.broken.contains(&id) {
            if code == Code::LastFrame {
                self.broken.remove(&id);
            }
            return Outcome::Dropped;
        }
        match self.open.get(&id) {
            Some(open) if open.next_number != number => {
                // Half of the number space is behind, half ahead, so that wrapping is no special case.
                let is_ahead = number.wrapping_sub(open.next_number) < 1 << 31;
                let fault = if is_ahead { SequenceFault::Gap } else { SequenceFault::Repeat };
                self.break_off(code, id, Outcome::OutOfSequence(fault))
            }
            Some(_) => self.extend(now, code, ident, arguments),
            None if code == Code::LastFrame => match self.delivery {
                Delivery::Frames => Outcome::Deliver(arguments),
                Delivery::Assembled => self.single(ident, arguments),
            },
            None if code == Code::ContinuingFrame && !self.takes_continuing_first => {
                self.break_off(code, id, Outcome::OutOfSequence(SequenceFault::NoNewFrame))
            }
            None => self.begin(now, code, ident, arguments),
        }
    }

    fn single(&self, ident: FrameIdent, arguments: Arguments) -> Outcome {
        let len = arguments.payload_len() + self.limits.fragment_overhead_len;
        match exceeds(Limit::MessageLen, self.limits.message_len_max, len) {
            Some(exceeded) => Outcome::Refused(exceeded),
            None => {
                Outcome::Assembled(Assembled { id: ident.id, first_number: ident.number, frame_count: 1, arguments })
            }
        }
    }

    fn begin(&mut self, now: Instant, code: Code, ident: FrameIdent, arguments: Arguments) -> Outcome {
        if let Some(exceeded) = exceeds(Limit::OpenIds, self.limits.open_ids_max, self.open.len() + 1) {
            return self.break_off(code, ident.id, Outcome::Refused(exceeded));
        }
        self.open.insert(
            ident.id,
            Open {
                first_number: ident.number,
                next_number: ident.number,
                frame_count: 0,
                parts: Vec::new(),
                charged_len: 0,
                touched_at: now,
            },
        );
        if self.idle_check_at.is_none() {
            self.idle_check_at = Some(now + self.limits.assembly_idle_timeout);
        }
        self.extend(now, code, ident, arguments)
    }

    fn extend(&mut self, now: Instant, code: Code, ident: FrameIdent, arguments: Arguments) -> Outcome {
        let Some(open) = self.open.get_mut(&ident.id) else { return Outcome::Dropped };
        open.touched_at = now;
        open.next_number = ident.number.wrapping_add(1);
        open.frame_count = open.frame_count.saturating_add(1);
        if self.delivery == Delivery::Frames {
            if code == Code::LastFrame {
                self.close(ident.id);
            }
            return Outcome::Deliver(arguments);
        }
        //= SMPF-L-OVERHEAD SMPF-L-MESSAGE-BYTES SMPF-L-TOTAL-BYTES
        let charge = arguments.payload_len() + self.limits.fragment_overhead_len;
        let exceeded = exceeds(Limit::MessageLen, self.limits.message_len_max, open.charged_len + charge)
            .or_else(|| exceeds(Limit::AssemblyLen, self.limits.assembly_len_max, self.charged_len + charge));
        if let Some(exceeded) = exceeded {
            return self.break_off(code, ident.id, Outcome::Refused(exceeded));
        }
        open.charged_len += charge;
        self.charged_len += charge;
        if open.parts.len() < arguments.count() {
            open.parts.resize_with(arguments.count(), BytesMut::new);
        }
        for (part, payload) in open.parts.iter_mut().zip(&arguments) {
            part.extend_from_slice(payload);
        }
        if code != Code::LastFrame {
            return Outcome::Kept;
        }
        match self.close(ident.id) {
            Some(Open { first_number, frame_count, parts, .. }) => {
                let arguments = parts.into_iter().map(BytesMut::freeze).collect::<Vec<Bytes>>().into();
                Outcome::Assembled(Assembled { id: ident.id, first_number, frame_count, arguments })
            }
            None => Outcome::Dropped,
        }
    }

    /// Drops the message of `id` and, unless `code` ends it anyway, remembers the ID as broken.
    fn break_off(&mut self, code: Code, id: u16, outcome: Outcome) -> Outcome {
        self.close(id);
        if code == Code::LastFrame {
            return outcome;
        }
        //= SMPF-L-BROKEN-IDS
        match exceeds(Limit::BrokenIds, self.limits.broken_ids_max, self.broken.len() + 1) {
            Some(exceeded) => Outcome::Fatal(exceeded),
            None => {
                self.broken.insert(id);
                outcome
            }
        }
    }

    fn close(&mut self, id: u16) -> Option<Open> {
        let open = self.open.remove(&id)?;
        self.charged_len -= open.charged_len;
        if self.open.is_empty() {
            self.idle_check_at = None;
        }
        Some(open)
    }

    /// When [`expire`](Self::expire) is to be called next.
    #[must_use]
    pub const fn idle_check_at(&self) -> Option<Instant> {
        self.idle_check_at
    }

    /// Drops one message that stood still too long and breaks its ID; call until `None`.
    //= SMPF-L-IDLE
    pub fn expire(&mut self, now: Instant) -> Option<(u16, Outcome)> {
        if self.idle_check_at.is_none_or(|at| at > now) {
            return None;
        }
        let timeout = self.limits.assembly_idle_timeout;
        let (&id, open) = self.open.iter().min_by_key(|(id, open)| (open.touched_at, **id))?;
        let due_at = open.touched_at + timeout;
        if due_at > now {
            self.idle_check_at = Some(due_at);
            return None;
        }
        let millis = |duration: core::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let exceeded = LimitExceeded {
            limit: Limit::AssemblyIdle,
            max: millis(timeout),
            got: millis(now.saturating_since(open.touched_at)),
        };
        Some((id, self.break_off(Code::ContinuingFrame, id, Outcome::Refused(exceeded))))
    }
}

fn exceeds(limit: Limit, max: usize, got: usize) -> Option<LimitExceeded> {
    (got > max).then_some(LimitExceeded { limit, max: max as u64, got: got as u64 })
}
