//! One machine, any octets, commands and times in any order: what it sends and tells is lawful, and it ends in order.
#![no_main]

use arbitrary::Arbitrary;

use libfuzzer_sys::fuzz_target;
use postroad_fuzz::watch::Watch;
use postroad_fuzz::{AnyUnit, Payload, arguments};
use smp_framing::machine::{BodyId, Command, ConnectionMachine, ErrorReport, Event, Input as Incoming};
use smp_framing::wire::{ReceiveBuffer, TransmitBuffer, encode};
use smp_framing::{Arguments, Config, Delivery, Limits, Mode, NodeGeneration, UserCode};
use std::time::Duration;
use wirekit::{Instant, Machine};

const EVENT_COUNT_MAX: usize = 8;
const OPEN_IDS_MAX: usize = 3;

#[derive(Arbitrary, Debug)]
struct Input {
    mode: u8,
    delivers_frames: bool,
    is_small: bool,
    ops: Vec<Op>,
}

#[derive(Arbitrary, Debug)]
enum Op {
    Octets(Vec<u8>),
    Unit(AnyUnit),
    /// A frame of one of few IDs with a low number, so that there are whole messages.
    Frame {
        code: u8,
        id: u8,
        number: u8,
        payload: Payload,
    },
    Eof {
        missing_len: u8,
    },
    Wait {
        millis: u16,
    },
    Back,
    Send(Vec<Payload>),
    OpenBody {
        count: u8,
        first_number: u32,
    },
    FeedBody {
        at: u8,
        index: u8,
        payload: Payload,
    },
    FinishBody {
        at: u8,
    },
    AbandonBody {
        at: u8,
    },
    Control {
        which: u8,
        payloads: Vec<Payload>,
    },
    PausePeer,
    ResumePeer,
    Close(Vec<Payload>),
    Abort,
    PollEvent,
    Drain,
}

struct World {
    machine: ConnectionMachine,
    watch: Watch,
    now: Instant,
    buffer: ReceiveBuffer,
    bodies: Vec<BodyId>,
    is_closed: bool,
    is_paused: bool,
}

fuzz_target!(|input: Input| {
    let mut limits = Limits::default();
    (limits.open_ids_max, limits.broken_ids_max, limits.event_count_max) = (OPEN_IDS_MAX, 3, EVENT_COUNT_MAX);
    (limits.control_count_max, limits.outgoing_len_max) = (8, 4000);
    (limits.message_len_max, limits.assembly_len_max) = (2000, 3000);
    limits.small_units_per_second_max = 20;
    let mode = [Mode::Strict, Mode::Lenient, Mode::Node(NodeGeneration::V1_0), Mode::Node(NodeGeneration::V1_1)];
    let config = Config::builder()
        .with_mode(mode[usize::from(input.mode % 4)])
        .with_delivery(if input.delivers_frames { Delivery::Frames } else { Delivery::Assembled })
        .with_max_message_size(if input.is_small { 31 } else { 1493 })
        .with_limits(limits)
        .build()
        .unwrap();
    // In node mode units that need no frames may be larger.
    let watched = if mode[usize::from(input.mode % 4)] == Mode::Node(NodeGeneration::V1_1) {
        config.to_builder().with_max_message_size(900_000).build().unwrap()
    } else {
        config
    };
    let mut world = World {
        machine: ConnectionMachine::new(Instant::EPOCH, config),
        watch: Watch::new(&watched),
        now: Instant::EPOCH,
        buffer: ReceiveBuffer::new(),
        bodies: Vec::new(),
        is_closed: false,
        is_paused: false,
    };
    for op in &input.ops {
        world.run(op);
    }
    world.end();
});

impl World {
    fn run(&mut self, op: &Op) {
        let now = self.now;
        match op {
            Op::Octets(octets) => self.receive(octets),
            Op::Unit(unit) => {
                let mut out = TransmitBuffer::new();
                if encode(&unit.unit(), &mut out).is_ok() {
                    let octets = postroad_fuzz::drain(&mut out, usize::MAX, false);
                    self.receive(&octets);
                }
            }
            Op::Frame { code, id, number, payload } => {
                let (payload, meta) = (payload.bytes(), (1 + code % 3) << 4 | 1);
                let head = [meta, 0, id % 5, 0, 0, 0, number % 4];
                let length = (payload.len() as u16).to_be_bytes();
                self.receive(&[&head[..], &length, &payload].concat());
            }
            Op::Eof { missing_len } => {
                let eof = Incoming::ReceivedEof { missing_len: usize::from(*missing_len) };
                assert!(self.machine.handle(now, eof).is_ok(), "octets and ends are never refused");
            }
            Op::Wait { millis } => {
                self.now = now + Duration::from_millis(u64::from(*millis) * 4);
                self.machine.handle_timeout(self.now);
                self.drain();
                let due = self.machine.poll_timeout().filter(|deadline| deadline.is_due(self.now));
                assert!(due.is_none(), "nothing is due after it was done: {due:?}");
            }
            Op::Back => self.machine.handle_timeout(Instant::EPOCH),
            Op::PollEvent => {
                self.poll_event();
            }
            Op::Drain => self.drain(),
            _ => self.command(op),
        }
    }

