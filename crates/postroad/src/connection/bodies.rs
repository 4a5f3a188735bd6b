//! Bodies of one end that are open: a connection that is closed waits for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// How many there are.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    count: AtomicUsize,
    none: Notify,
}

/// One of them.
#[derive(Debug)]
pub(super) struct OpenBody(Arc<Bodies>);

impl Drop for OpenBody {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none.notify_waiters();
        }
    }
}

impl Bodies {
    /// Counts one more until it is dropped.
    pub(super) fn open(self: &Arc<Self>) -> OpenBody {
        self.count.fetch_add(1, Ordering::AcqRel);
        OpenBody(Arc::clone(self))
    }

    pub(super) async fn wait_for_none(&self) {
        loop {
            let mut none = core::pin::pin!(self.none.notified());
            none.as_mut().enable();
            if self.count.load(Ordering::Acquire) == 0 {
                return;
            }
            none.await;
        }
    }
}
