//! Where the implementation under test is, or where it is waited for.

use super::link::{Link, Octets, PATIENCE};
use super::{tls, ws};
use core::time::Duration;
use postroad::Url;
use postroad::url::{Address, Host, Protocol, Transport};
use postroad_transport::memory;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::timeout;

/// How long a foreign client may take to come.
pub const ARRIVAL_MAX: Duration = Duration::from_secs(60);

/// What ALPN and the WebSocket are told that SMRP is.
pub const SMRP_ALPN: &[u8] = b"smrp/1";
/// The same for WebSockets.
pub const SMRP_SUBPROTOCOL: &str = "smrp.v1";
/// Who the runner is where a device has to say who it is.
pub const DEVICE: &str = "mac:112233445566";

/// The other end: connected to, or waited for.
#[derive(Debug)]
pub struct Target {
    /// Where.
    pub url: Url,
    /// Authorities that its certificate must come from, in PEM. Without any it is not judged.
    pub ca: Option<Vec<u8>>,
    /// How long anything that has to come may take.
    pub patience: Duration,
    door: Option<Door>,
}

#[derive(Debug)]
enum Door {
    Tcp(TcpListener),
    Unix(UnixListener),
}

fn say(error: impl core::fmt::Display) -> String {
    error.to_string()
}

fn read(path: Option<&Path>) -> Result<Option<Vec<u8>>, String> {
    path.map(|path| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))).transpose()
}

/// A stream of TCP with what resets it.
async fn tcp(address: &str) -> Result<(TcpStream, OwnedFd), String> {
    let stream = timeout(PATIENCE, TcpStream::connect(address)).await.map_err(say)?.map_err(say)?;
    prepared(stream)
}

fn prepared(stream: TcpStream) -> Result<(TcpStream, OwnedFd), String> {
    stream.set_nodelay(true).map_err(say)?;
    let socket = stream.as_fd().try_clone_to_owned().map_err(say)?;
    Ok((stream, socket))
}

impl Target {
    /// An implementation that listens.
    ///
    /// # Errors
    /// Where a file that the URL names cannot be read.
    pub fn connect(url: Url) -> Result<Self, String> {
        Ok(Self { ca: read(url.options().ca.as_deref())?, url, patience: PATIENCE, door: None })
    }

    /// Waits for an implementation that connects; the URL has the real port then.
    ///
    /// # Errors
    /// Where nothing can listen there.
    pub async fn listen(url: Url) -> Result<Self, String> {
        let door = match (url.transport(), url.address()) {
            (Transport::Unix, Address::Path(path)) => Door::Unix(UnixListener::bind(path).map_err(say)?),
            (Transport::Tcp | Transport::Ws | Transport::Tls | Transport::Wss, Address::Network { host, port, .. }) => {
                Door::Tcp(TcpListener::bind(format!("{host}:{port}")).await.map_err(say)?)
            }
            _ => return Err(format!("{}: nobody else can connect there", url.stack())),
        };
        let url = match &door {
            Door::Tcp(listener) => with_port(&url, listener.local_addr().map_err(say)?.port())?,
            Door::Unix(_) => url,
        };
        Ok(Self { url, ca: None, patience: PATIENCE, door: Some(door) })
    }

    /// True where the implementation connects to the runner.
    #[must_use]
    pub const fn is_waiting(&self) -> bool {
        self.door.is_some()
    }

