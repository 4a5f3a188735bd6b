//! How much may be in flight to a peer: the congestion control of TCP (RFC 5681, RFC 6582, RFC 6928), in octets, for all
//! messages to that peer together.

use std::time::Duration;
use wirekit::Instant;

//= SMP121-R-C, SMP121-A21
#[derive(Clone, Debug)]
pub(super) struct Congestion {
    window_len: usize,
    threshold_len: usize,
    flight_len: usize,
    segment_len: usize,
    window_len_max: usize,
    /// Octets acknowledged since the window last grew, in congestion avoidance.
    avoided_len: usize,
    /// When the window was last cut. Losses of what was sent before are the same loss.
    cut_at: Option<Instant>,
}

impl Congestion {
    pub(super) fn new(segment_len: usize, window_len_max: usize) -> Self {
        Self {
            window_len: initial_window(segment_len).min(window_len_max),
            threshold_len: usize::MAX,
            flight_len: 0,
            segment_len,
            window_len_max,
            avoided_len: 0,
            cut_at: None,
        }
    }

    pub(super) const fn flight_len(&self) -> usize {
        self.flight_len
    }

    #[cfg(test)]
    pub(super) const fn window_len(&self) -> usize {
        self.window_len
    }

    /// True where `len` more octets may go. One segment may always be in flight.
    pub(super) const fn has_room(&self, len: usize) -> bool {
        self.flight_len == 0 || self.flight_len.saturating_add(len) <= self.window_len
    }

    /// A message had `before` octets in flight and has `after`.
    pub(super) const fn moved(&mut self, before: usize, after: usize) {
        self.flight_len = self.flight_len.saturating_sub(before).saturating_add(after);
    }

    /// `len` octets were acknowledged for the first time. `used_len` were in flight before: a window that was not used does
    /// not grow.
    pub(super) fn on_acked(&mut self, len: usize, used_len: usize) {
        if used_len.saturating_mul(2) < self.window_len || len == 0 {
            return;
        }
        if self.window_len < self.threshold_len {
            // Slow start, at most two segments an acknowledgement.
            self.window_len += len.min(2 * self.segment_len);
        } else {
            self.avoided_len += len;
            if self.avoided_len >= self.window_len {
                self.avoided_len -= self.window_len;
                self.window_len += self.segment_len;
            }
        }
        self.window_len = self.window_len.min(self.window_len_max);
    }

    /// A segment that was sent at `sent_at` is lost, as later ones that arrived show: half the window.
    pub(super) fn on_loss(&mut self, now: Instant, sent_at: Instant) {
        if self.is_new(sent_at) {
            self.cut(now);
            self.window_len = self.threshold_len;
        }
    }

    /// Nothing came back in time: half the window to come, one segment now.
    pub(super) fn on_timeout(&mut self, now: Instant, sent_at: Instant) {
        if self.is_new(sent_at) {
            self.cut(now);
            self.window_len = self.segment_len;
        }
    }

    /// The path takes shorter segments only.
    pub(super) fn on_segment_len(&mut self, segment_len: usize) {
        self.segment_len = segment_len;
        self.window_len = self.window_len.max(segment_len);
    }

    /// Nothing was sent for longer than a retransmission timeout: what was learned about the path is old.
    pub(super) fn on_idle(&mut self, idle: Duration, rto: Duration) {
        if idle > rto && self.flight_len == 0 {
            self.window_len = self.window_len.min(initial_window(self.segment_len));
        }
    }

    fn is_new(&self, sent_at: Instant) -> bool {
        self.cut_at.is_none_or(|cut_at| sent_at > cut_at)
    }

    /// Not below what a new connection may send at once (RFC 6928), as each of many short ones would: with halves of small
    /// windows, a path that loses a tenth is as good as none. Time-outs still bring it down to one segment, and back off.
    fn cut(&mut self, now: Instant) {
        self.threshold_len = (self.flight_len / 2).max(initial_window(self.segment_len));
        self.avoided_len = 0;
        self.cut_at = Some(now);
    }
}

/// RFC 6928: ten segments, and not more than 14,600 octets unless two segments are.
fn initial_window(segment_len: usize) -> usize {
    (10 * segment_len).min((2 * segment_len).max(14_600))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_epoch(Duration::from_millis(ms))
    }

    //= SMP121-R-C
    #[test]
    fn the_window_doubles_in_slow_start_and_grows_by_a_segment_a_round_after() {
        let mut congestion = Congestion::new(1000, usize::MAX);
        assert_eq!(congestion.window_len(), 10_000);
        congestion.moved(0, 10_000);
        for _ in 0..5 {
            congestion.on_acked(2000, 10_000);
        }
        assert_eq!(congestion.window_len(), 20_000);
        congestion.moved(0, 10_000);
        congestion.on_loss(at(5), at(1));
        assert_eq!(congestion.window_len(), 10_000);
        for _ in 0..10 {
            congestion.on_acked(1000, 10_000);
        }
        assert_eq!(congestion.window_len(), 11_000);
    }

    #[test]
    fn one_round_of_losses_cuts_once_and_a_later_one_again() {
        let mut congestion = Congestion::new(1000, usize::MAX);
        congestion.moved(0, 64_000);
        congestion.on_loss(at(10), at(1));
        congestion.on_loss(at(11), at(9));
        assert_eq!(congestion.window_len(), 32_000);
        congestion.moved(64_000, 32_000);
        congestion.on_loss(at(20), at(15));
        assert_eq!(congestion.window_len(), 16_000);
    }

    #[test]
    fn single_losses_leave_what_any_new_connection_may_send() {
        let mut congestion = Congestion::new(1000, usize::MAX);
        congestion.moved(0, 12_000);
        congestion.on_loss(at(10), at(1));
        assert_eq!(congestion.window_len(), 10_000);
        congestion.on_timeout(at(20), at(15));
        assert_eq!(congestion.window_len(), 1000);
    }

    #[test]
    fn a_timeout_leaves_one_segment_and_one_may_always_go() {
        let mut congestion = Congestion::new(1000, usize::MAX);
        congestion.moved(0, 10_000);
        congestion.on_timeout(at(10), at(1));
        assert_eq!(congestion.window_len(), 1000);
        assert!(!congestion.has_room(1));
        congestion.moved(10_000, 0);
        assert!(congestion.has_room(1_000_000));
        congestion.moved(0, 400);
        assert!(congestion.has_room(600) && !congestion.has_room(601));
    }

    #[test]
    fn a_window_that_is_not_used_does_not_grow() {
        let mut congestion = Congestion::new(1000, usize::MAX);
        for _ in 0..100 {
            congestion.on_acked(64, 64);
        }
        assert_eq!(congestion.window_len(), 10_000);
    }
}
