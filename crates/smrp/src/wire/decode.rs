//! Octets to frames.

use super::code::Code;
use super::frame::{Ack, CELL_LEN, Frame, HANDLE_LEN_MAX, HANDLE_LEN_MIN, Msg, Open, REASON_LEN_MAX, Subscribe};
use super::parameters::{Parameters, ParametersError, Rules};
use super::registry::{CRITICAL, EXTENSION, FrameType, frame_type, number};
use super::varint::{self, take_varint};
use super::{AUTH_RESULT_RULES, AUTH_RULES, METADATA_RULES, NO_RULES, SETTINGS_RULES};
use crate::StreamId;
use bytes::Bytes;
use thiserror::Error;
use wirekit::{Reader, Short};

/// What stands in front of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The type's octet.
    pub number: u8,
    /// The flags.
    pub flags: u8,
    /// Octets of the header itself: 3, 4 or 6.
    pub len: usize,
    /// Octets of the body.
    pub body_len: usize,
}

impl Header {
    /// Reads a header from the front of `octets`; `None` where more are needed.
    ///
    /// # Errors
    /// [`WireErrorKind::Length`] for a length that is not in its shortest form or takes 8 octets.
    //= SMRP-F1, SMRP-C3
    #[inline]
    pub fn decode(octets: &[u8]) -> Result<Option<Self>, WireError> {
        // The shape of nearly all frames, without a cursor.
        if let [number, flags, length @ 0..=0x3F, ..] = *octets {
            return Ok(Some(Self { number, flags, len: 3, body_len: usize::from(length) }));
        }
        if let [number, flags, high @ 0x40..=0x7F, low, ..] = *octets {
            let body_len = usize::from(high & 0x3F) << 8 | usize::from(low);
            return if body_len < 0x40 {
                Err(WireError::new(number, WireErrorKind::Length))
            } else {
                Ok(Some(Self { number, flags, len: 4, body_len }))
            };
        }
        Self::decode_long(octets)
    }

    fn decode_long(octets: &[u8]) -> Result<Option<Self>, WireError> {
        let mut reader = Reader::new(octets);
        let (Ok(number), Ok(flags)) = (reader.u8(), reader.u8()) else { return Ok(None) };
        let wrong = WireError::new(number, WireErrorKind::Length);
        if octets.get(2).is_some_and(|first| *first >= 0xC0) {
            return Err(wrong);
        }
        let Ok((length, len)) = varint::take(&mut reader) else { return Ok(None) };
        if varint::varint_len(length) != len {
            return Err(wrong);
        }
        let body_len = usize::try_from(length).map_err(|_| wrong)?;
        Ok(Some(Self { number, flags, len: 2 + len, body_len }))
    }
}

/// A frame that cannot be read.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{}: {kind}", name_of(*number))]
pub struct WireError {
    /// The type's number.
    pub number: u64,
    /// Why not.
    pub kind: WireErrorKind,
}

fn name_of(number: u64) -> String {
    frame_type(number).map_or_else(|| format!("frame {number:#04x}"), |entry| entry.name.to_owned())
}

/// Why a frame cannot be read.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireErrorKind {
    /// The length is not in its shortest form, or longer than a length may be.
    #[error("its length is not written in the shortest form")]
    Length,
    /// Longer than the receiver takes.
    #[error("a body of {len} octets, where max_frame is {max}")]
    TooLong {
        /// What its length says.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// A flag that the type does not define.
    #[error("flags {0:#04x}, which it does not have")]
    Flags(u8),
    /// The fields end behind the body.
    #[error("its body ends within a field")]
    Cut,
    /// The fields end before the body.
    #[error("octets behind its last field")]
    Trailing,
    /// A number that the field cannot have.
    #[error("{0} has a value that it cannot have")]
    Value(&'static str),
    /// Parameters that cannot be read.
    #[error("{0}")]
    Parameters(ParametersError),
    /// Must be understood and is not.
    #[error("it must be understood and is unknown")]
    Unsupported,
    /// Belongs to another class of carrier.
    #[error("it has no place on a carrier of octets")]
    Carrier,
}

impl WireError {
    pub(crate) fn new(number: impl Into<u64>, kind: WireErrorKind) -> Self {
        Self { number: number.into(), kind }
    }

    /// What the peer is told.
    #[must_use]
    pub fn code(&self) -> Code {
        let is_settings = [u64::from(number::HELLO), u64::from(number::SETTINGS)].contains(&self.number);
        match self.kind {
            WireErrorKind::Unsupported | WireErrorKind::Carrier => Code::UNSUPPORTED_FRAME,
            //= SMRP-C5
            WireErrorKind::Parameters(_) if is_settings => Code::SETTINGS,
            _ => Code::FRAME_ENCODING,
        }
    }
}

impl From<Short> for WireErrorKind {
    fn from(_: Short) -> Self {
        Self::Cut
    }
}

/// A body with a cursor in it.
struct Body<'a> {
    /// What the body is a part of.
    octets: &'a Bytes,
    /// Where the body begins in it.
    at: usize,
    reader: Reader<'a>,
}

