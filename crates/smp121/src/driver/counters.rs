//! What an endpoint counts.

use crate::machine::Counters;
use wirekit::datagram::Dropped;

/// What happened at an endpoint so far: the protocol's counters and those of the way to the socket. Nothing is dropped
/// that is not in one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointCounters {
    /// Of the protocol. A datagram that it handed out and that could not go is counted there as sent, and below why not.
    pub protocol: Counters,
    /// What the carrier dropped on receipt.
    pub carrier_dropped: Dropped,
    /// Batches that were received.
    pub batches_received_count: u64,
    /// Calls that handed datagrams to the carrier and had it take at least one.
    pub batches_sent_count: u64,
    /// How often the socket's buffer was full. The datagrams waited.
    pub would_block_count: u64,
    /// How often the interface's queue was full. The datagrams waited.
    pub no_buffers_count: u64,
    /// Datagrams that were longer than the path takes. Their octets go again in shorter ones.
    pub too_long_count: u64,
    /// Datagrams that the system has no way for.
    pub unreachable_count: u64,
    /// Datagrams that the carrier failed to send.
    pub send_failed_count: u64,
    /// Reports of the network about datagrams that were sent earlier.
    pub path_errors_count: u64,
    /// Requests that were dropped without an answer, and got an empty one.
    pub unanswered_count: u64,
}
