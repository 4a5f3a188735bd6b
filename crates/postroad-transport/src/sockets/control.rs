//! Socket addresses and control messages as the Linux kernel lays them out, written and read byte by byte.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use wirekit::Reader;

/// Room for the address of either family.
pub(super) const NAME_LEN: usize = size_of::<libc::sockaddr_in6>();
/// Room for the control messages of a datagram that is sent: at most a class and an IPv6 address, 24 and 40 octets.
pub(super) const CONTROL_LEN: usize = 64;
/// Room for those of one that came: where it was sent to, how it was joined, and some more that others may have asked for.
pub(super) const CAME_CONTROL_LEN: usize = 128;
/// The header of a control message: length, level, kind.
const HEADER_LEN: usize = size_of::<libc::cmsghdr>();

/// An address, aligned as the kernel's structures.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Name {
    pub(super) bytes: [u8; NAME_LEN],
    pub(super) len: usize,
}

/// Control messages, aligned as the kernel's structures.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Control {
    pub(super) bytes: [u8; CONTROL_LEN],
    pub(super) len: usize,
}

impl Name {
    /// `address` for a socket of IPv6 (`on_v6`) or IPv4; an IPv4 address goes mapped into an IPv6 socket.
    pub(super) fn new(address: SocketAddr, on_v6: bool) -> Self {
        match address {
            SocketAddr::V4(v4) if !on_v6 => {
                let mut name = Self { bytes: [0; NAME_LEN], len: size_of::<libc::sockaddr_in>() };
                put(&mut name.bytes, 0, &family(libc::AF_INET).to_ne_bytes());
                put(&mut name.bytes, 2, &v4.port().to_be_bytes());
                put(&mut name.bytes, 4, &v4.ip().octets());
                name
            }
            SocketAddr::V4(v4) => Self::v6(&SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0)),
            SocketAddr::V6(v6) => Self::v6(&v6),
        }
    }

    fn v6(v6: &SocketAddrV6) -> Self {
        let mut name = Self { bytes: [0; NAME_LEN], len: NAME_LEN };
        put(&mut name.bytes, 0, &family(libc::AF_INET6).to_ne_bytes());
        put(&mut name.bytes, 2, &v6.port().to_be_bytes());
        put(&mut name.bytes, 4, &v6.flowinfo().to_be_bytes());
        put(&mut name.bytes, 8, &v6.ip().octets());
        put(&mut name.bytes, 24, &v6.scope_id().to_ne_bytes());
        name
    }
}

/// The address families are small numbers.
fn family(of: libc::c_int) -> u16 {
    u16::try_from(of).unwrap_or_default()
}

/// The address in `bytes`; a mapped IPv4 address comes out as IPv4. `None` where it is of another family or cut.
pub(super) fn address(bytes: &[u8]) -> Option<SocketAddr> {
    let mut reader = Reader::new(bytes);
    let kind = u16::from_ne_bytes(reader.array().ok()?);
    let port = reader.u16().ok()?;
    if kind == family(libc::AF_INET) {
        return Some(SocketAddr::from((Ipv4Addr::from(reader.array::<4>().ok()?), port)));
    }
    if kind != family(libc::AF_INET6) {
        return None;
    }
    let flow = reader.u32().ok()?;
    let ip = Ipv6Addr::from(reader.array::<16>().ok()?);
    let scope = u32::from_ne_bytes(reader.array().ok()?);
    Some(match ip.to_ipv4_mapped() {
        Some(v4) => SocketAddr::from((v4, port)),
        None => SocketAddrV6::new(ip, port, flow, scope).into(),
    })
}

const fn aligned(len: usize) -> usize {
    len.next_multiple_of(size_of::<usize>())
}

/// Writes `value` at `at`, where there is room.
fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = at.checked_add(value.len()).and_then(|end| bytes.get_mut(at..end)) {
        place.copy_from_slice(value);
    }
}

impl Control {
    /// No control messages.
    pub(super) const EMPTY: Self = Self { bytes: [0; CONTROL_LEN], len: 0 };

    /// What a datagram to `destination` needs beside its address.
    pub(super) fn new(destination: IpAddr, source: Option<IpAddr>, dscp: u8) -> Self {
        let mut control = Self::EMPTY;
        let class = i32::from((dscp & 0x3f) << 2);
        let is_v4 = destination.is_ipv4();
        if class != 0 {
            let (level, kind) =
                if is_v4 { (libc::IPPROTO_IP, libc::IP_TOS) } else { (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) };
            control.push(level, kind, &class.to_ne_bytes());
        }
        match source {
            // in_pktinfo: interface 0 (any), source address, unused.
            Some(IpAddr::V4(v4)) => {
                let mut info = [0; size_of::<libc::in_pktinfo>()];
                put(&mut info, 4, &v4.octets());
                control.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            // in6_pktinfo: source address, interface 0.
            Some(IpAddr::V6(v6)) => {
                let mut info = [0; size_of::<libc::in6_pktinfo>()];
                put(&mut info, 0, &v6.octets());
                control.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            }
            None => {}
        }
        control
    }

    fn push(&mut self, level: i32, kind: i32, data: &[u8]) {
        let len = HEADER_LEN + data.len();
        let at = self.len;
        if at + aligned(len) > CONTROL_LEN {
            return;
        }
        put(&mut self.bytes, at, &len.to_ne_bytes());
        put(&mut self.bytes, at + size_of::<usize>(), &level.to_ne_bytes());
        put(&mut self.bytes, at + size_of::<usize>() + 4, &kind.to_ne_bytes());
        put(&mut self.bytes, at + HEADER_LEN, data);
        self.len = at + aligned(len);
    }
}

/// The control messages in `bytes`, up to the first that contradicts its length.
pub(super) fn messages(bytes: &[u8]) -> impl Iterator<Item = (i32, i32, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let mut reader = Reader::new(rest);
        let len = usize::from_ne_bytes(reader.array().ok()?);
        let level = i32::from_ne_bytes(reader.array().ok()?);
        let kind = i32::from_ne_bytes(reader.array().ok()?);
        let data = rest.get(HEADER_LEN..len)?;
        rest = rest.get(aligned(len)..).unwrap_or_default();
        Some((level, kind, data))
    })
}

