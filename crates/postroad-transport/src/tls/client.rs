//! The client's end of TLS.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::{ClientConfig as RustlsConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsConnector, TlsStream};

use super::errors::{self, Handshake};
use super::first::FirstBytes;
use super::pem::{self, config_error};
use super::verify::AcceptAny;
use super::{Stream, host_of, provider};
use crate::error::CarrierError;
use crate::tcp::{self, TcpConfig};

/// What a TLS client trusts, shows and asks for. [`build`](Self::build) checks it all and makes a [`Client`].
#[derive(Debug, Clone, Default)]
pub struct ClientConfig {
    ca_pem: Vec<Vec<u8>>,
    identity_pem: Option<(Vec<u8>, Vec<u8>)>,
    alpn: Vec<Vec<u8>>,
    server_name: Option<String>,
    handshake_timeout: Option<Duration>,
    accept_any: bool,
}

impl ClientConfig {
    /// Trusts the roots of the platform, shows no certificate, asks for no application protocol.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the CA certificates in this PEM text, and with the first such call no longer the roots of the platform.
    #[must_use]
    pub fn with_ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca_pem.push(pem.into());
        self
    }

    /// Shows this certificate (its chain, own first) to servers that ask, and proves it with this key. Both PEM.
    #[must_use]
    pub fn with_identity_pem(mut self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.identity_pem = Some((chain.into(), key.into()));
        self
    }

    /// Offers these application protocols, best first. A server that has ALPN but none of them refuses; one without ALPN
    /// chooses none, see [`Stream::alpn`].
    #[must_use]
    pub fn with_alpn<P: Into<Vec<u8>>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.alpn = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// Checks the certificate for this name instead of the host of the address.
    #[must_use]
    pub fn with_server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// How long the handshake may take. Default 10 s.
    #[must_use]
    pub fn with_handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = Some(timeout);
        self
    }

    /// Talks to anybody: no issuer, name or date of the certificate is checked, so whoever sits on the path can read and
    /// change everything. For experiments only.
    #[must_use]
    pub fn dangerously_accept_any_certificate(mut self) -> Self {
        self.accept_any = true;
        self
    }

    /// Checks all settings together.
    ///
    /// # Errors
    /// `Config` if a PEM text holds no fitting thing, key and certificate do not belong together, the server name is no
    /// name, or the platform has no roots.
    pub fn build(self) -> Result<Client, CarrierError> {
        let provider = provider();
        let verifier: Arc<dyn ServerCertVerifier> = if self.accept_any {
            tracing::warn!("TLS certificates are not verified");
            Arc::new(AcceptAny(Arc::clone(&provider)))
        } else if self.ca_pem.is_empty() {
            Arc::new(rustls_platform_verifier::Verifier::new(Arc::clone(&provider)).map_err(|error| {
                config_error("load the trusted roots of the platform", error.to_string())
                    .remedy_is("install the CA certificates of the system, or give an own CA")
            })?)
        } else {
            let roots = Arc::new(roots("read the CA certificates", &self.ca_pem)?);
            WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                .build()
                .map_err(|error| config_error("use the CA certificates", error.to_string()))?
        };
        let builder = RustlsConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| config_error("set up TLS", error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &self.identity_pem {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = pem::certificates("read the client certificate", chain)?;
                let key = pem::private_key("read the key of the client certificate", key)?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| config_error("use the client certificate", error.to_string()))?
            }
        };
        config.alpn_protocols = self.alpn;
        let server_name = self.server_name.map(|name| server_name(&name)).transpose()?;
        Ok(Client {
            connector: TlsConnector::from(Arc::new(config)),
            server_name,
            handshake_timeout: self.handshake_timeout.unwrap_or(Duration::from_secs(10)),
        })
    }
}

pub(super) fn roots(what: &'static str, texts: &[Vec<u8>]) -> Result<RootCertStore, CarrierError> {
    let mut roots = RootCertStore::empty();
    for text in texts {
        for certificate in pem::certificates(what, text)? {
            roots.add(certificate).map_err(|error| config_error(what, error.to_string()))?;
        }
    }
    Ok(roots)
}

fn server_name(name: &str) -> Result<ServerName<'static>, CarrierError> {
    ServerName::try_from(name.to_owned()).map_err(|error| {
        config_error("use the server name", format!("{:?}: {error}", crate::error::printable(name)))
            .remedy_is("give a DNS name or an IP address")
    })
}

/// A TLS client, ready to connect any number of times. Cheap to clone; clones share resumable sessions.
#[derive(Clone)]
pub struct Client {
    connector: TlsConnector,
    server_name: Option<ServerName<'static>>,
    handshake_timeout: Duration,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

impl Client {
    /// Connects to `host:port` over TCP and shakes hands.
    ///
    /// # Errors
    /// As [`tcp::connect`], and the certificate, handshake and mismatch kinds.
    pub async fn connect(&self, address: &str, tcp: &TcpConfig) -> Result<Stream<TcpStream>, CarrierError> {
        let (io, _) = tcp::connect_raw(address, tcp).await?;
        self.handshake(io, address).await
    }

    /// Shakes hands over any byte stream; `address` is `host:port`, its host is the name to check unless the config says
    /// another.
    ///
    /// # Errors
    /// The certificate, handshake, mismatch and time-out kinds; `Config` if the host is no name.
    pub async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        io: S,
        address: &str,
    ) -> Result<Stream<S>, CarrierError> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => server_name(host_of(address))?,
        };
        let connecting = self.connector.connect(name, FirstBytes::new(io)).into_fallible();
        match timeout(self.handshake_timeout, connecting).await {
            Ok(Ok(tls)) => Ok(Stream::new(TlsStream::Client(tls), address)),
            Ok(Err((error, io))) => {
                let state = Handshake { we_are_client: true, peer_was_heard: io.seen() };
                Err(errors::from_io("shake hands (TLS) with", &address, error, Some(state)))
            }
            Err(_) => Err(tcp::timed_out("shake hands (TLS) with", self.handshake_timeout).at(address)),
        }
    }
}
