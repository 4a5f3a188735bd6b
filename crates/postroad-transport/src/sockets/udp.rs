//! What is peculiar to UDP sockets: options, and messages that the system joined of several datagrams.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::AtomicUsize;

use socket2::Socket;
use wirekit::datagram::{DropReason, ReceiveBatch};

use super::IsDrained;
use super::control;
use super::receive;
use super::syscall::{self, Came};
use crate::udp::Message;

/// Options of a UDP socket bound to `local`, after those that quinn-udp sets. What is not used costs time with each datagram:
/// time stamps, classes of what comes, where it was sent to if that is no question; and nothing is joined where `joins`
/// is not set.
pub(crate) fn set_options(socket: &Socket, local: IpAddr, joins: bool) -> io::Result<()> {
    let is_bound = !local.is_unspecified();
    syscall::set_option(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 0)?;
    syscall::set_option(socket, libc::IPPROTO_IP, libc::IP_RECVTOS, 0)?;
    if local.is_ipv6() {
        syscall::set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS, 0)?;
        syscall::set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, i32::from(!is_bound))?;
    } else {
        syscall::set_option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, i32::from(!is_bound))?;
    }
    if joins { Ok(()) } else { syscall::set_option(socket, libc::SOL_UDP, libc::UDP_GRO, 0) }
}

/// What a receive has to know of the socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Receiver {
    /// Where the socket is bound, if at one address; it then gets nothing that was sent to another.
    bound: Option<IpAddr>,
    joins: bool,
}

impl Receiver {
    pub(crate) fn new(local: IpAddr, joins: bool) -> Self {
        Self { bound: (!local.is_unspecified()).then_some(local), joins }
    }

    /// See [`receive::receive`].
    pub(crate) fn receive(
        self,
        socket: &Socket,
        batch: &mut ReceiveBatch,
        expected: &AtomicUsize,
    ) -> io::Result<IsDrained> {
        let with_control = self.joins || self.bound.is_none();
        receive::receive(socket, batch, expected, with_control, |batch, came| self.take(batch, came))
    }

    fn take(self, batch: &mut ReceiveBatch, came: &Came<'_>) {
        let Some(source) = control::address(came.name) else { return batch.drop_one(DropReason::Malformed) };
        let target = if self.bound.is_some() { None } else { control::target(came.control) };
        if target.is_some_and(|target| !target.is_own) {
            return batch.drop_one(DropReason::NotUnicast);
        }
        let message = Message {
            source,
            destination: self.bound.or_else(|| target.map(|target| target.ip)),
            start: came.start,
            len: came.len,
            datagram_len: control::joined_len(came.control).unwrap_or(came.len),
            is_truncated: came.is_truncated,
        };
        message.take_apart(batch);
    }
}
