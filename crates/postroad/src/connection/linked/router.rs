//! The task that sorts what comes: replies to those who wait for them, packets into their streams, everything else into one
//! bounded queue.

use super::message::{incoming, incoming_head, trailer_of};
use super::stream::{PIECES_MAX, Piece, Stream};
use crate::body::Content;
use crate::connection::pending::{Pending, RawReply};
use crate::options::Limits;
use crate::{Error, ErrorKind};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::sync::{mpsc, watch};
use wirekit::{Instant, Machine};
use wrp::MessageType;
use wrp::link::{Incoming, Received, Receiver};
use wrp_ssp::{Demultiplexer, DemuxEvent, DemuxLimits, Fill, Routed, StreamKey, Timing};

/// Streams from the other end that are open at once.
const STREAMS_MAX: usize = 256;

/// What came, before it is tied to the connection.
#[derive(Debug)]
pub(super) enum Raw {
    Message(wrp::Message),
    Request(wrp::Message),
    Body(Stream),
    RequestBody(wrp::Message, Stream),
    /// Of a type that is neither an event nor a request.
    Other(wrp::Message),
    Refused(Error),
}

/// What the router and the connection's handles know together.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) pending: Arc<Pending>,
    pub(super) limits: Limits,
    pub(super) refused_count: AtomicU64,
    /// How it ended: `None` inside for in order.
    pub(super) end: OnceLock<Option<Error>>,
    closing: watch::Sender<bool>,
    ended: watch::Sender<bool>,
    /// Who is at the other end, for errors.
    pub(super) peer: String,
    /// Who this end is.
    pub(super) own: String,
    /// Where messages go, as the URL says.
    dest: Option<String>,
    /// Who the other end is, as far as is known.
    other: Mutex<Option<String>>,
    /// Begins the transactions and streams of this end.
    pub(super) nonce: u64,
}

/// Who is at the two ends.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) own: String,
    pub(super) dest: Option<String>,
    pub(super) other: Option<String>,
}

impl Table {
    pub(super) fn new(limits: Limits, peer: String, names: Names, nonce: u64) -> Arc<Self> {
        Arc::new(Self {
            pending: Arc::default(),
            limits,
            refused_count: AtomicU64::new(0),
            end: OnceLock::new(),
            closing: watch::Sender::new(false),
            ended: watch::Sender::new(false),
            peer,
            own: names.own,
            dest: names.dest,
            other: Mutex::new(names.other),
            nonce,
        })
    }

    /// Where messages go: where the URL says, else to whom is at the other end. `self:` is whoever gets it.
    pub(super) fn dest(&self) -> String {
        let other = || self.other.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.dest.clone().or_else(other).unwrap_or_else(|| "self:".to_owned())
    }

    /// The first one who speaks is the other end.
    fn learn(&self, source: &str) {
        let mut other = self.other.lock().unwrap_or_else(PoisonError::into_inner);
        if other.is_none() && source.parse::<wrp::Locator>().is_ok() {
            *other = Some(source.to_owned());
        }
    }

    /// The transaction of the request of that number.
    pub(super) fn transaction(&self, id: u64) -> String {
        format!("{:016x}-{id}", self.nonce)
    }

    /// The number of the request whose transaction this is; `None` where it is none of this end.
    //= WRP-N16
    fn own_request(&self, transaction: &str) -> Option<u64> {
        let (nonce, id) = transaction.split_once('-')?;
        (nonce == format!("{:016x}", self.nonce)).then(|| id.parse().ok()).flatten()
    }

    pub(super) fn begin_to_drop(&self) {
        self.closing.send_replace(true);
    }

    /// This end has closed the connection: waits until it is known how it ended.
    pub(super) async fn wait_for_end(&self) {
        self.begin_to_drop();
        let mut ended = self.ended.subscribe();
        // The sender lives as long as `self`, so this cannot fail.
        let _ended = ended.wait_for(|ended| *ended).await;
    }

    /// Why nothing can be asked of the connection any more.
    pub(super) fn end_error(&self) -> Error {
        match self.end.get() {
            Some(Some(error)) => error.clone(),
            _ => {
                Error::new(ErrorKind::Closed, format!("the connection to {} is closed", self.peer), "it ended in order")
                    .with_remedy("connect again")
            }
        }
    }

    pub(super) fn refuse(&self, error: Error) -> Raw {
        self.refused_count.fetch_add(1, Ordering::Relaxed);
        Raw::Refused(error)
    }
}

/// A stream that comes.
struct Coming {
    pieces: mpsc::Sender<Piece>,
    trailer: Bytes,
}

pub(super) struct Router {
    table: Arc<Table>,
    queue: mpsc::Sender<Raw>,
    streams: Demultiplexer,
    coming: HashMap<StreamKey, Coming>,
    epoch: tokio::time::Instant,
}

