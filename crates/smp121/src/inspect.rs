//! Segments taken apart for people: every field that is there, and everything that is wrong.
//!
//! [`wire::decode`](crate::wire::decode) stops at the first fault. A tool wants to see the rest all the same.

use crate::wire::layout::{self, Field};
use crate::wire::{
    DecodeError, Direction, Flags, HEADER_LEN, Kind, Position, PseudoHeader, RawResponse, decode, decode_unchecked,
};
use core::fmt;
use wirekit::Reader;

/// A segment as far as its octets go.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Inspection<'a> {
    /// The fields of the header that are there whole, in the order of the wire, with their values.
    pub fields: Vec<(Field, u32)>,
    /// The response records that are there whole, at most 255.
    pub records: Vec<RawResponse<'a>>,
    /// What stands behind the records, up to the length.
    pub data: &'a [u8],
    /// What the segment means, where it means something.
    pub kind: Option<Kind<'a>>,
    /// Whether the checksum is right.
    pub checksum: Verdict,
    /// What is wrong, in the order in which it was found.
    pub faults: Vec<Fault>,
}

/// Whether a checksum is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Right,
    /// It is not.
    Wrong {
        /// What it should be.
        expected: u16,
    },
    /// It cannot be told: without addresses, or without all octets that it covers.
    Unchecked,
}

impl Verdict {
    /// Its word in JSON and in Wireshark.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Wrong { .. } => "wrong",
            Self::Unchecked => "unchecked",
        }
    }
}

/// Something that is wrong with a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// A receiver drops the segment.
    Drop(DecodeError),
    /// Not all octets of the segment were recorded.
    Truncated {
        /// Octets that are there.
        len: usize,
        /// Octets that the datagram had.
        whole_len: usize,
    },
    /// Octets behind the length field's end, which a receiver ignores.
    Trailing {
        /// How many.
        len: usize,
    },
    /// A record that a receiver passes over: an action that the source does not define.
    UnknownAction {
        /// Which record, from 0.
        index: usize,
        /// The action.
        action: u8,
    },
    /// A record that a receiver passes over: its action has variable data of another length.
    ResponseSize {
        /// Which record, from 0.
        index: usize,
        /// The action.
        action: u8,
        /// Its size.
        size: usize,
    },
}

impl Fault {
    /// Its word in JSON and in Wireshark.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Drop(error) => match error {
                DecodeError::Short { .. } => "short",
                DecodeError::LengthBelowHeader { .. } => "length_below_header",
                DecodeError::LengthBeyondDatagram { .. } => "length_beyond_datagram",
                DecodeError::Checksum { .. } => "checksum",
                DecodeError::ResponsesBeyondSegment { .. } => "responses_beyond_segment",
                DecodeError::RequestAndReply => "request_and_reply",
                DecodeError::ReservedFlags { .. } => "reserved_flags",
                DecodeError::NameWithoutDirection { .. } => "name_without_direction",
                DecodeError::DataWithoutDirection { .. } => "data_without_direction",
                DecodeError::NameWithoutNul => "name_without_nul",
                DecodeError::NameEmpty => "name_empty",
                DecodeError::NameReplyShort { .. } => "name_reply_short",
                DecodeError::DataBeyondTotal { .. } => "data_beyond_total",
            },
            Self::Truncated { .. } => "truncated",
            Self::Trailing { .. } => "trailing",
            Self::UnknownAction { .. } => "unknown_action",
            Self::ResponseSize { .. } => "response_size",
        }
    }

    /// True where a receiver drops the segment because of it.
    #[must_use]
    pub const fn drops(&self) -> bool {
        matches!(self, Self::Drop(_))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drop(error) => write!(f, "{error}"),
            Self::Truncated { len, whole_len } => write!(f, "only {len} of {whole_len} octets were recorded"),
            Self::Trailing { len } => write!(f, "{len} octets behind the length's end are ignored"),
            Self::UnknownAction { index, action } => {
                write!(f, "response record {index} has the unknown action {action}")
            }
            Self::ResponseSize { index, action, size } => {
                write!(f, "response record {index} has {size} octets of data, which action {action} does not have")
            }
        }
    }
}

