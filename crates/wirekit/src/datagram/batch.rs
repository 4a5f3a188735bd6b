//! A batch of received datagrams with its buffers.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;

use super::PathError;

/// The longest payload a datagram can have: 65,535 octets, what fits the length field of IP and of UDP.
pub const PAYLOAD_LEN_MAX: usize = 65_535;

/// Path errors that one receive gives at most: 64. More wait for the next one.
pub const ERROR_COUNT_MAX: usize = 64;

/// Octets of a slot besides the payload: an IPv4 header of full length (60), and some to see that a datagram is too long.
pub const HEADROOM_LEN: usize = 64;

/// One received datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// Who sent it, as its header says. The port is 0 on raw IP.
    pub source: SocketAddr,
    /// The address of this host that it was sent to; `None` where the carrier does not know.
    pub destination: Option<IpAddr>,
    /// What it carries, without headers.
    pub payload: &'a [u8],
}

/// Why a carrier dropped a datagram instead of giving it to the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DropReason {
    /// Longer than the batch was made for.
    Truncated,
    /// Sent to a broadcast or multicast address, or from an address that cannot be answered.
    NotUnicast,
    /// Its IP header contradicts itself, or it is a mere fragment.
    Malformed,
}

/// How many datagrams were dropped on receipt since the batch was made, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// See [`DropReason::Truncated`].
    pub truncated_count: u64,
    /// See [`DropReason::NotUnicast`].
    pub not_unicast_count: u64,
    /// See [`DropReason::Malformed`].
    pub malformed_count: u64,
}

impl Dropped {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.truncated_count.saturating_add(self.not_unicast_count).saturating_add(self.malformed_count)
    }
}

#[derive(Clone, Debug)]
struct Entry {
    source: SocketAddr,
    destination: Option<IpAddr>,
    range: Range<usize>,
}

/// Received datagrams and path errors, with the buffers they lie in. Made once by
/// [`DatagramSocket::receive_batch`](super::DatagramSocket::receive_batch) and used for every receive.
///
/// The lower half of its methods is for carriers: they write into [`room`](Self::room) and say with
/// [`push`](Self::push) where a payload lies.
pub struct ReceiveBatch {
    room: Vec<u8>,
    slot_len: usize,
    payload_len_max: usize,
    entries: Vec<Entry>,
    errors: Vec<PathError>,
    dropped: Dropped,
}

impl fmt::Debug for ReceiveBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiveBatch")
            .field("room_len", &self.room.len())
            .field("slot_len", &self.slot_len)
            .field("entries", &self.entries)
            .field("errors", &self.errors)
            .field("dropped", &self.dropped)
            .finish()
    }
}

impl ReceiveBatch {
    /// A batch for `datagram_count` datagrams (at least 1) of at most `payload_len_max` octets (at most
    /// [`PAYLOAD_LEN_MAX`]). Reserves `datagram_count * (payload_len_max + HEADROOM_LEN)` octets; most systems give
    /// memory for them only as they are used.
    #[must_use]
    pub fn new(datagram_count: usize, payload_len_max: usize) -> Self {
        let payload_len_max = payload_len_max.min(PAYLOAD_LEN_MAX);
        Self::with_slots(datagram_count, payload_len_max.saturating_add(HEADROOM_LEN), payload_len_max)
    }

    /// A batch of `slot_count` slots (at least 1) of `slot_len` octets, for carriers that put several datagrams of at most
    /// `payload_len_max` octets into one slot. A slot is at least as long as in [`new`](Self::new).
    #[must_use]
    pub fn with_slots(slot_count: usize, slot_len: usize, payload_len_max: usize) -> Self {
        let slot_count = slot_count.max(1);
        let payload_len_max = payload_len_max.min(PAYLOAD_LEN_MAX);
        let slot_len = slot_len.max(payload_len_max.saturating_add(HEADROOM_LEN));
        Self {
            room: vec![0; slot_count.saturating_mul(slot_len)],
            slot_len,
            payload_len_max,
            entries: Vec::with_capacity(slot_count),
            errors: Vec::new(),
            dropped: Dropped::default(),
        }
    }

