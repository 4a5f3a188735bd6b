//! Some endpoints on one network, all decided by one seed.

use super::ledger::{Ledger, RequestName};
use bytes::Bytes;
use smp121::machine::{
    EndpointMachine, Event, ExchangeId, Input, MailslotId, RemoteId, RequestId, SendOptions, TransmitBatch,
};
use smp121::wire::{PseudoHeader, decode};
use smp121::{Config, Limits, Profile};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use testkit::network::{DatagramConditions, DatagramLink};
use testkit::{Rng, VirtualClock};
use wirekit::{Instant, Machine};

/// What happens in a run.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) node_count: usize,
    /// Requests that each node sends.
    pub(super) request_count: u64,
    /// The longest pause between two of them.
    pub(super) pause_max: Duration,
    /// Lengths of requests and replies are below this.
    pub(super) message_len_max: usize,
    /// The longest time of service.
    pub(super) service_max: Duration,
    /// The network until it heals.
    pub(super) chaos: DatagramConditions,
    /// How long the chaos lasts.
    pub(super) chaos_time: Duration,
    /// How often a node loses its memory during the chaos.
    pub(super) reboot_count: u64,
    /// How often a pair of nodes is cut off from each other, and for how long at most.
    pub(super) partition_count: u64,
    pub(super) partition_max: Duration,
    /// Requests that their callers give up, per mille.
    pub(super) cancel_per_mille: u32,
    pub(super) profile: Profile,
}

/// One endpoint with its application.
struct Node {
    machine: EndpointMachine,
    incarnation: u64,
    mailslot: MailslotId,
    remotes: Vec<Option<RemoteId>>,
    open: BTreeMap<ExchangeId, RequestName>,
    /// Requests in service, and when they are done.
    service: Vec<(Instant, RequestId, Bytes)>,
    next_send_at: Option<Instant>,
    sent_count: u64,
}

pub(super) struct World {
    scenario: Scenario,
    seed: u64,
    clock: VirtualClock,
    rng: Rng,
    nodes: Vec<Node>,
    /// By sender and receiver.
    links: BTreeMap<(usize, usize), DatagramLink>,
    /// What is to happen to the network and the nodes, and when.
    faults: Vec<(Instant, Fault)>,
    healed: bool,
    /// Prints what arrives, for one who looks into one seed.
    prints: bool,
    pub(super) ledger: Ledger,
    batch: TransmitBatch,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Reboot(usize),
    Cut(usize, usize),
    Mend(usize, usize),
    Heal,
}

pub(super) fn address(node: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, u8::try_from(node + 1).unwrap()))
}

fn node_of(address: IpAddr) -> usize {
    match address {
        IpAddr::V4(ip) => usize::from(ip.octets()[3]) - 1,
        IpAddr::V6(_) => unreachable!("all addresses are IPv4"),
    }
}

/// A datagram in one line.
fn describe(datagram: &[u8], from: usize, to: usize) -> String {
    let pseudo = PseudoHeader::between(address(from), address(to)).unwrap();
    match decode(datagram, &pseudo) {
        Err(error) => error.to_string(),
        Ok(segment) => {
            let responses: Vec<_> = segment.responses.filter_map(|raw| raw.known()).collect();
            let (number, field, mailslot, len) = (segment.number, segment.field, segment.mailslot, segment.data.len());
            format!("{number:#x} {field} mailslot {mailslot} {} {len} octets {responses:x?}", segment.flags)
        }
    }
}

