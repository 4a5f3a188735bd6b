//! Messages that come in pieces: put together, or handed on as they come.

use super::ledger::Charge;
use crate::convention::{self, Form, HEAD_PARTS_MAX, TAG_LEN_MAX, Tag};
use crate::options::Limits;
use crate::{Error, ErrorKind, Message};
use bytes::{Bytes, BytesMut};
use smp_framing::machine::AbandonReason;
use smp_framing::{ARGC_MAX, Arguments, BodyError, BodyReceiver};
use std::collections::VecDeque;

/// Content as it comes: what was read ahead, then what the connection still brings.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) head: Message,
    pieces: VecDeque<(u8, Bytes)>,
    /// On the heap, since what holds a stream is moved about.
    receiver: Option<Box<BodyReceiver>>,
    content_index: u8,
    trailer: BytesMut,
    trailer_len_max: usize,
    ended: bool,
}

/// What a message of pieces turned out to be.
#[derive(Debug)]
pub(super) enum Assembled {
    Whole(Arguments),
    Stream(Tag, Stream),
}

/// Reads until it is clear what the message is, and on to its end where it is delivered whole.
pub(super) async fn read(mut receiver: BodyReceiver, limits: &Limits, charge: &mut Charge) -> Result<Assembled, Error> {
    let mut arguments: Vec<BytesMut> = Vec::with_capacity(ARGC_MAX);
    let mut len = 0;
    while let Some((index, payload)) = receiver.next().await.map_err(|error| body_error(&error))? {
        let at = usize::from(index);
        let first_len = arguments.first().map_or(0, BytesMut::len);
        if at > 0 && arguments.len() <= 1 && first_len <= TAG_LEN_MAX {
            let first = arguments.first().map(BytesMut::as_ref).unwrap_or_default();
            if let Ok(Some(tag)) = convention::parse(first)
                && tag.form() == Form::Body
            {
                let count = receiver.argument_count();
                let stream = Stream::open(count, VecDeque::from([(index, payload)]), Some(receiver), limits).await?;
                return Ok(Assembled::Stream(tag, stream));
            }
        }
        len += payload.len();
        if len > limits.message_len_max {
            return Err(too_long("message_len_max", limits.message_len_max));
        }
        if !charge.grow(payload.len()).await {
            return Err(too_long("assembly_len_max", limits.assembly_len_max));
        }
        if arguments.len() <= at {
            arguments.resize_with(at + 1, BytesMut::new);
        }
        if let Some(argument) = arguments.get_mut(at) {
            argument.extend_from_slice(&payload);
        }
    }
    arguments.resize_with(receiver.argument_count().max(arguments.len()), BytesMut::new);
    Ok(Assembled::Whole(arguments.into_iter().map(BytesMut::freeze).collect()))
}

fn too_long(limit: &str, max: usize) -> Error {
    let why = format!("limit {limit} reached: it has more than {max} octets");
    Error::new(ErrorKind::Limit, "dropped a message that came", why)
        .with_remedy(format!("send it as a body, or raise `{limit}` at the receiving end"))
}

pub(super) fn body_error(error: &BodyError) -> Error {
    let what = "a message was cut off";
    match error {
        BodyError::Abandoned(AbandonReason::ConnectionEnded) => {
            Error::new(ErrorKind::Lost, what, "the connection ended before it was whole")
                .with_remedy("connect again and send it anew")
        }
        BodyError::Abandoned(AbandonReason::BySender | AbandonReason::Replaced) => {
            Error::new(ErrorKind::Peer, what, "its sender gave it up")
        }
        BodyError::Abandoned(AbandonReason::Limit(limit)) => Error::new(ErrorKind::Limit, what, limit.to_string()),
        other => Error::new(ErrorKind::Protocol, what, other.to_string()),
    }
}

