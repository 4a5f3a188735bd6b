//! The IPv4 packets around the segments (fact 1, last entry): for tests that go below datagrams.

use super::{Host, checksum};
use std::net::Ipv4Addr;
use wirekit::Instant;

const HEADER_LEN: usize = 20;
const PROTOCOL: u8 = 121;
const TTL: u8 = 60;
const DONT_FRAGMENT: u8 = 0x40;

impl Host {
    /// A whole IPv4 packet that came. Its addresses are found behind whatever options; nothing looks at fragment fields, so that a
    /// fragment is taken for a datagram and fails at the checksum. Anything else than version 4, protocol 121 and a header
    /// that fits and sums up is dropped.
    pub fn handle_packet(&mut self, now: Instant, packet: &[u8]) {
        if let Some((source, destination, segment)) = open(packet) {
            self.handle_datagram(now, source, destination, segment);
        }
    }

    /// The next segment to be sent as a whole IPv4 packet: no options, TOS 0, TTL 60, never to be fragmented, IDs counting up.
    pub fn poll_transmit_packet(&mut self) -> Option<Vec<u8>> {
        let (destination, segment) = self.poll_transmit()?;
        let [.., high, low] = (HEADER_LEN + segment.len()).to_be_bytes();
        let [id_high, id_low] = self.next_packet_id().to_be_bytes();
        let mut packet = vec![0x45, 0, high, low, id_high, id_low, DONT_FRAGMENT, 0, TTL, PROTOCOL, 0, 0];
        packet.extend(self.address().octets());
        packet.extend(destination.octets());
        let sum = checksum::plain(&packet).to_be_bytes();
        packet.splice(10..12, sum);
        packet.extend(segment);
        Some(packet)
    }
}

fn open(packet: &[u8]) -> Option<(Ipv4Addr, Ipv4Addr, &[u8])> {
    let (fixed, _) = packet.split_first_chunk::<HEADER_LEN>()?;
    let [version, _, high, low, _, _, _, _, _, protocol, _, _, a, b, c, d, e, f, g, h] = *fixed;
    let (version, header_len) = (version >> 4, usize::from(version & 0x0f) * 4);
    let header = packet.get(..header_len).filter(|header| header.len() >= HEADER_LEN)?;
    if version != 4 || protocol != PROTOCOL || checksum::plain(header) != 0 {
        return None;
    }
    let segment = packet.get(header_len..usize::from(u16::from_be_bytes([high, low])))?;
    Some((Ipv4Addr::new(a, b, c, d), Ipv4Addr::new(e, f, g, h), segment))
}
