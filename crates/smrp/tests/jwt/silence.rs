//! Nothing that is secret is ever shown or written down.

use crate::pair::config;
use crate::{Key, NOW, channel, claims, forged, issuers, shown, with};
use bytes::Bytes;
use core::fmt::{Debug, Display};
use core::time::Duration;
use serde_json::json;
use smrp::jwt::{Issuers, Signature};
use smrp::keys::{PublicKey, SigningKey};
use smrp::wire::{Frame, ParametersBuilder, parameter};
use smrp::{
    Accepted, Acceptor, Carrier, Config, ConfigError, Credential, Dial, Event, Grant, Role, Security, Session,
    SessionError, SessionMachine, TOKEN_LEN_MAX, Transmit,
};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use tracing_subscriber::fmt::MakeWriter;
use wirekit::Machine as _;

/// In every token, signature and text of the wrong file below.
const SECRET: &str = "s3cret-abcdefgh";

fn is_silent(what: &str, shown: &str) {
    assert!(!shown.contains(SECRET), "{what}: {shown}");
    // Octets in decimal or hexadecimal are no better.
    let octets = SECRET.as_bytes();
    assert!(!shown.contains(&format!("{:?}", &octets[..4]).replace(['[', ']'], "")), "{what}: {shown}");
    let hex: String = octets[..6].iter().map(|octet| format!("{octet:02x}")).collect();
    assert!(!shown.to_lowercase().contains(&hex), "{what}: {shown}");
}

fn debugged(what: &impl Debug) {
    is_silent(core::any::type_name_of_val(what), &format!("{what:?} {what:#?}"));
}

fn displayed(what: &(impl Debug + Display)) {
    debugged(what);
    is_silent(core::any::type_name_of_val(what), &format!("{what} {what:#}"));
}

#[test]
fn no_form_of_a_credential_shows_it() {
    //= SMRP-A8
    let key = Key::ed25519();
    let secret = || SECRET.to_owned();
    let signer = Arc::new(key.signer());
    let binding: [u8; 32] = core::array::from_fn(|at| SECRET.as_bytes()[at % SECRET.len()]);
    let channel = smrp::Channel::default().with_binding(binding).with_certificate(SECRET.as_bytes().to_vec());
    debugged(&channel);
    debugged(&key.signer());
    for credential in [
        Credential::Bearer(secret()),
        Credential::Bound { token: secret(), signer: signer.clone() },
        Credential::RawKey(signer),
        Credential::Certificate,
        Credential::None,
    ] {
        debugged(&credential);
        let config =
            Config::new(Security::Tls, false).with_channel(channel.clone()).with_credential(credential.clone());
        debugged(&config);
        debugged(&Dial::new(config.clone()));
        debugged(&Acceptor::new(config.clone()).unwrap());
        let mut session =
            SessionMachine::new(Role::Initiator, Arc::new(config), [1; 32], wirekit::Instant::EPOCH).unwrap();
        debugged(&session);
        let mut out = Transmit::new(1 << 16);
        session.poll_transmit(wirekit::Instant::EPOCH, &mut out);
        debugged(&out);
        if credential != Credential::None {
            let claim = shown(credential, &channel);
            debugged(&claim);
            debugged(&Event::Authenticate(claim.into()));
            let parameters = ParametersBuilder::new().with(parameter::TOKEN, SECRET.as_bytes());
            debugged(&parameters);
            debugged(&Frame::Auth { method: 3, parameters: parameters.build() });
        }
    }
    debugged(&Carrier::new(tokio::io::duplex(1).0, Security::Tls, false).with_channel(channel));
    debugged(&issuers(&key, &[Signature::EdDsa]));
}

