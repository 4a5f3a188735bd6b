//! The socket on systems other than Linux: no error queue, no mtu of a path.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket as StdUdpSocket};
use std::task::{Context, Poll, ready};

use socket2::Socket as BareSocket;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use wirekit::datagram::{Outgoing, ReceiveBatch, SendError};

/// What IPv4 and IPv6 take without a word about the path: what every IPv6 link must take, and it goes for IPv4 nearly
/// everywhere.
const MTU_ASSUMED: usize = 1280;
/// How often one call asks the socket before it gives up its turn.
const ROUND_COUNT_MAX: usize = 16;

#[derive(Debug)]
pub(super) struct EventSocket {
    socket: UdpSocket,
}

impl EventSocket {
    pub(super) fn new(socket: BareSocket, _on_v6: bool, _dual: bool) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { socket: UdpSocket::from_std(StdUdpSocket::from(socket))? })
    }

    pub(super) fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    pub(super) fn poll_receive(
        &self,
        cx: &mut Context<'_>,
        batch: &mut ReceiveBatch,
        mut receive: impl FnMut(&UdpSocket, &mut ReceiveBatch) -> io::Result<()>,
    ) -> Poll<io::Result<()>> {
        let dropped = batch.dropped();
        for _ in 0..ROUND_COUNT_MAX {
            ready!(self.socket.poll_recv_ready(cx))?;
            match self.try_receive(batch, &mut receive) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Poll::Ready(Err(error)),
                _ if !batch.is_empty() || batch.dropped() != dropped => return Poll::Ready(Ok(())),
                _ => {}
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    pub(super) fn try_receive(
        &self,
        batch: &mut ReceiveBatch,
        mut receive: impl FnMut(&UdpSocket, &mut ReceiveBatch) -> io::Result<()>,
    ) -> io::Result<usize> {
        batch.clear();
        match self.socket.try_io(Interest::READABLE, || receive(&self.socket, batch)) {
            Ok(()) => Ok(batch.len()),
            // Windows says here that an earlier datagram found no port, and not of which destination.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(0),
            Err(error) => Err(error),
        }
    }

    pub(super) fn try_send(
        &self,
        datagrams: &[Outgoing<'_>],
        payload_len_max: impl FnOnce(SocketAddr) -> Option<usize>,
        send: impl Fn(&Outgoing<'_>) -> io::Result<()>,
    ) -> Result<usize, SendError> {
        for (index, datagram) in datagrams.iter().enumerate() {
            match self.socket.try_io(Interest::WRITABLE, || send(datagram)) {
                Ok(()) => {}
                Err(_) if index > 0 => return Ok(index),
                Err(error) => return Err(send_error(error, || payload_len_max(datagram.destination))),
            }
        }
        Ok(datagrams.len())
    }

    pub(super) fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_send_ready(cx)
    }
}

fn send_error(error: io::Error, payload_len_max: impl FnOnce() -> Option<usize>) -> SendError {
    use wirekit::datagram::PathErrorKind;
    // ENOBUFS of the systems with BSD sockets, and of Windows.
    const NO_BUFFERS: i32 = if cfg!(windows) { 10_055 } else { 55 };
    const TOO_LONG: i32 = if cfg!(windows) { 10_040 } else { 40 };
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::WouldBlock, _) => SendError::WouldBlock,
        (_, Some(NO_BUFFERS)) => SendError::NoBuffers,
        (_, Some(TOO_LONG)) => SendError::TooLong { payload_len_max: payload_len_max() },
        (io::ErrorKind::HostUnreachable, _) => SendError::Path(PathErrorKind::HostUnreachable),
        (io::ErrorKind::NetworkUnreachable, _) => SendError::Path(PathErrorKind::NetworkUnreachable),
        (io::ErrorKind::PermissionDenied, _) => SendError::Path(PathErrorKind::Prohibited),
        (io::ErrorKind::ConnectionRefused, _) => SendError::Path(PathErrorKind::PortUnreachable),
        _ => SendError::Io(error),
    }
}

/// The way to a destination.
pub(super) struct Path {
    pub(super) source: IpAddr,
}

#[derive(Clone, Debug)]
pub(super) struct Probe {
    pub(super) local: IpAddr,
    pub(super) header_len: usize,
}

impl Probe {
    pub(super) fn path(&self, destination: SocketAddr) -> io::Result<Path> {
        let any: IpAddr = if destination.is_ipv4() { [0; 4].into() } else { [0u16; 8].into() };
        let local = if self.local.is_unspecified() { any } else { self.local };
        let socket = StdUdpSocket::bind((local, 0))?;
        socket.connect(destination)?;
        Ok(Path { source: socket.local_addr()?.ip() })
    }

    pub(super) fn payload_len_max(&self, destination: SocketAddr) -> usize {
        let ip_header_len = if destination.is_ipv4() { 20 } else { 40 };
        MTU_ASSUMED - ip_header_len - self.header_len
    }
}
