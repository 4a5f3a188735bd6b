//! What the application has not taken yet, and what that means for the peer.

use crate::sync::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::sync::PoisonError;
use std::task::Waker;

/// Above this many octets that nobody has taken, the peer is asked to pause.
const LEN_HIGH: usize = 1 << 20;
/// At this many it is asked to go on.
const LEN_LOW: usize = 256 << 10;
/// What each item counts beside its payload.
pub(super) const ITEM_LEN: usize = 128;

/// What the task is to do about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Flow {
    /// Read on.
    #[default]
    Free,
    /// Ask the peer to pause, and read what still comes.
    Pause,
    /// Read nothing.
    Stop,
}

/// One body's place in the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct BodyKey(u64);

#[derive(Debug)]
struct Body {
    len: usize,
    is_claimed: bool,
}

/// The protocol pauses a connection, never one message of it, and a sender may interleave many. So the two kinds of octets
/// that wait are told apart: those the application has in hand (claimed), and those behind something it has not even
/// received (unclaimed). While it waits for more of a body in hand, what is unclaimed must not keep the peer paused, or
/// one who reads message after message would wait for ever.
#[derive(Debug)]
pub(super) struct Accounts {
    books: Mutex<Books>,
}

#[derive(Debug)]
struct Books {
    unclaimed_len: usize,
    claimed_len: usize,
    /// At this many nothing is read any more, not even a RESUME: far above what a peer that heeds PAUSE has on its way.
    len_max: usize,
    /// How many bodies in hand have nothing to give although the application waits.
    waiting_count: usize,
    bodies: HashMap<BodyKey, Body>,
    next_key: u64,
    flow: Flow,
    /// The task's: kept under the same lock, so that no change falls between its look and its sleep.
    waker: Option<Waker>,
}

impl Books {
    fn flow(&self) -> Flow {
        let is_waiting = self.waiting_count > 0;
        let len = self.claimed_len + if is_waiting { 0 } else { self.unclaimed_len };
        if self.claimed_len + self.unclaimed_len >= self.len_max {
            Flow::Stop
        } else if len > LEN_HIGH || (self.flow != Flow::Free && len > LEN_LOW) {
            Flow::Pause
        } else {
            Flow::Free
        }
    }
}

impl Accounts {
    pub(super) fn new(len_max: usize) -> Self {
        let books = Books {
            unclaimed_len: 0,
            claimed_len: 0,
            len_max,
            waiting_count: 0,
            bodies: HashMap::new(),
            next_key: 0,
            flow: Flow::Free,
            waker: None,
        };
        Self { books: Mutex::new(books) }
    }

