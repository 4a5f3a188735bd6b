//! What the machine takes in, tells the application, and waits for.

use crate::wire::ReceiveBuffer;
use crate::{Arguments, EncodeError, FrameIdent, LimitExceeded, UserCode};
use crate::{Code, reassembler::Assembled, reassembler::SequenceFault};
use bytes::Bytes;
use thiserror::Error;

/// What can happen to a connection from outside.
#[derive(Debug)]
pub enum Input<'a> {
    /// Octets came. The machine takes whole units off the front as long as it has room for their events; what it leaves
    /// is handed in again after the events were polled.
    Received(&'a mut ReceiveBuffer),
    /// The peer sends nothing more; `missing_len` octets of a unit that it began are missing, 0 at a boundary.
    ReceivedEof {
        /// From [`ReceiveBuffer::missing_len`].
        missing_len: usize,
    },
    /// The application wants something.
    Command(Command),
}

/// What the application can ask for.
#[derive(Clone, Debug)]
pub enum Command {
    /// Send a message, as one unit or as frames.
    Send(Arguments),
    /// Send an INFORMATION unit.
    Information(Arguments),
    /// Send an ERROR unit.
    Error(ErrorReport),
    /// Send a HEARTBEAT now.
    Heartbeat(Arguments),
    /// Send a unit with a code of the application's own.
    User(UserCode, Arguments),
    /// Ask the peer to send no messages and frames. Said once however often it is asked.
    PausePeer,
    /// Take that back.
    ResumePeer,
    /// Send what is queued, then STOP with these arguments, then close. Bodies that are not finished are given up.
    Close(Arguments),
    /// Close at once: what is queued is lost.
    Abort,
}

/// What an ERROR unit says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorReport {
    /// The number; `None` where what came is not ASCII digits of a number up to 65,535.
    pub number: Option<u16>,
    /// The text. What came and is no UTF-8 has replacement characters. Escape it before showing it on a terminal.
    pub text: String,
    /// All arguments as they came, number and text among them; empty in a report to send.
    pub arguments: Arguments,
}

impl ErrorReport {
    /// A report to send.
    #[must_use]
    pub fn new(number: u16, text: impl Into<String>) -> Self {
        Self { number: Some(number), text: text.into(), arguments: Arguments::new() }
    }

    /// What the ERROR unit carries: number and text first. Where the application gave no number, the receiver failed and
    /// its state is unknown: 500.
    pub(crate) fn to_arguments(&self) -> Arguments {
        let number = self.number.unwrap_or(500).to_string();
        let first = [Bytes::from(number), Bytes::from(self.text.clone())];
        first.into_iter().chain(self.arguments.clone().into_vec()).collect()
    }
}

/// Error numbers that the implementations agree on; the specification names none.
//= SMPF-R17
pub mod error_number {
    /// The receiver waited too long.
    pub const TIMED_OUT: u16 = 408;
    /// A message over the receiver's limit.
    pub const MESSAGE_TOO_LARGE: u16 = 413;
    /// A unit over the receiver's buffer limit.
    pub const UNIT_TOO_LARGE: u16 = 416;
    /// An ID that is in conflict, or one too many.
    pub const BAD_ID: u16 = 420;
    /// A frame number out of sequence.
    pub const BAD_FRAME_NUMBER: u16 = 421;
    /// The message was dropped by its sender or receiver.
    pub const DROPPED: u16 = 501;
    /// Too busy, or too much of too little.
    pub const SLOW_DOWN: u16 = 529;
}

/// A frame, with [`Delivery::Frames`](crate::Delivery::Frames).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// NEW, CONTINUING or LAST FRAME. A LAST FRAME may be the only one.
    pub code: Code,
    /// Its ID and number.
    pub ident: FrameIdent,
    /// Its part of each argument.
    pub arguments: Arguments,
}

/// Why a message of frames was dropped before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AbandonReason {
    /// A NEW FRAME came on its ID.
    Replaced,
    /// Its sender reported that it gave it up.
    BySender,
    /// A frame was out of sequence.
    OutOfSequence(SequenceFault),
    /// A limit of ours was reached.
    Limit(LimitExceeded),
    /// The connection ended.
    ConnectionEnded,
}

