//! Segments as octets: header, response records, data (facts 1, 2 and 4).

use super::checksum;
use std::net::Ipv4Addr;

pub(super) const HEADER_LEN: usize = 16;

/// First segment of a message: the only mark of its place that is looked at on receipt.
pub(super) const SOM: u8 = 0x01;
/// Last segment of a message: sent, never looked at.
pub(super) const EOM: u8 = 0x02;
pub(super) const REQ: u8 = 0x04;
pub(super) const RPY: u8 = 0x08;
pub(super) const NAM: u8 = 0x10;

/// What a record that RDOS sends or acts on wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Reset,
    /// Octets held without a gap.
    Ack(u32),
    TooLarge,
}

/// A response record to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) connection: u32,
    pub(super) mailslot: u16,
    pub(super) action: Action,
}

impl Response {
    fn encode(self, out: &mut Vec<u8>) {
        out.extend(self.connection.to_be_bytes());
        out.extend(self.mailslot.to_be_bytes());
        match self.action {
            Action::Reset => out.extend([0, 1]),
            Action::TooLarge => out.extend([0, 3]),
            Action::Ack(offset) => {
                out.extend([4, 2]);
                out.extend(offset.to_be_bytes());
            }
        }
    }
}

/// A response record as it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub(super) connection: u32,
    pub(super) mailslot: u16,
    pub(super) action: u8,
    pub(super) data: &'a [u8],
}

impl<'a> Record<'a> {
    /// The first record of `octets` and what is behind it, `None` where it is cut off.
    pub(super) fn decode(octets: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (connection, rest) = octets.split_first_chunk()?;
        let (mailslot, rest) = rest.split_first_chunk()?;
        let (&[len, action], rest) = rest.split_first_chunk()?;
        let (data, rest) = rest.split_at_checked(usize::from(len))?;
        let connection = u32::from_be_bytes(*connection);
        Some((Self { connection, mailslot: u16::from_be_bytes(*mailslot), action, data }, rest))
    }
}

/// A segment as it came. The Length field is not among its fields: RDOS never reads it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment<'a> {
    pub(super) connection: u32,
    pub(super) offset: u32,
    pub(super) mailslot: u16,
    pub(super) flags: u8,
    pub(super) response_count: u8,
    /// Records and data.
    pub(super) body: &'a [u8],
}

impl<'a> Segment<'a> {
    /// The segment in a datagram's octets, `None` where the header is cut off.
    pub(super) fn decode(octets: &'a [u8]) -> Option<Self> {
        let (connection, rest) = octets.split_first_chunk()?;
        let (offset, rest) = rest.split_first_chunk()?;
        let (mailslot, rest) = rest.split_first_chunk()?;
        let (&[_, _, flags, response_count, _, _], body) = rest.split_first_chunk()?;
        Some(Self {
            connection: u32::from_be_bytes(*connection),
            offset: u32::from_be_bytes(*offset),
            mailslot: u16::from_be_bytes(*mailslot),
            flags,
            response_count,
            body,
        })
    }

    pub(super) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// A segment to be sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outgoing<'a> {
    pub(super) connection: u32,
    pub(super) offset: u32,
    pub(super) mailslot: u16,
    pub(super) flags: u8,
    pub(super) data: &'a [u8],
}

impl Outgoing<'_> {
    /// The octets of the segment with `responses` in that order. Lengths and counts have the width of their fields and
    /// wrap, as RDOS's arithmetic does.
    pub(super) fn encode(&self, source: Ipv4Addr, destination: Ipv4Addr, responses: &[Response]) -> Vec<u8> {
        let mut records = Vec::new();
        responses.iter().for_each(|response| response.encode(&mut records));
        let [.., high, low] = (HEADER_LEN + records.len() + self.data.len()).to_be_bytes();
        let [.., response_count] = responses.len().to_be_bytes();
        let mut octets = Vec::with_capacity(HEADER_LEN + records.len() + self.data.len());
        octets.extend(self.connection.to_be_bytes());
        octets.extend(self.offset.to_be_bytes());
        octets.extend(self.mailslot.to_be_bytes());
        octets.extend([high, low, self.flags, response_count, 0, 0]);
        octets.extend(records);
        octets.extend(self.data);
        let sum = checksum::of(source, destination, &octets);
        if let Some(field) = octets.get_mut(HEADER_LEN - 2..HEADER_LEN) {
            field.copy_from_slice(&sum.to_be_bytes());
        }
        octets
    }
}
