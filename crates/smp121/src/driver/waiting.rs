//! Who waits for what.

use std::hash::{BuildHasherDefault, Hasher};
use std::task::{Context, Waker};

/// Tasks to wake once the lock is given back.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    first: Option<Waker>,
    more: Vec<Waker>,
}

impl Wakes {
    pub(super) fn push(&mut self, waker: Waker) {
        if self.first.is_none() {
            self.first = Some(waker);
        } else {
            self.more.push(waker);
        }
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.more.len()
    }

    /// Wakes them in order; the room stays.
    pub(super) fn wake(&mut self) {
        if let Some(waker) = self.first.take() {
            waker.wake();
        }
        for waker in self.more.drain(..) {
            waker.wake();
        }
    }
}

/// The place of one who waits in [`Waiters`], kept by its future to take it back when it is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket(u64);

/// Tasks that wait for the same thing. All are woken by it and look for themselves, so none can be forgotten.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    waiting: Vec<(Ticket, Waker)>,
    last: u64,
}

impl Waiters {
    /// Puts a task in, or keeps it in under its ticket.
    pub(super) fn enter(&mut self, ticket: &mut Option<Ticket>, cx: &Context<'_>) {
        let place = ticket.and_then(|ticket| self.waiting.iter_mut().find(|(other, _)| *other == ticket));
        if let Some((_, waker)) = place {
            waker.clone_from(cx.waker());
            return;
        }
        self.last += 1;
        let new = Ticket(self.last);
        self.waiting.push((new, cx.waker().clone()));
        *ticket = Some(new);
    }

    pub(super) fn leave(&mut self, ticket: Ticket) {
        self.waiting.retain(|(other, _)| *other != ticket);
    }

    pub(super) fn wake_all(&mut self, wakes: &mut Wakes) {
        for (_, waker) in self.waiting.drain(..) {
            wakes.push(waker);
        }
    }
}

/// A hasher for identifiers that the machine counts up itself, which nobody from outside can choose.
#[derive(Debug, Default)]
pub(super) struct SerialHasher(u64);

pub(super) type BuildSerialHasher = BuildHasherDefault<SerialHasher>;

/// An odd number with bits all over: 2^64 divided by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for SerialHasher {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, octets: &[u8]) {
        for octet in octets {
            self.write_u64(u64::from(*octet));
        }
    }

    fn write_u16(&mut self, number: u16) {
        self.write_u64(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(SPREAD);
    }
}
