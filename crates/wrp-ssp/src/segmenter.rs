//! One stream cut into messages.

use crate::codec::{Compressor, compressed_len_max};
use crate::{Encoding, End, Level, NUMBER_MAX, PACKET_LEN, header};
use bytes::{Buf as _, BufMut, Bytes};
use core::fmt;
use std::collections::VecDeque;
use thiserror::Error;
use wrp::{Field, Invalid, Message, Rule};

/// Packets in a row that go without an attempt to compress them, at most, after some that did not shrink.
const SKIPS_MAX: u32 = 16;

/// Names the transaction of each packet, by its number. What it says in place of a name ends the stream with that reason.
pub type TransactionMaker = Box<dyn FnMut(u64) -> Result<String, String> + Send>;

/// How a stream is cut.
//= SSP-S1
pub struct Options {
    stream_id: String,
    packet_len: usize,
    encoding: Encoding,
    level: Level,
    estimated_len: Option<u64>,
    message_len_max: Option<usize>,
    copies: usize,
    copies_spread: usize,
    sends_unshrunk: bool,
    compresses_later: bool,
    validates: bool,
    transaction: Option<TransactionMaker>,
}

impl Options {
    /// A stream of this name: letters, digits, `_` and `-`. Packets of 64 KiB, gzip at its default level.
    #[must_use]
    pub fn new(stream_id: impl Into<String>) -> Self {
        Self {
            stream_id: stream_id.into(),
            packet_len: PACKET_LEN,
            encoding: Encoding::Gzip,
            level: Level::Default,
            estimated_len: None,
            message_len_max: None,
            copies: 0,
            copies_spread: 0,
            sends_unshrunk: false,
            compresses_later: false,
            validates: true,
            transaction: None,
        }
    }

    /// Octets of the stream in a packet, before they are compressed. 0 means 64 KiB.
    //= SSP-S2
    #[must_use]
    pub const fn with_packet_len(mut self, len: usize) -> Self {
        self.packet_len = if len == 0 { PACKET_LEN } else { len };
        self
    }

    /// How payloads are written.
    #[must_use]
    pub const fn with_encoding(mut self, encoding: Encoding, level: Level) -> Self {
        (self.encoding, self.level) = (encoding, level);
        self
    }

    /// How long the stream may become. 0 is not written.
    //= SSP-X2
    #[must_use]
    pub fn with_estimated_len(mut self, len: u64) -> Self {
        self.estimated_len = Some(len).filter(|len| *len > 0);
        self
    }

    /// Octets that a whole message may have in MessagePack, as the transport allows; packets are made smaller where they must.
    //= SSP-S8
    #[must_use]
    pub const fn with_message_len_max(mut self, len: usize) -> Self {
        self.message_len_max = Some(len);
        self
    }

    /// Sends each packet `copies` times more, the first of them when `spread` other packets were sent, the next as many later.
    //= SSP-S9
    #[must_use]
    pub const fn with_copies(mut self, copies: usize, spread: usize) -> Self {
        (self.copies, self.copies_spread) = (copies, spread);
        self
    }

    /// Sends packets compressed even where that makes them longer, as the reference does. By default such packets go as they
    /// are, and after some of them others are not even tried.
    //= SSP-S7
    #[must_use]
    pub const fn with_unshrunk(mut self, sends_unshrunk: bool) -> Self {
        self.sends_unshrunk = sends_unshrunk;
        self
    }

    /// Whether the message that is repeated is checked by the rules of its type. Default true.
    #[must_use]
    pub const fn with_validation(mut self, validates: bool) -> Self {
        self.validates = validates;
        self
    }

    /// Names the transaction of each packet.
    //= SSP-S10
    #[must_use]
    pub fn with_transaction(mut self, maker: TransactionMaker) -> Self {
        self.transaction = Some(maker);
        self
    }
}

impl Options {
    /// How packets are compressed, and whether those that do not shrink too.
    pub(crate) const fn compression(&self) -> (Encoding, Level, bool) {
        (self.encoding, self.level, self.sends_unshrunk)
    }

