//! Captured packets to datagrams of protocol 121.

use super::capture::CapturedPacket;
use super::ip::{IpPacket, UDP};
use core::fmt;
use smp121::wire::layout::UDP_PORT;
use smp121::wire::{PROTOCOL, PseudoHeader};
use std::net::SocketAddr;
use wirekit::Reader;

const UDP_HEADER_LEN: usize = 8;

/// What a captured packet is to protocol 121.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Found<'a> {
    /// A datagram of it.
    Datagram(Datagram<'a>),
    /// Something else.
    Other,
    /// One of it, or one of which that cannot be told, that cannot be read.
    Unreadable(Unreadable),
}

/// What carries one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Datagram<'a> {
    /// Who sends; port 0 over IP.
    pub source: SocketAddr,
    /// Who receives; port 0 over IP.
    pub destination: SocketAddr,
    /// True inside UDP, false straight over IP.
    pub is_udp: bool,
    /// What was recorded of the segment.
    pub octets: &'a [u8],
    /// How many octets the datagram has for it.
    pub whole_len: usize,
}

/// Why a packet cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unreadable {
    /// The link type is not among those that are read.
    LinkType(u16),
    /// A fragment: whole datagrams are put together by the receiver, after the place where this was recorded.
    Fragment {
        /// Octets of the datagram in front of it.
        offset: u32,
    },
    /// Its IP or UDP header was not recorded whole, or is none.
    Header,
}

impl Unreadable {
    /// Its word in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::LinkType(_) => "link_type",
            Self::Fragment { .. } => "fragment",
            Self::Header => "header",
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LinkType(number) => write!(f, "link type {number} is not read"),
            Self::Fragment { offset } => write!(f, "a fragment at offset {offset}; record where datagrams are whole"),
            Self::Header => f.write_str("the headers in front are cut off or damaged"),
        }
    }
}

impl Datagram<'_> {
    /// What the checksum covers in front of the segment.
    pub(super) fn pseudo(&self) -> Option<PseudoHeader> {
        if self.is_udp {
            return Some(PseudoHeader::None);
        }
        PseudoHeader::between(self.source.ip(), self.destination.ip())
    }
}

/// Looks through link, IP and UDP for a segment. Reads Ethernet (VLANs too), raw IP, Linux cooked captures of both versions, and BSD
/// loopback.
#[must_use]
pub fn find<'a>(packet: &CapturedPacket<'a>) -> Found<'a> {
    match ip_of(packet) {
        Ok(Some(ip)) => found(&ip),
        Ok(None) => Found::Other,
        Err(why) => Found::Unreadable(why),
    }
}

/// The IP packet on the link; `None` for something else.
pub(super) fn ip_of<'a>(packet: &CapturedPacket<'a>) -> Result<Option<IpPacket<'a>>, Unreadable> {
    let octets = packet.octets;
    let link = match packet.link_type {
        1 => ethernet(octets),
        101 | 228 | 229 => Some(Link::Ip(octets)),
        // The address family in front has another number on each system; the IP version says as much.
        0 | 108 => octets.get(4..).map(Link::Ip),
        113 => cooked(octets, 14, 16),
        276 => cooked(octets, 0, 20),
        other => return Err(Unreadable::LinkType(other)),
    };
    match link {
        Some(Link::Ip(octets)) => IpPacket::read(octets).map(Some).ok_or(Unreadable::Header),
        Some(Link::Other) => Ok(None),
        None => Err(Unreadable::Header),
    }
}

/// What a link carries.
enum Link<'a> {
    Ip(&'a [u8]),
    Other,
}

impl<'a> Link<'a> {
    /// Behind the type of what follows; each VLAN is one such type more. `None` where that was not recorded whole.
    fn typed(ether_type: u16, behind: &'a [u8]) -> Option<Self> {
        let (mut ether_type, mut reader) = (ether_type, Reader::new(behind));
        while let 0x8100 | 0x88a8 | 0x9100 = ether_type {
            let _priority_and_number = reader.u16().ok()?;
            ether_type = reader.u16().ok()?;
        }
        Some(match ether_type {
            0x0800 | 0x86dd => Self::Ip(behind.get(reader.position()..)?),
            _ => Self::Other,
        })
    }
}

fn ethernet(octets: &[u8]) -> Option<Link<'_>> {
    cooked(octets, 12, 14)
}

/// The type of what is carried at `type_at`, and that behind `header_len` octets.
fn cooked(octets: &[u8], type_at: usize, header_len: usize) -> Option<Link<'_>> {
    let ether_type = Reader::new(octets.get(type_at..)?).u16().ok()?;
    Link::typed(ether_type, octets.get(header_len..)?)
}

fn found<'a>(ip: &IpPacket<'a>) -> Found<'a> {
    let ports = udp_ports(ip);
    let is_our_port = ports.is_some_and(|(source, destination)| source == UDP_PORT || destination == UDP_PORT);
    if ip.protocol != PROTOCOL && !is_our_port {
        return Found::Other;
    }
    if let Some(offset) = ip.fragment {
        return Found::Unreadable(Unreadable::Fragment { offset });
    }
    let Some((source_port, destination_port)) = ports else {
        let (source, destination) = (SocketAddr::new(ip.source, 0), SocketAddr::new(ip.destination, 0));
        let (octets, whole_len) = (ip.payload, ip.whole_len);
        return Found::Datagram(Datagram { source, destination, is_udp: false, octets, whole_len });
    };
    let source = SocketAddr::new(ip.source, source_port);
    let destination = SocketAddr::new(ip.destination, destination_port);
    udp(ip.payload, ip.whole_len).map_or(Found::Unreadable(Unreadable::Header), |(octets, whole_len)| {
        Found::Datagram(Datagram { source, destination, is_udp: true, octets, whole_len })
    })
}

/// The ports of UDP. Only the first fragment has them.
fn udp_ports(ip: &IpPacket<'_>) -> Option<(u16, u16)> {
    if ip.protocol != UDP || ip.fragment.is_some_and(|offset| offset > 0) {
        return None;
    }
    let mut reader = Reader::new(ip.payload);
    Some((reader.u16().ok()?, reader.u16().ok()?))
}

/// What UDP carries, and how much that is: its own length says it where it is possible.
fn udp(octets: &[u8], whole_len: usize) -> Option<(&[u8], usize)> {
    let length = usize::from(Reader::new(octets.get(4..)?).u16().ok()?);
    let carried = octets.get(UDP_HEADER_LEN..)?;
    let whole_len = if (UDP_HEADER_LEN..=whole_len).contains(&length) { length } else { whole_len };
    let whole_len = whole_len.checked_sub(UDP_HEADER_LEN)?;
    Some((carried.get(..whole_len).unwrap_or(carried), whole_len))
}
