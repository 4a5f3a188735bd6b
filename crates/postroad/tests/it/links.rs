//! Links of WRP over every carrier, and against what a device or a server of somebody else says.

mod devices;

use crate::support::{Pair, Setup, pair, pair_with, pattern, spawn_echo, within, wrp_stacks};
use postroad::wrp::MessageType;
use postroad::{Capability, Connection, ErrorKind, Incoming, Limits, Message, wrp};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn message_of(connection: &Connection) -> Message {
    match within(20, connection.receive()).await.unwrap() {
        Some(Incoming::Message(message)) => message,
        other => panic!("{other:?}"),
    }
}

/// The reason of the next thing that was refused.
async fn refused(connection: &Connection) -> String {
    match within(20, connection.receive()).await.unwrap() {
        Some(Incoming::Refused(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

//= WRP-N6, WRP-N17, WRP-N18, WRP-N19
#[tokio::test]
async fn events_and_requests_go_both_ways_over_every_stack() {
    for stack in wrp_stacks() {
        let Pair { client, server, .. } = &pair(&stack).await;
        let event = Message::from(pattern(1000, 1)).with_header("kind", "a: b");
        client.send(event.clone()).await.unwrap();
        let came = message_of(server).await;
        assert!(came == event, "{stack}: {came:?}");
        let wrp = came.as_wrp().unwrap();
        assert_eq!(wrp.msg_type, MessageType::EVENT);
        assert!(wrp.source.starts_with("uuid:") && wrp.dest.starts_with("dns:"), "{stack}: {wrp:?}");
        let device = wrp.source.clone();
        server.send("down").await.unwrap();
        let down = message_of(client).await;
        assert_eq!(down.as_wrp().unwrap().dest, device, "{stack}: it goes to the device");
        spawn_echo(server.clone());
        for len in [0, 1, 1_492, 16_384, 65_536, 250_000] {
            let message = Message::from(pattern(len, 3)).with_header("len", len.to_string());
            assert!(client.request(message.clone()).await.unwrap() == message, "{stack}: {len}");
        }
        assert_eq!(client.request(Message::new()).await.unwrap(), Message::new(), "{stack}: no payload");
        client.close().await.unwrap();
    }
}

//= WRP-N20
#[tokio::test]
async fn bodies_go_both_ways_over_every_stack_several_at_once() {
    for stack in wrp_stacks() {
        let Pair { client, server, .. } = &pair(&stack).await;
        spawn_echo(server.clone());
        let content = pattern(1 << 20, 5);
        let streams = (0..8u32).map(|number| {
            let (client, content) = (client.clone(), content.clone());
            tokio::spawn(async move {
                let head = Message::from(format!("{{\"number\":{number}}}")).with_header("name", format!("ü{number}"));
                let mut body = client.open_body(head).await.unwrap();
                for piece in content.chunks(10_000) {
                    body.write(piece.to_vec()).await.unwrap();
                }
                body.finish_with(format!("trailer {number}")).await.unwrap();
            })
        });
        let streams: Vec<_> = streams.collect();
        let mut readers = Vec::new();
        for _ in 0..8 {
            let Some(Incoming::Body(mut body)) = within(30, client.receive()).await.unwrap() else { panic!("{stack}") };
            readers.push(tokio::spawn(async move {
                let mut all = Vec::new();
                while let Some(piece) = body.next().await.unwrap() {
                    all.extend_from_slice(&piece);
                }
                let number = body.trailer().and_then(|text| text.strip_prefix(b"trailer ")).unwrap().to_vec();
                let number = String::from_utf8(number).unwrap();
                assert_eq!(body.head().text(0), Some(format!("{{\"number\":{number}}}").as_str()));
                assert_eq!(body.head().headers(), [("name".to_owned(), format!("ü{number}").into())]);
                (number, all)
            }));
        }
        let mut numbers = Vec::new();
        for reader in readers {
            let (number, all) = within(30, reader).await.unwrap();
            assert!(all == content, "{stack}: {number}");
            numbers.push(number);
        }
        numbers.sort();
        assert_eq!(numbers, ["0", "1", "2", "3", "4", "5", "6", "7"], "{stack}");
        for stream in streams {
            stream.await.unwrap();
        }
    }
}

//= WRP-N20
#[tokio::test]
async fn a_request_may_be_a_body_and_its_reply_too() {
    let pair = pair("wrp+ws").await;
    spawn_echo(pair.server.clone());
    let content = pattern(700_000, 9);
    let mut upload = pair.client.open_request("head").await.unwrap();
    upload.write(content.clone()).await.unwrap();
    let reply = within(20, upload.finish("sum")).await.unwrap();
    assert_eq!(reply.text(0), Some("head"));
    assert!(reply.get(1) == Some(&content));
}

//= WRP-N20
#[tokio::test]
async fn a_body_that_is_given_up_and_a_link_that_ends_in_it_are_errors() {
    for gives_up in [true, false] {
        let Pair { client, server, .. } = pair("wrp+tcp").await;
        let mut writer = client.open_body("x").await.unwrap();
        writer.write(pattern(100_000, 1)).await.unwrap();
        let Some(Incoming::Body(mut body)) = within(10, server.receive()).await.unwrap() else { panic!() };
        assert_eq!(body.next().await.unwrap().unwrap().len(), 65_536);
        if gives_up {
            drop(writer);
            // What was written comes, and then the reason.
            assert_eq!(body.next().await.unwrap().unwrap().len(), 100_000 - 65_536);
        } else {
            tokio::spawn(async move {
                let _in_order = client.close().await;
                drop(writer);
            });
        }
        let error = within(10, body.next()).await.unwrap_err();
        let wanted = if gives_up { ErrorKind::Peer } else { ErrorKind::Lost };
        assert_eq!(error.kind(), wanted, "{error}");
        assert!(error.why().contains(if gives_up { "given up" } else { "before its end" }), "{error}");
        assert_eq!(body.next().await.unwrap_err().kind(), wanted, "each time it is asked");
    }
}

#[tokio::test]
async fn a_body_that_nobody_reads_holds_its_writer_and_goes_on_once_it_is_read() {
    for stack in ["wrp+mem", "wrp+ws", "wrp+smp+mem"] {
        let Pair { client, server, .. } =
            &pair_with(stack, Setup { query: "?encoding=identity", ..Setup::default() }).await;
        let content = pattern(64 << 20, 1);
        let mut writer = client.open_body("x").await.unwrap();
        let writing = tokio::spawn({
            let content = content.clone();
            async move {
                writer.write(content).await.unwrap();
                writer.finish().await.unwrap();
            }
        });
        let Some(Incoming::Body(body)) = within(10, server.receive()).await.unwrap() else { panic!() };
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!writing.is_finished(), "{stack}: 64 MiB do not fit into what lies between");
        assert!(within(60, body.collect(64 << 20)).await.unwrap() == content, "{stack}");
        within(10, writing).await.unwrap();
    }
}

//= WRP-N9
#[tokio::test]
async fn what_a_link_cannot_carry_is_an_error_at_once_and_the_link_stays() {
    let Pair { client, server, .. } = &pair("wrp+ws").await;
    let error = client.send(pattern(262_144, 0)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    assert!(error.remedy().contains("max_message_size"), "{error}");
    let error = client.send(Message::from("a").with_part("b")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(!client.can(Capability::Parts) && client.can(Capability::Headers) && client.can(Capability::Files));
    let invalid = wrp::Message { msg_type: MessageType::EVENT, dest: "nowhere".to_owned(), ..wrp::Message::default() };
    assert_eq!(client.send_wrp(invalid).await.unwrap_err().kind(), ErrorKind::Unsupported);
    client.send("still here").await.unwrap();
    assert_eq!(message_of(server).await.text(0), Some("still here"));

    let Pair { client, server, .. } =
        &pair_with("wrp+ws", Setup { query: "?max_message_size=1MiB", ..Setup::default() }).await;
    client.send(pattern(1_000_000, 0)).await.unwrap();
    assert_eq!(message_of(server).await.payload_len(), 1_000_000);
}

//= WRP-N19
#[tokio::test]
async fn refusals_and_dropped_requests_are_errors_that_say_why() {
    let Pair { client, server, .. } = &pair("wrp+tls").await;
    let answering = tokio::spawn({
        let server = server.clone();
        async move {
            for number in 0..3 {
                let Some(Incoming::Request(request)) = server.receive().await.unwrap() else { panic!() };
                assert!(request.peer().starts_with("uuid:"), "{}", request.peer());
                match number {
                    0 => request.refuse("out of paper").await.unwrap(),
                    1 => drop(request),
                    _ => {
                        let mut reply = request.message().as_wrp().unwrap().reply(403).build().unwrap();
                        reply.payload = Some("no\x1b[31m".into());
                        request.connection().send_wrp(reply).await.unwrap();
                        core::mem::forget(request);
                    }
                }
            }
        }
    });
    for wanted in ["out of paper", "dropped without a reply", "status 403: no\\u{1b}[31m"] {
        let error = within(10, client.request("print")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Peer, "{error}");
        assert!(error.why().contains(wanted), "{error}");
    }
    answering.await.unwrap();
}

//= WRP-N16
#[tokio::test]
async fn a_reply_that_comes_late_or_to_nobody_is_never_answered() {
    let Pair { client, server, .. } = &pair("wrp+mem").await;
    let late = client.request_within("slow", Duration::from_millis(50));
    let (timed_out, request) = tokio::join!(late, server.receive());
    assert_eq!(timed_out.unwrap_err().kind(), ErrorKind::Timeout);
    let Some(Incoming::Request(request)) = request.unwrap() else { panic!() };
    let reply = request.message().as_wrp().unwrap().reply(200).build().unwrap();
    // One with a status, one that has only the transaction, and one to a request that never was.
    server.send_wrp(reply.clone()).await.unwrap();
    server.send_wrp(wrp::Message { status: None, ..reply.clone() }).await.unwrap();
    server.send_wrp(wrp::Message { transaction_uuid: "made-up".to_owned(), ..reply }).await.unwrap();
    request.reply("too late").await.unwrap();
    server.send("the end").await.unwrap();
    assert_eq!(message_of(client).await.text(0), Some("the end"), "nothing before it was for the application");
    assert_eq!(client.statistics().late_reply_count, 3);
}

#[tokio::test]
async fn requests_of_other_types_and_all_fields_reach_the_other_end() {
    let Pair { client, server, .. } = &pair("wrp+smp+tcp").await;
    let answering = tokio::spawn({
        let server = server.clone();
        async move {
            let Some(Incoming::Request(request)) = server.receive().await.unwrap() else { panic!() };
            let asked = request.message().as_wrp().unwrap().clone();
            request.reply("7").await.unwrap();
            let Some(Incoming::Custom { code, message }) = server.receive().await.unwrap() else { panic!() };
            (asked, code, message)
        }
    });
    let request = wrp::Message {
        msg_type: MessageType::RETRIEVE,
        dest: "mac:112233445566/config".to_owned(),
        path: "/a".to_owned(),
        metadata: vec![("k".to_owned(), "v".to_owned())],
        ..wrp::Message::default()
    };
    let reply = within(10, client.request_wrp(request)).await.unwrap();
    let wrp = reply.as_wrp().unwrap();
    assert_eq!(
        (wrp.msg_type, wrp.status, wrp.source.as_str()),
        (MessageType::RETRIEVE, Some(200), "mac:112233445566/config")
    );
    client.send_wrp(wrp::Message { msg_type: MessageType(10), ..wrp::Message::default() }).await.unwrap();
    let (asked, code, _) = answering.await.unwrap();
    assert_eq!((asked.path.as_str(), asked.metadata.len(), code), ("/a", 1, 10));
    let Pair { client, .. } = &pair("smp+mem").await;
    assert_eq!(client.send_wrp(wrp::Message::default()).await.unwrap_err().kind(), ErrorKind::Unsupported);
}

//= WRP-N17
#[tokio::test]
async fn over_tcp_each_message_stands_behind_its_length() {
    let mut listener = postroad::listen("wrp+tcp://127.0.0.1:0").await.unwrap();
    let mut raw = tokio::net::TcpStream::connect(("127.0.0.1", listener.url().port().unwrap())).await.unwrap();
    let server = listener.accept().await.unwrap();
    let event = wrp::Event::new("mac:112233445566", "event:x").payload("hi").build().unwrap().encode();
    let unit = [&u32::try_from(event.len()).unwrap().to_be_bytes(), &event[..]].concat();
    raw.write_all(&unit).await.unwrap();
    assert_eq!(message_of(&server).await.text(0), Some("hi"));
    server.send("ho").await.unwrap();
    let mut head = [0; 4];
    within(10, raw.read_exact(&mut head)).await.unwrap();
    let mut octets = vec![0; u32::from_be_bytes(head) as usize];
    raw.read_exact(&mut octets).await.unwrap();
    let came = wrp::Message::decode(&octets.into(), &wrp::Limits::default()).unwrap();
    assert_eq!((came.dest.as_str(), came.payload.as_deref()), ("mac:112233445566", Some(&b"ho"[..])));
    raw.write_all(&[0, 0, 0, 3, b'b', b'a', b'd']).await.unwrap();
    assert!(refused(&server).await.contains("3 octets that are no message"));
    raw.write_all(&[0xff; 8]).await.unwrap();
    let error = within(10, server.receive()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    assert!(error.why().contains("max_message_size"), "{error}");
}

//= WRP-N18
#[tokio::test]
async fn over_smp_a_message_is_the_one_argument_of_one_message() {
    let mut listener = postroad::listen("smp+mem://wrp-over-smp").await.unwrap();
    let (client, bare) = tokio::join!(postroad::connect("wrp+smp+mem://wrp-over-smp"), listener.accept());
    let (client, bare) = (client.unwrap(), bare.unwrap());
    client.send(pattern(100, 1)).await.unwrap();
    let came = message_of(&bare).await;
    assert_eq!(came.part_count(), 1);
    let message = wrp::Message::decode(came.get(0).unwrap(), &wrp::Limits::default()).unwrap();
    assert_eq!(message.payload, Some(pattern(100, 1)));
    bare.send(Message::from("a").with_part("b")).await.unwrap();
    assert!(refused(&client).await.contains("no message"));
    let large = wrp::Event::new("mac:112233445566", "event:x").payload(pattern(200_000, 2)).build().unwrap();
    bare.send(large.encode()).await.unwrap();
    assert_eq!(message_of(&client).await.payload_len(), 200_000, "it came in frames");
}

#[tokio::test]
async fn closing_waits_for_bodies_and_not_for_a_peer_that_takes_nothing() {
    let Pair { client, server, .. } = &pair("wrp+ws").await;
    let mut body = client.open_body("x").await.unwrap();
    body.write(pattern(100_000, 1)).await.unwrap();
    let closing = tokio::spawn({
        let client = client.clone();
        async move { client.close().await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    body.write(pattern(100_000, 2)).await.unwrap();
    body.finish().await.unwrap();
    let Some(Incoming::Body(body)) = within(10, server.receive()).await.unwrap() else { panic!() };
    assert_eq!(within(10, body.collect(1 << 20)).await.unwrap().len(), 200_000);
    within(10, closing).await.unwrap().unwrap();

    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = postroad::connect(format!("wrp+tcp://{}", mute.local_addr().unwrap())).await.unwrap();
    let _open = mute.accept().await.unwrap();
    while tokio::time::timeout(Duration::from_millis(300), client.send(pattern(250_000, 0))).await.is_ok() {}
    let _in_whatever_order = within(15, client.close()).await;
    assert!(within(1, client.receive()).await.is_ok_and(|end| end.is_none()), "it has ended");
}

#[tokio::test]
async fn everything_that_waits_is_bounded_and_closing_drops_what_nobody_receives() {
    let mut limits = Limits::default();
    limits.incoming_count_max = 2;
    let Pair { client, server, .. } = &pair_with("wrp+mem", Setup { limits, ..Setup::default() }).await;
    let mut sent = 0;
    while tokio::time::timeout(Duration::from_millis(200), client.send(pattern(10_000, 0))).await.is_ok() {
        sent += 1;
        assert!(sent < 1000, "nobody receives, and {sent} messages went somewhere");
    }
    let (closed, _) = within(20, async { tokio::join!(server.close(), client.close()) }).await;
    closed.unwrap();
    let mut received = 0;
    while let Ok(Some(_)) = within(10, server.receive()).await {
        received += 1;
    }
    assert!(received >= 2, "what had its place is still there");
}
