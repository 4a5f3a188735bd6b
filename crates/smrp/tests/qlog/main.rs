//! Traces of real sessions, read as any tool would.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests and their helpers"
)]

use bytes::Bytes;
use core::time::Duration;
use serde_json::Value;
use smrp::trace::SCHEMA;
use smrp::wire::{ParametersBuilder, parameter};
use smrp::{
    Accepted, Acceptor, Budget, Carrier, Claim, Code, Config, Credential, Dial, Grant, Qlog, QlogOptions, Request,
    Security, Session, SessionError,
};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

const TOKEN: &str = "token-that-lets-in";
const PAYLOAD: &str = "what the application says";
const NAME: &str = "/where/it/goes";

fn config() -> Config {
    let mut config = Config::new(Security::Plaintext, true);
    config.settings.init_max_data = 65_536;
    config.settings.init_max_stream = 131_072;
    config.settings.ack_every = 16_384;
    config
}

fn carrier(io: DuplexStream) -> Carrier {
    Carrier::new(io, Security::Plaintext, true)
}

fn named() -> Request {
    Request::default().with_metadata(ParametersBuilder::new().with(parameter::NAME, NAME.as_bytes()).build())
}

async fn pair(dial: &Dial, acceptor: &Acceptor) -> (Session, Session) {
    let (near, far) = tokio::io::duplex(64 << 10);
    let (a, b) = tokio::join!(dial.connect(carrier(near)), acceptor.accept(carrier(far)));
    let Accepted::Session(b) = b.unwrap() else { panic!("fresh") };
    (a.unwrap(), b)
}

/// Every record of a text sequence.
fn records(octets: &[u8]) -> Vec<Value> {
    let text = core::str::from_utf8(octets).unwrap();
    assert!(text.starts_with('\u{1e}') && text.ends_with('\n'));
    text.split('\u{1e}').skip(1).map(|record| serde_json::from_str(record).expect(record)).collect()
}

/// Checks a trace against the schema and says which events it has.
fn check(octets: &[u8]) -> Vec<String> {
    let records = records(octets);
    let header = &records[0];
    assert_eq!(header["file_schema"], "urn:ietf:params:qlog:file:sequential");
    assert_eq!(header["serialization_format"], "application/qlog+json-seq");
    let trace = &header["trace"];
    assert_eq!(trace["common_fields"]["time_format"], "relative_to_epoch");
    assert!(["client", "server"].contains(&trace["vantage_point"]["type"].as_str().unwrap()));
    assert!(trace["event_schemas"][0].as_str().unwrap().starts_with("https://"));
    let mut last = 0.0;
    let mut names = Vec::new();
    for event in &records[1..] {
        let time = event["time"].as_f64().unwrap();
        assert!(time >= last, "time goes back: {event}");
        last = time;
        let name = event["name"].as_str().unwrap().strip_prefix("smrp:").unwrap();
        let schema = SCHEMA.iter().find(|schema| schema.name == name).expect(name);
        let data = event["data"].as_object().unwrap();
        for (field, shape, _) in schema.fields {
            let value = data.get(*field);
            let fits = match value {
                None => shape.ends_with("absent"),
                Some(Value::Number(number)) if shape.starts_with("milliseconds") => number.is_f64(),
                Some(Value::Number(number)) => shape.starts_with("number") && number.is_u64(),
                Some(Value::Bool(_)) => shape.starts_with("true"),
                Some(Value::String(_)) => shape.starts_with("word") || shape.starts_with("code"),
                Some(_) => false,
            };
            assert!(fits, "{field} should be {shape}: {event}");
        }
        assert!(data.keys().all(|key| schema.fields.iter().any(|(field, ..)| field == key)), "{event}");
        names.push(name.to_owned());
    }
    names
}

