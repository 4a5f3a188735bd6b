//! The client's half of the WebSocket handshake.

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response, generate_key, generate_request};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::handshake::machine::TryParse;
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::Role;

use super::config::Limits;
use super::head;
use super::stream::Stream;
use crate::error::{CarrierError, ErrorKind, printable};
use crate::tcp::{self, TcpConfig};

const ACTION: &str = "shake hands (WebSocket) with";

/// What a WebSocket client asks for.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    path: String,
    host: Option<String>,
    protocol: Option<String>,
    headers: Vec<(String, String)>,
    limits: Limits,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self { path: "/".to_owned(), host: None, protocol: None, headers: Vec::new(), limits: Limits::default() }
    }
}

impl ClientConfig {
    /// Path `/`, host of the address, no sub-protocol, no further headers, default limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for this path, which may have a query: `/api?x=1`. A missing leading `/` is added.
    #[must_use]
    pub fn with_path(mut self, path: &str) -> Self {
        self.path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        self
    }

    /// Names this `Host` instead of the address.
    #[must_use]
    pub fn with_host(mut self, host: &str) -> Self {
        self.host = Some(host.to_owned());
        self
    }

    /// Asks for this sub-protocol; a server that does not agree is an error. Default: none.
    #[must_use]
    pub fn with_protocol(mut self, protocol: &str) -> Self {
        self.protocol = Some(protocol.to_owned());
        self
    }

    /// Sends one more header with the handshake (`Authorization`, `Origin`); each name once.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    fn request(&self, address: &str, default_port: &str) -> Result<(Vec<u8>, String), CarrierError> {
        let host = self.host.as_deref().unwrap_or_else(|| address.strip_suffix(default_port).unwrap_or(address));
        let mut request = Request::new(());
        *request.uri_mut() = self.path.parse().map_err(|error| bad_setting("path", &self.path, error))?;
        let headers = request.headers_mut();
        headers.insert("Host", host.parse().map_err(|error| bad_setting("host", host, error))?);
        headers.insert("Connection", HeaderValue::from_static("Upgrade"));
        headers.insert("Upgrade", HeaderValue::from_static("websocket"));
        headers.insert("Sec-WebSocket-Version", HeaderValue::from_static("13"));
        let key = generate_key();
        headers.insert("Sec-WebSocket-Key", key.parse().map_err(|error| bad_setting("key", &key, error))?);
        if let Some(protocol) = &self.protocol {
            let value = protocol.parse().map_err(|error| bad_setting("sub-protocol", protocol, error))?;
            headers.insert("Sec-WebSocket-Protocol", value);
        }
        for (name, value) in &self.headers {
            let name: HeaderName = name.parse().map_err(|error| bad_setting("header name", name, error))?;
            if headers.contains_key(&name) || name.as_str().starts_with("sec-websocket-") {
                return Err(bad_setting("header name", name.as_str(), "the handshake sets this header itself, once"));
            }
            headers.append(name, value.parse().map_err(|error| bad_setting("header value", value, error))?);
        }
        generate_request(request).map_err(|error| bad_setting("request", &self.path, error))
    }

    /// Whether `response` agrees to a WebSocket with the key that was sent.
    fn check(&self, response: &Response, key: &str) -> Result<Option<String>, CarrierError> {
        let headers = response.headers();
        let status = response.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            let sent_origin = self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("origin"));
            let location = headers.get("Location").and_then(|location| location.to_str().ok());
            let kind = match status {
                StatusCode::NOT_FOUND => ErrorKind::PathRefused,
                StatusCode::FORBIDDEN if sent_origin => ErrorKind::OriginRefused,
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                    ErrorKind::CredentialsRefused
                }
                status if status.is_redirection() && location.is_some() => ErrorKind::Redirected,
                _ => ErrorKind::Handshake,
            };
            let error =
                CarrierError::new(kind, ACTION, format!("server answered {status} instead of opening a WebSocket"));
            return Err(match (kind, status.as_u16()) {
                (ErrorKind::Redirected, _) => {
                    let location = location.unwrap_or_default();
                    let remedy = format!("it leads to {}: use that address", printable(location));
                    error.remedy_is(remedy).leads_to(location.to_owned())
                }
                (ErrorKind::CredentialsRefused, _) => error.remedy_is("send the credentials that it wants as a header"),
                (ErrorKind::Handshake, _) => {
                    error.remedy_is("check host, port and path: no WebSocket was opened there")
                }
                _ => error,
            });
        }
        let refuse_odd = |cause: &'static str| {
            let remedy = "check host and port; a proxy or cache in between may have answered in its place";
            Err(CarrierError::new(ErrorKind::Handshake, ACTION, cause).remedy_is(remedy))
        };
        if !has_token(headers, "Upgrade", "websocket") || !has_token(headers, "Connection", "upgrade") {
            return refuse_odd("server agreed to switch protocols, but not to WebSocket");
        }
        let accept = headers.get("Sec-WebSocket-Accept").map(HeaderValue::as_bytes);
        if accept != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
            return refuse_odd("server answered with a proof that does not fit the key it was sent");
        }
        if headers.contains_key("Sec-WebSocket-Extensions") {
            return refuse_odd("server switched on a WebSocket extension that was not asked for");
        }
        let chosen = headers.get("Sec-WebSocket-Protocol").map(|value| String::from_utf8_lossy(value.as_bytes()));
        match (&self.protocol, chosen) {
            (None, None) => Ok(None),
            (Some(asked), Some(chosen)) if *asked == chosen => Ok(Some(asked.clone())),
            (asked, chosen) => {
                let asked = asked.as_ref().map_or("no sub-protocol".to_owned(), |name| format!("sub-protocol {name}"));
                let chosen = chosen.map_or("none".to_owned(), |name| printable(&name));
                let cause = format!("asked for {asked}, server chose {chosen}");
                Err(CarrierError::new(ErrorKind::NoCommonProtocol, ACTION, cause)
                    .remedy_is("ask for a WebSocket sub-protocol that the server speaks, or for none"))
            }
        }
    }
}

