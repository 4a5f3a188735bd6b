//! One sender over real connections.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

use crate::connection::config;
use bytes::Bytes;
use smp_framing::fanout::{FanOutConfig, FanOutError, FanOutLimits, Policy};
use smp_framing::machine::{AbandonReason, Event};
use smp_framing::{
    Arguments, Broadcast, Code, Connection, ConnectionError, Delivery, LeaveReason, Receiver, Sender, Subscription,
};
use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Payload of a full frame of one argument.
const FRAME_LEN: usize = 1491;

fn broadcast(queue_count_max: usize) -> Broadcast {
    let mut limits = FanOutLimits::default();
    limits.queue_count_max = queue_count_max;
    Broadcast::new(FanOutConfig::builder().with_limits(limits).build().unwrap())
}

/// What a peer got.
#[derive(Debug, Default, PartialEq, Eq)]
struct Got {
    frames: Vec<(Code, u32)>,
    by_id: BTreeMap<u16, Vec<(Code, u32)>>,
    payload: Vec<u8>,
    messages: Vec<Arguments>,
    abandoned: usize,
}

/// Reads to the end, frame by frame.
fn read<C: AsyncRead + AsyncWrite + Unpin + Send + 'static>(carrier: C) -> Reading {
    read_counting(carrier, Arc::default())
}

type Reading = JoinHandle<(Got, Option<ConnectionError>)>;

fn read_counting<C: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    carrier: C,
    frame_count: Arc<AtomicUsize>,
) -> Reading {
    let config = config().to_builder().with_delivery(Delivery::Frames).build().unwrap();
    let mut connection = Connection::new(carrier, config);
    tokio::spawn(async move {
        let mut got = Got::default();
        loop {
            match connection.receive().await {
                Ok(Some(Event::Frame(frame))) => {
                    frame_count.fetch_add(1, Ordering::Relaxed);
                    got.frames.push((frame.code, frame.ident.number));
                    got.by_id.entry(frame.ident.id).or_default().push((frame.code, frame.ident.number));
                    frame.arguments.iter().for_each(|payload| got.payload.extend_from_slice(payload));
                }
                Ok(Some(Event::Message(arguments))) => got.messages.push(arguments.compact()),
                Ok(Some(Event::Abandoned(_, AbandonReason::BySender))) => got.abandoned += 1,
                Ok(Some(Event::Error(_) | Event::Stop(_))) => {}
                Ok(Some(other)) => panic!("{other:?}"),
                Ok(None) => return (got, None),
                Err(error) => return (got, Some(error)),
            }
        }
    })
}

/// The sending end of a connection, with the rest of it that has to be kept.
fn spawn<C: AsyncRead + AsyncWrite + Unpin + Send + 'static>(carrier: C) -> (Sender, Receiver) {
    Connection::new(carrier, config()).spawn()
}

async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

struct Peer {
    subscription: Subscription,
    sender: Sender,
    _receiver: Receiver,
    reading: Reading,
    frame_count: Arc<AtomicUsize>,
}

impl Peer {
    async fn join(broadcast: &Broadcast, policy: Policy, over_tcp: bool) -> Self {
        let frame_count = Arc::default();
        let ((sender, receiver), reading) = if over_tcp {
            let (near, far) = tcp().await;
            (spawn(near), read_counting(far, Arc::clone(&frame_count)))
        } else {
            let (near, far) = duplex(2000);
            (spawn(near), read_counting(far, Arc::clone(&frame_count)))
        };
        let subscription = broadcast.subscribe(sender.clone(), policy).unwrap();
        Self { subscription, sender, _receiver: receiver, reading, frame_count }
    }

    /// Once the broadcast is over: why it left, and what it got.
    async fn end(self) -> (LeaveReason, Got) {
        let left = self.subscription.left().await;
        self.sender.close().await;
        (left, self.reading.await.unwrap().0)
    }
}

/// Octets that tell where in the message they stand.
fn content(frame_count: usize) -> Vec<u8> {
    (0..frame_count * FRAME_LEN).map(|at| u8::try_from(at / 7 % 251).unwrap()).collect()
}

/// The frames of a message that begins at `first`, as seen from there.
fn frames(first: u32, count: u32) -> Vec<(Code, u32)> {
    (0..count)
        .map(|at| {
            let code = match at {
                at if at + 1 == count => Code::LastFrame,
                0 => Code::NewFrame,
                _ => Code::ContinuingFrame,
            };
            (code, first.wrapping_add(at))
        })
        .collect()
}

