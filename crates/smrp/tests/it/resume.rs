//! Sessions that change links.

use crate::pair::{End, Pair, config};
use crate::raw::encode;
use bytes::Bytes;
use core::time::Duration;
use smrp::wire::{Code, Frame, Security};
use smrp::{Config, Direction, Event, Grant, Input, Kind, Reattach, Request, Role, SessionError, SessionMachine};
use wirekit::{Instant, Machine};

fn lose(pair: &mut Pair) {
    for end in [&mut pair.a, &mut pair.b] {
        end.session.handle(pair.now, Input::LinkLost).unwrap();
        end.inbox.clear();
        end.collect();
    }
}

/// A fresh acceptor that has read the initiator's new first flight.
fn knock(pair: &mut Pair, config: Config) -> (End, Option<Reattach>) {
    assert!(pair.a.session.relink(pair.now, Security::Plaintext, true));
    let mut fresh = End::new(Role::Acceptor, config, pair.now, 7);
    let flight = pair.a.transmit(pair.now);
    fresh.receive(pair.now, &flight);
    let asked = fresh
        .events()
        .into_iter()
        .find_map(|event| if let Event::Reattach(asked) = event { Some(asked) } else { None });
    (fresh, asked)
}

fn reattach(pair: &mut Pair) -> Result<Bytes, Code> {
    let (mut fresh, asked) = knock(pair, config());
    let adoption = pair.b.session.adopt(pair.now, &mut fresh.session, &asked.unwrap())?;
    pair.b.inbox = core::mem::take(&mut fresh.inbox);
    Ok(adoption.farewell)
}

fn ready() -> Pair {
    Pair::ready(config(), config())
}

#[test]
fn a_session_goes_on_where_it_was_cut_and_nothing_is_lost_or_doubled() {
    //= SMRP-R1, SMRP-R2, SMRP-R5, SMRP-R6, SMRP-R10, SMRP-R16, SMRP-K3
    let mut pair = ready();
    let id = pair.a.session.open(pair.now, Kind::Bytes, Direction::Bidi, Request::default()).unwrap();
    pair.a.session.write(id, b"before").unwrap();
    pair.pump();
    // This is on its way when the link is lost.
    pair.a.session.write(id, b" lost").unwrap();
    pair.b.session.write(id, b"and back").unwrap();
    assert!(!pair.a.transmit(pair.now).is_empty());
    assert!(!pair.b.transmit(pair.now).is_empty());
    lose(&mut pair);
    assert!(pair.a.session.is_detached() && pair.b.session.is_detached());
    pair.a.session.write(id, b" while away").unwrap();
    assert_eq!(reattach(&mut pair).unwrap(), b""[..]);
    pair.pump();
    let events = pair.a.events();
    assert!(events.contains(&Event::Reattached));
    assert!(events.iter().any(|event| matches!(event, Event::Ticket(_))), "another one for the next time: {events:?}");
    let mut into = [0; 64];
    let len = pair.b.session.read(pair.now, id, &mut into).unwrap();
    assert_eq!(&into[..len], b"before lost while away");
    let len = pair.a.session.read(pair.now, id, &mut into).unwrap();
    assert_eq!(&into[..len], b"and back");
    assert_eq!(pair.a.session.stats().reattached, 1);
    // What was lost went out again: that is counted, for the session and for the stream.
    let (session, stream) = (pair.a.session.stats(), pair.a.session.stream_stats(id).unwrap());
    assert!(stream.replayed_len >= 5 && session.replayed_len >= stream.replayed_len, "{session:?} {stream:?}");
}

#[test]
fn the_old_link_is_told_that_it_is_superseded() {
    //= SMRP-R14, SMRP-L4
    let mut pair = ready();
    pair.a.session.handle(pair.now, Input::LinkLost).unwrap();
    let farewell = reattach(&mut pair).unwrap();
    let superseded = encode(&[Frame::Close { code: Code::SUPERSEDED, frame_type: 0, reason: Bytes::new() }]);
    assert_eq!(farewell, superseded);
    let mut other = Pair::ready(config(), config());
    other.a.receive(other.now, &farewell);
    assert!(other.a.events().contains(&Event::Ended(SessionError::Superseded)));
}

#[test]
fn a_session_that_is_not_reattached_ends_in_its_time() {
    //= SMRP-R5
    let mut pair = ready();
    lose(&mut pair);
    let due = pair.b.session.poll_timeout().unwrap();
    assert_eq!((due.at, due.reason), (pair.now + Duration::from_secs(60), smrp::Reason::Detached));
    pair.b.session.handle_timeout(due.at);
    assert_eq!(pair.b.events().last(), Some(&Event::Ended(SessionError::NotReattached(Duration::from_secs(60)))));
}

