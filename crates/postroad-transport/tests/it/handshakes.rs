//! Handshakes end in time and hold nobody up.

use std::time::{Duration, Instant};

use postroad_transport::tcp::{self, TcpConfig};
use postroad_transport::{CarrierListener, ErrorKind, memory, tls, ws};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{bare_listener, ca, connect, listener, soon, tls_server};

#[tokio::test]
async fn slow_handshakes_do_not_hold_up_others() {
    for name in ["tls", "ws", "wss"] {
        let (listener, _dir) = listener(name).await;
        let to = listener.local_addr();
        let address = to.to_string();
        let server = tokio::spawn(async move {
            loop {
                let pending = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    if let Ok(mut carrier) = pending.handshake().await {
                        carrier.write_all(b"in").await.unwrap();
                        carrier.flush().await.unwrap();
                        let _ = carrier.read(&mut [0; 1]).await;
                    }
                });
            }
        });
        let mut slow = Vec::new();
        for count in 0..50 {
            let mut io = TcpStream::connect(&address).await.unwrap();
            // Some say nothing, some begin well and stop.
            let beginning: &[u8] = match (name, count % 2) {
                (_, 0) => b"",
                ("ws", _) => b"GET / HTTP/1.1\r\nHost: h\r\n",
                _ => &[0x16, 3, 1, 1, 0, 1],
            };
            io.write_all(beginning).await.unwrap();
            slow.push(io);
        }
        let start = Instant::now();
        for _ in 0..3 {
            let mut carrier = soon(connect(name, &to)).await.unwrap();
            let mut got = [0; 2];
            soon(carrier.read_exact(&mut got)).await.unwrap();
        }
        assert!(start.elapsed() < Duration::from_secs(3), "{name}: {:?}", start.elapsed());
        server.abort();
    }
}

#[tokio::test]
async fn a_server_gives_up_on_a_silent_or_dripping_client() {
    let limit = Duration::from_millis(300);
    let identity = ca().issue_server(&["localhost"]).unwrap();
    let tls = tls::ServerConfig::new(identity.certificate_pem, identity.key_pem)
        .with_handshake_timeout(limit)
        .build()
        .unwrap();
    let ws = ws::ServerConfig::new().with_limits(ws::Limits::default().with_handshake_timeout(limit)).build().unwrap();
    let start = Instant::now();
    let (_client, io) = memory::duplex(1000);
    assert_eq!(soon(tls.handshake(io, "peer")).await.unwrap_err().kind(), ErrorKind::TimedOut);
    let (mut client, io) = memory::duplex(1000);
    let drip = tokio::spawn(async move {
        for byte in b"GET / HTTP/1.1\r\nX-Slow: ".iter().chain(std::iter::repeat(&b'x')) {
            if client.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert_eq!(soon(ws.handshake(io, "peer")).await.unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    soon(drip).await.unwrap();
}

#[tokio::test]
async fn a_client_gives_up_on_a_silent_server() {
    let limit = Duration::from_millis(300);
    let (_listener, address) = bare_listener().await;
    let tcp = TcpConfig::default();
    let tls = tls::ClientConfig::new().with_ca_pem(ca().certificate_pem()).with_handshake_timeout(limit);
    let error = soon(tls.build().unwrap().connect(&address, &tcp)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    let ws = ws::ClientConfig::new().with_limits(ws::Limits::default().with_handshake_timeout(limit));
    let error = soon(ws::connect(&address, &ws, &tcp)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    assert!(error.to_string().contains(&address), "{error}");
}

#[tokio::test]
async fn the_limit_on_handshakes_holds_and_frees_itself() {
    let identity = ca().issue_server(&["localhost"]).unwrap();
    let tls = tls::ServerConfig::new(identity.certificate_pem, identity.key_pem).with_handshakes_max(2);
    let tcp = tcp::Listener::bind("127.0.0.1:0", TcpConfig::default()).await.unwrap();
    let listener = CarrierListener::Tls(tcp, tls.build().unwrap());
    let address = listener.local_addr().to_string();
    let mut peers = Vec::new();
    for _ in 0..3 {
        peers.push(TcpStream::connect(&address).await.unwrap());
    }
    let first = soon(listener.accept()).await.unwrap();
    let _second = soon(listener.accept()).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(100), listener.accept()).await.is_err());
    drop(first);
    soon(listener.accept()).await.unwrap().peer().unwrap();
}

#[tokio::test]
async fn a_dropped_handshake_is_no_harm() {
    // Cancelled in the middle: the socket closes, the client notices.
    let (client, io) = memory::duplex(1000);
    let server = tls_server();
    let cut = tokio::time::timeout(Duration::from_millis(20), server.handshake(io, "peer")).await;
    assert!(cut.is_err());
    let mut client = client;
    assert_eq!(soon(client.read(&mut [0; 1])).await.unwrap(), 0);
}

#[tokio::test]
async fn futures_that_are_spawned_for_each_peer_stay_small() {
    let (listener, _dir) = listener("wss").await;
    let _client = TcpStream::connect(listener.local_addr().to_string()).await.unwrap();
    let pending = soon(listener.accept()).await.unwrap();
    let len = size_of_val(&pending.handshake());
    assert!(len <= 8 * 1024, "{len} bytes");
}
