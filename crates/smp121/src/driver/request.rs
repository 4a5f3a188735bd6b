//! A request that was received.

use super::shared::Owner;
use super::waiting::Ticket;
use crate::ReplyError;
use crate::machine::{self, RequestId};
use bytes::Bytes;
use core::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;

/// A request that was received, to be answered once.
///
/// The next request of the same peer comes only after the answer, so one that is dropped without an answer gets an empty
/// one, and a warning is logged.
#[derive(Debug)]
pub struct Request {
    owner: Arc<Owner>,
    id: RequestId,
    source: Option<SocketAddr>,
    message: Bytes,
    is_open: bool,
}

impl Request {
    pub(super) fn new(owner: Arc<Owner>, request: machine::Request) -> Self {
        let machine::Request { id, source, message } = request;
        Self { owner, id, source, message, is_open: true }
    }

    /// Who asks; `None` from this endpoint itself. On raw IP the port is 0. Nothing proves the address but that answers
    /// reach it.
    #[must_use]
    pub const fn source(&self) -> Option<SocketAddr> {
        self.source
    }

    /// What was sent.
    #[must_use]
    pub const fn message(&self) -> &Bytes {
        &self.message
    }

    /// Takes the message out; an empty one is left. For one who needs it beyond the request.
    #[must_use]
    pub fn take_message(&mut self) -> Bytes {
        core::mem::take(&mut self.message)
    }

    /// Answers the request. What fits is on its way when this returns; nothing is waited for.
    ///
    /// # Errors
    /// [`ReplyError::TooLarge`] for what cannot be sent to this peer: it is still to be answered then. Otherwise the
    /// request is over: [`ReplyError::Void`] where nobody waits any more or it was answered, [`ReplyError::Closed`] where
    /// the endpoint has ended.
    pub fn reply(&mut self, reply: impl Into<Bytes>) -> Result<(), ReplyError> {
        let result = self.answer(reply.into());
        if !matches!(result, Err(ReplyError::TooLarge { .. })) {
            self.is_open = false;
        }
        result
    }

    fn answer(&mut self, reply: Bytes) -> Result<(), ReplyError> {
        if !self.is_open {
            return Err(ReplyError::Void);
        }
        self.owner.shared.act(|state, now, _| {
            let has_ended = state.end_reason().is_some();
            let result = if has_ended { Err(ReplyError::Closed) } else { state.machine.reply(now, self.id, reply) };
            if !matches!(result, Err(ReplyError::TooLarge { .. })) {
                state.release(self.id);
            }
            result
        })
    }

    /// Whether it is known that nobody waits for the answer: the peer has restarted, or the mailslot or endpoint is gone.
    #[must_use]
    pub fn is_void(&self) -> bool {
        let state = self.owner.shared.state();
        state.is_void(self.id) || state.end_reason().is_some()
    }

    /// Waits until nobody waits for the answer any more, as [`is_void`](Self::is_void) says. For one who works long on an
    /// answer and would rather stop. A peer whose caller has given up says nothing, so this may never end.
    ///
    /// Cancel-safe.
    pub async fn voided(&self) {
        let mut place = Place { owner: &self.owner, ticket: None };
        poll_fn(|cx| {
            let mut state = self.owner.shared.state();
            if state.is_void(self.id) || state.end_reason().is_some() {
                return Poll::Ready(());
            }
            state.void_watchers.enter(&mut place.ticket, cx);
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if !self.is_open {
            return;
        }
        let was_waited_for = self.owner.shared.act(|state, now, _| {
            state.release(self.id);
            let was_answered = state.end_reason().is_none() && state.machine.reply(now, self.id, Bytes::new()).is_ok();
            state.counters.unanswered_count += u64::from(was_answered);
            was_answered
        });
        if was_waited_for {
            tracing::warn!(source = ?self.source, "a request was dropped without an answer and got an empty one");
        }
    }
}

struct Place<'a> {
    owner: &'a Owner,
    ticket: Option<Ticket>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.owner.shared.state().void_watchers.leave(ticket);
        }
    }
}
