//! Segments to octets.

use super::{
    Action, Data, Direction, Flags, HEADER_LEN, NameReply, Position, PseudoHeader, RESPONSE_COUNT_MAX, Response,
};

/// A segment to encode.
#[derive(Clone, Copy, Debug)]
pub enum Outgoing<'a> {
    /// Response records only.
    Responses,
    /// A name request; the name without NUL, 1 to 255 octets.
    NameRequest {
        /// The name.
        name: &'a [u8],
    },
    /// A name reply.
    NameReply(NameReply<'a>),
    /// A part of a message.
    Data(Data<'a>),
    /// A reset, by its flag.
    Reset {
        /// The number that is unknown.
        number: u32,
        /// The mailslot it came for.
        mailslot: u16,
    },
}

impl Outgoing<'_> {
    fn header(&self) -> (u32, u32, u16, Flags) {
        match *self {
            //= SMP121-A27
            Self::Responses => (0, 0, 0, Flags::NONE),
            Self::NameRequest { .. } => (0, 0, 0, Flags::NAM | Flags::REQ),
            Self::NameReply(reply) => (reply.number, reply.request_len_max, reply.mailslot, Flags::NAM | Flags::RPY),
            Self::Reset { number, mailslot } => (number, 0, mailslot, Flags::RST),
            Self::Data(data) => {
                let direction = match data.direction {
                    Direction::Request => Flags::REQ,
                    Direction::Reply => Flags::RPY,
                };
                let last = if data.is_last { Flags::EOM } else { Flags::NONE };
                let (field, first) = match data.position {
                    Position::First { total } => (total, Flags::SOM),
                    Position::At { offset } => (offset, Flags::NONE),
                };
                (data.number, field, data.mailslot, direction | last | first)
            }
        }
    }
}

/// Appends one segment to `out`, checksum and all. Takes as many of `responses` as 255 and a length of 65,535 allow beside
/// the data, and says how many that were; the caller keeps to the path's MTU.
///
/// Never fails: data that a length of 16 bits cannot hold is cut, which a caller who keeps to an MTU never sees.
pub fn encode(segment: &Outgoing<'_>, responses: &[Response], pseudo: &PseudoHeader, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    let (number, field, mailslot, flags) = segment.header();
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(&field.to_be_bytes());
    out.extend_from_slice(&mailslot.to_be_bytes());
    // Length, flags, count and checksum: the first, third and fourth are known at the end.
    out.extend_from_slice(&[0, 0, flags.octet(), 0, 0, 0]);
    let mut room_len = usize::from(u16::MAX).saturating_sub(HEADER_LEN + data_len(segment));
    let mut response_count: u8 = 0;
    for response in responses.iter().take(RESPONSE_COUNT_MAX) {
        let Some(left_len) = room_len.checked_sub(response.encoded_len()) else { break };
        room_len = left_len;
        response.encode(out);
        response_count += 1;
    }
    put_data(segment, out);
    out.truncate(start + usize::from(u16::MAX));
    let length = u16::try_from(out.len() - start).unwrap_or(u16::MAX);
    finish(out, start, length, response_count, pseudo);
    usize::from(response_count)
}

fn finish(out: &mut [u8], start: usize, length: u16, response_count: u8, pseudo: &PseudoHeader) {
    let Some(octets) = out.get_mut(start..) else { return };
    if let Some(field) = octets.get_mut(10..12) {
        field.copy_from_slice(&length.to_be_bytes());
    }
    if let Some(field) = octets.get_mut(13) {
        *field = response_count;
    }
    let checksum = pseudo.sum(length).with(octets).finish();
    if let Some(field) = octets.get_mut(14..16) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
}

const fn data_len(segment: &Outgoing<'_>) -> usize {
    match segment {
        Outgoing::NameRequest { name } => name.len() + 1,
        Outgoing::NameReply(NameReply { name: Some(name), .. }) => 2 + name.len() + 1,
        Outgoing::NameReply(_) => 2,
        Outgoing::Data(data) => data.octets.len(),
        Outgoing::Responses | Outgoing::Reset { .. } => 0,
    }
}

fn put_data(segment: &Outgoing<'_>, out: &mut Vec<u8>) {
    match segment {
        Outgoing::NameRequest { name } => put_name(name, out),
        Outgoing::NameReply(reply) => {
            out.extend_from_slice(&reply.outstanding_max.to_be_bytes());
            if let Some(name) = reply.name {
                put_name(name, out);
            }
        }
        Outgoing::Data(data) => out.extend_from_slice(data.octets),
        Outgoing::Responses | Outgoing::Reset { .. } => {}
    }
}

fn put_name(name: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.push(0);
}

/// The record that says what the RST flag says, for peers that know only records.
//= SMP121-W21
#[must_use]
pub const fn reset_record(number: u32, mailslot: u16) -> Response {
    Response { number, mailslot, action: Action::Reset }
}
