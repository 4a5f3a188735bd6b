//! The task that sorts what comes: replies to those who wait for them, everything else into one bounded queue.

use super::ledger::{Charge, Ledger};
use super::stream::{self, Assembled, Stream};
use crate::body::Content;
use crate::connection::pending::{Pending, RawReply};
use crate::convention::{self, Form, Tag};
use crate::options::Limits;
use crate::{Error, ErrorKind, Message};
use smp_framing::{Arguments, BodyReceiver, Incoming as SmpIncoming, Receiver};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;

/// What came, before it is tied to the connection.
#[derive(Debug)]
pub(super) enum Raw {
    Message(Message),
    Request(u64, Message),
    Body(Stream),
    RequestBody(u64, Stream),
    Information(Message),
    PeerError { number: Option<u16>, text: String },
    Custom { code: u8, message: Message },
    Refused(Error),
}

/// An item of the queue, and its place in it.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) raw: Raw,
    _place: OwnedSemaphorePermit,
    _charge: Option<Charge>,
}

/// What the router and the connection's handles know together.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) pending: Arc<Pending>,
    pub(super) limits: Limits,
    /// Places in the queue.
    places: Arc<Semaphore>,
    ledger: Arc<Ledger>,
    pub(super) refused_count: AtomicU64,
    /// How it ended: `None` inside for in order.
    pub(super) end: OnceLock<Option<Error>>,
    /// Set once this end closes: what then comes and finds no place is dropped, so that the end is reached.
    closing: watch::Sender<bool>,
    ended: watch::Sender<bool>,
    /// Who is at the other end, for errors.
    pub(super) peer: String,
}

impl Table {
    pub(super) fn new(limits: Limits, peer: String) -> Arc<Self> {
        Arc::new(Self {
            pending: Arc::default(),
            limits,
            places: Arc::new(Semaphore::new(limits.incoming_count_max)),
            ledger: Ledger::new(limits.assembly_len_max),
            refused_count: AtomicU64::new(0),
            end: OnceLock::new(),
            closing: watch::Sender::new(false),
            ended: watch::Sender::new(false),
            peer,
        })
    }

    /// True where nothing more is read because nothing is received.
    pub(super) fn is_full(&self) -> bool {
        self.places.available_permits() == 0
    }

    /// From now on what finds no place in the queue is dropped, so that the end is reached.
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
}

/// A place in the queue, or why there is none.
enum Place {
    Taken(OwnedSemaphorePermit),
    None,
    NobodyListens,
}

pub(super) struct Router {
    pub(super) table: Arc<Table>,
    pub(super) queue: mpsc::UnboundedSender<Item>,
}

impl Router {
    /// Runs until the connection ends or nobody holds it any more.
    pub(super) async fn run(self, mut receiver: Receiver) {
        let mut bodies = JoinSet::new();
        let end = loop {
            tokio::select! {
                received = receiver.receive() => match received {
                    Ok(Some(incoming)) => if !self.sort(incoming, &mut bodies).await { return },
                    Ok(None) => break None,
                    Err(error) => break Some(lost(&self.table.peer, error)),
                },
                Some(_) = bodies.join_next() => {}
                () = self.queue.closed() => return,
            }
        };
        let _first = self.table.end.set(end);
        self.table.ended.send_replace(true);
        // What has come whole is still handed over, and the rest learns of the end by itself.
        while bodies.join_next().await.is_some() {}
        self.table.pending.end(&self.table.end_error());
    }

    /// `false` where nobody is left to hand anything to.
    async fn sort(&self, incoming: SmpIncoming, bodies: &mut JoinSet<()>) -> bool {
        let raw = match incoming {
            SmpIncoming::Message(arguments) => match self.sort_whole(arguments) {
                Some(raw) => raw,
                None => return true,
            },
            SmpIncoming::Body(receiver) => {
                let place = match self.place().await {
                    Place::Taken(place) => place,
                    Place::None => return true,
                    Place::NobodyListens => return false,
                };
                let (table, queue) = (Arc::clone(&self.table), self.queue.clone());
                bodies.spawn(async move { sort_body(&Self { table, queue }, receiver, place).await });
                return true;
            }
            SmpIncoming::Information(arguments) => Raw::Information(arguments.into_vec().into()),
            SmpIncoming::Error(report) => Raw::PeerError { number: report.number, text: report.text },
            SmpIncoming::User(code, arguments) => {
                Raw::Custom { code: smp_framing::Code::from(code).number(), message: arguments.into_vec().into() }
            }
            _ => return true,
        };
        match self.place().await {
            Place::Taken(place) => self.hand_over(raw, place, None),
            Place::None => true,
            Place::NobodyListens => false,
        }
    }

