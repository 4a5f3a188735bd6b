//! Between tungstenite and the rest: the socket as it sees it, and its errors as we say them.

use std::io::{self, Read, Write};

use tokio_tungstenite::tungstenite::error::{CapacityError, Error as WsError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::outgoing::Outgoing;
use crate::error::{CarrierError, ErrorKind};

/// The socket as tungstenite sees it: control frames come from it one at a time, and what it writes joins the queue.
pub(super) struct Io<'s, 'o> {
    pub(super) source: &'s [u8],
    /// The peer ended the stream.
    pub(super) ended: bool,
    pub(super) out: &'o mut Outgoing,
}

impl Read for Io<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.source.is_empty() && !self.ended {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.source.read(buf)
    }
}

impl Write for Io<'_, '_> {
    fn write(&mut self, frame: &[u8]) -> io::Result<usize> {
        self.out.write(frame)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn text_refused() -> CarrierError {
    CarrierError::new(ErrorKind::TextMessage, "read from", "peer sent a text message")
}

/// What a failure of tungstenite means, and the close code to tell the peer, if it can still be told.
pub(super) fn explain(error: WsError) -> (CarrierError, Option<CloseCode>) {
    match error {
        WsError::Io(error) => (CarrierError::io("read from", error), None),
        WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            let cause = "peer ended the connection without closing the WebSocket";
            let remedy = "treat what came as incomplete";
            (CarrierError::new(ErrorKind::Truncated, "read from", cause).remedy_is(remedy), None)
        }
        WsError::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
            let cause = format!("peer began a message or frame of {size} bytes, the limit is {max_size}");
            let remedy = "send smaller messages, or raise message_len_max and frame_len_max";
            (CarrierError::new(ErrorKind::Limit, "read from", cause).remedy_is(remedy), Some(CloseCode::Size))
        }
        // Text messages do not get that far.
        WsError::Utf8(_) => {
            let cause = "peer closed the WebSocket with a reason that is not UTF-8";
            (CarrierError::new(ErrorKind::Protocol, "read from", cause), Some(CloseCode::Invalid))
        }
        error => {
            let cause = format!("peer broke the WebSocket protocol: {error}");
            (CarrierError::new(ErrorKind::Protocol, "read from", cause).caused_by(error), Some(CloseCode::Protocol))
        }
    }
}
