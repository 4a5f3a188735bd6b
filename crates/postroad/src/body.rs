//! Content of unknown length, both ways.

use crate::connection::{Connection, framed, linked, sessioned};
use crate::{Error, ErrorKind, Message};
use bytes::{Bytes, BytesMut};

/// Sends content piece by piece. Dropping it before [`finish`](Self::finish) gives the body up, and the peer learns it.
#[derive(Debug)]
pub struct BodyWriter {
    way: Way,
    connection: Connection,
}

#[derive(Debug)]
enum Way {
    Framed(framed::Writer),
    /// On the heap, since it is much larger than the other.
    Linked(Box<linked::Writer>),
    Sessioned(Box<sessioned::Writer>),
}

impl BodyWriter {
    pub(crate) const fn framed(connection: Connection, writer: framed::Writer) -> Self {
        Self { way: Way::Framed(writer), connection }
    }

    pub(crate) const fn linked(connection: Connection, writer: Box<linked::Writer>) -> Self {
        Self { way: Way::Linked(writer), connection }
    }

    pub(crate) const fn sessioned(connection: Connection, writer: Box<sessioned::Writer>) -> Self {
        Self { way: Way::Sessioned(writer), connection }
    }

    /// Appends to the content. Waits while the peer takes nothing: that is the back-pressure. A write that is cancelled
    /// has queued a part of its content from the start: write the rest, or give the body up.
    ///
    /// # Errors
    /// `Closed` and `Lost`.
    pub async fn write(&mut self, content: impl Into<Bytes>) -> Result<(), Error> {
        match &mut self.way {
            Way::Framed(writer) => writer.write(content.into()).await,
            Way::Linked(writer) => writer.write(content.into()).await,
            Way::Sessioned(writer) => writer.write(content.into()).await,
        }
    }

    pub(crate) const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Ends the body.
    ///
    /// # Errors
    /// `Closed` and `Lost`.
    pub async fn finish(self) -> Result<(), Error> {
        self.finish_with(Bytes::new()).await
    }

    /// The stream of a session that is its own, where it has one.
    pub(crate) fn stream(&self) -> Option<smrp::StreamId> {
        match &self.way {
            Way::Sessioned(writer) => writer.stream_id(),
            _ => None,
        }
    }

    /// Ends the body with a trailer, for what is only known at the end, such as a checksum. At most 64 KiB unless the
    /// receiver's limits say otherwise; over `wrp` a line of text of at most 1,024 octets.
    ///
    /// # Errors
    /// `Closed` and `Lost`; over `wrp` also `Unsupported`.
    pub async fn finish_with(self, trailer: impl Into<Bytes>) -> Result<(), Error> {
        match self.way {
            Way::Framed(writer) => writer.finish(trailer.into()).await,
            Way::Linked(writer) => writer.finish(trailer.into()).await,
            Way::Sessioned(writer) => writer.finish(trailer.into()).await,
        }
    }
}

/// Content as it comes, whichever protocol brings it.
#[derive(Debug)]
pub(crate) enum Content {
    Framed(framed::Stream),
    Linked(linked::Stream),
    Sessioned(sessioned::Stream),
}

impl Content {
    pub(crate) const fn head(&self) -> &Message {
        match self {
            Self::Framed(stream) => &stream.head,
            Self::Linked(stream) => &stream.head,
            Self::Sessioned(stream) => &stream.head,
        }
    }
}

/// Content that comes piece by piece. A peer that sends faster than it is read is asked to pause, so it takes little
/// memory however long it is; while it is not read, nothing else on the connection moves for long either.
#[derive(Debug)]
pub struct Body {
    content: Content,
    /// Keeps the connection while the body is read.
    connection: Connection,
}

impl Body {
    pub(crate) const fn new(connection: Connection, content: Content) -> Self {
        Self { content, connection }
    }

    /// The parts that came before the content.
    #[must_use]
    pub const fn head(&self) -> &Message {
        self.content.head()
    }

    /// The connection it comes on.
    #[must_use]
    pub fn connection(&self) -> Connection {
        self.connection.clone()
    }

    /// The next piece of content, never empty; `None` at the end. Cancel-safe.
    ///
    /// # Errors
    /// `Lost` where the connection ended before the body, `Peer` where its sender gave it up, `Protocol`.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        match &mut self.content {
            Content::Framed(stream) => stream.next().await,
            Content::Linked(stream) => stream.next().await,
            Content::Sessioned(stream) => stream.next().await,
        }
    }

    /// What the sender put behind the content; `None` until [`next`](Self::next) has returned `None`.
    #[must_use]
    pub fn trailer(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Framed(stream) => stream.trailer(),
            Content::Linked(stream) => stream.trailer(),
            Content::Sessioned(stream) => stream.trailer(),
        }
    }

    /// The rest of the content in one piece.
    ///
    /// # Errors
    /// `Limit` as soon as there are more than `len_max` octets, else as [`next`](Self::next).
    pub async fn collect(mut self, len_max: usize) -> Result<Bytes, Error> {
        let mut content = BytesMut::new();
        while let Some(piece) = self.next().await? {
            if content.len() + piece.len() > len_max {
                let why = format!("it has more than {len_max} octets");
                return Err(Error::new(ErrorKind::Limit, "could not take a body whole", why)
                    .with_remedy("read it piece by piece"));
            }
            content.extend_from_slice(&piece);
        }
        Ok(content.freeze())
    }
}
