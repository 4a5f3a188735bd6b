//! What is to be sent, for the driver.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

/// A datagram to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit<'a> {
    /// Where to.
    pub destination: SocketAddr,
    /// The address of ours that the peer knows, which the checksum may cover.
    pub source: IpAddr,
    /// The code point of differentiated services, 0 to 63.
    //= SMP121-A30
    pub dscp: u8,
    /// The segment.
    pub payload: &'a [u8],
}

#[derive(Clone, Debug)]
struct Entry {
    destination: SocketAddr,
    source: IpAddr,
    dscp: u8,
    range: Range<usize>,
}

/// Datagrams that were polled, one behind the other in one buffer that is used again and again.
#[derive(Clone, Debug)]
pub struct TransmitBatch {
    octets: Vec<u8>,
    entries: Vec<Entry>,
    count_max: usize,
    len_max: usize,
}

impl TransmitBatch {
    /// Room for `count_max` datagrams, and no more once there are `len_max` octets. Both are at least 1.
    #[must_use]
    pub const fn new(count_max: usize, len_max: usize) -> Self {
        Self { octets: Vec::new(), entries: Vec::new(), count_max, len_max }
    }

    /// The datagrams.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Transmit<'_>> {
        self.entries.iter().map(|entry| Transmit {
            destination: entry.destination,
            source: entry.source,
            dscp: entry.dscp,
            payload: self.octets.get(entry.range.clone()).unwrap_or_default(),
        })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// True where there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes them all out; the room stays.
    pub fn clear(&mut self) {
        self.octets.clear();
        self.entries.clear();
    }

    /// Takes the first `count` out, which were sent.
    pub fn sent(&mut self, count: usize) {
        if count >= self.entries.len() {
            self.clear();
        } else {
            self.entries.drain(..count);
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.entries.len() < self.count_max.max(1) && (self.octets.len() < self.len_max || self.entries.is_empty())
    }

    /// Adds one datagram, which `encode` appends.
    pub(super) fn push<R>(
        &mut self,
        destination: SocketAddr,
        source: IpAddr,
        dscp: u8,
        encode: impl FnOnce(&mut Vec<u8>) -> R,
    ) -> (R, usize) {
        let start = self.octets.len();
        let result = encode(&mut self.octets);
        let range = start..self.octets.len();
        let len = range.len();
        self.entries.push(Entry { destination, source, dscp, range });
        (result, len)
    }
}
