//! The first bytes below TLS: what the peer speaks is told from them before the library gives its opinion.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::error::{CarrierError, Speaks};
use crate::guard::first_bytes_mismatch;

/// Checks the first read for a peer that does not speak TLS.
#[derive(Debug)]
pub(crate) struct FirstBytes<S> {
    io: S,
    seen: bool,
}

impl<S> FirstBytes<S> {
    pub(crate) fn new(io: S) -> Self {
        Self { io, seen: false }
    }

    /// Whether the peer sent anything at all.
    pub(crate) fn seen(&self) -> bool {
        self.seen
    }

    pub(crate) fn get_ref(&self) -> &S {
        &self.io
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FirstBytes<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        if !this.seen {
            let bytes = buf.filled().get(before..).unwrap_or_default();
            this.seen = !bytes.is_empty();
            if let Some(theirs) = first_bytes_mismatch(Speaks::Tls, bytes) {
                return Poll::Ready(Err(CarrierError::mismatch(Speaks::Tls, Some(theirs)).into()));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FirstBytes<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
