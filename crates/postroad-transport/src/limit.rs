//! How many handshakes run at the same time.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{CarrierError, ErrorKind};

/// Handshakes that a listener lets run at the same time, unless told otherwise.
pub(crate) const HANDSHAKES_MAX_DEFAULT: usize = 1024;

#[derive(Debug, Clone)]
pub(crate) struct HandshakeLimit(Arc<Semaphore>);

/// The right to run one handshake; given back when dropped.
#[derive(Debug)]
pub(crate) struct HandshakePermit(#[expect(dead_code, reason = "held for its drop")] Option<OwnedSemaphorePermit>);

impl HandshakeLimit {
    pub(crate) fn new(handshakes_max: usize) -> Result<Self, CarrierError> {
        if handshakes_max == 0 || handshakes_max > Semaphore::MAX_PERMITS {
            return Err(CarrierError::new(
                ErrorKind::Config,
                "set handshakes_max",
                format!("{handshakes_max} is not between 1 and {}", Semaphore::MAX_PERMITS),
            ));
        }
        Ok(Self(Arc::new(Semaphore::new(handshakes_max))))
    }

    /// Waits until a handshake may begin.
    pub(crate) async fn acquire(&self) -> HandshakePermit {
        // The semaphore is never closed, so there always is a permit in the end.
        HandshakePermit(Arc::clone(&self.0).acquire_owned().await.ok())
    }
}
