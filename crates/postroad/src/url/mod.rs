//! URLs that name a stack: `PROTOCOL[+PROTOCOL...]+TRANSPORT://AUTHORITY[/PATH][?option=value...]`.
//!
//! ```
//! use postroad::Url;
//!
//! let url: Url = "smp+tls://relay.example:7001?ca=ca.pem&heartbeat=10s".parse()?;
//! assert_eq!(url.stack(), "smp+tls");
//! assert_eq!(url.to_string(), "smp+tls://relay.example:7001?heartbeat=10s&ca=ca.pem");
//!
//! let error = "smp+tsl://relay.example:7001".parse::<Url>().unwrap_err();
//! assert!(error.to_string().contains("did you mean `smp+tls://`"));
//! # Ok::<(), postroad::UrlError>(())
//! ```

mod error;
mod options;
mod parse;
mod percent;
#[cfg(test)]
mod tests;

pub use error::{UrlError, UrlErrorKind};
pub use options::{Interval, Mode, UrlOptions};

use core::fmt;
use core::str::FromStr;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// A message protocol that a URL can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// The Streaming Message Protocol, `smp`.
    Smp,
}

impl Protocol {
    pub(crate) const ALL: [Self; 1] = [Self::Smp];

    /// The word for it in a URL.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Smp => "smp",
        }
    }
}

/// The carrier at the bottom of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// A TCP connection, in the clear.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// A WebSocket, in the clear.
    Ws,
    /// A WebSocket over TLS.
    Wss,
    /// A Unix socket.
    Unix,
    /// Memory of this process.
    Mem,
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Tcp, Self::Tls, Self::Ws, Self::Wss, Self::Unix, Self::Mem];

    /// The word for it in a URL.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::Unix => "unix",
            Self::Mem => "mem",
        }
    }

    /// True where certificates are in play.
    #[must_use]
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }

    /// True for WebSockets.
    #[must_use]
    pub const fn is_ws(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }

    /// The port where a URL names none.
    const fn default_port(self) -> Option<u16> {
        match self {
            Self::Ws => Some(80),
            Self::Wss => Some(443),
            _ => None,
        }
    }
}

/// The host of a network address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name to be looked up.
    Name(String),
    /// An address as it is.
    Ip(IpAddr),
}

/// As it stands in a URL: IPv6 in brackets.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ip(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
        }
    }
}

/// Where the other end is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// A host and a port; of WebSockets also a path, which begins with `/` and is kept as it was written.
    Network {
        /// The host.
        host: Host,
        /// The port; 0 lets the system choose one for a listener.
        port: u16,
        /// `/` where there is none.
        path: String,
    },
    /// The path of a Unix socket, percent-decoded.
    Path(PathBuf),
    /// The name of a listener in this process.
    Name(String),
}

/// Where to connect or listen, and what to speak there.
///
/// The text form is canonical: [`Display`](fmt::Display) of a parsed URL parses to an equal one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Url {
    pub(crate) protocol: Protocol,
    pub(crate) transport: Transport,
    pub(crate) address: Address,
    pub(crate) options: UrlOptions,
}

impl Url {
    /// The outermost protocol.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The carrier.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        self.transport
    }

    /// Where the other end is.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// What stands behind the `?`.
    #[must_use]
    pub const fn options(&self) -> &UrlOptions {
        &self.options
    }

    /// The words in front of `://`, as in `smp+tcp`.
    #[must_use]
    pub fn stack(&self) -> String {
        format!("{}+{}", self.protocol.word(), self.transport.word())
    }

    /// The port, where the address has one.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        match &self.address {
            Address::Network { port, .. } => Some(*port),
            _ => None,
        }
    }

    /// The path of a Unix socket.
    #[must_use]
    pub fn socket_path(&self) -> Option<&Path> {
        match &self.address {
            Address::Path(path) => Some(path),
            _ => None,
        }
    }

    /// The same URL without its options: what to show a peer, since options name files of this machine.
    #[must_use]
    pub fn without_options(mut self) -> Self {
        self.options = UrlOptions::default();
        self
    }

    /// The same URL with another port, where the address has one.
    pub(crate) fn with_port(mut self, new: u16) -> Self {
        if let Address::Network { port, .. } = &mut self.address {
            *port = new;
        }
        self
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        parse::url(text)
    }
}

impl TryFrom<&str> for Url {
    type Error = UrlError;

    fn try_from(text: &str) -> Result<Self, UrlError> {
        parse::url(text)
    }
}

impl TryFrom<&String> for Url {
    type Error = UrlError;

    fn try_from(text: &String) -> Result<Self, UrlError> {
        parse::url(text)
    }
}

impl TryFrom<String> for Url {
    type Error = UrlError;

    fn try_from(text: String) -> Result<Self, UrlError> {
        parse::url(&text)
    }
}

impl TryFrom<&Url> for Url {
    type Error = UrlError;

    fn try_from(url: &Url) -> Result<Self, UrlError> {
        Ok(url.clone())
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}://", self.protocol.word(), self.transport.word())?;
        match &self.address {
            Address::Network { host, port, path } => {
                write!(f, "{host}")?;
                if self.transport.default_port() != Some(*port) {
                    write!(f, ":{port}")?;
                }
                if path != "/" {
                    f.write_str(path)?;
                }
            }
            Address::Path(path) => percent::encode(f, percent::path_octets(path), percent::Keep::Path)?,
            Address::Name(name) => percent::encode(f, name.as_bytes(), percent::Keep::Name)?,
        }
        self.options.fmt(f)
    }
}
