//! What carries the messages of a link: WebSocket messages, lengths on a byte stream, or the Streaming Message Protocol.

use crate::carrier::Octets;
use crate::options;
use crate::url::{Protocol, Url};
use crate::{Error, ErrorKind};
use bytes::Bytes;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use futures_core::Stream;
use futures_sink::Sink;
use postroad_transport::{Carrier, CarrierError, tls, ws};
use smp_framing::Arguments;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::codec::{Framed as Coded, LengthDelimitedCodec};
use wrp::link::Unit;

/// A road for messages.
pub(super) enum Road {
    Ws(Box<ws::Messages<TcpStream>>),
    Wss(Box<ws::Messages<tls::Stream<TcpStream>>>),
    Lengths(Box<Coded<Octets, LengthDelimitedCodec>>),
    Smp(Box<SmpRoad>),
}

impl Road {
    /// The road that `url` names, on a carrier that was just opened.
    //= WRP-N6, WRP-N17, WRP-N18
    pub(super) async fn new(carrier: Octets, url: &Url, message_len_max: usize) -> Result<Self, Error> {
        if url.stack().under() == Some(Protocol::Smp) {
            let config = options::smp_config(url)?;
            let (sender, receiver) = smp_framing::Connection::new(carrier, config).spawn();
            return Ok(Self::Smp(Box::new(SmpRoad {
                sender,
                receiver,
                message_len_max,
                pieces: JoinSet::new(),
                sending: None,
                closing: None,
            })));
        }
        Ok(match carrier {
            Octets::Carrier(Carrier::Ws(stream)) => Self::Ws(Box::new(stream.into_messages().await)),
            Octets::Carrier(Carrier::Wss(stream)) => Self::Wss(Box::new(stream.into_messages().await)),
            stream => {
                let codec = LengthDelimitedCodec::builder()
                    .length_field_type::<u32>()
                    .big_endian()
                    .max_frame_length(message_len_max)
                    .new_codec();
                Self::Lengths(Box::new(Coded::new(stream, codec)))
            }
        })
    }

    /// What waits in the protocol below, where there is one.
    pub(super) fn smp_sender(&self) -> Option<smp_framing::Sender> {
        match self {
            Self::Smp(road) => Some(road.sender.clone()),
            _ => None,
        }
    }
}

fn from_ws(unit: ws::Unit) -> Unit {
    match unit {
        ws::Unit::Binary(octets) => Unit::Message(octets),
        ws::Unit::Text(text) => Unit::Text(text),
        ws::Unit::Ping(octets) => Unit::Ping(octets),
        ws::Unit::Pong(octets) => Unit::Pong(octets),
    }
}

fn to_ws(unit: Unit) -> ws::Unit {
    match unit {
        Unit::Message(octets) => ws::Unit::Binary(octets),
        Unit::Text(text) => ws::Unit::Text(text),
        Unit::Ping(octets) => ws::Unit::Ping(octets),
        Unit::Pong(octets) => ws::Unit::Pong(octets),
    }
}

fn broken(error: CarrierError) -> Error {
    Error::carrier("the link broke", error)
}

fn io(error: std::io::Error) -> Error {
    match CarrierError::from_io(&error) {
        Some(carrier) => broken(carrier.clone()),
        None if error.kind() == std::io::ErrorKind::InvalidData => {
            let why = "the peer announced a message that is longer than `max_message_size=` allows";
            Error::new(ErrorKind::Limit, "the link broke", why)
                .with_remedy("see whether the peer speaks WRP behind lengths of four octets, or allow longer messages")
                .with_source(error)
        }
        None => Error::new(ErrorKind::Lost, "the link broke", error.to_string()).with_source(error),
    }
}

impl Stream for Road {
    type Item = Result<Unit, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.get_mut() {
            Self::Ws(road) => Pin::new(road).poll_next(cx).map_ok(from_ws).map_err(broken),
            Self::Wss(road) => Pin::new(road).poll_next(cx).map_ok(from_ws).map_err(broken),
            Self::Lengths(road) => {
                Pin::new(road).poll_next(cx).map_ok(|octets| Unit::Message(octets.freeze())).map_err(io)
            }
            Self::Smp(road) => road.poll_next(cx).map(Result::transpose),
        }
    }
}

