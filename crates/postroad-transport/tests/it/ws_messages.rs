//! A WebSocket message by message, against the library's own end and against ours.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use postroad_transport::{CarrierError, ErrorKind, ws};
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, frame::coding::CloseCode};
use ws::{Messages, Unit};

use crate::support::soon;
use crate::ws::{REQUEST, read_head};

fn binary(octets: &'static [u8]) -> Unit {
    Unit::Binary(Bytes::from_static(octets))
}

/// Both ends ours.
async fn pair(limits: ws::Limits) -> (Messages<DuplexStream>, Messages<DuplexStream>) {
    let (near, far) = tokio::io::duplex(4096);
    let server = ws::ServerConfig::new().with_limits(limits).build().unwrap();
    let client = ws::ClientConfig::new();
    let (client, server) =
        soon(async { tokio::join!(ws::handshake(near, "peer:1", &client), server.handshake(far, "peer")) }).await;
    (client.unwrap().into_messages().await, server.unwrap().into_messages().await)
}

/// Ours as the server, and the library's own as the client, which says anything.
async fn beside_the_library(limits: ws::Limits) -> (Messages<DuplexStream>, WebSocketStream<DuplexStream>) {
    let (near, mut far) = tokio::io::duplex(1 << 20);
    let server = ws::ServerConfig::new().with_limits(limits).build().unwrap();
    far.write_all(REQUEST).await.unwrap();
    let ours = soon(server.handshake(near, "peer")).await.unwrap().into_messages().await;
    let _head = read_head(&mut far).await;
    (ours, WebSocketStream::from_raw_socket(far, Role::Client, None).await)
}

async fn next(messages: &mut Messages<DuplexStream>) -> Option<Result<Unit, CarrierError>> {
    soon(messages.next()).await
}

#[tokio::test]
async fn boundaries_are_kept_both_ways_and_the_end_is_in_order() {
    let (mut client, mut server) = pair(ws::Limits::default()).await;
    let long = Bytes::from(vec![7; 100_000]);
    let sending = async {
        for unit in [binary(b""), binary(b"a"), Unit::Text("grün".into()), Unit::Binary(long.clone())] {
            client.send(unit).await.unwrap();
        }
        client.close().await.unwrap();
        client.next().await
    };
    let receiving = async move {
        let mut came = Vec::new();
        while let Some(unit) = server.next().await {
            came.push(unit.unwrap());
        }
        came
    };
    let (last, came) = soon(async { tokio::join!(sending, receiving) }).await;
    assert!(last.is_none(), "{last:?}");
    assert_eq!(came, [binary(b""), binary(b"a"), Unit::Text("grün".into()), Unit::Binary(long)]);
}

#[tokio::test]
async fn pings_are_answered_by_themselves_and_shown() {
    let (mut client, mut server) = pair(ws::Limits::default()).await;
    client.send(Unit::Ping("who".into())).await.unwrap();
    assert_eq!(next(&mut server).await.unwrap().unwrap(), Unit::Ping("who".into()));
    let (pong, _) = soon(async { tokio::join!(client.next(), server.flush()) }).await;
    assert_eq!(pong.unwrap().unwrap(), Unit::Pong("who".into()));
    let long = client.send(Unit::Ping(vec![0; 126].into())).await.unwrap_err();
    assert_eq!(long.kind(), ErrorKind::Config);
    assert_eq!(client.send(Unit::Pong(Bytes::new())).await.unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(client.send(Unit::Text(vec![0xff].into())).await.unwrap_err().kind(), ErrorKind::Config);
    client.send(binary(b"still there")).await.unwrap();
    assert_eq!(next(&mut server).await.unwrap().unwrap(), binary(b"still there"));
}

#[tokio::test]
async fn a_message_that_is_too_long_ends_it_with_1009() {
    let limits = ws::Limits::default().with_message_len_max(1000);
    let (mut ours, mut theirs) = beside_the_library(limits).await;
    theirs.send(Message::Binary(vec![1; 1000].into())).await.unwrap();
    assert_eq!(next(&mut ours).await.unwrap().unwrap(), Unit::Binary(vec![1; 1000].into()));
    theirs.send(Message::Binary(vec![1; 1001].into())).await.unwrap();
    let error = next(&mut ours).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    assert!(next(&mut ours).await.is_none());
    let Some(Ok(Message::Close(Some(frame)))) = soon(theirs.next()).await else { panic!("no close") };
    assert_eq!(frame.code, CloseCode::Size);
}

#[tokio::test]
async fn an_end_without_a_close_and_a_close_with_a_complaint_are_errors() {
    let (mut ours, theirs) = beside_the_library(ws::Limits::default()).await;
    drop(theirs);
    assert_eq!(next(&mut ours).await.unwrap().unwrap_err().kind(), ErrorKind::Truncated);

    let (mut ours, mut theirs) = beside_the_library(ws::Limits::default()).await;
    let frame = CloseFrame { code: CloseCode::Unsupported, reason: "what\nis this".into() };
    theirs.send(Message::Close(Some(frame))).await.unwrap();
    let error = next(&mut ours).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ClosedByPeer { code: 1003 });
    assert!(!error.to_string().contains('\n'), "{error}");
    assert_eq!(ours.send(binary(b"x")).await.unwrap_err().kind(), ErrorKind::Io);
}

