//! URLs to carriers: the only place that knows which crate moves the bytes.

pub(crate) mod device;
mod octets;

pub(crate) use octets::Octets;

use crate::options::{ConnectOptions, Identity, ListenOptions, config, read_pem};
use crate::url::{Address, Protocol, Stack, Transport, Url, UrlOptions};
use crate::{Error, ErrorKind};
use postroad_transport::accept::AcceptPolicy;
use postroad_transport::tcp::{self, TcpConfig};
use postroad_transport::{Carrier, CarrierError, CarrierListener, PeerAddr, memory, tls, unix, ws};
use std::path::Path;
use std::time::Duration;

impl Stack {
    /// Whether this process may use the carrier: raw IP needs a privilege, the others none.
    ///
    /// # Errors
    /// `Privilege` with the ways to get there, `Unsupported` where the system has no raw IP.
    pub fn available(self) -> Result<(), Error> {
        match self.transport() {
            Transport::Ip => crate::connection::mailslot::raw_ip_available(),
            _ => Ok(()),
        }
    }
}

/// Opens the carrier of `url`.
pub(crate) async fn open(url: &Url, options: &ConnectOptions) -> Result<Carrier, Error> {
    let failed = |error: CarrierError| {
        let remedy = device::remedy(url, &error);
        let error = Error::carrier(format!("could not connect to {url}"), error);
        remedy.map_or_else(|| error.clone(), |remedy| error.clone().with_remedy(remedy))
    };
    let handshake_timeout = options.limits.handshake_timeout;
    let (address, tcp) = (dial(&url.address), TcpConfig::default());
    match (url.transport(), &url.address) {
        (_, Address::Path(path)) => unix::connect(path).await.map(Carrier::from).map_err(failed),
        (_, Address::Name(name)) => memory::connect(name).await.map(Carrier::from).map_err(failed),
        (Transport::Tls, _) => {
            let client = tls_client(url, options, handshake_timeout, failed).await?;
            client.connect(&address, &tcp).await.map(Carrier::from).map_err(failed)
        }
        (Transport::Ws, Address::Network { path, .. }) => {
            let ws = ws_client(url, path, options).await?;
            ws::connect(&address, &ws, &tcp).await.map(Carrier::from).map_err(failed)
        }
        (Transport::Wss, Address::Network { path, .. }) => {
            let client = tls_client(url, options, handshake_timeout, failed).await?;
            let ws = ws_client(url, path, options).await?;
            ws::connect_tls(&address, &ws, &client, &tcp).await.map(Carrier::from).map_err(failed)
        }
        _ => tcp::connect(&address, &tcp).await.map(Carrier::from).map_err(failed),
    }
}

/// Listens at `url`; the URL that comes back has the real port.
pub(crate) async fn bind(url: &Url, options: &ListenOptions) -> Result<(CarrierListener, Url), Error> {
    let failed = |error: CarrierError| Error::carrier(format!("could not listen at {url}"), error);
    let tcp = || async { tcp::Listener::bind(&dial(&url.address), TcpConfig::default()).await.map_err(failed) };
    let listener = match (url.transport(), &url.address) {
        (_, Address::Path(path)) => {
            CarrierListener::Unix(unix::Listener::bind(path, AcceptPolicy::default()).await.map_err(failed)?)
        }
        (_, Address::Name(name)) => {
            CarrierListener::Memory(memory::Listener::bind(name, memory::CAPACITY_DEFAULT).map_err(failed)?)
        }
        (Transport::Tls, _) => {
            let server = tls_server(url, options, failed).await?;
            CarrierListener::Tls(tcp().await?, server)
        }
        (Transport::Ws, Address::Network { path, .. }) => {
            let server = ws_server(url, path, options).await?.build().map_err(failed)?;
            CarrierListener::Ws(tcp().await?, server)
        }
        (Transport::Wss, Address::Network { path, .. }) => {
            let tls = tls_server(url, options, failed).await?;
            let ws = ws_server(url, path, options).await?.build().map_err(failed)?;
            CarrierListener::Wss(tcp().await?, tls, ws)
        }
        _ => CarrierListener::Tcp(tcp().await?),
    };
    let url = match listener.local_addr() {
        PeerAddr::Inet(local) => url.clone().with_port(local.port()),
        _ => url.clone(),
    };
    Ok((listener, url))
}

/// `host:port` as the carriers want it.
fn dial(address: &Address) -> String {
    match address {
        Address::Network { host, port, .. } => format!("{host}:{port}"),
        _ => String::new(),
    }
}

