//! Reading into memory that is there only while something comes, and writing many pieces at once.

use super::blocks::{self, BLOCK_LEN};
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
    /// The octets lie in a block of the thread's store.
    is_block: bool,
}

impl Inbox {
    /// Reads once; 0 is the end. What came is behind what was there.
    pub(super) fn poll_read(&mut self, io: &mut dyn Octets, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.is_bulk {
            self.make_room();
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
                self.put_back(BytesMut::with_capacity(came.len()), false);
            }
            self.octets.extend_from_slice(came);
            self.is_bulk = came.len() >= BULK_LEN;
            Poll::Ready(Ok(came.len()))
        })
    }

    /// Room for one read more. What waits, a part of a frame, moves along to the next block.
    fn make_room(&mut self) {
        if self.octets.capacity() - self.octets.len() >= BULK_LEN {
            return;
        }
        let room = self.octets.len() + READ_LEN;
        let is_block = room <= BLOCK_LEN;
        let mut next = if is_block { blocks::take(room) } else { BytesMut::with_capacity(room) };
        next.extend_from_slice(&self.octets);
        self.put_back(next, is_block);
    }

    /// Goes on in other memory; what was there until now serves others again.
    fn put_back(&mut self, next: BytesMut, is_block: bool) {
        let last = core::mem::replace(&mut self.octets, next);
        if core::mem::replace(&mut self.is_block, is_block) {
            blocks::put(last);
        }
    }

    /// With octets that somebody else has read.
    pub(super) fn of(octets: BytesMut) -> Self {
        Self { octets, is_bulk: false, is_block: false }
    }

    /// Gives memory back where nothing waits in it.
    pub(super) fn shrink(&mut self) {
        if self.octets.is_empty() {
            self.put_back(BytesMut::new(), false);
            self.is_bulk = false;
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
