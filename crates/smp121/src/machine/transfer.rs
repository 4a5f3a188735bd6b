//! A message on its way out: what was sent, what was acknowledged, what goes next.

use super::num::{to_u32, to_usize};
use crate::wire::Position;
use bytes::Bytes;
use std::ops::Range;
use std::time::Duration;
use wirekit::Instant;

/// Acknowledgements of the same offset that show a loss.
pub(super) const DUPLICATES_MAX: u32 = 3;

/// Probes before a time-out.
const PROBES_MAX: u32 = 3;

/// What the path tells about the meaning of an acknowledgement that repeats another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// How long nothing of the message must have been sent for one repetition to mean that something is missing.
    pub(super) quiet: Duration,
    /// How long after the first repetition what is missing may still come, overtaken by others.
    pub(super) reordering: Duration,
    /// Octets of a segment: about so many have arrived with each repetition.
    pub(super) segment_len: usize,
}

/// What an acknowledgement did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acked {
    /// It is older than another, or beyond the message.
    Stale,
    /// It says again what was said.
    Again,
    /// That again shows that the segment behind it is lost, which is sent anew at once.
    Lost,
    /// So many octets are new. The round trip, where one was measured.
    Advanced { len: usize, rtt: Option<Duration> },
}

/// A part to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NextPart {
    pub(super) position: Position,
    pub(super) range: Range<usize>,
    pub(super) is_last: bool,
    /// It was sent before.
    pub(super) is_again: bool,
}

/// The sending half of one message.
#[derive(Debug)]
pub(super) struct Transfer {
    message: Bytes,
    total: u32,
    /// Everything in front is acknowledged.
    acked: u32,
    /// Where new sending goes on; goes back when time is up.
    next: u32,
    /// The farthest that was ever sent.
    farthest: u32,
    /// Whether the first segment was ever sent: an empty message has no octets that say so.
    begun: bool,
    /// The first segment is to be sent once more, whatever was acknowledged.
    first_again: bool,
    /// The segment behind what was acknowledged is to be sent once more.
    edge_again: bool,
    /// Nothing is sent unless the peer asks for it, and nothing counts as in flight.
    is_parked: bool,
    /// Time-outs since anything was acknowledged. After the first the message has stalled: one segment a time-out goes, and
    /// nothing counts as in flight, so that it holds up no other message to the same peer.
    timeouts_count: u32,
    /// How often the peer asked, a while after anything was sent, for what it lacks, since anything was acknowledged.
    asked_count: u32,
    /// When the segment went that timed out first, or was first asked for in vain.
    stalled_at: Instant,
    duplicate_count: u32,
    /// When the first of those came.
    gap_seen_at: Instant,
    /// When a segment was last sent again because later ones had arrived, if nothing was acknowledged since.
    fast_resent_at: Option<Instant>,
    /// Octets that seem to have arrived behind the gap, as repetitions tell: they are not in flight any more.
    arrived_len: u32,
    /// Probes since anything was acknowledged.
    probes_count: u32,
    /// In recovery from a loss until this is acknowledged (RFC 6582).
    recover: Option<u32>,
    /// A segment whose round trip is being measured: its end, and when it went.
    probe: Option<(u32, Instant)>,
    /// When anything of it was last sent.
    sent_at: Instant,
}

impl Transfer {
    /// A message of at most 2^32 - 1 octets, which the caller has checked.
    pub(super) fn new(message: Bytes, now: Instant) -> Self {
        let total = to_u32(message.len());
        Self {
            message,
            total,
            acked: 0,
            next: 0,
            farthest: 0,
            begun: false,
            first_again: false,
            edge_again: false,
            is_parked: false,
            timeouts_count: 0,
            asked_count: 0,
            stalled_at: now,
            duplicate_count: 0,
            gap_seen_at: now,
            fast_resent_at: None,
            arrived_len: 0,
            probes_count: 0,
            recover: None,
            probe: None,
            sent_at: now,
        }
    }

    pub(super) const fn message(&self) -> &Bytes {
        &self.message
    }

    pub(super) fn into_message(self) -> Bytes {
        self.message
    }

    pub(super) const fn total(&self) -> u32 {
        self.total
    }

    pub(super) const fn sent_at(&self) -> Instant {
        self.sent_at
    }

    /// True where anything was sent.
    pub(super) const fn is_begun(&self) -> bool {
        self.begun
    }

    /// True where everything was sent at least once.
    pub(super) const fn is_sent(&self) -> bool {
        self.begun && self.farthest == self.total
    }

    /// Octets that are not acknowledged, sent or not.
    pub(super) fn unacked_len(&self) -> usize {
        to_usize(self.total - self.acked)
    }

