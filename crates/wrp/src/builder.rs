//! Messages that are valid.

use crate::{Invalid, Message, MessageType, Qos};
use bytes::Bytes;

/// An event. Builds a message of type 4.
#[derive(Clone, Copy, Debug)]
pub struct Event;

/// A request, or the reply to one. Builds a message of type 3.
#[derive(Clone, Copy, Debug)]
pub struct Request;

/// What acts on something. Builds messages of types 5 to 8.
#[derive(Clone, Copy, Debug)]
pub struct Crud;

impl Event {
    /// From `source` to `dest`.
    #[allow(clippy::new_ret_no_self, reason = "what comes out is a message")]
    #[must_use]
    pub fn new(source: impl Into<String>, dest: impl Into<String>) -> Builder {
        Builder::new(MessageType::EVENT, source, dest)
    }
}

impl Request {
    /// From `source` to `dest`; the reply has the same `transaction_uuid`.
    #[allow(clippy::new_ret_no_self, reason = "what comes out is a message")]
    #[must_use]
    pub fn new(source: impl Into<String>, dest: impl Into<String>, transaction_uuid: impl Into<String>) -> Builder {
        Builder::new(MessageType::REQUEST, source, dest).transaction_uuid(transaction_uuid)
    }

    /// The reply to `request`: back to where it came from.
    #[must_use]
    pub fn reply_to(request: &Message) -> Builder {
        Self::new(&request.dest, &request.source, &request.transaction_uuid)
    }
}

impl Crud {
    /// One of the four types that act on something.
    #[must_use]
    pub fn create(source: impl Into<String>, dest: impl Into<String>, transaction_uuid: impl Into<String>) -> Builder {
        Builder::new(MessageType::CREATE, source, dest).transaction_uuid(transaction_uuid)
    }

    /// As [`create`](Self::create).
    #[must_use]
    pub fn retrieve(
        source: impl Into<String>,
        dest: impl Into<String>,
        transaction_uuid: impl Into<String>,
    ) -> Builder {
        Builder::new(MessageType::RETRIEVE, source, dest).transaction_uuid(transaction_uuid)
    }

    /// As [`create`](Self::create).
    #[must_use]
    pub fn update(source: impl Into<String>, dest: impl Into<String>, transaction_uuid: impl Into<String>) -> Builder {
        Builder::new(MessageType::UPDATE, source, dest).transaction_uuid(transaction_uuid)
    }

    /// As [`create`](Self::create).
    #[must_use]
    pub fn delete(source: impl Into<String>, dest: impl Into<String>, transaction_uuid: impl Into<String>) -> Builder {
        Builder::new(MessageType::DELETE, source, dest).transaction_uuid(transaction_uuid)
    }
}

/// A message being put together. [`build`](Self::build) gives it out only where it is valid.
#[derive(Clone, Debug)]
pub struct Builder(Message);

impl Builder {
    fn new(msg_type: MessageType, source: impl Into<String>, dest: impl Into<String>) -> Self {
        Self(Message { msg_type, source: source.into(), dest: dest.into(), ..Message::default() })
    }

    pub(crate) const fn from_message(message: Message) -> Self {
        Self(message)
    }

    /// Names the exchange.
    #[must_use]
    pub fn transaction_uuid(mut self, text: impl Into<String>) -> Self {
        self.0.transaction_uuid = text.into();
        self
    }

    /// What the payload is.
    #[must_use]
    pub fn content_type(mut self, text: impl Into<String>) -> Self {
        self.0.content_type = text.into();
        self
    }

    /// What payload is wanted back.
    #[must_use]
    pub fn accept(mut self, text: impl Into<String>) -> Self {
        self.0.accept = text.into();
        self
    }

    /// How it went.
    #[must_use]
    pub const fn status(mut self, status: i64) -> Self {
        self.0.status = Some(status);
        self
    }

    /// Why it was not delivered.
    #[must_use]
    pub const fn rdr(mut self, rdr: i64) -> Self {
        self.0.rdr = Some(rdr);
        self
    }

    /// One more header, `label: value`.
    #[must_use]
    pub fn header(mut self, header: impl Into<String>) -> Self {
        self.0.headers.push(header.into());
        self
    }

    /// One more entry of the metadata; one with the same name is replaced.
    #[must_use]
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), value.into());
        match self.0.metadata.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.metadata.push((name, value)),
        }
        self
    }

    /// What is acted on.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.0.path = path.into();
        self
    }

    /// What it carries.
    #[must_use]
    pub fn payload(mut self, payload: impl Into<Bytes>) -> Self {
        self.0.payload = Some(payload.into());
        self
    }

    /// One more whose it is. An empty one is dropped when the message is built.
    //= WRP-W6
    #[must_use]
    pub fn partner_id(mut self, id: impl Into<String>) -> Self {
        self.0.partner_ids.push(id.into());
        self
    }

    /// The session of the device.
    #[must_use]
    pub fn session_id(mut self, id: impl Into<String>) -> Self {
        self.0.session_id = id.into();
        self
    }

    /// How much it matters.
    #[must_use]
    pub const fn qos(mut self, qos: Qos) -> Self {
        self.0.qos = qos;
        self
    }

    /// The message.
    ///
    /// # Errors
    /// [`Invalid`] where its type does not allow what was set.
    pub fn build(mut self) -> Result<Message, Invalid> {
        self.0.partner_ids.retain(|id| !id.is_empty());
        self.0.validate()?;
        Ok(self.0)
    }
}
