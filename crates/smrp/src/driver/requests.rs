//! Requests and replies.

use super::session::release;
use super::shared::Shared;
use super::streams::poll_receive;
use crate::error::{ReceiveError, SendError};
use crate::wire::Parameters;
use crate::{Code, Opened, StreamId};
use bytes::Bytes;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::Arc;

/// A reply that is to come. Dropped, the peer is asked not to bother.
#[derive(Debug)]
pub struct Reply {
    shared: Arc<Shared>,
    id: StreamId,
}

impl Reply {
    pub(super) fn of(shared: Arc<Shared>, id: StreamId) -> Self {
        Self { shared, id }
    }

    /// Which stream it is.
    #[must_use]
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// The metadata of the reply, once it is there.
    #[must_use]
    pub fn metadata(&self) -> Option<Parameters> {
        self.shared.lock().heads.get(&self.id).and_then(|heads| heads.head.clone())
    }
}

impl Future for Reply {
    type Output = Result<Bytes, ReceiveError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        poll_receive(&self.shared, self.id, cx, |machine, now| machine.receive_whole(now, self.id))
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        release(&self.shared, self.id, |machine, now| {
            machine.release_receive(now, self.id);
            machine.release_send(now, self.id);
        });
    }
}

/// A request of the peer. Dropped without a reply, it is given up with CANCELLED.
#[derive(Debug)]
pub struct IncomingRequest {
    /// What the peer said about it.
    pub opened: Opened,
    /// Its octets.
    pub body: Bytes,
    shared: Arc<Shared>,
    id: StreamId,
}

impl IncomingRequest {
    pub(super) fn of(shared: &Arc<Shared>, opened: Opened) -> Self {
        let id = opened.stream;
        let mut state = shared.lock();
        let now = state.now();
        let body = state.machine.receive_whole(now, id).unwrap_or_default();
        state.machine.release_receive(now, id);
        if state.machine.has_control() {
            state.wake_task();
        }
        drop(state);
        Self { opened, body, shared: shared.clone(), id }
    }

    /// Where the request wants to go, as the peer said.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        self.opened.name()
    }

    /// Answers it.
    ///
    /// # Errors
    /// [`SendError`], as where the peer does not want the reply any more.
    pub fn reply(self, body: Bytes) -> Result<(), SendError> {
        self.shared.lock().machine.send_whole(self.id, body)
    }

    /// Answers it, with metadata where there is any.
    ///
    /// # Errors
    /// As [`reply`](Self::reply).
    pub fn respond(self, metadata: Option<Parameters>, body: Bytes) -> Result<(), SendError> {
        let mut state = self.shared.lock();
        if let Some(metadata) = metadata {
            state.machine.send_metadata(self.id, metadata)?;
        }
        state.machine.send_whole(self.id, body)
    }

    /// Gives it up with a code of the application's own.
    pub fn fail(self, code: Code) {
        let mut state = self.shared.lock();
        let now = state.now();
        state.machine.reset(now, self.id, code, 0);
    }
}

impl Drop for IncomingRequest {
    fn drop(&mut self) {
        release(&self.shared, self.id, |machine, now| machine.release_send(now, self.id));
    }
}
