//! What a receiver takes.

use core::time::Duration;

/// Limits of one stream that is joined.
//= SSP-L1
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How far a packet may be ahead of the first one that is missing. Default 1,024.
    pub gap_max: u64,
    /// Octets of payload kept, as they came. Default 8 MiB; a packet that is next is taken where nothing else is kept.
    pub window_len_max: usize,
    /// Octets of one payload, as it came. Default 1 MiB.
    pub payload_len_max: usize,
    /// Octets of one packet after decompression. Default 4 MiB.
    pub packet_len_max: usize,
    /// How many times longer than its payload a packet may become, beyond its first 64 KiB. Default 100.
    pub ratio_max: usize,
    /// Octets of the whole stream. Default 1 GiB.
    pub stream_len_max: u64,
    /// Numbers of missing packets that an error lists, as ranges. Default 16.
    pub missing_ranges_max: usize,
    /// Whether messages are checked by the rules of their type. Default true.
    //= SSP-V1
    pub validates: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            gap_max: 1024,
            window_len_max: 8 << 20,
            payload_len_max: 1 << 20,
            packet_len_max: 4 << 20,
            ratio_max: 100,
            stream_len_max: 1 << 30,
            missing_ranges_max: 16,
            validates: true,
        }
    }
}

/// How long a stream may take.
//= SSP-T1
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// From one packet that brings the stream forward to the next. Default 60 s.
    pub idle_timeout: Duration,
    /// From the first packet to the last. Default none.
    pub total_timeout: Option<Duration>,
}

impl Default for Timing {
    fn default() -> Self {
        Self { idle_timeout: Duration::from_secs(60), total_timeout: None }
    }
}

/// Limits of many streams at once.
//= SSP-M3
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DemuxLimits {
    /// Streams open at once. Default 1,024.
    pub streams_max: usize,
    /// Of those, from one source. Default 64.
    pub streams_per_source_max: usize,
    /// Octets of payload kept for all of them. Default 64 MiB.
    pub window_len_max: usize,
    /// Streams that have ended and are remembered, so that late copies of their packets open none. Default 1,024.
    pub ended_max: usize,
    /// How long they are remembered. Default 60 s.
    pub ended_time: Duration,
}

impl Default for DemuxLimits {
    fn default() -> Self {
        Self {
            streams_max: 1024,
            streams_per_source_max: 64,
            window_len_max: 64 << 20,
            ended_max: 1024,
            ended_time: Duration::from_secs(60),
        }
    }
}
