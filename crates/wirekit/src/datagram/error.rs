//! What a path says against a datagram, at once or later.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Why a path does not deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PathErrorKind {
    /// The host is there and nobody on it takes the protocol (ICMP 3/2; ICMPv6 4/1). A Linux host says so too while the
    /// receive buffer of the one who does is full: of a peer that was heard before it is no more than a lost datagram.
    ProtocolUnreachable,
    /// The host is there and nobody listens at the port (ICMP 3/3; ICMPv6 1/4).
    PortUnreachable,
    /// The host does not answer its last router, or is unknown there (ICMP 3/1 and others; ICMPv6 1/3).
    HostUnreachable,
    /// No route to the network of the host (ICMP 3/0 and others; ICMPv6 1/0).
    NetworkUnreachable,
    /// A filter or an administrator forbids it (ICMP 3/9, 3/10, 3/13; ICMPv6 1/1, 1/5, 1/6).
    Prohibited,
    /// A datagram was longer than a link on the path takes and must not be cut (ICMP 3/4; ICMPv6 2/0).
    TooLong {
        /// What that link takes, the IP header included; 0 where the router did not tell.
        mtu: u32,
    },
    /// Anything else, as a time to live that ran out.
    Other,
}

impl fmt::Display for PathErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProtocolUnreachable => f.write_str("the host does not speak the protocol"),
            Self::PortUnreachable => f.write_str("nobody listens at the port"),
            Self::HostUnreachable => f.write_str("the host is unreachable"),
            Self::NetworkUnreachable => f.write_str("the network is unreachable"),
            Self::Prohibited => f.write_str("a filter forbids it"),
            Self::TooLong { mtu: 0 } => f.write_str("longer than the path takes"),
            Self::TooLong { mtu } => write!(f, "longer than the path takes (mtu {mtu})"),
            Self::Other => f.write_str("the path does not deliver"),
        }
    }
}

/// What ICMP said about datagrams that were sent earlier.
///
/// Anybody who knows two addresses can forge it: take it as a hint, and check [`quoted`](Self::quoted) against what is on
/// its way before giving a peer up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PathError {
    /// Where the datagram was to go. The port is 0 on raw IP.
    pub destination: SocketAddr,
    /// What is wrong.
    pub kind: PathErrorKind,
    /// Who says so: the destination itself, or a router on the way. `None` where the system does not tell.
    pub reporter: Option<IpAddr>,
    /// The first eight octets of the datagram's payload as the report quotes them; `None` where it quotes fewer.
    pub quoted: Option<[u8; 8]>,
}

impl PathError {
    /// A report of which no more is known.
    #[must_use]
    pub const fn new(destination: SocketAddr, kind: PathErrorKind) -> Self {
        Self { destination, kind, reporter: None, quoted: None }
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "datagrams to {}: {}", self.destination, self.kind)?;
        match self.reporter {
            Some(reporter) => write!(f, ", says {reporter}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for PathError {}

/// Why the first datagram of a [`try_send`](super::DatagramSocket::try_send) did not go. Later ones were not tried.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendError {
    /// The socket's buffer is full: wait with [`poll_send_ready`](super::DatagramSocket::poll_send_ready).
    WouldBlock,
    /// The queue of the network interface is full, or the system has no memory. No event tells when it is over: drop the
    /// datagram, or try again after a pause that grows.
    NoBuffers,
    /// Longer than the path takes in one piece, now and later.
    TooLong {
        /// The longest payload that would go; `None` where it is not known.
        payload_len_max: Option<usize>,
    },
    /// The system knows already that the path does not deliver.
    Path(PathErrorKind),
    /// The carrier failed, or a field of the datagram cannot work: a source that is no address of this host, a
    /// destination of another family.
    Io(io::Error),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WouldBlock => f.write_str("the socket's send buffer is full"),
            Self::NoBuffers => f.write_str("the interface's queue is full"),
            Self::TooLong { payload_len_max: Some(len) } => {
                write!(f, "datagram longer than the {len} octets that the path takes")
            }
            Self::TooLong { payload_len_max: None } => f.write_str("datagram longer than the path takes"),
            Self::Path(kind) => kind.fmt(f),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<SendError> for io::Error {
    fn from(error: SendError) -> Self {
        let kind = match &error {
            SendError::WouldBlock => io::ErrorKind::WouldBlock,
            SendError::NoBuffers => io::ErrorKind::OutOfMemory,
            SendError::TooLong { .. } => io::ErrorKind::InvalidInput,
            SendError::Path(PathErrorKind::HostUnreachable) => io::ErrorKind::HostUnreachable,
            SendError::Path(PathErrorKind::NetworkUnreachable) => io::ErrorKind::NetworkUnreachable,
            SendError::Path(PathErrorKind::Prohibited) => io::ErrorKind::PermissionDenied,
            SendError::Path(_) => io::ErrorKind::ConnectionRefused,
            SendError::Io(_) => io::ErrorKind::Other,
        };
        match error {
            SendError::Io(inner) => inner,
            other => Self::new(kind, other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_error_says_where_what_and_who() {
        let mut error = PathError::new(SocketAddr::from(([10, 0, 0, 2], 0)), PathErrorKind::TooLong { mtu: 1280 });
        assert_eq!(error.to_string(), "datagrams to 10.0.0.2:0: longer than the path takes (mtu 1280)");
        error.kind = PathErrorKind::ProtocolUnreachable;
        error.reporter = Some(IpAddr::from([10, 0, 0, 1]));
        assert_eq!(error.to_string(), "datagrams to 10.0.0.2:0: the host does not speak the protocol, says 10.0.0.1");
    }

    #[test]
    fn a_send_error_keeps_its_kind_and_source_on_the_way_through_io_error() {
        assert_eq!(io::Error::from(SendError::WouldBlock).kind(), io::ErrorKind::WouldBlock);
        let prohibited = io::Error::from(SendError::Path(PathErrorKind::Prohibited));
        assert_eq!(prohibited.kind(), io::ErrorKind::PermissionDenied);
        let inner = io::Error::from(SendError::Io(io::Error::from(io::ErrorKind::AddrNotAvailable)));
        assert_eq!(inner.kind(), io::ErrorKind::AddrNotAvailable);
        let long = SendError::TooLong { payload_len_max: Some(1480) };
        assert_eq!(long.to_string(), "datagram longer than the 1480 octets that the path takes");
    }
}