    /// How many datagrams the last receive gave.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the last receive gave no datagram. It may have given path errors.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The datagram at `index`, counted from 0 in the order of arrival.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Received<'_>> {
        self.entries.get(index).and_then(|entry| self.received(entry))
    }

    /// The datagrams in the order of arrival.
    pub fn datagrams(&self) -> impl Iterator<Item = Received<'_>> {
        self.entries.iter().filter_map(|entry| self.received(entry))
    }

    fn received(&self, entry: &Entry) -> Option<Received<'_>> {
        let payload = self.room.get(entry.range.clone())?;
        Some(Received { source: entry.source, destination: entry.destination, payload })
    }

    /// The path errors of the last receive, in order; at most [`ERROR_COUNT_MAX`].
    #[must_use]
    pub fn errors(&self) -> &[PathError] {
        &self.errors
    }

    /// How many datagrams were dropped since the batch was made.
    #[must_use]
    pub const fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// The longest payload it was made for.
    #[must_use]
    pub const fn payload_len_max(&self) -> usize {
        self.payload_len_max
    }

    /// For carriers: forgets datagrams and errors of the last receive. The counts of what was dropped stay.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.errors.clear();
    }

    /// For carriers: all of its memory, slot after slot.
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.room
    }

    /// For carriers: the length of a slot. The room is a multiple of it.
    #[must_use]
    pub const fn slot_len(&self) -> usize {
        self.slot_len
    }

    /// For carriers: a payload lies at `range` of the [`room`](Self::room). Counted as dropped instead is one that is longer
    /// than the batch was made for, one that lies outside, and one from or to an address that stands for no single host:
    /// multicast, limited broadcast, all zero.
    pub fn push(&mut self, source: SocketAddr, destination: Option<IpAddr>, range: Range<usize>) {
        if range.len() > self.payload_len_max {
            self.drop_one(DropReason::Truncated);
        } else if range.start > range.end || range.end > self.room.len() {
            self.drop_one(DropReason::Malformed);
        } else if is_group(source.ip()) || destination.is_some_and(is_group) {
            self.drop_one(DropReason::NotUnicast);
        } else {
            self.entries.push(Entry { source, destination, range });
        }
    }

    /// For carriers that have the payload elsewhere: copies it into the next free slot. `false`, and nothing done, where
    /// all slots are taken; one that is too long is counted as dropped.
    pub fn push_copy(&mut self, source: SocketAddr, destination: Option<IpAddr>, payload: &[u8]) -> bool {
        let start = self.entries.len().saturating_mul(self.slot_len);
        if start >= self.room.len() {
            return false;
        }
        let range = start..start.saturating_add(payload.len());
        if payload.len() <= self.payload_len_max
            && let Some(slot) = self.room.get_mut(range.clone())
        {
            slot.copy_from_slice(payload);
        }
        self.push(source, destination, range);
        true
    }

    /// For carriers: a path error. `false`, and nothing done, where [`ERROR_COUNT_MAX`] are there.
    pub fn push_error(&mut self, error: PathError) -> bool {
        let fits = self.errors.len() < ERROR_COUNT_MAX;
        if fits {
            self.errors.push(error);
        }
        fits
    }

    /// For carriers: counts a datagram that is not given on.
    pub fn drop_one(&mut self, reason: DropReason) {
        let count = match reason {
            DropReason::Truncated => &mut self.dropped.truncated_count,
            DropReason::NotUnicast => &mut self.dropped.not_unicast_count,
            DropReason::Malformed => &mut self.dropped.malformed_count,
        };
        *count = count.saturating_add(1);
    }
}

fn is_group(ip: IpAddr) -> bool {
    ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datagram::PathErrorKind;

    fn from() -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], 7))
    }

    #[test]
    fn what_was_copied_in_comes_out_in_order_until_the_batch_is_cleared() {
        let mut batch = ReceiveBatch::new(2, 4);
        assert!(batch.push_copy(from(), None, b"one"));
        assert!(batch.push_copy(from(), Some(IpAddr::from([192, 0, 2, 9])), b"four"));
        assert!(!batch.push_copy(from(), None, b"five"));
        let payloads: Vec<&[u8]> = batch.datagrams().map(|came| came.payload).collect();
        assert_eq!(payloads, [&b"one"[..], b"four"]);
        assert_eq!(batch.get(1).unwrap().destination, Some(IpAddr::from([192, 0, 2, 9])));
        assert!(batch.get(2).is_none());
        batch.clear();
        assert!(batch.is_empty());
        assert!(batch.push_copy(from(), None, b""));
        assert_eq!(batch.len(), 1);
    }

    #[test]
    fn a_payload_passes_at_the_limit_and_is_dropped_and_counted_one_past_it() {
        let mut batch = ReceiveBatch::new(3, 4);
        assert!(batch.push_copy(from(), None, &[1; 4]));
        assert!(batch.push_copy(from(), None, &[1; 5]));
        batch.push(from(), None, 60..65);
        batch.push(from(), None, 60..64);
        assert_eq!((batch.len(), batch.dropped().truncated_count), (2, 2));
        let end = batch.room().len();
        batch.push(from(), None, end - 1..end);
        batch.push(from(), None, end..end + 1);
        assert_eq!((batch.len(), batch.dropped().malformed_count), (3, 1));
        assert_eq!(batch.dropped().total(), 3);
    }

    #[test]
    fn addresses_that_stand_for_no_single_host_are_dropped_and_counted() {
        let mut batch = ReceiveBatch::new(9, 4);
        for ip in ["0.0.0.0", "255.255.255.255", "224.0.0.1", "::", "ff02::1"] {
            let ip: IpAddr = ip.parse().unwrap();
            batch.push(SocketAddr::new(ip, 7), None, 0..1);
            batch.push(from(), Some(ip), 0..1);
        }
        assert_eq!((batch.len(), batch.dropped().not_unicast_count), (0, 10));
    }

    #[test]
    fn path_errors_are_bounded() {
        let mut batch = ReceiveBatch::new(1, 1);
        let error = PathError::new(from(), PathErrorKind::PortUnreachable);
        assert!((0..ERROR_COUNT_MAX).all(|_| batch.push_error(error)));
        assert!(!batch.push_error(error));
        assert_eq!(batch.errors().len(), ERROR_COUNT_MAX);
        batch.clear();
        assert!(batch.errors().is_empty());
    }

    #[test]
    fn no_datagrams_or_no_octets_are_still_a_batch() {
        let mut batch = ReceiveBatch::new(0, 0);
        assert!(batch.push_copy(from(), None, b""));
        assert_eq!(ReceiveBatch::new(1, usize::MAX).payload_len_max(), PAYLOAD_LEN_MAX);
        assert_eq!(ReceiveBatch::with_slots(2, 1, 10).slot_len(), 10 + HEADROOM_LEN);
    }
}
