//! A certificate authority of one's own for development: TLS that works in one step, trusted by nobody else.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::error::{CarrierError, ErrorKind};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the CA is good: about two years.
pub const CA_VALID_FOR: Duration = Duration::from_secs(730 * 24 * 60 * 60);
/// How long a certificate is good: 397 days, the most that common clients accept.
pub const LEAF_VALID_FOR: Duration = Duration::from_secs(397 * 24 * 60 * 60);

/// A certificate with its key, both PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate_pem: String,
    /// Its private key (PKCS#8). Keep it to yourself.
    pub key_pem: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("certificate_pem", &self.certificate_pem).finish_non_exhaustive()
    }
}

/// A development CA that issues server and client certificates.
///
/// ```
/// # #[cfg(feature = "tls")] {
/// use postroad_transport::dev_certs::DevCa;
/// use postroad_transport::tls;
///
/// let ca = DevCa::generate()?;
/// let server = ca.issue_server(&["localhost", "127.0.0.1"])?;
/// let server = tls::ServerConfig::new(server.certificate_pem, server.key_pem).build()?;
/// let client = tls::ClientConfig::new().with_ca_pem(ca.certificate_pem()).build()?;
/// # }
/// # Ok::<(), postroad_transport::CarrierError>(())
/// ```
pub struct DevCa {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
    key_pem: String,
}

impl std::fmt::Debug for DevCa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DevCa").field("certificate_pem", &self.certificate_pem).finish_non_exhaustive()
    }
}

impl DevCa {
    /// A new CA with a key of its own, good from yesterday for about two years.
    ///
    /// # Errors
    /// `Config` if the system gives no randomness.
    pub fn generate() -> Result<Self, CarrierError> {
        let key = KeyPair::generate().map_err(failed)?;
        let params = ca_params(&key);
        let certificate_pem = params.self_signed(&key).map_err(failed)?.pem();
        let key_pem = key.serialize_pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate_pem, key_pem })
    }

    /// The CA that [`generate`](Self::generate) made and that was written down since.
    ///
    /// # Errors
    /// `Config` if the texts are no PEM or do not belong together.
    pub fn from_pem(certificate_pem: &str, key_pem: &str) -> Result<Self, CarrierError> {
        let refuse = |cause: String| CarrierError::new(ErrorKind::Config, "read the development CA", cause);
        let key = KeyPair::from_pem(key_pem).map_err(failed)?;
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|error| refuse(format!("no certificate: {error}")))?;
        // The name of the CA follows from its key, so the certificate need not be taken apart.
        let public = key.public_key_raw();
        if !certificate.windows(public.len()).any(|window| window == public) {
            return Err(refuse("certificate and key do not belong together".to_owned()));
        }
        Ok(Self {
            issuer: Issuer::new(ca_params(&key), key),
            certificate_pem: certificate_pem.to_owned(),
            key_pem: key_pem.to_owned(),
        })
    }

    /// The certificate of the CA, for those who shall trust it.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The key of the CA. Whoever has it can issue certificates that its users trust.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// A server certificate for these DNS names and IP addresses, good from yesterday for 397 days.
    ///
    /// # Errors
    /// `Config` if there is no name, or one that is none.
    pub fn issue_server(&self, names: &[&str]) -> Result<Identity, CarrierError> {
        self.issue_server_valid(names, SystemTime::now() - DAY, LEAF_VALID_FOR)
    }

    /// The same with another validity, for tests of what happens outside it.
    ///
    /// # Errors
    /// As [`issue_server`](Self::issue_server).
    pub fn issue_server_valid(
        &self,
        names: &[&str],
        not_before: SystemTime,
        valid_for: Duration,
    ) -> Result<Identity, CarrierError> {
        let Some(first) = names.first() else {
            return Err(CarrierError::new(ErrorKind::Config, "issue a server certificate", "no name given"));
        };
        self.issue(first, names, ExtendedKeyUsagePurpose::ServerAuth, not_before, valid_for)
    }

    /// A client certificate for `name`, which servers see as the common name.
    ///
    /// # Errors
    /// `Config` if the certificate cannot be made.
    pub fn issue_client(&self, name: &str) -> Result<Identity, CarrierError> {
        let not_before = SystemTime::now() - DAY;
        self.issue(name, &[], ExtendedKeyUsagePurpose::ClientAuth, not_before, LEAF_VALID_FOR)
    }

    fn issue(
        &self,
        common_name: &str,
        names: &[&str],
        purpose: ExtendedKeyUsagePurpose,
        not_before: SystemTime,
        valid_for: Duration,
    ) -> Result<Identity, CarrierError> {
        let key = KeyPair::generate().map_err(failed)?;
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).map_err(failed)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![purpose];
        set_validity(&mut params, not_before, valid_for);
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok(Identity { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }
}

fn ca_params(key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    // Part of the key in the name keeps two development CAs apart.
    let mark: String = key.public_key_raw().iter().rev().take(4).map(|byte| format!("{byte:02x}")).collect();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("postroad development CA {mark}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, SystemTime::now() - DAY, CA_VALID_FOR);
    params
}

fn set_validity(params: &mut CertificateParams, not_before: SystemTime, valid_for: Duration) {
    params.not_before = not_before.into();
    params.not_after = (not_before + valid_for).into();
}

fn failed(error: rcgen::Error) -> CarrierError {
    CarrierError::new(ErrorKind::Config, "make a certificate", error.to_string()).caused_by(error)
}
