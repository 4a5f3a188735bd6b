//! One end of a connection over a byte stream, with one owner.

mod commands;
mod reading;
mod writing;

use super::clock::Clock;
use super::error::SendError;
use crate::Config;
use crate::machine::{ConnectionMachine, Counters, TimerReason};
use crate::wire::{ReceiveBuffer, TransmitBuffer};
use bytes::Buf;
use std::io;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};
use wirekit::{Instant, Machine};
use writing::WRITE_LEN;

/// The first read of a connection asks for this much, and an idle one keeps this much.
const READ_LEN_MIN: usize = 512;

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

    /// Moves octets out, then in, then lets time pass; ready where something came in or happened by itself.
    fn poll_carrier(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // What cannot be written now is written when its waker says so: reading goes on meanwhile.
        let _written = self.poll_write(cx);
        if self.poll_read(cx).is_ready() {
            return Poll::Ready(());
        }
        self.poll_timer(cx)
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.transmit.has_remaining() {
            self.machine.postpone_linger(self.clock.now());
        }
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
