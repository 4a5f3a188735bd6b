//! Links between two machines, one direction each, decided by a seed alone.

use crate::Rng;
use core::ops::Range;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use wirekit::Instant;

/// How a [`StreamLink`] behaves. Made with [`StreamConditions::new`] and changed field by field.
#[derive(Clone, Debug)]
pub struct StreamConditions {
    /// The longest piece that arrives at once, in octets; pieces are 1 to this.
    pub piece_len_max: usize,
    /// How long a piece takes. Pieces never overtake each other.
    pub delay: Range<Duration>,
    /// How often, per mille of pieces, the link stands still first.
    pub stall_per_mille: u32,
    /// For how long it stands still then.
    pub stall: Range<Duration>,
    /// How many octets may be under way; a write is short beyond that, as with a socket.
    pub capacity_len: usize,
    /// The link breaks after this many octets, in the middle of whatever they are.
    pub break_after_len: Option<u64>,
}

impl StreamConditions {
    /// A link that cuts anywhere into pieces of up to 64 octets, at 0 to 2 ms each, 64 KiB under way, no stalls.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            piece_len_max: 64,
            delay: Duration::ZERO..Duration::from_millis(2),
            stall_per_mille: 0,
            stall: Duration::ZERO..Duration::from_secs(1),
            capacity_len: 64 * 1024,
            break_after_len: None,
        }
    }
}

impl Default for StreamConditions {
    fn default() -> Self {
        Self::new()
    }
}

/// What the far end of a [`StreamLink`] gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamPiece {
    /// Some octets, at least one.
    Octets(Vec<u8>),
    /// The near end closed, or the link broke. Nothing comes behind it.
    End,
}

/// One direction of a byte stream: ordered, without loss, cut anywhere.
#[derive(Debug)]
pub struct StreamLink {
    conditions: StreamConditions,
    rng: Rng,
    pieces: VecDeque<(Instant, StreamPiece)>,
    under_way_len: usize,
    sent_len: u64,
    closed: bool,
}

impl StreamLink {
    /// A link with `conditions`, decided by `seed`.
    #[must_use]
    pub const fn new(conditions: StreamConditions, seed: u64) -> Self {
        Self { conditions, rng: Rng::new(seed), pieces: VecDeque::new(), under_way_len: 0, sent_len: 0, closed: false }
    }

    /// Puts octets in; says how many it took. Fewer than offered where the link is full, all (and they are gone) where it broke.
    pub fn write(&mut self, now: Instant, octets: &[u8]) -> usize {
        if self.closed {
            return octets.len();
        }
        let room_len = self.conditions.capacity_len.saturating_sub(self.under_way_len);
        let taken = octets.get(..room_len.min(octets.len())).unwrap_or(octets);
        let until_break = self.conditions.break_after_len.map(|len| len - self.sent_len.min(len));
        let whole_len =
            until_break.map_or(taken.len(), |len| taken.len().min(usize::try_from(len).unwrap_or(usize::MAX)));
        let (whole, lost) = taken.split_at(whole_len);
        for piece in self.rng.cut(whole, self.conditions.piece_len_max) {
            self.push(now, StreamPiece::Octets(piece.to_vec()));
        }
        self.under_way_len += whole.len();
        self.sent_len += whole.len() as u64;
        if !lost.is_empty() || until_break.is_some_and(|len| len == whole.len() as u64) {
            self.close(now);
        }
        taken.len()
    }

    /// Closes the near end; what is under way still arrives.
    pub fn close(&mut self, now: Instant) {
        if !self.closed {
            self.closed = true;
            self.push(now, StreamPiece::End);
        }
    }

    /// What has arrived by `now`, oldest first.
    pub fn read(&mut self, now: Instant) -> Option<StreamPiece> {
        self.pieces.front().filter(|(at, _)| *at <= now)?;
        let (_, piece) = self.pieces.pop_front()?;
        if let StreamPiece::Octets(octets) = &piece {
            self.under_way_len -= octets.len();
        }
        Some(piece)
    }

    /// When the next piece arrives.
    #[must_use]
    pub fn next_at(&self) -> Option<Instant> {
        self.pieces.front().map(|(at, _)| *at)
    }

    fn push(&mut self, now: Instant, piece: StreamPiece) {
        let mut at = now + self.rng.duration(self.conditions.delay.clone());
        if self.rng.chance(self.conditions.stall_per_mille) {
            at = at + self.rng.duration(self.conditions.stall.clone());
        }
        let not_before = self.pieces.back().map_or(at, |(last, _)| *last);
        self.pieces.push_back((at.max(not_before), piece));
    }
}

