//! What a session tells its user.

use crate::credential::Claim;
use crate::error::SessionError;
use crate::wire::{Code, Parameters, parameter};
use crate::{Direction, Kind, Priority, StreamId};
use bytes::Bytes;
use core::fmt;
use core::time::Duration;

/// What a session tells its user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The handshake is over, authentication included where it is demanded or a credential was shown.
    Established,
    /// The initiator says who it is; answer with `SessionMachine::authenticated`. Nothing else is read until then.
    Authenticate(Box<Claim>),
    /// The acceptor knows who we are.
    Authenticated {
        /// Who we are to it.
        subject: Option<String>,
        /// For how long.
        expires_after: Option<Duration>,
    },
    /// The acceptor does not believe us; another credential may be tried. Where this was to go on over another link, that link is left,
    /// and the session waits for one more.
    AuthRefused(Code),
    /// The peer opened a stream. A request is told when it is whole.
    Opened(Box<Opened>),
    /// There is something to take from a stream that had nothing.
    Readable(StreamId),
    /// A stream that was full takes more, or never will.
    Writable(StreamId),
    /// Metadata of a direction whose stream the peer did not open, or a trailer.
    Metadata {
        /// Which stream.
        stream: StreamId,
        /// A trailer rather than a head.
        is_trailer: bool,
        /// The metadata.
        metadata: Parameters,
    },
    /// A stream may be opened again.
    MayOpen(Direction),
    /// Datagrams wait to be taken.
    Datagrams,
    /// The peer is going away.
    GoingAway {
        /// No more is to come: what it named is final.
        is_final: bool,
        /// How long it still serves.
        drain: Duration,
        /// Why.
        code: Code,
        /// Where to go instead.
        redirect: Option<String>,
    },
    /// A ticket was sent, or came, for another link.
    Ticket(Ticket),
    /// The initiator of another session wants to go on over this link; see `SessionMachine::adopt` and `SessionMachine::refuse_reattach`.
    Reattach(Reattach),
    /// The link is lost, the session is kept.
    Detached {
        /// For how long.
        keep: Duration,
    },
    /// The peer has wasted too much work: nothing is read for this long.
    Paused {
        /// For how long.
        pause: Duration,
    },
    /// The session goes on over another link.
    Reattached,
    /// The last event: the session is over.
    Ended(SessionError),
}

/// What an acceptor grants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grant {
    /// Who it is.
    pub subject: Option<String>,
    /// What it may do, as in section 8; `None` for anything.
    pub scopes: Option<Vec<String>>,
    /// For how long; `None` for as long as the session.
    pub expires_after: Option<Duration>,
}

impl Grant {
    /// For this subject, anything, without end.
    #[must_use]
    pub fn of(subject: impl Into<String>) -> Self {
        Self { subject: Some(subject.into()), ..Self::default() }
    }

    /// For what these scopes cover.
    #[must_use]
    pub fn with_scopes(mut self, scopes: Vec<String>) -> Self {
        self.scopes = Some(scopes);
        self
    }

    /// For this long.
    #[must_use]
    pub fn with_expiry(mut self, after: Duration) -> Self {
        self.expires_after = Some(after);
        self
    }
}

/// A stream of the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Which one.
    pub stream: StreamId,
    /// What it carries.
    pub kind: Kind,
    /// How urgent the peer finds it.
    pub priority: Priority,
    /// Where it wants to go, and more.
    pub metadata: Option<Parameters>,
    /// How long it is of use.
    pub ttl: Option<Duration>,
}

impl Opened {
    /// Where it wants to go, as the peer said.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        let name = self.metadata.as_ref()?.get(parameter::NAME)?;
        core::str::from_utf8(&name).ok().map(str::to_owned)
    }
}

/// What it takes to go on over another link.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The handle.
    pub handle: Bytes,
    /// How long it is valid.
    pub lifetime: Duration,
    /// How long the session is kept without a link.
    pub offline: Duration,
}

//= SMRP-A8
impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("lifetime", &self.lifetime)
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

/// A session that wants to go on over this link.
#[derive(Clone, PartialEq, Eq)]
pub struct Reattach {
    /// The handle of its ticket.
    pub handle: Bytes,
    /// Higher than any before.
    pub epoch: u64,
    /// The initiator's position.
    pub received: u64,
}

impl fmt::Debug for Reattach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut form = f.debug_struct("Reattach");
        form.field("epoch", &self.epoch).field("received", &self.received).finish_non_exhaustive()
    }
}
