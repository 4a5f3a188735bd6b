//! What the machine takes in, tells the application, and counts.

use super::drop_reason::DropReason;
use crate::ExchangeError;
use bytes::Bytes;
use std::net::{IpAddr, SocketAddr};
use wirekit::datagram::PathError;

/// What can happen to an endpoint from outside. What the application wants are methods of the machine.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Input<'a> {
    /// A datagram came.
    Datagram {
        /// Who sent it; port 0 on raw IP.
        source: SocketAddr,
        /// The address of ours that it came to. The checksum covers it with [`Addressing::Ip`](crate::Addressing::Ip).
        destination: IpAddr,
        /// What it carries, behind IP and whatever else is below.
        payload: &'a [u8],
    },
    /// The network says of a datagram of ours that it did not arrive. Believed only where it quotes one that is in flight.
    PathError(&'a PathError),
}

/// A mailslot of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailslotId {
    pub(super) number: u16,
    pub(super) serial: u64,
}

impl MailslotId {
    /// Its number on the wire, never 0.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.number
    }
}

/// A handle to a mailslot of a peer, or to one of our own by the short way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RemoteId {
    pub(super) peer: PeerKey,
    pub(super) remote: u32,
    pub(super) serial: u64,
}

/// One request of ours and its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExchangeId {
    pub(super) serial: u64,
    pub(super) remote: RemoteId,
}

/// A request that was received and has to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId {
    pub(super) peer: PeerKey,
    pub(super) mailslot: MailslotId,
    pub(super) place: u64,
    pub(super) serial: u64,
}

/// The place of a peer in the table of peers; [`LOCAL`](Self::LOCAL) for ourselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PeerKey(pub(super) u32);

impl PeerKey {
    pub(super) const LOCAL: Self = Self(u32::MAX);

    pub(super) fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// To answer it with.
    pub id: RequestId,
    /// Who asks; `None` from this endpoint itself.
    pub source: Option<SocketAddr>,
    /// What was sent.
    pub message: Bytes,
}

/// What is known of a remote mailslot once its name was resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The largest request that can be sent there, in octets: what the peer takes, and what the profile can send.
    pub request_len_max: usize,
    /// Requests that may be without a reply at once; more wait.
    pub outstanding_max: u16,
}

/// What the machine tells the application.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A mailslot has a request to [`receive`](super::EndpointMachine::receive).
    Ready(MailslotId),
    /// An exchange has ended.
    Done {
        /// Which.
        exchange: ExchangeId,
        /// The reply, or why there is none.
        outcome: Result<Bytes, ExchangeError>,
    },
    /// A name was resolved, or could not be.
    Resolved {
        /// Which handle.
        remote: RemoteId,
        /// What is known now.
        outcome: Result<Resolved, ExchangeError>,
    },
    /// Nobody waits for the reply to a request that was received: the one who asked has restarted.
    Void(RequestId),
}

/// What happened so far. All of it only grows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Datagrams that came.
    pub datagrams_received_count: u64,
    /// Datagrams handed out for sending.
    pub datagrams_sent_count: u64,
    /// Octets of those that came, IP headers not counted.
    pub received_len: u64,
    /// Octets of those that were handed out.
    pub sent_len: u64,
    /// Segments sent again.
    pub resent_count: u64,
    /// Of those, after three acknowledgements of the octets in front.
    pub fast_resent_count: u64,
    /// Retransmission time-outs.
    pub timeouts_count: u64,
    /// Segments sent again before that, since an acknowledgement was overdue.
    pub probes_count: u64,
    /// Resets sent.
    pub resets_sent_count: u64,
    /// Resets obeyed.
    pub resets_obeyed_count: u64,
    /// Requests handed to the application.
    pub requests_count: u64,
    /// Replies that it gave.
    pub replies_count: u64,
    /// Exchanges that ended with a reply.
    pub exchanges_count: u64,
    /// Overlapping parts with other octets than those that came first.
    pub conflicts_count: u64,
    /// Octets of requests in assembly or waiting now, charges included. Unlike the others, it falls too.
    pub assembly_len: u64,
    /// Octets of replies that wait for their acknowledgement now. It falls too.
    pub replies_len: u64,
    pub(super) dropped: [u64; DropReason::ALL.len()],
}

impl Counters {
    /// What was dropped for this reason.
    #[must_use]
    pub fn dropped_count(&self, reason: DropReason) -> u64 {
        self.dropped.get(reason as usize).copied().unwrap_or(0)
    }

    /// Everything that was dropped.
    #[must_use]
    pub fn dropped_all_count(&self) -> u64 {
        self.dropped.iter().sum()
    }
}
