//! What a session runs over.

use crate::wire::Security;
use core::future::Future;
use core::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite};

/// Anything that reads and writes octets.
pub trait Octets: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Octets for T {}

/// A connection of a carrier, and what it is.
pub struct Carrier {
    pub(super) io: Box<dyn Octets>,
    pub(super) security: Security,
    pub(super) is_local: bool,
}

impl Carrier {
    /// A connection; `is_local` where it does not leave the host.
    pub fn new(io: impl Octets + 'static, security: Security, is_local: bool) -> Self {
        Self { io: Box::new(io), security, is_local }
    }
}

impl core::fmt::Debug for Carrier {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Carrier")
            .field("security", &self.security)
            .field("is_local", &self.is_local)
            .finish_non_exhaustive()
    }
}

/// Opens another connection for a session that lost its own. It may be of another kind each time.
///
/// An error of kind `ConnectionRefused` or `NotFound` says that nobody listens there; after [`Limits::refused_timeout`](crate::Limits::refused_timeout) of
/// nothing else the session ends. After any other it goes on trying for as long as both ends keep the session.
pub trait Redial: Send + Sync {
    /// Opens one.
    fn redial(&self) -> Pin<Box<dyn Future<Output = std::io::Result<Carrier>> + Send + '_>>;
}

impl<F, T> Redial for F
where
    F: Fn() -> T + Send + Sync,
    T: Future<Output = std::io::Result<Carrier>> + Send + 'static,
{
    fn redial(&self) -> Pin<Box<dyn Future<Output = std::io::Result<Carrier>> + Send + '_>> {
        Box::pin(self())
    }
}
