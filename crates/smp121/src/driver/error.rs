//! What a driver can say beside the machine's errors.

use crate::{ConfigError, ExchangeError, UsageError};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use thiserror::Error;

/// Why an endpoint could not be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting that cannot be.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The system gave no random numbers. Connection numbers that can be guessed would let others into exchanges.
    #[error("the system gives no random numbers: {0}")]
    Random(io::Error),
    /// There is no tokio runtime.
    #[error("an endpoint has a task of its own: start it within a tokio runtime")]
    NoRuntime,
}

/// Why a mailslot or handle was not given.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The caller asked for something that cannot be.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// There is no way to the peer.
    #[error("there is no way to {peer}: {source}")]
    NoRoute {
        /// The peer.
        peer: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The endpoint was closed.
    #[error("the endpoint is closed")]
    Closed,
    /// The carrier failed, and the endpoint ended with it.
    #[error("the carrier failed: {0}")]
    Carrier(Arc<io::Error>),
}

/// Why an exchange, or the resolution of a name, ended without what was asked for.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum SendError {
    /// The caller asked for something that cannot be; nothing was sent.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The peer or the network has no reply.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// The endpoint was closed. A request that was sent may have been served.
    #[error("the endpoint is closed; a request that was sent may have been served")]
    Closed,
    /// The carrier failed, and the endpoint ended with it. A request that was sent may have been served.
    #[error("the carrier failed: {0}")]
    Carrier(Arc<io::Error>),
}

/// Why no request comes any more.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// The endpoint was closed.
    #[error("the endpoint is closed")]
    Closed,
    /// The carrier failed, and the endpoint ended with it.
    #[error("the carrier failed: {0}")]
    Carrier(Arc<io::Error>),
}

impl From<ReceiveError> for SendError {
    fn from(error: ReceiveError) -> Self {
        match error {
            ReceiveError::Closed => Self::Closed,
            ReceiveError::Carrier(error) => Self::Carrier(error),
        }
    }
}

impl From<ReceiveError> for OpenError {
    fn from(error: ReceiveError) -> Self {
        match error {
            ReceiveError::Closed => Self::Closed,
            ReceiveError::Carrier(error) => Self::Carrier(error),
        }
    }
}
