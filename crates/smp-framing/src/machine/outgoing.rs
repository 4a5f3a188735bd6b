//! What waits to be sent, and in which order it goes.

use super::event::{ErrorReport, UsageError};
use super::send_rules::SendRules;
use crate::config::Config;
use crate::framer::{Framer, IdSequence};
use crate::wire::TransmitBuffer;
use crate::{Arguments, Code};
use bytes::{Buf, Bytes};
use std::collections::{HashSet, VecDeque};

/// Octets gathered before the carrier is written to: large enough that a system call costs little per octet, small enough
/// that what is urgent waits for little.
const TRANSMIT_LEN: usize = 128 * 1024;

/// Octets of whole messages that go before one frame of each large message gets its turn.
const MESSAGES_LEN_PER_TURN: usize = 16 * 1024;

/// A body that the application is sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BodyId(u64);

#[derive(Debug)]
struct Large {
    body: BodyId,
    /// Taken when the first frame goes.
    id: Option<u16>,
    framer: Framer,
}

/// Three queues: control units first, then whole messages and frames in turn.
///
/// A whole message waits for at most one frame of each large one, and a large one for at most 16 KiB of whole ones.
//= SMPF-B-FAIRNESS
#[derive(Debug)]
pub(super) struct Outgoing {
    rules: SendRules,
    outgoing_len_max: usize,
    open_ids_max: usize,
    control_count_max: usize,
    control: VecDeque<(Code, Arguments)>,
    messages: VecDeque<Arguments>,
    messages_len: usize,
    larges: VecDeque<Large>,
    ids: IdSequence,
    ids_in_use: HashSet<u16>,
    /// IDs of abandoned bodies: the next messages take them, so that their NEW FRAME clears what the peer kept.
    ids_to_reuse: VecDeque<u16>,
    next_body: u64,
}

