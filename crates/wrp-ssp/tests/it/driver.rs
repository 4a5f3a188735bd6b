//! Streams of tokio.

use crate::{base, cut, options, packet, stream};
use futures_util::{StreamExt as _, stream as items};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::sync::mpsc;
use wrp::Message;
use wrp_ssp::driver::{Segmented, StreamReader};
use wrp_ssp::{Limits, Options, Reassembler, StreamError, Timing};

/// A channel as a stream.
fn channel(capacity: usize) -> (mpsc::Sender<Message>, impl futures_util::Stream<Item = Message> + Unpin) {
    let (sender, mut receiver) = mpsc::channel(capacity);
    (sender, Box::pin(items::poll_fn(move |cx| receiver.poll_recv(cx))))
}

//= SSP-B2
#[tokio::test]
async fn what_is_read_is_cut_and_joined_again() {
    let octets: Vec<u8> = (0..300_000_u32).map(|at| (at / 7) as u8).collect();
    let mut messages = Vec::new();
    let mut segmented = Segmented::new(&octets[..], base(), Options::new("s1").with_packet_len(10_000)).unwrap();
    while let Some(message) = segmented.next().await {
        messages.push(message.unwrap());
    }
    assert_eq!(messages.len(), 31, "a reader's end is only seen by one more read");
    messages.reverse();
    let mut read = Vec::new();
    StreamReader::new(items::iter(messages), stream()).read_to_end(&mut read).await.unwrap();
    assert_eq!(read, octets);
}

//= SSP-B1
#[tokio::test]
async fn a_reader_that_pauses_stops_the_messages() {
    let (sender, receiver) = channel(1);
    let sending = tokio::spawn(async move {
        let mut sent = 0;
        for number in 0..1000 {
            let end: &[&str] = if number == 999 { &["stream-final-packet: eof"] } else { &[] };
            if tokio::time::timeout(Duration::from_millis(200), sender.send(packet(number, end, &[7; 1000])))
                .await
                .is_err()
            {
                break;
            }
            sent += 1;
        }
        sent
    });
    let mut reader = StreamReader::new(receiver, stream());
    reader.read_exact(&mut [0; 1500]).await.unwrap();
    assert!(sending.await.unwrap() <= 4, "two were read, one waits in the channel, one with its sender");
}

//= SSP-T1, SSP-R8
#[tokio::test(start_paused = true)]
async fn silence_is_an_error_in_time_and_the_end_of_the_messages_at_once() {
    let (sender, receiver) = channel(10);
    sender.send(packet(0, &[], b"abc")).await.unwrap();
    sender.send(packet(2, &[], b"ghi")).await.unwrap();
    let begun = tokio::time::Instant::now();
    let mut read = Vec::new();
    let error = StreamReader::new(receiver, stream()).read_to_end(&mut read).await.unwrap_err();
    assert_eq!((&read[..], error.kind()), (&b"abc"[..], std::io::ErrorKind::TimedOut));
    assert_eq!(begun.elapsed().as_secs(), 60);
    assert_eq!(error.to_string(), "nothing came for too long; missing: packets 1, 3");
    drop(sender);

    let error =
        StreamReader::new(items::iter([packet(0, &[], b"abc")]), stream()).read_to_end(&mut read).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    assert!(error.get_ref().unwrap().downcast_ref::<StreamError>().is_some());
}

//= SSP-F6
#[tokio::test]
async fn a_cancelled_stream_tells_its_peer_and_sends_what_was_read() {
    let (mut writer, reader) = duplex(100);
    let mut segmented = Segmented::new(reader, base(), options()).unwrap();
    writer.write_all(b"abcdef").await.unwrap();
    let first = segmented.next().await.unwrap().unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(20), segmented.next()).await.is_err(), "the packet is not full");
    segmented.cancel("changed my mind");
    let last = segmented.next().await.unwrap().unwrap();
    assert!(segmented.next().await.is_none());
    let (octets, end) = crate::join(&[first, last]);
    assert_eq!(octets, b"abcdef");
    assert_eq!(end, Some(Err(StreamError::Sender("changed my mind".into()))));
}

//= SSP-B2
#[tokio::test]
async fn a_hundred_streams_at_once_over_one_channel_each_arrive_whole() {
    let mut tasks = Vec::new();
    for id in 0..100_u8 {
        tasks.push(tokio::spawn(async move {
            let messages = cut(&vec![id; 10_000], options().with_packet_len(100));
            let (sender, receiver) = channel(3);
            let sending = async {
                for message in messages {
                    sender.send(message).await.unwrap();
                }
                drop(sender);
            };
            let mut octets = Vec::new();
            let mut reader = StreamReader::new(receiver, Reassembler::new(Limits::default(), Timing::default()));
            let (read, ()) = tokio::join!(reader.read_to_end(&mut octets), sending);
            read.unwrap();
            assert_eq!(octets, vec![id; 10_000]);
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let none = items::iter(Vec::<Message>::new()).next().await;
    assert!(none.is_none());
}

//= SSP-R7
#[tokio::test]
async fn messages_are_not_asked_for_behind_their_end() {
    let mut left = vec![packet(0, &[], b"abc")];
    let mut has_ended = false;
    let messages = items::poll_fn(move |_| {
        assert!(!has_ended, "asked again");
        has_ended = left.is_empty();
        std::task::Poll::Ready(left.pop())
    });
    let mut reader = StreamReader::new(messages, stream());
    let mut read = Vec::new();
    assert!(reader.read_to_end(&mut read).await.is_err());
    assert!(reader.read_to_end(&mut read).await.is_err(), "the same again");
    assert_eq!(read, b"abc");
}

/// Fails behind a few octets.
struct Failing(bool);

impl tokio::io::AsyncRead for Failing {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        out: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        if std::mem::replace(&mut self.0, true) {
            return std::task::Poll::Ready(Err(std::io::Error::other("disk on fire")));
        }
        out.put_slice(b"ab");
        std::task::Poll::Ready(Ok(()))
    }
}

//= SSP-F6
#[tokio::test]
async fn an_error_of_the_reader_is_told_to_the_peer_and_then_to_the_caller() {
    let mut segmented = Segmented::new(Failing(false), base(), options()).unwrap();
    let last = segmented.next().await.unwrap().unwrap();
    assert_eq!(segmented.next().await.unwrap().unwrap_err().to_string(), "disk on fire");
    assert!(segmented.next().await.is_none());
    let (octets, end) = crate::join(&[last]);
    assert_eq!((&octets[..], end), (&b"ab"[..], Some(Err(StreamError::Sender("disk on fire".into())))));
}
