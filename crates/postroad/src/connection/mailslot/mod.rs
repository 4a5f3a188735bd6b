//! Mailslots of the Simple Messaging Protocol, at both ends.
//!
//! There are no connections below: one end asks a named mailslot of some host, the other end is that mailslot and serves
//! whoever asks.

mod answer;
mod errors;
mod node;
mod open;

pub(crate) use answer::Asked;
pub(crate) use node::raw_ip_available;
pub(crate) use open::{connect, listen};

use super::{Connection, Incoming, Kind, Statistics};
use crate::convention;
use crate::request::Request;
use crate::url::Url;
use crate::{Error, ErrorKind, Message};
use bytes::Bytes;
use core::sync::atomic::{AtomicU64, Ordering};
use node::Node;
use smp121::machine::SendOptions;
use smp121::{Mailslot, RemoteMailslot};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// One end of an exchange: a mailslot of this endpoint, or a handle to one elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Slot(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    url: Url,
    peer: String,
    request_timeout: Duration,
    end: End,
    /// The endpoint, until this end is closed.
    node: Mutex<Option<Arc<Node>>>,
    closed: watch::Sender<bool>,
    refused_count: AtomicU64,
}

#[derive(Debug)]
enum End {
    /// Receives.
    Own(Mutex<Option<Arc<Mailslot>>>),
    /// Asks.
    Remote(Remote),
}

