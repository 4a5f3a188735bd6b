//! Content of unknown length, both ways.

use crate::connection::Connection;
use crate::connection::framed::{Framed, Stream, body_arguments};
use crate::convention::Tag;
use crate::{Error, ErrorKind, Message};
use bytes::{Bytes, BytesMut};
use smp_framing::BodySender;

/// Longer writes are handed on in pieces of this many octets, which bounds what waits between caller and carrier.
const PIECE_LEN_MAX: usize = 64 * 1024;

/// Sends content piece by piece. Dropping it before [`finish`](Self::finish) gives the body up, and the peer learns it.
#[derive(Debug)]
pub struct BodyWriter {
    sender: BodySender,
    content_index: u8,
    connection: Framed,
}

impl BodyWriter {
    pub(crate) async fn open(connection: &Framed, tag: Tag, head: Message) -> Result<Self, Error> {
        let head = body_arguments(tag, head)?;
        let failed = |error| connection.send_error(error);
        let content_index = u8::try_from(head.len()).unwrap_or(u8::MAX);
        let mut sender = connection.sender().open_body(content_index + 2).await.map_err(failed)?;
        for (index, part) in (0..).zip(head) {
            if !part.is_empty() {
                sender.write(index, part).await.map_err(failed)?;
            }
        }
        Ok(Self { sender, content_index, connection: connection.clone() })
    }

    /// Appends to the content. Waits while the peer takes nothing: that is the back-pressure. A write that is cancelled
    /// has queued a part of its content from the start: write the rest, or give the body up.
    ///
    /// # Errors
    /// `Closed` and `Lost`.
    pub async fn write(&mut self, content: impl Into<Bytes>) -> Result<(), Error> {
        let mut content = content.into();
        while !content.is_empty() {
            let piece = content.split_to(content.len().min(PIECE_LEN_MAX));
            self.put(self.content_index, piece).await?;
        }
        Ok(())
    }

    pub(crate) const fn connection(&self) -> &Framed {
        &self.connection
    }

    async fn put(&mut self, index: u8, piece: Bytes) -> Result<(), Error> {
        self.sender.write(index, piece).await.map_err(|error| self.connection.send_error(error))
    }

    /// Ends the body.
    ///
    /// # Errors
    /// `Closed` and `Lost`.
    pub async fn finish(self) -> Result<(), Error> {
        self.finish_with(Bytes::new()).await
    }

    /// Ends the body with a trailer, for what is only known at the end, such as a checksum. At most 64 KiB unless the
    /// receiver's limits say otherwise.
    ///
    /// # Errors
    /// `Closed` and `Lost`.
    pub async fn finish_with(mut self, trailer: impl Into<Bytes>) -> Result<(), Error> {
        let trailer = trailer.into();
        if !trailer.is_empty() {
            self.put(self.content_index + 1, trailer).await?;
        }
        self.sender.finish().await.map_err(|error| self.connection.send_error(error))
    }
}

/// Content that comes piece by piece. A peer that sends faster than it is read is asked to pause, so it takes little
/// memory however long it is; while it is not read, nothing else on the connection moves for long either.
#[derive(Debug)]
pub struct Body {
    stream: Stream,
    /// Keeps the connection while the body is read.
    connection: Framed,
}

impl Body {
    pub(crate) fn new(connection: &Framed, stream: Stream) -> Self {
        Self { stream, connection: connection.clone() }
    }

    /// The parts that came before the content.
    #[must_use]
    pub const fn head(&self) -> &Message {
        &self.stream.head
    }

    /// The connection it comes on.
    #[must_use]
    pub fn connection(&self) -> Connection {
        (&self.connection).into()
    }

    /// The next piece of content, never empty; `None` at the end. Cancel-safe.
    ///
    /// # Errors
    /// `Lost` where the connection ended before the body, `Peer` where its sender gave it up, `Protocol`.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        self.stream.next().await
    }

    /// What the sender put behind the content; `None` until [`next`](Self::next) has returned `None`.
    #[must_use]
    pub fn trailer(&self) -> Option<&[u8]> {
        self.stream.trailer()
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
