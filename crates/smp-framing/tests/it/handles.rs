//! Connections with a task of their own.

use crate::connection::pair;
use bytes::Bytes;
use smp_framing::machine::AbandonReason;
use smp_framing::{BodyError, Incoming};

#[tokio::test]
async fn many_tasks_send_and_bodies_pass_beside_messages() {
    let (a, b) = pair(1000);
    let (a, _keep) = a.spawn();
    let (_b, mut receiver) = b.spawn();
    let mut body = a.open_body(1).await.unwrap();
    let sending = tokio::spawn(async move {
        for _ in 0..500 {
            body.write(0, Bytes::from(vec![9u8; 10_000])).await.unwrap();
        }
        body.finish().await.unwrap();
    });
    let senders: Vec<_> = (0..8)
        .map(|_| {
            let sender = a.clone();
            tokio::spawn(async move {
                for _ in 0..100 {
                    sender.send("small").await.unwrap();
                }
            })
        })
        .collect();
    let (mut messages, mut bodies) = (0, Vec::new());
    while messages < 800 || bodies.is_empty() {
        match receiver.receive().await.unwrap() {
            Some(Incoming::Message(arguments)) => {
                assert_eq!(arguments, "small".into());
                messages += 1;
            }
            Some(Incoming::Body(body)) => bodies.push(tokio::spawn(body.collect(10_000_000))),
            other => panic!("{other:?}"),
        }
    }
    for sender in senders {
        sender.await.unwrap();
    }
    sending.await.unwrap();
    assert_eq!(bodies.len(), 1);
    let body = bodies.remove(0).await.unwrap().unwrap();
    assert_eq!((body.count(), body.payload_len()), (1, 5_000_000));
    a.close().await;
    assert!(receiver.receive().await.unwrap().is_none());
}

#[tokio::test]
async fn a_body_that_is_dropped_is_cut_off_at_the_other_end() {
    let (a, b) = pair(1000);
    let (a, _keep) = a.spawn();
    let (_b, mut receiver) = b.spawn();
    let mut body = a.open_body(1).await.unwrap();
    body.write(0, Bytes::from_static(b"part")).await.unwrap();
    let Some(Incoming::Body(mut incoming)) = receiver.receive().await.unwrap() else { panic!("no body") };
    assert_eq!(incoming.next().await.unwrap(), Some((0, Bytes::from_static(b"part"))));
    drop(body);
    assert_eq!(incoming.next().await, Err(BodyError::Abandoned(AbandonReason::BySender)));
    let Some(Incoming::Error(report)) = receiver.receive().await.unwrap() else { panic!("no report") };
    assert_eq!(report.number, Some(501));
}

#[tokio::test]
async fn dropping_every_handle_closes_in_order() {
    let (a, mut b) = pair(1000);
    drop(a.spawn());
    while b.receive().await.unwrap().is_some() {}
}
