//! Errors, by who is to blame.

use std::net::SocketAddr;
use thiserror::Error;

/// A setting that cannot be, found by `build()`.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{field}: {reason}")]
pub struct ConfigError {
    /// The setting.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// A limit of ours was reached.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("limit {limit} reached: {got} of at most {max}")]
pub struct LimitExceeded {
    /// Its name in [`Limits`](crate::Limits).
    pub limit: &'static str,
    /// Its value.
    pub max: u64,
    /// What it would have come to.
    pub got: u64,
}

impl LimitExceeded {
    pub(crate) fn new(limit: &'static str, max: usize, got: usize) -> Self {
        Self { limit, max: u64::try_from(max).unwrap_or(u64::MAX), got: u64::try_from(got).unwrap_or(u64::MAX) }
    }
}

/// The caller asked for something that cannot be.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum UsageError {
    /// A name has 1 to 255 octets, none of them NUL.
    #[error("a mailslot name has 1 to 255 octets and no NUL; this one has {len}")]
    Name {
        /// Its length.
        len: usize,
    },
    /// A mailslot of this name is defined already.
    #[error("a mailslot of this name is defined already: remove it first, or take another name")]
    NameTaken,
    /// The largest message of a mailslot is 1 to what the limits have room for.
    #[error(
        "a mailslot takes messages of 1 to {max} octets, the half of limit peer_assembly_len_max; {got} were asked for"
    )]
    MailslotLen {
        /// The most that can be.
        max: usize,
        /// What was asked for.
        got: usize,
    },
    /// The mailslot or handle is gone.
    #[error("the mailslot or handle was given back already")]
    Gone,
    /// The message is larger than the peer takes, or than the profile can send to it.
    #[error("a message of {len} octets is larger than the {max} that can be sent there")]
    TooLarge {
        /// Octets of the message.
        len: usize,
        /// The most there can be.
        max: usize,
    },
    /// An address of our own and one of the peer are of different families.
    #[error("{peer} cannot be reached from {local}: one is IPv4, the other IPv6")]
    Family {
        /// The peer.
        peer: SocketAddr,
        /// The address of our own.
        local: std::net::IpAddr,
    },
    /// A limit of ours.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
}

/// Why an exchange has no reply.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExchangeError {
    /// The peer has no mailslot of this name.
    #[error("there is no such mailslot")]
    NoSuchMailslot,
    /// Nothing answered name requests. The deployed implementation says nothing to an unknown name, so this may mean the
    /// same as [`NoSuchMailslot`](Self::NoSuchMailslot).
    #[error("no answer to name requests: the host is down, speaks no SMP, or has no such mailslot")]
    NotResolved,
    /// The request is larger than the peer takes.
    #[error("the request of {len} octets is larger than the {max} that the mailslot takes")]
    RequestTooLarge {
        /// Octets of the request.
        len: usize,
        /// What the mailslot takes, as far as is known.
        max: usize,
    },
    /// The reply is larger than the caller takes.
    #[error("the reply of {len} octets is larger than the {max} that were asked for")]
    ReplyTooLarge {
        /// Octets of the reply.
        len: usize,
        /// The caller's bound.
        max: usize,
    },
    /// The caller's time is up. The request may have been served.
    #[error("no reply in the time that the caller gave; the request may have been served")]
    Timeout,
    /// The peer was silent for too long.
    #[error("the peer has been silent for too long; the request may have been served")]
    PeerGone,
    /// The network says that the peer cannot be reached.
    #[error("the network reports: {0}")]
    Unreachable(wirekit::datagram::PathErrorKind),
    /// The peer does not know the request, again and again.
    #[error("the peer resets the request again and again")]
    Reset,
    /// The mailslot of this host that it went to is gone.
    #[error("the mailslot is gone")]
    MailslotGone,
}

/// Why a reply goes nowhere.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplyError {
    /// The one who asked has restarted or resolved the name anew, or the request was answered already.
    #[error("nobody waits for this reply any more")]
    Void,
    /// The profile sends this peer no more than one segment.
    #[error("a reply of {len} octets is larger than the {max} that can be sent to this peer")]
    TooLarge {
        /// Octets of the reply.
        len: usize,
        /// The most there can be.
        max: usize,
    },
    /// The endpoint has ended. Only drivers say so.
    #[error("the endpoint is closed")]
    Closed,
}
