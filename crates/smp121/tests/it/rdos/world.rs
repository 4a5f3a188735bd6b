//! One endpoint of ours and one RDOS machine on a network, with an application at each end.

use bytes::Bytes;
use smp121::machine::{
    EndpointMachine, Event, ExchangeId, Input, MailslotId, RemoteId, RequestId, SendOptions, TransmitBatch,
};
use smp121::{Config, ExchangeError, Profile};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::time::Duration;
use testkit::network::{DatagramConditions, DatagramLink};
use testkit::rdos::{self, Host, LocalMailslot, RemoteMailslot, RequestTicket, SendTicket};
use testkit::{Rng, VirtualClock};
use wirekit::{Instant, Machine};

pub(super) const OURS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(super) const THEIRS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// The octets of an RDOS caller's buffer, more than any reply has.
pub(super) const BUFFER_LEN: usize = 65_535;

/// What both ends and the network are like.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) profile: Profile,
    pub(super) network: DatagramConditions,
    /// How long each application works at a request.
    pub(super) our_service: Range<Duration>,
    pub(super) their_service: Range<Duration>,
    /// Mailslots at each end: `work0`, `work1` and so on.
    pub(super) mailslot_count: usize,
    /// What they take.
    pub(super) our_len_max: usize,
    pub(super) their_len_max: u32,
    /// Replies are at most this long.
    pub(super) reply_len_max: usize,
}

impl Setup {
    /// A perfect network of 1 ms with the room of an Ethernet, one mailslot at each end, no time for service.
    pub(super) fn new() -> Self {
        let none = Duration::ZERO..Duration::ZERO;
        Self {
            profile: Profile::RDOS,
            network: DatagramConditions { mtu: 1480, ..DatagramConditions::new() },
            our_service: none.clone(),
            their_service: none,
            mailslot_count: 1,
            our_len_max: 4000,
            their_len_max: 4000,
            reply_len_max: 1000,
        }
    }
}

/// The reply to a request: octets that only this request gives.
pub(super) fn reply_to(message: &[u8], len_max: usize) -> Vec<u8> {
    let step = |hash: u64, octet: &u8| (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3);
    let mut rng = Rng::new(message.iter().fold(0xcbf2_9ce4_8422_2325, step));
    let len = rng.range(0..len_max + 1);
    rng.bytes(len)
}

pub(super) fn name(mailslot: usize) -> Vec<u8> {
    format!("work{mailslot}").into_bytes()
}

pub(super) struct World {
    pub(super) setup: Setup,
    seed: u64,
    pub(super) clock: VirtualClock,
    pub(super) rng: Rng,
    pub(super) ours: EndpointMachine,
    our_life: u64,
    our_mailslots: Vec<MailslotId>,
    our_remotes: Vec<RemoteId>,
    our_work: Vec<(Instant, RequestId, Bytes)>,
    our_open: BTreeMap<ExchangeId, Bytes>,
    pub(super) theirs: Host,
    their_mailslots: Vec<LocalMailslot>,
    their_remotes: Vec<RemoteMailslot>,
    their_work: Vec<(Instant, RequestTicket, Vec<u8>)>,
    /// By age; the mailslot, and what was sent.
    their_open: BTreeMap<SendTicket, (usize, Vec<u8>)>,
    pub(super) to_ours: DatagramLink,
    pub(super) to_theirs: DatagramLink,
    /// The last datagram that they sent.
    pub(super) their_last: Vec<u8>,
    /// What each application has executed, in order.
    pub(super) our_executed: Vec<Vec<u8>>,
    pub(super) their_executed: Vec<Vec<u8>>,
    /// What became of our requests, and the replies that theirs got.
    pub(super) our_outcomes: Vec<(Vec<u8>, Result<Bytes, ExchangeError>)>,
    pub(super) their_replies: Vec<(Vec<u8>, Vec<u8>)>,
    /// Requests in service here that nobody waits for any more.
    pub(super) void_count: usize,
    batch: TransmitBatch,
}

impl World {
    pub(super) fn new(setup: Setup, seed: u64) -> Self {
        let clock = VirtualClock::new();
        let link = |stream| DatagramLink::new(setup.network.clone(), Rng::with_stream(seed, stream).next_u64());
        let mut world = Self {
            seed,
            rng: Rng::with_stream(seed, 1),
            ours: EndpointMachine::new(Config::builder([0; 32]).build().unwrap()),
            our_life: 0,
            our_mailslots: Vec::new(),
            our_remotes: Vec::new(),
            our_work: Vec::new(),
            our_open: BTreeMap::new(),
            theirs: Host::new(rdos::Config::new(THEIRS, clock.now())),
            their_mailslots: Vec::new(),
            their_remotes: Vec::new(),
            their_work: Vec::new(),
            their_open: BTreeMap::new(),
            to_ours: link(2),
            to_theirs: link(3),
            their_last: Vec::new(),
            our_executed: Vec::new(),
            their_executed: Vec::new(),
            our_outcomes: Vec::new(),
            their_replies: Vec::new(),
            void_count: 0,
            batch: TransmitBatch::new(16, 64 * 1024),
            setup,
            clock,
        };
        world.boot_ours();
        world.boot_theirs();
        world
    }

