//! Everything that can be asked of a connection beside messages.

use super::Connection;
use crate::driver::error::{ConnectionError, SendError};
use crate::machine::{BodyId, Command, ErrorReport, Input, UsageError};
use crate::{Arguments, UserCode};
use bytes::{Buf, Bytes};
use std::future::poll_fn;
use tokio::io::{AsyncRead, AsyncWrite};
use wirekit::Machine;

impl<C: AsyncRead + AsyncWrite + Unpin> Connection<C> {
    /// Opens a body of `count` arguments, for content whose length is not known or that should not be in memory at once.
    ///
    /// # Errors
    /// [`SendError::Usage`].
    pub fn open_body(&mut self, count: u8) -> Result<BodyId, SendError> {
        Ok(self.machine.open_body(count, 0)?)
    }

    /// [`open_body`](Self::open_body) for a sender that relays the middle of something: frames count from `first_number`.
    ///
    /// # Errors
    /// [`SendError::Usage`].
    pub fn open_body_at(&mut self, count: u8, first_number: u32) -> Result<BodyId, SendError> {
        Ok(self.machine.open_body(count, first_number)?)
    }

    /// Appends to argument `index` of a body, waiting for room where there is none.
    ///
    /// # Errors
    /// [`SendError`], and nothing is appended.
    pub async fn feed_body(&mut self, body: BodyId, index: u8, payload: Bytes) -> Result<(), SendError> {
        self.room().await?;
        self.machine.feed_body(body, index, payload)?;
        self.write_where_enough().await;
        Ok(())
    }

    /// Ends a body. Its last frame goes with the next call that waits.
    ///
    /// # Errors
    /// [`SendError::Usage`].
    pub fn finish_body(&mut self, body: BodyId) -> Result<(), SendError> {
        Ok(self.machine.finish_body(body)?)
    }

    /// Gives a body up, see [`ConnectionMachine::abandon_body`](crate::machine::ConnectionMachine::abandon_body).
    ///
    /// # Errors
    /// [`SendError::Usage`].
    pub fn abandon_body(&mut self, body: BodyId) -> Result<(), SendError> {
        Ok(self.machine.abandon_body(body)?)
    }

    /// Sends an INFORMATION unit.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn information(&mut self, arguments: impl Into<Arguments>) -> Result<(), SendError> {
        self.control(Command::Information(arguments.into())).await
    }

    /// Sends an ERROR unit.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn error(&mut self, report: ErrorReport) -> Result<(), SendError> {
        self.control(Command::Error(report)).await
    }

    /// Sends a HEARTBEAT now, beside those that the configuration asks for.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn heartbeat(&mut self, arguments: impl Into<Arguments>) -> Result<(), SendError> {
        self.control(Command::Heartbeat(arguments.into())).await
    }

    /// Sends a unit with a code of the application's own.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn user(&mut self, code: UserCode, arguments: impl Into<Arguments>) -> Result<(), SendError> {
        self.control(Command::User(code, arguments.into())).await
    }

    /// Asks the peer to send no messages and frames until [`resume_peer`](Self::resume_peer). What is on its way still
    /// comes. Goes out with the next call that waits.
    pub fn pause_peer(&mut self) {
        // Too late is no fault: a connection that closes needs no pause.
        let _late = self.command(Command::PausePeer);
    }

    /// Asks the peer to go on.
    pub fn resume_peer(&mut self) {
        let _late = self.command(Command::ResumePeer);
    }

    /// Queues a control unit where there is room, and flushes.
    async fn control(&mut self, command: Command) -> Result<(), SendError> {
        if !self.machine.has_control_room() {
            poll_fn(|cx| self.poll_until(cx, |connection| connection.machine.has_control_room())).await?;
        }
        self.command(command)?;
        poll_fn(|cx| self.poll_until(cx, |connection| !connection.transmit.has_remaining())).await
    }

    pub(in crate::driver) fn command(&mut self, command: Command) -> Result<(), UsageError> {
        self.machine.handle(self.clock.now(), Input::Command(command))
    }

    /// Sends what is queued, then STOP, and waits until the peer has closed too, [`Limits::stop_linger`] at most. What
    /// the peer still sends is dropped: receive first what you want to have. Bodies that are not finished are given up.
    ///
    /// # Errors
    /// [`ConnectionError`] where the connection ended other than in order.
    ///
    /// [`Limits::stop_linger`]: crate::Limits::stop_linger
    pub async fn close(&mut self) -> Result<(), ConnectionError> {
        let _closing_already = self.command(Command::Close(Arguments::new()));
        while self.receive().await?.is_some() {}
        Ok(())
    }
}
