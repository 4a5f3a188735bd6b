//! One error for everything: what failed, why, and what to do about it.

use crate::UrlError;
use core::fmt;
use postroad_transport::{CarrierError, ErrorKind as CarrierKind};
use std::sync::Arc;

/// What went wrong, coarse enough to choose a reaction from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A URL or an argument that cannot be.
    Usage,
    /// A setting that cannot work: a certificate file, a limit of 0.
    Config,
    /// The stack cannot carry what was asked of it.
    Unsupported,
    /// No connection: nobody listens, no such host, the address is taken.
    Connect,
    /// This process may not: raw IP without `CAP_NET_RAW`.
    Privilege,
    /// The other end's certificate, or ours, was not accepted.
    Certificate,
    /// The two ends speak different things.
    Mismatch,
    /// Something took longer than its time-out.
    Timeout,
    /// The connection was closed in order, and something was still wanted of it.
    Closed,
    /// The connection broke.
    Lost,
    /// The peer broke the rules of the protocol or of the request convention.
    Protocol,
    /// The peer answered that it could not or would not.
    Peer,
    /// A limit of this end was reached.
    Limit,
    /// What came is not what was sent.
    Integrity,
    /// A file of this machine could not be read or written.
    File,
}

impl ErrorKind {
    /// True where the caller has to change the call, not the world.
    #[must_use]
    pub const fn is_usage(self) -> bool {
        matches!(self, Self::Usage | Self::Config)
    }

    /// A stable word for machines.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Config => "config",
            Self::Unsupported => "unsupported",
            Self::Connect => "connect",
            Self::Privilege => "privilege",
            Self::Certificate => "certificate",
            Self::Mismatch => "mismatch",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Lost => "lost",
            Self::Protocol => "protocol",
            Self::Peer => "peer",
            Self::Limit => "limit",
            Self::Integrity => "integrity",
            Self::File => "file",
        }
    }
}

/// What failed, why, and the remedy. Cheap to clone. Text that a peer chose is escaped.
#[derive(Clone, Debug)]
pub struct Error(Arc<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: ErrorKind,
    what: String,
    why: String,
    remedy: String,
    is_unprocessed: bool,
    source: Option<Arc<dyn core::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind`: `what` failed ("could not connect to …"), and `why`.
    pub(crate) fn new(kind: ErrorKind, what: impl Into<String>, why: impl Into<String>) -> Self {
        let remedy = String::new();
        Self(Arc::new(Inner { kind, what: what.into(), why: why.into(), remedy, is_unprocessed: false, source: None }))
    }

    pub(crate) fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.0).remedy = remedy.into();
        self
    }

    pub(crate) fn with_what(mut self, what: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.0).what = what.into();
        self
    }

    /// Nothing was done with what was sent.
    pub(crate) fn unprocessed(mut self) -> Self {
        Arc::make_mut(&mut self.0).is_unprocessed = true;
        self
    }

    pub(crate) fn with_source(mut self, source: impl core::error::Error + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.0).source = Some(Arc::new(source));
        self
    }

    /// A carrier's error, met while `what` was tried.
    pub(crate) fn carrier(what: impl Into<String>, error: CarrierError) -> Self {
        let why = match error.address() {
            Some(address) => format!("{} {address}: {}", error.action(), error.cause()),
            None => format!("{}: {}", error.action(), error.cause()),
        };
        Self::new(kind_of(error.kind()), what, why).with_remedy(error.remedy()).with_source(error)
    }

    /// A file's error, met while `what` was tried.
    pub(crate) fn file(what: impl Into<String>, error: std::io::Error) -> Self {
        Self::new(ErrorKind::File, what, error.to_string()).with_source(error)
    }

    /// What to react to.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What failed, with the URL or file it was about.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.0.what
    }

    /// Why, with the phase it happened in.
    #[must_use]
    pub fn why(&self) -> &str {
        &self.0.why
    }

    /// What to do about it; empty where there is nothing better than trying again.
    #[must_use]
    pub fn remedy(&self) -> &str {
        &self.0.remedy
    }

    /// True where it is certain that the other end did nothing with what was sent: it was never sent, or the other end says so. The same may be sent
    /// again, over another connection, and is not done twice. False says nothing. Only over `smrp`.
    #[must_use]
    pub fn is_unprocessed(&self) -> bool {
        self.0.is_unprocessed
    }
}

fn kind_of(kind: CarrierKind) -> ErrorKind {
    use CarrierKind as K;
    match kind {
        K::Refused | K::Dns | K::AddressInUse | K::PathRefused => ErrorKind::Connect,
        K::TimedOut => ErrorKind::Timeout,
        K::CertificateUnknownIssuer
        | K::CertificateWrongName
        | K::CertificateExpired
        | K::Certificate
        | K::CertificateRequired => ErrorKind::Certificate,
        K::NoCommonProtocol | K::Mismatch { .. } => ErrorKind::Mismatch,
        K::Limit => ErrorKind::Limit,
        K::Privilege => ErrorKind::Privilege,
        K::OriginRefused | K::CredentialsRefused | K::Redirected => ErrorKind::Peer,
        K::TextMessage | K::Protocol | K::Handshake => ErrorKind::Protocol,
        K::Config => ErrorKind::Config,
        _ => ErrorKind::Lost,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.what, self.0.why)?;
        if !self.0.remedy.is_empty() {
            write!(f, "; {}", self.0.remedy)?;
        }
        Ok(())
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source.as_ref() as &(dyn core::error::Error + 'static))
    }
}

impl From<UrlError> for Error {
    fn from(error: UrlError) -> Self {
        let what = format!("`{}` is no URL that postroad understands", crate::escape::text(error.text()));
        let why = format!("{} (at character {})", error.kind(), error.at() + 1);
        Self::new(ErrorKind::Usage, what, why).with_remedy(error.remedy()).with_source(error)
    }
}

/// For `TryInto<Url>` of a URL itself.
impl From<core::convert::Infallible> for Error {
    fn from(never: core::convert::Infallible) -> Self {
        match never {}
    }
}
