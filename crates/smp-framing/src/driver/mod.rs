//! Who moves the bytes: connections on tokio.

mod broadcast;
mod clock;
mod codec;
mod connection;
mod error;
mod handle;

pub use broadcast::{Broadcast, BroadcastBody, LeaveReason, Subscription};
pub use codec::{CodecError, UnitCodec};
pub use connection::Connection;
pub use error::{ConnectionError, SendError};
pub use handle::{BodyError, BodyReceiver, BodySender, Incoming, Receiver, Sender};
