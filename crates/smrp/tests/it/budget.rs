//! A budget of memory that sessions share.

use crate::pair::{End, Pair, config};
use bytes::Bytes;
use core::time::Duration;
use smrp::{
    Accepted, Acceptor, Budget, Carrier, Code, Config, ConfigError, Dial, Direction, Event, Kind, OpenError, Pressure,
    ReceiveError, RecvStream, Request, Role, Security, SendError, SendStream, Session, SessionError, SessionMachine,
};
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, DuplexStream};
use tokio::sync::mpsc;
use wirekit::Instant;

const FLOOR: u64 = 64 << 10;

fn frugal() -> Config {
    let mut config = config();
    config.settings.init_max_data = FLOOR;
    config.settings.init_max_stream = FLOOR;
    config
}

/// A pair five milliseconds apart, so that both know a round trip.
fn apart(a: Config, b: Config) -> Pair {
    let mut pair = Pair::new(a, b);
    for _ in 0..10 {
        let (to_b, to_a) = (pair.a.transmit(pair.now), pair.b.transmit(pair.now));
        pair.now = pair.now + Duration::from_millis(5);
        pair.b.receive(pair.now, &to_b);
        pair.a.receive(pair.now, &to_a);
    }
    assert_eq!(pair.b.session.stats().rtt, Some(Duration::from_millis(10)));
    pair
}

fn within(budget: &Budget) -> Config {
    frugal().with_budget(budget.clone())
}

/// Writes what the peer takes and reads it again, so that windows are used up fast.
fn flow(pair: &mut Pair, len: usize) -> smrp::StreamId {
    let id = pair.a.session.open(pair.now, Kind::Bytes, Direction::Uni, Request::default()).unwrap();
    let (mut sent, mut came) = (0, 0);
    let piece = vec![7; 32 << 10];
    let mut into = vec![0; 1 << 20];
    while came < len {
        match pair.a.session.write(id, &piece) {
            Ok(len) => sent += len,
            Err(SendError::Blocked) => {}
            Err(error) => panic!("{error}"),
        }
        pair.pump();
        match pair.b.session.read(pair.now, id, &mut into) {
            Ok(len) => came += len,
            Err(ReceiveError::Blocked) => {}
            Err(error) => panic!("{error}"),
        }
        assert!(came <= sent);
        pair.now = pair.now + Duration::from_micros(200);
    }
    id
}

#[test]
fn windows_grow_with_what_is_left_and_go_back_to_their_floor_near_the_bound() {
    //= SMRP-FC11, SMRP-FC12
    let budget = Budget::new(8 << 20);
    let mut pair = apart(frugal(), within(&budget));
    let id = flow(&mut pair, 8 << 20);
    let wide = budget.held();
    assert!(wide > 1 << 20 && wide < 7 << 20, "{wide}");
    let other = Pair::ready(frugal(), within(&budget));
    assert_eq!(budget.held(), wide, "an idle session costs nothing");
    drop(other);
    // Somebody else uses the rest, and what this session lets go of: it is at its floor in the end.
    let mut hog = Pair::ready(frugal(), within(&budget).with_settings(config().settings));
    let mut into = vec![0; 1 << 20];
    for _ in 0..200 {
        fill(&mut hog, &budget, Pressure::Near);
        drop(pair.a.session.write(id, &[1; 60_000]));
        pair.pump();
        while pair.b.session.read(pair.now, id, &mut into).is_ok() {}
        pair.pump();
    }
    assert!(pair.a.session.stats().credit_left <= FLOOR, "{:?}", pair.a.session.stats());
    drop((pair, hog));
    assert_eq!(budget.held(), 0);
}

/// Sends what nobody takes, over several sessions where one is not enough, until so little is left.
fn fill(pair: &mut Pair, budget: &Budget, until: Pressure) {
    for _ in 0..200 {
        if budget.pressure() >= until {
            return;
        }
        let id = match pair.a.session.open(pair.now, Kind::Bytes, Direction::Uni, Request::default()) {
            Ok(id) => id,
            Err(error) => panic!("{error}"),
        };
        drop(pair.a.session.write(id, &[7; 60_000]));
        pair.b.session.send_datagram(pair.now, 1, Bytes::from_static(&[7; 16_000]), None).unwrap();
        pair.pump();
        let back = pair.b.session.open(pair.now, Kind::Bytes, Direction::Uni, Request::default());
        if let Ok(back) = back {
            // Octets that the peer gives no credit for stay here.
            drop(pair.b.session.write(back, &[7; 60_000]));
            drop(pair.b.session.write(back, &[7; 190_000]));
        }
    }
    panic!("{until:?} was not reached: {}", budget.held());
}

