//! Bodies and replies on streams.

use super::{Sessioned, parts, refused};
use crate::body::{Body, Content};
use crate::connection::bodies::OpenBody;
use crate::request::Reply;
use crate::{Error, ErrorKind, Message};
use bytes::{Buf, Bytes, BytesMut};
use smrp::wire::{Parameters, take_varint};
use smrp::{Code, IncomingRequest, RecvStream, SendError, SendStream};
use wirekit::Reader;

/// Octets taken from a stream at once.
const CHUNK_LEN: usize = 256 << 10;

/// Where a reply goes.
#[derive(Debug)]
pub(crate) enum ReplyWay {
    /// A request that gets one message.
    Whole(IncomingRequest),
    /// A stream, which may carry anything.
    Stream(SendStream),
}

impl ReplyWay {
    pub(super) async fn send(self, metadata: Option<Parameters>, octets: Bytes) -> Result<(), SendError> {
        match self {
            Self::Whole(request) => request.respond(metadata, octets),
            Self::Stream(mut send) => {
                send.send_metadata(metadata.unwrap_or_else(|| parts::metadata(None, parts::PARTS)))?;
                if !octets.is_empty() {
                    send.write_bytes(octets).await?;
                }
                send.finish()
            }
        }
    }

    /// A refusal that waits for nothing. Best effort: the peer may be gone.
    pub(super) fn refuse_now(self, why: &'static str) {
        match self {
            Self::Whole(request) => drop(request.respond(Some(parts::refusal()), Bytes::from_static(why.as_bytes()))),
            Self::Stream(mut send) => {
                if send.send_metadata(parts::refusal()).is_ok() && send.try_write(why.as_bytes()).is_ok() {
                    drop(send.finish());
                }
            }
        }
    }
}

/// Content as it comes.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) head: Message,
    connection: Sessioned,
    recv: RecvStream,
    /// What came with the head.
    first: Bytes,
    ended: Option<Result<Bytes, Error>>,
}

impl Stream {
    /// Content behind a head, or without one where the peer says nothing of heads.
    pub(super) async fn begin(connection: &Sessioned, mut recv: RecvStream, has_head: bool) -> Result<Self, Error> {
        let mut came = BytesMut::new();
        let max = connection.0.limits.body_head_len_max;
        let failed = |error| connection.receive_error("could not take a body", error);
        let broken = |why: &str| Error::new(ErrorKind::Protocol, "could not take a body", why.to_owned());
        let head = loop {
            if !has_head {
                break Message::new();
            }
            if let Some((len, at)) = length(&came) {
                if len > max {
                    let why = format!("limit body_head_len_max reached: its head has {len} octets of at most {max}");
                    return Err(Error::new(ErrorKind::Limit, "could not take a body", why));
                }
                if came.len() >= at + len {
                    came.advance(at);
                    break parts::decode_head(&came.split_to(len).freeze())?;
                }
            }
            match recv.read_chunk(CHUNK_LEN).await.map_err(failed)? {
                Some(piece) => came.extend_from_slice(&piece),
                None => return Err(broken("it ends within its head")),
            }
        };
        Ok(Self { head, connection: connection.clone(), recv, first: came.freeze(), ended: None })
    }

    /// The next piece of content; `None` at the end. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if !self.first.is_empty() {
            return Ok(Some(core::mem::take(&mut self.first)));
        }
        if self.ended.is_none() {
            self.ended = Some(match self.recv.read_chunk(CHUNK_LEN).await {
                Ok(Some(piece)) => return Ok(Some(piece)),
                Ok(None) => Ok(parts::trailer_of(self.recv.trailer().as_ref())),
                Err(error) => Err(self.connection.receive_error("a body was cut off", error)),
            });
        }
        match &self.ended {
            Some(Err(error)) => Err(error.clone()),
            _ => Ok(None),
        }
    }

    pub(crate) fn trailer(&self) -> Option<&[u8]> {
        self.ended.as_ref()?.as_ref().ok().map(|trailer| &trailer[..])
    }
}

/// A length in front, and where what it counts begins.
fn length(octets: &[u8]) -> Option<(usize, usize)> {
    let mut reader = Reader::new(octets);
    let len = usize::try_from(take_varint(&mut reader).ok()?).ok()?;
    Some((len, reader.position()))
}

