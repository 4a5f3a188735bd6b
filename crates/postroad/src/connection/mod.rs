//! One end of a connection: send, request, receive, close. Which protocol is below is decided here and nowhere else.

pub(crate) mod bodies;
pub(crate) mod framed;
pub(crate) mod linked;
pub(crate) mod mailslot;
pub(crate) mod pending;
pub(crate) mod sessioned;

use crate::body::{Body, BodyWriter};
use crate::request::{Reply, Request, RequestWriter};
use crate::url::Url;
use crate::{Capability, Error, ErrorKind, Message};
use framed::Framed;
use linked::Linked;
use mailslot::Slot;
use sessioned::Sessioned;
use std::time::Duration;

/// One end of a connection. Cheap to clone; clones share it, and all its calls take `&self`, so any number of tasks can
/// send, request and receive at the same time.
///
/// All futures are cancel-safe: one that is dropped has sent what it was to send, or nothing; a dropped
/// [`receive`](Self::receive) loses nothing; a dropped request frees its place, and its reply is counted and dropped.
///
/// Messages that go out in one piece keep their order. A message above `max_message_size` goes in pieces, and later small
/// ones may overtake it.
///
/// Over `smp121` there are no connections. What [`connect`](crate::connect) gives asks one mailslot; what a
/// [`Listener`](crate::Listener) gives is the mailslot, and receives the requests of all peers. See
/// [`Capability`] for what that cannot do.
///
/// When the last clone is dropped, and with it everything that was made from it, the connection is closed in order
/// in the background. Call [`close`](Self::close) to know that everything has arrived.
#[derive(Clone, Debug)]
pub struct Connection {
    pub(crate) kind: Kind,
}

/// The kinds there are.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// A byte stream with units on it.
    Framed(Framed),
    /// A mailslot, of this end or of another.
    Mailslot(Slot),
    /// A link of WRP.
    Linked(Linked),
    /// A session of SMRP.
    Sessioned(Sessioned),
}

/// What came in.
#[derive(Debug)]
#[non_exhaustive]
pub enum Incoming {
    /// A message.
    Message(Message),
    /// A request: [`reply`](Request::reply) to it.
    Request(Request),
    /// Content of unknown length.
    Body(Body),
    /// A request whose content comes as a body.
    RequestBody(Request, Body),
    /// What the peer wants known; nothing is to be done with it.
    Information(Message),
    /// The peer reports an error of its own.
    PeerError {
        /// The number, where it is one.
        number: Option<u16>,
        /// What it says. Show it with [`escape::text`](crate::escape::text).
        text: String,
    },
    /// A unit with a code of the application's own.
    Custom {
        /// The code, 13 to 15 over `smp`; over `wrp` the type of a message that is neither an event nor a request.
        code: u8,
        /// Its arguments.
        message: Message,
    },
    /// Something came that was dropped, because a limit was reached or the convention broken. The connection goes on.
    Refused(Error),
}

/// What a connection has been through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Replies that came when nobody waited for them any more.
    pub late_reply_count: u64,
    /// Things that came and were dropped.
    pub refused_count: u64,
    /// Requests that wait for their reply now.
    pub requests_in_flight_count: usize,
}

impl Connection {
    /// The URL that was connected to, or of the listener.
    #[must_use]
    pub fn url(&self) -> &Url {
        match &self.kind {
            Kind::Framed(framed) => framed.url(),
            Kind::Mailslot(slot) => slot.url(),
            Kind::Linked(linked) => linked.url(),
            Kind::Sessioned(sessioned) => sessioned.url(),
        }
    }

    /// Who is at the other end, as the carrier knows it. Over `smp121` address and mailslot, and at the end of the
    /// mailslot itself no one in particular: ask [`Request::peer`] there.
    #[must_use]
    pub fn peer(&self) -> &str {
        match &self.kind {
            Kind::Framed(framed) => framed.peer(),
            Kind::Mailslot(slot) => slot.peer(),
            Kind::Linked(linked) => linked.peer(),
            Kind::Sessioned(sessioned) => sessioned.peer(),
        }
    }

