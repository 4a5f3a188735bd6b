//! Connections of the Streaming Message Protocol: units on a byte stream, requests by the convention.

mod ledger;
mod router;
mod send;
mod stream;
mod writer;

pub(crate) use stream::Stream;
pub(crate) use writer::Writer;

use super::bodies::Bodies;
use super::pending::Place;
use super::{Connection, Incoming, Kind, Statistics, pending};
use crate::body::{Body, BodyWriter, Content};
use crate::carrier::Octets;
use crate::convention::{Form, Tag};
use crate::request::{Reply, Request, RequestWriter};
use crate::url::Url;
use crate::{Error, ErrorKind, Limits, Message};
use router::{Item, Raw, Router, Table};
use smp_framing::Sender;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};

/// One end of a framed connection.
#[derive(Clone, Debug)]
pub(crate) struct Framed(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    url: Url,
    peer: String,
    request_timeout: Duration,
    sender: Sender,
    table: Arc<Table>,
    requests: Arc<Semaphore>,
    /// Requests dropped without a reply whose refusal is under way.
    refusals: Arc<Semaphore>,
    queue: Mutex<mpsc::UnboundedReceiver<Item>>,
    /// Of a stream of a session that was opened for it: the session ends behind it.
    endings: Option<Arc<Bodies>>,
    _place: Option<OwnedSemaphorePermit>,
}

/// How long a closing connection leaves what came to whoever receives, before it drops what finds no place.
const RECEIVE_GRACE: Duration = Duration::from_secs(2);

/// Refusals of dropped requests that may wait for room at the same time.
const REFUSALS_MAX: usize = 64;

impl Framed {
    pub(crate) fn start(
        carrier: impl Into<Octets>,
        url: Url,
        limits: Limits,
        request_timeout: Duration,
        place: Option<OwnedSemaphorePermit>,
    ) -> Result<Self, Error> {
        let config = crate::options::smp_config(&url)?;
        let carrier = carrier.into();
        let peer = carrier.peer().unwrap_or_else(|| url.clone().without_options().to_string());
        let endings = carrier.endings();
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
            endings,
            _place: place,
        };
        Ok(Self(Arc::new(inner)))
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

    pub(crate) fn message_len_max(&self) -> usize {
        self.0.table.limits.message_len_max
    }

    pub(crate) fn end_error(&self) -> Error {
        self.0.table.end_error()
    }

    pub(crate) fn sender(&self) -> &Sender {
        &self.0.sender
    }

