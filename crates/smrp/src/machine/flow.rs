//! Credit of the session and of streams, and how wide windows are.

use super::SessionMachine;
use super::link::Stage;
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
    /// Samples of the round trip when it last grew.
    pub(crate) grown_at: u32,
    /// Since when `pace` is measured, and what had been taken then.
    paced_since: (Instant, u64),
    /// Octets that were taken in a round trip, when that was last measured.
    pace: u64,
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
            grown_at: 0,
            paced_since: (now, 0),
            pace: 0,
            blocked_at: None,
        }
    }

    /// Measures over a round trip or longer: what waits is often taken all at once, which looks fast for a moment.
    fn measure_pace(&mut self, now: Instant, rtt: Duration) {
        let (since, taken) = self.paced_since;
        let (elapsed, least) = (now.saturating_since(since), rtt.max(PACED_MIN));
        if elapsed < least {
            return;
        }
        self.paced_since = (now, self.taken);
        // Else there was a break in between.
        if elapsed <= least * 4 {
            let octets = u128::from(self.taken - taken) * rtt.as_nanos() / elapsed.as_nanos();
            self.pace = u64::try_from(octets).unwrap_or(u64::MAX);
        }
    }

    pub(crate) fn room(&self) -> u64 {
        self.max.saturating_sub(self.sent)
    }
}

/// The widest window of messages; their octets have a window of their own beside it.
const MESSAGES_MAX: u64 = 1 << 14;

/// What pings have measured.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RoundTrip {
    pub(crate) smoothed: Option<Duration>,
    /// The shortest one over this link.
    shortest: Option<Duration>,
    samples: u32,
}

/// The shortest time over which it is measured how fast data is taken.
const PACED_MIN: Duration = Duration::from_millis(10);
/// A round trip shorter than this is mostly the time that ends need to wake up, and seems longest when the session is new.
const SHORT_TRIP: Duration = Duration::from_millis(5);

impl RoundTrip {
    pub(crate) fn sample(&mut self, sample: Duration) {
        self.smoothed = Some(self.smoothed.map_or(sample, |rtt| (rtt * 7 + sample) / 8));
        self.shortest = Some(self.shortest.map_or(sample, |rtt| rtt.min(sample)));
        self.samples = self.samples.wrapping_add(1);
    }

    pub(crate) fn on_other_link(&mut self) {
        self.shortest = None;
    }

    fn shortest(&self) -> Duration {
        self.shortest.unwrap_or(Duration::from_millis(50))
    }

    /// A window after a grant, `since` after the one before: wider where it was used up within two round trips, narrower where it hardly was used.
    //= SMRP-FC8
    fn adjusted(&self, window: u64, (floor, ceiling): (u64, u64), since: Duration) -> u64 {
        let idle = (self.shortest() * 8).max(Duration::from_secs(2));
        if since < self.shortest() * 2 {
            window.saturating_mul(2).min(ceiling).max(window)
        } else if since > idle {
            (window / 2).max(floor)
        } else {
            window
        }
    }

    /// The same for octets: where the round trip is short, each doubling asks for another measurement, or windows would grow by what waits in them.
    //= SMRP-FC8
    fn adjusted_octets(&self, window: u64, bounds: (u64, u64), since: Duration, grown_at: &mut u32) -> (u64, Wants) {
        let next = self.adjusted(window, bounds, since);
        if next <= window {
            return (next, Wants::Nothing);
        }
        if *grown_at == self.samples && self.shortest() < SHORT_TRIP {
            return (window, Wants::Measurement);
        }
        *grown_at = self.samples;
        (next, Wants::Nothing)
    }
}