    /// The same, with packets of the same size that are compressed by somebody else.
    pub(crate) const fn left_to_others(mut self) -> Self {
        self.compresses_later = true;
        self
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("stream_id", &self.stream_id)
            .field("packet_len", &self.packet_len)
            .field("encoding", &self.encoding)
            .field("level", &self.level)
            .finish_non_exhaustive()
    }
}

/// Why a stream cannot be cut.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SegmentError {
    /// The stream's name.
    #[error("a stream's name has letters, digits, _ and -, at least one; {0:?} has not")]
    StreamId(String),
    /// The message that is repeated.
    #[error("the message that each packet repeats: {0}")]
    Invalid(#[from] Invalid),
    /// Its type has no headers.
    #[error("{0} carries no stream: it has no headers")]
    NoHeaders(wrp::MessageType),
    /// A thread could not be started.
    #[error("could not start a thread to compress in: {0}")]
    Thread(String),
    /// There is no room for a payload beside everything else.
    #[error("message_len_max {max} leaves no room for a payload: everything else takes {envelope_len} octets")]
    NoRoom {
        /// The limit.
        max: usize,
        /// Octets of a message without payload, at most.
        envelope_len: usize,
    },
}

/// Cuts a stream into messages.
///
/// Octets go in with [`push`](Self::push), or straight into [`spare`](Self::spare); a packet that is full, or the last one after
/// [`finish`](Self::finish), comes out of [`poll_message`](Self::poll_message). Everything that could be wrong with the
/// messages is found before an octet is taken.
#[derive(Debug)]
pub struct Segmenter {
    options: Options,
    /// What every packet has, and from `header_count` on the headers of the last one.
    message: Message,
    header_count: usize,
    /// The last payload that was compressed.
    payload: Vec<u8>,
    packet_len: usize,
    compressor: Compressor,
    plain: Vec<u8>,
    filled: usize,
    /// The octets of the packet, where they were handed over as they are.
    whole: Option<Bytes>,
    next: u64,
    end: Option<End>,
    is_over: bool,
    /// Packets that did not shrink lately.
    unshrunk_count: u32,
    /// Packets left that are not tried.
    skips: u32,
    copies: Copies,
}

/// Packets that are sent again.
#[derive(Debug, Default)]
struct Copies {
    /// With how many others must have been sent in between, and how often they are sent again then.
    waiting: VecDeque<(u64, usize, Message)>,
    sent_count: u64,
}

impl Segmenter {
    /// A stream whose packets repeat the fields of `base`, its payload excepted.
    ///
    /// # Errors
    /// [`SegmentError`].
    //= SSP-S1, SSP-S6, SSP-S8, SSP-S11
    pub fn new(mut base: Message, options: Options) -> Result<Self, SegmentError> {
        if !header::is_stream_id(&options.stream_id) {
            return Err(SegmentError::StreamId(options.stream_id));
        }
        if Field::Headers.rule(base.msg_type) == Rule::Refused && (options.validates || base.msg_type.is_valid()) {
            return Err(SegmentError::NoHeaders(base.msg_type));
        }
        base.payload = None;
        base.headers.retain(|text| header::label_of(text).is_none());
        if options.validates {
            let mut first = base.clone();
            if first.transaction_uuid.is_empty() && options.transaction.is_some() {
                first.transaction_uuid = "made for each packet".to_owned();
            }
            first.validate()?;
        }
        base.headers.push(header::text(header::STREAM_ID, &options.stream_id));
        let packet_len = packet_len(&base, &options)?;
        Ok(Self {
            compressor: Compressor::new(options.encoding, options.level),
            packet_len,
            header_count: base.headers.len(),
            options,
            message: base,
            payload: Vec::new(),
            plain: Vec::new(),
            filled: 0,
            whole: None,
            next: 0,
            end: None,
            is_over: false,
            unshrunk_count: 0,
            skips: 0,
            copies: Copies::default(),
        })
    }

    /// Octets of the stream in a packet.
    #[must_use]
    pub const fn packet_len(&self) -> usize {
        self.packet_len
    }

