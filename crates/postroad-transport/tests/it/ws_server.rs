//! The WebSocket handshake: who is let in, and what a refused peer hears.

use postroad_transport::{CarrierError, ErrorKind, ws};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::support::soon;
use crate::ws::{REQUEST, read_head};

type Served = Result<ws::Stream<DuplexStream>, CarrierError>;

/// What the server makes of `request`, and its answer.
async fn ask(config: ws::ServerConfig, request: &[u8]) -> (Served, String) {
    let (near, mut far) = tokio::io::duplex(100_000);
    let server = config.build().unwrap();
    let client = async move {
        far.write_all(request).await.unwrap();
        let head = read_head(&mut far).await;
        (head, far)
    };
    let (served, (head, _far)) = soon(async { tokio::join!(server.handshake(near, "peer"), client) }).await;
    (served, head)
}

/// The good request with one header more, or one replaced.
fn request_with(from: &str, to: &str) -> Vec<u8> {
    let text = std::str::from_utf8(REQUEST).unwrap();
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1).into_bytes()
}

async fn refused(config: ws::ServerConfig, request: &[u8]) -> (ErrorKind, String) {
    let (served, head) = ask(config, request).await;
    let status = head.lines().next().unwrap_or_default().to_owned();
    (served.expect_err("must be refused").kind(), status)
}

#[tokio::test]
async fn the_example_of_the_rfc_is_answered_with_its_key() {
    let (served, head) = ask(ws::ServerConfig::new(), REQUEST).await;
    served.unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains(": s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
    assert!(!head.to_ascii_lowercase().contains("sec-websocket-protocol"), "{head}");
}

#[tokio::test]
async fn a_request_that_drips_in_byte_by_byte_is_served() {
    let (near, mut far) = tokio::io::duplex(1);
    let server = ws::ServerConfig::new().build().unwrap();
    let client = async move {
        for byte in REQUEST {
            far.write_all(&[*byte]).await.unwrap();
        }
        let head = read_head(&mut far).await;
        (head, far)
    };
    let (served, (head, _far)) = soon(async { tokio::join!(server.handshake(near, "peer"), client) }).await;
    served.unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
}

#[tokio::test]
async fn an_answer_with_data_behind_it_loses_nothing_in_drips_or_at_once() {
    for (write_len, room) in [(1, 5), (1, 20_000), (10_000, 5), (10_000, 20_000)] {
        let (near, mut far) = tokio::io::duplex(write_len);
        let server = async move {
            let head = read_head(&mut far).await;
            let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap().to_owned();
            let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: WebSocket\r\nsec-websocket-accept: {accept}\r\n\r\n"
            );
            for chunk in [answer.as_bytes(), b"\x82\x05hello"].concat().chunks(write_len) {
                far.write_all(chunk).await.unwrap();
            }
            far
        };
        let config = ws::ClientConfig::new();
        let client = async {
            let mut ours = ws::handshake(near, "peer:1", &config).await.unwrap();
            let mut got = Vec::new();
            while got.len() < 5 {
                let mut piece = vec![0; room];
                let len = ours.read(&mut piece).await.unwrap();
                assert_ne!(len, 0);
                got.extend_from_slice(&piece[..len]);
            }
            got
        };
        let (got, _far) = soon(async { tokio::join!(client, server) }).await;
        assert_eq!(got, b"hello");
    }
}

#[tokio::test]
async fn pages_of_other_origins_are_refused_unless_allowed() {
    let from = |origin: &str| request_with("\r\nUpgrade:", &format!("\r\nOrigin: {origin}\r\nUpgrade:"));
    let (kind, status) = refused(ws::ServerConfig::new(), &from("https://evil.example")).await;
    assert_eq!(kind, ErrorKind::OriginRefused);
    assert_eq!(status, "HTTP/1.1 403 Forbidden");
    ask(ws::ServerConfig::new(), &from("http://peer")).await.0.unwrap();
    let open = ws::ServerConfig::new().with_allowed_origins(["https://app.example"]);
    ask(open.clone(), &from("https://app.example")).await.0.unwrap();
    assert_eq!(refused(open, &from("https://evil.example")).await.0, ErrorKind::OriginRefused);
    ask(ws::ServerConfig::new().with_any_origin(), &from("https://evil.example")).await.0.unwrap();
}

