//! Messages that wait to be sent: short ones as the frames that they will be, others as they are.

use super::outgoing::{Wrote, left_ms, put_open};
use super::stream::{ASSEMBLIES_MAX, SendState, Stream};
use super::transmit::Transmit;
use crate::wire::{Frame, Header, number, put_header, put_varint, varint_len};
use crate::{Kind, StreamId};
use bytes::{BufMut, Bytes, BytesMut};
use std::collections::VecDeque;
use wirekit::Instant;

/// A message up to this is written as its frame when it is handed in; each peer takes frames that long.
pub(crate) const SHORT_LEN_MAX: usize = 1_024;
/// Octets of such frames in one piece.
const RUN_LEN_MAX: usize = 16 << 10;
/// What each message costs beside its octets.
const MESSAGE_COST: usize = 32;
/// The flags of a whole message: FIRST and LAST.
pub(crate) const WHOLE: u8 = 0x03;

/// Whole short messages of one channel, as frames.
#[derive(Debug, Default)]
pub(crate) struct Run {
    frames: BytesMut,
    /// The id of the first one.
    first_id: u64,
    count: usize,
    /// Octets of the messages.
    len: usize,
    longest: usize,
}

impl Run {
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn is_full(&self) -> bool {
        self.frames.len() >= RUN_LEN_MAX
    }

    /// Octets of the messages.
    #[cfg(feature = "tokio")]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The octets of its longest message.
    #[cfg(feature = "tokio")]
    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    /// Appends a message of at most [`SHORT_LEN_MAX`]. Its id is implied: it is the next one.
    //= SMRP-M1
    #[inline]
    pub(crate) fn push(&mut self, id: StreamId, message: &[u8]) {
        let body_len = varint_len(id.number()) + message.len();
        if self.frames.capacity() - self.frames.len() < body_len + 4 {
            self.frames.reserve(if self.is_empty() { body_len + 4 } else { RUN_LEN_MAX + 2 * SHORT_LEN_MAX });
        }
        put_header(&mut self.frames, number::MSG, WHOLE, body_len);
        put_varint(&mut self.frames, id.number());
        self.frames.put_slice(message);
        self.count += 1;
        self.len += message.len();
        self.longest = self.longest.max(message.len());
    }

    /// The octets of the message of the frame at `at`, and where the next frame begins.
    fn message_at(&self, at: usize, id: StreamId) -> Option<(usize, usize)> {
        let header = Header::decode(self.frames.get(at..)?).ok()??;
        Some((header.body_len - varint_len(id.number()), at + header.len + header.body_len))
    }

    /// Frames from the front: at most `count` messages of at most `len` octets together.
    fn take(&mut self, id: StreamId, count: u64, len: u64) -> Run {
        if self.count as u64 <= count && self.len as u64 <= len {
            return core::mem::take(self);
        }
        let (mut end, mut taken) = (0, Self::default());
        while (taken.count as u64) < count
            && let Some((message_len, next)) = self.message_at(end, id)
            && (taken.len + message_len) as u64 <= len
        {
            (taken.count, taken.len, end) = (taken.count + 1, taken.len + message_len, next);
        }
        taken.frames = self.frames.split_to(end);
        self.first_id += taken.count as u64;
        self.count -= taken.count;
        self.len -= taken.len;
        taken
    }

    /// The first one, for what does not send it whole.
    fn take_first(&mut self, id: StreamId) -> Option<OutMessage> {
        let (len, next) = self.message_at(0, id)?;
        let first = self.frames.split_to(next).freeze();
        let data = first.slice(next - len..);
        let message = OutMessage { id: self.first_id, data, is_begun: false, expires_at: None };
        self.first_id += 1;
        self.count -= 1;
        self.len -= len;
        Some(message)
    }
}

/// A message that is longer, or has a time.
#[derive(Debug)]
pub(crate) struct OutMessage {
    pub(crate) id: u64,
    pub(crate) data: Bytes,
    pub(crate) is_begun: bool,
    pub(crate) expires_at: Option<Instant>,
}

#[derive(Debug)]
enum Item {
    Run(Run),
    Message(OutMessage),
}

/// Messages of a channel that wait to be sent.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    items: VecDeque<Item>,
    count: usize,
    len: usize,
}

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Octets that wait.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Octets that wait and what each message costs beside them, however short it is.
    pub(crate) fn cost(&self) -> usize {
        self.len + self.count * MESSAGE_COST
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    fn drop_empty_run(&mut self) {
        if matches!(self.items.front(), Some(Item::Run(run)) if run.is_empty()) {
            self.items.pop_front();
        }
    }

    /// Gives memory back where nothing waits.
    fn shrink(&mut self) {
        if self.items.is_empty() && self.items.capacity() > 64 {
            self.clear();
        }
    }

    pub(crate) fn push(&mut self, message: OutMessage) {
        self.len += message.data.len();
        self.count += 1;
        self.items.push_back(Item::Message(message));
    }

    pub(crate) fn push_short(&mut self, id: StreamId, first_id: u64, message: &[u8]) {
        self.len += message.len();
        self.count += 1;
        match self.items.back_mut() {
            Some(Item::Run(run)) if !run.is_full() => run.push(id, message),
            _ => {
                let mut run = Run { first_id, ..Run::default() };
                run.push(id, message);
                self.items.push_back(Item::Run(run));
            }
        }
    }

    /// Appends a run, and says how many messages it has.
    #[cfg(feature = "tokio")]
    pub(crate) fn push_run(&mut self, first_id: u64, run: &mut Run) -> u64 {
        let count = run.count;
        run.first_id = first_id;
        self.len += run.len;
        self.count += count;
        self.items.push_back(Item::Run(core::mem::take(run)));
        count as u64
    }

    /// The id of the first message.
    pub(crate) fn front_id(&self) -> Option<u64> {
        Some(match self.items.front()? {
            Item::Run(run) => run.first_id,
            Item::Message(message) => message.id,
        })
    }

    /// The first message: its octets that were not sent, and whether it was begun.
    pub(crate) fn front(&self, id: StreamId) -> Option<(usize, bool)> {
        match self.items.front()? {
            Item::Run(run) => Some((run.message_at(0, id)?.0, false)),
            Item::Message(message) => Some((message.data.len(), message.is_begun)),
        }
    }
}

