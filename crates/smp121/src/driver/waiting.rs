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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Bell(AtomicU32);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn all_who_wait_are_woken_once_and_those_who_left_are_not() {
        let bells: [Arc<Bell>; 3] = Default::default();
        let [a, b, c] = bells.clone().map(Waker::from);
        let mut waiters = Waiters::default();
        let mut tickets = [None; 3];
        for (ticket, waker) in tickets.iter_mut().zip([&a, &b, &c]) {
            waiters.enter(ticket, &Context::from_waker(waker));
        }
        // One that looks again keeps its place, whatever task it is in now.
        let before = tickets[2];
        waiters.enter(&mut tickets[2], &Context::from_waker(&a));
        assert_eq!(tickets[2], before);
        waiters.leave(tickets[1].unwrap());
        let mut wakes = Wakes::default();
        waiters.wake_all(&mut wakes);
        waiters.wake_all(&mut wakes);
        assert_eq!(wakes.len(), 2);
        wakes.wake();
        assert_eq!(wakes.len(), 0);
        let counts = bells.map(|bell| bell.0.load(Ordering::Relaxed));
        assert_eq!(counts, [2, 0, 0]);
    }

    #[test]
    fn identifiers_that_follow_each_other_spread() {
        let hash = |number: u64| {
            let mut hasher = SerialHasher::default();
            hasher.write_u64(number);
            hasher.write_u32(3);
            hasher.finish()
        };
        // The table takes its place from the low bits and tells entries apart by the high ones.
        let low: std::collections::HashSet<u64> = (0..256).map(|number| hash(number) & 0xff).collect();
        let high: std::collections::HashSet<u64> = (0..256).map(|number| hash(number) >> 57).collect();
        assert!(low.len() > 128 && high.len() > 100, "{} and {}", low.len(), high.len());
    }
}
