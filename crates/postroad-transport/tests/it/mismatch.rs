//! Two ends that speak different things: both are told which, within a second.

use postroad_transport::guard::Guarded;
use postroad_transport::{Carrier, CarrierError, ErrorKind, PeerAddr, Speaks, memory};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{bare_listener, connect, listener, pair, within_a_second};

/// What both ends say when a client of one kind calls a listener of another. A plain client sends `greeting` first; a
/// plain end that is refused hangs up.
async fn meet(client: &'static str, server: &'static str, greeting: &'static [u8]) -> (CarrierError, CarrierError) {
    let (listener, _dir) = listener(server).await;
    let to = listener.local_addr();
    let near = Box::pin(async move {
        match connect(client, &to).await {
            Err(error) => error,
            Ok(carrier) => first_read(carrier, greeting).await,
        }
    });
    let far = Box::pin(async move {
        match listener.accept().await.unwrap().handshake().await {
            Err(error) => error,
            Ok(carrier) => first_read(carrier, b"").await,
        }
    });
    within_a_second(async { tokio::join!(near, far) }).await
}

async fn first_read(mut carrier: Carrier, greeting: &[u8]) -> CarrierError {
    carrier.write_all(greeting).await.unwrap();
    carrier.flush().await.unwrap();
    let error = match carrier.read(&mut [0; 4096]).await {
        Ok(count) => panic!("{} bytes were taken for good", count),
        Err(error) => error,
    };
    CarrierError::from_io(&error).unwrap_or_else(|| panic!("untyped: {error}")).clone()
}

fn mismatch(ours: Speaks, theirs: Speaks) -> ErrorKind {
    ErrorKind::Mismatch { ours, theirs: Some(theirs) }
}

const FRAME: &[u8] = b"\x01\x00\x05hello";

#[tokio::test]
async fn a_tls_client_at_a_plain_listener() {
    for _ in 0..5 {
        let (client, server) = meet("tls", "tcp", b"").await;
        assert_eq!(server.kind(), mismatch(Speaks::Plain, Speaks::Tls), "{server}");
        assert!(server.to_string().contains("+tls://"), "{server}");
        assert_eq!(client.kind(), ErrorKind::Mismatch { ours: Speaks::Tls, theirs: None }, "{client}");
        assert!(client.to_string().contains("seems to speak no TLS"), "{client}");
    }
}

#[tokio::test]
async fn a_plain_client_at_a_tls_listener() {
    for greeting in [FRAME, b"\x30", b"\x03"] {
        let (client, server) = meet("tcp", "tls", greeting).await;
        assert_eq!(server.kind(), mismatch(Speaks::Tls, Speaks::Plain), "{server}");
        assert_eq!(client.kind(), mismatch(Speaks::Plain, Speaks::Tls), "{client}");
        assert!(client.to_string().contains("127.0.0.1:"), "{client}");
    }
}

#[tokio::test]
async fn a_websocket_client_at_a_plain_listener() {
    let (client, server) = meet("ws", "tcp", b"").await;
    assert_eq!(server.kind(), mismatch(Speaks::Plain, Speaks::Http), "{server}");
    assert!(server.to_string().contains("+ws://"), "{server}");
    assert_eq!(client.kind(), ErrorKind::Mismatch { ours: Speaks::Http, theirs: None }, "{client}");
}

#[tokio::test]
async fn a_plain_client_at_a_websocket_listener() {
    let (client, server) = meet("tcp", "ws", FRAME).await;
    assert_eq!(server.kind(), mismatch(Speaks::Http, Speaks::Plain), "{server}");
    assert_eq!(client.kind(), mismatch(Speaks::Plain, Speaks::Http), "{client}");
}

#[tokio::test]
async fn a_websocket_client_at_a_tls_listener() {
    for server_name in ["tls", "wss"] {
        let (client, server) = meet("ws", server_name, b"").await;
        assert_eq!(server.kind(), mismatch(Speaks::Tls, Speaks::Http), "{server}");
        assert_eq!(client.kind(), mismatch(Speaks::Http, Speaks::Tls), "{client}");
        assert!(client.to_string().contains("+wss://"), "{client}");
    }
}

