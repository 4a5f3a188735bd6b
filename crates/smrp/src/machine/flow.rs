//! Credit of the session and of streams, and how wide windows are.

use super::SessionMachine;
use super::stream::Stream;
use crate::trace::Observed;
use crate::wire::Frame;
use core::time::Duration;
use wirekit::Instant;

/// Credit of the session, both ways.
#[derive(Debug)]
pub(crate) struct Credit {
    /// Octets of data sent.
    pub(crate) sent: u64,
    /// Octets that may be sent.
    pub(crate) max: u64,
    /// Octets of data that came.
    pub(crate) received: u64,
    /// Octets that were taken or given back.
    pub(crate) taken: u64,
    /// Octets of what is not whole yet, of all streams.
    pub(crate) incomplete: u64,
    /// Octets that the peer was told it may send.
    pub(crate) told: u64,
    pub(crate) window: u64,
    pub(crate) floor: u64,
    pub(crate) granted_at: Instant,
    /// The peer was told that we are blocked at this.
    pub(crate) blocked_at: Option<u64>,
}

impl Credit {
    pub(crate) fn new(max: u64, window: u64, now: Instant) -> Self {
        Self {
            sent: 0,
            max,
            received: 0,
            taken: 0,
            incomplete: 0,
            told: window,
            window,
            floor: window,
            granted_at: now,
            blocked_at: None,
        }
    }

    pub(crate) fn room(&self) -> u64 {
        self.max.saturating_sub(self.sent)
    }
}

/// The widest window of messages; their octets have a window of their own beside it.
const MESSAGES_MAX: u64 = 1 << 14;

/// A window after a grant: wider where it was used up fast, narrower where it hardly was.
//= SMRP-FC8
fn adjusted(window: u64, floor: u64, ceiling: u64, since: Duration, rtt: Option<Duration>) -> u64 {
    let rtt = rtt.unwrap_or(Duration::from_millis(50));
    let idle = (rtt * 8).max(Duration::from_secs(2));
    if since < rtt * 2 {
        window.saturating_mul(2).min(ceiling)
    } else if since > idle {
        (window / 2).max(floor)
    } else {
        window
    }
}

impl SessionMachine {
    /// Counts octets of data that came; false where they pass the session's credit.
    //= SMRP-FC1, SMRP-FC2
    pub(super) fn count_received(&mut self, len: usize) -> bool {
        self.credit.received = self.credit.received.saturating_add(len as u64);
        self.credit.received <= self.credit.told
    }

    /// Octets of the session that were taken, or that nobody will take.
    //= SMRP-FC4, SMRP-FC6
    pub(super) fn give_back(&mut self, now: Instant, len: u64) {
        self.credit.taken += len;
        self.grant_session(now);
    }

    //= SMRP-FC7
    pub(super) fn grant_session(&mut self, now: Instant) {
        let ceiling = self.config.limits.session_window_max;
        let credit = &self.credit;
        let target = credit.taken.saturating_add(credit.incomplete).saturating_add(credit.window);
        if target < credit.told.saturating_add(credit.window / 2) || self.end.is_some() {
            return;
        }
        let since = now.saturating_since(credit.granted_at);
        let window = adjusted(credit.window, credit.floor, ceiling, since, self.rtt);
        let window = self.window_within_budget(window);
        let credit = &mut self.credit;
        credit.window = window;
        credit.granted_at = now;
        let octets = credit.taken.saturating_add(credit.incomplete).saturating_add(credit.window);
        if octets > credit.told {
            credit.told = octets;
            let (direction, messages, window) = ("given", None, Some(window));
            self.observe(|| Observed::CreditUpdated { direction, stream: None, octets, messages, window });
            self.put_control(&Frame::MaxData { octets });
        }
    }

    /// The same for a stream.
    pub(super) fn grant_stream(&mut self, now: Instant, id: crate::StreamId) {
        let (rtt, ceiling) = (self.rtt, self.stream_window_max());
        let floor = (self.ours.init_max_stream, self.ours.init_max_msgs);
        let Some(stream) = self.table.get_mut(id) else { return };
        let Some(frame) = grant(stream, now, rtt, ceiling, floor) else { return };
        let (direction, window) = ("given", Some(stream.recv.window));
        if let Frame::MaxStream { octets, messages, .. } = frame {
            self.observe(|| Observed::CreditUpdated { direction, stream: Some(id), octets, messages, window });
        }
        self.put_control(&frame);
    }

    pub(super) fn put_control(&mut self, frame: &Frame) {
        if self.end.is_some() {
            return;
        }
        self.stats.frames_sent += 1;
        frame.encode(&mut self.control);
    }
}

fn grant(
    stream: &mut Stream,
    now: Instant,
    rtt: Option<Duration>,
    ceiling: Option<u64>,
    (floor, floor_messages): (u64, u64),
) -> Option<Frame> {
    let recv = &mut stream.recv;
    if recv.has_ended || recv.state != super::stream::RecvState::Open {
        return None;
    }
    let target = recv.taken.saturating_add(recv.incomplete).saturating_add(recv.window);
    let wants_octets = target >= recv.max.saturating_add(recv.window / 2);
    let wants_messages = recv.messages.as_ref().is_some_and(|messages| {
        messages.taken.saturating_add(messages.window) >= messages.max.saturating_add(messages.window.div_ceil(2))
    });
    if !wants_octets && !wants_messages {
        return None;
    }
    let since = now.saturating_since(recv.granted_at);
    recv.granted_at = now;
    if wants_octets {
        // Without a ceiling there is the floor alone.
        recv.window = ceiling.map_or(floor, |ceiling| adjusted(recv.window, floor, ceiling, since, rtt));
    }
    if let Some(messages) = recv.messages.as_mut().filter(|_| wants_messages) {
        let widest = MESSAGES_MAX.max(floor_messages);
        messages.window =
            ceiling.map_or(floor_messages, |_| adjusted(messages.window, floor_messages, widest, since, rtt));
    }
    let before = (recv.max, recv.messages.as_ref().map(|messages| messages.max));
    recv.max = recv.max.max(recv.taken.saturating_add(recv.incomplete).saturating_add(recv.window));
    let messages = recv.messages.as_mut().map(|messages| {
        messages.max = messages.max.max(messages.taken.saturating_add(messages.window));
        messages.max
    });
    // Where the window became narrower, the limit may be as it was: the peer would only charge us for it.
    if before == (recv.max, messages) {
        return None;
    }
    Some(Frame::MaxStream { stream: stream.id, octets: recv.max, messages })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_grow_by_use_and_shrink_by_idleness_between_their_bounds() {
        //= SMRP-FC8
        let ms = Duration::from_millis;
        let rtt = Some(ms(10));
        assert_eq!(adjusted(100, 100, 300, ms(19), rtt), 200);
        assert_eq!(adjusted(200, 100, 300, ms(19), rtt), 300, "the ceiling");
        assert_eq!(adjusted(200, 100, 300, ms(20), rtt), 200);
        assert_eq!(adjusted(200, 100, 300, ms(2_000), rtt), 200);
        assert_eq!(adjusted(200, 100, 300, ms(2_001), rtt), 100);
        assert_eq!(adjusted(150, 100, 300, ms(9_000), rtt), 100, "the floor");
        assert_eq!(adjusted(200, 100, 300, ms(2_001), Some(ms(500))), 200, "eight round trips are longer");
    }
}
