//! The way in: payload to the reader, control frames to tungstenite.

use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::error::Error as WsError;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::super::adapter::{Io, explain, text_refused};
use super::super::incoming::{Cut, Fault, Step};
use super::{End, Stream, remember, wake_other};

/// Reads without payload in one poll before other tasks get their turn.
const EMPTY_MAX: usize = 8;

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let mut tries = 0;
        loop {
            this.held.move_to(buf);
            if buf.remaining() == 0 || buf.filled().len() > before || !matches!(this.end, End::Open) {
                break;
            }
            if tries == EMPTY_MAX {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            tries += 1;
            let is_direct = buf.remaining() >= this.limits.read_buffer_len && !this.held.is_raw;
            let read = if is_direct { this.poll_direct(cx, buf) } else { this.poll_fill(cx) };
            if read.is_pending() {
                remember(&mut this.reader, cx, true);
                return Poll::Pending;
            }
        }
        wake_other(&mut this.closer, cx);
        match &this.end {
            End::Failed(error) if buf.filled().len() == before => Poll::Ready(Err(error.clone().into())),
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
    /// Makes `held` non-empty or `end` not open.
    pub(super) fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..EMPTY_MAX {
            if !self.held.is_empty() || !matches!(self.end, End::Open) {
                return Poll::Ready(());
            }
            ready!(self.poll_fill(cx));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// One read into `held`, which is empty.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut bytes = mem::take(&mut self.held.bytes);
        let (came, count) = if self.held.is_raw {
            (Poll::Ready(Ok(())), bytes.len())
        } else {
            bytes.resize(self.limits.read_buffer_len, 0);
            let mut buf = ReadBuf::new(&mut bytes);
            let came = Pin::new(&mut self.io).poll_read(cx, &mut buf);
            (came, buf.filled().len())
        };
        let taken = came.map(|came| self.take_in(cx, came, bytes.get_mut(..count).unwrap_or_default()));
        self.held.put(bytes, if let Poll::Ready(len) = taken { len } else { 0 });
        if taken.is_pending() {
            self.poll_urgent(cx);
        }
        taken.map(|_| ())
    }

    /// One read into the caller's buffer, which is not small. The payload stays there and is not copied.
    fn poll_direct(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<()> {
        let before = buf.filled().len();
        let Poll::Ready(came) = Pin::new(&mut self.io).poll_read(cx, buf) else {
            self.poll_urgent(cx);
            return Poll::Pending;
        };
        let len = self.take_in(cx, came, buf.filled_mut().get_mut(before..).unwrap_or_default());
        buf.set_filled(before + len);
        Poll::Ready(())
    }

    /// Acts on what came of a read and leaves its payload at the front of `bytes`; how much that is.
    fn take_in(&mut self, cx: &mut Context<'_>, came: io::Result<()>, bytes: &mut [u8]) -> usize {
        if let Err(error) = came {
            self.on_failure(cx, WsError::Io(error));
            return 0;
        }
        if bytes.is_empty() {
            self.ask_library(cx, bytes, true);
        } else if self.out.refused {
            // An answer that found no room has another try.
            self.ask_library(cx, &[], false);
        }
        let mut cut = Cut::default();
        while matches!(self.end, End::Open) {
            match self.incoming.step(bytes, &mut cut) {
                Step::Done => break,
                Step::Control(frame) => self.ask_library(cx, frame.as_bytes(), false),
                Step::Failed(Fault::Text) => self.fail(cx, text_refused(), CloseCode::Unsupported),
                Step::Failed(Fault::Rule(error)) => self.on_failure(cx, error),
            }
        }
        cut.to
    }

    /// Gives tungstenite a control frame, or the end of the stream.
    fn ask_library(&mut self, cx: &mut Context<'_>, mut frame: &[u8], ended: bool) {
        loop {
            let mut io = Io { source: frame, ended, out: &mut self.out };
            let heard = self.context.read(&mut io);
            frame = io.source;
            match heard {
                Ok(Message::Close(close)) => return self.on_close(cx, close),
                // The answer to a ping joins the queue with the next turn.
                Ok(_) => {}
                Err(WsError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return self.poll_urgent(cx),
                Err(WsError::ConnectionClosed | WsError::AlreadyClosed) => {
                    self.end = End::Clean;
                    return;
                }
                Err(error) => return self.on_failure(cx, error),
            }
        }
    }

    fn on_failure(&mut self, cx: &mut Context<'_>, error: WsError) {
        match explain(error) {
            (error, Some(code)) => self.fail(cx, error, code),
            (error, None) => self.end = End::Failed(error.at(&self.address)),
        }
    }
}
