//! Asks the system for the way to a destination: a UDP socket that is connected and never sends.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, SockAddr, Socket, Type};

use super::syscall;

/// A port for the asking; nothing is sent to it.
const DISCARD_PORT: u16 = 9;
/// What IPv4 and IPv6 can carry in one packet, their header included.
const PACKET_LEN_MAX: usize = 65_535;

/// The way to a destination as the system knows it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    /// The local address that datagrams would come from.
    pub(crate) source: IpAddr,
    /// The mtu of the path, IP header included.
    pub(crate) mtu: usize,
}

/// How to ask: as the socket that will send is bound.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    pub(crate) local: IpAddr,
    pub(crate) device: Option<String>,
    /// The header of the carrier behind that of IP.
    pub(crate) header_len: usize,
}

impl Probe {
    pub(crate) fn path(&self, destination: SocketAddr) -> io::Result<Path> {
        let mut to = SocketAddr::new(destination.ip().to_canonical(), destination.port());
        if let (SocketAddr::V6(to), SocketAddr::V6(given)) = (&mut to, destination) {
            to.set_scope_id(given.scope_id());
        }
        if to.port() == 0 {
            to.set_port(DISCARD_PORT);
        }
        let socket = Socket::new(Domain::for_address(to), Type::DGRAM, None)?;
        if let Some(device) = &self.device {
            socket.bind_device(Some(device.as_bytes()))?;
        }
        if !self.local.is_unspecified() {
            socket.bind(&SockAddr::from(SocketAddr::new(self.local, 0)))?;
        }
        socket.connect(&SockAddr::from(to))?;
        let source = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?.ip();
        let (level, name) =
            if to.is_ipv4() { (libc::IPPROTO_IP, libc::IP_MTU) } else { (libc::IPPROTO_IPV6, libc::IPV6_MTU) };
        let mtu = usize::try_from(syscall::option(&socket, level, name)?).unwrap_or_default();
        Ok(Path { source, mtu })
    }

    /// What can go to `destination` in one piece.
    pub(crate) fn payload_len_max(&self, destination: SocketAddr) -> usize {
        let is_v4 = destination.ip().to_canonical().is_ipv4();
        let (ip_header_len, mtu_min) = if is_v4 { (20, 576) } else { (40, 1280) };
        let mtu = self.path(destination).map_or(mtu_min, |path| path.mtu);
        // The length of IPv4 counts its header, that of IPv6 does not.
        let room = if is_v4 {
            mtu.min(PACKET_LEN_MAX).saturating_sub(ip_header_len)
        } else {
            mtu.saturating_sub(ip_header_len).min(PACKET_LEN_MAX)
        };
        room.saturating_sub(self.header_len)
    }
}
