//! What the bytes say: units to octets and back. No rules about what may be said when.

mod decode;
mod encode;
mod receive;
mod transmit;

pub use decode::{Decoder, Incomplete, UnitRef, decode};
pub(crate) use encode::check;
pub use encode::encode;
pub use receive::ReceiveBuffer;
#[cfg(feature = "tokio")]
pub(crate) use receive::WholeUnits;
pub use transmit::TransmitBuffer;

/// Octets before the arguments of a unit that is no frame: META.
pub(crate) const PLAIN_HEADER_LEN: usize = 1;
/// Octets before the arguments of a frame: META, ID, FRAME#.
pub(crate) const FRAME_HEADER_LEN: usize = 7;
