//! Credentials that end before their session does. Drivers run on a clock that stands still while anybody has something to do.

use crate::pair::{End, Pair, config};
use bytes::Bytes;
use core::time::Duration;
use smrp::wire::*;
use smrp::{
    Accepted, Acceptor, Carrier, Claim, Credential, Dial, Direction, Event, Grant, Input, Kind, ReceiveError, Request,
    Role, Session, SessionError,
};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use wirekit::Machine;

const LIFE: Duration = Duration::from_secs(40);

fn bearer(token: &str) -> Credential {
    Credential::Bearer(token.to_owned())
}

fn named(name: &str) -> Request {
    Request::default().with_metadata(ParametersBuilder::new().with(parameter::NAME, name.as_bytes()).build())
}

/// A fresh acceptor that has read the initiator's first flight on another link, and decides.
fn knock(pair: &mut Pair, grant: Option<Grant>) -> End {
    assert!(pair.a.session.relink(pair.now, Security::Plaintext, true));
    // Its clock began elsewhere.
    let mut fresh = End::new(Role::Acceptor, config().demanding_auth(), pair.now + Duration::from_secs(7), 7);
    let then = pair.now + Duration::from_secs(7);
    fresh.receive(then, &pair.a.transmit(pair.now));
    fresh.session.authenticated(then, grant);
    let mut inbox = core::mem::take(&mut fresh.inbox);
    fresh.session.handle(then, Input::Received(&mut inbox)).unwrap();
    fresh
}

fn lose(pair: &mut Pair) {
    for end in [&mut pair.a, &mut pair.b] {
        end.session.handle(pair.now, Input::LinkLost).unwrap();
        end.inbox.clear();
        end.collect();
    }
}

fn authenticated(grant: Grant) -> Pair {
    let mut pair = Pair::new(config().with_credential(bearer("t")), config().demanding_auth());
    pair.pump();
    pair.b.session.authenticated(pair.now, Some(grant));
    pair.pump();
    pair
}

fn asked(end: &mut End) -> smrp::Reattach {
    let events = end.events();
    let found =
        events.iter().find_map(|event| if let Event::Reattach(asked) = event { Some(asked.clone()) } else { None });
    found.unwrap_or_else(|| panic!("{events:?}"))
}

#[test]
fn what_is_granted_on_another_link_counts_from_then_on() {
    //= SMRP-A19, SMRP-A17
    let grant = |scope: &str| Grant::of("me").with_expiry(LIFE).with_scopes(vec![scope.to_owned()]);
    let mut pair = authenticated(grant("request@3/m"));
    pair.a.session.request(pair.now, Bytes::new(), Request::default()).unwrap();
    pair.pump();
    lose(&mut pair);
    pair.now = pair.now + Duration::from_secs(15);
    let mut fresh =
        knock(&mut pair, Some(grant("request@3/m").with_scopes(vec!["request@3/m".into(), "open:/x".into()])));
    let asked = asked(&mut fresh);
    pair.b.session.adopt(pair.now, &mut fresh.session, &asked).unwrap();
    pair.pump();
    // The old identity would have ended by now; the bucket is what it was.
    pair.wait(LIFE - Duration::from_secs(1));
    assert!(pair.b.session.ended().is_none());
    let open = pair.a.session.open(pair.now, Kind::Bytes, Direction::Uni, named("/x")).unwrap();
    pair.pump();
    assert!(pair.b.opened().contains(&open));
    pair.wait(Duration::from_secs(2));
    let end = pair.a.session.ended();
    assert!(matches!(end, Some(SessionError::ClosedByPeer { code: Code::AUTH_EXPIRED, .. })), "{end:?}");
}