    /// Octets sent and not acknowledged.
    pub(super) fn flight_len(&self) -> usize {
        if self.is_parked || self.is_stalled() {
            return 0;
        }
        to_usize(self.next.saturating_sub(self.acked).saturating_sub(self.arrived_len))
    }

    const fn is_stalled(&self) -> bool {
        self.timeouts_count > 0
    }

    /// When the segment went that timed out first, or was first asked for in vain, since anything was acknowledged.
    pub(super) const fn stalled_at(&self) -> Instant {
        self.stalled_at
    }

    pub(super) const fn wants_to_send(&self) -> bool {
        let has_new = !self.is_stalled() && (self.next < self.total || !self.begun);
        !self.is_parked && (self.is_urgent() || has_new)
    }

    /// True where what is to be sent is not new: the window was not made for it.
    pub(super) const fn is_urgent(&self) -> bool {
        self.first_again || self.edge_again
    }

    /// The part that goes next, of at most `len_max` octets.
    pub(super) fn next_part(&self, len_max: usize) -> NextPart {
        let start = if self.first_again {
            0
        } else if self.edge_again {
            self.acked
        } else {
            self.next
        };
        let len = to_usize(self.total - start).min(len_max);
        let end = start + to_u32(len);
        NextPart {
            position: if start == 0 { Position::First { total: self.total } } else { Position::At { offset: start } },
            range: to_usize(start)..to_usize(end),
            is_last: end == self.total,
            is_again: self.begun && (start < self.farthest || self.total == 0 || self.is_urgent()),
        }
    }

    /// A part was sent, as [`next_part`](Self::next_part) gave it.
    pub(super) fn on_sent(&mut self, part: &NextPart, now: Instant) {
        let end = to_u32(part.range.end);
        let was_urgent = self.is_urgent();
        if self.first_again {
            self.first_again = false;
        } else if self.edge_again {
            self.edge_again = false;
        }
        if !was_urgent || to_u32(part.range.start) <= self.next {
            self.next = self.next.max(end);
        }
        if part.is_again {
            // Whose acknowledgement will come cannot be told (Karn).
            self.probe = None;
        } else if self.probe.is_none() {
            self.probe = Some((end, now));
        }
        self.begun = true;
        self.farthest = self.farthest.max(end);
        self.sent_at = now;
    }

    /// Everything in front of `offset` has arrived.
    //= SMP121-R-C, SMP121-R-G
    pub(super) fn on_ack(&mut self, offset: u32, now: Instant, patience: Patience) -> Acked {
        if offset > self.farthest || offset < self.acked {
            return Acked::Stale;
        }
        if offset == self.acked {
            return self.on_duplicate(now, patience);
        }
        self.unpark();
        let len = to_usize(offset - self.acked);
        self.acked = offset;
        self.next = self.next.max(offset);
        // With the gap, what had arrived behind it is acknowledged.
        self.arrived_len = self.arrived_len.saturating_sub(to_u32(len));
        self.timeouts_count = 0;
        self.asked_count = 0;
        self.duplicate_count = 0;
        self.fast_resent_at = None;
        self.probes_count = 0;
        self.edge_again = false;
        match self.recover {
            Some(recover) if offset >= recover => {
                self.recover = None;
                self.arrived_len = 0;
            }
            // A partial acknowledgement: the segment behind it is lost too.
            Some(_) => self.edge_again = offset < self.total,
            None => {}
        }
        let rtt = self.probe.filter(|(end, _)| *end <= offset).map(|(_, sent_at)| now.saturating_since(sent_at));
        if rtt.is_some() {
            self.probe = None;
        }
        Acked::Advanced { len, rtt }
    }

    fn on_duplicate(&mut self, now: Instant, patience: Patience) -> Acked {
        if self.farthest == self.acked {
            return Acked::Again;
        }
        // One segment at least is in flight: the one that is missing.
        let most_len = self.next.saturating_sub(self.acked).saturating_sub(to_u32(patience.segment_len).max(1));
        self.arrived_len = self.arrived_len.saturating_add(to_u32(patience.segment_len)).min(most_len);
        let is_quiet = now.saturating_since(self.sent_at) >= patience.quiet;
        if !is_quiet {
            if self.flight_len() == 0 || self.recover.is_some() {
                return Acked::Again;
            }
            if self.duplicate_count == 0 {
                self.gap_seen_at = now;
            }
            self.duplicate_count += 1;
            if now.saturating_since(self.gap_seen_at) < patience.reordering {
                return Acked::Again;
            }
            // Fewer will do where not so many segments are behind the gap that could draw them (RFC 5827).
            let behind_len = self.next.saturating_sub(self.acked).saturating_sub(1);
            let behind_count = behind_len / to_u32(patience.segment_len).max(1);
            if self.duplicate_count < DUPLICATES_MAX.min(behind_count.max(1)) {
                return Acked::Again;
            }
        }
        self.unpark();
        if is_quiet {
            self.on_asked(now);
        }
        self.fast_resent_at = Some(now);
        self.recover = Some(self.farthest);
        self.edge_again = true;
        self.probe = None;
        self.duplicate_count = 0;
        Acked::Lost
    }