#[test]
fn no_error_shows_what_it_is_about() {
    //= SMRP-A8
    let key = Key::ed25519();
    let issuers = issuers(&key, &[Signature::EdDsa]);
    let long = format!("{SECRET}{}", "x".repeat(TOKEN_LEN_MAX));
    for (config, expected) in [
        (Config::new(Security::Tls, false).with_credential(Credential::Bearer(long.clone())), "TokenLen"),
        (
            Config::new(Security::Plaintext, false).with_credential(Credential::Bearer(SECRET.to_owned())),
            "TokenInPlaintext",
        ),
    ] {
        let error = config.check().unwrap_err();
        assert!(format!("{error:?}").starts_with(expected));
        displayed(&error);
        displayed(&SessionError::Config(error));
    }
    displayed(&ConfigError::NotBound);
    displayed(&SigningKey::from_pem(SECRET).unwrap_err());
    displayed(&PublicKey::from_pem(SECRET).unwrap_err());
    for file in [
        format!("\"{SECRET}\""),
        SECRET.to_owned(),
        format!("{{\"keys\": [\"{SECRET}\"]}}"),
        format!("{{\"keys\": \"{SECRET}\"}}"),
    ] {
        displayed(&Issuers::new("a").with_issuer("i", &[Signature::EdDsa], &file).unwrap_err());
    }
    // Every error of a token, each with the secret in the token.
    let body = |mut claims: serde_json::Value| {
        claims["jti"] = json!(SECRET);
        claims
    };
    let signed = |claims: serde_json::Value| key.sign(&body(claims), None);
    let bound = with("cnf", json!({"jwk": key.jwk("k")}));
    let mut errors = vec![
        issuers.check(SECRET, NOW).unwrap_err(),
        issuers.check(&long, NOW).unwrap_err(),
        issuers.check(&signed(with("iss", json!(SECRET))), NOW).unwrap_err(),
        issuers.check(&Key::p256().sign(&body(claims()), None), NOW).unwrap_err(),
        issuers.check(&Key::ed25519().sign(&body(claims()), None), NOW).unwrap_err(),
        issuers.check(&signed(with("aud", json!(SECRET))), NOW).unwrap_err(),
        issuers.check(&signed(with("exp", json!(null))), NOW).unwrap_err(),
        issuers.check(&signed(with("exp", json!(SECRET))), NOW).unwrap_err(),
        issuers.check(&signed(claims()), NOW + 9_000).unwrap_err(),
        issuers.check(&signed(claims()), NOW - 9_000).unwrap_err(),
        issuers.check(&signed(bound.clone()), NOW).unwrap_err(),
    ];
    for claims in [claims(), bound] {
        let token = signed(claims);
        let parameters = [(parameter::TOKEN, token.as_bytes()), (parameter::SIGNATURE, SECRET.as_bytes())];
        errors.push(issuers.check_claim(&forged(4, &parameters, &channel(1)).unwrap(), NOW).unwrap_err());
    }
    errors.iter().for_each(displayed);
    let mut kinds: Vec<String> = errors.iter().map(|error| format!("{error:?}")).collect();
    kinds.sort();
    kinds.dedup();
    assert_eq!(kinds.len(), 12, "every kind was seen: {kinds:?}");
}

/// Where a log goes.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

async fn run(dial: Dial, acceptor: &Acceptor) -> (Result<Session, SessionError>, Option<Session>) {
    let (near, far) = tokio::io::duplex(64 << 10);
    let carrier = |io| Carrier::new(io, Security::Plaintext, true).with_channel(channel(1));
    let (a, b) = tokio::join!(dial.connect(carrier(near)), acceptor.accept(carrier(far)));
    let b = match b {
        Ok(Accepted::Session(session)) => Some(session),
        Ok(Accepted::Resumed) => None,
        Err(error) => {
            displayed(&error);
            None
        }
    };
    (a, b)
}

#[tokio::test(start_paused = true)]
async fn no_log_shows_a_credential_whatever_becomes_of_it() {
    //= SMRP-A8
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let key = Key::ed25519();
    let jwt = Acceptor::new(config()).unwrap().with_authentication(issuers(&key, &[Signature::EdDsa]));
    let anybody = Acceptor::new(config())
        .unwrap()
        .with_authentication(|_: &smrp::Claim| Some(Grant::of("x").with_expiry(Duration::from_secs(4))));
    let signer = Arc::new(key.signer());
    for credential in [
        Credential::Bearer(SECRET.to_owned()),
        Credential::Bearer(key.sign(&with("jti", json!(SECRET)), None)),
        Credential::Bound { token: SECRET.to_owned(), signer: signer.clone() },
        Credential::RawKey(signer),
    ] {
        for acceptor in [&jwt, &anybody] {
            let (a, b) = run(Dial::new(config().with_credential(credential.clone())), acceptor).await;
            match a {
                Ok(a) => {
                    debugged(&a);
                    debugged(&b);
                    let request = a.request(Bytes::new(), smrp::Request::default()).await;
                    drop(request.map_err(|error| displayed(&error)));
                    if let Err(error) = a.authenticate(credential.clone()) {
                        displayed(&error);
                    }
                    displayed(&a.closed().await);
                }
                Err(error) => displayed(&error),
            }
        }
    }
    // A source that gives what cannot be shown, after what can.
    let count = std::sync::atomic::AtomicUsize::new(0);
    let source = move || {
        let is_first = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
        let token = if is_first { SECRET.to_owned() } else { format!("{SECRET}{}", "x".repeat(TOKEN_LEN_MAX)) };
        core::future::ready(Ok(Credential::Bearer(token)))
    };
    let (a, _b) = run(Dial::new(config()).with_credentials(source), &anybody).await;
    displayed(&a.unwrap().closed().await);
    drop(guard);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("a token was not believed") && log.contains("cannot be shown"), "the log works: {log}");
    is_silent("the log", &log);
    assert!(!log.contains("eyJ"), "no part of a token: {log}");
}
