//! Between tungstenite and the rest: the socket as it sees it, and its errors as we say them.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_tungstenite::tungstenite::error::{CapacityError, Error as WsError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::outgoing::Outgoing;
use crate::error::{CarrierError, ErrorKind};

/// The socket as tungstenite sees it: reads come from it, control frames join the queue.
pub(super) struct Io<'a, 'b, S> {
    pub(super) io: &'a mut S,
    pub(super) cx: &'a mut Context<'b>,
    pub(super) out: &'a mut Outgoing,
    pub(super) tail: &'a mut Bytes,
    pub(super) may_read: bool,
}

impl<S: AsyncRead + Unpin> Read for Io<'_, '_, S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if !self.tail.is_empty() {
            let count = self.tail.len().min(buf.len());
            self.tail.split_to(count).copy_to_slice(buf.get_mut(..count).unwrap_or_default());
            return Ok(count);
        }
        if !self.may_read {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut buf = ReadBuf::new(buf);
        match Pin::new(&mut *self.io).poll_read(self.cx, &mut buf) {
            Poll::Ready(Ok(())) => Ok(buf.filled().len()),
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl<S> Write for Io<'_, '_, S> {
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
            let cause = format!("peer sent {size} bytes in one message or frame, the limit is {max_size}");
            let remedy = "send smaller messages, or raise message_len_max and frame_len_max";
            (CarrierError::new(ErrorKind::Limit, "read from", cause).remedy_is(remedy), Some(CloseCode::Size))
        }
        // Only text messages are checked for UTF-8, and close reasons.
        WsError::Utf8(_) => (text_refused(), Some(CloseCode::Unsupported)),
        error => {
            let cause = format!("peer broke the WebSocket protocol: {error}");
            (CarrierError::new(ErrorKind::Protocol, "read from", cause).caused_by(error), Some(CloseCode::Protocol))
        }
    }
}
