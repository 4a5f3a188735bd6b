//! The receiving end.

use super::Shared;
use super::accounts::ITEM_LEN;
use super::body::BodyReceiver;
use crate::driver::error::ConnectionError;
use crate::machine::ErrorReport;
use crate::{Arguments, UserCode};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::mpsc;

/// What comes in. Heartbeats, pauses and the like are dealt with before.
#[derive(Debug)]
#[non_exhaustive]
pub enum Incoming {
    /// A whole message.
    Message(Arguments),
    /// A message of frames: its content comes as it arrives.
    Body(BodyReceiver),
    /// An INFORMATION unit.
    Information(Arguments),
    /// An ERROR unit, or the report of one that made no sense (number `None`).
    Error(Box<ErrorReport>),
    /// A unit with a code of the application's own.
    User(UserCode, Arguments),
}

impl Incoming {
    pub(super) fn charged_len(&self) -> usize {
        ITEM_LEN
            + match self {
                Self::Message(arguments) | Self::Information(arguments) | Self::User(_, arguments) => {
                    arguments.payload_len()
                }
                Self::Error(report) => report.text.len() + report.arguments.payload_len(),
                Self::Body(_) => 0,
            }
    }
}

pub(super) type IncomingResult = Result<Incoming, ConnectionError>;

/// Receives on a connection. Dropping it drops what comes; the senders go on.
#[derive(Debug)]
pub struct Receiver {
    incoming: mpsc::UnboundedReceiver<IncomingResult>,
    shared: Arc<Shared>,
}

impl Receiver {
    pub(super) const fn new(incoming: mpsc::UnboundedReceiver<IncomingResult>, shared: Arc<Shared>) -> Self {
        Self { incoming, shared }
    }

    /// What came next; `None` once the connection has ended in order. Cancel-safe.
    ///
    /// # Errors
    /// [`ConnectionError`] where it ended otherwise; after that, `None`.
    pub async fn receive(&mut self) -> Result<Option<Incoming>, ConnectionError> {
        std::future::poll_fn(|cx| self.poll_receive(cx)).await
    }

    /// [`receive`](Self::receive) for hand-written futures.
    ///
    /// # Errors
    /// As `receive`.
    pub fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Incoming>, ConnectionError>> {
        let incoming = ready!(self.incoming.poll_recv(cx));
        Poll::Ready(incoming.transpose().inspect(|incoming| {
            if let Some(incoming) = incoming {
                self.shared.accounts.take(incoming.charged_len());
                if let Incoming::Body(body) = incoming {
                    body.claim();
                }
            }
        }))
    }
}

/// What was not taken no longer counts, and the task learns that nobody listens.
impl Drop for Receiver {
    fn drop(&mut self) {
        self.incoming.close();
        while let Ok(incoming) = self.incoming.try_recv() {
            if let Ok(incoming) = incoming {
                self.shared.accounts.take(incoming.charged_len());
            }
        }
        self.shared.accounts.wake();
    }
}