#[test]
fn a_link_lost_and_found_fills_no_bucket() {
    //= SMRP-A17
    let grant = || Grant::of("me").with_scopes(vec!["request@1/h".to_owned()]);
    let mut pair = authenticated(grant());
    pair.a.session.request(pair.now, Bytes::new(), Request::default()).unwrap();
    pair.pump();
    lose(&mut pair);
    let mut fresh = knock(&mut pair, Some(grant()));
    let asked = asked(&mut fresh);
    pair.b.session.adopt(pair.now, &mut fresh.session, &asked).unwrap();
    pair.pump();
    let id = pair.a.session.request(pair.now, Bytes::new(), Request::default()).unwrap();
    pair.pump();
    assert_eq!(pair.a.session.receive_whole(pair.now, id), Err(ReceiveError::Reset(Code::QUOTA)));
}

#[test]
fn who_is_not_believed_on_another_link_leaves_it_and_the_session_waits() {
    //= SMRP-A19, SMRP-R5
    let mut pair = authenticated(Grant::of("me"));
    lose(&mut pair);
    let until = pair.a.session.poll_timeout().unwrap().at;
    for _ in 0..3 {
        pair.now = pair.now + Duration::from_secs(10);
        let mut fresh = knock(&mut pair, None);
        let said = fresh.transmit(pair.now + Duration::from_secs(7));
        let end = fresh.session.ended();
        assert!(matches!(end, Some(SessionError::Fault(fault)) if fault.code() == Code::AUTH_FAILED), "{end:?}");
        pair.a.receive(pair.now, &said);
        let events = pair.a.events();
        assert!(events.contains(&Event::AuthRefused(Code::AUTH_FAILED)), "{events:?}");
        assert!(pair.a.session.is_detached());
        assert_eq!(pair.a.session.poll_timeout().unwrap().at, until, "attempts do not buy time");
    }
    let mut fresh = knock(&mut pair, Some(Grant::of("me")));
    let asked = asked(&mut fresh);
    pair.b.session.adopt(pair.now, &mut fresh.session, &asked).unwrap();
    pair.pump();
    assert!(pair.a.events().contains(&Event::Reattached));
}

#[test]
fn nobody_in_particular_does_not_get_the_session_of_somebody() {
    //= SMRP-R11
    let mut pair = authenticated(Grant::default().with_scopes(vec!["open:/x".to_owned()]));
    lose(&mut pair);
    pair.a.session.set_credential(Credential::None).unwrap();
    assert!(pair.a.session.relink(pair.now, Security::Plaintext, true));
    // An acceptor that demands nothing has let it in.
    let mut fresh = End::new(Role::Acceptor, config(), pair.now, 7);
    fresh.receive(pair.now, &pair.a.transmit(pair.now));
    let asked = asked(&mut fresh);
    assert_eq!(pair.b.session.adopt(pair.now, &mut fresh.session, &asked).unwrap_err(), Code::FORBIDDEN);
}

/// An acceptor that believes tokens from `valid` on, each for [`LIFE`], and what it was shown.
fn acceptor(valid: impl Fn(&str) -> bool + Send + Sync + 'static) -> (Acceptor, Arc<Mutex<Vec<String>>>) {
    let shown = Arc::new(Mutex::new(Vec::new()));
    let seen = shown.clone();
    let acceptor = Acceptor::new(config()).unwrap().with_authentication(move |claim: &Claim| {
        let token = String::from_utf8(claim.token.as_ref()?.to_vec()).ok()?;
        seen.lock().unwrap().push(token.clone());
        valid(&token).then(|| Grant::of("me").with_expiry(LIFE))
    });
    (acceptor, shown)
}

fn carrier(io: impl smrp::Octets + 'static) -> Carrier {
    Carrier::new(io, Security::Plaintext, true)
}

async fn connect(dial: &Dial, acceptor: &Acceptor) -> (Session, Session) {
    let (near, far) = tokio::io::duplex(64 << 10);
    let (a, b) = tokio::join!(dial.connect(carrier(near)), acceptor.accept(carrier(far)));
    let Accepted::Session(b) = b.unwrap() else { panic!("fresh") };
    (a.unwrap(), b)
}

