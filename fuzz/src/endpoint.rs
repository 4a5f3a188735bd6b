//! Endpoints of protocol 121 that are watched, and the link between two of them.

use bytes::Bytes;
use smp121::machine::{EndpointMachine, Event, ExchangeId, Input, MailslotId, RemoteId, SendOptions, TransmitBatch};
use smp121::wire::{self, Direction, Kind, PseudoHeader};
use smp121::{Config, ExchangeError, Limits};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use wirekit::{Instant, Machine};

/// Where the first endpoint is.
pub const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 0);
/// Where the other one is.
pub const THERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 0);

/// Limits that are easy to reach.
fn limits(small: bool) -> Limits {
    let mut limits = Limits::default();
    if small {
        limits.peers_max = 4;
        limits.mailslots_per_peer_max = 2;
        limits.mailslot_queue_max = 2;
        limits.peer_assembly_len_max = 60_000;
        limits.assembly_len_max = 60_000;
        limits.gaps_max = 2;
        limits.replies_len_max = 3000;
        limits.flight_len_max = 2800;
    }
    limits
}

/// An endpoint, and what must hold of it.
#[derive(Debug)]
pub struct Watched {
    /// The endpoint.
    pub machine: EndpointMachine,
    /// Its mailslot "m".
    pub mailslot: MailslotId,
    /// Its handle to the other's.
    pub remote: RemoteId,
    /// Connection numbers that it used or handed out.
    pub numbers: Vec<u32>,
    /// Exchanges that have not ended.
    pub open: BTreeSet<ExchangeId>,
    /// Exchanges that ended since nothing came back for long.
    given_up_count: usize,
    exchanges: Vec<ExchangeId>,
    limits: Limits,
    own: SocketAddr,
    peer: SocketAddr,
    received_len: u64,
}

impl Watched {
    /// One at [`HERE`].
    pub fn new(seed: u8, small: bool) -> Self {
        Self::at(seed, small, HERE, THERE)
    }

    fn at(seed: u8, small: bool, own: SocketAddr, peer: SocketAddr) -> Self {
        let limits = limits(small);
        let mut machine = EndpointMachine::new(Config::builder([seed; 32]).with_limits(limits).build().unwrap());
        let mailslot = machine.define(b"m", 20_000).unwrap();
        let remote = machine.get(peer, own.ip(), b"m").unwrap();
        Self {
            machine,
            mailslot,
            remote,
            numbers: Vec::new(),
            open: BTreeSet::new(),
            given_up_count: 0,
            exchanges: Vec::new(),
            limits,
            own,
            peer,
            received_len: 0,
        }
    }

    /// A datagram comes.
    pub fn take(&mut self, now: Instant, payload: &[u8]) {
        self.received_len += payload.len() as u64;
        let input = Input::Datagram { source: self.peer, destination: self.own.ip(), payload };
        self.machine.handle(now, input).unwrap();
    }

    /// The application asks.
    pub fn send(&mut self, now: Instant, len: usize, options: SendOptions) {
        if let Ok(exchange) = self.machine.send(now, self.remote, vec![1; len].into(), options) {
            self.open.insert(exchange);
            self.exchanges.push(exchange);
        }
    }

    /// It gives one up.
    pub fn cancel(&mut self, at: usize) {
        if let Some(exchange) = self.exchanges.get(at % self.exchanges.len().max(1)) {
            self.machine.cancel(*exchange);
            self.open.remove(exchange);
        }
    }

    /// It answers everything that came.
    pub fn serve(&mut self, now: Instant, len: usize) {
        while let Some(request) = self.machine.receive(self.mailslot) {
            assert!(request.message.len() <= 20_000, "no more than the mailslot takes");
            self.machine.reply(now, request.id, vec![2; len].into()).unwrap();
        }
    }

    /// It takes its mailslot away and makes another.
    pub fn redefine(&mut self, now: Instant) {
        self.machine.undefine(now, self.mailslot).unwrap();
        self.mailslot = self.machine.define(b"m", 20_000).unwrap();
    }

    /// Everything that goes out now; it is right.
    pub fn drain(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut payloads = Vec::new();
        let mut batch = TransmitBatch::new(32, 100_000);
        for round in 0.. {
            assert!(round < 1000, "a drain ends");
            batch.clear();
            if !self.machine.poll_transmit(now, &mut batch) {
                assert!(batch.is_empty(), "false means nothing");
                break;
            }
            assert!(!batch.is_empty(), "true means something");
            for transmit in batch.iter() {
                assert_eq!((transmit.destination, transmit.source), (self.peer, self.own.ip()));
                assert!(transmit.payload.len() <= 1400);
                self.read(transmit.payload);
                payloads.push(transmit.payload.to_vec());
            }
        }
        while let Some(event) = self.machine.poll_event() {
            if let Event::Done { exchange, outcome } = event {
                self.given_up_count +=
                    usize::from(matches!(outcome, Err(ExchangeError::NotResolved | ExchangeError::PeerGone)));
                assert!(self.open.remove(&exchange), "an exchange ends once, and one that was given up not at all");
            }
        }
        payloads
    }

    fn read(&mut self, payload: &[u8]) {
        let pseudo = PseudoHeader::between(self.own.ip(), self.peer.ip()).unwrap();
        let segment = wire::decode(payload, &pseudo).expect("what goes out is right");
        let number = match segment.kind().expect("and means something") {
            Kind::NameReply(reply) if reply.outstanding_max > 0 => reply.number,
            Kind::Data(data) if data.direction == Direction::Request => data.number,
            _ => return,
        };
        if !self.numbers.contains(&number) {
            self.numbers.push(number);
        }
    }

