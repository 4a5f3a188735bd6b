//! Connections that are forwarded through a session.

use crate::support::{Relay, pattern, within};
use postroad::forward::{Exit, Forward, Options, Place};
use postroad::{ConnectOptions, Error, ErrorKind, ListenOptions};
use sha2::{Digest, Sha256};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A forward to one target, through a relay that can be cut.
struct Road {
    local: Place,
    relay: Relay,
    forward: JoinHandle<Result<(), Error>>,
    exit: JoinHandle<Result<(), Error>>,
    stop_forward: oneshot::Sender<()>,
    stop_exit: oneshot::Sender<()>,
}

impl Road {
    async fn to(target: &Place) -> Self {
        Self::with("127.0.0.1:0", target, std::slice::from_ref(target), Options::default()).await
    }

    async fn with(local: &str, target: &Place, allowed: &[Place], options: Options) -> Self {
        let exit =
            Exit::listen("smrp+tcp://127.0.0.1:0", allowed.to_vec(), ListenOptions::new(), options).await.unwrap();
        let relay = Relay::to(exit.url().port().unwrap()).await;
        let url = format!("smrp+tcp://127.0.0.1:{}", relay.port);
        let local = local.parse().unwrap();
        let forward =
            Forward::open(&local, url, target.clone(), ConnectOptions::new(), Options::default()).await.unwrap();
        let local = forward.local().clone();
        let (stop_forward, forward_stopped) = oneshot::channel();
        let (stop_exit, exit_stopped) = oneshot::channel();
        let forward = tokio::spawn(forward.run_until(async { drop(forward_stopped.await) }));
        let exit = tokio::spawn(exit.run_until(async { drop(exit_stopped.await) }));
        Self { local, relay, forward, exit, stop_forward, stop_exit }
    }

    async fn connect(&self) -> TcpStream {
        within(5, TcpStream::connect(self.local.to_string())).await.unwrap()
    }
}

async fn port() -> (TcpListener, Place) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = listener.local_addr().unwrap().to_string().parse().unwrap();
    (listener, place)
}

/// A target that says everything again, and ends when it has heard the end.
async fn echo() -> Place {
    let (listener, place) = port().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.into_split();
                let _ended = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    place
}

/// Says `content`, ends its direction, and reads what comes to its end.
async fn said_again(mut stream: impl AsyncRead + AsyncWrite + Unpin, content: &[u8]) -> io::Result<Vec<u8>> {
    let (mut read, mut write) = tokio::io::split(&mut stream);
    let mut back = Vec::new();
    let saying = async {
        write.write_all(content).await?;
        write.shutdown().await
    };
    let (said, heard) = tokio::join!(saying, read.read_to_end(&mut back));
    said?;
    heard?;
    Ok(back)
}

#[tokio::test]
async fn ends_of_one_direction_cross_and_leave_the_other_as_it_is() {
    let road = Road::to(&echo().await).await;
    for len in [0, 1, 100_000, 3_000_000] {
        let content = pattern(len, 9);
        let back = within(20, said_again(road.connect().await, &content)).await.unwrap();
        assert!(back == content, "{len}");
    }
}

#[tokio::test]
async fn unix_sockets_at_either_end() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| format!("unix://{}", folder.path().join(name).to_str().unwrap());
    let target: Place = at("target").parse().unwrap();
    let listener = UnixListener::bind(folder.path().join("target")).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (mut read, mut write) = stream.into_split();
            let _ended = tokio::io::copy(&mut read, &mut write).await;
        }
    });
    let road = Road::with(&at("local"), &target, std::slice::from_ref(&target), Options::default()).await;
    let stream = UnixStream::connect(folder.path().join("local")).await.unwrap();
    let content = pattern(300_000, 1);
    assert!(within(20, said_again(stream, &content)).await.unwrap() == content);
    drop(road);
}

