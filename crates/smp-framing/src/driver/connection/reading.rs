//! The reading half: octets in, events out.

use super::{Connection, WriteState};
use crate::driver::error::{ConnectionError, is_orderly};
use crate::machine::{CloseReason, Event, Input};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::poll_read_buf;
use wirekit::Machine;

/// A connection whose reads come back full asks for more, up to this.
const READ_LEN_MAX: usize = 256 * 1024;

impl<C: AsyncRead + AsyncWrite + Unpin> Connection<C> {
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
    pub(super) fn take_units(&mut self) {
        if !self.read_buffer.is_empty() {
            // Octets are never refused.
            let _taken = self.machine.handle(self.clock.now(), Input::Received(&mut self.read_buffer));
        }
    }

    /// Reads once. Ready where something came, the peer ended, or the carrier failed.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
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
                self.end_in_order(cx);
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

    /// The peer has ended, and nothing of ours goes any more: carriers whose end is more than silence say so, as TLS has to, as far as it goes at once.
    fn end_in_order(&mut self, cx: &mut Context<'_>) {
        if self.machine.is_closed()
            && matches!(self.write, WriteState::Clean)
            && Pin::new(&mut self.carrier).poll_shutdown(cx).is_ready()
        {
            self.write = WriteState::ShutDown;
        }
    }
}
