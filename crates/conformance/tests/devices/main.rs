//! Links of WRP with a device and a server made of npm `ws` 8 and `@msgpack/msgpack` 3, which nobody here wrote, over TCP on the loopback.
//!
//! They need Node.js and the packages, so they are ignored unless asked for: `cargo xtask interop npm-wrp` installs them, sets `POSTROAD_NPM_WRP`
//! to their folder and runs them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "helpers of tests"
)]

use postroad::transfer::{checksum, send_file};
use postroad::{
    ConnectOptions, Connection, ErrorKind, Incoming, ListenOptions, Message, connect_with, listen_with, wrp,
};
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// The longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/npm-wrp.js");
const DEVICE: &str = "mac:112233445566";

/// The process. It ends with this value.
struct Peer {
    _process: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Peer {
    fn spawn(arguments: &[&str]) -> Self {
        let folder = std::env::var_os("POSTROAD_NPM_WRP");
        let folder = folder.expect("POSTROAD_NPM_WRP has node_modules; `cargo xtask interop npm-wrp` sets it");
        let mut process = Command::new("node")
            .arg(SCRIPT)
            .args(arguments)
            .env("POSTROAD_NPM_WRP", std::path::absolute(folder).unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node runs");
        let stdin = process.stdin.take().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { _process: process, stdin, lines }
    }

    /// The next thing of this name that it tells; pings are passed over unless they are asked for.
    async fn tells(&mut self, name: &str) -> Value {
        loop {
            let line = timeout(PATIENCE, self.lines.next_line()).await.expect("it tells something in time").unwrap();
            let line: Value = serde_json::from_str(&line.expect("it is there")).unwrap();
            match &line[name] {
                Value::Null if !line["ping"].is_null() => {}
                Value::Null => panic!("expected {name}, got {line}"),
                value => return value.clone(),
            }
        }
    }

    async fn act(&mut self, command: Value) {
        self.stdin.write_all(format!("{command}\n").as_bytes()).await.unwrap();
        self.stdin.flush().await.unwrap();
    }
}

/// The octets of a stream that both ends can make.
fn content(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + (at >> 8) * 13 + (at >> 16)) as u8).collect()
}

async fn next(connection: &Connection) -> Incoming {
    timeout(PATIENCE, connection.receive()).await.expect("something comes in time").unwrap().expect("the link is there")
}

/// A device of theirs on a server of ours.
async fn their_device() -> (Connection, Peer) {
    let options = ListenOptions::new().with_bearer_tokens(["s3cret"]);
    let mut listener = listen_with("wrp+ws://127.0.0.1:0", options).await.unwrap();
    let port = listener.url().port().unwrap().to_string();
    let mut refused = Peer::spawn(&["device", &port, DEVICE, "wrong"]);
    assert_eq!(refused.tells("refused").await, 401);
    let mut nameless = Peer::spawn(&["device", &port, "nobody", "s3cret"]);
    assert_eq!(nameless.tells("refused").await, 400);
    let mut peer = Peer::spawn(&["device", &port, DEVICE, "s3cret"]);
    let server = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    peer.tells("open").await;
    (server, peer)
}

/// A device of ours on a server of theirs.
async fn their_server() -> (Connection, Peer) {
    let mut peer = Peer::spawn(&["server", "s3cret"]);
    let port = peer.tells("listening").await;
    let url = format!("wrp+ws://127.0.0.1:{port}?device={DEVICE}/config&dest=dns:talaria.example");
    let error = connect_with(url.as_str(), ConnectOptions::new()).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Peer && error.to_string().contains("403"), "{error}");
    assert!(peer.tells("hello").await["authorization"].is_null());
    let options = ConnectOptions::new()
        .with_bearer_token("s3cret")
        .with_header(wrp::link::CONVEY, wrp::link::convey([("hw-model", "X1")]));
    let client = connect_with(url.as_str(), options).await.unwrap();
    let hello = peer.tells("hello").await;
    assert_eq!(hello["path"], "/api/v2/device");
    assert_eq!(hello["x-webpa-device-name"], DEVICE);
    assert_eq!(hello["x-webpa-convey"], "eyJody1tb2RlbCI6IlgxIn0=");
    peer.tells("open").await;
    (client, peer)
}

