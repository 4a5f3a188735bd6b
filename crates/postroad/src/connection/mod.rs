//! One end of a connection: send, request, receive, close.

mod framed;
mod ledger;
mod pending;
mod router;
mod send;

pub(crate) use framed::Stream;
pub(crate) use pending::{Answer, Place, RawReply};

use crate::body::{Body, BodyWriter};
use crate::convention::{Form, Tag};
use crate::request::{Reply, Request, RequestWriter};
use crate::url::Url;
use crate::{Capability, Error, ErrorKind, Limits, Message};
use bytes::Bytes;
use postroad_transport::Carrier;
use router::{Item, Raw, Router, Table};
use smp_framing::Sender;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};

/// One end of a connection. Cheap to clone; clones share it, and all its calls take `&self`, so any number of tasks can
/// send, request and receive at the same time.
///
/// All futures are cancel-safe: one that is dropped has sent what it was to send, or nothing; a dropped
/// [`receive`](Self::receive) loses nothing; a dropped request frees its place, and its reply is counted and dropped.
///
/// Messages that go out in one piece keep their order. A message above `max_message_size` goes in pieces, and later small
/// ones may overtake it.
///
/// When the last clone is dropped, and with it everything that was made from it, the connection is closed in order
/// in the background. Call [`close`](Self::close) to know that everything has arrived.
#[derive(Clone, Debug)]
pub struct Connection {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    url: Url,
    peer: String,
    request_timeout: Duration,
    pub(crate) sender: Sender,
    table: Arc<Table>,
    requests: Arc<Semaphore>,
    /// Requests dropped without a reply whose refusal is under way.
    pub(crate) refusals: Arc<Semaphore>,
    queue: Mutex<mpsc::UnboundedReceiver<Item>>,
    _place: Option<OwnedSemaphorePermit>,
}

/// How long a closing connection leaves what came to whoever receives, before it drops what finds no place.
const RECEIVE_GRACE: Duration = Duration::from_secs(2);

