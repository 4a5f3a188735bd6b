//! Requests and replies, at both ends.

use crate::body::{Body, BodyWriter};
use crate::connection::{Answer, Connection, Place, RawReply};
use crate::convention::{Form, Tag};
use crate::{Error, Message};
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// A request that came. Answer it with one of its calls; dropped without one, the peer is told that there is no reply.
#[derive(Debug)]
pub struct Request {
    message: Message,
    id: u64,
    connection: Connection,
    is_answered: bool,
}

impl Request {
    pub(crate) fn new(connection: &Connection, id: u64, message: Message) -> Self {
        Self { message, id, connection: connection.clone(), is_answered: false }
    }

    /// What was asked; of a request with a body, its head.
    #[must_use]
    pub const fn message(&self) -> &Message {
        &self.message
    }

    /// The connection it came on.
    #[must_use]
    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Sends the reply, of up to 14 parts.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub async fn reply(mut self, message: impl Into<Message>) -> Result<(), Error> {
        let tag = Tag::Reply { id: self.id, form: Form::Whole };
        self.connection.inner.send_tagged(tag, message.into()).await?;
        self.is_answered = true;
        Ok(())
    }

    /// Answers that there is no reply, and why: the requester gets an error of kind [`Peer`](crate::ErrorKind::Peer).
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub async fn refuse(mut self, why: impl Into<String>) -> Result<(), Error> {
        let tag = Tag::Reply { id: self.id, form: Form::Error };
        self.connection.inner.send_tagged(tag, Message::from(why.into())).await?;
        self.is_answered = true;
        Ok(())
    }

    /// Opens a reply whose content follows piece by piece.
    ///
    /// # Errors
    /// As [`Connection::open_body`].
    pub async fn reply_body(mut self, head: impl Into<Message>) -> Result<BodyWriter, Error> {
        let tag = Tag::Reply { id: self.id, form: Form::Body };
        let body = BodyWriter::open(&self.connection, tag, head.into()).await?;
        self.is_answered = true;
        Ok(body)
    }
}

/// Nobody should wait for a reply that will not come. Best effort: a connection with 64 such refusals under way sends no
/// more of them.
impl Drop for Request {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        let permit = Arc::clone(&self.connection.inner.refusals).try_acquire_owned();
        let (Ok(permit), Ok(runtime)) = (permit, tokio::runtime::Handle::try_current()) else { return };
        let (connection, tag) = (self.connection.clone(), Tag::Reply { id: self.id, form: Form::Error });
        runtime.spawn(async move {
            let why = Message::from("the request was dropped without a reply");
            let _ended = connection.inner.send_tagged(tag, why).await;
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
            RawReply::Body(stream) => Self::Body(Body::new(connection, stream)),
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
    connection: Connection,
    body: BodyWriter,
    place: Place,
    /// A reply that came before the end.
    early: Option<Answer>,
    _permit: OwnedSemaphorePermit,
}

impl RequestWriter {
    pub(crate) fn new(connection: &Connection, body: BodyWriter, place: Place, permit: OwnedSemaphorePermit) -> Self {
        Self { connection: connection.clone(), body, place, early: None, _permit: permit }
    }

    /// As [`BodyWriter::write`]. Once a reply is there the rest of the content is of no use and is not sent.
    ///
    /// # Errors
    /// The peer's refusal as soon as it comes; `Closed` and `Lost`.
    pub async fn write(&mut self, content: impl Into<Bytes>) -> Result<(), Error> {
        if self.early.is_none() {
            tokio::select! {
                biased;
                answer = &mut self.place.answer => {
                    self.early = Some(answer.unwrap_or_else(|_| Err(self.connection.inner.table_end_error())));
                }
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
        let Self { connection, body, mut place, early, _permit } = self;
        let inner = &connection.inner;
        let ended = || Err(inner.table_end_error());
        let answer = match early {
            Some(answer) => answer,
            None => {
                body.finish_with(trailer).await?;
                tokio::select! {
                    biased;
                    answer = &mut place.answer => answer.unwrap_or_else(|_| ended()),
                    flushed = connection.flush() => {
                        flushed?;
                        let timeout = inner.request_timeout();
                        let answered = tokio::time::timeout(timeout, &mut place.answer).await;
                        answered.map_err(|_| inner.no_reply(timeout))?.unwrap_or_else(|_| ended())
                    }
                }
            }
        };
        Reply::new(answer?, &connection).into_message(inner.message_len_max()).await
    }
}
