//! How long a round trip takes, and how long to wait before sending again (RFC 6298).

use crate::Profile;
use std::time::Duration;

/// However slow a path, nothing waits longer than this before it is sent again.
const RTO_MAX: Duration = Duration::from_secs(60);

/// The clock of deadlines ticks at most this coarsely.
const GRANULARITY: Duration = Duration::from_millis(1);

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

    /// How long to wait before sending again, `backoff` times doubled.
    //= SMP121-A21
    pub(super) fn rto(&self, profile: &Profile, backoff: u32) -> Duration {
        let rto = self.smoothed.map_or(profile.rto_initial, |(srtt, rttvar)| srtt + GRANULARITY.max(rttvar * 4));
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