/// The whole of a stream that carries one message.
pub(super) async fn read_whole(connection: &Sessioned, recv: &mut RecvStream, what: &str) -> Result<Bytes, Error> {
    let max = connection.message_len_max();
    let mut whole = BytesMut::new();
    loop {
        match recv.read_chunk(CHUNK_LEN).await.map_err(|error| connection.receive_error(what, error))? {
            None => return Ok(whole.freeze()),
            Some(piece) if whole.len() + piece.len() > max => {
                recv.stop(Code::TOO_LARGE);
                let why = format!("limit message_len_max reached: it has more than {max} octets");
                return Err(
                    Error::new(ErrorKind::Limit, what, why).with_remedy("raise the limit, or ask for it as a body")
                );
            }
            Some(piece) => whole.extend_from_slice(&piece),
        }
    }
}

/// A reply on a stream: a message, a body or a refusal.
pub(super) async fn read_reply(connection: &Sessioned, mut recv: RecvStream) -> Result<Reply, Error> {
    let what = "a request was not answered";
    // The metadata comes ahead of the first octet, or of the end.
    let first = recv.peek().await.map_err(|error| connection.receive_error(what, error));
    let metadata = recv.metadata();
    first?;
    if parts::content_type(metadata.as_ref()).as_deref() == Some(parts::BODY.as_bytes()) {
        let stream = Stream::begin(connection, recv, true).await?;
        return Ok(Reply::Body(Body::new(connection.into(), Content::Sessioned(stream))));
    }
    let octets = read_whole(connection, &mut recv, what).await?;
    if parts::is_refusal(metadata.as_ref()) {
        return Err(refused(&octets));
    }
    let content_type = parts::content_type(metadata.as_ref());
    parts::decode(&octets, content_type.as_deref()).map(Reply::Message)
}

/// Content on its way out.
#[derive(Debug)]
pub(crate) struct Writer {
    connection: Sessioned,
    to: To,
    _open: OpenBody,
}

#[derive(Debug)]
enum To {
    Stream(SendStream),
    /// A reply to a request that gets one message: its head and what was written.
    Gathered {
        head: Message,
        content: BytesMut,
        way: Option<ReplyWay>,
    },
}

impl Writer {
    pub(super) fn stream(connection: &Sessioned, send: SendStream) -> Self {
        Self { connection: connection.clone(), to: To::Stream(send), _open: connection.0.bodies.open() }
    }

    pub(super) fn gathering(connection: &Sessioned, head: Message, way: ReplyWay) -> Self {
        let to = To::Gathered { head, content: BytesMut::new(), way: Some(way) };
        Self { connection: connection.clone(), to, _open: connection.0.bodies.open() }
    }

    pub(crate) fn stream_id(&self) -> Option<smrp::StreamId> {
        match &self.to {
            To::Stream(send) => Some(send.id()),
            To::Gathered { .. } => None,
        }
    }

    pub(crate) async fn write(&mut self, content: Bytes) -> Result<(), Error> {
        let what = "could not write to a body";
        match &mut self.to {
            To::Stream(send) => {
                if content.is_empty() {
                    return Ok(());
                }
                send.write_bytes(content).await.map_err(|error| self.connection.send_error(what, error))
            }
            To::Gathered { content: gathered, .. } => {
                let max = self.connection.0.session.peer_settings().max_message;
                if (gathered.len() + content.len()) as u64 > max {
                    let why = format!("the peer asked for a message, and takes {max} octets");
                    return Err(
                        Error::new(ErrorKind::Limit, what, why).with_remedy("let it ask with `request_streaming`")
                    );
                }
                gathered.extend_from_slice(&content);
                Ok(())
            }
        }
    }

    pub(crate) async fn finish(self, trailer: Bytes) -> Result<(), Error> {
        let connection = self.connection.clone();
        let failed = |error| connection.send_error("could not finish a body", error);
        match self.to {
            To::Stream(mut send) if trailer.is_empty() => send.finish().map_err(failed),
            To::Stream(mut send) => send.finish_with(parts::trailer(&trailer)).map_err(failed),
            To::Gathered { head, content, way } => match way {
                Some(way) => way.send(None, parts::encode(&head.with_part(content.freeze()))).await.map_err(failed),
                None => Ok(()),
            },
        }
    }
}
