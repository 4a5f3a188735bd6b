//! What is peculiar to raw sockets: options, and the IPv4 header that comes with each datagram.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::AtomicUsize;

use socket2::Socket;
use wirekit::Reader;
use wirekit::datagram::{DropReason, ReceiveBatch};

use super::IsDrained;
use super::control;
use super::receive;
use super::syscall::{self, Came};

/// Header of IPv4 without options.
const HEADER_LEN_MIN: usize = 20;

/// Options of a raw socket, to be bound to `local`, besides those of every socket.
pub(crate) fn set_options(socket: &Socket, local: IpAddr) -> io::Result<()> {
    let with_control = i32::from(local.is_unspecified());
    if local.is_ipv4() {
        return syscall::set_option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, with_control);
    }
    syscall::set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, with_control)?;
    // No checksum by the kernel. It refuses that for ICMPv6 alone, whose checksum is the kernel's.
    match syscall::set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_CHECKSUM, -1) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
        result => result,
    }
}

/// What a receive has to know of the socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Receiver {
    /// Where the socket is bound, if at one address; it then gets nothing that was sent to another.
    bound: Option<IpAddr>,
    on_v6: bool,
}

impl Receiver {
    pub(crate) fn new(local: IpAddr) -> Self {
        Self { bound: (!local.is_unspecified()).then_some(local), on_v6: local.is_ipv6() }
    }

    /// See [`receive::receive`].
    pub(crate) fn receive(
        self,
        socket: &Socket,
        batch: &mut ReceiveBatch,
        expected: &AtomicUsize,
    ) -> io::Result<IsDrained> {
        let with_control = self.bound.is_none();
        if self.on_v6 {
            let each = |batch: &mut ReceiveBatch, came: &Came<'_>| take_v6(batch, came, self.bound);
            receive::receive(socket, batch, expected, with_control, each)
        } else {
            receive::receive(socket, batch, expected, with_control, take_v4)
        }
    }
}

fn take_v4(batch: &mut ReceiveBatch, came: &Came<'_>) {
    if came.is_truncated {
        return batch.drop_one(DropReason::Truncated);
    }
    let end = came.start.saturating_add(came.len);
    let Some(header) = batch.room().get(came.start..end).and_then(header) else {
        return batch.drop_one(DropReason::Malformed);
    };
    if control::target(came.control).is_some_and(|target| !target.is_own) {
        return batch.drop_one(DropReason::NotUnicast);
    }
    let source = SocketAddr::from((header.source, 0));
    batch.push(source, Some(header.destination.into()), came.start.saturating_add(header.len)..end);
}

fn take_v6(batch: &mut ReceiveBatch, came: &Came<'_>, bound: Option<IpAddr>) {
    if came.is_truncated {
        return batch.drop_one(DropReason::Truncated);
    }
    let Some(mut source) = control::address(came.name) else { return batch.drop_one(DropReason::Malformed) };
    source.set_port(0);
    let destination = bound.or_else(|| control::target(came.control).map(|target| target.ip));
    let end = came.start.saturating_add(came.len);
    batch.push(source, destination, came.start..end);
}

#[derive(Debug, PartialEq, Eq)]
struct Header {
    len: usize,
    source: Ipv4Addr,
    destination: Ipv4Addr,
}

/// The IPv4 header of a whole packet. `None` where it contradicts itself or the packet's length, or is of a fragment:
/// the system puts those together before it gives them out, so a fragment here has lost its rest.
fn header(packet: &[u8]) -> Option<Header> {
    let mut reader = Reader::new(packet);
    let first = reader.u8().ok()?;
    let len = usize::from(first & 0x0f) * 4;
    reader.take(1).ok()?;
    let total_len = usize::from(reader.u16().ok()?);
    reader.take(2).ok()?;
    // More fragments, or an offset.
    let is_fragment = reader.u16().ok()? & 0x3fff != 0;
    reader.take(4).ok()?;
    let source = Ipv4Addr::from(reader.array::<4>().ok()?);
    let destination = Ipv4Addr::from(reader.array::<4>().ok()?);
    let is_sound =
        first >> 4 == 4 && (HEADER_LEN_MIN..=packet.len()).contains(&len) && total_len == packet.len() && !is_fragment;
    is_sound.then_some(Header { len, source, destination })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet with `options` octets of options and `payload_len` octets of payload.
    fn packet(options: usize, payload_len: usize) -> Vec<u8> {
        let total = 20 + options + payload_len;
        let [high, low] = u16::try_from(total).unwrap().to_be_bytes();
        let first = 0x45 + u8::try_from(options / 4).unwrap();
        let mut bytes = vec![first, 0, high, low, 0, 7, 0x40, 0, 60, 121, 0, 0];
        bytes.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        bytes.resize(20 + options, 1);
        bytes.resize(total, 9);
        bytes
    }

    #[test]
    fn options_are_stepped_over() {
        for options in [0, 4, 40] {
            let found = header(&packet(options, 3)).unwrap();
            assert_eq!(found.len, 20 + options);
            assert_eq!((found.source, found.destination), ([10, 0, 0, 1].into(), [10, 0, 0, 2].into()));
        }
    }

    #[test]
    fn headers_that_contradict_themselves_and_fragments_are_no_headers() {
        let good = packet(4, 3);
        let broken = |at: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[at] = value;
            header(&bytes)
        };
        assert_eq!(broken(6, 0x40), header(&good), "do not fragment is no fragment");
        for (at, value, what) in [
            (0, 0x66, "version"),
            (0, 0x44, "header shorter than one"),
            (0, 0x4f, "header longer than the packet"),
            (3, 26, "total too short"),
            (3, 28, "total too long"),
            (6, 0x20, "more fragments"),
            (7, 1, "offset"),
            (6, 0x10, "offset, high bits"),
        ] {
            assert_eq!(broken(at, value), None, "{what}");
        }
        for len in 0..good.len() {
            assert_eq!(header(&good[..len]), None, "{len}");
        }
    }
}
