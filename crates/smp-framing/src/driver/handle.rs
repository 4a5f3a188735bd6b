//! A connection with a task of its own, and handles for as many tasks as there are.

mod accounts;
mod body;
mod queue;
mod receiver;
mod sender;
mod task;

pub use body::{BodyError, BodyReceiver, BodySender};
pub use receiver::{Incoming, Receiver};
pub use sender::Sender;

use super::Connection;
use crate::machine::{BodyId, Command, UsageError};
use crate::{Arguments, SendRules};
use accounts::Accounts;
use bytes::Bytes;
use queue::Queue;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

/// What a handle asks the task for.
#[derive(Debug)]
enum Request {
    Message(Arguments),
    /// Boxed, as are the others that are rare: the queue has room for the largest 32 times from the start.
    Control(Box<Command>),
    OpenBody {
        count: u8,
        first_number: u32,
        answer: oneshot::Sender<Result<BodyId, UsageError>>,
    },
    FeedBody(BodyId, u8, Bytes),
    FinishBodyWith(BodyId, u8, Bytes),
    FinishBody(BodyId),
    AbandonBody(BodyId),
    Flush(oneshot::Sender<()>),
    Close(oneshot::Sender<()>),
}

/// What the handles and the task know together.
#[derive(Debug)]
struct Shared {
    rules: SendRules,
    accounts: Accounts,
    /// Looked at whenever the accounts wake the task.
    is_aborted: AtomicBool,
    /// Octets that may still be queued for the task; closed with it.
    room: Semaphore,
    has_ended: AtomicBool,
    /// Told when it did.
    ended: Notify,
}

impl<C: AsyncRead + AsyncWrite + Unpin + Send + 'static> Connection<C> {
    /// Gives the connection to a task of its own and returns its two ends. Frames come as they arrive, each framed message
    /// as a [`BodyReceiver`], whatever the configuration's delivery.
    ///
    /// What the application has not taken is bounded: above 1 MiB the peer is asked to PAUSE, at 256 KiB to RESUME. What it
    /// had on its way still comes, up to [`Limits::assembly_len_max`](crate::Limits::assembly_len_max); there nothing is
    /// read any more, so leave that far above the system's socket buffers. A body that nobody reads counts too: read it,
    /// or drop its receiver. Only while a body that was received is waited for, the peer is not paused for what stands
    /// unreceived before its next frame, since the protocol cannot pause one message alone.
    ///
    /// When all senders and the receiver are dropped, the connection is closed in order.
    ///
    /// Must be called within a tokio runtime.
    #[must_use]
    pub fn spawn(mut self) -> (Sender, Receiver) {
        self.machine().deliver_frames();
        let len_max = self.machine().assembly_len_max();
        let (rules, accounts) = (self.machine().send_rules(), Accounts::new(len_max));
        let shared = Arc::new(Shared {
            rules,
            accounts,
            is_aborted: AtomicBool::new(false),
            room: Semaphore::new(queue::REQUEST_LEN_MAX as usize),
            has_ended: AtomicBool::new(false),
            ended: Notify::new(),
        });
        let (queue, requests) = Queue::new(Arc::clone(&shared));
        let (incoming, incoming_receiver) = mpsc::unbounded_channel();
        tokio::spawn(task::Task::new(self, requests, incoming, Arc::clone(&shared)).run());
        (Sender::new(queue), Receiver::new(incoming_receiver, shared))
    }
}
