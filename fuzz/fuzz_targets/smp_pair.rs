//! Two machines joined by any cuts of both streams: what one sends, the other delivers, once and in order.
#![no_main]

use arbitrary::Arbitrary;
use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use postroad_fuzz::watch::Watch;
use postroad_fuzz::{Cuts, Payload, arguments};
use smp_framing::machine::{AbandonReason, BodyId, Command, ConnectionMachine, Event, Input as Incoming, UsageError};
use smp_framing::wire::ReceiveBuffer;
use smp_framing::{Arguments, Code, Config, Delivery, Limits, framer};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use wirekit::{Instant, Machine};

#[derive(Arbitrary, Debug)]
struct Input {
    cuts: u16,
    delivers_frames: [bool; 2],
    is_small: [bool; 2],
    ops: Vec<(bool, Op)>,
}

#[derive(Arbitrary, Debug)]
enum Op {
    Send(Vec<Payload>),
    Information(Vec<Payload>),
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
    PausePeer,
    ResumePeer,
    /// Moves some octets to the other end.
    Carry,
    Wait {
        millis: u16,
    },
}

/// One end, and what its peer is to get from it.
struct End {
    machine: ConnectionMachine,
    watch: Watch,
    /// On its way to the other end.
    wire: VecDeque<u8>,
    buffer: ReceiveBuffer,
    bodies: Vec<(BodyId, Vec<BytesMut>)>,
    /// What it sent.
    messages: VecDeque<Arguments>,
    information: VecDeque<Arguments>,
    large: Vec<Arguments>,
    abandoned: usize,
    /// Messages that came in frames and are not whole yet.
    incoming: HashMap<u16, Vec<BytesMut>>,
    is_closed: bool,
    max_message_size: usize,
}

impl End {
    fn new(delivers_frames: bool, is_small: bool) -> Self {
        let mut limits = Limits::default();
        limits.outgoing_len_max = 100_000;
        // What a slow or a lively peer may do is not the question here.
        limits.small_units_per_second_max = u32::MAX / 2;
        (limits.paused_timeout, limits.assembly_idle_timeout) = (Duration::MAX, Duration::MAX);
        let max_message_size = if is_small { 40 } else { 1493 };
        let config = Config::builder()
            .with_delivery(if delivers_frames { Delivery::Frames } else { Delivery::Assembled })
            .with_max_message_size(max_message_size)
            .with_peer_timeout(None)
            .with_limits(limits)
            .build()
            .unwrap();
        Self {
            machine: ConnectionMachine::new(Instant::EPOCH, config),
            watch: Watch::new(&config),
            wire: VecDeque::new(),
            buffer: ReceiveBuffer::new(),
            bodies: Vec::new(),
            messages: VecDeque::new(),
            information: VecDeque::new(),
            large: Vec::new(),
            abandoned: 0,
            incoming: HashMap::new(),
            is_closed: false,
            max_message_size,
        }
    }

    fn run(&mut self, now: Instant, op: &Op) {
        let at = |at: u8, len: usize| (len > 0).then(|| usize::from(at) % len.max(1));
        match op {
            Op::Send(payloads) => {
                let message = arguments(payloads);
                match self.machine.send(message.clone()) {
                    Ok(()) if framer::is_whole(&message, self.max_message_size).unwrap() => {
                        self.messages.push_back(message)
                    }
                    Ok(()) => self.large.push(message),
                    Err(error) => assert_eq!(error, UsageError::QueueFull),
                }
            }
            Op::Information(payloads) => {
                let arguments = arguments(payloads);
                match self.machine.handle(now, Incoming::Command(Command::Information(arguments.clone()))) {
                    Ok(()) => self.information.push_back(arguments),
                    Err(error) => assert_eq!(error, UsageError::QueueFull),
                }
            }
            Op::OpenBody { count, first_number } => match self.machine.open_body(count % 16, *first_number) {
                Ok(id) => self.bodies.push((id, vec![BytesMut::new(); usize::from(count % 16)])),
                Err(error) => assert_eq!(error, UsageError::TooManyBodies { max: 64 }),
            },
            Op::FeedBody { at: which, index, payload } => {
                let Some(which) = at(*which, self.bodies.len()) else { return };
                let (id, parts) = &mut self.bodies[which];
                match self.machine.feed_body(*id, *index % 16, payload.bytes()) {
                    Ok(()) => parts[usize::from(*index % 16)].extend_from_slice(&payload.bytes()),
                    Err(UsageError::NoSuchArgument { .. }) => assert!(usize::from(*index % 16) >= parts.len()),
                    Err(error) => assert_eq!(error, UsageError::QueueFull),
                }
            }
            Op::FinishBody { at: which } => {
                let Some(which) = at(*which, self.bodies.len()) else { return };
                let (id, parts) = self.bodies.remove(which);
                self.machine.finish_body(id).unwrap();
                self.large.push(joined(parts));
            }
            Op::AbandonBody { at: which } => {
                let Some(which) = at(*which, self.bodies.len()) else { return };
                self.machine.abandon_body(self.bodies.remove(which).0).unwrap();
                self.abandoned += 1;
            }
            Op::PausePeer => self.machine.handle(now, Incoming::Command(Command::PausePeer)).unwrap(),
            Op::ResumePeer => self.machine.handle(now, Incoming::Command(Command::ResumePeer)).unwrap(),
            Op::Carry | Op::Wait { .. } => {}
        }
    }
}

