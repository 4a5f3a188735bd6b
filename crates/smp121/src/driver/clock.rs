//! The one place that reads the clock.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;
use wirekit::Instant;

/// The least time that is slept: the timers of the runtime count milliseconds, and one that is due already would spin.
const TICK: Duration = Duration::from_millis(1);

/// Time since the endpoint began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    epoch: tokio::time::Instant,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { epoch: read() }
    }

    pub(super) fn now(&self) -> Instant {
        Instant::from_epoch(read().saturating_duration_since(self.epoch))
    }
}

#[allow(clippy::disallowed_methods, reason = "the driver's clock")]
fn read() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

/// Wakes the driver at a deadline or before it: deadlines move into the future all the time, so it is set anew only when
/// it has fired or a deadline comes earlier.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    until: Option<Instant>,
}

impl Alarm {
    /// When it fires. `None` where it does not.
    pub(super) const fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Sees to it that the task of `cx` is woken at `deadline` at the latest. `true` where that is now.
    pub(super) fn arm(&mut self, cx: &mut Context<'_>, clock: Clock, now: Instant, deadline: Option<Instant>) -> bool {
        if self.until.is_some_and(|until| until <= now) {
            self.until = None;
        }
        let Some(deadline) = deadline else { return false };
        if self.until.is_some_and(|until| until <= deadline) {
            return false;
        }
        let deadline = deadline.max(now + TICK);
        self.until = Some(deadline);
        let at = clock.epoch + deadline.since_epoch();
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if sleep.deadline() != at {
            sleep.as_mut().reset(at);
        }
        // It keeps the waker, which is always that of the same task.
        matches!(sleep.as_mut().poll(cx), Poll::Ready(()))
    }
}
