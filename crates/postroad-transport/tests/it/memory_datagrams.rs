//! Datagrams inside the process: bounded queues, counted drops, and wakes that are not lost.

use std::future::poll_fn;
use std::sync::Arc;

use postroad_transport::ErrorKind;
use postroad_transport::memory::datagram::{Hub, HubConfig, Socket};
use wirekit::datagram::{DatagramSocket, Outgoing, PathErrorKind, ReceiveBatch, SendError};

use crate::support::soon;

async fn receive(socket: &Socket, batch: &mut ReceiveBatch) {
    soon(poll_fn(|cx| socket.poll_receive(cx, batch))).await.unwrap();
}

#[tokio::test]
async fn a_waiting_receiver_is_woken_with_a_batch_in_order() {
    let hub = Hub::default();
    let (a, b) = (hub.bind().unwrap(), Arc::new(hub.bind().unwrap()));
    let to = b.local_addr();
    let waiting = tokio::spawn({
        let b = Arc::clone(&b);
        async move {
            let mut batch = b.receive_batch(4, 100);
            receive(&b, &mut batch).await;
            batch.datagrams().map(|came| (came.source, came.payload.to_vec())).collect::<Vec<_>>()
        }
    });
    tokio::task::yield_now().await;
    let sent = a.try_send(&[Outgoing::new(to, b"1"), Outgoing::new(to, b"22"), Outgoing::new(to, b"")]).unwrap();
    assert_eq!(sent, 3);
    let from = a.local_addr();
    assert_eq!(soon(waiting).await.unwrap(), [(from, b"1".to_vec()), (from, b"22".to_vec()), (from, vec![])]);
}

#[tokio::test]
async fn a_full_queue_drops_the_newest_and_counts() {
    let hub = HubConfig::default().with_queue_len_max(2).build().unwrap();
    let (a, b) = (hub.bind().unwrap(), hub.bind().unwrap());
    for payload in [b"1", b"2", b"3"] {
        assert_eq!(a.try_send(&[Outgoing::new(b.local_addr(), payload)]).unwrap(), 1);
    }
    assert_eq!(b.overflow_count(), 1);
    let mut batch = b.receive_batch(1, 10);
    receive(&b, &mut batch).await;
    assert_eq!(batch.get(0).unwrap().payload, b"1");
    receive(&b, &mut batch).await;
    assert_eq!(batch.get(0).unwrap().payload, b"2");
    assert_eq!(b.try_receive(&mut batch).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn a_payload_passes_at_the_limit_and_is_too_long_one_past_it() {
    let hub = HubConfig::default().with_payload_len_max(10).build().unwrap();
    let (a, b) = (hub.bind().unwrap(), hub.bind().unwrap());
    assert_eq!(a.payload_len_max(b.local_addr()), 10);
    let (fits, long) = (Outgoing::new(b.local_addr(), &[1; 10]), Outgoing::new(b.local_addr(), &[1; 11]));
    assert_eq!(a.try_send(&[fits, long, fits]).unwrap(), 1);
    assert!(matches!(a.try_send(&[long, fits]), Err(SendError::TooLong { payload_len_max: Some(10) })));
    // A receiver that made room for less counts what it cannot take, and is told that something happened.
    let mut batch = b.receive_batch(4, 9);
    receive(&b, &mut batch).await;
    assert_eq!((batch.len(), batch.dropped().truncated_count), (0, 1));
}

#[tokio::test]
async fn nobody_at_the_address_is_a_path_error() {
    let hub = Hub::default();
    let (a, gone) = (hub.bind().unwrap(), hub.bind().unwrap().local_addr());
    a.try_send(&[Outgoing::new(gone, b"12345678rest")]).unwrap();
    let mut batch = a.receive_batch(1, 10);
    receive(&a, &mut batch).await;
    let error = batch.errors()[0];
    assert_eq!((error.destination, error.kind), (gone, PathErrorKind::PortUnreachable));
    assert_eq!(error.quoted, Some(*b"12345678"));
    assert!(batch.is_empty());
}

#[tokio::test]
async fn an_address_is_taken_once() {
    let hub = Hub::default();
    let first = hub.bind().unwrap();
    assert_eq!(hub.bind_at(first.local_addr()).unwrap_err().kind(), ErrorKind::AddressInUse);
    // Another hub is another network.
    Hub::default().bind_at(first.local_addr()).unwrap();
}
