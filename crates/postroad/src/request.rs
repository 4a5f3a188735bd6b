//! Requests and replies, at both ends.

use crate::body::{Body, BodyWriter};
use crate::connection::Connection;
use crate::connection::framed::Framed;
use crate::connection::linked::LinkedRequest;
use crate::connection::mailslot::Asked;
use crate::connection::pending::{Answer, Place, RawReply};
use crate::connection::sessioned::SessionedRequest;
use crate::convention::{Form, Tag};
use crate::{Error, Message};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::task::AbortHandle;

/// A request that came. Answer it with one of its calls; dropped without one, the peer is told that there is no reply.
#[derive(Debug)]
pub struct Request {
    message: Message,
    way: Way,
}

/// How a request is answered.
#[derive(Debug)]
enum Way {
    Framed(FramedRequest),
    /// On the heap, since it is much larger than the first.
    Mailslot(Box<Asked>),
    Linked(Box<LinkedRequest>),
    Sessioned(Box<SessionedRequest>),
}

/// A request of the convention.
#[derive(Debug)]
struct FramedRequest {
    id: u64,
    connection: Framed,
    is_answered: bool,
}

impl Request {
    pub(crate) fn framed(connection: &Framed, id: u64, message: Message) -> Self {
        let way = FramedRequest { id, connection: connection.clone(), is_answered: false };
        Self { message, way: Way::Framed(way) }
    }

    pub(crate) const fn of_mailslot(message: Message, asked: Box<Asked>) -> Self {
        Self { message, way: Way::Mailslot(asked) }
    }

    pub(crate) const fn linked(message: Message, request: Box<LinkedRequest>) -> Self {
        Self { message, way: Way::Linked(request) }
    }

    pub(crate) const fn sessioned(message: Message, request: Box<SessionedRequest>) -> Self {
        Self { message, way: Way::Sessioned(request) }
    }

    /// What was asked; of a request with a body, its head.
    #[must_use]
    pub const fn message(&self) -> &Message {
        &self.message
    }

    /// The connection it came on; over `smp121` the mailslot, which has the requests of all peers.
    #[must_use]
    pub fn connection(&self) -> Connection {
        match &self.way {
            Way::Framed(request) => (&request.connection).into(),
            Way::Mailslot(asked) => asked.connection(),
            Way::Linked(request) => request.connection(),
            Way::Sessioned(request) => request.connection(),
        }
    }

    /// Who asks, as the carrier knows it.
    #[must_use]
    pub fn peer(&self) -> String {
        match &self.way {
            Way::Framed(request) => request.connection.peer().to_owned(),
            Way::Mailslot(asked) => asked.peer(),
            Way::Linked(request) => request.peer(),
            Way::Sessioned(request) => request.peer(),
        }
    }

    /// Sends the reply, of up to 14 parts; of one part or none over `smp121`.
    ///
    /// # Errors
    /// As [`Connection::send`]. Over `smp121` also `Limit` where the peer takes no such large reply, `Lost` where it waits
    /// no more, and `Usage` where the reply begins like a refusal of the convention.
    pub async fn reply(self, message: impl Into<Message>) -> Result<(), Error> {
        match self.way {
            Way::Framed(request) => request.answer(Form::Whole, message.into()).await,
            Way::Mailslot(asked) => asked.reply(message.into()),
            Way::Linked(request) => request.reply(message.into()).await,
            Way::Sessioned(request) => request.reply(&message.into()).await,
        }
    }

    /// Answers that there is no reply, and why: the requester gets an error of kind [`Peer`](crate::ErrorKind::Peer).
    ///
    /// Over `smp121` every request has a reply, so the words go in one that `docs/guide/mailslots.md` describes.
    ///
    /// # Errors
    /// As [`reply`](Self::reply).
    pub async fn refuse(self, why: impl Into<String>) -> Result<(), Error> {
        match self.way {
            Way::Framed(request) => request.answer(Form::Error, Message::from(why.into())).await,
            Way::Mailslot(asked) => asked.refuse(&why.into()),
            Way::Linked(request) => request.refuse(&why.into()).await,
            Way::Sessioned(request) => request.refuse(&why.into()).await,
        }
    }

    /// Opens a reply whose content follows piece by piece.
    ///
    /// # Errors
    /// As [`Connection::open_body`]. The peer is told that there is no reply.
    pub async fn reply_body(self, head: impl Into<Message>) -> Result<BodyWriter, Error> {
        self.reply_body_of(head.into(), None).await
    }

    /// [`reply_body`](Self::reply_body) of this length, as far as is known.
    pub(crate) async fn reply_body_of(self, head: Message, len: Option<u64>) -> Result<BodyWriter, Error> {
        match self.way {
            Way::Framed(mut request) => {
                let tag = Tag::Reply { id: request.id, form: Form::Body };
                let body = request.connection.open_writer(tag, head).await?;
                request.is_answered = true;
                Ok(body)
            }
            Way::Mailslot(asked) => Err(asked.no_bodies()),
            Way::Linked(request) => request.reply_body(head, len).await,
            Way::Sessioned(request) => request.reply_body(head).await,
        }
    }