type Field<T> = Result<T, WireErrorKind>;

impl Body<'_> {
    #[inline]
    fn varint(&mut self) -> Field<u64> {
        Ok(take_varint(&mut self.reader)?)
    }

    #[inline]
    fn stream(&mut self) -> Field<StreamId> {
        self.varint().map(StreamId::new)
    }

    fn code(&mut self) -> Field<Code> {
        self.varint().map(Code::new)
    }

    fn u8(&mut self) -> Field<u8> {
        Ok(self.reader.u8()?)
    }

    fn u32(&mut self) -> Field<u32> {
        Ok(self.reader.u32()?)
    }

    fn u64(&mut self) -> Field<u64> {
        Ok(self.reader.u64()?)
    }

    fn array<const N: usize>(&mut self) -> Field<[u8; N]> {
        Ok(self.reader.array()?)
    }

    fn when(&mut self, is_there: bool) -> Field<Option<u64>> {
        is_there.then(|| self.varint()).transpose()
    }

    #[inline]
    fn take(&mut self, len: usize) -> Field<Bytes> {
        let from = self.at + self.reader.position();
        self.reader.take(len)?;
        Ok(self.octets.slice(from..from + len))
    }

    fn counted(&mut self) -> Field<Bytes> {
        let len = self.varint()?;
        self.take(usize::try_from(len).map_err(|_| WireErrorKind::Cut)?)
    }

    #[inline]
    fn rest(&mut self) -> Field<Bytes> {
        if self.reader.remaining_len() == 0 {
            return Ok(Bytes::new());
        }
        self.take(self.reader.remaining_len())
    }

    fn parameters(&mut self, rules: Rules) -> Field<Parameters> {
        Parameters::read(self.rest()?, rules).map_err(WireErrorKind::Parameters)
    }

    /// Everything that is left, one after the other. What is reserved follows what was read.
    fn all<T>(&mut self, mut one: impl FnMut(&mut Self) -> Field<T>) -> Field<Vec<T>> {
        let mut list = Vec::new();
        while self.reader.remaining_len() > 0 {
            list.push(one(self)?);
        }
        Ok(list)
    }

    fn some<T>(&mut self, count: u64, mut one: impl FnMut(&mut Self) -> Field<T>) -> Field<Vec<T>> {
        let mut list = Vec::new();
        for _ in 0..count {
            list.push(one(self)?);
        }
        Ok(list)
    }

    fn text(&mut self, field: &'static str) -> Field<Bytes> {
        let octets = self.rest()?;
        //= SMRP-C9
        core::str::from_utf8(&octets).map_err(|_| WireErrorKind::Value(field))?;
        Ok(octets)
    }
}

