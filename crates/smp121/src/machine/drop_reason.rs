//! Why something was dropped. Nothing is dropped uncounted.

use crate::wire::DecodeError;
use core::fmt;

/// Why a datagram, or what it meant, was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DropReason {
    /// Too short, or a length that cannot be.
    Length,
    /// The checksum is wrong.
    Checksum,
    /// Response records reach beyond the segment.
    Responses,
    /// Flags that mean nothing together (rule j).
    Flags,
    /// A name or name reply that cannot be.
    Name,
    /// Data beyond the message's end.
    BeyondTotal,
    /// A broadcast or multicast source, or addresses of two families.
    Address,
    /// The table of peers is full of busy ones.
    PeersFull,
    /// More mailslots for one peer than the limit.
    MailslotsFull,
    /// More name requests than the limit.
    NameRequestRate,
    /// More resets than the limit.
    ResetRate,
    /// A name reply that nobody waits for, or of a number range that was used before.
    NameReplyUnasked,
    /// A reply, or response, to nothing that is open.
    Unknown,
    /// A reset that is none: its number is not in flight.
    ResetUnknown,
    /// A request number outside of the window. A reset answers it.
    OutsideWindow,
    /// The mailslot's queue is full. The peer sends again.
    MailslotQueue,
    /// No room for what is put together. The peer sends again.
    AssemblyRoom,
    /// One gap too many in a message.
    Gaps,
    /// A first part that says another total than an earlier one.
    OtherTotal,
    /// Something that was here already.
    Duplicate,
    /// Something for a mailslot, while this endpoint never had one.
    NoMailslots,
}

impl DropReason {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::Length,
        Self::Checksum,
        Self::Responses,
        Self::Flags,
        Self::Name,
        Self::BeyondTotal,
        Self::Address,
        Self::PeersFull,
        Self::MailslotsFull,
        Self::NameRequestRate,
        Self::ResetRate,
        Self::NameReplyUnasked,
        Self::Unknown,
        Self::ResetUnknown,
        Self::OutsideWindow,
        Self::MailslotQueue,
        Self::AssemblyRoom,
        Self::Gaps,
        Self::OtherTotal,
        Self::Duplicate,
        Self::NoMailslots,
    ];

    /// A word for logs and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::Checksum => "checksum",
            Self::Responses => "responses",
            Self::Flags => "flags",
            Self::Name => "name",
            Self::BeyondTotal => "beyond_total",
            Self::Address => "address",
            Self::PeersFull => "peers_full",
            Self::MailslotsFull => "mailslots_full",
            Self::NameRequestRate => "name_request_rate",
            Self::ResetRate => "reset_rate",
            Self::NameReplyUnasked => "name_reply_unasked",
            Self::Unknown => "unknown",
            Self::ResetUnknown => "reset_unknown",
            Self::OutsideWindow => "outside_window",
            Self::MailslotQueue => "mailslot_queue",
            Self::AssemblyRoom => "assembly_room",
            Self::Gaps => "gaps",
            Self::OtherTotal => "other_total",
            Self::Duplicate => "duplicate",
            Self::NoMailslots => "no_mailslots",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl From<DecodeError> for DropReason {
    fn from(error: DecodeError) -> Self {
        use DecodeError as E;
        match error {
            E::Short { .. } | E::LengthBelowHeader { .. } | E::LengthBeyondDatagram { .. } => Self::Length,
            E::Checksum { .. } => Self::Checksum,
            E::ResponsesBeyondSegment { .. } => Self::Responses,
            E::RequestAndReply
            | E::ReservedFlags { .. }
            | E::NameWithoutDirection { .. }
            | E::DataWithoutDirection { .. } => Self::Flags,
            E::NameWithoutNul | E::NameEmpty | E::NameReplyShort { .. } => Self::Name,
            E::DataBeyondTotal { .. } => Self::BeyondTotal,
        }
    }
}
