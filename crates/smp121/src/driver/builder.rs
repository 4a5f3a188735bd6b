//! How an endpoint is started.

use super::endpoint::Endpoint;
use super::error::StartError;
use crate::config::Addressing;
use crate::{Config, Limits, Profile, SEGMENT_LEN_DEFAULT, Timing};
use std::io;
use std::sync::Arc;
use wirekit::datagram::DatagramSocket;

/// Settings of an endpoint that takes what it can from the socket and the system: whether the checksum covers IP
/// addresses, the length of segments on each path, and the secret that connection numbers come from.
#[derive(Clone, Debug)]
pub struct EndpointBuilder {
    profile: Profile,
    limits: Limits,
    timing: Timing,
    segment_len_max: usize,
}

impl Default for EndpointBuilder {
    fn default() -> Self {
        Self {
            profile: Profile::SPEC,
            limits: Limits::default(),
            timing: Timing::default(),
            segment_len_max: SEGMENT_LEN_DEFAULT,
        }
    }
}

impl EndpointBuilder {
    /// How to treat peers that have no profile of their own. Default [`Profile::SPEC`].
    #[must_use]
    pub const fn with_profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// Bounds on what peers and the application can make grow.
    #[must_use]
    pub const fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Times.
    #[must_use]
    pub const fn with_timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// The longest segment in octets, 556 to 65,515, default 1,400. To a peer whose path takes less, shorter ones go. On
    /// the loopback interface, or where all hosts have long frames, long messages are faster with more: the most that goes
    /// over IPv4 is 65,515 on raw IP and 65,507 in UDP.
    #[must_use]
    pub const fn with_segment_len_max(mut self, len: usize) -> Self {
        self.segment_len_max = len;
        self
    }

    /// Starts the endpoint on a socket, with a task of its own in the runtime of the caller.
    ///
    /// # Errors
    /// [`StartError`]: a setting that cannot be, no random numbers, no tokio runtime.
    pub fn start(self, socket: impl DatagramSocket + 'static) -> Result<Endpoint, StartError> {
        self.start_shared(Arc::new(socket))
    }

    /// As [`start`](Self::start), for a socket that the caller keeps a share of. No other may receive on it.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_shared(self, socket: Arc<dyn DatagramSocket>) -> Result<Endpoint, StartError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| StartError::Random(io::Error::other(error)))?;
        let config = Config::builder(seed)
            .with_profile(self.profile)
            .with_limits(self.limits)
            .with_timing(self.timing)
            .with_segment_len_max(self.segment_len_max)
            .with_addressing(if socket.is_ip() { Addressing::Ip } else { Addressing::None })
            .build()?;
        Endpoint::start(socket, config)
    }
}
