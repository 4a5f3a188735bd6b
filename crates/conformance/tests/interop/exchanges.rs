//! What the two ends say to each other.

use crate::cut::Cut;
use crate::peer::{Listener, connect, next, ours};
use serde_json::json;
use smp_framing::machine::{ErrorReport, Event, UsageError};
use smp_framing::{Arguments, Code, Config, Mode, NodeGeneration, SendError, UserCode};
use std::time::Duration;

const CUTS: [Cut; 3] = [Cut::One, Cut::Random(41), Cut::Large];
const LISTENERS: [Listener; 2] = [Listener::Us, Listener::Peer];

fn config(mode: Mode) -> Config {
    Config::builder().with_mode(mode).with_heartbeat_interval(None).with_peer_timeout(None).build().unwrap()
}

fn node() -> Config {
    config(Mode::Node(NodeGeneration::V1_1))
}

/// `count` arguments of different lengths and content, the second one empty.
fn message(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|index| if index == 1 { Vec::new() } else { ramp(index, index * 3 + 1) }).collect()
}

fn ramp(first: usize, len: usize) -> Vec<u8> {
    (0..=255u8).cycle().skip(first % 256).take(len).collect()
}

#[tokio::test]
#[ignore = "needs npm smp: cargo xtask interop npm-smp"]
async fn every_kind_that_we_may_send_arrives() {
    for listener in LISTENERS {
        for cut in CUTS {
            let (mut connection, mut peer) = connect(node(), listener, cut).await;
            for count in 1..=15 {
                connection.send(ours(&message(count))).await.unwrap();
                peer.expect_event("message", &message(count)).await;
            }
            let note = [b"note".to_vec()];
            connection.information(ours(&note)).await.unwrap();
            peer.expect_event("information", &note).await;
            connection.heartbeat(ours(&note)).await.unwrap();
            peer.expect_event("heartbeat", &note).await;
            connection.error(ErrorReport::new(529, "slow down")).await.unwrap();
            peer.expect(json!({"event": "errorMessage", "number": 529, "text": "slow down"})).await;
            connection.user(UserCode::User13, ours(&note)).await.unwrap();
            peer.expect_event("row", &note).await;
            let three = [b"meta".to_vec(), b"schema".to_vec(), b"payload".to_vec()];
            connection.user(UserCode::User14, ours(&three)).await.unwrap();
            peer.expect(json!({"event": "super", "args": ["6d657461", "736368656d61", "7061796c6f6164"], "ident": 3}))
                .await;
            let (closed, ()) = tokio::join!(connection.close(), async {
                peer.expect_event("stop", &[Vec::new()]).await;
                peer.expect(json!({"ended": true})).await;
            });
            closed.unwrap();
        }
    }
}

#[tokio::test]
#[ignore = "needs npm smp: cargo xtask interop npm-smp"]
async fn units_without_arguments_go_with_an_empty_one_and_nothing_behind_them_is_lost() {
    for cut in CUTS {
        let (mut connection, mut peer) = connect(node(), Listener::Peer, cut).await;
        let empty = [Vec::new()];
        connection.send(Arguments::new()).await.unwrap();
        peer.expect_event("message", &empty).await;
        connection.information(Arguments::new()).await.unwrap();
        peer.expect_event("information", &empty).await;
        connection.heartbeat(Arguments::new()).await.unwrap();
        peer.expect_event("heartbeat", &empty).await;
        connection.pause_peer();
        connection.flush().await.unwrap();
        peer.expect_event("pause", &empty).await;
        connection.resume_peer();
        connection.send("behind it all").await.unwrap();
        peer.expect_event("resume", &empty).await;
        peer.expect_event("message", &[b"behind it all".to_vec()]).await;
    }
}

#[tokio::test]
#[ignore = "needs npm smp: cargo xtask interop npm-smp"]
async fn without_node_mode_a_bare_heartbeat_costs_the_next_message() {
    // What node mode is for: the same exchange in strict mode is lost on this peer.
    let (mut connection, mut peer) = connect(config(Mode::Strict), Listener::Us, Cut::Large).await;
    connection.heartbeat(Arguments::new()).await.unwrap();
    connection.send("lost").await.unwrap();
    peer.expect_event("heartbeat", &[]).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    connection.information("tail").await.unwrap();
    let told = peer.tells().await.unwrap();
    assert!(told["event"] != "message", "{told}");
}

