//! What may be said now: one end of a connection, without I/O.

mod event;
mod incoming;
mod outgoing;
mod send_rules;
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
use crate::wire::{Decoder, ReceiveBuffer, TransmitBuffer};
use crate::{Arguments, Code};
use bytes::{Buf, Bytes};
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

    /// Queues a message: [`Command::Send`] without the detour.
    ///
    /// # Errors
    /// [`UsageError`], and the message is not queued.
    #[inline]
    pub fn send(&mut self, arguments: Arguments) -> Result<(), UsageError> {
        if self.phase != Phase::Open {
            return Err(UsageError::Closing);
        }
        self.outgoing.send(arguments)
    }

    /// [`send`](Self::send) and [`poll_transmit`](Machine::poll_transmit) in one, for a message of one argument, or one that
    /// came off the wire, that fits one unit while nothing waits before it; `false`, and nothing done, where that is not
    /// so.
    #[inline(always)]
    pub fn send_at_once(&mut self, now: Instant, message: &Arguments, out: &mut TransmitBuffer) -> bool {
        let may_go = self.phase == Phase::Open && !self.is_paused && self.outgoing.is_drained();
        if !may_go || !self.outgoing.fits_at_once(message) {
            return false;
        }
        self.advance_clock(now);
        self.sent_at = self.now;
        out.put_unit(Code::Message, None, message);
        true
    }

    /// [`Input::Received`] and [`poll_event`](Machine::poll_event) in one, for a whole message with payload at the front of
    /// `buffer` while no event waits before it; `None`, and nothing taken, where that is not so. The time of arrival is not
    /// noted: say it once a read with [`note_received`](Self::note_received).
    #[inline(always)]
    pub fn receive_at_once(&mut self, buffer: &mut ReceiveBuffer) -> Option<Arguments> {
        let may_come = self.phase == Phase::Open && self.events.is_empty() && !self.stop_reading;
        if may_come { self.decoder.decode_message(buffer) } else { None }
    }

    /// Octets came at `now`.
    #[inline]
    pub fn note_received(&mut self, now: Instant) {
        self.advance_clock(now);
        self.received_at = self.now;
    }

    /// Opens a body: a message of `count` arguments whose content comes piece by piece and goes as frames. Frames are
    /// numbered from `first_number`, 0 unless the sender relays the middle of something.
    ///
    /// # Errors
    /// [`UsageError`] where the mode has no frames, too many bodies are open or the connection is closing.
    pub fn open_body(&mut self, count: u8, first_number: u32) -> Result<BodyId, UsageError> {
        if self.phase != Phase::Open {
            return Err(UsageError::Closing);
        }
        self.outgoing.open_body(count, first_number)
    }

    /// Appends `payload` to argument `index` of a body.
    ///
    /// # Errors
    /// [`UsageError`], and nothing is appended.
    pub fn feed_body(&mut self, body: BodyId, index: u8, payload: Bytes) -> Result<(), UsageError> {
        self.outgoing.feed_body(body, index, payload)
    }

    /// Ends a body: its LAST FRAME goes with what is left.
    ///
    /// # Errors
    /// [`UsageError::NoSuchBody`].
    pub fn finish_body(&mut self, body: BodyId) -> Result<(), UsageError> {
        self.outgoing.finish_body(body)
    }

    /// Gives a body up. The protocol has no word for that, so the peer gets ERROR 501 with the ID as third argument, and
    /// the next message of frames takes the ID over, which makes any receiver drop the open one.
    ///
    /// # Errors
    /// [`UsageError::NoSuchBody`].
    pub fn abandon_body(&mut self, body: BodyId) -> Result<(), UsageError> {
        if let Some(id) = self.outgoing.abandon_body(body)? {
            let mut report = ErrorReport::new(error_number::DROPPED, "message given up by its sender");
            report.arguments = Bytes::from(id.to_string()).into();
            self.report(&report);
        }
        Ok(())
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

    /// Delivers frames as they come, whatever the configuration said; before the first octet came.
    #[cfg(feature = "tokio")]
    pub(crate) fn deliver_frames(&mut self) {
        self.config.delivery = crate::Delivery::Frames;
        self.reassembler = Reassembler::new(&self.config);
    }

    #[cfg(feature = "tokio")]
    pub(crate) const fn assembly_len_max(&self) -> usize {
        self.config.limits.assembly_len_max
    }

    /// The carrier takes nothing since this instant: when the peer counts as lost for that.
    #[cfg(feature = "tokio")]
    pub(crate) fn stalled_deadline(&self, since: Instant) -> Option<Instant> {
        self.config.peer_timeout.map(|timeout| since + timeout)
    }

    /// The peer takes nothing any more.
    #[cfg(feature = "tokio")]
    pub(crate) fn lose_peer(&mut self) {
        self.end(CloseReason::PeerLost);
    }

    /// The driver does not read, for reasons of its own: that the peer is not heard is not the peer's fault.
    #[cfg(feature = "tokio")]
    pub(crate) fn excuse_silence(&mut self, now: Instant) {
        self.advance_clock(now);
        self.received_at = self.now;
    }

    #[cfg(feature = "tokio")]
    pub(crate) const fn send_rules(&self) -> SendRules {
        SendRules::new(&self.config)
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

    fn command(&mut self, command: Command) -> Result<(), UsageError> {
        match command {
            Command::Abort => {
                self.outgoing.drop_all();
                self.end(CloseReason::Aborted);
                return Ok(());
            }
            Command::PausePeer | Command::ResumePeer => {
                self.application_pauses = matches!(command, Command::PausePeer);
                self.update_pause();
                return Ok(());
            }
            Command::Close(_) if matches!(self.phase, Phase::StoppedByPeer(_) | Phase::Closed) => return Ok(()),
            _ if self.phase != Phase::Open => return Err(UsageError::Closing),
            _ => {}
        }
        match command {
            Command::Send(arguments) => self.outgoing.send(arguments),
            Command::Information(arguments) => self.outgoing.control(Code::Information, arguments),
            Command::Error(report) => self.outgoing.error(&report),
            Command::Heartbeat(arguments) => self.outgoing.control(Code::Heartbeat, arguments),
            Command::User(code, arguments) => self.outgoing.control(code.into(), arguments),
            Command::Close(arguments) => {
                crate::wire::check(&arguments)?;
                for body in self.outgoing.unfinished_bodies() {
                    self.abandon_body(body)?;
                }
                self.stop_arguments = arguments;
                self.phase = Phase::Draining(CloseReason::Stopped);
                Ok(())
            }
            Command::PausePeer | Command::ResumePeer | Command::Abort => Ok(()),
        }
    }

    /// Says PAUSE or RESUME where what is wanted changed; a change of mind before the word was sent is not said at all.
    //= SMPF-R15 SMPF-CODE-8 SMPF-CODE-9 SMPF-B-BACKPRESSURE
    fn update_pause(&mut self) {
        let wanted = self.application_pauses || self.small_units.is_pausing();
        // While this end drains, both may still be waiting for the other's RESUME.
        let may_say = matches!(self.phase, Phase::Open | Phase::Draining(_));
        if wanted == self.is_pausing_peer || !may_say {
            return;
        }
        self.is_pausing_peer = wanted;
        let (say, take_back) = if wanted { (Code::Pause, Code::Resume) } else { (Code::Resume, Code::Pause) };
        if !self.outgoing.retract(take_back) {
            self.outgoing.control_once(say, Arguments::new());
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
