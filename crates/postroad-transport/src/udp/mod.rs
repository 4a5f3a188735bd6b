//! Datagrams over UDP, IPv4, IPv6 or both on one socket.
//!
//! ```
//! use postroad_transport::udp;
//! use wirekit::datagram::{DatagramSocket as _, Outgoing};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let a = udp::Config::new("127.0.0.1:0".parse()?).open()?.start()?;
//! let b = udp::Config::new("127.0.0.1:0".parse()?).open()?.start()?;
//! a.try_send(&[Outgoing::new(b.local_addr(), b"hello")])?;
//! let mut batch = b.receive_batch(32, 1472);
//! std::future::poll_fn(|cx| b.poll_receive(cx, &mut batch)).await?;
//! assert_eq!(batch.get(0).unwrap().payload, b"hello");
//! # Ok(())
//! # }
//! ```
//!
//! On Linux datagrams in a row with the same destination, source and length leave as one (segmentation offload), those that
//! arrive so are taken apart here, and ICMP errors come as path errors with the destination that failed. Elsewhere
//! there are no path errors, the class of service of a datagram is ignored, and the mtu of a path is not known.
//!
//! Datagrams to broadcast and multicast addresses, and from addresses or ports that cannot be answered, are dropped and
//! counted. On systems other than Linux broadcasts to a subnet are not told apart; bind to an address to get none.

mod joined;
mod message;
#[cfg(not(target_os = "linux"))]
mod portable;
#[cfg(not(target_os = "linux"))]
mod taken;

use std::io;
use std::net::{IpAddr, SocketAddr};
#[cfg(target_os = "linux")]
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll};

use quinn_udp::{UdpSockRef, UdpSocketState};
use socket2::{Domain, SockAddr, Socket as BareSocket, Type};
use wirekit::datagram::{DatagramSocket, Outgoing, ReceiveBatch, SendError};

use crate::error::{CarrierError, ErrorKind};
#[cfg(target_os = "linux")]
use crate::sockets::{EventSocket, Probe, udp::Receiver};
#[cfg(not(target_os = "linux"))]
use portable::{EventSocket, Probe};

pub(crate) use message::Message;

/// The header of UDP.
const HEADER_LEN: usize = 8;
/// Room for what the system joins on receipt.
const JOINED_SLOT_LEN: usize = 65_536;
/// Slots of a batch at most where the system joins datagrams; each can have up to 64 of them.
const JOINED_SLOT_COUNT_MAX: usize = 64;

/// Settings of a UDP socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    address: SocketAddr,
    dual_stack: bool,
    offload: bool,
    receive_buffer_len: Option<usize>,
    send_buffer_len: Option<usize>,
    #[cfg(target_os = "linux")]
    device: Option<String>,
}

impl Config {
    /// A socket bound to `address`; port 0 takes a free one, an address of all zero is every address of the host.
    #[must_use]
    pub const fn new(address: SocketAddr) -> Self {
        Self {
            address,
            dual_stack: false,
            offload: true,
            receive_buffer_len: None,
            send_buffer_len: None,
            #[cfg(target_os = "linux")]
            device: None,
        }
    }

    /// Whether a socket bound to `[::]` takes IPv4 too. IPv4 addresses stay IPv4 addresses for the caller. Default `false`.
    #[must_use]
    pub const fn with_dual_stack(mut self, dual_stack: bool) -> Self {
        self.dual_stack = dual_stack;
        self
    }

    /// Whether datagrams are joined on their way through the system where it can (GSO and GRO). Default `true`. With it a
    /// receive batch reserves 64 KiB for each datagram asked for, of which only what is used is given memory.
    #[must_use]
    pub const fn with_offload(mut self, offload: bool) -> Self {
        self.offload = offload;
        self
    }

    /// Memory for datagrams that wait to be received, in octets as the kernel counts (a small datagram takes some
    /// hundred). Without `CAP_NET_ADMIN` the system gives at most its own
    /// limit (`net.core.rmem_max`). Default: the system's.
    #[must_use]
    pub const fn with_receive_buffer_len(mut self, len: Option<usize>) -> Self {
        self.receive_buffer_len = len;
        self
    }

