//! A mailslot that knows no code of ours, and its faults.

use super::{each_is_found, failing};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::UdpSocket;

/// What the server does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    TakesDamage,
    TakesLongLengths,
    TakesShortLengths,
    TakesBothDirections,
    TakesReservedFlags,
    TakesTooMuchData,
    BelievesRecordCounts,
    SumsTrailingOctets,
    AnswersInOrderOfArrival,
    JoinsInOrderOfArrival,
    AnswersForEveryMailslot,
    AnswersResets,
    NeverSendsAgain,
    NeverResets,
    TakesMoreThanItSays,
    NeverAcknowledgesOnTheWay,
    AnswersUnderAnotherNumber,
    DropsEmptyRequests,
    KnowsEveryName,
    CannotBeginAnew,
    CutsReplies,
}

const LARGEST: u32 = 100_000;
const MAILSLOT: u16 = 7;
const PART: usize = 1_200;

fn be(octets: &[u8]) -> u32 {
    octets.iter().fold(0, |number, octet| number << 8 | u32::from(*octet))
}

/// The sum over the pseudo header of no addresses and all of the segment.
fn sum(segment: &[u8]) -> u16 {
    let mut sum = 121 + u32::try_from(segment.len()).unwrap();
    for pair in segment.chunks(2) {
        sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap()
}

fn segment(number: u32, field: u32, mailslot: u16, flags: u8, records: &[Vec<u8>], data: &[u8]) -> Vec<u8> {
    let mut out = [number.to_be_bytes(), field.to_be_bytes()].concat();
    out.extend(mailslot.to_be_bytes());
    let len = 16 + records.iter().map(Vec::len).sum::<usize>() + data.len();
    out.extend(u16::try_from(len).unwrap().to_be_bytes());
    out.extend([flags, u8::try_from(records.len()).unwrap(), 0, 0]);
    out.extend(records.concat());
    out.extend(data);
    let checksum = (!sum(&out)).to_be_bytes();
    out[14..16].copy_from_slice(&checksum);
    out
}

fn record(number: u32, action: u8, data: &[u8]) -> Vec<u8> {
    let mut out = number.to_be_bytes().to_vec();
    out.extend(MAILSLOT.to_be_bytes());
    out.extend([u8::try_from(data.len()).unwrap(), action]);
    out.extend(data);
    out
}

#[derive(Default)]
struct Coming {
    total: Option<u32>,
    parts: BTreeMap<u32, u8>,
    joined: Vec<u8>,
    count: u32,
}

struct Peer {
    base: u32,
    next: u32,
    coming: BTreeMap<u32, Coming>,
    whole: BTreeMap<u32, Vec<u8>>,
    /// Content, and how far it was acknowledged.
    replies: BTreeMap<u32, (Vec<u8>, usize)>,
}

struct Server {
    socket: UdpSocket,
    fault: Fault,
    peers: HashMap<SocketAddr, Peer>,
    bases: u32,
}

async fn serve(fault: Fault) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smp121+udp://{}/echo", socket.local_addr().unwrap());
    let mut server = Server { socket, fault, peers: HashMap::new(), bases: 1 << 20 };
    tokio::spawn(async move {
        let mut buffer = vec![0; 65_536];
        let mut again = tokio::time::interval(Duration::from_millis(200));
        loop {
            tokio::select! {
                Ok((len, from)) = server.socket.recv_from(&mut buffer) => {
                    let datagram = buffer[..len].to_vec();
                    server.take(&datagram, from).await;
                }
                _ = again.tick() => server.send_again().await,
            }
        }
    });
    url
}

impl Server {
    async fn send(&self, to: SocketAddr, octets: &[u8]) {
        self.socket.send_to(octets, to).await.unwrap();
    }

    async fn send_again(&self) {
        if self.fault == Fault::NeverSendsAgain {
            return;
        }
        for (to, peer) in &self.peers {
            for number in peer.replies.keys() {
                self.reply(*to, peer, *number).await;
            }
        }
    }

    async fn reply(&self, to: SocketAddr, peer: &Peer, number: u32) {
        let Some((content, acknowledged)) = peer.replies.get(&number) else { return };
        let total = u32::try_from(content.len()).unwrap();
        let told = number + u32::from(self.fault == Fault::AnswersUnderAnotherNumber);
        for at in (0..content.len().max(1)).step_by(PART).filter(|at| at + PART > *acknowledged) {
            let data = &content[at..content.len().min(at + PART)];
            let end = if at + data.len() == content.len() { 2 } else { 0 };
            let (field, flags) = if at == 0 { (total, 9) } else { (u32::try_from(at).unwrap(), 8) };
            if self.fault == Fault::CutsReplies && at > 0 {
                return;
            }
            self.send(to, &segment(told, field, MAILSLOT, flags | end, &[], data)).await;
        }
    }

