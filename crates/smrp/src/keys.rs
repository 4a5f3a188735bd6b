//! Raw keys: Ed25519 and ECDSA on P-256, the ones that proofs of possession are made with. Section 8 of the specification.

use crate::credential::{Signer, method};
use crate::driver::Authenticate;
use crate::{Claim, Grant};
use bytes::Bytes;
use core::fmt;
use core::future::{Future, ready};
use core::pin::Pin;
use ed25519_dalek::ed25519::signature::Signer as _;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _, EncodePublicKey as _};
use p256::ecdsa::signature::Verifier as _;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use thiserror::Error;

/// Octets of either signature.
const SIGNATURE_LEN: usize = 64;
/// No key of ours is longer in DER.
const SPKI_LEN_MAX: usize = 128;

/// A key that cannot be used.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// Not a key, or not of a kind that is spoken.
    #[error("not a key of Ed25519 or P-256: make one with `openssl genpkey -algorithm ed25519`")]
    Unsupported,
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Ed25519(ed25519_dalek::VerifyingKey),
    P256(Box<p256::ecdsa::VerifyingKey>),
}

impl PublicKey {
    /// From a SubjectPublicKeyInfo in DER.
    ///
    /// # Errors
    /// [`KeyError`] where it is none, or of another kind.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        if der.len() > SPKI_LEN_MAX {
            return Err(KeyError::Unsupported);
        }
        if let Ok(key) = ed25519_dalek::VerifyingKey::from_public_key_der(der) {
            return Ok(Self(Kind::Ed25519(key)));
        }
        let key = p256::ecdsa::VerifyingKey::from_public_key_der(der).map_err(|_| KeyError::Unsupported)?;
        Ok(Self(Kind::P256(Box::new(key))))
    }

    /// From the PEM text of a public key.
    ///
    /// # Errors
    /// [`KeyError`] as [`from_spki_der`](Self::from_spki_der).
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        if let Ok(key) = ed25519_dalek::VerifyingKey::from_public_key_pem(text) {
            return Ok(Self(Kind::Ed25519(key)));
        }
        let key = p256::ecdsa::VerifyingKey::from_public_key_pem(text).map_err(|_| KeyError::Unsupported)?;
        Ok(Self(Kind::P256(Box::new(key))))
    }

    /// From the 32 octets of an Ed25519 key.
    #[cfg(feature = "jwt")]
    pub(crate) fn from_ed25519(octets: &[u8]) -> Result<Self, KeyError> {
        let octets = octets.try_into().map_err(|_| KeyError::Unsupported)?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(octets).map_err(|_| KeyError::Unsupported)?;
        Ok(Self(Kind::Ed25519(key)))
    }

    /// From the two coordinates of a key on P-256.
    #[cfg(feature = "jwt")]
    pub(crate) fn from_p256(x: &[u8], y: &[u8]) -> Result<Self, KeyError> {
        if x.len() != 32 || y.len() != 32 {
            return Err(KeyError::Unsupported);
        }
        let point = [&[4], x, y].concat();
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).map_err(|_| KeyError::Unsupported)?;
        Ok(Self(Kind::P256(Box::new(key))))
    }

    /// The octets of an Ed25519 key, or the two coordinates of one on P-256, one behind the other.
    #[cfg(feature = "jwt")]
    pub(crate) fn octets(&self) -> Vec<u8> {
        match &self.0 {
            Kind::Ed25519(key) => key.as_bytes().to_vec(),
            Kind::P256(key) => key.to_encoded_point(false).as_bytes().iter().skip(1).copied().collect(),
        }
    }

    /// As a SubjectPublicKeyInfo in DER; a point on P-256 is not compressed.
    #[must_use]
    pub fn to_spki_der(&self) -> Bytes {
        let der = match &self.0 {
            Kind::Ed25519(key) => key.to_public_key_der(),
            Kind::P256(key) => key.to_public_key_der(),
        };
        der.map(|der| Bytes::from(der.into_vec())).unwrap_or_default()
    }

    /// Who it is: SHA-256 of [`to_spki_der`](Self::to_spki_der).
    //= SMRP-A13
    #[must_use]
    pub fn id(&self) -> [u8; 32] {
        Sha256::digest(self.to_spki_der()).into()
    }

    /// The same in hexadecimal, as the subject of a grant has it.
    #[must_use]
    pub fn id_text(&self) -> String {
        self.id().iter().map(|octet| format!("{octet:02x}")).collect()
    }

    /// Whether its private half signed these octets.
    #[must_use]
    pub fn verifies(&self, octets: &[u8], signature: &[u8]) -> bool {
        let Ok(signature) = <[u8; SIGNATURE_LEN]>::try_from(signature) else { return false };
        match &self.0 {
            // Strict: no key of small order, with which a signature is good for anything.
            Kind::Ed25519(key) => key.verify_strict(octets, &ed25519_dalek::Signature::from_bytes(&signature)).is_ok(),
            Kind::P256(key) => p256::ecdsa::Signature::from_slice(&signature)
                .is_ok_and(|signature| key.verify(octets, &signature).is_ok()),
        }
    }

    /// Whether its private half made the proof of a claim: over the connection that the claim came on, and no other.
    //= SMRP-A7
    #[must_use]
    pub fn proves(&self, claim: &Claim) -> bool {
        match (claim.proof(), &claim.signature) {
            (Some(octets), Some(signature)) => self.verifies(&octets, signature),
            _ => false,
        }
    }
}