#[tokio::test]
#[ignore = "needs npm smp: cargo xtask interop npm-smp"]
async fn heartbeats_of_ours_keep_it_in_step() {
    let config = Config::builder()
        .with_mode(Mode::Node(NodeGeneration::V1_1))
        .with_heartbeat_interval(Some(Duration::from_millis(50)))
        .with_peer_timeout(None)
        .build()
        .unwrap();
    let (mut connection, mut peer) = connect(config, Listener::Us, Cut::Large).await;
    let waited = tokio::time::timeout(Duration::from_millis(400), connection.receive()).await;
    assert!(waited.is_err(), "it says nothing by itself");
    connection.send("still here").await.unwrap();
    let mut heartbeat_count = 0;
    loop {
        let told = peer.tells().await.unwrap();
        if told["event"] == "message" {
            break;
        }
        assert_eq!(told, json!({"event": "heartbeat", "args": [""]}));
        heartbeat_count += 1;
    }
    assert!(heartbeat_count >= 3, "{heartbeat_count}");
}

#[tokio::test]
#[ignore = "needs npm smp: cargo xtask interop npm-smp"]
async fn every_kind_that_it_sends_is_reported() {
    for listener in LISTENERS {
        for cut in CUTS {
            let (mut connection, mut peer) = connect(node(), listener, cut).await;
            for count in 0..=15 {
                peer.call("encode", &message(count)).await;
                assert_eq!(next(&mut connection).await, Some(Event::Message(ours(&message(count)))));
            }
            // It sends these without arguments as well, which it could not read itself.
            for content in [&[][..], &[b"x".to_vec()], &message(4)] {
                peer.call("info", content).await;
                assert_eq!(next(&mut connection).await, Some(Event::Information(ours(content))));
                peer.call("heartbeat", content).await;
                assert_eq!(next(&mut connection).await, Some(Event::Heartbeat(ours(content))));
                peer.call("pause", content).await;
                assert_eq!(next(&mut connection).await, Some(Event::Pause(ours(content))));
                peer.call("resume", content).await;
                assert_eq!(next(&mut connection).await, Some(Event::Resume(ours(content))));
                peer.call("checkpoint", content).await;
                assert_eq!(next(&mut connection).await, Some(Event::Reserved(Code::Reserved10, ours(content))));
            }
            let parts = json!({"call": "super", "meta": "61", "schema": "", "payload": "62", "ident": 3});
            peer.send(parts).await;
            let three = [b"a".to_vec(), Vec::new(), b"b".to_vec()];
            assert_eq!(next(&mut connection).await, Some(Event::User(UserCode::User14, ours(&three))));
            peer.call("stop", &[b"bye".to_vec()]).await;
            assert_eq!(next(&mut connection).await, Some(Event::Stop("bye".into())));
            peer.send(json!({"call": "close"})).await;
            assert_eq!(next(&mut connection).await, None);
        }
    }
}

#[tokio::test]
#[ignore = "needs npm smp: cargo xtask interop npm-smp"]
async fn it_cannot_send_errors() {
    let (mut connection, mut peer) = connect(node(), Listener::Us, Cut::Large).await;
    peer.call("error", &[]).await;
    let told = peer.tells().await.unwrap();
    assert!(told["threw"].as_str().is_some_and(|text| text.contains("TypeError")), "{told}");
    peer.call("info", &[]).await;
    assert_eq!(next(&mut connection).await, Some(Event::Information(Arguments::new())));
}

