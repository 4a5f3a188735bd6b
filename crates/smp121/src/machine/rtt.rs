//! How long a round trip takes, and how long to wait before sending again (RFC 6298).

use crate::Profile;
use std::time::Duration;

/// However slow a path, nothing waits longer than this before it is sent again.
const RTO_MAX: Duration = Duration::from_secs(60);

/// How much longer than a round trip a time-out is at least: the peer may keep an acknowledgement back for a while.
const ACK_DELAY: Duration = Duration::from_millis(50);

/// The clock of deadlines ticks at most this coarsely.
const GRANULARITY: Duration = Duration::from_millis(1);

/// How long a peer may keep the acknowledgement of a part back: what is usual here, and a little more.
const PEER_DELAY: Duration = Duration::from_millis(25);

/// How long it may take over one that it does not keep back.
const PEER_DELAY_MIN: Duration = Duration::from_millis(5);

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RttEstimator {
    /// Smoothed round trip and its variation.
    smoothed: Option<(Duration, Duration)>,
}

impl RttEstimator {
    /// Takes a round trip of a segment that was sent once (Karn).
    pub(super) fn sample(&mut self, rtt: Duration) {
        self.smoothed = Some(match self.smoothed {
            None => (rtt, rtt / 2),
            Some((srtt, rttvar)) => ((srtt * 7 + rtt) / 8, (rttvar * 3 + srtt.abs_diff(rtt)) / 4),
        });
    }

    /// The smoothed round trip; zero before the first sample.
    pub(super) fn srtt(&self) -> Duration {
        self.smoothed.map_or(Duration::ZERO, |(srtt, _)| srtt)
    }

    /// True after the first sample.
    pub(super) const fn is_known(&self) -> bool {
        self.smoothed.is_some()
    }

    /// How long an acknowledgement of parts may take, `probes_count` times doubled: as the time-out, without its floor, and
    /// with the delay that the peer may add (RFC 8985, section 7). That is short where the peer lacks something, since it
    /// says so at once.
    pub(super) fn probe_wait(&self, probes_count: u32, is_recovering: bool) -> Duration {
        let (srtt, rttvar) = self.smoothed.unwrap_or_default();
        let peer_delay = if is_recovering { PEER_DELAY_MIN } else { PEER_DELAY };
        (srtt + GRANULARITY.max(rttvar * 4) + peer_delay).saturating_mul(1 << probes_count.min(16))
    }

    /// How long to wait before sending again, `backoff` times doubled.
    //= SMP121-A21
    pub(super) fn rto(&self, profile: &Profile, backoff: u32) -> Duration {
        let rto = self.smoothed.map_or(profile.rto_initial, |(srtt, rttvar)| srtt + ACK_DELAY.max(rttvar * 4));
        let doubled = rto.max(profile.rto_min).saturating_mul(1 << backoff.min(profile.backoff_max).min(16));
        doubled.min(RTO_MAX.max(profile.rto_min))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    //= SMP121-A21
    #[test]
    fn the_worked_rules_of_rfc_6298_hold() {
        let mut rtt = RttEstimator::default();
        assert_eq!(rtt.rto(&Profile::SPEC, 0), ms(1000), "before the first sample");
        rtt.sample(ms(400));
        assert_eq!(rtt.rto(&Profile::SPEC, 0), ms(400 + 4 * 200));
        rtt.sample(ms(480));
        // srtt 7/8 * 400 + 480 / 8 = 410, rttvar 3/4 * 200 + 80 / 4 = 170.
        assert_eq!((rtt.srtt(), rtt.rto(&Profile::SPEC, 0)), (ms(410), ms(410 + 4 * 170)));
    }

    #[test]
    fn waiting_doubles_up_to_a_bound_and_never_goes_below_the_profile() {
        let mut rtt = RttEstimator::default();
        rtt.sample(ms(1));
        assert_eq!(rtt.rto(&Profile::SPEC, 0), ms(200));
        assert_eq!(rtt.rto(&Profile::SPEC, 3), ms(1600));
        assert_eq!(rtt.rto(&Profile::SPEC, 6), rtt.rto(&Profile::SPEC, 60));
        assert_eq!(rtt.rto(&Profile::RDOS, 0), ms(3000));
        assert_eq!(rtt.rto(&Profile::RDOS, 9), ms(24_000));
        rtt.sample(Duration::from_secs(1000));
        assert_eq!(rtt.rto(&Profile::SPEC, 6), RTO_MAX);
    }
}