#[test]
fn at_the_bound_sessions_streams_and_long_messages_are_refused_and_what_is_there_goes_on() {
    //= SMRP-FC13
    let budget = Budget::new(2 << 20);
    let mut good = Pair::ready(frugal(), within(&budget));
    let channel = good.a.session.open(good.now, Kind::Messages, Direction::Uni, Request::default()).unwrap();
    for _ in 0..7 {
        good.a.session.open(good.now, Kind::Bytes, Direction::Uni, Request::default()).unwrap();
    }
    good.pump();
    assert_eq!(good.b.opened().len(), 8);
    let mut hog = Pair::ready(frugal(), within(&budget).with_settings(config().settings));
    fill(&mut hog, &budget, Pressure::Full);

    // A ninth stream, of either end.
    let ninth = good.a.session.open(good.now, Kind::Bytes, Direction::Bidi, Request::default()).unwrap();
    good.pump();
    assert_eq!(good.b.opened(), []);
    assert_eq!(good.a.session.stopped(ninth), Some(Code::REFUSED));
    let ours = good.b.session.open(good.now, Kind::Bytes, Direction::Uni, Request::default());
    assert_eq!(ours, Err(OpenError::OverBudget));

    // What is there goes on, at its floor; a message that does not fit is refused, and no other waits for it.
    for _ in 0..100 {
        good.a.session.send_message(good.now, channel, Bytes::from(vec![7; 20_000]), None).unwrap();
        good.pump();
        assert_eq!(good.b.session.receive_message(good.now, channel).unwrap().unwrap().len(), 20_000);
    }
    good.a.session.send_message(good.now, channel, Bytes::from(vec![7; 1 << 20]), None).unwrap();
    good.pump();
    assert_eq!(good.a.session.stopped(channel), Some(Code::QUOTA));

    // Another session, from outside and from inside.
    let mut late = Pair::new(frugal(), within(&budget));
    late.pump();
    let end = late.b.session.ended().unwrap().clone();
    assert_eq!(end, SessionError::OverBudget { max: 2 << 20 });
    let told = late.a.session.ended().unwrap();
    assert!(matches!(told, SessionError::ClosedByPeer { code: Code::OVERLOAD, .. }), "{told}");
    let own = SessionMachine::new(Role::Initiator, Arc::new(within(&budget)), [3; 32], Instant::EPOCH);
    assert!(matches!(own, Err(ConfigError::OverBudget { max, .. }) if max == 2 << 20));

    // Once the others are gone everything is as it was.
    drop(hog);
    let mut fine = Pair::ready(frugal(), within(&budget));
    assert_eq!(fine.b.events().iter().filter(|event| matches!(event, Event::Ended(_))).count(), 0);
    drop((good, late, fine));
    assert_eq!(budget.held(), 0);
}

#[test]
fn what_is_over_holds_nothing_but_what_may_still_be_taken() {
    //= SMRP-FC14
    let budget = Budget::new(8 << 20);
    let mut pair = Pair::ready(frugal(), within(&budget));
    let sent = pair.a.session.open(pair.now, Kind::Bytes, Direction::Uni, Request::default()).unwrap();
    assert_eq!(pair.a.session.write(sent, &[7; 60_000]), Ok(60_000));
    pair.pump();
    let back = pair.b.session.open(pair.now, Kind::Bytes, Direction::Uni, Request::default()).unwrap();
    assert_eq!(pair.b.session.write(back, &[7; 200_000]), Ok(200_000));
    let id = pair.b.opened()[0];
    let End { session, .. } = &mut pair.b;
    assert!(session.stats().untaken_len >= 60_000 && budget.held() > 100_000);
    session.close(pair.now, Code::NO_ERROR, "");
    assert_eq!(budget.held(), 48 << 10, "60,000 octets in whole steps: to be sent there is nothing any more");
    let mut into = vec![0; 100_000];
    assert_eq!(session.read(pair.now, id, &mut into), Ok(60_000));
    session.release_receive(pair.now, id);
    session.release_send(pair.now, id);
    assert_eq!(budget.held(), 0);
}

const SESSIONS: usize = 200;
const BUDGET: u64 = 32 << 20;
/// What each session may hold beyond the budget here: its window, what the window of its peer took and is kept for another link, four streams
/// that wait to be sent, and what is read and not yet taken apart.
const SESSION_FLOOR: u64 = FLOOR + FLOOR + 4 * (16 << 10) + (32 << 10);

/// Sends for as long as the peer takes anything.
async fn fill_for_ever(io: DuplexStream) {
    let carrier = Carrier::new(io, Security::Plaintext, true);
    let session = Dial::new(frugal()).connect(carrier).await.unwrap();
    let mut stream = session.open_uni(Request::default()).await.unwrap();
    while stream.write_all(&[7; 16_000]).await.is_ok() {}
    session.closed().await;
}