/// What the machine tells the application.
// The tag is as wide as a register: a narrower one makes moves at odd offsets, which cost more than the move.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u64)]
pub enum Event {
    /// A whole message.
    Message(Arguments),
    /// A message put together from frames.
    Assembled(Assembled),
    /// A frame, in sequence.
    Frame(Frame),
    /// A message of frames that will have no end; its ID and why. Sent for messages of which something was delivered
    /// or kept, and for those that were refused.
    Abandoned(u16, AbandonReason),
    /// A frame out of sequence. Its message, if any was open, is gone.
    SequenceError(FrameIdent, SequenceFault),
    /// An INFORMATION unit.
    Information(Arguments),
    /// An ERROR unit. It is never answered.
    Error(Box<ErrorReport>),
    /// A unit that means nothing, such as an ERROR without number and text.
    SemanticError(Code, Arguments),
    /// A HEARTBEAT. It asks for no answer.
    Heartbeat(Arguments),
    /// The peer asked us to pause; messages and frames wait now.
    Pause(Arguments),
    /// The peer asked us to go on.
    Resume(Arguments),
    /// A unit with a code of the application's own.
    User(UserCode, Arguments),
    /// A unit with a reserved code. Nothing is to be done with it.
    Reserved(Code, Arguments),
    /// The peer stops; `Closed` follows when it closes.
    Stop(Arguments),
    /// The end. Nothing comes after it.
    Closed(CloseReason),
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// This end sent STOP.
    #[error("closed by this end")]
    Stopped,
    /// The peer sent STOP.
    #[error("the peer sent STOP")]
    StoppedByPeer,
    /// The peer closed the carrier at a unit's boundary, without STOP.
    #[error("the peer closed the carrier without a STOP")]
    PeerClosed,
    /// The peer closed the carrier inside a unit. Nothing of that unit was delivered.
    #[error("the peer closed the carrier inside a unit, at least {missing_len} octets before its end")]
    Truncated {
        /// The least number of octets missing.
        missing_len: usize,
    },
    /// Nothing came from the peer for `peer_timeout`, or it took nothing of what was to be sent for as long.
    #[error(
        "the peer was silent, or took nothing, for the whole peer_timeout: it is gone, hangs, or sends no heartbeats"
    )]
    PeerLost,
    /// A limit of ours was reached in a way that leaves no going on.
    #[error(transparent)]
    Limit(LimitExceeded),
    /// This end aborted.
    #[error("aborted by this end")]
    Aborted,
}

/// The caller asked for something that cannot be done. The connection stays as it was.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum UsageError {
    /// The wire cannot carry it.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The peer of this mode cannot take a message of this size.
    #[error("{len} octets are too many for this npm peer, which takes {max} in one unit and no frames")]
    TooLargeForPeer {
        /// Octets of arguments.
        len: usize,
        /// The most it takes.
        max: usize,
    },
    /// npm `smp` 1.1 reads code 14 as a unit of exactly three arguments.
    #[error("an npm peer of generation 1.1 takes code 14 with exactly three arguments, not {count}, and drops code 15")]
    UserCodeForNode {
        /// How many arguments there were.
        count: usize,
    },
    /// The connection is closing or closed.
    #[error("the connection is closing")]
    Closing,
    /// The queue is full: wait for `has_room`.
    #[error("the queue for sending is full: flush it first")]
    QueueFull,
    /// As many bodies are open as [`Limits::open_ids_max`](crate::Limits::open_ids_max) allows.
    #[error("{max} bodies are open already: finish one first")]
    TooManyBodies {
        /// The limit.
        max: usize,
    },
    /// A body that was finished, abandoned or never opened.
    #[error("the body was finished or abandoned before")]
    NoSuchBody,
    /// A body's argument that there is not.
    #[error("argument {index} of a body that has {count}")]
    NoSuchArgument {
        /// The index, from 0.
        index: u8,
        /// How many the body has.
        count: u8,
    },
}

/// Why the machine wants to be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimerReason {
    /// Nothing was sent for the heartbeat interval.
    Heartbeat,
    /// Nothing came for the peer time-out.
    PeerLost,
    /// A message under assembly may have stood still too long.
    AssemblyIdle,
    /// The second is over for which a flood of small units made us pause the peer.
    SmallUnits,
    /// The peer keeps us paused too long.
    Paused,
    /// The peer does not close after STOP.
    Linger,
}
