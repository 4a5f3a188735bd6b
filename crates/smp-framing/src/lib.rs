#![doc = include_str!("../README.md")]
//!
//! # Layers
//!
//! - [`wire`]: what the bytes say. [`wire::decode`] borrows, [`wire::Decoder`] shares the [`wire::ReceiveBuffer`],
//!   [`wire::TransmitBuffer`] sends large payloads from where they are.
//! - [`framer`] and [`reassembler`]: messages to frames and back, with the sequence rules.
//! - [`machine`]: what may be said now. [`machine::ConnectionMachine`] is one end of a connection without I/O.
//! - [`fanout`]: one sender, many receivers.
//! - With feature `tokio`: [`Connection`] and what it gives.
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
#[cfg(feature = "tokio")]
mod sync;
mod unit;
pub mod wire;

pub use arguments::{ARGC_MAX, ARGUMENT_LEN_MAX, Arguments, Iter};
pub use code::{Code, UserCode};
pub use config::{Config, ConfigBuilder, Delivery, Limits, Mode, NODE_UNIT_LEN_MAX, NodeGeneration};
#[cfg(feature = "tokio")]
pub use driver::{
    BodyError, BodyReceiver, BodySender, Broadcast, BroadcastBody, CodecError, Connection, ConnectionError, Incoming,
    LeaveReason, Receiver, SendError, Sender, Subscription, UnitCodec,
};
pub use error::{ConfigError, EncodeError, Limit, LimitExceeded};
pub use unit::{FrameIdent, Unit};

#[cfg(feature = "tokio")]
use machine::SendRules;
