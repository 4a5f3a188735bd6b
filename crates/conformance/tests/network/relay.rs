//! A network between two namespaces that does what it is told: this process is in the middle, as the peer of either end.
//!
//! Each end has a link to a namespace that has the address of the other end. Raw sockets there take what comes and send it
//! from the other one, octet for octet, so both ends see each other's addresses.

use super::namespace::Namespace;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use testkit::Rng;

#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    pub(crate) loss_per_mille: u32,
    pub(crate) duplicate_per_mille: u32,
    pub(crate) flip_per_mille: u32,
    /// Held back for 5 to 20 ms more, so that others overtake them.
    pub(crate) reorder_per_mille: u32,
    pub(crate) delay: Range<Duration>,
}

/// What happened so far, both ways.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) passed_count: u64,
    pub(crate) lost_count: u64,
    pub(crate) doubled_count: u64,
    pub(crate) flipped_count: u64,
    pub(crate) held_count: u64,
}

/// Ends when it is dropped.
pub(crate) struct Relay {
    ends: [Namespace; 2],
    _middle: [Namespace; 2],
    is_over: Arc<AtomicBool>,
    counts: Arc<Mutex<Counts>>,
    threads: Vec<JoinHandle<()>>,
}

/// A raw socket whose header, without options, is `header_len` long.
fn bare(namespace: &Namespace, address: &str) -> Socket {
    namespace.open(|| {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(121))).unwrap();
        socket.bind(&SocketAddr::new(address.parse().unwrap(), 0).into()).unwrap();
        drop(socket.set_recv_buffer_size(4 << 20));
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        socket
    })
}

impl Relay {
    /// Two ends, `near` at 10.9.0.1 and `far` at 10.9.0.2. `None` where there can be no namespaces.
    pub(crate) fn start(conditions: &Conditions, seed: u64) -> Option<Self> {
        let ends = [Namespace::new()?, Namespace::new()?];
        let middle = [Namespace::new()?, Namespace::new()?];
        ends[0].join(&middle[0]);
        middle[1].join(&ends[1]);
        // In the middle the near end meets 10.9.0.2, and the far one 10.9.0.1.
        let sockets = [bare(&middle[0], "10.9.0.2"), bare(&middle[1], "10.9.0.1")];
        let (is_over, counts) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Counts::default())));
        let mut threads = Vec::new();
        for (from, to, peer) in [(0, 1, "10.9.0.2:0"), (1, 0, "10.9.0.1:0")] {
            let (sender, receiver) = channel();
            let source = sockets[from].try_clone().unwrap();
            let fate = Fate {
                rng: Rng::with_stream(seed, from as u64),
                conditions: conditions.clone(),
                counts: Arc::clone(&counts),
            };
            let over = Arc::clone(&is_over);
            threads.push(std::thread::spawn(move || take_in(source, fate, &over, &sender)));
            let sink = sockets[to].try_clone().unwrap();
            let peer: SocketAddr = peer.parse().unwrap();
            threads.push(std::thread::spawn(move || send_out(&sink, peer, &receiver)));
        }
        Some(Self { ends, _middle: middle, is_over, counts, threads })
    }

    pub(crate) fn near(&self) -> &Namespace {
        &self.ends[0]
    }

    pub(crate) fn far(&self) -> &Namespace {
        &self.ends[1]
    }

    pub(crate) fn counts(&self) -> Counts {
        *self.counts.lock().unwrap()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

struct Fate {
    rng: Rng,
    conditions: Conditions,
    counts: Arc<Mutex<Counts>>,
}

impl Fate {
    /// What becomes of a packet: copies of it, and when they leave.
    fn decide(&mut self, packet: &[u8], now: Instant) -> Vec<(Instant, Vec<u8>)> {
        let (rng, conditions) = (&mut self.rng, &self.conditions);
        let mut counts = self.counts.lock().unwrap();
        if rng.chance(conditions.loss_per_mille) {
            counts.lost_count += 1;
            return Vec::new();
        }
        let is_doubled = rng.chance(conditions.duplicate_per_mille);
        counts.doubled_count += u64::from(is_doubled);
        let copies = (0..1 + u32::from(is_doubled)).map(|_| {
            let mut copy = packet.to_vec();
            if rng.chance(conditions.flip_per_mille) {
                counts.flipped_count += 1;
                let at = rng.range(0..copy.len());
                copy[at] ^= 1 << rng.below(8);
            }
            let mut at = now + rng.duration(conditions.delay.clone());
            if rng.chance(conditions.reorder_per_mille) {
                counts.held_count += 1;
                at += rng.duration(Duration::from_millis(5)..Duration::from_millis(20));
            }
            counts.passed_count += 1;
            (at, copy)
        });
        copies.collect()
    }
}

type Departures = std::sync::mpsc::Sender<(Instant, Vec<u8>)>;

fn take_in(mut socket: Socket, mut fate: Fate, is_over: &AtomicBool, departures: &Departures) {
    let mut packet = vec![0; 65_536];
    while !is_over.load(Ordering::Relaxed) {
        let Ok(len) = socket.read(&mut packet) else { continue };
        // IPv4 comes with its header.
        let header_len = usize::from(packet[0] & 0x0f) * 4;
        for departure in fate.decide(&packet[header_len..len], Instant::now()) {
            if departures.send(departure).is_err() {
                return;
            }
        }
    }
}

fn send_out(socket: &Socket, peer: SocketAddr, departures: &Receiver<(Instant, Vec<u8>)>) {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let mut waiting = BTreeMap::new();
    loop {
        let next = waiting.first_key_value().map(|((at, _), _)| *at);
        let pause = next.map_or(Duration::from_secs(1), |at: Instant| at.saturating_duration_since(Instant::now()));
        match departures.recv_timeout(pause) {
            Ok((at, packet)) => _ = waiting.insert((at, SERIAL.fetch_add(1, Ordering::Relaxed)), packet),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        while let Some(entry) = waiting.first_entry()
            && entry.key().0 <= Instant::now()
        {
            // What has no room is lost, as on any network.
            drop(socket.send_to(&entry.remove(), &peer.into()));
        }
    }
}
