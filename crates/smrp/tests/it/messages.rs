//! Many short messages: the short ways of sending and receiving them are the long ones, faster.

use crate::driver::{named, pair};
use crate::pair::config;
use crate::raw::{Raw, encode};
use bytes::Bytes;
use core::future::poll_fn;
use core::pin::pin;
use futures_sink::Sink;
use smrp::wire::{CRITICAL, Frame, Header, Msg, ParametersBuilder};
use smrp::{Limits, ReceiveError, Request, SendError, StreamId};
use testkit::Rng;

fn id(number: u64) -> StreamId {
    StreamId::new(number)
}

fn msg(stream: u64, id_of: Option<u64>, first: bool, last: bool, data: Vec<u8>) -> Frame {
    Frame::Msg(Msg { stream: id(stream), id: id_of, offset: None, ttl_ms: None, first, last, data: data.into() })
}

/// Frames on two channels, one in order, mostly whole messages, now and then something that is a fault.
fn frames(rng: &mut Rng) -> Vec<Frame> {
    let open = |stream: u64, kind: u8| {
        Frame::Open(smrp::wire::Open {
            stream: id(stream),
            kind_and_priority: kind << 4 | 3,
            credit: None,
            ttl_ms: None,
            metadata: None,
            data: Bytes::new(),
            fin: false,
        })
    };
    let mut frames = vec![open(0, 1), open(4, 2)];
    let mut under_way = false;
    for step in 0..rng.below(60) {
        let data = vec![
            step.to_le_bytes()[0];
            {
                let most = if rng.below(3) == 0 { 5_020 } else { 90 };
                usize::try_from(rng.below(most)).unwrap()
            }
        ];
        let stream = if rng.below(3) == 0 { 4 } else { 0 };
        frames.push(match rng.below(40) {
            0 => msg(stream, Some(rng.below(9)), true, true, data),
            1..3 => {
                under_way = !under_way;
                msg(0, None, under_way, !under_way, data)
            }
            3 => Frame::Ping { ack: false, data: step },
            4 => Frame::MsgSkip { stream: id(stream), first: 0, count: rng.below(3) },
            5 if rng.below(4) == 0 => Frame::Data { stream: id(stream), offset: None, fin: true, data: Bytes::new() },
            6 if rng.below(9) == 0 => {
                Frame::Reset { stream: id(stream), code: smrp::Code::CANCELLED, final_len: 0, reliable_len: 0 }
            }
            _ => msg(stream, None, true, true, data),
        });
    }
    frames
}

type Came = Result<Option<Bytes>, ReceiveError>;

/// What a session made of octets: what came, how it stands, what it said.
fn outcome(octets: &[u8], seed: u64) -> (Vec<Came>, String, Vec<Frame>) {
    let mut settings = config().settings;
    settings.init_max_data = 65_536;
    settings.init_max_stream = 16_384;
    settings.init_max_msgs = 20;
    settings.max_message = 5_000;
    let mut raw = Raw::greeted_with(config().with_settings(settings), ParametersBuilder::new());
    raw.read();
    let mut rng = Rng::new(seed);
    let mut came = Vec::new();
    let mut at = 0;
    while at < octets.len() && raw.is_fine() {
        let end = octets.len().min(at + usize::try_from(rng.below(30_000)).unwrap() + 1);
        raw.send_octets(&octets[at..end]);
        at = end;
        for _ in 0..rng.below(12) {
            let now = raw.now;
            came.push(raw.end.session.receive_message(now, id(rng.below(2) * 4)));
        }
        if rng.below(30) == 0 {
            let now = raw.now;
            raw.end.session.release_receive(now, id(0));
        }
    }
    let said = raw.read();
    (came, format!("{:?} {:?}", raw.end.session.stats(), raw.end.session.ended()), said)
}

