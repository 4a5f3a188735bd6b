#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod access;
mod config;
mod error;
mod ids;
mod machine;
mod settings;
pub mod wire;

pub use config::{Config, Credential, LedgerMode, Limits, TOKEN_LEN_MAX};
pub use error::{ConfigError, DatagramError, Fault, OpenError, ReceiveError, SendError, SessionError};
pub use ids::{Direction, INDEX_MAX, Kind, Priority, Role, StreamId, URGENCY_MAX};
pub use machine::{
    Adoption, Claim, Event, Grant, Input, Opened, Reason, Reattach, Request, SessionMachine, Stats, Ticket, Transmit,
};
pub use settings::{Settings, SettingsError};
pub use wire::{Code, Security};
