//! Who is at the other end, or where this end listens.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The address of one end of a carrier.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PeerAddr {
    /// An Internet address and port.
    Inet(SocketAddr),
    /// A Unix socket; `None` for a client that bound no name.
    Unix(Option<PathBuf>),
    /// A name inside this process.
    Memory(String),
}

impl PeerAddr {
    /// The Internet address, if it is one.
    pub fn as_inet(&self) -> Option<SocketAddr> {
        match self {
            Self::Inet(addr) => Some(*addr),
            _ => None,
        }
    }
}

impl From<SocketAddr> for PeerAddr {
    fn from(addr: SocketAddr) -> Self {
        Self::Inet(addr)
    }
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(addr) => addr.fmt(f),
            Self::Unix(Some(path)) => path.display().fmt(f),
            Self::Unix(None) => f.write_str("unix socket without a name"),
            Self::Memory(name) => write!(f, "mem:{name}"),
        }
    }
}
