//! Response records that wait for a segment to ride on.

use super::num::to_usize;
use super::transfer::DUPLICATES_MAX;
use crate::wire::{Action, RESPONSE_COUNT_MAX, Response};
use std::collections::VecDeque;
use wirekit::Instant;

/// Records for one peer, from all mailslots, and when they go alone at the latest.
//= SMP121-W24, SMP121-W25
#[derive(Debug, Default)]
pub(super) struct Responses {
    records: VecDeque<Response>,
    due_at: Option<Instant>,
}

impl Responses {
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// When they go alone, if nothing else takes them along.
    pub(super) const fn due_at(&self) -> Option<Instant> {
        self.due_at
    }

    /// Puts a record in, due at `due_at`. An acknowledgement takes the place of an older one of the same message, and
    /// any record of an equal one. Where 255 wait, the oldest is dropped: the peer asks again.
    //= SMP121-O17
    pub(super) fn push(&mut self, response: Response, due_at: Instant) {
        self.due_at = Some(self.due_at.map_or(due_at, |other| other.min(due_at)));
        let same = |other: &Response| {
            other.number == response.number
                && other.mailslot == response.mailslot
                && core::mem::discriminant(&other.action) == core::mem::discriminant(&response.action)
        };
        let mut is_in = false;
        self.records.retain_mut(|other| {
            let is_same = same(other);
            if is_same && !is_in {
                *other = response;
            }
            let stays = !is_same || !is_in;
            is_in |= is_same;
            stays
        });
        if is_in {
            return;
        }
        if self.records.len() >= RESPONSE_COUNT_MAX {
            self.records.pop_front();
        }
        self.records.push_back(response);
    }

    /// Puts an acknowledgement in that says again what was said, since something came that was not next. As many as show a
    /// loss are kept, although they are equal: the peer counts them, and they may go in one datagram.
    //= SMP121-R-C
    pub(super) fn push_again(&mut self, response: Response, due_at: Instant) {
        let equal_count = self.records.iter().filter(|other| **other == response).count();
        if equal_count == 0 {
            return self.push(response, due_at);
        }
        self.due_at = Some(self.due_at.map_or(due_at, |other| other.min(due_at)));
        if equal_count <= to_usize(DUPLICATES_MAX) && self.records.len() < RESPONSE_COUNT_MAX {
            self.records.push_back(response);
        }
    }

    /// Takes back acknowledgements of this message: its reply says as much.
    //= SMP121-R-B
    pub(super) fn forget_ack(&mut self, number: u32, mailslot: u16) {
        if self.records.is_empty() {
            return;
        }
        self.records.retain(|record| {
            record.number != number || record.mailslot != mailslot || !matches!(record.action, Action::Accepted { .. })
        });
        if self.records.is_empty() {
            self.due_at = None;
        }
    }

    /// Octets of the records that fit into `room_len` octets.
    pub(super) fn fitting_len(&mut self, room_len: usize) -> usize {
        self.fitting(room_len).iter().map(Response::encoded_len).sum()
    }

    /// The records that fit into `room_len` octets, oldest first.
    pub(super) fn fitting(&mut self, room_len: usize) -> &[Response] {
        let mut left_len = room_len;
        let records = self.records.make_contiguous();
        let count = records
            .iter()
            .take(RESPONSE_COUNT_MAX)
            .take_while(|record| match left_len.checked_sub(record.encoded_len()) {
                Some(left) => {
                    left_len = left;
                    true
                }
                None => false,
            })
            .count();
        records.get(..count).unwrap_or_default()
    }

    /// `count` records were sent.
    pub(super) fn sent(&mut self, count: usize) {
        self.records.drain(..count.min(self.records.len()));
        if self.records.is_empty() {
            self.due_at = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn ack(number: u32, offset: u32) -> Response {
        Response { number, mailslot: 1, action: Action::Accepted { offset } }
    }

    fn at(ms: u64) -> Instant {
        Instant::from_epoch(Duration::from_millis(ms))
    }

    #[test]
    fn a_newer_acknowledgement_replaces_an_older_one_and_the_earliest_deadline_stays() {
        let mut responses = Responses::default();
        responses.push(ack(1, 10), at(20));
        responses.push(ack(2, 5), at(10));
        responses.push(ack(1, 30), at(30));
        assert_eq!(responses.fitting(1000), [ack(1, 30), ack(2, 5)]);
        assert_eq!(responses.due_at(), Some(at(10)));
    }

    #[test]
    fn as_many_go_as_fit_and_the_rest_stays_due() {
        let mut responses = Responses::default();
        for number in 0..3 {
            responses.push(ack(number, 1), at(1));
        }
        assert_eq!(responses.fitting(35).len(), 2);
        responses.sent(2);
        assert_eq!(responses.fitting(12), [ack(2, 1)]);
        assert_eq!(responses.due_at(), Some(at(1)));
        responses.sent(1);
        assert_eq!(responses.due_at(), None);
    }

    //= SMP121-O17
    #[test]
    fn no_more_than_255_wait() {
        let mut responses = Responses::default();
        for number in 0..256 {
            responses.push(ack(number, 1), at(1));
        }
        let fitting = responses.fitting(usize::MAX);
        assert_eq!((fitting.len(), fitting[0].number), (255, 1));
    }

    //= SMP121-R-C
    #[test]
    fn as_many_repetitions_as_show_a_loss_go_together_and_a_newer_acknowledgement_replaces_them_all() {
        let mut responses = Responses::default();
        responses.push(ack(2, 7), at(20));
        for _ in 0..9 {
            responses.push_again(ack(1, 10), at(10));
        }
        assert_eq!(responses.fitting(1000), [ack(2, 7), ack(1, 10), ack(1, 10), ack(1, 10), ack(1, 10)]);
        assert_eq!(responses.due_at(), Some(at(10)));
        responses.push(ack(1, 20), at(30));
        assert_eq!(responses.fitting(1000), [ack(2, 7), ack(1, 20)]);
    }

    //= SMP121-R-B
    #[test]
    fn a_reply_takes_the_acknowledgement_back() {
        let mut responses = Responses::default();
        responses.push(ack(1, 10), at(20));
        responses.forget_ack(1, 2);
        assert!(!responses.is_empty());
        responses.forget_ack(1, 1);
        assert!(responses.is_empty() && responses.due_at().is_none());
    }
}