    pub(super) fn perfect() -> Self {
        Self::new(Setup::new(), 0)
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    fn boot_ours(&mut self) {
        self.our_life += 1;
        let mut seed = [0; 32];
        seed.copy_from_slice(&Rng::with_stream(self.seed, 100 + self.our_life).bytes(32));
        let config = Config::builder(seed).with_profile(self.setup.profile).build().unwrap();
        self.ours = EndpointMachine::new(config);
        let names = (0..self.setup.mailslot_count).map(name);
        self.our_mailslots = names.map(|name| self.ours.define(&name, self.setup.our_len_max).unwrap()).collect();
        self.our_remotes.clear();
        self.our_work.clear();
        self.our_open.clear();
    }

    fn boot_theirs(&mut self) {
        let names = (0..self.setup.mailslot_count).map(name);
        self.their_mailslots = names.map(|name| self.theirs.define(&name, self.setup.their_len_max)).collect();
        self.their_remotes.clear();
        self.their_work.clear();
        self.their_open.clear();
    }

    /// Our process ends and starts anew, its memory lost.
    pub(super) fn reboot_ours(&mut self) {
        self.boot_ours();
    }

    /// The RDOS machine restarts.
    pub(super) fn reboot_theirs(&mut self) {
        let ticks = u32::try_from(self.rng.range(0x1000..0x7000_0000)).unwrap();
        self.theirs.reboot(self.clock.now(), ticks);
        self.boot_theirs();
    }

    pub(super) fn our_remote(&mut self, mailslot: usize) -> RemoteId {
        while self.our_remotes.len() <= mailslot {
            let name = name(self.our_remotes.len());
            let peer = SocketAddr::from((THEIRS, 0));
            self.our_remotes.push(self.ours.get(peer, IpAddr::V4(OURS), &name).unwrap());
        }
        self.our_remotes[mailslot]
    }

    /// We send a request to a mailslot of theirs.
    pub(super) fn ask_theirs(&mut self, mailslot: usize, message: &[u8]) -> ExchangeId {
        let remote = self.our_remote(mailslot);
        self.ask_remote(remote, message, SendOptions::default())
    }

    pub(super) fn ask_remote(&mut self, remote: RemoteId, message: &[u8], options: SendOptions) -> ExchangeId {
        let message = Bytes::copy_from_slice(message);
        let exchange = self.ours.send(self.clock.now(), remote, message.clone(), options).unwrap();
        self.our_open.insert(exchange, message);
        exchange
    }

    pub(super) fn their_remote(&mut self, mailslot: usize) -> RemoteMailslot {
        while self.their_remotes.len() <= mailslot {
            let name = name(self.their_remotes.len());
            self.their_remotes.push(self.theirs.get(self.clock.now(), OURS, &name));
        }
        self.their_remotes[mailslot]
    }

    /// They send a request to a mailslot of ours.
    pub(super) fn ask_ours(&mut self, mailslot: usize, message: &[u8]) -> SendTicket {
        let remote = self.their_remote(mailslot);
        let ticket = self.theirs.send(self.clock.now(), remote, message, BUFFER_LEN).unwrap();
        self.their_open.insert(ticket, (mailslot, message.to_vec()));
        ticket
    }

    /// The request that our application has at work, which the caller answers in its place.
    pub(super) fn take_our_work(&mut self) -> Option<RequestId> {
        self.our_work.pop().map(|(_, request, _)| request)
    }

    /// The number on the wire of a mailslot of ours.
    pub(super) fn our_number(&self, mailslot: usize) -> u16 {
        self.our_mailslots[mailslot].number()
    }

    pub(super) fn our_open_count(&self) -> usize {
        self.our_open.len()
    }

    /// Requests of theirs to a mailslot of ours that wait for their replies.
    pub(super) fn their_open(&self, mailslot: usize) -> impl Iterator<Item = SendTicket> {
        self.their_open.iter().filter(move |(_, (to, _))| *to == mailslot).map(|(ticket, _)| *ticket)
    }

    pub(super) fn their_open_count(&self) -> usize {
        self.their_open.len()
    }

    pub(super) fn set_network(&mut self, network: &DatagramConditions) {
        self.to_ours.set_conditions(network.clone());
        self.to_theirs.set_conditions(network.clone());
    }

    pub(super) fn segment_count(&self) -> u64 {
        self.to_ours.counts().sent_count + self.to_theirs.counts().sent_count
    }

    /// When something happens next by itself.
    pub(super) fn next_at(&self) -> Option<Instant> {
        let ours = self.ours.poll_timeout().map(|deadline| deadline.at);
        let work = self.our_work.iter().map(|(at, ..)| *at).chain(self.their_work.iter().map(|(at, ..)| *at)).min();
        let all = [ours, self.theirs.poll_timeout(), self.to_ours.next_at(), self.to_theirs.next_at(), work];
        all.into_iter().flatten().min().map(|at| at.max(self.now()))
    }

    /// Goes on until nothing waits any more, for an hour at most. Says how long it took.
    pub(super) fn finish(&mut self) -> Duration {
        let start = self.now();
        self.run_while(Duration::from_secs(3600), |world| world.our_open_count() + world.their_open_count() > 0);
        assert_eq!((self.our_open_count(), self.their_open_count()), (0, 0), "open after an hour");
        self.now() - start
    }

    /// Goes on for `duration`, or until nothing would ever happen.
    pub(super) fn rest(&mut self, duration: Duration) {
        self.run_while(duration, |_| true);
    }

    pub(super) fn run_while(&mut self, duration: Duration, goes_on: impl Fn(&Self) -> bool) {
        let until = self.now() + duration;
        self.settle();
        while goes_on(self) {
            match self.next_at() {
                Some(at) if at <= until => _ = self.clock.advance_to(at),
                _ => return,
            }
            self.settle();
        }
    }

    /// Does all that is due now. The applications are at work between any two datagrams.
    pub(super) fn settle(&mut self) {
        let now = self.now();
        self.theirs.handle_timeout(now);
        if self.ours.poll_timeout().is_some_and(|deadline| deadline.is_due(now)) {
            self.ours.handle_timeout(now);
        }
        self.drive_ours();
        while let Some(datagram) = self.to_ours.receive(now) {
            let source = SocketAddr::from((THEIRS, 0));
            let Ok(()) =
                self.ours.handle(now, Input::Datagram { source, destination: OURS.into(), payload: &datagram });
            self.ours.check_invariants().unwrap();
            self.drive_ours();
        }
        self.drive_theirs();
        while let Some(datagram) = self.to_theirs.receive(now) {
            self.theirs.handle_datagram(now, OURS, THEIRS, &datagram);
            self.drive_theirs();
        }
    }

    fn drive_ours(&mut self) {
        let now = self.now();
        loop {
            while let Some(event) = self.ours.poll_event() {
                self.on_event(event);
            }
            let due: Vec<_> = self.our_work.extract_if(.., |(at, ..)| *at <= now).collect();
            let is_answered = !due.is_empty();
            for (_, request, message) in due {
                let reply = reply_to(&message, self.setup.reply_len_max).into();
                // Void where the one who asked has restarted.
                let _void = self.ours.reply(now, request, reply);
            }
            let mut is_sent = false;
            while self.ours.poll_transmit(now, &mut self.batch) {
                is_sent = true;
                for datagram in self.batch.iter() {
                    self.to_theirs.send(now, datagram.payload);
                }
                self.batch.clear();
            }
            if !is_sent && !is_answered {
                return;
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Ready(mailslot) => {
                while let Some(request) = self.ours.receive(mailslot) {
                    self.our_executed.push(request.message.to_vec());
                    let done_at = self.now() + self.rng.duration(self.setup.our_service.clone());
                    self.our_work.push((done_at, request.id, request.message));
                }
            }
            Event::Done { exchange, outcome } => {
                let message = self.our_open.remove(&exchange).expect("an exchange ends once");
                if let Ok(reply) = &outcome {
                    assert_eq!(*reply, reply_to(&message, self.setup.reply_len_max), "the reply to {message:x?}");
                }
                self.our_outcomes.push((message.to_vec(), outcome));
            }
            Event::Void(_) => self.void_count += 1,
            _ => {}
        }
    }

    fn drive_theirs(&mut self) {
        let now = self.now();
        loop {
            let mut is_busy = false;
            for mailslot in self.their_mailslots.clone() {
                if let Some((ticket, message)) = self.theirs.receive(mailslot) {
                    is_busy = true;
                    self.their_executed.push(message.clone());
                    let done_at = now + self.rng.duration(self.setup.their_service.clone());
                    self.their_work.push((done_at, ticket, message));
                }
            }
            for (_, ticket, message) in self.their_work.extract_if(.., |(at, ..)| *at <= now).collect::<Vec<_>>() {
                is_busy = true;
                self.theirs.reply(now, ticket, &reply_to(&message, self.setup.reply_len_max));
            }
            if !is_busy {
                break;
            }
        }
        for ticket in self.their_open.keys().copied().collect::<Vec<_>>() {
            if let Some(reply) = self.theirs.poll_reply(ticket)
                && let Some((_, message)) = self.their_open.remove(&ticket)
            {
                self.their_replies.push((message, reply));
            }
        }
        while let Some((_, datagram)) = self.theirs.poll_transmit() {
            self.to_ours.send(now, &datagram);
            self.their_last = datagram;
        }
    }

    /// Every reply that they got is the right one, and nothing happened that a real machine would not have survived.
    #[track_caller]
    pub(super) fn assert_sound(&self) {
        assert_eq!(self.theirs.crashes(), []);
        for (message, reply) in &self.their_replies {
            assert_eq!(*reply, reply_to(message, self.setup.reply_len_max), "the reply to {message:x?}");
        }
        for (message, outcome) in &self.our_outcomes {
            assert!(outcome.is_ok(), "{message:x?}: {outcome:?}");
        }
    }
}
