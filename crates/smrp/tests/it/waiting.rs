//! Waiting for metadata, and for what was handed in to go.

use bytes::Bytes;
use core::time::Duration;
use smrp::wire::{Parameters, ParametersBuilder, parameter};
use smrp::{Accepted, Acceptor, Carrier, Code, Config, Dial, ReceiveError, Request, Security, Session, SessionError};
use tokio::io::AsyncReadExt;

/// Two ends whose links hold little, so that what nobody reads stays where it is.
async fn pair() -> (Session, Session) {
    let config = || Config::new(Security::Plaintext, true);
    let (near, far) = tokio::io::duplex(4 << 10);
    let carrier = |io| Carrier::new(io, Security::Plaintext, true);
    let (dial, acceptor) = (Dial::new(config()), Acceptor::new(config()).unwrap());
    let (a, b) = tokio::join!(dial.connect(carrier(near)), acceptor.accept(carrier(far)));
    let Accepted::Session(b) = b.unwrap() else { panic!("fresh") };
    (a.unwrap(), b)
}

fn metadata() -> Parameters {
    ParametersBuilder::new().with(parameter::CONTENT_TYPE, b"text/plain").build()
}

async fn is_ready_soon<T>(future: impl Future<Output = T>) -> bool {
    tokio::time::timeout(Duration::from_millis(200), future).await.is_ok()
}

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it took too long")
}

#[tokio::test]
async fn the_metadata_of_the_other_end_can_be_waited_for() {
    //= SMRP-ST13
    let (a, b) = pair().await;
    for (number, answers) in [true, false].into_iter().enumerate() {
        let mut stream = a.open_bidi(Request::default()).await.unwrap();
        let mut there = b.accept().await.unwrap().into_bidi().unwrap();
        assert!(!is_ready_soon(stream.recv.head()).await, "nothing has come");
        let waiting = tokio::spawn(async move {
            let head = stream.recv.head().await;
            (stream, head)
        });
        tokio::task::yield_now().await;
        if answers {
            there.send.send_metadata(metadata()).unwrap();
        } else {
            there.send.write_all(b"x").await.unwrap();
        }
        let (mut stream, head) = waiting.await.unwrap();
        assert_eq!(head.unwrap(), answers.then(metadata), "{number}");
        there.send.finish().unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, if answers { "" } else { "x" });
    }
    let mut refused = a.open_bidi(Request::default()).await.unwrap();
    b.accept().await.unwrap().refuse(Code::new(0x1001));
    assert_eq!(refused.recv.head().await.unwrap_err(), ReceiveError::Reset(Code::new(0x1001)));
}

#[tokio::test]
async fn a_flush_waits_for_what_was_handed_in_and_not_for_what_comes_later() {
    let (a, b) = pair().await;
    a.flushed().await.unwrap();
    let mut body = a.open_uni(Request::default()).await.unwrap();
    body.write_bytes(Bytes::from(vec![1; 4 << 20])).await.unwrap();
    let mut other = a.open_uni(Request::default()).await.unwrap();
    other.write_all(b"short").await.unwrap();
    other.finish().unwrap();
    let other_id = other.id();
    drop(other);
    a.flushed_of(other_id).await.unwrap();
    assert!(!is_ready_soon(a.flushed()).await, "the peer has read nothing, and allows less than this");
    let flushing = {
        let a = a.clone();
        tokio::spawn(async move { a.flushed().await })
    };
    tokio::task::yield_now().await;
    // What comes later holds nothing up.
    let writing = tokio::spawn(async move {
        body.write_bytes(Bytes::from(vec![2; 4 << 20])).await.unwrap();
        body
    });
    let mut there = b.accept().await.unwrap();
    let mut came = vec![0; (4 << 20) - 1_000];
    within(there.recv.read_exact(&mut came)).await.unwrap();
    within(flushing).await.unwrap().unwrap();
    // A stream that is given up has nothing more to send.
    let mut body = within(writing).await.unwrap();
    assert!(!is_ready_soon(a.flushed()).await);
    body.reset(Code::CANCELLED, 0);
    within(a.flushed()).await.unwrap();
}

#[tokio::test]
async fn a_flush_ends_with_the_session() {
    let (a, b) = pair().await;
    let mut body = a.open_uni(Request::default()).await.unwrap();
    body.write_bytes(Bytes::from(vec![1; 4 << 20])).await.unwrap();
    let flushing = {
        let a = a.clone();
        tokio::spawn(async move { a.flushed().await })
    };
    tokio::task::yield_now().await;
    b.close(Code::SHUTDOWN, "");
    assert!(within(flushing).await.unwrap().is_err());
}

#[tokio::test]
async fn a_drained_session_ends_with_the_last_words_of_its_last_stream() {
    //= SMRP-L9
    let (a, b) = pair().await;
    let mut stream = a.open_bidi(Request::default()).await.unwrap();
    stream.send.finish().unwrap();
    let mut there = b.accept().await.unwrap().into_bidi().unwrap();
    assert_eq!(within(there.recv.read_chunk(10)).await, Ok(None));
    b.drain(Duration::from_secs(3_600), None);
    within(a.going_away()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    // What ends the stream is what is sent last, when nobody holds it any more.
    there.send.write_bytes(Bytes::from_static(b"last words")).await.unwrap();
    there.send.finish().unwrap();
    drop(there);
    let mut said = String::new();
    within(stream.read_to_string(&mut said)).await.unwrap();
    assert_eq!(said, "last words");
    drop(stream);
    let end = within(a.closed()).await;
    assert!(matches!(end, SessionError::ClosedByPeer { code: Code::NO_ERROR, .. }), "{end}");
}