/// How a [`DatagramLink`] behaves.
#[derive(Clone, Debug)]
pub struct DatagramConditions {
    /// Datagrams lost, per mille.
    pub loss_per_mille: u32,
    /// Datagrams that arrive twice, per mille.
    pub duplicate_per_mille: u32,
    /// Datagrams with one bit turned over, per mille.
    pub corrupt_per_mille: u32,
    /// Datagrams held back so that later ones overtake them, per mille.
    pub reorder_per_mille: u32,
    /// How long those are held back beyond their delay.
    pub reorder: Range<Duration>,
    /// How long a datagram takes.
    pub delay: Range<Duration>,
    /// Longer datagrams are dropped.
    pub mtu: usize,
    /// Datagrams under way at once; more are dropped.
    pub queue_count_max: usize,
}

impl DatagramConditions {
    /// A perfect link: 1 ms, MTU 1500, 10,000 datagrams under way.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            loss_per_mille: 0,
            duplicate_per_mille: 0,
            corrupt_per_mille: 0,
            reorder_per_mille: 0,
            reorder: Duration::from_millis(1)..Duration::from_millis(20),
            delay: Duration::from_millis(1)..Duration::from_millis(1),
            mtu: 1500,
            queue_count_max: 10_000,
        }
    }
}

impl Default for DatagramConditions {
    fn default() -> Self {
        Self::new()
    }
}

/// What a [`DatagramLink`] did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatagramCounts {
    /// Handed in.
    pub sent_count: u64,
    /// Lost by chance.
    pub lost_count: u64,
    /// Doubled.
    pub duplicated_count: u64,
    /// Damaged.
    pub corrupted_count: u64,
    /// Held back.
    pub reordered_count: u64,
    /// Dropped for their length or a full queue.
    pub dropped_count: u64,
}

/// One direction of a datagram network.
#[derive(Debug)]
pub struct DatagramLink {
    conditions: DatagramConditions,
    rng: Rng,
    under_way: BTreeMap<(Instant, u64), Vec<u8>>,
    serial: u64,
    counts: DatagramCounts,
}

impl DatagramLink {
    /// A link with `conditions`, decided by `seed`.
    #[must_use]
    pub fn new(conditions: DatagramConditions, seed: u64) -> Self {
        let counts = DatagramCounts::default();
        Self { conditions, rng: Rng::new(seed), under_way: BTreeMap::new(), serial: 0, counts }
    }

    /// Changes the conditions from here on: the place for partitions and for a world that heals.
    pub fn set_conditions(&mut self, conditions: DatagramConditions) {
        self.conditions = conditions;
    }

    /// Sends a datagram, or loses it.
    pub fn send(&mut self, now: Instant, datagram: &[u8]) {
        self.counts.sent_count += 1;
        if datagram.len() > self.conditions.mtu {
            self.counts.dropped_count += 1;
            return;
        }
        if self.rng.chance(self.conditions.loss_per_mille) {
            self.counts.lost_count += 1;
            return;
        }
        if self.rng.chance(self.conditions.duplicate_per_mille) {
            self.counts.duplicated_count += 1;
            self.push(now, datagram);
        }
        self.push(now, datagram);
    }

    /// A datagram that has arrived by `now`, the earliest first.
    pub fn receive(&mut self, now: Instant) -> Option<Vec<u8>> {
        let (&key, _) = self.under_way.first_key_value().filter(|((at, _), _)| *at <= now)?;
        self.under_way.remove(&key)
    }

    /// When the next datagram arrives.
    #[must_use]
    pub fn next_at(&self) -> Option<Instant> {
        self.under_way.first_key_value().map(|((at, _), _)| *at)
    }

    /// What happened so far.
    #[must_use]
    pub const fn counts(&self) -> DatagramCounts {
        self.counts
    }

    fn push(&mut self, now: Instant, datagram: &[u8]) {
        if self.under_way.len() >= self.conditions.queue_count_max {
            self.counts.dropped_count += 1;
            return;
        }
        let mut datagram = datagram.to_vec();
        if !datagram.is_empty() && self.rng.chance(self.conditions.corrupt_per_mille) {
            self.counts.corrupted_count += 1;
            let at = self.rng.range(0..datagram.len());
            let bit = 1 << self.rng.below(8);
            if let Some(octet) = datagram.get_mut(at) {
                *octet ^= bit;
            }
        }
        let mut at = now + self.rng.duration(self.conditions.delay.clone());
        if self.rng.chance(self.conditions.reorder_per_mille) {
            self.counts.reordered_count += 1;
            at = at + self.rng.duration(self.conditions.reorder.clone());
        }
        self.serial += 1;
        self.under_way.insert((at, self.serial), datagram);
    }
}

#[cfg(test)]
mod tests;
