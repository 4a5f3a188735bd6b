//! Channels of messages.

use super::session::{release_receive, release_send};
use super::shared::Shared;
use super::streams::{poll_receive, poll_send};
use crate::error::{ReceiveError, SendError};
use crate::{Opened, StreamId, StreamStats};
use bytes::Bytes;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use futures_core::Stream;
use std::collections::VecDeque;
use std::sync::Arc;

/// Our direction of a channel. Dropped before [`finish`](Self::finish), it is given up with CANCELLED.
#[derive(Debug)]
pub struct MessageSender {
    shared: Arc<Shared>,
    id: StreamId,
}

/// The peer's direction of a channel. Dropped before its end, the peer is asked to stop, with CANCELLED.
#[derive(Debug)]
pub struct MessageReceiver {
    shared: Arc<Shared>,
    id: StreamId,
    opened: Option<Opened>,
    /// Taken from the session, and not yet by the application.
    ready: VecDeque<Bytes>,
}

/// Octets of messages that are taken from the session at once.
const BATCH_LEN: usize = 16 << 10;

impl MessageSender {
    pub(super) fn of(shared: Arc<Shared>, id: StreamId) -> Self {
        Self { shared, id }
    }

    /// What both directions of it have done so far.
    #[must_use]
    pub fn stats(&self) -> StreamStats {
        self.shared.lock().machine.stream_stats(self.id).unwrap_or_default()
    }

    /// Which stream it is.
    #[must_use]
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// Sends a message, waiting while the channel is full. Cancel-safe: before it is ready nothing was handed in.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send(&mut self, message: Bytes) -> Result<(), SendError> {
        self.send_within(message, None).await
    }

    /// Sends a message that is of use for `ttl` alone: after that it is dropped, and the peer is told. As [`send`](Self::send).
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send_within(&mut self, message: Bytes, ttl: Option<Duration>) -> Result<(), SendError> {
        poll_fn(|cx| {
            poll_send(&self.shared, self.id, cx, |machine, now| {
                machine.send_message(now, self.id, message.clone(), ttl)
            })
        })
        .await
    }

    /// Sends a message now or not at all.
    ///
    /// # Errors
    /// [`SendError::Blocked`] where the channel is full.
    pub fn try_send(&mut self, message: Bytes) -> Result<(), SendError> {
        let mut state = self.shared.lock();
        let now = state.now();
        state.machine.send_message(now, self.id, message, None)?;
        state.wake_task();
        Ok(())
    }

    /// Waits until every message has gone to the carrier. Cancel-safe.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn flushed(&mut self) -> Result<(), SendError> {
        poll_fn(|cx| {
            poll_send(&self.shared, self.id, cx, |machine, _| {
                if machine.is_flushed(self.id) { Ok(()) } else { Err(SendError::Blocked) }
            })
        })
        .await
    }

    /// Ends our direction in good order.
    ///
    /// # Errors
    /// [`SendError`] where it is at its end already.
    pub fn finish(&mut self) -> Result<(), SendError> {
        let mut state = self.shared.lock();
        state.machine.finish(self.id)?;
        state.wake_task();
        Ok(())
    }
}

impl Drop for MessageSender {
    fn drop(&mut self) {
        release_send(&self.shared, self.id);
    }
}

impl MessageReceiver {
    pub(super) fn of(shared: Arc<Shared>, id: StreamId, opened: Option<Opened>) -> Self {
        Self { shared, id, opened, ready: VecDeque::new() }
    }

    /// What both directions of it have done so far.
    #[must_use]
    pub fn stats(&self) -> StreamStats {
        self.shared.lock().machine.stream_stats(self.id).unwrap_or_default()
    }

    /// Which stream it is.
    #[must_use]
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// What the peer said when it opened it; `None` where we did.
    #[must_use]
    pub fn opened(&self) -> Option<&Opened> {
        self.opened.as_ref()
    }

    /// The next message; `None` at the end. Cancel-safe.
    ///
    /// # Errors
    /// [`ReceiveError`].
    pub async fn receive(&mut self) -> Result<Option<Bytes>, ReceiveError> {
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    fn poll_receive(&mut self, cx: &Context<'_>) -> Poll<Result<Option<Bytes>, ReceiveError>> {
        if let Some(message) = self.ready.pop_front() {
            return Poll::Ready(Ok(Some(message)));
        }
        let (id, ready) = (self.id, &mut self.ready);
        let taken =
            poll_receive(&self.shared, id, cx, |machine, now| machine.receive_messages(now, id, BATCH_LEN, ready));
        taken.map(|taken| taken.map(|_is_over| self.ready.pop_front()))
    }
}

impl Stream for MessageReceiver {
    type Item = Result<Bytes, ReceiveError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_receive(cx).map(Result::transpose)
    }
}

impl Drop for MessageReceiver {
    fn drop(&mut self) {
        release_receive(&self.shared, self.id);
    }
}
