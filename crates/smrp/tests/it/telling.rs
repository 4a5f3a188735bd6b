//! What is told in logs.

use bytes::Bytes;
use core::time::Duration;
use smrp::{
    Accepted, Acceptor, Carrier, Claim, Config, Credential, Dial, Grant, Request, Security, Session, SessionError,
};
use std::sync::{Arc, Mutex};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tracing_subscriber::filter::LevelFilter;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

const TOKEN: &str = "token-that-lets-in";
const PAYLOAD: &str = "what the application says";

fn carrier(io: DuplexStream) -> Carrier {
    Carrier::new(io, Security::Plaintext, true).with_peer("198.51.100.7:4711")
}

/// A session whose initiator has shown a token, and what brings it back when its link is cut.
async fn begin() -> (Session, Session, Session) {
    let (to_acceptor, mut links) = mpsc::unbounded_channel();
    let check = |claim: &Claim| (claim.token.as_deref() == Some(TOKEN.as_bytes())).then(|| Grant::of("robot"));
    let acceptor = Acceptor::new(Config::new(Security::Plaintext, true)).unwrap().with_authentication(check);
    let credential = Credential::Bearer(TOKEN.to_owned());
    let config = Config::new(Security::Plaintext, true).with_credential(credential);
    let dial = Dial::new(config).with_redial(move || {
        let (near, far) = tokio::io::duplex(64 << 10);
        to_acceptor.send(far).unwrap();
        core::future::ready(Ok(carrier(near)))
    });
    let (near, far) = tokio::io::duplex(64 << 10);
    // A link that dies: what passes between the two ends is cut off.
    let (mut left, right) = tokio::io::duplex(64 << 10);
    let cut = tokio::spawn(async move {
        let mut far = far;
        drop(
            tokio::time::timeout(Duration::from_millis(200), tokio::io::copy_bidirectional(&mut far, &mut left)).await,
        );
    });
    let (a, b) = tokio::join!(dial.connect(carrier(near)), acceptor.accept(carrier(right)));
    let Accepted::Session(b) = b.unwrap() else { panic!("fresh") };
    let a = a.unwrap();
    cut.await.unwrap();
    let again = links.recv().await.unwrap();
    assert!(matches!(acceptor.accept(carrier(again)).await, Ok(Accepted::Resumed)));
    let refused = Dial::new(Config::new(Security::Plaintext, true).with_credential(Credential::Bearer("wrong".into())));
    let (near, far) = tokio::io::duplex(64 << 10);
    let (wrong, other) = tokio::join!(refused.connect(carrier(near)), acceptor.accept(carrier(far)));
    assert!(matches!(wrong, Err(SessionError::AuthRefused)) && other.is_err());
    (a.clone(), b, a)
}

/// Streams that are given up as soon as the peer has heard of them, until it has had enough for a while.
async fn waste(a: &Session, b: &Session) {
    let accepting = tokio::spawn({
        let b = b.clone();
        async move { while b.accept().await.is_ok() {} }
    });
    for _ in 0..1_000 {
        let mut stream = a.open_uni(Request::default()).await.unwrap();
        stream.write_all(PAYLOAD.as_bytes()).await.unwrap();
        stream.flushed().await.unwrap();
        drop(stream);
        if b.stats().ledger_pauses > 0 {
            break;
        }
    }
    assert!(b.stats().ledger_pauses > 0);
    accepting.abort();
}

#[tokio::test]
async fn a_session_tells_of_its_life_and_never_of_credentials_or_payload() {
    //= SMRP-A8, SMRP-X1
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let (a, b, clone) = begin().await;
    waste(&a, &b).await;
    let reply = a.request(Bytes::from_static(PAYLOAD.as_bytes()), Request::default()).await.unwrap();
    let asked = b.accept_request().await.unwrap();
    asked.reply(Bytes::from_static(PAYLOAD.as_bytes())).unwrap();
    assert_eq!(reply.await.unwrap(), PAYLOAD);
    b.drain(Duration::from_secs(5), Some("smrp://elsewhere"));
    a.going_away().await.unwrap();
    a.closed().await;
    drop((a, clone));
    b.closed().await;
    let told = log.text();
    for what in [
        "session{role=Initiator peer=\"198.51.100.7:4711\"}: smrp",
        "session{role=Acceptor peer=\"198.51.100.7:4711\"}: smrp",
        "established",
        "detached: the link is lost",
        "reattached",
        "reading stops pause=100ms",
        "draining",
        "is going away",
        "does not believe who we are",
        "ended error=the session goes on over another link",
        "ended error=closed by this end (NO_ERROR)",
        "opened stream=",
    ] {
        assert!(told.contains(what), "{what:?} is not in\n{told}");
    }
    for what in [TOKEN, "wrong", PAYLOAD] {
        assert!(!told.contains(what), "{what:?} is in\n{told}");
    }
    assert_eq!(b.stats().reattached, 1);
}
