//! Capture files and packets, built by hand.

use smp121::wire::{Data, Direction, Outgoing, Position, PseudoHeader, encode};
use std::net::{Ipv4Addr, Ipv6Addr};

pub(super) const RAW: u16 = 101;
pub(super) const V4: PseudoHeader =
    PseudoHeader::V4 { source: Ipv4Addr::new(10, 0, 0, 1), destination: Ipv4Addr::new(10, 0, 0, 2) };
pub(super) const V6: PseudoHeader = PseudoHeader::V6 {
    source: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
    destination: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2),
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    pub(super) fn u16(self, value: u16) -> [u8; 2] {
        if self == Self::Little { value.to_le_bytes() } else { value.to_be_bytes() }
    }

    pub(super) fn u32(self, value: u32) -> [u8; 4] {
        if self == Self::Little { value.to_le_bytes() } else { value.to_be_bytes() }
    }

    pub(super) fn u64(self, value: u64) -> [u8; 8] {
        if self == Self::Little { value.to_le_bytes() } else { value.to_be_bytes() }
    }
}

/// A request of one segment.
pub(super) fn segment(pseudo: &PseudoHeader, octets: &[u8]) -> Vec<u8> {
    let position = Position::First { total: octets.len() as u32 };
    let data = Data { direction: Direction::Request, number: 7, mailslot: 9, position, is_last: true, octets };
    let mut out = Vec::new();
    encode(&Outgoing::Data(data), &[], pseudo, &mut out);
    out
}

pub(super) fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_with(protocol, 0x4000, &[], payload)
}

/// With fragment field and options, which are a multiple of 4 octets.
pub(super) fn ipv4_with(protocol: u8, fragment: u16, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let header_len = 20 + options.len();
    let [high, low] = ((header_len + payload.len()) as u16).to_be_bytes();
    let [f0, f1] = fragment.to_be_bytes();
    let version = 0x40 | (header_len / 4) as u8;
    let head = [version, 0, high, low, 0, 7, f0, f1, 60, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    [&head[..], options, payload].concat()
}

/// With extension headers; `next` is the number of the first of them, or of the payload.
pub(super) fn ipv6(next: u8, extensions: &[u8], payload: &[u8]) -> Vec<u8> {
    let [high, low] = ((extensions.len() + payload.len()) as u16).to_be_bytes();
    let PseudoHeader::V6 { source, destination } = V6 else { unreachable!() };
    [&[0x60, 0, 0, 0, high, low, next, 60][..], &source.octets(), &destination.octets(), extensions, payload].concat()
}

pub(super) fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let len = (8 + payload.len()) as u16;
    [&source.to_be_bytes()[..], &destination.to_be_bytes(), &len.to_be_bytes(), &[0, 0], payload].concat()
}

pub(super) fn pcap_head(order: Order, nanos: bool, link_type: u16) -> Vec<u8> {
    let magic = if nanos { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
    let mut file = order.u32(magic).to_vec();
    file.extend(order.u16(2));
    file.extend(order.u16(4));
    for word in [0, 0, 262_144, u32::from(link_type)] {
        file.extend(order.u32(word));
    }
    file
}

pub(super) fn pcap_packet(file: &mut Vec<u8>, order: Order, time: (u32, u32), kept: &[u8], whole_len: usize) {
    for word in [time.0, time.1, kept.len() as u32, whole_len as u32] {
        file.extend(order.u32(word));
    }
    file.extend(kept);
}

/// A pcap file of whole packets.
pub(super) fn pcap<'a>(link_type: u16, packets: impl IntoIterator<Item = &'a Vec<u8>>) -> Vec<u8> {
    let mut file = pcap_head(Order::Little, false, link_type);
    for packet in packets {
        pcap_packet(&mut file, Order::Little, (0, 0), packet, packet.len());
    }
    file
}

pub(super) fn block(file: &mut Vec<u8>, order: Order, kind: u32, body: &[u8]) {
    let padding = body.len().next_multiple_of(4) - body.len();
    let len = order.u32((12 + body.len() + padding) as u32);
    file.extend(order.u32(kind));
    file.extend(len);
    file.extend(body);
    file.extend(vec![0; padding]);
    file.extend(len);
}

pub(super) fn section(order: Order) -> Vec<u8> {
    let mut file = Vec::new();
    let body =
        [&order.u32(0x1a2b_3c4d)[..], &order.u16(1), &order.u16(0), &[0xff; 8], &order.u16(4), &order.u16(3), b"abc\0"]
            .concat();
    block(&mut file, order, 0x0a0d_0d0a, &body);
    file
}

pub(super) fn interface(file: &mut Vec<u8>, order: Order, link_type: u16, snap_len: u32, options: &[(u16, Vec<u8>)]) {
    let mut body = [&order.u16(link_type)[..], &[0, 0], &order.u32(snap_len)].concat();
    for (code, value) in options {
        body.extend(order.u16(*code));
        body.extend(order.u16(value.len() as u16));
        body.extend(value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    block(file, order, 1, &body);
}

pub(super) fn enhanced(file: &mut Vec<u8>, order: Order, interface: u32, ticks: u64, kept: &[u8], whole_len: usize) {
    let mut body = Vec::new();
    for word in [interface, (ticks >> 32) as u32, ticks as u32, kept.len() as u32, whole_len as u32] {
        body.extend(order.u32(word));
    }
    body.extend(kept);
    body.resize(body.len().next_multiple_of(4), 0);
    // A comment behind the packet.
    body.extend([&order.u16(1)[..], &order.u16(2), b"hi\0\0", &[0; 4]].concat());
    block(file, order, 6, &body);
}

pub(super) fn older(file: &mut Vec<u8>, order: Order, interface: u16, ticks: u64, packet: &[u8]) {
    let mut body = [order.u16(interface), order.u16(0xffff)].concat();
    for word in [(ticks >> 32) as u32, ticks as u32, packet.len() as u32, packet.len() as u32] {
        body.extend(order.u32(word));
    }
    body.extend(packet);
    block(file, order, 2, &body);
}

pub(super) fn simple(file: &mut Vec<u8>, order: Order, kept: &[u8], whole_len: usize) {
    block(file, order, 3, &[&order.u32(whole_len as u32)[..], kept].concat());
}
