//! Each fact as a test with octets made by hand, then two machines with each other.

use super::*;
use crate::vectors::{from_hex, to_hex};

mod client;
mod hostile;
mod names;
mod pair;
mod records;
mod server;
mod timers;
mod window;
mod wire;

const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const START: Instant = Instant::from_epoch(Duration::from_secs(3600));
/// The number of the first mailslot that a machine defines.
const NUMBER: u16 = 0x0108;

fn at(ms: u64) -> Instant {
    START + Duration::from_millis(ms)
}

fn machine(address: Ipv4Addr) -> Host {
    Host::new(Config::new(address, START))
}

/// The one's complement sum, in the slowest and plainest way, third of its kind here.
fn sum(octets: &[u8]) -> u16 {
    let mut sum: u16 = 0;
    for at in (0..octets.len()).step_by(2) {
        let word = u16::from_be_bytes([octets[at], octets.get(at + 1).copied().unwrap_or(0)]);
        let (next, carried) = sum.overflowing_add(word);
        sum = next + u16::from(carried);
    }
    sum
}

fn pseudo_header(source: Ipv4Addr, destination: Ipv4Addr, len: usize) -> Vec<u8> {
    let [.., high, low] = len.to_be_bytes();
    [&source.octets()[..], &destination.octets(), &[0, 121, high, low]].concat()
}

/// Puts Length and checksum into a segment that has zeros there.
fn seal(source: Ipv4Addr, destination: Ipv4Addr, segment: &mut [u8]) {
    let [.., high, low] = segment.len().to_be_bytes();
    segment[10..12].copy_from_slice(&[high, low]);
    segment[14..16].copy_from_slice(&[0, 0]);
    let pseudo = pseudo_header(source, destination, segment.len());
    let sum = !sum(&[&pseudo[..], segment].concat());
    segment[14..16].copy_from_slice(&sum.to_be_bytes());
}

/// A segment as seen on the wire, records in hex.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    connection: u32,
    offset: u32,
    mailslot: u16,
    flags: u8,
    records: Vec<String>,
    data: Vec<u8>,
}

fn seen(connection: u32, offset: u32, mailslot: u16, flags: u8, records: &[&str], data: &[u8]) -> Seen {
    let records = records.iter().map(|record| record.replace(' ', "")).collect();
    Seen { connection, offset, mailslot, flags, records, data: data.to_vec() }
}

impl Seen {
    fn octets(&self, source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
        let mut octets = Vec::new();
        octets.extend(self.connection.to_be_bytes());
        octets.extend(self.offset.to_be_bytes());
        octets.extend(self.mailslot.to_be_bytes());
        octets.extend([0, 0, self.flags, u8::try_from(self.records.len()).unwrap(), 0, 0]);
        self.records.iter().for_each(|record| octets.extend(from_hex(record).unwrap()));
        octets.extend(&self.data);
        seal(source, destination, &mut octets);
        octets
    }

    /// Reads a segment, and checks what every segment has to hold.
    fn of(source: Ipv4Addr, destination: Ipv4Addr, octets: &[u8]) -> Self {
        assert_eq!(usize::from(u16::from_be_bytes([octets[10], octets[11]])), octets.len(), "Length");
        let whole = [&pseudo_header(source, destination, octets.len())[..], octets].concat();
        assert_eq!(sum(&whole), 0xffff, "checksum of {}", to_hex(octets));
        let mut rest = &octets[16..];
        let records = (0..octets[13]).map(|_| {
            let (record, behind) = rest.split_at(8 + usize::from(rest[6]));
            rest = behind;
            to_hex(record)
        });
        let records = records.collect();
        Self {
            connection: u32::from_be_bytes(octets[..4].try_into().unwrap()),
            offset: u32::from_be_bytes(octets[4..8].try_into().unwrap()),
            mailslot: u16::from_be_bytes(octets[8..10].try_into().unwrap()),
            flags: octets[12],
            records,
            data: rest.to_vec(),
        }
    }
}

/// All that `host` has to send, each to `peer`.
fn sent(host: &mut Host, peer: Ipv4Addr) -> Vec<Seen> {
    let address = host.address();
    let all = core::iter::from_fn(|| host.poll_transmit());
    all.map(|(to, octets)| {
        assert_eq!(to, peer);
        Seen::of(address, to, &octets)
    })
    .collect()
}

/// Hands a segment from `peer` to `host`.
fn hand(host: &mut Host, now: Instant, peer: Ipv4Addr, segment: &Seen) {
    let address = host.address();
    host.handle_datagram(now, peer, address, &segment.octets(peer, address));
}

fn name_request(name: &[u8]) -> Seen {
    seen(0, 0, 0, 0x14, &[], &[name, &[0]].concat())
}

fn name_reply(connection: u32, max_size: u32, mailslot: u16, max_outstanding: u16, name: &[u8]) -> Seen {
    seen(connection, max_size, mailslot, 0x18, &[], &[&max_outstanding.to_be_bytes()[..], name, &[0]].concat())
}

fn request(connection: u32, data: &[u8]) -> Seen {
    seen(connection, u32::try_from(data.len()).unwrap(), NUMBER, 0x07, &[], data)
}

fn reply(connection: u32, data: &[u8]) -> Seen {
    seen(connection, u32::try_from(data.len()).unwrap(), NUMBER, 0x0b, &[], data)
}

fn with(segment: Seen, records: &[&str]) -> Seen {
    Seen { records: records.iter().map(|record| record.replace(' ', "")).collect(), ..segment }
}

/// Machine B with the mailslot `echo` of 512 octets, which A has asked for: its first number is 0x1000.
fn server() -> (Host, LocalMailslot) {
    let mut host = machine(B);
    let mailslot = host.define(b"echo", 512);
    assert_eq!(mailslot.number(), NUMBER);
    hand(&mut host, START, A, &name_request(b"echo"));
    assert_eq!(sent(&mut host, A), [name_reply(0x1000, 512, NUMBER, 16, b"echo")]);
    (host, mailslot)
}

/// Machine A with `echo` at B resolved: 512 octets, first number 0x1000, as many outstanding as told.
fn client_of(max_outstanding: u16) -> (Host, RemoteMailslot) {
    let mut host = machine(A);
    let mailslot = host.get(START, B, b"echo");
    assert_eq!(sent(&mut host, B), [name_request(b"echo")]);
    hand(&mut host, START, B, &name_reply(0x1000, 512, NUMBER, max_outstanding, b"echo"));
    assert_eq!(sent(&mut host, B), []);
    (host, mailslot)
}

fn client() -> (Host, RemoteMailslot) {
    client_of(16)
}

/// Moves `host` from tick to tick until `until`, and says at which milliseconds it sent what. What it had to send before has to
/// be taken before.
#[track_caller]
fn run(host: &mut Host, peer: Ipv4Addr, until: Instant) -> Vec<(u64, Seen)> {
    assert_eq!(sent(host, peer), []);
    let mut all = Vec::new();
    while let Some(tick_at) = host.poll_timeout().filter(|tick_at| *tick_at <= until) {
        host.handle_timeout(tick_at);
        let ms = u64::try_from((tick_at - START).as_millis()).unwrap();
        all.extend(sent(host, peer).into_iter().map(|segment| (ms, segment)));
    }
    all
}

#[track_caller]
fn assert_sound(host: &Host) {
    assert_eq!(host.crashes(), []);
}