impl Frame {
    /// Reads a frame whose header stands at `at` in `octets`, and which came on a carrier of octets where `on_octets`. Data shares the memory of `octets`.
    ///
    /// # Errors
    /// [`WireError`]; its [`code`](WireError::code) is what the peer is told.
    //= SMRP-F3, SMRP-F4, SMRP-F5, SMRP-F6, SMRP-F10
    pub fn decode(header: Header, octets: &Bytes, at: usize, on_octets: bool) -> Result<Self, WireError> {
        let at = at + header.len;
        let Some(body) = octets.get(at..at + header.body_len) else {
            return Err(WireError::new(header.number, WireErrorKind::Cut));
        };
        let mut fields = Body { octets, at, reader: Reader::new(body) };
        let mut number = u64::from(header.number);
        if header.number == EXTENSION {
            let wrong = |kind| WireError::new(EXTENSION, kind);
            let (typed, len) = varint::take(&mut fields.reader).map_err(|_| wrong(WireErrorKind::Cut))?;
            if varint::varint_len(typed) != len {
                return Err(wrong(WireErrorKind::Length));
            }
            number = typed;
        }
        // A registered type has one form: behind 0xFF it is another, unknown one.
        let entry = if header.number == EXTENSION { None } else { frame_type(number) };
        let failed = |kind| WireError::new(number, kind);
        let Some(entry) = entry else {
            if header.flags & CRITICAL != 0 {
                return Err(failed(WireErrorKind::Unsupported));
            }
            return Ok(Self::Unknown { number, flags: header.flags, body: fields.rest().map_err(failed)? });
        };
        let flags = header.flags & !CRITICAL;
        if flags & !entry.flags != 0 {
            return Err(failed(WireErrorKind::Flags(flags & !entry.flags)));
        }
        if on_octets && !entry.on_octets {
            return Err(failed(WireErrorKind::Carrier));
        }
        let frame = read(entry, flags, &mut fields).map_err(failed)?;
        if fields.reader.remaining_len() > 0 {
            return Err(failed(WireErrorKind::Trailing));
        }
        Ok(frame)
    }
}

