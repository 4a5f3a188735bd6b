//! One end of a link, without I/O.

use crate::{DecodeError, Invalid, Limits, Message};
use bytes::Bytes;
use core::fmt;
use core::time::Duration;
use std::collections::VecDeque;
use thiserror::Error;
use wirekit::{Deadline, Instant, Machine, earliest};

/// Octets of a message, in MessagePack, that both ends take: 256 KiB.
//= WRP-N8
pub const MESSAGE_LEN_MAX: usize = 262_144;

/// How often a link is asked for a sign of life.
const PING_INTERVAL: Duration = Duration::from_secs(45);

/// How an end of a link behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Octets of a message in MessagePack, both ways. Default [`MESSAGE_LEN_MAX`].
    pub message_len_max: usize,
    /// Limits of the reader.
    pub limits: Limits,
    /// How often a ping is sent; `None` for never, as on roads that have none.
    pub ping_interval: Option<Duration>,
    /// Whether the first ping goes out at once.
    pub pings_at_once: bool,
    /// What pings carry, 125 octets at most.
    pub ping_payload: Bytes,
    /// After this long without any sign of life the link is given up; `None` for never.
    pub silence_max: Option<Duration>,
    /// Whether a message is checked by the rules of its type before it is sent.
    pub validates: bool,
}

impl Config {
    /// Of a device: a ping at once and every 45 s, given up after 60 s of silence.
    //= WRP-N10, WRP-N11
    #[must_use]
    pub fn device() -> Self {
        Self {
            message_len_max: MESSAGE_LEN_MAX,
            limits: Limits::default(),
            ping_interval: Some(PING_INTERVAL),
            pings_at_once: true,
            ping_payload: Bytes::new(),
            silence_max: Some(Duration::from_secs(60)),
            validates: true,
        }
    }

    /// Of a server for the device of that name: a ping with its name every 45 s, given up after 135 s of silence.
    //= WRP-N10, WRP-N11
    #[must_use]
    pub fn cloud(device: &str) -> Self {
        let payload = device.as_bytes().get(..device.len().min(125)).unwrap_or_default();
        Self {
            pings_at_once: false,
            ping_payload: Bytes::copy_from_slice(payload),
            silence_max: Some(Duration::from_secs(135)),
            ..Self::device()
        }
    }

    /// Of a road that has no pings and knows by itself when it is broken.
    #[must_use]
    pub fn without_pings() -> Self {
        Self { ping_interval: None, silence_max: None, ..Self::device() }
    }
}

/// What happens to a link.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// It has just been opened, anew where it was open before.
    Opened,
    /// A message came.
    Message(&'a Bytes),
    /// Text came, where only octets are messages.
    Text {
        /// How long it is.
        len: usize,
    },
    /// A ping or a pong came.
    SignOfLife,
    /// Nothing is read for now, so silence says nothing; or it is read again.
    Paused(bool),
    /// This message is to be sent.
    Send(&'a Message),
    /// This message is to be sent as it came.
    SendOctets(Bytes),
}

/// What a link tells its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message came.
    Message(Box<Received>),
    /// Something came that is no message. The link stays.
    Rejected(Rejected),
    /// The last event: nothing was heard for so long.
    Silent(Duration),
}

/// A message that came. It is not judged, see [`Message::validate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The message.
    pub message: Message,
    /// Its octets as they came, to pass on without writing them again.
    pub octets: Bytes,
}

/// Something that came and is no message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Rejected {
    /// Text instead of octets.
    #[error("a text of {len} octets, where messages are binary")]
    Text {
        /// Its length.
        len: usize,
    },
    /// Longer than the limit.
    #[error("a message of {len} octets, where message_len_max is {max}")]
    TooLong {
        /// Its length.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// No message.
    #[error("{len} octets that are no message: {error}")]
    Decode {
        /// Their number.
        len: usize,
        /// Why not.
        error: DecodeError,
    },
}

/// Why a message cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Unsendable {
    /// Its type does not allow it.
    #[error("the message is not valid: {0}")]
    Invalid(#[from] Invalid),
    /// It is longer than the limit: what is longer goes as a stream.
    #[error("the message has {len} octets, and a link takes {max}")]
    TooLong {
        /// Octets in MessagePack.
        len: usize,
        /// The limit.
        max: usize,
    },
}

/// What goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// A message.
    Message(Bytes),
    /// A ping.
    Ping(Bytes),
}

/// What falls due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A ping.
    Ping,
    /// The end of patience.
    Silence,
}

/// One end of a link.
pub struct Link {
    config: Config,
    now: Instant,
    opened: bool,
    over: bool,
    paused: bool,
    heard_at: Instant,
    ping_at: Option<Instant>,
    outgoing: VecDeque<Outgoing>,
    events: VecDeque<Event>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("heard_at", &self.heard_at)
            .field("ping_at", &self.ping_at)
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}

