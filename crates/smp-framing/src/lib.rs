//! The Streaming Message Protocol, 1.0-DRAFT.
#![forbid(unsafe_code)]

mod arguments;
mod code;
mod error;
mod unit;
pub mod wire;

pub use arguments::{ARGC_MAX, ARGUMENT_LEN_MAX, Arguments, Iter};
pub use code::{Code, UserCode};
pub use error::{ConfigError, EncodeError, Limit, LimitExceeded};
pub use unit::{FrameIdent, Unit};
