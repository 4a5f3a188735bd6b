//! An open WebSocket as a byte stream.

mod reading;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Sleep;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketContext};

use super::adapter::Io;
use super::config::Limits;
use super::frame::Header;
use super::held::Held;
use super::incoming::Incoming;
use super::messages::Messages;
use super::outgoing::Outgoing;
use crate::error::{CarrierError, ErrorKind, printable};

/// Writes of a server from this size on go to the socket without being copied first.
const DIRECT_LEN_MIN: usize = 4 * 1024;
/// Slices of a vectored write that are looked at in one call.
const SLICES_MAX: usize = 16;

/// A WebSocket over `S` as a byte stream. See the [module](super) for what becomes of message boundaries and ends.
///
/// Small writes wait in a buffer until a flush, or until it is full: flush when the peer should see them.
#[derive(Debug)]
pub struct Stream<S> {
    io: S,
    /// Acts on control frames, and knows how far the closing has come.
    context: WebSocketContext,
    role: Role,
    limits: Limits,
    address: Box<str>,
    protocol: Option<Box<str>>,
    /// Headers of the request that the server was told to keep.
    kept: Box<[(Box<str>, Box<str>)]>,
    incoming: Incoming,
    held: Held,
    out: Outgoing,
    end: End,
    closing: Closing,
    // Who waits, so that an end that polls the socket for another purpose wakes the one it took the place of.
    reader: Option<Waker>,
    writer: Option<Waker>,
    closer: Option<Waker>,
}

/// Whether more can be read.
#[derive(Debug)]
enum End {
    Open,
    Clean,
    Failed(CarrierError),
}

/// How far a shutdown has come.
#[derive(Debug)]
enum Closing {
    No,
    /// Our close is on its way, or there; the peer's is awaited until the time is up.
    Sent(Pin<Box<Sleep>>),
    /// The WebSocket is over, the stream below is being closed.
    Below,
    Done,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
    pub(super) fn new(
        io: S,
        role: Role,
        tail: Vec<u8>,
        limits: Limits,
        address: &str,
        protocol: Option<String>,
    ) -> Self {
        Self {
            io,
            context: WebSocketContext::new(role, Some(limits.for_tungstenite())),
            role,
            address: address.into(),
            protocol: protocol.map(Into::into),
            kept: Box::default(),
            incoming: Incoming::new(role, &limits),
            held: Held::new(tail),
            limits,
            out: Outgoing::new(&limits),
            end: End::Open,
            closing: Closing::No,
            reader: None,
            writer: None,
            closer: None,
        }
    }

    pub(super) fn with_kept(mut self, kept: Box<[(Box<str>, Box<str>)]>) -> Self {
        self.kept = kept;
        self
    }

    /// The same WebSocket, message by message. For one that was just opened: what was written and not flushed, or came and
    /// was not read, is lost.
    pub async fn into_messages(self) -> Messages<S> {
        let tail = if self.held.is_raw { self.held.bytes } else { Vec::new() };
        Messages::new(self.io, self.role, tail, &self.limits, self.address).await
    }

    /// The peer closed: its code says whether that is an end or a failure. The answer is queued by tungstenite.
    fn on_close(&mut self, cx: &mut Context<'_>, frame: Option<CloseFrame>) {
        self.end = match frame {
            Some(frame) if !matches!(frame.code, CloseCode::Normal | CloseCode::Away | CloseCode::Status) => {
                let code = u16::from(frame.code);
                let cause = format!("peer closed the WebSocket with code {code}: {}", printable(frame.reason.as_str()));
                End::Failed(CarrierError::new(ErrorKind::ClosedByPeer { code }, "read from", cause).at(&self.address))
            }
            _ => End::Clean,
        };
        let mut io = Io { source: &[], ended: false, out: &mut self.out };
        // Puts the answer into the queue. "Closed" is what tungstenite then reports, and what we know already.
        let _ = self.context.flush(&mut io);
        self.poll_urgent(cx);
    }

