//! Claims that are tied to their connection: certificates, raw keys, tokens that name a key.

use crate::pair::{Pair, config};
use crate::raw::Raw;
use bytes::Bytes;
use core::time::Duration;
use smrp::wire::*;
use smrp::{Channel, Config, ConfigError, Credential, Event, Grant, SessionError, Signer};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use wirekit::Machine;

/// Signs by saying what it was asked to sign.
#[derive(Default)]
struct Parrot(AtomicUsize);

impl Signer for Parrot {
    fn public_key(&self) -> Bytes {
        Bytes::from_static(b"parrot's key")
    }

    fn sign(&self, octets: &[u8]) -> Vec<u8> {
        self.0.fetch_add(1, Ordering::Relaxed);
        octets.to_vec()
    }
}

fn bound(octet: u8) -> Channel {
    Channel::default().with_binding([octet; 32])
}

fn auth(method: u8, parameters: &[(u64, &[u8])]) -> Frame {
    let list = parameters.iter().fold(ParametersBuilder::new(), |list, (id, value)| list.with(*id, value));
    Frame::Auth { method, parameters: list.build() }
}

fn is_refused(raw: &mut Raw) -> bool {
    assert!(raw.end.events().is_empty(), "nobody is asked");
    raw.read().iter().any(|frame| matches!(frame, Frame::AuthResult { code: Code::AUTH_FAILED, .. }))
}

#[test]
fn a_claim_that_lacks_what_its_method_needs_is_refused_and_nobody_is_asked() {
    //= SMRP-A11, SMRP-A12, SMRP-A13
    const TOKEN: (u64, &[u8]) = (parameter::TOKEN, b"token");
    const SIGNATURE: (u64, &[u8]) = (parameter::SIGNATURE, b"signature");
    const KEY: (u64, &[u8]) = (parameter::KEY, b"key");
    let all: &[(u64, &[u8])] = &[TOKEN, SIGNATURE, KEY];
    let with_certificate = bound(1).with_certificate(&b"certificate"[..]);
    for (method, parameters, channel, is_whole) in [
        (1, all, bound(1), false),
        (1, &[][..], with_certificate.clone(), true),
        (2, &[KEY, SIGNATURE], bound(1), true),
        (2, &[KEY], bound(1), false),
        (2, &[SIGNATURE], bound(1), false),
        (2, all, Channel::default(), false),
        (3, &[TOKEN], Channel::default(), true),
        (3, &[KEY, SIGNATURE], with_certificate.clone(), false),
        (4, &[TOKEN, SIGNATURE], bound(1), true),
        (4, &[TOKEN], bound(1), false),
        (4, &[SIGNATURE, KEY], bound(1), false),
        (4, all, Channel::default(), false),
        (5, all, with_certificate.clone(), false),
        (77, all, with_certificate.clone(), false),
    ] {
        let mut raw = Raw::greeted(config().demanding_auth().with_channel(channel.clone()));
        raw.read();
        raw.send(&[auth(method, parameters)]);
        if !is_whole {
            assert!(is_refused(&mut raw), "method {method}, {parameters:?}, {channel:?}");
            continue;
        }
        let events = raw.end.events();
        let [Event::Authenticate(claim)] = &events[..] else { panic!("method {method}: {events:?}") };
        assert_eq!((claim.method, &claim.channel), (method, &channel));
        assert_eq!(claim.proof().is_some(), matches!(method, 2 | 4));
    }
}

#[test]
fn a_proof_is_made_anew_on_each_link_and_over_that_link() {
    //= SMRP-A7, SMRP-A19
    let signer = Arc::new(Parrot::default());
    let credential = Credential::Bound { token: "token".to_owned(), signer: signer.clone() };
    let a = config().with_channel(bound(1)).with_credential(credential);
    let demanding = |octet| config().demanding_auth().with_channel(bound(octet));
    let mut pair = Pair::new(a, demanding(1));
    pair.pump();
    let claim_of = |events: Vec<Event>| {
        events.into_iter().find_map(|event| if let Event::Authenticate(claim) = event { Some(*claim) } else { None })
    };
    let first = claim_of(pair.b.events()).unwrap();
    assert_eq!(first.signature.as_deref(), first.proof().as_deref());
    assert_eq!(first.key.as_deref(), Some(&b"parrot's key"[..]));
    pair.b.session.authenticated(pair.now, Some(Grant::of("x")));
    pair.pump();

    pair.a.session.handle(pair.now, smrp::Input::LinkLost).unwrap();
    assert!(!pair.a.session.relink(pair.now, Security::Plaintext, true), "a link that nothing binds a proof to");
    assert!(pair.a.session.relink_over(pair.now, Security::Plaintext, true, bound(2)));
    let mut fresh = crate::pair::End::new(smrp::Role::Acceptor, demanding(2), pair.now, 7);
    fresh.receive(pair.now, &pair.a.transmit(pair.now));
    let second = claim_of(fresh.events()).unwrap();
    assert_eq!(signer.0.load(Ordering::Relaxed), 2);
    assert_eq!(second.signature.as_deref(), second.proof().as_deref());
    assert_ne!(first.signature, second.signature);
    // What was signed for one link says nothing on another.
    let mut replayed = second.clone();
    replayed.signature = first.signature;
    assert_ne!(replayed.signature.as_deref(), replayed.proof().as_deref());
}

