//! What a fan-out may be told.

use crate::wire::FRAME_HEADER_LEN;
use crate::{ARGC_MAX, ConfigError};

/// Bounds on what the receivers can make grow. Memory is at most `receiver_count_max * queue_len_max` octets, and payload
/// that several receivers wait for is there once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FanOutLimits {
    /// Octets that wait for one receiver, headers and LENGTHs counted. Default 1 MiB, at least one unit of the greatest
    /// size. Past it the receiver's policy decides.
    pub queue_len_max: usize,
    /// Units that wait for one receiver. Default 1,024, at least 1. Past it the receiver's policy decides.
    pub queue_count_max: usize,
    /// Receivers at once. Default 4,096, at least 1. One more is refused.
    pub receiver_count_max: usize,
    /// Messages of frames that are open at once. Default 64, 1 to 65,536. One more is refused.
    pub open_messages_max: usize,
}

impl Default for FanOutLimits {
    fn default() -> Self {
        Self { queue_len_max: 1 << 20, queue_count_max: 1024, receiver_count_max: 4096, open_messages_max: 64 }
    }
}

/// The settings of one [`FanOut`](super::FanOut), checked together by [`FanOutConfigBuilder::build`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FanOutConfig {
    pub(super) max_message_size: usize,
    pub(super) limits: FanOutLimits,
}

impl Default for FanOutConfig {
    fn default() -> Self {
        Self { max_message_size: 1493, limits: FanOutLimits::default() }
    }
}

impl FanOutConfig {
    /// Settings to change before use.
    pub fn builder() -> FanOutConfigBuilder {
        FanOutConfigBuilder(Self::default())
    }

    /// The most octets of ARGUMENTS in a unit.
    #[must_use]
    pub const fn max_message_size(&self) -> usize {
        self.max_message_size
    }

    /// The limits.
    #[must_use]
    pub const fn limits(&self) -> &FanOutLimits {
        &self.limits
    }
}

/// Collects settings; [`build`](Self::build) checks them together, so their order does not matter.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct FanOutConfigBuilder(FanOutConfig);

impl FanOutConfigBuilder {
    /// MAX-MESSAGE-SIZE for all receivers, in octets of ARGUMENTS. Default 1,493; 31 to 983,055.
    pub const fn with_max_message_size(mut self, octets: usize) -> Self {
        self.0.max_message_size = octets;
        self
    }

    /// The limits. Each field of [`FanOutLimits`] says its default, range and what happens past it.
    pub const fn with_limits(mut self, limits: FanOutLimits) -> Self {
        self.0.limits = limits;
        self
    }

    /// The settings, checked.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first setting that cannot be. Nothing is clamped.
    pub fn build(self) -> Result<FanOutConfig, ConfigError> {
        let FanOutConfig { max_message_size, limits } = self.0;
        let refuse = |field, reason| Err(ConfigError { field, reason });
        if max_message_size < 2 * ARGC_MAX + 1 {
            return refuse("max_message_size", "less than 31 octets leave no room for payload beside 15 LENGTHs");
        }
        if max_message_size > ARGC_MAX * 65_537 {
            return refuse("max_message_size", "no unit has more than 983,055 octets of arguments");
        }
        if limits.queue_len_max < max_message_size + FRAME_HEADER_LEN {
            return refuse("limits.queue_len_max", "less than one frame: max_message_size and 7");
        }
        if limits.queue_count_max == 0 {
            return refuse("limits.queue_count_max", "0 would drop everything");
        }
        if limits.receiver_count_max == 0 {
            return refuse("limits.receiver_count_max", "0 would refuse everybody");
        }
        if !(1..=65_536).contains(&limits.open_messages_max) {
            return refuse("limits.open_messages_max", "there are 1 to 65,536 IDs");
        }
        Ok(self.0)
    }
}
