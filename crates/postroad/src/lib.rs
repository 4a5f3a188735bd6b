#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod body;
mod capability;
mod carrier;
mod connect;
mod connection;
mod convention;
mod error;
pub mod escape;
pub mod forward;
pub mod inspect;
mod listen;
mod message;
mod options;
mod request;
mod sync;
pub mod transfer;
pub mod url;
mod words;

pub use body::{Body, BodyWriter};
pub use bytes::Bytes;
pub use capability::Capability;
pub use connect::{connect, connect_with};
pub use connection::{Connection, Incoming, Statistics};
pub use error::{Error, ErrorKind};
pub use listen::{Listener, listen, listen_with};
pub use message::Message;
pub use options::{ConnectOptions, Limits, ListenOptions, MAX_MESSAGE_SIZE_DEFAULT, MAX_SIZE_DEFAULT};
pub use request::{Reply, Request, RequestWriter};
pub use url::{Url, UrlError};
/// WRP messages themselves, for [`Connection::send_wrp`] and [`Message::as_wrp`].
pub use wrp;

/// A development CA and certificates of one's own.
#[cfg(feature = "dev-certs")]
pub use postroad_transport::dev_certs;

/// The example of the repository's README.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct RepositoryReadme;

/// The examples of the guide and of the repository's front page, compiled.
#[cfg(doctest)]
mod guide {
    #[doc = include_str!("../../../README.md")]
    struct FrontPage;
    #[doc = include_str!("../../../docs/guide/getting-started.md")]
    struct GettingStarted;
    #[doc = include_str!("../../../docs/guide/files.md")]
    struct Files;
    #[doc = include_str!("../../../docs/guide/mailslots.md")]
    struct Mailslots;
    #[doc = include_str!("../../../docs/guide/devices.md")]
    struct Devices;
    #[doc = include_str!("../../../docs/guide/sessions.md")]
    struct Sessions;
    #[doc = include_str!("../../../docs/guide/tls.md")]
    struct Tls;
}