#[test]
fn a_proof_needs_a_connection_to_be_made_over() {
    //= SMRP-A7
    let signer: Arc<dyn Signer> = Arc::new(Parrot::default());
    let token = Credential::Bound { token: "secret".to_owned(), signer: signer.clone() };
    let tls = |channel| Config::new(Security::Tls, false).with_channel(channel);
    for credential in [Credential::RawKey(signer), token.clone()] {
        assert_eq!(tls(Channel::default()).with_credential(credential.clone()).check(), Err(ConfigError::NotBound));
        assert_eq!(tls(bound(1)).with_credential(credential).check(), Ok(()));
    }
    let plain = Config::new(Security::Plaintext, false).with_channel(bound(1)).with_credential(token);
    assert_eq!(plain.check(), Err(ConfigError::TokenInPlaintext), "its token is one");
}

#[test]
fn who_demands_nothing_has_nothing_against_a_certificate() {
    //= SMRP-A11
    for method in [0, 1] {
        let mut raw = Raw::greeted(config());
        raw.read();
        raw.end.events();
        raw.send(&[auth(method, &[])]);
        let said = raw.read();
        let [Frame::AuthResult { code: Code::NO_ERROR, parameters }] = &said[..] else { panic!("{said:?}") };
        assert!(parameters.is_empty() && raw.end.session.subject().is_none());
    }
}

#[test]
fn another_identity_does_not_take_a_session_over_by_renewing() {
    //= SMRP-A14
    let mut raw = Raw::greeted(config().demanding_auth());
    raw.send(&[auth(3, &[(parameter::TOKEN, b"t")])]);
    raw.end.session.authenticated(raw.now, Some(Grant::of("me")));
    raw.read();
    for (subject, expected) in [("you", Code::AUTH_FAILED), ("me", Code::NO_ERROR)] {
        raw.send(&[auth(3, &[(parameter::TOKEN, b"t")])]);
        raw.end.session.authenticated(raw.now, Some(Grant::of(subject)));
        let said = raw.read();
        assert!(matches!(&said[..], [Frame::AuthResult { code, .. }] if *code == expected), "{said:?}");
        assert_eq!(raw.end.session.subject(), Some("me"));
        assert!(raw.is_fine());
    }
    // One without a name is another one too.
    raw.send(&[auth(3, &[(parameter::TOKEN, b"t")])]);
    raw.end.session.authenticated(raw.now, Some(Grant::default()));
    assert!(matches!(raw.read()[..], [Frame::AuthResult { code: Code::AUTH_FAILED, .. }]));
}

#[test]
fn refusals_are_counted_in_a_row() {
    //= SMRP-A3
    let mut raw = Raw::greeted(config().demanding_auth());
    for round in 0..3 {
        for _ in 0..4 {
            raw.now = raw.now + Duration::from_secs(2);
            raw.send(&[auth(3, &[(parameter::TOKEN, b"wrong")])]);
            raw.end.session.authenticated(raw.now, None);
        }
        raw.now = raw.now + Duration::from_secs(2);
        raw.send(&[auth(3, &[(parameter::TOKEN, b"right")])]);
        raw.end.session.authenticated(raw.now, Some(Grant::of("x")));
        assert!(raw.is_fine(), "round {round}");
        raw.read();
    }
}

#[test]
fn a_flood_of_auth_is_abuse_though_every_one_is_believed() {
    //= SMRP-X1, SMRP-A11
    let mut raw = Raw::greeted(config().demanding_auth());
    let mut answered = 0;
    while raw.is_fine() {
        answered += 1;
        assert!(answered <= 200, "nobody stops it");
        raw.send(&[auth(3, &[(parameter::TOKEN, b"t")])]);
        raw.end.session.authenticated(raw.now, Some(Grant::of("x")));
        raw.read();
        // It goes on though it is told to wait: what is in the carrier is read later, at the same rate.
        if !raw.end.session.wants_octets() {
            raw.now = raw.now + Duration::from_millis(1);
        }
    }
    let end = raw.end.session.ended().cloned();
    let abuse = |fault: &smrp::Fault| fault.code() == Code::ABUSE;
    assert!(matches!(&end, Some(SessionError::Fault(fault)) if abuse(fault)), "{end:?}");
    assert!(answered > 50, "{answered}");
}

#[test]
fn auth_results_that_nobody_asked_for_are_a_fault() {
    //= SMRP-A1
    let mut pair = Pair::ready(config(), config());
    let result = Frame::AuthResult { code: Code::NO_ERROR, parameters: ParametersBuilder::new().build() };
    pair.a.receive(pair.now, &crate::raw::encode(&[result]));
    assert!(matches!(pair.a.session.ended(), Some(SessionError::Fault(_))));
}

#[test]
fn one_auth_at_a_time_is_out_and_the_newest_credential_is_shown_next() {
    //= SMRP-A1, SMRP-A18
    let mut pair = Pair::new(config().with_credential(Credential::Bearer("one".to_owned())), config().demanding_auth());
    pair.pump();
    for token in ["two", "three"] {
        pair.a.session.authenticate(Credential::Bearer(token.to_owned())).unwrap();
    }
    pair.pump();
    let mut seen = Vec::new();
    for _ in 0..4 {
        for event in pair.b.events() {
            let Event::Authenticate(claim) = event else { continue };
            seen.push(String::from_utf8(claim.token.unwrap().to_vec()).unwrap());
        }
        pair.b.session.authenticated(pair.now, Some(Grant::of("x")));
        pair.pump();
    }
    assert_eq!(seen, ["one", "three"]);
    assert_eq!(
        pair.a.session.authenticate(Credential::RawKey(Arc::new(Parrot::default()))),
        Err(ConfigError::NotBound)
    );
}