    async fn take(&mut self, datagram: &[u8], from: SocketAddr) {
        let fault = self.fault;
        if datagram.len() < 16 {
            return;
        }
        let mut length = usize::try_from(be(&datagram[10..12])).unwrap();
        if (length > datagram.len() && fault == Fault::TakesLongLengths)
            || (length < 16 && fault == Fault::TakesShortLengths)
            || fault == Fault::SumsTrailingOctets
        {
            length = datagram.len();
        } else if length > datagram.len() || length < 16 {
            return;
        }
        let whole = &datagram[..length];
        let bent = matches!(fault, Fault::TakesDamage | Fault::TakesLongLengths | Fault::TakesShortLengths);
        if sum(whole) != 0xffff && !bent {
            return;
        }
        let (number, field, mailslot) = (be(&whole[..4]), be(&whole[4..8]), be(&whole[8..10]));
        let (flags, count) = (whole[12], whole[13]);
        if (flags & 12 == 12 && fault != Fault::TakesBothDirections)
            || (flags & 0xc0 != 0 && fault != Fault::TakesReservedFlags)
        {
            return;
        }
        let mut at = 16;
        for _ in 0..count {
            let Some(record) = whole.get(at..at + 8) else {
                if fault == Fault::BelievesRecordCounts {
                    break;
                }
                return;
            };
            let end = at + 8 + usize::from(record[6]);
            let Some(data) = whole.get(at + 8..end) else {
                if fault == Fault::BelievesRecordCounts {
                    break;
                }
                return;
            };
            if record[7] == 2 && data.len() == 4 {
                self.acknowledged(from, be(&record[..4]), be(data));
            }
            at = end;
        }
        let data = whole[at..].to_vec();
        match flags & 0x34 {
            0x14 => self.name(&data, from).await,
            0x04 if mailslot == u32::from(MAILSLOT) || fault == Fault::AnswersForEveryMailslot => {
                self.request(number, field, flags, data, from).await;
            }
            flags if flags & 0x20 != 0 && fault == Fault::AnswersResets => {
                self.send(from, &segment(number, 0, MAILSLOT, 0x20, &[record(number, 1, &[])], &[])).await;
            }
            _ => {}
        }
    }

