//! What the carriers on Linux sockets share: waiting for a socket, its error queue, sending, asking for a path.

mod control;
mod path;
#[cfg(feature = "raw-ip")]
pub(crate) mod raw;
mod receive;
mod report;
mod syscall;
#[cfg(feature = "udp")]
pub(crate) mod udp;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::Socket;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use wirekit::datagram::{ERROR_COUNT_MAX, Outgoing, PathError, PathErrorKind, ReceiveBatch, SendError};

pub(crate) use path::Probe;

/// How often one call asks the socket before it gives up its turn: what comes may all have to be dropped.
const ROUND_COUNT_MAX: usize = 16;
/// How often a send is tried again because ICMP about another destination came between.
const SEND_TRY_COUNT: usize = 4;
/// How a receive ended: whether the socket was found empty.
pub(crate) type IsDrained = bool;

/// Asks for a receive buffer of `len` octets: past the system's limit where this process has `CAP_NET_ADMIN`, up to it
/// otherwise.
pub(crate) fn set_receive_buffer_len(socket: &Socket, len: usize) -> io::Result<()> {
    match rustix::net::sockopt::set_socket_recv_buffer_size_force(socket, len) {
        Ok(()) => Ok(()),
        Err(_not_privileged) => socket.set_recv_buffer_size(len),
    }
}

/// A socket that the runtime watches.
///
/// It is watched for reading alone. After an ICMP error the runtime would take a socket for closed for writing for
/// good, so who waits to write gets a registration of its own; and a socket not watched for writing makes no event for
/// each datagram that has left.
#[derive(Debug)]
pub(crate) struct EventSocket {
    watched: AsyncFd<Socket>,
    writing: Mutex<Option<AsyncFd<OwnedFd>>>,
    /// Reports that the one who waits to write had to take off the error queue; at most [`ERROR_COUNT_MAX`].
    reports: Mutex<VecDeque<PathError>>,
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
        Ok(Self { watched, writing: Mutex::new(None), reports: Mutex::default(), on_v6 })
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
                    // A call that gave less than asked for may have met a pending error instead of the end.
                    if is_drained && !self.has_reports() {
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

    /// Whether the runtime saw an event of errors that nobody has dealt with.
    fn has_reports(&self) -> bool {
        self.watched.try_io(Interest::ERROR, |_| Ok(())).is_ok()
    }

    /// Moves reports to `batch`. Costs a load where the runtime saw no event of errors.
    fn take_reports(&self, batch: &mut ReceiveBatch) {
        // `WouldBlock` from inside says that no more are there, and the runtime then forgets the event.
        let result = self.watched.try_io(Interest::ERROR, |socket| {
            let has_room = |batch: &ReceiveBatch| batch.errors().len() < ERROR_COUNT_MAX;
            let mut reports = locked(&self.reports);
            while has_room(batch)
                && let Some(report) = reports.pop_front()
            {
                batch.push_error(report);
            }
            if !has_room(batch) {
                return Ok(());
            }
            report::take(socket.as_fd(), |report| batch.push_error(report) && has_room(batch))
        });
        log_unexpected(result);
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
                // Fewer than asked for: the next round tells whether that was a full buffer, a bad datagram, or only
                // ICMP about another one.
                Ok(count) => sent += count,
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
        let mut writing = locked(&self.writing);
        for _ in 0..ROUND_COUNT_MAX {
            let watched = match &mut *writing {
                Some(watched) => watched,
                none => none.insert(syscall::watch(self.socket().as_fd().try_clone_to_owned()?, Interest::WRITABLE)?),
            };
            let result = ready!(watched.poll_write_ready(cx)).map(|_| ());
            *writing = None;
            if result.is_err() || is_writable(self.socket()) {
                return Poll::Ready(result);
            }
            // It was an event of errors, and would be one again and again until the queue is empty. The reading task is
            // woken for the same event, and finds here what is taken away from under it.
            let mut reports = locked(&self.reports);
            let taken = report::take(self.socket().as_fd(), |report| {
                if reports.len() < ERROR_COUNT_MAX {
                    reports.push_back(report);
                }
                true
            });
            drop(reports);
            log_unexpected(taken);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn log_unexpected(result: io::Result<()>) {
    if let Err(error) = result
        && error.kind() != io::ErrorKind::WouldBlock
    {
        tracing::debug!(%error, "error queue of a socket");
    }
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