/// Where a datagram was sent to, and whether that is an address of this very host (or a multicast group).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) ip: IpAddr,
    pub(super) is_own: bool,
}

/// What IP_PKTINFO or IPV6_PKTINFO say; `None` where neither is there.
pub(super) fn target(control: &[u8]) -> Option<Target> {
    messages(control).find_map(|(level, kind, data)| {
        let mut reader = Reader::new(data);
        if (level, kind) == (libc::IPPROTO_IP, libc::IP_PKTINFO) {
            reader.take(4).ok()?;
            // For a broadcast the address an answer would come from is not the one in the header.
            let local = Ipv4Addr::from(reader.array::<4>().ok()?);
            let ip = Ipv4Addr::from(reader.array::<4>().ok()?);
            return Some(Target { ip: ip.into(), is_own: local == ip });
        }
        if (level, kind) == (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) {
            let ip = IpAddr::from(reader.array::<16>().ok()?).to_canonical();
            return Some(Target { ip, is_own: true });
        }
        None
    })
}

/// The length of each datagram where several were joined into one message.
#[cfg(feature = "udp")]
pub(super) fn joined_len(control: &[u8]) -> Option<usize> {
    messages(control).find_map(|(level, kind, data)| {
        let len = i32::from_ne_bytes(Reader::new(data).array().ok()?);
        ((level, kind) == (libc::SOL_UDP, libc::UDP_GRO)).then(|| usize::try_from(len).ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_both_layouts() {
        let v4 = SocketAddr::from(([10, 1, 2, 3], 121));
        let v6 = SocketAddr::V6(SocketAddrV6::new("fe80::7".parse().unwrap(), 9, 5, 3));
        for (given, on_v6) in [(v4, false), (v4, true), (v6, true)] {
            let name = Name::new(given, on_v6);
            assert_eq!(address(&name.bytes[..name.len]), Some(given));
            for len in 0..name.len.min(8) {
                assert_eq!(address(&name.bytes[..len]), None, "{len}");
            }
        }
        assert_eq!(address(&[0xff; NAME_LEN]), None);
        assert_eq!(address(&[]), None);
    }

    #[test]
    fn control_messages_hold_class_and_source() {
        let source = IpAddr::from([10, 0, 0, 9]);
        let control = Control::new(IpAddr::from([10, 0, 0, 1]), Some(source), 46);
        let all: Vec<_> = messages(&control.bytes[..control.len]).collect();
        assert_eq!(all[0], (libc::IPPROTO_IP, libc::IP_TOS, &184i32.to_ne_bytes()[..]));
        assert_eq!(all[1].2[4..8], [10, 0, 0, 9]);
        assert_eq!(all.len(), 2);
        let v6: IpAddr = "2001:db8::1".parse().unwrap();
        let control = Control::new(v6, Some(v6), 63);
        assert_eq!(messages(&control.bytes[..control.len]).count(), 2);
        assert_eq!(Control::new(v6, None, 0xc0).len, 0, "bits above the code point are no class");
    }

    #[test]
    fn control_messages_that_lie_about_their_length_end_the_list() {
        let control = Control::new(IpAddr::from([10, 0, 0, 1]), None, 1);
        for lie in [0usize, 1, HEADER_LEN - 1, 1000, usize::MAX, usize::MAX - 6] {
            let mut bytes = control.bytes;
            put(&mut bytes, 0, &lie.to_ne_bytes());
            assert_eq!(messages(&bytes[..control.len]).count(), 0, "{lie}");
        }
        for cut in 0..HEADER_LEN + 4 {
            assert_eq!(messages(&control.bytes[..cut]).count(), 0, "{cut}");
        }
    }

    #[test]
    fn a_broadcast_shows_in_the_address_an_answer_would_have() {
        let is_own = |local: [u8; 4], header: [u8; 4]| {
            let mut control = Control::EMPTY;
            control.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &[&[0; 4][..], &local, &header].concat());
            target(&control.bytes[..control.len]).unwrap().is_own
        };
        assert!(is_own([10, 0, 0, 2], [10, 0, 0, 2]));
        assert!(!is_own([10, 0, 0, 2], [10, 0, 0, 255]));
    }

    #[cfg(feature = "udp")]
    #[test]
    fn the_length_of_what_was_joined_is_found_behind_other_messages() {
        let mut control = Control::new(IpAddr::from([10, 0, 0, 1]), None, 1);
        assert_eq!(joined_len(&control.bytes[..control.len]), None);
        control.push(libc::SOL_UDP, libc::UDP_GRO, &1200i32.to_ne_bytes());
        assert_eq!(joined_len(&control.bytes[..control.len]), Some(1200));
        let mut control = Control::EMPTY;
        control.push(libc::SOL_UDP, libc::UDP_GRO, &(-1i32).to_ne_bytes());
        assert_eq!(joined_len(&control.bytes[..control.len]), None);
    }
}