impl Link {
    /// A link that is not open yet.
    #[must_use]
    pub const fn new(config: Config) -> Self {
        Self {
            config,
            now: Instant::EPOCH,
            opened: false,
            over: false,
            paused: false,
            heard_at: Instant::EPOCH,
            ping_at: None,
            outgoing: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// How it behaves.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The octets of a message, where it may be sent.
    ///
    /// # Errors
    /// [`Unsendable`].
    //= WRP-N9
    pub fn encode(config: &Config, message: &Message) -> Result<Bytes, Unsendable> {
        if config.validates {
            message.validate()?;
        }
        Self::check_len(config, message.encode())
    }

    fn check_len(config: &Config, octets: Bytes) -> Result<Bytes, Unsendable> {
        let (len, max) = (octets.len(), config.message_len_max);
        if len > max { Err(Unsendable::TooLong { len, max }) } else { Ok(octets) }
    }

    fn open(&mut self) {
        (self.opened, self.over, self.paused) = (true, false, false);
        self.heard_at = self.now;
        self.outgoing.clear();
        self.events.clear();
        self.ping_at = self.config.ping_interval.map(|interval| self.now + interval);
        if self.config.pings_at_once && self.ping_at.is_some() {
            self.outgoing.push_back(Outgoing::Ping(self.config.ping_payload.clone()));
        }
    }

    //= WRP-N6, WRP-N7, WRP-N8
    fn receive(&mut self, octets: &Bytes) -> Event {
        let (len, max) = (octets.len(), self.config.message_len_max);
        if len > max {
            return Event::Rejected(Rejected::TooLong { len, max });
        }
        match Message::decode(octets, &self.config.limits) {
            Ok(message) => Event::Message(Box::new(Received { message, octets: octets.clone() })),
            Err(error) => Event::Rejected(Rejected::Decode { len, error }),
        }
    }
}

impl Machine for Link {
    type Input<'a> = Input<'a>;
    type Event = Event;
    type Transmit = VecDeque<Outgoing>;
    type Reason = Reason;
    type Error = Unsendable;

    fn handle(&mut self, now: Instant, input: Input<'_>) -> Result<(), Unsendable> {
        self.now = self.now.max(now);
        if matches!(input, Input::Opened) {
            self.open();
        }
        if !self.opened || self.over {
            return Ok(());
        }
        match input {
            Input::Opened => {}
            Input::Message(octets) => {
                self.heard_at = self.now;
                let event = self.receive(octets);
                self.events.push_back(event);
            }
            Input::Text { len } => {
                self.heard_at = self.now;
                self.events.push_back(Event::Rejected(Rejected::Text { len }));
            }
            Input::SignOfLife => self.heard_at = self.now,
            Input::Paused(paused) => {
                self.paused = paused;
                self.heard_at = self.now;
            }
            Input::Send(message) => {
                let octets = Self::encode(&self.config, message)?;
                self.outgoing.push_back(Outgoing::Message(octets));
            }
            Input::SendOctets(octets) => {
                let octets = Self::check_len(&self.config, octets)?;
                self.outgoing.push_back(Outgoing::Message(octets));
            }
        }
        Ok(())
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.now = self.now.max(now);
        while let Some(deadline) = self.poll_timeout().filter(|deadline| deadline.is_due(self.now)) {
            match deadline.reason {
                //= WRP-N10
                Reason::Ping => {
                    let interval = self.config.ping_interval.unwrap_or(Duration::MAX);
                    self.ping_at = Some(self.now + interval.max(Duration::from_nanos(1)));
                    if !self.outgoing.iter().any(|outgoing| matches!(outgoing, Outgoing::Ping(_))) {
                        self.outgoing.push_back(Outgoing::Ping(self.config.ping_payload.clone()));
                    }
                }
                //= WRP-N11
                Reason::Silence => {
                    self.over = true;
                    self.outgoing.clear();
                    self.events.push_back(Event::Silent(self.now - self.heard_at));
                }
            }
        }
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut VecDeque<Outgoing>) -> bool {
        self.now = self.now.max(now);
        let any = !self.outgoing.is_empty();
        out.append(&mut self.outgoing);
        any
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Deadline<Reason>> {
        if !self.opened || self.over {
            return None;
        }
        let ping = self.ping_at.map(|at| Deadline::new(at, Reason::Ping));
        let patience = self.config.silence_max.filter(|_| !self.paused);
        let silence = patience.map(|patience| Deadline::new(self.heard_at + patience, Reason::Silence));
        earliest([silence, ping])
    }
}
