//! Links of WRP: messages between a device and its cloud, with streams by the Simple Streaming Protocol.

mod message;
mod open;
mod road;
mod router;
mod stream;

pub(crate) use open::{accept, connect};
pub(crate) use stream::{Stream, Writer};

use super::bodies::Bodies;
use super::pending::{self, Place};
use super::{Connection, Incoming, Kind, Statistics};
use crate::body::{Body, BodyWriter, Content};
use crate::request::{Reply, Request, RequestWriter};
use crate::url::Url;
use crate::{Error, ErrorKind, Message};
use bytes::Bytes;
use message::TRAILER_LEN_MAX;
use router::{Raw, Table};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::AbortHandle;
use wrp::MessageType;
use wrp::link::SendError;
use wrp_ssp::{Encoding, Level, Segmenter};

/// How a request went that was answered.
const STATUS_OK: i64 = 200;

/// How a request went that was refused, or dropped without a reply.
const STATUS_REFUSED: i64 = 500;

/// How long a closing connection waits for its bodies, and for the other end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Refusals of dropped requests that may wait for room at the same time.
const REFUSALS_MAX: usize = 64;

const WHAT: &str = "could not send a message";

/// One end of a link.
#[derive(Clone, Debug)]
pub(crate) struct Linked(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    url: Url,
    peer: String,
    request_timeout: Duration,
    sender: wrp::link::Sender,
    /// Of the protocol under WRP, where there is one.
    smp_sender: Option<smp_framing::Sender>,
    table: Arc<Table>,
    encoding: (Encoding, Level),
    next_stream: AtomicU64,
    requests: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    queue: Mutex<mpsc::Receiver<Raw>>,
    bodies: Arc<Bodies>,
    /// Sessions that were opened for it and are not over.
    endings: Arc<Bodies>,
    /// The task that moves messages.
    driving: AbortHandle,
    _place: Option<OwnedSemaphorePermit>,
}

impl Linked {
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

    pub(super) fn statistics(&self) -> Statistics {
        let table = &self.0.table;
        Statistics {
            late_reply_count: table.pending.late_count(),
            refused_count: table.refused_count.load(Ordering::Relaxed),
            requests_in_flight_count: table.pending.waiting_count(),
        }
    }

    /// A message of this end to the other one.
    fn base(&self, msg_type: MessageType) -> wrp::Message {
        let table = &self.0.table;
        wrp::Message { msg_type, source: table.own.clone(), dest: table.dest(), ..wrp::Message::default() }
    }

    fn send_error(&self, error: SendError) -> Error {
        match error {
            SendError::Closed => self.end_error().with_what(format!("could not send to {}", self.peer())),
            SendError::Unsendable(wrp::link::Unsendable::TooLong { len, max }) => {
                let why = format!("it has {len} octets with everything around it, and a link takes {max}");
                Error::new(ErrorKind::Limit, WHAT, why)
                    .with_remedy("send it as a body or a file, or raise `max_message_size=` at both ends")
            }
            other => Error::new(ErrorKind::Unsupported, WHAT, other.to_string()).with_source(other),
        }
    }

    async fn send_octets(&self, octets: Bytes) -> Result<(), Error> {
        self.0.sender.send_octets(octets).await.map_err(|error| self.send_error(error))
    }

    async fn send_message(&self, message: &wrp::Message) -> Result<(), Error> {
        self.0.sender.send(message).await.map_err(|error| self.send_error(error))
    }

    pub(super) async fn send(&self, message: Message) -> Result<(), Error> {
        let event = message::outgoing(self.base(MessageType::EVENT), message, WHAT)?;
        self.send_message(&event).await
    }

    pub(super) async fn send_wrp(&self, mut message: wrp::Message) -> Result<(), Error> {
        self.fill(&mut message);
        self.send_message(&message).await
    }

    /// Who sends it and where it goes, where it does not say so.
    fn fill(&self, message: &mut wrp::Message) {
        if message.source.is_empty() && !matches!(message.msg_type.0, 2 | 9 | 10 | 11) {
            message.source.clone_from(&self.0.table.own);
            if message.dest.is_empty() {
                message.dest = self.0.table.dest();
            }
        }
    }