#[derive(Debug)]
struct Remote {
    mailslot: RemoteMailslot,
    /// What a request can be, as was known when the name was resolved.
    request_len_max: usize,
    reply_len_max: usize,
    dscp: u8,
    places: Semaphore,
    places_max: usize,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Slot {
    fn new(url: Url, peer: String, request_timeout: Duration, end: End, node: Arc<Node>) -> Self {
        Self(Arc::new(Inner {
            url,
            peer,
            request_timeout,
            end,
            node: Mutex::new(Some(node)),
            closed: watch::Sender::new(false),
            refused_count: AtomicU64::new(0),
        }))
    }

    pub(super) fn url(&self) -> &Url {
        &self.0.url
    }

    pub(crate) fn peer(&self) -> &str {
        &self.0.peer
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        self.0.request_timeout
    }

    pub(super) fn end_error(&self) -> Error {
        errors::closed(&self.0.peer)
    }

    /// Told once this end is closed or gone.
    pub(crate) fn end(&self) -> watch::Receiver<bool> {
        self.0.closed.subscribe()
    }

    pub(super) fn statistics(&self) -> Statistics {
        let in_flight = match &self.0.end {
            End::Own(_) => 0,
            End::Remote(remote) => remote.places_max.saturating_sub(remote.places.available_permits()),
        };
        Statistics {
            late_reply_count: 0,
            refused_count: self.0.refused_count.load(Ordering::Relaxed),
            requests_in_flight_count: in_flight,
        }
    }

    pub(super) fn no_bodies(&self) -> Error {
        let what = format!("could not open a body to {}", self.0.peer);
        errors::no_bodies(what)
    }

    /// What a request to the mailslot elsewhere can be at most, in octets.
    pub(crate) fn request_len_max(&self) -> usize {
        match &self.0.end {
            End::Own(_) => 0,
            End::Remote(remote) => remote.request_len_max,
        }
    }

    pub(super) async fn send(&self, message: Message) -> Result<(), Error> {
        // Whatever the receipt says is of no use to one who asked nothing.
        self.request_within(message, self.0.request_timeout).await.map(drop)
    }

    pub(super) async fn request_within(&self, message: Message, timeout: Duration) -> Result<Message, Error> {
        let octets = one_part(message, "could not send a message")?;
        self.ask(octets, timeout).await.map(Message::from)
    }

    /// One exchange. The request is sent, or queued, when the future is polled first and there is a place for it.
    pub(crate) async fn ask(&self, octets: Bytes, timeout: Duration) -> Result<Bytes, Error> {
        let End::Remote(remote) = &self.0.end else { return Err(errors::one_way(&self.0.peer)) };
        if *self.0.closed.borrow() {
            return Err(errors::closed(&self.0.peer));
        }
        let asked = async {
            let _place = remote.places.acquire().await.map_err(|_| errors::closed(&self.0.peer))?;
            let mut options = SendOptions::default().with_reply_len_max(remote.reply_len_max).with_dscp(remote.dscp);
            if timeout < Duration::MAX {
                options = options.with_timeout(timeout);
            }
            let sent = remote.mailslot.send_with(octets, options).await;
            sent.map_err(|error| errors::send(&self.0.url, &self.0.peer, error, timeout))
        };
        let reply = tokio::time::timeout(timeout.saturating_add(TIMEOUT_SLACK), asked)
            .await
            .unwrap_or_else(|_| Err(errors::no_place(&self.0.peer, remote.places_max, timeout)))?;
        match convention::refusal(&reply) {
            None => Ok(reply),
            Some(words) => {
                let what = format!("{} refused a request", self.0.peer);
                Err(Error::new(ErrorKind::Peer, what, crate::escape::octets(words)))
            }
        }
    }

    pub(super) async fn receive(&self) -> Result<Option<Incoming>, Error> {
        let End::Own(own) = &self.0.end else {
            // Nothing ever comes unasked to one who only asks.
            self.closed().await;
            return Ok(None);
        };
        let Some(mailslot) = locked(own).clone() else { return Ok(None) };
        let mut closed = self.end();
        let received = tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed) => return Ok(None),
            received = mailslot.receive() => received,
        };
        match received {
            Ok(mut request) => {
                let message = Message::from(request.take_message());
                Ok(Some(Incoming::Request(Request::of_mailslot(message, Box::new(Asked::new(request, self))))))
            }
            Err(smp121::ReceiveError::Closed) => Ok(None),
            Err(error) => Err(errors::receive(&self.0.url, error)),
        }
    }

    /// Takes the mailslot or handle back, and closes the endpoint where nobody else uses it.
    pub(super) async fn close(&self) -> Result<(), Error> {
        self.0.closed.send_replace(true);
        let node = locked(&self.0.node).take();
        if let Some(node) = node.and_then(Arc::into_inner) {
            // Replies that are on their way still need the mailslot.
            node.close().await;
        }
        if let End::Own(own) = &self.0.end {
            locked(own).take();
        }
        Ok(())
    }

    pub(super) async fn closed(&self) {
        let mut closed = self.end();
        // The sender lives as long as `self`, so this cannot fail.
        let _closed = closed.wait_for(|closed| *closed).await;
    }

    fn count_refusal(&self) {
        self.0.refused_count.fetch_add(1, Ordering::Relaxed);
    }
}

/// The protocol keeps a request's time itself; this is what waiting for a place may take in addition.
const TIMEOUT_SLACK: Duration = Duration::from_millis(200);

/// The public handle of the same end.
impl From<&Slot> for Connection {
    fn from(slot: &Slot) -> Self {
        Self { kind: Kind::Mailslot(slot.clone()) }
    }
}

/// The octet string that a message is here. One without parts is an empty one.
fn one_part(message: Message, what: &str) -> Result<Bytes, Error> {
    let unsupported = |why: String, remedy: &str| Error::new(ErrorKind::Unsupported, what, why).with_remedy(remedy);
    if let Some((name, _)) = message.headers().first() {
        let why = format!("it has the header `{}`, and smp121 carries none", crate::escape::text(name));
        return Err(unsupported(why, "put it into the message itself, as JSON for example"));
    }
    let count = message.part_count();
    let mut parts = message.into_parts();
    match (parts.pop(), parts.is_empty()) {
        (None, _) => Ok(Bytes::new()),
        (Some(only), true) => Ok(only),
        _ => {
            let why = format!("it has {count} parts, and to a mailslot a message is one octet string");
            Err(unsupported(why, "join them into one part, or send several requests"))
        }
    }
}
