//! Errors, by who is to blame.

use crate::settings::SettingsError;
use crate::wire::{Code, PrefaceError, Security, WireError, number};
use crate::{StreamId, wire};
use core::time::Duration;
use thiserror::Error;

/// A configuration that cannot be.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// One of our own settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// TLS within the session is not spoken.
    //= SMRP-P13
    #[error("TLS within the session is not spoken: use a carrier with TLS")]
    InnerSecurity,
    /// A credential that would travel where anybody can read it.
    //= SMRP-A4
    #[error("a token must not go over a carrier without TLS that leaves the host")]
    TokenInPlaintext,
    /// A token above the limit.
    #[error("a token of {len} octets, where {max} are the most")]
    TokenLen {
        /// Its length.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// Of an initiator: the sessions that are there hold all that they may.
    //= SMRP-FC13
    #[error(
        "no memory is left for another session: {held} octets of a budget of {max} are in use; let others end, or raise it"
    )]
    OverBudget {
        /// Octets in use.
        held: u64,
        /// The budget.
        max: u64,
    },
    /// A proof of possession where nothing tells one connection from another.
    //= SMRP-A7
    #[error("a key cannot prove itself over this carrier: it needs TLS 1.3, whose exporter the proof is made over")]
    NotBound,
    /// A limit of ours that leaves no room.
    #[error("{field} {reason}")]
    Limit {
        /// Which one.
        field: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
}

/// What the peer did wrong.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// No preface, or one that cannot be.
    #[error(transparent)]
    Preface(#[from] PrefaceError),
    /// No version in common.
    #[error("no version in common: the peer speaks {theirs:x?}, we speak {ours:x?}")]
    Version {
        /// The peer's.
        theirs: Vec<u32>,
        /// Ours.
        ours: Vec<u32>,
    },
    /// The two ends see the link differently.
    #[error("the peer says that its link is {theirs}, ours is {ours}")]
    Security {
        /// What it says.
        theirs: Security,
        /// What is.
        ours: Security,
    },
    /// The prefaces were changed on the way.
    #[error("the peer saw another preface than was sent")]
    PrefaceHash,
    /// A frame that cannot be read.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A setting of HELLO that cannot be.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A SETTINGS frame that changes what it must not.
    #[error("SETTINGS: {0}")]
    Raised(SettingsError),
    /// A rule was broken.
    #[error("{what}")]
    Rule {
        /// What the peer is told.
        code: Code,
        /// The type of the frame.
        frame_type: u64,
        /// Which rule.
        what: &'static str,
    },
}

impl Fault {
    pub(crate) fn rule(code: Code, frame_type: u8, what: &'static str) -> Self {
        Self::Rule { code, frame_type: frame_type.into(), what }
    }

    /// What the peer is told.
    //= SMRP-E1
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Preface(PrefaceError::Security(_)) => Code::DOWNGRADE,
            Self::Preface(_) => Code::PROTOCOL_VIOLATION,
            Self::Version { .. } => Code::VERSION,
            Self::Security { .. } | Self::PrefaceHash => Code::DOWNGRADE,
            Self::Wire(error) => error.code(),
            Self::Settings(_) | Self::Raised(_) => Code::SETTINGS,
            Self::Rule { code, .. } => *code,
        }
    }

    /// The type of the frame that showed it, 0 for none.
    #[must_use]
    pub fn frame_type(&self) -> u64 {
        match self {
            Self::Wire(error) => error.number,
            Self::Settings(_) | Self::PrefaceHash => number::HELLO.into(),
            Self::Raised(_) => number::SETTINGS.into(),
            Self::Rule { frame_type, .. } => *frame_type,
            _ => 0,
        }
    }
}

