//! Channels of messages.

use super::session::{release_receive, release_send};
use super::shared::Shared;
use super::streams::{poll_receive, poll_send};
use crate::error::{ReceiveError, SendError};
use crate::machine::{Messages, Run, SHORT_LEN_MAX};
use crate::{Opened, StreamId, StreamStats};
use bytes::Bytes;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use futures_core::Stream;
use futures_sink::Sink;
use std::sync::Arc;

/// Our direction of a channel. Dropped before [`finish`](Self::finish), it is given up with CANCELLED.
///
/// As a [`Sink`] it sends as [`feed`](Self::feed) does, and is flushed once everything has gone to the carrier.
#[derive(Debug)]
pub struct MessageSender {
    shared: Arc<Shared>,
    id: StreamId,
    /// Fed, and not yet handed in.
    fed: Run,
    /// The longest message that the peer took when that was last looked at.
    message_len_max: u64,
    /// One that a sink has taken behind those, and that is too long to be with them.
    long: Option<Bytes>,
}

/// The peer's direction of a channel. Dropped before its end, the peer is asked to stop, with CANCELLED.
#[derive(Debug)]
pub struct MessageReceiver {
    shared: Arc<Shared>,
    id: StreamId,
    opened: Option<Opened>,
    /// Taken from the session, and not yet by the application.
    ready: Messages,
}

/// Octets of messages that are taken from the session at once.
const BATCH_LEN: usize = 16 << 10;

impl MessageSender {
    pub(super) fn of(shared: Arc<Shared>, id: StreamId) -> Self {
        let message_len_max = shared.lock().machine.peer_settings().max_message;
        Self { shared, id, fed: Run::default(), message_len_max, long: None }
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

    /// Sends a message, waiting while the channel is full. Cancel-safe: before it is ready it was not handed in.
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
            ready!(self.poll_long(cx))?;
            self.poll_send(cx, &message, ttl)
        })
        .await
    }

    /// Takes a message, which goes out with those that follow, at the latest at the next [`send`](Self::send), [`flushed`](Self::flushed) or
    /// [`finish`](Self::finish), or when 16 KiB are there: the way for many short ones. Waits while the channel is full. Cancel-safe:
    /// before it is ready the message was not taken.
    ///
    /// # Errors
    /// [`SendError`], also where one that was fed before could not be sent.
    pub async fn feed(&mut self, message: Bytes) -> Result<(), SendError> {
        if message.len() > SHORT_LEN_MAX || message.len() as u64 > self.message_len_max {
            return self.send(message).await;
        }
        if self.fed.is_full() || self.long.is_some() {
            poll_fn(|cx| self.poll_hand_in(cx)).await?;
        }
        self.fed.push(self.id, &message);
        Ok(())
    }

    /// Sends a message now or not at all.
    ///
    /// # Errors
    /// [`SendError::Blocked`] where the channel is full.
    pub fn try_send(&mut self, message: Bytes) -> Result<(), SendError> {
        let mut state = self.shared.lock();
        let now = state.now();
        if !self.fed.is_empty() {
            state.machine.send_run(self.id, &mut self.fed, false)?;
        }
        if let Some(long) = &self.long {
            state.machine.send_message(now, self.id, long.clone(), None)?;
            self.long = None;
        }
        state.machine.send_message(now, self.id, message, None)?;
        state.wake_task();
        Ok(())
    }

    /// Waits until every message has gone to the carrier. Cancel-safe.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn flushed(&mut self) -> Result<(), SendError> {
        poll_fn(|cx| self.poll_flushed(cx)).await
    }

    /// Ends our direction in good order, behind what was sent and fed.
    ///
    /// # Errors
    /// [`SendError`] where it is at its end already.
    pub fn finish(&mut self) -> Result<(), SendError> {
        let mut state = self.shared.lock();
        if !self.fed.is_empty() {
            state.machine.send_run(self.id, &mut self.fed, true)?;
        }
        if let Some(message) = self.long.take() {
            let now = state.now();
            state.machine.queue_message(now, self.id, message, None, true)?;
        }
        state.machine.finish(self.id)?;
        state.wake_task();
        Ok(())
    }

    fn poll_send(&mut self, cx: &Context<'_>, message: &Bytes, ttl: Option<Duration>) -> Poll<Result<(), SendError>> {
        let (id, fed) = (self.id, &mut self.fed);
        poll_send(&self.shared, id, cx, |machine, now| {
            if !fed.is_empty() {
                machine.send_run(id, fed, false)?;
            }
            machine.send_message(now, id, message.clone(), ttl)
        })
    }

    /// Hands in what was taken and waits here.
    fn poll_hand_in(&mut self, cx: &Context<'_>) -> Poll<Result<(), SendError>> {
        ready!(self.poll_long(cx))?;
        let (id, fed, most) = (self.id, &mut self.fed, &mut self.message_len_max);
        poll_send(&self.shared, id, cx, |machine, _| {
            *most = machine.peer_settings().max_message;
            if fed.is_empty() { Ok(()) } else { machine.send_run(id, fed, false) }
        })
    }

    fn poll_flushed(&mut self, cx: &Context<'_>) -> Poll<Result<(), SendError>> {
        ready!(self.poll_hand_in(cx))?;
        poll_send(
            &self.shared,
            self.id,
            cx,
            |machine, _| {
                if machine.is_flushed(self.id) { Ok(()) } else { Err(SendError::Blocked) }
            },
        )
    }

    /// Hands in the long message that a sink has taken, and what was fed before it.
    fn poll_long(&mut self, cx: &Context<'_>) -> Poll<Result<(), SendError>> {
        if let Some(message) = self.long.take()
            && self.poll_send(cx, &message, None)?.is_pending()
        {
            self.long = Some(message);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl Sink<Bytes> for MessageSender {
    type Error = SendError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        if self.fed.is_full() || self.long.is_some() { self.poll_hand_in(cx) } else { Poll::Ready(Ok(())) }
    }

    fn start_send(mut self: Pin<&mut Self>, message: Bytes) -> Result<(), SendError> {
        if message.len() > SHORT_LEN_MAX || message.len() as u64 > self.message_len_max {
            self.long = Some(message);
        } else {
            let id = self.id;
            self.fed.push(id, &message);
        }
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.poll_flushed(cx)
    }

    /// Ready at once: what waits here is handed in.
    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        match self.finish() {
            Ok(()) | Err(SendError::Finished) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl Drop for MessageSender {
    fn drop(&mut self) {
        release_send(&self.shared, self.id);
    }
}

impl MessageReceiver {
    pub(super) fn of(shared: Arc<Shared>, id: StreamId, opened: Option<Opened>) -> Self {
        Self { shared, id, opened, ready: Messages::default() }
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
        if let Some(message) = self.ready.pop() {
            return Poll::Ready(Ok(Some(message)));
        }
        let (id, ready) = (self.id, &mut self.ready);
        let taken =
            poll_receive(&self.shared, id, cx, |machine, now| machine.receive_messages(now, id, BATCH_LEN, ready));
        taken.map(|taken| taken.map(|_is_over| self.ready.pop()))
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
