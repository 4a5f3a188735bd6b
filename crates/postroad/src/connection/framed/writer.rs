//! Bodies that go out.

use super::{Framed, send};
use crate::convention::Tag;
use crate::{Error, Message};
use bytes::Bytes;
use smp_framing::BodySender;

/// Longer writes are handed on in pieces of this many octets, which bounds what waits between caller and carrier.
const PIECE_LEN_MAX: usize = 64 * 1024;

/// A body of the convention: a tag, the head, content and a trailer, as arguments of one message.
#[derive(Debug)]
pub(crate) struct Writer {
    sender: BodySender,
    content_index: u8,
    connection: Framed,
}

impl Writer {
    pub(crate) async fn open(connection: &Framed, tag: Tag, head: Message) -> Result<Self, Error> {
        let head = send::body_head(tag, head)?;
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

    pub(crate) async fn write(&mut self, mut content: Bytes) -> Result<(), Error> {
        while !content.is_empty() {
            let piece = content.split_to(content.len().min(PIECE_LEN_MAX));
            self.put(self.content_index, piece).await?;
        }
        Ok(())
    }

    async fn put(&mut self, index: u8, piece: Bytes) -> Result<(), Error> {
        self.sender.write(index, piece).await.map_err(|error| self.connection.send_error(error))
    }

    pub(crate) async fn finish(mut self, trailer: Bytes) -> Result<(), Error> {
        if !trailer.is_empty() {
            self.put(self.content_index + 1, trailer).await?;
        }
        self.sender.finish().await.map_err(|error| self.connection.send_error(error))
    }
}
