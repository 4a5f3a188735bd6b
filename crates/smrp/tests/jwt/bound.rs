//! Tokens that are good only for the holder of a key.

use crate::{Key, NOW, channel, claims, forged, issuers, shown, with};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use smrp::jwt::{Issuers, Signature, TokenError};
use smrp::wire::parameter;
use smrp::{Channel, Claim, Credential, Grant, Signer as _};
use std::sync::Arc;

/// An issuer and a token of it with this `cnf`.
fn token(issuer: &Key, cnf: Value) -> String {
    issuer.sign(&with("cnf", cnf), None)
}

fn public(key: &Key) -> Value {
    let mut jwk = key.jwk("mine");
    jwk.as_object_mut().unwrap().remove("kid");
    jwk
}

fn thumbprint(key: &Key) -> String {
    // RFC 7638: the members that are needed, in the order of their names.
    let sorted: std::collections::BTreeMap<String, Value> = serde_json::from_value(public(key)).unwrap();
    URL_SAFE_NO_PAD.encode(Sha256::digest(serde_json::to_string(&sorted).unwrap()))
}

fn credential(token: &str, key: &Key) -> Credential {
    Credential::Bound { token: token.to_owned(), signer: Arc::new(key.signer()) }
}

fn check(issuers: &Issuers, claim: &Claim) -> Result<Grant, TokenError> {
    issuers.check_claim(claim, NOW)
}

#[test]
fn the_holder_of_the_key_gets_in_and_a_thumbprint_names_it_as_well() {
    //= SMRP-A7
    let issuer = Key::ed25519();
    let issuers = issuers(&issuer, &[Signature::EdDsa]);
    for key in [Key::ed25519(), Key::p256()] {
        for cnf in [json!({"jwk": public(&key)}), json!({"jkt": thumbprint(&key)})] {
            let token = token(&issuer, cnf.clone());
            let grant = check(&issuers, &shown(credential(&token, &key), &channel(1))).unwrap();
            assert_eq!(grant.subject.as_deref(), Some("robot7"), "{cnf}");
            assert_eq!(grant.scopes.map(|scopes| scopes.len()), Some(2));
        }
    }
}

#[test]
fn the_thumbprint_is_that_of_rfc_8037() {
    //= SMRP-A7
    // The key and the thumbprint of its appendix A.
    let x = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
    let mut spki = vec![0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00];
    spki.extend_from_slice(&x);
    let issuer = Key::ed25519();
    let issuers = issuers(&issuer, &[Signature::EdDsa]);
    let ask = |thumbprint: &str| {
        let token = token(&issuer, json!({"jkt": thumbprint}));
        let parameters: [(u64, &[u8]); 3] =
            [(parameter::TOKEN, token.as_bytes()), (parameter::SIGNATURE, &[1; 64]), (parameter::KEY, &spki)];
        check(&issuers, &forged(4, &parameters, &channel(1)).unwrap()).unwrap_err()
    };
    // The right one gets as far as the signature, which is none.
    assert_eq!(ask("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"), TokenError::Proof);
    assert_eq!(ask("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4l"), TokenError::NotBound);
}

#[test]
fn a_stolen_token_is_no_good_without_its_key() {
    //= SMRP-A7
    let (issuer, key, thief) = (Key::ed25519(), Key::ed25519(), Key::ed25519());
    let issuers = issuers(&issuer, &[Signature::EdDsa]);
    for cnf in [json!({"jwk": public(&key)}), json!({"jkt": thumbprint(&key)})] {
        let token = token(&issuer, cnf);
        // As a bearer, with the signature stripped.
        let bearer = shown(Credential::Bearer(token.clone()), &channel(1));
        assert_eq!(check(&issuers, &bearer).unwrap_err(), TokenError::Bound);
        assert_eq!(issuers.check(&token, NOW).unwrap_err(), TokenError::Bound);
        let stripped = forged(4, &[(parameter::TOKEN, token.as_bytes())], &channel(1));
        assert!(stripped.is_none(), "nobody is asked");
        // With the thief's key.
        let error = check(&issuers, &shown(credential(&token, &thief), &channel(1))).unwrap_err();
        assert!(matches!(error, TokenError::Proof | TokenError::NotBound), "{error}");
        // With the key's name and the thief's signature.
        let right = shown(credential(&token, &key), &channel(1));
        let mut mixed = right.clone();
        mixed.signature = shown(credential(&token, &thief), &channel(1)).signature;
        assert_eq!(check(&issuers, &mixed).unwrap_err(), TokenError::Proof);
        assert!(check(&issuers, &right).is_ok());
    }
}