    pub(super) async fn request_within(&self, message: Message, timeout: Duration) -> Result<Message, Error> {
        let request = message::outgoing(self.base(MessageType::REQUEST), message, WHAT)?;
        self.request_wrp_within(request, timeout).await
    }

    pub(super) async fn request_wrp_within(&self, request: wrp::Message, timeout: Duration) -> Result<Message, Error> {
        let asked = async { self.ask(request).await?.into_message(self.message_len_max()).await };
        tokio::time::timeout(timeout, asked).await.unwrap_or_else(|_| Err(self.no_reply(timeout)))
    }

    pub(super) async fn request_streaming(&self, message: Message) -> Result<Reply, Error> {
        let request = message::outgoing(self.base(MessageType::REQUEST), message, WHAT)?;
        let timeout = self.0.request_timeout;
        tokio::time::timeout(timeout, self.ask(request)).await.unwrap_or_else(|_| Err(self.no_reply(timeout)))
    }

    async fn ask(&self, mut request: wrp::Message) -> Result<Reply, Error> {
        let (permit, mut place) = self.register().await?;
        self.fill(&mut request);
        request.transaction_uuid = self.0.table.transaction(place.id);
        self.send_message(&request).await?;
        let answer = (&mut place.answer).await.unwrap_or_else(|_| Err(self.end_error()));
        drop((permit, place));
        Ok(Reply::new(answer?, &self.into()))
    }

    /// A place among the pending requests; waits where all are taken.
    async fn register(&self) -> Result<(OwnedSemaphorePermit, Place), Error> {
        let permit = Arc::clone(&self.0.requests).acquire_owned().await.map_err(|_| self.end_error())?;
        Ok((permit, self.0.table.pending.register()?))
    }

    /// Why no reply came in time, as far as this end can tell.
    pub(crate) fn no_reply(&self, timeout: Duration) -> Error {
        pending::no_reply(self.peer(), timeout, &self.0.requests, self.0.table.limits.requests_in_flight_max)
    }

    pub(super) async fn open_body(&self, head: Message) -> Result<BodyWriter, Error> {
        self.open_stream(self.base(MessageType::EVENT), &head, None)
    }

    pub(super) async fn open_request(&self, head: Message, len: Option<u64>) -> Result<RequestWriter, Error> {
        let (permit, place) = self.register().await?;
        let mut base = self.base(MessageType::REQUEST);
        base.transaction_uuid = self.0.table.transaction(place.id);
        let body = self.open_stream(base, &head, len)?;
        Ok(RequestWriter::new(body, place, permit))
    }

    //= WRP-N20
    fn open_stream(&self, base: wrp::Message, head: &Message, len: Option<u64>) -> Result<BodyWriter, Error> {
        let what = "could not open a body";
        if let Some(end) = self.0.table.end.get() {
            return Err(end.clone().unwrap_or_else(|| self.end_error()));
        }
        let base = message::outgoing_head(base, head, what)?;
        let number = self.0.next_stream.fetch_add(1, Ordering::Relaxed);
        let (encoding, level) = self.0.encoding;
        let options = wrp_ssp::Options::new(format!("{:016x}-{number}", self.0.table.nonce))
            .with_encoding(encoding, level)
            .with_estimated_len(len.unwrap_or(0))
            .with_message_len_max(self.0.sender.message_len_max().saturating_sub(TRAILER_LEN_MAX + 64));
        let segmenter = Segmenter::new(base, options)
            .map_err(|error| Error::new(ErrorKind::Unsupported, what, error.to_string()).with_source(error))?;
        Ok(BodyWriter::linked(self.into(), Box::new(Writer::new(self, segmenter))))
    }

    pub(super) async fn receive(&self) -> Result<Option<Incoming>, Error> {
        let raw = self.0.queue.lock().await.recv().await;
        let Some(raw) = raw else {
            return match self.0.table.end.get() {
                Some(Some(error)) => Err(error.clone()),
                _ => Ok(None),
            };
        };
        let request = |head: wrp::Message, message| Request::linked(message, Box::new(LinkedRequest::new(self, head)));
        Ok(Some(match raw {
            Raw::Message(message) => Incoming::Message(message::incoming(message)),
            Raw::Request(asked) => {
                let message = message::incoming(asked.clone());
                Incoming::Request(request(asked, message))
            }
            Raw::Body(stream) => Incoming::Body(Body::new(self.into(), Content::Linked(stream))),
            Raw::RequestBody(asked, stream) => {
                let head = stream.head.clone();
                Incoming::RequestBody(request(asked, head), Body::new(self.into(), Content::Linked(stream)))
            }
            Raw::Other(message) => {
                let code = u8::try_from(message.msg_type.0).unwrap_or(0);
                Incoming::Custom { code, message: message::incoming(message) }
            }
            Raw::Refused(error) => Incoming::Refused(error),
        }))
    }

