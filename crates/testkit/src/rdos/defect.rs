//! What would have gone wrong in the real kernel.

use super::{LocalMailslot, SendTicket};
use std::net::Ipv4Addr;

/// Something after which a real RDOS machine is not to be trusted: it would have trapped, read or written memory that is
/// not the message's, or lost what it was told. The emulator notes it and goes on in the plainest way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Defect {
    /// A Busy record came: its handler is a breakpoint in the network path (fact 6).
    BusyTrap {
        /// Who sent it.
        peer: Ipv4Addr,
    },
    /// A name reply allows more than 16 requests: the table of requests has 16 places and would be overrun (fact 9).
    TableOverrun {
        /// Who sent it.
        peer: Ipv4Addr,
        /// How many it allows.
        max_outstanding: u16,
    },
    /// A first reply segment announces more octets than it has: memory behind it became part of the reply (fact 4).
    ReplyBeyondSegment {
        /// Who sent it.
        peer: Ipv4Addr,
        /// Octets taken for the reply.
        taken_len: usize,
        /// Octets that were there.
        present_len: usize,
    },
    /// A reply longer than the caller's buffer was written into it (fact 8).
    ReplyBeyondBuffer {
        /// Whose buffer.
        ticket: SendTicket,
        /// How long the reply is.
        reply_len: usize,
        /// How long the buffer is.
        buffer_len: usize,
    },
    /// A name has no NUL, or a name reply no room for Max Outstanding: it was compared with memory behind it (fact 7).
    NameBeyondSegment {
        /// Who sent it.
        peer: Ipv4Addr,
    },
    /// A record was cut off or had an action above 15: it, all behind it and the data were dropped (fact 4).
    RecordsDropped {
        /// Who sent it.
        peer: Ipv4Addr,
    },
    /// A part of a request came that began below what was there, and was counted as new: the message is corrupt (fact 4 b).
    DuplicateCounted {
        /// Who sent it.
        peer: Ipv4Addr,
        /// Of which request.
        connection: u32,
    },
    /// A request was handed to the application before all of it was there (fact 4 c).
    IncompleteRequest {
        /// To which mailslot.
        mailslot: LocalMailslot,
        /// Which request.
        connection: u32,
    },
    /// One request more than allowed was sent after a resolution; the oldest lost its place in the table (fact 9).
    OldestForgotten {
        /// The request whose sender waits for ever.
        ticket: SendTicket,
    },
    /// Replies came out of order while the table was full: no place in it will ever be free again (fact 10).
    SlotsStalled {
        /// The peer of the mailslot.
        peer: Ipv4Addr,
    },
    /// More records than the count field can say went into one datagram (fact 4).
    RecordCountWrapped {
        /// To whom.
        peer: Ipv4Addr,
    },
    /// A message was too long for 16-bit arithmetic (fact 4).
    LengthWrapped {
        /// To whom.
        peer: Ipv4Addr,
    },
    /// The emulator's own bound on what may wait. RDOS has none but its memory.
    OutOfMemory,
}