#[tokio::test]
async fn two_hundred_connections_and_64_mib_go_on_while_the_session_loses_its_own_connection() {
    //= SMRP-R2, SMRP-R10
    let road = Road::to(&echo().await).await;
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..200_u8 {
        let stream = road.connect().await;
        clients.spawn(async move {
            let content = pattern(100_000, number);
            said_again(stream, &content).await.map(|back| back == content)
        });
    }
    let large = road.connect().await;
    clients.spawn(async move {
        let content = pattern(64 << 20, 77);
        let back = said_again(large, &content).await?;
        Ok(Sha256::digest(&back) == Sha256::digest(&content))
    });
    let (mut done, mut cuts) = (0, 0);
    let mut ticks = tokio::time::interval(Duration::from_millis(300));
    within(120, async {
        loop {
            tokio::select! {
                client = clients.join_next() => match client {
                    Some(client) => {
                        assert!(client.unwrap().unwrap());
                        done += 1;
                    }
                    None => break,
                },
                _ = ticks.tick(), if cuts < 10 => {
                    road.relay.cut();
                    cuts += 1;
                }
            }
        }
    })
    .await;
    assert_eq!(done, 201);
    assert!(cuts > 2 && road.relay.connection_count() > 2, "{cuts} {:?}", road.relay);
}

/// How a connection ends that is cut off: by a reset, where its kind has that.
async fn cut_off(mut stream: TcpStream) -> io::ErrorKind {
    let mut octets = [0; 16];
    match within(20, stream.read(&mut octets)).await {
        Ok(len) => panic!("{len} octets, and not cut off"),
        Err(error) => error.kind(),
    }
}

#[tokio::test]
async fn what_is_not_allowed_or_not_there_is_cut_off_and_the_session_goes_on() {
    //= SMRP-ST15
    let target = echo().await;
    let (listener, dead) = port().await;
    drop(listener);
    let road = Road::with("127.0.0.1:0", &dead, &[dead.clone(), target.clone()], Options::default()).await;
    assert_eq!(cut_off(road.connect().await).await, io::ErrorKind::ConnectionReset);
    let road = Road::with("127.0.0.1:0", &target, std::slice::from_ref(&dead), Options::default()).await;
    assert_eq!(cut_off(road.connect().await).await, io::ErrorKind::ConnectionReset);
    let road = Road::with("127.0.0.1:0", &target, &[], Options::default()).await;
    for _ in 0..3 {
        assert_eq!(cut_off(road.connect().await).await, io::ErrorKind::ConnectionReset);
    }
    assert_eq!(road.relay.connection_count(), 1);
    road.stop_forward.send(()).unwrap();
    within(10, road.forward).await.unwrap().unwrap();
}

