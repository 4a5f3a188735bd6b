//! Bodies of one end that are open: a connection that is closed waits for them. So it does for sessions that end behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// How many there are.
#[derive(Debug, Default)]
pub(crate) struct Bodies {
    count: AtomicUsize,
    none: Notify,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct OpenBody(Arc<Bodies>);

impl Drop for OpenBody {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none.notify_waiters();
        }
    }
}

impl Bodies {
    /// Counts one more until it is dropped.
    pub(crate) fn open(self: &Arc<Self>) -> OpenBody {
        self.count.fetch_add(1, Ordering::AcqRel);
        OpenBody(Arc::clone(self))
    }

    pub(crate) async fn wait_for_none(&self) {
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
