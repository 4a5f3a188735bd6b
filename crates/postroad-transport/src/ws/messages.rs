//! An open WebSocket as what it is: a sequence of messages.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{Sink, Stream as Source};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::Error as WsError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};

use super::adapter::explain;
use super::config::Limits;
use crate::error::{CarrierError, ErrorKind, printable};

/// What travels on a WebSocket whose messages mean something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unit {
    /// A binary message.
    Binary(Bytes),
    /// A text message, which is UTF-8.
    Text(Bytes),
    /// A ping, of 125 bytes at most. One that came has been answered.
    Ping(Bytes),
    /// A pong, of 125 bytes at most. Only received: sending one is an error.
    Pong(Bytes),
}

/// A WebSocket over `S`, message by message. Comes from [`Stream::into_messages`](super::Stream::into_messages).
///
/// The stream ends with `None` where the peer closed in order, and with an error otherwise. Closing the sink sends our
/// close; go on reading then, until the peer's. A server should then be dropped soon, since its client waits for the end of
/// the socket.
#[derive(Debug)]
pub struct Messages<S> {
    inner: WebSocketStream<S>,
    address: Box<str>,
    /// What the stream ends with, once the peer's close has come.
    end: Option<CarrierError>,
    ended: bool,
    /// Our close is on its way.
    closing: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Messages<S> {
    pub(super) async fn new(io: S, role: Role, tail: Vec<u8>, limits: &Limits, address: Box<str>) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(limits.read_buffer_len)
            .write_buffer_size(limits.write_buffer_len)
            .max_write_buffer_size(limits.write_buffer_len_max.max(limits.write_buffer_len + 1))
            .max_message_size(Some(limits.message_len_max))
            .max_frame_size(Some(limits.frame_len_max.min(limits.message_len_max)));
        let inner = WebSocketStream::from_partially_read(io, tail, role, Some(config)).await;
        Self { inner, address, end: None, ended: false, closing: false }
    }

    /// The stream below.
    pub fn get_ref(&self) -> &S {
        self.inner.get_ref()
    }

    fn on_close(&mut self, frame: Option<CloseFrame>) {
        if let Some(frame) = frame
            && !matches!(frame.code, CloseCode::Normal | CloseCode::Away | CloseCode::Status)
        {
            let code = u16::from(frame.code);
            let cause = format!("peer closed the WebSocket with code {code}: {}", printable(frame.reason.as_str()));
            self.end = Some(CarrierError::new(ErrorKind::ClosedByPeer { code }, "read from", cause).at(&self.address));
        }
    }

    /// What went wrong; the peer is told, as far as the socket takes it at once.
    fn fail(&mut self, cx: &mut Context<'_>, error: WsError) -> CarrierError {
        let (error, code) = explain(error);
        if let Some(code) = code {
            let frame = CloseFrame { code, reason: "".into() };
            // Told or not, it is over.
            let _ = Pin::new(&mut self.inner).start_send(Message::Close(Some(frame)));
            let _ = Pin::new(&mut self.inner).poll_flush(cx);
        }
        error.at(&self.address)
    }

    fn write_error(&self, error: WsError) -> CarrierError {
        match error {
            WsError::Io(error) => CarrierError::io("write to", error).at(&self.address),
            WsError::ConnectionClosed | WsError::AlreadyClosed => {
                CarrierError::new(ErrorKind::Io, "write to", "the WebSocket is closed").at(&self.address)
            }
            error => {
                let cause = format!("the message cannot be sent: {error}");
                CarrierError::new(ErrorKind::Protocol, "write to", cause).caused_by(error).at(&self.address)
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Source for Messages<S> {
    type Item = Result<Unit, CarrierError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        loop {
            match ready!(Pin::new(&mut this.inner).poll_next(cx)) {
                Some(Ok(Message::Binary(octets))) => return Poll::Ready(Some(Ok(Unit::Binary(octets)))),
                Some(Ok(Message::Text(text))) => return Poll::Ready(Some(Ok(Unit::Text(text.into())))),
                Some(Ok(Message::Ping(octets))) => return Poll::Ready(Some(Ok(Unit::Ping(octets)))),
                Some(Ok(Message::Pong(octets))) => return Poll::Ready(Some(Ok(Unit::Pong(octets)))),
                Some(Ok(Message::Close(frame))) => this.on_close(frame),
                // Frames as such are not asked for.
                Some(Ok(Message::Frame(_))) => {}
                Some(Err(error)) => {
                    this.ended = true;
                    return Poll::Ready(Some(Err(this.fail(cx, error))));
                }
                None => {
                    this.ended = true;
                    return Poll::Ready(this.end.take().map(Err));
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sink<Unit> for Messages<S> {
    type Error = CarrierError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), CarrierError>> {
        let this = self.get_mut();
        Pin::new(&mut this.inner).poll_ready(cx).map_err(|error| this.write_error(error))
    }

    fn start_send(self: Pin<&mut Self>, unit: Unit) -> Result<(), CarrierError> {
        let this = self.get_mut();
        let refuse =
            |cause: &'static str| Err(CarrierError::new(ErrorKind::Config, "write to", cause).at(&this.address));
        let message = match unit {
            Unit::Binary(octets) => Message::Binary(octets),
            Unit::Text(octets) => match octets.try_into() {
                Ok(text) => Message::Text(text),
                Err(_) => return refuse("a text message must be UTF-8"),
            },
            Unit::Ping(octets) if octets.len() <= super::frame::CONTROL_PAYLOAD_LEN_MAX => Message::Ping(octets),
            Unit::Ping(_) => return refuse("a ping has 125 bytes at most"),
            Unit::Pong(_) => return refuse("pongs are sent by the WebSocket itself"),
        };
        Pin::new(&mut this.inner).start_send(message).map_err(|error| this.write_error(error))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), CarrierError>> {
        let this = self.get_mut();
        Pin::new(&mut this.inner).poll_flush(cx).map_err(|error| this.write_error(error))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), CarrierError>> {
        let this = self.get_mut();
        if !this.closing {
            // The library's own way to close says no reason.
            let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
            match Pin::new(&mut this.inner).start_send(Message::Close(Some(frame))) {
                Ok(()) => this.closing = true,
                // Closed already, by either end.
                Err(WsError::ConnectionClosed | WsError::AlreadyClosed) => return Poll::Ready(Ok(())),
                Err(error) => return Poll::Ready(Err(this.write_error(error))),
            }
        }
        match ready!(Pin::new(&mut this.inner).poll_flush(cx)) {
            Err(error) => Poll::Ready(Err(this.write_error(error))),
            Ok(()) => Poll::Ready(Ok(())),
        }
    }
}