#[tokio::test]
#[ignore = "needs npm smp: cargo xtask interop npm-smp"]
async fn a_pause_of_its_holds_our_messages_until_it_resumes() {
    let (mut connection, mut peer) = connect(node(), Listener::Peer, Cut::Large).await;
    peer.call("pause", &[Vec::new()]).await;
    assert!(matches!(next(&mut connection).await, Some(Event::Pause(_))));
    connection.feed("held").await.unwrap();
    connection.information("not held").await.unwrap();
    peer.expect_event("information", &[b"not held".to_vec()]).await;
    let held = tokio::time::timeout(Duration::from_millis(300), connection.flush()).await;
    assert!(held.is_err(), "a message went out during a pause");
    peer.call("resume", &[Vec::new()]).await;
    assert!(matches!(next(&mut connection).await, Some(Event::Resume(_))));
    connection.flush().await.unwrap();
    peer.expect_event("message", &[b"held".to_vec()]).await;
}

#[tokio::test]
#[ignore = "needs npm smp: cargo xtask interop npm-smp"]
async fn large_arguments_pass_both_ways() {
    for listener in LISTENERS {
        for cut in [Cut::Random(7), Cut::Large] {
            let (mut connection, mut peer) = connect(node(), listener, cut).await;
            for content in
                [vec![ramp(1, 1_492)], vec![ramp(2, 65_535)], vec![ramp(3, 65_535), Vec::new(), ramp(4, 65_535)]]
            {
                let sending = connection.send(ours(&content));
                let (sent, ()) = tokio::join!(sending, peer.expect_event("message", &content));
                sent.unwrap();
                let (got, ()) = tokio::join!(next(&mut connection), peer.call("encode", &content));
                assert!(got == Some(Event::Message(ours(&content))), "a large message came otherwise");
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs npm smp: cargo xtask interop npm-smp"]
async fn the_largest_unit_it_takes_arrives_with_one_right_behind_it() {
    // 1 + 15 x 2 + 14 x 65,535 + 16,942 = 934,463 octets.
    let mut largest: Vec<Vec<u8>> = (0..14).map(|index| ramp(index, 65_535)).collect();
    largest.push(ramp(14, 16_942));
    let (mut connection, mut peer) = connect(node(), Listener::Us, Cut::Large).await;
    connection.feed(ours(&largest)).await.unwrap();
    connection.feed("right behind").await.unwrap();
    let (sent, ()) = tokio::join!(connection.flush(), async {
        peer.expect_event("message", &largest).await;
        peer.expect_event("message", &[b"right behind".to_vec()]).await;
    });
    sent.unwrap();
    largest.pop();
    largest.push(ramp(14, 16_943));
    let refused = connection.send(ours(&largest)).await;
    assert!(matches!(refused, Err(SendError::Usage(UsageError::TooLargeForPeer { .. }))), "{refused:?}");
}

#[tokio::test]
#[ignore = "needs npm smp: cargo xtask interop npm-smp"]
async fn no_frame_ever_goes_to_it() {
    let (mut connection, mut peer) = connect(node(), Listener::Us, Cut::Large).await;
    let too_long = connection.send(vec![7; 65_536]).await;
    assert!(matches!(too_long, Err(SendError::Usage(UsageError::TooLargeForPeer { .. }))), "{too_long:?}");
    assert!(connection.open_body(1).is_err());
    connection.send("in step").await.unwrap();
    peer.expect_event("message", &[b"in step".to_vec()]).await;
}

#[tokio::test]
#[ignore = "needs npm smp: cargo xtask interop npm-smp"]
async fn many_messages_in_a_row_pass_both_ways_in_order() {
    for cut in CUTS {
        let (mut connection, mut peer) = connect(node(), Listener::Us, cut).await;
        let all: Vec<Vec<Vec<u8>>> =
            (0..200usize).map(|index| vec![index.to_be_bytes().to_vec(), ramp(index, index)]).collect();
        for content in &all {
            connection.feed(ours(content)).await.unwrap();
        }
        let (sent, ()) = tokio::join!(connection.flush(), async {
            for content in &all {
                peer.expect_event("message", content).await;
            }
        });
        sent.unwrap();
        for content in &all {
            peer.call("encode", content).await;
        }
        for content in &all {
            assert_eq!(next(&mut connection).await, Some(Event::Message(ours(content))));
        }
    }
}