/// Gives `t1`, `t2` and so on, as far as `give` lets it.
fn numbered(
    give: impl Fn(usize) -> bool + Send + Sync + 'static,
) -> (impl Fn() -> core::future::Ready<io::Result<Credential>> + Send + Sync + 'static, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let asked = count.clone();
    let source = move || {
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        let credential = if give(number) { Ok(bearer(&format!("t{number}"))) } else { Err(io::Error::other("gone")) };
        core::future::ready(credential)
    };
    (source, asked)
}

#[tokio::test(start_paused = true)]
async fn a_session_outlives_many_lives_of_its_credential() {
    //= SMRP-A10, SMRP-A18
    let (acceptor, shown) = acceptor(|_| true);
    let (source, _) = numbered(|_| true);
    let (a, b) = connect(&Dial::new(config()).with_credentials(source), &acceptor).await;
    tokio::spawn(async move {
        while let Ok(request) = b.accept_request().await {
            let body = request.body.clone();
            drop(request.reply(body));
        }
    });
    for _ in 0..20 {
        tokio::time::sleep(LIFE / 2).await;
        let reply = a.request(Bytes::from_static(b"x"), Request::default()).await.unwrap().await;
        assert_eq!(reply, Ok(Bytes::from_static(b"x")));
    }
    let shown = shown.lock().unwrap().clone();
    // Ten lives, renewed after three quarters of each: once at the beginning and thirteen times.
    assert_eq!(shown, (1..=shown.len()).map(|number| format!("t{number}")).collect::<Vec<_>>());
    assert!((13..=15).contains(&shown.len()), "{shown:?}");
}

#[tokio::test(start_paused = true)]
async fn without_renewal_a_session_ends_with_its_credential() {
    //= SMRP-A10
    let (acceptor, _) = acceptor(|_| true);
    let (a, b) = connect(&Dial::new(config().with_credential(bearer("t"))), &acceptor).await;
    let began = tokio::time::Instant::now();
    let (near, far) = tokio::join!(a.closed(), b.closed());
    assert_eq!(began.elapsed().as_secs(), LIFE.as_secs());
    assert!(matches!(near, SessionError::ClosedByPeer { code: Code::AUTH_EXPIRED, .. }), "{near}");
    assert_eq!(far, SessionError::Closed { code: Code::AUTH_EXPIRED });
}

#[tokio::test(start_paused = true)]
async fn where_renewal_fails_the_credential_before_is_good_until_its_end() {
    //= SMRP-A18, SMRP-A3
    // Once the source has nothing more, once the acceptor does not want it.
    for gives in [false, true] {
        let (acceptor, shown) = acceptor(|token| token == "t1");
        let (source, asked) = numbered(move |number| number == 1 || gives);
        let (a, _b) = connect(&Dial::new(config()).with_credentials(source), &acceptor).await;
        let began = tokio::time::Instant::now();
        let end = a.closed().await;
        assert!(matches!(end, SessionError::ClosedByPeer { code: Code::AUTH_EXPIRED, .. }), "{end}");
        assert_eq!(began.elapsed().as_secs(), LIFE.as_secs());
        assert_eq!(asked.load(Ordering::Relaxed), 5, "four attempts, each at half of what was left");
        assert_eq!(shown.lock().unwrap().len(), if gives { 5 } else { 1 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_holds_nothing_up() {
    //= SMRP-A18
    let (acceptor, _) = acceptor(|_| true);
    let count = Arc::new(AtomicUsize::new(0));
    let source = move || {
        let is_first = count.fetch_add(1, Ordering::Relaxed) == 0;
        async move { if is_first { Ok(bearer("t")) } else { core::future::pending().await } }
    };
    let (a, b) = connect(&Dial::new(config()).with_credentials(source), &acceptor).await;
    tokio::time::sleep(LIFE * 9 / 10).await;
    a.send_datagram(1, Bytes::from_static(b"d"), None).unwrap();
    assert_eq!(b.receive_datagram().await.unwrap().0, 1);
    assert!(matches!(a.closed().await, SessionError::ClosedByPeer { code: Code::AUTH_EXPIRED, .. }));
}

/// A way to the acceptor that can be cut, and how often it was taken.
fn road(
    acceptor: &Acceptor,
) -> (impl Fn() -> core::future::Ready<io::Result<Carrier>> + Send + Sync + 'static, Arc<tokio::sync::Notify>) {
    let cut = Arc::new(tokio::sync::Notify::new());
    let (acceptor, cutter) = (acceptor.clone(), cut.clone());
    let redial = move || {
        let (near, mut middle) = tokio::io::duplex(64 << 10);
        let (mut other, far) = tokio::io::duplex(64 << 10);
        let cutter = cutter.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut middle, &mut other) => {}
                () = cutter.notified() => {}
            }
        });
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            if let Ok(Accepted::Session(session)) = acceptor.accept(carrier(far)).await {
                while let Ok(request) = session.accept_request().await {
                    drop(request.reply(Bytes::from_static(b"still here")));
                }
            }
        });
        core::future::ready(Ok(carrier(near)))
    };
    (redial, cut)
}