impl Router {
    pub(super) fn new(table: Arc<Table>, queue: mpsc::Sender<Raw>) -> Self {
        let limits = wrp_ssp::Limits {
            // As long as it is read, a body may be of any length.
            stream_len_max: u64::MAX,
            window_len_max: table.limits.assembly_len_max.min(wrp_ssp::Limits::default().window_len_max),
            ..wrp_ssp::Limits::default()
        };
        let all = DemuxLimits {
            streams_max: STREAMS_MAX,
            streams_per_source_max: STREAMS_MAX,
            window_len_max: table.limits.assembly_len_max,
            ..DemuxLimits::default()
        };
        // Acknowledgements are kept apart before.
        let streams = Demultiplexer::new(limits, Timing::default(), all, None);
        Self { table, queue, streams, coming: HashMap::new(), epoch: tokio::time::Instant::now() }
    }

    fn now(&self) -> Instant {
        Instant::from_epoch(self.epoch.elapsed())
    }

    /// Runs until the link ends or nobody holds the connection any more.
    pub(super) async fn run(mut self, mut receiver: Receiver) {
        loop {
            let due = self.streams.poll_timeout().map(|deadline| self.epoch + deadline.at.since_epoch());
            let incoming = tokio::select! {
                incoming = receiver.receive() => incoming,
                () = sleep_until(due) => {
                    let now = self.now();
                    self.streams.handle_timeout(now);
                    self.move_streams(None).await;
                    continue;
                }
                () = self.queue.closed() => return,
            };
            let raw = match incoming {
                None => break,
                Some(Incoming::Message(received)) => self.sort(*received).await,
                Some(Incoming::Rejected(rejected)) => {
                    let what = format!("dropped something that came from {}", self.table.peer);
                    Some(self.table.refuse(Error::new(ErrorKind::Protocol, what, rejected.to_string())))
                }
                Some(Incoming::Down(down)) => {
                    let why = format!("{}; trying again in {:.1} s", down.why, down.retry_in.as_secs_f64());
                    let what = format!("the link to {} is down", self.table.peer);
                    Some(self.table.refuse(Error::new(ErrorKind::Lost, what, why)))
                }
                Some(_) => None,
            };
            if let Some(raw) = raw {
                self.hand_over(raw).await;
            }
        }
        let now = self.now();
        self.streams.close(now);
        self.move_streams(None).await;
        // In order, unless the one who ran the link has said otherwise.
        let _known = self.table.end.set(None);
        self.table.ended.send_replace(true);
        self.table.pending.end(&self.table.end_error());
    }

    /// What a message is; `None` where it went elsewhere.
    //= WRP-N7, WRP-N15, WRP-N16
    async fn sort(&mut self, received: Received) -> Option<Raw> {
        let message = received.message;
        if message.is_qos_ack_for(&self.table.own) {
            tracing::debug!(transaction = message.transaction_uuid, "an acknowledgement came");
            return None;
        }
        if let Err(error) = message.validate() {
            let what = format!("dropped a message from {}", self.table.peer);
            return Some(self.table.refuse(Error::new(ErrorKind::Protocol, what, error.to_string())));
        }
        self.table.learn(&message.source);
        if wrp_ssp::is_ssp(&message) {
            return self.take_packet(message).await;
        }
        match message.msg_type {
            MessageType::EVENT => Some(Raw::Message(message)),
            kind if kind.requires_transaction() => match self.reply_to(&message) {
                None => Some(Raw::Request(message)),
                Some(reply) => {
                    let id = reply?;
                    self.table.pending.resolve(id, outcome(&self.table.peer, message));
                    None
                }
            },
            _ => Some(Raw::Other(message)),
        }
    }

    /// Which request this is a reply to: `None` where it is a request itself, `Some(None)` for a reply to nothing of this end.
    //= WRP-N16
    fn reply_to(&self, message: &wrp::Message) -> Option<Option<u64>> {
        let id = self.table.own_request(&message.transaction_uuid);
        (id.is_some() || message.status.is_some()).then(|| {
            if id.is_none() {
                tracing::debug!(transaction = message.transaction_uuid, "dropped a reply to nothing of ours");
            }
            id
        })
    }

    async fn take_packet(&mut self, message: wrp::Message) -> Option<Raw> {
        let now = self.now();
        let refused = |why: String| {
            let what = format!("dropped a packet of a stream from {}", self.table.peer);
            Some(self.table.refuse(Error::new(ErrorKind::Protocol, what, why)))
        };
        let key = match self.streams.take_message(now, &message) {
            Routed::Taken(key) => key,
            Routed::Refused(why) => return refused(why.to_string()),
            Routed::TooManyStreams(limit) => {
                return refused(format!("limit {limit} reached: too many streams are open"));
            }
            Routed::Full => {
                return refused(
                    "limit assembly_len_max reached: too much waits for packets that are missing".to_owned(),
                );
            }
            // Copies of what has ended.
            _ => return None,
        };
        let trailer = trailer_of(&message);
        self.move_streams(Some((message, trailer, key))).await;
        None
    }

