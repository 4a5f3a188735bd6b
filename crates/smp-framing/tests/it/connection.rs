//! Two connections over a pipe in memory.

use bytes::Bytes;
use smp_framing::machine::{CloseReason, ErrorReport, Event};
use smp_framing::{Arguments, Config, Connection, ConnectionError, Delivery, UserCode};
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

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