#[tokio::test(start_paused = true)]
async fn each_link_begins_with_a_fresh_credential_and_an_expired_one_is_tried_no_longer_than_it_takes() {
    //= SMRP-A18, SMRP-A19
    // The second and the third are expired when they are shown.
    let (acceptor, shown) = acceptor(|token| !matches!(token, "t2" | "t3"));
    let (source, _) = numbered(|_| true);
    let (redial, cut) = road(&acceptor);
    let first = redial().await.unwrap();
    let a = Dial::new(config()).with_credentials(source).with_redial(redial).connect(first).await.unwrap();
    cut.notify_waiters();
    let reply = a.request(Bytes::new(), Request::default()).await.unwrap().await;
    assert_eq!(reply, Ok(Bytes::from_static(b"still here")));
    assert_eq!(*shown.lock().unwrap(), ["t1", "t2", "t3", "t4"]);
    assert_eq!(a.stats().reattached, 1);
    // And it lives on by renewals as before.
    tokio::time::sleep(LIFE * 3).await;
    assert!(a.request(Bytes::new(), Request::default()).await.unwrap().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_expired_credential_and_no_other_ends_the_session_at_its_next_link() {
    //= SMRP-A19
    let count = Arc::new(AtomicUsize::new(0));
    let (acceptor, _) = acceptor(move |_| count.fetch_add(1, Ordering::Relaxed) == 0);
    let (redial, cut) = road(&acceptor);
    let first = redial().await.unwrap();
    let dial = Dial::new(config().with_credential(bearer("t"))).with_redial(redial);
    let a = dial.connect(first).await.unwrap();
    cut.notify_waiters();
    assert_eq!(a.closed().await, SessionError::AuthRefused);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_never_believed_is_given_up_with_the_session() {
    //= SMRP-A19, SMRP-R5
    let (acceptor, shown) = acceptor(|token| token == "t1");
    let (source, _) = numbered(|_| true);
    let (redial, cut) = road(&acceptor);
    let first = redial().await.unwrap();
    let mut short = config();
    short.settings.resumable_ms = 20_000;
    let a = Dial::new(short).with_credentials(source).with_redial(redial).connect(first).await.unwrap();
    cut.notify_waiters();
    let began = tokio::time::Instant::now();
    let end = a.closed().await;
    assert!(matches!(end, SessionError::NotReattached(_)), "{end}");
    assert!((20..=26).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    let shown = shown.lock().unwrap().len();
    assert!((5..=20).contains(&shown), "with pauses that grow: {shown}");
}
