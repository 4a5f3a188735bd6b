//! What the checksum covers in front of the header.

use crate::wire::PROTOCOL;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use wirekit::checksum::Checksum;

/// The addresses that the checksum covers, so that a segment that went astray is found out.
///
/// Over IPv4 this is the 96-bit pseudo header of the source. Over IPv6, which the source does not know, it is the one of
/// RFC 8200 section 8.1. Where a datagram travels without IP addresses that both ends agree on (inside UDP, which may
/// be translated on its way, or in memory) both count as zero.
//= SMP121-W13, SMP121-W14, SMP121-W15
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PseudoHeader {
    /// Between IPv4 addresses.
    V4 {
        /// Who sends.
        source: Ipv4Addr,
        /// Who receives.
        destination: Ipv4Addr,
    },
    /// Between IPv6 addresses.
    V6 {
        /// Who sends.
        source: Ipv6Addr,
        /// Who receives.
        destination: Ipv6Addr,
    },
    /// Without addresses.
    None,
}

impl PseudoHeader {
    /// The pseudo header between two addresses; `None` where one is IPv4 and the other IPv6. An IPv4 address in IPv6 clothes
    /// counts as IPv4.
    #[must_use]
    pub fn between(source: IpAddr, destination: IpAddr) -> Option<Self> {
        match (source.to_canonical(), destination.to_canonical()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Some(Self::V4 { source, destination }),
            (IpAddr::V6(source), IpAddr::V6(destination)) => Some(Self::V6 { source, destination }),
            _ => None,
        }
    }

    /// The sum over the pseudo header of a segment of `length` octets.
    pub(super) fn sum(&self, length: u16) -> Checksum {
        let [high, low] = length.to_be_bytes();
        let [protocol] = PROTOCOL.to_be_bytes();
        let sum = Checksum::new();
        match self {
            Self::V4 { source, destination } => {
                sum.with(&source.octets()).with(&destination.octets()).with(&[0, protocol, high, low])
            }
            Self::V6 { source, destination } => {
                sum.with(&source.octets()).with(&destination.octets()).with(&[0, 0, high, low, 0, 0, 0, protocol])
            }
            Self::None => sum.with(&[0, protocol, high, low]),
        }
    }
}
