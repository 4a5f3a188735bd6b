//! Reading into memory that is there only while something comes, and writing many pieces at once.

use super::carrier::Octets;
use crate::Transmit;
use bytes::BytesMut;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::cell::RefCell;
use std::io::{self, IoSlice};
use tokio::io::ReadBuf;
use tokio_util::io::poll_read_buf;

/// Octets asked for at once.
const READ_LEN: usize = 64 << 10;
/// From a read of this length on the next one goes straight to where its octets stay.
const BULK_LEN: usize = 32 << 10;
/// Pieces of one vectored write.
const SLICES_MAX: usize = 64;

thread_local! {
    /// Where short reads go first: one for all sessions of a thread, so that an idle session holds none.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Where octets come in.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    pub(super) octets: BytesMut,
    is_bulk: bool,
}

impl Inbox {
    /// Reads once; 0 is the end. What came is behind what was there.
    pub(super) fn poll_read(&mut self, io: &mut dyn Octets, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.is_bulk {
            self.octets.reserve(READ_LEN);
            let len = ready!(poll_read_buf(Pin::new(io), cx, &mut self.octets))?;
            self.is_bulk = len >= BULK_LEN;
            return Poll::Ready(Ok(len));
        }
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.resize(READ_LEN, 0);
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(io).poll_read(cx, &mut buffer))?;
            let came = buffer.filled();
            if self.octets.is_empty() {
                // Right-sized: what stays of it holds no more than what came.
                self.octets = BytesMut::with_capacity(came.len());
            }
            self.octets.extend_from_slice(came);
            self.is_bulk = came.len() >= BULK_LEN;
            Poll::Ready(Ok(came.len()))
        })
    }

    /// With octets that somebody else has read.
    pub(super) fn of(octets: BytesMut) -> Self {
        Self { octets, is_bulk: false }
    }

    /// Gives memory back where nothing waits in it.
    pub(super) fn shrink(&mut self) {
        if self.octets.is_empty() {
            *self = Self::default();
        }
    }
}

/// One write of as many pieces as it takes.
fn write_many(io: &mut dyn Octets, cx: &mut Context<'_>, out: &Transmit) -> Poll<io::Result<usize>> {
    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
    let mut count = 0;
    for (slice, chunk) in slices.iter_mut().zip(out.chunks()) {
        *slice = IoSlice::new(chunk);
        count += 1;
    }
    Pin::new(io).poll_write_vectored(cx, slices.get(..count).unwrap_or_default())
}

/// Writes what waits, as far as the carrier takes it. Ready once nothing is left.
pub(super) fn poll_write(io: &mut dyn Octets, cx: &mut Context<'_>, out: &mut Transmit) -> Poll<io::Result<()>> {
    while !out.is_empty() {
        let written = match out.only_chunk() {
            Some(one) => ready!(Pin::new(&mut *io).poll_write(cx, one))?,
            None => ready!(write_many(io, cx, out))?,
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        out.advance(written);
    }
    Poll::Ready(Ok(()))
}
