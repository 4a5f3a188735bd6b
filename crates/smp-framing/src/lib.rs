//! The Streaming Message Protocol, 1.0-DRAFT.
#![forbid(unsafe_code)]

mod arguments;
mod code;
mod config;
#[cfg(feature = "tokio")]
mod driver;
mod error;
pub mod fanout;
pub mod framer;
pub mod machine;
pub mod reassembler;
mod unit;
pub mod wire;

pub use arguments::{ARGC_MAX, ARGUMENT_LEN_MAX, Arguments, Iter};
pub use code::{Code, UserCode};
pub use config::{Config, ConfigBuilder, Delivery, Limits, Mode, NODE_UNIT_LEN_MAX, NodeGeneration};
#[cfg(feature = "tokio")]
pub use driver::{
    BodyError, BodyReceiver, BodySender, CodecError, Connection, ConnectionError, Incoming, Receiver, SendError,
    Sender, UnitCodec,
};
pub use error::{ConfigError, EncodeError, Limit, LimitExceeded};
pub use unit::{FrameIdent, Unit};

#[cfg(feature = "tokio")]
use machine::SendRules;