/// Why a session ended.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionError {
    /// We closed it.
    #[error("closed by this end ({code})")]
    Closed {
        /// The code that we gave.
        code: Code,
    },
    /// The peer closed it.
    #[error("closed by the peer ({code}){}", reason_of(reason))]
    ClosedByPeer {
        /// The peer's code.
        code: Code,
        /// The type of the frame that it did not like, 0 for none.
        frame_type: u64,
        /// What it said, escaped.
        reason: String,
    },
    /// The peer broke a rule.
    #[error("the peer broke the protocol: {0}")]
    Fault(#[from] Fault),
    /// The link ended, and the session could not be kept.
    #[error("the link was lost")]
    LinkLost,
    /// Nothing was heard for so long.
    #[error("nothing was heard of the peer for {0:?}")]
    Idle(Duration),
    /// The peer took nothing for so long.
    #[error("the peer took nothing for {0:?}")]
    Stalled(Duration),
    /// No preface or no handshake in time.
    #[error("no {what} within {after:?}")]
    HandshakeTimeout {
        /// What was waited for.
        what: &'static str,
        /// How long.
        after: Duration,
    },
    /// Detached for too long.
    #[error("not reattached within {0:?}")]
    NotReattached(Duration),
    /// The link was lost, and for so long nobody has listened where another one was tried.
    #[error("the link was lost, and nobody has listened there for {0:?}")]
    NobodyListens(Duration),
    /// The acceptor did not take the session back.
    #[error("the session was not taken back ({0})")]
    ResumeRefused(Code),
    /// The acceptor refused our credential.
    #[error("the peer did not accept who we are")]
    AuthRefused,
    /// The configuration cannot be.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Of an acceptor: the sessions that are there hold all that they may.
    //= SMRP-FC13
    #[error("no memory is left for another session: the budget of {max} octets is in use")]
    OverBudget {
        /// The budget.
        max: u64,
    },
    /// Another link took the session over.
    #[error("the session goes on over another link")]
    Superseded,
}

fn reason_of(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

/// Text of a peer so that it can be shown: controls escaped, what is no UTF-8 replaced.
//= SMRP-L5
pub(crate) fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.chars()
        .take(wire::REASON_LEN_MAX)
        .flat_map(|c| {
            let escaped: Vec<char> = if c.is_control() { c.escape_default().collect() } else { vec![c] };
            escaped
        })
        .collect()
}

/// Why a stream could not be opened.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// The peer allows no more for now.
    #[error("the peer allows no more streams for now")]
    Blocked,
    /// The peer is going away.
    #[error("the peer is going away{}", redirect_of(redirect))]
    GoingAway {
        /// Where to go instead, as the peer says.
        redirect: Option<String>,
    },
    /// Metadata above what the peer takes.
    #[error("metadata of {len} octets, where the peer takes {max}")]
    Metadata {
        /// Its length.
        len: usize,
        /// The peer's limit.
        max: u64,
    },
    /// A request above what the peer takes.
    #[error("a message of {len} octets, where the peer takes {max}")]
    TooLarge {
        /// Its length.
        len: usize,
        /// The peer's limit.
        max: u64,
    },
    /// The sessions that share a budget of memory hold all that they may.
    //= SMRP-FC13
    #[error("no memory is left for another stream: let others end, or raise the budget")]
    OverBudget,
    /// All ids are used up.
    #[error("no stream ids are left")]
    IdsUsedUp,
    /// The session has ended.
    #[error(transparent)]
    Session(#[from] SessionError),
}

fn redirect_of(redirect: &Option<String>) -> String {
    redirect.as_ref().map_or_else(String::new, |to| format!(" and says to use {to}"))
}

/// Why a stream does not take anything.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// Nothing more for now; the stream tells when.
    #[error("nothing more for now")]
    Blocked,
    /// The peer wants no more.
    #[error("the peer wants no more ({0})")]
    Stopped(Code),
    /// We ended it.
    #[error("this end has ended the stream")]
    Finished,
    /// A message above what the peer takes.
    #[error("a message of {len} octets, where the peer takes {max}")]
    TooLarge {
        /// Its length.
        len: usize,
        /// The peer's limit.
        max: u64,
    },
    /// Not what a stream of this kind takes.
    #[error("a stream of this kind takes {0}")]
    Kind(&'static str),
    /// There is no such stream.
    #[error("there is no {0:?}")]
    NoStream(StreamId),
    /// The session has ended.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// Why a stream gives nothing.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReceiveError {
    /// Nothing for now; the stream tells when.
    #[error("nothing for now")]
    Blocked,
    /// The peer ended it before its end.
    #[error("the peer gave the stream up ({0})")]
    Reset(Code),
    /// A message was longer than we take.
    #[error("the peer's message is longer than {0} octets")]
    TooLarge(u64),
    /// Not what a stream of this kind gives.
    #[error("a stream of this kind gives {0}")]
    Kind(&'static str),
    /// There is no such stream.
    #[error("there is no {0:?}")]
    NoStream(StreamId),
    /// The session has ended.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// Why a datagram was not taken.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DatagramError {
    /// Longer than the peer takes; 0 where it takes none.
    #[error("a datagram of {len} octets, where the peer takes {max}")]
    TooLarge {
        /// Its length.
        len: usize,
        /// The peer's limit.
        max: u64,
    },
    /// The session has ended.
    #[error(transparent)]
    Session(#[from] SessionError),
}
