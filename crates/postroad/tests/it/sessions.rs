//! Sessions of SMRP: what they have beyond connections.

use crate::support::{Relay, pair, pattern, session_stacks, spawn_echo, within};
use postroad::{
    ConnectOptions, ErrorKind, Incoming, ListenOptions, Message, connect, connect_with, listen, listen_with,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;

#[tokio::test]
async fn headers_and_any_number_of_parts_arrive() {
    //= SMRP-K1
    for stack in session_stacks() {
        let pair = pair(stack).await;
        spawn_echo(pair.server.clone());
        let message: Message = (0..100).map(|part| pattern(part, 1)).collect();
        let message = message.with_header("trace", "abc").with_header("trace", "def").with_header("", "");
        assert_eq!(within(5, pair.client.request(message.clone())).await.unwrap(), message, "{stack}");
        pair.client.send(message.clone()).await.unwrap();
        let Some(Incoming::Message(back)) = within(5, pair.client.receive()).await.unwrap() else { panic!("{stack}") };
        assert_eq!(back, message, "{stack}");
    }
}

#[tokio::test]
async fn a_session_outlives_its_connections_and_no_request_runs_twice() {
    let mut listener = listen("smrp+tcp://127.0.0.1:0").await.unwrap();
    let relay = Relay::to(listener.url().port().unwrap()).await;
    let url = format!("smrp+tcp://127.0.0.1:{}/svc", relay.port);
    let (client, server) = tokio::join!(connect(url), listener.accept());
    let (client, server) = (client.unwrap(), server.unwrap());
    let served = Arc::new(AtomicUsize::new(0));
    let counted = served.clone();
    let serving = tokio::spawn(async move {
        while let Some(incoming) = server.receive().await.unwrap() {
            if let Incoming::Request(request) = incoming {
                counted.fetch_add(1, Ordering::Relaxed);
                let message = request.message().clone();
                request.reply(message).await.unwrap();
            }
        }
    });
    for number in 0..200_u32 {
        if number % 20 == 10 {
            relay.cut();
        }
        let asked = format!("request {number}");
        assert_eq!(within(10, client.request(asked.clone())).await.unwrap().text(0), Some(&asked[..]));
    }
    assert_eq!(served.load(Ordering::Relaxed), 200);
    assert!(relay.connection_count() >= 10, "{relay:?}");
    client.close().await.unwrap();
    within(10, serving).await.unwrap();
}

#[tokio::test]
async fn without_reconnection_the_end_of_the_connection_is_the_end() {
    let mut listener = listen("smrp+tcp://127.0.0.1:0").await.unwrap();
    let relay = Relay::to(listener.url().port().unwrap()).await;
    let url = format!("smrp+tcp://127.0.0.1:{}?reconnect=off", relay.port);
    let (client, server) = tokio::join!(connect(url), listener.accept());
    let (client, _server) = (client.unwrap(), server.unwrap());
    relay.cut();
    within(10, client.closed()).await;
    let error = client.request("x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
}

#[tokio::test]
async fn plaintext_does_not_leave_the_host_unless_it_is_said() {
    //= SMRP-P9
    let error = connect("smrp+tcp://192.0.2.1:1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("?plaintext=on") && error.to_string().contains("smrp+tls://"), "{error}");
    let error = listen("smrp+ws://0.0.0.0:0").await.unwrap_err();
    assert!(error.to_string().contains("smrp+wss://"), "{error}");
    drop(listen("smrp+tcp://0.0.0.0:0?plaintext=on").await.unwrap());
}

#[tokio::test]
async fn tokens_let_in_who_has_one() {
    let options = ListenOptions::new().with_bearer_tokens(["right", "other"]);
    let mut listener = listen_with("smrp+tcp://127.0.0.1:0", options).await.unwrap();
    let url = listener.url().to_string();
    let with = |token: &str| connect_with(url.clone(), ConnectOptions::new().with_bearer_token(token));
    let wrong = within(5, with("wrong")).await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Peer, "{wrong}");
    assert!(!wrong.to_string().contains("wrong\""), "{wrong}");
    let (right, server) = tokio::join!(with("right"), listener.accept());
    let server = server.unwrap();
    spawn_echo(server);
    assert_eq!(right.unwrap().request("x").await.unwrap().text(0), Some("x"));
    let none = within(15, connect(url)).await;
    // Who shows nothing is not believed as soon as it asks for something.
    let refused = match none {
        Ok(connection) => connection.request("x").await.unwrap_err(),
        Err(error) => error,
    };
    assert!([ErrorKind::Peer, ErrorKind::Lost].contains(&refused.kind()), "{refused}");
    assert!(refused.to_string().contains("AUTH_REQUIRED"), "{refused}");
}

#[tokio::test]
async fn what_does_not_speak_smrp_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"SSH-2.0-OpenSSH_9.2\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
    });
    let error = within(5, connect(format!("smrp+tcp://127.0.0.1:{port}"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Mismatch);
    assert!(error.to_string().contains("SSH banner"), "{error}");
}

#[tokio::test]
async fn a_message_above_what_the_peer_takes_is_an_error_that_says_so() {
    let pair = pair("smrp+tcp").await;
    let error = pair.client.send(vec![0; (16 << 20) + 1]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert!(error.to_string().contains("message_len_max"), "{error}");
    spawn_echo(pair.server.clone());
    assert_eq!(pair.client.request("still there").await.unwrap().text(0), Some("still there"));
}

#[tokio::test]
async fn tls_without_its_name_for_the_protocol_is_not_used() {
    //= SMRP-K2
    let ca = postroad::dev_certs::DevCa::generate().unwrap();
    let identity = ca.issue_server(&["localhost"]).unwrap();
    let options = ListenOptions::new().with_identity_pem(identity.certificate_pem, identity.key_pem);
    // Speaks TLS, and another protocol on it.
    let listener = listen_with("smp+tls://localhost:0", options).await.unwrap();
    let url = format!("smrp+tls://localhost:{}", listener.url().port().unwrap());
    let error =
        within(5, connect_with(url, ConnectOptions::new().with_ca_pem(ca.certificate_pem()))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Mismatch, "{error}");
    assert!(error.to_string().contains("smrp/1"), "{error}");
}

#[tokio::test]
async fn a_session_writes_a_trace_where_the_url_or_an_option_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (by_url, by_option) = (dir.path().join("by url"), dir.path().join("by-option"));
    let options = ListenOptions::default().with_qlog(&by_option, 1);
    let mut listener = listen_with("smrp+tcp://127.0.0.1:0", options).await.unwrap();
    let folder = by_url.to_str().unwrap().replace(' ', "%20");
    let url = format!("smrp+tcp://127.0.0.1:{}/svc?qlog={folder}", listener.url().port().unwrap());
    let (client, server) = tokio::join!(connect(url), listener.accept());
    let (client, server) = (client.unwrap(), server.unwrap());
    spawn_echo(server);
    within(5, client.request(Message::from("what is said"))).await.unwrap();
    for (folder, end) in [(&by_url, "initiator"), (&by_option, "acceptor")] {
        let mut text = String::new();
        for _ in 0..200 {
            for file in std::fs::read_dir(folder).unwrap() {
                let file = file.unwrap();
                assert!(file.file_name().to_str().unwrap().starts_with(&format!("smrp-{end}-")), "{file:?}");
                text = std::fs::read_to_string(file.path()).unwrap();
            }
            if text.contains("smrp:stream_ended") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for record in text.split('\u{1e}').skip(1).filter(|record| record.ends_with('\n')) {
            assert!(record.starts_with('{') && record.ends_with("}\n"), "{record:?}");
        }
        assert!(text.contains("smrp:session_established") && text.contains("smrp:stream_ended"), "{text}");
        assert!(!text.contains("what is said") && !text.contains("svc"), "{text}");
    }
    let file = dir.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    let refused = listen(format!("smrp+tcp://127.0.0.1:0?qlog={}", file.to_str().unwrap())).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Config);
    assert!(refused.to_string().contains("qlog="), "{refused}");
}

#[tokio::test]
async fn a_flush_waits_for_what_open_bodies_were_given() {
    let pair = pair("smrp+tcp").await;
    let mut body = pair.client.open_body("head").await.unwrap();
    body.write("short").await.unwrap();
    within(10, pair.client.flush()).await.unwrap();
    body.write(vec![7; 64 << 20]).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(300), pair.client.flush()).await;
    assert!(early.is_err(), "nobody has read 64 MiB");
    // A request with content of its own waits for that alone.
    let mut request = pair.client.open_request("question").await.unwrap();
    request.write("what").await.unwrap();
    let asking = tokio::spawn(request.finish(""));
    let mut read = 0;
    let Some(Incoming::Body(mut came)) = within(5, pair.server.receive()).await.unwrap() else { panic!("a body") };
    let Some(Incoming::RequestBody(request, _)) = within(5, pair.server.receive()).await.unwrap() else {
        panic!("asked")
    };
    request.reply("that").await.unwrap();
    assert_eq!(within(5, asking).await.unwrap().unwrap().text(0), Some("that"));
    let client = pair.client.clone();
    let flushing = tokio::spawn(async move { client.flush().await });
    while read < (64 << 20) + 5 {
        read += within(10, came.next()).await.unwrap().unwrap().len();
    }
    within(10, flushing).await.unwrap().unwrap();
    body.finish().await.unwrap();
    assert!(within(5, came.next()).await.unwrap().is_none());
}

