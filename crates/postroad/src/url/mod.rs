//! URLs that name a stack: `PROTOCOL[+PROTOCOL...][+TRANSPORT]://AUTHORITY[/PATH][?option=value...]`.
//!
//! ```
//! use postroad::Url;
//!
//! let url: Url = "smp+tls://relay.example:7001?ca=ca.pem&heartbeat=10s".parse()?;
//! assert_eq!(url.stack().to_string(), "smp+tls");
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
mod stack;
#[cfg(test)]
mod tests;

pub use error::{UrlError, UrlErrorKind};
pub use options::{Interval, Mode, Profile, UrlOptions};
pub use stack::{Protocol, Stack, Transport};

use core::fmt;
use core::str::FromStr;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// The host of a network address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name to be looked up.
    Name(String),
    /// An address as it is.
    Ip(IpAddr),
}

impl Host {
    /// True where it is this host, as far as can be told without a look-up.
    pub(crate) fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => name == "localhost" || name.ends_with(".localhost"),
            Self::Ip(ip) => ip.is_loopback(),
        }
    }
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
        /// Where there is none `/`, or that of devices for `wrp` on a WebSocket.
        path: String,
    },
    /// The path of a Unix socket, percent-decoded.
    Path(PathBuf),
    /// The name of a listener in this process.
    Name(String),
    /// A mailslot.
    Mailslot {
        /// Who has it.
        node: Node,
        /// Its name, percent-decoded: 1 to 255 octets, none of them NUL. Text as a rule, but the protocol does not ask for it.
        name: Vec<u8>,
    },
}

/// A path as it stands in a URL.
pub(crate) fn encode_path(f: &mut fmt::Formatter<'_>, path: &Path) -> fmt::Result {
    percent::encode(f, percent::path_octets(path), percent::Keep::Path)
}

/// Who has mailslots.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// A host, by IP protocol 121: there are no ports.
    Ip(Host),
    /// A host and a UDP port; 0 lets the system choose one for a listener.
    Udp(Host, u16),
    /// An endpoint in this process, by its name.
    Memory(String),
}

/// Where to connect or listen, and what to speak there.
///
/// The text form is canonical: [`Display`](fmt::Display) of a parsed URL parses to an equal one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Url {
    pub(crate) stack: Stack,
    pub(crate) address: Address,
    pub(crate) options: UrlOptions,
}

impl Url {
    /// The outermost protocol.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.stack.protocol()
    }

    /// The carrier.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        self.stack.transport()
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

    /// Protocol and carrier: the words in front of `://`, as in `smp+tcp`.
    #[must_use]
    pub const fn stack(&self) -> Stack {
        self.stack
    }

    /// The port, where the address has one.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        match &self.address {
            Address::Network { port, .. } | Address::Mailslot { node: Node::Udp(_, port), .. } => Some(*port),
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

    /// The name of a mailslot.
    #[must_use]
    pub fn mailslot(&self) -> Option<&[u8]> {
        match &self.address {
            Address::Mailslot { name, .. } => Some(name),
            _ => None,
        }
    }

    /// The same URL without its options: what to show a peer, since options name files of this machine.
    #[must_use]
    pub fn without_options(mut self) -> Self {
        self.options = UrlOptions::default();
        self
    }

    /// The same URL with `reconnect=on` or `off`, where its stack knows that option.
    #[must_use]
    pub fn with_reconnect(mut self, reconnect: bool) -> Self {
        if self.stack.has(Protocol::Wrp) {
            self.options.reconnect = Some(reconnect);
        }
        self
    }

    /// The same URL with another port, where the address has one.
    pub(crate) fn with_port(mut self, new: u16) -> Self {
        if let Address::Network { port, .. } | Address::Mailslot { node: Node::Udp(_, port), .. } = &mut self.address {
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
        write!(f, "{}://", self.stack)?;
        match &self.address {
            Address::Network { host, port, path } => {
                self.fmt_host(f, host, *port)?;
                if path != self.stack.default_path() {
                    f.write_str(path)?;
                }
            }
            Address::Path(path) => encode_path(f, path)?,
            Address::Name(name) => percent::encode(f, name.as_bytes(), percent::Keep::Name)?,
            Address::Mailslot { node, name } => {
                match node {
                    Node::Ip(host) => write!(f, "{host}")?,
                    Node::Udp(host, port) => self.fmt_host(f, host, *port)?,
                    Node::Memory(endpoint) => percent::encode(f, endpoint.as_bytes(), percent::Keep::Name)?,
                }
                f.write_str("/")?;
                percent::encode(f, name, percent::Keep::Path)?;
            }
        }
        self.options.fmt(f)
    }
}

impl Url {
    fn fmt_host(&self, f: &mut fmt::Formatter<'_>, host: &Host, port: u16) -> fmt::Result {
        if self.stack.default_port() == Some(port) { write!(f, "{host}") } else { write!(f, "{host}:{port}") }
    }
}
