//! Streams: their ids, kinds and priorities.

use core::fmt;

/// Which end of a session: the one that opened its first link, or the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Opened the first link.
    Initiator,
    /// Accepted it.
    Acceptor,
}

impl Role {
    /// The other end.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Initiator => Self::Acceptor,
            Self::Acceptor => Self::Initiator,
        }
    }
}

/// A stream of a session: who opened it, in which directions it goes, and its index among those.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(u64);

/// In which directions a stream goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Both ways.
    Bidi,
    /// From its opener alone.
    Uni,
}

impl Direction {
    /// Its number in MAX_STREAMS.
    #[must_use]
    pub const fn class(self) -> u8 {
        match self {
            Self::Bidi => 0,
            Self::Uni => 1,
        }
    }
}

/// The highest index of a stream.
pub const INDEX_MAX: u64 = (1 << 60) - 1;

impl StreamId {
    /// The id with this number, below 2^62.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The id of the stream with this index.
    #[must_use]
    pub const fn of(opener: Role, direction: Direction, index: u64) -> Self {
        let opener = match opener {
            Role::Initiator => 0,
            Role::Acceptor => 1,
        };
        Self(index << 2 | (direction.class() as u64) << 1 | opener)
    }

    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// Who opened it.
    #[must_use]
    pub const fn opener(self) -> Role {
        if self.0 & 1 == 0 { Role::Initiator } else { Role::Acceptor }
    }

    /// In which directions it goes.
    #[must_use]
    pub const fn direction(self) -> Direction {
        if self.0 & 2 == 0 { Direction::Bidi } else { Direction::Uni }
    }

    /// Its index in its class.
    #[must_use]
    pub const fn index(self) -> u64 {
        self.0 >> 2
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream {}", self.0)
    }
}

/// What the directions of a stream carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Octets.
    Bytes,
    /// Messages in order.
    Messages,
    /// Messages that may overtake each other.
    UnorderedMessages,
    /// One message each way.
    Request,
}

impl Kind {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Bytes => 0,
            Self::Messages => 1,
            Self::UnorderedMessages => 2,
            Self::Request => 3,
        }
    }

    /// As in the events of a trace.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Bytes => "octets",
            Self::Messages => "messages",
            Self::UnorderedMessages => "unordered_messages",
            Self::Request => "request",
        }
    }

    pub(crate) fn of(number: u8) -> Option<Self> {
        [Self::Bytes, Self::Messages, Self::UnorderedMessages, Self::Request]
            .into_iter()
            .find(|kind| kind.number() == number)
    }

    pub(crate) const fn has_messages(self) -> bool {
        matches!(self, Self::Messages | Self::UnorderedMessages)
    }
}

/// How urgent a stream is, and whether it shares with its equals.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Priority(u8);

/// The least urgent urgency.
pub const URGENCY_MAX: u8 = 7;

impl Priority {
    /// Of this urgency, 0 (the most urgent) to 7; more is taken for 7. One after the other.
    #[must_use]
    pub const fn new(urgency: u8) -> Self {
        Self(if urgency > URGENCY_MAX { URGENCY_MAX } else { urgency })
    }

    /// Shares with other incremental streams of its urgency, round by round.
    #[must_use]
    pub const fn incremental(self) -> Self {
        Self(self.0 | 8)
    }

    /// 0 to 7.
    #[must_use]
    pub const fn urgency(self) -> u8 {
        self.0 & URGENCY_MAX
    }

    /// True where it shares with its equals.
    #[must_use]
    pub const fn is_incremental(self) -> bool {
        self.0 & 8 != 0
    }

    /// Bits 3 to 0 of the octet on the wire.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    pub(crate) const fn of(bits: u8) -> Self {
        Self(bits & 0x0F)
    }
}

impl Default for Priority {
    /// Urgency 3, sharing.
    fn default() -> Self {
        Self::new(3).incremental()
    }
}

impl fmt::Debug for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "urgency {}{}", self.urgency(), if self.is_incremental() { ", incremental" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_who_opened_what() {
        for (number, opener, direction, index) in [
            (0, Role::Initiator, Direction::Bidi, 0),
            (1, Role::Acceptor, Direction::Bidi, 0),
            (2, Role::Initiator, Direction::Uni, 0),
            (7, Role::Acceptor, Direction::Uni, 1),
        ] {
            let id = StreamId::new(number);
            assert_eq!((id.opener(), id.direction(), id.index()), (opener, direction, index));
            assert_eq!(StreamId::of(opener, direction, index), id);
        }
    }

    #[test]
    fn a_priority_keeps_to_its_four_bits() {
        assert_eq!(Priority::new(9).urgency(), 7);
        assert_eq!(Priority::default().bits(), 0x0B);
        assert_eq!(Priority::of(0xFB), Priority::default());
    }
}