impl Sink<Unit> for Road {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match self.get_mut() {
            Self::Ws(road) => Pin::new(road).poll_ready(cx).map_err(broken),
            Self::Wss(road) => Pin::new(road).poll_ready(cx).map_err(broken),
            Self::Lengths(road) => Sink::<Bytes>::poll_ready(Pin::new(road), cx).map_err(io),
            Self::Smp(road) => road.poll_sent(cx),
        }
    }

    fn start_send(self: Pin<&mut Self>, unit: Unit) -> Result<(), Error> {
        match (self.get_mut(), unit) {
            (Self::Ws(road), unit) => Pin::new(road).start_send(to_ws(unit)).map_err(broken),
            (Self::Wss(road), unit) => Pin::new(road).start_send(to_ws(unit)).map_err(broken),
            (Self::Lengths(road), Unit::Message(octets)) => Pin::new(road).start_send(octets).map_err(io),
            (Self::Smp(road), Unit::Message(octets)) => {
                let sender = road.sender.clone();
                road.sending = Some(Box::pin(async move { sender.send(Arguments::from(octets)).await }));
                Ok(())
            }
            // Roads without pings.
            (Self::Lengths(_) | Self::Smp(_), _) => Ok(()),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match self.get_mut() {
            Self::Ws(road) => Pin::new(road).poll_flush(cx).map_err(broken),
            Self::Wss(road) => Pin::new(road).poll_flush(cx).map_err(broken),
            Self::Lengths(road) => Sink::<Bytes>::poll_flush(Pin::new(road), cx).map_err(io),
            Self::Smp(road) => road.poll_sent(cx),
        }
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match self.get_mut() {
            Self::Ws(road) => Pin::new(road).poll_close(cx).map_err(broken),
            Self::Wss(road) => Pin::new(road).poll_close(cx).map_err(broken),
            Self::Lengths(road) => Sink::<Bytes>::poll_close(Pin::new(road), cx).map_err(io),
            Self::Smp(road) => {
                ready!(road.poll_sent(cx))?;
                let sender = &road.sender;
                let closing = road.closing.get_or_insert_with(|| {
                    let sender = sender.clone();
                    // The rest is read meanwhile, so this waits for nobody.
                    Box::pin(async move { sender.close().await })
                });
                // Said once it was begun; the end of reading is the end.
                let _begun = closing.as_mut().poll(cx);
                Poll::Ready(Ok(()))
            }
        }
    }
}

type Sending = Pin<Box<dyn Future<Output = Result<(), smp_framing::SendError>> + Send>>;

/// Messages of the Streaming Message Protocol with one argument.
pub(super) struct SmpRoad {
    sender: smp_framing::Sender,
    receiver: smp_framing::Receiver,
    message_len_max: usize,
    /// Messages that come in frames, each put together beside the others. As many as the protocol lets be open.
    pieces: JoinSet<Result<Arguments, smp_framing::BodyError>>,
    sending: Option<Sending>,
    closing: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl SmpRoad {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Unit>, Error>> {
        if let Some(closing) = &mut self.closing
            && closing.as_mut().poll(cx).is_ready()
        {
            self.closing = Some(Box::pin(core::future::pending()));
        }
        loop {
            if let Poll::Ready(Some(whole)) = self.pieces.poll_join_next(cx) {
                match whole
                    .map_err(|error| error.to_string())
                    .and_then(|whole| whole.map_err(|error| error.to_string()))
                {
                    Ok(arguments) => return Poll::Ready(Ok(Some(unit(&arguments)))),
                    Err(why) => {
                        tracing::warn!("dropped a message that came in frames: {why}");
                        continue;
                    }
                }
            }
            match ready!(self.receiver.poll_receive(cx)) {
                Ok(Some(smp_framing::Incoming::Message(arguments))) => return Poll::Ready(Ok(Some(unit(&arguments)))),
                Ok(Some(smp_framing::Incoming::Body(body))) => {
                    self.pieces.spawn(body.collect(self.message_len_max));
                }
                // No part of WRP.
                Ok(Some(_)) => {}
                Ok(None) => return Poll::Ready(Ok(None)),
                Err(error) => {
                    return Poll::Ready(Err(
                        Error::new(ErrorKind::Lost, "the link broke", error.to_string()).with_source(error)
                    ));
                }
            }
        }
    }

    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Some(sending) = &mut self.sending else { return Poll::Ready(Ok(())) };
        let sent = ready!(sending.as_mut().poll(cx));
        self.sending = None;
        Poll::Ready(sent.map_err(|error| Error::new(ErrorKind::Lost, "the link broke", error.to_string())))
    }
}

/// A message has one argument; more of them are none, which what is read next says.
fn unit(arguments: &Arguments) -> Unit {
    match arguments.count() {
        1 => Unit::Message(arguments.bytes(0).unwrap_or_default()),
        _ => Unit::Message(Bytes::new()),
    }
}