#[tokio::test]
async fn our_client_is_told_of_a_refused_origin_path_and_protocol() {
    async fn meet(client: ws::ClientConfig, server: ws::ServerConfig) -> (Served, Served) {
        let (near, far) = tokio::io::duplex(100_000);
        let server = server.build().unwrap();
        soon(async { tokio::join!(ws::handshake(near, "peer:1", &client), server.handshake(far, "peer")) }).await
    }
    let client = ws::ClientConfig::new;
    let server = ws::ServerConfig::new;

    let (near, far) = meet(client().with_header("Origin", "https://evil.example"), server()).await;
    assert_eq!(near.unwrap_err().kind(), ErrorKind::OriginRefused);
    assert_eq!(far.unwrap_err().kind(), ErrorKind::OriginRefused);

    let (near, far) = meet(client().with_path("/a"), server().with_path("/b")).await;
    assert_eq!(near.unwrap_err().kind(), ErrorKind::PathRefused);
    assert_eq!(far.unwrap_err().kind(), ErrorKind::PathRefused);
    let (near, far) = meet(client().with_path("b?token=1"), server().with_path("/b")).await;
    near.unwrap();
    far.unwrap();

    let (near, far) = meet(client().with_protocol("x"), server().with_protocols(["y", "x"])).await;
    assert_eq!((near.unwrap().protocol(), far.unwrap().protocol()), (Some("x"), Some("x")));
    let (near, far) = meet(client().with_protocol("x"), server().with_protocols(["y"])).await;
    assert_eq!(far.unwrap_err().kind(), ErrorKind::NoCommonProtocol);
    assert_eq!(near.unwrap_err().kind(), ErrorKind::Handshake);
    let (near, _) = meet(client().with_protocol("x"), server()).await;
    let error = near.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoCommonProtocol);
    assert!(error.to_string().contains("asked for sub-protocol x, server chose none; "), "{error}");
    let (near, far) = meet(client(), server().with_protocols(["y"])).await;
    near.unwrap();
    far.unwrap();
}

#[tokio::test]
async fn heads_pass_at_the_limit_and_fail_past_it() {
    let limits = ws::Limits::default().with_head_len_max(1000);
    let config = ws::ServerConfig::new().with_limits(limits);
    let padded = |len: usize| {
        let missing = len - REQUEST.len() - "X: \r\n".len();
        request_with("Upgrade: websocket", &format!("X: {}\r\nUpgrade: websocket", "x".repeat(missing)))
    };
    assert_eq!(padded(1000).len(), 1000);
    ask(config.clone(), &padded(1000)).await.0.unwrap();
    let (kind, status) = refused(config.clone(), &padded(1001)).await;
    assert_eq!(kind, ErrorKind::Limit);
    assert_eq!(status, "HTTP/1.1 431 Request Header Fields Too Large");
    // Without an end in sight as well.
    let endless = [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'x'; 5000]].concat();
    assert_eq!(refused(config, &endless).await.0, ErrorKind::Limit);
}