#[test]
fn whole_messages_do_by_the_short_way_what_they_do_by_the_long_one() {
    //= SMRP-M1, SMRP-M5, SMRP-FC2, SMRP-R1
    let (mut faults, mut messages) = (0, 0);
    for seed in 0..3_000 {
        let frames = frames(&mut Rng::new(seed));
        let short = encode(&frames);
        // The bit C changes nothing in a frame that is known, and keeps it from the short way.
        let mut long = short.clone();
        let mut at = 0;
        while let Some(header) = long.get(at..).and_then(|rest| Header::decode(rest).unwrap()) {
            long[at + 1] |= CRITICAL;
            at += header.len + header.body_len;
        }
        let (short, long) = (outcome(&short, seed), outcome(&long, seed));
        assert_eq!(short, long, "seed {seed}: {frames:?}");
        faults += u64::from(short.1.contains("Fault"));
        messages += short.0.iter().filter(|came| matches!(came, Ok(Some(_)))).count();
    }
    assert!(faults > 300 && faults < 2_500 && messages > 10_000, "{faults} faults, {messages} messages");
}

#[tokio::test]
async fn what_is_fed_arrives_in_order_with_what_is_sent() {
    let (a, b) = pair().await;
    let mut sender = a.open_messages(true, named("/log")).await.unwrap();
    let reader = tokio::spawn(async move {
        let (mut receiver, _) = b.accept_messages().await.unwrap();
        let mut lens = Vec::new();
        while let Some(message) = receiver.receive().await.unwrap() {
            assert!(message.iter().all(|octet| usize::from(*octet) == lens.len() % 251));
            lens.push(message.len());
        }
        lens
    });
    let mut sent = Vec::new();
    let mut rng = Rng::new(3);
    for number in 0..30_000_usize {
        let len = usize::try_from(if rng.below(200) == 0 { rng.below(40_000) } else { rng.below(80) }).unwrap();
        let message = Bytes::from(vec![u8::try_from(number % 251).unwrap(); len]);
        sent.push(len);
        match rng.below(10) {
            0 => sender.send(message).await.unwrap(),
            1 => {
                while sender.try_send(message.clone()).is_err() {
                    tokio::task::yield_now().await;
                }
            }
            2..6 => {
                let mut sink = pin!(&mut sender);
                poll_fn(|cx| sink.as_mut().poll_ready(cx)).await.unwrap();
                sink.as_mut().start_send(message).unwrap();
                if rng.below(50) == 0 {
                    poll_fn(|cx| sink.as_mut().poll_flush(cx)).await.unwrap();
                }
            }
            _ => sender.feed(message).await.unwrap(),
        }
    }
    sender.finish().unwrap();
    assert_eq!(reader.await.unwrap(), sent);
}

#[tokio::test]
async fn what_is_fed_waits_until_it_is_flushed() {
    let (a, b) = pair().await;
    let mut sender = a.open_messages(true, Request::default()).await.unwrap();
    let (mut receiver, _) = b.accept_messages().await.unwrap();
    sender.feed(Bytes::from_static(b"one")).await.unwrap();
    let early = tokio::time::timeout(core::time::Duration::from_millis(50), receiver.receive()).await;
    assert!(early.is_err(), "it waits for others");
    sender.flushed().await.unwrap();
    assert_eq!(receiver.receive().await.unwrap().unwrap(), &b"one"[..]);
    sender.feed(Bytes::from_static(b"two")).await.unwrap();
    let mut sink = pin!(sender);
    poll_fn(|cx| sink.as_mut().poll_close(cx)).await.unwrap();
    assert_eq!(receiver.receive().await.unwrap().unwrap(), &b"two"[..]);
    assert_eq!(receiver.receive().await.unwrap(), None);
}

#[tokio::test]
async fn feeding_waits_for_a_reader_and_says_what_is_too_long() {
    let mut config = crate::driver::config().with_limits(Limits::default());
    config.settings.max_message = 10;
    let (a, b) = crate::driver::pair_with(config).await;
    let mut sender = a.open_messages(true, Request::default()).await.unwrap();
    let (mut receiver, _) = b.accept_messages().await.unwrap();
    assert_eq!(sender.feed(Bytes::from(vec![1; 11])).await, Err(SendError::TooLarge { len: 11, max: 10 }));
    let mut count = 0_u64;
    let full = tokio::time::timeout(core::time::Duration::from_millis(500), async {
        loop {
            sender.feed(Bytes::from(vec![1; 10])).await.unwrap();
            count += 1;
        }
    });
    assert!(full.await.is_err() && count < 100_000, "{count} messages and nobody reads");
    let reader = tokio::spawn(async move {
        let mut came = 0;
        while receiver.receive().await.unwrap().is_some() {
            came += 1;
        }
        came
    });
    sender.finish().unwrap();
    assert_eq!(reader.await.unwrap(), count);
}
