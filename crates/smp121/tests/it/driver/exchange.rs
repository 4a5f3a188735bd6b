//! Requests and their replies.

use super::{Pair, echo, serve, soon};
use bytes::Bytes;
use smp121::machine::SendOptions;
use smp121::{ExchangeError, OpenError, SendError, UsageError};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;

//= SMP121-U2, SMP121-U3, SMP121-U6, SMP121-U8, SMP121-U9, SMP121-U12, SMP121-U1
#[tokio::test]
async fn a_request_is_received_and_its_reply_comes_back() {
    let pair = Pair::new();
    let (printer, remote) = pair.mailslot("printer");
    let call = tokio::spawn(async move { remote.send("page").await });
    let mut request = soon(printer.receive()).await.unwrap();
    assert_eq!(request.message(), "page");
    assert_eq!(request.source(), Some(pair.client.local_addr()));
    request.reply("printed").unwrap();
    assert_eq!(soon(call).await.unwrap().unwrap(), "printed");
}

//= SMP121-U4, SMP121-U11
#[tokio::test]
async fn within_an_endpoint_nothing_is_sent() {
    let pair = Pair::new();
    let mailslot = pair.server.define("here", 100).unwrap();
    echo(mailslot);
    let by_name = pair.server.get_local("here").unwrap();
    // The own address leads the same short way.
    let by_address = pair.server.get(pair.server.local_addr(), "here").unwrap();
    for remote in [by_name, by_address] {
        assert_eq!(remote.peer(), None);
        assert_eq!(soon(remote.resolve()).await.unwrap().request_len_max, 100);
        assert_eq!(soon(remote.send("hello")).await.unwrap(), "hello");
    }
    assert_eq!(pair.server.counters().protocol.datagrams_sent_count, 0);
    let nobody = pair.server.get_local("nobody").unwrap();
    assert!(matches!(soon(nobody.send("x")).await, Err(SendError::Exchange(ExchangeError::NoSuchMailslot))));
    assert!(matches!(soon(nobody.resolve()).await, Err(SendError::Exchange(ExchangeError::NoSuchMailslot))));
}

#[tokio::test]
async fn a_name_is_resolved_once_and_known_from_then_on() {
    let pair = Pair::new();
    let (printer, remote) = pair.mailslot("printer");
    echo(printer);
    let [first, second] = [remote.clone(), remote.clone()];
    let (a, b) = soon(async { tokio::join!(first.resolve(), second.resolve()) }).await;
    assert_eq!(a.unwrap(), b.unwrap());
    assert_eq!(soon(remote.resolve()).await.unwrap().request_len_max, 1 << 20);
    assert_eq!(pair.client.counters().protocol.datagrams_sent_count, 1);
    assert_eq!(remote.name(), b"printer");
}

#[tokio::test]
async fn a_name_that_nobody_has_and_an_address_where_nobody_is_are_told_apart() {
    let pair = Pair::new();
    let _another = pair.server.define("printer", 10).unwrap();
    let nobody = pair.client.get(pair.server.local_addr(), "nobody").unwrap();
    assert!(matches!(soon(nobody.send("x")).await, Err(SendError::Exchange(ExchangeError::NoSuchMailslot))));
    let nowhere = pair.client.get("198.18.9.9:9".parse().unwrap(), "printer").unwrap();
    assert!(matches!(soon(nowhere.send("x")).await, Err(SendError::Exchange(ExchangeError::Unreachable(_)))));
    assert_eq!(pair.client.counters().path_errors_count, 1);
}

#[tokio::test]
async fn what_cannot_be_is_refused_before_anything_is_sent() {
    let pair = Pair::new();
    let _taken = pair.server.define("printer", 10).unwrap();
    assert!(matches!(pair.server.define("printer", 10), Err(OpenError::Usage(UsageError::NameTaken))));
    assert!(matches!(
        pair.server.define("big", 1 << 30),
        Err(OpenError::Usage(UsageError::MailslotLen { got: 0x4000_0000, .. }))
    ));
    let peer = pair.server.local_addr();
    assert!(matches!(pair.client.get(peer, "a\0b"), Err(OpenError::Usage(UsageError::Name { len: 3 }))));
    let remote = pair.client.get(peer, "printer").unwrap();
    soon(remote.resolve()).await.unwrap();
    assert!(matches!(
        soon(remote.send(vec![0; 11])).await,
        Err(SendError::Usage(UsageError::TooLarge { len: 11, max: 10 }))
    ));
    assert_eq!(pair.client.counters().protocol.datagrams_sent_count, 1);
}