/// Reads the fields of a known type.
//= SMRP-F9
#[allow(clippy::too_many_lines, reason = "one arm for each type, in the order of the registry")]
fn read(entry: &FrameType, flags: u8, body: &mut Body<'_>) -> Field<Frame> {
    let has = |bit: u8| flags & bit != 0;
    Ok(match entry.number {
        number::DATA => {
            Frame::Data { stream: body.stream()?, offset: body.when(has(0x02))?, fin: has(0x01), data: body.rest()? }
        }
        number::MSG => Frame::Msg(Msg {
            stream: body.stream()?,
            id: body.when(has(0x10))?,
            offset: body.when(has(0x04))?,
            ttl_ms: body.when(has(0x08))?,
            first: has(0x01),
            last: has(0x02),
            data: body.rest()?,
        }),
        number::OPEN => {
            let (stream, kind_and_priority) = (body.stream()?, body.u8()?);
            let (credit, ttl_ms) = (body.when(has(0x04))?, body.when(has(0x08))?);
            let metadata = if has(0x02) {
                let octets = body.counted()?;
                Some(Parameters::read(octets, METADATA_RULES).map_err(WireErrorKind::Parameters)?)
            } else {
                None
            };
            let data = body.rest()?;
            Frame::Open(Open { stream, kind_and_priority, credit, ttl_ms, metadata, data, fin: has(0x01) })
        }
        number::PADDING => {
            let zeros = body.rest()?;
            if zeros.iter().any(|octet| *octet != 0) {
                return Err(WireErrorKind::Value("padding"));
            }
            Frame::Padding { len: zeros.len() }
        }
        number::PING => Frame::Ping { ack: has(0x01), data: body.u64()? },
        number::ACK => {
            let (path, largest, delay) = (body.varint()?, body.varint()?, body.varint()?);
            let (count, first) = (body.varint()?, body.varint()?);
            let ranges = body.some(count, |body| Ok((body.varint()?, body.varint()?)))?;
            Frame::Ack(Box::new(Ack { path, largest, delay, first, ranges, ecn_ce: body.when(has(0x01))? }))
        }
        number::HANDSHAKE => Frame::Handshake { offset: body.varint()?, data: body.rest()? },
        number::HELLO => Frame::Hello(body.parameters(SETTINGS_RULES)?),
        number::AUTH => Frame::Auth { method: body.u8()?, parameters: body.parameters(AUTH_RULES)? },
        number::AUTH_RESULT => {
            Frame::AuthResult { code: body.code()?, parameters: body.parameters(AUTH_RESULT_RULES)? }
        }
        number::GOAWAY => Frame::GoAway {
            is_final: has(0x01),
            bidi: body.varint()?,
            uni: body.varint()?,
            drain_ms: body.varint()?,
            code: body.code()?,
            redirect: body.text("redirect")?,
        },
        number::CLOSE => {
            let (code, frame_type, reason) = (body.code()?, body.varint()?, body.rest()?);
            if reason.len() > REASON_LEN_MAX {
                return Err(WireErrorKind::Value("reason"));
            }
            Frame::Close { code, frame_type, reason }
        }
        number::TICKET => {
            Frame::Ticket { lifetime_s: body.varint()?, offline_ms: body.varint()?, handle: handle(body)? }
        }
        number::REATTACH => Frame::Reattach { epoch: body.varint()?, received: body.varint()?, handle: handle(body)? },
        number::REATTACH_RESULT => {
            Frame::ReattachResult { code: body.code()?, epoch: body.varint()?, received: body.varint()? }
        }
        number::SESSION_ACK => Frame::SessionAck { received: body.varint()? },
        number::SETTINGS => Frame::Settings(body.parameters(SETTINGS_RULES)?),
        number::NEW_CID => {
            let (seq, retire_prior, len) = (body.varint()?, body.varint()?, body.u8()?);
            let cid = body.take(usize::from(len))?;
            Frame::NewCid { seq, retire_prior, cid, reset_token: body.array()? }
        }
        number::RETIRE_CID => Frame::RetireCid { seq: body.varint()? },
        number::RESET => Frame::Reset {
            stream: body.stream()?,
            code: body.code()?,
            final_len: body.varint()?,
            reliable_len: body.varint()?,
        },
        number::STOP => Frame::Stop { stream: body.stream()?, code: body.code()? },
        number::MAX_DATA => Frame::MaxData { octets: body.varint()? },
        number::MAX_STREAM => {
            Frame::MaxStream { stream: body.stream()?, octets: body.varint()?, messages: body.when(has(0x01))? }
        }
        number::MAX_STREAMS => {
            let class = body.u8()?;
            if class > 1 {
                return Err(WireErrorKind::Value("class"));
            }
            Frame::MaxStreams { class, count: body.varint()? }
        }
        number::BLOCKED => Frame::Blocked { scope: body.u8()?, stream: body.stream()?, at: body.varint()? },
        number::MSG_SKIP => Frame::MsgSkip { stream: body.stream()?, first: body.varint()?, count: body.varint()? },
        number::DGRAM => Frame::Dgram { flow: body.varint()?, ttl_ms: body.when(has(0x01))?, data: body.rest()? },
        number::META => {
            Frame::Meta { stream: body.stream()?, is_trailer: has(0x01), parameters: body.parameters(METADATA_RULES)? }
        }
        number::PRIORITY => Frame::Priority { stream: body.stream()?, priority: body.u8()? },
        number::PATH_CHALLENGE => Frame::PathChallenge { data: body.u64()? },
        number::PATH_RESPONSE => Frame::PathResponse { data: body.u64()? },
        number::PATH_STATUS => Frame::PathStatus { path: body.varint()?, state: body.u8()? },
        number::ACK_FREQ => {
            Frame::AckFreq { threshold: body.varint()?, max_delay_us: body.varint()?, reorder: body.varint()? }
        }
        number::NEW_TOKEN => Frame::NewToken { token: body.rest()? },
        number::TIMESTAMP => Frame::Timestamp { sender_us: body.varint()? },
        _ => return read_later(entry, flags, body),
    })
}