/// A private key in memory.
#[derive(Clone)]
pub struct SigningKey(Private);

#[derive(Clone)]
enum Private {
    Ed25519(Box<ed25519_dalek::SigningKey>),
    P256(Box<p256::ecdsa::SigningKey>),
}

//= SMRP-A8
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.public().id_text()).finish()
    }
}

impl SigningKey {
    /// From PKCS#8 in DER.
    ///
    /// # Errors
    /// [`KeyError`] where it is none, or of another kind.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        if let Ok(key) = ed25519_dalek::SigningKey::from_pkcs8_der(der) {
            return Ok(Self(Private::Ed25519(Box::new(key))));
        }
        let key = p256::ecdsa::SigningKey::from_pkcs8_der(der).map_err(|_| KeyError::Unsupported)?;
        Ok(Self(Private::P256(Box::new(key))))
    }

    /// From the PEM text of PKCS#8.
    ///
    /// # Errors
    /// [`KeyError`] as [`from_pkcs8_der`](Self::from_pkcs8_der).
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        if let Ok(key) = ed25519_dalek::SigningKey::from_pkcs8_pem(text) {
            return Ok(Self(Private::Ed25519(Box::new(key))));
        }
        let key = p256::ecdsa::SigningKey::from_pkcs8_pem(text).map_err(|_| KeyError::Unsupported)?;
        Ok(Self(Private::P256(Box::new(key))))
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(match &self.0 {
            Private::Ed25519(key) => Kind::Ed25519(key.verifying_key()),
            Private::P256(key) => Kind::P256(Box::new(*key.verifying_key())),
        })
    }
}

impl Signer for SigningKey {
    fn public_key(&self) -> Bytes {
        self.public().to_spki_der()
    }

    fn sign(&self, octets: &[u8]) -> Vec<u8> {
        match &self.0 {
            Private::Ed25519(key) => key.sign(octets).to_bytes().to_vec(),
            Private::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(octets);
                signature.to_bytes().to_vec()
            }
        }
    }
}

/// Lets in who proves that it has one of these keys. The subject is the key's [`id_text`](PublicKey::id_text), unless its grant names another.
#[derive(Clone, Debug, Default)]
pub struct Keys(HashMap<[u8; 32], Grant>);

impl Keys {
    /// Nobody yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With a key, and what its holder may do.
    #[must_use]
    pub fn with(mut self, key: &PublicKey, grant: Grant) -> Self {
        self.0.insert(key.id(), grant);
        self
    }

    /// What a claim of method 2 entitles to.
    //= SMRP-A13
    #[must_use]
    pub fn check(&self, claim: &Claim) -> Option<Grant> {
        if claim.method != method::RAW_KEY {
            return None;
        }
        let shown = claim.key.as_ref()?;
        let mut grant = self.0.get(&<[u8; 32]>::from(Sha256::digest(shown)))?.clone();
        let key = PublicKey::from_spki_der(shown).ok().filter(|key| key.proves(claim))?;
        grant.subject.get_or_insert_with(|| key.id_text());
        Some(grant)
    }
}

impl Authenticate for Keys {
    fn authenticate<'a>(&'a self, claim: &'a Claim) -> Pin<Box<dyn Future<Output = Option<Grant>> + Send + 'a>> {
        Box::pin(ready(self.check(claim)))
    }
}
