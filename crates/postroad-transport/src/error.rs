//! One error for all carriers: what was being done, with whom, why it failed and what to do about it.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;

/// What a peer turned out to speak, or what this end expects it to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Speaks {
    /// Protocol bytes with nothing around them (TCP or Unix socket).
    Plain,
    /// TLS records.
    Tls,
    /// HTTP/1, which is also how a WebSocket begins.
    Http,
}

impl fmt::Display for Speaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain bytes",
            Self::Tls => "TLS",
            Self::Http => "HTTP",
        })
    }
}

/// Why a carrier failed, coarse enough to choose an exit code or a retry from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Nobody listens at the address.
    Refused,
    /// A named time-out ran out: connecting, or a TLS or WebSocket handshake.
    TimedOut,
    /// The host name has no address, or the name service did not answer.
    Dns,
    /// The address to listen at is in use already.
    AddressInUse,
    /// The certificate of the peer was issued by nobody this end trusts.
    CertificateUnknownIssuer,
    /// The certificate of the peer is not for the name that was asked for.
    CertificateWrongName,
    /// The certificate of the peer is no longer, or not yet, valid.
    CertificateExpired,
    /// The certificate of the peer is wrong in another way, or the peer refuses ours.
    Certificate,
    /// The server demands a client certificate and did not get one.
    CertificateRequired,
    /// No common application protocol (ALPN), TLS version or cipher.
    NoCommonProtocol,
    /// The handshake of TLS or WebSocket failed in another way.
    Handshake,
    /// The two ends speak different things: plain, TLS, HTTP.
    Mismatch {
        /// What this end speaks.
        ours: Speaks,
        /// What the peer speaks, judged by its first bytes; `None` where it only hung up on us.
        theirs: Option<Speaks>,
    },
    /// A browser page of another origin asked for a WebSocket.
    OriginRefused,
    /// The peer asked for a WebSocket at a path that is not served, or the server said so.
    PathRefused,
    /// The server wants credentials, or others than it was shown.
    CredentialsRefused,
    /// The server leads to another address, see [`CarrierError::location`]. Redirects are not followed here.
    Redirected,
    /// The peer sent a WebSocket text message; only binary ones carry bytes.
    TextMessage,
    /// A limit of this end was passed; the message names it.
    Limit,
    /// The peer ended the connection without the orderly end its carrier has.
    Truncated,
    /// The peer closed the WebSocket with a code that says something went wrong.
    ClosedByPeer {
        /// The close code of RFC 6455, section 7.4.
        code: u16,
    },
    /// The peer broke the rules of the carrier.
    Protocol,
    /// The process lacks a privilege of the system that the operation needs.
    Privilege,
    /// A setting of the caller cannot work: a bad certificate file, an empty name.
    Config,
    /// Any other failure of the operating system.
    Io,
}

/// A failure of a carrier. Cheap to clone; says who, what, why and what to do next.
///
/// It also travels inside [`io::Error`] where a byte stream fails; [`CarrierError::from_io`] gets it back.
///
/// ```
/// use postroad_transport::{CarrierError, ErrorKind};
///
/// let error = CarrierError::new(ErrorKind::Refused, "connect", "nobody listens there").at("127.0.0.1:7001");
/// let as_io = std::io::Error::from(error);
/// assert_eq!(CarrierError::from_io(&as_io).unwrap().kind(), ErrorKind::Refused);
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct CarrierError(#[source] Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    action: Cow<'static, str>,
    address: Option<String>,
    cause: Cow<'static, str>,
    remedy: Cow<'static, str>,
    location: Option<String>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl fmt::Display for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.action)?;
        if let Some(address) = &self.address {
            write!(f, " {address}")?;
        }
        write!(f, ": {}", self.cause)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

impl StdError for Inner {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as &(dyn StdError + 'static))
    }
}

impl CarrierError {
    /// An error of `kind` while doing `action` (a verb: "connect to"), because of `cause`.
    pub fn new(kind: ErrorKind, action: impl Into<Cow<'static, str>>, cause: impl Into<Cow<'static, str>>) -> Self {
        let remedy = Cow::Borrowed(default_remedy(kind));
        let (action, cause) = (action.into(), cause.into());
        Self(Arc::new(Inner { kind, action, address: None, cause, remedy, location: None, source: None }))
    }

