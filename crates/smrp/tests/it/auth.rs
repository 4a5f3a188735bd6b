//! Who the initiator is, and what it may do.

use crate::pair::{Pair, config};
use crate::raw::Raw;
use bytes::Bytes;
use core::time::Duration;
use smrp::wire::*;
use smrp::{
    Credential, Direction, Event, Grant, Input, Kind, OpenError, ReceiveError, Request, SessionError, StreamId,
};
use wirekit::Machine;

fn token(text: &str) -> Frame {
    Frame::Auth { method: 3, parameters: ParametersBuilder::new().with(parameter::TOKEN, text.as_bytes()).build() }
}

fn open(name: &str) -> Frame {
    let metadata = Some(ParametersBuilder::new().with(parameter::NAME, name.as_bytes()).build());
    let stream = StreamId::new(0);
    Frame::Open(Open {
        stream,
        kind_and_priority: 3,
        credit: None,
        ttl_ms: None,
        metadata,
        data: Bytes::new(),
        fin: false,
    })
}

fn decide(raw: &mut Raw, grant: Option<Grant>) -> Vec<Event> {
    raw.end.session.authenticated(raw.now, grant);
    let mut inbox = core::mem::take(&mut raw.end.inbox);
    raw.end.session.handle(raw.now, Input::Received(&mut inbox)).unwrap();
    raw.end.inbox = inbox;
    raw.end.events()
}

#[test]
fn nothing_is_processed_before_the_initiator_is_believed() {
    //= SMRP-A1, SMRP-A2
    let mut raw = Raw::greeted(config().demanding_auth());
    raw.send(&[token("secret"), open("/x")]);
    let events = raw.end.events();
    let [Event::Authenticate(claim)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((claim.method, claim.token.as_deref()), (3, Some(&b"secret"[..])));
    assert!(!format!("{events:?}").contains("secret"));
    assert!(!raw.end.session.wants_octets() && raw.end.session.stream_count() == 0);
    let events = decide(&mut raw, Some(Grant::of("robot7").with_expiry(Duration::from_secs(60))));
    assert!(matches!(events[..], [Event::Established, Event::Opened(_)]), "{events:?}");
    assert_eq!(raw.end.session.subject(), Some("robot7"));
    let said = raw.read();
    let Some(Frame::AuthResult { code, parameters }) =
        said.iter().find(|frame| matches!(frame, Frame::AuthResult { .. }))
    else {
        panic!("{said:?}")
    };
    assert_eq!((*code, parameters.get(parameter::SUBJECT).as_deref()), (Code::NO_ERROR, Some(&b"robot7"[..])));
    assert_eq!(parameters.number(parameter::EXPIRES_MS), Some(Some(60_000)));
}

#[test]
fn session_frames_without_auth_where_it_is_demanded() {
    //= SMRP-A2, SMRP-A3
    let mut raw = Raw::greeted(config().demanding_auth());
    raw.send(&[open("/x")]);
    assert_eq!(raw.closed(), Code::AUTH_REQUIRED);
}

#[test]
fn four_refusals_may_be_followed_by_another_try_and_a_fifth_ends_it() {
    //= SMRP-A3
    let mut raw = Raw::greeted(config().demanding_auth());
    raw.read();
    for _ in 0..4 {
        raw.send(&[token("wrong")]);
        decide(&mut raw, None);
        let said = raw.read();
        assert!(matches!(said[..], [Frame::AuthResult { code: Code::AUTH_FAILED, .. }]), "{said:?}");
        raw.now = raw.now + Duration::from_secs(1);
    }
    raw.send(&[token("wrong")]);
    raw.end.session.authenticated(raw.now, None);
    assert_eq!(raw.closed(), Code::AUTH_FAILED);
}

#[test]
fn who_never_says_who_it_is_is_closed_in_time() {
    //= SMRP-A3, SMRP-P12
    let mut raw = Raw::greeted(config().demanding_auth());
    raw.read();
    let due = raw.end.session.poll_timeout().unwrap();
    assert_eq!(due.reason, smrp::Reason::Handshake);
    raw.end.session.handle_timeout(due.at);
    let said = raw.read();
    assert!(matches!(said[..], [Frame::Close { code: Code::AUTH_REQUIRED, .. }]), "{said:?}");
}

#[test]
fn a_token_above_the_limit_is_not_looked_at() {
    //= SMRP-A6
    let shown = |method: u8, len: usize| {
        let channel = smrp::Channel::default().with_binding([1; 32]);
        let mut raw = Raw::greeted(config().demanding_auth().with_channel(channel));
        let list = ParametersBuilder::new().with(parameter::TOKEN, "x".repeat(len).as_bytes());
        raw.send(&[Frame::Auth { method, parameters: list.with(parameter::SIGNATURE, &[0; 64]).build() }]);
        raw
    };
    // A method without a token is no way around it.
    for method in [2, 3, 4, 5] {
        assert_eq!(shown(method, 8_193).closed(), Code::AUTH_FAILED, "{method}");
    }
    for method in [3, 4] {
        assert!(matches!(shown(method, 8_192).end.events()[..], [Event::Authenticate(_)]), "{method}");
    }
}

#[test]
fn what_no_scope_covers_is_refused_and_the_rest_goes_on() {
    //= SMRP-A9, SMRP-ST15
    let b = config().demanding_auth();
    let mut pair = Pair::new(config().with_credential(Credential::Bearer("t".to_owned())), b);
    pair.pump();
    let grant = Grant::of("x").with_scopes(vec!["open:/camera/*".to_owned(), "request:/clock".to_owned()]);
    pair.b.session.authenticated(pair.now, Some(grant));
    pair.pump();
    let events = pair.a.events();
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::Authenticated { subject: Some(subject), .. } if subject == "x"))
    );
    pair.b.events();
    let named = |name: &str| {
        Request::default().with_metadata(ParametersBuilder::new().with(parameter::NAME, name.as_bytes()).build())
    };
    let fine = pair.a.session.open(pair.now, Kind::Bytes, Direction::Bidi, named("/camera/1")).unwrap();
    let not = pair.a.session.open(pair.now, Kind::Bytes, Direction::Bidi, named("/other")).unwrap();
    let asked = pair.a.session.request(pair.now, Bytes::new(), named("/camera/1")).unwrap();
    pair.pump();
    assert_eq!(pair.b.opened(), [fine]);
    for id in [not, asked] {
        let error = if id == asked {
            pair.a.session.receive_whole(pair.now, id).unwrap_err()
        } else {
            pair.a.session.read(pair.now, id, &mut [0]).unwrap_err()
        };
        assert_eq!(error, ReceiveError::Reset(Code::FORBIDDEN));
    }
}