/// The traces of a folder, once all of them are at their end.
fn traces(dir: &Path, count: usize) -> Vec<Vec<u8>> {
    for _ in 0..200 {
        let files: Vec<Vec<u8>> =
            std::fs::read_dir(dir).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
        let is_over = |file: &Vec<u8>| String::from_utf8_lossy(file).contains("smrp:session_ended");
        if files.len() >= count && files.iter().all(is_over) {
            return files;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{count} traces never came to their end");
}

/// Streams that are given up once the peer has heard of them, until it has had enough.
async fn waste(a: &Session, b: &Session) {
    let accepting = tokio::spawn({
        let b = b.clone();
        async move { while b.accept().await.is_ok() {} }
    });
    while b.stats().ledger_pauses == 0 {
        let mut stream = a.open_uni(named()).await.unwrap();
        stream.write_all(PAYLOAD.as_bytes()).await.unwrap();
        stream.flushed().await.unwrap();
    }
    accepting.abort();
}

/// More than the peer takes, what is too old to be sent, and what is kept for another link.
async fn press(a: &Session, b: &Session) {
    let (mut sender, mut receiver) = (a.open_messages(true, named()).await.unwrap(), None);
    for _ in 0..40 {
        sender.send(Bytes::from(PAYLOAD.repeat(100))).await.unwrap();
    }
    sender.send_within(Bytes::from(PAYLOAD), Some(Duration::ZERO)).await.unwrap();
    a.send_datagram(1, Bytes::from(PAYLOAD), Some(Duration::ZERO)).unwrap();
    while a.stats().blocked_count == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for _ in 0..40 {
        let (channel, _) = match receiver.take() {
            Some(channel) => channel,
            None => b.accept_messages().await.unwrap(),
        };
        let mut channel = channel;
        assert_eq!(channel.receive().await.unwrap().unwrap().len(), PAYLOAD.len() * 100);
        receiver = Some((channel, None));
    }
    sender.finish().unwrap();
    let mut channel = receiver.unwrap().0;
    assert_eq!(channel.receive().await, Ok(None));
    assert_eq!(channel.stats().messages_skipped, 1);
    let sent = sender.stats();
    assert_eq!((sent.messages_sent, sent.messages_expired), (40, 1));
    assert_eq!((a.stats().datagrams_dropped, a.stats().datagrams_expired), (1, 1));
}

#[tokio::test]
async fn every_event_occurs_and_nothing_of_credentials_or_payload() {
    //= SMRP-A8, SMRP-PR4, SMRP-X1
    let dir = tempfile::tempdir().unwrap();
    let qlog = Qlog::to_dir(dir.path().join("made"), QlogOptions::default()).unwrap();
    let check_token = |claim: &Claim| (claim.token.as_deref() == Some(TOKEN.as_bytes())).then(|| Grant::of("robot"));
    let budget = Budget::new(64 << 10);
    let acceptor = Acceptor::new(config().with_budget(budget)).unwrap().with_authentication(check_token);
    let acceptor = acceptor.with_qlog(qlog.clone());
    let (to_acceptor, mut links) = mpsc::unbounded_channel();
    let dial = Dial::new(config().with_credential(Credential::Bearer(TOKEN.to_owned()))).with_qlog(qlog.clone());
    let dial = dial.with_redial(move || {
        let (near, far) = tokio::io::duplex(64 << 10);
        to_acceptor.send(far).unwrap();
        core::future::ready(Ok(carrier(near)))
    });
    // The link passes through a hand that can let go of it.
    let (near, mut middle) = tokio::io::duplex(64 << 10);
    let (mut other, far) = tokio::io::duplex(64 << 10);
    let cut = tokio::spawn(async move { drop(tokio::io::copy_bidirectional(&mut middle, &mut other).await) });
    let (a, b) = tokio::join!(dial.connect(carrier(near)), acceptor.accept(carrier(far)));
    let (a, Accepted::Session(b)) = (a.unwrap(), b.unwrap()) else { panic!("fresh") };
    press(&a, &b).await;
    cut.abort();
    let again = links.recv().await.unwrap();
    assert!(matches!(acceptor.accept(carrier(again)).await, Ok(Accepted::Resumed)));
    waste(&a, &b).await;
    b.close(Code::NO_ERROR, PAYLOAD);
    assert!(matches!(a.closed().await, SessionError::ClosedByPeer { .. }));
    drop((a, b));
    let traces = traces(&dir.path().join("made"), 3);
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for trace in &traces {
        let text = String::from_utf8_lossy(trace);
        for what in [TOKEN, PAYLOAD, NAME, "robot"] {
            assert!(!text.contains(what), "{what:?} is in a trace");
        }
        seen.extend(check(trace));
    }
    // What is missing in a trace is another test's.
    let all: BTreeSet<String> =
        SCHEMA.iter().map(|event| event.name.to_owned()).filter(|name| name != "events_dropped").collect();
    assert_eq!(seen, all);
    assert_eq!((qlog.dropped(), qlog.failed()), (0, 0));
}

#[tokio::test]
async fn one_session_of_so_many_has_a_trace() {
    let dir = tempfile::tempdir().unwrap();
    let qlog = Qlog::to_dir(dir.path(), QlogOptions::default().with_one_in(3)).unwrap();
    let (dial, acceptor) = (Dial::new(config()).with_qlog(qlog), Acceptor::new(config()).unwrap());
    for _ in 0..7 {
        let (a, _b) = pair(&dial, &acceptor).await;
        a.close(Code::NO_ERROR, "");
        a.closed().await;
    }
    assert_eq!(traces(dir.path(), 3).len(), 3);
}

#[tokio::test]
async fn a_full_file_says_what_it_has_not() {
    let dir = tempfile::tempdir().unwrap();
    let qlog = Qlog::to_dir(dir.path(), QlogOptions::default().with_file_len_max(8 << 10)).unwrap();
    let (dial, acceptor) = (Dial::new(config()).with_qlog(qlog.clone()), Acceptor::new(config()).unwrap());
    let (a, b) = pair(&dial, &acceptor).await;
    for _ in 0..100 {
        let reply = a.request(Bytes::from_static(b"?"), Request::default()).await.unwrap();
        b.accept_request().await.unwrap().reply(Bytes::from_static(b"!")).unwrap();
        reply.await.unwrap();
    }
    a.close(Code::NO_ERROR, "");
    a.closed().await;
    drop((a, dial));
    for _ in 0..200 {
        // The thread that writes may not have begun yet.
        let file = std::fs::read_dir(dir.path()).unwrap().next();
        let octets = file.map(|file| std::fs::read(file.unwrap().path()).unwrap()).unwrap_or_default();
        if String::from_utf8_lossy(&octets).contains("file_full") {
            assert!(octets.len() <= 8 << 10);
            assert_eq!(check(&octets).last().unwrap(), "events_dropped");
            assert!(records(&octets).last().unwrap()["data"]["count"].as_u64().unwrap() > 100);
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the trace never came to its end");
}

/// A disk that takes nothing until it is let go.
struct Stuck {
    go: Arc<Mutex<Receiver<()>>>,
    took: Sender<Vec<u8>>,
}

impl Write for Stuck {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        let _ = self.go.lock().unwrap().recv();
        self.took.send(octets.to_vec()).unwrap();
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_disk_that_hangs_holds_up_no_session_and_what_is_dropped_is_counted() {
    let (let_go, go) = channel();
    let (took, taken) = channel();
    let go = Arc::new(Mutex::new(go));
    let open = move |_: &str| Ok(Box::new(Stuck { go: go.clone(), took: took.clone() }) as Box<dyn Write + Send>);
    let qlog = Qlog::to(QlogOptions::default().with_queue_max(64), open).unwrap();
    let (dial, acceptor) = (Dial::new(config()).with_qlog(qlog.clone()), Acceptor::new(config()).unwrap());
    let (a, b) = pair(&dial, &acceptor).await;
    for _ in 0..200 {
        let reply = a.request(Bytes::from_static(b"?"), Request::default()).await.unwrap();
        b.accept_request().await.unwrap().reply(Bytes::from_static(b"!")).unwrap();
        assert_eq!(reply.await.unwrap(), "!");
    }
    let dropped = qlog.dropped();
    assert!(dropped > 200, "{dropped}");
    a.close(Code::NO_ERROR, "");
    a.closed().await;
    drop((a, b, dial));
    // The disk works again: what waited is written, and how much is missing.
    drop(let_go);
    let dropped = qlog.dropped();
    drop(qlog);
    let octets: Vec<u8> = taken.iter().flatten().collect();
    let names = check(&octets);
    assert!(names.contains(&"events_dropped".to_owned()));
    let missing: u64 = records(&octets)
        .iter()
        .filter(|record| record["name"] == "smrp:events_dropped")
        .map(|record| record["data"]["count"].as_u64().unwrap())
        .sum();
    assert_eq!(missing, dropped);
}
