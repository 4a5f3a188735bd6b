//! Two machines on a network that does with each packet what the test says.

use super::{A, B, Seen, What, ms, raw_ip};
use bytes::Bytes;
use smp121::machine::{
    Counters, DropReason, EndpointMachine, Event, ExchangeId, Input, MailslotId, RemoteId, RequestId, SendOptions,
    TransmitBatch,
};
use smp121::wire::{Action, Direction, PseudoHeader};
use smp121::{Config, ConfigBuilder, ExchangeError};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;
use wirekit::{Instant, Machine};

/// How long an undisturbed packet takes.
pub(crate) const LATENCY: Duration = ms(10);

/// The mailslot that each end has.
pub(crate) const NAME: &[u8] = b"printer";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    A,
    B,
}

impl Side {
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    pub(crate) const fn address(self) -> IpAddr {
        match self {
            Self::A => A,
            Self::B => B,
        }
    }
}

/// What the network does with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Lost,
    /// Arrives so much later than it would.
    Late(Duration),
    /// Arrives, and once more so much later.
    Doubled(Duration),
    /// Arrives when the next packet of the same side has, or after a second if none comes.
    Overtaken,
}

/// Something for the ladder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Note { side: Side, text: &'static str },
    Left { packet: usize, label: &'static str },
    Came { packet: usize, is_late: bool, label: &'static str },
}

#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) from: Side,
    pub(crate) at: Instant,
    pub(crate) seen: Seen,
    pub(crate) fate: Option<Fate>,
}

pub(crate) struct End {
    pub(crate) machine: EndpointMachine,
    pub(crate) mailslot: MailslotId,
    handle: Option<RemoteId>,
    life: u8,
    /// How long the owner of the mailslot takes.
    pub(crate) service: Duration,
    /// How long its replies are.
    pub(crate) reply_len: Option<usize>,
    at_work: BTreeMap<(Instant, u64), (RequestId, Bytes)>,
    /// Everything that was ever received here, across restarts.
    pub(crate) handled: Vec<Bytes>,
    /// Outcomes of exchanges, across restarts.
    pub(crate) done: Vec<Result<Bytes, ExchangeError>>,
    pub(crate) open: BTreeSet<ExchangeId>,
    /// Connection numbers of requests that it has seen.
    known_numbers: BTreeSet<u32>,
    /// A timer was due and nothing was sent for it yet.
    is_timed_out: bool,
    pub(crate) void_count: usize,
    /// Counts of lives that are over.
    pub(crate) resets_sent_before: u64,
}

pub(crate) struct World {
    pub(crate) now: Instant,
    ends: [End; 2],
    make: Box<dyn Fn(ConfigBuilder) -> ConfigBuilder>,
    pub(crate) fates: BTreeMap<usize, Fate>,
    flying: BTreeMap<(Instant, u64), (usize, bool)>,
    overtaken: Vec<(usize, Side)>,
    pub(crate) log: Vec<Line>,
    pub(crate) packets: Vec<Packet>,
    ranges: Vec<u32>,
    serial: u64,
    /// Packets that may be sent at most.
    pub(crate) packets_max: usize,
    /// Longer packets are swallowed.
    pub(crate) mtu: usize,
    /// Until then everything is.
    pub(crate) cut_until: Instant,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(make: impl Fn(ConfigBuilder) -> ConfigBuilder + 'static) -> Self {
        let now = Instant::from_epoch(Duration::from_secs(1000));
        Self {
            now,
            ends: [end(Side::A, 0, &make), end(Side::B, 0, &make)],
            make: Box::new(make),
            fates: BTreeMap::new(),
            flying: BTreeMap::new(),
            overtaken: Vec::new(),
            log: Vec::new(),
            packets: Vec::new(),
            ranges: Vec::new(),
            serial: 0,
            packets_max: 2000,
            mtu: usize::MAX,
            cut_until: Instant::EPOCH,
        }
    }

    pub(crate) const fn end(&mut self, side: Side) -> &mut End {
        &mut self.ends[side as usize]
    }

    pub(crate) fn counters(&self, side: Side) -> &Counters {
        self.ends[side as usize].machine.counters()
    }

    /// What happens to the packet that is sent next but `behind`.
    pub(crate) fn fate(&mut self, packet: usize, fate: Fate) {
        self.fates.insert(packet, fate);
    }