    /// The number of the packet that is being filled.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.next
    }

    /// True where a message waits to be polled; until then nothing more is taken.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        !self.is_over && (self.filled == self.packet_len || self.end.is_some())
    }

    /// True once everything was polled.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over && self.copies.waiting.is_empty()
    }

    /// The room that is left in the packet, for reading into; [`advance`](Self::advance) says how much was read. The room is made
    /// as it is filled, at least so that `wanted_len` octets fit.
    pub fn spare(&mut self, wanted_len: usize) -> &mut [u8] {
        if self.end.is_some() {
            return &mut [];
        }
        // More comes behind what was handed over.
        if let Some(whole) = self.whole.take() {
            self.plain.clear();
            self.plain.extend_from_slice(&whole);
        }
        let wanted = self.filled.saturating_add(wanted_len.max(1)).min(self.packet_len);
        if self.plain.len() < wanted {
            self.plain.resize(wanted, 0);
        }
        let until = self.plain.len().min(self.packet_len);
        self.plain.get_mut(self.filled..until).unwrap_or_default()
    }

    /// So many octets were put into [`spare`](Self::spare).
    pub fn advance(&mut self, len: usize) {
        self.filled += len.min(self.plain.len().min(self.packet_len) - self.filled);
    }

    /// Takes as many octets as the packet has room for; how many that were.
    pub fn push(&mut self, octets: &[u8]) -> usize {
        let spare = self.spare(octets.len());
        let len = spare.len().min(octets.len());
        let (room, _) = spare.split_at_mut(len);
        room.copy_from_slice(octets.get(..len).unwrap_or_default());
        self.advance(len);
        len
    }

    /// As [`push`](Self::push), and what makes a packet by itself is not copied.
    //= SSP-S12
    pub fn push_bytes(&mut self, octets: &mut Bytes) {
        if self.filled > 0 || self.end.is_some() || octets.is_empty() {
            let len = self.push(octets);
            octets.advance(len);
            return;
        }
        let whole = octets.split_to(octets.len().min(self.packet_len));
        if whole.len() == self.packet_len || octets.is_empty() && whole.len() > self.packet_len / 2 {
            self.filled = whole.len();
            self.whole = Some(whole);
        } else {
            self.push(&whole);
        }
    }

    /// The stream ends here; only the first end counts. What is in the packet goes with it.
    //= SSP-F1, SSP-F6
    pub fn finish(&mut self, end: End) {
        self.end.get_or_insert(end);
    }

    /// The next message, if one is due: a copy of an earlier one, or the packet that is ready.
    //= SSP-S3, SSP-S4, SSP-S9
    pub fn poll_message(&mut self) -> Option<Message> {
        if let Some(copy) = self.copies_due() {
            return Some(copy);
        }
        if !self.is_ready() {
            return None;
        }
        let encoding = self.prepare();
        let payload = match encoding {
            Encoding::Identity => self.whole.take().unwrap_or_else(|| Bytes::copy_from_slice(self.plain())),
            _ => Bytes::copy_from_slice(&self.payload),
        };
        let message = Message { payload: Some(payload), ..self.message.clone() };
        if self.options.copies > 0 {
            self.copies.push(&message, self.options.copies, self.options.copies_spread);
        }
        self.sent();
        Some(message)
    }

    /// As [`poll_message`](Self::poll_message), and appends the message to `out` in MessagePack. `false` where none is due. Once
    /// buffers have their size, nothing is allocated but for the names of transactions and for copies.
    //= SSP-S12
    pub fn poll_encoded(&mut self, out: &mut impl BufMut) -> bool {
        if self.options.copies > 0 {
            let Some(message) = self.poll_message() else { return false };
            message.encode_into(out);
            return true;
        }
        if !self.is_ready() {
            return false;
        }
        let payload = match self.prepare() {
            Encoding::Identity => self.plain(),
            _ => &self.payload,
        };
        self.message.encode_with_payload(Some(payload), out);
        self.sent();
        true
    }

    /// A copy of an earlier message that is due now.
    pub(crate) fn copies_due(&mut self) -> Option<Message> {
        self.copies.poll(self.is_over)
    }

    /// Makes the headers of the packet that is ready, and compresses it, if so.
    fn prepare(&mut self) -> Encoding {
        if let Some(maker) = &mut self.options.transaction {
            match maker(self.next) {
                Ok(name) => self.message.transaction_uuid = name,
                // The peer learns of it, and nothing of the stream is lost on the way.
                Err(reason) => self.end = Some(End::Failed(reason)),
            }
        }
        if self.next >= NUMBER_MAX {
            self.end.get_or_insert(End::Failed("the stream has too many packets".to_owned()));
        }
        let encoding = self.compress();
        let Options { estimated_len, .. } = self.options;
        header::put(
            &mut self.message.headers,
            self.header_count,
            self.next,
            estimated_len,
            self.end.as_ref(),
            encoding,
        );
        encoding
    }

    /// The packet was taken.
    fn sent(&mut self) {
        self.is_over = self.end.is_some();
        self.next += 1;
        self.filled = 0;
        self.whole = None;
        self.copies.sent_count += 1;
    }

    /// The octets of the packet.
    fn plain(&self) -> &[u8] {
        match &self.whole {
            Some(whole) => whole,
            None => self.plain.get(..self.filled).unwrap_or_default(),
        }
    }

    /// Compresses into `self.payload`, where that is to be; how the packet is written then.
    //= SSP-E4, SSP-E6, SSP-S7
    fn compress(&mut self) -> Encoding {
        let encoding = self.options.encoding;
        if encoding == Encoding::Identity || self.options.compresses_later || self.filled == 0 {
            return Encoding::Identity;
        }
        if self.skips > 0 {
            self.skips -= 1;
            return Encoding::Identity;
        }
        let plain = match &self.whole {
            Some(whole) => whole,
            None => self.plain.get(..self.filled).unwrap_or_default(),
        };
        self.payload.clear();
        self.compressor.compress(plain, &mut self.payload);
        if self.payload.len() < self.filled || self.options.sends_unshrunk {
            self.unshrunk_count = 0;
            return encoding;
        }
        // Twice as many are passed over each time.
        self.unshrunk_count += 1;
        self.skips = (1 << self.unshrunk_count.min(8)).min(SKIPS_MAX);
        Encoding::Identity
    }
}

