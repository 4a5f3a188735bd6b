//! Many streams at once.

use crate::{DemuxLimits, Fill, HeaderError, Limits, PacketRef, Reassembler, Refused, TimerReason, Timing, is_ssp};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use wirekit::{Deadline, Instant, Machine};
use wrp::Message;

/// A stream: who sends it, and its name there.
//= SSP-M1
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamKey {
    /// The source of its messages, as it came.
    pub source: String,
    /// Its name.
    pub stream_id: String,
}

/// Sorts messages into the streams that they are of.
///
/// Streams are told apart by their source and name, so that two senders may use the same name. What is no packet is handed
/// back; acknowledgements, which repeat a packet's headers, are counted and dropped.
#[derive(Debug)]
pub struct Demultiplexer {
    limits: Limits,
    timing: Timing,
    demux_limits: DemuxLimits,
    /// Where we are, whose acknowledgements are kept out.
    own: Option<String>,
    streams: BTreeMap<StreamKey, Reassembler>,
    /// Streams that have ended, oldest first.
    ended: VecDeque<(Instant, StreamKey)>,
    kept_len: usize,
    events: VecDeque<DemuxEvent>,
    stats: DemuxStats,
    now: Instant,
}

/// What happened to messages so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DemuxStats {
    /// Acknowledgements that were dropped.
    pub ack_count: u64,
    /// Packets of streams that have ended.
    pub late_count: u64,
    /// Packets that would have opened one stream too many.
    pub streams_refused_count: u64,
    /// Packets that were refused otherwise.
    pub refused_count: u64,
}

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Routed {
    /// It is a packet of this stream, and was taken.
    Taken(StreamKey),
    /// It is no packet.
    Foreign,
    /// It acknowledges a packet of ours.
    Ack,
    /// It is a packet of a stream that has ended.
    Late,
    /// It is a packet and was refused.
    Refused(Refused),
    /// It would open one stream too many: the limit.
    TooManyStreams(&'static str),
    /// Too much is kept for all streams; read some.
    Full,
}

/// What happens to streams.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DemuxEvent {
    /// The first packet of a stream came.
    Opened(StreamKey),
    /// Something of it can be read, or its end is known.
    Readable(StreamKey),
}

impl Demultiplexer {
    /// Without streams. `own` is the source of the messages that are sent from here, if any.
    #[must_use]
    pub fn new(limits: Limits, timing: Timing, demux_limits: DemuxLimits, own: Option<String>) -> Self {
        Self {
            limits,
            timing,
            demux_limits,
            own,
            streams: BTreeMap::new(),
            ended: VecDeque::new(),
            kept_len: 0,
            events: VecDeque::new(),
            stats: DemuxStats::default(),
            now: Instant::EPOCH,
        }
    }

    /// Takes a message.
    //= SSP-M1, SSP-M2, SSP-M3
    pub fn take_message(&mut self, now: Instant, message: &Message) -> Routed {
        self.now = self.now.max(now);
        if !is_ssp(message) {
            return Routed::Foreign;
        }
        if self.own.as_deref().is_some_and(|own| message.is_qos_ack_for(own)) {
            self.stats.ack_count += 1;
            return Routed::Ack;
        }
        let key = match stream_key(message) {
            Ok(key) => key,
            Err(error) => {
                self.stats.refused_count += 1;
                return Routed::Refused(error.into());
            }
        };
        if !self.streams.contains_key(&key) {
            self.forget_ended();
            if self.ended.iter().any(|(_, ended)| *ended == key) {
                self.stats.late_count += 1;
                return Routed::Late;
            }
            if let Some(limit) = self.full(&key.source) {
                self.stats.streams_refused_count += 1;
                return Routed::TooManyStreams(limit);
            }
        }
        if self.kept_len >= self.demux_limits.window_len_max {
            return Routed::Full;
        }
        self.put(key, message)
    }

    fn put(&mut self, key: StreamKey, message: &Message) -> Routed {
        let is_new = !self.streams.contains_key(&key);
        let mut fresh = is_new.then(|| Reassembler::new(self.limits, self.timing));
        let Some(stream) = fresh.as_mut().or_else(|| self.streams.get_mut(&key)) else { return Routed::Foreign };
        let before_len = stream.kept_len();
        if let Err(refused) = stream.take_message(self.now, message) {
            self.stats.refused_count += 1;
            return Routed::Refused(refused);
        }
        self.kept_len = self.kept_len - before_len + stream.kept_len();
        let is_readable = drain(stream);
        if let Some(stream) = fresh {
            self.streams.insert(key.clone(), stream);
            self.events.push_back(DemuxEvent::Opened(key.clone()));
        }
        if is_readable {
            self.events.push_back(DemuxEvent::Readable(key.clone()));
        }
        Routed::Taken(key)
    }

