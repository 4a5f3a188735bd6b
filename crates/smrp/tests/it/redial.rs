//! What an initiator does while its session has no link: how long it tries, and what makes it give up.

use crate::pair::{Pair, config};
use bytes::Bytes;
use core::time::Duration;
use smrp::wire::Security;
use smrp::{
    Acceptor, Carrier, Dial, Direction, Event, Input, Kind, OpenError, Reason, ReceiveError, Request, Session,
    SessionError,
};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use wirekit::Machine;

const SECOND: Duration = Duration::from_secs(1);

fn lost() -> Pair {
    let mut pair = Pair::ready(config(), config());
    pair.a.session.handle(pair.now, Input::LinkLost).unwrap();
    pair.a.collect();
    pair
}

fn due(pair: &Pair) -> (Duration, Reason) {
    let due = pair.a.session.poll_timeout().unwrap();
    (due.at.saturating_since(pair.now), due.reason)
}

#[test]
fn attempts_that_are_all_refused_end_the_session() {
    //= SMRP-R19
    let mut pair = lost();
    let begun = pair.now;
    assert_eq!(due(&pair), (60 * SECOND, Reason::Detached));
    pair.a.session.redial_failed(pair.now, true);
    assert_eq!(due(&pair), (3 * SECOND, Reason::Refused));
    pair.now = begun + 2 * SECOND;
    pair.a.session.redial_failed(pair.now, true);
    assert_eq!(due(&pair), (SECOND, Reason::Refused), "counted from the first one");
    pair.a.session.handle_timeout(begun + Duration::from_millis(2_999));
    assert!(pair.a.session.ended().is_none());
    pair.a.session.handle_timeout(begun + 3 * SECOND);
    assert_eq!(pair.a.events().last(), Some(&Event::Ended(SessionError::NobodyListens(3 * SECOND))));
}

#[test]
fn an_attempt_that_failed_otherwise_says_nothing_about_the_acceptor() {
    //= SMRP-R19
    let mut pair = lost();
    pair.a.session.redial_failed(pair.now, true);
    pair.now = pair.now + 2 * SECOND;
    pair.a.session.redial_failed(pair.now, false);
    assert_eq!(due(&pair), (58 * SECOND, Reason::Detached));
    pair.a.session.redial_failed(pair.now, true);
    assert_eq!(due(&pair), (3 * SECOND, Reason::Refused));
}

#[test]
fn a_link_that_is_ended_unanswered_is_a_refusal_and_does_not_renew_the_time() {
    //= SMRP-R19, SMRP-R20
    let mut pair = lost();
    for at in 1..3 {
        pair.now = pair.now + SECOND;
        assert!(pair.a.session.relink(pair.now, Security::Plaintext, true));
        assert!(!pair.a.transmit(pair.now).is_empty());
        pair.a.session.handle(pair.now, Input::LinkLost).unwrap();
        assert_eq!(due(&pair), ((4 - at) * SECOND, Reason::Refused));
    }
    pair.now = pair.now + 2 * SECOND;
    pair.a.session.handle_timeout(pair.now);
    assert_eq!(pair.a.session.ended(), Some(&SessionError::NobodyListens(3 * SECOND)));
}

#[test]
fn a_link_that_stays_silent_is_a_failed_attempt_and_not_the_end() {
    //= SMRP-R20
    let mut pair = lost();
    for _ in 0..19 {
        assert!(pair.a.session.relink(pair.now, Security::Plaintext, true));
        pair.a.transmit(pair.now);
        assert_eq!(due(&pair), (3 * SECOND, Reason::Preface));
        pair.now = pair.now + 3 * SECOND;
        pair.a.session.handle_timeout(pair.now);
        assert!(pair.a.session.is_detached());
    }
    assert_eq!(due(&pair), (3 * SECOND, Reason::Detached), "60 s in all");
}

#[test]
fn a_link_that_came_to_be_begins_the_time_anew() {
    //= SMRP-R20
    let mut pair = lost();
    pair.a.session.redial_failed(pair.now, true);
    pair.now = pair.now + SECOND;
    assert!(pair.a.session.relink(pair.now, Security::Plaintext, true));
    let mut fresh = crate::pair::End::new(smrp::Role::Acceptor, config(), pair.now, 7);
    let flight = pair.a.transmit(pair.now);
    fresh.receive(pair.now, &flight);
    let asked = fresh.events().into_iter().find_map(|event| match event {
        Event::Reattach(asked) => Some(asked),
        _ => None,
    });
    drop(pair.b.session.adopt(pair.now, &mut fresh.session, &asked.unwrap()).unwrap());
    pair.pump();
    pair.a.session.handle(pair.now, Input::LinkLost).unwrap();
    assert_eq!(due(&pair), (60 * SECOND, Reason::Detached));
}