    /// The place for one more refusal of a dropped request.
    pub(crate) fn refusal_place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.refusals).try_acquire_owned().ok()
    }

    pub(super) fn statistics(&self) -> Statistics {
        let table = &self.0.table;
        Statistics {
            late_reply_count: table.pending.late_count(),
            refused_count: table.refused_count.load(Ordering::Relaxed),
            requests_in_flight_count: table.pending.waiting_count(),
        }
    }

    pub(super) async fn send(&self, message: Message) -> Result<(), Error> {
        let arguments = send::plain(message)?;
        self.0.sender.send(arguments).await.map_err(|error| self.send_error(error))
    }

    pub(crate) async fn send_tagged(&self, tag: Tag, message: Message) -> Result<(), Error> {
        let arguments = send::tagged(tag, message)?;
        self.0.sender.send(arguments).await.map_err(|error| self.send_error(error))
    }

    pub(crate) fn send_error(&self, error: smp_framing::SendError) -> Error {
        send::error(self, error)
    }

    pub(super) async fn request_within(&self, message: Message, timeout: Duration) -> Result<Message, Error> {
        let asked = async { self.ask(message).await?.into_message(self.message_len_max()).await };
        tokio::time::timeout(timeout, asked).await.unwrap_or_else(|_| Err(self.no_reply(timeout)))
    }

    pub(super) async fn request_streaming(&self, message: Message) -> Result<Reply, Error> {
        let timeout = self.0.request_timeout;
        tokio::time::timeout(timeout, self.ask(message)).await.unwrap_or_else(|_| Err(self.no_reply(timeout)))
    }

    async fn ask(&self, message: Message) -> Result<Reply, Error> {
        let (permit, mut place) = self.register().await?;
        let tag = Tag::Request { id: place.id, form: Form::Whole };
        self.send_tagged(tag, message).await?;
        let answer = (&mut place.answer).await.unwrap_or_else(|_| Err(self.end_error()));
        drop((permit, place));
        Ok(Reply::new(answer?, &self.into()))
    }

    pub(super) async fn open_request(&self, head: Message) -> Result<RequestWriter, Error> {
        let (permit, place) = self.register().await?;
        let tag = Tag::Request { id: place.id, form: Form::Body };
        let body = self.open_writer(tag, head).await?;
        Ok(RequestWriter::new(body, place, permit))
    }

    /// A body of this kind.
    pub(crate) async fn open_writer(&self, tag: Tag, head: Message) -> Result<BodyWriter, Error> {
        Ok(BodyWriter::framed(self.into(), Writer::open(self, tag, head).await?))
    }

    /// A place among the pending requests; waits where all are taken.
    async fn register(&self) -> Result<(OwnedSemaphorePermit, Place), Error> {
        let permit = Arc::clone(&self.0.requests).acquire_owned().await.map_err(|_| self.end_error())?;
        Ok((permit, self.0.table.pending.register()?))
    }

    /// Why no reply came in time, as far as this end can tell.
    pub(crate) fn no_reply(&self, timeout: Duration) -> Error {
        let table = &self.0.table;
        if table.is_full() {
            let what = format!("no reply from {}", self.peer());
            let max = table.limits.incoming_count_max;
            let why = format!("{max} things that came wait to be received, so nothing more was read for {timeout:?}");
            return Error::new(ErrorKind::Timeout, what, why).with_remedy("call `receive` beside `request`");
        }
        pending::no_reply(self.peer(), timeout, &self.0.requests, table.limits.requests_in_flight_max)
    }

    pub(super) async fn receive(&self) -> Result<Option<Incoming>, Error> {
        let item = self.0.queue.lock().await.recv().await;
        let Some(item) = item else {
            return match self.0.table.end.get() {
                Some(Some(error)) => Err(error.clone()),
                _ => Ok(None),
            };
        };
        Ok(Some(match item.raw {
            Raw::Message(message) => Incoming::Message(message),
            Raw::Request(id, message) => Incoming::Request(Request::framed(self, id, message)),
            Raw::Body(stream) => Incoming::Body(Body::new(self.into(), Content::Framed(stream))),
            Raw::RequestBody(id, stream) => {
                let request = Request::framed(self, id, stream.head.clone());
                Incoming::RequestBody(request, Body::new(self.into(), Content::Framed(stream)))
            }
            Raw::Information(message) => Incoming::Information(message),
            Raw::PeerError { number, text } => Incoming::PeerError { number, text },
            Raw::Custom { code, message } => Incoming::Custom { code, message },
            Raw::Refused(error) => Incoming::Refused(error),
        }))
    }

    pub(crate) async fn flush(&self) -> Result<(), Error> {
        self.0.sender.flush().await.map_err(|error| self.send_error(error))
    }

    pub(super) async fn close(&self) -> Result<(), Error> {
        let table = &self.0.table;
        let mut closing = core::pin::pin!(self.0.sender.close());
        if tokio::time::timeout(RECEIVE_GRACE, &mut closing).await.is_err() {
            // What nobody receives would keep the peer's goodbye from being read.
            table.begin_to_drop();
            closing.await;
        }
        table.wait_for_end().await;
        if let Some(endings) = &self.0.endings {
            endings.wait_for_none().await;
        }
        match table.end.get() {
            Some(Some(error)) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    pub(super) async fn closed(&self) {
        self.0.sender.closed().await;
    }
}

/// The public handle of the same connection.
impl From<&Framed> for Connection {
    fn from(framed: &Framed) -> Self {
        Self { kind: Kind::Framed(framed.clone()) }
    }
}
