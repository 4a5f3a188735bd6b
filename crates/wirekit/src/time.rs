//! Time that is handed in, and deadlines that know their reason.

use core::fmt;
use core::ops::{Add, Sub};
use core::time::Duration;

/// A point in time, as nanoseconds since an epoch that the driver chose.
///
/// Machines only compare instants and add durations to them, so the epoch never matters as long as one
/// driver feeds one machine. Arithmetic saturates: 584 years after the epoch time stands still.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The driver's epoch.
    pub const EPOCH: Self = Self(0);

    /// The instant `since_epoch` after the driver's epoch.
    #[must_use]
    pub const fn from_epoch(since_epoch: Duration) -> Self {
        Self(nanos(since_epoch))
    }

    /// Time since the driver's epoch.
    #[must_use]
    pub const fn since_epoch(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// Time from `earlier` to `self`, zero where `earlier` is the later one.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

const fn nanos(duration: Duration) -> u64 {
    let nanos = duration.as_nanos();
    if nanos > u64::MAX as u128 {
        u64::MAX
    } else {
        #[allow(clippy::cast_possible_truncation, reason = "bounded by the branch above")]
        {
            nanos as u64
        }
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

impl Sub<Instant> for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.saturating_since(earlier)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "T+{:?}", self.since_epoch())
    }
}

/// When a machine wants to be called again, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline<R> {
    /// Due at this instant and after it.
    pub at: Instant,
    /// What falls due.
    pub reason: R,
}

impl<R> Deadline<R> {
    /// A deadline at `at` for `reason`.
    #[must_use]
    pub const fn new(at: Instant, reason: R) -> Self {
        Self { at, reason }
    }

    /// True from the deadline's instant on.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        self.at <= now
    }
}

/// The earliest of some deadlines that may or may not be armed; the first of equals. `None` only where none is armed.
pub fn earliest<R>(deadlines: impl IntoIterator<Item = Option<Deadline<R>>>) -> Option<Deadline<R>> {
    deadlines.into_iter().flatten().min_by_key(|deadline| deadline.at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unarmed_deadline_never_hides_an_armed_one() {
        let armed = Deadline::new(Instant::from_epoch(Duration::from_secs(2)), "armed");
        assert_eq!(earliest([None, Some(armed), None]), Some(armed));
        assert_eq!(earliest::<()>([None, None]), None);
    }

    #[test]
    fn the_earliest_wins_and_the_first_of_equals() {
        let at = |s| Instant::from_epoch(Duration::from_secs(s));
        let all = [Some(Deadline::new(at(3), 'a')), Some(Deadline::new(at(1), 'b')), Some(Deadline::new(at(1), 'c'))];
        assert_eq!(earliest(all).unwrap().reason, 'b');
    }

    #[test]
    fn a_deadline_is_due_at_its_instant_and_not_a_nanosecond_before() {
        let at = Instant::from_epoch(Duration::from_nanos(10));
        let deadline = Deadline::new(at, ());
        assert!(deadline.is_due(at));
        assert!(!deadline.is_due(Instant::from_epoch(Duration::from_nanos(9))));
    }

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let end = Instant::EPOCH + Duration::MAX;
        assert_eq!(end + Duration::from_secs(1), end);
        assert_eq!(Instant::EPOCH - end, Duration::ZERO);
        assert_eq!((Instant::EPOCH + Duration::from_secs(5)) - Instant::EPOCH, Duration::from_secs(5));
    }
}
