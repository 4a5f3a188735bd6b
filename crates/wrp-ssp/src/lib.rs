#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod codec;
mod demultiplexer;
#[cfg(feature = "tokio")]
pub mod driver;
mod encoding;
mod end;
mod header;
mod limits;
mod parallel;
mod reader;
mod reassembler;
mod segmenter;
mod window;

pub use demultiplexer::{Demultiplexer, DemuxEvent, Routed, StreamKey};
pub use encoding::{Encoding, EncodingError, Level};
pub use end::{END_TEXT_LEN_MAX, End, clean_reason};
pub use header::{HeaderError, PacketRef, estimated_len_of, is_ssp, label_of, stream_id_of};
pub use limits::{DemuxLimits, Limits, Timing};
pub use parallel::ParallelSegments;
pub use reader::{Joined, Segments};
pub use reassembler::{Event, Fill, Input, Reassembler, Refused, Stats, StreamError, TimerReason};
pub use segmenter::{Options, SegmentError, Segmenter, TransactionMaker};

/// The largest packet number: 2^63 - 1.
//= SSP-N3
pub const NUMBER_MAX: u64 = i64::MAX as u64;

/// Octets of a stream in one packet, before they are compressed, where nothing else is said.
//= SSP-S2
pub const PACKET_LEN: usize = 64 * 1024;