async fn identity(options: &UrlOptions, set: Option<&Identity>) -> Result<Option<Identity>, Error> {
    match (options.cert.as_deref(), options.key.as_deref()) {
        (Some(cert), Some(key)) => {
            Ok(Some(Identity { chain: read_pem("cert", cert).await?, key: read_pem("key", key).await? }))
        }
        (Some(_), None) => Err(config("`cert=` is there and `key=` is not", "add `key=`, the certificate's key file")),
        (None, Some(_)) => Err(config("`key=` is there and `cert=` is not", "add `cert=`, the certificate file")),
        (None, None) => Ok(set.cloned()),
    }
}

async fn pem(option: &str, path: Option<&Path>, set: Option<&Vec<u8>>) -> Result<Option<Vec<u8>>, Error> {
    match path {
        Some(path) => read_pem(option, path).await.map(Some),
        None => Ok(set.cloned()),
    }
}

/// What TLS and WebSocket are told that SMRP is.
//= SMRP-K2
pub(crate) const SMRP_ALPN: &str = "smrp/1";
const SMRP_SUBPROTOCOL: &str = "smrp.v1";

/// Sessions directly on TLS name themselves in its handshake; under a WebSocket they do so in that one.
fn has_alpn(url: &Url) -> bool {
    url.stack().has(Protocol::Smrp) && url.transport() == Transport::Tls
}

async fn tls_client(
    url: &Url,
    options: &ConnectOptions,
    handshake_timeout: Duration,
    failed: impl Fn(CarrierError) -> Error,
) -> Result<tls::Client, Error> {
    let url_options = url.options();
    if url_options.client_ca.is_some() {
        return Err(config("`client_ca=` is for listeners", "a client trusts servers by `ca=`"));
    }
    let mut client = tls::ClientConfig::new().with_handshake_timeout(handshake_timeout);
    if let Some(ca) = pem("ca", url_options.ca.as_deref(), options.ca.as_ref()).await? {
        client = client.with_ca_pem(ca);
    }
    if let Some(Identity { chain, key }) = identity(url_options, options.identity.as_ref()).await? {
        client = client.with_identity_pem(chain, key);
    }
    if let Some(name) = &url_options.server_name {
        client = client.with_server_name(name);
    }
    if has_alpn(url) {
        client = client.with_alpn([SMRP_ALPN]);
    }
    client.build().map_err(failed)
}

async fn tls_server(
    url: &Url,
    options: &ListenOptions,
    failed: impl Fn(CarrierError) -> Error,
) -> Result<tls::Server, Error> {
    let url_options = url.options();
    if url_options.ca.is_some() {
        return Err(config("`ca=` is for clients", "to demand client certificates, give `client_ca=`"));
    }
    if url_options.server_name.is_some() {
        return Err(config("`server_name=` is for clients", "leave it out"));
    }
    let Some(Identity { chain, key }) = identity(url_options, options.identity.as_ref()).await? else {
        let what = format!("could not listen at {url}");
        let remedy = "add ?cert=FILE&key=FILE; `postroad cert` makes them for development";
        return Err(Error::new(ErrorKind::Config, what, "TLS needs a certificate").with_remedy(remedy));
    };
    let mut server = tls::ServerConfig::new(chain, key).with_handshake_timeout(options.limits.handshake_timeout);
    if let Some(ca) = pem("client_ca", url_options.client_ca.as_deref(), options.client_ca.as_ref()).await? {
        server = server.with_client_ca_pem(ca, tls::ClientAuth::Required);
    }
    if has_alpn(url) {
        server = server.with_alpn([SMRP_ALPN]);
    }
    server.build().map_err(failed)
}

async fn ws_client(url: &Url, path: &str, options: &ConnectOptions) -> Result<ws::ClientConfig, Error> {
    let limits = ws::Limits::default().with_handshake_timeout(options.limits.handshake_timeout);
    let mut client = ws::ClientConfig::new().with_path(path).with_limits(device::limits(url, limits));
    if let Some(origin) = &url.options().origin {
        client = client.with_header("Origin", origin);
    }
    for (name, value) in &options.headers {
        client = client.with_header(name, value);
    }
    if url.stack().has(Protocol::Smrp) {
        client = client.with_protocol(SMRP_SUBPROTOCOL);
    }
    device::client(client, url, options).await
}

async fn ws_server(url: &Url, path: &str, options: &ListenOptions) -> Result<ws::ServerConfig, Error> {
    let limits = ws::Limits::default().with_handshake_timeout(options.limits.handshake_timeout);
    let server = ws::ServerConfig::new().with_path(path).with_limits(device::limits(url, limits));
    let server = match &url.options().origin {
        Some(origin) => server.with_allowed_origins([origin.clone()]),
        None => server,
    };
    let server = if url.stack().has(Protocol::Smrp) { server.with_protocols([SMRP_SUBPROTOCOL]) } else { server };
    device::server(server, url, path, options).await
}
