//! What the octets say. `docs/wire/smp121.md` has the tables.

mod decode;
mod encode;
mod flags;
pub mod layout;
mod pseudo;
mod response;

pub use decode::{Data, DecodeError, Direction, Kind, NameReply, Position, Segment, decode, decode_unchecked};
pub use encode::{Outgoing, encode, reset_record};
pub use flags::Flags;
pub use pseudo::PseudoHeader;
pub use response::{Action, RESPONSE_COUNT_MAX, RESPONSE_HEADER_LEN, RawResponse, Response, Responses};

/// The protocol's number in IP.
//= SMP121-I7
pub const PROTOCOL: u8 = 121;

/// Octets of the header.
pub const HEADER_LEN: usize = 16;

/// The longest name of a mailslot, its NUL not counted. The source has no limit; the deployed implementation is used with
/// buffers of 256 octets.
//= SMP121-A16
pub const NAME_LEN_MAX: usize = 255;
