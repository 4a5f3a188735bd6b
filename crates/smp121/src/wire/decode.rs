//! Octets to segments. Everything is checked before anything is used, and nothing is copied.

use super::response::{RawResponse, Responses};
use super::{Flags, HEADER_LEN, NAME_LEN_MAX, PseudoHeader};
use thiserror::Error;
use wirekit::Reader;

/// A segment whose length, checksum and records are right. What it means is [`kind`](Self::kind).
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// The connection number.
    pub number: u32,
    /// Total size, offset or largest receive size, as the flags say.
    pub field: u32,
    /// The mailslot number.
    pub mailslot: u16,
    /// The flags.
    pub flags: Flags,
    /// The response records.
    pub responses: Responses<'a>,
    /// What stands behind them.
    pub data: &'a [u8],
}

/// What a segment means beside its response records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind<'a> {
    /// Nothing: it only carries responses.
    Responses,
    /// Asks for the number of a mailslot.
    NameRequest {
        /// The mailslot's name, 1 to 255 octets, without its NUL.
        name: &'a [u8],
    },
    /// Answers a name request.
    NameReply(NameReply<'a>),
    /// A part of a request or reply.
    Data(Data<'a>),
    /// The receiver does not know this number.
    Reset {
        /// The connection number that drew it.
        number: u32,
        /// The mailslot that it went to.
        mailslot: u16,
    },
}

/// What a name reply says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameReply<'a> {
    /// The connection number of the first request.
    pub number: u32,
    /// The largest request, in octets.
    pub request_len_max: u32,
    /// The mailslot's number.
    pub mailslot: u16,
    /// Requests that may be without a reply at once. 0: there is no such mailslot.
    pub outstanding_max: u16,
    /// The name that was asked for, where the peer says it. The source has no such thing; the deployed implementation
    /// needs it.
    //= SMP121-W17
    pub name: Option<&'a [u8]>,
}

/// A part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<'a> {
    /// Which way it goes.
    pub direction: Direction,
    /// The exchange.
    pub number: u32,
    /// The mailslot that the request of the exchange goes to.
    pub mailslot: u16,
    /// Where in the message it belongs.
    pub position: Position,
    /// True where the sender calls it the last part. It informs; the total decides.
    pub is_last: bool,
    /// The octets.
    pub octets: &'a [u8],
}

/// Which half of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the one who sends to the one who has the mailslot.
    Request,
    /// The other way.
    Reply,
}

/// Where a part belongs.
//= SMP121-W4
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// At the start of a message of this many octets.
    First {
        /// The whole message's length.
        total: u32,
    },
    /// At this offset, of a message whose length the first part says.
    At {
        /// Octets from the start of the message.
        offset: u32,
    },
}

impl Position {
    /// Octets in front of the part.
    #[must_use]
    pub const fn offset(self) -> u32 {
        match self {
            Self::First { .. } => 0,
            Self::At { offset } => offset,
        }
    }
}