    /// The peer did what cannot be borne: says so to it, as far as the socket takes it, and remembers the failure.
    fn fail(&mut self, cx: &mut Context<'_>, error: CarrierError, code: CloseCode) {
        let reason = match error.kind() {
            ErrorKind::TextMessage => "binary messages only",
            ErrorKind::Limit => "message too big",
            _ => "protocol error",
        };
        self.end = End::Failed(error.at(&self.address));
        let mut io = Io { source: &[], ended: false, out: &mut self.out };
        let _ = self.context.close(&mut io, Some(CloseFrame { code, reason: reason.into() }));
        self.poll_urgent(cx);
    }

    /// Sends queued control frames from the reader's side, without taking the writer's place for good.
    fn poll_urgent(&mut self, cx: &mut Context<'_>) {
        if !self.out.urgent {
            return;
        }
        let sent = self.out.poll_send(&mut self.io, cx);
        if matches!(sent, Poll::Ready(Ok(()))) {
            // A failure to flush shows at the next write or read.
            let _ = Pin::new(&mut self.io).poll_flush(cx);
        }
        wake_other(&mut self.writer, cx);
    }

    /// The queue down to nothing. Pending remembers the writer.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = self.out.poll_send(&mut self.io, cx);
        remember(&mut self.writer, cx, sent.is_pending());
        sent.map(|result| result.map_err(|error| self.write_error(error)))
    }

    fn write_error(&self, error: io::Error) -> io::Error {
        match &self.end {
            End::Failed(known) => known.clone().into(),
            _ => io::Error::new(error.kind(), CarrierError::io("write to", error).at(&self.address)),
        }
    }

    /// Whether a write may begin now.
    fn check_writable(&self) -> io::Result<()> {
        if !matches!(self.closing, Closing::No) {
            let error = CarrierError::new(ErrorKind::Io, "write to", "this end closed the WebSocket already");
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, error.at(&self.address)));
        }
        match &self.end {
            End::Failed(error) => Err(error.clone().into()),
            End::Open if self.context.can_write() => Ok(()),
            _ => {
                let error = CarrierError::new(ErrorKind::Io, "write to", "peer closed the WebSocket");
                Err(io::Error::new(io::ErrorKind::BrokenPipe, error.at(&self.address)))
            }
        }
    }

    /// One message of up to `payload_len_max` bytes of `bufs`.
    fn poll_message(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.check_writable()?;
        let bufs = bufs.get(..bufs.len().min(SLICES_MAX)).unwrap_or_default();
        let len = bufs.iter().map(|buf| buf.len()).sum::<usize>().min(self.limits.payload_len_max);
        if len == 0 {
            return Poll::Ready(Ok(0));
        }
        if self.out.len() >= self.limits.write_buffer_len {
            ready!(self.poll_send(cx))?;
        }
        match self.role {
            Role::Server if len >= DIRECT_LEN_MIN && self.out.len() == 0 && self.io.is_write_vectored() => {
                self.write_direct(cx, bufs, len)?;
            }
            Role::Server => self.out.push_message(bufs, len, None),
            // The mask must not be predictable (RFC 6455, section 10.3); this generator is cryptographic.
            Role::Client => self.out.push_message(bufs, len, Some(rand::random())),
        }
        if self.out.len() >= self.limits.write_buffer_len
            && let Poll::Ready(Err(error)) = self.poll_send(cx)
        {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(len))
    }

    /// Header and caller's bytes in one vectored write; only what the socket does not take is copied.
    fn write_direct(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>], len: usize) -> io::Result<()> {
        let header = Header::new(len, None);
        let header = header.as_bytes();
        let mut slices = [IoSlice::new(header); SLICES_MAX + 1];
        let mut left = len;
        let (_, rest) = slices.split_at_mut(1);
        for (slot, buf) in rest.iter_mut().zip(bufs) {
            let piece = buf.get(..left.min(buf.len())).unwrap_or_default();
            *slot = IoSlice::new(piece);
            left -= piece.len();
        }
        let used = slices.get(..=bufs.len()).unwrap_or_default();
        let taken = match Pin::new(&mut self.io).poll_write_vectored(cx, used) {
            Poll::Ready(Ok(taken)) => taken,
            Poll::Ready(Err(error)) => return Err(self.write_error(error)),
            Poll::Pending => {
                remember(&mut self.writer, cx, true);
                0
            }
        };
        if taken < header.len() + len {
            self.out.push_rest(header, bufs, len, taken);
        }
        Ok(())
    }

    /// Waits for the peer's close, or for data that somebody else must take first, or for the time to be up.
    fn poll_peer_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let came = self.poll_held(cx);
        // A reader in another task has lost its place at the socket; woken, it takes it again, or sees what came.
        wake_other(&mut self.reader, cx);
        if came.is_ready() {
            return Poll::Ready(());
        }
        let Closing::Sent(timer) = &mut self.closing else { return Poll::Ready(()) };
        if timer.as_mut().poll(cx).is_ready() {
            tracing::debug!(address = %self.address, "peer did not answer the close of the WebSocket in time");
            return Poll::Ready(());
        }
        remember(&mut self.closer, cx, true);
        Poll::Pending
    }
}

