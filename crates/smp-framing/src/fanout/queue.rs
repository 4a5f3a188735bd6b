//! What waits for one receiver, and what happens where there is no room.

use super::{FanOutLimits, MessageId};
use crate::wire::{FRAME_HEADER_LEN, PLAIN_HEADER_LEN};
use crate::{Arguments, Code, FrameIdent, Unit};
use core::ops::Add;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What happens to a receiver that has no room for what comes. Only `Wait` has any effect on the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Policy {
    /// It goes without: single whole messages, or the rest of a message of frames, so that it never sees a gap. From the
    /// next message on it takes part again.
    Drop,
    /// The sender waits for it.
    Wait,
    /// It is to be disconnected: what waited for it is dropped, and [`Item::Disconnect`] comes next.
    Disconnect,
}

/// One frame for one receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FanOutFrame {
    /// Which message it belongs to.
    pub message: MessageId,
    /// NEW FRAME or LAST FRAME where it is the receiver's first, LAST FRAME where it is the last, else CONTINUING FRAME.
    pub code: Code,
    /// The sender's ID and number, the same for all receivers. A connection of its own has its own IDs.
    pub ident: FrameIdent,
    /// Its part of each argument.
    pub arguments: Arguments,
}

/// What a receiver is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Item {
    /// A whole message.
    Message(Arguments),
    /// A frame.
    Frame(FanOutFrame),
    /// A message of which the receiver has a part has no end for it: to be told with ERROR 501 and this ID.
    Abandoned {
        /// Which message.
        message: MessageId,
        /// The sender's ID for it.
        id: u16,
    },
    /// The receiver was too slow: disconnect it and let it leave. Nothing comes after it.
    Disconnect,
}

impl Item {
    /// The unit that says it, with the sender's ID; `None` for what is not data.
    #[must_use]
    pub fn into_unit(self) -> Option<Unit> {
        match self {
            Self::Message(arguments) => Unit::plain(Code::Message, arguments),
            Self::Frame(frame) => Unit::frame(frame.code, frame.ident, frame.arguments),
            Self::Abandoned { .. } | Self::Disconnect => None,
        }
    }

    /// Octets on the wire, of data.
    fn wire_len(&self) -> usize {
        match self {
            Self::Message(arguments) => message_len(arguments),
            Self::Frame(frame) => FRAME_HEADER_LEN + frame.arguments.arguments_len(),
            Self::Abandoned { .. } | Self::Disconnect => 0,
        }
    }
}

pub(super) fn message_len(arguments: &Arguments) -> usize {
    PLAIN_HEADER_LEN + arguments.arguments_len()
}

/// What was not sent because there was no room. Counts since the start, saturating.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// Whole messages.
    pub messages: u64,
    /// Messages of frames that were not sent to their end, but for those that began after a disconnection.
    pub framed_messages: u64,
    /// Frames, those counted too that came while their message was over for the receiver.
    pub frames: u64,
    /// Octets of messages and frames, headers counted.
    pub octets: u64,
    /// Disconnections.
    pub disconnections: u64,
}

impl Add for Dropped {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            messages: self.messages.saturating_add(other.messages),
            framed_messages: self.framed_messages.saturating_add(other.framed_messages),
            frames: self.frames.saturating_add(other.frames),
            octets: self.octets.saturating_add(other.octets),
            disconnections: self.disconnections.saturating_add(other.disconnections),
        }
    }
}

impl Dropped {
    fn count(&mut self, item: &Item) {
        match item {
            Item::Message(_) => self.messages = self.messages.saturating_add(1),
            Item::Frame(_) => self.frames = self.frames.saturating_add(1),
            Item::Abandoned { .. } | Item::Disconnect => {}
        }
        self.octets = self.octets.saturating_add(item.wire_len() as u64);
    }
}

/// A frame as it was cut, before a receiver's code is known.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) message: MessageId,
    pub(super) ident: FrameIdent,
    pub(super) is_last: bool,
    pub(super) arguments: Arguments,
    pub(super) len: usize,
}

