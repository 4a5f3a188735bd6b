//! When a device tries again.

use core::time::Duration;

/// How long to wait between attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackoffConfig {
    /// The first pause, before jitter. Default 1 s.
    pub first: Duration,
    /// The longest pause, before jitter. Default 341.333 s.
    pub max: Duration,
    /// A link that was up at least this long was a good one, and the next pause is the first again. Default 30 s: a server
    /// that takes connections and ends them at once is not asked without pause.
    pub good_after: Duration,
}

impl Default for BackoffConfig {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), max: Duration::from_millis(341_333), good_after: Duration::from_secs(30) }
    }
}

/// Pauses that double, each one third shorter or longer by chance, so that many devices do not come back at once.
//= WRP-N12
#[derive(Clone, Debug)]
pub struct Backoff {
    config: BackoffConfig,
    next: Duration,
}

impl Backoff {
    /// Before the first attempt.
    #[must_use]
    pub const fn new(config: BackoffConfig) -> Self {
        Self { config, next: config.first }
    }

    /// How long to wait now, after an attempt that failed or a link that ended and had been up for `up`. `random` is any
    /// number, each as likely as the others.
    pub fn pause(&mut self, up: Duration, random: u32) -> Duration {
        if up >= self.config.good_after {
            self.next = self.config.first;
        }
        let pause = self.next.min(self.config.max);
        self.next = pause.saturating_mul(2).min(self.config.max);
        // From two thirds to four thirds.
        let third = pause / 3;
        third * 2 + third.mul_f64(2.0 * f64::from(random) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIDDLE: u32 = u32::MAX / 2;

    fn seconds(pause: Duration) -> f64 {
        (pause.as_secs_f64() * 10.0).round() / 10.0
    }

    //= WRP-N12
    #[test]
    fn pauses_double_up_to_the_longest_and_begin_again_after_a_good_link() {
        let mut backoff = Backoff::new(BackoffConfig::default());
        let mut pauses = || seconds(backoff.pause(Duration::ZERO, MIDDLE));
        let all: Vec<f64> = (0..12).map(|_| pauses()).collect();
        assert_eq!(all, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 341.3, 341.3, 341.3]);
        assert_eq!(seconds(backoff.pause(Duration::from_millis(29_999), MIDDLE)), 341.3);
        assert_eq!(seconds(backoff.pause(Duration::from_secs(30), MIDDLE)), 1.0);
        assert_eq!(seconds(backoff.pause(Duration::ZERO, MIDDLE)), 2.0);
    }

    //= WRP-N12
    #[test]
    fn chance_takes_or_adds_a_third_and_no_more() {
        for (random, wanted) in [(0, 0.666), (MIDDLE, 0.999), (u32::MAX, 1.333)] {
            let pause = Backoff::new(BackoffConfig::default()).pause(Duration::ZERO, random).as_secs_f64();
            assert!((wanted..wanted + 0.002).contains(&pause), "{random}: {pause}");
        }
    }
}