#[test]
fn a_proof_is_good_for_its_connection_its_token_and_its_method_alone() {
    //= SMRP-A7
    for key in [Key::ed25519(), Key::p256()] {
        let issuer = Key::ed25519();
        let issuers = issuers(&issuer, &[Signature::EdDsa]);
        let cnf = json!({"jwk": public(&key)});
        let (first, second) = (token(&issuer, cnf.clone()), issuer.sign(&with("cnf", cnf), Some("k1")));
        let good = shown(credential(&first, &key), &channel(1));
        assert!(check(&issuers, &good).is_ok());
        let replayed = |token: &str, signature: &[u8], channel: &Channel| {
            let parameters = [(parameter::TOKEN, token.as_bytes()), (parameter::SIGNATURE, signature)];
            forged(4, &parameters, channel).map(|claim| check(&issuers, &claim).map(drop))
        };
        let signature = good.signature.clone().unwrap();
        assert_eq!(replayed(&first, &signature, &channel(1)), Some(Ok(())));
        assert_eq!(replayed(&first, &signature, &channel(2)), Some(Err(TokenError::Proof)), "another connection");
        assert_eq!(replayed(&second, &signature, &channel(1)), Some(Err(TokenError::Proof)), "another token");
        assert_eq!(replayed(&first, &signature, &Channel::default()), None, "no connection to speak of");
        for changed in [&signature[..63], &[&signature[..], &[0]].concat(), &[0; 64], b""] {
            assert_eq!(replayed(&first, changed, &channel(1)), Some(Err(TokenError::Proof)));
        }
        // The bare exporter, as one would sign it without knowing better.
        let bare = key.signer().sign(&[1; 32]);
        assert_eq!(replayed(&first, &bare, &channel(1)), Some(Err(TokenError::Proof)));
        // A proof of method 2 with the same key.
        let raw = shown(Credential::RawKey(Arc::new(key.signer())), &channel(1));
        assert_eq!(replayed(&first, &raw.signature.unwrap(), &channel(1)), Some(Err(TokenError::Proof)));
        let mut as_raw = good.clone();
        as_raw.method = 2;
        assert!(check(&issuers, &as_raw).is_err());
    }
}

#[test]
fn what_binds_to_no_key_that_is_spoken_binds_to_nobody() {
    //= SMRP-A7
    let (issuer, key) = (Key::ed25519(), Key::ed25519());
    let issuers = issuers(&issuer, &[Signature::EdDsa]);
    let (jwk, jkt) = (public(&key), thumbprint(&key));
    let x = jwk["x"].clone();
    let unsupported = [
        Value::Null,
        json!(true),
        json!("jwk"),
        json!([]),
        json!({}),
        json!({"x5t#S256": jkt}),
        json!({"kid": "mine"}),
        json!({"jku": "file:///etc/passwd", "kid": "mine"}),
        json!({"jwe": "eyJhbGciOiJub25lIn0"}),
        json!({"jwk": jwk, "jkt": jkt}),
        json!({"jwk": null}),
        json!({"jwk": {"kty": "oct", "k": x}}),
        json!({"jwk": {"kty": "OKP", "crv": "X25519", "x": x}}),
        json!({"jwk": {"kty": "OKP", "crv": "Ed25519"}}),
        json!({"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AA"}}),
        json!({"jwk": {"kty": "EC", "crv": "P-384", "x": x, "y": x}}),
        json!({"jwk": {"kty": "EC", "crv": "P-256", "x": x, "y": x}}),
        json!({"jwk": {"kty": "RSA", "n": x, "e": "AQAB"}}),
        json!({"jkt": 7}),
        json!({"jkt": format!("{jkt}=")}),
    ];
    for cnf in unsupported {
        // `null` is there too: `with` would leave it out.
        let mut claims = claims();
        claims["cnf"] = cnf.clone();
        let token = issuer.sign(&claims, None);
        assert_eq!(check(&issuers, &shown(credential(&token, &key), &channel(1))), Err(TokenError::NotBound), "{cnf}");
        assert_eq!(issuers.check(&token, NOW), Err(TokenError::Bound), "{cnf}: no bearer either");
    }
    // A good token that is not bound at all says nothing about who shows it.
    let plain = issuer.sign(&claims(), None);
    assert_eq!(check(&issuers, &shown(credential(&plain, &key), &channel(1))), Err(TokenError::NotBound));
    assert!(check(&issuers, &shown(Credential::Bearer(plain), &channel(1))).is_ok());
}

#[test]
fn a_key_of_small_order_proves_nothing() {
    //= SMRP-A7
    // With such keys some signatures hold for any octets at all.
    let issuer = Key::ed25519();
    let issuers = issuers(&issuer, &[Signature::EdDsa]);
    let mut identity = [0; 32];
    identity[0] = 1;
    let cnf = json!({"jwk": {"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(identity)}});
    let token = token(&issuer, cnf);
    let mut signature = [0; 64];
    signature[0] = 1;
    let parameters = [(parameter::TOKEN, token.as_bytes()), (parameter::SIGNATURE, &signature[..])];
    assert!(check(&issuers, &forged(4, &parameters, &channel(1)).unwrap()).is_err());
}

#[test]
fn everything_else_that_is_demanded_of_a_token_is_demanded_of_a_bound_one() {
    //= SMRP-A5, SMRP-A7
    let (issuer, key) = (Key::ed25519(), Key::ed25519());
    let issuers = issuers(&issuer, &[Signature::EdDsa]);
    let cnf = json!({"jwk": public(&key)});
    for (name, value, expected) in [
        ("aud", json!("else"), TokenError::Audience),
        ("exp", json!(NOW - 600), TokenError::Expired),
        ("nbf", json!(NOW + 600), TokenError::NotYet),
        ("iss", json!("https://else"), TokenError::Issuer),
        ("nbf", Value::Null, TokenError::Missing),
    ] {
        let mut claims = with(name, value);
        claims["cnf"] = cnf.clone();
        let token = issuer.sign(&claims, None);
        assert_eq!(check(&issuers, &shown(credential(&token, &key), &channel(1))), Err(expected), "{name}");
    }
    let forger = token(&Key::ed25519(), cnf);
    assert_eq!(check(&issuers, &shown(credential(&forger, &key), &channel(1))), Err(TokenError::Signature));
}