#[test]
fn a_session_that_does_not_resume_ends_with_its_link() {
    //= SMRP-L10, SMRP-R2
    let mut settings = config().settings;
    settings.resumable_ms = 0;
    let mut pair = Pair::ready(config(), config().with_settings(settings));
    lose(&mut pair);
    for end in [&mut pair.a, &mut pair.b] {
        assert_eq!(end.session.ended(), Some(&SessionError::LinkLost));
    }
}

#[test]
fn an_epoch_that_is_not_higher_is_refused_and_harms_nobody() {
    //= SMRP-R8, SMRP-R15
    let mut pair = ready();
    lose(&mut pair);
    reattach(&mut pair).unwrap();
    pair.pump();
    let mut fresh = End::new(Role::Acceptor, config(), pair.now, 7);
    let stale = Reattach { handle: Bytes::new(), epoch: 1, received: 0 };
    assert_eq!(pair.b.session.adopt(pair.now, &mut fresh.session, &stale).unwrap_err(), Code::RESUME_REFUSED);
    assert!(pair.b.session.ended().is_none());

    lose(&mut pair);
    let (mut fresh, asked) = knock(&mut pair, config());
    assert_eq!(asked.unwrap().epoch, 2);
    fresh.session.refuse_reattach(pair.now, Code::RESUME_REFUSED);
    let answer = fresh.transmit(pair.now);
    pair.a.receive(pair.now, &answer);
    assert_eq!(pair.a.events().last(), Some(&Event::Ended(SessionError::ResumeRefused(Code::RESUME_REFUSED))));
    assert!(pair.b.session.is_detached(), "the session that was named is as it was");
}

#[test]
fn a_position_that_was_never_sent_is_refused() {
    //= SMRP-R10
    let mut pair = ready();
    lose(&mut pair);
    let (mut fresh, asked) = knock(&mut pair, config());
    let asked = Reattach { received: 1 << 40, ..asked.unwrap() };
    assert_eq!(pair.b.session.adopt(pair.now, &mut fresh.session, &asked).unwrap_err(), Code::RESUME_REFUSED);
}

fn with_token(token: &str) -> Config {
    config().with_credential(smrp::Credential::Bearer(token.to_owned()))
}

/// Answers what the initiator says about itself.
fn believe(end: &mut End, now: Instant, grant: Option<Grant>) {
    assert!(end.events().iter().any(|event| matches!(event, Event::Authenticate(_))));
    end.session.authenticated(now, grant);
    let mut inbox = core::mem::take(&mut end.inbox);
    end.session.handle(now, Input::Received(&mut inbox)).unwrap();
    end.inbox = inbox;
    end.collect();
}

#[test]
fn another_identity_does_not_get_the_session() {
    //= SMRP-R11
    let demanding = || config().demanding_auth();
    let mut pair = Pair::new(with_token("me"), demanding());
    pair.pump();
    believe(&mut pair.b, pair.now, Some(Grant::of("me")));
    pair.pump();
    assert!(pair.b.events().contains(&Event::Established));
    lose(&mut pair);
    for (subject, expected) in [("you", Some(Code::FORBIDDEN)), ("me", None)] {
        let (mut fresh, asked) = knock(&mut pair, demanding());
        assert_eq!(asked, None, "first it has to say who it is");
        fresh.session.authenticated(pair.now, Some(Grant::of(subject)));
        let mut inbox = core::mem::take(&mut fresh.inbox);
        fresh.session.handle(pair.now, Input::Received(&mut inbox)).unwrap();
        let events = fresh.events();
        let Some(Event::Reattach(asked)) = events.last() else { panic!("{events:?}") };
        let refused = pair.b.session.adopt(pair.now, &mut fresh.session, asked).err();
        assert_eq!(refused, expected);
        assert!(pair.b.session.ended().is_none());
        pair.a.session.handle(pair.now, Input::LinkLost).unwrap();
    }
}

#[test]
fn a_session_begun_under_tls_does_not_go_on_in_plaintext() {
    //= SMRP-R12
    let tls = || Config::new(Security::Tls, false);
    let mut pair = Pair::ready(tls(), tls());
    lose(&mut pair);
    assert!(!pair.a.session.relink(pair.now, Security::Plaintext, true));
    let mut fresh = End::new(Role::Acceptor, config(), pair.now, 7);
    let asked = Reattach { handle: Bytes::new(), epoch: 1, received: 0 };
    assert_eq!(pair.b.session.adopt(pair.now, &mut fresh.session, &asked).unwrap_err(), Code::DOWNGRADE);
    assert!(pair.a.session.relink(pair.now, Security::Tls, false));
}

#[test]
fn settings_are_not_lower_on_another_link() {
    //= SMRP-R13
    let mut pair = ready();
    lose(&mut pair);
    let mut lower = config().settings;
    lower.max_frame = 16_384;
    lower.max_datagram = 16_384;
    let (mut fresh, asked) = knock(&mut pair, config().with_settings(lower));
    let answer = fresh.transmit(pair.now);
    pair.a.receive(pair.now, &answer);
    assert!(pair.a.transmit(pair.now).len() > 10);
    pair.a.collect();
    let end = pair.a.session.ended();
    assert!(matches!(end, Some(SessionError::Fault(smrp::Fault::Settings(_)))), "{end:?}");
    drop(asked);
}

