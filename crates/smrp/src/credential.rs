//! What an initiator shows, and what a carrier knows of the connection that it is shown on.

use crate::config::TOKEN_LEN_MAX;
use crate::error::ConfigError;
use crate::wire::{Frame, Parameters, ParametersBuilder, Security, parameter};
use bytes::Bytes;
use core::fmt;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// The label of the TLS exporter whose 32 octets bind a proof to its connection; its context is absent.
//= SMRP-A7
pub const BINDING_LABEL: &str = "EXPORTER-smrp1-cb";

/// Numbers of the methods.
pub(crate) mod method {
    pub(crate) const NONE: u8 = 0;
    pub(crate) const CERTIFICATE: u8 = 1;
    pub(crate) const RAW_KEY: u8 = 2;
    pub(crate) const BEARER: u8 = 3;
    pub(crate) const BOUND: u8 = 4;
}

/// What a carrier knows of one connection, as far as TLS told it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Channel {
    binding: Option<[u8; 32]>,
    certificate: Option<Bytes>,
}

impl Channel {
    /// With the exporter's octets for [`BINDING_LABEL`]: of TLS 1.3 alone.
    #[must_use]
    pub fn with_binding(mut self, binding: [u8; 32]) -> Self {
        self.binding = Some(binding);
        self
    }

    /// With the certificate of the peer, in DER. TLS must have verified it.
    #[must_use]
    pub fn with_certificate(mut self, der: impl Into<Bytes>) -> Self {
        self.certificate = Some(der.into());
        self
    }

    /// What binds a proof to this connection; `None` where it has no TLS 1.3.
    #[must_use]
    pub fn binding(&self) -> Option<&[u8; 32]> {
        self.binding.as_ref()
    }

    /// The verified certificate of the peer, in DER, where it gave one.
    #[must_use]
    pub fn certificate(&self) -> Option<&Bytes> {
        self.certificate.as_ref()
    }
}

//= SMRP-A8
impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("is_bound", &self.binding.is_some())
            .field("has_certificate", &self.certificate.is_some())
            .finish()
    }
}

/// A private key that proves that it is here. It is asked on each connection, so a key in a module of hardware need not leave it.
pub trait Signer: Send + Sync {
    /// Its public key: a SubjectPublicKeyInfo in DER.
    fn public_key(&self) -> Bytes;

    /// Signs: Ed25519 with 64 octets, or ECDSA on P-256 with SHA-256 as 64 octets, r and s. An empty signature where it cannot,
    /// which the acceptor will not believe.
    fn sign(&self, octets: &[u8]) -> Vec<u8>;
}

/// What the initiator says it is.
#[derive(Clone)]
#[non_exhaustive]
pub enum Credential {
    /// Nobody in particular: no AUTH is sent.
    None,
    /// The certificate of the carrier's TLS.
    Certificate,
    /// The holder of a key, proved by a signature over the connection.
    RawKey(Arc<dyn Signer>),
    /// A JSON Web Token, good for whoever has it.
    Bearer(String),
    /// A JSON Web Token that is good only for the holder of the key it names.
    Bound {
        /// The token, which has `cnf`.
        token: String,
        /// The key that `cnf` names.
        signer: Arc<dyn Signer>,
    },
}

impl PartialEq for Credential {
    /// Signers are the same where they are one.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) | (Self::Certificate, Self::Certificate) => true,
            (Self::RawKey(a), Self::RawKey(b)) => Arc::ptr_eq(a, b),
            (Self::Bearer(a), Self::Bearer(b)) => a == b,
            (Self::Bound { token: a, signer: s }, Self::Bound { token: b, signer: t }) => a == b && Arc::ptr_eq(s, t),
            _ => false,
        }
    }
}

impl Eq for Credential {}

//= SMRP-A8
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Certificate => "Certificate",
            Self::RawKey(_) => "RawKey(..)",
            Self::Bearer(_) => "Bearer(..)",
            Self::Bound { .. } => "Bound(..)",
        })
    }
}

impl Credential {
    /// Whether it may be shown on such a connection.
    //= SMRP-A4, SMRP-A6, SMRP-A7
    pub(crate) fn check(&self, security: Security, is_local: bool, channel: &Channel) -> Result<(), ConfigError> {
        if let Self::Bearer(token) | Self::Bound { token, .. } = self {
            if token.len() > TOKEN_LEN_MAX {
                return Err(ConfigError::TokenLen { len: token.len(), max: TOKEN_LEN_MAX });
            }
            if security != Security::Tls && !is_local {
                return Err(ConfigError::TokenInPlaintext);
            }
        }
        if matches!(self, Self::RawKey(_) | Self::Bound { .. }) && channel.binding.is_none() {
            return Err(ConfigError::NotBound);
        }
        Ok(())
    }