fn joined(parts: Vec<BytesMut>) -> Arguments {
    parts.into_iter().map(BytesMut::freeze).collect::<Vec<Bytes>>().into()
}

/// Takes up to `len` octets from one end and gives them to the other; `false` where nothing happened.
fn carry(from: &mut End, to: &mut End, now: Instant, len: usize) -> bool {
    let sent = from.watch.transmit(&mut from.machine, now);
    from.wire.extend(sent);
    let moved: Vec<u8> = from.wire.drain(..len.min(from.wire.len())).collect();
    to.buffer.incoming().extend_from_slice(&moved);
    let mut is_moving = !moved.is_empty();
    loop {
        to.machine.handle(now, Incoming::Received(&mut to.buffer)).unwrap();
        let Some(event) = to.machine.poll_event() else { break };
        is_moving = true;
        deliver(from, to, event);
    }
    is_moving
}

fn deliver(from: &mut End, to: &mut End, event: Event) {
    match event {
        Event::Message(arguments) => assert_eq!(Some(arguments), from.messages.pop_front(), "messages in order"),
        Event::Information(arguments) => assert_eq!(Some(arguments), from.information.pop_front()),
        Event::Assembled(assembled) => arrived(from, assembled.arguments),
        Event::Frame(frame) => {
            let parts = to.incoming.entry(frame.ident.id).or_default();
            parts.resize_with(frame.arguments.count(), BytesMut::new);
            for (part, payload) in parts.iter_mut().zip(&frame.arguments) {
                part.extend_from_slice(payload);
            }
            if frame.code == Code::LastFrame {
                let parts = to.incoming.remove(&frame.ident.id).unwrap();
                arrived(from, joined(parts));
            }
        }
        Event::Abandoned(id, AbandonReason::BySender | AbandonReason::Replaced | AbandonReason::ConnectionEnded) => {
            to.incoming.remove(&id);
            from.abandoned = from.abandoned.checked_sub(1).expect("only what was given up is cut off");
        }
        Event::Error(report) => assert_eq!(report.number, Some(501), "nobody did anything wrong: {report:?}"),
        Event::Closed(_) => to.is_closed = true,
        Event::Pause(_) | Event::Resume(_) | Event::Heartbeat(_) | Event::Stop(_) => {}
        other => panic!("{other:?}"),
    }
}

fn arrived(from: &mut End, arguments: Arguments) {
    let at = from.large.iter().position(|sent| *sent == arguments).expect("what comes was sent");
    from.large.remove(at);
}

fuzz_target!(|input: Input| {
    let mut cuts = Cuts::new(input.cuts);
    let [mut a, mut b] = [0, 1].map(|at| End::new(input.delivers_frames[at], input.is_small[at]));
    let mut now = Instant::EPOCH;
    for (is_first, op) in &input.ops {
        let (own, other) = if *is_first { (&mut a, &mut b) } else { (&mut b, &mut a) };
        match op {
            Op::Carry => {
                let len = cuts.next(own.wire.len().max(3000));
                carry(own, other, now, len);
            }
            Op::Wait { millis } => {
                // Not so long that a pause or a message is given up.
                now = now + Duration::from_millis(u64::from(millis % 1000));
                own.machine.handle_timeout(now);
            }
            op => own.run(now, op),
        }
    }
    for end in [&mut a, &mut b] {
        end.run(now, &Op::ResumePeer);
        while !end.bodies.is_empty() {
            end.run(now, &Op::FinishBody { at: 0 });
        }
    }
    // Each turn moves at least one octet of what is left.
    settle(&mut a, &mut b, now, &mut cuts);
    for end in [&a, &b] {
        assert!(end.messages.is_empty() && end.information.is_empty() && end.large.is_empty(), "everything came");
    }
    a.machine.handle(now, Incoming::Command(Command::Close(Arguments::new()))).unwrap();
    settle(&mut a, &mut b, now, &mut cuts);
    for _ in 0..2 {
        b.machine.handle(now, Incoming::ReceivedEof { missing_len: 0 }).unwrap();
        carry(&mut a, &mut b, now, usize::MAX);
        assert!(b.is_closed && b.machine.outgoing_len() == 0);
        std::mem::swap(&mut a, &mut b);
    }
});

fn settle(a: &mut End, b: &mut End, now: Instant, cuts: &mut Cuts) {
    loop {
        let (one, other) = (cuts.next(5000), cuts.next(5000));
        let moved = carry(a, b, now, one);
        if !(carry(b, a, now, other) || moved) {
            return;
        }
    }
}
