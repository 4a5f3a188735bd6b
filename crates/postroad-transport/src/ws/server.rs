//! The server's half of the WebSocket handshake.

use std::borrow::Cow;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::machine::TryParse;
use tokio_tungstenite::tungstenite::handshake::server::{Request, create_response, write_response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::client::has_token;
use super::config::Limits;
use super::head;
use super::judge::{Asked, Judge, Refuse};
use super::origin::Origins;
use super::stream::Stream;
use crate::error::{CarrierError, ErrorKind, printable};
use crate::limit::{HANDSHAKES_MAX_DEFAULT, HandshakeLimit};
use crate::refuse::refuse;
use crate::tcp;

const ACTION: &str = "shake hands (WebSocket) with";

/// What a WebSocket server serves, and to whom. [`build`](Self::build) checks it all and makes a [`Server`].
#[derive(Debug, Clone)]
pub struct ServerConfig {
    paths: Vec<String>,
    origins: Origins,
    protocols: Vec<String>,
    limits: Limits,
    handshakes_max: usize,
    kept_headers: Vec<String>,
    judge: Option<Judge>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            origins: Origins::default(),
            protocols: Vec::new(),
            limits: Limits::default(),
            handshakes_max: HANDSHAKES_MAX_DEFAULT,
            kept_headers: Vec::new(),
            judge: None,
        }
    }
}

impl ServerConfig {
    /// Any path, programs and pages of the same host only, no sub-protocol, default limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves this path, and those that were named before, only (compared without the query); others get 404. Default: any
    /// path.
    #[must_use]
    pub fn with_path(mut self, path: &str) -> Self {
        self.paths.push(if path.starts_with('/') { path.to_owned() } else { format!("/{path}") });
        self
    }

    /// Keeps these headers of a request for [`Stream::request_header`]. Default: none.
    #[must_use]
    pub fn with_kept_headers<H: Into<String>>(mut self, names: impl IntoIterator<Item = H>) -> Self {
        self.kept_headers = names.into_iter().map(Into::into).collect();
        self
    }

    /// Asks `judge` about each request that is right otherwise; one that it refuses gets its status and words.
    #[must_use]
    pub fn with_judge(mut self, judge: impl Fn(&Asked<'_>) -> Result<(), Refuse> + Send + Sync + 'static) -> Self {
        self.judge = Some(Judge::new(judge));
        self
    }

    /// Lets browser pages of these origins in as well (`https://example.org`). A page whose origin is the host that was
    /// asked for is let in anyway, and so is a request without `Origin`: programs send none.
    #[must_use]
    pub fn with_allowed_origins<O: Into<String>>(mut self, origins: impl IntoIterator<Item = O>) -> Self {
        self.origins = Origins::These(origins.into_iter().map(Into::into).collect());
        self
    }

    /// Lets pages of every origin in: any page a user visits can then talk to this server in the user's name.
    #[must_use]
    pub fn with_any_origin(mut self) -> Self {
        self.origins = Origins::Any;
        self
    }

    /// Speaks these sub-protocols, best first. A client that asks for others only is refused, one that asks for none is
    /// served. Default: none, whatever the client asks for.
    #[must_use]
    pub fn with_protocols<P: Into<String>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.protocols = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// Other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How many handshakes a listener lets run at the same time; more wait in the kernel. Default 1024, at least 1.
    #[must_use]
    pub fn with_handshakes_max(mut self, handshakes: usize) -> Self {
        self.handshakes_max = handshakes;
        self
    }

    /// Checks all settings together.
    ///
    /// # Errors
    /// `Config` if a limit is zero or two of them contradict each other.
    pub fn build(self) -> Result<Server, CarrierError> {
        self.limits.check()?;
        let limit = HandshakeLimit::new(self.handshakes_max)?;
        Ok(Server { config: Arc::new(self), limit })
    }
}

/// Why a request is refused: for the peer a status, for this end an error.
struct Refusal {
    status: Cow<'static, str>,
    error: CarrierError,
}

/// What a request comes to that is granted.
struct Granted {
    answer: Vec<u8>,
    protocol: Option<String>,
    kept: Box<[(Box<str>, Box<str>)]>,
}

impl Refusal {
    fn new(status: &'static str, kind: ErrorKind, cause: impl Into<Cow<'static, str>>) -> Self {
        Self { status: status.into(), error: CarrierError::new(kind, ACTION, cause) }
    }
}

/// A WebSocket server, ready for any number of connections. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Server {
    config: Arc<ServerConfig>,
    limit: HandshakeLimit,
}

