//! A device and its cloud: what they say when they connect, and what keeps a link alive.
//!
//! A link carries whole messages: over a WebSocket each one is one binary message; other roads bring their own boundaries.
//! [`Link`] is the machine of either end, [`Hello`] what a device says in the headers of its WebSocket request, [`Backoff`] when
//! it tries again. With the feature `tokio`, [`channel`] makes a driver of it for anything that is a `Stream` and a `Sink` of
//! [`Unit`]s.

mod backoff;
#[cfg(feature = "tokio")]
mod driver;
mod hello;
mod machine;

pub use backoff::{Backoff, BackoffConfig};
#[cfg(feature = "tokio")]
pub use driver::{Down, Driver, End, Incoming, Receiver, SendError, Sender, Unit, channel, keep_connected};
pub use hello::{
    AUTHORIZATION, CONVEY, DEVICE_NAME, DEVICE_PROTOCOLS, Hello, HelloError, MISDIRECTED_MAX, PATH, PATHS, bearer_token,
};
#[cfg(feature = "json")]
pub use hello::{convey, convey_from};
pub use machine::{Config, Event, Input, Link, MESSAGE_LEN_MAX, Outgoing, Reason, Received, Rejected, Unsendable};
