//! The other end: a Node.js process that is told what to send and tells what it saw.

use crate::cut::{Cut, CutStream};
use serde_json::{Value, json};
use smp_framing::{Arguments, Config, Connection};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// The longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/npm-smp.js");

/// Who waits for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    Us,
    Peer,
}

/// The process. It ends with this value.
pub(crate) struct Peer {
    _process: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Peer {
    fn spawn(arguments: &[String]) -> Self {
        let package = std::env::var_os("POSTROAD_NPM_SMP");
        let package =
            package.expect("POSTROAD_NPM_SMP is the directory of npm smp 1.1.3; `cargo xtask interop npm-smp` sets it");
        let package = std::path::absolute(package).unwrap();
        let mut process = Command::new("node")
            .arg("--no-deprecation")
            .arg(SCRIPT)
            .args(arguments)
            .env("POSTROAD_NPM_SMP", package)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node runs");
        let stdin = process.stdin.take().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { _process: process, stdin, lines }
    }

    /// The next thing it tells; `None` where it is gone.
    pub(crate) async fn tells(&mut self) -> Option<Value> {
        let line =
            timeout(PATIENCE, self.lines.next_line()).await.expect("the peer tells something in time").unwrap()?;
        Some(serde_json::from_str(&line).unwrap())
    }

    /// That it tells this next.
    pub(crate) async fn expect(&mut self, expected: Value) {
        let got = self.tells().await;
        let got = got.unwrap_or(Value::Null);
        assert!(got == expected, "expected {}, got {}", short(&expected), short(&got));
    }

    /// That it tells of this event with these arguments next.
    pub(crate) async fn expect_event(&mut self, name: &str, arguments: &[Vec<u8>]) {
        self.expect(json!({"event": name, "args": hex(arguments)})).await;
    }

    /// Has it send something.
    pub(crate) async fn send(&mut self, command: Value) {
        self.stdin.write_all(format!("{command}\n").as_bytes()).await.unwrap();
        self.stdin.flush().await.unwrap();
    }

    /// Has it call a function of the package with arguments, and send the result.
    pub(crate) async fn call(&mut self, name: &str, arguments: &[Vec<u8>]) {
        self.send(json!({"call": name, "args": hex(arguments), "options": {"max_message_size": 1_000_000}})).await;
    }
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(300).collect()
}

fn hex(arguments: &[Vec<u8>]) -> Value {
    arguments.iter().map(|octets| testkit::vectors::to_hex(octets)).collect()
}

/// The same arguments for our end.
pub(crate) fn ours(arguments: &[Vec<u8>]) -> Arguments {
    arguments.iter().map(|octets| bytes::Bytes::copy_from_slice(octets)).collect()
}

/// A connection between our end and the package.
pub(crate) async fn connect(config: Config, listener: Listener, cut: Cut) -> (Connection<CutStream>, Peer) {
    let chunk_len = cut.peer_chunk_len().to_string();
    let (stream, peer) = match listener {
        Listener::Us => {
            let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = socket.local_addr().unwrap().port().to_string();
            let peer = Peer::spawn(&["connect".into(), port, chunk_len]);
            let (stream, _) = timeout(PATIENCE, socket.accept()).await.expect("the peer connects in time").unwrap();
            (stream, peer)
        }
        Listener::Peer => {
            let mut peer = Peer::spawn(&["listen".into(), chunk_len]);
            let port = peer.tells().await.expect("the peer listens")["listening"].as_u64().unwrap();
            let address = ("127.0.0.1", u16::try_from(port).unwrap());
            (TcpStream::connect(address).await.unwrap(), peer)
        }
    };
    (Connection::new(CutStream::new(stream, cut), config), peer)
}

/// The next event of our end.
pub(crate) async fn next(connection: &mut Connection<CutStream>) -> Option<smp_framing::machine::Event> {
    timeout(PATIENCE, connection.receive()).await.expect("something comes in time").unwrap()
}