impl Cut {
    fn item(&self, opens: bool) -> Item {
        let code = match (self.is_last, opens) {
            (true, _) => Code::LastFrame,
            (false, true) => Code::NewFrame,
            (false, false) => Code::ContinuingFrame,
        };
        let Self { message, ident, ref arguments, .. } = *self;
        Item::Frame(FanOutFrame { message, code, ident, arguments: arguments.clone() })
    }
}

/// How far a receiver is with an open message; none where nothing of it was queued yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Its opening frame waits.
    Queued,
    /// Its opening frame was polled.
    Begun,
    /// It lost a frame.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disconnection {
    No,
    ToTell,
    Told,
}

#[derive(Debug)]
pub(super) struct Queue {
    policy: Policy,
    limits: FanOutLimits,
    items: VecDeque<Item>,
    len: usize,
    /// Of messages that are open at the sender.
    parts: BTreeMap<MessageId, Part>,
    /// Polled before the items, among which there is none of these messages from before the loss.
    abandoned: VecDeque<(MessageId, u16)>,
    disconnection: Disconnection,
    dropped: Dropped,
}

impl Queue {
    pub(super) const fn new(policy: Policy, limits: FanOutLimits) -> Self {
        Self {
            policy,
            limits,
            items: VecDeque::new(),
            len: 0,
            parts: BTreeMap::new(),
            abandoned: VecDeque::new(),
            disconnection: Disconnection::No,
            dropped: Dropped { messages: 0, framed_messages: 0, frames: 0, octets: 0, disconnections: 0 },
        }
    }

    pub(super) const fn queued_len(&self) -> usize {
        self.len
    }

    pub(super) const fn dropped(&self) -> Dropped {
        self.dropped
    }

    pub(super) const fn is_disconnecting(&self) -> bool {
        !matches!(self.disconnection, Disconnection::No)
    }

    fn has_room(&self, len: usize) -> bool {
        // A unit that was given up leaves a word behind, so those count too.
        self.items.len() + self.abandoned.len() < self.limits.queue_count_max
            && self.len + len <= self.limits.queue_len_max
    }

    pub(super) fn is_half_full(&self) -> bool {
        self.items.len() >= self.limits.queue_count_max.div_ceil(2) || self.len >= self.limits.queue_len_max / 2
    }

    /// True where the sender has to wait before it sends `len` octets.
    pub(super) fn blocks(&self, message: Option<MessageId>, len: usize) -> bool {
        let takes_part = message.is_none_or(|message| self.parts.get(&message) != Some(&Part::Over));
        self.policy == Policy::Wait && takes_part && !self.has_room(len)
    }

    pub(super) fn offer_message(&mut self, arguments: &Arguments) {
        let item = Item::Message(arguments.clone());
        if self.is_disconnecting() {
            self.dropped.count(&item);
        } else if self.has_room(message_len(arguments)) {
            self.push(item);
        } else {
            self.dropped.count(&item);
            self.disconnect_where_wanted();
        }
    }

    //= SMPF-CONV-3 SMPF-B-FANOUT SMPF-B-SLOW-RECEIVER
    pub(super) fn offer_frame(&mut self, cut: &Cut) {
        let part = self.parts.get(&cut.message).copied();
        let item = cut.item(part.is_none());
        if self.is_disconnecting() || part == Some(Part::Over) {
            self.dropped.count(&item);
        } else if self.has_room(cut.len) {
            self.push(item);
            if part.is_none() {
                self.parts.insert(cut.message, Part::Queued);
            }
        } else {
            self.dropped.count(&item);
            self.dropped.framed_messages = self.dropped.framed_messages.saturating_add(1);
            self.lose(cut.message, cut.ident.id, true);
            self.disconnect_where_wanted();
        }
        if cut.is_last {
            self.parts.remove(&cut.message);
        }
    }

    fn push(&mut self, item: Item) {
        self.len += item.wire_len();
        self.items.push_back(item);
    }

    /// Takes a message back as far as it still waits; the receiver is told where it has a part of it.
    fn lose(&mut self, message: MessageId, id: u16, is_counted: bool) {
        if self.parts.insert(message, Part::Over) == Some(Part::Begun) {
            self.abandoned.push_back((message, id));
        }
        let Self { items, len, dropped, .. } = self;
        items.retain(|item| {
            let is_lost = matches!(item, Item::Frame(frame) if frame.message == message);
            if is_lost {
                *len -= item.wire_len();
                if is_counted {
                    dropped.count(item);
                }
            }
            !is_lost
        });
    }