async fn echo(io: DuplexStream) -> usize {
    let carrier = Carrier::new(io, Security::Plaintext, true);
    let session = Dial::new(frugal()).connect(carrier).await.unwrap();
    let smrp::Bidi { mut send, mut recv } = session.open_bidi(Request::default()).await.unwrap();
    let writer = tokio::spawn(async move {
        send.write_all(&[9; 2 << 20]).await.unwrap();
        send.finish().unwrap();
    });
    let mut back = Vec::new();
    recv.read_to_end(&mut back).await.unwrap();
    writer.await.unwrap();
    back.len()
}

async fn accept(acceptor: &Acceptor, to: &mpsc::UnboundedSender<DuplexStream>) -> Session {
    let (near, far) = tokio::io::duplex(16 << 10);
    to.send(far).unwrap();
    match acceptor.accept(Carrier::new(near, Security::Plaintext, true)).await.unwrap() {
        Accepted::Session(session) => session,
        Accepted::Resumed => panic!("fresh"),
    }
}

/// What a session holds in hand.
type Held = (Session, RecvStream, Vec<SendStream>);

/// Reads for long enough that windows would grow, and then no more; and writes as much as it may of what its peer does not read.
async fn read_some(session: Session) -> Held {
    let mut stream = session.accept().await.unwrap().recv;
    let mut left = 1 << 20;
    while left > 0 {
        left -= stream.read_chunk(left).await.unwrap().unwrap().len();
    }
    let mut writers = Vec::new();
    for _ in 0..4 {
        let mut writer = session.open_uni(Request::default()).await.unwrap();
        while writer.try_write(&[5; 16_000]).is_ok() {}
        writers.push(writer);
    }
    (session, stream, writers)
}

/// Of the sessions that nobody reads: what the budget and the sessions say at the end.
async fn hold_two_hundred(
    config: Config,
    budget: &Budget,
    hogs: mpsc::UnboundedSender<DuplexStream>,
    bystander: mpsc::UnboundedSender<DuplexStream>,
) -> (u64, u64) {
    let acceptor = Acceptor::new(config).unwrap();
    let one = accept(&acceptor, &bystander).await;
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        sessions.push(accept(&acceptor, &hogs).await);
    }
    let tasks: Vec<_> = sessions.into_iter().map(|session| tokio::spawn(read_some(session))).collect();
    let mut held = Vec::new();
    for task in tasks {
        held.push(task.await.unwrap());
    }
    let untaken = |held: &[Held]| -> u64 { held.iter().map(|(session, ..)| session.stats().untaken_len).sum() };
    let mut last = 0;
    // Until nothing comes any more.
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if core::mem::replace(&mut last, untaken(&held)) == untaken(&held) && last > 0 {
            break;
        }
    }
    let figures = (untaken(&held), budget.held());
    // One whose application reads goes on.
    let mut there = one.accept().await.unwrap().into_bidi().unwrap();
    let mut len = 0;
    while let Some(piece) = there.recv.read_chunk(16 << 10).await.unwrap() {
        len += piece.len();
        there.send.write_bytes(piece).await.unwrap();
    }
    there.send.finish().unwrap();
    assert_eq!(len, 2 << 20);
    one.closed().await;
    for (session, stream, writers) in held {
        session.close(Code::NO_ERROR, "");
        session.closed().await;
        drop((stream, writers));
    }
    figures
}

#[test]
fn two_hundred_sessions_that_nobody_reads_stay_within_the_budget_and_a_bystander_goes_on() {
    //= SMRP-FC11, SMRP-FC12, SMRP-FC14
    let budget = Budget::new(BUDGET);
    let (to_hogs, mut hogs) = mpsc::unbounded_channel();
    let (to_bystander, mut bystanders) = mpsc::unbounded_channel();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let peers = std::thread::spawn(move || {
        runtime().block_on(async move {
            let echo = echo(bystanders.recv().await.unwrap());
            let hogs = async move {
                let mut tasks = Vec::new();
                while let Some(io) = hogs.recv().await {
                    tasks.push(tokio::spawn(fill_for_ever(io)));
                }
                for task in tasks {
                    task.await.unwrap();
                }
            };
            tokio::join!(echo, hogs).0
        })
    });
    let (mut untaken, mut held) = (0, 0);
    // What another thread allocates is not counted: these are the figures of this end alone.
    let heap = testkit::allocations::measure(|| {
        let runtime = runtime();
        (untaken, held) = runtime.block_on(hold_two_hundred(within(&budget), &budget, to_hogs, to_bystander));
    });
    assert_eq!(peers.join().unwrap(), 2 << 20);
    let bound = BUDGET + (SESSIONS as u64 + 1) * SESSION_FLOOR;
    println!("untaken {untaken}, in the account {held}, heap at most {}, bound {bound}", heap.bytes_max);
    assert!(untaken > SESSIONS as u64 * FLOOR / 2, "{untaken}: nobody read, and little is held");
    assert!(heap.bytes_max < bound, "{} octets of heap, where {bound} are the most", heap.bytes_max);
    assert_eq!(budget.held(), 0);
}
