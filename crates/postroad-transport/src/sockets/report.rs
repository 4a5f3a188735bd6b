//! The error queue: what ICMP said about datagrams that were sent.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;

use wirekit::Reader;
use wirekit::datagram::{PathError, PathErrorKind};

use super::control::{self, NAME_LEN};
use super::syscall;

/// Reports that one call reads at most, also those that say nothing of a path.
const READ_COUNT_MAX: usize = 256;
/// Room for the control messages of one report: the error with its reporter's address, and packet information.
const CONTROL_LEN: usize = 256;
/// How much of what a report quotes is read.
const QUOTED_LEN: usize = 8;

/// Hands reports to `give` until that wants no more. `WouldBlock` once the queue is empty.
pub(super) fn take(socket: BorrowedFd<'_>, mut give: impl FnMut(PathError) -> bool) -> io::Result<()> {
    for _ in 0..READ_COUNT_MAX {
        let mut quoted = [0; QUOTED_LEN];
        let mut name = [0; NAME_LEN];
        let mut words = [0u64; CONTROL_LEN / 8];
        let report = syscall::receive_report(socket, &mut quoted, &mut name, &mut words)?;
        let control: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).take(report.control_len).collect();
        let destination = name.get(..report.name_len).and_then(control::address);
        if let Some(mut error) = destination.and_then(|destination| read(destination, &control)) {
            error.quoted = (report.quoted_len >= QUOTED_LEN).then_some(quoted);
            if !give(error) {
                break;
            }
        }
    }
    Ok(())
}

/// What the control messages of a report say about `destination`. `None` for what this very host says, since the call
/// that sent got the same answer.
fn read(destination: SocketAddr, control: &[u8]) -> Option<PathError> {
    control::messages(control).find_map(|(level, kind, data)| {
        let is_report =
            matches!((level, kind), (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR));
        if !is_report {
            return None;
        }
        let mut reader = Reader::new(data);
        reader.take(4).ok()?;
        let [origin, icmp_type, code, _] = reader.array().ok()?;
        let info = u32::from_ne_bytes(reader.array().ok()?);
        reader.take(4).ok()?;
        let kind = match origin {
            libc::SO_EE_ORIGIN_ICMP => kind_v4(icmp_type, code, info),
            libc::SO_EE_ORIGIN_ICMP6 => kind_v6(icmp_type, code, info),
            _ => return None,
        };
        let mut error = PathError::new(destination, kind);
        error.reporter = data.get(reader.position()..).and_then(control::address).map(|address| address.ip());
        error.reporter = error.reporter.filter(|ip: &IpAddr| !ip.is_unspecified());
        Some(error)
    })
}

/// RFC 792 and RFC 1812.
fn kind_v4(icmp_type: u8, code: u8, info: u32) -> PathErrorKind {
    match (icmp_type, code) {
        (3, 0 | 6 | 11) => PathErrorKind::NetworkUnreachable,
        (3, 1 | 5 | 7 | 8 | 12) => PathErrorKind::HostUnreachable,
        (3, 2) => PathErrorKind::ProtocolUnreachable,
        (3, 3) => PathErrorKind::PortUnreachable,
        (3, 4) => PathErrorKind::TooLong { mtu: info },
        (3, 9 | 10 | 13) => PathErrorKind::Prohibited,
        _ => PathErrorKind::Other,
    }
}

/// RFC 4443.
fn kind_v6(icmp_type: u8, code: u8, info: u32) -> PathErrorKind {
    match (icmp_type, code) {
        (1, 0) => PathErrorKind::NetworkUnreachable,
        (1, 1 | 5 | 6) => PathErrorKind::Prohibited,
        (1, 2 | 3) => PathErrorKind::HostUnreachable,
        (1, 4) => PathErrorKind::PortUnreachable,
        (2, _) => PathErrorKind::TooLong { mtu: info },
        // Unrecognized next header.
        (4, 1) => PathErrorKind::ProtocolUnreachable,
        _ => PathErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(level: i32, kind: i32, origin: u8, icmp_type: u8, code: u8, info: u32, reporter: &[u8]) -> Vec<u8> {
        let mut data = vec![0; 4];
        data.extend([origin, icmp_type, code, 0]);
        data.extend(info.to_ne_bytes());
        data.extend([0; 4]);
        data.extend(reporter);
        let mut bytes = (size_of::<libc::cmsghdr>() + data.len()).to_ne_bytes().to_vec();
        bytes.extend(level.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(data);
        bytes
    }

    fn to() -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 2], 0))
    }

    #[test]
    fn reports_of_icmp_become_path_errors_with_their_reporter() {
        let router = IpAddr::from([10, 0, 0, 1]);
        let reporter = control::Name::new(SocketAddr::new(router, 0), false).bytes;
        let bytes = message(libc::IPPROTO_IP, libc::IP_RECVERR, libc::SO_EE_ORIGIN_ICMP, 3, 4, 1280, &reporter);
        let error = read(to(), &bytes).unwrap();
        assert_eq!((error.destination, error.kind), (to(), PathErrorKind::TooLong { mtu: 1280 }));
        assert_eq!(error.reporter, Some(router));
        let bytes = message(libc::IPPROTO_IPV6, libc::IPV6_RECVERR, libc::SO_EE_ORIGIN_ICMP6, 4, 1, 6, &[]);
        assert_eq!(read(to(), &bytes).unwrap().kind, PathErrorKind::ProtocolUnreachable);
    }

    #[test]
    fn what_this_host_says_itself_and_what_is_cut_is_no_report() {
        let own = message(libc::IPPROTO_IP, libc::IP_RECVERR, libc::SO_EE_ORIGIN_LOCAL, 0, 0, 1500, &[]);
        assert_eq!(read(to(), &own), None);
        let good = message(libc::IPPROTO_IP, libc::IP_RECVERR, libc::SO_EE_ORIGIN_ICMP, 3, 2, 0, &[]);
        assert!(read(to(), &good).is_some());
        for len in 0..good.len() {
            assert_eq!(read(to(), &good[..len]), None, "{len}");
        }
        let other = message(libc::IPPROTO_IP, libc::IP_TOS, libc::SO_EE_ORIGIN_ICMP, 3, 2, 0, &[]);
        assert_eq!(read(to(), &other), None);
    }

    #[test]
    fn each_code_has_its_kind() {
        use PathErrorKind::{
            HostUnreachable, NetworkUnreachable, Other, PortUnreachable, Prohibited, ProtocolUnreachable,
        };
        for (code, kind) in [
            (0, NetworkUnreachable),
            (1, HostUnreachable),
            (2, ProtocolUnreachable),
            (3, PortUnreachable),
            (13, Prohibited),
            (15, Other),
        ] {
            assert_eq!(kind_v4(3, code, 0), kind, "{code}");
        }
        assert_eq!(kind_v4(11, 0, 0), Other);
        for (icmp_type, code, kind) in [
            (1, 0, NetworkUnreachable),
            (1, 1, Prohibited),
            (1, 3, HostUnreachable),
            (1, 4, PortUnreachable),
            (2, 0, PathErrorKind::TooLong { mtu: 0 }),
            (3, 0, Other),
            (4, 0, Other),
        ] {
            assert_eq!(kind_v6(icmp_type, code, 0), kind, "{icmp_type}/{code}");
        }
    }
}
