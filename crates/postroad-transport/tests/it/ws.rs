//! Our WebSocket against tokio-tungstenite as the peer: messages, control frames and ends.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use postroad_transport::{CarrierError, ErrorKind, memory, ws};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role};

use crate::support::{random_bytes, soon};

type Ours = ws::Stream<DuplexStream>;
type Theirs = WebSocketStream<DuplexStream>;

/// Our end in that role and the other library's end in the other, joined in memory.
async fn ends(role: Role, limits: ws::Limits) -> (Ours, Theirs) {
    let (near, far) = tokio::io::duplex(256 * 1024);
    let ours = async {
        match role {
            Role::Client => ws::handshake(near, "peer:1", &ws::ClientConfig::new().with_limits(limits)).await.unwrap(),
            Role::Server => {
                ws::ServerConfig::new().with_limits(limits).build().unwrap().handshake(near, "peer").await.unwrap()
            }
        }
    };
    let theirs = async {
        match role {
            Role::Client => tokio_tungstenite::accept_async(far).await.unwrap(),
            Role::Server => tokio_tungstenite::client_async("ws://peer:1/path", far).await.unwrap().0,
        }
    };
    soon(async { tokio::join!(ours, theirs) }).await
}

const ROLES: [Role; 2] = [Role::Client, Role::Server];

/// The failure that reading comes to.
async fn read_kind(ours: &mut Ours) -> ErrorKind {
    let error = soon(ours.read_to_end(&mut Vec::new())).await.expect_err("must fail");
    CarrierError::from_io(&error).unwrap_or_else(|| panic!("untyped: {error}")).kind()
}

/// The code of the close frame that the peer gets.
async fn close_code(theirs: &mut Theirs) -> CloseCode {
    loop {
        match soon(theirs.next()).await {
            Some(Ok(Message::Close(Some(frame)))) => return frame.code,
            Some(Ok(_)) => {}
            other => panic!("no close frame but {other:?}"),
        }
    }
}

