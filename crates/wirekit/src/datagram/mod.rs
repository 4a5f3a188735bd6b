//! Datagrams: what a protocol's driver asks of a carrier, and what a carrier has to give.
//!
//! A driver is generic over [`DatagramSocket`]; raw IP, UDP and memory (crate `postroad-transport`) implement it, and so
//! can anything else that moves datagrams. There is no runtime in here: the two `poll_` calls take a task's context.
//!
//! ```
//! use std::future::poll_fn;
//! use std::io;
//! use wirekit::datagram::{DatagramSocket, Outgoing};
//!
//! /// Sends back whatever comes, until the carrier fails.
//! async fn echo(socket: &impl DatagramSocket) -> io::Result<()> {
//!     let mut batch = socket.receive_batch(32, 1500);
//!     loop {
//!         poll_fn(|cx| socket.poll_receive(cx, &mut batch)).await?;
//!         for came in batch.datagrams() {
//!             // From the address that it was sent to; a datagram that cannot go now is lost, as datagrams are.
//!             let answer = Outgoing { source: came.destination, ..Outgoing::new(came.source, came.payload) };
//!             drop(socket.try_send(&[answer]));
//!         }
//!     }
//! }
//! ```

mod batch;
mod error;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

pub use batch::{DropReason, Dropped, ERROR_COUNT_MAX, HEADROOM_LEN, PAYLOAD_LEN_MAX, ReceiveBatch, Received};
pub use error::{PathError, PathErrorKind, SendError};

/// One datagram to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing<'a> {
    /// Where it goes. On raw IP the port is 0 and ignored.
    pub destination: SocketAddr,
    /// The local address it comes from; `None` leaves the choice to the system. It must be of this host and of the
    /// family of `destination`. An answer should come from the address that was asked ([`Received::destination`]).
    pub source: Option<IpAddr>,
    /// Differentiated services code point, 0 to 63 (RFC 2474); the two bits above are ignored. 0 is the usual service.
    /// A carrier that cannot set it per datagram says so.
    pub dscp: u8,
    /// What the datagram carries: of UDP what comes behind the UDP header, of raw IP what comes behind the IP header.
    pub payload: &'a [u8],
}

impl<'a> Outgoing<'a> {
    /// A datagram from whichever address the system takes, in the usual service class.
    #[must_use]
    pub const fn new(destination: SocketAddr, payload: &'a [u8]) -> Self {
        Self { destination, source: None, dscp: 0, payload }
    }
}

/// An unreliable carrier of whole datagrams: each comes once, several times, late or never, but never in part.
///
/// Who may call what: any number of tasks may call [`try_send`](Self::try_send) at the same time, so that a caller's
/// task can send without a hop to another. One task at a time waits in [`poll_receive`](Self::poll_receive), and one in
/// [`poll_send_ready`](Self::poll_send_ready); where a second one waits, the first is not woken.
pub trait DatagramSocket: Send + Sync {
    /// A batch fit for this carrier: about `datagram_count` datagrams a receive where as many wait, each of at most
    /// `payload_len_max` octets. A carrier on which the system joins datagrams needs more room than others and can give
    /// more of them, so use this and not [`ReceiveBatch::new`]. A batch of two or more spares a call where one came.
    fn receive_batch(&self, datagram_count: usize, payload_len_max: usize) -> ReceiveBatch {
        ReceiveBatch::new(datagram_count, payload_len_max)
    }

    /// Waits until something came and puts it into `batch`, whose former content is gone. When it is ready, `batch` has
    /// at least one datagram or one path error, or a dropped datagram was counted.
    ///
    /// Nothing is taken from the carrier unless the call is ready, so a caller may stop waiting at any time.
    ///
    /// # Errors
    /// When the carrier itself fails. What ICMP says about one destination is no error but in
    /// [`ReceiveBatch::errors`].
    fn poll_receive(&self, cx: &mut Context<'_>, batch: &mut ReceiveBatch) -> Poll<io::Result<()>>;

    /// As [`poll_receive`](Self::poll_receive) for what is there already: how many datagrams and path errors `batch`
    /// now has. Asks the system at once and wakes nobody later.
    ///
    /// # Errors
    /// `WouldBlock` where nothing is there, others as in `poll_receive`.
    fn try_receive(&self, batch: &mut ReceiveBatch) -> io::Result<usize>;

    /// Hands datagrams to the system, in order, and says how many it took: at least one, unless `datagrams` is empty.
    ///
    /// # Errors
    /// Where not even the first could go: every [`SendError`] is about `datagrams[0]`. A later one that cannot go ends
    /// the call early without an error, so that the next call, which begins with it, tells why.
    fn try_send(&self, datagrams: &[Outgoing<'_>]) -> Result<usize, SendError>;

    /// Waits until a [`try_send`](Self::try_send) that said [`SendError::WouldBlock`] is worth another try.
    ///
    /// # Errors
    /// When the carrier itself fails.
    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// The local address that datagrams to `destination` come from where [`Outgoing::source`] is `None`. Asks the system
    /// each time (some microseconds): keep the answer per peer, and ask anew when a path error comes.
    ///
    /// # Errors
    /// Where there is no way to `destination`.
    fn source_for(&self, destination: SocketAddr) -> io::Result<IpAddr>;

    /// The longest payload that can go to `destination` in one piece, as far as known now: the mtu of the path, or of
    /// the interface, less the headers of IP and UDP. It can shrink, which a [`PathErrorKind::TooLong`] tells. Asks the
    /// system each time, as [`source_for`](Self::source_for) does; without a way to `destination` it is what every
    /// host must take (RFC 791: 576 octets, RFC 8200: 1280 octets, less the headers).
    fn payload_len_max(&self, destination: SocketAddr) -> usize;

    /// Where the socket is bound. The address is unspecified (all zero) where it listens at all addresses of the host;
    /// on raw IP the port is 0.
    fn local_addr(&self) -> SocketAddr;

    /// Whether the payload lies directly in an IP packet, so that a checksum of the protocol covers a pseudo header of
    /// the two IP addresses: yes on raw IP. No inside UDP, where translators change the addresses on the way, and no in
    /// memory.
    fn is_ip(&self) -> bool;
}
