//! A mailslot of our own.

use super::error::ReceiveError;
use super::request::Request;
use super::shared::Owner;
use super::waiting::Ticket;
use crate::machine::MailslotId;
use core::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

/// A mailslot of this endpoint, where requests come. It is gone when it is dropped, and the requests in it with it; those
/// who sent them ask again and learn that there is none.
///
/// Several tasks may receive at once, each request goes to one of them. Requests of one peer come one at a time: the next
/// one is there once the one before it was answered.
#[derive(Debug)]
pub struct Mailslot {
    owner: Arc<Owner>,
    id: MailslotId,
}

impl Mailslot {
    pub(super) const fn new(owner: Arc<Owner>, id: MailslotId) -> Self {
        Self { owner, id }
    }

    /// The next request, oldest first.
    ///
    /// Cancel-safe: a request stays in the mailslot until this returns it.
    ///
    /// # Errors
    /// [`ReceiveError`] once the endpoint is closed or its carrier has failed.
    pub async fn receive(&self) -> Result<Request, ReceiveError> {
        let mut place = Place { mailslot: self, ticket: None };
        poll_fn(|cx| {
            let mut state = self.owner.shared.state();
            if let Err(end) = state.check_open() {
                return Poll::Ready(Err(end));
            }
            // Nothing is sent or told by this, so the machine needs no care afterwards.
            if let Some(request) = state.machine.receive(self.id) {
                state.held_count += 1;
                if let Some(ticket) = place.ticket.take() {
                    state.leave_receivers(self.id, ticket);
                }
                drop(state);
                return Poll::Ready(Ok(Request::new(Arc::clone(&self.owner), request)));
            }
            state.receivers.entry(self.id).or_default().enter(&mut place.ticket, cx);
            Poll::Pending
        })
        .await
    }

    /// A request that is there already.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn try_receive(&self) -> Result<Option<Request>, ReceiveError> {
        let mut state = self.owner.shared.state();
        state.check_open()?;
        let request = state.machine.receive(self.id);
        state.held_count += usize::from(request.is_some());
        drop(state);
        Ok(request.map(|request| Request::new(Arc::clone(&self.owner), request)))
    }

    /// Sets the precedence of its replies: the code point of differentiated services of their segments, whose lowest six bits
    /// count. Default 0.
    pub fn set_dscp(&self, dscp: u8) {
        // It is there for as long as this handle is.
        let _gone = self.owner.shared.state().machine.set_dscp(self.id, dscp);
    }

    /// Its number on the wire, never 0.
    #[must_use]
    pub const fn number(&self) -> u16 {
        self.id.number()
    }
}

impl Drop for Mailslot {
    fn drop(&mut self) {
        self.owner.shared.act(|state, now, _| {
            state.receivers.remove(&self.id);
            let _gone_already = state.machine.undefine(now, self.id);
        });
    }
}

/// The place of one who waits; given back however the wait ends.
struct Place<'a> {
    mailslot: &'a Mailslot,
    ticket: Option<Ticket>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.mailslot.owner.shared.state().leave_receivers(self.mailslot.id, ticket);
        }
    }
}