fn carrier(io: impl smrp::Octets + 'static) -> Carrier {
    Carrier::new(io, Security::Plaintext, true)
}

/// A session, what its carrier is cut with, and how often another one was tried for; each attempt comes to `attempt`.
async fn cut_off<T>(attempt: fn() -> T) -> (Session, Session, Arc<AtomicUsize>)
where
    T: Future<Output = io::Result<Carrier>> + Send + 'static,
{
    let (near, mut relayed) = tokio::io::duplex(64 << 10);
    let (mut far, accepted) = tokio::io::duplex(64 << 10);
    let relay = tokio::spawn(async move { tokio::io::copy_bidirectional(&mut relayed, &mut far).await });
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let dial = Dial::new(config()).with_redial(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        attempt()
    });
    let acceptor = Acceptor::new(config()).unwrap();
    let (near, far) = tokio::join!(dial.connect(carrier(near)), acceptor.accept(carrier(accepted)));
    let smrp::Accepted::Session(far) = far.unwrap() else { panic!("fresh") };
    // The ticket has to be there.
    let asked = near.unwrap();
    let answering = far.clone();
    let (reply, ()) =
        tokio::join!(async { asked.request(Bytes::new(), Request::default()).await.unwrap().await }, async {
            answering.accept_request().await.unwrap().reply(Bytes::new()).unwrap();
        });
    reply.unwrap();
    relay.abort();
    (asked, far, count)
}

#[tokio::test(start_paused = true)]
async fn when_nobody_listens_any_more_everything_ends_soon() {
    //= SMRP-R19, SMRP-R20
    let (session, _far, count) = cut_off(|| async { Err(io::ErrorKind::ConnectionRefused.into()) }).await;
    let begun = tokio::time::Instant::now();
    let asked = session.request(Bytes::from_static(b"x"), Request::default()).await.unwrap().await;
    assert_eq!(asked, Err(ReceiveError::Session(SessionError::NobodyListens(3 * SECOND))));
    assert!((3 * SECOND..4 * SECOND).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    let attempts = count.load(Ordering::Relaxed);
    assert!((5..9).contains(&attempts), "with pauses that grow: {attempts}");
    let refused = session.open_bidi(Request::default()).await.unwrap_err();
    assert!(matches!(refused, OpenError::Session(SessionError::NobodyListens(_))), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_way_that_is_gone_for_a_while_is_tried_until_the_session_is_over() {
    //= SMRP-R5, SMRP-R20
    let (session, _far, count) = cut_off(|| async { Err(io::ErrorKind::NetworkUnreachable.into()) }).await;
    let begun = tokio::time::Instant::now();
    assert_eq!(session.closed().await, SessionError::NotReattached(60 * SECOND));
    assert!((60 * SECOND..61 * SECOND).contains(&begun.elapsed()), "not when the pause is over: {:?}", begun.elapsed());
    assert!((10..25).contains(&count.load(Ordering::Relaxed)), "{count:?}");
}

#[tokio::test(start_paused = true)]
async fn who_hangs_up_at_once_is_not_called_without_a_pause() {
    //= SMRP-R20
    let (session, _far, count) = cut_off(|| async { Ok(carrier(tokio::io::duplex(64).0)) }).await;
    assert_eq!(session.closed().await, SessionError::NobodyListens(3 * SECOND));
    assert!(count.load(Ordering::Relaxed) < 9, "{count:?}");
}

#[tokio::test(start_paused = true)]
async fn a_session_can_be_closed_while_another_connection_is_tried() {
    let (session, _far, _) = cut_off(std::future::pending::<io::Result<Carrier>>).await;
    while !session.is_detached() {
        tokio::task::yield_now().await;
    }
    let begun = tokio::time::Instant::now();
    session.close(smrp::Code::NO_ERROR, "");
    assert_eq!(session.closed().await, SessionError::Closed { code: smrp::Code::NO_ERROR });
    assert!(begun.elapsed() < SECOND, "{:?}", begun.elapsed());
}

#[test]
fn what_an_initiator_hands_in_while_it_tries_is_kept() {
    //= SMRP-R5
    let mut pair = lost();
    pair.a.session.redial_failed(pair.now, true);
    let id = pair.a.session.open(pair.now, Kind::Bytes, Direction::Uni, Request::default()).unwrap();
    assert_eq!(pair.a.session.write(id, b"meanwhile").unwrap(), 9);
}
