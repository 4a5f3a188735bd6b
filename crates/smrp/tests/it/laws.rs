//! The laws of every machine, on both ends of a session.

use crate::pair::config;
use crate::raw::{encode, preface};
use bytes::{Bytes, BytesMut};
use core::time::Duration;
use smrp::wire::{Code, Frame, VERSION_1, preface_hash};
use smrp::{Credential, Direction, Event, Grant, Input, Kind, Request, Role, Security, SessionMachine, Transmit};
use std::sync::Arc;
use testkit::Rng;
use testkit::laws::{self, Effort, Subject};
use wirekit::{Instant, Machine};

struct End(Role);

fn frames(rng: &mut Rng) -> Vec<u8> {
    let all = crate::wire::one_of_each();
    let some: Vec<Frame> = (0..rng.below(4)).filter_map(|_| rng.pick(&all).cloned()).collect();
    encode(&some)
}

impl Subject for End {
    type Machine = SessionMachine;

    fn make(&self, seed: u64) -> SessionMachine {
        let now = Instant::from_epoch(Duration::from_secs(1));
        let mut session = SessionMachine::new(self.0, Arc::new(config()), [seed.to_le_bytes()[0]; 32], now).unwrap();
        // An acceptor learns what the first flight says; an initiator stays in its handshake.
        if self.0 == Role::Acceptor {
            let preface = preface(vec![VERSION_1], Security::Plaintext);
            let hash = preface_hash(&[&preface]);
            let hello = Frame::Hello(smrp::wire::ParametersBuilder::new().with(1, &hash).build());
            let mut flight = BytesMut::from(&[&preface[..], &encode(&[hello])].concat()[..]);
            session.handle(now, Input::Received(&mut flight)).unwrap();
        }
        session
    }

    fn step(&self, session: &mut SessionMachine, now: Instant, rng: &mut Rng) -> String {
        let id = smrp::StreamId::new(rng.below(24));
        match rng.below(14) {
            0 => format!("open {:?}", session.open(now, Kind::Bytes, Direction::Bidi, Request::default())),
            1 => format!("messages {:?}", session.open(now, Kind::Messages, Direction::Uni, Request::default())),
            2 => format!("request {:?}", session.request(now, Bytes::from(rng.bytes(100)), Request::default())),
            3 => format!("write {:?}", session.write(id, &[7; 3_000])),
            4 => format!(
                "message {:?}",
                session.send_message(now, id, Bytes::from_static(b"m"), Some(Duration::from_millis(3)))
            ),
            5 => format!("finish {:?}", session.finish(id)),
            6 => {
                session.release_send(now, id);
                session.release_receive(now, id);
                format!("release {id:?}")
            }
            7 => {
                session.drain(now, Duration::from_secs(30), None);
                "drain".to_owned()
            }
            8 if rng.chance(100) => {
                session.close(now, Code::NO_ERROR, "done");
                "close".to_owned()
            }
            9 if rng.chance(100) => {
                session.handle(now, Input::LinkLost).unwrap();
                format!("lost, and relinked {}", session.relink(now, Security::Plaintext, true))
            }
            11 => {
                let scopes = ["request@2/s", "open:*", "datagram@1/m", "no scope"].map(str::to_owned);
                let life = Duration::from_millis(rng.below(60_000));
                let grant = rng.chance(500).then(|| Grant::of("x").with_scopes(scopes.to_vec()).with_expiry(life));
                session.authenticated(now, grant);
                "decided".to_owned()
            }
            12 => format!("shown {:?}", session.authenticate(Credential::Bearer("t".to_owned()))),
            10 => format!("datagram {:?}", session.send_datagram(now, 1, Bytes::from_static(b"d"), None)),
            _ => {
                let octets = frames(rng);
                session.handle(now, Input::Received(&mut BytesMut::from(&octets[..]))).unwrap();
                format!("received {}", octets.len())
            }
        }
    }

    fn hostile(&self, session: &mut SessionMachine, now: Instant, rng: &mut Rng) -> String {
        let len = usize::try_from(rng.below(300)).unwrap();
        let octets = rng.bytes(len);
        session.handle(now, Input::Received(&mut BytesMut::from(&octets[..]))).unwrap();
        format!("{len} hostile octets")
    }

    fn transmit(&self, session: &mut SessionMachine, now: Instant) -> Option<Vec<u8>> {
        let mut out = Transmit::new(1 << 16);
        session.poll_transmit(now, &mut out).then(|| out.take().to_vec())
    }

    fn describe(&self, event: &Event) -> String {
        format!("{event:?}")
    }

    fn is_final(&self, event: &Event) -> bool {
        matches!(event, Event::Ended(_))
    }
}

#[test]
fn an_initiator_holds_the_laws() {
    //= SMRP-F10, SMRP-X10
    if let Err(violation) = laws::check(&End(Role::Initiator), &Effort { seeds: 0..256, ..Effort::default() }) {
        panic!("{violation}");
    }
}

#[test]
fn an_acceptor_holds_the_laws() {
    //= SMRP-F10, SMRP-X10
    if let Err(violation) = laws::check(&End(Role::Acceptor), &Effort { seeds: 0..256, ..Effort::default() }) {
        panic!("{violation}");
    }
}
