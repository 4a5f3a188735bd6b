//! The server's end of TLS.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig as RustlsConfig;
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsStream};

use super::client::roots;
use super::errors::{self, Handshake};
use super::first::FirstBytes;
use super::pem::{self, config_error};
use super::{Stream, provider};
use crate::error::{CarrierError, ErrorKind};
use crate::limit::HandshakeLimit;
use crate::refuse::refuse;
use crate::tcp;

/// A fatal alert "unexpected message", as a peer that speaks no TLS can recognise it.
const ALERT: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 10];

/// Whether clients must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// A client without a certificate is refused.
    Required,
    /// A client may come without; one that is shown must be good.
    Optional,
}

/// What a TLS server shows and demands. [`build`](Self::build) checks it all and makes a [`Server`].
#[derive(Debug, Clone)]
pub struct ServerConfig {
    chain_pem: Vec<u8>,
    key_pem: Vec<u8>,
    client_ca: Option<(Vec<u8>, ClientAuth)>,
    alpn: Vec<Vec<u8>>,
    handshake_timeout: Duration,
    handshakes_max: usize,
}

impl ServerConfig {
    /// Shows this certificate (its chain, own first) and proves it with this key. Both PEM.
    pub fn new(chain_pem: impl Into<Vec<u8>>, key_pem: impl Into<Vec<u8>>) -> Self {
        Self {
            chain_pem: chain_pem.into(),
            key_pem: key_pem.into(),
            client_ca: None,
            alpn: Vec::new(),
            handshake_timeout: Duration::from_secs(10),
            handshakes_max: crate::limit::HANDSHAKES_MAX_DEFAULT,
        }
    }

    /// Asks clients for a certificate issued by the CAs in this PEM text.
    #[must_use]
    pub fn with_client_ca_pem(mut self, pem: impl Into<Vec<u8>>, auth: ClientAuth) -> Self {
        self.client_ca = Some((pem.into(), auth));
        self
    }

    /// Speaks these application protocols, best first. A client that offers only others is refused; one that offers none
    /// gets none, see [`Stream::alpn`].
    #[must_use]
    pub fn with_alpn<P: Into<Vec<u8>>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.alpn = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// How long a handshake may take. Default 10 s.
    #[must_use]
    pub fn with_handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// How many handshakes a listener lets run at the same time; more wait in the kernel. Default 1024, at least 1. Each
    /// costs a socket and about 20 KiB.
    #[must_use]
    pub fn with_handshakes_max(mut self, handshakes: usize) -> Self {
        self.handshakes_max = handshakes;
        self
    }

    /// Checks all settings together.
    ///
    /// # Errors
    /// `Config` if a PEM text holds no fitting thing, key and certificate do not belong together, or a limit is zero.
    pub fn build(self) -> Result<Server, CarrierError> {
        let provider = provider();
        let chain = pem::certificates("read the server certificate", &self.chain_pem)?;
        let key = pem::private_key("read the key of the server certificate", &self.key_pem)?;
        let builder = RustlsConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| config_error("set up TLS", error.to_string()))?;
        let builder = match self.client_ca {
            None => builder.with_no_client_auth(),
            Some((text, auth)) => {
                let roots = Arc::new(roots("read the CA of the clients", &[text])?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                let verifier = match auth {
                    ClientAuth::Required => verifier,
                    ClientAuth::Optional => verifier.allow_unauthenticated(),
                };
                builder.with_client_cert_verifier(
                    verifier.build().map_err(|error| config_error("use the CA of the clients", error.to_string()))?,
                )
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| {
            config_error("use the server certificate", error.to_string())
                .remedy_is("give the certificate and the key that belong together")
        })?;
        config.alpn_protocols = self.alpn;
        Ok(Server {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            handshake_timeout: self.handshake_timeout,
            limit: HandshakeLimit::new(self.handshakes_max)?,
        })
    }
}

/// A TLS server, ready for any number of connections. Cheap to clone.
#[derive(Clone)]
pub struct Server {
    acceptor: TlsAcceptor,
    handshake_timeout: Duration,
    limit: HandshakeLimit,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("handshake_timeout", &self.handshake_timeout).finish_non_exhaustive()
    }
}

impl Server {
    /// Shakes hands over any byte stream. A peer that speaks no TLS is told so by a TLS alert.
    ///
    /// # Errors
    /// The certificate, handshake, mismatch and time-out kinds, with `peer` as the address.
    pub async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        io: S,
        peer: &str,
    ) -> Result<Stream<S>, CarrierError> {
        let accepting = self.acceptor.accept(FirstBytes::new(io)).into_fallible();
        match timeout(self.handshake_timeout, accepting).await {
            Ok(Ok(tls)) => Ok(Stream::new(TlsStream::Server(tls), peer)),
            Ok(Err((error, mut io))) => {
                let state = Handshake { we_are_client: false, peer_was_heard: io.seen() };
                let error = errors::from_io("shake hands (TLS) with", &peer, error, Some(state));
                if matches!(error.kind(), ErrorKind::Mismatch { .. }) {
                    refuse(&mut io, &ALERT).await;
                }
                Err(error)
            }
            Err(_) => Err(tcp::timed_out("shake hands (TLS) with", self.handshake_timeout).at(peer)),
        }
    }

    pub(crate) fn limit(&self) -> &HandshakeLimit {
        &self.limit
    }
}
