//! One end of a connection over a byte stream, with one owner.

use super::clock::Clock;
use super::error::{ConnectionError, SendError, is_orderly};
use crate::machine::{
    BodyId, CloseReason, Command, ConnectionMachine, Counters, ErrorReport, Event, Input, TimerReason, UsageError,
};
use crate::wire::{ReceiveBuffer, TransmitBuffer};
use crate::{Arguments, Config, UserCode};
use bytes::{Buf, Bytes};
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::poll_read_buf;
use wirekit::{Instant, Machine};

/// The first read of a connection asks for this much, and an idle one keeps this much.
const READ_LEN_MIN: usize = 512;
/// A connection whose reads come back full asks for more, up to this.
const READ_LEN_MAX: usize = 256 * 1024;
/// `feed` writes to the carrier whenever this much waits.
const WRITE_LEN: usize = 64 * 1024;
/// Slices in one vectored write.
const SLICE_COUNT: usize = 64;

/// One end of a connection, driven by whoever calls it: while a call waits, everything else moves too (PAUSE, heartbeats,
/// what is queued). For several tasks at once, or one that is not always in a call, use [`spawn`](Self::spawn).
///
/// Needs a tokio runtime with time enabled if the configuration has any time in it, as the default has.
///
/// All futures are cancel-safe: dropping one loses no event and no octet. What `feed` and `send` had queued before they
/// were dropped goes out with the next call.
#[derive(Debug)]
pub struct Connection<C> {
    carrier: C,
    machine: ConnectionMachine,
    clock: Clock,
    read_buffer: ReceiveBuffer,
    read_len: usize,
    transmit: TransmitBuffer,
    write: WriteState,
    /// Since when the carrier takes nothing.
    stalled_since: Option<Instant>,
    read_ended: bool,
    /// How much must wait before `feed` asks the carrier again.
    write_at: usize,
}

#[derive(Debug)]
enum WriteState {
    /// Everything written was flushed.
    Clean,
    /// Something was written since the last flush.
    Dirty,
    /// This half of the carrier is shut down.
    ShutDown,
    /// Failed; told once the peer's last words were read.
    Failed(Option<io::Error>),
}

impl<C: AsyncRead + AsyncWrite + Unpin> Connection<C> {
    /// A connection over a carrier that is connected and ready.
    #[must_use]
    pub fn new(carrier: C, config: Config) -> Self {
        let clock = Clock::new();
        Self {
            carrier,
            machine: ConnectionMachine::new(clock.now(), config),
            clock,
            read_buffer: ReceiveBuffer::new(),
            read_len: READ_LEN_MIN,
            transmit: TransmitBuffer::new(),
            write: WriteState::Clean,
            stalled_since: None,
            read_ended: false,
            write_at: WRITE_LEN,
        }
    }

    /// The next event; `None` once the connection has ended in order. Sends what was fed before it waits.
    ///
    /// # Errors
    /// [`ConnectionError`] where it ended otherwise; after that, `None`.
    #[inline(always)]
    pub fn receive(&mut self) -> impl Future<Output = Result<Option<Event>, ConnectionError>> {
        poll_fn(|cx| self.poll_receive(cx))
    }

    /// [`receive`](Self::receive) for hand-written futures.
    ///
    /// # Errors
    /// As `receive`.
    #[inline(always)]
    pub fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Event>, ConnectionError>> {
        if let Some(message) = self.machine.receive_at_once(&mut self.read_buffer) {
            return Poll::Ready(Ok(Some(Event::Message(message))));
        }
        self.poll_receive_slowly(cx)
    }

