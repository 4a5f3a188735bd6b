//! Who may open a WebSocket, as the application sees it.

use std::fmt;
use std::sync::Arc;

use tokio_tungstenite::tungstenite::http::HeaderMap;

/// A request for a WebSocket.
#[derive(Debug)]
pub struct Asked<'a> {
    headers: &'a HeaderMap,
}

impl<'a> Asked<'a> {
    pub(super) const fn new(headers: &'a HeaderMap) -> Self {
        Self { headers }
    }

    /// The header of that name, in any case; the first where there are several. `None` also where it is no visible ASCII.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Why a request is refused, as the peer is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// 400.
    BadRequest,
    /// 401, with the demand for a bearer token.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 410: what was here is somewhere else.
    Gone,
    /// 503.
    ServiceUnavailable,
}

impl Status {
    /// Behind the version, and what goes with it.
    pub(super) const fn line(self) -> &'static str {
        match self {
            Self::BadRequest => "400 Bad Request",
            Self::Unauthorized => "401 Unauthorized\r\nWWW-Authenticate: Bearer",
            Self::Forbidden => "403 Forbidden",
            Self::Gone => "410 Gone",
            Self::ServiceUnavailable => "503 Service Unavailable",
        }
    }
}

/// The refusal of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refuse {
    /// What the peer is told in a number.
    pub status: Status,
    /// What the peer is told in words, one line.
    pub why: String,
}

type Ask = dyn Fn(&Asked<'_>) -> Result<(), Refuse> + Send + Sync;

/// What decides.
#[derive(Clone)]
pub(super) struct Judge(Arc<Ask>);

impl Judge {
    pub(super) fn new(ask: impl Fn(&Asked<'_>) -> Result<(), Refuse> + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    pub(super) fn ask(&self, asked: &Asked<'_>) -> Result<(), Refuse> {
        (self.0)(asked)
    }
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Judge")
    }
}
