//! One type for whichever carrier it is, so that what is built on it needs no generics and no dynamic calls.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
#[cfg(any(feature = "tls", feature = "ws"))]
use tokio::net::TcpStream;

use crate::address::PeerAddr;

/// An open byte stream over any of the carriers.
///
/// Flush when the peer should see what was written: some carriers collect small writes. Shut down to end in order; what
/// an end without it means depends on the carrier (an error over TLS and WebSocket, an end of stream elsewhere).
#[derive(Debug)]
#[non_exhaustive]
pub enum Carrier {
    /// Plain TCP.
    #[cfg(feature = "tcp")]
    Tcp(crate::tcp::Stream),
    /// A Unix socket.
    #[cfg(all(unix, feature = "unix"))]
    Unix(crate::unix::Stream),
    /// Inside this process.
    #[cfg(feature = "memory")]
    Memory(crate::memory::Stream),
    /// TLS over TCP.
    #[cfg(feature = "tls")]
    Tls(Box<crate::tls::Stream<TcpStream>>),
    /// WebSocket over TCP.
    #[cfg(feature = "ws")]
    Ws(Box<crate::ws::Stream<TcpStream>>),
    /// WebSocket over TLS over TCP.
    #[cfg(all(feature = "ws", feature = "tls"))]
    Wss(Box<crate::ws::Stream<crate::tls::Stream<TcpStream>>>),
}

/// Runs `$body` with `$io` as a pinned mutable reference to whatever the carrier is.
macro_rules! on_each {
    ($self:expr, $io:ident => $body:expr) => {
        match $self {
            #[cfg(feature = "tcp")]
            Carrier::Tcp($io) => $body,
            #[cfg(all(unix, feature = "unix"))]
            Carrier::Unix($io) => $body,
            #[cfg(feature = "memory")]
            Carrier::Memory($io) => $body,
            #[cfg(feature = "tls")]
            Carrier::Tls($io) => $body,
            #[cfg(feature = "ws")]
            Carrier::Ws($io) => $body,
            #[cfg(all(feature = "ws", feature = "tls"))]
            Carrier::Wss($io) => $body,
        }
    };
}

impl Carrier {
    /// The name of the carrier as it stands in a URL: `tcp`, `unix`, `mem`, `tls`, `ws`, `wss`.
    pub fn name(&self) -> &'static str {
        match self {
            #[cfg(feature = "tcp")]
            Self::Tcp(_) => "tcp",
            #[cfg(all(unix, feature = "unix"))]
            Self::Unix(_) => "unix",
            #[cfg(feature = "memory")]
            Self::Memory(_) => "mem",
            #[cfg(feature = "tls")]
            Self::Tls(_) => "tls",
            #[cfg(feature = "ws")]
            Self::Ws(_) => "ws",
            #[cfg(all(feature = "ws", feature = "tls"))]
            Self::Wss(_) => "wss",
        }
    }

    /// Who is at the other end; `None` if the connection is gone and the system does not know any more.
    pub fn peer(&self) -> Option<PeerAddr> {
        match self {
            #[cfg(feature = "tcp")]
            Self::Tcp(io) => Some(io.peer().clone()),
            #[cfg(all(unix, feature = "unix"))]
            Self::Unix(io) => Some(io.peer().clone()),
            #[cfg(feature = "memory")]
            Self::Memory(io) => Some(io.peer().clone()),
            #[cfg(feature = "tls")]
            Self::Tls(io) => io.get_ref().peer_addr().ok().map(Into::into),
            #[cfg(feature = "ws")]
            Self::Ws(io) => io.get_ref().peer_addr().ok().map(Into::into),
            #[cfg(all(feature = "ws", feature = "tls"))]
            Self::Wss(io) => io.get_ref().get_ref().peer_addr().ok().map(Into::into),
        }
    }

    /// The certificate of the peer in DER, where there is TLS and the peer gave one.
    pub fn peer_certificate_der(&self) -> Option<&[u8]> {
        match self {
            #[cfg(feature = "tls")]
            Self::Tls(io) => io.peer_certificate_der(),
            #[cfg(all(feature = "ws", feature = "tls"))]
            Self::Wss(io) => io.get_ref().peer_certificate_der(),
            _ => None,
        }
    }

    /// Octets that only the two ends of this connection have, for `label`: see
    /// [`tls::Stream::export_keying_material`](crate::tls::Stream::export_keying_material). `None` where there is no TLS 1.3.
    #[cfg(feature = "tls")]
    pub fn export_keying_material<const LEN: usize>(&self, label: &str, context: Option<&[u8]>) -> Option<[u8; LEN]> {
        match self {
            Self::Tls(io) => io.export_keying_material(label, context),
            #[cfg(feature = "ws")]
            Self::Wss(io) => io.get_ref().export_keying_material(label, context),
            _ => None,
        }
    }

    /// The application protocol (ALPN) both ends agreed on, where there is TLS and they did.
    pub fn alpn(&self) -> Option<&[u8]> {
        match self {
            #[cfg(feature = "tls")]
            Self::Tls(io) => io.alpn(),
            #[cfg(all(feature = "ws", feature = "tls"))]
            Self::Wss(io) => io.get_ref().alpn(),
            _ => None,
        }
    }
}

impl AsyncRead for Carrier {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        on_each!(self.get_mut(), io => Pin::new(io).poll_read(cx, buf))
    }
}

impl AsyncWrite for Carrier {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        on_each!(self.get_mut(), io => Pin::new(io).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_each!(self.get_mut(), io => Pin::new(io).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        on_each!(self, io => io.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_each!(self.get_mut(), io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_each!(self.get_mut(), io => Pin::new(io).poll_shutdown(cx))
    }
}

#[cfg(feature = "tcp")]
impl From<crate::tcp::Stream> for Carrier {
    fn from(io: crate::tcp::Stream) -> Self {
        Self::Tcp(io)
    }
}

#[cfg(all(unix, feature = "unix"))]
impl From<crate::unix::Stream> for Carrier {
    fn from(io: crate::unix::Stream) -> Self {
        Self::Unix(io)
    }
}

#[cfg(feature = "memory")]
impl From<crate::memory::Stream> for Carrier {
    fn from(io: crate::memory::Stream) -> Self {
        Self::Memory(io)
    }
}

#[cfg(feature = "tls")]
impl From<crate::tls::Stream<TcpStream>> for Carrier {
    fn from(io: crate::tls::Stream<TcpStream>) -> Self {
        Self::Tls(Box::new(io))
    }
}

#[cfg(feature = "ws")]
impl From<crate::ws::Stream<TcpStream>> for Carrier {
    fn from(io: crate::ws::Stream<TcpStream>) -> Self {
        Self::Ws(Box::new(io))
    }
}

#[cfg(all(feature = "ws", feature = "tls"))]
impl From<crate::ws::Stream<crate::tls::Stream<TcpStream>>> for Carrier {
    fn from(io: crate::ws::Stream<crate::tls::Stream<TcpStream>>) -> Self {
        Self::Wss(Box::new(io))
    }
}