impl World {
    pub(super) fn new(scenario: Scenario, seed: u64) -> Self {
        let mut rng = Rng::with_stream(seed, 1);
        let clock = VirtualClock::new();
        let start = clock.now();
        let pairs = (0..scenario.node_count).flat_map(|a| (0..scenario.node_count).map(move |b| (a, b)));
        let links = pairs
            .filter(|(a, b)| a != b)
            .map(|(a, b)| ((a, b), DatagramLink::new(scenario.chaos.clone(), rng.next_u64())))
            .collect();
        let mut faults = vec![(start + scenario.chaos_time, Fault::Heal)];
        let any_time = Duration::ZERO..scenario.chaos_time;
        for _ in 0..scenario.reboot_count {
            faults.push((start + rng.duration(any_time.clone()), Fault::Reboot(rng.range(0..scenario.node_count))));
        }
        for _ in 0..scenario.partition_count {
            let a = rng.range(0..scenario.node_count);
            let b = (a + rng.range(1..scenario.node_count)) % scenario.node_count;
            let begin = start + rng.duration(any_time.clone());
            faults.push((begin, Fault::Cut(a, b)));
            faults.push((begin + rng.duration(Duration::ZERO..scenario.partition_max), Fault::Mend(a, b)));
        }
        faults.sort_by_key(|(at, _)| *at);
        let mut world = Self {
            nodes: Vec::new(),
            links,
            faults,
            healed: false,
            prints: std::env::var_os("SMP121_PRINT").is_some(),
            ledger: Ledger::default(),
            batch: TransmitBatch::new(16, 64 * 1024),
            seed,
            clock,
            rng,
            scenario,
        };
        for index in 0..world.scenario.node_count {
            let node = world.boot(index, 0, 0);
            world.nodes.push(node);
        }
        world
    }

    fn boot(&mut self, index: usize, incarnation: u64, sent_count: u64) -> Node {
        let mut seed = [0; 32];
        for (octet, random) in
            seed.iter_mut().zip(Rng::with_stream(self.seed, 1000 + incarnation * 100 + index as u64).bytes(32))
        {
            *octet = random;
        }
        let mut limits = Limits::default();
        if self.seed.is_multiple_of(4) {
            // Two replies without acknowledgement, and the next request waits.
            limits.replies_len_max = self.scenario.message_len_max.max(1);
        }
        let config = Config::builder(seed).with_profile(self.scenario.profile).with_limits(limits).build().unwrap();
        let mut machine = EndpointMachine::new(config);
        let mailslot = machine.define(b"work", self.scenario.message_len_max.max(1)).unwrap();
        // A host that starts anew keeps quiet for as long as an old datagram may live.
        let quiet = if incarnation == 0 { Duration::ZERO } else { Duration::from_secs(3) };
        let next_send_at = self.clock.now() + quiet + self.rng.duration(Duration::ZERO..self.scenario.pause_max);
        Node {
            machine,
            incarnation,
            mailslot,
            remotes: vec![None; self.scenario.node_count],
            open: BTreeMap::new(),
            service: Vec::new(),
            next_send_at: Some(next_send_at),
            sent_count,
        }
    }

    /// Runs until all is done, and checks that it is, and that nothing is left behind.
    pub(super) fn run(&mut self) -> Result<(), String> {
        let start = self.clock.now();
        let end = start + self.scenario.chaos_time + Duration::from_secs(3600);
        let mut done_at = None;
        for _ in 0..2_000_000 {
            self.step()?;
            if self.is_done() && done_at.is_none() {
                done_at = Some(self.clock.now());
            }
            let Some(next) = self.next_at() else {
                if self.prints {
                    println!("{}", self.describe());
                }
                return self.check_end(done_at);
            };
            if next > end {
                return Err(format!("not at rest an hour after the chaos: {}", self.describe()));
            }
            self.clock.advance_to(next);
        }
        Err(format!(
            "no end in 2,000,000 steps, at {:?} after the start: {}",
            self.clock.now() - start,
            self.describe()
        ))
    }

    fn describe(&self) -> String {
        let nodes = self.nodes.iter().enumerate().map(|(index, node)| {
            format!(
                "node {index}: {} open, {} in service, next deadline {:?}, {:?}",
                node.open.len(),
                node.service.len(),
                node.machine.poll_timeout(),
                node.machine.counters()
            )
        });
        nodes.collect::<Vec<_>>().join("\n")
    }

    fn is_done(&self) -> bool {
        self.healed
            && self
                .nodes
                .iter()
                .all(|node| node.open.is_empty() && node.service.is_empty() && node.next_send_at.is_none())
    }