    /// Memory for datagrams that wait to leave, at most the system's limit (`net.core.wmem_max`). Default: the system's.
    #[must_use]
    pub const fn with_send_buffer_len(mut self, len: Option<usize>) -> Self {
        self.send_buffer_len = len;
        self
    }

    /// The one network interface to send and receive by ("eth0"). Default: any. Linux only.
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn with_device(mut self, device: Option<&str>) -> Self {
        self.device = device.map(str::to_owned);
        self
    }

    /// Opens and binds the socket. Needs no runtime.
    ///
    /// # Errors
    /// `AddressInUse` where another program has the port; `Config` where `dual_stack` is set on an address other than
    /// `[::]`; `Privilege` where the port is kept for privileged programs; `Io` where the address is none of this host or
    /// the system refuses.
    pub fn open(&self) -> Result<Opened, CarrierError> {
        let opening = || format!("{}", self.address);
        if self.dual_stack && !(self.address.is_ipv6() && self.address.ip().is_unspecified()) {
            let cause = "only a socket at [::] can take both IP versions";
            return Err(CarrierError::new(ErrorKind::Config, "bind UDP to", cause)
                .at(opening())
                .remedy_is("bind to [::], or leave dual stack off"));
        }
        let (socket, state) = self.bare().map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => {
                CarrierError::new(ErrorKind::Privilege, "bind UDP to", error.to_string())
                    .at(opening())
                    .remedy_is("use a port above 1023, or run with CAP_NET_BIND_SERVICE")
                    .caused_by(error)
            }
            _ => CarrierError::io("bind UDP to", error).at(opening()),
        })?;
        let local = socket.local_addr().ok().and_then(|local| local.as_socket()).unwrap_or(self.address);
        Ok(Opened { config: self.clone(), socket, state, local })
    }

    fn bare(&self) -> io::Result<(BareSocket, UdpSocketState)> {
        let socket = BareSocket::new(Domain::for_address(self.address), Type::DGRAM, None)?;
        if self.address.is_ipv6() {
            socket.set_only_v6(!self.dual_stack)?;
        }
        #[cfg(target_os = "linux")]
        if let Some(device) = &self.device {
            socket.bind_device(Some(device.as_bytes()))?;
        }
        if let Some(len) = self.receive_buffer_len {
            #[cfg(target_os = "linux")]
            crate::sockets::set_receive_buffer_len(&socket, len)?;
            #[cfg(not(target_os = "linux"))]
            socket.set_recv_buffer_size(len)?;
        }
        if let Some(len) = self.send_buffer_len {
            socket.set_send_buffer_size(len)?;
        }
        socket.bind(&SockAddr::from(self.address))?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        #[cfg(target_os = "linux")]
        crate::sockets::udp::set_options(&socket, self.address.ip(), self.offload)?;
        Ok((socket, state))
    }
}

/// An open UDP socket that no runtime watches yet.
#[derive(Debug)]
pub struct Opened {
    config: Config,
    socket: BareSocket,
    state: UdpSocketState,
    local: SocketAddr,
}

impl Opened {
    /// Where it is bound, with the port that the system gave.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The socket, watched by the runtime of this task.
    ///
    /// # Errors
    /// `Io` if the system refuses.
    ///
    /// # Panics
    /// Outside a tokio runtime, or where its I/O is not enabled.
    pub fn start(self) -> Result<Socket, CarrierError> {
        let on_v6 = self.local.is_ipv6();
        let events = EventSocket::new(self.socket, on_v6, self.config.dual_stack)
            .map_err(|error| CarrierError::io("watch a UDP socket", error))?;
        let joins_sent = self.config.offload && self.state.max_gso_segments() > 1;
        let joins_received = self.config.offload && self.state.gro_segments() > 1;
        Ok(Socket {
            events,
            probe: Probe {
                local: self.local.ip(),
                #[cfg(target_os = "linux")]
                device: self.config.device,
                header_len: HEADER_LEN,
            },
            state: self.state,
            local: self.local,
            on_v6,
            joins_received,
            joiner: joins_sent.then(joined::Joiner::default),
            #[cfg(target_os = "linux")]
            receiver: Receiver::new(self.local.ip(), joins_received),
            #[cfg(target_os = "linux")]
            expected: AtomicUsize::new(0),
        })
    }
}