    /// Who the other end proved to be, where this end asked: of sessions that were accepted with `client_ca=`, the name in the certificate; with
    /// `jwks=`, the subject of the token. `None` everywhere else. Show it with [`escape::text`](crate::escape::text).
    #[must_use]
    pub fn subject(&self) -> Option<String> {
        match &self.kind {
            Kind::Sessioned(sessioned) => sessioned.subject(),
            _ => None,
        }
    }

    /// True where the stack can do this.
    #[must_use]
    pub fn can(&self, capability: Capability) -> bool {
        capability.missing(self.url()).is_none()
    }

    /// What happened so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        match &self.kind {
            Kind::Framed(framed) => framed.statistics(),
            Kind::Mailslot(slot) => slot.statistics(),
            Kind::Linked(linked) => linked.statistics(),
            Kind::Sessioned(sessioned) => sessioned.statistics(),
        }
    }

    /// Queues a message, waiting for room where there is none; it leaves as soon as the carrier takes it.
    ///
    /// A mailslot has no messages without a reply: over `smp121` this is a request whose reply, the receipt, is awaited
    /// and must be empty.
    ///
    /// # Errors
    /// `Unsupported` for more than 15 parts (1 over `smp121`), headers, or what the mode cannot carry; `Usage` where the
    /// first part begins like a tag of the request convention; `Closed` and `Lost`. Over `smp121` also those of
    /// [`request`](Self::request), and `Peer` where the reply is not empty.
    pub async fn send(&self, message: impl Into<Message>) -> Result<(), Error> {
        match &self.kind {
            Kind::Framed(framed) => framed.send(message.into()).await,
            Kind::Mailslot(slot) => slot.send(message.into()).await,
            Kind::Linked(linked) => linked.send(message.into()).await,
            Kind::Sessioned(sessioned) => sessioned.send(message.into()).await,
        }
    }

    /// Sends a request and waits for its reply, as long as the options say (30 s by default). Any number may be under
    /// way; replies come in any order.
    ///
    /// # Errors
    /// As [`send`](Self::send), with 14 parts (1 over `smp121`); `Timeout`; `Peer` where the peer answers that it will
    /// not; `Limit` where the reply is longer than [`Limits::message_len_max`](crate::Limits::message_len_max). Over
    /// `smp121` a request that timed out may have been served, and one that is cancelled goes on all the same.
    pub async fn request(&self, message: impl Into<Message>) -> Result<Message, Error> {
        self.request_within(message, self.request_timeout()).await
    }

    /// [`request`](Self::request) with a time-out of its own.
    ///
    /// # Errors
    /// As `request`.
    pub async fn request_within(&self, message: impl Into<Message>, timeout: Duration) -> Result<Message, Error> {
        match &self.kind {
            Kind::Framed(framed) => framed.request_within(message.into(), timeout).await,
            Kind::Mailslot(slot) => slot.request_within(message.into(), timeout).await,
            Kind::Linked(linked) => linked.request_within(message.into(), timeout).await,
            Kind::Sessioned(sessioned) => sessioned.request_within(message.into(), timeout).await,
        }
    }

    /// [`request`](Self::request) for a reply that may be of any length: the time-out is for its beginning. Over `smp121`
    /// replies come whole.
    ///
    /// # Errors
    /// As `request`.
    pub async fn request_streaming(&self, message: impl Into<Message>) -> Result<Reply, Error> {
        match &self.kind {
            Kind::Framed(framed) => framed.request_streaming(message.into()).await,
            Kind::Mailslot(_) => self.request(message).await.map(Reply::Message),
            Kind::Linked(linked) => linked.request_streaming(message.into()).await,
            Kind::Sessioned(sessioned) => sessioned.request_streaming(message.into()).await,
        }
    }

    /// Opens a request whose content follows piece by piece.
    ///
    /// # Errors
    /// As [`open_body`](Self::open_body).
    pub async fn open_request(&self, head: impl Into<Message>) -> Result<RequestWriter, Error> {
        self.open_request_of(head.into(), None).await
    }

    /// [`open_request`](Self::open_request) with content of this length, as far as is known.
    pub(crate) async fn open_request_of(&self, head: Message, len: Option<u64>) -> Result<RequestWriter, Error> {
        match &self.kind {
            Kind::Framed(framed) => framed.open_request(head).await,
            Kind::Mailslot(slot) => Err(slot.no_bodies()),
            Kind::Linked(linked) => linked.open_request(head, len).await,
            Kind::Sessioned(sessioned) => sessioned.open_request(head).await,
        }
    }

    /// Opens a stream of unknown length. `head` has up to 12 parts, which the receiver gets before the content begins.
    ///
    /// # Errors
    /// As [`send`](Self::send), and `Limit` where too many are open already. `Unsupported` over `smp121`.
    pub async fn open_body(&self, head: impl Into<Message>) -> Result<BodyWriter, Error> {
        match &self.kind {
            Kind::Framed(framed) => framed.open_writer(crate::convention::Tag::Body, head.into()).await,
            Kind::Mailslot(slot) => Err(slot.no_bodies()),
            Kind::Linked(linked) => linked.open_body(head.into()).await,
            Kind::Sessioned(sessioned) => sessioned.open_body(head.into()).await,
        }
    }

    /// Sends a WRP message as it is; source and destination are filled in where they are empty. Only over `wrp`.
    ///
    /// # Errors
    /// `Unsupported` over other protocols and for a message that is not valid, `Limit` for one that is too long, `Closed` and
    /// `Lost`.
    pub async fn send_wrp(&self, message: wrp::Message) -> Result<(), Error> {
        self.linked()?.send_wrp(message).await
    }

    /// Sends a WRP request, of type 3 or 5 to 8, and waits for its reply: [`Message::as_wrp`] of it has all fields. Source and
    /// destination are filled in where they are empty, the transaction always. Only over `wrp`.
    ///
    /// # Errors
    /// As [`send_wrp`](Self::send_wrp) and [`request`](Self::request).
    pub async fn request_wrp(&self, request: wrp::Message) -> Result<Message, Error> {
        let linked = self.linked()?;
        linked.request_wrp_within(request, linked.request_timeout()).await
    }

    fn linked(&self) -> Result<&Linked, Error> {
        match &self.kind {
            Kind::Linked(linked) => Ok(linked),
            _ => {
                let what = format!("could not send a WRP message to {}", self.peer());
                let why = format!("{} carries none", self.url().stack());
                Err(Error::new(ErrorKind::Unsupported, what, why).with_remedy("use a URL that begins with `wrp+`"))
            }
        }
    }

    /// What came next; `None` once the connection has ended in order and everything was received.
    ///
    /// A connection that nobody receives from reads nothing more once
    /// [`Limits::incoming_count_max`](crate::Limits::incoming_count_max) things wait, and then replies do not come through
    /// either. Over `smp121` only the end that listens receives anything, and the next request of a peer comes once its
    /// last one was answered.
    ///
    /// # Errors
    /// Why the connection broke, once everything was received that came before.
    pub async fn receive(&self) -> Result<Option<Incoming>, Error> {
        match &self.kind {
            Kind::Framed(framed) => framed.receive().await,
            Kind::Mailslot(slot) => slot.receive().await,
            Kind::Linked(linked) => linked.receive().await,
            Kind::Sessioned(sessioned) => sessioned.receive().await,
        }
    }

    /// Waits until the carrier has taken everything that was sent before, of open bodies what was written so far.
    ///
    /// # Errors
    /// `Closed` and `Lost`.
    pub async fn flush(&self) -> Result<(), Error> {
        match &self.kind {
            Kind::Framed(framed) => framed.flush().await,
            // An exchange is awaited by whoever began it.
            Kind::Mailslot(_) => Ok(()),
            Kind::Linked(linked) => linked.flush().await,
            Kind::Sessioned(sessioned) => sessioned.flush().await,
        }
    }

    /// [`flush`](Self::flush), of one stream alone where it has a way of its own: bodies that nobody reads hold it up no more.
    pub(crate) async fn flush_of(&self, stream: Option<smrp::StreamId>) -> Result<(), Error> {
        match (&self.kind, stream) {
            (Kind::Sessioned(sessioned), Some(stream)) => sessioned.flush_of(stream).await,
            _ => self.flush().await,
        }
    }

    /// Sends what is queued, waits for open bodies of this end to be finished, says goodbye, and waits until the peer has
    /// closed too, 5 s at most. What came before can still be received, up to
    /// [`Limits::incoming_count_max`](crate::Limits::incoming_count_max) things where nobody receives at the same time.
    ///
    /// Over `smp121` there is nobody to say goodbye to: a mailslot of this end is gone then, and what was replied is on its
    /// way.
    ///
    /// # Errors
    /// Why the connection broke, where it did before all of that.
    pub async fn close(&self) -> Result<(), Error> {
        match &self.kind {
            Kind::Framed(framed) => framed.close().await,
            Kind::Mailslot(slot) => slot.close().await,
            Kind::Linked(linked) => linked.close().await,
            Kind::Sessioned(sessioned) => sessioned.close().await,
        }
    }

    /// Begins to end it without losing anything: the other end is told to open nothing new, and `redirect`, where it may go instead. What it
    /// had sent goes on to be received, within `timeout`; then [`receive`](Self::receive) gives `None`, and [`close`](Self::close) sends what is left. What
    /// came too late is refused as [unprocessed](Error::is_unprocessed). Only over `smrp`.
    ///
    /// # Errors
    /// `Unsupported` over other protocols.
    pub fn drain(&self, timeout: Duration, redirect: Option<&str>) -> Result<(), Error> {
        match &self.kind {
            Kind::Sessioned(sessioned) => {
                sessioned.drain(timeout, redirect);
                Ok(())
            }
            _ => {
                let what = format!("could not drain the connection with {}", self.peer());
                let why = format!("{} cannot say that an end goes away", self.url().stack());
                Err(Error::new(ErrorKind::Unsupported, what, why).with_remedy("close it, or use a URL of smrp"))
            }
        }
    }

    /// Waits until the other end says that it goes away, or the connection has ended, and gives what it says about where to go instead: text of a
    /// stranger, to be looked at before it is followed. Connect again then; what is open goes on to its end here. Over other protocols than `smrp` it
    /// waits for the end.
    pub async fn going_away(&self) -> Option<String> {
        match &self.kind {
            Kind::Sessioned(sessioned) => sessioned.going_away().await,
            _ => {
                self.closed().await;
                None
            }
        }
    }

    /// Waits until the connection has ended, whoever ended it.
    pub async fn closed(&self) {
        match &self.kind {
            Kind::Framed(framed) => framed.closed().await,
            Kind::Mailslot(slot) => slot.closed().await,
            Kind::Linked(linked) => linked.closed().await,
            Kind::Sessioned(sessioned) => sessioned.closed().await,
        }
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        match &self.kind {
            Kind::Framed(framed) => framed.request_timeout(),
            Kind::Mailslot(slot) => slot.request_timeout(),
            Kind::Linked(linked) => linked.request_timeout(),
            Kind::Sessioned(sessioned) => sessioned.request_timeout(),
        }
    }

    /// The longest message that is put together.
    pub(crate) fn message_len_max(&self) -> usize {
        match &self.kind {
            Kind::Framed(framed) => framed.message_len_max(),
            Kind::Mailslot(_) => usize::MAX,
            Kind::Linked(linked) => linked.message_len_max(),
            Kind::Sessioned(sessioned) => sessioned.message_len_max(),
        }
    }

    /// Why nothing can be asked of it any more.
    pub(crate) fn end_error(&self) -> Error {
        match &self.kind {
            Kind::Framed(framed) => framed.end_error(),
            Kind::Mailslot(slot) => slot.end_error(),
            Kind::Linked(linked) => linked.end_error(),
            Kind::Sessioned(sessioned) => sessioned.end_error(),
        }
    }

    /// Why no reply came in time, as far as this end can tell.
    pub(crate) fn no_reply(&self, timeout: Duration) -> Error {
        match &self.kind {
            Kind::Framed(framed) => framed.no_reply(timeout),
            Kind::Mailslot(slot) => slot.end_error(),
            Kind::Linked(linked) => linked.no_reply(timeout),
            Kind::Sessioned(sessioned) => sessioned.no_reply(timeout),
        }
    }
}
