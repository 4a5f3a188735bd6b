//! What the carriers on Linux sockets share: waiting for a socket, its error queue, sending, asking for a path.

mod control;
mod path;
mod raw;
mod report;
mod syscall;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::Socket;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use wirekit::datagram::{Outgoing, PathErrorKind, ReceiveBatch, SendError};

use control::is_group;
pub(crate) use path::Probe;

/// How often one call asks the socket before it gives up its turn: what comes may all have to be dropped.
const ROUND_COUNT_MAX: usize = 16;
/// How often a send is tried again because ICMP about another destination came between.
const SEND_TRY_COUNT: usize = 4;
/// Datagrams that the first call of a receive asks for. One more than one: the same call then also shows that no more is
/// there, and saves a second one.
const EXPECTED_COUNT_MIN: usize = 2;

/// How a receive ended: whether the socket was found empty.
pub(crate) type IsDrained = bool;

/// A socket that the runtime watches.
///
/// It is watched for reading alone. After an ICMP error the runtime would take a socket for closed for writing for
/// good, so who waits to write gets a registration of its own; and a socket not watched for writing makes no event for
/// each datagram that has left.
#[derive(Debug)]
pub(crate) struct EventSocket {
    watched: AsyncFd<Socket>,
    writing: Mutex<Option<AsyncFd<OwnedFd>>>,
    on_v6: bool,
}

impl EventSocket {
    /// Makes `socket` non-blocking, has ICMP errors queued, and lets the runtime of this task watch it. `dual` where an
    /// IPv6 socket also takes IPv4.
    pub(crate) fn new(socket: Socket, on_v6: bool, dual: bool) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        if on_v6 {
            syscall::set_option(&socket, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1)?;
            syscall::set_option(&socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DO)?;
        }
        if !on_v6 || dual {
            syscall::set_option(&socket, libc::IPPROTO_IP, libc::IP_RECVERR, 1)?;
            syscall::set_option(&socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DO)?;
        }
        // A report in the error queue shows as priority data, for which the reading task is woken.
        syscall::set_option(&socket, libc::SOL_SOCKET, libc::SO_SELECT_ERR_QUEUE, 1)?;
        let watched = syscall::watch(socket, Interest::READABLE | Interest::PRIORITY)?;
        Ok(Self { watched, writing: Mutex::new(None), on_v6 })
    }

    pub(crate) fn socket(&self) -> &Socket {
        self.watched.get_ref()
    }

    /// See `DatagramSocket::poll_receive`; `receive` adds to the batch what it finds.
    pub(crate) fn poll_receive(
        &self,
        cx: &mut Context<'_>,
        batch: &mut ReceiveBatch,
        mut receive: impl FnMut(&Socket, &mut ReceiveBatch) -> io::Result<IsDrained>,
    ) -> Poll<io::Result<()>> {
        batch.clear();
        let dropped = batch.dropped();
        for _ in 0..ROUND_COUNT_MAX {
            self.take_reports(batch);
            if !batch.errors().is_empty() {
                return Poll::Ready(Ok(()));
            }
            let mut ready = ready!(self.watched.poll_read_ready(cx))?;
            match receive(self.socket(), batch) {
                Ok(is_drained) => {
                    if is_drained {
                        ready.clear_ready();
                    }
                    if !batch.is_empty() || batch.dropped() != dropped {
                        return Poll::Ready(Ok(()));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                // ICMP about some destination; the queue has the whole of it.
                Err(error) if path_error(&error).is_some() => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// See `DatagramSocket::try_receive`.
    pub(crate) fn try_receive(
        &self,
        batch: &mut ReceiveBatch,
        mut receive: impl FnMut(&Socket, &mut ReceiveBatch) -> io::Result<IsDrained>,
    ) -> io::Result<usize> {
        batch.clear();
        self.take_reports(batch);
        for _ in 0..ROUND_COUNT_MAX {
            match receive(self.socket(), batch) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if path_error(&error).is_none() => return Err(error),
                Ok(_) if !batch.is_empty() => break,
                _ => {}
            }
        }
        match batch.len().saturating_add(batch.errors().len()) {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }

    /// Moves reports from the error queue to `batch`. Costs a load where the runtime saw no event of errors.
    fn take_reports(&self, batch: &mut ReceiveBatch) {
        // `WouldBlock` from inside says that the queue is empty, and the runtime then forgets the event.
        let result = self.watched.try_io(Interest::ERROR, |socket| report::take(socket.as_fd(), batch));
        if let Err(error) = result
            && error.kind() != io::ErrorKind::WouldBlock
        {
            tracing::debug!(%error, "error queue of a socket");
        }
    }

    /// See `DatagramSocket::try_send`. `path` tells what goes to a destination, for an error.
    pub(crate) fn try_send(
        &self,
        datagrams: &[Outgoing<'_>],
        payload_len_max: impl FnOnce(SocketAddr) -> Option<usize>,
    ) -> Result<usize, SendError> {
        let mut sent = 0;
        while let Some(rest) = datagrams.get(sent..)
            && let Some(first) = rest.first()
        {
            match self.send_some(rest) {
                Ok(count) => {
                    sent += count;
                    if count < rest.len().min(syscall::CALL_COUNT_MAX) {
                        break;
                    }
                }
                Err(_) if sent > 0 => break,
                Err(error) => return Err(self.send_error(error, || payload_len_max(first.destination))),
            }
        }
        Ok(sent)
    }

    fn send_some(&self, datagrams: &[Outgoing<'_>]) -> io::Result<usize> {
        let mut result = syscall::send(syscall::fd(&self.watched), datagrams, self.on_v6);
        for _ in 1..SEND_TRY_COUNT {
            match &result {
                // The system gives what ICMP said about an earlier datagram to whichever call comes next, once.
                Err(error) if path_error(error).is_some() => {
                    result = syscall::send(syscall::fd(&self.watched), datagrams, self.on_v6);
                }
                _ => break,
            }
        }
        result
    }

    fn send_error(&self, error: io::Error, payload_len_max: impl FnOnce() -> Option<usize>) -> SendError {
        if error.kind() == io::ErrorKind::WouldBlock {
            return SendError::WouldBlock;
        }
        if matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::ENOMEM)) {
            // On raw sockets the system says the same of the socket's own buffer, which has an event when it is over.
            return if is_writable(self.socket()) { SendError::NoBuffers } else { SendError::WouldBlock };
        }
        match path_error(&error) {
            Some(PathErrorKind::TooLong { .. }) => SendError::TooLong { payload_len_max: payload_len_max() },
            Some(kind) => SendError::Path(kind),
            None => SendError::Io(error),
        }
    }

    /// See `DatagramSocket::poll_send_ready`.
    pub(crate) fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let watched = match &mut *writing {
            Some(watched) => watched,
            none => none.insert(syscall::watch(self.socket().as_fd().try_clone_to_owned()?, Interest::WRITABLE)?),
        };
        let result = ready!(watched.poll_write_ready(cx)).map(|_| ());
        *writing = None;
        Poll::Ready(result)
    }
}

/// Buffers, at most what the system allows.
pub(crate) fn set_buffers(socket: &Socket, receive_len: Option<usize>, send_len: Option<usize>) -> io::Result<()> {
    if let Some(len) = receive_len {
        socket.set_recv_buffer_size(len)?;
    }
    if let Some(len) = send_len {
        socket.set_send_buffer_size(len)?;
    }
    Ok(())
}

/// What an error of the system says of a path; `None` where it says nothing of one.
pub(crate) fn path_error(error: &io::Error) -> Option<PathErrorKind> {
    Some(match error.raw_os_error()? {
        libc::ENOPROTOOPT => PathErrorKind::ProtocolUnreachable,
        libc::ECONNREFUSED => PathErrorKind::PortUnreachable,
        libc::EHOSTUNREACH | libc::EHOSTDOWN => PathErrorKind::HostUnreachable,
        libc::ENETUNREACH | libc::ENONET => PathErrorKind::NetworkUnreachable,
        libc::EACCES | libc::EPERM => PathErrorKind::Prohibited,
        libc::EMSGSIZE => PathErrorKind::TooLong { mtu: 0 },
        libc::EPROTO | libc::EOPNOTSUPP => PathErrorKind::Other,
        _ => return None,
    })
}

/// Whether the send buffer has room; a failure to ask is none to send.
fn is_writable(socket: &Socket) -> bool {
    let mut asked = [PollFd::new(socket, PollFlags::OUT)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut asked, Some(&at_once)).is_err() || asked.iter().any(|asked| asked.revents().contains(PollFlags::OUT))
}

/// Whether an answer to `source` could reach a single host.
pub(crate) fn is_answerable(source: SocketAddr, has_ports: bool) -> bool {
    !is_group(source.ip()) && (!has_ports || source.port() != 0)
}

/// Options of a raw socket of IPv6 (`on_v6`) or IPv4 besides those of every socket.
pub(crate) fn set_raw_options(socket: &Socket, on_v6: bool) -> io::Result<()> {
    if !on_v6 {
        return syscall::set_option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1);
    }
    syscall::set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
    // No checksum by the kernel. It refuses that for ICMPv6 alone, whose checksum is the kernel's.
    match syscall::set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_CHECKSUM, -1) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
        result => result,
    }
}

