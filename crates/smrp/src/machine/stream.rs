//! One stream: its sending and its receiving half.

use super::buffer::Buffer;
use super::event::Opened;
use super::joined::Messages;
use super::outbox::Outbox;
use crate::wire::{Code, Parameters};
use crate::{Kind, Priority, StreamId};
use bytes::BytesMut;
use core::time::Duration;
use wirekit::Instant;

/// Messages of an unordered channel that are under way at once.
pub(crate) const ASSEMBLIES_MAX: usize = 64;

#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) id: StreamId,
    pub(crate) kind: Kind,
    pub(crate) priority: Priority,
    /// OPEN was written, or came.
    pub(crate) is_open: bool,
    /// What is to be done about its beginning.
    pub(crate) beginning: Option<Box<Beginning>>,
    /// It has a time, which is among the deadlines of the session.
    pub(crate) has_deadline: bool,
    pub(crate) send: SendHalf,
    pub(crate) recv: RecvHalf,
    /// Its charge as an open stream is still with the ledger.
    pub(crate) is_charged: bool,
}

#[derive(Debug)]
pub(crate) enum Beginning {
    /// What OPEN will carry.
    Opening { metadata: Option<Parameters>, ttl: Option<Duration> },
    /// A request of the peer that is not whole, so nobody was told of it.
    Arriving(Opened),
}

/// Where a half is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SendState {
    /// The stream does not go in this direction.
    None,
    Open,
    /// FIN goes out behind what is buffered.
    Finishing,
    /// FIN was written.
    Finished,
    /// RESET goes out once `reliable_len` octets have been sent.
    Resetting {
        code: Code,
        reliable_len: u64,
    },
    /// RESET was written.
    Reset(Code),
}

#[derive(Debug)]
pub(crate) struct SendHalf {
    pub(crate) state: SendState,
    pub(crate) buffer: Buffer,
    /// Octets of data sent.
    pub(crate) sent: u64,
    /// Octets that may be sent.
    pub(crate) max: u64,
    /// Turns at whose end its own credit was used up and it had more.
    pub(crate) blocked_count: u32,
    pub(crate) is_scheduled: bool,
    /// The application waits for room.
    pub(crate) wants_room: bool,
    /// The application has let go of it.
    pub(crate) is_released: bool,
    /// The peer sent STOP.
    pub(crate) stopped: Option<Code>,
    pub(crate) has_head: bool,
    /// Goes out behind the data and before FIN.
    pub(crate) trailer: Option<Box<Parameters>>,
    pub(crate) messages: Option<Box<SendMessages>>,
}

#[derive(Debug, Default)]
pub(crate) struct SendMessages {
    pub(crate) outbox: Outbox,
    pub(crate) next_id: u64,
    /// Messages begun.
    pub(crate) begun: u64,
    /// Messages that may be begun.
    pub(crate) max: u64,
    /// Messages whose time passed before they were sent whole.
    pub(crate) expired: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecvState {
    /// The stream does not go in this direction.
    None,
    Open,
    /// FIN came.
    Finished,
    /// RESET came; what was reliable may still be buffered.
    Reset(Code),
    /// We sent STOP and wait for the end; what comes is given back.
    Stopped,
    /// A message was longer than we take.
    TooLarge,
}

#[derive(Debug)]
pub(crate) struct RecvHalf {
    pub(crate) state: RecvState,
    pub(crate) buffer: Buffer,
    /// Octets that came.
    pub(crate) received: u64,
    /// Octets that the application took, or that were given back.
    pub(crate) taken: u64,
    /// Octets of what is not whole yet: they do not narrow the window.
    pub(crate) incomplete: u64,
    /// Octets that the peer was told it may send.
    pub(crate) max: u64,
    pub(crate) window: u64,
    pub(crate) granted_at: Instant,
    /// Samples of the round trip when the window last grew.
    pub(crate) grown_at: u32,
    /// The application waits for something.
    pub(crate) wants_data: bool,
    pub(crate) is_released: bool,
    pub(crate) has_head: bool,
    pub(crate) has_trailer: bool,
    pub(crate) has_data: bool,
    pub(crate) empty_count: u8,
    /// FIN, or the end behind the reset, was given to the application.
    pub(crate) end_was_taken: bool,
    /// FIN or RESET came.
    pub(crate) has_ended: bool,
    pub(crate) messages: Option<Box<RecvMessages>>,
}

#[derive(Debug, Default)]
pub(crate) struct RecvMessages {
    pub(crate) ready: Messages,
    pub(crate) assemblies: Vec<Assembly>,
    /// The lowest id that was not begun or skipped.
    pub(crate) next_id: u64,
    pub(crate) max: u64,
    pub(crate) begun: u64,
    pub(crate) taken: u64,
    pub(crate) window: u64,
    /// Messages that the peer gave up.
    pub(crate) skipped: u64,
}

#[derive(Debug)]
pub(crate) struct Assembly {
    pub(crate) id: u64,
    pub(crate) data: BytesMut,
}

impl SendHalf {
    pub(crate) fn new(exists: bool, max: u64, kind: Kind, messages_max: u64) -> Self {
        let has_messages = exists && kind.has_messages();
        Self {
            state: if exists { SendState::Open } else { SendState::None },
            buffer: Buffer::default(),
            sent: 0,
            max,
            blocked_count: 0,
            is_scheduled: false,
            wants_room: false,
            is_released: !exists,
            stopped: None,
            has_head: false,
            trailer: None,
            messages: has_messages.then(|| Box::new(SendMessages { max: messages_max, ..SendMessages::default() })),
        }
    }

