//! What a session runs over.

use crate::credential::{Channel, Credential};
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
    pub(super) peer: Option<String>,
    pub(super) channel: Channel,
}

impl Carrier {
    /// A connection; `is_local` where it does not leave the host.
    pub fn new(io: impl Octets + 'static, security: Security, is_local: bool) -> Self {
        Self { io: Box::new(io), security, is_local, peer: None, channel: Channel::default() }
    }

    /// Saying who is at the other end, for logs: an address, never a credential.
    #[must_use]
    pub fn with_peer(mut self, peer: impl Into<String>) -> Self {
        self.peer = Some(peer.into());
        self
    }

    /// With what TLS knows of this connection: what proves that a key is at its other end, and the peer's certificate.
    #[must_use]
    pub fn with_channel(mut self, channel: Channel) -> Self {
        self.channel = channel;
        self
    }
}

impl core::fmt::Debug for Carrier {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Carrier")
            .field("security", &self.security)
            .field("is_local", &self.is_local)
            .field("channel", &self.channel)
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

/// Gives an initiator what it shows: for its first connection, again before the acceptor's grant ends, and for every other connection. An
/// error leaves the credential that there was; its text is logged, so it must not show one.
pub trait Credentials: Send + Sync {
    /// A credential that is good for a while. Dropped where it takes longer than 30 s.
    fn credential(&self) -> Pin<Box<dyn Future<Output = std::io::Result<Credential>> + Send + '_>>;
}

impl<F, T> Credentials for F
where
    F: Fn() -> T + Send + Sync,
    T: Future<Output = std::io::Result<Credential>> + Send + 'static,
{
    fn credential(&self) -> Pin<Box<dyn Future<Output = std::io::Result<Credential>> + Send + '_>> {
        Box::pin(self())
    }
}
