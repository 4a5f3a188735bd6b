//! An end that goes away: what came is served, what came too late is told, and nobody is punished for it.

use crate::hostile::open;
use crate::pair::config;
use crate::raw::Raw;
use bytes::Bytes;
use core::time::Duration;
use smrp::wire::Frame;
use smrp::{Accepted, Acceptor, Carrier, Code, Dial, OpenError, ReceiveError, Request, Security, StreamId};
use wirekit::Machine;

/// An acceptor that has named its last streams.
fn draining() -> Raw {
    let mut raw = Raw::ready();
    raw.end.session.drain(raw.now, Duration::from_secs(60), None);
    raw.read();
    raw.now = raw.end.session.poll_timeout().unwrap().at;
    // Something that is open keeps the session.
    raw.send(&[open(0, 0, b"", false)]);
    raw.end.session.handle_timeout(raw.now);
    let said = raw.read();
    assert!(said.iter().any(|frame| matches!(frame, Frame::GoAway { is_final: true, bidi: 1, .. })), "{said:?}");
    raw
}

#[test]
fn who_did_not_know_yet_is_refused_and_not_punished() {
    //= SMRP-L8, SMRP-X4
    let mut raw = draining();
    let before = raw.end.session.stats().ledger_charged;
    let allowed = raw.end.session.config().settings.max_streams_bidi;
    for stream in 1..allowed {
        raw.send(&[open(stream * 4, 3, b"asked too late", true)]);
        let said = raw.read();
        let id = StreamId::new(stream * 4);
        let refused =
            |frame: &Frame| matches!(frame, Frame::Reset { stream, code: Code::REFUSED, .. } if *stream == id);
        assert!(said.iter().any(refused), "{said:?}");
    }
    assert!(raw.is_fine() && raw.end.session.wants_octets());
    assert_eq!(
        raw.end.session.stats().ledger_charged - before,
        (allowed - 1) * 1_000,
        "that of OPEN, which is given back"
    );
}

#[test]
fn who_goes_on_all_the_same_is_punished() {
    //= SMRP-X4
    let mut raw = draining();
    let mut count = 0;
    while raw.is_fine() {
        count += 1;
        assert!(count < 2_000);
        raw.send(&[open(count * 4, 3, b"again", true)]);
        raw.read_unless_over();
    }
    assert_eq!(raw.closed(), Code::ABUSE);
}

#[test]
fn everything_has_come_once_the_last_streams_are_named_and_at_their_end() {
    //= SMRP-L7
    let mut raw = Raw::ready();
    raw.send(&[open(0, 0, b"", false)]);
    assert!(!raw.end.session.has_all(), "no drain");
    raw.end.session.drain(raw.now, Duration::from_secs(60), None);
    raw.now = raw.end.session.poll_timeout().unwrap().at;
    assert!(!raw.end.session.has_all());
    raw.end.session.handle_timeout(raw.now);
    assert!(!raw.end.session.has_all(), "stream 0 goes on");
    raw.send(&[crate::hostile::data(0, 1, true)]);
    assert!(raw.end.session.has_all());
    assert!(raw.is_fine(), "what the application has to say to it may still come");
}

#[test]
fn a_redirect_stands_until_another_is_named() {
    //= SMRP-L11
    let mut pair = crate::pair::Pair::ready(config(), config());
    let kept = pair.a.session.open(pair.now, smrp::Kind::Bytes, smrp::Direction::Bidi, Request::default()).unwrap();
    pair.a.session.write(kept, b"x").unwrap();
    pair.pump();
    pair.b.session.drain(pair.now, Duration::from_secs(60), Some("elsewhere"));
    pair.wait(Duration::from_secs(1));
    let last = pair.a.events().into_iter().rev().find(|event| matches!(event, smrp::Event::GoingAway { .. }));
    assert!(matches!(last, Some(smrp::Event::GoingAway { is_final: true, .. })), "{last:?}");
    assert_eq!(pair.a.session.redirect(), Some("elsewhere"));
}

#[tokio::test]
async fn what_nobody_will_take_any_more_is_refused() {
    //= SMRP-L12, SMRP-ST15
    let (near, far) = tokio::io::duplex(64 << 10);
    let carrier = |io| Carrier::new(io, Security::Plaintext, true);
    let (dial, acceptor) = (Dial::new(config()), Acceptor::new(config()).unwrap());
    let (asking, lazy) = tokio::join!(dial.connect(carrier(near)), acceptor.accept(carrier(far)));
    let (asking, Accepted::Session(lazy)) = (asking.unwrap(), lazy.unwrap()) else { panic!("fresh") };
    let reply = asking.request(Bytes::from_static(b"x"), Request::default()).await.unwrap();
    while lazy.stats().streams_opened == 0 {
        tokio::task::yield_now().await;
    }
    let crossing = asking.request(Bytes::from_static(b"y"), Request::default()).await.unwrap();
    drop(lazy);
    for reply in [reply, crossing] {
        let came = tokio::time::timeout(Duration::from_secs(5), reply).await.expect("told soon");
        assert_eq!(came, Err(ReceiveError::Reset(Code::REFUSED)));
    }
    let refused = asking.open_uni(Request::default()).await.unwrap_err();
    assert!(matches!(refused, OpenError::GoingAway { .. } | OpenError::Session(_)), "{refused}");
}

#[test]
fn the_goodbye_leaves_with_the_last_octets() {
    //= SMRP-L9
    let mut raw = draining();
    let session = &mut raw.end.session;
    let id = StreamId::new(0);
    session.release_receive(raw.now, id);
    raw.send(&[crate::hostile::data(0, 0, true)]);
    raw.read();
    let session = &mut raw.end.session;
    session.write(id, b"the last").unwrap();
    session.finish(id).unwrap();
    session.release_send(raw.now, id);
    let mut out = smrp::Transmit::new(1 << 20);
    assert!(session.poll_transmit(raw.now, &mut out));
    let close = [Frame::Close { code: Code::NO_ERROR, frame_type: 0, reason: Bytes::from_static(b"drained") }];
    assert!(out.take().ends_with(&crate::raw::encode(&close)), "nobody asks again when nothing happens");
}
