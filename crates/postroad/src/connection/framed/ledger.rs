//! How much memory the messages of one connection hold while they are put together.

use crate::sync::{Mutex, MutexGuard};
use std::sync::{Arc, PoisonError};
use tokio::sync::Notify;

/// Counts octets of messages in the making and of finished ones that nobody has received yet.
#[derive(Debug)]
pub(super) struct Ledger {
    max: usize,
    counts: Mutex<Counts>,
    /// Woken when finished messages were received.
    freed: Notify,
}

#[derive(Debug, Default)]
struct Counts {
    partial_len: usize,
    finished_len: usize,
}

/// The octets of one message; gone when it is dropped.
#[derive(Debug)]
pub(super) struct Charge {
    ledger: Arc<Ledger>,
    len: usize,
    finished: bool,
}

impl Ledger {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, counts: Mutex::default(), freed: Notify::new() })
    }

    pub(super) fn open(self: &Arc<Self>) -> Charge {
        Charge { ledger: Arc::clone(self), len: 0, finished: false }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Charge {
    /// Charges `len` octets more. Waits where finished messages hold the place, since they will be received some day.
    /// `false` where only messages in the making hold it: they would wait for each other for ever.
    pub(super) async fn grow(&mut self, len: usize) -> bool {
        let ledger = Arc::clone(&self.ledger);
        loop {
            let mut freed = core::pin::pin!(ledger.freed.notified());
            freed.as_mut().enable();
            {
                let mut counts = ledger.counts();
                if counts.partial_len + counts.finished_len + len <= ledger.max {
                    counts.partial_len += len;
                    self.len += len;
                    return true;
                }
                if counts.finished_len == 0 {
                    return false;
                }
            }
            freed.await;
        }
    }

    /// The message is whole and waits to be received.
    pub(super) fn finish(&mut self) {
        let mut counts = self.ledger.counts();
        counts.partial_len -= self.len;
        counts.finished_len += self.len;
        self.finished = true;
        drop(counts);
        // Those that waited for partial ones alone to go may wait now.
        self.ledger.freed.notify_waiters();
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let mut counts = self.ledger.counts();
        let held = if self.finished { &mut counts.finished_len } else { &mut counts.partial_len };
        *held -= self.len;
        drop(counts);
        self.ledger.freed.notify_waiters();
    }
}

#[cfg(all(test, postroad_model))]
mod models;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn waits_for_finished_messages_and_refuses_to_wait_for_unfinished_ones() {
        let ledger = Ledger::new(10);
        let (mut first, mut second) = (ledger.open(), ledger.open());
        assert!(first.grow(6).await);
        assert!(second.grow(4).await);
        assert!(!second.grow(1).await, "both are partial: waiting would never end");
        first.finish();
        assert!(tokio::time::timeout(Duration::from_secs(1), second.grow(1)).await.is_err(), "waits for the reader");
        drop(first);
        assert!(second.grow(6).await);
        assert!(!second.grow(1).await);
        drop(second);
        assert!(ledger.open().grow(10).await);
    }
}
