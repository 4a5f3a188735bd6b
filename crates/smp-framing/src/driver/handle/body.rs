//! Messages of any length, as they come and go.

use super::accounts::{BodyKey, ITEM_LEN};
use super::queue::Queue;
use super::{Request, Shared};
use crate::driver::error::SendError;
use crate::machine::{AbandonReason, BodyId, UsageError};
use crate::{ARGC_MAX, Arguments};
use bytes::{Bytes, BytesMut};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use thiserror::Error;
use tokio::sync::mpsc;

/// Sends one body. Dropping it before [`finish`](Self::finish) gives the body up, and the peer is told.
#[derive(Debug)]
pub struct BodySender {
    id: BodyId,
    count: u8,
    queue: Queue,
    is_done: bool,
}

impl BodySender {
    pub(super) const fn new(id: BodyId, count: u8, queue: Queue) -> Self {
        Self { id, count, queue, is_done: false }
    }

    /// Appends to argument `index`, waiting for room where there is none. Cancel-safe: queued whole or not at all.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn write(&mut self, index: u8, payload: Bytes) -> Result<(), SendError> {
        if index >= self.count {
            return Err(UsageError::NoSuchArgument { index, count: self.count }.into());
        }
        self.queue.push(Request::FeedBody(self.id, index, payload)).await
    }

    /// Appends to argument `index` and ends the body, in one step: what fits one frame then is in the LAST FRAME, and a
    /// body of which nothing was written before is that frame alone.
    ///
    /// # Errors
    /// [`SendError`]; the body is given up then.
    pub async fn finish_with(mut self, index: u8, payload: Bytes) -> Result<(), SendError> {
        if index >= self.count {
            return Err(UsageError::NoSuchArgument { index, count: self.count }.into());
        }
        self.queue.push(Request::FinishBodyWith(self.id, index, payload)).await?;
        self.is_done = true;
        Ok(())
    }

    /// Ends the body: the peer has it whole when it has the last frame.
    ///
    /// # Errors
    /// [`SendError::Closed`].
    pub async fn finish(mut self) -> Result<(), SendError> {
        self.queue.push(Request::FinishBody(self.id)).await?;
        self.is_done = true;
        Ok(())
    }
}

impl Drop for BodySender {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        if let Err(give_up) = self.queue.try_push(Request::AbandonBody(self.id)) {
            // The queue is full of others' requests; there is no waiting in a drop.
            let queue = self.queue.clone();
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move {
                    let _ended = queue.push(give_up).await;
                });
            }
        }
    }
}

/// Why a body will have no end.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyError {
    /// Its message was dropped.
    #[error("the body was cut off: {0:?}")]
    Abandoned(AbandonReason),
    /// It is longer than the caller takes.
    #[error("the body has more than {len_max} octets")]
    TooLong {
        /// What the caller takes.
        len_max: usize,
    },
}

#[derive(Debug)]
pub(super) enum BodyItem {
    Frame(Arguments),
    End,
    Abandoned(AbandonReason),
}

impl BodyItem {
    pub(super) fn charged_len(&self) -> usize {
        match self {
            Self::Frame(arguments) => ITEM_LEN + arguments.payload_len(),
            Self::End | Self::Abandoned(_) => ITEM_LEN,
        }
    }
}

/// Receives one body, frame by frame.
///
/// Kept in one allocation, so that [`Incoming`](super::Incoming) is as small as a message: its queue has room for the
/// largest 32 times from the start.
#[derive(Debug)]
pub struct BodyReceiver(Box<Reading>);

#[derive(Debug)]
struct Reading {
    items: mpsc::UnboundedReceiver<BodyItem>,
    shared: Arc<Shared>,
    key: BodyKey,
    is_waiting: bool,
    frame: Option<(u8, Arguments)>,
    count: usize,
    ended: Option<Result<(), BodyError>>,
}

impl BodyReceiver {
    pub(super) fn new(items: mpsc::UnboundedReceiver<BodyItem>, shared: Arc<Shared>, key: BodyKey) -> Self {
        Self(Box::new(Reading { items, shared, key, is_waiting: false, frame: None, count: 0, ended: None }))
    }

    pub(super) fn claim(&self) {
        self.0.shared.accounts.claim(self.0.key);
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<BodyItem>> {
        let polled = self.0.items.poll_recv(cx);
        if polled.is_pending() != self.0.is_waiting {
            self.0.is_waiting = polled.is_pending();
            self.0.shared.accounts.wait(self.0.is_waiting);
        }
        if let Poll::Ready(Some(item)) = &polled {
            self.0.shared.accounts.take_body(self.0.key, item.charged_len());
        }
        polled
    }

    /// The next piece and the argument that it belongs to, from 0; `None` at the end. Pieces of one argument come in
    /// order and are never empty. Cancel-safe.
    ///
    /// # Errors
    /// [`BodyError::Abandoned`] where the body will have no end, each time it is asked.
    pub async fn next(&mut self) -> Result<Option<(u8, Bytes)>, BodyError> {
        loop {
            if let Some(piece) = self.next_of_frame() {
                return Ok(Some(piece));
            }
            if let Some(ended) = self.0.ended {
                return ended.map(|()| None);
            }
            match poll_fn(|cx| self.poll_item(cx)).await {
                Some(BodyItem::Frame(arguments)) => {
                    self.0.count = self.0.count.max(arguments.count());
                    self.0.frame = Some((0, arguments));
                }
                Some(BodyItem::End) => self.0.ended = Some(Ok(())),
                Some(BodyItem::Abandoned(why)) => self.0.ended = Some(Err(BodyError::Abandoned(why))),
                None => self.0.ended = Some(Err(BodyError::Abandoned(AbandonReason::ConnectionEnded))),
            }
        }
    }

    fn next_of_frame(&mut self) -> Option<(u8, Bytes)> {
        let (at, arguments) = self.0.frame.as_mut()?;
        while usize::from(*at) < arguments.count() {
            let index = *at;
            *at += 1;
            if let Some(payload) = arguments.bytes(usize::from(index)).filter(|payload| !payload.is_empty()) {
                return Some((index, payload));
            }
        }
        self.0.frame = None;
        None
    }

    /// How many arguments the body has, as far as frames came: known for sure once the first piece or the end is there.
    #[must_use]
    pub fn argument_count(&self) -> usize {
        self.0.count
    }

    /// The whole body, joined.
    ///
    /// # Errors
    /// [`BodyError::TooLong`] as soon as more than `len_max` octets of payload came, else as [`next`](Self::next).
    pub async fn collect(mut self, len_max: usize) -> Result<Arguments, BodyError> {
        let mut arguments: Vec<BytesMut> = Vec::with_capacity(ARGC_MAX);
        let mut len = 0;
        while let Some((index, payload)) = self.next().await? {
            len += payload.len();
            if len > len_max {
                return Err(BodyError::TooLong { len_max });
            }
            if arguments.len() <= usize::from(index) {
                arguments.resize_with(usize::from(index) + 1, BytesMut::new);
            }
            if let Some(argument) = arguments.get_mut(usize::from(index)) {
                argument.extend_from_slice(&payload);
            }
        }
        arguments.resize_with(self.0.count.max(arguments.len()), BytesMut::new);
        Ok(arguments.into_iter().map(BytesMut::freeze).collect())
    }
}

/// What was not taken no longer counts.
impl Drop for BodyReceiver {
    fn drop(&mut self) {
        self.0.items.close();
        if self.0.is_waiting {
            self.0.shared.accounts.wait(false);
        }
        self.0.shared.accounts.close_body(self.0.key);
    }
}