#[tokio::test]
async fn bad_requests_are_refused_with_a_status() {
    let cases = [
        (request_with("GET", "POST"), "400 Bad Request"),
        (request_with("HTTP/1.1", "HTTP/1.0"), "400 Bad Request"),
        (request_with("Version: 13", "Version: 8"), "426 Upgrade Required"),
        (request_with("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="), "400 Bad Request"),
        (request_with("keep-alive, Upgrade", "keep-alive"), "400 Bad Request"),
        (request_with("Upgrade: websocket", "Upgrade: h2c"), "426 Upgrade Required"),
        (request_with("Host: peer", "Ho\u{1}st: peer"), "400 Bad Request"),
        ([REQUEST, b"\x82\x80"].concat(), "400 Bad Request"),
        (request_with("Host: peer", &"X: y\r\n".repeat(200)), "400 Bad Request"),
    ];
    for (request, expected) in cases {
        let (kind, status) = refused(ws::ServerConfig::new(), &request).await;
        assert_eq!(kind, ErrorKind::Handshake, "{status}");
        assert_eq!(status, format!("HTTP/1.1 {expected}"), "{}", String::from_utf8_lossy(&request));
    }
}

#[tokio::test]
async fn another_version_is_answered_with_the_one_that_is_spoken() {
    let request = String::from_utf8(REQUEST.to_vec()).unwrap().replace("Version: 13", "Version: 8");
    let (served, head) = ask(ws::ServerConfig::new(), request.as_bytes()).await;
    assert!(served.unwrap_err().to_string().contains("another version"));
    assert!(head.contains("Sec-WebSocket-Version: 13\r\n"), "{head}");
}

#[tokio::test]
async fn the_client_believes_no_false_answer() {
    let answers: [(&str, ErrorKind); 6] = [
        ("HTTP/1.1 200 OK\r\n\r\n", ErrorKind::Handshake),
        ("HTTP/1.1 404 Not Found\r\n\r\n", ErrorKind::PathRefused),
        ("HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", ErrorKind::Handshake),
        (
            "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            ErrorKind::Handshake,
        ),
        ("HTTP/1.1 101 X\r\nSec-WebSocket-Accept: KEY\r\n\r\n", ErrorKind::Handshake),
        (
            "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: KEY\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
            ErrorKind::Handshake,
        ),
    ];
    for (answer, expected) in answers {
        let (near, mut far) = tokio::io::duplex(10_000);
        let server = async move {
            let head = read_head(&mut far).await;
            let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap().to_owned();
            let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
            far.write_all(answer.replace("KEY", &accept).as_bytes()).await.unwrap();
            far
        };
        let config = ws::ClientConfig::new();
        let (ours, _far) = soon(async { tokio::join!(ws::handshake(near, "peer:1", &config), server) }).await;
        assert_eq!(ours.unwrap_err().kind(), expected, "{answer}");
    }
}

#[tokio::test]
async fn the_request_names_host_path_and_own_headers() {
    for (address, host) in [("example.org:80", "example.org"), ("example.org:8080", "example.org:8080")] {
        let (near, mut far) = tokio::io::duplex(10_000);
        let config = ws::ClientConfig::new().with_path("/a?b=c").with_header("Authorization", "Bearer t");
        let shaking = tokio::spawn(async move { ws::handshake(near, address, &config).await });
        let head = read_head(&mut far).await;
        assert!(head.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{head}");
        assert!(head.contains(&format!("\r\nHost: {host}\r\n")), "{head}");
        assert!(head.to_ascii_lowercase().contains("\r\nauthorization: bearer t\r\n"), "{head}");
        drop(far);
        assert!(soon(shaking).await.unwrap().is_err());
    }
}

#[tokio::test]
async fn settings_that_fit_no_request_are_config_errors() {
    let configs = [
        ws::ClientConfig::new().with_path("/a b"),
        ws::ClientConfig::new().with_host("a\r\nX-Evil: 1"),
        ws::ClientConfig::new().with_header("X", "a\r\nX-Evil: 1"),
        ws::ClientConfig::new().with_header("Host", "twice"),
        ws::ClientConfig::new().with_limits(ws::Limits::default().with_payload_len_max(0)),
    ];
    for config in configs {
        let (near, _far) = tokio::io::duplex(10_000);
        let error = soon(ws::handshake(near, "peer:1", &config)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{config:?}: {error}");
    }
}