impl Server {
    /// Shakes hands over any byte stream. A refused peer gets an HTTP status and a line that says why.
    ///
    /// # Errors
    /// `Handshake`, `PathRefused`, `OriginRefused`, `NoCommonProtocol`, `Mismatch`, `Limit`, `TimedOut`, with `peer` as the
    /// address.
    pub async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        mut io: S,
        peer: &str,
    ) -> Result<Stream<S>, CarrierError> {
        let limits = self.config.limits;
        let shaking = async {
            let head = head::read(&mut io, limits.head_len_max).await.map_err(|error| match error.kind() {
                ErrorKind::Limit => Refusal { status: "431 Request Header Fields Too Large".into(), error },
                ErrorKind::Mismatch { theirs: Some(_), .. } => Refusal { status: "400 Bad Request".into(), error },
                _ => Refusal { status: "".into(), error },
            })?;
            let granted = self.answer(&head)?;
            let failed = |error| Refusal { status: "".into(), error: CarrierError::io(ACTION, error) };
            io.write_all(&granted.answer).await.map_err(failed)?;
            io.flush().await.map_err(failed)?;
            Ok(granted)
        };
        match timeout(limits.handshake_timeout, shaking).await {
            Ok(Ok(Granted { protocol, kept, .. })) => {
                Ok(Stream::new(io, Role::Server, Vec::new(), limits, peer, protocol).with_kept(kept))
            }
            Ok(Err(Refusal { status, error })) => {
                if !status.is_empty() {
                    refuse(&mut io, refusal_text(&status, &error).as_bytes()).await;
                }
                Err(error.at(peer))
            }
            Err(_) => Err(tcp::timed_out(ACTION, limits.handshake_timeout).at(peer)),
        }
    }

    pub(crate) fn limit(&self) -> &HandshakeLimit {
        &self.limit
    }

    /// The answer that opens the WebSocket, and what is known from then on.
    fn answer(&self, head: &head::Head) -> Result<Granted, Refusal> {
        let bad = |cause: String| Refusal::new("400 Bad Request", ErrorKind::Handshake, cause);
        let request = match Request::try_parse(&head.bytes) {
            Ok(Some((_, request))) => request,
            Ok(None) => return Err(bad("the request ends too early".to_owned())),
            Err(error) => return Err(bad(format!("the request is no HTTP/1.1 GET: {error}"))),
        };
        if !head.tail.is_empty() {
            return Err(bad("the peer sent more than a request before the answer".to_owned()));
        }
        if !has_token(request.headers(), "Upgrade", "websocket") {
            return Err(Refusal {
                status: "426 Upgrade Required\r\nUpgrade: websocket".into(),
                error: CarrierError::new(ErrorKind::Handshake, ACTION, "peer asked for a web page, not a WebSocket")
                    .remedy_is("this port serves WebSocket only"),
            });
        }
        let version = request.headers().get("Sec-WebSocket-Version");
        if version.is_some_and(|version| version.as_bytes() != b"13") {
            // The answer has to name the version that is spoken: RFC 6455, 4.2.2.
            return Err(Refusal {
                status: "426 Upgrade Required\r\nSec-WebSocket-Version: 13".into(),
                error: CarrierError::new(ErrorKind::Handshake, ACTION, "peer speaks another version of WebSocket")
                    .remedy_is("this port speaks version 13"),
            });
        }
        let mut response = create_response(&request)
            .map_err(|error| bad(format!("the request does not ask for a WebSocket as it should: {error}")))?;
        self.check_path(&request)?;
        if !self.config.origins.allow(request.headers()) {
            let origin = request.headers().get("Origin").map(|origin| String::from_utf8_lossy(origin.as_bytes()));
            let origin = printable(&origin.unwrap_or_default());
            return Err(Refusal::new(
                "403 Forbidden",
                ErrorKind::OriginRefused,
                format!("origin {origin} is not allowed"),
            ));
        }
        let protocol = self.choose_protocol(&request)?;
        let asked = Asked::new(request.headers());
        if let Some(judge) = &self.config.judge {
            judge.ask(&asked).map_err(|Refuse { status, why }| Refusal {
                status: status.line().into(),
                error: CarrierError::new(ErrorKind::Handshake, ACTION, format!("the request was refused: {why}")),
            })?;
        }
        let keep = |name: &String| asked.header(name).map(|value| (name.as_str().into(), value.into()));
        let kept = self.config.kept_headers.iter().filter_map(keep).collect();
        if let Some(value) = protocol.as_deref().and_then(|protocol| HeaderValue::from_str(protocol).ok()) {
            response.headers_mut().insert("Sec-WebSocket-Protocol", value);
        }
        let mut answer = Vec::with_capacity(256);
        write_response(&mut answer, &response).map_err(|error| bad(format!("{error}")))?;
        Ok(Granted { answer, protocol, kept })
    }

    fn check_path(&self, request: &Request) -> Result<(), Refusal> {
        let paths = &self.config.paths;
        if paths.is_empty() || paths.iter().any(|path| path == request.uri().path()) {
            return Ok(());
        }
        let cause = format!("path {} is not served, {} is", printable(request.uri().path()), paths.join(" or "));
        Err(Refusal::new("404 Not Found", ErrorKind::PathRefused, cause))
    }

    fn choose_protocol(&self, request: &Request) -> Result<Option<String>, Refusal> {
        const NAME: &str = "Sec-WebSocket-Protocol";
        if self.config.protocols.is_empty() || !request.headers().contains_key(NAME) {
            return Ok(None);
        }
        match self.config.protocols.iter().find(|ours| has_token(request.headers(), NAME, ours)) {
            Some(protocol) => Ok(Some(protocol.clone())),
            None => Err(Refusal::new(
                "400 Bad Request",
                ErrorKind::NoCommonProtocol,
                format!("peer asked for none of the sub-protocols {:?}", self.config.protocols),
            )),
        }
    }
}

fn refusal_text(status: &str, error: &CarrierError) -> String {
    let body = format!("{}\n", error.cause());
    format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
