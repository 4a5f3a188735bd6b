//! A request that is being put together, with the faults of the original (fact 4, defects a and b).

/// Disjoint ranges kept behind the first gap; more are dropped.
const RANGE_COUNT_MAX: usize = 8;

/// What an octet of a message reads as that was never written. In the real kernel: whatever the memory held.
pub(super) const UNWRITTEN: u8 = 0xa5;

#[derive(Debug)]
pub(super) struct Assembly {
    /// As long as the first segment announced. The caller has checked that against the mailslot.
    octets: Vec<u8>,
    /// Octets counted as being there without a gap.
    position: usize,
    /// Start and end of what lies behind a gap, in order.
    ranges: Vec<(usize, usize)>,
}

impl Assembly {
    pub(super) fn new(total_len: usize) -> Self {
        Self { octets: vec![UNWRITTEN; total_len], position: 0, ranges: Vec::new() }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.position >= self.octets.len()
    }

    pub(super) fn into_octets(self) -> Vec<u8> {
        self.octets
    }

    /// Stores `data` at `offset` as far as there is room. False where octets were counted that are not new: the message is
    /// corrupt then.
    ///
    /// The octets are stored where they belong, the count goes on from where it was. The facts say only the latter; for the
    /// message it makes no difference whether the former is so too.
    pub(super) fn store(&mut self, offset: usize, data: &[u8]) -> bool {
        let start = offset.min(self.octets.len());
        let end = offset.saturating_add(data.len()).min(self.octets.len());
        if start > self.position && !self.keep_range(start, end) {
            return true;
        }
        if let Some((place, data)) = self.octets.get_mut(start..end).zip(data.get(..end - start)) {
            place.copy_from_slice(data);
        }
        if start > self.position {
            return true;
        }
        let honest = start == self.position || self.is_complete() || data.is_empty();
        self.position = self.position.saturating_add(data.len()).min(self.octets.len());
        while let Some(&(range_start, range_end)) = self.ranges.first()
            && range_start <= self.position
        {
            self.position = self.position.max(range_end);
            self.ranges.remove(0);
        }
        honest
    }

    /// Takes a range behind a gap, joined with those that it touches. False where there is no room for one more.
    fn keep_range(&mut self, start: usize, end: usize) -> bool {
        if start == end {
            return false;
        }
        let touches = |&(other_start, other_end): &(usize, usize)| other_start <= end && start <= other_end;
        if self.ranges.len() >= RANGE_COUNT_MAX && !self.ranges.iter().any(touches) {
            return false;
        }
        let (mut start, mut end) = (start, end);
        self.ranges.retain(|&(other_start, other_end)| {
            let apart = other_end < start || end < other_start;
            if !apart {
                (start, end) = (start.min(other_start), end.max(other_end));
            }
            apart
        });
        self.ranges.push((start, end));
        self.ranges.sort_unstable();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_in_any_order_fill_the_message() {
        let mut assembly = Assembly::new(6);
        assert!(assembly.store(4, b"ef"));
        assert!(assembly.store(2, b"cd"));
        assert!(!assembly.is_complete());
        assert!(assembly.store(0, b"ab"));
        assert!(assembly.is_complete());
        assert_eq!(assembly.into_octets(), b"abcdef");
    }

    #[test]
    fn eight_ranges_are_kept_and_a_ninth_is_not() {
        let mut assembly = Assembly::new(40);
        for range in 1..=9 {
            assembly.store(range * 4, b"x");
        }
        assert_eq!(assembly.ranges.len(), 8);
        assert_eq!(assembly.ranges.last(), Some(&(32, 33)));
        assert_eq!(assembly.octets[36], UNWRITTEN);
        assembly.store(33, b"y");
        assert_eq!(assembly.ranges.last(), Some(&(32, 34)), "what touches a range joins it");
    }

    #[test]
    fn what_is_too_long_is_clipped() {
        let mut assembly = Assembly::new(3);
        assert!(assembly.store(0, b"abcdef"));
        assert_eq!(assembly.into_octets(), b"abc");
        let mut assembly = Assembly::new(3);
        assert!(assembly.store(usize::MAX, b"abc"));
        assert!(assembly.store(3, b"abc"));
        assert!(assembly.store(1, b"bcd"));
        assert!(assembly.store(0, b"a"));
        assert_eq!(assembly.into_octets(), b"abc");
    }

    #[test]
    fn a_part_from_below_is_counted_in_full() {
        let mut assembly = Assembly::new(6);
        assert!(assembly.store(0, b"abc"));
        assert!(!assembly.store(0, b"abc"));
        assert!(assembly.is_complete());
        assert_eq!(assembly.into_octets(), [b'a', b'b', b'c', UNWRITTEN, UNWRITTEN, UNWRITTEN]);
    }
}
