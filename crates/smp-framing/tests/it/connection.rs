//! Two connections over a pipe in memory.

use bytes::Bytes;
use futures_util::future::FutureExt;
use smp_framing::machine::{CloseReason, ErrorReport, Event};
use smp_framing::{Arguments, Config, Connection, ConnectionError, Delivery, Limits, SendError, UnitCodec, UserCode};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};

pub(crate) fn config() -> Config {
    Config::builder().with_heartbeat_interval(None).with_peer_timeout(None).build().unwrap()
}

pub(crate) fn pair(capacity: usize) -> (Connection<DuplexStream>, Connection<DuplexStream>) {
    let (a, b) = duplex(capacity);
    (Connection::new(a, config()), Connection::new(b, config()))
}

#[tokio::test]
async fn messages_of_every_size_arrive_as_they_were_sent() {
    let (mut a, mut b) = pair(1000);
    let sizes = [0usize, 1, 1490, 1491, 1492, 5000, 65_535, 65_536, 300_000];
    let sent: Vec<Arguments> = sizes.iter().map(|len| vec![7u8; *len].into()).collect();
    let expected = sent.clone();
    let sending = async move {
        for message in sent {
            a.send(message).await.unwrap();
        }
        a.close().await.unwrap();
    };
    let receiving = async move {
        let mut got = Vec::new();
        loop {
            match b.receive().await.unwrap() {
                Some(Event::Message(arguments)) => got.push(arguments),
                Some(Event::Assembled(assembled)) => got.push(assembled.arguments),
                Some(Event::Stop(_)) => {}
                None => break,
                other => panic!("{other:?}"),
            }
        }
        got
    };
    let ((), got) = tokio::join!(sending, receiving);
    assert!(got == expected);
}

#[tokio::test]
async fn control_units_arrive_with_their_content() {
    let (mut a, mut b) = pair(64);
    let sending = async {
        a.information("note").await.unwrap();
        a.error(ErrorReport::new(529, "slow down")).await.unwrap();
        a.heartbeat(Arguments::new()).await.unwrap();
        a.user(UserCode::User14, "mine").await.unwrap();
        a.close().await.unwrap();
    };
    let receiving = async {
        assert_eq!(b.receive().await.unwrap(), Some(Event::Information("note".into())));
        let Some(Event::Error(report)) = b.receive().await.unwrap() else { panic!("no report") };
        assert_eq!((report.number, report.text.as_str()), (Some(529), "slow down"));
        assert_eq!(b.receive().await.unwrap(), Some(Event::Heartbeat(Arguments::new())));
        assert_eq!(b.receive().await.unwrap(), Some(Event::User(UserCode::User14, "mine".into())));
        assert_eq!(b.receive().await.unwrap(), Some(Event::Stop(Arguments::new())));
        assert_eq!(b.receive().await.unwrap(), None);
        assert_eq!(b.receive().await.unwrap(), None);
    };
    tokio::join!(sending, receiving);
}

#[tokio::test]
async fn an_end_inside_a_unit_is_an_error_that_says_how_much_is_missing() {
    //= SMPF-R21
    let (mut raw, b) = duplex(64);
    let mut b = Connection::new(b, config());
    raw.write_all(&[0x01, 0x00, 0x05, b'a']).await.unwrap();
    drop(raw);
    let error = b.receive().await.unwrap_err();
    assert!(matches!(error, ConnectionError::Ended(CloseReason::Truncated { missing_len: 4 })), "{error:?}");
    assert_eq!(b.receive().await.unwrap(), None);
}

#[tokio::test]
async fn a_body_of_unknown_length_comes_frame_by_frame() {
    let (a, b) = duplex(4096);
    let mut a = Connection::new(a, config());
    let frames = config().to_builder().with_delivery(Delivery::Frames).build().unwrap();
    let mut b = Connection::new(b, frames);
    let sending = async {
        let body = a.open_body(2).unwrap();
        a.feed_body(body, 0, Bytes::from_static(b"head")).await.unwrap();
        for _ in 0..1000 {
            a.feed_body(body, 1, Bytes::from(vec![1u8; 1000])).await.unwrap();
        }
        a.finish_body(body).unwrap();
        a.close().await.unwrap();
    };
    let receiving = async {
        let (mut head, mut len) = (Vec::new(), 0);
        while let Some(event) = b.receive().await.unwrap() {
            if let Event::Frame(frame) = event {
                head.extend_from_slice(frame.arguments.get(0).unwrap());
                len += frame.arguments.get(1).unwrap().len();
            }
        }
        assert_eq!((head.as_slice(), len), (&b"head"[..], 1_000_000));
    };
    tokio::join!(sending, receiving);
}

/// A carrier that takes what is written in one piece or in slices, counts, and never has anything to read.
#[derive(Default)]
struct Mute {
    is_full: bool,
    is_vectored: bool,
    slices: Vec<usize>,
    flushes: usize,
    reading_fails: bool,
}

impl AsyncRead for Mute {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.reading_fails { Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())) } else { Poll::Pending }
    }
}