async fn bounded<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), future).await.expect("in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_receivers_that_join_in_the_middle_get_the_rest_with_its_numbers() {
    //= SMPF-CONV-3 SMPF-B-FANOUT
    bounded(async {
        let (broadcast, content) = (broadcast(1024), content(160));
        let first_number = u32::MAX - 50;
        let mut body = broadcast.open_body_at(1, first_number).unwrap();
        let mut peers = Vec::new();
        for (at, frame) in content.chunks(FRAME_LEN).enumerate() {
            // The frame goes when the next one begins.
            body.write(0, Bytes::copy_from_slice(frame)).await.unwrap();
            if at % 20 == 10 {
                peers.push((at, Peer::join(&broadcast, Policy::Wait, peers.len() % 2 == 1).await));
            }
        }
        body.finish().await.unwrap();
        drop(broadcast);
        assert_eq!(peers.len(), 8);
        for (at, peer) in peers {
            assert_eq!(peer.subscription.dropped(), smp_framing::fanout::Dropped::default());
            let (left, got) = peer.end().await;
            assert_eq!(left, LeaveReason::Finished);
            let first = first_number.wrapping_add(u32::try_from(at).unwrap());
            assert_eq!(got.frames, frames(first, u32::try_from(160 - at).unwrap()));
            assert!(got.payload == content[at * FRAME_LEN..]);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_joins_before_the_last_frame_gets_that_one_alone_and_who_joins_after_it_nothing() {
    //= SMPF-CONV-3 SMPF-B-FANOUT
    bounded(async {
        let broadcast = broadcast(100);
        let mut body = broadcast.open_body(2).unwrap();
        body.write(0, Bytes::from_static(b"head")).await.unwrap();
        body.flush().await.unwrap();
        let before = Peer::join(&broadcast, Policy::Drop, false).await;
        body.write(1, Bytes::from_static(b"tail")).await.unwrap();
        body.finish().await.unwrap();
        let after = Peer::join(&broadcast, Policy::Drop, false).await;
        broadcast.send("message").await.unwrap();
        drop(broadcast);
        let (_, got) = before.end().await;
        assert_eq!((got.frames, got.payload, got.messages.len()), (vec![(Code::LastFrame, 1)], b"tail".to_vec(), 1));
        let (_, got) = after.end().await;
        assert_eq!((got.frames, got.messages), (vec![], vec!["message".into()]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_every_size_and_of_several_arguments_arrive_everywhere() {
    bounded(async {
        let broadcast = broadcast(100);
        let peers =
            [Peer::join(&broadcast, Policy::Wait, true).await, Peer::join(&broadcast, Policy::Wait, false).await];
        let mut large = Vec::new();
        for len in [0usize, 1, 1488, 1489, 5000, 70_000, 300_000] {
            let message = [Bytes::from_static(b"a"), vec![u8::try_from(len % 251).unwrap(); len].into()];
            if len > 1488 {
                large.extend(message.concat());
            }
            broadcast.send(message).await.unwrap();
        }
        drop(broadcast);
        for peer in peers {
            let (left, got) = peer.end().await;
            assert_eq!((left, got.messages.len(), got.abandoned), (LeaveReason::Finished, 3, 0));
            assert!(got.payload == large);
        }
    })
    .await;
}

/// A connection whose peer never reads, kept alive.
fn deaf(broadcast: &Broadcast, policy: Policy) -> (Subscription, Sender, Receiver, DuplexStream) {
    let (near, far) = duplex(2000);
    let (sender, receiver) = spawn(near);
    (broadcast.subscribe(sender.clone(), policy).unwrap(), sender, receiver, far)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_never_reads_is_dropped_or_disconnected_while_the_others_get_everything() {
    //= SMPF-B-SLOW-RECEIVER
    for policy in [Policy::Drop, Policy::Disconnect] {
        bounded(async {
            let broadcast = broadcast(64);
            let (subscription, sender, _receiver, mut far) = deaf(&broadcast, policy);
            let peers =
                [Peer::join(&broadcast, Policy::Wait, true).await, Peer::join(&broadcast, Policy::Wait, false).await];
            let content = content(3000);
            let mut body = broadcast.open_body(1).unwrap();
            let mut frames = content.chunks(FRAME_LEN);
            body.write(0, Bytes::copy_from_slice(frames.next().unwrap())).await.unwrap();
            body.flush().await.unwrap();
            // Its beginning is on its way before the rest floods the queue.
            let mut first = [0];
            far.read_exact(&mut first).await.unwrap();
            for frame in frames {
                body.write(0, Bytes::copy_from_slice(frame)).await.unwrap();
                assert!(subscription.queued_len() <= 64 * 1500, "its queue is bounded");
            }
            body.finish().await.unwrap();
            let dropped = subscription.dropped();
            assert_eq!(dropped, broadcast.dropped(), "nobody else went without");
            let frames_min = if policy == Policy::Drop { 1000 } else { 65 };
            assert!(dropped.frames >= frames_min && dropped.framed_messages == 1, "{dropped:?}");
            assert_eq!(dropped.octets, dropped.frames * 1500);
            drop(broadcast);
            for peer in peers {
                let (left, got) = peer.end().await;
                assert_eq!((left, got.frames.len()), (LeaveReason::Finished, 3000));
                assert!(got.payload == content);
            }
            if policy == Policy::Disconnect {
                assert_eq!((dropped.disconnections, subscription.left().await), (1, LeaveReason::TooSlow));
                sender.closed().await;
                let _rest = tokio::io::copy(&mut far, &mut tokio::io::sink()).await;
            } else {
                assert!(!sender.is_closed());
                let (far_in, far_out) = tokio::io::split(far);
                let reading = read(tokio::io::join(Cursor::new(first).chain(far_in), far_out));
                assert_eq!(subscription.left().await, LeaveReason::Finished);
                sender.close().await;
                let (got, _) = reading.await.unwrap();
                assert!(
                    got.abandoned == 1 && content.starts_with(&got.payload),
                    "a beginning, and word of its end: {} abandoned, {} octets, {dropped:?}",
                    got.abandoned,
                    got.payload.len()
                );
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_never_reads_and_is_waited_for_holds_the_sender_until_it_is_gone() {
    //= SMPF-B-SLOW-RECEIVER
    bounded(async {
        let broadcast = broadcast(64);
        let (subscription, sender, _receiver, far) = deaf(&broadcast, Policy::Wait);
        let peer = Peer::join(&broadcast, Policy::Wait, true).await;
        let content = content(2000);
        let sending = tokio::spawn({
            let (broadcast, content) = (broadcast.clone(), content.clone());
            async move {
                let mut body = broadcast.open_body(1).unwrap();
                for frame in content.chunks(FRAME_LEN) {
                    body.write(0, Bytes::copy_from_slice(frame)).await.unwrap();
                }
                body.finish().await.unwrap();
            }
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!sending.is_finished(), "it waits");
        assert!(subscription.queued_len() <= 64 * 1500);
        drop(far);
        sending.await.unwrap();
        assert_eq!(subscription.left().await, LeaveReason::ConnectionClosed);
        sender.closed().await;
        drop(broadcast);
        let (_, got) = peer.end().await;
        assert_eq!(got.abandoned, 0);
        assert!(got.payload == content, "the other one lost nothing by it");
    })
    .await;
}

#[tokio::test]
async fn who_is_dropped_from_a_message_gets_the_next_one_whole() {
    //= SMPF-B-SLOW-RECEIVER
    bounded(async {
        let broadcast = broadcast(8);
        let (subscription, sender, _receiver, far) = deaf(&broadcast, Policy::Drop);
        let mut body = broadcast.open_body(1).unwrap();
        for frame in content(2000).chunks(FRAME_LEN) {
            body.write(0, Bytes::copy_from_slice(frame)).await.unwrap();
        }
        assert_eq!(subscription.rejoin(body.id()), Ok(true));
        body.write(0, Bytes::from_static(b"!")).await.unwrap();
        let reading = read(far);
        while subscription.queued_len() > 0 {
            tokio::task::yield_now().await;
        }
        body.finish().await.unwrap();
        broadcast.send(vec![5; 4000]).await.unwrap();
        drop(broadcast);
        assert_eq!(subscription.left().await, LeaveReason::Finished);
        sender.close().await;
        let (got, _) = reading.await.unwrap();
        // What it had first, what it joined again, the next message: told apart by ID, and by the opening where one is reused.
        let runs: Vec<&[(Code, u32)]> =
            got.by_id.values().flat_map(|frames| frames.chunk_by(|_, (code, _)| *code != Code::NewFrame)).collect();
        assert_eq!((runs.len(), got.abandoned), (3, 1), "{runs:?}");
        for run in &runs {
            assert!(run.windows(2).all(|pair| pair[1].1 == pair[0].1 + 1), "no gap: {run:?}");
        }
        assert!(runs.contains(&&frames(1999, 2)[..]), "joined again at the number that the frame has anyway: {runs:?}");
        assert!(runs.contains(&&frames(0, 3)[..]), "the next message whole: {runs:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_killed_in_the_middle_of_a_message_leaves_by_itself() {
    //= SMPF-B-FANOUT
    bounded(async {
        let broadcast = broadcast(64);
        let killed = Peer::join(&broadcast, Policy::Wait, true).await;
        let other = Peer::join(&broadcast, Policy::Wait, false).await;
        let content = content(500);
        let mut body = broadcast.open_body(1).unwrap();
        for (at, frame) in content.chunks(FRAME_LEN).enumerate() {
            body.write(0, Bytes::copy_from_slice(frame)).await.unwrap();
            if at == 200 {
                killed.reading.abort();
            }
        }
        body.finish().await.unwrap();
        assert_eq!(killed.subscription.left().await, LeaveReason::ConnectionClosed);
        assert_eq!(broadcast.receiver_count(), 1);
        drop(broadcast);
        assert!(other.end().await.1.payload == content);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_its_sender_drops_is_cut_off_everywhere() {
    bounded(async {
        let broadcast = broadcast(64);
        let peers =
            [Peer::join(&broadcast, Policy::Drop, true).await, Peer::join(&broadcast, Policy::Wait, false).await];
        let mut body = broadcast.open_body(1).unwrap();
        body.write(0, Bytes::from_static(b"part")).await.unwrap();
        body.flush().await.unwrap();
        while peers.iter().any(|peer| peer.frame_count.load(Ordering::Relaxed) == 0) {
            tokio::task::yield_now().await;
        }
        let id = body.id();
        drop(body);
        assert_eq!(peers[0].subscription.rejoin(id), Err(FanOutError::NoSuchMessage), "over for the sender too");
        broadcast.send("next").await.unwrap();
        drop(broadcast);
        for peer in peers {
            let (_, got) = peer.end().await;
            assert_eq!((got.payload, got.abandoned, got.messages), (b"part".to_vec(), 1, vec!["next".into()]));
        }
    })
    .await;
}

#[tokio::test]
async fn who_is_unsubscribed_gets_nothing_more_and_keeps_its_connection() {
    bounded(async {
        let broadcast = broadcast(64);
        let peer = Peer::join(&broadcast, Policy::Drop, false).await;
        peer.subscription.unsubscribe();
        while broadcast.receiver_count() > 0 {
            tokio::task::yield_now().await;
        }
        broadcast.send("for nobody").await.unwrap();
        peer.sender.send("for you").await.unwrap();
        let (left, got) = peer.end().await;
        assert_eq!((left, got.messages), (LeaveReason::Unsubscribed, vec!["for you".into()]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dropped_write_did_not_send_goes_first() {
    bounded(async {
        let broadcast = broadcast(8);
        let (subscription, sender, _receiver, far) = deaf(&broadcast, Policy::Wait);
        let content = content(2000);
        let mut body = broadcast.open_body(1).unwrap();
        let write = body.write(0, Bytes::from(content.clone()));
        assert!(timeout(Duration::from_millis(200), write).await.is_err(), "it waits");
        let reading = read(far);
        assert_eq!(
            body.write(1, Bytes::from_static(b"x")).await,
            Err(FanOutError::NoSuchArgument { index: 1, count: 1 })
        );
        body.finish().await.unwrap();
        drop(broadcast);
        let left = subscription.left().await;
        sender.close().await;
        assert_eq!(left, LeaveReason::Finished);
        assert!(reading.await.unwrap().0.payload == content);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_stuck_in_the_middle_of_handing_over_is_disconnected_all_the_same() {
    //= SMPF-B-SLOW-RECEIVER
    bounded(async {
        let broadcast = broadcast(64);
        let (subscription, sender, _receiver, _far) = deaf(&broadcast, Policy::Disconnect);
        let is_stuck = || async {
            let drained = async {
                while subscription.queued_len() > 0 {
                    tokio::task::yield_now().await;
                }
            };
            timeout(Duration::from_millis(200), drained).await.is_err()
        };
        while !is_stuck().await {
            broadcast.send(vec![1; 1400]).await.unwrap();
        }
        while broadcast.dropped().disconnections == 0 {
            broadcast.send(vec![1; 1400]).await.unwrap();
        }
        assert_eq!(subscription.left().await, LeaveReason::TooSlow);
        sender.closed().await;
    })
    .await;
}

#[tokio::test]
async fn one_whose_connection_ends_leaves_although_nothing_is_sent() {
    bounded(async {
        let broadcast = broadcast(64);
        let (subscription, _sender, _receiver, far) = deaf(&broadcast, Policy::Wait);
        drop(far);
        assert_eq!(subscription.left().await, LeaveReason::ConnectionClosed);
        assert_eq!(broadcast.receiver_count(), 0);
    })
    .await;
}