fn bad_setting(what: &str, value: &str, error: impl std::fmt::Display) -> CarrierError {
    CarrierError::new(ErrorKind::Config, "set up the WebSocket", format!("{what} {:?}: {error}", printable(value)))
}

/// Whether the comma-separated header has the token, in any case.
pub(super) fn has_token(headers: &HeaderMap, name: &str, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(token)))
}

/// Connects to `host:port` over TCP and opens a WebSocket (`ws://`).
///
/// # Errors
/// As [`tcp::connect`] and [`handshake`].
pub async fn connect(address: &str, config: &ClientConfig, tcp: &TcpConfig) -> Result<Stream<TcpStream>, CarrierError> {
    let (io, _) = tcp::connect_raw(address, tcp).await?;
    open(io, address, ":80", config).await
}

/// Connects to `host:port` over TLS and opens a WebSocket (`wss://`).
///
/// # Errors
/// As [`crate::tls::Client::connect`] and [`handshake`].
#[cfg(feature = "tls")]
pub async fn connect_tls(
    address: &str,
    config: &ClientConfig,
    tls: &crate::tls::Client,
    tcp: &TcpConfig,
) -> Result<Stream<crate::tls::Stream<TcpStream>>, CarrierError> {
    let io = tls.connect(address, tcp).await?;
    open(io, address, ":443", config).await
}

/// Opens a WebSocket over any byte stream; `address` is named in errors and, unless the config says another, as `Host`.
///
/// # Errors
/// `Handshake`, `PathRefused`, `OriginRefused`, `NoCommonProtocol`, `Mismatch`, `Limit`, `TimedOut`; `Config` if a setting
/// cannot be put into an HTTP request.
pub async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
    io: S,
    address: &str,
    config: &ClientConfig,
) -> Result<Stream<S>, CarrierError> {
    open(io, address, ":80", config).await
}

async fn open<S: AsyncRead + AsyncWrite + Unpin>(
    mut io: S,
    address: &str,
    default_port: &str,
    config: &ClientConfig,
) -> Result<Stream<S>, CarrierError> {
    config.limits.check()?;
    let (request, key) = config.request(address, default_port)?;
    let shaking = async {
        // A server that hangs up on the request has often said why before.
        let written = async { io.write_all(&request).await.and(io.flush().await) }.await;
        let head = match (head::read(&mut io, config.limits.head_len_max).await, written) {
            (Err(error), Err(write_error)) if error.kind() == ErrorKind::Io => {
                return Err(CarrierError::io(ACTION, write_error));
            }
            (head, _) => head?,
        };
        let parsed = Response::try_parse(&head.bytes).map_err(|error| {
            CarrierError::new(ErrorKind::Handshake, ACTION, format!("the answer of the server is no HTTP: {error}"))
        })?;
        let Some((_, response)) = parsed else {
            return Err(CarrierError::new(ErrorKind::Handshake, ACTION, "the answer of the server ends too early"));
        };
        Ok((config.check(&response, &key)?, head.tail))
    };
    match timeout(config.limits.handshake_timeout, shaking).await {
        Ok(Ok((protocol, tail))) => Ok(Stream::new(io, Role::Client, tail, config.limits, address, protocol)),
        Ok(Err(error)) => Err(error.at(address)),
        Err(_) => Err(tcp::timed_out(ACTION, config.limits.handshake_timeout).at(address)),
    }
}