/// The word for what a segment means: `responses`, `name_request`, `name_reply`, `request`, `reply` or `reset`.
#[must_use]
pub const fn kind_word(kind: &Kind<'_>) -> &'static str {
    match kind {
        Kind::Responses => "responses",
        Kind::NameRequest { .. } => "name_request",
        Kind::NameReply(_) => "name_reply",
        Kind::Data(data) => match data.direction {
            Direction::Request => "request",
            Direction::Reply => "reply",
        },
        Kind::Reset { .. } => "reset",
    }
}

/// Takes a segment apart. `octets` are those of the datagram that were recorded, `whole_len` is how many it had; without
/// `pseudo` the checksum is not checked. Takes memory for at most 255 records.
#[must_use]
//= SMP121-O10
pub fn inspect<'a>(octets: &'a [u8], whole_len: usize, pseudo: Option<&PseudoHeader>) -> Inspection<'a> {
    let fields: Vec<_> =
        layout::HEADER.iter().filter_map(|field| field.value(octets).map(|value| (*field, value))).collect();
    let mut inspection = Inspection {
        fields,
        records: Vec::new(),
        data: &[],
        kind: None,
        checksum: Verdict::Unchecked,
        faults: Vec::new(),
    };
    if octets.len() < whole_len {
        inspection.faults.push(Fault::Truncated { len: octets.len(), whole_len });
    }
    inspection.take_apart(octets, whole_len);
    if let Some(pseudo) = pseudo {
        inspection.judge_checksum(octets, pseudo);
    }
    inspection
}

impl<'a> Inspection<'a> {
    /// The value of a field of the header, by its key.
    #[must_use]
    pub fn field(&self, key: &str) -> Option<u32> {
        self.fields.iter().find(|(field, _)| field.key == key).map(|(_, value)| *value)
    }

    /// The flags, where they are there.
    #[must_use]
    pub fn flags(&self) -> Option<Flags> {
        self.field("flags").and_then(|octet| u8::try_from(octet).ok()).map(Flags::from_octet)
    }

    /// Where the data belongs in its message, for parts of messages.
    #[must_use]
    pub const fn position(&self) -> Option<Position> {
        match &self.kind {
            Some(Kind::Data(data)) => Some(data.position),
            _ => None,
        }
    }

    fn take_apart(&mut self, octets: &'a [u8], whole_len: usize) {
        if whole_len < HEADER_LEN {
            self.faults.push(Fault::Drop(DecodeError::Short { len: whole_len }));
        }
        if octets.len() < HEADER_LEN {
            return;
        }
        let in_header = |key: &str| usize::try_from(self.field(key).unwrap_or_default()).unwrap_or_default();
        let (length, count) = (in_header("length"), in_header("responses"));
        let behind = octets.get(HEADER_LEN..).unwrap_or_default();
        let body = behind.get(..length.saturating_sub(HEADER_LEN)).unwrap_or(behind);
        let mut reader = Reader::new(body);
        for index in 0..count {
            let Some(record) = RawResponse::read(&mut reader) else { break };
            self.faults.extend(fault_of(index, &record));
            self.records.push(record);
        }
        if self.records.len() == count {
            self.data = body.get(reader.position()..).unwrap_or_default();
        }
        match decode_unchecked(octets).and_then(|segment| segment.kind()) {
            Ok(kind) => self.kind = Some(kind),
            // Of octets that were not recorded nothing is known.
            Err(DecodeError::LengthBeyondDatagram { .. }) if length <= whole_len => {}
            Err(DecodeError::LengthBeyondDatagram { length, .. }) => {
                self.faults.push(Fault::Drop(DecodeError::LengthBeyondDatagram { length, len: whole_len }));
            }
            Err(error) => self.faults.push(Fault::Drop(error)),
        }
        if length >= HEADER_LEN && whole_len > length {
            self.faults.push(Fault::Trailing { len: whole_len - length });
        }
    }

    fn judge_checksum(&mut self, octets: &[u8], pseudo: &PseudoHeader) {
        self.checksum = match decode(octets, pseudo) {
            Err(error @ DecodeError::Checksum { expected, .. }) => {
                self.faults.push(Fault::Drop(error));
                Verdict::Wrong { expected }
            }
            Err(
                DecodeError::Short { .. }
                | DecodeError::LengthBelowHeader { .. }
                | DecodeError::LengthBeyondDatagram { .. },
            ) => Verdict::Unchecked,
            _ => Verdict::Right,
        };
    }
}

fn fault_of(index: usize, record: &RawResponse<'_>) -> Option<Fault> {
    let action = record.action;
    match layout::action(action) {
        None => Some(Fault::UnknownAction { index, action }),
        Some(known) if usize::from(known.data_len) != record.data.len() => {
            Some(Fault::ResponseSize { index, action, size: record.data.len() })
        }
        Some(_) => None,
    }
}
