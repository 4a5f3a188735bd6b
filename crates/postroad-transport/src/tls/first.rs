//! The first bytes below TLS: what the peer speaks is told from them before the library gives its opinion.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::error::{CarrierError, Speaks};
use crate::forward::forward_writes;
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

forward_writes!([S: AsyncWrite + Unpin] FirstBytes<S>);
