//! What may be said now: one end of a connection, without I/O.

mod commands;
mod event;
#[cfg(feature = "tokio")]
mod for_driver;
mod incoming;
mod outgoing;
mod send_rules;
mod short_way;
mod small_units;
mod timers;

pub use event::{
    AbandonReason, CloseReason, Command, ErrorReport, Event, Frame, Input, TimerReason, UsageError, error_number,
};
pub use outgoing::BodyId;
#[cfg(feature = "tokio")]
pub(crate) use send_rules::SendRules;

use crate::config::Config;
use crate::reassembler::Reassembler;
use crate::wire::{Decoder, TransmitBuffer};
use crate::{Arguments, Code};
use bytes::Buf;
use outgoing::Outgoing;
use small_units::SmallUnits;
use std::collections::VecDeque;
use wirekit::{Deadline, Instant, Machine};

/// One end of a connection: everything the protocol says, nothing about sockets.
///
/// ```text
///            Command::Close            STOP written          peer closes, or linger over
///   Open ------------------> Draining -------------> Stopped ---------------------------> Closed
///    | \                                                                                    ^ ^ ^
///    |  \  STOP came                                   peer closes, or linger over          | | |
///    |   +-------------------------> StoppedByPeer -----------------------------------------+ | |
///    |    fatal limit, peer lost: ERROR, then as Draining without data                        | |
///    +-- Abort, end of stream ----------------------------------------------------------------+-+
/// ```
#[derive(Debug)]
pub struct ConnectionMachine {
    config: Config,
    decoder: Decoder,
    phase: Phase,
    /// The latest time that was handed in: time that goes back is ignored.
    now: Instant,
    outgoing: Outgoing,
    reassembler: Reassembler,
    small_units: SmallUnits,
    events: VecDeque<Event>,
    /// The peer keeps us paused.
    is_paused: bool,
    /// Since when that holds something back.
    held_since: Option<Instant>,
    is_pausing_peer: bool,
    application_pauses: bool,
    /// After a fatal fault what comes is not looked at.
    stop_reading: bool,
    stop_arguments: Arguments,
    sent_at: Instant,
    received_at: Instant,
    counters: Counters,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// STOP follows when nothing waits; the connection ends with this reason.
    Draining(CloseReason),
    /// STOP went out; the peer is to close.
    Stopped(CloseReason, Instant),
    /// STOP came; the peer is to close.
    StoppedByPeer(Instant),
    Closed,
}

/// What the machine dropped, by reason. Counts since the start, saturating.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Frames of broken IDs.
    pub broken_frames: u64,
    /// ERROR reports that found the control queue full.
    pub reports: u64,
    /// Times that a flood of small units made us pause the peer.
    pub small_unit_pauses: u64,
}

impl ConnectionMachine {
    /// A machine at the start of a connection that began at `now`.
    #[must_use]
    pub fn new(now: Instant, config: Config) -> Self {
        Self {
            decoder: Decoder::new(config.limits.unit_len_max),
            phase: Phase::Open,
            now,
            outgoing: Outgoing::new(&config),
            reassembler: Reassembler::new(&config),
            small_units: SmallUnits::new(config.limits.small_units_per_second_max),
            events: VecDeque::new(),
            is_paused: false,
            held_since: None,
            is_pausing_peer: false,
            application_pauses: false,
            stop_reading: false,
            stop_arguments: Arguments::new(),
            sent_at: now,
            received_at: now,
            counters: Counters::default(),
            config,
        }
    }

