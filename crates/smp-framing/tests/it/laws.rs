//! The laws of every machine.

use bytes::{Buf, Bytes};
use smp_framing::machine::{Command, ConnectionMachine, ErrorReport, Event, Input};
use smp_framing::wire::{ReceiveBuffer, TransmitBuffer};
use smp_framing::{Arguments, Config, Limits, UserCode};
use std::time::Duration;
use testkit::Rng;
use testkit::laws::{Effort, Subject, check};
use wirekit::{Instant, Machine};

struct Smp;

fn arguments(rng: &mut Rng) -> Arguments {
    let count = rng.range(0..4);
    (0..count)
        .map(|_| {
            let len = rng.range(0..200);
            Bytes::from(vec![7; len])
        })
        .collect()
}

fn command(machine: &mut ConnectionMachine, rng: &mut Rng) -> Command {
    match rng.range(0..24) {
        0..=9 => Command::Send(arguments(rng)),
        10 => Command::Send(vec![1; 5000].into()),
        11 => Command::Information(arguments(rng)),
        12 => Command::Error(ErrorReport::new(500, "x")),
        13 => Command::Heartbeat(arguments(rng)),
        14 => Command::User(UserCode::User13, arguments(rng)),
        15 => Command::PausePeer,
        16 => Command::ResumePeer,
        17 if rng.chance(20) => Command::Close(arguments(rng)),
        18 if rng.chance(5) => Command::Abort,
        19 => {
            if let Ok(body) = machine.open_body(1, 0) {
                let _room = machine.feed_body(body, 0, Bytes::from_static(b"body"));
                let _done = if rng.chance(500) { machine.finish_body(body) } else { machine.abandon_body(body) };
            }
            Command::ResumePeer
        }
        _ => Command::Send(Arguments::new()),
    }
}

impl Subject for Smp {
    type Machine = ConnectionMachine;

    fn make(&self, seed: u64) -> ConnectionMachine {
        let mut limits = Limits::default();
        limits.small_units_per_second_max = 50;
        limits.open_ids_max = 4;
        limits.paused_timeout = Duration::from_secs(20);
        let peer_timeout = seed.is_multiple_of(2).then_some(Duration::from_secs(25));
        let config = Config::builder().with_limits(limits).with_peer_timeout(peer_timeout).build().unwrap();
        ConnectionMachine::new(Instant::EPOCH, config)
    }

    fn step(&self, machine: &mut ConnectionMachine, now: Instant, rng: &mut Rng) -> String {
        if rng.chance(500) {
            let command = command(machine, rng);
            let text = format!("{command:?}");
            return format!("{text} {:?}", machine.handle(now, Input::Command(command)));
        }
        if rng.chance(5) {
            return format!("eof {:?}", machine.handle(now, Input::ReceivedEof { missing_len: 0 }));
        }
        // A frame or a control unit that makes sense often enough to get somewhere.
        let code = u8::try_from(rng.range(0..16)).unwrap();
        let code = if code == 7 && !rng.chance(50) { 6 } else { code };
        let mut octets = vec![code << 4 | 1];
        if (1..=3).contains(&code) {
            let [id, number] = [rng.range(0..6), rng.range(0..3)].map(|value| u8::try_from(value).unwrap());
            octets.extend_from_slice(&[0, id, 0, 0, 0, number]);
        }
        octets.extend_from_slice(&[0, 3, b'4', b'2', b'0']);
        feed(machine, now, &octets)
    }

    fn hostile(&self, machine: &mut ConnectionMachine, now: Instant, rng: &mut Rng) -> String {
        let octets = rng.bytes(64);
        feed(machine, now, &octets)
    }

    fn transmit(&self, machine: &mut ConnectionMachine, now: Instant) -> Option<Vec<u8>> {
        let mut out = TransmitBuffer::new();
        machine.poll_transmit(now, &mut out).then(|| {
            let mut octets = vec![0; out.remaining()];
            out.copy_to_slice(&mut octets);
            octets
        })
    }

    fn describe(&self, event: &Event) -> String {
        format!("{event:?}")
    }

    fn is_final(&self, event: &Event) -> bool {
        matches!(event, Event::Closed(_))
    }
}

fn feed(machine: &mut ConnectionMachine, now: Instant, octets: &[u8]) -> String {
    let mut buffer = ReceiveBuffer::from(octets);
    let taken = machine.handle(now, Input::Received(&mut buffer));
    format!("octets {octets:02x?} {taken:?} left {}", buffer.len())
}

#[test]
fn the_connection_machine_keeps_the_laws() {
    let effort = Effort { seeds: 0..200, ..Effort::default() };
    if let Err(violation) = check(&Smp, &effort) {
        panic!("{violation}");
    }
}
