//! Sessions of SMRP: messages, requests and bodies, each on streams of its own.

mod access;
pub(crate) mod codes;
mod open;
pub(crate) mod parts;
mod router;
mod stream;
pub(crate) mod tunnel;

pub(crate) use open::{Accepting, accept, accept_session, acceptor, connect, dial};
pub(crate) use stream::{Stream, Writer};
pub(crate) use tunnel::Tunnel;

use super::bodies::Bodies;
use super::{Connection, Incoming, Kind, Statistics, pending};
use crate::body::{Body, BodyWriter, Content};
use crate::request::{Reply, Request, RequestWriter};
use crate::url::{Address, Url};
use crate::{Error, ErrorKind, Limits, Message};
use bytes::Bytes;
use router::Raw;
use smrp::{Code, MessageSender, OpenError, ReceiveError, SendError, Session, SessionError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use stream::ReplyWay;
use tokio::sync::{Mutex, Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::AbortHandle;

/// How long a closing connection waits for its bodies, and for the other end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
const WHAT: &str = "could not send a message";

/// One end of a session.
#[derive(Clone, Debug)]
pub(crate) struct Sessioned(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    url: Url,
    peer: String,
    limits: Limits,
    request_timeout: Duration,
    session: Session,
    /// The channel of messages, opened with the first one.
    sender: Mutex<Option<MessageSender>>,
    queue: Mutex<router::Incoming>,
    requests: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    refused: Arc<AtomicU64>,
    bodies: Arc<Bodies>,
    is_draining: AtomicBool,
    /// Tells the router.
    draining: Arc<Notify>,
    router: AbortHandle,
    _place: Option<OwnedSemaphorePermit>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // What was sent still goes out; the router holds the session too, and ends with its users.
        if let Some(sender) = self.sender.get_mut() {
            drop(sender.finish());
        }
        self.router.abort();
    }
}

/// Counts a request for as long as it waits.
struct Waits(Arc<AtomicUsize>);

impl Waits {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Sessioned {
    pub(super) fn url(&self) -> &Url {
        &self.0.url
    }

    pub(crate) fn peer(&self) -> &str {
        &self.0.peer
    }

    pub(crate) fn subject(&self) -> Option<String> {
        self.0.session.subject()
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        self.0.request_timeout
    }

    pub(crate) fn message_len_max(&self) -> usize {
        self.0.limits.message_len_max
    }

    pub(super) fn statistics(&self) -> Statistics {
        Statistics {
            late_reply_count: 0,
            refused_count: self.0.refused.load(Ordering::Relaxed),
            requests_in_flight_count: self.0.waiting.load(Ordering::Relaxed),
        }
    }

    fn request_of(&self, content_type: &str) -> smrp::Request {
        smrp::Request::default().with_metadata(parts::metadata(name_of(&self.0.url), content_type))
    }

    /// Why nothing can be asked of it any more.
    pub(crate) fn end_error(&self) -> Error {
        Error::new(ErrorKind::Closed, format!("could not use the session with {}", self.peer()), "it has ended")
    }

    fn session_error(&self, what: &str, error: &SessionError) -> Error {
        let what = format!("{what} ({})", self.peer());
        let kind = match error {
            SessionError::Closed { .. } => ErrorKind::Closed,
            SessionError::ClosedByPeer { code, .. } if is_in_order(*code) => ErrorKind::Closed,
            SessionError::Fault(_) => ErrorKind::Protocol,
            SessionError::HandshakeTimeout { .. } => ErrorKind::Timeout,
            _ => ErrorKind::Lost,
        };
        Error::new(kind, what, error.to_string()).with_source(error.clone())
    }

    fn open_error(&self, what: &str, error: OpenError) -> Error {
        // Where no stream could be opened nothing was sent.
        match error {
            OpenError::Session(end) => self.session_error(what, &end).unprocessed(),
            OpenError::TooLarge { len, max } => too_large(what, len, max).unprocessed(),
            OpenError::GoingAway { .. } => Error::new(ErrorKind::Closed, what, error.to_string()).unprocessed(),
            other => Error::new(ErrorKind::Lost, what, other.to_string()).with_source(other).unprocessed(),
        }
    }

    fn send_error(&self, what: &str, error: SendError) -> Error {
        match error {
            SendError::Session(end) => self.session_error(what, &end),
            SendError::TooLarge { len, max } => too_large(what, len, max),
            SendError::Stopped(Code::REFUSED) => not_processed(what),
            SendError::Stopped(code) => {
                Error::new(ErrorKind::Peer, what, format!("the peer wants no more of it ({code})"))
            }
            other => Error::new(ErrorKind::Closed, what, other.to_string()).with_source(other),
        }
    }

    fn receive_error(&self, what: &str, error: ReceiveError) -> Error {
        match error {
            ReceiveError::Session(end) => self.session_error(what, &end),
            ReceiveError::Reset(Code::FORBIDDEN) => {
                Error::new(ErrorKind::Peer, what, "the peer does not allow it to who we are")
            }
            ReceiveError::Reset(Code::REFUSED) => not_processed(what),
            ReceiveError::Reset(code) => Error::new(ErrorKind::Peer, what, format!("the peer gave it up ({code})")),
            ReceiveError::TooLarge(max) => {
                let why = format!("limit message_len_max reached: it has more than {max} octets");
                Error::new(ErrorKind::Limit, what, why).with_remedy("raise the limit, or ask for it as a body")
            }
            other => Error::new(ErrorKind::Lost, what, other.to_string()).with_source(other),
        }
    }

    pub(super) async fn send(&self, message: Message) -> Result<(), Error> {
        let octets = parts::encode(&message);
        let mut sender = self.0.sender.lock().await;
        if sender.is_none() {
            let opened = self.0.session.open_messages(true, self.request_of(parts::PARTS)).await;
            *sender = Some(opened.map_err(|error| self.open_error(WHAT, error))?);
        }
        match sender.as_mut() {
            Some(sender) => sender.send(octets).await.map_err(|error| self.send_error(WHAT, error)),
            None => Err(self.end_error()),
        }
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(&self.0.requests).acquire_owned().await.map_err(|_| self.end_error())
    }

    pub(super) async fn request_within(&self, message: Message, timeout: Duration) -> Result<Message, Error> {
        tokio::time::timeout(timeout, self.ask(message)).await.unwrap_or_else(|_| Err(self.no_reply(timeout)))
    }

    async fn ask(&self, message: Message) -> Result<Message, Error> {
        let what = "a request was not answered";
        let _permit = self.permit().await?;
        let _waits = Waits::new(&self.0.waiting);
        let asked = self.0.session.request(parts::encode(&message), self.request_of(parts::PARTS)).await;
        let mut reply = asked.map_err(|error| self.open_error("could not send a request", error))?;
        let octets = (&mut reply).await.map_err(|error| self.receive_error(what, error))?;
        let metadata = reply.metadata();
        if parts::is_refusal(metadata.as_ref()) {
            return Err(refused(&octets));
        }
        // A reply says what it is; one that does not is what was asked for.
        let content_type = parts::content_type(metadata.as_ref());
        parts::decode(&octets, Some(content_type.as_deref().unwrap_or(parts::PARTS.as_bytes())))
    }

    /// Why no reply came in time, as far as this end can tell.
    pub(crate) fn no_reply(&self, timeout: Duration) -> Error {
        pending::no_reply(self.peer(), timeout, &self.0.requests, self.0.limits.requests_in_flight_max)
    }

    pub(super) async fn request_streaming(&self, message: Message) -> Result<Reply, Error> {
        let timeout = self.0.request_timeout;
        let asked = async {
            let _permit = self.permit().await?;
            let _waits = Waits::new(&self.0.waiting);
            let (mut send, recv) = self.open_stream(parts::PARTS).await?;
            let failed = |error| self.send_error("could not send a request", error);
            send.write_bytes(parts::encode(&message)).await.map_err(failed)?;
            send.finish().map_err(failed)?;
            stream::read_reply(self, recv).await
        };
        tokio::time::timeout(timeout, asked).await.unwrap_or_else(|_| Err(self.no_reply(timeout)))
    }

    async fn open_stream(&self, content_type: &str) -> Result<(smrp::SendStream, smrp::RecvStream), Error> {
        let opened = self.0.session.open_bidi(self.request_of(content_type)).await;
        let stream = opened.map_err(|error| self.open_error("could not open a stream", error))?;
        Ok((stream.send, stream.recv))
    }

    pub(super) async fn open_body(&self, head: Message) -> Result<BodyWriter, Error> {
        let opened = self.0.session.open_uni(self.request_of(parts::BODY)).await;
        let send = opened.map_err(|error| self.open_error("could not open a body", error))?;
        self.begin_body(send, &head).await
    }

    async fn begin_body(&self, mut send: smrp::SendStream, head: &Message) -> Result<BodyWriter, Error> {
        let octets = parts::encode_head(head);
        send.write_bytes(octets).await.map_err(|error| self.send_error("could not open a body", error))?;
        Ok(BodyWriter::sessioned(self.into(), Box::new(Writer::stream(self, send))))
    }

    pub(super) async fn open_request(&self, head: Message) -> Result<RequestWriter, Error> {
        let permit = self.permit().await?;
        let (send, recv) = self.open_stream(parts::BODY).await?;
        let body = self.begin_body(send, &head).await?;
        let (answer, place) = oneshot::channel();
        let (connection, waits) = (self.clone(), Waits::new(&self.0.waiting));
        let reading = tokio::spawn(async move {
            let _waits = waits;
            drop(answer.send(stream::read_reply(&connection, recv).await));
        });
        Ok(RequestWriter::sessioned(body, place, reading.abort_handle(), permit))
    }

    pub(super) async fn receive(&self) -> Result<Option<Incoming>, Error> {
        let raw = self.0.queue.lock().await.recv().await;
        let Some((raw, _share)) = raw else {
            if self.0.is_draining.load(Ordering::Relaxed) && self.0.session.has_all() {
                return Ok(None);
            }
            let end = self.0.session.closed().await;
            let error = self.session_error("the session broke", &end);
            return if error.kind() == ErrorKind::Closed { Ok(None) } else { Err(error) };
        };
        let request = |message, way| Request::sessioned(message, Box::new(SessionedRequest::new(self, way)));
        Ok(Some(match raw {
            Raw::Message(message) => Incoming::Message(message),
            Raw::Request(message, way) => Incoming::Request(request(message, way)),
            Raw::Body(stream) => Incoming::Body(Body::new(self.into(), Content::Sessioned(stream))),
            Raw::RequestBody(way, stream) => {
                let head = stream.head.clone();
                Incoming::RequestBody(request(head, way), Body::new(self.into(), Content::Sessioned(stream)))
            }
            Raw::Refused(error) => {
                self.0.refused.fetch_add(1, Ordering::Relaxed);
                Incoming::Refused(error)
            }
        }))
    }

    pub(super) async fn flush(&self) -> Result<(), Error> {
        self.0.session.flushed().await.map_err(|end| self.session_error("could not send everything", &end))
    }

    pub(super) async fn flush_of(&self, stream: smrp::StreamId) -> Result<(), Error> {
        let flushed = self.0.session.flushed_of(stream).await;
        flushed.map_err(|end| self.session_error("could not send everything", &end))
    }

    pub(super) fn drain(&self, timeout: Duration, redirect: Option<&str>) {
        self.0.session.drain(timeout, redirect);
        self.0.is_draining.store(true, Ordering::Relaxed);
        self.0.draining.notify_one();
    }

    pub(super) async fn going_away(&self) -> Option<String> {
        drop(self.0.session.going_away().await);
        self.0.session.redirect()
    }

    pub(super) async fn close(&self) -> Result<(), Error> {
        // A body that nobody finishes is not waited for without end.
        drop(tokio::time::timeout(CLOSE_TIMEOUT, self.0.bodies.wait_for_none()).await);
        if let Some(mut sender) = self.0.sender.lock().await.take() {
            drop(sender.finish());
        }
        self.0.session.drain(CLOSE_TIMEOUT, None);
        let end = self.0.session.closed().await;
        self.0.session.gone().await;
        match end {
            SessionError::Closed { .. } => Ok(()),
            SessionError::ClosedByPeer { code, .. } if is_in_order(code) => Ok(()),
            end => Err(self.session_error("the session broke", &end)),
        }
    }

    pub(super) async fn closed(&self) {
        drop(self.0.session.closed().await);
    }
}

/// Where the streams of a URL want to go.
fn name_of(url: &Url) -> Option<&str> {
    match &url.address {
        Address::Network { path, .. } if path != "/" => Some(path),
        _ => None,
    }
}

const fn is_in_order(code: Code) -> bool {
    matches!(code, Code::NO_ERROR | Code::SHUTDOWN)
}

fn not_processed(what: &str) -> Error {
    let why = "the peer did not process it: it goes away, or wants nothing of the kind";
    Error::new(ErrorKind::Peer, what, why).with_remedy("send it again, over another connection").unprocessed()
}

fn too_large(what: &str, len: usize, max: u64) -> Error {
    let why = format!("it has {len} octets with everything around it, and the peer takes {max}");
    Error::new(ErrorKind::Limit, what, why)
        .with_remedy("send it as a body or a file, or raise `message_len_max=` at the other end")
}

fn refused(why: &[u8]) -> Error {
    Error::new(ErrorKind::Peer, "the peer refused a request", crate::escape::text(&String::from_utf8_lossy(why)))
}

/// The public handle of the same connection.
impl From<&Sessioned> for Connection {
    fn from(sessioned: &Sessioned) -> Self {
        Self { kind: Kind::Sessioned(sessioned.clone()) }
    }
}

/// A request that came.
#[derive(Debug)]
pub(crate) struct SessionedRequest {
    connection: Sessioned,
    way: Option<ReplyWay>,
}

impl SessionedRequest {
    fn new(connection: &Sessioned, way: ReplyWay) -> Self {
        Self { connection: connection.clone(), way: Some(way) }
    }

    pub(crate) fn connection(&self) -> Connection {
        (&self.connection).into()
    }

    pub(crate) fn peer(&self) -> String {
        match self.connection.0.session.subject() {
            Some(subject) => format!("{} ({})", crate::escape::text(&subject), self.connection.peer()),
            None => self.connection.peer().to_owned(),
        }
    }

    pub(crate) async fn reply(mut self, message: &Message) -> Result<(), Error> {
        let Some(way) = self.way.take() else { return Ok(()) };
        let sent = way.send(None, parts::encode(message)).await;
        sent.map_err(|error| self.connection.send_error("could not reply", error))
    }

    pub(crate) async fn refuse(mut self, why: &str) -> Result<(), Error> {
        let Some(way) = self.way.take() else { return Ok(()) };
        let sent = way.send(Some(parts::refusal()), Bytes::copy_from_slice(why.as_bytes())).await;
        sent.map_err(|error| self.connection.send_error("could not refuse a request", error))
    }

    pub(crate) async fn reply_body(mut self, head: Message) -> Result<BodyWriter, Error> {
        let connection = self.connection.clone();
        match self.way.take() {
            Some(ReplyWay::Stream(mut send)) => {
                let failed = |error| connection.send_error("could not reply", error);
                send.send_metadata(parts::metadata(None, parts::BODY)).map_err(failed)?;
                connection.begin_body(send, &head).await
            }
            // The other end asked for a message: it gets what makes one.
            Some(way) => {
                Ok(BodyWriter::sessioned((&connection).into(), Box::new(Writer::gathering(&connection, head, way))))
            }
            None => Err(connection.end_error()),
        }
    }
}

/// Nobody should wait for a reply that will not come.
impl Drop for SessionedRequest {
    fn drop(&mut self) {
        if let Some(way) = self.way.take() {
            way.refuse_now(crate::convention::DROPPED);
        }
    }
}
