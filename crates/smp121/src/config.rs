//! What an endpoint may be told: protocol choices, timing, and limits apart from them.

use crate::{ConfigError, Profile};
use std::time::Duration;

/// Bounds on everything that a peer or the application could make grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Peers remembered. Default 4,096, at least 4. A quarter is for peers that have not proved their address; the longest
    /// idle one makes room, and where all are busy a newcomer's datagrams are dropped.
    //= SMP121-L3
    pub peers_max: usize,
    /// Mailslots remembered for one peer, of ours and of the peer's each. Default 256.
    //= SMP121-L4
    pub mailslots_per_peer_max: usize,
    /// Mailslots that can be defined. Default 1,024, at most 65,535.
    pub mailslots_max: usize,
    /// Requests that wait in one mailslot, whole or in part, beside the one next in turn of each peer. Default 64. Those
    /// beyond it are dropped, and come again.
    //= SMP121-L2
    pub mailslot_queue_max: usize,
    /// Octets of requests of one peer that are put together or wait. Default 4 MiB; a mailslot can take messages of half
    /// of it.
    //= SMP121-L5
    pub peer_assembly_len_max: usize,
    /// The same for all peers. Default 64 MiB.
    //= SMP121-L6
    pub assembly_len_max: usize,
    /// Gaps in one message that is put together. Default 64. A part that would make one more is dropped.
    //= SMP121-L7
    pub gaps_max: usize,
    /// Octets charged for each run of octets behind a gap. Default 128.
    pub fragment_overhead_len: usize,
    /// Requests that wait for their turn at one handle. Default 1,024.
    pub waiting_count_max: usize,
    /// Octets of those. Default 64 MiB; one message may exceed it where nothing else waits.
    pub waiting_len_max: usize,
    /// The largest reply, in octets. Default 64 MiB.
    pub reply_len_max: usize,
    /// Octets of replies kept for one peer until it acknowledges them. Default 64 MiB. While as much is kept, no further
    /// request of the peer is offered; those in service then can still be answered.
    //= SMP121-L20
    pub replies_len_max: usize,
    /// Name requests of one peer that are answered in a second, with a burst of twice that. Default 10.
    //= SMP121-L8
    pub name_requests_per_second: u32,
    /// Resets sent in a second to all peers together. Default 100.
    //= SMP121-L9
    pub resets_per_second: u32,
    /// Octets in flight to one peer. Default 1 MiB, at least two segments. Congestion control stays below it. A peer does not say
    /// how much it has room for; what has no room there is lost.
    pub flight_len_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            peers_max: 4096,
            mailslots_per_peer_max: 256,
            mailslots_max: 1024,
            mailslot_queue_max: 64,
            peer_assembly_len_max: 4 << 20,
            assembly_len_max: 64 << 20,
            gaps_max: 64,
            fragment_overhead_len: 128,
            waiting_count_max: 1024,
            waiting_len_max: 64 << 20,
            reply_len_max: 64 << 20,
            replies_len_max: 64 << 20,
            name_requests_per_second: 10,
            resets_per_second: 100,
            flight_len_max: 1 << 20,
        }
    }
}

/// How long things take that are not measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timing {
    /// How long the final acknowledgement of a reply waits for a segment to ride on. Default 200 ms, at most 1 s.
    //= SMP121-R-A, SMP121-A9
    pub ack_delay: Duration,
    /// How long an acknowledgement of an odd part waits for the next one. Default 20 ms, at most 500 ms.
    pub part_ack_delay: Duration,
    /// How long name requests go unanswered before a host or mailslot counts as not there. Default 30 s.
    //= SMP121-A17
    pub resolve_timeout: Duration,
    /// How long a peer is silent about an exchange before it counts as gone. Default 100 s.
    //= SMP121-A22
    pub give_up_timeout: Duration,
    /// The least time before the end of a reply is sent again, since its acknowledgement is delayed on purpose. Default 1.5 s.
    //= SMP121-A11
    pub reply_rto_min: Duration,
    /// How often a reply is sent again unasked. Default 5.
    pub reply_tries_max: u32,
    /// How long a reply without acknowledgement is kept. Default 120 s. Longer than the peer's own patience.
    pub reply_retention: Duration,
    /// How long a request in parts may stand still. Default 60 s.
    pub assembly_idle_timeout: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            ack_delay: Duration::from_millis(200),
            part_ack_delay: Duration::from_millis(20),
            resolve_timeout: Duration::from_secs(30),
            give_up_timeout: Duration::from_secs(100),
            reply_rto_min: Duration::from_millis(1500),
            reply_tries_max: 5,
            reply_retention: Duration::from_secs(120),
            assembly_idle_timeout: Duration::from_secs(60),
        }
    }
}