/// Why octets are no segment, or a segment means nothing. All of these are dropped in silence (rule j).
//= SMP121-R-J
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// Fewer octets than a header.
    #[error("{len} octets are fewer than the 16 of a header")]
    Short {
        /// How many there were.
        len: usize,
    },
    /// A length below the header's.
    #[error("length field {length} is below the 16 octets of a header")]
    LengthBelowHeader {
        /// The field.
        length: u16,
    },
    /// A length beyond what came.
    #[error("length field {length} is beyond the {len} octets that came")]
    LengthBeyondDatagram {
        /// The field.
        length: u16,
        /// Octets of the datagram.
        len: usize,
    },
    /// The checksum is wrong.
    #[error("checksum {found:#06x} should be {expected:#06x}")]
    Checksum {
        /// What stands there.
        found: u16,
        /// What should.
        expected: u16,
    },
    /// Records beyond the length.
    #[error("response record {index} of {count} reaches beyond the segment")]
    ResponsesBeyondSegment {
        /// Which record, from 0.
        index: u8,
        /// How many the header counts.
        count: u8,
    },
    /// REQ and RPY at once.
    #[error("both REQ and RPY are set")]
    RequestAndReply,
    /// A flag that the source does not define.
    #[error("reserved flag bits {bits:#04x} are set")]
    ReservedFlags {
        /// The bits.
        bits: u8,
    },
    /// NAM without REQ or RPY, with data.
    #[error("name resolution with {len} octets that is neither request nor reply")]
    NameWithoutDirection {
        /// Octets of data.
        len: usize,
    },
    /// Data with neither REQ nor RPY.
    #[error("{len} octets of data that are neither request nor reply")]
    DataWithoutDirection {
        /// Octets of data.
        len: usize,
    },
    /// A name without an end.
    #[error("the name has no NUL in its first 256 octets")]
    NameWithoutNul,
    /// A name of no octets.
    #[error("the name is empty")]
    NameEmpty,
    /// A name reply without its two octets.
    #[error("a name reply of {len} octets lacks the 2 of its outstanding messages")]
    NameReplyShort {
        /// Octets of data.
        len: usize,
    },
    /// More data than the message has.
    #[error("{len} octets at offset {offset} reach beyond a message of {total}")]
    DataBeyondTotal {
        /// Where they begin.
        offset: u32,
        /// How many they are.
        len: usize,
        /// The message's length, 2^32 - 1 at most.
        total: u32,
    },
}

/// Reads a datagram. `pseudo` are the addresses that it travelled between.
///
/// Octets behind the length field's end are ignored.
///
/// # Errors
/// [`DecodeError`]: length, checksum and records are checked here, the meaning of the flags by [`Segment::kind`].
//= SMP121-W5, SMP121-W9, SMP121-W10, SMP121-W11, SMP121-W24
pub fn decode<'a>(datagram: &'a [u8], pseudo: &PseudoHeader) -> Result<Segment<'a>, DecodeError> {
    let (segment, length) = parse(datagram)?;
    let covered = datagram.get(..usize::from(length)).unwrap_or(datagram);
    if pseudo.sum(length).with(covered).finish() != 0 {
        return Err(wrong_checksum(covered, pseudo, length));
    }
    segment
}

/// Reads a datagram whatever its checksum: for a tool that shows what is wrong.
///
/// # Errors
/// [`DecodeError`], never one of the checksum.
pub fn decode_unchecked(datagram: &[u8]) -> Result<Segment<'_>, DecodeError> {
    parse(datagram)?.0
}

/// The header's length and what stands in it. The inner result is for faults behind the header, since the checksum comes
/// before them.
#[inline]
fn parse(datagram: &[u8]) -> Result<(Result<Segment<'_>, DecodeError>, u16), DecodeError> {
    let mut reader = Reader::new(datagram);
    let header = reader.array::<HEADER_LEN>().map_err(|_| DecodeError::Short { len: datagram.len() })?;
    let [n0, n1, n2, n3, f0, f1, f2, f3, m0, m1, l0, l1, flags, count, _, _] = header;
    let length = u16::from_be_bytes([l0, l1]);
    let Some(body_len) = usize::from(length).checked_sub(HEADER_LEN) else {
        return Err(DecodeError::LengthBelowHeader { length });
    };
    let body = reader.take(body_len).map_err(|_| DecodeError::LengthBeyondDatagram { length, len: datagram.len() })?;
    let segment = split_responses(body, count).map(|(responses, data)| Segment {
        number: u32::from_be_bytes([n0, n1, n2, n3]),
        field: u32::from_be_bytes([f0, f1, f2, f3]),
        mailslot: u16::from_be_bytes([m0, m1]),
        flags: Flags::from_octet(flags),
        responses,
        data,
    });
    Ok((segment, length))
}

#[inline]
fn split_responses(body: &[u8], count: u8) -> Result<(Responses<'_>, &[u8]), DecodeError> {
    let mut reader = Reader::new(body);
    for index in 0..count {
        RawResponse::read(&mut reader).ok_or(DecodeError::ResponsesBeyondSegment { index, count })?;
    }
    let (records, data) = body.split_at_checked(reader.position()).unwrap_or((body, &[]));
    Ok((Responses::new(records, count), data))
}

