//! How much is read at once, kept while nothing happens, and done before others have their turn.

use crate::connection::config;
use smp_framing::machine::Event;
use smp_framing::wire::{Decoder, ReceiveBuffer};
use smp_framing::{Code, Config, Connection, Incoming, Limits, Mode, NodeGeneration, Unit};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, duplex};
use tokio::time::timeout;

/// What one has at hand to see through.
#[derive(Default)]
struct Tap {
    /// Octets that may still be read.
    left_len: usize,
    /// How much each read that got something asked for.
    asked_lens: Vec<usize>,
    waker: Option<Waker>,
}

/// A carrier that has as many messages as its tap is opened for, and takes everything.
#[derive(Clone, Default)]
struct Spring(Arc<Mutex<Tap>>);

/// A message of 61 octets of payload.
const MESSAGE_LEN: usize = 64;

impl Spring {
    fn open(&self, message_count: usize) {
        let mut tap = self.0.lock().unwrap();
        tap.left_len += message_count * MESSAGE_LEN;
        if let Some(waker) = tap.waker.take() {
            waker.wake();
        }
    }

    fn asked_lens(&self) -> Vec<usize> {
        self.0.lock().unwrap().asked_lens.clone()
    }
}

impl AsyncRead for Spring {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let message = Unit::plain(Code::Message, vec![7; MESSAGE_LEN - 3]).unwrap().to_octets().unwrap();
        let mut tap = self.0.lock().unwrap();
        if tap.left_len == 0 {
            tap.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        tap.asked_lens.push(buf.remaining());
        let len = buf.remaining().min(tap.left_len);
        let at = (MESSAGE_LEN - tap.left_len % MESSAGE_LEN) % MESSAGE_LEN;
        let octets: Vec<u8> = message.iter().copied().cycle().skip(at).take(len).collect();
        buf.put_slice(&octets);
        tap.left_len -= len;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Spring {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

async fn receive_messages(connection: &mut Connection<Spring>, count: usize) {
    for _ in 0..count {
        match connection.receive().await.unwrap() {
            Some(Event::Message(message)) => assert_eq!(message.payload_len(), MESSAGE_LEN - 3),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn reads_that_come_back_full_ask_for_more_up_to_a_bound() {
    let spring = Spring::default();
    let mut connection = Connection::new(spring.clone(), config());
    spring.open(100_000);
    receive_messages(&mut connection, 100_000).await;
    let asked_lens = spring.asked_lens();
    assert!(asked_lens[0] <= 1024, "one who says little costs little: {asked_lens:?}");
    let most = *asked_lens.iter().max().unwrap();
    assert!((128 * 1024..512 * 1024).contains(&most), "one who says much costs few calls, and not any memory: {most}");
    assert!(asked_lens.len() < 100, "{} reads of 6.4 MB", asked_lens.len());
}

#[tokio::test(start_paused = true)]
async fn memory_of_a_burst_is_given_back_after_a_heartbeat_interval() {
    let spring = Spring::default();
    let config = Config::builder().with_heartbeat_interval(Some(Duration::from_secs(1))).with_peer_timeout(None);
    let mut connection = Connection::new(spring.clone(), config.build().unwrap());
    spring.open(100_000);
    receive_messages(&mut connection, 100_000).await;
    assert!(timeout(Duration::from_millis(900), connection.receive()).await.is_err());
    spring.open(1);
    receive_messages(&mut connection, 1).await;
    assert!(*spring.asked_lens().last().unwrap() > 64 * 1024, "kept while there may be more");
    assert!(timeout(Duration::from_millis(2100), connection.receive()).await.is_err());
    spring.open(1);
    receive_messages(&mut connection, 1).await;
    assert!(*spring.asked_lens().last().unwrap() <= 1024, "{:?}", spring.asked_lens().last());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_not_read_while_this_end_waits_to_send_is_not_lost() {
    //= SMPF-L-EVENTS
    let mut limits = Limits::default();
    (limits.event_count_max, limits.outgoing_len_max) = (8, 1000);
    let config = Config::builder()
        .with_limits(limits)
        .with_heartbeat_interval(None)
        .with_peer_timeout(Some(Duration::from_secs(10)));
    let (near, mut far) = duplex(1 << 16);
    let mut near = Connection::new(near, config.build().unwrap());
    // A PAUSE, and so many messages that the RESUME behind them is not read before they are taken.
    let told = [&[0x80][..], &[0x01, 0, 1, b'x'].repeat(20), &[0x90]].concat();
    far.write_all(&told).await.unwrap();
    assert_eq!(near.receive().await.unwrap(), Some(Event::Pause(Default::default())));
    let fed = async { while near.feed(vec![0; 500]).await.is_ok() {} };
    assert!(timeout(Duration::from_secs(60), fed).await.is_err(), "it waits, and is not told that the end has come");
    for _ in 0..20 {
        assert_eq!(near.receive().await.unwrap(), Some(Event::Message("x".into())));
    }
    assert_eq!(near.receive().await.unwrap(), Some(Event::Resume(Default::default())));
    near.flush().await.unwrap();
    assert_eq!(far.read_u8().await.unwrap(), 0x01);
}

#[tokio::test]
async fn what_came_in_one_read_is_handed_over_whole_however_many_messages_it_has() {
    let (near, mut far) = duplex(1 << 20);
    far.write_all(&[0x01, 0, 1, b'x'].repeat(50_000)).await.unwrap();
    let (_sender, mut receiver) = Connection::new(near, config()).spawn();
    let receiving = async {
        for _ in 0..50_000 {
            assert!(matches!(receiver.receive().await.unwrap(), Some(Incoming::Message(_))));
        }
    };
    assert!(timeout(Duration::from_secs(20), receiving).await.is_ok(), "nothing else wakes the task");
}

#[tokio::test(start_paused = true)]
async fn a_body_given_up_while_paused_holds_the_pause_against_nobody() {
    //= SMPF-L-PAUSED
    let (near, mut far) = duplex(1 << 16);
    let mut near = Connection::new(near, config());
    far.write_all(&[0x80]).await.unwrap();
    assert_eq!(near.receive().await.unwrap(), Some(Event::Pause(Default::default())));
    let body = near.open_body(1).unwrap();
    near.feed_body(body, 0, vec![0; 5000].into()).await.unwrap();
    assert!(timeout(Duration::from_secs(100), near.receive()).await.is_err());
    near.abandon_body(body).unwrap();
    assert!(timeout(Duration::from_secs(1000), near.receive()).await.is_err(), "nothing is held back any more");
}

#[tokio::test]
async fn a_message_that_came_goes_on_in_frames_where_it_is_too_long_for_one_unit() {
    let (near, far) = duplex(1 << 16);
    let (mut near, mut far) = (Connection::new(near, config()), Connection::new(far, config()));
    let relayed = |len: usize| {
        let octets = Unit::plain(Code::Message, vec![5; len]).unwrap().to_octets().unwrap();
        let mut buffer = ReceiveBuffer::from(&octets[..]);
        Decoder::new(Decoder::UNIT_LEN_MAX).decode(&mut buffer).unwrap().unwrap().into_arguments()
    };
    near.send(relayed(1491)).await.unwrap();
    assert_eq!(far.receive().await.unwrap(), Some(Event::Message(vec![5; 1491].into())));
    near.send(relayed(1492)).await.unwrap();
    match far.receive().await.unwrap() {
        Some(Event::Assembled(whole)) => assert_eq!((whole.frame_count, whole.arguments), (2, vec![5; 1492].into())),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_message_without_arguments_that_came_goes_on_to_an_npm_peer_with_an_empty_one() {
    //= SMPF-N1
    let (near, mut far) = duplex(100);
    let config = config().to_builder().with_mode(Mode::Node(NodeGeneration::V1_0)).build().unwrap();
    let mut near = Connection::new(near, config);
    let mut buffer = ReceiveBuffer::from(&[0x00][..]);
    let came = Decoder::new(Decoder::UNIT_LEN_MAX).decode(&mut buffer).unwrap().unwrap().into_arguments();
    near.send(came).await.unwrap();
    let mut sent = [0xff; 3];
    timeout(Duration::from_secs(5), far.read_exact(&mut sent)).await.expect("three octets").unwrap();
    assert_eq!(sent, [0x01, 0, 0]);
}

#[tokio::test]
async fn messages_that_carry_nothing_count_as_small_units_whichever_way_they_are_taken() {
    //= SMPF-L-SMALL-UNITS
    let mut limits = Limits::default();
    limits.small_units_per_second_max = 5;
    let (near, mut far) = duplex(100);
    let mut near = Connection::new(near, config().to_builder().with_limits(limits).build().unwrap());
    // Full ones between are not counted.
    far.write_all(&[0x00, 0x01, 0, 1, b'x', 0x01, 0, 0].repeat(3)).await.unwrap();
    for _ in 0..9 {
        assert!(matches!(near.receive().await.unwrap(), Some(Event::Message(_))));
    }
    assert_eq!(near.counters().small_unit_pauses, 1, "six are one past the budget");
}
