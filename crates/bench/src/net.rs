//! Pairs of connected carriers.

use crate::streams::Carrier;
use anyhow::Context as _;
use postroad_transport::dev_certs::{DevCa, Identity};
use postroad_transport::{tls, ws};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use socket2::SockRef;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// Tried in this order: paced algorithms such as bbr make bulk figures wide.
const CONGESTION: &[&str] = &["cubic", "reno"];

/// How all socket figures are run, in words.
pub(crate) const TOPOLOGY: &str = "client and server are two tasks in one process, on a tokio multi-thread runtime with 2 \
    workers; TCP_NODELAY on both ends";

/// The runtime that [`TOPOLOGY`] speaks of.
pub(crate) fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().context("start the runtime")
}

/// Two ends of a TCP connection on 127.0.0.1, without Nagle's algorithm and with the congestion control pinned.
pub(crate) async fn tcp() -> anyhow::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("listen on 127.0.0.1")?;
    let (client, accepted) = tokio::join!(TcpStream::connect(listener.local_addr()?), listener.accept());
    let (client, server) = (client.context("connect to 127.0.0.1")?, accepted.context("accept on 127.0.0.1")?.0);
    for end in [&client, &server] {
        end.set_nodelay(true)?;
        let socket = SockRef::from(end);
        let _system_default_where_none_is_allowed =
            CONGESTION.iter().any(|name| socket.set_tcp_congestion(name.as_bytes()).is_ok());
    }
    Ok((client, server))
}

/// The name of the congestion control that [`tcp`] gets.
pub(crate) fn congestion() -> anyhow::Result<String> {
    runtime()?.block_on(async {
        let (client, _server) = tcp().await?;
        let name = SockRef::from(&client).tcp_congestion()?;
        Ok(String::from_utf8_lossy(&name).trim_end_matches('\0').to_owned())
    })
}

/// What both ends of bare rustls need: the client trusts the authority, the server shows the identity.
pub(crate) fn rustls_ends(
    ca: &DevCa,
    identity: &Identity,
) -> anyhow::Result<(rustls::ClientConfig, rustls::ServerConfig)> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.certificate_pem().as_bytes())?)?;
    let provider = || Arc::new(rustls::crypto::ring::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(identity.certificate_pem.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes())?;
    let server = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain?, key)?;
    Ok((client, server))
}

/// What both ends of TLS need, for bare rustls and for ours.
pub(crate) struct Tls {
    connector: TlsConnector,
    acceptor: TlsAcceptor,
    client: tls::Client,
    server: tls::Server,
}

impl Tls {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let ca = DevCa::generate()?;
        let identity = ca.issue_server(&["127.0.0.1"])?;
        let (client, server) = rustls_ends(&ca, &identity)?;
        Ok(Self {
            connector: TlsConnector::from(Arc::new(client)),
            acceptor: TlsAcceptor::from(Arc::new(server)),
            client: tls::ClientConfig::new().with_ca_pem(ca.certificate_pem()).build()?,
            server: tls::ServerConfig::new(identity.certificate_pem, identity.key_pem).build()?,
        })
    }

    /// Bare tokio-rustls.
    pub(crate) async fn bare(&self) -> anyhow::Result<(TlsStream<TcpStream>, TlsStream<TcpStream>)> {
        let (client, server) = tcp().await?;
        tokio::try_join!(self.client(client), self.server(server))
    }

    /// Our end of bare tokio-rustls.
    pub(crate) async fn client(&self, tcp: TcpStream) -> anyhow::Result<TlsStream<TcpStream>> {
        Ok(self.connector.connect(ServerName::try_from("127.0.0.1")?, tcp).await?.into())
    }

    /// The other end of it.
    pub(crate) async fn server(&self, tcp: TcpStream) -> anyhow::Result<TlsStream<TcpStream>> {
        Ok(self.acceptor.accept(tcp).await?.into())
    }

    /// The carrier of `postroad-transport`.
    pub(crate) async fn ours(&self) -> anyhow::Result<(tls::Stream<TcpStream>, tls::Stream<TcpStream>)> {
        let (client, server) = tcp().await?;
        let (client, server) =
            tokio::join!(self.client.handshake(client, "127.0.0.1:1"), self.server.handshake(server, "127.0.0.1:2"));
        Ok((client?, server?))
    }
}

/// Bare tokio-tungstenite over a pair of connected ends, with a read buffer of so many octets.
pub(crate) async fn tungstenite<C: Carrier>(
    (client, server): (C, C),
    read_buffer_len: usize,
) -> anyhow::Result<(WebSocketStream<C>, WebSocketStream<C>)> {
    let config = Some(WebSocketConfig::default().read_buffer_size(read_buffer_len));
    let (client, server) = tokio::join!(
        tokio_tungstenite::client_async_with_config("ws://127.0.0.1/", client, config),
        tokio_tungstenite::accept_async_with_config(server, config)
    );
    Ok((client?.0, server?))
}

/// The WebSocket carrier of `postroad-transport` over a pair of connected ends.
pub(crate) async fn web_socket<C: Carrier>((client, server): (C, C)) -> anyhow::Result<(ws::Stream<C>, ws::Stream<C>)> {
    let (client_config, acceptor) = (ws::ClientConfig::new(), ws::ServerConfig::new().build()?);
    let (client, server) =
        tokio::join!(ws::handshake(client, "127.0.0.1:1", &client_config), acceptor.handshake(server, "127.0.0.1:2"));
    Ok((client?, server?))
}