    /// When a segment was last sent again because later ones had arrived, if nothing was acknowledged since.
    pub(super) const fn fast_resent_at(&self) -> Option<Instant> {
        self.fast_resent_at
    }

    /// True where a loss is known and not made up for yet.
    pub(super) const fn is_recovering(&self) -> bool {
        self.recover.is_some()
    }

    /// True where a lost segment may be found out before time is up, and how often that was tried.
    pub(super) fn probes_left(&self) -> Option<u32> {
        let is_in_flight = !self.is_parked && !self.is_stalled() && self.next > self.acked;
        (is_in_flight && self.probes_count < PROBES_MAX).then_some(self.probes_count)
    }

    /// An acknowledgement is overdue: the first segment that is not acknowledged goes again, and nothing else changes. False
    /// where a loss was known already.
    //= SMP121-R-C
    pub(super) const fn send_probe(&mut self) -> bool {
        let is_news = self.recover.is_none();
        self.probes_count = self.probes_count.saturating_add(1);
        self.recover = Some(self.farthest);
        self.edge_again = self.acked < self.total;
        self.probe = None;
        self.duplicate_count = 0;
        is_news
    }

    /// Time is up: the first segment that is not acknowledged goes again, and behind it, once that is, all others. Says how
    /// often time was up in a row.
    //= SMP121-R-C
    pub(super) const fn on_timeout(&mut self) -> u32 {
        if self.timeouts_count == 0 && self.asked_count == 0 {
            self.stalled_at = self.sent_at;
        }
        self.next = self.acked;
        self.arrived_len = 0;
        self.probe = None;
        self.recover = None;
        self.duplicate_count = 0;
        self.edge_again = self.acked < self.total;
        self.first_again = !self.edge_again;
        self.timeouts_count = self.timeouts_count.saturating_add(1);
        self.timeouts_count
    }

    /// The peer acknowledged more than `offset`.
    pub(super) const fn has_acked_beyond(&self, offset: u32) -> bool {
        self.acked > offset
    }

    /// The peer had more of it than `offset`, and has no more.
    pub(super) fn rewind(&mut self, offset: u32) {
        self.acked = self.acked.min(offset);
        self.next = self.acked;
        self.arrived_len = 0;
        self.timeouts_count = 0;
        self.recover = None;
        self.probe = None;
    }

    /// Enough was sent unasked.
    pub(super) const fn park(&mut self) {
        self.is_parked = true;
    }

    /// The peer is there after all: everything that it did not acknowledge goes again.
    fn unpark(&mut self) {
        if core::mem::take(&mut self.is_parked) {
            self.next = self.acked;
            self.arrived_len = 0;
            self.timeouts_count = 0;
        }
    }

    /// The peer does not have, or may not have, the first segment, or is to say what it has.
    pub(super) const fn ask_again(&mut self) {
        self.first_again = true;
        self.probe = None;
    }

    /// How often the peer asked in vain for the segment behind what it acknowledged.
    pub(super) const fn asked_count(&self) -> u32 {
        self.asked_count
    }

    /// Questions that come before one was answered are one.
    const fn on_asked(&mut self, now: Instant) {
        if self.is_urgent() {
            return;
        }
        if self.timeouts_count == 0 && self.asked_count == 0 {
            self.stalled_at = now;
        }
        self.asked_count = self.asked_count.saturating_add(1);
    }

    /// The peer asks for what it lacks, a while after anything was sent.
    //= SMP121-R-G, SMP121-A34
    pub(super) fn answer(&mut self, now: Instant) {
        self.on_asked(now);
        self.resend_edge();
    }

    /// What the peer lacks goes again: the segment behind what it acknowledged, or the first.
    pub(super) fn resend_edge(&mut self) {
        self.unpark();
        if self.total == 0 {
            self.first_again = true;
        } else {
            self.edge_again = self.acked < self.total;
        }
        self.probe = None;
    }

    /// Everything arrived, as something else than an acknowledgement shows. Says how many octets that is news of.
    //= SMP121-R-B
    pub(super) fn finish(&mut self) -> usize {
        let len = to_usize(self.total - self.acked);
        self.acked = self.total;
        self.next = self.total;
        self.arrived_len = 0;
        self.farthest = self.total;
        self.begun = true;
        self.timeouts_count = 0;
        self.first_again = false;
        self.edge_again = false;
        self.recover = None;
        self.probe = None;
        len
    }
}

#[cfg(test)]
mod tests;