    #[inline(never)]
    fn poll_receive_slowly(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Event>, ConnectionError>> {
        loop {
            if let Some(event) = self.machine.poll_event() {
                return Poll::Ready(self.deliver(event));
            }
            if self.machine.is_closed() {
                return Poll::Ready(Ok(None));
            }
            self.take_units();
            if let Some(event) = self.machine.poll_event() {
                return Poll::Ready(self.deliver(event));
            }
            ready!(self.poll_carrier(cx));
            if let Some(message) = self.machine.receive_at_once(&mut self.read_buffer) {
                return Poll::Ready(Ok(Some(Event::Message(message))));
            }
        }
    }

    fn deliver(&mut self, event: Event) -> Result<Option<Event>, ConnectionError> {
        let Event::Closed(reason) = event else { return Ok(Some(event)) };
        let failure = match &mut self.write {
            WriteState::Failed(failure) => failure.take(),
            _ => None,
        };
        match (reason, failure) {
            (CloseReason::Stopped | CloseReason::StoppedByPeer, _) => Ok(None),
            (_, Some(failure)) => Err(failure.into()),
            (reason, None) if is_orderly(reason) => Ok(None),
            (reason, None) => Err(ConnectionError::Ended(reason)),
        }
    }

    /// Hands what was read to the machine.
    #[inline]
    fn take_units(&mut self) {
        if !self.read_buffer.is_empty() {
            // Octets are never refused.
            let _taken = self.machine.handle(self.clock.now(), Input::Received(&mut self.read_buffer));
        }
    }

    /// Moves octets out, then in, then lets time pass; ready where something came in or happened by itself.
    fn poll_carrier(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // What cannot be written now is written when its waker says so: reading goes on meanwhile.
        let _written = self.poll_write(cx);
        if self.poll_read(cx).is_ready() {
            return Poll::Ready(());
        }
        self.poll_timer(cx)
    }

    /// Writes until nothing waits, then flushes. A failure is kept for later: the peer may have said why it is gone.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_flushed() && !self.machine.wants_to_send() {
            return Poll::Ready(());
        }
        // After an idle time the clock is old, and what begins now, as the wait after a STOP, would be over too early.
        self.clock.refresh();
        let polled = self.poll_write_all(cx);
        if polled.is_ready() {
            self.stalled_since = None;
        } else if self.stalled_since.is_none() {
            self.stalled_since = Some(self.clock.now());
        }
        polled
    }

    fn poll_write_all(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.transmit.remaining() < WRITE_LEN && self.machine.wants_to_send() {
                self.machine.poll_transmit(self.clock.now(), &mut self.transmit);
            }
            if matches!(self.write, WriteState::ShutDown | WriteState::Failed(_)) {
                self.transmit = TransmitBuffer::new();
                return Poll::Ready(());
            }
            let result = if self.transmit.has_remaining() {
                ready!(self.poll_write_some(cx))
            } else if matches!(self.write, WriteState::Dirty) {
                ready!(Pin::new(&mut self.carrier).poll_flush(cx)).map(|()| self.write = WriteState::Clean)
            } else if self.machine.is_finished_sending() {
                ready!(Pin::new(&mut self.carrier).poll_shutdown(cx)).map(|()| self.write = WriteState::ShutDown)
            } else {
                return Poll::Ready(());
            };
            if let Err(error) = result {
                self.write = WriteState::Failed(Some(error));
            }
        }
    }

    fn poll_write_some(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let carrier = Pin::new(&mut self.carrier);
        let chunk = self.transmit.chunk();
        let written = if chunk.len() == self.transmit.remaining() || !carrier.is_write_vectored() {
            ready!(carrier.poll_write(cx, chunk))?
        } else {
            let mut slices = [IoSlice::new(&[]); SLICE_COUNT];
            let filled = self.transmit.chunks_vectored(&mut slices);
            ready!(carrier.poll_write_vectored(cx, slices.get(..filled).unwrap_or_default()))?
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.transmit.advance(written);
        self.stalled_since = None;
        self.write = WriteState::Dirty;
        Poll::Ready(Ok(()))
    }

    /// Reads once. Ready where something came, the peer ended, or the carrier failed.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.read_ended {
            return Poll::Pending;
        }
        let incoming = self.read_buffer.incoming();
        if incoming.capacity() - incoming.len() < self.read_len / 2 {
            incoming.reserve(self.read_len);
        }
        let room = incoming.capacity() - incoming.len();
        match ready!(poll_read_buf(Pin::new(&mut self.carrier), cx, incoming)) {
            Ok(0) => {
                self.read_ended = true;
                self.clock.refresh();
                let missing_len = self.read_buffer.missing_len();
                let _taken = self.machine.handle(self.clock.now(), Input::ReceivedEof { missing_len });
            }
            Ok(len) => {
                self.clock.refresh();
                if len == room {
                    self.read_len = (self.read_len * 2).min(READ_LEN_MAX);
                }
                self.machine.note_received(self.clock.now());
            }
            Err(error) => {
                self.read_ended = true;
                if !self.machine.is_finished_sending() {
                    self.write = WriteState::Failed(Some(error));
                }
                let _taken = self.machine.handle(self.clock.now(), Input::ReceivedEof { missing_len: 0 });
            }
        }
        Poll::Ready(())
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.machine.poll_timeout();
        let stalled_at = self.stalled_since.and_then(|since| self.machine.stalled_deadline(since));
        let next_at = deadline.map(|deadline| deadline.at).into_iter().chain(stalled_at).min();
        ready!(self.clock.poll_until(cx, next_at));
        if stalled_at.is_some_and(|at| at <= self.clock.now()) {
            self.machine.lose_peer();
            return Poll::Ready(());
        }
        if deadline.is_some_and(|deadline| deadline.reason == TimerReason::Heartbeat) {
            self.release_memory();
        }
        self.machine.handle_timeout(self.clock.now());
        Poll::Ready(())
    }

    /// Nothing went for a heartbeat interval: give back what only traffic needs.
    fn release_memory(&mut self) {
        if self.read_buffer.is_empty() {
            self.read_buffer.release();
            self.read_len = READ_LEN_MIN;
        }
        self.transmit.release();
        self.machine.release_memory();
    }

    /// Queues a message, waiting for room where there is none; writes to the carrier when enough waits. A message larger
    /// than MAX-MESSAGE-SIZE goes as frames, and a later small one may overtake it.
    ///
    /// While it waits, events are kept up to [`Limits::event_count_max`](crate::Limits::event_count_max); then nothing is
    /// read until they are received. Two ends that only feed each other wait for ever: receive in between, or
    /// [`spawn`](Self::spawn).
    ///
    /// # Errors
    /// [`SendError`], and the message is not queued.
    #[inline(always)]
    pub fn feed(&mut self, message: impl Into<Arguments>) -> impl Future<Output = Result<(), SendError>> {
        let mut message = message.into();
        poll_fn(move |cx| {
            if self.transmit.remaining() < self.write_at
                && self.machine.send_at_once(self.clock.now(), &message, &mut self.transmit)
            {
                return Poll::Ready(Ok(()));
            }
            self.poll_feed(cx, &mut message)
        })
    }

    /// `feed` where something waits, or the message is not of the simplest kind.
    #[inline(never)]
    fn poll_feed(&mut self, cx: &mut Context<'_>, message: &mut Arguments) -> Poll<Result<(), SendError>> {
        if self.transmit.remaining() >= self.write_at {
            let _written = self.poll_write(cx);
        }
        let has_room = |this: &Self| this.transmit.remaining() < 2 * WRITE_LEN && this.machine.has_room();
        if !has_room(self) {
            ready!(self.poll_until(cx, has_room))?;
        }
        // A carrier that takes nothing is not asked for every message.
        self.write_at = WRITE_LEN.max(self.transmit.remaining() + WRITE_LEN / 4);
        if !self.machine.send_at_once(self.clock.now(), message, &mut self.transmit) {
            self.machine.send(core::mem::take(message))?;
            if self.machine.outgoing_len() >= WRITE_LEN {
                let _written = self.poll_write(cx);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Waits until there is room in the queue.
    #[inline]
    async fn room(&mut self) -> Result<(), SendError> {
        if self.machine.has_room() {
            return Ok(());
        }
        poll_fn(|cx| self.poll_until(cx, |connection| connection.machine.has_room())).await
    }

    /// Begins to write without waiting for the carrier to take it.
    #[inline]
    async fn write_where_enough(&mut self) {
        if self.machine.outgoing_len() >= WRITE_LEN {
            poll_fn(|cx| {
                let _written = self.poll_write(cx);
                Poll::Ready(())
            })
            .await;
        }
    }

    /// Drives the connection until `is_done`, keeping events for later.
    fn poll_until(&mut self, cx: &mut Context<'_>, is_done: impl Fn(&Self) -> bool) -> Poll<Result<(), SendError>> {
        loop {
            self.take_units();
            let _written = self.poll_write(cx);
            if is_done(self) {
                return Poll::Ready(Ok(()));
            }
            if self.machine.is_closed() || matches!(self.write, WriteState::Failed(_)) {
                return Poll::Ready(Err(SendError::Closed));
            }
            // What the peer says may be what makes room, as a RESUME does.
            if self.machine.is_full() {
                self.machine.excuse_silence(self.clock.refresh());
            } else if self.poll_read(cx).is_ready() {
                continue;
            }
            ready!(self.poll_timer(cx));
        }
    }

    /// True where nothing that was queued waits any more.
    fn is_flushed(&self) -> bool {
        self.machine.outgoing_len() == 0
            && !self.transmit.has_remaining()
            && matches!(self.write, WriteState::Clean | WriteState::ShutDown)
    }

    /// Waits until the carrier has taken everything that was queued. While the peer pauses us, that can take long.
    ///
    /// # Errors
    /// [`SendError::Closed`] where the connection ended first; [`receive`](Self::receive) tells why.
    pub async fn flush(&mut self) -> Result<(), SendError> {
        poll_fn(|cx| self.poll_until(cx, Self::is_flushed)).await
    }

    /// [`feed`](Self::feed), then [`flush`](Self::flush).
    ///
    /// # Errors
    /// As both.
    pub async fn send(&mut self, message: impl Into<Arguments>) -> Result<(), SendError> {
        self.feed(message).await?;
        self.flush().await
    }

    /// Opens a body of `count` arguments, for content whose length is not known or that should not be in memory at once.
    ///
    /// # Errors
    /// [`SendError::Usage`].
    pub fn open_body(&mut self, count: u8) -> Result<BodyId, SendError> {
        Ok(self.machine.open_body(count, 0)?)
    }

    /// [`open_body`](Self::open_body) for a sender that relays the middle of something: frames count from `first_number`.
    ///
    /// # Errors
    /// [`SendError::Usage`].
    pub fn open_body_at(&mut self, count: u8, first_number: u32) -> Result<BodyId, SendError> {
        Ok(self.machine.open_body(count, first_number)?)
    }

    /// Appends to argument `index` of a body, waiting for room where there is none.
    ///
    /// # Errors
    /// [`SendError`], and nothing is appended.
    pub async fn feed_body(&mut self, body: BodyId, index: u8, payload: Bytes) -> Result<(), SendError> {
        self.room().await?;
        self.machine.feed_body(body, index, payload)?;
        self.write_where_enough().await;
        Ok(())
    }

    /// Ends a body. Its last frame goes with the next call that waits.
    ///
    /// # Errors
    /// [`SendError::Usage`].
    pub fn finish_body(&mut self, body: BodyId) -> Result<(), SendError> {
        Ok(self.machine.finish_body(body)?)
    }

    /// Gives a body up, see [`ConnectionMachine::abandon_body`].
    ///
    /// # Errors
    /// [`SendError::Usage`].
    pub fn abandon_body(&mut self, body: BodyId) -> Result<(), SendError> {
        Ok(self.machine.abandon_body(body)?)
    }

    /// Sends an INFORMATION unit.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn information(&mut self, arguments: impl Into<Arguments>) -> Result<(), SendError> {
        self.control(Command::Information(arguments.into())).await
    }

    /// Sends an ERROR unit.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn error(&mut self, report: ErrorReport) -> Result<(), SendError> {
        self.control(Command::Error(report)).await
    }

    /// Sends a HEARTBEAT now, beside those that the configuration asks for.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn heartbeat(&mut self, arguments: impl Into<Arguments>) -> Result<(), SendError> {
        self.control(Command::Heartbeat(arguments.into())).await
    }

    /// Sends a unit with a code of the application's own.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn user(&mut self, code: UserCode, arguments: impl Into<Arguments>) -> Result<(), SendError> {
        self.control(Command::User(code, arguments.into())).await
    }

    /// Asks the peer to send no messages and frames until [`resume_peer`](Self::resume_peer). What is on its way still
    /// comes. Goes out with the next call that waits.
    pub fn pause_peer(&mut self) {
        // Too late is no fault: a connection that closes needs no pause.
        let _late = self.command(Command::PausePeer);
    }

    /// Asks the peer to go on.
    pub fn resume_peer(&mut self) {
        let _late = self.command(Command::ResumePeer);
    }

    /// Queues a control unit where there is room, and flushes.
    async fn control(&mut self, command: Command) -> Result<(), SendError> {
        if !self.machine.has_control_room() {
            poll_fn(|cx| self.poll_until(cx, |connection| connection.machine.has_control_room())).await?;
        }
        self.command(command)?;
        poll_fn(|cx| self.poll_until(cx, |connection| !connection.transmit.has_remaining())).await
    }

    pub(super) fn command(&mut self, command: Command) -> Result<(), UsageError> {
        self.machine.handle(self.clock.now(), Input::Command(command))
    }

    /// Sends what is queued, then STOP, and waits until the peer has closed too, [`Limits::stop_linger`] at most. What
    /// the peer still sends is dropped: receive first what you want to have. Bodies that are not finished are given up.
    ///
    /// # Errors
    /// [`ConnectionError`] where the connection ended other than in order.
    ///
    /// [`Limits::stop_linger`]: crate::Limits::stop_linger
    pub async fn close(&mut self) -> Result<(), ConnectionError> {
        let _closing_already = self.command(Command::Close(Arguments::new()));
        while self.receive().await?.is_some() {}
        Ok(())
    }

    /// What was dropped so far.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.machine.counters()
    }

    /// The carrier.
    pub const fn carrier(&self) -> &C {
        &self.carrier
    }

    pub(super) const fn machine(&mut self) -> &mut ConnectionMachine {
        &mut self.machine
    }

    /// For a driver that may not receive now: writes, and lets time pass.
    pub(super) fn poll_without_receiving(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _written = self.poll_write(cx);
        self.machine.excuse_silence(self.clock.refresh());
        self.poll_timer(cx)
    }

    /// True where [`flush`](Self::flush) would return at once.
    pub(super) fn has_flushed(&self) -> bool {
        self.is_flushed()
    }
}
