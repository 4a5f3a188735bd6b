//! What a carrier does against an endpoint, and what becomes of it.

use super::scripted::{Answer, Scripted};
use super::{Pair, echo, serve, soon};
use bytes::Bytes;
use postroad_transport::memory::datagram::HubConfig;
use smp121::machine::SendOptions;
use smp121::{Endpoint, ExchangeError, Mailslot, OpenError, ReceiveError, RemoteMailslot, SendError};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::{JoinSet, yield_now};
use tokio::time::sleep;
use wirekit::datagram::PathErrorKind;

/// A pair whose client has a carrier that does as it is told, with a mailslot whose name the client knows.
struct Told {
    pair: Pair,
    carrier: Arc<Scripted>,
    mailslot: Mailslot,
    remote: RemoteMailslot,
}

async fn told() -> Told {
    let hub = HubConfig::default().with_payload_len_max(9000).build().unwrap();
    let carrier = Arc::new(Scripted::new(hub.bind().unwrap()));
    let client = Endpoint::builder().start_shared(carrier.clone()).unwrap();
    let server = Endpoint::builder().start(hub.bind().unwrap()).unwrap();
    let pair = Pair { hub, client, server };
    let (mailslot, remote) = pair.mailslot("queue");
    remote.resolve().await.unwrap();
    carrier.take_calls();
    Told { pair, carrier, mailslot, remote }
}

#[tokio::test(start_paused = true)]
async fn a_full_socket_is_waited_for_and_nothing_is_lost() {
    let Told { pair, carrier, mailslot, remote } = told().await;
    echo(mailslot);
    carrier.set_writable(false);
    carrier.will([Answer::WouldBlock]);
    let call = tokio::spawn(async move { remote.send("x").await });
    sleep(Duration::from_millis(100)).await;
    assert_eq!(carrier.take_calls().len(), 1);
    assert!(!call.is_finished());
    carrier.set_writable(true);
    assert_eq!(soon(call).await.unwrap().unwrap(), "x");
    let counters = pair.client.counters();
    assert_eq!((counters.would_block_count, counters.protocol.resent_count), (1, 0));
}

/// A carrier that says it is ready and takes nothing does not hold up others, and is asked again.
#[tokio::test]
async fn a_carrier_that_is_never_as_ready_as_it_says_is_asked_again() {
    let Told { carrier, mailslot, remote, .. } = told().await;
    echo(mailslot);
    carrier.will([Answer::WouldBlock, Answer::Take(0), Answer::WouldBlock, Answer::WouldBlock]);
    assert_eq!(soon(remote.send("x")).await.unwrap(), "x");
    assert_eq!(carrier.script_len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_of_the_interface_is_given_pauses_that_grow_and_then_up() {
    let Told { pair, carrier, mailslot, remote } = told().await;
    echo(mailslot);
    carrier.will([Answer::NoBuffers; 6]);
    assert_eq!(remote.send("x").await.unwrap(), "x");
    let calls = carrier.take_calls();
    let pauses: Vec<u128> = calls.windows(2).map(|pair| (pair[1].0 - pair[0].0).as_millis()).collect();
    // Timers count milliseconds, and round up.
    let expected = [1, 2, 4, 8, 16, 32];
    assert!(pauses.iter().zip(expected).all(|(pause, least)| (least..=least + 1).contains(pause)), "{pauses:?}");
    assert!(pauses.len() >= expected.len());
    let counters = pair.client.counters();
    assert_eq!((counters.no_buffers_count, counters.send_failed_count), (6, 0));
    // One that went well makes the next pause short again.
    carrier.will([Answer::NoBuffers]);
    remote.send("y").await.unwrap();
    let calls = carrier.take_calls();
    assert!((calls[1].0 - calls[0].0).as_millis() <= 2, "{calls:?}");
    // The seventh refusal in a row counts as a loss, which the protocol makes good.
    carrier.will([Answer::NoBuffers; 7]);
    assert_eq!(remote.send("z").await.unwrap(), "z");
    let counters = pair.client.counters();
    assert_eq!((counters.no_buffers_count, counters.send_failed_count), (14, 1));
}

#[tokio::test(start_paused = true)]
async fn datagrams_that_a_carrier_takes_in_pieces_keep_their_order() {
    let Told { carrier, mailslot, remote, .. } = told().await;
    let order = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&order);
    serve(mailslot, move |request| {
        seen.lock().unwrap().push(request.message().len());
        Bytes::new()
    });
    carrier.set_writable(false);
    carrier.will([Answer::WouldBlock, Answer::Take(1), Answer::Take(3), Answer::WouldBlock, Answer::Take(2)]);
    let mut calls = JoinSet::new();
    for number in 0..16 {
        let remote = remote.clone();
        calls.spawn(async move { remote.send(vec![0; number]).await.unwrap() });
    }
    sleep(Duration::from_millis(1)).await;
    carrier.set_writable(true);
    while let Some(call) = calls.join_next().await {
        call.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), (0..16).collect::<Vec<usize>>());
    assert_eq!(carrier.script_len(), 0);
}

//= SMP121-A32
#[tokio::test(start_paused = true)]
async fn segments_get_shorter_where_the_path_takes_less() {
    let Told { pair, carrier, mailslot, remote } = told().await;
    serve(mailslot, |request| Bytes::copy_from_slice(&request.message().len().to_be_bytes()));
    carrier.will([Answer::TooLong(Some(1000))]);
    let reply = remote.send(vec![7; 100_000]).await.unwrap();
    assert_eq!(reply, &100_000_usize.to_be_bytes()[..]);
    let counters = pair.client.counters();
    assert_eq!(counters.too_long_count, 1);
    // What was encoded before is still long. From then on nothing is.
    let before = pair.client.counters().protocol;
    remote.send(vec![7; 100_000]).await.unwrap();
    let after = pair.client.counters().protocol;
    let (len, count) = (after.sent_len - before.sent_len, after.datagrams_sent_count - before.datagrams_sent_count);
    assert!(len / count <= 1000 && count > 100, "{count} datagrams of {len} octets");
}