#[tokio::test]
async fn a_tls_client_at_a_websocket_listener() {
    for client_name in ["tls", "wss"] {
        let (client, server) = meet(client_name, "ws", b"").await;
        assert_eq!(server.kind(), mismatch(Speaks::Http, Speaks::Tls), "{server}");
        assert_eq!(client.kind(), mismatch(Speaks::Tls, Speaks::Http), "{client}");
    }
}

#[tokio::test]
async fn a_websocket_client_at_a_port_that_greets_in_plain() {
    let (listener, address) = bare_listener().await;
    let server = tokio::spawn(async move {
        let (mut io, _) = listener.accept().await.unwrap();
        io.write_all(b"220 mail.example.org ready\r\n").await.unwrap();
        let _ = io.read_to_end(&mut Vec::new()).await;
    });
    for (name, ours) in [("ws", Speaks::Http)] {
        let to = PeerAddr::Inet(address.parse().unwrap());
        let error = within_a_second(connect(name, &to)).await.unwrap_err();
        assert_eq!(error.kind(), mismatch(ours, Speaks::Plain), "{error}");
    }
    server.abort();
}

#[tokio::test]
async fn a_tls_client_at_a_port_that_greets_in_plain() {
    let (listener, address) = bare_listener().await;
    let server = tokio::spawn(async move {
        let (mut io, _) = listener.accept().await.unwrap();
        io.write_all(b"220 mail.example.org ready\r\n").await.unwrap();
        let _ = io.read_to_end(&mut Vec::new()).await;
    });
    let error = within_a_second(connect("tls", &PeerAddr::Inet(address.parse().unwrap()))).await.unwrap_err();
    assert_eq!(error.kind(), mismatch(Speaks::Tls, Speaks::Plain), "{error}");
    server.abort();
}

#[tokio::test]
async fn a_browser_at_a_raw_port_and_at_a_tls_port() {
    for (name, ours) in [("tcp", Speaks::Plain), ("tls", Speaks::Tls)] {
        let (listener, _dir) = listener(name).await;
        let address = listener.local_addr().to_string();
        let mut browser = TcpStream::connect(address).await.unwrap();
        browser.write_all(b"GET /index.html HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
        let far = async {
            match listener.accept().await.unwrap().handshake().await {
                Err(error) => error,
                Ok(carrier) => first_read(carrier, b"").await,
            }
        };
        // The browser reads as browsers do, so nobody waits for it.
        let read = async { browser.read_to_end(&mut Vec::new()).await };
        let (error, _) = within_a_second(async { tokio::join!(far, read) }).await;
        assert_eq!(error.kind(), mismatch(ours, Speaks::Http), "{error}");
    }
}

#[tokio::test]
async fn a_browser_at_a_websocket_port_gets_an_answer_it_can_show() {
    let (listener, _dir) = listener("ws").await;
    let address = listener.local_addr().to_string();
    let server = tokio::spawn(async move { listener.accept().await.unwrap().handshake().await });
    let mut browser = TcpStream::connect(address).await.unwrap();
    browser.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    within_a_second(browser.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 426 Upgrade Required\r\n"), "{answer}");
    assert!(answer.contains("\r\nUpgrade: websocket\r\n"), "{answer}");
    let error = server.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Handshake, "{error}");
}

#[tokio::test]
async fn a_peer_that_only_begins_like_another_is_served() {
    // Bytes that a plain protocol may well send; all must arrive.
    for bytes in
        [&b"GET "[..], b"POST office", b"\x16\x03\x01", b"\x15\x03\x03\x00", b"HTTP/1.", b"HTTP/1.1 is a version"]
    {
        let (mut client, mut server) = pair("tcp").await;
        client.write_all(bytes).await.unwrap();
        let mut got = vec![0; bytes.len()];
        within_a_second(server.read_exact(&mut got)).await.unwrap();
        assert_eq!(got, bytes);
        client.write_all(b"\x00more").await.unwrap();
        let mut got = [0; 5];
        within_a_second(server.read_exact(&mut got)).await.unwrap();
        assert_eq!(&got, b"\x00more");
    }
}

#[tokio::test]
async fn an_unwatched_stream_takes_any_bytes() {
    let (mut a, b) = memory::duplex(1000);
    let mut b = Guarded::unwatched(b, PeerAddr::Memory("b".to_owned()));
    a.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let mut got = [0; 16];
    within_a_second(b.read_exact(&mut got)).await.unwrap();
}