/// What holds at either end.
async fn exchange(connection: &Connection, peer: &mut Peer) {
    for len in [0, 1, 200, 70_000, 250_000] {
        let text: String = "abcdefg".chars().cycle().take(len).collect();
        let reply = connection.request(text.clone()).await.unwrap();
        assert!(reply == Message::from(text.to_uppercase()), "{len}");
    }
    connection.send(Message::from(vec![0, 255]).with_header("name", "grün")).await.unwrap();
    let message = peer.tells("message").await;
    assert_eq!((&message["payload"], &message["headers"]), (&json!("00ff"), &json!(["name: grün"])));
    assert_eq!((&message["msg_type"], &message["qos"]), (&json!(4), &json!(0)));

    // Integers without a sign, fields in another order, unknown ones: as their library writes them.
    let event = json!({
        "later": {"nested": [1.5, null, true]}, "qos": 75, "msg_type": 4, "source": DEVICE, "dest": "event:x", "rdr": 200,
        "headers": ["a: b"], "metadata": {"k": "v"}, "partner_ids": ["p"], "payload": "6869",
    });
    peer.act(json!({"send": event})).await;
    let Incoming::Message(came) = next(connection).await else { panic!() };
    assert_eq!((came.text(0), came.headers()), (Some("hi"), &[("a".to_owned(), "b".into())][..]));
    let came = came.as_wrp().unwrap();
    assert_eq!((came.qos.0, came.rdr, came.partner_ids.len()), (75, Some(200), 1));

    for (command, wanted) in [
        (json!({"text": "{}"}), "a text of 2 octets"),
        (json!({"raw": "c1"}), "no message"),
        (json!({"send": {"msg_type": 4, "source": "talaria-1", "dest": "event:x"}}), "source"),
    ] {
        peer.act(command).await;
        let Incoming::Refused(error) = next(connection).await else { panic!("{wanted}") };
        assert!(error.to_string().contains(wanted), "{error}");
    }
    peer.act(json!({"ping": "there?"})).await;
    assert_eq!(peer.tells("pong").await, "there?");
}

/// Streams of theirs, whatever their encoding and order.
async fn streams_come(connection: &Connection, peer: &mut Peer) {
    let base = json!({"msg_type": 4, "source": DEVICE, "dest": "event:x"});
    for (number, (len, encoding, packet, disorder)) in [
        (0, None, 1000, false),
        (1, Some("gzip"), 1000, false),
        (1_000_000, Some("gzip"), 65_536, false),
        (1_000_000, Some("deflate"), 10_000, true),
        (3_000_000, None, 65_536, true),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("stream_{number}");
        let stream =
            json!({"id": id, "len": len, "encoding": encoding, "packet": packet, "base": base, "disorder": disorder});
        peer.act(json!({"stream": stream})).await;
        let Incoming::Body(body) = next(connection).await else { panic!("{len}") };
        let came = timeout(PATIENCE, body.collect(4 << 20)).await.unwrap().unwrap();
        assert!(came == content(len), "{len} {encoding:?}");
    }
}

/// Streams and files of ours.
async fn streams_go(connection: &Connection, peer: &mut Peer) {
    let folder = tempfile::tempdir().unwrap();
    for len in [0, 1, 65_536, 1_000_001] {
        let path = folder.path().join("file");
        std::fs::write(&path, content(len)).unwrap();
        let sent = send_file(connection, &path, "their file", &mut |_| {}).await.unwrap();
        let stream = peer.tells("stream").await;
        assert_eq!(stream["sha256"], checksum(&path).unwrap().1, "{stream}");
        assert_eq!((&stream["len"], &stream["end"]), (&json!(len), &json!("eof")), "{stream}");
        assert_eq!(stream["trailer"], sent.sha256.as_str());
        assert_eq!(stream["head"], json!({"name": "their file", "len": len}).to_string());
        assert_eq!(stream["estimate"].as_str(), (len > 0).then(|| len.to_string()).as_deref());
    }
    let mut body = connection.open_body(Message::new()).await.unwrap();
    body.write(content(200_000)).await.unwrap();
    drop(body);
    let stream = peer.tells("stream").await;
    assert!(stream["end"].as_str().unwrap().contains("given up"), "{stream}");
}

//= WRP-N1, WRP-N3, WRP-N4, WRP-N6, WRP-N7, WRP-N16, WRP-N20
#[tokio::test]
#[ignore = "needs npm ws: cargo xtask interop npm-wrp"]
async fn a_device_of_theirs_and_a_server_of_ours_understand_each_other() {
    let (server, mut peer) = their_device().await;
    exchange(&server, &mut peer).await;
    streams_come(&server, &mut peer).await;
    streams_go(&server, &mut peer).await;
    // A device that closes in order is an end, not an error.
    peer.act(json!({"close": 1000})).await;
    assert!(timeout(PATIENCE, server.receive()).await.unwrap().unwrap().is_none());
}

//= WRP-N1, WRP-N3, WRP-N4, WRP-N5, WRP-N6, WRP-N7, WRP-N16, WRP-N20
#[tokio::test]
#[ignore = "needs npm ws: cargo xtask interop npm-wrp"]
async fn a_server_of_theirs_and_a_device_of_ours_understand_each_other() {
    let (client, mut peer) = their_server().await;
    exchange(&client, &mut peer).await;
    streams_come(&client, &mut peer).await;
    streams_go(&client, &mut peer).await;
    client.close().await.unwrap();
    assert_eq!(peer.tells("closed").await, 1000);
}

//= WRP-N10
#[tokio::test]
#[ignore = "needs npm ws: cargo xtask interop npm-wrp"]
async fn pings_reach_them_at_once_from_a_device() {
    let mut peer = Peer::spawn(&["server", "s3cret"]);
    let port = peer.tells("listening").await;
    let options = ConnectOptions::new().with_bearer_token("s3cret");
    let _client = connect_with(format!("wrp+ws://127.0.0.1:{port}?device={DEVICE}"), options).await.unwrap();
    peer.tells("hello").await;
    peer.tells("open").await;
    assert_eq!(peer.tells("ping").await, "");
}