    fn full(&self, source: &str) -> Option<&'static str> {
        if self.streams.len() >= self.demux_limits.streams_max {
            return Some("streams_max");
        }
        let from = StreamKey { source: source.to_owned(), stream_id: String::new() };
        let of_source = self.streams.range(from..).take_while(|(key, _)| key.source == source).count();
        (of_source >= self.demux_limits.streams_per_source_max).then_some("streams_per_source_max")
    }

    fn forget_ended(&mut self) {
        let now = self.now;
        let time = self.demux_limits.ended_time;
        self.ended.retain(|(at, _)| now.saturating_since(*at) < time);
    }

    /// What can be read of a stream now. `None` where there is no such stream, or it was read to its end before.
    pub fn fill(&mut self, now: Instant, key: &StreamKey) -> Option<Fill<'_>> {
        self.now = self.now.max(now);
        let stream = self.streams.get_mut(key)?;
        let before_len = stream.kept_len();
        let _looked_at_below = stream.fill(self.now);
        self.kept_len = self.kept_len - before_len + stream.kept_len();
        let _readable_now = drain(stream);
        self.streams.get_mut(key).map(|stream| stream.fill(now))
    }

    /// The first `len` octets of what [`fill`](Self::fill) gave were taken.
    pub fn consume(&mut self, key: &StreamKey, len: usize) {
        if let Some(stream) = self.streams.get_mut(key) {
            stream.consume(len);
        }
    }

    /// The octets that can be read of a stream now, without a copy where they came uncompressed. `None` where there are none:
    /// [`fill`](Self::fill) says whether more will come.
    pub fn take_chunk(&mut self, now: Instant, key: &StreamKey) -> Option<Bytes> {
        self.now = self.now.max(now);
        let stream = self.streams.get_mut(key)?;
        let before_len = stream.kept_len();
        let chunk = stream.take_chunk(self.now);
        self.kept_len = self.kept_len - before_len + stream.kept_len();
        let _readable_now = drain(stream);
        chunk
    }

    /// Takes a stream out, to join it elsewhere, or because nobody wants it. Late packets of it are dropped for a while.
    pub fn remove(&mut self, key: &StreamKey) -> Option<Reassembler> {
        let stream = self.streams.remove(key)?;
        self.kept_len -= stream.kept_len();
        if self.ended.len() >= self.demux_limits.ended_max.max(1) {
            self.ended.pop_front();
        }
        self.ended.push_back((self.now, key.clone()));
        Some(stream)
    }

    /// No more messages will come: every stream that is not whole is an error from now on.
    pub fn close(&mut self, now: Instant) {
        self.now = self.now.max(now);
        for (key, stream) in &mut self.streams {
            stream.close(self.now);
            if drain(stream) {
                self.events.push_back(DemuxEvent::Readable(key.clone()));
            }
        }
        self.kept_len = self.streams.values().map(Reassembler::kept_len).sum();
    }

    /// A stream, for its progress and counts.
    #[must_use]
    pub fn stream(&self, key: &StreamKey) -> Option<&Reassembler> {
        self.streams.get(key)
    }

    /// How many streams are open.
    #[must_use]
    pub fn stream_count(&self) -> usize {
        self.streams.len()
    }

    /// Octets of payload that are kept.
    #[must_use]
    pub const fn kept_len(&self) -> usize {
        self.kept_len
    }

    /// What happened to messages so far.
    #[must_use]
    pub const fn stats(&self) -> DemuxStats {
        self.stats
    }
}

/// The stream of a message that has headers of one.
fn stream_key(message: &Message) -> Result<StreamKey, HeaderError> {
    let packet = PacketRef::from_message(message)?.ok_or(HeaderError::NoStreamId)?;
    Ok(StreamKey { source: message.source.clone(), stream_id: packet.stream_id.to_owned() })
}

/// Takes a stream's events; true where it can be read.
fn drain(stream: &mut Reassembler) -> bool {
    let mut is_readable = false;
    while stream.poll_event().is_some() {
        is_readable = true;
    }
    is_readable
}

impl Machine for Demultiplexer {
    type Input<'a> = &'a Message;
    type Event = DemuxEvent;
    type Transmit = ();
    type Reason = TimerReason;
    type Error = Routed;

    fn handle(&mut self, now: Instant, input: &Message) -> Result<(), Routed> {
        match self.take_message(now, input) {
            Routed::Taken(_) => Ok(()),
            other => Err(other),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.now = self.now.max(now);
        for (key, stream) in &mut self.streams {
            stream.handle_timeout(self.now);
            if drain(stream) {
                self.events.push_back(DemuxEvent::Readable(key.clone()));
            }
        }
        self.kept_len = self.streams.values().map(Reassembler::kept_len).sum();
    }

    fn poll_transmit(&mut self, now: Instant, (): &mut ()) -> bool {
        self.now = self.now.max(now);
        false
    }

    fn poll_event(&mut self) -> Option<DemuxEvent> {
        self.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Deadline<TimerReason>> {
        self.streams.values().filter_map(Machine::poll_timeout).min_by_key(|deadline| deadline.at)
    }
}
