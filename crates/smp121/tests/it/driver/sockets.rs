//! Over UDP on the loopback interface, and over raw IP where the privilege is there.

use super::{echo, serve, soon};
use bytes::Bytes;
use postroad_transport::{raw, udp};
use smp121::{Endpoint, ExchangeError, SendError};
use std::net::{IpAddr, Ipv4Addr};
use tokio::task::JoinSet;
use wirekit::datagram::PathErrorKind;

fn over_udp() -> Endpoint {
    let socket = udp::Config::new("127.0.0.1:0".parse().unwrap()).open().unwrap().start().unwrap();
    Endpoint::builder().start(socket).unwrap()
}

async fn exercise(client: &Endpoint, server: &Endpoint) {
    echo(server.define("echo", 1000).unwrap());
    serve(server.define("mirror", 1 << 20).unwrap(), |request| {
        request.message().iter().rev().copied().collect::<Vec<u8>>().into()
    });
    let echo = client.get(server.local_addr(), "echo").unwrap();
    assert_eq!(soon(echo.send("hello")).await.unwrap(), "hello");
    let mirror = client.get(server.local_addr(), "mirror").unwrap();
    let message: Vec<u8> = (0..1u32 << 17).flat_map(|word| word.to_le_bytes()).collect();
    let reply = soon(mirror.send(message.clone())).await.unwrap();
    assert!(reply.iter().rev().eq(message.iter()));
    let mut calls = JoinSet::new();
    for number in 0..100u8 {
        let echo = echo.clone();
        calls.spawn(async move { (echo.send(vec![number; 64]).await.unwrap(), number) });
    }
    while let Some(call) = soon(calls.join_next()).await {
        let (reply, number) = call.unwrap();
        assert_eq!(reply, vec![number; 64]);
    }
    soon(client.close()).await;
    soon(server.close()).await;
}

#[tokio::test]
async fn exchanges_over_udp() {
    exercise(&over_udp(), &over_udp()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exchanges_over_udp_on_several_threads() {
    exercise(&over_udp(), &over_udp()).await;
}

/// From all addresses of the host: answers come from the one that was asked.
#[tokio::test]
async fn an_answer_comes_from_the_address_that_was_asked() {
    let socket = udp::Config::new("0.0.0.0:0".parse().unwrap()).open().unwrap().start().unwrap();
    let server = Endpoint::builder().start(socket).unwrap();
    echo(server.define("echo", 1000).unwrap());
    let client = over_udp();
    let asked = (Ipv4Addr::new(127, 0, 0, 9), server.local_addr().port()).into();
    let remote = client.get(asked, "echo").unwrap();
    assert_eq!(soon(remote.send("hello")).await.unwrap(), "hello");
    // An own address is reached without the network.
    assert!(server.get((Ipv4Addr::LOCALHOST, server.local_addr().port()).into(), "echo").unwrap().peer().is_none());
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_told_at_once() {
    let client = over_udp();
    let nobody = over_udp().local_addr();
    let remote = loop {
        // The endpoint there closes in the background.
        let remote = client.get(nobody, "echo").unwrap();
        if udp::Config::new(nobody).open().is_ok() {
            break remote;
        }
        tokio::task::yield_now().await;
    };
    assert!(matches!(
        soon(remote.send("x")).await,
        Err(SendError::Exchange(ExchangeError::Unreachable(PathErrorKind::PortUnreachable)))
    ));
}

#[tokio::test]
async fn exchanges_over_raw_ip() {
    if let Err(error) = raw::available() {
        println!("skipped: {error}");
        return;
    }
    let [client, server] = [1, 2].map(|host| {
        // A network of this test's own within the loopback one.
        let address = IpAddr::V4(Ipv4Addr::new(127, 121, 33, host));
        let socket = raw::Config::new(121).with_address(address).open().unwrap().start().unwrap();
        Endpoint::builder().start(socket).unwrap()
    });
    exercise(&client, &server).await;
    let dropped = server.counters().protocol.dropped_all_count();
    assert_eq!(dropped, 0);
}

#[tokio::test]
async fn long_segments_go_where_the_path_takes_them() {
    let start = || {
        let socket = udp::Config::new("127.0.0.1:0".parse().unwrap()).open().unwrap().start().unwrap();
        Endpoint::builder().with_segment_len_max(65_507).start(socket).unwrap()
    };
    let (client, server) = (start(), start());
    serve(server.define("sink", 1 << 20).unwrap(), |_| Bytes::new());
    let remote = client.get(server.local_addr(), "sink").unwrap();
    soon(remote.resolve()).await.unwrap();
    let before = client.counters().protocol.datagrams_sent_count;
    soon(remote.send(vec![7; 65_000])).await.unwrap();
    assert_eq!(client.counters().protocol.datagrams_sent_count - before, 1);
}