/// What a window needs before it grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wants {
    Nothing,
    Measurement,
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
        self.count_taken(now, len);
        self.grant_session(now);
    }

    pub(super) fn count_taken(&mut self, now: Instant, len: u64) {
        self.credit.taken += len;
        self.credit.measure_pace(now, self.rtt.shortest());
    }

    //= SMRP-FC7
    pub(super) fn grant_session(&mut self, now: Instant) {
        let credit = &self.credit;
        let ceiling = self.config.limits.session_window_max.min(credit.pace.saturating_mul(2));
        let target = credit.taken.saturating_add(credit.incomplete).saturating_add(credit.window);
        if target < credit.told.saturating_add(credit.window / 2) || self.end.is_some() {
            return;
        }
        let since = now.saturating_since(credit.granted_at);
        let credit = &mut self.credit;
        let bounds = (credit.floor, ceiling);
        let (window, wants) = self.rtt.adjusted_octets(credit.window, bounds, since, &mut credit.grown_at);
        if wants == Wants::Measurement {
            self.measure(now);
        }
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
        let (rtt, pace) = (self.rtt, self.credit.pace);
        let ceiling = self.stream_window_max().map(|ceiling| ceiling.min(pace.saturating_mul(2)));
        let floor = (self.ours.init_max_stream, self.ours.init_max_msgs);
        let Some(stream) = self.table.get_mut(id) else { return };
        let Some((frame, wants)) = grant(stream, now, rtt, ceiling, floor) else { return };
        let (direction, window) = ("given", Some(stream.recv.window));
        if let Frame::MaxStream { octets, messages, .. } = frame {
            self.observe(|| Observed::CreditUpdated { direction, stream: Some(id), octets, messages, window });
        }
        self.put_control(&frame);
        if wants == Wants::Measurement {
            self.measure(now);
        }
    }

    /// Pings, as often as the peer puts up with.
    fn measure(&mut self, now: Instant) {
        let least = Duration::from_millis(self.peer.min_ping_ms);
        if self.link.stage == Stage::Established && now.saturating_since(self.link.ping_at) >= least {
            self.send_ping(now);
        }
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
    rtt: RoundTrip,
    ceiling: Option<u64>,
    (floor, floor_messages): (u64, u64),
) -> Option<(Frame, Wants)> {
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
    let mut wants = Wants::Nothing;
    if wants_octets {
        // Without a ceiling there is the floor alone.
        (recv.window, wants) = ceiling.map_or((floor, wants), |ceiling| {
            rtt.adjusted_octets(recv.window, (floor, ceiling), since, &mut recv.grown_at)
        });
    }
    if let Some(messages) = recv.messages.as_mut().filter(|_| wants_messages) {
        let widest = MESSAGES_MAX.max(floor_messages);
        messages.window =
            ceiling.map_or(floor_messages, |_| rtt.adjusted(messages.window, (floor_messages, widest), since));
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
    Some((Frame::MaxStream { stream: stream.id, octets: recv.max, messages }, wants))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn round_trip(samples: &[u64]) -> RoundTrip {
        let mut rtt = RoundTrip::default();
        samples.iter().for_each(|sample| rtt.sample(ms(*sample)));
        rtt
    }

    #[test]
    fn windows_grow_by_use_and_shrink_by_idleness_between_their_bounds() {
        //= SMRP-FC8
        let rtt = round_trip(&[10]);
        let bounds = (100, 300);
        assert_eq!(rtt.adjusted(100, bounds, ms(19)), 200);
        assert_eq!(rtt.adjusted(200, bounds, ms(19)), 300, "the ceiling");
        assert_eq!(rtt.adjusted(400, bounds, ms(19)), 400, "a ceiling that came down takes nothing back");
        assert_eq!(rtt.adjusted(200, bounds, ms(20)), 200);
        assert_eq!(rtt.adjusted(200, bounds, ms(2_000)), 200);
        assert_eq!(rtt.adjusted(200, bounds, ms(2_001)), 100);
        assert_eq!(rtt.adjusted(150, bounds, ms(9_000)), 100, "the floor");
        assert_eq!(round_trip(&[500]).adjusted(200, bounds, ms(2_001)), 200, "eight round trips are longer");
    }

    #[test]
    fn the_shortest_round_trip_over_a_link_counts() {
        //= SMRP-FC8
        let mut rtt = round_trip(&[90, 10, 50]);
        assert_eq!((rtt.shortest(), rtt.smoothed), (ms(10), Some(Duration::from_micros(76_250))));
        rtt.on_other_link();
        rtt.sample(ms(70));
        assert_eq!(rtt.shortest(), ms(70));
    }

    #[test]
    fn a_pace_is_measured_over_a_round_trip_at_least_and_not_over_breaks() {
        //= SMRP-FC8
        let at = |millis| Instant::from_epoch(ms(millis));
        let mut credit = Credit::new(0, 1_000, at(0));
        let mut taken = |octets: u64, millis, rtt| {
            credit.taken += octets;
            credit.measure_pace(at(millis), ms(rtt));
            credit.pace
        };
        assert_eq!(taken(5_000, 9, 2), 0, "too soon");
        assert_eq!(taken(5_000, 10, 2), 2_000, "10,000 in 10 ms, so 2,000 in a round trip of 2 ms");
        assert_eq!(taken(9_999, 19, 2), 2_000, "a burst");
        assert_eq!(taken(1, 50, 2), 500, "10,000 in 40 ms");
        assert_eq!(taken(10_000, 91, 2), 500, "a break");
        assert_eq!(taken(3_000, 391, 100), 1_000, "3,000 in 300 ms");
    }

    #[test]
    fn where_the_round_trip_is_short_each_doubling_asks_for_another_measurement() {
        //= SMRP-FC8
        let (bounds, mut grown_at) = ((100, 1_000), 0);
        let mut rtt = RoundTrip::default();
        assert_eq!(rtt.adjusted_octets(100, bounds, ms(1), &mut grown_at), (200, Wants::Nothing), "not known: 50 ms");
        rtt.sample(ms(4));
        assert_eq!(rtt.adjusted_octets(200, bounds, ms(3), &mut grown_at), (400, Wants::Nothing));
        assert_eq!(rtt.adjusted_octets(400, bounds, ms(3), &mut grown_at), (400, Wants::Measurement));
        assert_eq!(rtt.adjusted_octets(400, bounds, ms(8), &mut grown_at), (400, Wants::Nothing), "fast enough");
        rtt.sample(ms(9));
        assert_eq!(rtt.adjusted_octets(400, bounds, ms(3), &mut grown_at), (800, Wants::Nothing));
        let long = round_trip(&[5]);
        grown_at = 1;
        assert_eq!(long.adjusted_octets(400, bounds, ms(4), &mut grown_at), (800, Wants::Nothing), "5 ms is not short");
    }
}
