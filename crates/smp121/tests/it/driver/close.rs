//! How endpoints end.

use super::{Pair, echo, soon};
use smp121::{Endpoint, OpenError, ReceiveError, ReplyError, SendError, StartError};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::yield_now;

#[tokio::test]
async fn an_endpoint_that_is_closed_says_so_to_everybody() {
    let pair = Pair::new();
    let (mailslot, remote) = pair.mailslot("queue");
    let here = Arc::new(pair.client.define("here", 10).unwrap());
    let nowhere = pair.client.get(pair.server.local_addr(), "queue").unwrap();
    let open_call = tokio::spawn({
        let remote = remote.clone();
        async move { remote.send("x").await }
    });
    let receiver = tokio::spawn({
        let here = Arc::clone(&here);
        async move { here.receive().await.map(drop) }
    });
    let request = soon(mailslot.receive()).await.unwrap();
    let client = pair.client.clone();
    soon(client.close()).await;
    soon(client.close()).await;
    assert!(matches!(soon(open_call).await.unwrap(), Err(SendError::Closed)));
    assert!(matches!(soon(receiver).await.unwrap(), Err(ReceiveError::Closed)));
    assert!(matches!(soon(remote.send("y")).await, Err(SendError::Closed)));
    assert!(matches!(soon(nowhere.resolve()).await, Err(SendError::Closed)));
    assert!(matches!(client.define("more", 10), Err(OpenError::Closed)));
    assert!(matches!(client.get(pair.server.local_addr(), "more"), Err(OpenError::Closed)));
    assert!(matches!(client.get_local("here"), Err(OpenError::Closed)));
    assert!(matches!(here.try_receive(), Err(ReceiveError::Closed)));
    // The address is free at once.
    pair.hub.bind_at(client.local_addr()).unwrap();
    drop(request);
}

#[tokio::test]
async fn a_request_in_service_can_be_answered_while_the_endpoint_closes() {
    let pair = Pair::new();
    let (mailslot, remote) = pair.mailslot("queue");
    let call = tokio::spawn(async move { remote.send("x").await });
    let mut request = soon(mailslot.receive()).await.unwrap();
    let server = pair.server.clone();
    let closing = tokio::spawn(async move { server.close().await });
    yield_now().await;
    assert!(matches!(mailslot.receive().await, Err(ReceiveError::Closed)));
    assert!(!closing.is_finished());
    request.reply("answer").unwrap();
    assert_eq!(soon(call).await.unwrap().unwrap(), "answer");
    soon(closing).await.unwrap();
    // Its acknowledgement was waited for.
    assert_eq!(pair.server.counters().protocol.replies_len, 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_never_answered_delays_the_end_by_two_seconds_at_most() {
    let pair = Pair::new();
    let (mailslot, remote) = pair.mailslot("queue");
    let _call = tokio::spawn(async move { remote.send("x").await });
    let mut request = mailslot.receive().await.unwrap();
    let begun_at = tokio::time::Instant::now();
    pair.server.close().await;
    assert!((2000..2010).contains(&begun_at.elapsed().as_millis()), "{:?}", begun_at.elapsed());
    assert!(request.is_void());
    request.voided().await;
    assert_eq!(request.reply("late"), Err(ReplyError::Closed));
}

//= SMP121-R-A
#[tokio::test(start_paused = true)]
async fn acknowledgements_that_wait_go_out_at_the_end() {
    let pair = Pair::new();
    let (mailslot, remote) = pair.mailslot("queue");
    echo(mailslot);
    remote.send("x").await.unwrap();
    assert_eq!(pair.client.counters().protocol.datagrams_sent_count, 2);
    let begun_at = tokio::time::Instant::now();
    pair.client.close().await;
    assert!(begun_at.elapsed() < Duration::from_millis(5), "{:?}", begun_at.elapsed());
    assert_eq!(pair.client.counters().protocol.datagrams_sent_count, 3);
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(pair.server.counters().protocol.replies_len, 0);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_closes_when_its_last_handle_is_dropped() {
    let pair = Pair::new();
    let (mailslot, remote) = pair.mailslot("queue");
    echo(mailslot);
    remote.send("x").await.unwrap();
    let address = pair.client.local_addr();
    let Pair { hub, client, server } = pair;
    drop(client);
    // A handle keeps it.
    remote.send("y").await.unwrap();
    assert!(hub.bind_at(address).is_err());
    drop(remote);
    tokio::time::sleep(Duration::from_millis(5)).await;
    hub.bind_at(address).unwrap();
    // And it did say its last.
    assert_eq!(server.counters().protocol.replies_len, 0);
}

#[test]
fn an_endpoint_whose_runtime_has_ended_is_closed() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (pair, mailslot) = runtime.block_on(async {
        let pair = Pair::new();
        let mailslot = pair.server.define("queue", 10).unwrap();
        (pair, mailslot)
    });
    drop(runtime);
    let other = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    other.block_on(async {
        assert!(matches!(soon(mailslot.receive()).await, Err(ReceiveError::Closed)));
        soon(pair.server.close()).await;
    });
}

#[test]
fn an_endpoint_needs_a_runtime() {
    let hub = postroad_transport::memory::datagram::Hub::default();
    let refused = Endpoint::builder().start(hub.bind().unwrap());
    assert!(matches!(refused, Err(StartError::NoRuntime)));
}
