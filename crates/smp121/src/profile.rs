//! How to treat a peer, as data.

use std::time::Duration;

/// What is sent to a peer and what is expected of it, where implementations differ. What is accepted is the same in all
/// profiles. Both presets read flags and octets in the same order, that of the deployed implementation.
///
/// Take [`SPEC`](Self::SPEC) between implementations that follow the source, and [`RDOS`](Self::RDOS) to talk to RDOS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Profile {
    /// The preset's word, for logs and URLs.
    pub name: &'static str,
    /// Name replies repeat the name that was asked for.
    //= SMP121-A15
    pub echoes_name: bool,
    /// A reset is sent as the RST flag of the source, 0x20.
    //= SMP121-A6
    pub sends_reset_flag: bool,
    /// A reset is sent as a response record with action 1.
    //= SMP121-A6
    pub sends_reset_record: bool,
    /// Messages longer than one segment may be sent. Where not, they are refused when they are sent.
    pub segments: bool,
    /// Parts of messages are acknowledged before the whole is there.
    pub acknowledges_parts: bool,
    /// From the second resend of a request on that is at work, the answer is `Busy`; otherwise the request is acknowledged
    /// whole, which says as much.
    //= SMP121-R-F, SMP121-A10
    pub sends_busy: bool,
    /// The least time before anything is sent again.
    pub rto_min: Duration,
    /// That time before a round trip was measured.
    pub rto_initial: Duration,
    /// How often it may double: 4 makes at most 16 times.
    pub backoff_max: u32,
    /// The retransmission time is multiplied by the number of requests in flight to the mailslot, as a peer that serves one
    /// at a time needs it.
    pub rto_per_request: bool,
    /// Requests in flight to one mailslot, whatever more the peer offers.
    pub outstanding_max: u16,
    /// The peer cuts replies at the largest request of the mailslot that they come from. Longer ones are refused when they
    /// are given.
    pub cuts_replies: bool,
    /// A late copy of a request whose reply was acknowledged is reset, as the source draws it. Otherwise it is dropped: RDOS
    /// takes a reset of a request that is done with for one of all that it has open.
    //= SMP121-A12
    pub resets_late_copies: bool,
    /// A mailslot is offered as taking this much at most, whatever more it takes.
    pub offered_len_max: u32,
    /// How long a reply without acknowledgement is kept at least, as the peer may come back for it only then.
    pub reply_retention_min: Duration,
}

impl Profile {
    /// The source as it is read in `docs/wire/smp121.md`. The default.
    pub const SPEC: Self = Self {
        name: "spec",
        echoes_name: true,
        sends_reset_flag: true,
        sends_reset_record: true,
        segments: true,
        acknowledges_parts: true,
        sends_busy: false,
        rto_min: Duration::from_millis(200),
        rto_initial: Duration::from_secs(1),
        backoff_max: 6,
        rto_per_request: false,
        outstanding_max: 16,
        cuts_replies: false,
        resets_late_copies: true,
        offered_len_max: u32::MAX,
        reply_retention_min: Duration::ZERO,
    };

    /// RDOS, the one deployed implementation: one segment a message, no acknowledgement of parts, never `Busy` (it stops its
    /// kernel), at least 3 s before anything is repeated (a repeated request that is at work is run twice), one request at a
    /// time to a mailslot (of several that it has to take again after a restart it loses octets). It looks at the low 16 bits
    /// of what a mailslot takes before it sends, cuts replies at that length, and resends as seldom as after 24 s for each of
    /// its 16 requests in flight.
    pub const RDOS: Self = Self {
        name: "rdos",
        echoes_name: true,
        sends_reset_flag: true,
        sends_reset_record: true,
        segments: false,
        acknowledges_parts: false,
        sends_busy: false,
        rto_min: Duration::from_secs(3),
        rto_initial: Duration::from_secs(3),
        backoff_max: 3,
        rto_per_request: true,
        outstanding_max: 1,
        cuts_replies: true,
        resets_late_copies: false,
        offered_len_max: 0xffff,
        reply_retention_min: Duration::from_secs(480),
    };

    /// The preset of this word: `spec` or `rdos`.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::SPEC, Self::RDOS].into_iter().find(|profile| profile.name == name)
    }

    /// Sets whether `Busy` is sent. Never to RDOS.
    #[must_use]
    pub const fn with_busy(mut self, sends_busy: bool) -> Self {
        self.sends_busy = sends_busy;
        self
    }

    /// Sets the least time before anything is sent again, and that before a round trip was measured where it is shorter.
    #[must_use]
    pub const fn with_rto_min(mut self, rto_min: Duration) -> Self {
        if self.rto_initial.as_nanos() < rto_min.as_nanos() {
            self.rto_initial = rto_min;
        }
        self.rto_min = rto_min;
        self
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self::SPEC
    }
}
