//! What a connection may be told: protocol choices, and limits apart from them.

use crate::wire::{Decoder, FRAME_HEADER_LEN};
use crate::{ARGC_MAX, ConfigError};
use std::time::Duration;

/// How strictly the peer is read, and how carefully it is written to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// The specification with the readings of `docs/wire/smp-framing.md`.
    #[default]
    Strict,
    /// As `Strict`, and a message may begin with a CONTINUING FRAME.
    //= SMPF-R12
    Lenient,
    /// As `Lenient`, and nothing is sent that the npm package `smp` of this generation cannot take. What is sent is
    /// still valid for any other peer.
    Node(NodeGeneration),
}

/// The generations of the npm package `smp`. There is no version on the wire, so it has to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NodeGeneration {
    /// 1.0.x: whole messages and frames.
    V1_0,
    /// 1.1.x: whole messages only; a message too large for one unit is refused when it is sent.
    V1_1,
}

/// The longest unit that goes to an npm peer, whose parser drops what makes its buffer exceed 1,000,000 octets: less than
/// that much without one read of 64 KiB.
//= SMPF-N3
pub const NODE_UNIT_LEN_MAX: usize = 1_000_000 - 64 * 1024 - 1;

impl Mode {
    /// True where a CONTINUING FRAME may open a message.
    #[must_use]
    pub const fn takes_continuing_first(self) -> bool {
        matches!(self, Self::Lenient | Self::Node(_))
    }

    /// True where an npm peer is at the other end.
    #[must_use]
    pub const fn is_node(self) -> bool {
        matches!(self, Self::Node(_))
    }
}

/// What a connection does with messages that come as frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// Joins them and delivers the whole, within [`Limits::message_len_max`].
    #[default]
    Assembled,
    /// Delivers each frame when it is there, after checking its number: any size passes in little memory.
    Frames,
}

/// Bounds on everything that a peer or the application could make grow. Reaching one is an event or an error that names
/// it, never a slow death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Octets of one unit that came, header and LENGTHs counted. Default and most: 983,062, the longest there can be.
    /// Past it the connection ends with ERROR 416.
    pub unit_len_max: usize,
    /// Messages of frames that may be open at once, in each direction. Default 64, 1 to 65,536. A frame that would open
    /// one more is refused with ERROR 420 and its message dropped.
    pub open_ids_max: usize,
    /// IDs remembered as broken after a sequence error. Default 1,024, 1 to 65,536. Past it the connection ends.
    pub broken_ids_max: usize,
    /// Octets of one assembled message, overhead counted. Default 64 MiB. Past it the message is dropped with ERROR 413.
    pub message_len_max: usize,
    /// Octets of all messages under assembly, overhead counted. Default 64 MiB. Past it the message that grew is dropped
    /// with ERROR 413.
    pub assembly_len_max: usize,
    /// Octets charged for each frame under assembly beside its payload. Default 128: many tiny frames cannot dodge the
    /// two limits above.
    pub fragment_overhead_len: usize,
    /// Units without any payload, and frames other than LAST ones under 32 octets, that may come in a second. Default
    /// 10,000. The first time a second exceeds it the peer gets a PAUSE until the next second; exceeding it by as much
    /// again ends the connection with ERROR 529.
    pub small_units_per_second_max: u32,
    /// How long a message under assembly may stand still. Default 60 s. Then it is dropped with ERROR 408.
    pub assembly_idle_timeout: Duration,
    /// Events that wait for the application before the machine takes no more octets. Default 64, at least 8.
    pub event_count_max: usize,
    /// Octets that wait to be encoded, since the peer pauses us or larger messages take their turn, before `feed` waits.
    /// Default 1 MiB. One message may exceed it when the queue is empty. Up to 192 KiB more are encoded and on their way
    /// to the carrier; `feed` waits at 256 KiB of these too.
    pub outgoing_len_max: usize,
    /// Control units (reports, heartbeats, information) queued for sending. Default 64, at least 8. Reports beyond it are
    /// counted and dropped; a command beyond it waits.
    pub control_count_max: usize,
    /// How long a peer may keep us paused while something waits to be sent. Default 300 s. Then the connection ends with
    /// ERROR 408.
    pub paused_timeout: Duration,
    /// How long a connection waits for the peer to close after STOP. Default 5 s.
    pub stop_linger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            unit_len_max: Decoder::UNIT_LEN_MAX,
            open_ids_max: 64,
            broken_ids_max: 1024,
            message_len_max: 64 << 20,
            assembly_len_max: 64 << 20,
            fragment_overhead_len: 128,
            small_units_per_second_max: 10_000,
            assembly_idle_timeout: Duration::from_secs(60),
            event_count_max: 64,
            outgoing_len_max: 1 << 20,
            control_count_max: 64,
            paused_timeout: Duration::from_secs(300),
            stop_linger: Duration::from_secs(5),
        }
    }
}

