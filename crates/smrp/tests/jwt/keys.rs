//! Keys without a token.

use crate::{Key, channel, forged, shown};
use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384};
use sha2::{Digest as _, Sha256};
use smrp::keys::{KeyError, Keys, PublicKey, SigningKey};
use smrp::wire::parameter;
use smrp::{Channel, Credential, Grant, Signer as _};
use std::sync::Arc;

#[test]
fn keys_of_the_list_get_in_and_no_others() {
    //= SMRP-A13
    let (robot, other) = (Key::ed25519(), Key::p256());
    let keys = Keys::new()
        .with(&robot.signer().public(), Grant::default())
        .with(&other.signer().public(), Grant::of("other").with_scopes(vec!["open:/x".to_owned()]));
    let ask = |key: &Key| keys.check(&shown(Credential::RawKey(Arc::new(key.signer())), &channel(1)));
    let id: [u8; 32] = Sha256::digest(robot.signer().public_key()).into();
    assert_eq!(robot.signer().public().id(), id);
    let text: String = id.iter().map(|octet| format!("{octet:02x}")).collect();
    assert_eq!(ask(&robot).unwrap().subject, Some(text));
    assert_eq!(ask(&other).unwrap().subject.as_deref(), Some("other"));
    for stranger in [Key::ed25519(), Key::p256()] {
        assert_eq!(ask(&stranger), None);
    }
}

#[test]
fn a_signature_is_good_for_its_key_and_its_connection_alone() {
    //= SMRP-A7, SMRP-A13
    for (key, other) in [(Key::ed25519(), Key::ed25519()), (Key::p256(), Key::p256())] {
        let keys =
            Keys::new().with(&key.signer().public(), Grant::default()).with(&other.signer().public(), Grant::default());
        let good = shown(Credential::RawKey(Arc::new(key.signer())), &channel(1));
        let signature = good.signature.clone().unwrap();
        let ask = |key: &[u8], signature: &[u8], channel: &Channel| {
            forged(2, &[(parameter::KEY, key), (parameter::SIGNATURE, signature)], channel)
                .map(|claim| keys.check(&claim).is_some())
        };
        let (mine, theirs) = (key.signer().public_key(), other.signer().public_key());
        assert_eq!(ask(&mine, &signature, &channel(1)), Some(true));
        assert_eq!(ask(&mine, &signature, &channel(2)), Some(false), "another connection");
        assert_eq!(ask(&theirs, &signature, &channel(1)), Some(false), "another key of the list");
        assert_eq!(ask(&mine, &[0; 64], &channel(1)), Some(false));
        assert_eq!(ask(&[&mine[..], &[0]].concat(), &signature, &channel(1)), Some(false));
        assert_eq!(ask(b"", &signature, &channel(1)), Some(false));
        assert_eq!(ask(&mine, &signature, &Channel::default()), None);
        let mut as_token = good.clone();
        as_token.method = 3;
        assert_eq!(keys.check(&as_token), None);
    }
}

#[test]
fn keys_are_read_from_what_openssl_writes_and_nothing_else_is_taken_for_one() {
    for key in [Key::ed25519(), Key::p256()] {
        let again = SigningKey::from_pem(&key.pair.serialize_pem()).unwrap();
        let public = again.public();
        assert_eq!(PublicKey::from_pem(&key.pair.public_key_pem()).unwrap(), public);
        assert_eq!(PublicKey::from_spki_der(&public.to_spki_der()).unwrap(), public);
        assert!(public.verifies(b"x", &again.sign(b"x")) && !public.verifies(b"y", &again.sign(b"x")));
        let der = public.to_spki_der();
        for len in 0..der.len() {
            assert!(PublicKey::from_spki_der(&der[..len]).is_err(), "{len}");
        }
    }
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    assert_eq!(SigningKey::from_pkcs8_der(p384.serialized_der()).unwrap_err(), KeyError::Unsupported);
    assert_eq!(PublicKey::from_pem(&p384.public_key_pem()).unwrap_err(), KeyError::Unsupported);
    assert!(PublicKey::from_spki_der(&[0x30; 1 << 20]).is_err());
}