    pub(super) async fn flush(&self) -> Result<(), Error> {
        self.0.sender.flush().await.map_err(|error| self.send_error(error))?;
        match &self.0.smp_sender {
            Some(sender) => sender.flush().await.map_err(|_| self.end_error()),
            None => Ok(()),
        }
    }

    pub(super) async fn close(&self) -> Result<(), Error> {
        let table = &self.0.table;
        // A body that nobody finishes is not waited for without end.
        let _in_time = tokio::time::timeout(CLOSE_TIMEOUT, self.0.bodies.wait_for_none()).await;
        if tokio::time::timeout(CLOSE_TIMEOUT, self.0.sender.close()).await.is_err() {
            // The peer takes nothing, so it will not say goodbye either.
            self.0.driving.abort();
        }
        table.wait_for_end().await;
        let _in_time = tokio::time::timeout(CLOSE_TIMEOUT, self.0.endings.wait_for_none()).await;
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
impl From<&Linked> for Connection {
    fn from(linked: &Linked) -> Self {
        Self { kind: Kind::Linked(linked.clone()) }
    }
}

/// A request that came.
#[derive(Debug)]
pub(crate) struct LinkedRequest {
    /// Who asks, and in which transaction.
    asked: wrp::Message,
    connection: Linked,
    is_answered: bool,
}

impl LinkedRequest {
    fn new(connection: &Linked, asked: wrp::Message) -> Self {
        Self { asked, connection: connection.clone(), is_answered: false }
    }

    pub(crate) fn connection(&self) -> Connection {
        (&self.connection).into()
    }

    pub(crate) fn peer(&self) -> String {
        format!("{} ({})", crate::escape::text(&self.asked.source), self.connection.peer())
    }

    /// The reply without its content.
    //= WRP-N19
    fn base(&self, status: i64) -> Result<wrp::Message, Error> {
        let reply = self.asked.reply(status).build();
        reply.map_err(|error| Error::new(ErrorKind::Protocol, "could not reply", error.to_string()))
    }

    pub(crate) async fn reply(mut self, message: Message) -> Result<(), Error> {
        let reply = message::outgoing(self.base(STATUS_OK)?, message, "could not reply")?;
        self.connection.send_message(&reply).await?;
        self.is_answered = true;
        Ok(())
    }

    pub(crate) async fn refuse(mut self, why: &str) -> Result<(), Error> {
        let refusal = self.refusal(why)?;
        self.connection.send_message(&refusal).await?;
        self.is_answered = true;
        Ok(())
    }

    fn refusal(&self, why: &str) -> Result<wrp::Message, Error> {
        let mut refusal = self.base(STATUS_REFUSED)?;
        refusal.payload = Some(Bytes::copy_from_slice(why.as_bytes()));
        Ok(refusal)
    }

    pub(crate) async fn reply_body(mut self, head: Message, len: Option<u64>) -> Result<BodyWriter, Error> {
        let body = self.connection.open_stream(self.base(STATUS_OK)?, &head, len)?;
        self.is_answered = true;
        Ok(body)
    }
}

/// Nobody should wait for a reply that will not come. Best effort: a connection with 64 such refusals under way sends no
/// more of them.
impl Drop for LinkedRequest {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        let permit = Arc::clone(&self.connection.0.refusals).try_acquire_owned();
        let (Ok(permit), Ok(runtime)) = (permit, tokio::runtime::Handle::try_current()) else { return };
        let Ok(refusal) = self.refusal(crate::convention::DROPPED) else { return };
        let connection = self.connection.clone();
        runtime.spawn(async move {
            let _ended = connection.send_message(&refusal).await;
            drop(permit);
        });
    }
}
