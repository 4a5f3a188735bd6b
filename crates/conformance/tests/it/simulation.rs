//! Two ends over a simulated byte stream: seeded sizes, cuts, delays and stalls, with what was sent as the model.
//!
//! A failing seed is printed; the same seed replays it.

use bytes::{Buf, Bytes};
use smp_framing::machine::{BodyId, Command, ConnectionMachine, Event, Input};
use smp_framing::wire::{ReceiveBuffer, TransmitBuffer};
use smp_framing::{Arguments, Config, Limits};
use std::collections::BTreeMap;
use std::time::Duration;
use testkit::network::{StreamConditions, StreamLink, StreamPiece};
use testkit::{Rng, VirtualClock};
use wirekit::{Instant, Machine};

const SEED_COUNT: u64 = 300;
const STEP_COUNT: usize = 300;
/// Far more than delays and stalls can add up to.
const HEALING_TIME: Duration = Duration::from_secs(40);

type Content = Vec<Vec<u8>>;

/// One end: its machine, what it sends into, and what it has seen.
struct End {
    machine: ConnectionMachine,
    outgoing: StreamLink,
    /// Encoded and not taken by the link yet.
    unsent: Vec<u8>,
    buffer: ReceiveBuffer,
    /// Messages given to the machine, by serial number.
    sent: BTreeMap<u64, Content>,
    bodies: Vec<(BodyId, u64, Content)>,
    got: Vec<Content>,
    ended: Vec<String>,
    /// A fault planted to see this test fail: from here on an octet of each write has a bit turned over.
    is_damaging: bool,
}

impl End {
    fn new(now: Instant, limits: Limits, rng: &mut Rng) -> Self {
        let max_message_size = rng.range(31..400);
        let config = Config::builder().with_max_message_size(max_message_size).with_peer_timeout(None);
        let config = config.with_limits(limits);
        let conditions = StreamConditions {
            piece_len_max: rng.range(1..300),
            delay: Duration::ZERO..Duration::from_millis(1 + rng.below(20)),
            stall_per_mille: 5,
            stall: Duration::ZERO..Duration::from_millis(200),
            capacity_len: rng.range(50..5000),
            break_after_len: None,
        };
        Self {
            machine: ConnectionMachine::new(now, config.build().unwrap()),
            outgoing: StreamLink::new(conditions, rng.next_u64()),
            unsent: Vec::new(),
            buffer: ReceiveBuffer::new(),
            sent: BTreeMap::new(),
            bodies: Vec::new(),
            got: Vec::new(),
            ended: Vec::new(),
            is_damaging: false,
        }
    }

    /// One thing that an application does. `serial` is the first argument of each message, so that each is told from all others.
    fn act(&mut self, now: Instant, serial: u64, rng: &mut Rng) {
        let tag = serial.to_be_bytes().to_vec();
        match rng.below(12) {
            0..=4 => {
                let mut content = vec![tag];
                content
                    .extend((0..rng.range(0..4)).map(|_| (rng.range(0..200), rng.next_u8())).map(|(n, b)| vec![b; n]));
                if self.machine.send(arguments(&content)).is_ok() {
                    self.sent.insert(serial, content);
                }
            }
            5 => {
                let len = rng.range(400..6000);
                let content = vec![tag, rng.bytes(len)];
                if self.machine.send(arguments(&content)).is_ok() {
                    self.sent.insert(serial, content);
                }
            }
            6 => {
                let Ok(body) = self.machine.open_body(2, 0) else { return };
                if self.machine.feed_body(body, 0, Bytes::from(tag.clone())).is_ok() {
                    self.bodies.push((body, serial, vec![tag, Vec::new()]));
                } else {
                    self.machine.abandon_body(body).unwrap();
                }
            }
            7 | 8 => {
                let len = rng.range(1..800);
                let piece = rng.bytes(len);
                if let Some((body, _, content)) = self.bodies.first_mut()
                    && self.machine.feed_body(*body, 1, Bytes::copy_from_slice(&piece)).is_ok()
                {
                    content[1].extend_from_slice(&piece);
                }
                if rng.chance(500) {
                    let count = usize::from(self.bodies.len() > 1);
                    self.bodies.rotate_left(count);
                }
            }
            9 => self.end_a_body(rng.chance(250)),
            10 => {
                let command = if rng.chance(400) { Command::PausePeer } else { Command::ResumePeer };
                self.machine.handle(now, Input::Command(command)).unwrap();
            }
            _ => {
                let note = Command::Information(Bytes::from_static(b"note").into());
                let _full = self.machine.handle(now, Input::Command(note));
            }
        }
    }

    fn end_a_body(&mut self, abandon: bool) {
        if self.bodies.is_empty() {
            return;
        }
        let (body, serial, content) = self.bodies.remove(0);
        if abandon {
            self.machine.abandon_body(body).unwrap();
        } else {
            self.machine.finish_body(body).unwrap();
            self.sent.insert(serial, content);
        }
    }

    /// Moves octets out of the machine and into the link, as a driver with a slow carrier does.
    fn write(&mut self, now: Instant) {
        if self.unsent.is_empty() {
            let mut out = TransmitBuffer::new();
            self.machine.poll_transmit(now, &mut out);
            self.unsent = out.copy_to_bytes(out.remaining()).to_vec();
        }
        if self.is_damaging
            && let Some(octet) = self.unsent.last_mut()
        {
            *octet ^= 1;
        }
        let taken = self.outgoing.write(now, &self.unsent);
        self.unsent.drain(..taken);
        if self.unsent.is_empty() && self.machine.is_finished_sending() {
            self.outgoing.close(now);
        }
    }