#[tokio::test]
async fn an_end_that_drains_gets_what_was_sent_and_says_where_to_go() {
    //= SMRP-L6, SMRP-L7, SMRP-L9
    for stack in session_stacks() {
        let pair = pair(stack).await;
        for number in 0..100 {
            pair.client.send(format!("message {number}")).await.unwrap();
        }
        let mut upload = pair.client.open_request("upload").await.unwrap();
        upload.write("first ").await.unwrap();
        let asked = pair.client.clone();
        let request = tokio::spawn(async move { asked.request("asked").await });
        while pair.client.statistics().requests_in_flight_count < 2 {
            tokio::task::yield_now().await;
        }
        // Both are on their way: a request of before has come when one of behind it has.
        pair.server.drain(Duration::from_secs(30), Some("smrp+tcp://elsewhere:1")).unwrap();
        let serving = tokio::spawn(async move {
            let mut count = 0;
            while let Some(incoming) = pair.server.receive().await.unwrap() {
                match incoming {
                    Incoming::Message(message) => {
                        count += 1;
                        pair.server.send(message).await.unwrap();
                    }
                    Incoming::Request(request) => request.reply("answered").await.unwrap(),
                    Incoming::RequestBody(request, mut body) => {
                        let mut content = Vec::new();
                        while let Some(piece) = body.next().await.unwrap() {
                            content.extend_from_slice(&piece);
                        }
                        request.reply(content).await.unwrap();
                    }
                    other => panic!("{other:?}"),
                }
            }
            pair.server.close().await.unwrap();
            count
        });
        assert_eq!(within(10, pair.client.going_away()).await.as_deref(), Some("smrp+tcp://elsewhere:1"), "{stack}");
        let late = pair.client.request("late").await.unwrap_err();
        assert!(late.is_unprocessed(), "{stack}: {late}");
        upload.write("and last").await.unwrap();
        assert_eq!(within(10, upload.finish("")).await.unwrap().text(0), Some("first and last"), "{stack}");
        assert_eq!(within(10, request).await.unwrap().unwrap().text(0), Some("answered"), "{stack}");
        let mut back = 0;
        while let Some(Incoming::Message(_)) = within(10, pair.client.receive()).await.unwrap() {
            back += 1;
        }
        assert_eq!((within(10, serving).await.unwrap(), back), (100, 100), "{stack}");
    }
}

#[tokio::test]
async fn what_cannot_be_drained_says_so() {
    let pair = pair("smp+tcp").await;
    assert_eq!(pair.server.drain(Duration::from_secs(1), None).unwrap_err().kind(), ErrorKind::Unsupported);
}