impl Stream {
    /// A stream of which everything is there, in a single unit.
    pub(super) fn whole(arguments: &Arguments, limits: &Limits) -> Result<Self, Error> {
        let pieces = arguments.iter().enumerate().skip(1).filter(|(_, payload)| !payload.is_empty());
        let pieces = pieces.filter_map(|(index, _)| Some((u8::try_from(index).ok()?, arguments.bytes(index)?)));
        let mut stream = Self::new(arguments.count(), pieces.collect(), None, limits)?;
        stream.take_head_pieces(limits)?;
        Ok(stream)
    }

    /// Reads the head.
    async fn open(
        count: usize,
        pieces: VecDeque<(u8, Bytes)>,
        receiver: Option<BodyReceiver>,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let mut stream = Self::new(count, pieces, receiver, limits)?;
        while !stream.take_head_pieces(limits)? {
            let Some(receiver) = &mut stream.receiver else { break };
            match receiver.next().await.map_err(|error| body_error(&error))? {
                Some(piece) => stream.pieces.push_back(piece),
                None => break,
            }
        }
        Ok(stream)
    }

    fn new(
        count: usize,
        pieces: VecDeque<(u8, Bytes)>,
        receiver: Option<BodyReceiver>,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let head_count = count.checked_sub(3).filter(|count| *count <= HEAD_PARTS_MAX);
        let content_index = count.checked_sub(2).and_then(|index| u8::try_from(index).ok());
        let (Some(head_count), Some(content_index)) = (head_count, content_index) else {
            let why = format!("a body has a tag, its head, content and trailer: at least 3 arguments, not {count}");
            return Err(Error::new(ErrorKind::Protocol, "dropped a body that came", why));
        };
        let receiver = receiver.map(Box::new);
        Ok(Self {
            head: (0..head_count).map(|_| Bytes::new()).collect(),
            pieces,
            receiver,
            content_index,
            trailer: BytesMut::new(),
            trailer_len_max: limits.body_head_len_max,
            ended: false,
        })
    }

    /// Moves pieces of the head to where they belong; `true` once content or trailer has begun.
    fn take_head_pieces(&mut self, limits: &Limits) -> Result<bool, Error> {
        let mut head = core::mem::take(&mut self.head).into_parts();
        while let Some((index, payload)) = self.pieces.pop_front() {
            let slot = usize::from(index).checked_sub(1).and_then(|at| head.get_mut(at));
            let Some(slot) = slot.filter(|_| index < self.content_index) else {
                self.pieces.push_front((index, payload));
                break;
            };
            *slot = if slot.is_empty() { payload } else { [slot.as_ref(), &payload].concat().into() };
        }
        let head_len: usize = head.iter().map(Bytes::len).sum();
        self.head = head.into();
        if head_len > limits.body_head_len_max {
            let why = format!("limit body_head_len_max reached: its head has {head_len} octets");
            return Err(Error::new(ErrorKind::Limit, "dropped a body that came", why));
        }
        Ok(!self.pieces.is_empty())
    }

    /// The next piece of content; `None` once the trailer is complete. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while !self.ended {
            let piece = match (self.pieces.pop_front(), &mut self.receiver) {
                (Some(piece), _) => Some(piece),
                (None, Some(receiver)) => receiver.next().await.map_err(|error| body_error(&error))?,
                (None, None) => None,
            };
            match piece {
                None => self.ended = true,
                Some((index, payload)) if index == self.content_index && self.trailer.is_empty() => {
                    return Ok(Some(payload));
                }
                Some((index, payload)) if index == self.content_index + 1 => {
                    if self.trailer.len() + payload.len() > self.trailer_len_max {
                        let why = "limit body_head_len_max reached: its trailer is longer";
                        return Err(Error::new(ErrorKind::Limit, "could not read a body", why));
                    }
                    self.trailer.extend_from_slice(&payload);
                }
                Some((index, _)) => {
                    let why = format!("argument {index} went on after a later one had begun");
                    return Err(Error::new(ErrorKind::Protocol, "could not read a body", why));
                }
            }
        }
        Ok(None)
    }

    /// The trailer, once [`next`](Self::next) has returned `None`.
    pub(crate) fn trailer(&self) -> Option<&[u8]> {
        self.ended.then_some(&self.trailer)
    }
}