/// Frames of services that come later.
fn read_later(entry: &FrameType, flags: u8, body: &mut Body<'_>) -> Field<Frame> {
    Ok(match entry.number {
        number::NBR_HELLO => Frame::NbrHello {
            node: body.array()?,
            domain: body.u32()?,
            area: body.reader.u16()?,
            cost: body.reader.u16()?,
            parameters: body.parameters(NO_RULES)?,
        },
        number::LINK_STATE => Frame::LinkState { lsa: body.rest()? },
        number::LS_DIGEST => Frame::LsDigest { entries: body.all(|body| Ok((body.array()?, body.varint()?)))? },
        number::LS_REQUEST => Frame::LsRequest { origins: body.all(Body::array)? },
        number::ROUTE_ADVERTISE => {
            let (prefix_len, prefix, count) = (body.u8()?, body.u64()?, body.u8()?);
            let path = body.some(count.into(), Body::u32)?;
            Frame::RouteAdvertise { prefix_len, prefix, path, parameters: body.parameters(NO_RULES)? }
        }
        number::ROUTE_WITHDRAW => Frame::RouteWithdraw { prefix_len: body.u8()?, prefix: body.u64()? },
        number::LABEL_BIND => Frame::LabelBind {
            is_request: flags & 0x01 != 0,
            forward: body.u32()?,
            reverse: body.u32()?,
            lifetime_s: body.varint()?,
            quota: body.varint()?,
            fec: body.rest()?,
        },
        number::LABEL_RELEASE => Frame::LabelRelease { label: body.u32()?, code: body.code()? },
        number::FORWARD => Frame::Forward {
            label: body.u32()?,
            ttl: body.u8()?,
            class: body.u8()?,
            deadline_ms: body.reader.u16()?,
            payload: body.rest()?,
        },
        number::FORWARD_SR => {
            let [ttl, class, count, index] = body.array()?;
            let hops = body.some(count.into(), |body| Ok((body.u32()?, body.array()?)))?;
            Frame::ForwardSr { ttl, class, index, hops, payload: body.rest()? }
        }
        number::ROUTE_ERROR => {
            Frame::RouteError { code: body.code()?, label: body.u32()?, mtu: body.varint()?, retry_ms: body.varint()? }
        }
        number::SUBSCRIBE => {
            let (sub, [urgency, mode]) = (body.varint()?, body.array()?);
            let (octets, messages, pattern) = (body.varint()?, body.varint()?, body.counted()?);
            let parameters = body.parameters(NO_RULES)?;
            Frame::Subscribe(Box::new(Subscribe { sub, urgency, mode, octets, messages, pattern, parameters }))
        }
        number::SUB_RESULT => {
            Frame::SubResult { sub: body.varint()?, code: body.code()?, parameters: body.parameters(NO_RULES)? }
        }
        number::UNSUBSCRIBE => Frame::Unsubscribe { sub: body.varint()?, code: body.code()? },
        number::PUBLISH => Frame::Publish {
            alias: body.varint()?,
            group: body.varint()?,
            seq: body.varint()?,
            ttl_ms: body.varint()?,
            payload: body.rest()?,
        },
        number::TOPIC_ALIAS => Frame::TopicAlias { alias: body.varint()?, topic: body.text("topic")? },
        number::MCAST_JOIN => Frame::McastJoin { prune: flags & 0x01 != 0, group: body.array()?, label: body.u32()? },
        number::NAME_REGISTER => Frame::NameRegister {
            name: body.counted()?,
            eid: body.array()?,
            lease_s: body.varint()?,
            signature: body.rest()?,
        },
        number::NAME_QUERY => Frame::NameQuery { query: body.varint()?, name: body.text("name")? },
        number::NAME_REPLY => Frame::NameReply {
            query: body.varint()?,
            code: body.code()?,
            ttl_s: body.varint()?,
            places: body.all(|body| Ok((body.array()?, body.u64()?)))?,
        },
        number::CIRC_CREATE => Frame::CircCreate { circuit: body.u32()?, handshake: body.rest()? },
        number::CIRC_CREATED => Frame::CircCreated { circuit: body.u32()?, handshake: body.rest()? },
        number::CELL => Frame::Cell { circuit: body.u32()?, cell: body.take(CELL_LEN)? },
        number::CIRC_DESTROY => Frame::CircDestroy { circuit: body.u32()?, code: body.code()? },
        _ => return Err(WireErrorKind::Unsupported),
    })
}

fn handle(body: &mut Body<'_>) -> Field<Bytes> {
    let handle = body.rest()?;
    if (HANDLE_LEN_MIN..=HANDLE_LEN_MAX).contains(&handle.len()) {
        Ok(handle)
    } else {
        Err(WireErrorKind::Value("handle"))
    }
}
