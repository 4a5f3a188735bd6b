//! The two ends that the application has.

use super::run::Driver;
use crate::Message;
use crate::link::{Config, Link, Received, Rejected, Unsendable};
use bytes::Bytes;
use core::time::Duration;
use std::sync::Arc;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};

/// Messages that wait to be sent; one more waits for room.
const OUTGOING_COUNT_MAX: usize = 32;

/// Things that came and wait to be received; then nothing more is read.
const INCOMING_COUNT_MAX: usize = 32;

/// What a link gives its user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Incoming {
    /// A message.
    Message(Box<Received>),
    /// Something that is no message. The link stays.
    Rejected(Rejected),
    /// The link is open, of one that is kept connected.
    Up,
    /// The link is down, of one that is kept connected.
    Down(Down),
}

/// Why a link is down, and when it is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Down {
    /// What happened.
    pub why: String,
    /// The pause before the next attempt.
    pub retry_in: Duration,
}

/// Why a message was not sent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SendError {
    /// It cannot be sent as it is.
    #[error(transparent)]
    Unsendable(#[from] Unsendable),
    /// The link is over.
    #[error("the link is closed")]
    Closed,
}

pub(super) enum Command {
    Send(Bytes),
    Flush(oneshot::Sender<()>),
    Close,
}

/// Sends messages. Cheap to clone; when the last one is dropped, what was sent goes out and the link is closed.
#[derive(Clone, Debug)]
pub struct Sender {
    config: Arc<Config>,
    commands: mpsc::Sender<Command>,
    closing: Arc<watch::Sender<bool>>,
}

/// Receives what comes. Dropping it drops what comes; the senders go on.
#[derive(Debug)]
pub struct Receiver {
    incoming: mpsc::Receiver<Incoming>,
}

/// A link without a road yet: give one to [`Driver::run`], or the driver to [`keep_connected`](super::keep_connected).
#[must_use]
pub fn channel(config: Config) -> (Sender, Receiver, Driver) {
    let (commands, queue) = mpsc::channel(OUTGOING_COUNT_MAX);
    let (outgoing, incoming) = mpsc::channel(INCOMING_COUNT_MAX);
    let (closing, is_closing) = watch::channel(false);
    let sender = Sender { config: Arc::new(config.clone()), commands, closing: Arc::new(closing) };
    (sender, Receiver { incoming }, Driver::new(Link::new(config), queue, outgoing, is_closing))
}

impl Sender {
    /// Queues a message, waiting for room. Cancel-safe: it is queued or not.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send(&self, message: &Message) -> Result<(), SendError> {
        let octets = Link::encode(&self.config, message)?;
        self.put(Command::Send(octets)).await
    }

    /// Queues a message that was written by somebody else, as it is. Its length alone is checked.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send_octets(&self, octets: Bytes) -> Result<(), SendError> {
        let (len, max) = (octets.len(), self.config.message_len_max);
        if len > max {
            return Err(Unsendable::TooLong { len, max }.into());
        }
        self.put(Command::Send(octets)).await
    }

    /// Waits until the road has taken everything that was sent before.
    ///
    /// # Errors
    /// `Closed`.
    pub async fn flush(&self) -> Result<(), SendError> {
        let (done, taken) = oneshot::channel();
        self.put(Command::Flush(done)).await?;
        taken.await.map_err(|_| SendError::Closed)
    }

    /// Sends what is queued and closes the link. What the other end has sent until it closes too can still be received.
    /// A link that is down is given up, with what waits for it.
    pub async fn close(&self) {
        self.closing.send_replace(true);
        // Closed already where nobody takes it.
        let _closed = self.put(Command::Close).await;
        self.closed().await;
    }

    /// Waits until the link is over.
    pub async fn closed(&self) {
        self.commands.closed().await;
    }

    /// Octets that a message may have.
    #[must_use]
    pub fn message_len_max(&self) -> usize {
        self.config.message_len_max
    }

    async fn put(&self, command: Command) -> Result<(), SendError> {
        self.commands.send(command).await.map_err(|_| SendError::Closed)
    }
}

impl Receiver {
    /// What came next; `None` once the link is over. Cancel-safe.
    pub async fn receive(&mut self) -> Option<Incoming> {
        self.incoming.recv().await
    }
}
