//! A small seeded generator: the same seed gives the same numbers on every machine and in every release.

use core::ops::Range;
use core::time::Duration;

/// SplitMix64 (Steele, Lea and Flood, 2014): 64 bits of state, no bad seeds. Not for secrets.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator for `seed`. Every seed is good.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator that depends on `seed` and `stream`, so that parts of a run do not disturb each other's numbers.
    #[must_use]
    pub fn with_stream(seed: u64, stream: u64) -> Self {
        let mut mixed = Self(seed);
        let first = mixed.next_u64();
        Self(first ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The next eight bits.
    pub fn next_u8(&mut self) -> u8 {
        let [first, ..] = self.next_u64().to_be_bytes();
        first
    }

    /// A number below `end`, 0 where `end` is 0. The bias is below 2^-32 for any `end` that a test has.
    pub fn below(&mut self, end: u64) -> u64 {
        if end == 0 {
            return 0;
        }
        let wide = u128::from(self.next_u64()) * u128::from(end);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// A number in `range`; its start where the range is empty.
    pub fn range(&mut self, range: Range<usize>) -> usize {
        let width = range.end.saturating_sub(range.start);
        range.start + usize::try_from(self.below(width as u64)).unwrap_or(0)
    }

    /// True in `per_mille` of 1000 cases.
    pub fn chance(&mut self, per_mille: u32) -> bool {
        self.below(1000) < u64::from(per_mille)
    }

    /// A duration in `range`, to the nanosecond; its start where the range is empty.
    pub fn duration(&mut self, range: Range<Duration>) -> Duration {
        let width = range.end.saturating_sub(range.start);
        range.start + Duration::from_nanos(self.below(u64::try_from(width.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// One of `items`, `None` where there is none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.range(0..items.len()))
    }

    /// Puts `items` in a random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.range(0..last + 1));
        }
    }

    /// `len` random bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next_u8()).collect()
    }

    /// `bytes` cut anywhere into pieces of 1 to `piece_len_max` octets.
    pub fn cut<'a>(&mut self, bytes: &'a [u8], piece_len_max: usize) -> Vec<&'a [u8]> {
        let mut pieces = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let len = self.range(1..piece_len_max.max(1) + 1).min(rest.len());
            let (piece, after) = rest.split_at(len);
            pieces.push(piece);
            rest = after;
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_first_numbers_of_seed_0_come_out() {
        // From the reference implementation of SplitMix64.
        let mut rng = Rng::new(0);
        assert_eq!(rng.next_u64(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(rng.next_u64(), 0x6e78_9e6a_a1b9_65f4);
        assert_eq!(rng.next_u64(), 0x06c4_5d18_8009_454f);
    }

    #[test]
    fn a_seed_and_a_stream_each_change_the_numbers() {
        let first = |seed, stream| Rng::with_stream(seed, stream).next_u64();
        assert_eq!(first(1, 1), first(1, 1));
        assert_ne!(first(1, 1), first(1, 2));
        assert_ne!(first(1, 1), first(2, 1));
    }

    #[test]
    fn ranges_keep_their_bounds_and_reach_both_ends() {
        let mut rng = Rng::new(7);
        let seen: std::collections::BTreeSet<_> = (0..1000).map(|_| rng.range(3..6)).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [3, 4, 5]);
        assert_eq!(rng.range(4..4), 4);
        assert_eq!(rng.duration(Duration::ZERO..Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn chances_come_out_as_asked() {
        let mut rng = Rng::new(11);
        let hits = (0..10_000).filter(|_| rng.chance(100)).count();
        assert!((850..1150).contains(&hits), "{hits} of 10,000 at 10 %");
        assert!(!(0..1000).any(|_| rng.chance(0)));
        assert!((0..1000).all(|_| rng.chance(1000)));
    }

    #[test]
    fn shuffling_keeps_the_items_and_cutting_keeps_the_bytes() {
        let mut rng = Rng::new(3);
        let mut items: Vec<u32> = (0..50).collect();
        rng.shuffle(&mut items);
        assert_ne!(items, (0..50).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..50).collect::<Vec<_>>());
        let bytes = rng.bytes(100);
        let pieces = rng.cut(&bytes, 7);
        assert!(pieces.iter().all(|piece| (1..=7).contains(&piece.len())));
        assert_eq!(pieces.concat(), bytes);
    }
}
