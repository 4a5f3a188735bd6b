//! Captured packets to datagrams of protocol 121.

use super::capture::CapturedPacket;
use core::fmt;
use etherparse::{EtherType, IpNumber, Ipv6ExtensionSlice, LaxIpPayloadSlice, LaxNetSlice, LaxSlicedPacket};
use smp121::wire::layout::UDP_PORT;
use smp121::wire::{PROTOCOL, PseudoHeader};
use std::net::{IpAddr, SocketAddr};
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
    let octets = packet.octets;
    let sliced = match packet.link_type {
        1 => LaxSlicedPacket::from_ethernet(octets).ok(),
        101 | 228 | 229 => LaxSlicedPacket::from_ip(octets).ok(),
        // The address family in front has another number on each system; the IP version says as much.
        0 | 108 => octets.get(4..).and_then(|ip| LaxSlicedPacket::from_ip(ip).ok()),
        113 => cooked(octets, 14, 16),
        276 => cooked(octets, 0, 20),
        other => return Found::Unreadable(Unreadable::LinkType(other)),
    };
    let Some(sliced) = sliced else { return Found::Unreadable(Unreadable::Header) };
    match &sliced.net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            let header = ip.header();
            let ip_header_len = header.slice().len() + ip.extensions().auth.map_or(0, |auth| auth.slice().len());
            let whole_len = usize::from(header.total_len()).saturating_sub(ip_header_len);
            let offset = u32::from(header.fragments_offset().value()) * 8;
            let (source, destination) = (header.source_addr().into(), header.destination_addr().into());
            found(ip.payload(), whole_len, offset, source, destination)
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            let header = ip.header();
            let whole_len = usize::from(header.payload_length()).saturating_sub(ip.extensions().slice().len());
            let offset = ip.extensions().clone().into_iter().find_map(|extension| match extension {
                Ipv6ExtensionSlice::Fragment(fragment) => Some(u32::from(fragment.fragment_offset().value()) * 8),
                _ => None,
            });
            let (source, destination) = (header.source_addr().into(), header.destination_addr().into());
            found(ip.payload(), whole_len, offset.unwrap_or_default(), source, destination)
        }
        // A frame of something else, unless its type says IP.
        None if sliced.stop_err.is_some() => Found::Unreadable(Unreadable::Header),
        _ => Found::Other,
    }
}

/// A Linux cooked capture: the type of what it carries at `type_at`, and that behind `header_len` octets.
fn cooked(octets: &[u8], type_at: usize, header_len: usize) -> Option<LaxSlicedPacket<'_>> {
    let ether_type = Reader::new(octets.get(type_at..)?).u16().ok()?;
    Some(LaxSlicedPacket::from_ether_type(EtherType(ether_type), octets.get(header_len..)?))
}

fn found<'a>(
    payload: &LaxIpPayloadSlice<'a>,
    whole_len: usize,
    offset: u32,
    source: IpAddr,
    destination: IpAddr,
) -> Found<'a> {
    let is_ours = payload.ip_number == IpNumber(PROTOCOL);
    let ports = udp_ports(payload, offset);
    if !is_ours && !ports.is_some_and(|(source, destination)| source == UDP_PORT || destination == UDP_PORT) {
        return Found::Other;
    }
    if payload.fragmented {
        return Found::Unreadable(Unreadable::Fragment { offset });
    }
    let whole_len = whole_len.max(payload.payload.len());
    let Some((source_port, destination_port)) = ports else {
        let (source, destination) = (SocketAddr::new(source, 0), SocketAddr::new(destination, 0));
        return Found::Datagram(Datagram { source, destination, is_udp: false, octets: payload.payload, whole_len });
    };
    let (source, destination) = (SocketAddr::new(source, source_port), SocketAddr::new(destination, destination_port));
    udp(payload.payload, whole_len).map_or(Found::Unreadable(Unreadable::Header), |(octets, whole_len)| {
        Found::Datagram(Datagram { source, destination, is_udp: true, octets, whole_len })
    })
}

/// The ports of UDP. Only the first fragment has them.
fn udp_ports(payload: &LaxIpPayloadSlice<'_>, offset: u32) -> Option<(u16, u16)> {
    if payload.ip_number != IpNumber::UDP || offset != 0 {
        return None;
    }
    let mut reader = Reader::new(payload.payload);
    Some((reader.u16().ok()?, reader.u16().ok()?))
}

/// What UDP carries, and how much that is: its own length says it where it is possible.
fn udp(octets: &[u8], whole_len: usize) -> Option<(&[u8], usize)> {
    let length = usize::from(Reader::new(octets.get(4..)?).u16().ok()?);
    let carried = octets.get(UDP_HEADER_LEN..)?;
    let whole_len = if (UDP_HEADER_LEN..=whole_len).contains(&length) { length } else { whole_len };
    let whole_len = whole_len - UDP_HEADER_LEN;
    Some((carried.get(..whole_len).unwrap_or(carried), whole_len))
}
