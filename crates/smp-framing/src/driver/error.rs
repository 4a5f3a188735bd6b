//! What a driver can say beside the machine's errors.

use crate::machine::{CloseReason, UsageError};
use std::io;
use thiserror::Error;

/// Why a connection ended other than in order.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The carrier failed.
    #[error("the carrier failed: {0}")]
    Carrier(#[from] io::Error),
    /// The protocol ended it: the peer is gone, stopped inside a unit, or a limit of ours was reached.
    #[error("the connection ended: {0}")]
    Ended(CloseReason),
}

/// Why something was not sent.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SendError {
    /// The caller asked for what cannot be done; the connection stays as it was.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The connection ended before it could be sent.
    #[error("the connection is closed")]
    Closed,
    /// The connection failed before it could be sent.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
}

/// True for the ends that both sides expect.
pub(super) const fn is_orderly(reason: CloseReason) -> bool {
    matches!(reason, CloseReason::Stopped | CloseReason::StoppedByPeer | CloseReason::PeerClosed)
}
