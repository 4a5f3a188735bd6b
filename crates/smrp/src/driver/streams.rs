//! Streams of octets.

use super::blocks::{self, BLOCK_LEN};
use super::session::{release_receive, release_send};
use super::shared::Shared;
use super::task::io_error;
use crate::error::{ReceiveError, SendError};
use crate::wire::Parameters;
use crate::{Code, Direction, Opened, Priority, SessionMachine, StreamId, StreamStats};
use bytes::Bytes;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wirekit::Instant;

/// Our direction of a stream. Dropped before [`finish`](Self::finish), it is given up with CANCELLED.
#[derive(Debug)]
pub struct SendStream {
    shared: Arc<Shared>,
    id: StreamId,
}

/// The peer's direction of a stream. Dropped before its end, the peer is asked to stop, with CANCELLED.
#[derive(Debug)]
pub struct RecvStream {
    shared: Arc<Shared>,
    id: StreamId,
}

/// A stream both ways, as one thing that reads and writes.
#[derive(Debug)]
pub struct Bidi {
    /// Our direction.
    pub send: SendStream,
    /// The peer's direction.
    pub recv: RecvStream,
}

/// A stream that the peer opened.
#[derive(Debug)]
pub struct IncomingStream {
    /// What the peer said about it.
    pub opened: Opened,
    /// Our direction, where it goes both ways.
    pub send: Option<SendStream>,
    /// The peer's direction.
    pub recv: RecvStream,
}

impl IncomingStream {
    pub(super) fn of(shared: &Arc<Shared>, opened: Opened) -> Self {
        let id = opened.stream;
        let both = id.direction() == Direction::Bidi;
        Self {
            send: both.then(|| SendStream::of(shared.clone(), id)),
            recv: RecvStream::of(shared.clone(), id),
            opened,
        }
    }

    /// Where the stream wants to go, as the peer said.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        self.opened.name()
    }

    /// As one thing that reads and writes; `None` where it goes one way.
    #[must_use]
    pub fn into_bidi(self) -> Option<Bidi> {
        let Self { send, recv, .. } = self;
        Some(Bidi { send: send?, recv })
    }

    /// Refuses it: nothing was done with it.
    pub fn refuse(self, code: Code) {
        let mut state = self.recv.shared.lock();
        let now = state.now();
        state.machine.refuse_stream(now, self.recv.id, code);
        state.wake_task();
    }
}

/// One try of something on a stream; what is blocked waits to write.
pub(super) fn poll_send<T>(
    shared: &Shared,
    id: StreamId,
    cx: &Context<'_>,
    send: impl FnOnce(&mut SessionMachine, Instant) -> Result<T, SendError>,
) -> Poll<Result<T, SendError>> {
    let mut state = shared.lock();
    if let Some(end) = &state.end {
        return Poll::Ready(Err(SendError::Session(end.clone())));
    }
    let now = state.now();
    match send(&mut state.machine, now) {
        Err(SendError::Blocked) => {
            state.wait_to_write(id, cx);
            Poll::Pending
        }
        result => {
            state.wake_task();
            Poll::Ready(result)
        }
    }
}

/// One try of something on a stream; what is blocked waits to read.
pub(super) fn poll_receive<T>(
    shared: &Shared,
    id: StreamId,
    cx: &Context<'_>,
    receive: impl FnOnce(&mut SessionMachine, Instant) -> Result<T, ReceiveError>,
) -> Poll<Result<T, ReceiveError>> {
    let mut state = shared.lock();
    let now = state.refresh();
    match receive(&mut state.machine, now) {
        Err(ReceiveError::Blocked) => {
            if let Some(end) = &state.end {
                return Poll::Ready(Err(ReceiveError::Session(end.clone())));
            }
            state.wait_to_read(id, cx);
            Poll::Pending
        }
        result => {
            // Only where credit waits to be told is there anything to do.
            if state.machine.has_control() {
                state.wake_task();
            }
            Poll::Ready(result)
        }
    }
}

/// Hands in copies, a block at most.
fn write(machine: &mut SessionMachine, id: StreamId, octets: &[u8]) -> Result<usize, SendError> {
    machine.write_with(id, octets.get(..BLOCK_LEN).unwrap_or(octets), blocks::copy)
}

impl SendStream {
    pub(super) fn of(shared: Arc<Shared>, id: StreamId) -> Self {
        Self { shared, id }
    }

    /// What both directions of it have done so far.
    #[must_use]
    pub fn stats(&self) -> StreamStats {
        self.shared.lock().machine.stream_stats(self.id).unwrap_or_default()
    }