#[cold]
fn wrong_checksum(covered: &[u8], pseudo: &PseudoHeader, length: u16) -> DecodeError {
    let found = covered.get(14..16).and_then(|octets| octets.try_into().ok()).map_or(0, u16::from_be_bytes);
    let (front, behind) = covered.split_at_checked(14).unwrap_or((covered, &[]));
    let expected = pseudo.sum(length).with(front).with(behind.get(2..).unwrap_or_default()).finish();
    DecodeError::Checksum { found, expected }
}

impl<'a> Segment<'a> {
    /// What the segment means.
    ///
    /// # Errors
    /// [`DecodeError`] for combinations that mean nothing. Such a segment is to be dropped with its responses (rule j).
    //= SMP121-W3, SMP121-W4, SMP121-W7, SMP121-W8, SMP121-W16, SMP121-R-J
    pub fn kind(&self) -> Result<Kind<'a>, DecodeError> {
        let flags = self.flags;
        if flags.contains(Flags::REQ | Flags::RPY) {
            return Err(DecodeError::RequestAndReply);
        }
        if flags.intersects(Flags::RESERVED) {
            return Err(DecodeError::ReservedFlags { bits: flags.octet() & Flags::RESERVED.octet() });
        }
        if flags.contains(Flags::RST) {
            return Ok(Kind::Reset { number: self.number, mailslot: self.mailslot });
        }
        if flags.contains(Flags::NAM) {
            return self.name_resolution();
        }
        let direction = match (flags.contains(Flags::REQ), flags.contains(Flags::RPY)) {
            (true, _) => Direction::Request,
            (_, true) => Direction::Reply,
            _ if self.data.is_empty() => return Ok(Kind::Responses),
            _ => return Err(DecodeError::DataWithoutDirection { len: self.data.len() }),
        };
        self.part(direction).map(Kind::Data)
    }

    fn name_resolution(&self) -> Result<Kind<'a>, DecodeError> {
        if self.flags.contains(Flags::REQ) {
            return name(self.data).map(|name| Kind::NameRequest { name });
        }
        if !self.flags.contains(Flags::RPY) {
            return match self.data.len() {
                0 => Ok(Kind::Responses),
                len => Err(DecodeError::NameWithoutDirection { len }),
            };
        }
        let Some((&outstanding_max, behind)) = self.data.split_first_chunk() else {
            return Err(DecodeError::NameReplyShort { len: self.data.len() });
        };
        let name = if behind.is_empty() { None } else { Some(name(behind)?) };
        Ok(Kind::NameReply(NameReply {
            number: self.number,
            request_len_max: self.field,
            mailslot: self.mailslot,
            outstanding_max: u16::from_be_bytes(outstanding_max),
            name,
        }))
    }

    fn part(&self, direction: Direction) -> Result<Data<'a>, DecodeError> {
        let len = self.data.len();
        // 65,519 at most: a segment's length has 16 bits.
        let len_u32 = u32::try_from(len).unwrap_or(u32::MAX);
        let (position, offset, total) = if self.flags.contains(Flags::SOM) {
            (Position::First { total: self.field }, 0, self.field)
        } else {
            (Position::At { offset: self.field }, self.field, u32::MAX)
        };
        if offset.checked_add(len_u32).is_none_or(|end| end > total) {
            return Err(DecodeError::DataBeyondTotal { offset, len, total });
        }
        Ok(Data {
            direction,
            number: self.number,
            mailslot: self.mailslot,
            position,
            is_last: self.flags.contains(Flags::EOM),
            octets: self.data,
        })
    }
}

/// The name in front of the first NUL. What stands behind it is ignored.
//= SMP121-W16, SMP121-A16
fn name(octets: &[u8]) -> Result<&[u8], DecodeError> {
    let until = octets.get(..=NAME_LEN_MAX).unwrap_or(octets);
    match until.iter().position(|octet| *octet == 0) {
        None => Err(DecodeError::NameWithoutNul),
        Some(0) => Err(DecodeError::NameEmpty),
        Some(len) => Ok(octets.get(..len).unwrap_or_default()),
    }
}
