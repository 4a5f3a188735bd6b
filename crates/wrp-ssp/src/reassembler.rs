//! One stream joined again.

use crate::codec::{Caps, DecodeFault, Decompressor};
use crate::window::{Stored, Window};
use crate::{Encoding, End, HeaderError, Limits, PacketRef, Timing};
use bytes::Bytes;
use core::fmt;
use core::ops::RangeInclusive;
use std::collections::VecDeque;
use thiserror::Error;
use wirekit::{Deadline, Instant, Machine, earliest};
use wrp::{DecodeError, Invalid, Message, MessageRef};

/// Joins the packets of one stream, in whatever order and however often they come, and gives out its octets.
///
/// Payloads are decompressed when they are read, one at a time, all of one or nothing. What may be kept, how far a packet may
/// grow and how long all may take is bounded by [`Limits`] and [`Timing`]. A stream that ends otherwise than by its final
/// packet is an error, and the error names the packets that are missing.
///
/// ```
/// use wrp_ssp::{Fill, Limits, Options, Reassembler, Segments, Timing};
///
/// let base = wrp::Event::new("mac:112233445566/log", "event:log").build()?;
/// let segments = Segments::new(&b"once upon a time"[..], base, Options::new("s1").with_packet_len(4))?;
/// let mut packets: Vec<_> = segments.collect::<Result<_, _>>()?;
/// packets.reverse();
///
/// let mut stream = Reassembler::new(Limits::default(), Timing::default());
/// for packet in &packets {
///     stream.take_message(wirekit::Instant::EPOCH, packet)?;
/// }
/// let mut octets = Vec::new();
/// # let now = wirekit::Instant::EPOCH;
/// while let Fill::Octets(more) = stream.fill(now) {
///     octets.extend_from_slice(more);
///     let len = more.len();
///     stream.consume(len);
/// }
/// assert_eq!((&octets[..], stream.fill(now)), (&b"once upon a time"[..], Fill::End));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Reassembler {
    limits: Limits,
    timing: Timing,
    now: Instant,
    /// Set by the first packet.
    stream_id: Option<Box<str>>,
    window: Window,
    codec: Decompressor,
    current: Current,
    /// What is read of `current`.
    read_len: usize,
    state: State,
    delivered_len: u64,
    estimated_len: Option<u64>,
    begun_at: Option<Instant>,
    idle_since: Option<Instant>,
    /// No more packets will come.
    is_closed: bool,
    stats: Stats,
    events: VecDeque<Event>,
}

/// The octets that are being read.
#[derive(Debug)]
enum Current {
    None,
    /// A payload as it came.
    Payload(Bytes),
    /// Those of the decompressor.
    Plain,
}

#[derive(Debug)]
enum State {
    Open,
    /// How it ends once `current` is read.
    Ending(Result<(), StreamError>),
}

/// What can be read now.
#[derive(Debug, PartialEq, Eq)]
pub enum Fill<'a> {
    /// These octets, at least one. [`Reassembler::consume`] says how many were taken.
    Octets(&'a [u8]),
    /// Nothing until another packet comes.
    Pending,
    /// Nothing more: the stream is whole.
    End,
    /// Nothing more: the stream is not whole.
    Failed(&'a StreamError),
}

/// Why a stream is not whole.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StreamError {
    /// Its sender ended it otherwise than cleanly, and said why.
    #[error("the sender ended the stream: {0}")]
    Sender(String),
    /// A payload cannot be read.
    #[error("packet {number}: {fault}")]
    Decode {
        /// The packet.
        number: u64,
        /// What is wrong.
        fault: DecodeFault,
    },
    /// No packet came that brought the stream forward.
    #[error("nothing came for too long; missing: {missing}")]
    Idle {
        /// What did not come.
        missing: Missing,
    },
    /// It took too long.
    #[error("the stream took too long; missing: {missing}")]
    Total {
        /// What did not come.
        missing: Missing,
    },
    /// Its receiver closed it, or the connection ended, before its final packet was read.
    #[error("the stream was closed before its end; missing: {missing}")]
    Closed {
        /// What did not come.
        missing: Missing,
    },
    /// It is longer than allowed.
    #[error("the stream has more than {max} octets, which stream_len_max allows")]
    TooLong {
        /// The limit.
        max: u64,
    },
}

/// Numbers of packets, as ranges. The last one may be open: nobody knows how many are behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing(pub Vec<RangeInclusive<u64>>);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing");
        }
        for (at, range) in self.0.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "packets " };
            if range.start() == range.end() {
                write!(f, "{comma}{}", range.start())?;
            } else {
                write!(f, "{comma}{} to {}", range.start(), range.end())?;
            }
        }
        Ok(())
    }
}

