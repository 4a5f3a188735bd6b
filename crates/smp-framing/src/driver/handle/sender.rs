//! The sending end.

use super::queue::Queue;
use super::{BodySender, Request};
use crate::driver::error::SendError;
use crate::machine::{Command, ErrorReport, UsageError};
use crate::{Arguments, Code, UserCode};
use std::sync::atomic::Ordering;

/// Sends on a connection, from any number of tasks: clone it. Cheap to clone.
///
/// All futures are cancel-safe: one that is dropped has either queued what it was to queue, or nothing.
#[derive(Clone, Debug)]
pub struct Sender {
    queue: Queue,
}

impl Sender {
    pub(super) const fn new(queue: Queue) -> Self {
        Self { queue }
    }

    /// Queues a message, waiting for room where there is none. It is written at once if the carrier takes it.
    ///
    /// # Errors
    /// [`SendError::Usage`] for what cannot be sent to this peer, [`SendError::Closed`] where the connection ended.
    pub async fn send(&self, message: impl Into<Arguments>) -> Result<(), SendError> {
        let arguments = message.into();
        self.queue.shared.rules.check_message(&arguments)?;
        self.queue.push(Request::Message(arguments)).await
    }

    /// Sends an INFORMATION unit.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn information(&self, arguments: impl Into<Arguments>) -> Result<(), SendError> {
        let arguments = arguments.into();
        self.queue.shared.rules.check_control(Code::Information, &arguments)?;
        self.queue.push(Request::Control(Box::new(Command::Information(arguments)))).await
    }

    /// Sends an ERROR unit.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn error(&self, report: ErrorReport) -> Result<(), SendError> {
        self.queue.shared.rules.check_control(Code::Error, &report.to_arguments())?;
        self.queue.push(Request::Control(Box::new(Command::Error(report)))).await
    }

    /// Sends a unit with a code of the application's own.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn user(&self, code: UserCode, arguments: impl Into<Arguments>) -> Result<(), SendError> {
        let arguments = arguments.into();
        self.queue.shared.rules.check_control(code.into(), &arguments)?;
        self.queue.push(Request::Control(Box::new(Command::User(code, arguments)))).await
    }

    /// Asks the peer to send no messages and frames until [`resume_peer`](Self::resume_peer).
    ///
    /// # Errors
    /// [`SendError::Closed`].
    pub async fn pause_peer(&self) -> Result<(), SendError> {
        self.queue.push(Request::Control(Box::new(Command::PausePeer))).await
    }

    /// Asks the peer to go on.
    ///
    /// # Errors
    /// [`SendError::Closed`].
    pub async fn resume_peer(&self) -> Result<(), SendError> {
        self.queue.push(Request::Control(Box::new(Command::ResumePeer))).await
    }

    /// Opens a body of `count` arguments.
    ///
    /// # Errors
    /// [`SendError::Usage`] where the mode has no frames, there are too many arguments or too many bodies are open;
    /// [`SendError::Closed`].
    pub async fn open_body(&self, count: u8) -> Result<BodySender, SendError> {
        self.open_body_at(count, 0).await
    }

    /// [`open_body`](Self::open_body) for a sender that relays the middle of something: frames count from `first_number`.
    ///
    /// # Errors
    /// As `open_body`.
    pub async fn open_body_at(&self, count: u8, first_number: u32) -> Result<BodySender, SendError> {
        let id = self.queue.ask(|answer| Request::OpenBody { count, first_number, answer }).await??;
        Ok(BodySender::new(id, count, self.queue.clone()))
    }

    /// Waits until the carrier has taken everything that was queued before.
    ///
    /// # Errors
    /// [`SendError::Closed`].
    pub async fn flush(&self) -> Result<(), SendError> {
        self.queue.ask(Request::Flush).await
    }

    /// Sends what is queued, waits for open bodies to be finished, then sends STOP and waits until the connection has
    /// ended. The receiver gets what comes until then. Does nothing on a connection that has ended.
    pub async fn close(&self) {
        // An error says that the connection ended before, which is what was wanted.
        let _ended_before = self.queue.ask(Request::Close).await;
        self.closed().await;
    }

    /// Ends the connection at once, whatever the peer does: what is queued is lost, the carrier is dropped, and the
    /// receiver gets an error with [`CloseReason::Aborted`](crate::machine::CloseReason::Aborted).
    pub fn abort(&self) {
        self.queue.shared.is_aborted.store(true, Ordering::Release);
        self.queue.shared.accounts.wake();
    }

    /// True once the connection has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.queue.shared.has_ended.load(Ordering::Acquire)
    }

    /// Waits until the connection has ended.
    pub async fn closed(&self) {
        // Made before the look: it is woken by an end that comes between.
        let ended = self.queue.shared.ended.notified();
        if !self.is_closed() {
            ended.await;
        }
    }

    /// That `message` could be sent on this connection.
    ///
    /// # Errors
    /// [`UsageError`], as `send` would return.
    pub fn check(&self, message: &Arguments) -> Result<(), UsageError> {
        self.queue.shared.rules.check_message(message).map(drop)
    }
}