impl Outgoing {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            rules: SendRules::new(config),
            outgoing_len_max: config.limits.outgoing_len_max,
            open_ids_max: config.limits.open_ids_max,
            control_count_max: config.limits.control_count_max,
            control: VecDeque::new(),
            messages: VecDeque::new(),
            messages_len: 0,
            larges: VecDeque::new(),
            ids: IdSequence::default(),
            ids_in_use: HashSet::new(),
            ids_to_reuse: VecDeque::new(),
            next_body: 0,
        }
    }

    /// Octets of messages and bodies that wait.
    //= SMPF-L-OUTGOING
    #[inline]
    pub(super) fn data_len(&self) -> usize {
        self.messages_len + self.larges.iter().map(|large| large.framer.pending_len()).sum::<usize>()
    }

    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.data_len() < self.outgoing_len_max
    }

    pub(super) fn has_control_room(&self) -> bool {
        self.control.len() < self.control_count_max
    }

    /// True where messages or frames could go now if the peer had not paused us.
    pub(super) fn has_data(&self) -> bool {
        !self.messages.is_empty() || self.larges.iter().any(|large| large.framer.is_ready())
    }

    /// True where nothing waits and no body is open.
    pub(super) fn is_drained(&self) -> bool {
        self.control.is_empty() && self.messages.is_empty() && self.larges.is_empty()
    }

    /// True for a message that goes as one unit to any peer and takes no walk to see that: one of one argument, or one
    /// that came off the wire with any.
    #[inline]
    pub(super) fn fits_at_once(&self, arguments: &Arguments) -> bool {
        match arguments.as_single() {
            Some(only) => only.len() <= crate::ARGUMENT_LEN_MAX.min(self.rules.max_message_size - 2),
            None => arguments
                .as_wire()
                .is_some_and(|octets| octets.len() <= self.rules.max_message_size && !octets.is_empty()),
        }
    }

    pub(super) fn body_count(&self) -> usize {
        self.larges.len()
    }

    /// The bodies that wait for more content.
    pub(super) fn unfinished_bodies(&self) -> Vec<BodyId> {
        self.larges.iter().filter(|large| !large.framer.is_finished()).map(|large| large.body).collect()
    }

    /// Forgets messages and bodies.
    pub(super) fn drop_data(&mut self) {
        self.messages.clear();
        self.messages_len = 0;
        self.larges.clear();
    }

    /// Gives the memory of empty queues back.
    pub(super) fn release_memory(&mut self) {
        self.control = VecDeque::new();
        self.messages = VecDeque::new();
        self.larges = VecDeque::new();
    }

    /// Forgets everything.
    pub(super) fn drop_all(&mut self) {
        self.drop_data();
        self.control.clear();
    }

    #[inline]
    pub(super) fn send(&mut self, arguments: Arguments) -> Result<(), UsageError> {
        if !self.has_room() {
            return Err(UsageError::QueueFull);
        }
        if self.rules.check_message(&arguments)? {
            let arguments = self.plain(arguments);
            // The meta octet counts, so that a queue of empty messages is not free.
            self.messages_len += 1 + arguments.arguments_len();
            self.messages.push_back(arguments);
            return Ok(());
        }
        let framer = Framer::new(arguments, self.rules.max_message_size, 0, 0)?;
        self.push_large(framer);
        Ok(())
    }

    /// What goes outside frames: an npm peer loses step over a unit without arguments.
    //= SMPF-N1
    fn plain(&self, arguments: Arguments) -> Arguments {
        if self.rules.mode.is_node() && arguments.is_empty() { Bytes::new().into() } else { arguments }
    }

    pub(super) fn control(&mut self, code: Code, arguments: Arguments) -> Result<(), UsageError> {
        if !self.has_control_room() {
            return Err(UsageError::QueueFull);
        }
        self.rules.check_control(code, &arguments)?;
        let arguments = self.plain(arguments);
        self.control.push_back((code, arguments));
        Ok(())
    }

    /// An ERROR always has a number and a text.
    //= SMPF-R17 SMPF-N2 SMPF-CODE-5
    pub(super) fn error(&mut self, report: &ErrorReport) -> Result<(), UsageError> {
        self.control(Code::Error, report.to_arguments())
    }

    /// A control unit that goes even where the queue is full: there is one of its kind at most.
    pub(super) fn control_once(&mut self, code: Code, arguments: Arguments) {
        let arguments = self.plain(arguments);
        self.control.push_back((code, arguments));
    }

    /// Takes back a unit of this code that was not sent yet; `true` where there was one.
    pub(super) fn retract(&mut self, code: Code) -> bool {
        let before = self.control.len();
        self.control.retain(|(queued, _)| *queued != code);
        self.control.len() < before
    }

    pub(super) fn open_body(&mut self, count: u8, first_number: u32) -> Result<BodyId, UsageError> {
        self.rules.check_frames(self.rules.max_message_size + 1)?;
        if self.larges.len() >= self.open_ids_max {
            return Err(UsageError::TooManyBodies { max: self.open_ids_max });
        }
        let framer = Framer::streaming(count, self.rules.max_message_size, 0, first_number)?;
        Ok(self.push_large(framer))
    }

    fn push_large(&mut self, framer: Framer) -> BodyId {
        let body = BodyId(self.next_body);
        self.next_body += 1;
        self.larges.push_back(Large { body, id: None, framer });
        body
    }

    fn body(&mut self, body: BodyId) -> Result<&mut Framer, UsageError> {
        let large = self.larges.iter_mut().find(|large| large.body == body);
        large.map(|large| &mut large.framer).ok_or(UsageError::NoSuchBody)
    }

    pub(super) fn feed_body(&mut self, body: BodyId, index: u8, payload: Bytes) -> Result<(), UsageError> {
        if !self.has_room() {
            return Err(UsageError::QueueFull);
        }
        let framer = self.body(body)?;
        if index >= framer.argument_count() {
            return Err(UsageError::NoSuchArgument { index, count: framer.argument_count() });
        }
        framer.push(index, payload);
        Ok(())
    }

    pub(super) fn finish_body(&mut self, body: BodyId) -> Result<(), UsageError> {
        self.body(body).map(Framer::finish)
    }

    /// Drops a body; the ID of what the peer has of it, if it has anything.
    pub(super) fn abandon_body(&mut self, body: BodyId) -> Result<Option<u16>, UsageError> {
        let at = self.larges.iter().position(|large| large.body == body).ok_or(UsageError::NoSuchBody)?;
        let id = self.larges.remove(at).and_then(|large| large.id);
        if let Some(id) = id {
            self.ids_in_use.remove(&id);
            self.ids_to_reuse.push_back(id);
        }
        Ok(id)
    }

    /// Moves octets to `out` until it has enough; data only where `with_data`.
    pub(super) fn transmit(&mut self, with_data: bool, out: &mut TransmitBuffer) {
        while let Some((code, arguments)) = self.control.pop_front() {
            out.put_unit(code, None, &arguments);
        }
        while with_data && out.remaining() < TRANSMIT_LEN && self.has_data() {
            let turn_end = out.remaining() + MESSAGES_LEN_PER_TURN;
            while out.remaining() < turn_end
                && let Some(arguments) = self.messages.pop_front()
            {
                self.messages_len -= 1 + arguments.arguments_len();
                out.put_unit(Code::Message, None, &arguments);
            }
            let before = out.remaining();
            self.transmit_frames(out);
            if out.remaining() == before && self.messages.is_empty() {
                // What is left waits for an ID.
                break;
            }
        }
    }

    /// One frame of each large message that has one.
    fn transmit_frames(&mut self, out: &mut TransmitBuffer) {
        for _ in 0..self.larges.len() {
            let Some(mut large) = self.larges.pop_front() else { break };
            if large.framer.is_ready() && self.assign_id(&mut large) {
                large.framer.encode_next(out);
            }
            if large.framer.is_done() {
                if let Some(id) = large.id {
                    self.ids_in_use.remove(&id);
                }
            } else {
                self.larges.push_back(large);
            }
            if out.remaining() >= TRANSMIT_LEN {
                break;
            }
        }
    }

    /// `false` where as many IDs are open as a peer with our limits takes.
    //= SMPF-R7 SMPF-L-OPEN-IDS
    fn assign_id(&mut self, large: &mut Large) -> bool {
        if large.id.is_some() {
            return true;
        }
        if self.ids_in_use.len() >= self.open_ids_max {
            return false;
        }
        let given_up = self.ids_to_reuse.pop_front();
        let id = given_up.unwrap_or_else(|| self.ids.next(|id| self.ids_in_use.contains(&id)));
        self.ids_in_use.insert(id);
        large.framer.set_id(id, given_up.is_some());
        large.id = Some(id);
        true
    }
}
