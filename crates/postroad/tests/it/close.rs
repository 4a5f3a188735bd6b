//! Ends of connections, in order and otherwise.

use crate::support::{pair, spawn_echo, stacks, within};
use postroad::{Connection, ErrorKind, Incoming, Message};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn count_until_end(connection: &Connection) -> usize {
    let mut count = 0;
    while within(20, connection.receive()).await.unwrap().is_some() {
        count += 1;
    }
    count
}

#[tokio::test]
async fn whoever_closes_everything_sent_before_arrives_over_every_stack() {
    for stack in stacks() {
        for by_client in [true, false] {
            let pair = pair(stack).await;
            let (closing, other) = if by_client { (&pair.client, &pair.server) } else { (&pair.server, &pair.client) };
            for _ in 0..200 {
                closing.send(vec![1; 1_000]).await.unwrap();
            }
            let (closed, count) = tokio::join!(within(20, closing.close()), count_until_end(other));
            closed.unwrap();
            assert_eq!(count, 200, "{stack}, by the client: {by_client}");
            assert!(within(5, closing.receive()).await.unwrap().is_none(), "{stack}");
            let error = closing.send("too late").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Closed, "{stack}: {error}");
        }
    }
}

#[tokio::test]
async fn dropping_the_last_handle_closes_in_order() {
    for stack in stacks() {
        let pair = pair(stack).await;
        pair.client.send("last words").await.unwrap();
        drop(pair.client);
        assert_eq!(count_until_end(&pair.server).await, 1, "{stack}");
    }
}

#[tokio::test]
async fn requests_that_wait_learn_of_the_end() {
    let pair = pair("smp+tcp").await;
    let asking = {
        let client = pair.client.clone();
        tokio::spawn(async move { client.request("x").await })
    };
    let Some(Incoming::Request(request)) = pair.server.receive().await.unwrap() else { panic!() };
    let (closed, asked) = tokio::join!(within(20, pair.server.close()), within(20, asking));
    closed.unwrap();
    let error = asked.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    drop(request);
    assert_eq!(pair.client.request("y").await.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn close_comes_to_an_end_where_nobody_receives() {
    let pair = pair("smp+tcp").await;
    let flooding = pair.server.clone();
    let flood = tokio::spawn(async move {
        while flooding.send(vec![0; 10_000]).await.is_ok() {
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    within(15, pair.client.close()).await.unwrap();
    within(15, flood).await.unwrap();
}

/// A peer that is cut off in the middle of a unit, as by kill -9.
#[tokio::test]
async fn a_peer_that_vanishes_inside_a_unit_is_an_error_that_names_it() {
    let mut listener = postroad::listen("smp+tcp://127.0.0.1:0").await.unwrap();
    let mut peer = tokio::net::TcpStream::connect(("127.0.0.1", listener.url().port().unwrap())).await.unwrap();
    let connection = listener.accept().await.unwrap();
    // A whole message, and the beginning of one more.
    peer.write_all(&[0x01, 0x00, 0x01, b'a', 0x01, 0x00, 0x05, b'b']).await.unwrap();
    drop(peer);
    assert!(matches!(within(5, connection.receive()).await.unwrap(), Some(Incoming::Message(_))));
    let error = within(5, connection.receive()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
}

#[tokio::test]
async fn a_reset_is_an_error_for_everything_under_way() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smp+tcp://{}", listener.local_addr().unwrap());
    let (client, accepted) = tokio::join!(postroad::connect(url), listener.accept());
    let (client, (mut peer, _)) = (client.unwrap(), accepted.unwrap());
    let asking = {
        let client = client.clone();
        tokio::spawn(async move { client.request("x").await })
    };
    let mut first = [0; 8];
    peer.read_exact(&mut first).await.unwrap();
    // Unread octets and linger 0 make a reset of the close.
    socket2_linger_zero(&peer);
    drop(peer);
    let error = within(5, asking).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
    assert_eq!(within(5, client.receive()).await.unwrap_err().kind(), ErrorKind::Lost);
    assert!(within(5, client.close()).await.is_err());
}

fn socket2_linger_zero(peer: &tokio::net::TcpStream) {
    peer.set_zero_linger().unwrap();
}

#[tokio::test]
async fn a_body_under_way_ends_with_an_error_when_its_connection_does() {
    let pair = pair("smp+tcp").await;
    let mut body = pair.client.open_body(Message::new()).await.unwrap();
    body.write("begun").await.unwrap();
    let Some(Incoming::Body(mut reader)) = within(5, pair.server.receive()).await.unwrap() else { panic!() };
    reader.next().await.unwrap();
    spawn_echo(pair.server.clone());
    // Finishing is what close waits for; giving it up is what dropping does.
    drop(body);
    drop(pair.client);
    assert!(within(10, reader.next()).await.is_err());
}