#[tokio::test]
async fn another_library_reads_what_we_write_and_we_read_what_it_writes() {
    for role in ROLES {
        for len in [1, 125, 126, 127, 4095, 4096, 65_535, 65_536, 131_071, 131_072, 131_073, 1_000_000] {
            let (mut ours, mut theirs) = ends(role, ws::Limits::default()).await;
            let sent = random_bytes(len, len as u64);
            let expected = sent.clone();
            let peer = tokio::spawn(async move {
                let mut got = Vec::new();
                while got.len() < expected.len() {
                    match theirs.next().await.unwrap().unwrap() {
                        Message::Binary(payload) => {
                            assert!(payload.len() <= 128 * 1024);
                            got.extend_from_slice(&payload);
                        }
                        other => panic!("{other:?}"),
                    }
                }
                assert!(got == expected);
                theirs.send(Message::binary(got)).await.unwrap();
                theirs
            });
            ours.write_all(&sent).await.unwrap();
            ours.flush().await.unwrap();
            let mut got = vec![0; len];
            soon(ours.read_exact(&mut got)).await.unwrap();
            assert!(got == sent, "{role:?} {len}");
            peer.await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_fragmented_message_with_a_ping_inside_is_one_row_of_bytes() {
    for role in ROLES {
        let (mut ours, mut theirs) = ends(role, ws::Limits::default()).await;
        let piece = |text: &'static [u8], code, last| Message::Frame(Frame::message(text, OpCode::Data(code), last));
        theirs.feed(piece(b"one ", Data::Binary, false)).await.unwrap();
        theirs.feed(Message::Ping("in between".into())).await.unwrap();
        theirs.feed(piece(b"", Data::Continue, false)).await.unwrap();
        theirs.feed(piece(b"message", Data::Continue, true)).await.unwrap();
        theirs.feed(Message::binary(&b""[..])).await.unwrap();
        theirs.feed(Message::binary(&b" and more"[..])).await.unwrap();
        theirs.flush().await.unwrap();
        let mut got = [0; 20];
        soon(ours.read_exact(&mut got)).await.unwrap();
        assert_eq!(&got, b"one message and more");
    }
}

#[tokio::test]
async fn readers_with_little_and_with_much_room_get_the_same_bytes_in_turns() {
    for role in ROLES {
        let (mut ours, mut theirs) = ends(role, ws::Limits::default().with_read_buffer_len(100)).await;
        let sent = random_bytes(300_000, 7);
        let expected = sent.clone();
        let peer = tokio::spawn(async move {
            for piece in sent.chunks(777) {
                theirs.feed(Message::binary(piece.to_vec())).await.unwrap();
                theirs.feed(Message::Ping("x".into())).await.unwrap();
            }
            theirs.close(None).await.unwrap();
            while let Some(Ok(_)) = theirs.next().await {}
        });
        let mut got = Vec::new();
        for room in [1, 99, 100, 101, 5000, 3, 70_000].into_iter().cycle() {
            let mut piece = vec![0; room];
            match soon(ours.read(&mut piece)).await.unwrap() {
                0 => break,
                len => got.extend_from_slice(&piece[..len]),
            }
        }
        assert!(got == expected, "{role:?}");
        soon(ours.shutdown()).await.unwrap();
        soon(peer).await.unwrap();
    }
}

#[tokio::test]
async fn pings_are_answered_by_a_reader_that_writes_nothing() {
    for role in ROLES {
        let (mut ours, mut theirs) = ends(role, ws::Limits::default()).await;
        let reader = tokio::spawn(async move { ours.read(&mut [0; 10]).await });
        theirs.send(Message::Ping("are you there".into())).await.unwrap();
        let answer = soon(theirs.next()).await.unwrap().unwrap();
        assert_eq!(answer, Message::Pong("are you there".into()));
        reader.abort();
    }
}

#[tokio::test]
async fn a_text_message_is_refused_and_the_peer_told_why() {
    for role in ROLES {
        let (mut ours, mut theirs) = ends(role, ws::Limits::default()).await;
        theirs.send(Message::binary(&b"good"[..])).await.unwrap();
        theirs.send(Message::text("bad")).await.unwrap();
        let mut got = [0; 4];
        soon(ours.read_exact(&mut got)).await.unwrap();
        assert_eq!(read_kind(&mut ours).await, ErrorKind::TextMessage);
        assert_eq!(close_code(&mut theirs).await, CloseCode::Unsupported);
        // It stays an error: a second read must not look like an orderly end, and writing is over.
        assert_eq!(read_kind(&mut ours).await, ErrorKind::TextMessage);
        assert!(ours.write(b"x").await.is_err());
    }
}

#[tokio::test]
async fn messages_and_frames_pass_at_the_limit_and_fail_past_it() {
    let limits = ws::Limits::default().with_message_len_max(1000).with_frame_len_max(600);
    let frame = |len: usize, code, last| Message::Frame(Frame::message(vec![1; len], OpCode::Data(code), last));
    for role in ROLES {
        let (mut ours, mut theirs) = ends(role, limits).await;
        theirs.feed(frame(600, Data::Binary, false)).await.unwrap();
        theirs.feed(frame(400, Data::Continue, true)).await.unwrap();
        theirs.flush().await.unwrap();
        soon(ours.read_exact(&mut [0; 1000])).await.unwrap();
        theirs.feed(frame(600, Data::Binary, false)).await.unwrap();
        theirs.feed(frame(401, Data::Continue, true)).await.unwrap();
        theirs.flush().await.unwrap();
        assert_eq!(read_kind(&mut ours).await, ErrorKind::Limit);
        assert_eq!(close_code(&mut theirs).await, CloseCode::Size);

        let (mut ours, mut theirs) = ends(role, limits).await;
        theirs.send(frame(601, Data::Binary, true)).await.unwrap();
        assert_eq!(read_kind(&mut ours).await, ErrorKind::Limit);
        assert_eq!(close_code(&mut theirs).await, CloseCode::Size);
    }
}

#[tokio::test]
async fn a_frame_that_claims_much_and_sends_nothing_is_refused_by_its_header() {
    let (near, mut far) = tokio::io::duplex(10_000);
    let server = ws::ServerConfig::new().build().unwrap();
    let client = async {
        far.write_all(REQUEST).await.unwrap();
        read_head(&mut far).await;
        // A masked binary frame of 2^62 bytes.
        far.write_all(&[0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]).await.unwrap();
        far
    };
    let (ours, _far) = soon(async { tokio::join!(server.handshake(near, "peer"), client) }).await;
    assert_eq!(read_kind(&mut ours.unwrap()).await, ErrorKind::Limit);
}

pub(crate) const REQUEST: &[u8] =
    b"GET /chat HTTP/1.1\r\nHost: peer\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

pub(crate) async fn read_head(io: &mut DuplexStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(io.read_u8()).await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn rules_broken_by_the_peer_are_protocol_errors() {
    let frames: [&[u8]; 5] = [
        b"\x82\x01x",                 // not masked
        b"\xc2\x81\x00\x00\x00\x00x", // reserved bit
        b"\x83\x81\x00\x00\x00\x00x", // reserved code
        b"\x80\x81\x00\x00\x00\x00x", // continues nothing
        b"\x09\x80\x00\x00\x00\x00",  // fragmented ping
    ];
    for frame in frames {
        let (near, mut far) = tokio::io::duplex(10_000);
        let server = ws::ServerConfig::new().build().unwrap();
        let client = async {
            far.write_all(REQUEST).await.unwrap();
            read_head(&mut far).await;
            far.write_all(frame).await.unwrap();
            far
        };
        let (ours, mut far) = soon(async { tokio::join!(server.handshake(near, "peer"), client) }).await;
        assert_eq!(read_kind(&mut ours.unwrap()).await, ErrorKind::Protocol, "{frame:?}");
        let mut answer = [0; 4];
        soon(far.read_exact(&mut answer)).await.unwrap();
        assert_eq!((answer[0], &answer[2..]), (0x88, &1002_u16.to_be_bytes()[..]), "{frame:?}");
    }
}

#[tokio::test]
async fn our_close_is_answered_and_then_it_is_over() {
    for role in ROLES {
        let (mut ours, mut theirs) = ends(role, ws::Limits::default()).await;
        let peer = tokio::spawn(async move {
            let mut seen = Vec::new();
            while let Some(message) = theirs.next().await {
                seen.push(message.unwrap());
            }
            seen
        });
        ours.write_all(b"bye").await.unwrap();
        soon(ours.shutdown()).await.unwrap();
        let seen = soon(peer).await.unwrap();
        assert_eq!(seen[0], Message::binary(&b"bye"[..]));
        let normal = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        assert_eq!(seen[1], Message::Close(Some(normal)), "{role:?}");
        assert_eq!(soon(ours.read(&mut [0; 1])).await.unwrap(), 0);
        assert_eq!(ours.write(b"x").await.unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
    }
}

#[tokio::test]
async fn the_peers_close_is_an_end_of_stream_and_answered() {
    for role in ROLES {
        let (mut ours, mut theirs) = ends(role, ws::Limits::default()).await;
        theirs.send(Message::binary(&b"bye"[..])).await.unwrap();
        theirs.close(Some(CloseFrame { code: CloseCode::Away, reason: "".into() })).await.unwrap();
        let mut got = Vec::new();
        soon(ours.read_to_end(&mut got)).await.unwrap();
        assert_eq!(got, b"bye");
        assert_eq!(close_code(&mut theirs).await, CloseCode::Away);
        assert_eq!(ours.write(b"x").await.unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
        soon(ours.shutdown()).await.unwrap();
    }
}

#[tokio::test]
async fn a_close_that_complains_is_an_error_with_its_reason() {
    let (mut ours, mut theirs) = ends(Role::Client, ws::Limits::default()).await;
    let frame = CloseFrame { code: CloseCode::Policy, reason: "go \u{1b}[31maway".into() };
    theirs.close(Some(frame)).await.unwrap();
    let error = soon(ours.read(&mut [0; 1])).await.unwrap_err();
    let error = CarrierError::from_io(&error).unwrap();
    assert_eq!(error.kind(), ErrorKind::ClosedByPeer { code: 1008 });
    assert!(error.to_string().contains(r"go \u{1b}[31maway"), "{error}");
}

#[tokio::test]
async fn a_shutdown_waits_for_the_close_of_the_peer_but_not_for_ever() {
    let limits = ws::Limits::default().with_close_timeout(Duration::from_millis(200));
    for role in ROLES {
        let (mut ours, theirs) = ends(role, limits).await;
        let start = std::time::Instant::now();
        soon(ours.shutdown()).await.unwrap();
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(200) && took < Duration::from_secs(2), "{took:?}");
        drop(theirs);
    }
}

#[tokio::test]
async fn a_shutdown_does_not_wait_behind_a_peer_that_reads_nothing() {
    let limits = ws::Limits::default().with_close_timeout(Duration::from_millis(200));
    let (mut ours, theirs) = ends(Role::Client, limits).await;
    let fill = async {
        loop {
            ours.write_all(&[0; 60_000]).await.unwrap();
        }
    };
    assert!(tokio::time::timeout(Duration::from_millis(300), fill).await.is_err());
    soon(ours.shutdown()).await.unwrap();
    drop(theirs);
}

#[tokio::test]
async fn what_the_peer_sent_before_it_saw_our_close_can_still_be_read() {
    let (mut ours, mut theirs) = ends(Role::Client, ws::Limits::default()).await;
    theirs.send(Message::binary(&b"still on its way"[..])).await.unwrap();
    soon(ours.shutdown()).await.unwrap();
    let peer = tokio::spawn(async move { while let Some(Ok(_)) = theirs.next().await {} });
    let mut got = Vec::new();
    soon(ours.read_to_end(&mut got)).await.unwrap();
    assert_eq!(got, b"still on its way");
    soon(peer).await.unwrap();
}

#[tokio::test]
async fn a_reader_waiting_in_another_task_sees_the_end_that_a_shutdown_brings() {
    for role in ROLES {
        let (ours, mut theirs) = ends(role, ws::Limits::default()).await;
        let (mut reader, mut writer) = tokio::io::split(ours);
        let reading = tokio::spawn(async move { reader.read_to_end(&mut Vec::new()).await });
        tokio::time::sleep(Duration::from_millis(20)).await;
        let peer = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            while let Some(Ok(_)) = theirs.next().await {}
        });
        let start = std::time::Instant::now();
        soon(writer.shutdown()).await.unwrap();
        assert!(start.elapsed() < Duration::from_millis(1500), "{:?}", start.elapsed());
        soon(reading).await.unwrap().unwrap();
        soon(peer).await.unwrap();
    }
}

#[tokio::test]
async fn a_shutdown_that_is_given_up_does_not_leave_the_reader_asleep() {
    for role in ROLES {
        let (ours, mut theirs) = ends(role, ws::Limits::default()).await;
        let (mut reader, mut writer) = tokio::io::split(ours);
        let reading = tokio::spawn(async move {
            let mut got = Vec::new();
            reader.read_to_end(&mut got).await.map(|_| got)
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        let cut = tokio::time::timeout(Duration::from_millis(50), writer.shutdown()).await;
        assert!(cut.is_err());
        theirs.send(Message::binary(&b"late"[..])).await.unwrap();
        let peer = tokio::spawn(async move { while let Some(Ok(_)) = theirs.next().await {} });
        assert_eq!(soon(reading).await.unwrap().unwrap(), b"late");
        // Taken up again it ends the connection, which is what the peer waits for if it is a client.
        soon(writer.shutdown()).await.unwrap();
        soon(peer).await.unwrap();
    }
}

#[tokio::test]
async fn a_writer_that_waits_is_not_forgotten_when_the_reader_answers_pings() {
    for role in ROLES {
        let (ours, mut theirs) = ends(role, ws::Limits::default()).await;
        let (mut reader, mut writer) = tokio::io::split(ours);
        let reading = tokio::spawn(async move { reader.read(&mut [0; 10]).await });
        let writing = tokio::spawn(async move {
            for _ in 0..100 {
                writer.write_all(&[5; 50_000]).await.unwrap();
            }
            writer.flush().await.unwrap();
            writer
        });
        // The writer stands, then pings arrive whose answers the reader tries to send.
        tokio::time::sleep(Duration::from_millis(50)).await;
        for _ in 0..10 {
            theirs.feed(Message::Ping("x".into())).await.unwrap();
        }
        theirs.flush().await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut got = 0;
        while got < 5_000_000 {
            match soon(theirs.next()).await.unwrap().unwrap() {
                Message::Binary(payload) => got += payload.len(),
                Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
        soon(writing).await.unwrap();
        reading.abort();
    }
}

#[tokio::test]
async fn a_flood_of_pings_to_an_end_that_cannot_write_stays_bounded() {
    let (mut ours, mut theirs) = ends(Role::Server, ws::Limits::default()).await;
    let fill = async {
        loop {
            ours.write_all(&[0; 60_000]).await.unwrap();
        }
    };
    assert!(tokio::time::timeout(Duration::from_millis(200), fill).await.is_err());
    let reading = tokio::spawn(async move {
        let mut got = Vec::new();
        ours.read_to_end(&mut got).await.map(|_| got)
    });
    // 100,000 pings of 125 bytes would be 12 MB of answers; the buffer may hold 2 MiB and then forgets older ones.
    for _ in 0..100_000 {
        theirs.feed(Message::Ping(vec![1; 125].into())).await.unwrap();
    }
    theirs.flush().await.unwrap();
    theirs.send(Message::binary(&b"end"[..])).await.unwrap();
    theirs.close(None).await.unwrap();
    assert_eq!(soon(reading).await.unwrap().unwrap(), b"end");
}

#[tokio::test]
async fn memory_and_tcp_alike_carry_a_websocket() {
    let (near, far) = memory::duplex(5);
    let server = ws::ServerConfig::new().build().unwrap();
    let client = ws::ClientConfig::new();
    let (client, server) =
        soon(async { tokio::join!(ws::handshake(near, "peer:1", &client), server.handshake(far, "peer")) }).await;
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    let sent = random_bytes(1000, 3);
    let (wrote, read) = soon(async {
        tokio::join!(async { client.write_all(&sent).await.and(client.flush().await) }, async {
            let mut got = vec![0; 1000];
            server.read_exact(&mut got).await.map(|_| got)
        })
    })
    .await;
    wrote.unwrap();
    assert!(read.unwrap() == sent);
}