    /// What a whole message is; `None` where it was a reply.
    fn sort_whole(&self, arguments: Arguments) -> Option<Raw> {
        let tag = match convention::parse(arguments.get(0).unwrap_or_default()) {
            Ok(Some(tag)) => tag,
            Ok(None) => return Some(Raw::Message(arguments.into_vec().into())),
            Err(why) => return Some(self.refuse(mistagged(why))),
        };
        if tag.form() == Form::Body {
            return match Stream::whole(&arguments, &self.table.limits) {
                Ok(stream) => self.sort_stream(tag, stream),
                Err(error) => self.refuse_for(tag, error),
            };
        }
        let mut parts = arguments.into_vec();
        parts.remove(0);
        match tag {
            Tag::Request { id, .. } => Some(Raw::Request(id, parts.into())),
            Tag::Reply { id, form: Form::Error } => {
                let text = parts.first().map_or_else(String::new, |text| crate::escape::octets(text));
                let error = Error::new(ErrorKind::Peer, format!("{} refused a request", self.table.peer), text);
                self.table.pending.resolve(id, Err(error));
                None
            }
            Tag::Reply { id, .. } => {
                self.table.pending.resolve(id, Ok(RawReply::Message(parts.into())));
                None
            }
            Tag::Body => None,
        }
    }

    fn sort_stream(&self, tag: Tag, stream: Stream) -> Option<Raw> {
        match tag {
            Tag::Request { id, .. } => Some(Raw::RequestBody(id, stream)),
            Tag::Reply { id, .. } => {
                self.table.pending.resolve(id, Ok(RawReply::Body(Content::Framed(stream))));
                None
            }
            Tag::Body => Some(Raw::Body(stream)),
        }
    }

    fn refuse(&self, error: Error) -> Raw {
        self.table.refused_count.fetch_add(1, Ordering::Relaxed);
        Raw::Refused(error)
    }

    /// Whoever waits for a reply that cannot be taken learns why.
    fn refuse_for(&self, tag: Tag, error: Error) -> Option<Raw> {
        if let Tag::Reply { id, .. } = tag {
            self.table.pending.resolve(id, Err(error));
            return None;
        }
        Some(self.refuse(error))
    }

    /// Waits for a place in the queue.
    async fn place(&self) -> Place {
        let mut closing = self.table.closing.subscribe();
        tokio::select! {
            biased;
            Ok(place) = Arc::clone(&self.table.places).acquire_owned() => Place::Taken(place),
            () = self.queue.closed() => Place::NobodyListens,
            _ = closing.wait_for(|closing| *closing) => Place::None,
        }
    }

    fn hand_over(&self, raw: Raw, place: OwnedSemaphorePermit, charge: Option<Charge>) -> bool {
        self.queue.send(Item { raw, _place: place, _charge: charge }).is_ok()
    }
}

/// Takes one message of pieces to where it belongs.
async fn sort_body(router: &Router, receiver: BodyReceiver, place: OwnedSemaphorePermit) {
    let mut charge = router.table.ledger.open();
    let raw = match stream::read(receiver, &router.table.limits, &mut charge).await {
        Ok(Assembled::Whole(arguments)) => {
            charge.finish();
            router.sort_whole(arguments)
        }
        Ok(Assembled::Stream(tag, stream)) => router.sort_stream(tag, stream),
        Err(error) => Some(router.refuse(error)),
    };
    if let Some(raw) = raw {
        let _nobody_is_left = router.hand_over(raw, place, Some(charge));
    }
}

fn mistagged(why: &str) -> Error {
    let what = "dropped a message whose first part begins like a tag of the request convention";
    Error::new(ErrorKind::Protocol, what, why)
        .with_remedy("the peer must write `postroad-request/1 NUMBER` or `postroad-reply/1 NUMBER`")
}

fn lost(peer: &str, error: smp_framing::ConnectionError) -> Error {
    use smp_framing::ConnectionError as E;
    use smp_framing::machine::CloseReason;
    let what = format!("the connection to {peer} broke");
    match error {
        E::Carrier(error) => match postroad_transport::CarrierError::from_io(&error) {
            Some(carrier) => Error::carrier(what, carrier.clone()),
            None => Error::new(ErrorKind::Lost, what, error.to_string()).with_source(error),
        },
        E::Ended(reason @ CloseReason::Limit(_)) => Error::new(ErrorKind::Limit, what, reason.to_string()),
        E::Ended(reason) => Error::new(ErrorKind::Lost, what, reason.to_string()),
        other => Error::new(ErrorKind::Lost, what, other.to_string()).with_source(other),
    }
}
