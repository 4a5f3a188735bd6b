//! JSON Web Tokens, good for whoever has them.

use crate::{Key, NOW, claims, issuers, with};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use core::time::Duration;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::PublicKeyData as _;
use serde_json::{Value, json};
use smrp::jwt::{Issuers, Signature, TokenError};

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
    let error = issuers().with_issuer("i", &[Signature::EdDsa], r#""s3cret""#).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    let none = issuers().with_issuer("i", &[Signature::EdDsa], r#"{"keys": []}"#).unwrap_err();
    assert!(none.to_string().contains("there are none"), "{none}");
    // Keys of other kinds beside good ones are nobody's business.
    let key = Key::ed25519();
    let jwks =
        json!({"keys": [{"kty": "later"}, {"kty": "EC", "crv": "P-521", "x": "!", "y": 3}, key.jwk("k1")]}).to_string();
    let issuers = Issuers::new("relay.example").with_issuer("https://issuer.example", &[Signature::EdDsa], &jwks);
    assert!(issuers.unwrap().check(&key.sign(&claims(), Some("k1")), NOW).is_ok());
}

#[test]
fn headers_that_must_be_understood_are_not() {
    //= SMRP-A5
    let key = Key::ed25519();
    let mut header = Header::new(Algorithm::EdDSA);
    header.crit = Some(vec!["b64".to_owned()]);
    let token = encode(&header, &claims(), &EncodingKey::from_ed_der(key.pair.serialized_der())).unwrap();
    assert_eq!(issuers(&key, &[Signature::EdDsa]).check(&token, NOW).unwrap_err(), TokenError::Malformed);
}