/// How many datagrams to ask for: few where few came last time, so that a single one costs little; many in a flood.
pub(crate) fn next_expected(got: usize) -> usize {
    got.saturating_mul(2).clamp(EXPECTED_COUNT_MIN, syscall::CALL_COUNT_MAX)
}

/// Receives on a raw socket of IPv4 or IPv6: as much as waits and has room, beginning with a call for `expected`.
/// Gives how many came, and whether no more waits.
pub(crate) fn receive_raw(
    socket: &Socket,
    batch: &mut ReceiveBatch,
    expected: usize,
    on_v6: bool,
) -> io::Result<(usize, IsDrained)> {
    let slot_count = batch.room().len() / batch.slot_len();
    let each = if on_v6 { raw::take_v6 } else { raw::take_v4 };
    let mut first = 0;
    let mut ask = expected;
    while first < slot_count {
        let fd = socket.as_fd();
        let (asked, result) = match ask {
            0..=2 => (2, syscall::receive::<2>(fd, batch, first, each)),
            3..=8 => (8, syscall::receive::<8>(fd, batch, first, each)),
            _ => (syscall::CALL_COUNT_MAX, syscall::receive::<{ syscall::CALL_COUNT_MAX }>(fd, batch, first, each)),
        };
        match result {
            Ok(count) => {
                let had_room = slot_count - first >= asked;
                first += count;
                if count < asked {
                    return Ok((first, had_room || first < slot_count));
                }
                ask = ask.saturating_mul(4);
            }
            Err(error) if first > 0 => return Ok((first, error.kind() == io::ErrorKind::WouldBlock)),
            Err(error) => return Err(error),
        }
    }
    Ok((first, false))
}
