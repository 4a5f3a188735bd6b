//! What carries the octets of a connection: a carrier as it is, or a stream of a session on one.

use crate::connection::bodies::Bodies;
use crate::connection::sessioned::Tunnel;
use core::pin::Pin;
use core::task::{Context, Poll};
use postroad_transport::Carrier;
use std::io::{self, IoSlice};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A byte stream of any kind.
#[derive(Debug)]
pub(crate) enum Octets {
    /// A carrier.
    Carrier(Carrier),
    /// A stream of a session of SMRP, which goes on over another carrier when its own is lost.
    Tunnel(Box<Tunnel>),
}

impl Octets {
    /// Who is at the other end, as far as it is known.
    pub(crate) fn peer(&self) -> Option<String> {
        match self {
            Self::Carrier(carrier) => carrier.peer().map(|peer| peer.to_string()),
            Self::Tunnel(tunnel) => Some(tunnel.peer().to_owned()),
        }
    }

    /// What counts the sessions that are to end behind this.
    pub(crate) fn endings(&self) -> Option<Arc<Bodies>> {
        match self {
            Self::Carrier(_) => None,
            Self::Tunnel(tunnel) => tunnel.endings(),
        }
    }
}

impl From<Carrier> for Octets {
    fn from(carrier: Carrier) -> Self {
        Self::Carrier(carrier)
    }
}

impl AsyncRead for Octets {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Carrier(carrier) => Pin::new(carrier).poll_read(cx, buffer),
            Self::Tunnel(tunnel) => Pin::new(tunnel).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Octets {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Carrier(carrier) => Pin::new(carrier).poll_write(cx, octets),
            Self::Tunnel(tunnel) => Pin::new(tunnel).poll_write(cx, octets),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Carrier(carrier) => Pin::new(carrier).poll_write_vectored(cx, slices),
            Self::Tunnel(tunnel) => Pin::new(tunnel).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Carrier(carrier) => carrier.is_write_vectored(),
            Self::Tunnel(tunnel) => tunnel.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Carrier(carrier) => Pin::new(carrier).poll_flush(cx),
            Self::Tunnel(tunnel) => Pin::new(tunnel).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Carrier(carrier) => Pin::new(carrier).poll_shutdown(cx),
            Self::Tunnel(tunnel) => Pin::new(tunnel).poll_shutdown(cx),
        }
    }
}
