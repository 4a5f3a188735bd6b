//! Raw IP: datagrams directly in IPv4 or IPv6 packets of a protocol number, without ports. Linux only.
//!
//! A raw socket needs a privilege, `CAP_NET_RAW`; [`available`] tells whether this process has it, and the error of
//! [`Config::open`] how to get it. Open first, then [`drop_privileges`], then build the runtime:
//!
//! ```standalone_crate
//! use postroad_transport::{ErrorKind, raw};
//! use wirekit::datagram::{DatagramSocket as _, Outgoing};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! if let Err(error) = raw::available() {
//!     println!("{error}");
//!     return Ok(());
//! }
//! let opened = raw::Config::new(121).with_address("127.0.0.1".parse()?).open()?;
//! raw::drop_privileges()?;
//! assert_eq!(raw::available().unwrap_err().kind(), ErrorKind::Privilege);
//!
//! let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
//! runtime.block_on(async {
//!     let socket = opened.start()?;
//!     socket.try_send(&[Outgoing::new(socket.local_addr(), b"to myself")])?;
//!     let mut batch = socket.receive_batch(1, 100);
//!     std::future::poll_fn(|cx| socket.poll_receive(cx, &mut batch)).await?;
//!     assert_eq!(batch.get(0).unwrap().payload, b"to myself");
//!     Ok(())
//! })
//! # }
//! ```
//!
//! What it does with packets:
//!
//! - Out: "do not fragment" is set always; a datagram longer than the path takes is [`SendError::TooLong`]. Source
//!   address and class of service are each datagram's own. No checksum is put in, that is the protocol's.
//! - In: the IP header with its options is taken off; fragments come put together by the system. Datagrams to broadcast
//!   and multicast addresses, or from addresses that cannot be answered, are dropped and counted.
//! - ICMP errors come as path errors with the destination that failed, at once.
//!
//! All sockets of a protocol number on one host get all its packets that their address matches, those of other programs
//! too: bind each to an address of its own. While one is open, the host no longer answers "protocol unreachable".

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll};

use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};
use socket2::{Domain, Protocol, SockAddr, Socket as BareSocket, Type};
use wirekit::datagram::{DatagramSocket, Outgoing, ReceiveBatch, SendError};

use crate::error::{CarrierError, ErrorKind};
use crate::sockets::raw::Receiver;
use crate::sockets::{self, EventSocket, Probe};

/// A protocol number for experiments (RFC 3692), asked for by [`available`].
const EXPERIMENTAL: u8 = 253;

/// Whether this process may open raw sockets: opens one and closes it.
///
/// # Errors
/// `Privilege` where it may not, with the ways to get there; `Io` where the system has none.
pub fn available() -> Result<(), CarrierError> {
    bare_socket(Domain::IPV4, EXPERIMENTAL).map(drop)
}

/// Gives up all capabilities of this process for good, raw sockets included; what is open stays open. The user id is
/// kept, so files of that user stay open to it, and no program that it starts gets capabilities back.
///
/// # Errors
/// `Config` where other threads run already, since each thread has capabilities of its own: call it before the runtime
/// is built. `Io` if the system refuses.
pub fn drop_privileges() -> Result<(), CarrierError> {
    const ACTION: &str = "drop privileges";
    let threads = fs::read_dir("/proc/self/task").map_err(|error| CarrierError::io(ACTION, error))?.count();
    if threads != 1 {
        let cause = format!("{threads} threads run, and each would have to do it itself");
        return Err(CarrierError::new(ErrorKind::Config, ACTION, cause)
            .remedy_is("open the sockets and drop privileges before the runtime is built"));
    }
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_no_new_privs(true)
        .and_then(|()| set_capabilities(None, none))
        .map_err(|error| CarrierError::io(ACTION, error.into()))
}

/// Settings of a raw socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    protocol: u8,
    address: IpAddr,
    device: Option<String>,
    receive_buffer_len: Option<usize>,
    send_buffer_len: Option<usize>,
}

impl Config {
    /// A socket for the IP protocol number `protocol` (1 to 254), at all IPv4 addresses of the host.
    #[must_use]
    pub const fn new(protocol: u8) -> Self {
        Self {
            protocol,
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            device: None,
            receive_buffer_len: None,
            send_buffer_len: None,
        }
    }

    /// The local address, which also decides between IPv4 and IPv6; all zero for all addresses of that family. Default
    /// `0.0.0.0`.
    #[must_use]
    pub const fn with_address(mut self, address: IpAddr) -> Self {
        self.address = address;
        self
    }

    /// The one network interface to send and receive by ("eth0"). Default: any.
    #[must_use]
    pub fn with_device(mut self, device: Option<&str>) -> Self {
        self.device = device.map(str::to_owned);
        self
    }

    /// Memory for datagrams that wait to be received, in octets as the kernel counts (a small datagram takes some
    /// hundred). Without `CAP_NET_ADMIN` the system gives at most `net.core.rmem_max`. Default: the system's, often 208 KiB.
    #[must_use]
    pub const fn with_receive_buffer_len(mut self, len: Option<usize>) -> Self {
        self.receive_buffer_len = len;
        self
    }

    /// Memory for datagrams that wait to leave, at most `net.core.wmem_max`. Default: the system's.
    #[must_use]
    pub const fn with_send_buffer_len(mut self, len: Option<usize>) -> Self {
        self.send_buffer_len = len;
        self
    }