//= SMP121-R-I
#[tokio::test]
async fn sixteen_requests_at_once_are_served_in_order() {
    let pair = Pair::new();
    let (mailslot, remote) = pair.mailslot("queue");
    let order = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&order);
    serve(mailslot, move |request| {
        seen.lock().unwrap().push(request.message()[0]);
        request.message().clone()
    });
    let mut calls = JoinSet::new();
    for number in 0..40u8 {
        let remote = remote.clone();
        calls.spawn(async move { (number, remote.send(vec![number; 3]).await.unwrap()) });
    }
    while let Some(call) = soon(calls.join_next()).await {
        let (number, reply) = call.unwrap();
        assert_eq!(reply, vec![number; 3]);
    }
    assert_eq!(*order.lock().unwrap(), (0..40).collect::<Vec<u8>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_share_an_endpoint() {
    let pair = Pair::new();
    let mut calls = JoinSet::new();
    for name in ["a", "b", "c", "d"] {
        let (mailslot, remote) = pair.mailslot(name);
        let mailslot = Arc::new(mailslot);
        for _ in 0..2 {
            let mailslot = Arc::clone(&mailslot);
            tokio::spawn(async move {
                while let Ok(mut request) = mailslot.receive().await {
                    let reply = request.take_message();
                    request.reply(reply).unwrap();
                }
            });
        }
        for task in 0..25u32 {
            let remote = remote.clone();
            calls.spawn(async move {
                for round in 0..20u32 {
                    let message = Bytes::copy_from_slice(&(task * 1000 + round).to_be_bytes());
                    assert_eq!(remote.send(message.clone()).await.unwrap(), message);
                }
            });
        }
    }
    while let Some(call) = soon(calls.join_next()).await {
        call.unwrap();
    }
    let counters = pair.server.counters();
    assert_eq!((counters.protocol.requests_count, counters.protocol.replies_count), (2000, 2000));
    assert_eq!(counters.unanswered_count, 0);
}

//= SMP121-R-C
#[tokio::test]
async fn large_messages_go_both_ways() {
    let pair = Pair::new();
    let (mailslot, remote) = pair.mailslot("large");
    serve(mailslot, |request| request.message().iter().rev().copied().collect::<Vec<u8>>().into());
    let message: Vec<u8> = (0..1u32 << 18).flat_map(|word| word.to_le_bytes()).collect();
    let reply = soon(remote.send(message.clone())).await.unwrap();
    assert!(reply.iter().rev().eq(message.iter()));
}

//= SMP121-U13
#[tokio::test(start_paused = true)]
async fn a_callers_time_ends_the_exchange() {
    let pair = Pair::new();
    let (mailslot, remote) = pair.mailslot("slow");
    let options = SendOptions::default().with_timeout(Duration::from_millis(700));
    let begun_at = tokio::time::Instant::now();
    let outcome = remote.send_with("x", options).await;
    assert!(matches!(outcome, Err(SendError::Exchange(ExchangeError::Timeout))));
    let passed = begun_at.elapsed();
    assert!((700..710).contains(&passed.as_millis()), "{passed:?}");
    // The request was sent and is to be answered all the same.
    mailslot.receive().await.unwrap().reply("late").unwrap();
}

//= SMP121-U14
#[tokio::test]
async fn a_reply_that_is_longer_than_asked_for_comes_not_at_all() {
    let pair = Pair::new();
    let (mailslot, remote) = pair.mailslot("chatty");
    serve(mailslot, |_| Bytes::from(vec![7; 5000]));
    let options = SendOptions::default().with_reply_len_max(4999);
    assert!(matches!(
        soon(remote.send_with("x", options)).await,
        Err(SendError::Exchange(ExchangeError::ReplyTooLarge { len: 5000, max: 4999 }))
    ));
    assert_eq!(soon(remote.send_with("x", options.with_reply_len_max(5000))).await.unwrap().len(), 5000);
}

#[tokio::test]
async fn back_to_back_exchanges_take_two_datagrams_each() {
    const COUNT: u64 = 200;
    let pair = Pair::new();
    let (mailslot, remote) = pair.mailslot("fast");
    echo(mailslot);
    for _ in 0..COUNT {
        soon(remote.send("ping")).await.unwrap();
    }
    let sent =
        pair.client.counters().protocol.datagrams_sent_count + pair.server.counters().protocol.datagrams_sent_count;
    assert_eq!(sent, 2 * COUNT + 2);
}
