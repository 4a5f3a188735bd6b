//! Which stream sends next.

use crate::{Priority, StreamId};
use std::collections::VecDeque;

/// Octets that a stream may send in its turn while others wait.
pub(crate) const QUANTUM: usize = 16 << 10;
/// Of so many turns one goes to the stream that has waited longest.
const TURNS_PER_OLDEST: u32 = 20;
const CLASS_COUNT: usize = 8;

#[derive(Clone, Copy, Debug)]
struct Waiting {
    id: StreamId,
    since: u64,
}

/// Streams that have something to send, by urgency.
//= SMRP-O2, SMRP-O3
#[derive(Debug, Default)]
pub(crate) struct Scheduler {
    classes: [VecDeque<Waiting>; CLASS_COUNT],
    count: usize,
    clock: u64,
    turns: u32,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) id: StreamId,
    class: usize,
}

/// What became of the stream in its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It has nothing more, or may send nothing more.
    Done,
    /// It has more.
    More { is_incremental: bool },
}

impl Scheduler {
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// More than one stream waits.
    pub(crate) fn is_shared(&self) -> bool {
        self.count > 1
    }

    /// Puts a stream behind those of its urgency. The caller makes sure that it is in here once.
    pub(crate) fn push(&mut self, id: StreamId, priority: Priority) {
        self.clock += 1;
        let since = self.clock;
        if let Some(class) = self.classes.get_mut(usize::from(priority.urgency())) {
            class.push_back(Waiting { id, since });
            self.count += 1;
        }
    }

    /// The stream whose turn it is; it stays until [`end_turn`](Self::end_turn).
    pub(crate) fn turn(&mut self) -> Option<Turn> {
        let fronts = || self.classes.iter().enumerate().filter_map(|(class, list)| Some((class, *list.front()?)));
        let most_urgent = fronts().next()?;
        let oldest = if self.turns + 1 >= TURNS_PER_OLDEST && self.count > 1 {
            fronts().min_by_key(|(_, waiting)| waiting.since)
        } else {
            None
        };
        let (class, waiting) = oldest.unwrap_or(most_urgent);
        self.turns = (self.turns + 1) % TURNS_PER_OLDEST;
        Some(Turn { id: waiting.id, class })
    }

    pub(crate) fn end_turn(&mut self, turn: Turn, outcome: Outcome) {
        let Some(class) = self.classes.get_mut(turn.class) else { return };
        match outcome {
            Outcome::Done => {
                class.pop_front();
                self.count -= 1;
                if class.is_empty() && class.capacity() > 64 {
                    *class = VecDeque::new();
                }
            }
            Outcome::More { is_incremental: true } => {
                if let Some(waiting) = class.pop_front() {
                    self.clock += 1;
                    class.push_back(Waiting { since: self.clock, ..waiting });
                }
            }
            Outcome::More { is_incremental: false } => {
                self.clock += 1;
                let since = self.clock;
                class.front_mut().into_iter().for_each(|waiting| waiting.since = since);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(scheduler: &mut Scheduler, incremental: impl Fn(u64) -> bool, count: usize) -> Vec<u64> {
        (0..count)
            .map(|_| {
                let turn = scheduler.turn().unwrap();
                let id = turn.id.number();
                scheduler.end_turn(turn, Outcome::More { is_incremental: incremental(id) });
                id
            })
            .collect()
    }

    #[test]
    fn the_most_urgent_goes_first_and_equals_share_or_queue() {
        //= SMRP-O2
        let mut scheduler = Scheduler::default();
        scheduler.push(StreamId::new(4), Priority::new(3));
        scheduler.push(StreamId::new(8), Priority::new(1));
        scheduler.push(StreamId::new(12), Priority::new(1));
        assert_eq!(turns(&mut scheduler, |_| true, 4), [8, 12, 8, 12]);
        assert_eq!(turns(&mut scheduler, |_| false, 3), [8, 8, 8]);
        for _ in 0..3 {
            let turn = scheduler.turn().unwrap();
            scheduler.end_turn(turn, Outcome::Done);
        }
        assert!(scheduler.is_empty());
    }

    #[test]
    fn nothing_starves() {
        //= SMRP-O3
        let mut scheduler = Scheduler::default();
        scheduler.push(StreamId::new(0), Priority::new(7));
        scheduler.push(StreamId::new(4), Priority::new(0));
        let order = turns(&mut scheduler, |_| true, 1_000);
        assert_eq!(order.iter().filter(|id| **id == 0).count(), 50, "one turn of twenty");
    }
}
