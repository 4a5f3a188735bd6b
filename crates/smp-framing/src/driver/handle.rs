//! A connection with a task of its own, and handles for as many tasks as there are.

mod body;
mod receiver;
mod sender;
mod task;

pub use body::{BodyError, BodyReceiver, BodySender};
pub use receiver::{Incoming, Receiver};
pub use sender::Sender;

use super::Connection;
use crate::machine::{BodyId, Command, UsageError};
use crate::{Arguments, SendRules};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, mpsc, oneshot};

/// Requests of the handles that wait for the task.
const REQUEST_COUNT_MAX: usize = 256;

/// Above this many octets that the application has not taken, the peer is asked to pause.
const UNDELIVERED_LEN_HIGH: usize = 1 << 20;
/// At this many it is asked to go on.
const UNDELIVERED_LEN_LOW: usize = 256 << 10;
/// At this many nothing is read any more, whatever the peer thinks of PAUSE.
const UNDELIVERED_LEN_MAX: usize = 4 << 20;
/// What each item counts beside its payload.
const ITEM_LEN: usize = 128;

/// What a handle asks the task for.
#[derive(Debug)]
enum Request {
    Message(Arguments),
    Control(Command),
    OpenBody(u8, oneshot::Sender<Result<BodyId, UsageError>>),
    FeedBody(BodyId, u8, Bytes),
    FinishBody(BodyId),
    AbandonBody(BodyId),
    Flush(oneshot::Sender<()>),
    Close(oneshot::Sender<()>),
}

/// What the handles and the task know together.
#[derive(Debug)]
struct Shared {
    rules: SendRules,
    /// Octets that were handed to a receiver and not taken from it.
    undelivered_len: AtomicUsize,
    /// Woken when a receiver took something that mattered, or is gone.
    taken: Notify,
}

impl Shared {
    /// The application took `len` octets.
    fn take(&self, len: usize) {
        let before = self.undelivered_len.fetch_sub(len, Ordering::AcqRel);
        let crosses = |mark: usize| before > mark && before - len <= mark;
        if crosses(UNDELIVERED_LEN_LOW) || crosses(UNDELIVERED_LEN_MAX) {
            self.taken.notify_one();
        }
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin + Send + 'static> Connection<C> {
    /// Gives the connection to a task of its own and returns its two ends. Frames come as they arrive, each framed message
    /// as a [`BodyReceiver`], whatever the configuration's delivery.
    ///
    /// What the application has not taken is bounded: above 1 MiB the peer is asked to PAUSE, at 256 KiB to RESUME, and
    /// at 4 MiB the carrier is read no more. A body that nobody reads counts too: read it, or drop its receiver.
    ///
    /// When all senders and the receiver are dropped, the connection is closed in order.
    ///
    /// Must be called within a tokio runtime.
    #[must_use]
    pub fn spawn(mut self) -> (Sender, Receiver) {
        self.machine().deliver_frames();
        let shared = Arc::new(Shared {
            rules: self.machine().send_rules(),
            undelivered_len: AtomicUsize::new(0),
            taken: Notify::new(),
        });
        let (request_sender, requests) = mpsc::channel(REQUEST_COUNT_MAX);
        let (incoming, incoming_receiver) = mpsc::unbounded_channel();
        tokio::spawn(task::Task::new(self, requests, incoming, Arc::clone(&shared)).run());
        (Sender::new(request_sender, Arc::clone(&shared)), Receiver::new(incoming_receiver, shared))
    }
}
