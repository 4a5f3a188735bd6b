//! The way from the handles to the task, bounded by number and by octets.

use super::{Request, Shared};
use crate::driver::error::SendError;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Requests that wait for the task.
const REQUEST_COUNT_MAX: usize = 256;

/// Octets of messages and bodies in them. One request alone may have more.
pub(super) const REQUEST_LEN_MAX: u32 = 4 << 20;

/// A handle's end of it.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    requests: mpsc::Sender<Request>,
    pub(super) shared: Arc<Shared>,
}

impl Queue {
    pub(super) fn new(shared: Arc<Shared>) -> (Self, mpsc::Receiver<Request>) {
        let (requests, receiver) = mpsc::channel(REQUEST_COUNT_MAX);
        (Self { requests, shared }, receiver)
    }

    /// Waits for room and queues. Cancel-safe: queued or not.
    pub(super) async fn push(&self, request: Request) -> Result<(), SendError> {
        let octets = self.shared.room.acquire_many(request.queued_len()).await.map_err(|_| SendError::Closed)?;
        self.requests.send(request).await.map_err(|_| SendError::Closed)?;
        // The task gives them back when it takes the request.
        octets.forget();
        Ok(())
    }

    /// Queues a request and waits for its answer.
    pub(super) async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, SendError> {
        let (answer, answered) = oneshot::channel();
        self.push(request(answer)).await?;
        answered.await.map_err(|_| SendError::Closed)
    }

    /// Queues without waiting, or hands the request back where the queue is full. Only for requests without octets.
    pub(super) fn try_push(&self, request: Request) -> Result<(), Request> {
        debug_assert_eq!(request.queued_len(), 0, "octets are waited for");
        match self.requests.try_send(request) {
            Err(mpsc::error::TrySendError::Full(request)) => Err(request),
            // A connection that has ended needs no request.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
        }
    }
}

impl Request {
    /// The octets that count against [`REQUEST_LEN_MAX`].
    pub(super) fn queued_len(&self) -> u32 {
        let len = match self {
            Self::Message(arguments) => arguments.arguments_len(),
            Self::FeedBody(_, _, payload) | Self::FinishBodyWith(_, _, payload) => payload.len(),
            _ => 0,
        };
        u32::try_from(len).unwrap_or(REQUEST_LEN_MAX).min(REQUEST_LEN_MAX)
    }
}
