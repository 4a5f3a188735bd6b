//! What the application asks for.

use super::{BodyId, CloseReason, Command, ConnectionMachine, ErrorReport, Phase, UsageError, error_number};
use crate::{Arguments, Code};
use bytes::Bytes;

impl ConnectionMachine {
    /// Queues a message: [`Command::Send`] without the detour.
    ///
    /// # Errors
    /// [`UsageError`], and the message is not queued.
    #[inline]
    pub fn send(&mut self, arguments: Arguments) -> Result<(), UsageError> {
        if self.phase != Phase::Open {
            return Err(UsageError::Closing);
        }
        self.outgoing.send(arguments)
    }

    /// Opens a body: a message of `count` arguments whose content comes piece by piece and goes as frames. Frames are
    /// numbered from `first_number`, 0 unless the sender relays the middle of something.
    ///
    /// # Errors
    /// [`UsageError`] where the mode has no frames, too many bodies are open or the connection is closing.
    pub fn open_body(&mut self, count: u8, first_number: u32) -> Result<BodyId, UsageError> {
        if self.phase != Phase::Open {
            return Err(UsageError::Closing);
        }
        self.outgoing.open_body(count, first_number)
    }

    /// Appends `payload` to argument `index` of a body.
    ///
    /// # Errors
    /// [`UsageError`], and nothing is appended.
    pub fn feed_body(&mut self, body: BodyId, index: u8, payload: Bytes) -> Result<(), UsageError> {
        self.outgoing.feed_body(body, index, payload)
    }

    /// Ends a body: its LAST FRAME goes with what is left.
    ///
    /// # Errors
    /// [`UsageError::NoSuchBody`].
    pub fn finish_body(&mut self, body: BodyId) -> Result<(), UsageError> {
        self.outgoing.finish_body(body)
    }

    /// Gives a body up. The protocol has no word for that, so the peer gets ERROR 501 with the ID as third argument, and
    /// the next message of frames takes the ID over, which makes any receiver drop the open one.
    ///
    /// # Errors
    /// [`UsageError::NoSuchBody`].
    pub fn abandon_body(&mut self, body: BodyId) -> Result<(), UsageError> {
        if let Some(id) = self.outgoing.abandon_body(body)? {
            let mut report = ErrorReport::new(error_number::DROPPED, "message given up by its sender");
            report.arguments = Bytes::from(id.to_string()).into();
            self.report(&report);
        }
        Ok(())
    }

    pub(super) fn command(&mut self, command: Command) -> Result<(), UsageError> {
        match command {
            Command::Abort => {
                self.outgoing.drop_all();
                self.end(CloseReason::Aborted);
                return Ok(());
            }
            Command::PausePeer | Command::ResumePeer => {
                self.application_pauses = matches!(command, Command::PausePeer);
                self.update_pause();
                return Ok(());
            }
            Command::Close(_) if matches!(self.phase, Phase::StoppedByPeer(_) | Phase::Closed) => return Ok(()),
            _ if self.phase != Phase::Open => return Err(UsageError::Closing),
            _ => {}
        }
        match command {
            Command::Send(arguments) => self.outgoing.send(arguments),
            Command::Information(arguments) => self.outgoing.control(Code::Information, arguments),
            Command::Error(report) => self.outgoing.error(&report),
            Command::Heartbeat(arguments) => self.outgoing.control(Code::Heartbeat, arguments),
            Command::User(code, arguments) => self.outgoing.control(code.into(), arguments),
            Command::Close(arguments) => {
                crate::wire::check(&arguments)?;
                for body in self.outgoing.unfinished_bodies() {
                    self.abandon_body(body)?;
                }
                self.stop_arguments = arguments;
                self.phase = Phase::Draining(CloseReason::Stopped);
                Ok(())
            }
            Command::PausePeer | Command::ResumePeer | Command::Abort => Ok(()),
        }
    }

    /// Says PAUSE or RESUME where what is wanted changed; a change of mind before the word was sent is not said at all.
    //= SMPF-R15 SMPF-CODE-8 SMPF-CODE-9 SMPF-B-BACKPRESSURE
    pub(super) fn update_pause(&mut self) {
        let wanted = self.application_pauses || self.small_units.is_pausing();
        // While this end drains, both may still be waiting for the other's RESUME.
        let may_say = matches!(self.phase, Phase::Open | Phase::Draining(_));
        if wanted == self.is_pausing_peer || !may_say {
            return;
        }
        self.is_pausing_peer = wanted;
        let (say, take_back) = if wanted { (Code::Pause, Code::Resume) } else { (Code::Resume, Code::Pause) };
        if !self.outgoing.retract(take_back) {
            self.outgoing.control_once(say, Arguments::new());
        }
    }
}