/// Why a packet was not taken. The stream goes on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refused {
    /// The message has no header of a stream.
    #[error("not a packet of a stream")]
    NotSsp,
    /// The octets are no message.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The message makes no sense.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The headers make no sense.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// It is of another stream.
    #[error("packet of another stream")]
    OtherStream,
    /// It is too far ahead.
    #[error("packet {number} is more than {max} ahead of {first_missing}, which is missing; gap_max allows that much")]
    Gap {
        /// Its number.
        number: u64,
        /// The first one that is missing.
        first_missing: u64,
        /// The limit.
        max: u64,
    },
    /// No room until something is read.
    #[error("{len} octets are kept and not read; window_len_max allows {max}")]
    Full {
        /// Octets that would be kept.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// Its payload is too long.
    #[error("a payload of {len} octets; payload_len_max allows {max}")]
    PayloadLen {
        /// Octets.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// The stream has ended.
    #[error("the stream has ended")]
    Ended,
}

/// What happened to packets so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Packets that were taken.
    pub taken_count: u64,
    /// Packets that were here already.
    pub duplicate_count: u64,
    /// Of those, the ones that said something else than the first. Told only while the first is not read.
    pub conflict_count: u64,
    /// Packets that came before one with a lower number.
    pub out_of_order_count: u64,
    /// Packets that were refused.
    pub refused_count: u64,
}

/// What happens by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Something can be read, or the end is known.
    Readable,
}

/// What a stream waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerReason {
    /// A packet.
    Idle,
    /// Its end.
    Total,
}

