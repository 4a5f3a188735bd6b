//! The messages of what is read.

use crate::{End, Options, SegmentError, Segmenter};
use futures_core::Stream;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};
use wrp::Message;

/// The messages of what `R` gives, as a `Stream`. See [`Segments`](crate::Segments), of which this is the form that waits for
/// nobody.
///
/// Dropping it in the middle tells the peer nothing: let [`cancel`](Self::cancel) make the last message first.
#[derive(Debug)]
pub struct Segmented<R> {
    reader: R,
    segmenter: Segmenter,
    failure: Option<io::Error>,
}

impl<R: AsyncRead + Unpin> Segmented<R> {
    /// Packets of what `reader` gives, with the fields of `base`.
    ///
    /// # Errors
    /// [`SegmentError`]; nothing is read.
    pub fn new(reader: R, base: Message, options: Options) -> Result<Self, SegmentError> {
        Ok(Self { reader, segmenter: Segmenter::new(base, options)?, failure: None })
    }

    /// Nothing more is read; the last message carries what was, and tells the peer why.
    pub fn cancel(&mut self, reason: &str) {
        self.segmenter.finish(End::Failed(reason.to_owned()));
    }

    /// The next message; `None` behind the last. Cancel-safe: what was read is in the packet, which is made later.
    ///
    /// # Errors
    /// What reading failed with, once the message that says so was given.
    pub async fn next(&mut self) -> Option<io::Result<Message>> {
        std::future::poll_fn(|cx| self.poll_message(cx)).await
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Message>>> {
        if let Some(copy) = self.segmenter.copies_due() {
            return Poll::Ready(Some(Ok(copy)));
        }
        if self.segmenter.is_over() {
            return Poll::Ready(self.failure.take().map(Err));
        }
        while !self.segmenter.is_ready() {
            let len = self.segmenter.packet_len();
            let mut buffer = ReadBuf::new(self.segmenter.spare(len));
            match ready!(Pin::new(&mut self.reader).poll_read(cx, &mut buffer)) {
                Ok(()) => match buffer.filled().len() {
                    0 => self.segmenter.finish(End::Clean),
                    len => self.segmenter.advance(len),
                },
                Err(error) => {
                    self.segmenter.finish(End::Failed(error.to_string()));
                    self.failure = Some(error);
                }
            }
        }
        Poll::Ready(self.segmenter.poll_message().map(Ok))
    }
}

impl<R: AsyncRead + Unpin> Stream for Segmented<R> {
    type Item = io::Result<Message>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Message>>> {
        self.get_mut().poll_message(cx)
    }
}
