//! Devices and servers over WebSockets: who gets in, what ends a link and what does not, and who comes back.

use super::{message_of, refused};
use crate::support::{pattern, within};
use futures_util::{SinkExt, StreamExt};
use postroad::dev_certs::DevCa;
use postroad::{
    ConnectOptions, ErrorKind, Incoming, ListenOptions, Listener, Message, Url, connect_with, listen_with, wrp,
};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error as WsError, Message as WsMessage};

const DEVICE: &str = "mac:112233445566";

/// A device that nobody here wrote.
async fn foreign(
    url: &Url,
    path: &str,
    headers: &[(&'static str, &str)],
) -> Result<WebSocketStream<TcpStream>, WsError> {
    let stream = TcpStream::connect(("127.0.0.1", url.port().unwrap())).await.unwrap();
    let mut request = format!("ws://127.0.0.1{path}").into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    tokio_tungstenite::client_async(request, stream).await.map(|(stream, _)| stream)
}

async fn status(url: &Url, path: &str, headers: &[(&'static str, &str)]) -> u16 {
    match within(10, foreign(url, path, headers)).await {
        Ok(_) => 101,
        Err(WsError::Http(response)) => response.status().as_u16(),
        Err(other) => panic!("{other}"),
    }
}

async fn listener(query: &str, options: ListenOptions) -> Listener {
    listen_with(format!("wrp+ws://127.0.0.1:0{query}"), options).await.unwrap()
}

//= WRP-N1, WRP-N3
#[tokio::test]
async fn a_device_says_who_it_is_or_does_not_get_in() {
    let listener = listener("", ListenOptions::new()).await;
    let url = listener.url();
    for path in ["/api/v2/device", "/api/v3/device"] {
        assert_eq!(status(url, path, &[("X-Webpa-Device-Name", DEVICE)]).await, 101);
        assert_eq!(status(url, path, &[]).await, 400);
        assert_eq!(status(url, path, &[("X-Webpa-Device-Name", "mac:1122")]).await, 400);
        assert_eq!(status(url, path, &[("X-Webpa-Device-Name", "nobody")]).await, 400);
    }
    assert_eq!(status(url, "/", &[("X-Webpa-Device-Name", DEVICE)]).await, 404);
    within(10, async {
        while listener.failed_count() < 7 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// The head of the next request for a WebSocket, and the socket.
async fn asked(listener: &TcpListener) -> (String, TcpStream) {
    let (mut stream, _) = within(20, listener.accept()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    (String::from_utf8(head).unwrap().to_ascii_lowercase(), stream)
}

async fn answer(mut stream: TcpStream, answer: &str) {
    stream.write_all(format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n").as_bytes()).await.unwrap();
}

async fn bare_listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

//= WRP-N1, WRP-N3, WRP-N4, WRP-N5
#[tokio::test]
async fn our_device_asks_as_devices_do() {
    let (bare, port) = bare_listener().await;
    let options = ConnectOptions::new()
        .with_bearer_token("t0k3n")
        .with_header(wrp::link::CONVEY, wrp::link::convey([("hw-model", "X1")]));
    assert!(!format!("{options:?}").contains("t0k3n"));
    let connecting =
        tokio::spawn(connect_with(format!("wrp+ws://127.0.0.1:{port}?device=MAC:11-22-33-44-55-66/config"), options));
    let (head, stream) = asked(&bare).await;
    assert!(head.starts_with("get /api/v2/device http/1.1\r\n"), "{head}");
    for header in [
        "x-webpa-device-name: mac:112233445566\r\n",
        "authorization: bearer t0k3n\r\n",
        "x-webpa-convey: eyjody1tb2rlbci6ilgxin0=\r\n",
    ] {
        assert!(head.contains(header), "{header}: {head}");
    }
    assert!(!head.contains("sec-websocket-protocol"), "{head}");
    answer(stream, "403 Forbidden").await;
    let error = connecting.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("403") && !error.to_string().contains("t0k3n"), "{error}");
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

//= WRP-N4, WRP-N13
#[tokio::test]
async fn tokens_let_devices_in_and_are_read_anew_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let (held, allowed) = (folder.path().join("held"), folder.path().join("allowed"));
    write(&allowed, "first\nsecond\n");
    let mut listener = listener(&format!("?token={}", allowed.display()), ListenOptions::new()).await;
    let url = listener.url().clone().without_options();
    assert_eq!(status(&url, "/api/v2/device", &[("X-Webpa-Device-Name", DEVICE)]).await, 401);
    let wrong = [("X-Webpa-Device-Name", DEVICE), ("Authorization", "Bearer third")];
    assert_eq!(status(&url, "/api/v2/device", &wrong).await, 401);
    for (token, gets_in) in [("second", true), ("third", false), ("first\n", true)] {
        write(&held, token);
        let connected = postroad::connect(format!("{url}?token={}", held.display())).await;
        assert_eq!(connected.is_ok(), gets_in, "{token}");
        if let Err(error) = connected {
            assert!(error.to_string().contains("401") && !error.to_string().contains("third"), "{error}");
        } else {
            listener.accept().await.unwrap();
        }
    }
    for (text, wanted) in [("", "is empty"), ("a b", "no token"), ("a\u{e9}", "no token")] {
        write(&held, text);
        let error = postroad::connect(format!("{url}?token={}", held.display())).await.unwrap_err();
        assert!(error.kind() == ErrorKind::Config && error.to_string().contains(wanted), "{error}");
        if !text.is_empty() {
            continue;
        }
        let error = listen_with(format!("wrp+ws://127.0.0.1:0?token={}", held.display()), ListenOptions::new())
            .await
            .unwrap_err();
        assert!(error.to_string().contains("nobody would get in"), "{error}");
    }
    let missing = postroad::connect(format!("{url}?token=/nowhere/at/all")).await.unwrap_err();
    assert!(missing.to_string().contains("could not read"), "{missing}");
    let bare = postroad::connect(format!("{url}?device=event:x")).await.unwrap_err();
    assert!(bare.to_string().contains("names no device"), "{bare}");
}

//= WRP-N21
#[tokio::test]
async fn a_certificate_lets_a_device_in_and_that_of_the_server_is_always_checked() {
    let ca = DevCa::generate().unwrap();
    let server = ca.issue_server(&["localhost"]).unwrap();
    let device = ca.issue_client("device").unwrap();
    let options = ListenOptions::new()
        .with_identity_pem(server.certificate_pem, server.key_pem)
        .with_client_ca_pem(ca.certificate_pem());
    let mut listener = listen_with("wrp+wss://localhost:0", options).await.unwrap();
    let url = listener.url().clone();
    let trusting = ConnectOptions::new().with_ca_pem(ca.certificate_pem());
    let with_certificate = trusting.clone().with_identity_pem(device.certificate_pem, device.key_pem);
    let (client, server) = tokio::join!(connect_with(&url, with_certificate), listener.accept());
    let (client, server) = (client.unwrap(), server.unwrap());
    client.send("in").await.unwrap();
    assert_eq!(message_of(&server).await.text(0), Some("in"));
    let without = connect_with(&url, trusting).await;
    // TLS 1.3 tells a client that it was refused when it reads first.
    assert!(without.is_err(), "{without:?}");
    let stranger = DevCa::generate().unwrap();
    let error = connect_with(&url, ConnectOptions::new().with_ca_pem(stranger.certificate_pem())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Certificate, "{error}");
}

fn event(payload: &str) -> wrp::Message {
    wrp::Event::new(DEVICE, "event:x").payload(payload.to_owned()).build().unwrap()
}

fn binary(message: &wrp::Message) -> WsMessage {
    WsMessage::Binary(message.encode())
}

//= WRP-N6, WRP-N7, WRP-N8, WRP-N10, WRP-N15
#[tokio::test]
async fn rubbish_of_a_device_is_passed_over_and_its_link_stays() {
    let mut listener = listener("?heartbeat=200ms", ListenOptions::new()).await;
    let device = foreign(listener.url(), "/api/v2/device", &[("X-Webpa-Device-Name", DEVICE)]).await;
    let (mut device, server) = (device.unwrap(), listener.accept().await.unwrap());
    assert!(server.peer().starts_with("mac:112233445566 at 127.0.0.1:"), "{}", server.peer());
    server.send("hello").await.unwrap();
    let Some(Ok(WsMessage::Binary(octets))) = device.next().await else { panic!() };
    let hello = wrp::Message::decode(&octets, &wrp::Limits::default()).unwrap();
    assert_eq!((hello.source.as_str(), hello.dest.as_str()), ("dns:127.0.0.1", DEVICE));

    let invalid = wrp::Message { dest: String::new(), ..event("x") };
    // As servers acknowledge: its source is no locator.
    let ack =
        wrp::Message { source: "talaria".to_owned(), dest: "dns:127.0.0.1".to_owned(), rdr: Some(0), ..event("") };
    let packet = wrp::Message { headers: vec!["stream-id: x".to_owned()], ..event("no number") };
    for message in [
        WsMessage::Text("{}".into()),
        WsMessage::Binary("rubbish".into()),
        WsMessage::Binary(pattern(262_144, 0)),
        binary(&invalid),
        binary(&ack),
        binary(&packet),
        binary(&event("good")),
    ] {
        device.send(message).await.unwrap();
    }
    for wanted in ["a text of 2 octets", "no message", "no message", "dest", "stream-packet-number"] {
        let why = refused(&server).await;
        assert!(why.contains(wanted), "{wanted}: {why}");
    }
    assert_eq!(message_of(&server).await.text(0), Some("good"));
    assert_eq!(server.statistics().refused_count, 5);

    device.send(WsMessage::Ping("are you there".into())).await.unwrap();
    let (mut pinged, mut ponged) = (false, false);
    while !(pinged && ponged) {
        match within(10, device.next()).await.unwrap().unwrap() {
            WsMessage::Ping(name) => pinged = &name[..] == DEVICE.as_bytes(),
            WsMessage::Pong(echo) => ponged = &echo[..] == b"are you there",
            other => panic!("{other:?}"),
        }
    }
    device.send(WsMessage::Binary(pattern(262_145, 0))).await.unwrap();
    let error = within(10, server.receive()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    let Some(Ok(WsMessage::Close(Some(frame)))) = within(10, device.next()).await else { panic!() };
    assert_eq!(u16::from(frame.code), 1009);
}

//= WRP-N11
#[tokio::test]
async fn a_peer_that_is_silent_is_given_up_and_one_that_answers_pings_is_kept() {
    let mut listener = listener("?heartbeat=50ms&peer_timeout=300ms", ListenOptions::new()).await;
    let url = listener.url().clone();
    let device = foreign(&url, "/api/v2/device", &[("X-Webpa-Device-Name", DEVICE)]).await.unwrap();
    let silent = listener.accept().await.unwrap();
    let (client, kept) = tokio::join!(postroad::connect(url), listener.accept());
    let (client, kept) = (client.unwrap(), kept.unwrap());
    let error = within(10, silent.receive()).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Lost && error.why().contains("nothing was heard"), "{error}");
    drop(device);
    tokio::time::sleep(Duration::from_millis(600)).await;
    client.send("still there").await.unwrap();
    assert_eq!(message_of(&kept).await.text(0), Some("still there"));
}

//= WRP-N12, WRP-N13
#[tokio::test]
async fn a_device_that_lost_its_link_comes_back_with_what_waited() {
    let folder = tempfile::tempdir().unwrap();
    let held = folder.path().join("held");
    write(&held, "old");
    let first_options = ListenOptions::new().with_bearer_tokens(["old"]);
    let mut first = listener("", first_options).await;
    let port = first.url().port().unwrap();
    let url = format!("wrp+ws://127.0.0.1:{port}?device={DEVICE}&reconnect=on&token={}", held.display());
    let (client, server) = tokio::join!(postroad::connect(url), first.accept());
    let (client, server) = (client.unwrap(), server.unwrap());
    client.send("one").await.unwrap();
    assert_eq!(message_of(&server).await.text(0), Some("one"));
    drop(first);
    server.close().await.unwrap();
    drop(server);
    let why = refused(&client).await;
    assert!(why.contains("is down") && why.contains("trying again"), "{why}");
    write(&held, "new");
    client.send("two").await.unwrap();
    let again = listen_with(format!("wrp+ws://127.0.0.1:{port}"), ListenOptions::new().with_bearer_tokens(["new"]));
    let mut again = again.await.unwrap();
    let server = within(20, again.accept()).await.unwrap();
    assert_eq!(message_of(&server).await.text(0), Some("two"));
    let asked = tokio::spawn(async move { server.receive().await.map(|incoming| (incoming, server)) });
    let request = within(10, client.request_within("three", Duration::from_secs(5)));
    let answer = async {
        let (incoming, server) = within(10, asked).await.unwrap().unwrap();
        let Some(Incoming::Request(request)) = incoming else { panic!("{incoming:?}") };
        request.reply("3").await.unwrap();
        server
    };
    let (reply, server) = tokio::join!(request, answer);
    assert_eq!(reply.unwrap(), Message::from("3"));
    within(10, client.close()).await.unwrap();
    assert!(within(10, server.receive()).await.unwrap().is_none());
}

//= WRP-N14
#[tokio::test]
async fn redirects_are_followed_with_the_token_and_not_for_ever() {
    let mut real = listener("", ListenOptions::new().with_bearer_tokens(["secret"])).await;
    let (bare, port) = bare_listener().await;
    let to = real.url().port().unwrap();
    let options = || ConnectOptions::new().with_bearer_token("secret");
    let url = format!("wrp+ws://127.0.0.1:{port}?device={DEVICE}");
    let connecting = tokio::spawn(connect_with(url.clone(), options()));
    let (_, stream) = asked(&bare).await;
    answer(stream, "307 Temporary Redirect\r\nLocation: /elsewhere?x=y").await;
    let (head, stream) = asked(&bare).await;
    assert!(head.starts_with("get /elsewhere?x=y "), "{head}");
    answer(stream, &format!("302 Found\r\nLocation: http://127.0.0.1:{to}/api/v2/device")).await;
    let (client, server) = within(10, async { tokio::join!(connecting, real.accept()) }).await;
    let (client, server) = (client.unwrap().unwrap(), server.unwrap());
    assert_eq!(client.url().port(), Some(port));
    client.send("here").await.unwrap();
    assert_eq!(message_of(&server).await.text(0), Some("here"));

    let connecting = tokio::spawn(connect_with(url.clone(), options()));
    for _ in 0..6 {
        let (_, stream) = asked(&bare).await;
        answer(stream, "307 Temporary Redirect\r\nLocation: /round").await;
    }
    let error = within(10, connecting).await.unwrap().unwrap_err();
    assert!(error.why().contains("led on 6 times"), "{error}");
    for location in ["ftp://x/y", "nowhere", "http://a b/"] {
        let connecting = tokio::spawn(connect_with(url.clone(), options()));
        let (_, stream) = asked(&bare).await;
        answer(stream, &format!("307 Temporary Redirect\r\nLocation: {location}")).await;
        let error = within(10, connecting).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Peer, "{error}");
    }
}
