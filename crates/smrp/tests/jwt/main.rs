//! Credentials that take cryptography, and those who forge them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests and their helpers"
)]

mod bound;
mod certificates;
mod keys;
#[allow(dead_code, reason = "shared with the other tests")]
#[path = "../it/pair.rs"]
mod pair;
#[allow(dead_code, reason = "shared with the other tests")]
#[path = "../it/raw.rs"]
mod raw;
mod silence;
mod tokens;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData as _};
use serde_json::{Value, json};
use smrp::jwt::{Issuers, Signature};
use smrp::keys::SigningKey;
use smrp::wire::{Frame, ParametersBuilder};
use smrp::{Channel, Claim, Credential, Event};

pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) struct Key {
    pair: KeyPair,
    algorithm: Algorithm,
}

impl Key {
    pub(crate) fn ed25519() -> Self {
        Self { pair: KeyPair::generate_for(&PKCS_ED25519).unwrap(), algorithm: Algorithm::EdDSA }
    }

    pub(crate) fn p256() -> Self {
        Self { pair: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(), algorithm: Algorithm::ES256 }
    }

    /// The same key for proofs.
    pub(crate) fn signer(&self) -> SigningKey {
        SigningKey::from_pkcs8_der(self.pair.serialized_der()).unwrap()
    }

    pub(crate) fn jwk(&self, id: &str) -> Value {
        let raw = self.pair.der_bytes();
        let coordinate = |from: usize| URL_SAFE_NO_PAD.encode(&raw[from..from + 32]);
        match self.algorithm {
            Algorithm::EdDSA => json!({"kty": "OKP", "crv": "Ed25519", "x": coordinate(0), "kid": id}),
            _ => json!({"kty": "EC", "crv": "P-256", "x": coordinate(1), "y": coordinate(33), "kid": id}),
        }
    }

    pub(crate) fn sign(&self, claims: &Value, id: Option<&str>) -> String {
        let key = match self.algorithm {
            Algorithm::EdDSA => EncodingKey::from_ed_der(self.pair.serialized_der()),
            _ => EncodingKey::from_ec_der(self.pair.serialized_der()),
        };
        let mut header = Header::new(self.algorithm);
        header.kid = id.map(str::to_owned);
        encode(&header, claims, &key).unwrap()
    }
}

pub(crate) fn claims() -> Value {
    json!({
        "iss": "https://issuer.example", "sub": "robot7", "aud": ["relay.example", "other"],
        "exp": NOW + 600, "nbf": NOW - 10, "scope": "open:/camera/* request:/clock"
    })
}

pub(crate) fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    claims
}

pub(crate) fn issuers(key: &Key, algorithms: &[Signature]) -> Issuers {
    let jwks = json!({"keys": [key.jwk("k1")]}).to_string();
    Issuers::new("relay.example").with_issuer("https://issuer.example", algorithms, &jwks).unwrap()
}

/// A connection, as both of its ends know it.
pub(crate) fn channel(octet: u8) -> Channel {
    Channel::default().with_binding([octet; 32])
}

/// What an acceptor is asked about where an initiator shows this on such a connection.
pub(crate) fn shown(credential: Credential, channel: &Channel) -> Claim {
    let a = pair::config().with_channel(channel.clone()).with_credential(credential);
    let mut pair = pair::Pair::new(a, pair::config().demanding_auth().with_channel(channel.clone()));
    pair.pump();
    claim_of(pair.b.events()).expect("nobody was asked")
}

/// The same for parameters that somebody made up; `None` where nobody is asked.
pub(crate) fn forged(method: u8, parameters: &[(u64, &[u8])], channel: &Channel) -> Option<Claim> {
    let mut raw = raw::Raw::greeted(pair::config().demanding_auth().with_channel(channel.clone()));
    let list = parameters.iter().fold(ParametersBuilder::new(), |list, (id, value)| list.with(*id, value));
    raw.send(&[Frame::Auth { method, parameters: list.build() }]);
    claim_of(raw.end.events())
}

fn claim_of(events: Vec<Event>) -> Option<Claim> {
    events.into_iter().find_map(|event| if let Event::Authenticate(claim) = event { Some(*claim) } else { None })
}
