//! Requests and their replies.

use crate::support::{Setup, pair, pair_with, pattern, spawn_echo, stacks, within};
use postroad::{ErrorKind, Incoming, Limits, Message};
use std::time::Duration;

#[tokio::test]
async fn requests_are_answered_over_every_stack_with_any_size() {
    for stack in stacks() {
        let pair = pair(stack).await;
        spawn_echo(pair.server.clone());
        for len in [0, 1, 1_492, 64 * 1024, 1 << 20] {
            let message: Message = [pattern(len, 1), pattern(3, 2)].into();
            assert!(pair.client.request(message.clone()).await.unwrap() == message, "{stack}: {len}");
        }
        let most: Message = (0..14).map(|part| pattern(100, part)).collect();
        assert!(pair.client.request(most.clone()).await.unwrap() == most, "{stack}: 14 parts");
        assert_eq!(pair.client.request(Message::new()).await.unwrap(), Message::new(), "{stack}: no parts");
    }
}

#[tokio::test]
async fn both_ends_can_ask_at_the_same_time() {
    let pair = pair("smp+tcp").await;
    spawn_echo(pair.server.clone());
    spawn_echo(pair.client.clone());
    let (a, b) = tokio::join!(pair.client.request("from the client"), pair.server.request("from the server"));
    assert_eq!(a.unwrap().text(0), Some("from the client"));
    assert_eq!(b.unwrap().text(0), Some("from the server"));
}

#[tokio::test]
async fn many_requests_are_in_flight_and_replies_come_in_any_order() {
    let pair = pair("smp+tls").await;
    let server = pair.server.clone();
    tokio::spawn(async move {
        let mut waiting = Vec::new();
        for _ in 0..500 {
            let Incoming::Request(request) = server.receive().await.unwrap().unwrap() else { panic!() };
            waiting.push(request);
        }
        for request in waiting.into_iter().rev() {
            let message = request.message().clone();
            request.reply(message).await.unwrap();
        }
    });
    let mut asking = tokio::task::JoinSet::new();
    for number in 0..500 {
        let client = pair.client.clone();
        asking.spawn(async move { (number, client.request(number.to_string()).await.unwrap()) });
    }
    while let Some(answered) = within(20, asking.join_next()).await {
        let (number, reply) = answered.unwrap();
        assert_eq!(reply.text(0), Some(number.to_string().as_str()));
    }
    assert_eq!(pair.client.statistics().requests_in_flight_count, 0);
}

#[tokio::test]
async fn a_late_reply_is_counted_and_dropped() {
    let pair = pair("smp+tcp").await;
    let asked = pair.client.request_within("slow", Duration::from_millis(50)).await.unwrap_err();
    assert_eq!(asked.kind(), ErrorKind::Timeout);
    assert!(asked.to_string().contains("no reply from 127.0.0.1"), "{asked}");
    let Some(Incoming::Request(request)) = pair.server.receive().await.unwrap() else { panic!() };
    request.reply("too late").await.unwrap();
    spawn_echo(pair.server.clone());
    assert_eq!(pair.client.request("next").await.unwrap().text(0), Some("next"));
    assert_eq!(pair.client.statistics().late_reply_count, 1);
}

#[tokio::test]
async fn a_refusal_is_an_error_with_the_peers_words_made_harmless() {
    let pair = pair("smp+tcp").await;
    let server = pair.server.clone();
    tokio::spawn(async move {
        let Incoming::Request(request) = server.receive().await.unwrap().unwrap() else { panic!() };
        request.refuse("no \u{1b}[31mpaper").await.unwrap();
    });
    let error = pair.client.request("print").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Peer);
    assert!(error.why().contains("paper") && !error.to_string().contains('\u{1b}'), "{error}");
}

#[tokio::test]
async fn a_request_dropped_without_a_reply_does_not_leave_the_peer_waiting() {
    let pair = pair("smp+tcp").await;
    let server = pair.server.clone();
    tokio::spawn(async move { while let Ok(Some(_)) = server.receive().await {} });
    let error = within(5, pair.client.request("anyone?")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Peer);
    assert!(error.why().contains("without a reply"), "{error}");
}

#[tokio::test]
async fn requests_beyond_the_limit_wait_for_a_place() {
    let mut limits = Limits::default();
    limits.requests_in_flight_max = 2;
    let pair = pair_with("smp+tcp", Setup { limits, ..Setup::default() }).await;
    let (a, b) = (pair.client.clone(), pair.client.clone());
    let first = tokio::spawn(async move { a.request("a").await });
    let second = tokio::spawn(async move { b.request("b").await });
    let Some(Incoming::Request(one)) = pair.server.receive().await.unwrap() else { panic!() };
    let Some(Incoming::Request(two)) = pair.server.receive().await.unwrap() else { panic!() };
    let third = pair.client.request_within("c", Duration::from_millis(100)).await.unwrap_err();
    assert!(third.why().contains("requests_in_flight_max"), "{third}");
    one.reply("1").await.unwrap();
    first.await.unwrap().unwrap();
    spawn_echo(pair.server.clone());
    assert_eq!(pair.client.request("d").await.unwrap().text(0), Some("d"));
    two.reply("2").await.unwrap();
    second.await.unwrap().unwrap();
}
