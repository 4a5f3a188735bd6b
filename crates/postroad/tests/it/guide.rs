//! The octets of the guide are the octets on the wire.

use crate::support::{spawn_echo, within};
use postroad::{Connection, ErrorKind, Message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The octets of the block called `name` in the page about requests.
fn octets(name: &str) -> Vec<u8> {
    octets_of(include_str!("../../../../docs/guide/request-reply.md"), &format!("hex name={name}"))
}

fn octets_of(page: &str, fence: &str) -> Vec<u8> {
    let (_, rest) = page.split_once(&format!("```{fence}\n")).unwrap_or_else(|| panic!("no block {fence}"));
    let block = rest.split("```").next().unwrap();
    let digits = block.lines().flat_map(|line| line.split('#').next().unwrap_or_default().split_whitespace());
    digits.map(|octet| u8::from_str_radix(octet, 16).unwrap()).collect()
}

async fn with_socket() -> (Connection, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smp+tcp://{}", listener.local_addr().unwrap());
    let (connection, accepted) = tokio::join!(postroad::connect(url), listener.accept());
    (connection.unwrap(), accepted.unwrap().0)
}

async fn expect(socket: &mut TcpStream, expected: &[u8]) {
    let mut got = vec![0; expected.len()];
    within(5, socket.read_exact(&mut got)).await.unwrap();
    assert_eq!(got, expected);
}

#[tokio::test]
async fn a_request_and_its_reply_are_those_of_the_guide() {
    let (connection, mut socket) = with_socket().await;
    let asking = tokio::spawn(async move { connection.request("ping").await });
    expect(&mut socket, &octets("request")).await;
    socket.write_all(&octets("reply")).await.unwrap();
    assert_eq!(within(5, asking).await.unwrap().unwrap(), Message::from("pong"));
    let (connection, mut socket) = with_socket().await;
    spawn_echo(connection);
    socket.write_all(&octets("request")).await.unwrap();
    let mut got = vec![0; octets("reply").len()];
    within(5, socket.read_exact(&mut got)).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&got[3..21]), "postroad-reply/1 0");
    assert_eq!(&got[23..], b"ping");
}

#[tokio::test]
async fn a_refusal_is_that_of_the_guide() {
    let (connection, mut socket) = with_socket().await;
    let asking = tokio::spawn(async move { connection.request("ping").await });
    expect(&mut socket, &octets("request")).await;
    socket.write_all(&octets("refusal")).await.unwrap();
    let error = within(5, asking).await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.why()), (ErrorKind::Peer, "out of paper"));
}

#[tokio::test]
async fn a_stream_in_one_unit_is_that_of_the_guide() {
    let (connection, mut socket) = with_socket().await;
    socket.write_all(&octets("body")).await.unwrap();
    let Some(postroad::Incoming::RequestBody(request, mut body)) = within(5, connection.receive()).await.unwrap()
    else {
        panic!()
    };
    assert_eq!(request.message(), &Message::from("a"));
    assert_eq!(body.next().await.unwrap().unwrap(), "b");
    assert_eq!(body.next().await.unwrap(), None);
    assert_eq!(body.trailer(), Some(&b""[..]));
    drop(request);
}

/// A peer that knows the protocol and the page, and nothing else of us.
#[tokio::test]
async fn a_refusal_of_a_mailslot_is_that_of_the_guide_both_ways() {
    let refusal = octets_of(include_str!("../../../../docs/guide/mailslots.md"), "hex");
    let plain = || {
        let socket = postroad_transport::udp::Config::new("127.0.0.1:0".parse().unwrap()).open().unwrap();
        smp121::Endpoint::builder().start(socket.start().unwrap()).unwrap()
    };
    let server = plain();
    let mailslot = server.define("box", 1_000).unwrap();
    let url = format!("smp121+udp://{}/box", server.local_addr());
    let connection = within(5, postroad::connect(url)).await.unwrap();
    let asking = tokio::spawn(async move { connection.request("print").await });
    within(5, mailslot.receive()).await.unwrap().reply(refusal.clone()).unwrap();
    let error = within(5, asking).await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.why()), (ErrorKind::Peer, "out of paper"));

    let mut listener = postroad::listen("smp121+udp://127.0.0.1:0/box").await.unwrap();
    let ours = listener.accept().await.unwrap();
    let port = listener.url().port().unwrap();
    let handle = plain().get(([127, 0, 0, 1], port).into(), "box").unwrap();
    let asking = tokio::spawn(async move { handle.send("print").await });
    let Some(postroad::Incoming::Request(request)) = within(5, ours.receive()).await.unwrap() else { panic!() };
    request.refuse("out of paper").await.unwrap();
    assert_eq!(within(5, asking).await.unwrap().unwrap(), refusal);
}
