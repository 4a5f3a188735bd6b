//! Every future can be dropped at any point.

use crate::support::{pair, pattern, spawn_echo, within};
use postroad::{Incoming, Message};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Polls `future` `polls` times, letting others run in between, and drops it; its output if it was ready.
async fn poll_and_drop<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}

#[tokio::test]
async fn a_dropped_receive_loses_nothing() {
    let pair = pair("smp+tcp").await;
    let sender = pair.client.clone();
    tokio::spawn(async move {
        for number in 0..2_000u32 {
            sender.send(number.to_be_bytes().to_vec()).await.unwrap();
            if number % 50 == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
    let mut next = 0u32;
    within(20, async {
        let mut turn = 0;
        while next < 2_000 {
            turn += 1;
            let received = poll_and_drop(turn % 3, pair.server.receive()).await;
            if let Some(Ok(Some(Incoming::Message(message)))) = received {
                assert_eq!(message.get(0).unwrap()[..], next.to_be_bytes());
                next += 1;
            } else {
                tokio::task::yield_now().await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_dropped_request_frees_its_place_and_its_reply_is_dropped() {
    let pair = pair("smp+tcp").await;
    spawn_echo(pair.server.clone());
    for turn in 0..200 {
        let _answer = poll_and_drop(turn % 5, pair.client.request(pattern(turn, 1))).await;
    }
    assert_eq!(pair.client.request("last").await.unwrap().text(0), Some("last"));
    let statistics = pair.client.statistics();
    assert_eq!(statistics.requests_in_flight_count, 0);
    assert!(statistics.late_reply_count > 0, "{statistics:?}");
}

#[tokio::test]
async fn dropped_requests_that_nobody_answers_hold_no_place() {
    let pair = pair("smp+tcp").await;
    for turn in 1..50 {
        assert!(poll_and_drop(turn % 5, pair.client.request("anyone?")).await.is_none());
    }
    assert_eq!(pair.client.statistics().requests_in_flight_count, 0);
}

#[tokio::test]
async fn a_dropped_send_has_sent_all_of_its_message_or_nothing() {
    let pair = pair("smp+tcp").await;
    let sender = pair.client.clone();
    let sending = tokio::spawn(async move {
        let mut sent = 0;
        for turn in 0..500 {
            let message: Message = [pattern(turn * 100, 2), pattern(turn, 3)].into();
            sent += usize::from(poll_and_drop(1 + turn % 3, sender.send(message)).await.is_some());
        }
        sender.close().await.unwrap();
        sent
    });
    let mut received = 0;
    while let Some(Incoming::Message(message)) = within(20, pair.server.receive()).await.unwrap() {
        let turn = message.get(1).unwrap().len();
        assert!(message == [pattern(turn * 100, 2), pattern(turn, 3)].into());
        received += 1;
    }
    assert!(received >= sending.await.unwrap());
}

#[tokio::test]
async fn dropped_connects_and_accepts_leave_the_listener_usable() {
    let mut listener = postroad::listen("smp+tcp://127.0.0.1:0").await.unwrap();
    let url = listener.url().clone();
    for turn in 0..30 {
        let _connection = poll_and_drop(turn % 4, postroad::connect(&url)).await;
        let _accepted = poll_and_drop(turn % 3, listener.accept()).await;
    }
    let (client, server) = tokio::join!(postroad::connect(&url), listener.accept());
    let client = client.unwrap();
    drop(server);
    // The accepted one may be an older connection that was dropped at once: take them until ours answers.
    tokio::spawn(async move {
        while let Ok(connection) = listener.accept().await {
            spawn_echo(connection);
        }
    });
    let _asked = client.request_within("x", Duration::from_secs(2)).await;
    assert!(within(5, postroad::connect(&url)).await.unwrap().request("y").await.is_ok());
}

#[tokio::test]
async fn a_dropped_close_still_closes() {
    let pair = pair("smp+tcp").await;
    pair.client.send("last words").await.unwrap();
    let _closed = poll_and_drop(1, pair.client.close()).await;
    assert!(matches!(within(5, pair.server.receive()).await.unwrap(), Some(Incoming::Message(_))));
    assert!(within(5, pair.server.receive()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_dropped_read_of_a_body_loses_nothing() {
    let pair = pair("smp+tls").await;
    let client = pair.client.clone();
    let content = pattern(500_000, 9);
    let sent = content.clone();
    tokio::spawn(async move {
        let mut body = client.open_body(Message::new()).await.unwrap();
        body.write(sent).await.unwrap();
        body.finish().await.unwrap();
    });
    let Some(Incoming::Body(mut body)) = within(5, pair.server.receive()).await.unwrap() else { panic!() };
    let mut got = Vec::new();
    within(20, async {
        let mut turn = 0;
        loop {
            turn += 1;
            match poll_and_drop(turn % 3, body.next()).await {
                Some(Ok(Some(piece))) => got.extend_from_slice(&piece),
                Some(Ok(None)) => break,
                Some(Err(error)) => panic!("{error}"),
                None => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    assert!(got == content);
}