    /// Which stream it is.
    #[must_use]
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// Hands in octets without a copy, waiting while the stream is full. Cancel-safe: before it is ready nothing was handed in.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn write_bytes(&mut self, octets: Bytes) -> Result<(), SendError> {
        poll_fn(|cx| poll_send(&self.shared, self.id, cx, |machine, _| machine.write_bytes(self.id, octets.clone())))
            .await
    }

    /// Hands in all octets. Not cancel-safe: some may have been handed in.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn write_all(&mut self, mut octets: &[u8]) -> Result<(), SendError> {
        while !octets.is_empty() {
            let len = poll_fn(|cx| poll_send(&self.shared, self.id, cx, |machine, _| write(machine, self.id, octets)))
                .await?;
            octets = octets.get(len..).unwrap_or_default();
        }
        Ok(())
    }

    /// Hands in what there is room for now, and says how much that is.
    ///
    /// # Errors
    /// [`SendError::Blocked`] where there is no room.
    pub fn try_write(&mut self, octets: &[u8]) -> Result<usize, SendError> {
        let mut state = self.shared.lock();
        let len = write(&mut state.machine, self.id, octets)?;
        state.wake_task();
        Ok(len)
    }

    /// Waits until everything that was handed in has gone to the carrier. Cancel-safe.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn flushed(&mut self) -> Result<(), SendError> {
        poll_fn(|cx| {
            poll_send(&self.shared, self.id, cx, |machine, _| {
                if machine.is_flushed(self.id) { Ok(()) } else { Err(SendError::Blocked) }
            })
        })
        .await
    }

    /// Ends our direction in good order: the peer reads to its end.
    ///
    /// # Errors
    /// [`SendError`] where it is at its end already.
    pub fn finish(&mut self) -> Result<(), SendError> {
        let mut state = self.shared.lock();
        state.machine.finish(self.id)?;
        state.wake_task();
        Ok(())
    }

    /// Ends our direction with metadata behind its data.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn finish_with(&mut self, trailer: Parameters) -> Result<(), SendError> {
        let mut state = self.shared.lock();
        state.machine.finish_with(self.id, trailer)?;
        state.wake_task();
        Ok(())
    }

    /// Sends metadata ahead of our data, on a stream that the peer opened.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn send_metadata(&mut self, metadata: Parameters) -> Result<(), SendError> {
        let mut state = self.shared.lock();
        state.machine.send_metadata(self.id, metadata)?;
        state.wake_task();
        Ok(())
    }

    /// Gives our direction up; the first `reliable_len` octets are delivered all the same.
    pub fn reset(&mut self, code: Code, reliable_len: u64) {
        let mut state = self.shared.lock();
        let now = state.now();
        state.machine.reset(now, self.id, code, reliable_len);
        state.wake_task();
    }

    /// Changes how urgent our direction is.
    pub fn set_priority(&mut self, priority: Priority) {
        self.shared.lock().machine.set_priority(self.id, priority, false);
    }
}

impl Drop for SendStream {
    fn drop(&mut self) {
        release_send(&self.shared, self.id);
    }
}

impl RecvStream {
    pub(super) fn of(shared: Arc<Shared>, id: StreamId) -> Self {
        Self { shared, id }
    }

    /// What both directions of it have done so far.
    #[must_use]
    pub fn stats(&self) -> StreamStats {
        self.shared.lock().machine.stream_stats(self.id).unwrap_or_default()
    }

    /// Which stream it is.
    #[must_use]
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// The next octets without a copy, `len_max` at most; `None` at the end. Cancel-safe.
    ///
    /// # Errors
    /// [`ReceiveError`].
    pub async fn read_chunk(&mut self, len_max: usize) -> Result<Option<Bytes>, ReceiveError> {
        poll_fn(|cx| poll_receive(&self.shared, self.id, cx, |machine, now| machine.read_chunk(now, self.id, len_max)))
            .await
    }

    /// Waits until there is something to read, or the end: true where there is something. Cancel-safe.
    ///
    /// # Errors
    /// [`ReceiveError`].
    pub async fn peek(&mut self) -> Result<bool, ReceiveError> {
        poll_fn(|cx| poll_receive(&self.shared, self.id, cx, |machine, _| machine.peek(self.id))).await
    }

    /// Waits for the metadata ahead of the peer's data; `None` where data or the end came without. Cancel-safe.
    ///
    /// # Errors
    /// [`ReceiveError`].
    pub async fn head(&mut self) -> Result<Option<Parameters>, ReceiveError> {
        poll_fn(|cx| {
            // In this order: whoever waits already is woken when the metadata comes.
            let peeked = poll_receive(&self.shared, self.id, cx, |machine, _| machine.peek(self.id));
            match (self.metadata(), peeked) {
                (Some(head), _) => Poll::Ready(Ok(Some(head))),
                (None, Poll::Ready(peeked)) => Poll::Ready(peeked.map(|_| None)),
                (None, Poll::Pending) => Poll::Pending,
            }
        })
        .await
    }

    /// Wants no more.
    pub fn stop(&mut self, code: Code) {
        let mut state = self.shared.lock();
        let now = state.now();
        state.machine.stop(now, self.id, code);
        state.wake_task();
    }

    /// The metadata ahead of the peer's data, where it has come.
    #[must_use]
    pub fn metadata(&self) -> Option<Parameters> {
        self.shared.lock().heads.get(&self.id).and_then(|heads| heads.head.clone())
    }

    /// The metadata behind the peer's data, once its end was read.
    #[must_use]
    pub fn trailer(&self) -> Option<Parameters> {
        self.shared.lock().heads.get(&self.id).and_then(|heads| heads.trailer.clone())
    }
}

impl Drop for RecvStream {
    fn drop(&mut self) {
        release_receive(&self.shared, self.id);
    }
}

impl AsyncWrite for SendStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        poll_send(&self.shared, self.id, cx, |machine, _| write(machine, self.id, octets)).map_err(io_error)
    }

    /// Ready at once: what was handed in goes out without being asked for.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.shared.lock();
        let result = match state.machine.finish(self.id) {
            Ok(()) | Err(SendError::Finished | SendError::NoStream(_)) => Ok(()),
            Err(error) => Err(io_error(error)),
        };
        state.wake_task();
        Poll::Ready(result)
    }
}

impl AsyncRead for RecvStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let id = self.id;
        let read =
            poll_receive(&self.shared, id, cx, |machine, now| machine.read(now, id, buffer.initialize_unfilled()));
        read.map(|read| {
            buffer.advance(read.map_err(io_error)?);
            Ok(())
        })
    }
}

impl AsyncWrite for Bidi {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.send).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.send).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.send).poll_shutdown(cx)
    }
}

impl AsyncRead for Bidi {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.recv).poll_read(cx, buffer)
    }
}