    fn acknowledged(&mut self, from: SocketAddr, number: u32, offset: u32) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        if let Some((content, acknowledged)) = peer.replies.get_mut(&number) {
            *acknowledged = (*acknowledged).max(usize::try_from(offset).unwrap());
            if *acknowledged >= content.len() {
                peer.replies.remove(&number);
            }
        }
    }

    async fn name(&mut self, data: &[u8], from: SocketAddr) {
        let Some(end) = data.iter().position(|octet| *octet == 0) else { return };
        let name = &data[..end];
        if name != b"echo" && self.fault != Fault::KnowsEveryName {
            return;
        }
        if self.fault != Fault::CannotBeginAnew || !self.peers.contains_key(&from) {
            self.bases += 1 << 20;
            let (base, next) = (self.bases, self.bases);
            let peer = Peer { base, next, coming: BTreeMap::new(), whole: BTreeMap::new(), replies: BTreeMap::new() };
            self.peers.insert(from, peer);
        }
        let data = [&[0, 16], name, &[0]].concat();
        self.send(from, &segment(self.peers[&from].base, LARGEST, MAILSLOT, 0x18, &[], &data)).await;
    }

    async fn request(&mut self, number: u32, field: u32, flags: u8, data: Vec<u8>, from: SocketAddr) {
        let fault = self.fault;
        let Some(mut peer) = self.peers.remove(&from) else { return };
        if number.wrapping_sub(peer.base) > 1_000 {
            if fault != Fault::NeverResets {
                self.send(from, &segment(number, 0, MAILSLOT, 0x20, &[record(number, 1, &[])], &[])).await;
            }
        } else if number < peer.next {
            self.reply(from, &peer, number).await;
        } else if flags & 1 != 0 && field > LARGEST && fault != Fault::TakesMoreThanItSays {
            self.send(from, &segment(0, 0, 0, 0, &[record(number, 3, &[])], &[])).await;
        } else {
            self.part(&mut peer, number, field, flags, &data, from).await;
            let order: Vec<u32> = peer.whole.keys().copied().collect();
            for this in order {
                if this == peer.next || fault == Fault::AnswersInOrderOfArrival {
                    let content = peer.whole.remove(&this).unwrap();
                    peer.next = peer.next.max(this) + 1;
                    if !(content.is_empty() && fault == Fault::DropsEmptyRequests) {
                        peer.replies.insert(this, (content, 0));
                    }
                    self.reply(from, &peer, this).await;
                }
            }
        }
        self.peers.insert(from, peer);
    }

    async fn part(&self, peer: &mut Peer, number: u32, field: u32, flags: u8, data: &[u8], from: SocketAddr) {
        let coming = peer.coming.entry(number).or_default();
        let offset = if flags & 1 != 0 { 0 } else { field };
        if flags & 1 != 0 {
            if data.len() > usize::try_from(field).unwrap() && self.fault != Fault::TakesTooMuchData {
                peer.coming.remove(&number);
                return;
            }
            coming.total = Some(if self.fault == Fault::TakesTooMuchData {
                u32::try_from(data.len()).unwrap().max(field)
            } else {
                field
            });
        }
        coming.count += 1;
        coming.joined.extend(data);
        coming.parts.extend((offset..).zip(data.iter().copied()));
        let total = coming.total;
        if total.is_some_and(|total| coming.parts.len() >= usize::try_from(total).unwrap()) {
            let coming = peer.coming.remove(&number).unwrap();
            let joined = if self.fault == Fault::JoinsInOrderOfArrival {
                coming.joined
            } else {
                coming.parts.into_values().collect()
            };
            peer.whole.insert(number, joined);
        } else if coming.count.is_multiple_of(2) && self.fault != Fault::NeverAcknowledgesOnTheWay {
            let there = (0..).take_while(|at| coming.parts.contains_key(at)).count();
            let offset = u32::try_from(there).unwrap().to_be_bytes();
            self.send(from, &segment(0, 0, 0, 0, &[record(number, 2, &offset)], &[])).await;
        }
    }
}

#[tokio::test]
async fn a_right_server_passes_every_case() {
    let url = serve(Fault::None).await;
    assert_eq!(failing("smp121", &url, &[]).await, []);
}

#[tokio::test]
async fn every_planted_fault_is_found() {
    let faults = [
        (Fault::TakesDamage, "smp121-wire-wrong-checksum"),
        (Fault::TakesLongLengths, "smp121-wire-length-beyond"),
        (Fault::TakesShortLengths, "smp121-wire-length-below-header"),
        (Fault::TakesBothDirections, "smp121-wire-request-and-reply"),
        (Fault::TakesReservedFlags, "smp121-wire-reserved-flags"),
        (Fault::TakesTooMuchData, "smp121-wire-data-beyond-total"),
        (Fault::BelievesRecordCounts, "smp121-wire-records-beyond"),
        (Fault::SumsTrailingOctets, "smp121-wire-trailing"),
        (Fault::AnswersInOrderOfArrival, "smp121-wire-later-one-first"),
        (Fault::JoinsInOrderOfArrival, "smp121-wire-parts-in-disorder"),
        (Fault::AnswersForEveryMailslot, "smp121-wire-other-mailslot"),
        (Fault::AnswersResets, "smp121-wire-reset-is-not-answered"),
        (Fault::NeverSendsAgain, "smp121-wire-reply-again-until-acknowledged"),
        (Fault::NeverResets, "smp121-wire-outside-draws-a-reset"),
        (Fault::TakesMoreThanItSays, "smp121-wire-too-large"),
        (Fault::NeverAcknowledgesOnTheWay, "smp121-wire-acknowledged-on-the-way"),
        (Fault::AnswersUnderAnotherNumber, "smp121-wire-exchange"),
        (Fault::DropsEmptyRequests, "smp121-wire-nothing"),
        (Fault::KnowsEveryName, "smp121-wire-no-such-name"),
        (Fault::CannotBeginAnew, "smp121-wire-client-restarts"),
        (Fault::CutsReplies, "smp121-wire-large-reply"),
    ];
    let faults = faults.map(|(fault, case)| (fault, "smp121", case));
    each_is_found(faults, |fault| async move { ((), serve(fault).await) }).await;
}
