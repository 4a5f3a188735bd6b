//! A plain peer that follows the request convention by hand: octets that anybody could write.

use crate::support::{spawn_echo, within};
use postroad::{Bytes, ErrorKind, Incoming, Message};
use smp_framing::machine::Event;
use smp_framing::{Arguments, Config, Connection as Plain};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A connection of the facade and a plain peer at its other end.
async fn with_plain_peer() -> (postroad::Connection, Plain<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smp+tcp://{}", listener.local_addr().unwrap());
    let (connection, accepted) = tokio::join!(postroad::connect(url), listener.accept());
    (connection.unwrap(), Plain::new(accepted.unwrap().0, Config::default()))
}

fn texts(arguments: &Arguments) -> Vec<String> {
    arguments.iter().map(|argument| String::from_utf8_lossy(argument).into_owned()).collect()
}

fn arguments(texts: &[&'static str]) -> Arguments {
    texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect()
}

#[tokio::test]
async fn a_request_is_on_the_wire_what_the_guide_says() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smp+tcp://{}", listener.local_addr().unwrap());
    let (connection, accepted) = tokio::join!(postroad::connect(url), listener.accept());
    let (connection, (mut peer, _)) = (connection.unwrap(), accepted.unwrap());
    let asking = tokio::spawn(async move { connection.request("ping").await });
    let expected = [&[0x02, 0x00, 0x14][..], b"postroad-request/1 0", &[0x00, 0x04], b"ping"].concat();
    let mut got = vec![0; expected.len()];
    within(5, peer.read_exact(&mut got)).await.unwrap();
    assert_eq!(got, expected);
    let reply = [&[0x02, 0x00, 0x12][..], b"postroad-reply/1 0", &[0x00, 0x04], b"pong"].concat();
    peer.write_all(&reply).await.unwrap();
    assert_eq!(within(5, asking).await.unwrap().unwrap().text(0), Some("pong"));
}

#[tokio::test]
async fn a_plain_peer_answers_whole_in_frames_as_a_body_and_with_an_error() {
    let (connection, mut plain) = with_plain_peer().await;
    let peer = tokio::spawn(async move {
        let mut count = 0;
        while let Some(event) = plain.receive().await.unwrap() {
            let Event::Message(request) = event else { continue };
            let tag = texts(&request)[0].clone();
            let id = tag.strip_prefix("postroad-request/1 ").unwrap();
            count += 1;
            let reply: Vec<Bytes> = match count {
                1 => vec![format!("postroad-reply/1 {id}").into(), "whole".into()],
                // Over MAX-MESSAGE-SIZE, so it goes as frames.
                2 => vec![format!("postroad-reply/1 {id}").into(), vec![b'x'; 100_000].into()],
                3 => vec![format!("postroad-reply/1 {id} body").into(), "head".into(), "content".into(), "end".into()],
                _ => vec![format!("postroad-reply/1 {id} error").into(), "out of paper".into()],
            };
            plain.send(reply).await.unwrap();
        }
    });
    assert_eq!(connection.request("1").await.unwrap(), Message::from("whole"));
    assert_eq!(connection.request("2").await.unwrap().get(0).unwrap().len(), 100_000);
    assert_eq!(connection.request("3").await.unwrap(), Message::from("head").with_part("content"));
    let error = connection.request("4").await.unwrap_err();
    assert_eq!((error.kind(), error.why()), (ErrorKind::Peer, "out of paper"));
    connection.close().await.unwrap();
    peer.await.unwrap();
}

#[tokio::test]
async fn a_plain_peer_asks() {
    let (connection, mut plain) = with_plain_peer().await;
    spawn_echo(connection);
    plain.send(arguments(&["postroad-request/1 18446744073709551615", "a", "b"])).await.unwrap();
    let Some(Event::Message(reply)) = within(5, plain.receive()).await.unwrap() else { panic!() };
    assert_eq!(texts(&reply), ["postroad-reply/1 18446744073709551615", "a", "b"]);
    // A body in a single unit is a body as well.
    plain.send(arguments(&["postroad-request/1 5 body", "head", "content", "end"])).await.unwrap();
    let reply = loop {
        match within(5, plain.receive()).await.unwrap() {
            Some(Event::Message(reply)) => break reply,
            Some(Event::Assembled(assembled)) => break assembled.arguments,
            other => assert!(other.is_some(), "it ended"),
        }
    };
    assert_eq!(texts(&reply), ["postroad-reply/1 5 body", "head", "content", "end"]);
}

#[tokio::test]
async fn what_only_looks_like_the_convention_is_refused_and_the_connection_goes_on() {
    let (connection, mut plain) = with_plain_peer().await;
    for bad in [
        &["postroad-request/1 x", "a"][..],
        &["postroad-request/2 1"],
        &["postroad-reply/1 07"],
        &["postroad-body/1", "no content"],
        &["postroad-request/1 7 body"],
    ] {
        plain.send(arguments(bad)).await.unwrap();
        let Some(Incoming::Refused(error)) = within(5, connection.receive()).await.unwrap() else { panic!("{bad:?}") };
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    }
    plain.send(arguments(&["postroad-reply/1 99", "nobody asked"])).await.unwrap();
    plain.send(arguments(&["fine"])).await.unwrap();
    assert!(matches!(within(5, connection.receive()).await.unwrap(), Some(Incoming::Message(_))));
    let statistics = connection.statistics();
    assert_eq!((statistics.refused_count, statistics.late_reply_count), (5, 1));
}

#[tokio::test]
async fn other_units_of_the_protocol_come_through() {
    let (connection, mut plain) = with_plain_peer().await;
    plain.information("about me").await.unwrap();
    plain.error(smp_framing::machine::ErrorReport::new(501, "dropped")).await.unwrap();
    plain.user(smp_framing::UserCode::User13, "mine").await.unwrap();
    let Some(Incoming::Information(message)) = within(5, connection.receive()).await.unwrap() else { panic!() };
    assert_eq!(message.text(0), Some("about me"));
    let Some(Incoming::PeerError { number, text }) = within(5, connection.receive()).await.unwrap() else { panic!() };
    assert_eq!((number, text.as_str()), (Some(501), "dropped"));
    let Some(Incoming::Custom { code, message }) = within(5, connection.receive()).await.unwrap() else { panic!() };
    assert_eq!((code, message.text(0)), (13, Some("mine")));
}

#[tokio::test]
async fn frames_that_fill_two_arguments_in_turn_are_put_together() {
    use smp_framing::{Code, FrameIdent, Unit};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smp+tcp://{}", listener.local_addr().unwrap());
    let (connection, accepted) = tokio::join!(postroad::connect(url), listener.accept());
    let (connection, (mut peer, _)) = (connection.unwrap(), accepted.unwrap());
    let frames = [(Code::NewFrame, ["po", "1"]), (Code::ContinuingFrame, ["st", "2"]), (Code::LastFrame, ["!", "3"])];
    for (number, (code, pieces)) in frames.into_iter().enumerate() {
        let ident = FrameIdent { id: 9, number: number as u32 };
        let unit = Unit::frame(code, ident, arguments(&pieces)).unwrap();
        peer.write_all(&unit.to_octets().unwrap()).await.unwrap();
    }
    let Some(Incoming::Message(message)) = within(5, connection.unwrap_receive()).await else { panic!() };
    assert_eq!(message, Message::from("post!").with_part("123"));
}

trait UnwrapReceive {
    async fn unwrap_receive(&self) -> Option<Incoming>;
}

impl UnwrapReceive for postroad::Connection {
    async fn unwrap_receive(&self) -> Option<Incoming> {
        self.receive().await.unwrap()
    }
}