/// A UDP socket.
#[derive(Debug)]
pub struct Socket {
    events: EventSocket,
    state: UdpSocketState,
    probe: Probe,
    local: SocketAddr,
    on_v6: bool,
    joins_received: bool,
    joiner: Option<joined::Joiner>,
    #[cfg(target_os = "linux")]
    receiver: Receiver,
    /// How many messages the last receive gave.
    #[cfg(target_os = "linux")]
    expected: AtomicUsize,
}

impl Socket {
    /// The memory for datagrams that wait to be received, as the system granted it (Linux doubles what was asked for).
    ///
    /// # Errors
    /// `Io` if the system refuses.
    pub fn receive_buffer_len(&self) -> Result<usize, CarrierError> {
        self.state
            .recv_buffer_size(UdpSockRef::from(self.events.socket()))
            .map_err(|error| CarrierError::io("read options of a UDP socket", error))
    }

    /// Hands over datagrams that are not joined.
    fn send_plain(&self, datagrams: &[Outgoing<'_>]) -> Result<usize, SendError> {
        let payload_len_max = |destination| Some(self.probe.payload_len_max(destination));
        #[cfg(target_os = "linux")]
        return self.events.try_send(datagrams, payload_len_max);
        #[cfg(not(target_os = "linux"))]
        return self.events.try_send(datagrams, payload_len_max, |datagram| self.transmit(datagram));
    }

    /// Hands over one or several datagrams of the same length that lie in one payload.
    fn send_joined(&self, joined: &Outgoing<'_>, segment_len: usize) -> io::Result<()> {
        let transmit = quinn_udp::Transmit {
            destination: self.on_wire(joined.destination),
            ecn: None,
            contents: joined.payload,
            segment_size: Some(segment_len),
            src_ip: joined.source,
        };
        self.state.try_send(UdpSockRef::from(self.events.socket()), &transmit)
    }

    #[cfg(not(target_os = "linux"))]
    fn transmit(&self, datagram: &Outgoing<'_>) -> io::Result<()> {
        self.send_joined(datagram, datagram.payload.len())
    }

    /// An IPv6 socket takes IPv4 addresses mapped.
    fn on_wire(&self, destination: SocketAddr) -> SocketAddr {
        match destination.ip() {
            IpAddr::V4(v4) if self.on_v6 => SocketAddr::new(v4.to_ipv6_mapped().into(), destination.port()),
            _ => destination,
        }
    }
}

impl DatagramSocket for Socket {
    fn receive_batch(&self, datagram_count: usize, payload_len_max: usize) -> ReceiveBatch {
        if self.joins_received {
            let slot_count = datagram_count.min(JOINED_SLOT_COUNT_MAX);
            ReceiveBatch::with_slots(slot_count, JOINED_SLOT_LEN, payload_len_max)
        } else {
            ReceiveBatch::new(datagram_count, payload_len_max)
        }
    }

    fn poll_receive(&self, cx: &mut Context<'_>, batch: &mut ReceiveBatch) -> Poll<io::Result<()>> {
        self.events.poll_receive(cx, batch, |socket, batch| {
            #[cfg(target_os = "linux")]
            return self.receiver.receive(socket, batch, &self.expected);
            #[cfg(not(target_os = "linux"))]
            return taken::receive(&self.state, socket, batch);
        })
    }

    fn try_receive(&self, batch: &mut ReceiveBatch) -> io::Result<usize> {
        self.events.try_receive(batch, |socket, batch| {
            #[cfg(target_os = "linux")]
            return self.receiver.receive(socket, batch, &self.expected);
            #[cfg(not(target_os = "linux"))]
            return taken::receive(&self.state, socket, batch);
        })
    }

    fn try_send(&self, datagrams: &[Outgoing<'_>]) -> Result<usize, SendError> {
        match &self.joiner {
            Some(joiner) if datagrams.len() > 1 => {
                let segment_count_max = self.state.max_gso_segments();
                joiner.send(
                    datagrams,
                    segment_count_max,
                    |plain| self.send_plain(plain),
                    |joined, segment_len| self.send_joined(joined, segment_len),
                )
            }
            _ => self.send_plain(datagrams),
        }
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
        self.local
    }

    fn is_ip(&self) -> bool {
        false
    }
}
