//! A handle to a mailslot of a peer.

use super::error::SendError;
use super::shared::Owner;
use super::state::{Exchange, Resolution};
use crate::machine::{ExchangeId, RemoteId, Resolved, SendOptions};
use bytes::Bytes;
use core::future::poll_fn;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A handle to a mailslot of a peer, or of this endpoint. Clones are the same handle; it is given back when the last one is
/// dropped.
#[derive(Clone, Debug)]
pub struct RemoteMailslot {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    owner: Arc<Owner>,
    id: RemoteId,
    peer: Option<SocketAddr>,
    name: Box<[u8]>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.owner.shared.act(|state, _, _| state.machine.free(self.id));
    }
}

impl RemoteMailslot {
    pub(super) fn new(owner: Arc<Owner>, id: RemoteId, peer: Option<SocketAddr>, name: &[u8]) -> Self {
        Self { handle: Arc::new(Handle { owner, id, peer, name: name.into() }) }
    }

    pub(super) fn owner(&self) -> &Owner {
        &self.handle.owner
    }

    pub(super) fn id(&self) -> RemoteId {
        self.handle.id
    }

    /// Whose mailslot it is; `None` for one of this endpoint.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.handle.peer
    }

    /// The mailslot's name.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.handle.name
    }

    /// Sends a request and waits for the reply, of at most 1 MiB and for as long as the peer is there. See
    /// [`send_with`](Self::send_with).
    ///
    /// # Errors
    /// As [`send_with`](Self::send_with).
    pub async fn send(&self, message: impl Into<Bytes>) -> Result<Bytes, SendError> {
        self.send_with(message, SendOptions::default()).await
    }

    /// Sends a request and waits for the reply. The name is resolved first where it is not known.
    ///
    /// The request is taken on, and sent where the window has room, when the future is polled first: requests go in the
    /// order of those polls. Neither message nor reply is copied more than once.
    ///
    /// Dropping the future gives the exchange up: nothing is heard of it any more. A request that was sent goes on, and may
    /// be served, since the peer serves later ones only after it.
    ///
    /// # Errors
    /// [`SendError::Usage`] where nothing was sent, because the message is too large or
    /// [`Limits::waiting_count_max`](crate::Limits::waiting_count_max) requests wait already; [`SendError::Exchange`] with
    /// what the peer or network says, or that time is up; [`SendError::Closed`] and [`SendError::Carrier`] at the end of the
    /// endpoint.
    pub async fn send_with(&self, message: impl Into<Bytes>, options: SendOptions) -> Result<Bytes, SendError> {
        let mut call = Call { mailslot: self, step: Step::New(message.into(), options) };
        poll_fn(|cx| call.poll(cx)).await
    }

    /// Resolves the name now, and says what the mailslot takes. At once where that is known.
    ///
    /// Cancel-safe: the resolution goes on, for whoever asks next.
    ///
    /// # Errors
    /// As [`send_with`](Self::send_with); [`ExchangeError::NoSuchMailslot`](crate::ExchangeError::NoSuchMailslot) and
    /// [`ExchangeError::NotResolved`](crate::ExchangeError::NotResolved) among them.
    pub async fn resolve(&self) -> Result<Resolved, SendError> {
        let mut question = Question { mailslot: self, ticket: None };
        poll_fn(|cx| question.poll(cx)).await
    }
}

enum Step {
    New(Bytes, SendOptions),
    Open(ExchangeId),
    Over,
}

/// A call that is open. Gives the exchange up where it is dropped before the end.
struct Call<'a> {
    mailslot: &'a RemoteMailslot,
    step: Step,
}

impl Call<'_> {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<Result<Bytes, SendError>> {
        match core::mem::replace(&mut self.step, Step::Over) {
            Step::New(message, options) => match self.begin(cx, message, options) {
                Ok(id) => {
                    self.step = Step::Open(id);
                    Poll::Pending
                }
                Err(error) => Poll::Ready(Err(error)),
            },
            Step::Open(id) => {
                let outcome = self.look(cx, id);
                if outcome.is_pending() {
                    self.step = Step::Open(id);
                }
                outcome
            }
            Step::Over => Poll::Pending,
        }
    }

    fn begin(&self, cx: &Context<'_>, message: Bytes, options: SendOptions) -> Result<ExchangeId, SendError> {
        let Handle { owner, id, .. } = &*self.mailslot.handle;
        owner.shared.act(|state, now, _| {
            state.check_open()?;
            let exchange = state.machine.send(now, *id, message, options)?;
            // Before anything is told: within the endpoint an exchange can be over at once.
            state.exchanges.insert(exchange, Exchange::Open(cx.waker().clone()));
            Ok(exchange)
        })
    }

    fn look(&self, cx: &Context<'_>, id: ExchangeId) -> Poll<Result<Bytes, SendError>> {
        let mut state = self.mailslot.owner().shared.state();
        let end = state.end_reason();
        let Entry::Occupied(mut slot) = state.exchanges.entry(id) else { return Poll::Ready(Err(SendError::Closed)) };
        match slot.get_mut() {
            Exchange::Open(waker) if end.is_none() => {
                waker.clone_from(cx.waker());
                return Poll::Pending;
            }
            Exchange::Open(_) | Exchange::Done(_) => {}
        }
        match (slot.remove(), end) {
            (Exchange::Done(outcome), _) => Poll::Ready(Ok(outcome?)),
            (Exchange::Open(_), end) => Poll::Ready(Err(end.map_or(SendError::Closed, SendError::from))),
        }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if let Step::Open(id) = self.step {
            // Giving up sends nothing.
            let mut state = self.mailslot.owner().shared.state();
            if let Some(Exchange::Open(_)) = state.exchanges.remove(&id) {
                state.machine.cancel(id);
            }
        }
    }
}

/// A resolution that is waited for.
struct Question<'a> {
    mailslot: &'a RemoteMailslot,
    ticket: Option<u64>,
}

impl Question<'_> {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<Result<Resolved, SendError>> {
        match self.ticket {
            None => self.begin(cx),
            Some(ticket) => self.look(cx, ticket),
        }
    }

    fn begin(&mut self, cx: &Context<'_>) -> Poll<Result<Resolved, SendError>> {
        let Handle { owner, id, .. } = &*self.mailslot.handle;
        let known = owner.shared.act(|state, now, _| {
            state.check_open()?;
            let known = state.machine.resolve(now, *id)?;
            if known.is_none() {
                state.last_resolution += 1;
                let (remote, ticket, waker) = (*id, state.last_resolution, cx.waker().clone());
                state.resolutions.push(Resolution { remote, ticket, waker, outcome: None });
                self.ticket = Some(ticket);
            }
            Ok::<_, SendError>(known)
        });
        match known {
            Ok(Some(known)) => Poll::Ready(Ok(known)),
            Ok(None) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn look(&self, cx: &Context<'_>, ticket: u64) -> Poll<Result<Resolved, SendError>> {
        let mut state = self.mailslot.owner().shared.state();
        let end = state.end_reason();
        let Some(resolution) = state.resolutions.iter_mut().find(|resolution| resolution.ticket == ticket) else {
            return Poll::Ready(Err(SendError::Closed));
        };
        match (resolution.outcome, end) {
            (Some(outcome), _) => Poll::Ready(Ok(outcome?)),
            (None, Some(end)) => Poll::Ready(Err(end.into())),
            (None, None) => {
                resolution.waker.clone_from(cx.waker());
                Poll::Pending
            }
        }
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let mut state = self.mailslot.owner().shared.state();
            state.resolutions.retain(|resolution| resolution.ticket != ticket);
        }
    }
}