    /// The two ends speak different things.
    pub fn mismatch(ours: Speaks, theirs: Option<Speaks>) -> Self {
        let (cause, remedy) = mismatch_text(ours, theirs);
        Self::new(ErrorKind::Mismatch { ours, theirs }, "talk to", cause).remedy_is(remedy)
    }

    /// The same error with the address it happened at.
    #[must_use]
    pub fn at(self, address: impl fmt::Display) -> Self {
        self.change(|inner| inner.address = Some(address.to_string()))
    }

    /// The same error with the underlying failure as its source.
    #[must_use]
    pub fn caused_by(self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.change(|inner| inner.source = Some(Arc::new(source)))
    }

    /// The same error with another piece of advice.
    #[must_use]
    pub fn remedy_is(self, remedy: impl Into<Cow<'static, str>>) -> Self {
        self.change(|inner| inner.remedy = remedy.into())
    }

    #[cfg(feature = "ws")]
    pub(crate) fn leads_to(self, location: String) -> Self {
        self.change(|inner| inner.location = Some(location))
    }

    fn change(mut self, edit: impl FnOnce(&mut Inner)) -> Self {
        // An error is shared only after it is built, so the copy below is for completeness.
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            edit(inner);
            return self;
        }
        let old = &self.0;
        let mut inner = Inner {
            kind: old.kind,
            action: old.action.clone(),
            address: old.address.clone(),
            cause: old.cause.clone(),
            remedy: old.remedy.clone(),
            location: old.location.clone(),
            source: old.source.clone(),
        };
        edit(&mut inner);
        Self(Arc::new(inner))
    }

    /// An operating-system failure while doing `action`, with the kind that fits it.
    ///
    /// A [`CarrierError`] inside `error` (put there by a lower layer) is returned as it is.
    pub fn io(action: impl Into<Cow<'static, str>>, error: io::Error) -> Self {
        if let Some(inner) = Self::from_io(&error) {
            return inner.clone();
        }
        let kind = match error.kind() {
            io::ErrorKind::ConnectionRefused => ErrorKind::Refused,
            io::ErrorKind::TimedOut => ErrorKind::TimedOut,
            io::ErrorKind::AddrInUse => ErrorKind::AddressInUse,
            io::ErrorKind::UnexpectedEof => ErrorKind::Truncated,
            _ => ErrorKind::Io,
        };
        Self::new(kind, action, error.to_string()).caused_by(error)
    }

    /// The carrier error inside an I/O error of one of this crate's byte streams, if there is one.
    pub fn from_io(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref::<Self>()
    }

    /// The kind, to decide by.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What was being done, a verb phrase that the address completes.
    pub fn action(&self) -> &str {
        &self.0.action
    }

    /// The address it happened at, as it was given or as the peer has it.
    pub fn address(&self) -> Option<&str> {
        self.0.address.as_deref()
    }

    /// Why it failed.
    pub fn cause(&self) -> &str {
        &self.0.cause
    }

    /// The URL that a [`Redirected`](ErrorKind::Redirected) error leads to, as the peer wrote it.
    pub fn location(&self) -> Option<&str> {
        self.0.location.as_deref()
    }

    /// What to do next; empty where there is no good advice.
    pub fn remedy(&self) -> &str {
        &self.0.remedy
    }
}