impl AsyncWrite for Mute {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.slices.push(1);
        Poll::Ready(Ok(if self.is_full { 0 } else { buf.len() }))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.slices.push(slices.len());
        Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        self.is_vectored
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushes += 1;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn large_payloads_go_in_slices_where_the_carrier_takes_them_and_are_flushed_once() {
    let message = || Bytes::from(vec![0; 50_000]);
    for (is_vectored, expected) in [(true, [2]), (false, [1])] {
        let carrier = Mute { is_vectored, ..Mute::default() };
        let large = config().to_builder().with_max_message_size(60_000).build().unwrap();
        let mut a = Connection::new(carrier, large);
        a.send(message()).await.unwrap();
        assert_eq!((&a.carrier().slices[..1], a.carrier().flushes), (&expected[..], 1));
    }
}

#[tokio::test]
async fn a_carrier_that_takes_nothing_or_cannot_be_read_has_failed() {
    let mut a = Connection::new(Mute { is_full: true, ..Mute::default() }, config());
    assert!(matches!(a.send("x").await, Err(SendError::Closed)));
    let mut a = Connection::new(Mute { reading_fails: true, ..Mute::default() }, config());
    let failed = a.receive().await;
    assert!(matches!(&failed, Err(ConnectionError::Carrier(e)) if e.kind() == io::ErrorKind::ConnectionReset));
    assert!(a.receive().await.unwrap().is_none());
}

#[tokio::test]
async fn an_end_of_the_carrier_at_a_boundary_is_in_order() {
    //= SMPF-R21
    let (mut raw, b) = duplex(64);
    let mut b = Connection::new(b, config());
    raw.write_all(&[0x01, 0, 1, b'a']).await.unwrap();
    drop(raw);
    assert_eq!(b.receive().await.unwrap(), Some(Event::Message("a".into())));
    assert_eq!(b.receive().await.unwrap(), None);
}

#[tokio::test]
async fn what_is_sent_is_with_the_carrier_and_what_is_fed_is_begun() {
    let (mut a, mut raw) = duplex_with(10);
    assert!(a.send(vec![0; 100]).now_or_never().is_none(), "10 octets have room");
    raw.read_exact(&mut [0; 10]).await.unwrap();
    let (mut a, _raw) = duplex_with(10);
    assert!(a.send("7octets").now_or_never().is_some(), "just so");
    assert!(a.send("").now_or_never().is_none(), "not one octet more");
    let (mut a, _raw) = duplex_with(10);
    assert!(a.information(vec![0; 100]).now_or_never().is_none(), "10 octets have room");
    let (mut a, mut raw) = duplex_with(1 << 20);
    a.feed(vec![0; 200_000]).await.unwrap();
    assert!(raw.read_exact(&mut [0; 1000]).now_or_never().is_some(), "much is written before it is waited for");
}

fn duplex_with(capacity: usize) -> (Connection<DuplexStream>, DuplexStream) {
    let (a, raw) = duplex(capacity);
    (Connection::new(a, config()), raw)
}

#[tokio::test]
async fn a_peer_that_takes_nothing_makes_nothing_grow() {
    //= SMPF-L-OUTGOING
    let (mut a, _raw) = duplex_with(10);
    let mut fed = 0;
    while fed < 3000 && a.feed(vec![0u8; 1000]).now_or_never().transpose().unwrap().is_some() {
        fed += 1;
    }
    assert!((200..400).contains(&fed), "{fed} messages of 1 kB, about 256 KiB may wait for the carrier");
    for _ in 0..100 {
        assert!(a.information("waits for room").now_or_never().is_none_or(|said| said.is_ok()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_comes_slowly_survives_the_heartbeats_and_keeps_the_peer() {
    //= SMPF-B-HEARTBEAT
    let (b, mut raw) = duplex(1000);
    let mut b = Connection::new(b, Config::default());
    let writing = async {
        for octet in [0x01, 0, 2, b'o', b'k'] {
            tokio::time::sleep(Duration::from_secs(100)).await;
            raw.write_all(&[octet]).await.unwrap();
        }
    };
    let (got, ()) = tokio::join!(b.receive(), writing);
    assert_eq!(got.unwrap(), Some(Event::Message("ok".into())));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_comes_before_the_one_waited_for_is_kept() {
    //= SMPF-L-LINGER
    let (b, _silent) = duplex(1000);
    let mut b = Connection::new(b, Config::default().to_builder().with_heartbeat_interval(None).build().unwrap());
    assert!(tokio::time::timeout(Duration::from_secs(1), b.receive()).await.is_err());
    let before = tokio::time::Instant::now();
    b.close().await.unwrap();
    assert_eq!(before.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn one_who_only_sends_keeps_few_events_and_does_not_lose_a_peer_that_it_does_not_read() {
    //= SMPF-L-EVENTS SMPF-B-HEARTBEAT
    let (a, raw) = duplex(1 << 16);
    let mut limits = Limits::default();
    limits.outgoing_len_max = 1;
    let config = Config::builder().with_limits(limits).with_heartbeat_interval(None).build().unwrap();
    let mut a = Connection::new(a, config);
    let (_raw_in, mut raw_out) = tokio::io::split(raw);
    let message = [0x01, 0xea, 0x60].into_iter().chain([0; 60_000]).collect::<Vec<u8>>();
    raw_out.write_all(&[0x80]).await.unwrap();
    let mut writing = tokio::spawn(async move {
        for _ in 0..200 {
            raw_out.write_all(&message).await.unwrap();
        }
    });
    assert!(matches!(a.receive().await, Ok(Some(Event::Pause(_)))));
    a.feed("fills the queue").await.unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(200), a.feed("x")).await.is_err(), "paused");
    assert!((&mut writing).now_or_never().is_none(), "12 MB are not taken in");
    for _ in 0..200 {
        assert!(matches!(a.receive().await, Ok(Some(Event::Message(_)))));
    }
}

#[tokio::test]
async fn the_codec_says_where_the_stream_ended_inside_a_unit() {
    use futures_util::StreamExt;
    let (mut raw, b) = duplex(64);
    raw.write_all(&[0x01, 0, 5, b'a']).await.unwrap();
    drop(raw);
    let mut b = tokio_util::codec::Framed::new(b, UnitCodec::default());
    let error = b.next().await.unwrap().unwrap_err();
    assert!(error.to_string().contains("at least 4 octets"), "{error}");
}
