//! Requests that wait for their reply.

use crate::body::Content;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard};
use crate::{Error, ErrorKind, Message};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};

/// What came for a request.
#[derive(Debug)]
pub(crate) enum RawReply {
    Message(Message),
    Body(Content),
}

pub(crate) type Answer = Result<RawReply, Error>;

/// The requests of one connection by number. How many there are is bounded by the connection's permits.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    waiting: Mutex<Waiting>,
    late_count: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    next_id: u64,
    answers: HashMap<u64, oneshot::Sender<Answer>>,
    end: Option<Error>,
}

/// A place among the pending requests; given up when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    pending: Arc<Pending>,
    pub(crate) id: u64,
    pub(crate) answer: oneshot::Receiver<Answer>,
}

impl Pending {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new number, whose reply will come out of the place.
    pub(crate) fn register(self: &Arc<Self>) -> Result<Place, Error> {
        let (sender, answer) = oneshot::channel();
        let mut waiting = self.waiting();
        if let Some(end) = &waiting.end {
            return Err(end.clone());
        }
        let id = waiting.next_id;
        waiting.next_id = waiting.next_id.wrapping_add(1);
        waiting.answers.insert(id, sender);
        Ok(Place { pending: Arc::clone(self), id, answer })
    }

    /// Hands an answer to whoever waits for it. One that nobody waits for any more is counted and dropped.
    pub(crate) fn resolve(&self, id: u64, answer: Answer) {
        let sender = self.waiting().answers.remove(&id);
        let taken = sender.is_some_and(|sender| sender.send(answer).is_ok());
        if !taken {
            self.late_count.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(id, "dropped a reply that nobody waits for");
        }
    }

    /// No reply will come any more.
    pub(crate) fn end(&self, why: &Error) {
        let answers = {
            let mut waiting = self.waiting();
            waiting.end.get_or_insert_with(|| why.clone());
            core::mem::take(&mut waiting.answers)
        };
        for sender in answers.into_values() {
            let _gave_up = sender.send(Err(why.clone()));
        }
    }

    pub(crate) fn late_count(&self) -> u64 {
        self.late_count.load(Ordering::Relaxed)
    }

    pub(crate) fn waiting_count(&self) -> usize {
        self.waiting().answers.len()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.pending.waiting().answers.remove(&self.id);
    }
}

/// Why no reply came from `peer` in time: too many requests were under way, or the peer said nothing.
pub(super) fn no_reply(peer: &str, timeout: Duration, places: &Semaphore, max: usize) -> Error {
    let what = format!("no reply from {peer}");
    if places.available_permits() == 0 {
        let why = format!("limit requests_in_flight_max reached: {max} requests were under way for {timeout:?}");
        return Error::new(ErrorKind::Timeout, what, why).with_remedy("send fewer at a time, or raise the limit");
    }
    Error::new(ErrorKind::Timeout, what, format!("none came within {timeout:?}"))
        .with_remedy("see whether the peer answers requests, or give it more time")
}

#[cfg(all(test, postroad_model))]
mod models;