    /// From here on the log is empty and packets count from 0.
    pub(crate) fn begin(&mut self) {
        assert!(self.flying.is_empty(), "begin with an empty network");
        self.log.clear();
        self.packets.clear();
    }

    // The applications.

    pub(crate) fn handle(&mut self, side: Side) -> RemoteId {
        let peer = raw_ip(side.other().address());
        let end = self.end(side);
        *end.handle.get_or_insert_with(|| end.machine.get(peer, side.address(), NAME).unwrap())
    }

    pub(crate) fn send(&mut self, side: Side, message: &[u8]) -> ExchangeId {
        self.send_with(side, message, SendOptions::default())
    }

    pub(crate) fn send_with(&mut self, side: Side, message: &[u8], options: SendOptions) -> ExchangeId {
        let handle = self.handle(side);
        let now = self.now;
        let end = self.end(side);
        let exchange = end.machine.send(now, handle, Bytes::copy_from_slice(message), options).unwrap();
        end.open.insert(exchange);
        self.pump(side);
        exchange
    }

    /// Ends one machine and starts another in its place, which knows nothing.
    pub(crate) fn reboot(&mut self, side: Side) {
        let life = self.end(side).life + 1;
        let mut new = end(side, life, &self.make);
        let old = &mut self.ends[side as usize];
        new.resets_sent_before = old.resets_sent_before + old.machine.counters().resets_sent_count;
        (new.handled, new.done) = (std::mem::take(&mut old.handled), std::mem::take(&mut old.done));
        (new.service, new.reply_len) = (old.service, old.reply_len);
        *old = new;
        self.log.push(Line::Note { side, text: "Reboot" });
    }

    // Time.

    /// Runs until nothing is left to happen.
    pub(crate) fn run(&mut self) {
        for round in 0.. {
            assert!(round < 100_000, "it ends");
            if !self.step(None) {
                return;
            }
        }
    }