    fn check_end(&self, done_at: Option<Instant>) -> Result<(), String> {
        let Some(done_at) = done_at else {
            return Err(format!("at rest with work left: {}", self.describe()));
        };
        let start = VirtualClock::new().now();
        let late = (done_at - start).saturating_sub(self.scenario.chaos_time);
        let service = self.scenario.service_max * u32::try_from(self.scenario.request_count).unwrap();
        let allowed = Duration::from_secs(180)
            + (service + self.scenario.pause_max * u32::try_from(self.scenario.request_count).unwrap()) * 4;
        if late > allowed {
            return Err(format!("done only {late:?} after the network healed, more than {allowed:?}"));
        }
        for (index, node) in self.nodes.iter().enumerate() {
            let counters = node.machine.counters();
            if counters.assembly_len != 0 || counters.replies_len != 0 {
                return Err(format!("node {index} keeps something at rest: {counters:?}"));
            }
        }
        self.ledger.check_end()
    }

    fn next_at(&self) -> Option<Instant> {
        let links = self.links.values().filter_map(DatagramLink::next_at);
        let nodes = self.nodes.iter().flat_map(|node| {
            let service = node.service.iter().map(|(at, _, _)| *at).min();
            [node.machine.poll_timeout().map(|deadline| deadline.at), service, node.next_send_at]
        });
        let fault = self.faults.first().map(|(at, _)| *at);
        links.chain(nodes.flatten()).chain(fault).min().map(|at| at.max(self.clock.now()))
    }

    /// Everything that is due now.
    fn step(&mut self) -> Result<(), String> {
        let now = self.clock.now();
        while self.faults.first().is_some_and(|(at, _)| *at <= now) {
            let (_, fault) = self.faults.remove(0);
            self.on_fault(fault);
        }
        let arrived: Vec<_> = self
            .links
            .iter_mut()
            .flat_map(|((from, to), link)| {
                core::iter::from_fn(|| link.receive(now)).map(|datagram| (*from, *to, datagram)).collect::<Vec<_>>()
            })
            .collect();
        for (from, to, datagram) in arrived {
            let source = SocketAddr::new(address(from), 0);
            let input = Input::Datagram { source, destination: address(to), payload: &datagram };
            self.ledger.trace(now, to, &datagram);
            if self.prints {
                println!("{:?} {from}->{to} {}", now - VirtualClock::new().now(), describe(&datagram, from, to));
            }
            let Ok(()) = self.nodes[to].machine.handle(now, input);
            self.nodes[to].machine.check_invariants()?;
            self.drive(to)?;
        }
        for index in 0..self.nodes.len() {
            if self.nodes[index].machine.poll_timeout().is_some_and(|deadline| deadline.is_due(now)) {
                self.nodes[index].machine.handle_timeout(now);
                self.nodes[index].machine.check_invariants()?;
            }
            self.send_requests(index)?;
            self.drive(index)?;
            if let Some(deadline) = self.nodes[index].machine.poll_timeout().filter(|deadline| deadline.is_due(now)) {
                return Err(format!("node {index}: {deadline:?} is still due at {now:?}"));
            }
        }
        Ok(())
    }

    fn on_fault(&mut self, fault: Fault) {
        match fault {
            Fault::Reboot(index) => {
                let (incarnation, sent_count) = (self.nodes[index].incarnation + 1, self.nodes[index].sent_count);
                self.ledger.on_reboot(index);
                let node = self.boot(index, incarnation, sent_count);
                self.nodes[index] = node;
            }
            Fault::Cut(a, b) => {
                self.set_pair(a, b, &DatagramConditions { loss_per_mille: 1000, ..self.scenario.chaos.clone() })
            }
            Fault::Mend(a, b) => {
                let conditions = if self.healed { DatagramConditions::new() } else { self.scenario.chaos.clone() };
                self.set_pair(a, b, &conditions);
            }
            Fault::Heal => {
                self.healed = true;
                for link in self.links.values_mut() {
                    link.set_conditions(DatagramConditions {
                        mtu: self.scenario.chaos.mtu,
                        ..DatagramConditions::new()
                    });
                }
            }
        }
    }