    /// Hands on what can be read of streams; `came` is the packet that was taken, with its trailer and stream.
    async fn move_streams(&mut self, mut came: Option<(wrp::Message, Option<Bytes>, StreamKey)>) {
        if let Some((_, Some(trailer), key)) = &came
            && let Some(coming) = self.coming.get_mut(key)
        {
            coming.trailer = trailer.clone();
        }
        while let Some(event) = self.streams.poll_event() {
            match event {
                DemuxEvent::Opened(key) => {
                    let Some((message, trailer, _)) = came.take() else { continue };
                    let (pieces, receiver) = mpsc::channel(PIECES_MAX);
                    self.coming.insert(key, Coming { pieces, trailer: trailer.unwrap_or_default() });
                    // Handed over before its content is: nobody could read it otherwise.
                    if let Some(raw) = self.opened(message, receiver) {
                        self.hand_over(raw).await;
                    }
                }
                DemuxEvent::Readable(key) => self.move_stream(&key).await,
                _ => {}
            }
        }
    }

    /// What the first packet of a stream begins; `None` for the reply to a request.
    fn opened(&self, message: wrp::Message, pieces: mpsc::Receiver<Piece>) -> Option<Raw> {
        let refused = refusal(&self.table.peer, &message);
        let head = message.clone();
        let stream = Stream::new(incoming_head(message), pieces);
        if !head.msg_type.requires_transaction() {
            return Some(Raw::Body(stream));
        }
        match self.reply_to(&head) {
            None => Some(Raw::RequestBody(head, stream)),
            Some(None) => None,
            Some(Some(id)) => {
                let answer = refused.map_or_else(|| Ok(RawReply::Body(Content::Linked(stream))), Err);
                self.table.pending.resolve(id, answer);
                None
            }
        }
    }

    /// Everything of a stream that can be read now. Waits for its reader, and the link with it.
    async fn move_stream(&mut self, key: &StreamKey) {
        loop {
            let now = self.now();
            let chunk = self.streams.take_chunk(now, key);
            let Some(coming) = self.coming.get(key) else {
                self.streams.remove(key);
                return;
            };
            let piece = match chunk {
                Some(octets) => Piece::Octets(octets),
                None => match self.streams.fill(now, key) {
                    Some(Fill::Pending) | None => return,
                    Some(Fill::Octets(_)) => continue,
                    Some(Fill::End) => Piece::End(coming.trailer.clone()),
                    Some(Fill::Failed(error)) => Piece::Failed(stream_error(&self.table.peer, error)),
                },
            };
            let is_last = !matches!(piece, Piece::Octets(_));
            let mut closing = self.table.closing.subscribe();
            let taken = tokio::select! {
                biased;
                sent = coming.pieces.send(piece) => sent.is_ok(),
                _ = closing.wait_for(|closing| *closing) => false,
            };
            if is_last || !taken {
                self.coming.remove(key);
                self.streams.remove(key);
                return;
            }
        }
    }

    /// Waits for a place in the queue.
    async fn hand_over(&self, raw: Raw) {
        let mut closing = self.table.closing.subscribe();
        let place = tokio::select! {
            biased;
            place = self.queue.reserve() => place.ok(),
            _ = closing.wait_for(|closing| *closing) => None,
        };
        if let Some(place) = place {
            place.send(raw);
        }
    }
}

async fn sleep_until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => core::future::pending().await,
    }
}

/// What a reply comes to.
//= WRP-N19
fn outcome(peer: &str, message: wrp::Message) -> Result<RawReply, Error> {
    match refusal(peer, &message) {
        None => Ok(RawReply::Message(incoming(message))),
        Some(error) => Err(error),
    }
}

/// Why there is no reply, where the peer or somebody on the way says so.
fn refusal(peer: &str, message: &wrp::Message) -> Option<Error> {
    let words = || message.payload.as_deref().map(crate::escape::octets).filter(|words| !words.is_empty());
    let why = match (message.status, message.rdr) {
        (Some(200..=299) | None, None | Some(0)) | (Some(200..=299), _) => return None,
        (Some(super::STATUS_REFUSED), _) => words().unwrap_or_else(|| "status 500".to_owned()),
        (Some(status), _) => match words() {
            Some(words) => format!("status {status}: {words}"),
            None => format!("status {status}"),
        },
        (None, Some(rdr)) => format!("it was not delivered, reason {rdr}"),
    };
    Some(Error::new(ErrorKind::Peer, format!("{peer} refused a request"), why))
}

fn stream_error(peer: &str, error: &wrp_ssp::StreamError) -> Error {
    use wrp_ssp::StreamError as E;
    let what = format!("a stream from {peer} was cut off");
    let (kind, remedy) = match error {
        E::Sender(_) => (ErrorKind::Peer, ""),
        E::Closed { .. } => (ErrorKind::Lost, "connect again and send it anew"),
        E::Idle { .. } | E::Total { .. } => (ErrorKind::Timeout, "send it anew"),
        E::TooLong { .. } => (ErrorKind::Limit, ""),
        _ => (ErrorKind::Protocol, "send it anew"),
    };
    let why = match error {
        E::Sender(words) => crate::escape::text(words),
        other => other.to_string(),
    };
    Error::new(kind, what, why).with_remedy(remedy)
}