/// Refusals of dropped requests that may wait for room at the same time.
const REFUSALS_MAX: usize = 64;

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
        /// The code, 13 to 15 over `smp`.
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
    pub(crate) fn start(
        carrier: Carrier,
        url: Url,
        limits: Limits,
        request_timeout: Duration,
        place: Option<OwnedSemaphorePermit>,
    ) -> Result<Self, Error> {
        let config = crate::options::smp_config(&url)?;
        let peer = carrier.peer().map_or_else(|| url.clone().without_options().to_string(), |peer| peer.to_string());
        let (sender, receiver) = smp_framing::Connection::new(carrier, config).spawn();
        let table = Table::new(limits, peer.clone());
        let (queue_sender, queue) = mpsc::unbounded_channel();
        tokio::spawn(Router { table: Arc::clone(&table), queue: queue_sender }.run(receiver));
        let inner = Inner {
            url,
            peer,
            request_timeout,
            sender,
            table,
            requests: Arc::new(Semaphore::new(limits.requests_in_flight_max)),
            refusals: Arc::new(Semaphore::new(REFUSALS_MAX)),
            queue: Mutex::new(queue),
            _place: place,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The URL that was connected to, or of the listener.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.inner.url
    }

    /// Who is at the other end, as the carrier knows it.
    #[must_use]
    pub fn peer(&self) -> &str {
        &self.inner.peer
    }

    /// True where the stack can do this.
    #[must_use]
    pub fn can(&self, capability: Capability) -> bool {
        capability.missing(&self.inner.url).is_none()
    }

    /// What happened so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let table = &self.inner.table;
        Statistics {
            late_reply_count: table.pending.late_count(),
            refused_count: table.refused_count.load(Ordering::Relaxed),
            requests_in_flight_count: table.pending.waiting_count(),
        }
    }

    /// Queues a message, waiting for room where there is none; it leaves as soon as the carrier takes it.
    ///
    /// # Errors
    /// `Unsupported` for more than 15 parts, headers, or what the mode cannot carry; `Usage` where the first part begins
    /// like a tag of the request convention; `Closed` and `Lost`.
    pub async fn send(&self, message: impl Into<Message>) -> Result<(), Error> {
        self.inner.send(message.into()).await
    }

    /// Sends a request and waits for its reply, as long as the options say (30 s by default). Any number may be under
    /// way; replies come in any order.
    ///
    /// # Errors
    /// As [`send`](Self::send), with 14 parts; `Timeout`; `Peer` where the peer answers that it will not; `Limit` where
    /// the reply is longer than [`Limits::message_len_max`].
    pub async fn request(&self, message: impl Into<Message>) -> Result<Message, Error> {
        self.request_within(message, self.inner.request_timeout).await
    }

    /// [`request`](Self::request) with a time-out of its own.
    ///
    /// # Errors
    /// As `request`.
    pub async fn request_within(&self, message: impl Into<Message>, timeout: Duration) -> Result<Message, Error> {
        let asked = async {
            let reply = self.ask(message.into()).await?;
            reply.into_message(self.inner.table.limits.message_len_max).await
        };
        tokio::time::timeout(timeout, asked).await.unwrap_or_else(|_| Err(self.inner.no_reply(timeout)))
    }

    /// [`request`](Self::request) for a reply that may be of any length: the time-out is for its beginning.
    ///
    /// # Errors
    /// As `request`.
    pub async fn request_streaming(&self, message: impl Into<Message>) -> Result<Reply, Error> {
        let timeout = self.inner.request_timeout;
        let asked = self.ask(message.into());
        tokio::time::timeout(timeout, asked).await.unwrap_or_else(|_| Err(self.inner.no_reply(timeout)))
    }

    async fn ask(&self, message: Message) -> Result<Reply, Error> {
        let (permit, mut place) = self.inner.register().await?;
        let tag = Tag::Request { id: place.id, form: Form::Whole };
        self.inner.send_tagged(tag, message).await?;
        let answer = (&mut place.answer).await.unwrap_or_else(|_| Err(self.inner.table.end_error()));
        drop((permit, place));
        Ok(Reply::new(answer?, self))
    }

    /// Opens a request whose content follows piece by piece.
    ///
    /// # Errors
    /// As [`open_body`](Self::open_body).
    pub async fn open_request(&self, head: impl Into<Message>) -> Result<RequestWriter, Error> {
        let (permit, place) = self.inner.register().await?;
        let tag = Tag::Request { id: place.id, form: Form::Body };
        let body = BodyWriter::open(self, tag, head.into()).await?;
        Ok(RequestWriter::new(self, body, place, permit))
    }

    /// Opens a stream of unknown length. `head` has up to 12 parts, which the receiver gets before the content begins.
    ///
    /// # Errors
    /// As [`send`](Self::send), and `Limit` where too many are open already.
    pub async fn open_body(&self, head: impl Into<Message>) -> Result<BodyWriter, Error> {
        BodyWriter::open(self, Tag::Body, head.into()).await
    }

    /// What came next; `None` once the connection has ended in order and everything was received.
    ///
    /// A connection that nobody receives from reads nothing more once [`Limits::incoming_count_max`] things wait, and then
    /// replies do not come through either.
    ///
    /// # Errors
    /// Why the connection broke, once everything was received that came before.
    pub async fn receive(&self) -> Result<Option<Incoming>, Error> {
        let item = self.inner.queue.lock().await.recv().await;
        let Some(item) = item else {
            return match self.inner.table.end.get() {
                Some(Some(error)) => Err(error.clone()),
                _ => Ok(None),
            };
        };
        Ok(Some(match item.raw {
            Raw::Message(message) => Incoming::Message(message),
            Raw::Request(id, message) => Incoming::Request(Request::new(self, id, message)),
            Raw::Body(stream) => Incoming::Body(Body::new(self, stream)),
            Raw::RequestBody(id, stream) => {
                let request = Request::new(self, id, stream.head.clone());
                Incoming::RequestBody(request, Body::new(self, stream))
            }
            Raw::Information(message) => Incoming::Information(message),
            Raw::PeerError { number, text } => Incoming::PeerError { number, text },
            Raw::Custom { code, message } => Incoming::Custom { code, message },
            Raw::Refused(error) => Incoming::Refused(error),
        }))
    }

    /// Waits until the carrier has taken everything that was sent before.
    ///
    /// # Errors
    /// `Closed` and `Lost`.
    pub async fn flush(&self) -> Result<(), Error> {
        self.inner.sender.flush().await.map_err(|error| self.inner.send_error(error))
    }

    /// Sends what is queued, waits for open bodies of this end to be finished, says goodbye, and waits until the peer has
    /// closed too, 5 s at most. What came before can still be received, up to [`Limits::incoming_count_max`] things where
    /// nobody receives at the same time.
    ///
    /// # Errors
    /// Why the connection broke, where it did before all of that.
    pub async fn close(&self) -> Result<(), Error> {
        let table = &self.inner.table;
        let mut closing = core::pin::pin!(self.inner.sender.close());
        if tokio::time::timeout(RECEIVE_GRACE, &mut closing).await.is_err() {
            // What nobody receives would keep the peer's goodbye from being read.
            table.begin_to_drop();
            closing.await;
        }
        table.wait_for_end().await;
        match table.end.get() {
            Some(Some(error)) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Waits until the connection has ended, whoever ended it.
    pub async fn closed(&self) {
        self.inner.sender.closed().await;
    }
}

impl Inner {
    pub(crate) fn table_end_error(&self) -> Error {
        self.table.end_error()
    }

    pub(crate) const fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    pub(crate) fn message_len_max(&self) -> usize {
        self.table.limits.message_len_max
    }

    /// A place among the pending requests; waits where all are taken.
    async fn register(&self) -> Result<(OwnedSemaphorePermit, Place), Error> {
        let permit = Arc::clone(&self.requests).acquire_owned().await.map_err(|_| self.table.end_error())?;
        Ok((permit, self.table.pending.register()?))
    }

    /// Why no reply came in time, as far as this end can tell.
    pub(crate) fn no_reply(&self, timeout: Duration) -> Error {
        let what = format!("no reply from {}", self.peer);
        if self.table.is_full() {
            let max = self.table.limits.incoming_count_max;
            let why = format!("{max} things that came wait to be received, so nothing more was read for {timeout:?}");
            return Error::new(ErrorKind::Timeout, what, why).with_remedy("call `receive` beside `request`");
        }
        if self.requests.available_permits() == 0 {
            let max = self.table.limits.requests_in_flight_max;
            let why = format!("limit requests_in_flight_max reached: {max} requests were under way for {timeout:?}");
            return Error::new(ErrorKind::Timeout, what, why).with_remedy("send fewer at a time, or raise the limit");
        }
        Error::new(ErrorKind::Timeout, what, format!("none came within {timeout:?}"))
            .with_remedy("see whether the peer answers requests, or give it more time")
    }

    pub(crate) async fn send_tagged(&self, tag: Tag, message: Message) -> Result<(), Error> {
        let arguments = send::tagged(tag, message)?;
        self.sender.send(arguments).await.map_err(|error| self.send_error(error))
    }

    async fn send(&self, message: Message) -> Result<(), Error> {
        let arguments = send::plain(message)?;
        self.sender.send(arguments).await.map_err(|error| self.send_error(error))
    }

    pub(crate) fn send_error(&self, error: smp_framing::SendError) -> Error {
        send::error(self, error)
    }
}

/// Parts of a body's head as arguments, behind `tag`.
pub(crate) fn body_arguments(tag: Tag, head: Message) -> Result<Vec<Bytes>, Error> {
    send::body_head(tag, head)
}
