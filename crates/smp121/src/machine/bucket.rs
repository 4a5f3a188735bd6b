//! So many a second.

use std::time::Duration;
use wirekit::Instant;

/// A token bucket: `rate` a second, up to twice as many at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    rate: u32,
    /// Tokens, in billionths.
    level: u64,
    filled_at: Instant,
}

const TOKEN: u64 = 1_000_000_000;

impl Bucket {
    /// Full at `now`.
    pub(super) fn new(rate: u32, now: Instant) -> Self {
        Self { rate, level: u64::from(rate) * 2 * TOKEN, filled_at: now }
    }

    /// Takes one; `false` where there is none.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_since(self.filled_at).min(Duration::from_secs(2));
        self.filled_at = now.max(self.filled_at);
        let passed_nanos = u64::try_from(passed.as_nanos()).unwrap_or(0);
        let rate = u64::from(self.rate);
        self.level = (self.level + passed_nanos * rate).min(rate * 2 * TOKEN);
        match self.level.checked_sub(TOKEN) {
            Some(level) => {
                self.level = level;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_twice_the_rate_and_then_the_rate() {
        let start = Instant::from_epoch(Duration::from_secs(10));
        let mut bucket = Bucket::new(10, start);
        assert_eq!((0..30).filter(|_| bucket.take(start)).count(), 20);
        let later = start + Duration::from_millis(500);
        assert_eq!((0..30).filter(|_| bucket.take(later)).count(), 5);
        let much_later = start + Duration::from_secs(3600);
        assert_eq!((0..30).filter(|_| bucket.take(much_later)).count(), 20);
    }
}
