//! An acceptor that has read a greeting does what its application asks and reads whatever comes: it never panics, never says more than it
//! may keep, ends with one CLOSE at most, and after its last event is silent.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use bytes::{Bytes, BytesMut};
use core::time::Duration;
use libfuzzer_sys::fuzz_target;
use smrp::wire::{Frame, ParametersBuilder, Preface, VERSION_1, preface_hash};
use smrp::{
    Code, Config, Direction, Event, Input, Kind, Request, Role, Security, SessionMachine, StreamId, Transmit,
};
use std::sync::Arc;
use wirekit::{Instant, Machine};

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    /// A frame that is whole, whatever its body says.
    Frame { number: u8, flags: u8, body: &'a [u8] },
    Octets(&'a [u8]),
    Open { kind: u8, uni: bool },
    Write { stream: u8, len: u16 },
    Message { stream: u8, len: u16, ttl: Option<u8> },
    Read { stream: u8 },
    Receive { stream: u8 },
    Whole { stream: u8, len: u8 },
    Finish { stream: u8 },
    Reset { stream: u8, reliable: u8 },
    Stop { stream: u8 },
    Release { stream: u8 },
    Drain,
    Lost,
    Wait(u16),
    Transmit,
}

fn kind(number: u8) -> Kind {
    [Kind::Bytes, Kind::Messages, Kind::UnorderedMessages, Kind::Request][usize::from(number % 4)]
}

fuzz_target!(|input: &[u8]| {
    let mut now = Instant::from_epoch(Duration::from_secs(1));
    let config = Arc::new(Config::new(Security::Plaintext, true));
    let mut session = SessionMachine::new(Role::Acceptor, config, [1; 32], now).unwrap();
    let parameters = ParametersBuilder::new().build();
    let preface =
        Preface { versions: vec![VERSION_1], security: Security::Plaintext, nonce: [2; 16], parameters }.encode();
    let mut inbox = BytesMut::from(&preface[..]);
    Frame::Hello(ParametersBuilder::new().with(1, &preface_hash(&[&preface])).with_number(22, 1_000).build()).encode(&mut inbox);
    session.handle(now, Input::Received(&mut inbox)).unwrap();
    let mut out = Transmit::new(1 << 16);
    let mut unstructured = Unstructured::new(input);
    let mut is_over = false;
    while let Ok(step) = Step::arbitrary(&mut unstructured) {
        if unstructured.is_empty() {
            break;
        }
        let id = |stream: u8| StreamId::new(u64::from(stream));
        match step {
            Step::Frame { number, flags, body } => {
                inbox.extend_from_slice(&[number, flags]);
                let body = &body[..body.len().min(0x3F)];
                inbox.extend_from_slice(&[u8::try_from(body.len()).unwrap()]);
                inbox.extend_from_slice(body);
                session.handle(now, Input::Received(&mut inbox)).unwrap();
            }
            Step::Octets(octets) => {
                inbox.extend_from_slice(octets);
                session.handle(now, Input::Received(&mut inbox)).unwrap();
            }
            Step::Open { kind: number, uni } => {
                let direction = if uni { Direction::Uni } else { Direction::Bidi };
                drop(session.open(now, kind(number), direction, Request::default()));
            }
            Step::Write { stream, len } => drop(session.write(id(stream), &vec![7; usize::from(len)])),
            Step::Message { stream, len, ttl } => {
                let ttl = ttl.map(|ms| Duration::from_millis(ms.into()));
                drop(session.send_message(now, id(stream), Bytes::from(vec![7; usize::from(len)]), ttl));
            }
            Step::Read { stream } => drop(session.read(now, id(stream), &mut [0; 1_000])),
            Step::Receive { stream } => drop(session.receive_message(now, id(stream))),
            Step::Whole { stream, len } => {
                drop(session.receive_whole(now, id(stream)));
                drop(session.send_whole(id(stream), Bytes::from(vec![7; usize::from(len)])));
            }
            Step::Finish { stream } => drop(session.finish(id(stream))),
            Step::Reset { stream, reliable } => session.reset(now, id(stream), Code::CANCELLED, reliable.into()),
            Step::Stop { stream } => session.stop(now, id(stream), Code::CANCELLED),
            Step::Release { stream } => {
                session.release_send(now, id(stream));
                session.release_receive(now, id(stream));
            }
            Step::Drain => session.drain(now, Duration::from_secs(5), None),
            Step::Lost => session.handle(now, Input::LinkLost).unwrap(),
            Step::Wait(ms) => {
                now = now + Duration::from_millis(ms.into());
                session.handle_timeout(now);
                assert!(session.poll_timeout().is_none_or(|deadline| !deadline.is_due(now)));
            }
            Step::Transmit => {
                for _ in 0..1_000 {
                    if !session.poll_transmit(now, &mut out) {
                        break;
                    }
                    drop(out.take());
                }
            }
        }
        while let Some(event) = session.poll_event() {
            assert!(!is_over, "an event behind the last one: {event:?}");
            is_over = matches!(event, Event::Ended(_));
        }
        if is_over {
            assert!(!session.poll_transmit(now, &mut out));
            assert!(session.poll_timeout().is_none());
        }
        let stats = session.stats();
        assert!(stats.incomplete_len <= stats.untaken_len && stats.replay_len <= (5 << 20));
    }
});