#[tokio::test(start_paused = true)]
async fn the_length_that_a_path_takes_is_asked_for_when_a_handle_is_made() {
    let Told { pair, carrier, mailslot, .. } = told().await;
    carrier.set_payload_len_max(800);
    serve(mailslot, |_| Bytes::new());
    let remote = pair.client.get(pair.server.local_addr(), "queue").unwrap();
    let before = pair.client.counters().protocol.datagrams_sent_count;
    remote.send(vec![7; 7840]).await.unwrap();
    // Ten segments of 800 octets carry 784 each.
    assert_eq!(pair.client.counters().protocol.datagrams_sent_count - before, 10);
}

#[tokio::test(start_paused = true)]
async fn what_a_carrier_loses_is_sent_again() {
    let Told { pair, carrier, mailslot, remote } = told().await;
    echo(mailslot);
    carrier.will([Answer::Lose, Answer::Lose]);
    assert_eq!(remote.send("x").await.unwrap(), "x");
    assert_eq!(pair.client.counters().protocol.resent_count, 2);
}

#[tokio::test(start_paused = true)]
async fn a_datagram_that_a_carrier_cannot_send_is_counted_and_sent_again() {
    let Told { pair, carrier, mailslot, remote } = told().await;
    echo(mailslot);
    // The peer was there a moment ago, so neither is the end of it.
    carrier.will([Answer::Fail, Answer::Path(PathErrorKind::HostUnreachable)]);
    assert_eq!(remote.send("x").await.unwrap(), "x");
    let counters = pair.client.counters();
    assert_eq!((counters.send_failed_count, counters.unreachable_count), (1, 1));
    assert_eq!(counters.protocol.resent_count, 2);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_there_is_no_way_to_is_told_at_once() {
    let Told { pair, carrier, .. } = told().await;
    let nowhere = pair.client.get("198.18.9.9:9".parse().unwrap(), "queue").unwrap();
    carrier.will([Answer::Path(PathErrorKind::NetworkUnreachable)]);
    let outcome = nowhere.send("x").await;
    assert!(
        matches!(outcome, Err(SendError::Exchange(ExchangeError::Unreachable(PathErrorKind::NetworkUnreachable)))),
        "{outcome:?}"
    );
    let refused = pair.client.get("198.18.9.9:404".parse().unwrap(), "queue");
    assert!(matches!(refused, Err(OpenError::NoRoute { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_carrier_that_fails_ends_the_endpoint_and_everybody_hears_why() {
    let Told { pair, carrier, mailslot: _mailslot, remote } = told().await;
    let here = pair.client.define("here", 10).unwrap();
    let held = {
        let local = pair.client.get_local("here").unwrap();
        tokio::spawn(async move { local.send("x").await });
        soon(here.receive()).await.unwrap()
    };
    let open_call = tokio::spawn({
        let remote = remote.clone();
        async move { remote.send("x").await }
    });
    let receiver = tokio::spawn(async move { here.receive().await.map(drop) });
    yield_now().await;
    carrier.fail(io::ErrorKind::BrokenPipe);
    assert!(
        matches!(soon(open_call).await.unwrap(), Err(SendError::Carrier(error)) if error.kind() == io::ErrorKind::BrokenPipe)
    );
    assert!(matches!(soon(receiver).await.unwrap(), Err(ReceiveError::Carrier(_))));
    soon(held.voided()).await;
    let error = soon(remote.send("y")).await.unwrap_err();
    assert_eq!(error.to_string(), "the carrier failed: broken pipe");
    assert!(matches!(pair.client.define("more", 10), Err(OpenError::Carrier(_))));
    soon(pair.client.close()).await;
}

/// Where several tasks are woken by one batch, what they send goes out in one call.
#[tokio::test]
async fn what_several_woken_tasks_send_goes_in_one_call() {
    let Told { carrier, mailslot, remote, .. } = told().await;
    let mut requests = Vec::new();
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        let remote = remote.clone();
        calls.spawn(async move {
            remote.send("first").await.unwrap();
            remote.send("second").await.unwrap();
        });
    }
    // All eight come in a burst: one is woken by each.
    for _ in 0..8 {
        let mut request = soon(mailslot.receive()).await.unwrap();
        request.reply("").unwrap();
        requests.push(request);
    }
    carrier.take_calls();
    for _ in 0..8 {
        soon(mailslot.receive()).await.unwrap().reply("").unwrap();
    }
    while let Some(call) = soon(calls.join_next()).await {
        call.unwrap();
    }
    let sizes: Vec<usize> = carrier.take_calls().iter().map(|(_, count)| *count).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 8, "{sizes:?}");
    assert!(sizes.len() <= 2, "{sizes:?}");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_cannot_send_still_closes() {
    let Told { pair, carrier, remote, mailslot: _mailslot } = told().await;
    carrier.set_writable(false);
    carrier.will([Answer::WouldBlock]);
    let call = tokio::spawn(async move { remote.send_with("x", SendOptions::default()).await });
    yield_now().await;
    let begun_at = tokio::time::Instant::now();
    pair.client.close().await;
    assert!((2000..2010).contains(&begun_at.elapsed().as_millis()), "{:?}", begun_at.elapsed());
    assert!(matches!(call.await.unwrap(), Err(SendError::Closed)));
}