/// The settings of one connection, checked together by [`ConfigBuilder::build`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    pub(crate) mode: Mode,
    pub(crate) max_message_size: usize,
    pub(crate) heartbeat_interval: Option<Duration>,
    pub(crate) peer_timeout: Option<Duration>,
    pub(crate) delivery: Delivery,
    pub(crate) report_errors: bool,
    pub(crate) limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Strict,
            max_message_size: 1493,
            heartbeat_interval: Some(Duration::from_secs(30)),
            peer_timeout: Some(Duration::from_secs(120)),
            delivery: Delivery::Assembled,
            report_errors: true,
            limits: Limits::default(),
        }
    }
}

impl Config {
    /// Settings to change before use.
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder(Self::default())
    }

    /// These settings, to change some of them.
    pub const fn to_builder(self) -> ConfigBuilder {
        ConfigBuilder(self)
    }

    /// The limits.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The mode.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The most octets of ARGUMENTS in a unit that is sent.
    #[must_use]
    pub const fn max_message_size(&self) -> usize {
        self.max_message_size
    }
}

/// Collects settings; [`build`](Self::build) checks them together, so their order does not matter.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct ConfigBuilder(Config);

impl ConfigBuilder {
    /// How strictly the peer is read. Default `Strict`. `Node` also changes what is sent.
    pub const fn with_mode(mut self, mode: Mode) -> Self {
        self.0.mode = mode;
        self
    }

    /// MAX-MESSAGE-SIZE of what is sent, in octets of ARGUMENTS (LENGTHs counted, header not). Default 1,493, which
    /// with a frame's header of 7 makes 1,500; 31 (room for 15 arguments) to 983,055. Larger messages go as frames of
    /// this size. Larger frames cost less per octet, and hold up other messages for longer.
    //= SMPF-R2
    pub const fn with_max_message_size(mut self, octets: usize) -> Self {
        self.0.max_message_size = octets;
        self
    }

    /// How long the connection may send nothing before it sends a HEARTBEAT. Default 30 s; `None` sends none.
    pub const fn with_heartbeat_interval(mut self, interval: Option<Duration>) -> Self {
        self.0.heartbeat_interval = interval;
        self
    }

