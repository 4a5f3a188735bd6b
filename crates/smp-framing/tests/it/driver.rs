//! The driver on difficult carriers, with impatient callers, and against rude peers.

use crate::connection::{config, pair};
use bytes::Bytes;
use futures_util::future::FutureExt;
use smp_framing::machine::{CloseReason, Event};
use smp_framing::{
    Arguments, Code, Config, Connection, ConnectionError, Delivery, Incoming, Limits, SendError, Unit, UnitCodec,
};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use testkit::Rng;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};

/// A carrier that moves one octet at a time and is not ready every other time.
struct Drip {
    inner: DuplexStream,
    reads: usize,
    writes: usize,
}

impl Drip {
    const fn new(inner: DuplexStream) -> Self {
        Self { inner, reads: 0, writes: 0 }
    }
}

fn is_ready(calls: &mut usize, cx: &Context<'_>) -> bool {
    *calls += 1;
    if calls.is_multiple_of(2) {
        cx.waker().wake_by_ref();
    }
    *calls % 2 == 1
}

impl AsyncRead for Drip {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !is_ready(&mut self.reads, cx) {
            return Poll::Pending;
        }
        let mut one = [0];
        let mut small = ReadBuf::new(&mut one);
        std::task::ready!(Pin::new(&mut self.inner).poll_read(cx, &mut small))?;
        buf.put_slice(small.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Drip {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if !is_ready(&mut self.writes, cx) {
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_write(cx, &buf[..1])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

fn messages(count: usize) -> Vec<Arguments> {
    let mut rng = Rng::with_stream(7, 0);
    (0..count)
        .map(|_| {
            let parts = rng.range(0..4);
            (0..parts).map(|_| Bytes::from(vec![3; rng.range(0..1200)])).collect::<Vec<_>>().into()
        })
        .collect()
}

fn content(event: Event) -> Option<Arguments> {
    match event {
        Event::Message(arguments) => Some(arguments),
        Event::Assembled(whole) => Some(whole.arguments),
        _ => None,
    }
}

/// Compares without order: large messages may be overtaken.
fn assert_same(mut got: Vec<Arguments>, mut sent: Vec<Arguments>) {
    let key = |arguments: &Arguments| arguments.iter().map(<[u8]>::to_vec).collect::<Vec<_>>();
    got.sort_by_key(key);
    sent.sort_by_key(key);
    assert!(got == sent, "{} of {} messages", got.len(), sent.len());
}

#[tokio::test]
async fn reads_and_writes_of_one_octet_change_nothing() {
    //= SMPF-ABS-1
    let (a, b) = duplex(3);
    let mut a = Connection::new(Drip::new(a), config());
    let mut b = Connection::new(Drip::new(b), config());
    let sending = async {
        for message in messages(60) {
            a.feed(message).await.unwrap();
        }
        a.close().await.unwrap();
    };
    let receiving = async {
        let mut got = Vec::new();
        while let Some(event) = b.receive().await.unwrap() {
            got.extend(content(event));
        }
        got
    };
    let ((), got) = tokio::join!(sending, receiving);
    assert_same(got, messages(60));
}

#[tokio::test]
async fn the_end_of_the_peers_direction_ends_ours_in_order() {
    let (mut peer, b) = duplex(100);
    let mut b = Connection::new(b, config());
    peer.write_all(&[0x01, 0, 1, b'a']).await.unwrap();
    peer.shutdown().await.unwrap();
    assert!(matches!(b.receive().await.unwrap(), Some(Event::Message(_))));
    assert!(b.receive().await.unwrap().is_none());
    // Not because it was dropped: TLS would have no close_notify then.
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(5), peer.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(rest.is_empty());
    drop(b);
}

#[tokio::test]
async fn a_future_dropped_at_any_wait_loses_nothing() {
    //= SMPF-B-CANCEL
    let (a, b) = duplex(100);
    let mut limits = Limits::default();
    limits.outgoing_len_max = 500;
    let small_queue = config().to_builder().with_limits(limits).build().unwrap();
    let mut a = Connection::new(a, small_queue);
    let mut b = Connection::new(b, config());
    let mut got = Vec::new();
    let mut dropped = 0;
    for message in messages(400) {
        // A `feed` that is not ready at once is dropped and tried again: it must have queued nothing.
        while a.feed(message.clone()).now_or_never().transpose().unwrap().is_none() {
            dropped += 1;
            let _flushing = a.flush().now_or_never();
            while let Some(event) = b.receive().now_or_never().transpose().unwrap().flatten() {
                got.extend(content(event));
            }
            // A task that never waits gets nothing from tokio after a while.
            tokio::task::yield_now().await;
        }
    }
    let receiving = async {
        loop {
            // A `receive` that is dropped at each wait.
            match b.receive().now_or_never().transpose().unwrap() {
                Some(Some(event)) => got.extend(content(event)),
                Some(None) => break,
                None => tokio::task::yield_now().await,
            }
        }
    };
    let (closed, ()) = tokio::join!(a.close(), receiving);
    closed.unwrap();
    assert!(dropped > 20, "only {dropped} futures were dropped");
    assert_same(got, messages(400));
}

#[tokio::test]
async fn a_handle_whose_future_is_dropped_has_queued_all_or_nothing() {
    //= SMPF-B-CANCEL
    let (a, b) = pair(100);
    let (sender, _receiver) = a.spawn();
    let (_keep, mut receiver) = b.spawn();
    let mut sent = 0u32;
    for n in 0..5000u32 {
        let payload = Bytes::copy_from_slice(&n.to_be_bytes());
        if sender.send(payload).now_or_never().is_some() {
            sent += 1;
        } else {
            tokio::task::yield_now().await;
        }
    }
    assert!(sent < 5000, "some did not find room");
    sender.flush().await.unwrap();
    sender.close().await;
    let mut got = 0;
    while let Some(Incoming::Message(_)) = receiver.receive().await.unwrap() {
        got += 1;
    }
    assert_eq!(got, sent);
}

#[tokio::test]
async fn a_paused_sender_at_full_speed_keeps_a_bounded_queue_and_goes_on_after() {
    //= SMPF-B-BACKPRESSURE SMPF-R15 SMPF-L-OUTGOING
    let (mut a, mut b) = pair(1 << 16);
    b.pause_peer();
    b.flush().await.unwrap();
    assert!(b.receive().now_or_never().is_none(), "the PAUSE goes out here");
    assert_eq!(a.receive().await.unwrap(), Some(Event::Pause(Arguments::new())));
    let mut fed = 0;
    while a.feed(vec![0u8; 1000]).now_or_never().transpose().unwrap().is_some() {
        fed += 1;
    }
    assert!((1000..1100).contains(&fed), "{fed} messages of 1 kB queued, 1 MiB is allowed");
    assert!(b.receive().now_or_never().is_none(), "nothing comes while paused");
    b.resume_peer();
    let mut got = 0;
    let receiving = async {
        while got < fed {
            got += usize::from(content(b.receive().await.unwrap().unwrap()).is_some());
        }
    };
    let (flushed, ()) = tokio::join!(a.flush(), receiving);
    flushed.unwrap();
}

#[tokio::test]
async fn an_application_that_does_not_receive_holds_the_sender_back() {
    //= SMPF-B-BACKPRESSURE
    let (a, b) = pair(1 << 16);
    let (sender, mut control) = a.spawn();
    let (_keep, mut receiver) = b.spawn();
    let mut sent = 0usize;
    while tokio::time::timeout(Duration::from_millis(200), sender.send(vec![5u8; 10_000])).await.is_ok() {
        sent += 1;
        assert!(sent < 1000, "nothing holds the sender back");
    }
    // 256 requests, 1 MiB queued, 64 KiB on the carrier, 1 MiB until PAUSE and what was on its way: below 6 MiB.
    assert!((100..600).contains(&sent), "{sent} messages of 10 kB");
    let mut got = 0;
    while got < sent {
        let Some(Incoming::Body(body)) = receiver.receive().await.unwrap() else { panic!("10 kB come as a body") };
        assert_eq!(body.collect(20_000).await.unwrap().payload_len(), 10_000);
        got += 1;
    }
    assert!(control.receive().now_or_never().is_none(), "a PAUSE is no news for the application");
}

#[tokio::test]
async fn a_body_that_nobody_wants_does_not_hold_the_others_back() {
    let (a, b) = pair(1 << 16);
    let (sender, _control) = a.spawn();
    let (_keep, mut receiver) = b.spawn();
    let mut body = sender.open_body(1).await.unwrap();
    body.write(0, vec![0; 1000].into()).await.unwrap();
    let Some(Incoming::Body(unwanted)) = receiver.receive().await.unwrap() else { panic!("no body") };
    drop(unwanted);
    let flooding = async {
        for _ in 0..100 {
            body.write(0, vec![0; 100_000].into()).await.unwrap();
        }
        body.finish().await.unwrap();
        sender.send("after").await.unwrap();
    };
    let (got, ()) = tokio::join!(receiver.receive(), flooding);
    assert!(matches!(got, Ok(Some(Incoming::Message(message))) if message == "after".into()));
}

#[tokio::test(start_paused = true)]
async fn idle_connections_stay_up_by_their_heartbeats_and_a_silent_peer_is_lost() {
    //= SMPF-B-HEARTBEAT
    let (a, b) = duplex(1000);
    let (_sender, mut receiver) = Connection::new(a, Config::default()).spawn();
    let (other, mut other_receiver) = Connection::new(b, Config::default()).spawn();
    let hour = Duration::from_secs(3600);
    assert!(tokio::time::timeout(hour, receiver.receive()).await.is_err(), "nothing happened for an hour");
    other.send("still here").await.unwrap();
    assert!(matches!(receiver.receive().await, Ok(Some(Incoming::Message(_)))));
    assert!(other_receiver.receive().now_or_never().is_none());

    let (a, _silent) = duplex(1000);
    let mut a = Connection::new(a, Config::default());
    let before = tokio::time::Instant::now();
    let lost = loop {
        match a.receive().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("not an orderly end"),
            Err(error) => break error,
        }
    };
    assert!(matches!(lost, ConnectionError::Ended(CloseReason::PeerLost)), "{lost:?}");
    assert_eq!(before.elapsed().as_secs(), 120);
}

#[tokio::test]
async fn a_carrier_that_fails_is_one_error_and_then_the_end() {
    let (a, b) = duplex(10);
    let mut a = Connection::new(a, config());
    drop(b);
    assert!(matches!(a.send(vec![0; 5000]).await, Err(SendError::Closed)));
    assert!(matches!(a.receive().await, Err(ConnectionError::Carrier(_))));
    assert!(a.receive().await.unwrap().is_none());
    assert!(a.close().await.is_ok(), "nothing is left to close");
    assert!(a.send("x").await.is_err());
}

#[tokio::test]
async fn last_words_are_read_even_where_writing_fails() {
    let (a, mut b) = duplex(1000);
    let mut a = Connection::new(a, config());
    b.write_all(&[0x01, 0, 2, b'o', b'k', 0x70]).await.unwrap();
    drop(b);
    let _fails = a.send(vec![0; 5000]).await;
    assert_eq!(a.receive().await.unwrap(), Some(Event::Message("ok".into())));
    assert_eq!(a.receive().await.unwrap(), Some(Event::Stop(Arguments::new())));
    assert_eq!(a.receive().await.unwrap(), None, "the peer said STOP: that it is gone is in order");
}

#[tokio::test]
async fn the_one_who_stops_closes_and_the_other_sees_the_end() {
    //= SMPF-B-STOP SMPF-CODE-7
    let (a, mut raw) = duplex(1000);
    let mut a = Connection::new(a, config());
    let closing = tokio::spawn(async move { a.close().await });
    let mut octets = Vec::new();
    raw.read_to_end(&mut octets).await.unwrap();
    assert_eq!(octets, [0x70]);
    drop(raw);
    closing.await.unwrap().unwrap();
}

#[tokio::test]
async fn random_octets_do_no_harm_and_take_no_memory() {
    let mut rng = Rng::with_stream(1, 1);
    for _ in 0..200 {
        let (b, mut raw) = duplex(1 << 14);
        let mut b = Connection::new(b, config());
        let octets = rng.bytes(50_000);
        let writing = async move {
            let _peer_may_give_up = raw.write_all(&octets).await;
        };
        let reading = async { while let Ok(Some(_)) = b.receive().await {} };
        tokio::time::timeout(Duration::from_secs(20), async { tokio::join!(writing, reading) }).await.unwrap();
    }
}

#[tokio::test]
async fn frames_as_they_come_keep_little_however_long_the_body_is() {
    //= SMPF-ABS-2 SMPF-ABS-4
    let (a, b) = duplex(1 << 16);
    let mut a = Connection::new(a, config().to_builder().with_max_message_size(60_000).build().unwrap());
    let frames = config().to_builder().with_delivery(Delivery::Frames).build().unwrap();
    let mut b = Connection::new(b, frames);
    let piece = Bytes::from(vec![1; 1 << 16]);
    let sending = async {
        let body = a.open_body(1).unwrap();
        for _ in 0..2000 {
            a.feed_body(body, 0, piece.clone()).await.unwrap();
        }
        a.finish_body(body).unwrap();
        a.close().await.unwrap();
    };
    let receiving = async {
        let mut len = 0;
        while let Some(event) = b.receive().await.unwrap() {
            if let Event::Frame(frame) = event {
                len += frame.arguments.payload_len();
            }
        }
        len
    };
    let ((), len) = tokio::join!(sending, receiving);
    assert_eq!(len, 2000 << 16);
}

#[tokio::test]
async fn the_codec_alone_works_with_framed() {
    use futures_util::{SinkExt, StreamExt};
    let (a, b) = duplex(1000);
    let mut a = tokio_util::codec::Framed::new(a, UnitCodec::default());
    let mut b = tokio_util::codec::Framed::new(b, UnitCodec::new(100));
    let unit = |len: usize| Unit::plain(Code::Message, vec![1; len]).unwrap();
    let sending = async {
        a.send(unit(97)).await.unwrap();
        a.send(unit(98)).await.unwrap();
    };
    let receiving = async {
        assert_eq!(b.next().await.unwrap().unwrap(), unit(97));
        assert!(b.next().await.unwrap().is_err());
    };
    tokio::join!(sending, receiving);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_says_it_lives_and_takes_nothing_is_lost() {
    //= SMPF-B-HEARTBEAT SMPF-B-SLOW-RECEIVER SMPF-L-LINGER
    for len in [2000, 100_000, 1_000_000] {
        closing_fails_where_the_peer_takes_nothing(len).await;
    }
}

/// However little it is that waits: what the carrier did not take was not sent, and no STOP was either.
async fn closing_fails_where_the_peer_takes_nothing(len: usize) {
    let (a, mut raw) = duplex(1000);
    let mut a = Connection::new(a, Config::default());
    let begun = tokio::time::Instant::now();
    let living = async {
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_secs(10)).await;
            if raw.write_all(&[0x60]).await.is_err() {
                break;
            }
        }
    };
    let closing = async {
        a.feed(vec![0; len]).await.unwrap();
        let lost = a.close().await.unwrap_err();
        assert!(matches!(lost, ConnectionError::Ended(CloseReason::PeerLost)), "{lost:?}");
        assert_eq!(begun.elapsed().as_secs(), 120);
    };
    tokio::select! {
        () = living => panic!("the peer goes on for ever"),
        () = closing => {}
    }
}
