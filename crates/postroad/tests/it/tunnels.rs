//! Other protocols within sessions of SMRP.

use crate::support::{Relay, pattern, spawn_echo, within};
use postroad::{Connection, ErrorKind, Incoming, Listener, connect, listen};
use sha2::{Digest, Sha256};
use smrp::wire::{Parameters, ParametersBuilder, parameter};
use smrp::{Code, Config, Dial, OpenError, ReceiveError, Request, Security, Session};
use std::time::Duration;
use tokio::net::TcpStream;

async fn ends(stack: &str) -> (Listener, Relay, Connection, Connection) {
    let mut listener = listen(format!("{stack}://127.0.0.1:0/in/box")).await.unwrap();
    let relay = Relay::to(listener.url().port().unwrap()).await;
    let url = format!("{stack}://127.0.0.1:{}/in/box", relay.port);
    let (client, server) = tokio::join!(connect(url), listener.accept());
    (listener, relay, client.unwrap(), server.unwrap())
}

#[tokio::test]
async fn a_connection_goes_on_when_the_one_below_is_cut_in_the_middle_of_a_body() {
    //= SMRP-R2, SMRP-R10
    for stack in ["smp+smrp+tcp", "wrp+smrp+tcp"] {
        let (_listener, relay, client, server) = ends(stack).await;
        const LEN: usize = 16 << 20;
        let content = pattern(LEN, 3);
        let wanted = Sha256::digest(&content);
        let sending = tokio::spawn(async move {
            let mut body = client.open_body("").await?;
            for at in (0..LEN).step_by(64 << 10) {
                body.write(content.slice(at..at + (64 << 10))).await?;
            }
            body.finish().await?;
            client.close().await
        });
        let Some(Incoming::Body(mut body)) = within(20, server.receive()).await.unwrap() else { panic!("{stack}") };
        let (mut sum, mut len, mut cuts) = (Sha256::new(), 0, 0);
        while let Some(piece) = within(30, body.next()).await.unwrap() {
            sum.update(&piece);
            len += piece.len();
            if len > (cuts + 1) * LEN / 5 {
                cuts += 1;
                relay.cut();
            }
        }
        assert_eq!((len, cuts), (LEN, 4), "{stack}");
        assert_eq!(sum.finalize(), wanted, "{stack}");
        assert!(within(20, server.receive()).await.unwrap().is_none(), "{stack}");
        server.close().await.unwrap();
        within(20, sending).await.unwrap().unwrap();
        assert!(relay.connection_count() >= 3, "{stack}: {relay:?}");
    }
}