    /// Takes what arrived from the other end's link.
    fn read(&mut self, now: Instant, incoming: &mut StreamLink) {
        while let Some(piece) = incoming.read(now) {
            match piece {
                StreamPiece::Octets(octets) => {
                    self.buffer.incoming().extend_from_slice(&octets);
                    self.machine.handle(now, Input::Received(&mut self.buffer)).unwrap();
                }
                StreamPiece::End => {
                    let missing_len = self.buffer.missing_len();
                    self.machine.handle(now, Input::ReceivedEof { missing_len }).unwrap();
                }
            }
            self.events(now);
        }
    }

    fn events(&mut self, now: Instant) {
        loop {
            while let Some(event) = self.machine.poll_event() {
                match event {
                    Event::Message(arguments) => self.got.push(content(&arguments)),
                    Event::Assembled(message) => self.got.push(content(&message.arguments)),
                    Event::SequenceError(..) | Event::SemanticError(..) | Event::Reserved(..) => {
                        panic!("a fault where there is none: {event:?}")
                    }
                    Event::Stop(_) => self.ended.push("stop".into()),
                    Event::Closed(reason) => self.ended.push(format!("{reason:?}")),
                    _ => {}
                }
            }
            let before_len = self.buffer.len();
            self.machine.handle(now, Input::Received(&mut self.buffer)).unwrap();
            if self.buffer.len() == before_len && !self.machine.is_full() {
                return;
            }
        }
    }
}

fn arguments(content: &Content) -> Arguments {
    content.iter().map(|octets| Bytes::copy_from_slice(octets)).collect()
}

fn content(arguments: &Arguments) -> Content {
    arguments.iter().map(<[u8]>::to_vec).collect()
}

/// Limits that are met now and then, the same at both ends: a receiver that allows fewer open messages refuses some.
fn limits(rng: &mut Rng) -> Limits {
    let mut limits = Limits::default();
    limits.open_ids_max = rng.range(1..10);
    limits.event_count_max = rng.range(8..20);
    limits.outgoing_len_max = rng.range(500..100_000);
    limits.control_count_max = rng.range(8..20);
    limits
}

/// Both ends, once around: time-outs, writes, reads.
fn turn(now: Instant, ends: &mut [End; 2]) {
    let [a, b] = ends;
    for end in [&mut *a, &mut *b] {
        end.machine.handle_timeout(now);
        end.write(now);
    }
    a.read(now, &mut b.outgoing);
    b.read(now, &mut a.outgoing);
}

fn simulate(seed: u64, damage: Option<usize>) -> [End; 2] {
    let mut rng = Rng::new(seed);
    let mut clock = VirtualClock::new();
    let limits = limits(&mut rng);
    let mut ends = [End::new(clock.now(), limits, &mut rng), End::new(clock.now(), limits, &mut rng)];
    for step in 0..STEP_COUNT {
        let now = clock.advance(rng.duration(Duration::ZERO..Duration::from_millis(5)));
        let which = rng.range(0..2);
        ends[which].act(now, step as u64, &mut rng);
        if damage == Some(step) {
            ends[0].is_damaging = true;
        }
        turn(now, &mut ends);
    }
    for end in &mut ends {
        while !end.bodies.is_empty() {
            end.end_a_body(false);
        }
        end.machine.handle(clock.now(), Input::Command(Command::ResumePeer)).unwrap();
    }
    let healed_at = clock.now() + HEALING_TIME;
    let mut is_closing = false;
    while clock.now() < healed_at && ends.iter().any(|end| !end.machine.is_closed()) {
        turn(clock.advance(Duration::from_millis(1)), &mut ends);
        let arrived = |from: &End, to: &End| from.sent.len() == to.got.len();
        let [a, b] = &mut ends;
        if !is_closing && arrived(a, b) && arrived(b, a) {
            is_closing = true;
            a.machine.handle(clock.now(), Input::Command(Command::Close(Arguments::new()))).unwrap();
        }
    }
    ends
}

/// What is wrong with the outcome of a simulation.
fn fault(ends: &[End; 2]) -> Option<String> {
    let [a, b] = ends;
    for (name, from, to) in [("a to b", a, b), ("b to a", b, a)] {
        let got: BTreeMap<u64, Content> = to.got.iter().map(|content| (serial(content), content.clone())).collect();
        if got.len() != to.got.len() {
            return Some(format!("{name}: something came twice"));
        }
        if got != from.sent {
            let differs = from.sent.iter().find(|(serial, content)| got.get(serial) != Some(content));
            return Some(format!(
                "{name}: {} sent, {} came, first other: {:?}",
                from.sent.len(),
                got.len(),
                differs.map(|(serial, _)| serial)
            ));
        }
    }
    let expected = [vec!["Stopped".to_owned()], vec!["stop".to_owned(), "StoppedByPeer".to_owned()]];
    let ended = [a.ended.clone(), b.ended.clone()];
    (ended != expected).then(|| format!("ended as {ended:?}"))
}

fn serial(content: &Content) -> u64 {
    u64::from_be_bytes(content[0].as_slice().try_into().unwrap())
}

#[test]
fn everything_sent_arrives_once_and_as_it_was_over_any_stream() {
    for seed in 0..SEED_COUNT {
        let outcome = std::panic::catch_unwind(|| fault(&simulate(seed, None)));
        match outcome {
            Ok(None) => {}
            Ok(Some(fault)) => panic!("seed={seed}: {fault}"),
            Err(_) => panic!("seed={seed}: see the panic above"),
        }
    }
}

#[test]
fn octets_turned_over_on_the_way_are_found() {
    for seed in 0..10 {
        let outcome = std::panic::catch_unwind(|| fault(&simulate(seed, Some(100))));
        assert!(!matches!(outcome, Ok(None)), "seed={seed} shows nothing");
    }
}
