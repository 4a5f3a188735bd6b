//! What is read of the messages.

use crate::reader::io_error;
use crate::{Fill, Reassembler};
use futures_core::Stream;
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};
use tokio::time::{Instant as TokioInstant, Sleep, sleep_until};
use wirekit::{Instant, Machine};
use wrp::Message;

/// A stream that is joined, as an `AsyncRead`: it takes messages from `M` while there is room, and time runs.
///
/// A reader that pauses stops the messages. Messages that are no packets of the stream are dropped and counted, see
/// [`Reassembler::stats`].
#[derive(Debug)]
pub struct StreamReader<M> {
    messages: M,
    stream: Reassembler,
    start: TokioInstant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<M: Stream<Item = Message> + Unpin> StreamReader<M> {
    /// Joins what `messages` gives.
    #[must_use]
    pub fn new(messages: M, stream: Reassembler) -> Self {
        Self { messages, stream, start: TokioInstant::now(), timer: None }
    }

    /// The stream, for its progress and counts.
    pub const fn stream(&self) -> &Reassembler {
        &self.stream
    }

    fn now(&self) -> Instant {
        Instant::EPOCH + self.start.elapsed()
    }

    /// Takes messages until something can be read, or the end is known.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = self.now();
            if !matches!(self.stream.fill(now), Fill::Pending) {
                return Poll::Ready(());
            }
            match Pin::new(&mut self.messages).poll_next(cx) {
                Poll::Ready(Some(message)) => {
                    // One for which there is no room although nothing can be read is beyond a hole too long: it is lost.
                    let _counted = self.stream.take_message(now, &message);
                }
                // From then on the stream is never pending, and no message is asked for.
                Poll::Ready(None) => self.stream.close(now),
                Poll::Pending => ready!(self.poll_timer(cx)),
            }
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.stream.poll_timeout() else { return Poll::Pending };
        let at = self.start + deadline.at.saturating_since(Instant::EPOCH);
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if timer.deadline() != at {
            timer.as_mut().reset(at);
        }
        ready!(timer.as_mut().poll(cx));
        let now = self.now();
        self.stream.handle_timeout(now);
        Poll::Ready(())
    }
}

impl<M: Stream<Item = Message> + Unpin> AsyncBufRead for StreamReader<M> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        ready!(this.poll_readable(cx));
        let now = this.now();
        Poll::Ready(match this.stream.fill(now) {
            Fill::Octets(octets) => Ok(octets),
            Fill::Failed(error) => Err(io_error(error)),
            Fill::End | Fill::Pending => Ok(&[]),
        })
    }

    fn consume(self: Pin<&mut Self>, len: usize) {
        self.get_mut().stream.consume(len);
    }
}

impl<M: Stream<Item = Message> + Unpin> AsyncRead for StreamReader<M> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let octets = ready!(self.as_mut().poll_fill_buf(cx))?;
        let len = octets.len().min(out.remaining());
        out.put_slice(octets.get(..len).unwrap_or_default());
        self.consume(len);
        Poll::Ready(Ok(()))
    }
}