    /// True where `send` and `feed_body` take something.
    #[inline]
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.outgoing.has_room() || self.phase != Phase::Open
    }

    /// True where control commands take something.
    #[must_use]
    pub fn has_control_room(&self) -> bool {
        self.outgoing.has_control_room() || self.phase != Phase::Open
    }

    /// How many bodies are open: begun and not finished, or finished and not sent.
    #[must_use]
    pub fn body_count(&self) -> usize {
        self.outgoing.body_count()
    }

    /// Octets of messages and bodies that wait to be sent.
    #[must_use]
    pub fn outgoing_len(&self) -> usize {
        self.outgoing.data_len()
    }

    /// True while the peer keeps us paused.
    #[must_use]
    pub const fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// True where the machine takes no octets until events were polled.
    #[inline]
    #[must_use]
    pub fn is_full(&self) -> bool {
        // One unit makes at most three events, the end of a connection one for each open message.
        self.events.len() + 4 > self.config.limits.event_count_max
    }

    /// True while messages can be queued: neither end has begun to close.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// True where `poll_transmit` may have something to do.
    #[inline]
    #[must_use]
    pub fn wants_to_send(&self) -> bool {
        self.phase != Phase::Open || !self.outgoing.is_drained() || self.held_since.is_some()
    }

    /// True once this end has nothing more to say: the driver flushes, then closes its half of the carrier.
    #[must_use]
    pub const fn is_finished_sending(&self) -> bool {
        matches!(self.phase, Phase::Stopped(..) | Phase::StoppedByPeer(_) | Phase::Closed)
    }

    /// True once `Closed` was put into the queue of events.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// What was dropped so far.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// The IDs of messages that came in part, in no order.
    pub fn open_ids(&self) -> impl Iterator<Item = u16> + '_ {
        self.reassembler.open_ids()
    }

    /// Gives memory back that only traffic needs.
    pub fn release_memory(&mut self) {
        if self.events.is_empty() {
            self.events = VecDeque::new();
        }
        if self.outgoing.is_drained() {
            self.outgoing.release_memory();
        }
    }

    /// Reports a fault to the peer, where reports are wanted and there is room.
    fn report(&mut self, report: &ErrorReport) {
        let is_open = matches!(self.phase, Phase::Open);
        if is_open && self.config.report_errors && self.outgoing.error(report).is_err() {
            self.counters.reports = self.counters.reports.saturating_add(1);
        }
    }

    /// Reports, then ends the connection as an orderly close without data.
    fn fail(&mut self, reason: CloseReason, number: u16) {
        self.report(&ErrorReport::new(number, reason.to_string()));
        self.outgoing.drop_data();
        self.phase = Phase::Draining(reason);
    }

    fn end(&mut self, reason: CloseReason) {
        if self.phase == Phase::Closed {
            return;
        }
        self.phase = Phase::Closed;
        self.outgoing.drop_all();
        let mut open: Vec<u16> = self.reassembler.open_ids().collect();
        open.sort_unstable();
        for id in open {
            self.reassembler.abandon(id);
            self.events.push_back(Event::Abandoned(id, AbandonReason::ConnectionEnded));
        }
        self.events.push_back(Event::Closed(reason));
    }

    fn advance_clock(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }
}

impl Machine for ConnectionMachine {
    type Input<'a> = Input<'a>;
    type Event = Event;
    type Transmit = TransmitBuffer;
    type Reason = TimerReason;
    type Error = UsageError;

    #[inline]
    fn handle(&mut self, now: Instant, input: Input<'_>) -> Result<(), UsageError> {
        self.advance_clock(now);
        match input {
            Input::Received(buffer) => {
                self.received(buffer);
                Ok(())
            }
            Input::ReceivedEof { missing_len } => {
                self.received_eof(missing_len);
                Ok(())
            }
            Input::Command(command) => self.command(command),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.advance_clock(now);
        self.fire_timers();
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBuffer) -> bool {
        self.advance_clock(now);
        let before = out.remaining();
        match self.phase {
            Phase::Open | Phase::Draining(_) => {
                self.outgoing.transmit(!self.is_paused, out);
                let is_holding = self.is_paused && self.outgoing.has_data();
                self.held_since = is_holding.then(|| self.held_since.unwrap_or(self.now));
                self.stop_where_drained(out);
            }
            Phase::Stopped(..) | Phase::StoppedByPeer(_) | Phase::Closed => {}
        }
        let has_sent = out.remaining() > before;
        if has_sent {
            self.sent_at = self.now;
        }
        has_sent
    }

    #[inline]
    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Deadline<TimerReason>> {
        self.next_deadline()
    }
}

impl ConnectionMachine {
    /// Writes the STOP of a closing connection once nothing waits before it.
    //= SMPF-CODE-7 SMPF-CONV-6 SMPF-R14 SMPF-B-STOP
    fn stop_where_drained(&mut self, out: &mut TransmitBuffer) {
        if let Phase::Draining(reason) = self.phase
            && self.outgoing.is_drained()
        {
            self.outgoing.control_once(Code::Stop, core::mem::take(&mut self.stop_arguments));
            self.outgoing.transmit(false, out);
            self.phase = Phase::Stopped(reason, self.now + self.config.limits.stop_linger);
        }
    }
}