    fn receive(&mut self, octets: &[u8]) {
        self.buffer.incoming().extend_from_slice(octets);
        self.take();
    }

    fn take(&mut self) {
        assert!(self.machine.handle(self.now, Incoming::Received(&mut self.buffer)).is_ok());
    }

    fn command(&mut self, op: &Op) {
        let body = |at: u8, bodies: &[BodyId]| bodies.get(usize::from(at) % bodies.len().max(1)).copied();
        let (had_room, before) = (self.machine.has_room(), self.machine.outgoing_len());
        let mut added_len = 0;
        let result = match op {
            Op::OpenBody { count, first_number } => {
                let opened = self.machine.open_body(*count % 17, *first_number);
                opened.map(|id| self.bodies.push(id))
            }
            Op::FeedBody { at, index, payload } => {
                let Some(id) = body(*at, &self.bodies) else { return };
                added_len = payload.bytes().len();
                self.machine.feed_body(id, *index % 16, payload.bytes())
            }
            Op::FinishBody { at } => {
                let Some(id) = body(*at, &self.bodies) else { return };
                self.bodies.retain(|other| *other != id);
                self.machine.finish_body(id)
            }
            Op::AbandonBody { at } => {
                let Some(id) = body(*at, &self.bodies) else { return };
                self.bodies.retain(|other| *other != id);
                self.machine.abandon_body(id)
            }
            other => {
                let Some(command) = command(other) else { return };
                if let Command::Send(arguments) = &command {
                    // An npm peer gets an empty argument instead of none.
                    added_len = 3 + arguments.arguments_len();
                }
                self.machine.handle(self.now, Incoming::Command(command))
            }
        };
        if result.is_ok() && self.machine.outgoing_len() > before {
            assert!(had_room && self.machine.outgoing_len() <= before + added_len, "one thing past the limit at most");
        }
        if result.is_err() {
            assert_eq!(self.machine.outgoing_len(), before, "what is refused is not queued");
        }
    }

    fn poll_event(&mut self) -> bool {
        let Some(event) = self.machine.poll_event() else { return false };
        assert!(!self.is_closed, "nothing after the end: {event:?}");
        match event {
            Event::Closed(_) => self.is_closed = true,
            Event::Pause(_) => self.is_paused = true,
            Event::Resume(_) => self.is_paused = false,
            _ => {}
        }
        true
    }

    /// All that waits, until the machine neither tells nor sends nor takes anything.
    fn drain(&mut self) {
        for round in 0.. {
            assert!(round < 10_000, "a drain ends");
            let mut events = 0;
            while self.poll_event() {
                events += 1;
            }
            assert!(events <= EVENT_COUNT_MAX + 2 * OPEN_IDS_MAX + 12, "events are bounded: {events}");
            if !self.machine.is_closed() && !self.machine.is_finished_sending() {
                assert_eq!(self.machine.is_paused(), self.is_paused, "what was told is how it is");
            }
            let sent = self.watch.transmit(&mut self.machine, self.now);
            let before = self.buffer.len();
            self.take();
            if sent.is_empty() && events == 0 && self.buffer.len() == before {
                break;
            }
        }
        assert!(!self.watch.has_stopped() || self.machine.is_finished_sending());
    }

    /// However it stands, an end of the stream and time bring it to its end.
    fn end(&mut self) {
        self.drain();
        let _closing_already = self.machine.handle(self.now, Incoming::Command(Command::Close(Arguments::new())));
        self.drain();
        for _ in 0..4 {
            self.now = self.now + Duration::from_secs(400);
            self.machine.handle_timeout(self.now);
            self.drain();
        }
        assert!(self.is_closed && self.machine.is_closed(), "closed after a while, whatever the peer does");
        self.receive(&[0x00, 0x60]);
        assert!(self.machine.poll_event().is_none() && self.machine.poll_timeout().is_none() && self.buffer.is_empty());
        assert!(self.watch.transmit(&mut self.machine, self.now).is_empty() && self.machine.outgoing_len() == 0);
        assert_eq!(self.machine.open_ids().count(), 0);
    }
}

fn command(op: &Op) -> Option<Command> {
    Some(match op {
        Op::Send(payloads) => Command::Send(arguments(payloads)),
        Op::PausePeer => Command::PausePeer,
        Op::ResumePeer => Command::ResumePeer,
        Op::Close(payloads) => Command::Close(arguments(payloads)),
        Op::Abort => Command::Abort,
        Op::Control { which, payloads } => {
            let arguments = arguments(payloads);
            match which % 6 {
                0 => Command::Information(arguments),
                1 => {
                    let mut report = ErrorReport::new(u16::from(*which), "text");
                    report.arguments = arguments;
                    Command::Error(report)
                }
                2 => Command::Heartbeat(arguments),
                3 => Command::User(UserCode::User13, arguments),
                4 => Command::User(UserCode::User14, arguments),
                _ => Command::User(UserCode::User15, arguments),
            }
        }
        _ => return None,
    })
}