    /// How long the peer may send nothing at all, or take nothing of what is to be sent, before it counts as lost. Default
    /// 120 s; `None` never. A peer that sends
    /// no heartbeats of its own (npm `smp`) needs `None` or steady traffic.
    pub const fn with_peer_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.0.peer_timeout = timeout;
        self
    }

    /// Whether messages of frames are joined. Default `Assembled`.
    pub const fn with_delivery(mut self, delivery: Delivery) -> Self {
        self.0.delivery = delivery;
        self
    }

    /// Whether the peer's faults are answered with ERROR units. Default yes. An ERROR is never answered.
    pub const fn with_report_errors(mut self, report: bool) -> Self {
        self.0.report_errors = report;
        self
    }

    /// The limits. Each field of [`Limits`] says its default, range and what happens past it.
    pub const fn with_limits(mut self, limits: Limits) -> Self {
        self.0.limits = limits;
        self
    }

    /// The settings, checked.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first setting that cannot be. Nothing is clamped.
    pub fn build(self) -> Result<Config, ConfigError> {
        let Config { max_message_size, heartbeat_interval, peer_timeout, limits, mode, .. } = self.0;
        let refuse = |field, reason| Err(ConfigError { field, reason });
        if max_message_size < 2 * ARGC_MAX + 1 {
            return refuse("max_message_size", "less than 31 octets leave no room for payload beside 15 LENGTHs");
        }
        if max_message_size > ARGC_MAX * 65_537 {
            return refuse("max_message_size", "no unit has more than 983,055 octets of arguments");
        }
        if mode.is_node() && max_message_size > NODE_UNIT_LEN_MAX - FRAME_HEADER_LEN {
            return refuse("max_message_size", "an npm peer takes units of less than 934,464 octets, header counted");
        }
        if heartbeat_interval.is_some_and(|interval| interval.is_zero()) {
            return refuse("heartbeat_interval", "zero would send nothing but heartbeats: use None for no heartbeats");
        }
        if peer_timeout.is_some_and(|timeout| timeout.is_zero()) {
            return refuse("peer_timeout", "zero would lose every peer at once: use None to wait for ever");
        }
        if !(1..=65_536).contains(&limits.open_ids_max) {
            return refuse("limits.open_ids_max", "there are 1 to 65,536 IDs");
        }
        if !(1..=65_536).contains(&limits.broken_ids_max) {
            return refuse("limits.broken_ids_max", "there are 1 to 65,536 IDs");
        }
        if limits.unit_len_max == 0 || limits.unit_len_max > Decoder::UNIT_LEN_MAX {
            return refuse("limits.unit_len_max", "units have 1 to 983,062 octets");
        }
        if limits.event_count_max < 8 {
            return refuse("limits.event_count_max", "at least 8, so that one unit's events always fit");
        }
        if limits.control_count_max < 8 {
            return refuse("limits.control_count_max", "at least 8");
        }
        if limits.message_len_max == 0 || limits.assembly_len_max == 0 || limits.outgoing_len_max == 0 {
            return refuse("limits", "message_len_max, assembly_len_max and outgoing_len_max need at least 1 octet");
        }
        if limits.small_units_per_second_max == 0 {
            return refuse("limits.small_units_per_second_max", "0 would refuse every heartbeat");
        }
        Ok(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(builder: ConfigBuilder) -> &'static str {
        builder.build().unwrap_err().field
    }

    #[test]
    fn the_default_is_valid_and_the_same_by_both_ways() {
        assert_eq!(Config::builder().build(), Ok(Config::default()));
    }

    #[test]
    fn max_message_size_is_refused_one_past_each_end_and_in_node_mode_earlier() {
        let with = |octets| Config::builder().with_max_message_size(octets);
        assert!(with(31).build().is_ok() && with(983_055).build().is_ok());
        assert_eq!((field(with(30)), field(with(983_056))), ("max_message_size", "max_message_size"));
        let node = |octets| with(octets).with_mode(Mode::Node(NodeGeneration::V1_0));
        assert!(node(NODE_UNIT_LEN_MAX - 7).build().is_ok());
        assert_eq!(field(node(NODE_UNIT_LEN_MAX - 6)), "max_message_size");
    }

    #[test]
    fn zero_times_and_limits_out_of_range_are_refused() {
        assert_eq!(field(Config::builder().with_heartbeat_interval(Some(Duration::ZERO))), "heartbeat_interval");
        assert_eq!(field(Config::builder().with_peer_timeout(Some(Duration::ZERO))), "peer_timeout");
        let with = |change: fn(&mut Limits)| {
            let mut limits = Limits::default();
            change(&mut limits);
            Config::builder().with_limits(limits)
        };
        assert_eq!(field(with(|l| l.open_ids_max = 65_537)), "limits.open_ids_max");
        assert_eq!(field(with(|l| l.broken_ids_max = 0)), "limits.broken_ids_max");
        assert_eq!(field(with(|l| l.unit_len_max += 1)), "limits.unit_len_max");
        assert_eq!(field(with(|l| l.event_count_max = 7)), "limits.event_count_max");
        assert_eq!(field(with(|l| l.control_count_max = 7)), "limits.control_count_max");
        assert_eq!(field(with(|l| l.small_units_per_second_max = 0)), "limits.small_units_per_second_max");
        assert_eq!(field(with(|l| l.outgoing_len_max = 0)), "limits");
    }

    #[test]
    fn limits_may_be_all_that_they_say_and_nothing_past_it() {
        let with = |change: fn(&mut Limits)| {
            let mut limits = Limits::default();
            change(&mut limits);
            Config::builder().with_limits(limits)
        };
        assert!(with(|l| (l.open_ids_max, l.broken_ids_max) = (65_536, 65_536)).build().is_ok());
        assert!(with(|l| (l.open_ids_max, l.broken_ids_max, l.unit_len_max) = (1, 1, 1)).build().is_ok());
        assert!(with(|l| (l.event_count_max, l.control_count_max) = (8, 8)).build().is_ok());
        assert!(with(|l| (l.message_len_max, l.assembly_len_max, l.outgoing_len_max) = (1, 1, 1)).build().is_ok());
        assert_eq!(field(with(|l| l.open_ids_max = 0)), "limits.open_ids_max");
        assert_eq!(field(with(|l| l.broken_ids_max = 65_537)), "limits.broken_ids_max");
        assert_eq!(field(with(|l| l.unit_len_max = 0)), "limits.unit_len_max");
        assert_eq!(field(with(|l| l.message_len_max = 0)), "limits");
        assert_eq!(field(with(|l| l.assembly_len_max = 0)), "limits");
    }
}
