//! The one place that reads the clock.

use wirekit::Instant;

#[allow(clippy::disallowed_methods, reason = "the driver's clock")]
pub(super) fn read() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

/// The time of one driver.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock(tokio::time::Instant);

impl Clock {
    pub(super) fn start() -> Self {
        Self(read())
    }

    pub(super) fn now(self) -> Instant {
        Instant::from_epoch(read().saturating_duration_since(self.0))
    }

    pub(super) fn at(self, instant: Instant) -> tokio::time::Instant {
        self.0 + instant.since_epoch()
    }
}
