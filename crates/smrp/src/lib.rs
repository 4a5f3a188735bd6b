#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod access;
mod config;
#[cfg(feature = "tokio")]
mod driver;
mod error;
mod ids;
pub mod inspect;
#[cfg(feature = "jwt")]
pub mod jwt;
mod machine;
mod settings;
pub mod wire;

pub use config::{Config, Credential, LedgerMode, Limits, TOKEN_LEN_MAX};
#[cfg(feature = "tokio")]
pub use driver::{
    Accepted, Acceptor, AcceptorLimits, Authenticate, Bidi, Carrier, Dial, IncomingRequest, IncomingStream,
    MessageReceiver, MessageSender, Octets, RecvStream, Redial, Reply, SendStream, Session,
};
pub use error::{ConfigError, DatagramError, Fault, OpenError, ReceiveError, SendError, SessionError};
pub use ids::{Direction, INDEX_MAX, Kind, Priority, Role, StreamId, URGENCY_MAX};
pub use machine::{
    Adoption, Claim, Event, Grant, Input, Opened, Reason, Reattach, Request, SessionMachine, Stats, Ticket, Transmit,
    Unsent,
};
pub use settings::{Settings, SettingsError};
pub use wire::{Code, Security};