    /// Nothing will be sent any more.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, SendState::None | SendState::Finished | SendState::Reset(_))
    }

    /// Octets that wait.
    pub(crate) fn queued_len(&self) -> usize {
        self.messages.as_ref().map_or(self.buffer.len(), |messages| messages.outbox.len())
    }

    /// Whether anything waits, be it a message without octets.
    pub(crate) fn has_queued(&self) -> bool {
        self.messages.as_ref().map_or(!self.buffer.is_empty(), |messages| !messages.outbox.is_empty())
    }

    /// Whether it has something that it may send as far as the stream alone is asked.
    pub(crate) fn is_ready(&self, id: StreamId) -> bool {
        let room = self.max > self.sent;
        match self.state {
            SendState::None | SendState::Finished | SendState::Reset(_) => false,
            SendState::Resetting { reliable_len, .. } => self.sent >= reliable_len || room,
            SendState::Open | SendState::Finishing => match &self.messages {
                Some(messages) => match messages.outbox.front(id) {
                    Some((len, is_begun)) => (is_begun || messages.begun < messages.max) && (room || len == 0),
                    None => self.state == SendState::Finishing,
                },
                None if self.buffer.is_empty() => self.state == SendState::Finishing,
                None => room,
            },
        }
    }

    /// Drops everything that waits beyond the octets that were promised, and says how much it was.
    pub(crate) fn drop_queued(&mut self, reliable_len: u64) -> u64 {
        let keep = usize::try_from(reliable_len.saturating_sub(self.sent)).unwrap_or(usize::MAX);
        let mut dropped = self.buffer.truncate(keep);
        self.trailer = None;
        if let Some(messages) = &mut self.messages {
            dropped += messages.outbox.len();
            messages.outbox.clear();
        }
        dropped as u64
    }
}

impl RecvHalf {
    pub(crate) fn new(exists: bool, window: u64, kind: Kind, messages_window: u64, now: Instant) -> Self {
        let has_messages = exists && kind.has_messages();
        let messages = || RecvMessages { max: messages_window, window: messages_window, ..RecvMessages::default() };
        Self {
            state: if exists { RecvState::Open } else { RecvState::None },
            buffer: Buffer::default(),
            received: 0,
            taken: 0,
            incomplete: 0,
            max: window,
            window,
            granted_at: now,
            grown_at: 0,
            wants_data: false,
            is_released: !exists,
            has_head: false,
            has_trailer: false,
            has_data: false,
            empty_count: 0,
            end_was_taken: !exists,
            has_ended: !exists,
            messages: has_messages.then(|| Box::new(messages())),
        }
    }

    /// The peer sends nothing more, and there is nothing more to take.
    pub(crate) fn is_done(&self) -> bool {
        self.has_ended && (self.is_released || self.end_was_taken)
    }

    /// Drops everything that was not taken, and says how many octets go back to the session and how many were incomplete.
    pub(crate) fn drop_buffered(&mut self) -> (u64, u64) {
        let incomplete = core::mem::take(&mut self.incomplete);
        self.buffer.clear();
        if let Some(messages) = &mut self.messages {
            messages.ready = Messages::default();
            messages.assemblies = Vec::new();
        }
        let given_back = self.received - self.taken;
        self.taken = self.received;
        (given_back, incomplete)
    }
}

impl Stream {
    /// The metadata that OPEN will carry.
    pub(crate) fn opening_metadata(&self) -> Option<&Parameters> {
        match self.beginning.as_deref() {
            Some(Beginning::Opening { metadata, .. }) => metadata.as_ref(),
            _ => None,
        }
    }

    /// The request that nobody was told of, where it is one.
    pub(crate) fn take_arriving(&mut self) -> Option<Opened> {
        match *self.beginning.take()? {
            Beginning::Arriving(opened) => Some(opened),
            opening => {
                self.beginning = Some(Box::new(opening));
                None
            }
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.send.is_done() && self.recv.is_done() && self.send.is_released && self.recv.is_released
    }
}
