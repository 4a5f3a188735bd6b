//! Sessions over real connections.

use bytes::Bytes;
use core::time::Duration;
use sha2::{Digest as _, Sha256};
use smrp::wire::{ParametersBuilder, parameter};
use smrp::{
    Accepted, Acceptor, Carrier, Code, Config, Dial, Grant, OpenError, ReceiveError, Request, Security, SendError,
    Session, SessionError,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

pub(crate) fn config() -> Config {
    Config::new(Security::Plaintext, true)
}

fn carrier(io: impl smrp::Octets + 'static) -> Carrier {
    Carrier::new(io, Security::Plaintext, true)
}

pub(crate) async fn pair_with(config: Config) -> (Session, Session) {
    let (a, b) = tokio::io::duplex(64 << 10);
    let acceptor = Acceptor::new(config.clone()).unwrap();
    let dial = Dial::new(config);
    let (a, b) = tokio::join!(dial.connect(carrier(a)), acceptor.accept(carrier(b)));
    let Accepted::Session(b) = b.unwrap() else { panic!("fresh") };
    (a.unwrap(), b)
}

pub(crate) async fn pair() -> (Session, Session) {
    pair_with(config()).await
}

pub(crate) fn named(name: &str) -> Request {
    Request::default().with_metadata(ParametersBuilder::new().with(parameter::NAME, name.as_bytes()).build())
}

#[tokio::test]
async fn streams_are_readers_and_writers() {
    let (a, b) = pair().await;
    let mut stream = a.open_bidi(named("/echo")).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    stream.shutdown().await.unwrap();
    let incoming = b.accept().await.unwrap();
    assert_eq!(incoming.name().as_deref(), Some("/echo"));
    let mut there = incoming.into_bidi().unwrap();
    let mut said = String::new();
    there.read_to_string(&mut said).await.unwrap();
    there.write_all(said.to_uppercase().as_bytes()).await.unwrap();
    there.shutdown().await.unwrap();
    let mut back = String::new();
    stream.read_to_string(&mut back).await.unwrap();
    assert_eq!(back, "HELLO");
}

#[tokio::test]
async fn a_mebibyte_and_many_passes_every_window() {
    //= SMRP-FC7
    let (a, b) = pair().await;
    let sent: Vec<u8> = (0..20_u32 << 20).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let expected = sent.clone();
    let writer = tokio::spawn(async move {
        let mut stream = a.open_uni(Request::default()).await.unwrap();
        stream.write_all(&sent).await.unwrap();
        stream.finish().unwrap();
        a.closed().await
    });
    let mut incoming = b.accept().await.unwrap();
    let mut came = Vec::new();
    incoming.recv.read_to_end(&mut came).await.unwrap();
    assert!(came == expected);
    b.close(Code::NO_ERROR, "done");
    let end = writer.await.unwrap();
    assert!(matches!(end, SessionError::ClosedByPeer { code: Code::NO_ERROR, .. }), "{end}");
}

#[tokio::test]
async fn requests_are_answered_each_for_itself() {
    let (a, b) = pair().await;
    tokio::spawn(async move {
        while let Ok(request) = b.accept_request().await {
            if request.body.is_empty() {
                request.fail(Code::new(0x1001));
            } else {
                let body = request.body.clone();
                request.reply(body).unwrap();
            }
        }
    });
    let mut replies = Vec::new();
    for number in 0..2_000_u32 {
        let body = Bytes::copy_from_slice(&number.to_be_bytes());
        replies.push((body.clone(), a.request(body, Request::default()).await.unwrap()));
        if replies.len() == 300 {
            for (body, reply) in replies.drain(..) {
                assert_eq!(reply.await.unwrap(), body);
            }
        }
    }
    let failed = a.request(Bytes::new(), Request::default()).await.unwrap().await;
    assert_eq!(failed, Err(ReceiveError::Reset(Code::new(0x1001))));
}

#[tokio::test]
async fn messages_datagrams_and_their_ends() {
    let (a, b) = pair().await;
    let mut sender = a.open_messages(true, named("/log")).await.unwrap();
    let reader = tokio::spawn(async move {
        let (mut receiver, back) = b.accept_messages().await.unwrap();
        assert!(back.is_none());
        let mut count = 0;
        while let Some(message) = receiver.receive().await.unwrap() {
            assert_eq!(message, format!("message {count}"));
            count += 1;
        }
        assert_eq!(b.receive_datagram().await.unwrap(), (7, Bytes::from_static(b"ping")));
        count
    });
    for number in 0..10_000 {
        sender.send(Bytes::from(format!("message {number}"))).await.unwrap();
    }
    sender.finish().unwrap();
    a.send_datagram(7, Bytes::from_static(b"ping"), None).unwrap();
    assert_eq!(reader.await.unwrap(), 10_000);
}

#[tokio::test]
async fn opening_waits_while_the_peer_allows_no_more() {
    let mut settings = config().settings;
    settings.max_streams_bidi = 8;
    let (a, b) = pair_with(config().with_settings(settings)).await;
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(a.open_bidi(Request::default()).await.unwrap());
    }
    let waiting = tokio::spawn({
        let a = a.clone();
        async move { a.open_bidi(Request::default()).await.map(drop) }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    drop(streams);
    for _ in 0..8 {
        drop(b.accept().await.unwrap());
    }
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn dropping_handles_has_the_effect_that_is_said() {
    //= SMRP-ST16
    let (a, b) = pair().await;
    let mut stream = a.open_bidi(Request::default()).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    let mut there = b.accept().await.unwrap().into_bidi().unwrap();
    assert_eq!(there.read_u8().await.unwrap(), b'x');
    drop(stream);
    assert!(matches!(there.recv.read_chunk(10).await, Err(ReceiveError::Reset(Code::CANCELLED))));
    let stopped = loop {
        match there.send.write_all(b"y").await {
            Ok(()) => tokio::task::yield_now().await,
            Err(error) => break error,
        }
    };
    assert_eq!(stopped, SendError::Stopped(Code::CANCELLED));
    drop(there);
    drop(a);
    let end = b.closed().await;
    assert!(matches!(end, SessionError::ClosedByPeer { code: Code::NO_ERROR, .. }), "{end}");
}

#[tokio::test]
async fn what_was_handed_in_arrives_though_the_session_is_dropped() {
    let (a, b) = pair().await;
    let mut stream = a.open_uni(Request::default()).await.unwrap();
    let data = vec![5; 100_000];
    stream.write_all(&data).await.unwrap();
    stream.finish().unwrap();
    drop((stream, a));
    let mut incoming = b.accept().await.unwrap();
    let mut came = Vec::new();
    incoming.recv.read_to_end(&mut came).await.unwrap();
    assert_eq!(came.len(), data.len());
}

#[tokio::test]
async fn the_end_of_a_carrier_ends_every_wait_with_its_reason() {
    //= SMRP-L10
    let mut settings = config().settings;
    settings.resumable_ms = 0;
    let (near, far) = tokio::io::duplex(1_000);
    let config = config().with_settings(settings);
    let acceptor = Acceptor::new(config.clone()).unwrap();
    let dial = Dial::new(config);
    let (a, b) = tokio::join!(dial.connect(carrier(near)), acceptor.accept(carrier(far)));
    let (a, Accepted::Session(b)) = (a.unwrap(), b.unwrap()) else { panic!("fresh") };
    let reply = a.request(Bytes::from_static(b"x"), Request::default()).await.unwrap();
    let mut stream = a.open_bidi(Request::default()).await.unwrap();
    b.close(Code::new(0x1234), "because");
    let expected = SessionError::ClosedByPeer { code: Code::new(0x1234), frame_type: 0, reason: "because".to_owned() };
    assert_eq!(reply.await, Err(ReceiveError::Session(expected.clone())));
    assert_eq!(stream.recv.read_chunk(1).await, Err(ReceiveError::Session(expected.clone())));
    assert_eq!(stream.send.write_all(b"x").await, Err(SendError::Session(expected.clone())));
    assert_eq!(a.open_uni(Request::default()).await.err(), Some(OpenError::Session(expected.clone())));
    assert_eq!(a.accept().await.err(), Some(expected));
}

#[tokio::test]
async fn who_is_not_believed_gets_nothing_and_who_is_has_a_name() {
    //= SMRP-A1, SMRP-A3
    let acceptor = Acceptor::new(config()).unwrap().with_authentication(|claim: &smrp::Claim| {
        (claim.token.as_deref() == Some(b"right")).then(|| Grant::of("robot7"))
    });
    for (token, is_right) in [("right", true), ("wrong", false)] {
        let (near, far) = tokio::io::duplex(64 << 10);
        let dial = Dial::new(config().with_credential(smrp::Credential::Bearer(token.to_owned())));
        let (a, b) = tokio::join!(dial.connect(carrier(near)), acceptor.accept(carrier(far)));
        if is_right {
            let Accepted::Session(b) = b.unwrap() else { panic!("fresh") };
            assert_eq!(b.subject().as_deref(), Some("robot7"));
            let stream = a.unwrap().open_uni(Request::default()).await;
            assert!(stream.is_ok());
        } else {
            // The initiator is established as far as it knows, until it hears that it is not believed.
            let end = match a {
                Ok(a) => a.closed().await,
                Err(error) => error,
            };
            assert!(
                matches!(end, SessionError::AuthRefused | SessionError::LinkLost | SessionError::ClosedByPeer { .. }),
                "{end}"
            );
            assert!(b.is_err());
        }
    }
}

/// Copies octets until it is told to cut, then drops both ends.
async fn relay(
    mut near: TcpStream,
    mut far: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    cut: Arc<tokio::sync::Notify>,
) {
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
        () = cut.notified() => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_with_requests_outlives_its_connections_of_any_kind() {
    //= SMRP-R6, SMRP-R7, SMRP-R10, SMRP-R16, SMRP-K3
    // 1 GiB over 50 streams, and the connection killed 100 times on the way.
    const STREAMS: usize = 50;
    const PIECE_LEN: usize = 64 << 10;
    const PIECES: usize = 328;
    const CUTS: usize = 100;
    let acceptor = Acceptor::new(config()).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("smrp.sock");
    let unix = UnixListener::bind(&path).unwrap();
    let (sessions, mut accepted) = tokio::sync::mpsc::unbounded_channel();
    let tcp_address = tcp.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let carrier = tokio::select! {
                Ok((stream, _)) = tcp.accept() => carrier(stream),
                Ok((stream, _)) = unix.accept() => carrier(stream),
            };
            let (acceptor, sessions) = (acceptor.clone(), sessions.clone());
            tokio::spawn(async move {
                if let Ok(Accepted::Session(session)) = acceptor.accept(carrier).await {
                    drop(sessions.send(session));
                }
            });
        }
    });
    // A relay in the middle, which the test can cut.
    let relays = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay_address = relays.local_addr().unwrap();
    let cut = Arc::new(tokio::sync::Notify::new());
    let links = Arc::new(AtomicUsize::new(0));
    tokio::spawn({
        let (cut, links) = (cut.clone(), links.clone());
        async move {
            loop {
                let (near, _) = relays.accept().await.unwrap();
                if links.fetch_add(1, Ordering::Relaxed) % 2 == 0 {
                    tokio::spawn(relay(near, TcpStream::connect(tcp_address).await.unwrap(), cut.clone()));
                } else {
                    tokio::spawn(relay(near, UnixStream::connect(&path).await.unwrap(), cut.clone()));
                }
            }
        }
    });
    let dial =
        Dial::new(config()).with_redial(move || async move { Ok(carrier(TcpStream::connect(relay_address).await?)) });
    let first = TcpStream::connect(relay_address).await.unwrap();
    let a = dial.connect(carrier(first)).await.unwrap();
    let b = accepted.recv().await.unwrap();

    let served = Arc::new(AtomicUsize::new(0));
    let server = b.clone();
    let count = served.clone();
    tokio::spawn(async move {
        while let Ok(request) = server.accept_request().await {
            count.fetch_add(1, Ordering::Relaxed);
            let body = request.body.clone();
            drop(request.reply(body));
        }
    });
    let sinks = tokio::spawn(async move {
        let mut tasks = Vec::new();
        for _ in 0..STREAMS {
            let mut incoming = b.accept().await.unwrap();
            tasks.push(tokio::spawn(async move {
                let (mut hash, mut len) = (Sha256::new(), 0);
                while let Some(piece) = incoming.recv.read_chunk(1 << 20).await.unwrap() {
                    len += piece.len();
                    hash.update(&piece);
                }
                (len, <[u8; 32]>::from(hash.finalize()))
            }));
        }
        let mut all = Vec::new();
        for task in tasks {
            all.push(task.await.unwrap());
        }
        all
    });
    let cuts = Arc::new(AtomicUsize::new(0));
    let mut writers = Vec::new();
    for number in 0..STREAMS {
        let mut stream = a.open_uni(Request::default()).await.unwrap();
        let cuts = cuts.clone();
        writers.push(tokio::spawn(async move {
            let mut hash = Sha256::new();
            let mut piece: Vec<u8> =
                (0..PIECE_LEN).map(|at| u8::try_from((at * 31 + number * 7) % 251).unwrap()).collect();
            for index in 0..PIECES {
                // No stream is through before the connection was killed so often.
                while cuts.load(Ordering::Relaxed) < index * CUTS / PIECES {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                piece[..8].copy_from_slice(&index.to_be_bytes());
                hash.update(&piece);
                stream.write_all(&piece).await.unwrap();
            }
            stream.finish().unwrap();
            (stream, <[u8; 32]>::from(hash.finalize()))
        }));
    }
    let asked = Arc::new(AtomicUsize::new(0));
    let requests = tokio::spawn({
        let (a, asked) = (a.clone(), asked.clone());
        async move {
            loop {
                let number = asked.fetch_add(1, Ordering::Relaxed);
                let body = Bytes::from(format!("request {number}"));
                let reply = a.request(body.clone(), Request::default()).await.unwrap().await.unwrap();
                assert_eq!(reply, body);
            }
        }
    });
    for _ in 0..CUTS {
        tokio::time::sleep(Duration::from_millis(15)).await;
        while a.is_detached() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        cut.notify_waiters();
        cuts.fetch_add(1, Ordering::Relaxed);
    }
    let streams = all_of(writers).await;
    let came = sinks.await.unwrap();
    for (number, ((len, hash), (_, sent))) in came.into_iter().zip(&streams).enumerate() {
        assert_eq!((len, hash), (PIECE_LEN * PIECES, *sent), "stream {number}");
    }
    drop(streams);
    requests.abort();
    let (asked, served) = (asked.load(Ordering::Relaxed), served.load(Ordering::Relaxed));
    assert!(served <= asked && served + 1 >= asked, "{served} of {asked} were run: none twice, none lost");
    let reattached = a.stats().reattached;
    assert!(reattached >= 90, "{reattached}");
}

async fn all_of<T>(tasks: Vec<tokio::task::JoinHandle<T>>) -> Vec<T> {
    let mut all = Vec::new();
    for task in tasks {
        all.push(task.await.unwrap());
    }
    all
}

#[tokio::test]
async fn a_session_moves_when_it_is_told_to() {
    //= SMRP-R14, SMRP-R16
    let acceptor = Acceptor::new(config()).unwrap();
    let (near, far) = tokio::io::duplex(64 << 10);
    let dial = Dial::new(config());
    let (a, b) = tokio::join!(dial.connect(carrier(near)), acceptor.accept(carrier(far)));
    let (a, Accepted::Session(b)) = (a.unwrap(), b.unwrap()) else { panic!("fresh") };
    let mut stream = a.open_bidi(Request::default()).await.unwrap();
    stream.write_all(b"before").await.unwrap();
    let mut there = b.accept().await.unwrap().into_bidi().unwrap();
    let mut into = [0; 6];
    there.read_exact(&mut into).await.unwrap();
    let (near, far) = tokio::io::duplex(64 << 10);
    let accepting = tokio::spawn(async move { acceptor.accept(carrier(far)).await });
    a.migrate(carrier(near)).unwrap();
    stream.write_all(b" after").await.unwrap();
    there.read_exact(&mut into).await.unwrap();
    assert_eq!(&into, b" after");
    assert!(matches!(accepting.await.unwrap(), Ok(Accepted::Resumed)));
    assert!(b.migrate(carrier(tokio::io::duplex(10).0)).is_err(), "only the initiator");
}

#[tokio::test]
async fn a_drain_loses_nothing_that_was_accepted() {
    //= SMRP-L6, SMRP-L7
    let (a, b) = pair().await;
    let mut stream = a.open_bidi(Request::default()).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    let mut there = b.accept().await.unwrap().into_bidi().unwrap();
    b.drain(Duration::from_secs(10), Some("smrp+tcp://other"));
    a.going_away().await.unwrap();
    let refused = a.open_bidi(Request::default()).await.err();
    assert_eq!(refused, Some(OpenError::GoingAway { redirect: Some("smrp+tcp://other".to_owned()) }));
    there.write_all(b"still served").await.unwrap();
    there.shutdown().await.unwrap();
    stream.shutdown().await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "still served");
    said.clear();
    there.read_to_string(&mut said).await.unwrap();
    drop((stream, there));
    let end = a.closed().await;
    assert!(matches!(end, SessionError::ClosedByPeer { code: Code::NO_ERROR, .. }), "{end}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_given_up() {
    //= SMRP-X5
    let mut settings = config().settings;
    settings.resumable_ms = 0;
    settings.idle_ms = 0;
    let config = config().with_settings(settings);
    let (near, mut far) = tokio::io::duplex(1_000);
    let dial = Dial::new(config.clone());
    let a = dial.begin(carrier(near)).unwrap();
    // The peer answers the handshake and then stops reading.
    let mut machine =
        smrp::SessionMachine::new(smrp::Role::Acceptor, Arc::new(config), [3; 32], wirekit::Instant::EPOCH).unwrap();
    let mut inbox = bytes::BytesMut::new();
    while machine.stats().frames_received == 0 {
        far.read_buf(&mut inbox).await.unwrap();
        wirekit::Machine::handle(&mut machine, wirekit::Instant::EPOCH, smrp::Input::Received(&mut inbox)).unwrap();
        let mut out = smrp::Transmit::new(1 << 16);
        wirekit::Machine::poll_transmit(&mut machine, wirekit::Instant::EPOCH, &mut out);
        far.write_all(&out.take()).await.unwrap();
    }
    a.established().await.unwrap();
    let mut stream = a.open_uni(Request::default()).await.unwrap();
    stream.write_all(&[0; 10_000]).await.unwrap();
    let end = a.closed().await;
    assert_eq!(end, SessionError::Stalled(Duration::from_secs(30)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_streams_at_once_all_end() {
    //= SMRP-FC9, SMRP-O4
    let acceptor = Acceptor::new(config()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (far, _) = listener.accept().await.unwrap();
    let dial = Dial::new(config());
    let (a, b) = tokio::join!(dial.connect(carrier(near)), acceptor.accept(carrier(far)));
    let (a, Accepted::Session(b)) = (a.unwrap(), b.unwrap()) else { panic!("fresh") };
    tokio::spawn(async move {
        while let Ok(stream) = b.accept().await {
            tokio::spawn(async move {
                let mut stream = stream.into_bidi().unwrap();
                while stream.recv.read_chunk(1 << 20).await.unwrap().is_some() {}
                stream.write_all(b"x").await.unwrap();
                stream.send.finish().unwrap();
            });
        }
    });
    for round in 0..20_usize {
        let mut tasks = Vec::new();
        for number in 0..100_usize {
            let mut stream = a.open_bidi(Request::default()).await.unwrap();
            tasks.push(tokio::spawn(async move {
                for _ in 0..(number * round) % 7 {
                    stream.write_all(&[7; 65_536]).await.unwrap();
                }
                stream.send.finish().unwrap();
                assert_eq!(stream.read_u8().await.unwrap(), b'x');
            }));
        }
        for task in tasks {
            tokio::time::timeout(Duration::from_secs(20), task).await.expect("an end").unwrap();
        }
    }
}