    /// AUTH that shows it on such a connection.
    pub(crate) fn auth(&self, channel: &Channel) -> Option<Frame> {
        let list = ParametersBuilder::new();
        let (method, parameters) = match self {
            Self::None => return None,
            Self::Certificate => (method::CERTIFICATE, list.build()),
            Self::Bearer(token) => (method::BEARER, list.with(parameter::TOKEN, token.as_bytes()).build()),
            Self::RawKey(signer) => {
                let key = signer.public_key();
                let signature = signer.sign(&proof_octets(method::RAW_KEY, &key, channel.binding()?));
                let list = list.with(parameter::SIGNATURE, &signature).with(parameter::KEY, &key);
                (method::RAW_KEY, list.build())
            }
            Self::Bound { token, signer } => {
                let signature = signer.sign(&proof_octets(method::BOUND, token.as_bytes(), channel.binding()?));
                let list = list.with(parameter::TOKEN, token.as_bytes()).with(parameter::SIGNATURE, &signature);
                (method::BOUND, list.with(parameter::KEY, &signer.public_key()).build())
            }
        };
        Some(Frame::Auth { method, parameters })
    }
}

/// What an initiator says it is, as it came, and what the carrier knows of it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claim {
    /// The method's number.
    pub method: u8,
    /// The token, of methods 3 and 4: at most 8,192 octets.
    pub token: Option<Bytes>,
    /// The signature over [`proof`](Self::proof), of methods 2 and 4.
    pub signature: Option<Bytes>,
    /// The key: a SubjectPublicKeyInfo in DER, of method 2 and perhaps of method 4.
    pub key: Option<Bytes>,
    /// What the carrier knows of the connection that the claim came on.
    pub channel: Channel,
}

//= SMRP-A8
impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("method", &self.method).finish_non_exhaustive()
    }
}

impl Claim {
    pub(crate) fn of(method: u8, parameters: &Parameters, channel: Channel) -> Self {
        let get = |id| parameters.get(id);
        let (token, signature, key) = (get(parameter::TOKEN), get(parameter::SIGNATURE), get(parameter::KEY));
        Self { method, token, signature, key, channel }
    }

    /// Whether it has what its method needs; where it has not, nobody is asked about it.
    //= SMRP-A1, SMRP-A7, SMRP-A12, SMRP-A13
    pub(crate) fn is_whole(&self) -> bool {
        match self.method {
            method::NONE => true,
            method::CERTIFICATE => self.channel.certificate.is_some(),
            method::RAW_KEY => self.key.is_some() && self.proof().is_some() && self.signature.is_some(),
            method::BEARER => self.token.is_some(),
            method::BOUND => self.proof().is_some() && self.signature.is_some(),
            _ => false,
        }
    }

    /// The octets that the signature must be over; `None` where the method has none, or the connection no TLS 1.3.
    //= SMRP-A7
    #[must_use]
    pub fn proof(&self) -> Option<Vec<u8>> {
        let about = match self.method {
            method::RAW_KEY => self.key.as_ref()?,
            method::BOUND => self.token.as_ref()?,
            _ => return None,
        };
        Some(proof_octets(self.method, about, self.channel.binding()?))
    }
}

/// What a proof of possession signs: nothing that TLS, a token or another method of ours ever signs begins like this.
//= SMRP-A7
fn proof_octets(method: u8, about: &[u8], binding: &[u8; 32]) -> Vec<u8> {
    let mut octets = vec![b' '; 64];
    octets.extend_from_slice(b"SMRP/1 proof of possession\0");
    octets.push(method);
    octets.extend_from_slice(&Sha256::digest(about));
    octets.extend_from_slice(binding);
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_octets_of_a_proof_are_those_of_the_specification() {
        //= SMRP-A7
        let octets = proof_octets(4, b"token", &[7; 32]);
        assert_eq!(octets.len(), 64 + 26 + 1 + 1 + 32 + 32);
        assert!(octets[..64].iter().all(|octet| *octet == 0x20));
        assert_eq!(&octets[64..92], b"SMRP/1 proof of possession\0\x04");
        assert_eq!(&octets[92..124], &Sha256::digest(b"token")[..]);
        assert_eq!(&octets[124..], &[7; 32]);
        assert_ne!(octets, proof_octets(2, b"token", &[7; 32]));
        assert_ne!(octets, proof_octets(4, b"token", &[8; 32]));
        assert_ne!(octets, proof_octets(4, b"other", &[7; 32]));
    }
}
