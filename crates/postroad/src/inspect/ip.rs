//! IP headers of both versions, as far as a capture holds them.
//!
//! Read here, since the well-kept library for it reads beyond the slice where a capture ends inside extension headers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use wirekit::Reader;

/// UDP's number.
pub(super) const UDP: u8 = 17;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;
const MOBILITY: u8 = 135;

/// An IP packet, whole or a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IpPacket<'a> {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// What the payload is.
    pub(super) protocol: u8,
    /// Octets of the datagram in front of the payload, where this is a fragment.
    pub(super) fragment: Option<u32>,
    /// What was recorded of the payload.
    pub(super) payload: &'a [u8],
    /// How many octets it had.
    pub(super) whole_len: usize,
}

impl<'a> IpPacket<'a> {
    /// `None` where a header was not recorded whole, or is none.
    pub(super) fn read(octets: &'a [u8]) -> Option<Self> {
        match octets.first()? >> 4 {
            4 => Self::v4(octets),
            6 => Self::v6(octets),
            _ => None,
        }
    }

    fn v4(octets: &'a [u8]) -> Option<Self> {
        let head = octets.first_chunk::<20>()?;
        let [version, _, t0, t1, _, _, f0, f1, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = *head;
        let header_len = usize::from(version & 0x0f) * 4;
        if header_len < head.len() {
            return None;
        }
        let total_len = usize::from(u16::from_be_bytes([t0, t1]));
        let fragment = u16::from_be_bytes([f0, f1]);
        let mut packet = Self {
            source: Ipv4Addr::new(s0, s1, s2, s3).into(),
            destination: Ipv4Addr::new(d0, d1, d2, d3).into(),
            protocol,
            // More fragments, or an offset.
            fragment: (fragment & 0x3fff != 0).then_some(u32::from(fragment & 0x1fff) * 8),
            payload: &[],
            whole_len: 0,
        };
        packet.set_payload(octets.get(header_len..)?, total_len.checked_sub(header_len));
        packet.pass_extensions()
    }

    fn v6(octets: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(octets);
        let [_, _, _, _, l0, l1, protocol, _] = reader.array::<8>().ok()?;
        let mut packet = Self {
            source: Ipv6Addr::from(reader.array::<16>().ok()?).into(),
            destination: Ipv6Addr::from(reader.array::<16>().ok()?).into(),
            protocol,
            fragment: None,
            payload: &[],
            whole_len: 0,
        };
        let payload_len = usize::from(u16::from_be_bytes([l0, l1]));
        packet.set_payload(octets.get(reader.position()..)?, Some(payload_len).filter(|len| *len > 0));
        packet.pass_extensions()
    }

    /// What follows the header. A length that is none is that of a sender who leaves cutting to the network card: all is payload.
    fn set_payload(&mut self, behind: &'a [u8], len: Option<usize>) {
        self.whole_len = len.unwrap_or(behind.len());
        self.payload = behind.get(..self.whole_len).unwrap_or(behind);
    }

    /// Passes over headers between that of IP and the payload. Each is at least 8 octets, so this ends. What is behind the first
    /// fragment has none.
    fn pass_extensions(mut self) -> Option<Self> {
        while self.fragment.is_none_or(|offset| offset == 0) {
            let units_len = match self.protocol {
                HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS | MOBILITY if self.source.is_ipv6() => 8,
                FRAGMENT if self.source.is_ipv6() => {
                    self.pass_fragment_header()?;
                    continue;
                }
                AUTHENTICATION => 4,
                _ => break,
            };
            let mut reader = Reader::new(self.payload);
            let (next, units) = (reader.u8().ok()?, usize::from(reader.u8().ok()?));
            // The authentication header counts from its third unit on, the others from their second.
            let header_len = if units_len == 4 { (units + 2) * 4 } else { (units + 1) * 8 };
            self.pass(next, header_len.max(8))?;
        }
        Some(self)
    }

    fn pass_fragment_header(&mut self) -> Option<()> {
        let [next, _, o0, o1, ..] = *self.payload.first_chunk::<8>()?;
        let field = u16::from_be_bytes([o0, o1]);
        // An offset in units of 8, two bits that are free, and whether more follow.
        if field & 0xfff9 != 0 {
            self.fragment = Some(u32::from(field & 0xfff8));
        }
        self.pass(next, 8)
    }

    fn pass(&mut self, next: u8, header_len: usize) -> Option<()> {
        self.protocol = next;
        self.payload = self.payload.get(header_len..)?;
        self.whole_len = self.whole_len.checked_sub(header_len)?;
        Some(())
    }
}
