//! Content of unknown length.

use crate::support::{pair, pattern, spawn_echo, stacks, within};
use postroad::{Bytes, ErrorKind, Incoming, Message, Reply};
use std::time::Duration;

#[tokio::test]
async fn bodies_go_there_and_back_over_every_stack() {
    for stack in stacks() {
        let pair = pair(stack).await;
        spawn_echo(pair.server.clone());
        let head: Message = [Bytes::from_static(b"head"), Bytes::new(), pattern(2_000, 3)].into();
        let content = pattern(300_000, 4);
        let mut body = pair.client.open_body(head.clone()).await.unwrap();
        body.write(content.slice(..1)).await.unwrap();
        body.write(content.slice(1..200_000)).await.unwrap();
        body.write(content.slice(200_000..)).await.unwrap();
        body.finish_with("the end").await.unwrap();
        let Some(Incoming::Body(mut back)) = within(20, pair.client.receive()).await.unwrap() else {
            panic!("{stack}")
        };
        assert!(*back.head() == head, "{stack}: {:?}", back.head());
        let mut got = Vec::new();
        assert_eq!(back.trailer(), None);
        while let Some(piece) = within(20, back.next()).await.unwrap() {
            got.extend_from_slice(&piece);
        }
        assert!(got == content, "{stack}");
        assert_eq!(back.trailer(), Some(&b"the end"[..]));
    }
}

#[tokio::test]
async fn empty_bodies_and_bodies_with_the_largest_head_are_bodies_too() {
    let pair = pair("smp+tcp").await;
    for head_count in [0, 1, 12] {
        let head: Message = (0..head_count).map(|part| pattern(usize::from(part), part)).collect();
        for trailer in ["", "end"] {
            pair.client.open_body(head.clone()).await.unwrap().finish_with(trailer).await.unwrap();
            let Some(Incoming::Body(mut body)) = within(5, pair.server.receive()).await.unwrap() else { panic!() };
            assert!(*body.head() == head);
            assert_eq!(body.next().await.unwrap(), None);
            assert_eq!(body.trailer(), Some(trailer.as_bytes()));
        }
    }
    let thirteen: Message = (0..13).map(|part| pattern(1, part)).collect();
    assert_eq!(pair.client.open_body(thirteen).await.unwrap_err().kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn a_request_can_have_a_body_and_so_can_its_reply() {
    let pair = pair("smp+wss").await;
    spawn_echo(pair.server.clone());
    let mut upload = pair.client.open_request("count me").await.unwrap();
    for at in 0..50 {
        upload.write(pattern(10_000, at)).await.unwrap();
    }
    let reply = within(20, upload.finish("t")).await.unwrap();
    assert_eq!((reply.part_count(), reply.text(0)), (2, Some("count me")));
    assert_eq!(reply.get(1).unwrap().len(), 500_000);
}

#[tokio::test]
async fn a_reply_of_any_length_is_read_as_it_comes() {
    let pair = pair("smp+unix").await;
    let server = pair.server.clone();
    tokio::spawn(async move {
        let Incoming::Request(request) = server.receive().await.unwrap().unwrap() else { panic!() };
        let mut reply = request.reply_body("head").await.unwrap();
        for _ in 0..400 {
            reply.write(vec![7; 64 * 1024]).await.unwrap();
        }
        reply.finish().await.unwrap();
    });
    let Reply::Body(mut body) = pair.client.request_streaming("give").await.unwrap() else { panic!() };
    let mut len = 0;
    while let Some(piece) = within(20, body.next()).await.unwrap() {
        len += piece.len();
    }
    assert_eq!(len, 400 * 64 * 1024);
}

/// More than every queue between the two ends can hold: the writer has to stand still while nobody reads.
#[tokio::test]
async fn a_slow_reader_stops_the_writer() {
    for stack in ["smp+tcp", "smp+mem", "smp+wss"] {
        let pair = pair(stack).await;
        let (progress, mut written) = tokio::sync::watch::channel(0usize);
        let client = pair.client.clone();
        let writing = tokio::spawn(async move {
            let mut body = client.open_body(Message::new()).await.unwrap();
            for _ in 0..2_000 {
                body.write(vec![1; 64 * 1024]).await.unwrap();
                progress.send_modify(|len| *len += 64 * 1024);
            }
            body.finish().await.unwrap();
        });
        let Some(Incoming::Body(mut body)) = within(10, pair.server.receive()).await.unwrap() else { panic!() };
        let mut before = 0;
        // It stands still when nothing moves for half a second.
        while within(30, async { tokio::time::timeout(Duration::from_millis(500), written.changed()).await })
            .await
            .is_ok()
        {
            before = *written.borrow();
        }
        assert!(before < 64 << 20, "{stack}: {before} octets were taken from a writer that nobody reads");
        let mut len = 0;
        while let Some(piece) = within(30, body.next()).await.unwrap() {
            len += piece.len();
        }
        assert_eq!(len, 2_000 * 64 * 1024, "{stack}");
        writing.await.unwrap();
    }
}

#[tokio::test]
async fn a_body_that_is_given_up_ends_with_an_error_at_the_reader() {
    let pair = pair("smp+tcp").await;
    let mut body = pair.client.open_body("x").await.unwrap();
    body.write("begun").await.unwrap();
    let Some(Incoming::Body(mut reader)) = within(5, pair.server.receive()).await.unwrap() else { panic!() };
    assert_eq!(reader.next().await.unwrap().unwrap(), "begun");
    drop(body);
    // How the peer learns of it is a matter of the protocol; that it never takes it for whole is ours.
    spawn_echo(pair.server.clone());
    pair.client.close().await.unwrap();
    let error = within(10, reader.next()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Peer | ErrorKind::Lost), "{error}");
}

#[tokio::test]
async fn an_upload_learns_of_a_refusal_before_its_end() {
    let pair = pair("smp+tcp").await;
    let server = pair.server.clone();
    tokio::spawn(async move {
        while let Some(incoming) = server.receive().await.unwrap() {
            let Incoming::RequestBody(request, _) = incoming else { panic!() };
            request.refuse("too many already").await.unwrap();
        }
    });
    let mut upload = pair.client.open_request("x").await.unwrap();
    let error = within(10, async {
        loop {
            if let Err(error) = upload.write(vec![0; 10_000]).await {
                return error;
            }
        }
    })
    .await;
    assert_eq!(error.kind(), ErrorKind::Peer);
    assert!(error.why().contains("too many"), "{error}");
}

#[tokio::test]
async fn small_messages_pass_a_large_body() {
    let pair = pair("smp+tcp").await;
    let mut body = pair.client.open_body(Message::new()).await.unwrap();
    body.write(vec![0; 100]).await.unwrap();
    let Some(Incoming::Body(_reader)) = within(5, pair.server.receive()).await.unwrap() else { panic!() };
    spawn_echo(pair.server.clone());
    for number in 0..100 {
        body.write(vec![0; 5_000]).await.unwrap();
        let reply = within(5, pair.client.request(number.to_string())).await.unwrap();
        assert_eq!(reply.text(0), Some(number.to_string().as_str()));
    }
}