    pub(crate) fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.step(Some(end)) {}
        self.now = end;
    }

    /// Runs until every exchange has ended.
    pub(crate) fn run_until_done(&mut self) {
        while !self.ends.iter().all(|end| end.open.is_empty()) {
            assert!(self.step(None), "an exchange is open and nothing is left to happen");
        }
    }

    fn step(&mut self, end: Option<Instant>) -> bool {
        let flying = self.flying.keys().next().map(|(at, _)| *at);
        let at_work = self.ends.iter().filter_map(|end| end.at_work.keys().next().map(|(at, _)| *at)).min();
        let due = self.ends.iter().filter_map(|end| end.machine.poll_timeout().map(|deadline| deadline.at)).min();
        let Some(next) =
            [flying, at_work, due].into_iter().flatten().min().filter(|next| end.is_none_or(|end| *next <= end))
        else {
            return false;
        };
        self.now = self.now.max(next);
        if flying.is_some_and(|at| at <= self.now) {
            let ((_, _), (packet, is_late)) = self.flying.pop_first().unwrap();
            self.arrive(packet, is_late);
            return true;
        }
        for side in [Side::A, Side::B] {
            let now = self.now;
            let end = self.end(side);
            let due = end.at_work.keys().next().copied().filter(|(at, _)| *at <= now);
            if let Some((request, reply)) = due.and_then(|key| end.at_work.remove(&key)) {
                // Where nobody waits any more, the machine says so.
                let _void = end.machine.reply(now, request, reply);
            }
            if end.machine.poll_timeout().is_some_and(|deadline| deadline.is_due(now)) {
                end.machine.handle_timeout(now);
                end.is_timed_out = true;
            }
            self.pump(side);
            self.end(side).is_timed_out = false;
        }
        true
    }

    /// Takes everything out of an end.
    pub(crate) fn pump(&mut self, side: Side) {
        loop {
            let moved = self.serve(side) | self.transmit(side);
            if !moved {
                return;
            }
        }
    }

    fn serve(&mut self, side: Side) -> bool {
        let now = self.now;
        let mut moved = false;
        let end = &mut self.ends[side as usize];
        while let Some(event) = end.machine.poll_event() {
            moved = true;
            match event {
                Event::Done { exchange, outcome } => {
                    assert!(end.open.remove(&exchange), "an exchange ends once");
                    end.done.push(outcome);
                }
                Event::Void(_) => end.void_count += 1,
                Event::Ready(_) | Event::Resolved { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        while let Some(request) = end.machine.receive(end.mailslot) {
            moved = true;
            self.serial += 1;
            end.handled.push(request.message.clone());
            let reply = end.reply_len.map_or_else(|| answer(&request.message), |len| super::octets(len).into());
            if end.service.is_zero() {
                end.machine.reply(now, request.id, reply).unwrap();
            } else {
                end.at_work.insert((now + end.service, self.serial), (request.id, reply));
            }
        }
        moved
    }

    fn transmit(&mut self, side: Side) -> bool {
        let now = self.now;
        let mut moved = false;
        // One at a time, so that each has its label.
        let mut single = TransmitBatch::new(1, 1);
        loop {
            single.clear();
            let before = self.counters(side).resent_count;
            if !self.end(side).machine.poll_transmit(now, &mut single) {
                break;
            }
            moved = true;
            let is_again = self.counters(side).resent_count > before;
            let transmit = single.iter().next().expect("true means something");
            assert_eq!(transmit.destination, raw_ip(side.other().address()));
            let pseudo = PseudoHeader::between(transmit.source, transmit.destination.ip()).unwrap();
            let seen = Seen::read(transmit.payload, &pseudo);
            self.depart(side, seen, is_again);
        }
        moved
    }

    fn depart(&mut self, side: Side, seen: Seen, is_again: bool) {
        if std::mem::take(&mut self.end(side).is_timed_out) {
            self.log.push(Line::Note { side, text: "Timeout" });
        }
        if let What::NameReply { number, outstanding_max: 1.., .. } = seen.what
            && !self.ranges.contains(&number)
        {
            self.ranges.push(number);
        }
        let packet = self.packets.len();
        assert!(packet < self.packets_max, "no more than {} packets: {:#?}", self.packets_max, self.lines());
        let fate = if seen.len > self.mtu || self.now < self.cut_until {
            Some(Fate::Lost)
        } else {
            self.fates.get(&packet).copied()
        };
        let label = left_label(&seen, is_again);
        self.packets.push(Packet { from: side, at: self.now, seen, fate });
        self.log.push(Line::Left { packet, label });
        let arrival = self.now + LATENCY;
        let free: Vec<usize> =
            self.overtaken.iter().filter(|(_, from)| *from == side).map(|(packet, _)| *packet).collect();
        self.overtaken.retain(|(_, from)| *from != side);
        match fate {
            None => self.fly(packet, arrival, false),
            Some(Fate::Lost) => {}
            Some(Fate::Late(delay)) => self.fly(packet, arrival + delay, true),
            Some(Fate::Doubled(delay)) => {
                self.fly(packet, arrival, false);
                self.fly(packet, arrival + delay, true);
            }
            Some(Fate::Overtaken) => {
                self.overtaken.push((packet, side));
                self.fly(packet, arrival + Duration::from_secs(1), true);
            }
        }
        for held in free {
            self.flying.retain(|_, (packet, _)| *packet != held);
            self.fly(held, arrival + Duration::from_micros(1), true);
        }
    }

    fn fly(&mut self, packet: usize, at: Instant, is_late: bool) {
        self.serial += 1;
        self.flying.insert((at, self.serial), (packet, is_late));
    }

    fn arrive(&mut self, packet: usize, is_late: bool) {
        self.overtaken.retain(|(held, _)| *held != packet);
        let Packet { from, seen, .. } = self.packets[packet].clone();
        let side = from.other();
        let (now, source, destination) = (self.now, raw_ip(from.address()), side.address());
        let before = self.counters(side).clone();
        let handled_before = self.end(side).handled.len();
        let place = self.log.len();
        let end = self.end(side);
        let input = Input::Datagram { source, destination, payload: &seen.payload };
        end.machine.handle(now, input).unwrap();
        let after = end.machine.counters().clone();
        let is_held = self.serve_and_see(side, handled_before);
        let label = self.came_label(side, &seen, &before, &after, is_held);
        self.log.insert(place, Line::Came { packet, is_late, label });
        self.pump(side);
    }

    /// True where nothing was handed to the application.
    fn serve_and_see(&mut self, side: Side, handled_before: usize) -> bool {
        self.serve(side);
        self.end(side).handled.len() == handled_before
    }

    fn came_label(
        &mut self,
        side: Side,
        seen: &Seen,
        before: &Counters,
        after: &Counters,
        is_held: bool,
    ) -> &'static str {
        let dropped = |reason: DropReason| after.dropped_count(reason) > before.dropped_count(reason);
        if dropped(DropReason::OutsideWindow) {
            return "(??)";
        }
        if after.resets_obeyed_count > before.resets_obeyed_count {
            return "Flush";
        }
        if dropped(DropReason::Duplicate) && seen.is_data(Direction::Request) {
            return "Copy";
        }
        if after.dropped_all_count() > before.dropped_all_count() {
            return "Ignore";
        }
        let What::Data { direction: Direction::Request, number, .. } = seen.what else { return "" };
        let ranges = self.ranges.clone();
        let end = self.end(side);
        let is_first_of_range = ranges.contains(&number) && !end.known_numbers.contains(&number);
        let is_flush = is_first_of_range && !end.known_numbers.is_empty();
        let is_new = end.known_numbers.insert(number);
        if is_flush {
            "Flush"
        } else if is_new && is_held && seen.is_whole() {
            "Queue!"
        } else {
            ""
        }
    }

    // What was seen.

    /// A connection number as the range it is of and its place there.
    pub(crate) fn label(&self, number: u32) -> String {
        let near = self.ranges.iter().enumerate().rfind(|(_, base)| number.wrapping_sub(**base) < 10_000);
        match near {
            Some((at, base)) => {
                format!("{}{}", char::from(b'a' + u8::try_from(at % 26).unwrap()), number.wrapping_sub(*base))
            }
            None => "?".into(),
        }
    }

    /// Every packet in a line: who sent it, what it is, and what the network did with it.
    pub(crate) fn lines(&self) -> Vec<String> {
        let label = |number: u32| self.label(number);
        let line = |packet: &Packet| {
            let fate = match packet.fate {
                None => "",
                Some(Fate::Lost) => " LOST",
                Some(Fate::Late(_) | Fate::Overtaken) => " LATE",
                Some(Fate::Doubled(_)) => " TWICE",
            };
            format!("{:?}: {}{fate}", packet.from, packet.seen.describe(&label))
        };
        self.packets.iter().map(line).collect()
    }

    /// Nothing of any exchange is left anywhere.
    pub(crate) fn assert_idle(&mut self) {
        assert!(self.flying.is_empty());
        for side in [Side::A, Side::B] {
            let end = self.end(side);
            assert_eq!(end.machine.poll_timeout(), None, "{side:?} waits for nothing");
            let counters = end.machine.counters();
            assert_eq!((counters.assembly_len, counters.replies_len), (0, 0), "{side:?} keeps nothing");
            assert!(end.open.is_empty() && end.at_work.is_empty());
        }
    }

    pub(crate) fn resets_sent(&self) -> u64 {
        self.ends.iter().map(|end| end.resets_sent_before + end.machine.counters().resets_sent_count).sum()
    }
}

impl Seen {
    /// A message of one segment.
    fn is_whole(&self) -> bool {
        use smp121::wire::Position;
        matches!(&self.what, What::Data { position: Position::First { total }, octets, .. }
            if *total as usize == octets.len())
    }
}

fn left_label(seen: &Seen, is_again: bool) -> &'static str {
    let is_first = |seen: &Seen| matches!(seen.what, What::Data { position: smp121::wire::Position::First { .. }, .. });
    match &seen.what {
        What::Data { .. } if is_again => "Resend",
        What::Data { direction: Direction::Request, .. } if is_first(seen) => "SEND",
        What::Data { direction: Direction::Reply, .. } if is_first(seen) => "REPLY",
        What::Reset { .. } => "RESET",
        What::Records if seen.records.iter().any(|record| record.action == Action::Busy) => "Busy",
        _ => "",
    }
}

/// What an owner of a mailslot replies.
pub(crate) fn answer(message: &[u8]) -> Bytes {
    [b"re: ", message].concat().into()
}

fn end(side: Side, life: u8, make: &dyn Fn(ConfigBuilder) -> ConfigBuilder) -> End {
    let seed = [40 + 40 * u8::from(side == Side::B) + life; 32];
    let mut machine = EndpointMachine::new(make(Config::builder(seed)).build().unwrap());
    let mailslot = machine.define(NAME, 1 << 20).or_else(|_| machine.define(NAME, 100_000)).unwrap();
    End {
        machine,
        mailslot,
        handle: None,
        life,
        service: Duration::ZERO,
        reply_len: None,
        at_work: BTreeMap::new(),
        handled: Vec::new(),
        done: Vec::new(),
        open: BTreeSet::new(),
        known_numbers: BTreeSet::new(),
        is_timed_out: false,
        void_count: 0,
        resets_sent_before: 0,
    }
}
