//! The one place that reads the clock.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::time::Sleep;
use wirekit::Instant;

/// The driver's clock. Read once per system call, not once per message.
#[derive(Debug)]
pub(super) struct Clock {
    epoch: tokio::time::Instant,
    now: Instant,
    /// Armed for a deadline or before it: deadlines move into the future all the time, so it is set anew only when it has
    /// fired or a deadline comes earlier.
    sleep: Option<Pin<Box<Sleep>>>,
    sleep_until: Instant,
}

impl Clock {
    pub(super) fn new() -> Self {
        let (epoch, now) = (read(), Instant::EPOCH);
        Self { epoch, now, sleep: None, sleep_until: now }
    }

    /// The time when it was read last.
    #[inline]
    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    pub(super) fn refresh(&mut self) -> Instant {
        self.now = Instant::from_epoch(read().saturating_duration_since(self.epoch));
        self.now
    }

    /// Ready once `deadline` has passed; the clock is fresh then. Keeps the waker otherwise.
    pub(super) fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let Some(deadline) = deadline else { return Poll::Pending };
        loop {
            let sleep = self.armed_for(deadline);
            if sleep.poll(cx).is_pending() {
                return Poll::Pending;
            }
            // It may have been armed for an earlier deadline that has moved: then it is armed anew.
            self.sleep = None;
            if self.refresh() >= deadline {
                return Poll::Ready(());
            }
        }
    }

    /// A sleep that ends at `deadline` or before.
    fn armed_for(&mut self, deadline: Instant) -> Pin<&mut Sleep> {
        let at = self.epoch + deadline.since_epoch();
        let is_late = self.sleep.is_some() && self.sleep_until > deadline;
        if is_late || self.sleep.is_none() {
            self.sleep_until = deadline;
        }
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if is_late {
            sleep.as_mut().reset(at);
        }
        sleep.as_mut()
    }
}

#[allow(clippy::disallowed_methods, reason = "the driver's clock")]
fn read() -> tokio::time::Instant {
    tokio::time::Instant::now()
}
