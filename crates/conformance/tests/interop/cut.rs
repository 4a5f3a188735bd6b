//! A carrier that moves few octets at once, so that units arrive in pieces.

use std::pin::Pin;
use std::task::{Context, Poll};
use testkit::Rng;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How many octets a read or write moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// One.
    One,
    /// 1 to 700, as a seed says.
    Random(u64),
    /// As many as fit.
    Large,
}

impl Cut {
    /// For the other end, which has one size for all its writes; 0 is all at once.
    pub(crate) const fn peer_chunk_len(self) -> usize {
        match self {
            Self::One => 1,
            Self::Random(seed) => 5 + (seed % 97) as usize,
            Self::Large => 0,
        }
    }
}

/// A TCP connection under a [`Cut`].
#[derive(Debug)]
pub(crate) struct CutStream {
    stream: TcpStream,
    cut: Cut,
    rng: Rng,
}

impl CutStream {
    pub(crate) fn new(stream: TcpStream, cut: Cut) -> Self {
        stream.set_nodelay(true).unwrap();
        let seed = if let Cut::Random(seed) = cut { seed } else { 0 };
        Self { stream, cut, rng: Rng::new(seed) }
    }

    fn len_max(&mut self) -> usize {
        match self.cut {
            Cut::One => 1,
            Cut::Random(_) => self.rng.range(1..701),
            Cut::Large => usize::MAX,
        }
    }
}

impl AsyncRead for CutStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let len = self.len_max().min(buf.remaining());
        let mut part = vec![0; len.min(64 * 1024)];
        let mut part = ReadBuf::new(&mut part);
        let result = Pin::new(&mut self.stream).poll_read(cx, &mut part);
        buf.put_slice(part.filled());
        result
    }
}

impl AsyncWrite for CutStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<std::io::Result<usize>> {
        let len = self.len_max().min(octets.len());
        Pin::new(&mut self.stream).poll_write(cx, &octets[..len])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