/// What comes to a stream.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// A message.
    Message(&'a Message),
    /// A packet that was taken out of its message.
    Packet(PacketRef<'a>),
    /// No more packets will come.
    Close,
}

impl Reassembler {
    /// A stream of which nothing came.
    #[must_use]
    pub fn new(limits: Limits, timing: Timing) -> Self {
        Self {
            limits,
            timing,
            now: Instant::EPOCH,
            stream_id: None,
            window: Window::default(),
            codec: Decompressor::default(),
            current: Current::None,
            read_len: 0,
            state: State::Open,
            delivered_len: 0,
            estimated_len: None,
            begun_at: None,
            idle_since: None,
            is_closed: false,
            stats: Stats::default(),
            events: VecDeque::new(),
        }
    }

    /// Takes the packet that a message carries.
    ///
    /// # Errors
    /// [`Refused`]; the stream is as it was.
    //= SSP-H4, SSP-V1, SSP-V2
    pub fn take_message(&mut self, now: Instant, message: &Message) -> Result<(), Refused> {
        let taken = self.packet_of(message).and_then(|packet| self.take(now, &packet));
        self.stats.refused_count += u64::from(taken.is_err());
        taken
    }

    fn packet_of<'a>(&self, message: &'a Message) -> Result<PacketRef<'a>, Refused> {
        if !crate::is_ssp(message) {
            return Err(Refused::NotSsp);
        }
        if self.limits.validates {
            message.validate()?;
        }
        PacketRef::from_message(message)?.ok_or(Refused::NotSsp)
    }

    /// Takes the packet of a message in MessagePack: nothing is copied, and nothing is allocated where it is not the first.
    ///
    /// # Errors
    /// [`Refused`], [`Refused::Decode`] among them.
    //= SSP-S12
    pub fn take_encoded(&mut self, now: Instant, octets: &Bytes, limits: &wrp::Limits) -> Result<(), Refused> {
        let taken = self.packet_in(octets, limits).and_then(|packet| self.take(now, &packet));
        self.stats.refused_count += u64::from(taken.is_err());
        taken
    }

    fn packet_in<'a>(&self, octets: &'a Bytes, limits: &wrp::Limits) -> Result<PacketRef<'a>, Refused> {
        let message = MessageRef::decode(octets, limits)?;
        let payload = || message.payload.map(|payload| octets.slice_ref(payload)).unwrap_or_default();
        let packet = PacketRef::from_headers(message.headers.iter(), payload);
        if matches!(packet, Ok(None)) {
            return Err(Refused::NotSsp);
        }
        if self.limits.validates {
            message.validate()?;
        }
        packet?.ok_or(Refused::NotSsp)
    }

    /// Takes a packet.
    ///
    /// # Errors
    /// [`Refused`]; the stream is as it was.
    //= SSP-R1, SSP-R2, SSP-R3, SSP-R4, SSP-R5, SSP-L2, SSP-B1
    pub fn take_packet(&mut self, now: Instant, packet: &PacketRef<'_>) -> Result<(), Refused> {
        let taken = self.take(now, packet);
        self.stats.refused_count += u64::from(taken.is_err());
        taken
    }

    fn take(&mut self, now: Instant, packet: &PacketRef<'_>) -> Result<(), Refused> {
        self.advance_clock(now);
        if self.is_closed || matches!(self.state, State::Ending(_)) {
            return Err(Refused::Ended);
        }
        match &self.stream_id {
            Some(id) if **id != *packet.stream_id => return Err(Refused::OtherStream),
            Some(_) => {}
            None => self.stream_id = Some(packet.stream_id.into()),
        }
        let PacketRef { number, encoding, ref end, ref payload, .. } = *packet;
        let stored = Stored { payload: payload.clone(), encoding, end: end.clone() };
        if number < self.window.first() {
            self.stats.duplicate_count += 1;
            return Ok(());
        }
        if let Some(first) = self.window.get(number) {
            self.stats.duplicate_count += 1;
            self.stats.conflict_count += u64::from(first.differs(&stored));
            return Ok(());
        }
        self.check_room(number, payload.len())?;
        let first_missing = self.window.first_missing();
        self.stats.taken_count += 1;
        self.stats.out_of_order_count += u64::from(number > first_missing);
        self.estimated_len = packet.estimated_len.or(self.estimated_len);
        self.begun_at.get_or_insert(self.now);
        self.idle_since = Some(self.now);
        let could_read = self.window.has_next();
        self.window.insert(number, stored);
        if !could_read && self.window.has_next() {
            self.events.push_back(Event::Readable);
        }
        Ok(())
    }

    //= SSP-L1, SSP-L2
    fn check_room(&self, number: u64, len: usize) -> Result<(), Refused> {
        let limits = &self.limits;
        if len > limits.payload_len_max {
            return Err(Refused::PayloadLen { len, max: limits.payload_len_max });
        }
        let first_missing = self.window.first_missing();
        if number - self.window.first().min(number) > limits.gap_max && number - first_missing > limits.gap_max {
            return Err(Refused::Gap { number, first_missing, max: limits.gap_max });
        }
        let kept_len = self.window.len() + len;
        let is_next_of_nothing = number == self.window.first();
        if kept_len > limits.window_len_max && !is_next_of_nothing {
            return Err(Refused::Full { len: kept_len, max: limits.window_len_max });
        }
        Ok(())
    }

    /// No more packets will come: what is here can still be read, and behind it is the end or an error.
    //= SSP-R7, SSP-R8
    pub fn close(&mut self, now: Instant) {
        self.advance_clock(now);
        self.is_closed = true;
        self.prepare();
    }

    fn missing(&self) -> Missing {
        Missing(self.window.missing(self.limits.missing_ranges_max))
    }

    fn end(&mut self, how: Result<(), StreamError>) {
        self.state = State::Ending(how);
        self.window.clear();
        self.idle_since = None;
        self.begun_at = None;
        self.events.push_back(Event::Readable);
    }

    fn current(&self) -> &[u8] {
        let octets = match &self.current {
            Current::None => &[],
            Current::Payload(payload) => &payload[..],
            Current::Plain => self.codec.last(),
        };
        octets.get(self.read_len..).unwrap_or_default()
    }

    /// Makes octets readable, if any can be: takes packets until one has some.
    //= SSP-R6, SSP-E5
    fn prepare(&mut self) {
        while matches!(self.state, State::Open) && self.current().is_empty() {
            self.current = Current::None;
            self.read_len = 0;
            let number = self.window.first();
            let Some(Stored { payload, encoding, end }) = self.window.take() else {
                if self.is_closed {
                    let missing = self.missing();
                    self.end(Err(StreamError::Closed { missing }));
                }
                return;
            };
            // From now on the stream waits for its sender, not for its reader.
            self.idle_since = Some(self.now);
            match self.open(number, encoding, payload) {
                Ok(()) => {}
                Err(error) => {
                    self.end(Err(error));
                    return;
                }
            }
            if let Some(end) = end {
                self.end(match end {
                    End::Clean => Ok(()),
                    End::Failed(reason) => Err(StreamError::Sender(reason)),
                });
            }
        }
    }

    fn open(&mut self, number: u64, encoding: Encoding, payload: Bytes) -> Result<(), StreamError> {
        let caps = Caps { len_max: self.limits.packet_len_max, ratio_max: self.limits.ratio_max };
        let decoded = match encoding {
            Encoding::Identity => {
                let len = payload.len();
                self.current = Current::Payload(payload);
                Ok(len)
            }
            _ => self.codec.decompress(encoding, &payload, caps).map(<[u8]>::len).inspect(|_| {
                self.current = Current::Plain;
            }),
        };
        let len = decoded.map_err(|fault| StreamError::Decode { number, fault })?;
        self.delivered_len += len as u64;
        if self.delivered_len > self.limits.stream_len_max {
            self.current = Current::None;
            return Err(StreamError::TooLong { max: self.limits.stream_len_max });
        }
        Ok(())
    }

    /// What can be read now. An error is given again each time.
    pub fn fill(&mut self, now: Instant) -> Fill<'_> {
        self.advance_clock(now);
        self.prepare();
        if !self.current().is_empty() {
            return Fill::Octets(self.current());
        }
        match &self.state {
            State::Open => Fill::Pending,
            State::Ending(Ok(())) => Fill::End,
            State::Ending(Err(error)) => Fill::Failed(error),
        }
    }

    /// The first `len` of the octets that [`fill`](Self::fill) gave were taken.
    pub fn consume(&mut self, len: usize) {
        self.read_len += len.min(self.current().len());
        if self.current().is_empty() {
            self.current = Current::None;
            self.read_len = 0;
        }
    }

    /// The octets of the next payload without a copy, where it is one that was not compressed and nothing of it was read;
    /// else a copy. As [`fill`](Self::fill) otherwise.
    pub fn take_chunk(&mut self, now: Instant) -> Option<Bytes> {
        self.advance_clock(now);
        self.prepare();
        let chunk = match &self.current {
            Current::Payload(payload) => payload.slice(self.read_len..),
            _ => Bytes::copy_from_slice(self.current()),
        };
        self.consume(chunk.len());
        (!chunk.is_empty()).then_some(chunk)
    }

    /// True where the packet that is next would find no room: reading makes some. While it is, take no more from the carrier.
    //= SSP-B1
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.window.len() >= self.limits.window_len_max && self.window.has_next()
    }

    /// Octets of payload that are kept.
    #[must_use]
    pub fn kept_len(&self) -> usize {
        self.window.len()
    }

    /// Octets that became readable, and how many there may be in all, if the sender said so.
    //= SSP-X1
    #[must_use]
    pub const fn progress(&self) -> (u64, Option<u64>) {
        (self.delivered_len, self.estimated_len)
    }

    /// The packets that are missing, as far as is known.
    //= SSP-R8
    #[must_use]
    pub fn missing_packets(&self) -> Missing {
        self.missing()
    }

    /// True once the end is known and everything in front of it was read.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Ending(_)) && self.current().is_empty()
    }

    /// What happened to packets so far.
    #[must_use]
    pub const fn stats(&self) -> Stats {
        self.stats
    }

    fn advance_clock(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }
}