#[tokio::test]
async fn without_reconnection_the_connection_ends_with_the_one_below() {
    let mut listener = listen("smp+smrp+tcp://127.0.0.1:0?reconnect=off").await.unwrap();
    let relay = Relay::to(listener.url().port().unwrap()).await;
    let url = format!("smp+smrp+tcp://127.0.0.1:{}?reconnect=off", relay.port);
    let (client, server) = tokio::join!(connect(url), listener.accept());
    let (client, server) = (client.unwrap(), server.unwrap());
    relay.cut();
    for end in [client, server] {
        let error = within(10, end.receive()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
    }
}

#[tokio::test]
async fn closing_a_connection_ends_its_session_and_what_carried_it() {
    //= SMRP-L9
    for stack in ["smp+smrp+tcp", "wrp+smrp+tcp"] {
        for client_first in [true, false] {
            let (_listener, relay, client, server) = ends(stack).await;
            client.send("last words").await.unwrap();
            let (first, second) = if client_first { (&client, &server) } else { (&server, &client) };
            let receiving = async {
                let mut came = 0;
                while let Some(Incoming::Message(message)) = second.receive().await.unwrap() {
                    assert_eq!(message.text(0), Some("last words"));
                    came += 1;
                }
                second.close().await.unwrap();
                came
            };
            let (closed, came) = within(20, async { tokio::join!(first.close(), receiving) }).await;
            closed.unwrap();
            assert_eq!(came, u32::from(client_first), "{stack}");
            // Closed, and not kept for another connection that nobody will make.
            within(4, relay.all_closed()).await;
            assert_eq!(relay.connection_count(), 1, "{stack}");
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_dropped_ends_its_session_too() {
    let (_listener, relay, client, server) = ends("smp+smrp+tcp").await;
    drop(client);
    assert!(within(10, server.receive()).await.unwrap().is_none());
    server.close().await.unwrap();
    within(10, relay.all_closed()).await;
}

#[tokio::test]
async fn what_is_served_elsewhere_is_refused_and_says_so() {
    //= SMRP-ST15
    let listeners = [
        listen("smp+smrp+tcp://127.0.0.1:0/a").await.unwrap(),
        listen("wrp+smrp+tcp://127.0.0.1:0").await.unwrap(),
        listen("smrp+tcp://127.0.0.1:0").await.unwrap(),
    ];
    let [smp, wrp, messages] = [0, 1, 2].map(|at: usize| listeners[at].url().port().unwrap());
    for (url, kind, words) in [
        (format!("smp+smrp+tcp://127.0.0.1:{smp}/b"), ErrorKind::Connect, "nothing of that name (NOT_FOUND)"),
        (format!("smp+smrp+tcp://127.0.0.1:{smp}"), ErrorKind::Connect, "use the path that the listener has"),
        (format!("wrp+smrp+tcp://127.0.0.1:{smp}/a"), ErrorKind::Mismatch, "the same stack at both ends"),
        (format!("smp+smrp+tcp://127.0.0.1:{wrp}"), ErrorKind::Mismatch, "does not speak this there"),
        (format!("smp+smrp+tcp://127.0.0.1:{messages}"), ErrorKind::Mismatch, "does not speak this there"),
    ] {
        let error = within(10, connect(url.clone())).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{url}: {error}");
        assert!(error.to_string().contains(words), "{url}: {error}");
    }
    assert_eq!([0, 1].map(|at: usize| listeners[at].failed_count()), [3, 1]);
}

async fn raw_session(port: u16) -> Session {
    let tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let carrier = smrp::Carrier::new(tcp, Security::Plaintext, true);
    Dial::new(Config::new(Security::Plaintext, true)).connect(carrier).await.unwrap()
}

fn smp(name: Option<&str>) -> Request {
    let list = ParametersBuilder::new();
    let list = if let Some(name) = name { list.with(parameter::NAME, name.as_bytes()) } else { list };
    Request::default().with_metadata(list.with(parameter::CONTENT_TYPE, b"application/vnd.postroad.smp").build())
}

#[tokio::test]
async fn every_stream_of_one_session_is_a_connection() {
    let mut listener = listen("smp+smrp+tcp://127.0.0.1:0").await.unwrap();
    let session = raw_session(listener.url().port().unwrap()).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut stream = within(5, session.open_bidi(smp(None))).await.unwrap();
        let head: Parameters = within(5, stream.recv.head()).await.unwrap().expect("an answer");
        assert_eq!(head.get(parameter::CONTENT_TYPE).as_deref(), Some(&b"application/vnd.postroad.smp"[..]));
        spawn_echo(within(5, listener.accept()).await.unwrap());
        // One spoken by hand: a message of a single argument.
        stream.send.write_all(b"\x01\x00\x02hi\x60").await.unwrap();
        clients.push(stream);
    }
    for (number, mut stream) in clients.into_iter().enumerate() {
        let back = within(5, stream.recv.read_chunk(100)).await.unwrap().unwrap();
        assert!(back.windows(2).any(|two| two == b"hi"), "{number}: {back:?}");
    }
    // What is no stream of octets both ways has no place, and harms nothing.
    let asked = session.request("x".into(), Request::default()).await.unwrap();
    assert_eq!(within(5, asked).await, Err(ReceiveError::Reset(Code::new(0x1001))));
    let mut one_way = session.open_uni(smp(None)).await.unwrap();
    while one_way.write_all(&[0; 1000]).await.is_ok() {}
    let mut channel = session.open_messages(true, Request::default()).await.unwrap();
    while channel.send("x".into()).await.is_ok() {}
    let mut last = within(5, session.open_bidi(smp(None))).await.unwrap();
    assert!(within(5, last.recv.head()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_stream_waits_for_a_place_among_the_connections() {
    let options = postroad::ListenOptions::new().with_connections_max(2);
    let mut listener = postroad::listen_with("smp+smrp+tcp://127.0.0.1:0", options).await.unwrap();
    let session = raw_session(listener.url().port().unwrap()).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(session.open_bidi(smp(None)).await.unwrap());
    }
    for stream in &mut streams[..2] {
        assert!(within(5, stream.recv.head()).await.unwrap().is_some());
    }
    let mut third = streams.pop().unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(200), third.recv.head()).await.is_err(), "no place");
    let first = listener.accept().await.unwrap();
    drop(streams.remove(0));
    drop(first);
    assert!(within(10, third.recv.head()).await.unwrap().is_some());
}

#[tokio::test]
async fn with_its_listener_gone_a_session_takes_nothing_new_and_ends_with_its_last_connection() {
    //= SMRP-L6, SMRP-L7, SMRP-L8
    let (listener, relay, client, server) = ends("smp+smrp+tcp").await;
    let port = listener.url().port().unwrap();
    let (idle, busy) = (raw_session(port).await, raw_session(port).await);
    let mut stream = busy.open_bidi(smp(Some("/in/box"))).await.unwrap();
    assert!(within(5, stream.recv.head()).await.unwrap().is_some());
    drop(listener);
    // A session without connections ends at once, the other one takes nothing new.
    within(10, idle.closed()).await;
    within(10, busy.going_away()).await.unwrap();
    let refused = busy.open_bidi(smp(None)).await.unwrap_err();
    assert!(matches!(refused, OpenError::GoingAway { .. }), "{refused}");
    spawn_echo(server);
    assert_eq!(within(5, client.request("still there?")).await.unwrap().text(0), Some("still there?"));
    client.close().await.unwrap();
    within(10, relay.all_closed()).await;
}
