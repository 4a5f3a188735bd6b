//! The laws of machines, on an endpoint that has real dialogues with a scripted peer, and hostile ones.

use crate::rig::{A, B, raw_ip};
use bytes::Bytes;
use smp121::Config;
use smp121::machine::{
    EndpointMachine, Event, ExchangeId, Input, MailslotId, RemoteId, RequestId, SendOptions, TransmitBatch,
};
use smp121::wire::{
    self, Action, Data, Direction, Kind, NameReply, Outgoing, Position, PseudoHeader, Response, reset_record,
};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;
use testkit::Rng;
use testkit::laws::{Effort, Subject, check};
use wirekit::datagram::{PathError, PathErrorKind};
use wirekit::{Instant, Machine};

const NAMES: [&[u8]; 3] = [b"a", b"b", b"nobody"];

/// What peer and application remember of a run.
#[derive(Default)]
struct Memory {
    mailslots: Vec<MailslotId>,
    remotes: Vec<RemoteId>,
    exchanges: Vec<ExchangeId>,
    at_work: Vec<RequestId>,
    /// Names that the machine asked for.
    asked: Vec<Vec<u8>>,
    /// Numbers that it handed out: number and mailslot, the next to use.
    offers: Vec<(u32, u16)>,
    /// Requests of its that the peer saw: number, mailslot.
    requests: VecDeque<(u32, u16)>,
    /// Replies of its that the peer saw: number, mailslot, how far.
    replies: VecDeque<(u32, u16, u32)>,
}

#[derive(Default)]
struct Endpoint {
    memory: RefCell<Memory>,
}

fn pseudo() -> PseudoHeader {
    PseudoHeader::between(A, B).unwrap()
}

impl Endpoint {
    fn deliver(machine: &mut EndpointMachine, now: Instant, payload: &[u8]) {
        machine.handle(now, Input::Datagram { source: raw_ip(A), destination: B, payload }).unwrap();
    }

    fn segment(machine: &mut EndpointMachine, now: Instant, segment: &Outgoing<'_>, records: &[Response]) {
        let mut payload = Vec::new();
        wire::encode(segment, records, &pseudo(), &mut payload);
        Self::deliver(machine, now, &payload);
    }

    /// The application does something.
    fn act(memory: &mut Memory, machine: &mut EndpointMachine, now: Instant, rng: &mut Rng) -> String {
        match rng.below(9) {
            0 => {
                let name = *rng.pick(&NAMES).unwrap();
                let defined = machine.define(name, 5000);
                memory.mailslots.extend(defined.ok());
                format!("define {defined:?}")
            }
            1 if rng.chance(100) => {
                let Some(id) = rng.pick(&memory.mailslots).copied() else { return "no mailslot".into() };
                format!("undefine {:?}", machine.undefine(now, id))
            }
            2 => {
                let peer = if rng.chance(200) { raw_ip(B) } else { raw_ip(A) };
                let remote = machine.get(peer, B, rng.pick(&NAMES).unwrap());
                memory.remotes.extend(remote.ok());
                format!("get {remote:?}")
            }
            3 if rng.chance(200) => {
                let Some(id) = rng.pick(&memory.remotes).copied() else { return "no handle".into() };
                machine.free(id);
                "free".into()
            }
            4 if rng.chance(300) => {
                let Some(id) = rng.pick(&memory.exchanges).copied() else { return "no exchange".into() };
                machine.cancel(id);
                "cancel".into()
            }
            5 | 6 => {
                for mailslot in &memory.mailslots {
                    memory.at_work.extend(std::iter::from_fn(|| machine.receive(*mailslot)).map(|request| request.id));
                }
                let Some(id) = memory.at_work.pop() else { return "nothing at work".into() };
                let len = rng.range(0..6000);
                format!("reply {:?}", machine.reply(now, id, rng.bytes(len).into()))
            }
            _ => {
                let Some(id) = rng.pick(&memory.remotes).copied() else { return "no handle".into() };
                let len = if rng.chance(300) { rng.range(0..8000) } else { rng.range(0..40) };
                let mut options = SendOptions::default().with_reply_len_max(rng.range(0..10_000));
                if rng.chance(200) {
                    options = options.with_timeout(rng.duration(Duration::ZERO..Duration::from_secs(20)));
                }
                let sent = machine.send(now, id, Bytes::from(rng.bytes(len)), options);
                memory.exchanges.extend(sent.ok());
                format!("send {len} {:?}", sent.is_ok())
            }
        }
    }

