//! The way out: what the machine has to send, and what keeps it back.

use super::counters::EndpointCounters;
use crate::SEGMENT_LEN_MIN;
use crate::machine::{EndpointMachine, Input, Transmit, TransmitBatch};
use std::net::SocketAddr;
use std::time::Duration;
use wirekit::datagram::{DatagramSocket, Outgoing, PathError, PathErrorKind, SendError};
use wirekit::{Instant, Machine};

/// Datagrams handed to the carrier in one call.
const BATCH_COUNT_MAX: usize = 32;
/// Octets of those, after which no further one begins.
const BATCH_LEN_MAX: usize = 64 * 1024;
/// Calls to the carrier while the lock is held. What is left is for the driver, so that others get the lock in between.
const BATCHES_PER_LOCK_MAX: usize = 4;
/// The first pause after the interface's queue was full. Each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(1);
/// Such pauses in a row for one datagram, some 63 ms together. After them it is given up as lost: the system says the same of
/// one that the other end of a link will never take, and others wait behind it.
const PAUSES_MAX: u32 = 6;

/// What keeps datagrams back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// Nothing.
    Open,
    /// The socket's buffer is full: an event tells when it is over.
    Full,
    /// The interface's queue is full: no event tells when that is over.
    Paused { until: Instant },
}

#[derive(Debug)]
pub(super) struct Outlet {
    batch: TransmitBatch,
    block: Block,
    pause: Duration,
    /// Pauses in a row for the datagram that is first.
    pauses_count: u32,
    /// The lock was held for long enough, and there may be more to send.
    has_more: bool,
    /// Datagrams say which address they come from, since the socket has several.
    names_source: bool,
}

impl Outlet {
    pub(super) const fn new(local: SocketAddr) -> Self {
        Self {
            batch: TransmitBatch::new(BATCH_COUNT_MAX, BATCH_LEN_MAX),
            block: Block::Open,
            pause: PAUSE_MIN,
            pauses_count: 0,
            has_more: false,
            names_source: local.ip().is_unspecified(),
        }
    }

    pub(super) const fn block(&self) -> Block {
        self.block
    }

    pub(super) const fn has_more(&self) -> bool {
        self.has_more
    }

    /// True where nothing is kept back, and nothing left for the driver.
    pub(super) fn is_free(&self) -> bool {
        self.block == Block::Open && !self.has_more
    }

    /// True where nothing waits to be sent.
    pub(super) fn is_idle(&self) -> bool {
        self.batch.is_empty() && !self.has_more
    }

    /// What kept datagrams back is over, as far as is known.
    pub(super) const fn unblock(&mut self) {
        self.block = Block::Open;
    }

    /// Sends what there is to send, as far as the carrier takes it. Order is kept.
    pub(super) fn flush(
        &mut self,
        now: Instant,
        machine: &mut EndpointMachine,
        socket: &dyn DatagramSocket,
        counters: &mut EndpointCounters,
    ) {
        for _ in 0..BATCHES_PER_LOCK_MAX {
            if self.block != Block::Open {
                return;
            }
            if self.batch.is_empty() && !machine.poll_transmit(now, &mut self.batch) {
                self.has_more = false;
                return;
            }
            self.send_batch(now, machine, socket, counters);
        }
        self.has_more = true;
    }

    fn send_batch(
        &mut self,
        now: Instant,
        machine: &mut EndpointMachine,
        socket: &dyn DatagramSocket,
        counters: &mut EndpointCounters,
    ) {
        while !self.batch.is_empty() {
            match self.try_send(socket) {
                // A carrier that takes nothing and gives no reason has no room.
                Ok(0) | Err(SendError::WouldBlock) => {
                    counters.would_block_count += 1;
                    self.block = Block::Full;
                    return;
                }
                Ok(count) => {
                    counters.batches_sent_count += 1;
                    self.batch.sent(count);
                    self.pause = PAUSE_MIN;
                    self.pauses_count = 0;
                }
                Err(SendError::NoBuffers) if self.pauses_count >= PAUSES_MAX => {
                    tracing::debug!("a datagram was given up: the interface's queue stays full");
                    counters.no_buffers_count += 1;
                    counters.send_failed_count += 1;
                    self.batch.sent(1);
                    self.pause = PAUSE_MIN;
                    self.pauses_count = 0;
                }
                Err(SendError::NoBuffers) => {
                    self.pauses_count += 1;
                    counters.no_buffers_count += 1;
                    self.block = Block::Paused { until: now + self.pause };
                    tracing::debug!(pause = ?self.pause, "the interface's queue is full");
                    self.pause *= 2;
                    return;
                }
                Err(error) => self.drop_first(now, &error, machine, counters),
            }
        }
    }

    fn try_send(&self, socket: &dyn DatagramSocket) -> Result<usize, SendError> {
        let outgoing = |datagram| self.outgoing(datagram);
        let mut datagrams = self.batch.iter().map(outgoing);
        let Some(first) = datagrams.next() else { return Ok(0) };
        if self.batch.count() == 1 {
            return socket.try_send(&[first]);
        }
        let mut room = [first; BATCH_COUNT_MAX];
        let rest = room.iter_mut().skip(1).zip(datagrams).map(|(slot, datagram)| *slot = datagram);
        let count = 1 + rest.count();
        socket.try_send(room.get(..count).unwrap_or_default())
    }

    fn outgoing<'a>(&self, datagram: Transmit<'a>) -> Outgoing<'a> {
        let source = (self.names_source && !datagram.source.is_unspecified()).then_some(datagram.source);
        Outgoing { destination: datagram.destination, source, dscp: datagram.dscp, payload: datagram.payload }
    }

    /// The first datagram cannot go. The machine hears why, and what it carried comes again in time.
    fn drop_first(
        &mut self,
        now: Instant,
        error: &SendError,
        machine: &mut EndpointMachine,
        counters: &mut EndpointCounters,
    ) {
        let Some(datagram) = self.batch.iter().next() else { return };
        let (destination, len) = (datagram.destination, datagram.payload.len());
        self.batch.sent(1);
        tracing::debug!(%destination, len, %error, "datagram not sent");
        let kind = match error {
            SendError::TooLong { payload_len_max } => {
                counters.too_long_count += 1;
                too_long(destination, payload_len_max.unwrap_or(SEGMENT_LEN_MIN))
            }
            SendError::Path(kind) => {
                counters.unreachable_count += 1;
                *kind
            }
            _ => {
                counters.send_failed_count += 1;
                PathErrorKind::Other
            }
        };
        let Ok(()) = machine.handle(now, Input::PathError(&PathError::new(destination, kind)));
    }
}

/// What tells the machine that payloads to `destination` have at most `len` octets.
pub(super) fn too_long(destination: SocketAddr, len: usize) -> PathErrorKind {
    // The machine takes the length of the IP header off, whatever else may be between IP and the segment.
    let header_len = if destination.is_ipv4() { 20 } else { 40 };
    PathErrorKind::TooLong { mtu: u32::try_from(len.saturating_add(header_len)).unwrap_or(u32::MAX) }
}
