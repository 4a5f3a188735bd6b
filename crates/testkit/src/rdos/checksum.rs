//! The checksum, written for this emulator alone: a mistake in the crate under test must not cancel out here.

use std::net::Ipv4Addr;

/// The number of the protocol in IP, as the pseudo header has it.
const PROTOCOL: u16 = 121;

/// One's complement of the one's complement sum over pseudo header and `segment`, whose checksum octets count as they are:
/// 0 for a segment that is intact, and what to write where they are 0.
///
/// The length in the pseudo header is that of `segment`, never what its Length field says. The sum has no special case for 0.
pub(super) fn of(source: Ipv4Addr, destination: Ipv4Addr, segment: &[u8]) -> u16 {
    let length = u64::try_from(segment.len()).unwrap_or(u64::MAX) & 0xffff;
    let sum = words(&source.octets()) + words(&destination.octets()) + u64::from(PROTOCOL) + length + words(segment);
    complement(sum)
}

/// The same over `octets` alone: the checksum of an IPv4 header.
pub(super) fn plain(octets: &[u8]) -> u16 {
    complement(words(octets))
}

/// Sum of the 16-bit words; an odd last octet is the high half of its word.
fn words(octets: &[u8]) -> u64 {
    octets
        .chunks(2)
        .map(|pair| match *pair {
            [high, low] => u64::from(high) << 8 | u64::from(low),
            [high] => u64::from(high) << 8,
            _ => 0,
        })
        .sum()
}

fn complement(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}