    fn set_pair(&mut self, a: usize, b: usize, conditions: &DatagramConditions) {
        for key in [(a, b), (b, a)] {
            if let Some(link) = self.links.get_mut(&key) {
                link.set_conditions(conditions.clone());
            }
        }
    }

    fn send_requests(&mut self, index: usize) -> Result<(), String> {
        let now = self.clock.now();
        let node = &mut self.nodes[index];
        while node.next_send_at.is_some_and(|at| at <= now) {
            let to = (index + self.rng.range(1..self.scenario.node_count)) % self.scenario.node_count;
            let handle = match node.remotes[to] {
                Some(handle) => handle,
                None => node
                    .machine
                    .get(SocketAddr::new(address(to), 0), address(index), b"work")
                    .map_err(|e| e.to_string())?,
            };
            node.remotes[to] = Some(handle);
            let name = RequestName { from: index, to, incarnation: node.incarnation, serial: node.sent_count };
            let message = self.ledger.new_request(name, self.rng.range(0..self.scenario.message_len_max), self.seed);
            let exchange =
                node.machine.send(now, handle, message, SendOptions::default()).map_err(|error| error.to_string())?;
            node.open.insert(exchange, name);
            if self.rng.chance(self.scenario.cancel_per_mille) {
                node.machine.cancel(exchange);
                node.open.remove(&exchange);
                self.ledger.on_cancelled(name);
            }
            node.sent_count += 1;
            let pause = self.rng.duration(Duration::ZERO..self.scenario.pause_max);
            node.next_send_at = (node.sent_count < self.scenario.request_count).then_some(now + pause);
        }
        Ok(())
    }

    /// Lets a node's application act, and puts what its machine sends on the network.
    fn drive(&mut self, index: usize) -> Result<(), String> {
        let now = self.clock.now();
        loop {
            let node = &mut self.nodes[index];
            while let Some(event) = node.machine.poll_event() {
                match event {
                    Event::Ready(mailslot) => {
                        assert_eq!(mailslot, node.mailslot);
                        while let Some(request) = node.machine.receive(mailslot) {
                            let from = node_of(request.source.unwrap().ip());
                            let reply = self.ledger.on_service(
                                index,
                                node.incarnation,
                                from,
                                &request.message,
                                self.scenario.message_len_max,
                            )?;
                            let done_at = now + self.rng.duration(Duration::ZERO..self.scenario.service_max);
                            node.service.push((done_at, request.id, reply));
                        }
                    }
                    Event::Done { exchange, outcome } => {
                        let name = node.open.remove(&exchange).ok_or("an exchange ended twice")?;
                        self.ledger.on_done(
                            name,
                            outcome.as_ref().map_err(|error| *error),
                            self.scenario.message_len_max,
                        )?;
                        if let Err(error) = outcome {
                            // No fault here lasts as long as the patience of the endpoints.
                            return Err(format!("{name:?} failed: {error}"));
                        }
                    }
                    _ => {}
                }
            }
            let due: Vec<_> = node.service.extract_if(.., |(at, _, _)| *at <= now).collect();
            let mut answered = false;
            for (_, request, reply) in due {
                // Void where the one who asked has restarted.
                let _void = node.machine.reply(now, request, reply);
                answered = true;
            }
            let mut sent = false;
            while node.machine.poll_transmit(now, &mut self.batch) {
                sent = true;
                for datagram in self.batch.iter() {
                    let to = node_of(datagram.destination.ip());
                    assert_eq!(datagram.source, address(index));
                    assert!(!datagram.payload.is_empty());
                    if let Some(link) = self.links.get_mut(&(index, to)) {
                        link.send(now, datagram.payload);
                    }
                }
                self.batch.clear();
            }
            if !sent && !answered {
                return Ok(());
            }
        }
    }
}