    /// The peer says something that fits what it saw, most of the time.
    fn converse(memory: &mut Memory, machine: &mut EndpointMachine, now: Instant, rng: &mut Rng) -> String {
        let part_of = |rng: &mut Rng, direction, number, mailslot| {
            let total = if rng.chance(500) { rng.range(0..1000) } else { rng.range(1000..5000) };
            let (start, len) = if rng.chance(700) { (0, total.min(1384)) } else { (rng.range(0..total + 1), 0) };
            let octets: Vec<u8> = vec![7; if len > 0 { len } else { (total - start).min(700) }];
            let position = match u32::try_from(start).unwrap() {
                0 => Position::First { total: u32::try_from(total).unwrap() },
                offset => Position::At { offset },
            };
            (Data { direction, number, mailslot, position, is_last: rng.chance(500), octets: &[] }, octets)
        };
        let mut records = Vec::new();
        while rng.chance(300)
            && let Some((number, mailslot, offset)) = memory.replies.pop_front()
        {
            records.push(Response { number, mailslot, action: Action::Accepted { offset } });
        }
        if rng.chance(150)
            && let Some((number, mailslot)) = memory.requests.front().copied()
        {
            let offset = u32::try_from(rng.below(4000)).unwrap();
            let action = [Action::Accepted { offset }, Action::TooLarge, Action::Busy, Action::Reset][rng.range(0..4)];
            records.push(Response { number, mailslot, action });
        }
        let said = match rng.below(6) {
            0 => {
                let name = *rng.pick(&NAMES).unwrap();
                Self::segment(machine, now, &Outgoing::NameRequest { name }, &records);
                "asks for a name"
            }
            1 | 2 if !memory.asked.is_empty() => {
                let name = memory.asked.remove(rng.range(0..memory.asked.len()));
                let reply = NameReply {
                    number: u32::try_from(rng.below(1 << 32)).unwrap(),
                    request_len_max: u32::try_from(rng.below(10_000)).unwrap(),
                    mailslot: u16::try_from(rng.below(5)).unwrap(),
                    outstanding_max: u16::try_from(rng.below(20)).unwrap(),
                    name: rng.chance(800).then_some(&name),
                };
                Self::segment(machine, now, &Outgoing::NameReply(reply), &records);
                "answers a name request"
            }
            3 | 4 if !memory.offers.is_empty() => {
                let at = rng.range(0..memory.offers.len());
                let (number, mailslot) = memory.offers[at];
                let used = number.wrapping_add(u32::try_from(rng.below(4)).unwrap());
                if rng.chance(600) {
                    memory.offers[at].0 = number.wrapping_add(1);
                }
                let (data, octets) = part_of(rng, Direction::Request, used, mailslot);
                Self::segment(machine, now, &Outgoing::Data(Data { octets: &octets, ..data }), &records);
                "requests"
            }
            5 if !memory.requests.is_empty() => {
                let (number, mailslot) = memory.requests[rng.range(0..memory.requests.len())];
                if rng.chance(100) {
                    Self::segment(
                        machine,
                        now,
                        &Outgoing::Reset { number, mailslot },
                        &[reset_record(number, mailslot)],
                    );
                    return "resets".into();
                }
                let (data, octets) = part_of(rng, Direction::Reply, number, mailslot);
                Self::segment(machine, now, &Outgoing::Data(Data { octets: &octets, ..data }), &records);
                "replies"
            }
            _ => {
                Self::segment(machine, now, &Outgoing::Responses, &records);
                "responds"
            }
        };
        format!("{said}, {} records", records.len())
    }
}

impl Subject for Endpoint {
    type Machine = EndpointMachine;

    fn make(&self, seed: u64) -> EndpointMachine {
        *self.memory.borrow_mut() = Memory::default();
        let mut octets = [0; 32];
        octets[..8].copy_from_slice(&seed.to_be_bytes());
        let mut machine = EndpointMachine::new(Config::builder(octets).build().unwrap());
        let mut memory = self.memory.borrow_mut();
        memory.mailslots.push(machine.define(b"a", 4000).unwrap());
        memory.remotes.push(machine.get(raw_ip(A), B, b"b").unwrap());
        machine
    }

