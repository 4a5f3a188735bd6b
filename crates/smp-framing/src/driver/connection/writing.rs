//! The writing half: messages in, octets out.

use super::{Connection, WriteState};
use crate::Arguments;
use crate::driver::error::SendError;
use crate::wire::TransmitBuffer;
use bytes::Buf;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};
use wirekit::Machine;

/// `feed` writes to the carrier whenever this much waits.
pub(super) const WRITE_LEN: usize = 128 * 1024;
/// Slices in one vectored write.
const SLICE_COUNT: usize = 64;

impl<C: AsyncRead + AsyncWrite + Unpin> Connection<C> {
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
    pub(super) async fn room(&mut self) -> Result<(), SendError> {
        if self.machine.has_room() {
            return Ok(());
        }
        poll_fn(|cx| self.poll_until(cx, |connection| connection.machine.has_room())).await
    }

    /// Begins to write without waiting for the carrier to take it.
    #[inline]
    pub(super) async fn write_where_enough(&mut self) {
        if self.machine.outgoing_len() >= WRITE_LEN {
            poll_fn(|cx| {
                let _written = self.poll_write(cx);
                Poll::Ready(())
            })
            .await;
        }
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

    /// True where nothing that was queued waits any more.
    pub(super) fn is_flushed(&self) -> bool {
        self.machine.outgoing_len() == 0
            && !self.transmit.has_remaining()
            && matches!(self.write, WriteState::Clean | WriteState::ShutDown)
    }

    /// Writes until nothing waits, then flushes. A failure is kept for later: the peer may have said why it is gone.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
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
}
