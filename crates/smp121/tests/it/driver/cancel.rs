//! Futures that are dropped, and handles.

use super::{Pair, echo, soon};
use postroad_transport::memory::datagram::Hub;
use smp121::{Endpoint, Limits, Profile, ReplyError, SendError, UsageError};
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use tokio::task::yield_now;

/// Polls a future once and drops it.
async fn poll_once<F: Future>(future: F) -> bool {
    let mut future = pin!(future);
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await
}

//= SMP121-A19
#[tokio::test]
async fn an_exchange_that_is_given_up_does_not_hold_later_ones_up() {
    let pair = Pair::new();
    let (mailslot, remote) = pair.mailslot("queue");
    // Before the name is known, and while in flight.
    assert!(!poll_once(remote.send("never sent")).await);
    soon(remote.resolve()).await.unwrap();
    for _ in 0..20 {
        assert!(!poll_once(remote.send("given up")).await);
    }
    let call = tokio::spawn(async move { remote.send("wanted").await });
    let mut given_up_count = 0;
    loop {
        let mut request = soon(mailslot.receive()).await.unwrap();
        if request.message() == "wanted" {
            request.reply("here").unwrap();
            break;
        }
        assert_eq!(request.message(), "given up");
        request.reply("for nobody").unwrap();
        given_up_count += 1;
    }
    // What had a number went on; what waited for one was taken back.
    assert_eq!(given_up_count, 16);
    assert_eq!(soon(call).await.unwrap().unwrap(), "here");
}

#[tokio::test]
async fn a_reply_to_a_future_that_was_dropped_is_dropped_with_it() {
    let pair = Pair::new();
    let (mailslot, remote) = pair.mailslot("queue");
    soon(remote.resolve()).await.unwrap();
    {
        let mut call = pin!(remote.send("one"));
        assert!(poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_pending())).await);
        soon(mailslot.receive()).await.unwrap().reply("one").unwrap();
        while pair.client.counters().protocol.exchanges_count == 0 {
            yield_now().await;
        }
        // The reply is here and nobody took it.
    }
    echo(mailslot);
    assert_eq!(soon(remote.send("two")).await.unwrap(), "two");
}

#[tokio::test]
async fn a_receive_that_is_dropped_loses_no_request() {
    let pair = Pair::new();
    let (mailslot, remote) = pair.mailslot("queue");
    assert!(!poll_once(mailslot.receive()).await);
    let call = tokio::spawn(async move { remote.send("x").await });
    {
        // Woken by the request, and dropped before it looks.
        let mut receive = pin!(mailslot.receive());
        assert!(poll_fn(|cx| Poll::Ready(receive.as_mut().poll(cx).is_pending())).await);
        while pair.server.counters().protocol.assembly_len == 0 {
            yield_now().await;
        }
    }
    let mut request = soon(mailslot.receive()).await.unwrap();
    assert!(mailslot.try_receive().unwrap().is_none());
    request.reply("y").unwrap();
    assert_eq!(soon(call).await.unwrap().unwrap(), "y");
}

#[tokio::test]
async fn a_resolution_that_is_dropped_goes_on() {
    let pair = Pair::new();
    let (_mailslot, remote) = pair.mailslot("queue");
    assert!(!poll_once(remote.resolve()).await);
    soon(remote.resolve()).await.unwrap();
    assert_eq!(pair.client.counters().protocol.datagrams_sent_count, 1);
}

#[tokio::test]
async fn a_request_that_is_dropped_is_answered_with_nothing() {
    let pair = Pair::new();
    let (mailslot, remote) = pair.mailslot("queue");
    let call = tokio::spawn(async move {
        let first = remote.send("x").await.unwrap();
        (first, remote.send("y").await.unwrap())
    });
    drop(soon(mailslot.receive()).await.unwrap());
    soon(mailslot.receive()).await.unwrap().reply("second").unwrap();
    let (first, second) = soon(call).await.unwrap();
    assert_eq!((&first[..], &second[..]), (&b""[..], &b"second"[..]));
    assert_eq!(pair.server.counters().unanswered_count, 1);
}

