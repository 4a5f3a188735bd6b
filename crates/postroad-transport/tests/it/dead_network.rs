//! A network that swallows everything without a word, in a network namespace of the test's own.
//!
//! The test runs itself once more under `unshare`, so that the namespace, and all that is done to its loopback device, ends
//! with that process.
#![cfg(target_os = "linux")]

use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

use postroad_transport::tcp::{self, TcpConfig};
use postroad_transport::{Carrier, CarrierError, CarrierListener, ErrorKind, ws};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{soon, tls_client, tls_server};

const NAME: &str = "dead_network::a_peer_behind_a_dead_network_is_lost_within_the_promised_time";
/// The namespace of the process that called `unshare`: what must not be touched.
const OUTSIDE: &str = "POSTROAD_TEST_OUTSIDE_NAMESPACE";
const KEEPALIVE: Duration = Duration::from_secs(1);
const DEAD_AFTER: Duration = Duration::from_secs(2);
/// For a busy machine, and for timers of the kernel that are kept to the second.
const SLACK: Duration = Duration::from_millis(1500);

fn namespace() -> String {
    std::fs::read_link("/proc/self/ns/net").unwrap().display().to_string()
}

fn run(command: &str) -> Result<(), String> {
    let output = Command::new("sh").args(["-c", command]).output().map_err(|error| format!("sh: {error}"))?;
    let told = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{command}: {told}")) }
}

#[test]
fn a_peer_behind_a_dead_network_is_lost_within_the_promised_time() {
    if let Ok(outside) = std::env::var(OUTSIDE) {
        assert_ne!(namespace(), outside, "this would cut the network of the machine");
        run("ip link set lo up").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(lose_the_network());
    }
    // Both that a namespace can be had and that its loopback can be cut, so that a failure later is one.
    let rehearsal =
        "unshare --user --map-root-user --net sh -c 'ip link set lo up && tc qdisc add dev lo root blackhole'";
    if let Err(why) = run(rehearsal) {
        assert!(std::env::var_os("CI").is_none(), "no network namespace to cut: {why}");
        eprintln!("SKIPPED, NOTHING WAS TESTED: no network namespace to cut: {why}");
        return;
    }
    let status = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(OUTSIDE, namespace())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

/// Two connected ends over loopback, of that carrier, each after one message.
async fn pair(carrier: &str, config: &TcpConfig) -> (Carrier, Carrier) {
    let tcp_listener = tcp::Listener::bind("127.0.0.1:0", config.clone()).await.unwrap();
    let ws_server = ws::ServerConfig::new().build().unwrap();
    let listener = match carrier {
        "tcp" => CarrierListener::Tcp(tcp_listener),
        "tls" => CarrierListener::Tls(tcp_listener, tls_server()),
        "ws" => CarrierListener::Ws(tcp_listener, ws_server),
        _ => CarrierListener::Wss(tcp_listener, tls_server(), ws_server),
    };
    let address = listener.local_addr().to_string();
    let client = async {
        let ws_client = ws::ClientConfig::new();
        let connected: Carrier = match carrier {
            "tcp" => tcp::connect(&address, config).await.unwrap().into(),
            "tls" => tls_client().connect(&address, config).await.unwrap().into(),
            "ws" => ws::connect(&address, &ws_client, config).await.unwrap().into(),
            _ => ws::connect_tls(&address, &ws_client, &tls_client(), config).await.unwrap().into(),
        };
        connected
    };
    let (mut client, server) = tokio::join!(client, async { listener.accept().await.unwrap().handshake().await });
    let mut server = server.unwrap();
    client.write_all(b"x").await.unwrap();
    client.flush().await.unwrap();
    server.read_exact(&mut [0]).await.unwrap();
    (client, server)
}

/// When and how reading ends, and what it was that waited.
async fn lost(what: String, mut end: Carrier) -> (String, Duration, io::Result<usize>) {
    let start = Instant::now();
    let read = soon(end.read(&mut [0; 100])).await;
    (what, start.elapsed(), read)
}

async fn lose_the_network() {
    let config = TcpConfig::default().with_keepalive(Some(KEEPALIVE)).with_dead_after(DEAD_AFTER);
    let silent = TcpConfig::default().with_keepalive(None);
    let (mut idle, mut writing) = (Vec::new(), Vec::new());
    for carrier in ["tcp", "tls", "ws", "wss"] {
        idle.push((carrier, pair(carrier, &config).await));
        writing.push((carrier, pair(carrier, &config).await));
    }
    let (mut unasked, _far) = pair("tcp", &silent).await;
    run("tc qdisc add dev lo root blackhole").unwrap();

    let mut waiting = tokio::task::JoinSet::new();
    // Nobody reads there, but they stay open.
    let mut far = Vec::new();
    for (carrier, (client, server)) in idle {
        waiting.spawn(lost(format!("{carrier}, idle client"), client));
        waiting.spawn(lost(format!("{carrier}, idle server"), server));
    }
    for (carrier, (mut client, server)) in writing {
        far.push(server);
        client.write_all(&[5; 1000]).await.unwrap();
        client.flush().await.unwrap();
        waiting.spawn(lost(format!("{carrier}, client that waits for an answer"), client));
    }
    while let Some(outcome) = waiting.join_next().await {
        let (what, took, read) = outcome.unwrap();
        println!("{what}: {took:?}");
        let error = read.expect_err(&what);
        assert_eq!(CarrierError::io("read from", error).kind(), ErrorKind::TimedOut, "{what}");
        assert!(took >= DEAD_AFTER - Duration::from_millis(500), "{what}: {took:?} is not for want of an answer");
        assert!(took <= KEEPALIVE + DEAD_AFTER + SLACK, "{what}: {took:?}");
    }
    // It was the settings that told: who asks nothing is told nothing.
    assert!(tokio::time::timeout(Duration::from_millis(200), unasked.read(&mut [0; 1])).await.is_err());
}