impl From<CarrierError> for io::Error {
    fn from(error: CarrierError) -> Self {
        let kind = match error.kind() {
            ErrorKind::Refused => io::ErrorKind::ConnectionRefused,
            ErrorKind::TimedOut => io::ErrorKind::TimedOut,
            ErrorKind::AddressInUse => io::ErrorKind::AddrInUse,
            ErrorKind::Truncated => io::ErrorKind::UnexpectedEof,
            ErrorKind::OriginRefused | ErrorKind::PathRefused | ErrorKind::Privilege => io::ErrorKind::PermissionDenied,
            ErrorKind::ClosedByPeer { .. } => io::ErrorKind::ConnectionAborted,
            ErrorKind::Config => io::ErrorKind::InvalidInput,
            ErrorKind::Dns => io::ErrorKind::NotFound,
            ErrorKind::Io => io::ErrorKind::Other,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

/// Text that a peer chose, made fit for a message: control characters escaped, at most 200 characters.
#[cfg(any(feature = "tls", feature = "ws", test))]
pub(crate) fn printable(text: &str) -> String {
    text.chars().take(200).flat_map(char::escape_debug).collect()
}

fn default_remedy(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Refused => "start the listener, or check host and port",
        ErrorKind::TimedOut => "check that the host is up and no firewall drops the packets",
        ErrorKind::Dns => "check the spelling of the host name",
        ErrorKind::AddressInUse => "stop the other program, or choose another address (port 0 takes a free one)",
        ErrorKind::CertificateUnknownIssuer => "give the CA that issued the certificate of the peer",
        ErrorKind::CertificateWrongName => "use a name that the certificate has, or have it issued for this name",
        ErrorKind::CertificateExpired => "renew the certificate, and check the clocks of both hosts",
        ErrorKind::CertificateRequired => "give a client certificate and its key",
        ErrorKind::NoCommonProtocol => "make both ends agree on application protocol (ALPN) and TLS version",
        ErrorKind::OriginRefused => "add the origin to the allowed origins of the listener",
        ErrorKind::PathRefused => "use the path that the listener serves",
        ErrorKind::TextMessage => "send binary WebSocket messages",
        _ => "",
    }
}

fn mismatch_text(ours: Speaks, theirs: Option<Speaks>) -> (&'static str, &'static str) {
    match (ours, theirs) {
        (Speaks::Plain, Some(Speaks::Tls)) => {
            ("peer speaks TLS, this end speaks plain bytes", "use a +tls:// (or +wss://) URL")
        }
        (Speaks::Plain, Some(Speaks::Http)) => (
            "peer speaks HTTP, this end speaks plain bytes",
            "use a +ws:// URL if a WebSocket is meant; this port serves no web pages",
        ),
        (Speaks::Tls, Some(Speaks::Http)) => {
            ("peer speaks plain HTTP, this end speaks TLS", "use +ws:// instead of +wss://, or https:// at the peer")
        }
        (Speaks::Tls, Some(_)) => (
            "peer speaks no TLS, this end speaks TLS",
            "use the same URL scheme on both ends: +tls:// or +wss://, without TLS +tcp:// or +ws://",
        ),
        (Speaks::Tls, None) => (
            "peer hung up on the TLS handshake, it seems to speak no TLS",
            "use the same URL scheme on both ends: +tls:// or +wss://, without TLS +tcp:// or +ws://",
        ),
        (Speaks::Http, Some(Speaks::Tls)) => {
            ("peer speaks TLS, this end speaks plain WebSocket", "use +wss:// instead of +ws://")
        }
        (Speaks::Http, Some(_)) => (
            "peer speaks no HTTP, so no WebSocket",
            "use the same URL scheme on both ends: +ws:// or +wss://, without WebSocket +tcp:// or +tls://",
        ),
        (Speaks::Http, None) => (
            "peer hung up on the WebSocket handshake, it seems to speak no HTTP",
            "use the same URL scheme on both ends: +ws:// or +wss://, without WebSocket +tcp:// or +tls://",
        ),
        (Speaks::Plain, _) => ("peer speaks something else than this end", "use the same URL scheme on both ends"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_says_what_where_why_and_what_next() {
        let error = CarrierError::new(ErrorKind::Refused, "connect to", "connection refused").at("h:1");
        assert_eq!(error.to_string(), "connect to h:1: connection refused; start the listener, or check host and port");
    }

    #[test]
    fn a_carrier_error_survives_the_way_through_io_error() {
        let error = CarrierError::mismatch(Speaks::Plain, Some(Speaks::Tls)).at("h:1");
        let through = io::Error::from(error.clone());
        assert_eq!(through.kind(), io::ErrorKind::InvalidData);
        let back = CarrierError::io("read from", through);
        assert_eq!(back.kind(), error.kind());
        assert!(back.to_string().contains("+tls://"), "{back}");
    }

    #[test]
    fn text_of_a_peer_is_escaped_and_cut() {
        let text = printable(&format!("\x1b[31m\0{}", "x".repeat(1000)));
        assert!(text.starts_with("\\u{1b}[31m\\0"), "{text}");
        assert!(text.len() < 300, "{}", text.len());
    }
}