#[tokio::test]
async fn our_close_says_that_all_is_well() {
    let (mut ours, mut theirs) = beside_the_library(ws::Limits::default()).await;
    ours.send(binary(b"last")).await.unwrap();
    soon(ours.close()).await.unwrap();
    assert!(matches!(soon(theirs.next()).await, Some(Ok(Message::Binary(_)))));
    let Some(Ok(Message::Close(Some(frame)))) = soon(theirs.next()).await else { panic!("no reason") };
    assert_eq!(frame.code, CloseCode::Normal);
    // The answer to it.
    soon(theirs.flush()).await.unwrap_or_default();
    assert!(next(&mut ours).await.is_none());
    soon(ours.close()).await.unwrap();
}

#[tokio::test]
async fn what_came_with_the_handshake_is_the_first_message() {
    let (near, mut far) = tokio::io::duplex(10_000);
    let server = async move {
        let head = read_head(&mut far).await;
        let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap().to_owned();
        let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {accept}\r\n\r\n"
        );
        far.write_all(&[answer.as_bytes(), b"\x82\x05hel"].concat()).await.unwrap();
        far.write_all(b"lo").await.unwrap();
        far
    };
    let config = ws::ClientConfig::new();
    let (client, _far) = soon(async { tokio::join!(ws::handshake(near, "peer:1", &config), server) }).await;
    let mut client = client.unwrap().into_messages().await;
    assert_eq!(next(&mut client).await.unwrap().unwrap(), binary(b"hello"));
}

#[tokio::test]
async fn the_judge_refuses_with_a_status_and_words_and_headers_are_kept_by_name() {
    let judged = |with: &'static str| async move {
        let (near, mut far) = tokio::io::duplex(100_000);
        let config =
            ws::ServerConfig::new().with_path("/v2").with_path("/chat").with_kept_headers(["X-Name"]).with_judge(
                |asked| match asked.header("x-name") {
                    Some("a") => Ok(()),
                    Some(_) => Err(ws::Refuse { status: ws::Status::Unauthorized, why: "b may not".to_owned() }),
                    None => Err(ws::Refuse { status: ws::Status::BadRequest, why: "who is it?".to_owned() }),
                },
            );
        let request = std::str::from_utf8(REQUEST).unwrap().replacen("\r\n\r\n", &format!("\r\n{with}\r\n"), 1);
        far.write_all(request.as_bytes()).await.unwrap();
        let served = soon(config.build().unwrap().handshake(near, "peer")).await;
        (served, read_head(&mut far).await)
    };
    let (served, head) = judged("X-NAME: a\r\nX-Other: c\r\n").await;
    let served = served.unwrap();
    assert_eq!((served.request_header("x-name"), served.request_header("X-Other")), (Some("a"), None));
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let (served, head) = judged("X-Name: b\r\n").await;
    assert!(served.unwrap_err().to_string().contains("b may not"));
    assert!(head.starts_with("HTTP/1.1 401 ") && head.contains("\r\nWWW-Authenticate: Bearer\r\n"), "{head}");
    let (served, head) = judged("").await;
    assert!(served.unwrap_err().to_string().contains("who is it?"));
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
}

#[tokio::test]
async fn a_redirect_is_an_error_that_says_where_it_leads() {
    for (answer, kind, location) in [
        (
            "307 Temporary Redirect\r\nLocation: https://b.example:1/c",
            ErrorKind::Redirected,
            Some("https://b.example:1/c"),
        ),
        ("302 Found", ErrorKind::Handshake, None),
    ] {
        let (near, mut far) = tokio::io::duplex(10_000);
        let server = async move {
            let _head = read_head(&mut far).await;
            far.write_all(format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n").as_bytes()).await.unwrap();
            far
        };
        let config = ws::ClientConfig::new();
        let (client, _far) = soon(async { tokio::join!(ws::handshake(near, "peer:1", &config), server) }).await;
        let error = client.unwrap_err();
        assert_eq!((error.kind(), error.location()), (kind, location), "{error}");
    }
}