    /// What must always hold.
    pub fn check(&self) {
        self.machine.check_invariants().unwrap();
        let counters = self.machine.counters();
        assert!(counters.assembly_len <= self.limits.assembly_len_max as u64);
        assert!(self.machine.peer_count() <= self.limits.peers_max);
        assert!(counters.received_len == self.received_len);
    }
}

/// Two endpoints and what is under way between them.
#[derive(Debug)]
pub struct Link {
    ends: [Watched; 2],
    now: Instant,
    flying: BTreeMap<(Instant, u64), (usize, Vec<u8>, bool)>,
    serial: u64,
    fates: VecDeque<u8>,
    /// Lengths of what each end asked, in order.
    asked: [Vec<usize>; 2],
    /// Lengths of what came at each end, in order.
    came: [Vec<usize>; 2],
    replies: [usize; 2],
}

impl Link {
    /// A perfect one.
    pub fn new(seeds: [u8; 2], small: bool) -> Self {
        let [a, b] = seeds;
        Self {
            ends: [Watched::at(a, small, HERE, THERE), Watched::at(!b, small, THERE, HERE)],
            now: Instant::from_epoch(Duration::from_secs(1)),
            flying: BTreeMap::new(),
            serial: 0,
            fates: VecDeque::new(),
            asked: [const { Vec::new() }; 2],
            came: [const { Vec::new() }; 2],
            replies: [0; 2],
        }
    }

    /// An end asks.
    pub fn send(&mut self, end: usize, len: usize) {
        if self.asked[end].len() < 100 {
            let before = self.ends[end].open.len();
            self.ends[end].send(self.now, len, SendOptions::default());
            assert_eq!(self.ends[end].open.len(), before + 1);
            self.asked[end].push(len);
            self.pump(end);
        }
    }

    /// Two bits for each of the next sixteen datagrams: passes, is lost, comes twice, comes late.
    pub fn fates(&mut self, fates: u32) {
        self.fates = (0..16).map(|at| (fates >> (2 * at) & 3) as u8).collect();
    }

    /// Turns a bit of what is under way over; of each datagram one, since two may cancel each other out in the checksum.
    pub fn damage(&mut self, at: usize) {
        if let Some((_, payload, is_damaged)) = self.flying.values_mut().next()
            && !std::mem::replace(is_damaged, true)
        {
            let len = payload.len();
            payload[at / 8 % len] ^= 1 << (at % 8);
        }
    }

    /// Lets time pass.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.step(end) {}
        self.now = end;
    }

    /// The link is perfect from here on: everything that was not given up ends well, what was served was served once and in
    /// order, and nothing is left.
    pub fn heal_and_finish(&mut self) {
        self.fates.clear();
        let mut steps = 0;
        while self.step(Instant::from_epoch(Duration::from_secs(1_000_000))) {
            steps += 1;
            assert!(steps < 200_000, "it comes to rest");
        }
        for end in [0, 1] {
            let given_up_count = self.ends[end].given_up_count;
            let mut asked = self.asked[end].iter();
            assert!(self.came[1 - end].iter().all(|len| asked.any(|other| other == len)), "once each, and in order");
            assert!(self.came[1 - end].len() + given_up_count >= self.asked[end].len());
            assert_eq!(self.replies[end] + given_up_count, self.asked[end].len(), "each has its reply");
            let counters = self.ends[end].machine.counters();
            assert_eq!((counters.assembly_len, counters.replies_len), (0, 0));
            assert!(self.ends[end].open.is_empty());
        }
    }

    fn step(&mut self, end: Instant) -> bool {
        let due = self.ends.iter().filter_map(|end| end.machine.poll_timeout().map(|deadline| deadline.at)).min();
        let next = self.flying.keys().next().map(|(at, _)| *at).into_iter().chain(due).min();
        let Some(next) = next.filter(|next| *next <= end) else { return false };
        self.now = self.now.max(next);
        if let Some(entry) = self.flying.first_entry()
            && entry.key().0 <= self.now
        {
            let (to, payload, _) = entry.remove();
            self.ends[to].take(self.now, &payload);
            self.pump(to);
        } else {
            for end in [0, 1] {
                self.ends[end].machine.handle_timeout(self.now);
                self.pump(end);
            }
        }
        true
    }

    fn pump(&mut self, end: usize) {
        loop {
            let now = self.now;
            let watched = &mut self.ends[end];
            let mut moved = false;
            while let Some(request) = watched.machine.receive(watched.mailslot) {
                moved = true;
                let len = request.message.len();
                assert_eq!(request.message, Bytes::from(vec![1; len]));
                self.came[end].push(len);
                watched.machine.reply(now, request.id, vec![2; len / 2].into()).unwrap();
            }
            let exchanges_before = watched.machine.counters().exchanges_count;
            let payloads = watched.drain(now);
            self.replies[end] = watched.machine.counters().exchanges_count as usize;
            watched.check();
            moved |= !payloads.is_empty() || watched.machine.counters().exchanges_count > exchanges_before;
            for payload in payloads {
                self.fly(1 - end, payload);
            }
            if !moved {
                return;
            }
        }
    }

    fn fly(&mut self, to: usize, payload: Vec<u8>) {
        let arrival = self.now + Duration::from_millis(10);
        let fate = self.fates.pop_front().unwrap_or(0);
        if fate == 1 {
            return;
        }
        let late = if fate == 3 { Duration::from_millis(300) } else { Duration::ZERO };
        for _ in 0..if fate == 2 { 2 } else { 1 } {
            self.serial += 1;
            self.flying.insert((arrival + late, self.serial), (to, payload.clone(), false));
        }
    }
}