#[tokio::test]
async fn a_request_is_answered_once() {
    let pair = Pair::new();
    let (mailslot, remote) = pair.mailslot("queue");
    let call = tokio::spawn(async move { remote.send("x").await });
    let mut request = soon(mailslot.receive()).await.unwrap();
    request.reply("first").unwrap();
    assert_eq!(request.reply("second"), Err(ReplyError::Void));
    drop(request);
    assert_eq!(soon(call).await.unwrap().unwrap(), "first");
    assert_eq!(pair.server.counters().unanswered_count, 0);
}

#[tokio::test]
async fn a_mailslot_that_is_dropped_is_gone_and_its_name_is_free() {
    let pair = Pair::new();
    let (mailslot, remote) = pair.mailslot("queue");
    let call = tokio::spawn(async move { remote.send("x").await });
    let request = soon(mailslot.receive()).await.unwrap();
    assert!(!request.is_void());
    assert!(!poll_once(request.voided()).await);
    let watcher = tokio::spawn(async move {
        request.voided().await;
        request
    });
    yield_now().await;
    drop(mailslot);
    let mut request = soon(watcher).await.unwrap();
    assert!(request.is_void());
    assert_eq!(request.reply("too late"), Err(ReplyError::Void));
    // The client is told by a reset, asks for the name again, and is served by the new one.
    echo(pair.server.define("queue", 10).unwrap());
    assert_eq!(soon(call).await.unwrap().unwrap(), "x");
}

//= SMP121-R-K
#[tokio::test]
async fn a_request_of_a_peer_that_starts_anew_becomes_void() {
    let pair = Pair::new();
    let (mailslot, remote) = pair.mailslot("queue");
    let address = pair.client.local_addr();
    let call = tokio::spawn(async move { remote.send("before").await });
    let mut request = soon(mailslot.receive()).await.unwrap();
    let Pair { hub, client, server } = pair;
    soon(client.close()).await;
    assert!(soon(call).await.unwrap().is_err());
    assert!(!request.is_void());
    let client = Endpoint::builder().start(hub.bind_at(address).unwrap()).unwrap();
    let remote = client.get(server.local_addr(), "queue").unwrap();
    let call = tokio::spawn(async move { remote.send("after").await });
    soon(request.voided()).await;
    assert!(request.is_void());
    assert_eq!(request.reply("for nobody"), Err(ReplyError::Void));
    let mut request = soon(mailslot.receive()).await.unwrap();
    assert_eq!(request.message(), "after");
    request.reply("here").unwrap();
    assert_eq!(soon(call).await.unwrap().unwrap(), "here");
    assert_eq!(server.counters().unanswered_count, 0);
}

#[tokio::test]
async fn a_reply_that_is_too_large_leaves_the_request_to_be_answered() {
    let hub = Hub::default();
    let client = Endpoint::builder().start(hub.bind().unwrap()).unwrap();
    let server = Endpoint::builder().with_profile(Profile::RDOS).start(hub.bind().unwrap()).unwrap();
    let mailslot = server.define("queue", 2000).unwrap();
    let remote = client.get(server.local_addr(), "queue").unwrap();
    let call = tokio::spawn(async move { remote.send("x").await });
    let mut request = soon(mailslot.receive()).await.unwrap();
    assert_eq!(request.reply(vec![0; 1385]), Err(ReplyError::TooLarge { len: 1385, max: 1384 }));
    request.reply(vec![0; 1384]).unwrap();
    assert_eq!(soon(call).await.unwrap().unwrap().len(), 1384);
}

#[tokio::test]
async fn more_requests_than_may_wait_are_refused_and_those_that_wait_go_on() {
    let mut limits = Limits::default();
    limits.waiting_count_max = 3;
    let hub = Hub::default();
    let client = Endpoint::builder().with_limits(limits).start(hub.bind().unwrap()).unwrap();
    let server = Endpoint::builder().start(hub.bind().unwrap()).unwrap();
    let mailslot = server.define("queue", 100).unwrap();
    let remote = client.get(server.local_addr(), "queue").unwrap();
    let mut calls: Vec<_> = (0..3).map(|_| Box::pin(remote.send("x"))).collect();
    for call in &mut calls {
        assert!(poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_pending())).await);
    }
    assert!(matches!(remote.send("x").await, Err(SendError::Usage(UsageError::Limit(_)))));
    echo(mailslot);
    for call in calls {
        assert_eq!(soon(call).await.unwrap(), "x");
    }
}
