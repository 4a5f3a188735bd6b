//! What each carrier must do, over pairs of sockets that reach each other.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use wirekit::datagram::{DatagramSocket, Outgoing, SendError};

use super::receive;
use crate::support::{random_bytes, soon};

/// All of it. `a` and `b` reach each other.
pub(crate) async fn all<S: DatagramSocket + 'static>(a: S, b: S) {
    there_and_back(&a, &b).await;
    batches_keep_their_order(&a, &b).await;
    a_length_passes_at_the_limit_and_not_one_past_it(&a, &b).await;
    what_is_longer_than_the_room_is_dropped_and_counted(&a, &b).await;
    waiting_takes_nothing_and_can_be_given_up(&a, &b).await;
    many_tasks_send_at_once(Arc::new(a), Arc::new(b)).await;
}

async fn there_and_back<S: DatagramSocket>(a: &S, b: &S) {
    let mut batch = b.receive_batch(8, 2000);
    for len in [0, 1, 64, 1400] {
        let payload = random_bytes(len, 7);
        assert_eq!(a.try_send(&[Outgoing::new(b.local_addr(), &payload)]).unwrap(), 1);
        receive(b, &mut batch).await;
        let came = batch.get(0).unwrap();
        assert_eq!((came.source, came.destination), (a.local_addr(), Some(b.local_addr().ip())));
        assert!(came.payload == payload, "{len}");
        let answer = Outgoing { source: came.destination, ..Outgoing::new(came.source, came.payload) };
        assert_eq!(b.try_send(&[answer]).unwrap(), 1);
        let mut back = a.receive_batch(8, 2000);
        receive(a, &mut back).await;
        assert_eq!(back.get(0).unwrap().source, b.local_addr());
        assert!(back.get(0).unwrap().payload == payload, "{len}");
    }
    assert_eq!(a.source_for(b.local_addr()).unwrap(), a.local_addr().ip());
    assert_eq!(a.try_send(&[]).unwrap(), 0);
}

async fn batches_keep_their_order<S: DatagramSocket>(a: &S, b: &S) {
    let payloads: Vec<Vec<u8>> = (0..150u8).map(|number| vec![number; 50 + usize::from(number % 3)]).collect();
    let all: Vec<Outgoing<'_>> = payloads.iter().map(|payload| Outgoing::new(b.local_addr(), payload)).collect();
    let mut sent = 0;
    while sent < all.len() {
        sent += a.try_send(&all[sent..]).unwrap();
    }
    let mut batch = b.receive_batch(40, 100);
    let mut got = Vec::new();
    while got.len() < payloads.len() {
        receive(b, &mut batch).await;
        got.extend(batch.datagrams().map(|came| came.payload.to_vec()));
    }
    assert!(got == payloads);
}

async fn a_length_passes_at_the_limit_and_not_one_past_it<S: DatagramSocket>(a: &S, b: &S) {
    let limit = a.payload_len_max(b.local_addr());
    let longest = random_bytes(limit + 1, 3);
    let (fits, long) = (Outgoing::new(b.local_addr(), &longest[1..]), Outgoing::new(b.local_addr(), &longest));
    assert_eq!(a.try_send(&[fits, long, fits]).unwrap(), 1, "the one in the middle ends it");
    match a.try_send(&[long, fits]) {
        Err(SendError::TooLong { payload_len_max }) => assert!(payload_len_max.is_none_or(|max| max == limit)),
        other => panic!("{other:?}"),
    }
    let mut batch = b.receive_batch(2, limit);
    receive(b, &mut batch).await;
    assert!(batch.get(0).unwrap().payload == &longest[1..]);
}

async fn what_is_longer_than_the_room_is_dropped_and_counted<S: DatagramSocket>(a: &S, b: &S) {
    // Far longer than any header room beside the payload, and just one longer.
    for len in [101, 1000] {
        let payload = vec![1; len];
        let two = [Outgoing::new(b.local_addr(), &payload), Outgoing::new(b.local_addr(), &payload[..100])];
        assert_eq!(a.try_send(&two).unwrap(), 2);
        let mut batch = b.receive_batch(4, 100);
        while batch.is_empty() {
            receive(b, &mut batch).await;
        }
        assert_eq!((batch.len(), batch.get(0).unwrap().payload.len()), (1, 100));
        assert_eq!(batch.dropped().truncated_count, 1, "{len}");
    }
}

async fn waiting_takes_nothing_and_can_be_given_up<S: DatagramSocket>(a: &S, b: &S) {
    let mut batch = b.receive_batch(4, 100);
    assert_eq!(b.try_receive(&mut batch).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    {
        let mut waiting = pin!(poll_fn(|cx| b.poll_receive(cx, &mut batch)));
        let nobody = &mut Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(nobody).is_pending());
        // Given up: the next one waits with a waker of its own and gets what comes.
    }
    let (_, ()) = tokio::join!(async { receive(b, &mut batch).await }, async {
        tokio::task::yield_now().await;
        a.try_send(&[Outgoing::new(b.local_addr(), b"late")]).unwrap();
    });
    assert_eq!(batch.get(0).unwrap().payload, b"late");
    soon(poll_fn(|cx| a.poll_send_ready(cx))).await.unwrap();
    // What was received once is not there twice.
    let again = poll_fn(|cx| Poll::Ready(b.poll_receive(cx, &mut batch).is_ready())).await;
    assert!(!again);
}

async fn many_tasks_send_at_once<S: DatagramSocket + 'static>(a: Arc<S>, b: Arc<S>) {
    const TASKS: u8 = 8;
    // All of them fit a socket's buffer of the usual length.
    const EACH: u8 = 20;
    let senders: Vec<_> = (0..TASKS)
        .map(|task| {
            let (a, to) = (Arc::clone(&a), b.local_addr());
            tokio::task::spawn_blocking(move || {
                for number in 0..EACH {
                    assert_eq!(a.try_send(&[Outgoing::new(to, &[task, number])]).unwrap(), 1);
                }
            })
        })
        .collect();
    let mut batch = b.receive_batch(16, 100);
    let mut next = [0; TASKS as usize];
    for _ in 0..usize::from(TASKS) * usize::from(EACH) {
        while batch.is_empty() {
            receive(&*b, &mut batch).await;
        }
        for came in batch.datagrams() {
            let [task, number] = came.payload else { panic!("{:?}", came.payload) };
            assert_eq!(*number, next[usize::from(*task)], "each sender's own stay in order");
            next[usize::from(*task)] += 1;
        }
        batch.clear();
        if next == [EACH; TASKS as usize] {
            break;
        }
    }
    assert_eq!(next, [EACH; TASKS as usize]);
    for sender in senders {
        soon(sender).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_does_it_all() {
    let hub = postroad_transport::memory::datagram::Hub::default();
    all(hub.bind().unwrap(), hub.bind().unwrap()).await;
}
