//! What a peer can make an end keep, and what lets go of it.

use crate::hostile::{data, open};
use crate::pair::{Pair, config};
use crate::raw::Raw;
use bytes::Bytes;
use core::time::Duration;
use smrp::wire::Frame;
use smrp::{Accepted, Acceptor, Carrier, Code, Dial, Direction, Event, Kind, Request, Security};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

#[test]
fn replies_that_are_not_taken_hold_the_next_requests_back() {
    //= SMRP-X13
    let mut limits = config().limits;
    limits.replies_len_max = 100_000;
    let mut pair = Pair::ready(config(), config().with_limits(limits));
    let asked: Vec<_> = (0..3)
        .map(|_| pair.a.session.request(pair.now, Bytes::from_static(b"x"), Request::default()).unwrap())
        .collect();
    pair.pump();
    let session = &mut pair.b.session;
    session.send_whole(asked[0], Bytes::from(vec![7; 100_000])).unwrap();
    assert!(session.wants_requests(), "at the limit");
    session.send_whole(asked[1], Bytes::from_static(b"y")).unwrap();
    assert!(!session.wants_requests(), "one beyond it");
    session.reset(pair.now, asked[1], Code::CANCELLED, 0);
    assert!(session.wants_requests(), "a reply that was given up makes room");
    session.send_whole(asked[2], Bytes::from_static(b"z")).unwrap();
    assert!(!session.wants_requests());
    pair.pump();
    assert!(pair.b.session.wants_requests(), "and so does one that was sent");
}

#[tokio::test]
async fn who_asks_and_does_not_read_is_not_served_without_end() {
    //= SMRP-X13
    let (near, relayed) = tokio::io::duplex(16 << 10);
    let (far, accepted) = tokio::io::duplex(16 << 10);
    let (mut from_near, mut to_near) = tokio::io::split(relayed);
    let (mut from_far, mut to_far) = tokio::io::split(far);
    let (gate, mut is_open) = watch::channel(true);
    tokio::spawn(async move { tokio::io::copy(&mut from_near, &mut to_far).await });
    tokio::spawn(async move {
        let mut piece = [0; 1_024];
        while let Ok(len @ 1..) = from_far.read(&mut piece).await {
            drop(is_open.wait_for(|is_open| *is_open).await);
            to_near.write_all(&piece[..len]).await.unwrap();
        }
    });
    let carrier = |io| Carrier::new(io, Security::Plaintext, true);
    let (dial, acceptor) = (Dial::new(config()), Acceptor::new(config()).unwrap());
    let (asking, serving) = tokio::join!(dial.connect(carrier(near)), acceptor.accept(carrier(accepted)));
    let (asking, Accepted::Session(serving)) = (asking.unwrap(), serving.unwrap()) else { panic!("fresh") };
    let served = Arc::new(AtomicUsize::new(0));
    let count = served.clone();
    tokio::spawn(async move {
        while let Ok(request) = serving.accept_request().await {
            request.reply(Bytes::from(vec![7; 500_000])).unwrap();
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    gate.send_replace(false);
    let mut replies = Vec::new();
    for _ in 0..40 {
        replies.push(asking.request(Bytes::from_static(b"more"), Request::default()).await.unwrap());
    }
    let mut before = usize::MAX;
    while before != served.load(Ordering::Relaxed) || before == 0 {
        before = served.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert!((8..=12).contains(&before), "4 MiB of replies, and those on their way: {before}");
    gate.send_replace(true);
    for reply in replies {
        let reply = tokio::time::timeout(Duration::from_secs(20), reply).await.expect("goes on once they are read");
        assert_eq!(reply.unwrap().len(), 500_000);
    }
}

#[test]
fn what_will_never_be_whole_goes_with_the_session_and_not_with_its_last_user() {
    //= SMRP-X10
    let mut raw = Raw::ready();
    raw.send(&[open(0, 3, b"", false)]);
    let before = allocated_by(|| {
        (0..60).for_each(|_| raw.send(&[data(0, 16_000, false)]));
        raw.read();
        drop(raw.end.events());
    });
    assert!(before > 900_000, "half a request is kept: {before}");
    let after = allocated_by(|| raw.send(&[Frame::Ping { ack: true, data: 77 }, data(4, 1, false)]));
    assert!(!raw.is_fine() && matches!(raw.end.events().last(), Some(Event::Ended(_)) | None));
    assert!(after < -900_000, "and given back at the end: {after}");
}

/// Octets that are held afterwards and were not before.
fn allocated_by(work: impl FnOnce()) -> i64 {
    testkit::allocations::measure(work).bytes_current
}

/// A gibibyte one way, in windows of 64 KiB: no data comes back, nothing but credit and positions, 50,000 frames of them.
#[test]
fn whoever_reads_a_long_transfer_may_answer_as_often_as_its_windows_are_narrow() {
    //= SMRP-X2
    let mut narrow = config();
    (narrow.settings.init_max_data, narrow.settings.init_max_stream) = (64 << 10, 64 << 10);
    let mut pair = Pair::ready(config(), narrow);
    let id = pair.a.session.open(pair.now, Kind::Bytes, Direction::Uni, Request::default()).unwrap();
    let piece = Bytes::from(vec![7; 64 << 10]);
    let mut came = 0;
    while came < 1 << 30 {
        let _full = pair.a.session.write_bytes(id, piece.clone());
        pair.pump();
        while let Ok(Some(octets)) = pair.b.session.read_chunk(pair.now, id, 1 << 20) {
            came += octets.len();
        }
        assert_eq!(pair.a.session.stats().ledger_pauses, 0, "after {came} octets");
    }
    let stats = pair.a.session.stats();
    assert!(stats.ledger_charged > 1_000_000, "the whole account: {stats:?}");
    assert_eq!(pair.a.session.ended(), None);
}