    fn disconnect_where_wanted(&mut self) {
        if self.policy != Policy::Disconnect {
            return;
        }
        self.disconnection = Disconnection::ToTell;
        self.dropped.disconnections = self.dropped.disconnections.saturating_add(1);
        let is_waiting = |part: &Part| *part != Part::Over;
        let mut cut_off: BTreeSet<_> =
            self.parts.iter().filter(|(_, part)| is_waiting(part)).map(|(message, _)| *message).collect();
        for item in core::mem::take(&mut self.items) {
            self.dropped.count(&item);
            if let Item::Frame(frame) = item {
                cut_off.insert(frame.message);
            }
        }
        self.dropped.framed_messages = self.dropped.framed_messages.saturating_add(cut_off.len() as u64);
        self.len = 0;
        self.parts.clear();
        self.abandoned = VecDeque::new();
    }

    /// The sender gave the message up: that is no loss of this receiver's.
    pub(super) fn abandon(&mut self, message: MessageId, id: u16) {
        if !self.is_disconnecting() {
            self.lose(message, id, false);
            self.parts.remove(&message);
        }
    }

    pub(super) fn rejoin(&mut self, message: MessageId) -> bool {
        let is_over = self.parts.get(&message) == Some(&Part::Over);
        if is_over {
            self.parts.remove(&message);
        }
        is_over
    }

    pub(super) fn give_up(&mut self, item: &Item, is_open: bool) {
        self.dropped.count(item);
        if let Item::Frame(frame) = item {
            self.dropped.framed_messages = self.dropped.framed_messages.saturating_add(1);
            self.lose(frame.message, frame.ident.id, true);
            self.abandoned.retain(|(message, _)| *message != frame.message);
            if !is_open {
                self.parts.remove(&frame.message);
            }
        }
    }

    pub(super) fn poll(&mut self) -> Option<Item> {
        match self.disconnection {
            Disconnection::No => {}
            Disconnection::ToTell => {
                self.disconnection = Disconnection::Told;
                return Some(Item::Disconnect);
            }
            Disconnection::Told => return None,
        }
        if let Some((message, id)) = self.abandoned.pop_front() {
            return Some(Item::Abandoned { message, id });
        }
        let item = self.items.pop_front()?;
        self.len -= item.wire_len();
        if let Item::Frame(frame) = &item
            && let Some(part) = self.parts.get_mut(&frame.message)
            && *part == Part::Queued
        {
            *part = Part::Begun;
        }
        if self.items.is_empty() {
            self.items.shrink_to(16);
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(number: u32, is_last: bool) -> Cut {
        let ident = FrameIdent { id: 0, number };
        Cut { message: MessageId(7), ident, is_last, arguments: Arguments::new(), len: 7 }
    }

    fn queue(policy: Policy) -> Queue {
        Queue::new(policy, FanOutLimits { queue_count_max: 1, ..FanOutLimits::default() })
    }

    #[test]
    fn nothing_is_remembered_of_a_message_that_is_over_for_all() {
        for poll in [false, true] {
            let mut queue = queue(Policy::Drop);
            for (number, is_last) in [(0, false), (1, false), (2, false), (3, true)] {
                queue.offer_frame(&cut(number, is_last));
                if poll {
                    queue.poll();
                }
            }
            while queue.poll().is_some() {}
            assert!(queue.parts.is_empty() && queue.abandoned.is_empty() && queue.items.is_empty());
        }
        let mut queue = queue(Policy::Drop);
        (0..3).for_each(|number| queue.offer_frame(&cut(number, false)));
        queue.offer_frame(&cut(3, true));
        assert!(queue.parts.is_empty());
    }

    #[test]
    fn who_is_disconnected_keeps_nothing_alive() {
        let mut queue = queue(Policy::Disconnect);
        queue.offer_message(&Arguments::new());
        queue.offer_frame(&cut(0, false));
        assert!(queue.is_disconnecting() && queue.items.is_empty() && queue.parts.is_empty() && queue.len == 0);
    }
}
