//! Who waits for something of a session as a whole.

use super::shared::{Shared, State};
use crate::Direction;
use core::task::{Context, Waker};
use std::collections::BTreeMap;

/// What can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// The handshake, a drain, or the end.
    State,
    /// A stream that may be opened.
    Open(Direction),
    Datagrams,
    /// What was handed in has gone to the carrier.
    Flush,
    /// Streams of the peer, of one sort each.
    Streams,
    Channels,
    Requests,
}

/// Wakers in the order in which they came: one for each future that waits now, so as many as the application has futures.
#[derive(Debug, Default)]
pub(super) struct Wakers {
    waiting: BTreeMap<u64, Waker>,
    next: u64,
}

impl Wakers {
    fn keep(&mut self, key: &mut Option<u64>, cx: &Context<'_>) {
        let key = *key.get_or_insert_with(|| {
            self.next += 1;
            self.next
        });
        match self.waiting.get_mut(&key) {
            Some(waker) => waker.clone_from(cx.waker()),
            None => drop(self.waiting.insert(key, cx.waker().clone())),
        }
    }

    pub(super) fn wake_all(&mut self) {
        core::mem::take(&mut self.waiting).into_values().for_each(Waker::wake);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

/// The place of one future in a line, which it leaves when it is dropped: a future that was given up leaves nothing behind.
//= SMRP-X10
#[derive(Debug)]
pub(super) struct Waiter<'a> {
    shared: &'a Shared,
    line: Line,
    key: Option<u64>,
}

impl<'a> Waiter<'a> {
    pub(super) fn of(shared: &'a Shared, line: Line) -> Self {
        Self { shared, line, key: None }
    }

    /// Wakes this task when it may be its turn.
    pub(super) fn wait(&mut self, state: &mut State, cx: &Context<'_>) {
        state.wakers(self.line).keep(&mut self.key, cx);
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.shared.lock().wakers(self.line).waiting.remove(&key);
        }
    }
}