#[test]
fn what_is_kept_is_bounded_and_sending_waits_for_word_of_it() {
    //= SMRP-R2, SMRP-R4
    let mut limits = config().limits;
    limits.replay_len_max = 128 << 10;
    let mut settings = config().settings;
    settings.ack_every = 1 << 18;
    let mut pair = Pair::ready(config().with_limits(limits), config().with_settings(settings));
    let id = pair.a.session.open(pair.now, Kind::Bytes, Direction::Uni, Request::default()).unwrap();
    pair.a.session.write(id, &vec![1; 250_000]).unwrap();
    let first = pair.a.transmit(pair.now);
    assert!((128 << 10..200 << 10).contains(&first.len()), "{}", first.len());
    assert_eq!(pair.a.transmit(pair.now), b"");
    pair.b.receive(pair.now, &first);
    pair.pump();
    let mut into = vec![0; 300_000];
    assert_eq!(
        pair.b.session.read(pair.now, id, &mut into),
        Ok(250_000),
        "it went on once the peer had told its position"
    );
}

#[test]
fn nothing_of_the_session_goes_out_before_the_result() {
    //= SMRP-R9
    let mut pair = ready();
    let id = pair.a.session.open(pair.now, Kind::Bytes, Direction::Uni, Request::default()).unwrap();
    lose(&mut pair);
    pair.a.session.write(id, &[1; 10_000]).unwrap();
    assert!(pair.a.session.relink(pair.now, Security::Plaintext, true));
    assert!(pair.a.transmit(pair.now).len() < 500);
    let mut fresh = SessionMachine::new(Role::Acceptor, std::sync::Arc::new(config()), [5; 32], pair.now).unwrap();
    drop(fresh.poll_event());
    assert!(!pair.b.session.relink(pair.now, Security::Plaintext, true), "only the initiator reattaches");
}

#[test]
fn who_said_that_it_reattaches_does_nothing_else() {
    //= SMRP-R9
    use smrp::wire::{Open, ParametersBuilder, parameter};
    let reattaching = ParametersBuilder::new().with(parameter::REATTACHING, &[]);
    let mut raw = crate::raw::Raw::greeted_with(config(), reattaching);
    assert!(raw.end.events().is_empty(), "no session of its own begins");
    let stream = smrp::StreamId::new(0);
    raw.send(&[Frame::Open(Open {
        stream,
        kind_and_priority: 3,
        credit: None,
        ttl_ms: None,
        metadata: None,
        data: Bytes::new(),
        fin: false,
    })]);
    assert_eq!(raw.closed(), Code::PROTOCOL_VIOLATION);
}

#[test]
fn a_link_that_is_not_safe_enough_is_left_alone() {
    //= SMRP-A4, SMRP-R12
    let mut pair = Pair::new(with_token("me"), config().demanding_auth());
    pair.pump();
    believe(&mut pair.b, pair.now, Some(Grant::of("me")));
    pair.pump();
    assert!(!pair.a.session.relink(pair.now, Security::Plaintext, false), "a token would be shown to anybody");
    assert!(!pair.a.session.is_detached());
    let id = pair.a.session.open(pair.now, Kind::Bytes, Direction::Uni, Request::default()).unwrap();
    pair.a.session.write(id, b"still here").unwrap();
    pair.pump();
    assert_eq!(pair.b.opened(), [id]);

    let mut settings = config().settings;
    settings.resumable_ms = 0;
    let mut pair = Pair::ready(config(), config().with_settings(settings));
    assert!(!pair.a.session.relink(pair.now, Security::Plaintext, true), "the peer does not resume");
    assert!(pair.a.session.ended().is_none());
}

#[test]
fn what_is_kept_for_another_link_holds_little_more_than_its_octets() {
    //= SMRP-X9, SMRP-R4
    for (len, count) in [(1, 4_000), (64, 2_000), (900, 200), (2_047, 80), (2_048, 80), (3_000, 60), (5_000, 40)] {
        let mut pair = Pair::ready(config(), config());
        let id = pair.a.session.open(pair.now, Kind::Bytes, Direction::Uni, Request::default()).unwrap();
        pair.pump();
        let piece = vec![7; len];
        let heap = testkit::allocations::measure(|| {
            for _ in 0..count {
                // Each goes to the carrier by itself; the peer never says that it came.
                assert_eq!(pair.a.session.write(id, &piece).unwrap(), len);
                drop(pair.a.transmit(pair.now));
            }
        });
        let kept = i64::try_from(pair.a.session.stats().replay_len).unwrap();
        assert!(kept >= i64::try_from(len * count).unwrap());
        let most = kept * 2 + (32 << 10);
        assert!(heap.bytes_current < most, "{count} pieces of {len}: {} for {kept}", heap.bytes_current);
    }
}