/// Messages, as many as fit a turn.
//= SMRP-M1, SMRP-M5, SMRP-O5, SMRP-O6
pub(super) fn write_messages(stream: &mut Stream, now: Instant, most: u64, room: u64, out: &mut Transmit) -> Wrote {
    let mut wrote = Wrote::default();
    if !stream.is_open {
        put_open(stream, false, 0, out);
        wrote.frames += 1;
    }
    let id = stream.id;
    let mut may = stream.send.max.saturating_sub(stream.send.sent).min(room);
    while let Some(piece_len) = write_front(stream, now, may, most.saturating_sub(wrote.len), &mut wrote, out) {
        stream.send.sent += piece_len;
        may -= piece_len;
        wrote.len += piece_len;
    }
    let send = &mut stream.send;
    if let Some(messages) = &mut send.messages {
        messages.outbox.shrink();
    }
    if send.messages.as_ref().is_some_and(|messages| messages.outbox.is_empty()) && send.state == SendState::Finishing {
        if let Some(trailer) = send.trailer.take() {
            Frame::Meta { stream: id, is_trailer: true, parameters: *trailer }.encode(out.tail());
            wrote.frames += 1;
        }
        Frame::Data { stream: id, offset: None, fin: true, data: Bytes::new() }.encode(out.tail());
        wrote.frames += 1;
        send.state = SendState::Finished;
    }
    wrote
}

/// What is at the front, as far as `may` octets of credit and `left` octets of the turn go; `None` where they do not go far enough.
fn write_front(
    stream: &mut Stream,
    now: Instant,
    may: u64,
    left: u64,
    wrote: &mut Wrote,
    out: &mut Transmit,
) -> Option<u64> {
    let (id, kind) = (stream.id, stream.kind);
    let messages = stream.send.messages.as_deref_mut()?;
    let begins = messages.max.saturating_sub(messages.begun);
    let outbox = &mut messages.outbox;
    match outbox.items.front_mut()? {
        Item::Run(run) => {
            let part = run.take(id, begins, may.min(left));
            if part.is_empty() {
                let is_part = begins > 0 && may > 0 && wrote.len == 0;
                let first = if is_part { run.take_first(id)? } else { return None };
                outbox.drop_empty_run();
                outbox.items.push_front(Item::Message(first));
                return write_front(stream, now, may, left, wrote, out);
            }
            outbox.drop_empty_run();
            outbox.len -= part.len;
            outbox.count -= part.count;
            messages.begun += part.count as u64;
            wrote.frames += part.count as u64;
            out.put_data(part.frames.freeze());
            Some(part.len as u64)
        }
        Item::Message(front) => {
            let len = front.data.len() as u64;
            wrote.frames += 1;
            if front.expires_at.is_some_and(|at| at <= now) {
                //= SMRP-M4
                Frame::MsgSkip { stream: id, first: front.id, count: 1 }.encode(out.tail());
                outbox.items.pop_front();
                outbox.len -= size(len);
                outbox.count -= 1;
                messages.expired += 1;
                wrote.expired += 1;
                return Some(0);
            }
            let is_blocked = (!front.is_begun && begins == 0) || (len > 0 && may.min(left) == 0);
            // A message that does not fit what is left of a turn waits for the next one, unless no turn would hold it.
            let is_late = wrote.len > 0 && len.min(may) > left;
            if is_blocked || is_late {
                wrote.frames -= 1;
                return None;
            }
            let piece_len = len.min(may).min(left);
            messages.begun += u64::from(!front.is_begun);
            put_fragment(outbox, id, kind, size(piece_len), now, out);
            Some(piece_len)
        }
    }
}

fn size(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

fn put_fragment(outbox: &mut Outbox, id: StreamId, kind: Kind, len: usize, now: Instant, out: &mut Transmit) {
    let Some(Item::Message(front)) = outbox.items.front_mut() else { return };
    let first = !front.is_begun;
    let last = len == front.data.len();
    let ttl_ms = front.expires_at.filter(|_| first).map(|at| left_ms(at, now));
    // Messages are begun in the order of their ids, so the id is implied but for the rest of those that overtake each other.
    let number = (kind == Kind::UnorderedMessages && !first).then_some(front.id);
    let flags =
        u8::from(first) | u8::from(last) << 1 | u8::from(ttl_ms.is_some()) << 3 | u8::from(number.is_some()) << 4;
    let fields = [number, ttl_ms].into_iter().flatten();
    let fields_len: usize = fields.clone().map(varint_len).sum::<usize>() + varint_len(id.number());
    let tail = out.tail();
    put_header(tail, number::MSG, flags, fields_len + len);
    put_varint(tail, id.number());
    fields.for_each(|field| put_varint(tail, field));
    let piece = front.data.split_to(len);
    front.is_begun = true;
    outbox.len -= len;
    if last {
        outbox.items.pop_front();
        outbox.count -= 1;
    } else if kind == Kind::UnorderedMessages
        && let Some(front) = outbox.items.pop_front()
    {
        // The others have their turn before the rest of this one, as far as they have been begun or may be.
        let at = outbox.items.len().min(ASSEMBLIES_MAX / 4);
        outbox.items.insert(at, front);
    }
    out.put_data(piece);
}
