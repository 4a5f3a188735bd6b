//! Every limit at its value and one past it.

use crate::support::{Setup, pair_with, pattern, spawn_echo, within};
use postroad::{ErrorKind, Incoming, Limits, ListenOptions, Message};
use std::time::Duration;

fn setup(change: impl FnOnce(&mut Limits)) -> Setup {
    let mut limits = Limits::default();
    change(&mut limits);
    Setup { limits, query: "?max_message_size=1493", ..Setup::default() }
}

#[tokio::test]
async fn a_message_at_the_limit_comes_and_one_past_it_is_refused() {
    let pair = pair_with("smp+tcp", setup(|limits| limits.message_len_max = 10_000)).await;
    pair.client.send(pattern(10_000, 1)).await.unwrap();
    let Some(Incoming::Message(message)) = within(5, pair.server.receive()).await.unwrap() else { panic!() };
    assert_eq!(message.payload_len(), 10_000);
    pair.client.send(pattern(10_001, 1)).await.unwrap();
    let Some(Incoming::Refused(error)) = within(5, pair.server.receive()).await.unwrap() else { panic!() };
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert!(error.why().contains("message_len_max"), "{error}");
    spawn_echo(pair.server.clone());
    assert!(pair.client.request("still there").await.is_ok());
}

#[tokio::test]
async fn a_reply_past_the_limit_is_an_error_of_its_request_alone() {
    let pair = pair_with("smp+tcp", setup(|limits| limits.message_len_max = 10_000)).await;
    let server = pair.server.clone();
    tokio::spawn(async move {
        while let Some(Incoming::Request(request)) = server.receive().await.unwrap() {
            let len: usize = request.message().text(0).unwrap().parse().unwrap();
            let mut body = request.reply_body(Message::new()).await.unwrap();
            body.write(vec![0; len]).await.unwrap();
            body.finish().await.unwrap();
        }
    });
    assert_eq!(pair.client.request("10000").await.unwrap().payload_len(), 10_000);
    let error = pair.client.request("10001").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    assert!(pair.client.request("5").await.is_ok());
}

#[tokio::test]
async fn a_head_past_the_limit_is_refused() {
    let pair = pair_with("smp+tcp", setup(|limits| limits.body_head_len_max = 1_000)).await;
    for (len, is_taken) in [(1_000, true), (1_001, false)] {
        let mut body = pair.client.open_body(pattern(len, 1)).await.unwrap();
        body.write("content").await.unwrap();
        body.finish().await.unwrap();
        match within(5, pair.server.receive()).await.unwrap().unwrap() {
            Incoming::Body(_) if is_taken => {}
            Incoming::Refused(error) if !is_taken => assert!(error.why().contains("body_head_len_max"), "{error}"),
            other => panic!("{len}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_head_in_many_frames_is_put_together_and_a_trailer_past_the_limit_is_refused() {
    let pair = pair_with("smp+tcp", setup(|limits| limits.body_head_len_max = 10_000)).await;
    for (len, is_taken) in [(10_000, true), (10_001, false)] {
        let head: Message = [pattern(4_000, 1), pattern(5_000, 2)].into();
        let mut body = pair.client.open_body(head.clone()).await.unwrap();
        body.write("content").await.unwrap();
        body.finish_with(pattern(len, 3)).await.unwrap();
        let Some(Incoming::Body(mut body)) = within(5, pair.server.receive()).await.unwrap() else { panic!() };
        assert!(*body.head() == head, "{:?} instead of {head:?}", body.head());
        assert_eq!(body.next().await.unwrap().unwrap(), "content");
        match body.next().await {
            Ok(None) if is_taken => assert!(body.trailer() == Some(&pattern(len, 3)[..])),
            Err(error) if !is_taken => assert!(error.why().contains("body_head_len_max"), "{error}"),
            other => panic!("{len}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn what_nobody_receives_stops_the_reading_and_a_request_says_so() {
    let pair = pair_with("smp+tcp", setup(|limits| limits.incoming_count_max = 4)).await;
    for _ in 0..10 {
        pair.server.send("unasked").await.unwrap();
    }
    spawn_echo(pair.server.clone());
    let error = pair.client.request_within("x", Duration::from_millis(300)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("call `receive`"), "{error}");
    for _ in 0..10 {
        assert!(within(5, pair.client.receive()).await.unwrap().is_some());
    }
    assert!(pair.client.request("x").await.is_ok());
}

#[tokio::test]
async fn connections_past_the_limit_wait_until_one_ends() {
    let options = ListenOptions::new().with_connections_max(2);
    let mut listener = postroad::listen_with("smp+tcp://127.0.0.1:0", options).await.unwrap();
    let url = listener.url().clone();
    let mut open = Vec::new();
    for _ in 0..2 {
        open.push((postroad::connect(&url).await.unwrap(), within(5, listener.accept()).await.unwrap()));
    }
    let third = postroad::connect(&url).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(300), listener.accept()).await;
    assert!(waited.is_err(), "a third connection was let in");
    drop(open.pop());
    spawn_echo(within(10, listener.accept()).await.unwrap());
    assert!(third.request("in").await.is_ok());
}

#[tokio::test]
async fn settings_that_cannot_be_are_refused_and_never_bent() {
    for change in [
        (|limits: &mut Limits| limits.message_len_max = 0) as fn(&mut Limits),
        |limits| limits.incoming_count_max = 0,
        |limits| limits.requests_in_flight_max = 0,
        |limits| limits.requests_in_flight_max = usize::MAX,
    ] {
        let mut limits = Limits::default();
        change(&mut limits);
        let options = ListenOptions::new().with_limits(limits);
        let error = postroad::listen_with("smp+tcp://127.0.0.1:0", options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    }
    let error = postroad::listen("smp+tcp://127.0.0.1:0?max_message_size=1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    let none = ListenOptions::new().with_connections_max(0);
    assert!(postroad::listen_with("smp+tcp://127.0.0.1:0", none).await.is_err());
}

/// Peers that connect and say nothing hold up nobody else.
#[tokio::test]
async fn silent_peers_do_not_hold_up_the_handshakes_of_others() {
    use postroad::dev_certs::DevCa;
    let ca = DevCa::generate().unwrap();
    let identity = ca.issue_server(&["localhost"]).unwrap();
    let mut limits = Limits::default();
    limits.handshake_timeout = Duration::from_secs(3);
    let options =
        ListenOptions::new().with_limits(limits).with_identity_pem(identity.certificate_pem, identity.key_pem);
    let mut listener = postroad::listen_with("smp+wss://localhost:0", options).await.unwrap();
    let url = listener.url().clone();
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(tokio::net::TcpStream::connect(("localhost", url.port().unwrap())).await.unwrap());
    }
    let started = std::time::Instant::now();
    let connecting = postroad::connect_with(&url, postroad::ConnectOptions::new().with_ca_pem(ca.certificate_pem()));
    let (client, server) = tokio::join!(within(5, connecting), within(5, listener.accept()));
    spawn_echo(server.unwrap());
    assert!(client.unwrap().request("in").await.is_ok());
    assert!(started.elapsed() < Duration::from_millis(2_500), "it waited for the silent ones: {:?}", started.elapsed());
    within(10, async {
        while listener.failed_count() < 50 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}