    /// A request to a mailslot, which can be answered with octets alone.
    pub(crate) fn into_asked(self) -> Result<(Message, Box<Asked>), Self> {
        match self {
            Self { message, way: Way::Mailslot(asked) } => Ok((message, asked)),
            other => Err(other),
        }
    }
}

impl FramedRequest {
    async fn answer(mut self, form: Form, message: Message) -> Result<(), Error> {
        self.connection.send_tagged(Tag::Reply { id: self.id, form }, message).await?;
        self.is_answered = true;
        Ok(())
    }
}

/// Nobody should wait for a reply that will not come. Best effort: a connection with 64 such refusals under way sends no
/// more of them.
impl Drop for FramedRequest {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        let permit = self.connection.refusal_place();
        let (Some(permit), Ok(runtime)) = (permit, tokio::runtime::Handle::try_current()) else { return };
        let (connection, tag) = (self.connection.clone(), Tag::Reply { id: self.id, form: Form::Error });
        runtime.spawn(async move {
            let why = Message::from(crate::convention::DROPPED);
            let _ended = connection.send_tagged(tag, why).await;
            drop(permit);
        });
    }
}

/// The reply to a request, whichever way it came.
#[derive(Debug)]
pub enum Reply {
    /// A message.
    Message(Message),
    /// Content of unknown length.
    Body(Body),
}

impl Reply {
    pub(crate) fn new(raw: RawReply, connection: &Connection) -> Self {
        match raw {
            RawReply::Message(message) => Self::Message(message),
            RawReply::Body(content) => Self::Body(Body::new(connection.clone(), content)),
        }
    }

    /// The reply as a message; of a body, its head and then its content.
    ///
    /// # Errors
    /// `Limit` where the content has more than `len_max` octets, else as [`Body::next`].
    pub async fn into_message(self, len_max: usize) -> Result<Message, Error> {
        match self {
            Self::Message(message) => Ok(message),
            Self::Body(body) => {
                let head = body.head().clone();
                Ok(head.with_part(body.collect(len_max).await?))
            }
        }
    }
}

/// Sends the content of a request piece by piece, then waits for the reply.
#[derive(Debug)]
pub struct RequestWriter {
    body: BodyWriter,
    place: Waits,
    /// A reply that came before the end.
    early: Option<Result<Reply, Error>>,
    _permit: OwnedSemaphorePermit,
}

/// Where the reply will come out.
#[derive(Debug)]
enum Waits {
    /// Of all that comes on the connection.
    Place(Place),
    /// Of a stream of its own, and the task that reads it.
    Stream(oneshot::Receiver<Result<Reply, Error>>, AbortHandle),
}

impl Waits {
    /// Cancel-safe. `Err(())` where the connection has ended.
    async fn answer(&mut self, connection: &Connection) -> Result<Reply, Error> {
        let ended = |_| Err(connection.end_error());
        match self {
            Self::Place(place) => {
                let answer: Answer = (&mut place.answer).await.unwrap_or_else(ended);
                answer.map(|raw| Reply::new(raw, connection))
            }
            Self::Stream(answer, _) => answer.await.unwrap_or_else(|_| Err(connection.end_error())),
        }
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        if let Self::Stream(_, reading) = self {
            reading.abort();
        }
    }
}

impl RequestWriter {
    pub(crate) const fn new(body: BodyWriter, place: Place, permit: OwnedSemaphorePermit) -> Self {
        Self { body, place: Waits::Place(place), early: None, _permit: permit }
    }

    pub(crate) const fn sessioned(
        body: BodyWriter,
        answer: oneshot::Receiver<Result<Reply, Error>>,
        reading: AbortHandle,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self { body, place: Waits::Stream(answer, reading), early: None, _permit: permit }
    }

    /// As [`BodyWriter::write`]. Once a reply is there the rest of the content is of no use and is not sent.
    ///
    /// # Errors
    /// The peer's refusal as soon as it comes; `Closed` and `Lost`.
    pub async fn write(&mut self, content: impl Into<Bytes>) -> Result<(), Error> {
        if self.early.is_none() {
            let connection = self.body.connection().clone();
            tokio::select! {
                biased;
                answer = self.place.answer(&connection) => self.early = Some(answer),
                written = self.body.write(content) => return written,
            }
        }
        match &self.early {
            Some(Err(error)) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Ends the content with a trailer, which may be empty, and waits for the reply. The time-out of the connection's
    /// options runs from when the carrier has taken all of the content, however long that takes.
    ///
    /// # Errors
    /// As [`Connection::request`].
    pub async fn finish(self, trailer: impl Into<Bytes>) -> Result<Message, Error> {
        let Self { body, mut place, early, _permit } = self;
        let connection = body.connection().clone();
        let answer = match early {
            Some(answer) => answer,
            None => {
                let stream = body.stream();
                body.finish_with(trailer).await?;
                tokio::select! {
                    biased;
                    answer = place.answer(&connection) => answer,
                    flushed = connection.flush_of(stream) => {
                        flushed?;
                        let timeout = connection.request_timeout();
                        let answered = tokio::time::timeout(timeout, place.answer(&connection)).await;
                        answered.unwrap_or_else(|_| Err(connection.no_reply(timeout)))
                    }
                }
            }
        };
        answer?.into_message(connection.message_len_max()).await
    }
}