    /// The word for its carrier, as in a URL.
    #[must_use]
    pub const fn carrier(&self) -> &'static str {
        self.url.transport().word()
    }

    /// A new connection with it, ready for the protocol.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn link(&self) -> Result<Link, String> {
        let link = match &self.door {
            None => timeout(PATIENCE, self.dial()).await.map_err(|_| format!("no connection within {PATIENCE:?}"))?,
            Some(door) => {
                let link = timeout(ARRIVAL_MAX, self.take(door)).await;
                link.map_err(|_| format!("nobody connected within {ARRIVAL_MAX:?}"))?
            }
        };
        Ok(link?.with_patience(self.patience))
    }

    /// A connection of the carrier at the bottom: TCP, a Unix socket or memory, with nothing said on it.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn bare(&self) -> Result<Link, String> {
        match self.url.address() {
            Address::Path(path) => {
                let stream = timeout(PATIENCE, UnixStream::connect(path)).await.map_err(say)?.map_err(say)?;
                Ok(Link::new(stream, None))
            }
            Address::Name(name) => Ok(Link::new(memory::connect(name).await.map_err(say)?, None)),
            Address::Network { host, port, .. } => {
                let (stream, socket) = tcp(&format!("{host}:{port}")).await?;
                Ok(Link::new(stream, Some(socket)))
            }
            _ => Err(format!("{} has no connections", self.url.stack())),
        }
    }

    /// A connection of TLS, whose client says what is given.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn secure(&self, client: &tls::Client) -> Result<Link, String> {
        self.secure_with(client).await.map(|(link, _)| link)
    }

    /// The same, with what ALPN chose.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn secure_with(&self, client: &tls::Client) -> Result<(Link, Option<Vec<u8>>), String> {
        let Address::Network { host, port, .. } = self.url.address() else {
            return Err(format!("{} has no TLS", self.url.stack()));
        };
        let (stream, socket) = tcp(&format!("{host}:{port}")).await?;
        let name = self.url.options().server_name.clone().unwrap_or_else(|| name_of(host));
        let stream = client.connect(&name, stream).await?;
        let agreed = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        Ok((Link::new(stream, Some(socket)), agreed))
    }

    /// What the runner's TLS says where a case does not say otherwise.
    #[must_use]
    pub fn tls_client(&self) -> tls::Client {
        let is_session = self.url.protocol() == Protocol::Smrp && self.url.transport() == Transport::Tls;
        let alpn = if is_session { vec![SMRP_ALPN.to_vec()] } else { Vec::new() };
        tls::Client { ca: self.ca.clone(), alpn, ..tls::Client::default() }
    }

    async fn dial(&self) -> Result<Link, String> {
        let link = match self.url.transport().is_tls() {
            true => self.secure(&self.tls_client()).await?,
            false => self.bare().await?,
        };
        match self.url.address() {
            Address::Network { host, path, .. } if is_websocket(self.url.transport()) => {
                upgrade(link, &host.to_string(), path, &self.headers()).await
            }
            _ => Ok(link),
        }
    }

    /// The header lines that the protocol wants in a WebSocket's request.
    #[must_use]
    pub fn headers(&self) -> String {
        match self.url.protocol() {
            Protocol::Smrp => format!("Sec-WebSocket-Protocol: {SMRP_SUBPROTOCOL}\r\n"),
            Protocol::Wrp => {
                let device = self.url.options().device.as_deref().unwrap_or(DEVICE);
                format!("X-Webpa-Device-Name: {device}\r\n")
            }
            _ => String::new(),
        }
    }

    async fn take(&self, door: &Door) -> Result<Link, String> {
        let link = match door {
            Door::Unix(listener) => Link::new(listener.accept().await.map_err(say)?.0, None),
            Door::Tcp(listener) => {
                let (stream, socket) = prepared(listener.accept().await.map_err(say)?.0)?;
                self.guarded(stream, socket).await?
            }
        };
        if !is_websocket(self.url.transport()) {
            return Ok(link);
        }
        let mut link = link;
        let request = link.head().await?;
        let protocol = (self.url.protocol() == Protocol::Smrp).then_some(SMRP_SUBPROTOCOL);
        link.write(ws::answer(&request, protocol)?.as_bytes()).await?;
        Ok(link.into_websocket(false))
    }

    async fn guarded(&self, stream: impl Octets + 'static, socket: OwnedFd) -> Result<Link, String> {
        if !self.url.transport().is_tls() {
            return Ok(Link::new(stream, Some(socket)));
        }
        let options = self.url.options();
        let (Some(certificate), Some(key)) = (read(options.cert.as_deref())?, read(options.key.as_deref())?) else {
            return Err("TLS needs ?cert=FILE&key=FILE; `postroad cert` makes them for development".into());
        };
        let alpn = self.tls_client().alpn;
        Ok(Link::new(tls::accept((&certificate, &key), alpn, stream).await?, Some(socket)))
    }
}

/// A client's end of a WebSocket on a stream.
///
/// # Errors
/// That it was refused.
pub async fn upgrade(mut link: Link, host: &str, path: &str, headers: &str) -> Result<Link, String> {
    link.write(ws::request(host, path, headers).as_bytes()).await?;
    ws::check_answer(&link.head().await?)?;
    Ok(link.into_websocket(true))
}

const fn is_websocket(transport: Transport) -> bool {
    matches!(transport, Transport::Ws | Transport::Wss)
}

/// The name that a certificate must have.
fn name_of(host: &Host) -> String {
    match host {
        Host::Name(name) => name.clone(),
        Host::Ip(ip) => ip.to_string(),
    }
}

/// The URL with another port.
fn with_port(url: &Url, port: u16) -> Result<Url, String> {
    let text = url.to_string();
    let Some(old) = url.port() else { return Ok(url.clone()) };
    // The canonical text has the port behind the host, in front of path and options.
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at(end);
    let authority = authority.strip_suffix(&format!(":{old}")).unwrap_or(authority);
    format!("{scheme}://{authority}:{port}{behind}").parse().map_err(say)
}