impl Machine for Reassembler {
    type Input<'a> = Input<'a>;
    type Event = Event;
    type Transmit = ();
    type Reason = TimerReason;
    type Error = Refused;

    fn handle(&mut self, now: Instant, input: Input<'_>) -> Result<(), Refused> {
        self.advance_clock(now);
        match input {
            Input::Message(message) => self.take_message(now, message),
            Input::Packet(packet) => self.take_packet(now, &packet),
            Input::Close => {
                self.close(now);
                Ok(())
            }
        }
    }

    /// Time runs against a stream only while nothing of it waits to be read.
    //= SSP-T1, SSP-T2
    fn handle_timeout(&mut self, now: Instant) {
        self.advance_clock(now);
        let Some(deadline) = self.poll_timeout().filter(|deadline| deadline.is_due(self.now)) else { return };
        let missing = self.missing();
        self.end(Err(match deadline.reason {
            TimerReason::Idle => StreamError::Idle { missing },
            TimerReason::Total => StreamError::Total { missing },
        }));
    }

    fn poll_transmit(&mut self, now: Instant, (): &mut ()) -> bool {
        self.advance_clock(now);
        false
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Deadline<TimerReason>> {
        if self.window.has_next() || !matches!(self.current, Current::None) {
            return None;
        }
        let idle = self.idle_since.map(|since| Deadline::new(since + self.timing.idle_timeout, TimerReason::Idle));
        let total = self.begun_at.zip(self.timing.total_timeout);
        earliest([idle, total.map(|(since, timeout)| Deadline::new(since + timeout, TimerReason::Total))])
    }
}
