//! A clock that moves when the test says so.

use core::time::Duration;
use wirekit::{Deadline, Instant};

/// Virtual time. It starts at an instant that is not the epoch, so that a machine that mixes up the two is found out.
#[derive(Clone, Debug)]
pub struct VirtualClock {
    now: Instant,
}

impl VirtualClock {
    /// A clock at one hour past the epoch.
    #[must_use]
    pub const fn new() -> Self {
        Self { now: Instant::from_epoch(Duration::from_secs(3600)) }
    }

    /// The time.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Lets `duration` pass.
    pub fn advance(&mut self, duration: Duration) -> Instant {
        self.now = self.now + duration;
        self.now
    }

    /// Goes on to `at`; stays where `at` is past already.
    pub fn advance_to(&mut self, at: Instant) -> Instant {
        self.now = self.now.max(at);
        self.now
    }

    /// Goes on to the earliest of some deadlines, if there is one: the step of a discrete simulation.
    pub fn advance_to_earliest<R>(&mut self, deadlines: impl IntoIterator<Item = Option<Deadline<R>>>) -> Option<R> {
        let deadline = wirekit::earliest(deadlines)?;
        self.advance_to(deadline.at);
        Some(deadline.reason)
    }
}

impl Default for VirtualClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_forward_only() {
        let mut clock = VirtualClock::new();
        let start = clock.now();
        clock.advance_to(Instant::EPOCH);
        assert_eq!(clock.now(), start);
        clock.advance(Duration::from_millis(5));
        assert_eq!(clock.now() - start, Duration::from_millis(5));
    }

    #[test]
    fn the_earliest_deadline_is_the_next_step() {
        let mut clock = VirtualClock::new();
        let start = clock.now();
        let later = Deadline::new(start + Duration::from_secs(2), "later");
        let sooner = Deadline::new(start + Duration::from_secs(1), "sooner");
        assert_eq!(clock.advance_to_earliest([Some(later), None, Some(sooner)]), Some("sooner"));
        assert_eq!(clock.now() - start, Duration::from_secs(1));
        assert_eq!(clock.advance_to_earliest::<()>([None]), None);
        assert_eq!(clock.now() - start, Duration::from_secs(1));
    }
}
