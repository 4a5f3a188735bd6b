#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod access;
mod budget;
mod config;
mod credential;
#[cfg(feature = "tokio")]
mod driver;
mod error;
mod ids;
pub mod inspect;
#[cfg(feature = "jwt")]
pub mod jwt;
#[cfg(feature = "keys")]
pub mod keys;
mod machine;
mod settings;
mod sync;
pub mod trace;
pub mod wire;
#[cfg(feature = "x509")]
pub mod x509;

pub use budget::{Budget, Pressure};
pub use config::{Config, LedgerMode, Limits, TOKEN_LEN_MAX};
pub use credential::{BINDING_LABEL, Channel, Claim, Credential, Signer};
#[cfg(feature = "tokio")]
pub use driver::{
    Accepted, Acceptor, AcceptorLimits, Authenticate, Bidi, Carrier, Credentials, Dial, IncomingRequest,
    IncomingStream, MessageReceiver, MessageSender, Octets, RecvStream, Redial, Reply, SendStream, Session,
};
#[cfg(feature = "qlog")]
pub use driver::{Qlog, QlogOptions};
pub use error::{ConfigError, DatagramError, Fault, OpenError, ReceiveError, SendError, SessionError};
pub use ids::{Direction, INDEX_MAX, Kind, Priority, Role, StreamId, URGENCY_MAX};
pub use machine::{
    Adoption, Event, Grant, Input, Messages, Opened, Reason, Reattach, Request, SessionMachine, Stats, StreamStats,
    Ticket, Transmit, Unsent,
};
pub use settings::{Settings, SettingsError};
pub use wire::{Code, Security};