impl Copies {
    fn push(&mut self, message: &Message, count: usize, spread: usize) {
        let due_at = self.sent_count + 1 + spread as u64;
        self.waiting.push_back((due_at, count, message.clone()));
    }

    /// A copy that is due; the rest of them once nothing else comes.
    fn poll(&mut self, is_over: bool) -> Option<Message> {
        let (due_at, _, _) = self.waiting.front()?;
        if *due_at > self.sent_count && !is_over {
            return None;
        }
        let (due_at, count, message) = self.waiting.pop_front()?;
        if count > 1 {
            self.waiting.push_back((due_at.max(self.sent_count) + 1, count - 1, message.clone()));
        }
        Some(message)
    }
}

/// Octets of the stream in a packet, so that its message fits.
fn packet_len(base: &Message, options: &Options) -> Result<usize, SegmentError> {
    let Some(max) = options.message_len_max else { return Ok(options.packet_len) };
    let mut largest = base.clone();
    // No end is longer than the longest reason.
    let end = End::Failed("x".repeat(crate::END_TEXT_LEN_MAX));
    let count = largest.headers.len();
    header::put(&mut largest.headers, count, NUMBER_MAX, Some(u64::MAX), Some(&end), options.encoding);
    if options.transaction.is_some() {
        largest.transaction_uuid = "x".repeat(64.max(base.transaction_uuid.len()));
    }
    let envelope_len = largest.encoded_len();
    let room = max.checked_sub(envelope_len).filter(|room| *room > 0);
    let room = room.ok_or(SegmentError::NoRoom { max, envelope_len })?;
    if !options.sends_unshrunk {
        return Ok(room.min(options.packet_len));
    }
    // The most that is at most `room` when it has grown.
    let fits = |len: usize| compressed_len_max(len) + 18 <= room;
    let (mut low, mut high) = (0, options.packet_len);
    while low < high {
        let middle = (low + high).div_ceil(2);
        if fits(middle) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    if low == 0 { Err(SegmentError::NoRoom { max, envelope_len }) } else { Ok(low) }
}
