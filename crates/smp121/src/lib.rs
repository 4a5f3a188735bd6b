#![doc = include_str!("../README.md")]
//!
//! # Layers
//!
//! - [`wire`]: what the octets say.
//! - [`machine`]: what may be said now. [`machine::EndpointMachine`] is one endpoint without I/O.
//! - [`Profile`]: how to treat a peer, as data.
//! - [`inspect`]: segments taken apart for people.
//! - With feature `tokio`: [`Endpoint`] and what it gives.
#![forbid(unsafe_code)]

mod config;
#[cfg(feature = "tokio")]
mod driver;
mod error;
pub mod inspect;
pub mod machine;
mod profile;
pub mod wire;

pub use config::{Addressing, Config, ConfigBuilder, Limits, SEGMENT_LEN_DEFAULT, SEGMENT_LEN_MIN, Timing};
#[cfg(feature = "tokio")]
pub use driver::{
    Endpoint, EndpointBuilder, EndpointCounters, Mailslot, OpenError, ReceiveError, RemoteMailslot, Request, SendError,
    StartError,
};
pub use error::{ConfigError, ExchangeError, LimitExceeded, ReplyError, UsageError};
pub use profile::Profile;