#[test]
fn an_identity_that_expires_ends_the_session_unless_it_is_renewed() {
    //= SMRP-A10
    let b = config().demanding_auth();
    let mut pair = Pair::new(config().with_credential(Credential::Bearer("t".to_owned())), b);
    pair.pump();
    let grant = || Some(Grant::of("x").with_expiry(Duration::from_secs(30)));
    pair.b.session.authenticated(pair.now, grant());
    pair.pump();
    pair.wait(Duration::from_secs(20));
    pair.a.session.authenticate(Credential::Bearer("newer".to_owned())).unwrap();
    pair.pump();
    assert!(pair.b.events().iter().any(|event| matches!(event, Event::Authenticate(_))));
    pair.b.session.authenticated(pair.now, grant());
    pair.wait(Duration::from_secs(29));
    assert!(pair.a.session.ended().is_none());
    pair.wait(Duration::from_secs(1));
    let end = pair.a.session.ended();
    assert!(matches!(end, Some(SessionError::ClosedByPeer { code: Code::AUTH_EXPIRED, .. })), "{end:?}");
    let after = pair.a.session.open(pair.now, Kind::Bytes, Direction::Bidi, Request::default());
    assert!(matches!(after, Err(OpenError::Session(_))));
}

#[test]
fn auth_from_the_acceptor_is_a_violation() {
    //= SMRP-A1
    let mut pair = Pair::ready(config(), config());
    pair.a.receive(pair.now, &crate::raw::encode(&[token("x")]));
    assert!(matches!(pair.a.session.ended(), Some(SessionError::Fault(_))));
}

#[test]
fn datagrams_need_a_scope_of_their_own() {
    //= SMRP-A9
    for (scope, arrives) in [("open", false), ("datagram", true)] {
        let mut raw = Raw::greeted(config().demanding_auth());
        raw.send(&[token("t")]);
        decide(&mut raw, Some(Grant::of("x").with_scopes(vec![scope.to_owned()])));
        raw.send(&[Frame::Dgram { flow: 1, ttl_ms: None, data: Bytes::from_static(b"d") }]);
        assert_eq!(raw.end.session.receive_datagram().is_some(), arrives, "{scope}");
        assert_eq!(raw.end.session.stats().datagrams_lost, u64::from(!arrives));
    }
}

#[test]
fn over_its_rate_a_stream_is_refused_and_a_datagram_dropped_and_counted() {
    //= SMRP-A16
    let mut pair = Pair::new(config().with_credential(Credential::Bearer("t".to_owned())), config().demanding_auth());
    pair.pump();
    let scopes = ["request:/clock@2/s", "open:/log@1/s", "datagram@3/s"].map(str::to_owned).to_vec();
    pair.b.session.authenticated(pair.now, Some(Grant::of("x").with_scopes(scopes)));
    pair.pump();
    let named = |name: &str| {
        Request::default().with_metadata(ParametersBuilder::new().with(parameter::NAME, name.as_bytes()).build())
    };
    let ask = |pair: &mut Pair| {
        let id = pair.a.session.request(pair.now, Bytes::new(), named("/clock")).unwrap();
        pair.pump();
        pair.a.session.receive_whole(pair.now, id).unwrap_err()
    };
    let quota = ReceiveError::Reset(Code::QUOTA);
    assert_eq!(
        [ask(&mut pair), ask(&mut pair), ask(&mut pair)],
        [ReceiveError::Blocked, ReceiveError::Blocked, quota.clone()]
    );
    pair.b.events();
    let logs: Vec<StreamId> =
        (0..2).map(|_| pair.a.session.open(pair.now, Kind::Bytes, Direction::Uni, named("/log")).unwrap()).collect();
    pair.pump();
    assert_eq!(pair.b.opened(), logs[..1]);
    for _ in 0..5 {
        pair.a.session.send_datagram(pair.now, 1, Bytes::from_static(b"d"), None).unwrap();
    }
    pair.pump();
    let came = core::iter::from_fn(|| pair.b.session.receive_datagram()).count();
    assert_eq!((came, pair.b.session.stats().datagrams_lost), (3, 2));
    // Half a second is one request more, and a renewal fills nothing.
    pair.wait(Duration::from_millis(500));
    pair.a.session.authenticate(Credential::Bearer("t".to_owned())).unwrap();
    pair.pump();
    let scopes = ["request:/clock@2/s"].map(str::to_owned).to_vec();
    pair.b.session.authenticated(pair.now, Some(Grant::of("x").with_scopes(scopes)));
    pair.pump();
    assert_eq!([ask(&mut pair), ask(&mut pair)], [ReceiveError::Blocked, quota]);
    assert!(pair.a.session.ended().is_none() && pair.b.session.ended().is_none());
}