    /// The books are numbers only: a panic elsewhere leaves them as good as they were.
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the task: what is to be done now. It is woken when that changes.
    pub(super) fn update_flow(&self, waker: &Waker) -> Flow {
        let mut books = self.books();
        books.flow = books.flow();
        match &mut books.waker {
            Some(kept) => kept.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        books.flow
    }

    /// Wakes the task: it has something else to do than before.
    pub(super) fn wake(&self) {
        let waker = self.books().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Changes the books for the application, and wakes the task where that matters to it.
    fn change(&self, change: impl FnOnce(&mut Books)) {
        let mut books = self.books();
        change(&mut books);
        let matters = books.flow() != books.flow;
        drop(books);
        if matters {
            self.wake();
        }
    }

    /// Something that is no body was queued.
    pub(super) fn queue(&self, len: usize) {
        self.books().unclaimed_len += len;
    }

    /// It was taken, or dropped with the receiver.
    pub(super) fn take(&self, len: usize) {
        self.change(|books| books.unclaimed_len -= len);
    }

    pub(super) fn open_body(&self) -> BodyKey {
        let mut books = self.books();
        let key = BodyKey(books.next_key);
        books.next_key += 1;
        books.bodies.insert(key, Body { len: 0, is_claimed: false });
        key
    }

    /// The application has the body in hand.
    pub(super) fn claim(&self, key: BodyKey) {
        self.change(|books| {
            if let Some(body) = books.bodies.get_mut(&key) {
                body.is_claimed = true;
                books.unclaimed_len -= body.len;
                books.claimed_len += body.len;
            }
        });
    }

    /// A piece of a body was queued; a body that is closed counts no more.
    pub(super) fn queue_body(&self, key: BodyKey, len: usize) {
        let mut books = self.books();
        if let Some(body) = books.bodies.get_mut(&key) {
            body.len += len;
            if body.is_claimed {
                books.claimed_len += len;
            } else {
                books.unclaimed_len += len;
            }
        }
    }

    /// A piece of a body in hand was taken.
    pub(super) fn take_body(&self, key: BodyKey, len: usize) {
        self.change(|books| {
            if let Some(body) = books.bodies.get_mut(&key) {
                body.len -= len;
                books.claimed_len -= len;
            }
        });
    }

    /// The application dropped a body.
    pub(super) fn close_body(&self, key: BodyKey) {
        self.change(|books| {
            if let Some(body) = books.bodies.remove(&key) {
                if body.is_claimed {
                    books.claimed_len -= body.len;
                } else {
                    books.unclaimed_len -= body.len;
                }
            }
        });
    }

    /// The application begins or ends to wait for more of a body in hand.
    pub(super) fn wait(&self, begins: bool) {
        self.change(|books| {
            if begins {
                books.waiting_count += 1;
            } else {
                books.waiting_count -= 1;
            }
        });
    }
}

#[cfg(all(test, postroad_model))]
mod models;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_is_paused_above_the_high_mark_and_resumed_at_the_low_one() {
        let accounts = Accounts::new(64 << 20);
        accounts.queue(LEN_HIGH);
        assert_eq!(accounts.update_flow(Waker::noop()), Flow::Free);
        accounts.queue(1);
        assert_eq!(accounts.update_flow(Waker::noop()), Flow::Pause);
        accounts.take(LEN_HIGH - LEN_LOW);
        assert_eq!(accounts.update_flow(Waker::noop()), Flow::Pause);
        accounts.take(1);
        assert_eq!(accounts.update_flow(Waker::noop()), Flow::Free);
        accounts.queue((64 << 20) - LEN_LOW);
        assert_eq!(accounts.update_flow(Waker::noop()), Flow::Stop);
    }

    #[test]
    fn what_is_unclaimed_counts_only_while_nobody_waits_for_what_is_in_hand() {
        let accounts = Accounts::new(64 << 20);
        let (in_hand, behind) = (accounts.open_body(), accounts.open_body());
        accounts.claim(in_hand);
        accounts.queue_body(behind, 2 * LEN_HIGH);
        assert_eq!(accounts.update_flow(Waker::noop()), Flow::Pause);
        accounts.wait(true);
        assert_eq!(accounts.update_flow(Waker::noop()), Flow::Free);
        accounts.queue_body(in_hand, LEN_HIGH + 1);
        assert_eq!(accounts.update_flow(Waker::noop()), Flow::Pause);
        accounts.wait(false);
        accounts.take_body(in_hand, LEN_HIGH + 1);
        accounts.close_body(behind);
        assert_eq!(accounts.update_flow(Waker::noop()), Flow::Free);
    }

    #[test]
    fn what_is_unclaimed_is_bounded_even_then() {
        let accounts = Accounts::new(10 << 20);
        let (in_hand, behind) = (accounts.open_body(), accounts.open_body());
        accounts.claim(in_hand);
        accounts.wait(true);
        accounts.queue_body(behind, (10 << 20) - 1);
        assert_eq!(accounts.update_flow(Waker::noop()), Flow::Free);
        accounts.queue_body(behind, 1);
        assert_eq!(accounts.update_flow(Waker::noop()), Flow::Stop);
    }

    #[test]
    fn a_dropped_body_counts_no_more_whether_it_was_in_hand_or_not() {
        for is_in_hand in [true, false] {
            let accounts = Accounts::new(64 << 20);
            let body = accounts.open_body();
            accounts.queue_body(body, LEN_HIGH);
            if is_in_hand {
                accounts.claim(body);
            }
            accounts.queue_body(body, LEN_HIGH);
            assert_eq!(accounts.update_flow(Waker::noop()), Flow::Pause);
            accounts.close_body(body);
            accounts.queue_body(body, 64 << 20);
            assert_eq!(accounts.update_flow(Waker::noop()), Flow::Free);
        }
    }
}
