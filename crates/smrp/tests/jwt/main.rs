//! JSON Web Tokens, and those who forge them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use core::time::Duration;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData as _};
use serde_json::{Value, json};
use smrp::jwt::{Issuers, Signature, TokenError};

const NOW: u64 = 1_800_000_000;

struct Key {
    pair: KeyPair,
    algorithm: Algorithm,
}

impl Key {
    fn ed25519() -> Self {
        Self { pair: KeyPair::generate_for(&PKCS_ED25519).unwrap(), algorithm: Algorithm::EdDSA }
    }

    fn p256() -> Self {
        Self { pair: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(), algorithm: Algorithm::ES256 }
    }

    fn jwk(&self, id: &str) -> Value {
        let raw = self.pair.der_bytes();
        let coordinate = |from: usize| URL_SAFE_NO_PAD.encode(&raw[from..from + 32]);
        match self.algorithm {
            Algorithm::EdDSA => json!({"kty": "OKP", "crv": "Ed25519", "x": coordinate(0), "kid": id}),
            _ => json!({"kty": "EC", "crv": "P-256", "x": coordinate(1), "y": coordinate(33), "kid": id}),
        }
    }

    fn sign(&self, claims: &Value, id: Option<&str>) -> String {
        let key = match self.algorithm {
            Algorithm::EdDSA => EncodingKey::from_ed_der(self.pair.serialized_der()),
            _ => EncodingKey::from_ec_der(self.pair.serialized_der()),
        };
        let mut header = Header::new(self.algorithm);
        header.kid = id.map(str::to_owned);
        encode(&header, claims, &key).unwrap()
    }
}

fn claims() -> Value {
    json!({
        "iss": "https://issuer.example", "sub": "robot7", "aud": ["relay.example", "other"],
        "exp": NOW + 600, "nbf": NOW - 10, "scope": "open:/camera/* request:/clock"
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    claims
}

fn issuers(key: &Key, algorithms: &[Signature]) -> Issuers {
    let jwks = json!({"keys": [key.jwk("k1")]}).to_string();
    Issuers::new("relay.example").with_issuer("https://issuer.example", algorithms, &jwks).unwrap()
}

#[test]
fn a_good_token_says_who_it_is_what_it_may_and_for_how_long() {
    //= SMRP-A5, SMRP-A9
    for (key, algorithm) in [(Key::ed25519(), Signature::EdDsa), (Key::p256(), Signature::Es256)] {
        let issuers = issuers(&key, &[algorithm]);
        for id in [Some("k1"), None] {
            let grant = issuers.check(&key.sign(&claims(), id), NOW).unwrap();
            assert_eq!(grant.subject.as_deref(), Some("robot7"));
            assert_eq!(grant.scopes, Some(vec!["open:/camera/*".to_owned(), "request:/clock".to_owned()]));
            assert_eq!(grant.expires_after, Some(Duration::from_secs(660)));
        }
        let one = key.sign(&with("aud", json!("relay.example")), None);
        assert!(issuers.check(&one, NOW).is_ok());
    }
}

#[test]
fn what_is_demanded_is_checked_at_its_limits() {
    //= SMRP-A5, SMRP-A6
    let key = Key::ed25519();
    let issuers = issuers(&key, &[Signature::EdDsa]);
    let check = |claims: Value, now: u64| issuers.check(&key.sign(&claims, None), now).map(drop);
    for name in ["aud", "exp", "nbf", "iss"] {
        assert_eq!(check(with(name, Value::Null), NOW), Err(TokenError::Missing), "{name}");
    }
    assert_eq!(check(with("aud", json!("else")), NOW), Err(TokenError::Audience));
    assert_eq!(check(with("aud", json!([])), NOW), Err(TokenError::Audience));
    assert_eq!(check(with("iss", json!("https://else")), NOW), Err(TokenError::Issuer));
    assert_eq!(check(with("exp", json!("soon")), NOW), Err(TokenError::Malformed));
    assert_eq!(check(claims(), NOW + 659), Ok(()));
    assert_eq!(check(claims(), NOW + 660), Err(TokenError::Expired));
    assert_eq!(check(claims(), NOW - 70), Ok(()));
    assert_eq!(check(claims(), NOW - 71), Err(TokenError::NotYet));
    assert_eq!(issuers.check(&"x".repeat(8_193), NOW).unwrap_err(), TokenError::TooLong);
    for malformed in ["", "a", "a.b", "a.b.c", "..", "!.!.!"] {
        assert_eq!(issuers.check(malformed, NOW).unwrap_err(), TokenError::Malformed, "{malformed}");
    }
}

#[test]
fn forged_tokens_are_not_believed() {
    //= SMRP-A5
    let (key, other) = (Key::ed25519(), Key::ed25519());
    let issuers = issuers(&key, &[Signature::EdDsa]);
    assert_eq!(issuers.check(&other.sign(&claims(), Some("k1")), NOW).unwrap_err(), TokenError::Signature);
    // A kid only selects among the issuer's keys.
    for id in ["../../etc/passwd", "k2", "' OR 1=1"] {
        assert_eq!(issuers.check(&key.sign(&claims(), Some(id)), NOW).unwrap_err(), TokenError::Signature, "{id}");
    }
    let body = URL_SAFE_NO_PAD.encode(claims().to_string());
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    assert!(issuers.check(&format!("{none}.{body}."), NOW).is_err());
    // The public key taken for a secret of HMAC.
    let secret = EncodingKey::from_secret(key.pair.der_bytes());
    let confused = encode(&Header::new(Algorithm::HS256), &claims(), &secret).unwrap();
    assert_eq!(issuers.check(&confused, NOW).unwrap_err(), TokenError::Algorithm);
    // Another algorithm than the issuer's, though the key is right.
    let p256 = Key::p256();
    let jwks = json!({"keys": [p256.jwk("k1")]}).to_string();
    let strict =
        Issuers::new("relay.example").with_issuer("https://issuer.example", &[Signature::EdDsa], &jwks).unwrap();
    assert_eq!(strict.check(&p256.sign(&claims(), None), NOW).unwrap_err(), TokenError::Algorithm);
    // One octet of the claims changed.
    let token = key.sign(&claims(), None);
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    parts[1] = URL_SAFE_NO_PAD.encode(with("sub", json!("robot8")).to_string());
    assert_eq!(issuers.check(&parts.join("."), NOW).unwrap_err(), TokenError::Signature);
}

#[test]
fn keys_that_cannot_be_read_are_refused_when_they_are_given() {
    let issuers = || Issuers::new("a");
    assert!(issuers().with_issuer("i", &[Signature::EdDsa], "no json").is_err());
    let none = issuers().with_issuer("i", &[Signature::EdDsa], r#"{"keys": []}"#).unwrap_err();
    assert!(none.to_string().contains("there are none"), "{none}");
}