    fn step(&self, machine: &mut EndpointMachine, now: Instant, rng: &mut Rng) -> String {
        let memory = &mut *self.memory.borrow_mut();
        let line = match rng.below(20) {
            0..8 => Self::act(memory, machine, now, rng),
            8..19 => Self::converse(memory, machine, now, rng),
            _ => {
                let kinds =
                    [PathErrorKind::ProtocolUnreachable, PathErrorKind::TooLong { mtu: 700 }, PathErrorKind::Other];
                let mut error = PathError::new(raw_ip(A), *rng.pick(&kinds).unwrap());
                error.quoted = rng.chance(900).then_some([0, 0, 0, 0, 0, 0, 0, 0]);
                machine.handle(now, Input::PathError(&error)).unwrap();
                format!("{error}")
            }
        };
        machine.check_invariants().unwrap();
        line
    }

    fn hostile(&self, machine: &mut EndpointMachine, now: Instant, rng: &mut Rng) -> String {
        let len = rng.range(0..120);
        let mut octets = rng.bytes(len);
        // Most with a right length and checksum, or they would all end at the door.
        if rng.chance(800) && len >= 16 {
            octets[10..12].copy_from_slice(&u16::try_from(len).unwrap().to_be_bytes());
            octets[12] &= 0x3f;
            octets[13] = u8::try_from(rng.below(4)).unwrap();
            octets[14..16].copy_from_slice(&[0, 0]);
            let covered = [&crate::wire::pseudo_octets(&pseudo(), u16::try_from(len).unwrap())[..], &octets].concat();
            octets[14..16].copy_from_slice(&crate::wire::oracle(&covered).to_be_bytes());
        }
        Self::deliver(machine, now, &octets);
        format!("{len} octets of nonsense")
    }

    fn transmit(&self, machine: &mut EndpointMachine, now: Instant) -> Option<Vec<u8>> {
        let mut batch = TransmitBatch::new(1, 1);
        machine.poll_transmit(now, &mut batch).then(|| {
            let payload = batch.iter().map(|transmit| transmit.payload.to_vec()).next().unwrap_or_default();
            let memory = &mut *self.memory.borrow_mut();
            let segment = wire::decode(&payload, &pseudo()).expect("what goes out is right");
            match segment.kind().expect("and means something") {
                Kind::NameRequest { name } => memory.asked.push(name.to_vec()),
                Kind::NameReply(reply) if reply.outstanding_max > 0 => {
                    memory.offers.push((reply.number, reply.mailslot))
                }
                Kind::Data(data) if data.direction == Direction::Request => {
                    memory.requests.push_back((data.number, data.mailslot));
                    memory.requests.drain(..memory.requests.len().saturating_sub(8));
                }
                Kind::Data(data) => {
                    let end = data.position.offset() + u32::try_from(data.octets.len()).unwrap();
                    memory.replies.push_back((data.number, data.mailslot, end));
                    memory.replies.drain(..memory.replies.len().saturating_sub(8));
                }
                _ => {}
            }
            payload
        })
    }

    fn describe(&self, event: &Event) -> String {
        match event {
            Event::Done { outcome, .. } => format!("done {:?}", outcome.as_ref().map(Bytes::len)),
            other => format!("{other:?}"),
        }
    }

    fn is_final(&self, _: &Event) -> bool {
        false
    }
}

//= SMP121-O2
#[test]
fn the_laws_of_machines_hold() {
    let subject = Endpoint::default();
    check(&subject, &Effort { seeds: 0..150, ..Effort::default() }).unwrap();
    let many =
        Effort { seeds: 1000..1040, step_time_max: Duration::from_millis(300), step_count: 600, ..Effort::default() };
    check(&subject, &many).unwrap();
}

//= SMP121-O2, SMP121-O7
#[test]
fn the_laws_hold_among_hostile_octets() {
    check(&Endpoint::default(), &Effort { seeds: 0..100, hostile_per_mille: 700, ..Effort::default() }).unwrap();
}

/// A generator that has no dialogues would prove nothing.
#[test]
fn the_generator_has_real_dialogues() {
    let subject = Endpoint::default();
    let (mut exchanges, mut served) = (0, 0);
    for seed in 0..30 {
        let mut machine = subject.make(seed);
        let mut now = Instant::from_epoch(Duration::from_secs(10));
        for step in 0..400 {
            let mut rng = Rng::with_stream(seed, step);
            now = now + rng.duration(Duration::ZERO..Duration::from_millis(500));
            subject.step(&mut machine, now, &mut rng);
            machine.handle_timeout(now);
            while subject.transmit(&mut machine, now).is_some() {}
            while machine.poll_event().is_some() {}
        }
        exchanges += machine.counters().exchanges_count;
        served += machine.counters().replies_count;
    }
    assert!(exchanges > 200 && served > 200, "{exchanges} replies came, {served} requests were answered");
}