/// What the checksum covers beside the segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Addressing {
    /// The IP addresses of both ends: protocol 121 on IP.
    #[default]
    Ip,
    /// No addresses: inside UDP, or in memory.
    None,
}

/// The settings of an endpoint.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) profile: Profile,
    pub(crate) addressing: Addressing,
    pub(crate) limits: Limits,
    pub(crate) timing: Timing,
    pub(crate) segment_len_max: usize,
    pub(crate) seed: [u8; 32],
}

/// The least segment that every path carries: IPv4 hosts take datagrams of 576 octets, of which 20 are IP's.
pub const SEGMENT_LEN_MIN: usize = 556;

/// The segment of a path of which nothing is known.
pub const SEGMENT_LEN_DEFAULT: usize = 1400;

impl Config {
    /// Defaults, and a seed of 32 octets. Connection numbers come from it, so it must be new and secret for each endpoint;
    /// tests give what they like.
    #[must_use]
    pub fn builder(seed: [u8; 32]) -> ConfigBuilder {
        ConfigBuilder {
            config: Self {
                profile: Profile::SPEC,
                addressing: Addressing::Ip,
                limits: Limits::default(),
                timing: Timing::default(),
                segment_len_max: SEGMENT_LEN_DEFAULT,
                seed,
            },
        }
    }
}

/// Settings not yet checked.
#[derive(Clone, Debug)]
pub struct ConfigBuilder {
    config: Config,
}

impl ConfigBuilder {
    /// How to treat peers that have no profile of their own. Default [`Profile::SPEC`].
    #[must_use]
    pub const fn with_profile(mut self, profile: Profile) -> Self {
        self.config.profile = profile;
        self
    }

    /// What the checksum covers. Default [`Addressing::Ip`]. Both ends must agree.
    #[must_use]
    pub const fn with_addressing(mut self, addressing: Addressing) -> Self {
        self.config.addressing = addressing;
        self
    }

    /// The longest segment in octets, header and records counted, IP header not: 556 to 65,515. Default 1,400. It shrinks for
    /// a path that says so or swallows long ones.
    //= SMP121-A32
    #[must_use]
    pub const fn with_segment_len_max(mut self, len: usize) -> Self {
        self.config.segment_len_max = len;
        self
    }

    /// Bounds.
    #[must_use]
    pub const fn with_limits(mut self, limits: Limits) -> Self {
        self.config.limits = limits;
        self
    }

    /// Times.
    #[must_use]
    pub const fn with_timing(mut self, timing: Timing) -> Self {
        self.config.timing = timing;
        self
    }

    /// Checks all settings together.
    ///
    /// # Errors
    /// [`ConfigError`] with the field and what is wrong with it.
    pub fn build(self) -> Result<Config, ConfigError> {
        let Config { limits, timing, segment_len_max, profile, .. } = &self.config;
        let fail = |field, reason| Err(ConfigError { field, reason });
        if !(SEGMENT_LEN_MIN..=65_515).contains(segment_len_max) {
            return fail("segment_len_max", "must be 556 to 65,515 octets");
        }
        if limits.peers_max < 4 {
            return fail("peers_max", "must be at least 4");
        }
        if limits.mailslots_per_peer_max == 0 || limits.waiting_count_max == 0 || limits.gaps_max == 0 {
            return fail("limits", "mailslots_per_peer_max, waiting_count_max and gaps_max must be at least 1");
        }
        if !(1..=65_535).contains(&limits.mailslots_max) {
            return fail("mailslots_max", "must be 1 to 65,535");
        }
        if limits.peer_assembly_len_max < 2 || limits.peer_assembly_len_max > limits.assembly_len_max {
            return fail("peer_assembly_len_max", "must be at least 2 and at most assembly_len_max");
        }
        if limits.flight_len_max < 2 * segment_len_max {
            return fail("flight_len_max", "must be at least two segments");
        }
        if timing.ack_delay > Duration::from_secs(1) {
            return fail("ack_delay", "must be at most 1 s: the peer sends again after that");
        }
        if timing.part_ack_delay > Duration::from_millis(500) {
            return fail("part_ack_delay", "must be at most 500 ms, as in TCP");
        }
        if timing.reply_rto_min <= timing.ack_delay {
            return fail("reply_rto_min", "must be longer than ack_delay, or each reply is sent twice");
        }
        if timing.reply_retention < timing.give_up_timeout {
            return fail("reply_retention", "must be at least give_up_timeout, or a request may run twice");
        }
        if !(1..=16).contains(&profile.outstanding_max) {
            return fail("profile.outstanding_max", "must be 1 to 16: the deployed implementation has a table of 16");
        }
        if profile.rto_min.is_zero() || profile.rto_initial < profile.rto_min || profile.backoff_max > 16 {
            return fail("profile", "rto_min must be above 0, rto_initial at least that, backoff_max at most 16");
        }
        Ok(self.config)
    }
}