#[tokio::test]
async fn connections_are_bounded_at_the_end_that_reaches_out() {
    let target = echo().await;
    let road =
        Road::with("127.0.0.1:0", &target, std::slice::from_ref(&target), Options::default().with_connections_max(2))
            .await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = road.connect().await;
        stream.write_all(b"x").await.unwrap();
        within(5, stream.read_exact(&mut [0])).await.unwrap();
        open.push(stream);
    }
    assert_eq!(cut_off(road.connect().await).await, io::ErrorKind::ConnectionReset);
    let first = open.remove(0);
    assert_eq!(within(5, said_again(first, b"yz")).await.unwrap(), b"yz");
    // Its place is free a moment later.
    within(10, async {
        loop {
            let mut stream = road.connect().await;
            if stream.write_all(b"x").await.is_ok() && stream.read_exact(&mut [0]).await.is_ok() {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn resets_cross_both_ways() {
    let (listener, target) = port().await;
    let road = Road::to(&target).await;
    // By the target.
    let near = road.connect().await;
    let (far, _) = within(5, listener.accept()).await.unwrap();
    far.set_zero_linger().unwrap();
    drop(far);
    assert_eq!(cut_off(near).await, io::ErrorKind::ConnectionReset);
    // By whoever connected.
    let near = road.connect().await;
    let (far, _) = within(5, listener.accept()).await.unwrap();
    near.set_zero_linger().unwrap();
    drop(near);
    assert_eq!(cut_off(far).await, io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn an_answer_arrives_from_a_target_that_has_stopped_listening() {
    let (listener, target) = port().await;
    let road = Road::to(&target).await;
    tokio::spawn(async move {
        let (mut far, _) = listener.accept().await.unwrap();
        // Reads a little, answers and hangs up on the rest.
        far.read_exact(&mut [0; 1000]).await.unwrap();
        far.write_all(b"413 too much").await.unwrap();
        far.shutdown().await.unwrap();
        let mut rest = vec![0; 1 << 20];
        while far.read(&mut rest).await.is_ok_and(|len| len > 0) {}
    });
    let mut near = road.connect().await;
    near.write_all(&pattern(1000, 1)).await.unwrap();
    let mut answer = String::new();
    within(10, near.read_to_string(&mut answer)).await.unwrap();
    assert_eq!(answer, "413 too much");
    near.write_all(&pattern(1_000_000, 1)).await.unwrap();
}

#[tokio::test]
async fn an_answer_arrives_from_an_end_that_wants_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smrp+tcp://{}", listener.local_addr().unwrap());
    let exit = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let acceptor = smrp::Acceptor::new(smrp::Config::new(smrp::Security::Plaintext, true)).unwrap();
        let carrier = smrp::Carrier::new(tcp, smrp::Security::Plaintext, true);
        let smrp::Accepted::Session(session) = acceptor.accept(carrier).await.unwrap() else { panic!("fresh") };
        let mut stream = session.accept().await.unwrap().into_bidi().unwrap();
        stream.recv.stop(smrp::Code::new(0x1011));
        tokio::time::sleep(Duration::from_millis(300)).await;
        stream.send.write_all(b"413 too much").await.unwrap();
        stream.send.finish().unwrap();
        session.closed().await
    });
    let place = "127.0.0.1:0".parse().unwrap();
    let target = "127.0.0.1:80".parse().unwrap();
    let forward = Forward::open(&place, url, target, ConnectOptions::new(), Options::default()).await.unwrap();
    let local = forward.local().to_string();
    let running = tokio::spawn(forward.run());
    let mut near = TcpStream::connect(local).await.unwrap();
    near.write_all(&pattern(1_000, 1)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    near.write_all(&pattern(1_000, 1)).await.unwrap();
    let mut answer = [0; 12];
    within(10, near.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"413 too much");
    running.abort();
    within(10, exit).await.unwrap();
}

#[tokio::test]
async fn a_target_that_does_not_read_holds_back_whoever_writes_and_nobody_else() {
    //= SMRP-FC6
    let (listener, target) = port().await;
    let road = Road::to(&target).await;
    let mut near = road.connect().await;
    let (far, _) = within(5, listener.accept()).await.unwrap();
    let piece = vec![1; 1 << 20];
    let mut written = 0;
    while let Ok(wrote) = tokio::time::timeout(Duration::from_millis(500), near.write(&piece)).await {
        written += wrote.unwrap();
        assert!(written < 100 << 20, "nobody reads, and everything is taken");
    }
    let mut other = road.connect().await;
    let (mut other_far, _) = within(5, listener.accept()).await.unwrap();
    other.write_all(b"past it").await.unwrap();
    let mut heard = [0; 7];
    within(10, other_far.read_exact(&mut heard)).await.unwrap();
    assert_eq!(&heard, b"past it");
    drop(far);
}

#[tokio::test]
async fn stopping_one_end_ends_it_in_order_and_the_other_learns_of_it() {
    let target = echo().await;
    let road = Road::to(&target).await;
    let mut open = road.connect().await;
    open.write_all(b"x").await.unwrap();
    within(5, open.read_exact(&mut [0])).await.unwrap();
    // The far end lets what is open come to its end.
    road.stop_exit.send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!road.exit.is_finished() && !road.forward.is_finished());
    assert_eq!(within(5, said_again(open, b"still")).await.unwrap(), b"still");
    within(10, road.exit).await.unwrap().unwrap();
    let error = within(10, road.forward).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    // The near end cuts everything off.
    let road = Road::to(&target).await;
    let mut open = road.connect().await;
    open.write_all(b"x").await.unwrap();
    within(5, open.read_exact(&mut [0])).await.unwrap();
    road.stop_forward.send(()).unwrap();
    within(10, road.forward).await.unwrap().unwrap();
    cut_off(open).await;
    within(10, road.relay.all_closed()).await;
}

#[tokio::test]
async fn what_cannot_be_is_said_before_anything_is_opened() {
    let place: Place = "127.0.0.1:0".parse().unwrap();
    let open = |url: &'static str, options| {
        Forward::open(&place, url, "127.0.0.1:80".parse().unwrap(), ConnectOptions::new(), options)
    };
    for (url, words) in [
        ("smp+tcp://127.0.0.1:1", "begins with `smrp+`"),
        ("smp+smrp+tcp://127.0.0.1:1", "begins with `smrp+`"),
        ("smrp+tcp://127.0.0.1:1/path", "leave the path out"),
    ] {
        let error = open(url, Options::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.to_string().contains(words), "{error}");
    }
    let error = open("smrp+tcp://127.0.0.1:1", Options::default().with_connections_max(0)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let error = open("smrp+tcp://127.0.0.1:1", Options::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
}