    /// Opens and binds the socket. Needs the privilege, and no runtime.
    ///
    /// # Errors
    /// `Privilege` without `CAP_NET_RAW`, `Config` for a protocol number of 0 or 255 or a name that is no interface, `Io`
    /// where the address is none of this host or the system refuses.
    pub fn open(&self) -> Result<Opened, CarrierError> {
        if matches!(self.protocol, 0 | 255) {
            let cause = format!("protocol number {} carries no datagrams", self.protocol);
            return Err(CarrierError::new(ErrorKind::Config, "open a raw socket", cause)
                .remedy_is("use a number from 1 to 254; the Simple Messaging Protocol has 121"));
        }
        let on_v6 = self.address.is_ipv6();
        let socket = bare_socket(if on_v6 { Domain::IPV6 } else { Domain::IPV4 }, self.protocol)?;
        if let Some(device) = &self.device {
            socket.bind_device(Some(device.as_bytes())).map_err(|error| {
                CarrierError::new(ErrorKind::Config, "bind a raw socket to", error.to_string())
                    .at(device)
                    .remedy_is("use the name of an interface of this host, as `ip link` lists them")
                    .caused_by(error)
            })?;
        }
        self.set_options(&socket).map_err(|error| CarrierError::io("set options of a raw socket", error))?;
        let address = SocketAddr::new(self.address, 0);
        socket.bind(&SockAddr::from(address)).map_err(|error| {
            CarrierError::io("bind a raw socket to", error).at(self.address).remedy_is("use an address of this host")
        })?;
        let probe = Probe { local: self.address, device: self.device.clone(), header_len: 0 };
        Ok(Opened { socket, address, probe })
    }

    fn set_options(&self, socket: &BareSocket) -> io::Result<()> {
        if let Some(len) = self.receive_buffer_len {
            sockets::set_receive_buffer_len(socket, len)?;
        }
        if let Some(len) = self.send_buffer_len {
            socket.set_send_buffer_size(len)?;
        }
        sockets::raw::set_options(socket, self.address)
    }
}

fn bare_socket(domain: Domain, protocol: u8) -> Result<BareSocket, CarrierError> {
    BareSocket::new(domain, Type::RAW, Some(Protocol::from(i32::from(protocol)))).map_err(|error| {
        if error.kind() != io::ErrorKind::PermissionDenied {
            return CarrierError::io("open a raw socket", error);
        }
        let program = std::env::current_exe().map_or_else(|_| "FILE".to_owned(), |path| path.display().to_string());
        CarrierError::new(ErrorKind::Privilege, "open a raw socket", "this process has no CAP_NET_RAW")
            .remedy_is(format!(
                "grant it once with `sudo setcap cap_net_raw+ep {program}`, or run as root, or try it in a network of \
                 its own with `unshare -rn`; over UDP no privilege is needed"
            ))
            .caused_by(error)
    })
}

/// An open raw socket that no runtime watches yet.
#[derive(Debug)]
pub struct Opened {
    socket: BareSocket,
    address: SocketAddr,
    probe: Probe,
}

impl Opened {
    /// The socket, watched by the runtime of this task. Needs no privilege.
    ///
    /// # Errors
    /// `Io` if the system refuses.
    ///
    /// # Panics
    /// Outside a tokio runtime, or where its I/O is not enabled.
    pub fn start(self) -> Result<Socket, CarrierError> {
        let on_v6 = self.address.is_ipv6();
        let events = EventSocket::new(self.socket, on_v6, false)
            .map_err(|error| CarrierError::io("watch a raw socket", error))?;
        let receiver = Receiver::new(self.address.ip());
        Ok(Socket { events, address: self.address, probe: self.probe, receiver, expected: AtomicUsize::new(0) })
    }
}

/// A raw socket of one protocol number and one IP version.
///
/// Addresses have port 0. Wants no more than one datagram socket has to: `try_send` from any task, one task receives.
#[derive(Debug)]
pub struct Socket {
    events: EventSocket,
    address: SocketAddr,
    probe: Probe,
    receiver: Receiver,
    /// How many datagrams the last receive gave.
    expected: AtomicUsize,
}

impl Socket {
    /// The memory for datagrams that wait to be received, as the system granted it (Linux doubles what was asked for).
    ///
    /// # Errors
    /// `Io` if the system refuses.
    pub fn receive_buffer_len(&self) -> Result<usize, CarrierError> {
        self.events.socket().recv_buffer_size().map_err(|error| CarrierError::io("read options of a raw socket", error))
    }
}

impl DatagramSocket for Socket {
    fn poll_receive(&self, cx: &mut Context<'_>, batch: &mut ReceiveBatch) -> Poll<io::Result<()>> {
        self.events.poll_receive(cx, batch, |socket, batch| self.receiver.receive(socket, batch, &self.expected))
    }

    fn try_receive(&self, batch: &mut ReceiveBatch) -> io::Result<usize> {
        self.events.try_receive(batch, |socket, batch| self.receiver.receive(socket, batch, &self.expected))
    }

    fn try_send(&self, datagrams: &[Outgoing<'_>]) -> Result<usize, SendError> {
        self.events.try_send(datagrams, |destination| Some(self.probe.payload_len_max(destination)))
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.events.poll_send_ready(cx)
    }

    fn source_for(&self, destination: SocketAddr) -> io::Result<IpAddr> {
        self.probe.path(destination).map(|path| path.source)
    }

    fn payload_len_max(&self, destination: SocketAddr) -> usize {
        self.probe.payload_len_max(destination)
    }

    fn local_addr(&self) -> SocketAddr {
        self.address
    }

    fn is_ip(&self) -> bool {
        true
    }
}
