//! Certificates and keys from PEM text.

use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::{CarrierError, ErrorKind};

pub(super) fn config_error(what: &'static str, cause: String) -> CarrierError {
    CarrierError::new(ErrorKind::Config, what, cause)
}

/// All certificates in `text`, at least one.
pub(super) fn certificates(what: &'static str, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, CarrierError> {
    let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(text).collect();
    match found {
        Ok(found) if found.is_empty() => Err(config_error(what, "no certificate in the PEM text".to_owned())
            .remedy_is("give a file that has -----BEGIN CERTIFICATE-----")),
        Ok(found) => Ok(found),
        Err(error) => Err(config_error(what, format!("not PEM: {error}"))),
    }
}

/// The first private key in `text` (PKCS#8, PKCS#1 or SEC1).
pub(super) fn private_key(what: &'static str, text: &[u8]) -> Result<PrivateKeyDer<'static>, CarrierError> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| {
        let cause = match error {
            pem::Error::NoItemsFound => "no private key in the PEM text".to_owned(),
            other => format!("not PEM: {other}"),
        };
        config_error(what, cause).remedy_is("give a file that has -----BEGIN PRIVATE KEY-----, without a passphrase")
    })
}