impl<S> Stream<S> {
    /// The stream below.
    pub fn get_ref(&self) -> &S {
        &self.io
    }

    /// A header of the request that opened it, at a server that keeps it
    /// ([`ServerConfig::with_kept_headers`](super::ServerConfig::with_kept_headers)).
    pub fn request_header(&self, name: &str) -> Option<&str> {
        self.kept.iter().find(|(kept, _)| kept.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    /// The sub-protocol both ends agreed on, if any.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_message(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_message(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        let flushed = Pin::new(&mut this.io).poll_flush(cx);
        remember(&mut this.writer, cx, flushed.is_pending());
        flushed.map(|result| result.map_err(|error| this.write_error(error)))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if matches!(this.closing, Closing::No) {
            let mut io = Io { source: &[], ended: false, out: &mut this.out };
            // Queues our close; a peer that closed first has its answer queued already.
            let _ = this.context.close(&mut io, Some(CloseFrame { code: CloseCode::Normal, reason: "".into() }));
            this.closing = Closing::Sent(Box::pin(tokio::time::sleep(this.limits.close_timeout)));
        }
        if matches!(this.closing, Closing::Sent(_)) {
            let sent = match this.poll_send(cx) {
                Poll::Ready(Ok(())) => Pin::new(&mut this.io).poll_flush(cx),
                other => other,
            };
            match sent {
                Poll::Ready(Ok(())) => {
                    if matches!(this.end, End::Open) {
                        ready!(this.poll_peer_close(cx));
                    }
                }
                // A peer that is gone cannot be told; one that does not read is left when the time is up.
                Poll::Ready(Err(_)) => {}
                Poll::Pending => {
                    if let Closing::Sent(timer) = &mut this.closing {
                        ready!(timer.as_mut().poll(cx));
                    }
                }
            }
            this.closing = if this.held.is_empty() { Closing::Below } else { Closing::Done };
        }
        if matches!(this.closing, Closing::Below) {
            // The far end may have closed the socket by now, which is what we want as well.
            let _ = ready!(Pin::new(&mut this.io).poll_shutdown(cx));
            this.closing = Closing::Done;
        }
        Poll::Ready(Ok(()))
    }
}

/// Keeps the waker of whoever has to wait; forgets it when nobody has.
fn remember(slot: &mut Option<Waker>, cx: &Context<'_>, waits: bool) {
    match slot {
        Some(known) if waits => known.clone_from(cx.waker()),
        _ => *slot = waits.then(|| cx.waker().clone()),
    }
}

/// Wakes the one in `slot`, unless it is the task that runs now: its place at the socket was taken.
fn wake_other(slot: &mut Option<Waker>, cx: &Context<'_>) {
    if let Some(waker) = slot.take_if(|waker| !waker.will_wake(cx.waker())) {
        waker.wake();
    }
}
