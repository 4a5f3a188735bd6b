//! TLS of the runner's end.

use super::link::Octets;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use std::sync::Arc;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme, SupportedProtocolVersion,
    version,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// Both versions that are in use.
pub static BOTH: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];
/// The older one alone.
pub static ONLY_1_2: &[&SupportedProtocolVersion] = &[&version::TLS12];
/// The newer one alone.
pub static ONLY_1_3: &[&SupportedProtocolVersion] = &[&version::TLS13];

/// What a client says and believes.
#[derive(Clone, Debug)]
pub struct Client {
    /// Authorities in PEM; without any the server's certificate is not judged.
    pub ca: Option<Vec<u8>>,
    /// Its own certificate and key, in PEM.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// What it offers by ALPN.
    pub alpn: Vec<Vec<u8>>,
    /// The versions that it speaks.
    pub versions: &'static [&'static SupportedProtocolVersion],
}

impl Default for Client {
    fn default() -> Self {
        Self { ca: None, identity: None, alpn: Vec::new(), versions: BOTH }
    }
}

fn say(error: impl core::fmt::Display) -> String {
    error.to_string()
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(say)
}

impl Client {
    /// The handshake.
    ///
    /// # Errors
    /// Why it failed, in the words of the library.
    pub async fn connect<S: Octets>(&self, name: &str, stream: S) -> Result<client::TlsStream<S>, String> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_protocol_versions(self.versions).map_err(say)?;
        let builder = match &self.ca {
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                for certificate in chain(pem)? {
                    roots.add(certificate).map_err(say)?;
                }
                builder.with_root_certificates(roots)
            }
            None => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider))),
        };
        let mut config = match &self.identity {
            Some((certificate, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key).map_err(say)?;
                builder.with_client_auth_cert(chain(certificate)?, key).map_err(say)?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&self.alpn);
        let name = ServerName::try_from(name.to_owned()).map_err(say)?;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(say)
    }
}

/// The server's end of a handshake.
///
/// # Errors
/// Why it failed.
pub async fn accept<S: Octets>(
    (certificate, key): (&[u8], &[u8]),
    alpn: Vec<Vec<u8>>,
    stream: S,
) -> Result<server::TlsStream<S>, String> {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(BOTH).map_err(say)?.with_no_client_auth();
    let key = PrivateKeyDer::from_pem_slice(key).map_err(say)?;
    let mut config = builder.with_single_cert(chain(certificate)?, key).map_err(say)?;
    config.alpn_protocols = alpn;
    TlsAcceptor::from(Arc::new(config)).accept(stream).await.map_err(say)
}

/// Takes any certificate, whose key the server does have: what is tested is not who it is.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
