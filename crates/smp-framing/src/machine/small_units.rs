//! A budget against floods of units that carry nothing.

use crate::{Limit, LimitExceeded};
use std::time::Duration;
use wirekit::Instant;

const WINDOW: Duration = Duration::from_secs(1);

/// What a small unit leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Within the budget, or already dealt with.
    Fine,
    /// Over it for the first time in this second: pause the peer.
    Pause,
    /// Over it twice: end the connection.
    End(LimitExceeded),
}

/// Counts small units by the second.
#[derive(Debug)]
pub(super) struct SmallUnits {
    per_second_max: u32,
    count: u32,
    since: Instant,
    is_pausing: bool,
}

impl SmallUnits {
    pub(super) const fn new(per_second_max: u32) -> Self {
        Self { per_second_max, count: 0, since: Instant::EPOCH, is_pausing: false }
    }

    //= SMPF-L-SMALL-UNITS
    pub(super) fn count(&mut self, now: Instant) -> Verdict {
        if !self.is_pausing && now.saturating_since(self.since) >= WINDOW {
            self.since = now;
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        if self.count > self.per_second_max.saturating_mul(2) {
            return Verdict::End(LimitExceeded {
                limit: Limit::SmallUnits,
                max: u64::from(self.per_second_max),
                got: u64::from(self.count),
            });
        }
        if self.count > self.per_second_max && !self.is_pausing {
            self.is_pausing = true;
            return Verdict::Pause;
        }
        Verdict::Fine
    }

    pub(super) const fn is_pausing(&self) -> bool {
        self.is_pausing
    }

    /// When the pause is over.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.is_pausing.then(|| self.since + WINDOW)
    }

    /// Ends the pause where its time has come; `true` where it did.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let is_over = self.deadline().is_some_and(|at| at <= now);
        if is_over {
            self.is_pausing = false;
            self.since = now;
            self.count = 0;
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_for_a_second_and_is_exceeded_by_one_more() {
        //= SMPF-L-SMALL-UNITS
        let at = |millis| Instant::from_epoch(Duration::from_millis(millis));
        let mut units = SmallUnits::new(3);
        for _ in 0..3 {
            assert_eq!(units.count(at(0)), Verdict::Fine);
        }
        assert_eq!(units.count(at(1000)), Verdict::Fine, "a new second");
        assert_eq!((units.count(at(1999)), units.count(at(1999))), (Verdict::Fine, Verdict::Fine));
        assert_eq!(units.count(at(1999)), Verdict::Pause);
        assert_eq!((units.expire(at(1999)), units.expire(at(2000))), (false, true));
        for _ in 0..3 {
            assert_eq!(units.count(at(2000)), Verdict::Fine);
        }
        assert_eq!(units.count(at(2000)), Verdict::Pause);
        assert_eq!((units.count(at(2000)), units.count(at(2500))), (Verdict::Fine, Verdict::Fine));
        assert!(matches!(units.count(at(2999)), Verdict::End(_)), "the seventh, while pausing");
    }

    #[test]
    fn a_pause_ends_at_its_time_even_where_units_come_before_the_timer_does() {
        let at = |millis| Instant::from_epoch(Duration::from_millis(millis));
        let mut units = SmallUnits::new(1);
        assert_eq!((units.count(at(0)), units.count(at(0))), (Verdict::Fine, Verdict::Pause));
        assert!(matches!((units.count(at(1000)), units.expire(at(1000))), (Verdict::End(_), true)));
    }
}
