//! Datagrams inside the process: a hub that sockets are bound at, with finite queues that drop when they are full.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use wirekit::datagram::{
    DatagramSocket, ERROR_COUNT_MAX, Outgoing, PAYLOAD_LEN_MAX, PathError, PathErrorKind, ReceiveBatch, SendError,
};

use crate::error::{CarrierError, ErrorKind};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard};

/// Sockets that one hub has at most: 4096.
pub const SOCKET_COUNT_MAX: usize = 4096;

/// Limits of a hub, the same for all its sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubConfig {
    queue_len_max: usize,
    payload_len_max: usize,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self { queue_len_max: 1024, payload_len_max: 1472 }
    }
}

impl HubConfig {
    /// Datagrams that wait at a socket before more are dropped, 1 to 65,536. Default 1024. Costs that many payloads.
    #[must_use]
    pub const fn with_queue_len_max(mut self, count: usize) -> Self {
        self.queue_len_max = count;
        self
    }

    /// The longest payload, 1 to 65,535 octets. Default 1472, what UDP over IPv4 has on Ethernet.
    #[must_use]
    pub const fn with_payload_len_max(mut self, len: usize) -> Self {
        self.payload_len_max = len;
        self
    }

    /// A hub with these limits.
    ///
    /// # Errors
    /// `Config` where a limit is outside its range.
    pub fn build(self) -> Result<Hub, CarrierError> {
        let refuse = |cause| Err(CarrierError::new(ErrorKind::Config, "make a memory hub", cause));
        if !(1..=65_536).contains(&self.queue_len_max) {
            return refuse(format!("queue_len_max is {}, it must be 1 to 65536", self.queue_len_max));
        }
        if !(1..=PAYLOAD_LEN_MAX).contains(&self.payload_len_max) {
            return refuse(format!("payload_len_max is {}, it must be 1 to 65535", self.payload_len_max));
        }
        Ok(Hub { shared: Arc::new(Shared { config: self, places: Mutex::default() }) })
    }
}

/// A network inside the process. Clones are the same hub; hubs do not reach each other.
///
/// Addresses are those set apart for benchmarks, which no real network has: `198.18.0.0/15` (RFC 2544) and
/// `2001:2::/48` (RFC 5180), with any port. Any source may send to any destination of the hub.
///
/// ```
/// use postroad_transport::memory::datagram::Hub;
/// use wirekit::datagram::{DatagramSocket as _, Outgoing};
///
/// let hub = Hub::default();
/// let (a, b) = (hub.bind()?, hub.bind_at("198.18.7.7:121".parse()?)?);
/// a.try_send(&[Outgoing::new(b.local_addr(), b"hello")])?;
/// let mut batch = b.receive_batch(8, 100);
/// assert_eq!(b.try_receive(&mut batch)?, 1);
/// assert_eq!(batch.get(0).unwrap().source, a.local_addr());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Hub {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: HubConfig,
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    taken: HashMap<SocketAddr, Arc<Inbox>>,
    /// The host part of the last address that was given out.
    last: u16,
}

#[derive(Debug, Default)]
struct Inbox {
    state: Mutex<Waiting>,
    overflow_count: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    datagrams: VecDeque<(SocketAddr, Box<[u8]>)>,
    errors: VecDeque<PathError>,
    waker: Option<Waker>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Hub {
    fn default() -> Self {
        Self { shared: Arc::new(Shared { config: HubConfig::default(), places: Mutex::default() }) }
    }
}

impl Hub {
    /// A socket at the next free IPv4 address of the hub, port 121.
    ///
    /// # Errors
    /// `Limit` where the hub has [`SOCKET_COUNT_MAX`] sockets.
    pub fn bind(&self) -> Result<Socket, CarrierError> {
        let mut places = locked(&self.shared.places);
        // There are more numbers than sockets, so a free one is found.
        for _ in 0..=u16::MAX {
            places.last = places.last.wrapping_add(1);
            let [high, low] = places.last.to_be_bytes();
            let address = SocketAddr::from(([198, 18, high, low], 121));
            if places.last != 0 && !places.taken.contains_key(&address) {
                return self.take(&mut places, address);
            }
        }
        Err(full())
    }

    /// A socket at `address`, which must be one of the hub's (see there).
    ///
    /// # Errors
    /// `Config` where the hub has no such address, `AddressInUse` where it is taken, `Limit` as in [`bind`](Self::bind).
    pub fn bind_at(&self, address: SocketAddr) -> Result<Socket, CarrierError> {
        if !is_of_hub(address.ip()) {
            return Err(CarrierError::new(ErrorKind::Config, "bind in memory at", "no address of a memory hub")
                .at(address)
                .remedy_is("use one of 198.18.0.0/15 or 2001:2::/48"));
        }
        self.take(&mut locked(&self.shared.places), address)
    }

    fn take(&self, places: &mut Places, address: SocketAddr) -> Result<Socket, CarrierError> {
        if places.taken.contains_key(&address) {
            return Err(CarrierError::new(ErrorKind::AddressInUse, "bind in memory at", "the address is taken")
                .at(address)
                .remedy_is("choose another address, or drop the other socket"));
        }
        if places.taken.len() >= SOCKET_COUNT_MAX {
            return Err(full());
        }
        let inbox = Arc::new(Inbox::default());
        places.taken.insert(address, Arc::clone(&inbox));
        Ok(Socket { shared: Arc::clone(&self.shared), address, inbox })
    }
}

fn full() -> CarrierError {
    CarrierError::new(ErrorKind::Limit, "bind in memory", format!("the hub has {SOCKET_COUNT_MAX} sockets"))
        .remedy_is("drop some, or make another hub")
}

fn is_of_hub(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => matches!(v4.octets(), [198, 18 | 19, ..]),
        IpAddr::V6(v6) => matches!(v6.segments(), [0x2001, 2, 0, ..]),
    }
}

/// A datagram socket at a [`Hub`]. Its address is free again when it is dropped.
///
/// A datagram to an address where nobody is bound comes back as a path error, `PortUnreachable`. `source` and `dscp` of
/// [`Outgoing`] mean nothing here.
#[derive(Debug)]
pub struct Socket {
    shared: Arc<Shared>,
    address: SocketAddr,
    inbox: Arc<Inbox>,
}

impl Socket {
    /// How many datagrams to this socket were dropped because its queue was full.
    #[must_use]
    pub fn overflow_count(&self) -> u64 {
        self.inbox.overflow_count.load(Ordering::Relaxed)
    }

    fn receive(&self, waiting: &mut Waiting, batch: &mut ReceiveBatch) -> usize {
        batch.clear();
        while let Some(error) = waiting.errors.pop_front() {
            batch.push_error(error);
        }
        while let Some((source, payload)) = waiting.datagrams.front() {
            if !batch.push_copy(*source, Some(self.address.ip()), payload) {
                break;
            }
            waiting.datagrams.pop_front();
        }
        batch.len().saturating_add(batch.errors().len())
    }

    fn deliver(&self, inbox: &Inbox, payload: &[u8]) {
        let mut waiting = locked(&inbox.state);
        if waiting.datagrams.len() >= self.shared.config.queue_len_max {
            inbox.overflow_count.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.datagrams.push_back((self.address, payload.into()));
        wake(waiting);
    }

    fn report(&self, error: PathError) {
        let mut waiting = locked(&self.inbox.state);
        if waiting.errors.len() < ERROR_COUNT_MAX {
            waiting.errors.push_back(error);
            wake(waiting);
        }
    }
}

/// Wakes the one who waits, after the lock is given back.
fn wake(mut waiting: MutexGuard<'_, Waiting>) {
    let waker = waiting.waker.take();
    drop(waiting);
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl DatagramSocket for Socket {
    fn poll_receive(&self, cx: &mut Context<'_>, batch: &mut ReceiveBatch) -> Poll<io::Result<()>> {
        let mut waiting = locked(&self.inbox.state);
        let dropped_before = batch.dropped();
        if self.receive(&mut waiting, batch) > 0 || batch.dropped() != dropped_before {
            return Poll::Ready(Ok(()));
        }
        if !waiting.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            waiting.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    fn try_receive(&self, batch: &mut ReceiveBatch) -> io::Result<usize> {
        match self.receive(&mut locked(&self.inbox.state), batch) {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }

    fn try_send(&self, datagrams: &[Outgoing<'_>]) -> Result<usize, SendError> {
        let payload_len_max = self.shared.config.payload_len_max;
        for (index, datagram) in datagrams.iter().enumerate() {
            if datagram.payload.len() > payload_len_max {
                let error = SendError::TooLong { payload_len_max: Some(payload_len_max) };
                return if index == 0 { Err(error) } else { Ok(index) };
            }
            let inbox = locked(&self.shared.places).taken.get(&datagram.destination).map(Arc::clone);
            match inbox {
                Some(inbox) => self.deliver(&inbox, datagram.payload),
                None => {
                    let mut error = PathError::new(datagram.destination, PathErrorKind::PortUnreachable);
                    error.quoted = datagram.payload.first_chunk().copied();
                    self.report(error);
                }
            }
        }
        Ok(datagrams.len())
    }

    /// Always ready: a full queue drops and never blocks.
    fn poll_send_ready(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn source_for(&self, _destination: SocketAddr) -> io::Result<IpAddr> {
        Ok(self.address.ip())
    }

    fn payload_len_max(&self, _destination: SocketAddr) -> usize {
        self.shared.config.payload_len_max
    }

    fn local_addr(&self) -> SocketAddr {
        self.address
    }

    fn is_ip(&self) -> bool {
        false
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        locked(&self.shared.places).taken.remove(&self.address);
    }
}

#[cfg(all(test, postroad_model))]
mod models;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_hub_are_bound() {
        let hub = Hub::default();
        for good in ["198.18.0.0:1", "198.19.255.255:9", "[2001:2:0:ffff::1]:121"] {
            drop(hub.bind_at(good.parse().unwrap()).unwrap());
        }
        for bad in ["198.17.255.255:1", "198.20.0.0:1", "[2001:2:1::1]:1", "127.0.0.1:1"] {
            assert_eq!(hub.bind_at(bad.parse().unwrap()).unwrap_err().kind(), ErrorKind::Config, "{bad}");
        }
    }

    #[test]
    fn limits_outside_their_range_are_refused() {
        let config = HubConfig::default();
        for bad in [
            config.with_queue_len_max(0),
            config.with_queue_len_max(65_537),
            config.with_payload_len_max(0),
            config.with_payload_len_max(65_536),
        ] {
            assert_eq!(bad.build().unwrap_err().kind(), ErrorKind::Config);
        }
        config.with_queue_len_max(65_536).with_payload_len_max(65_535).build().unwrap();
    }

    #[test]
    fn a_hub_holds_its_limit_of_sockets_and_an_address_is_free_after_a_drop() {
        let hub = Hub::default();
        let mut sockets: Vec<Socket> = (0..SOCKET_COUNT_MAX).map(|_| hub.bind().unwrap()).collect();
        assert_eq!(hub.bind().unwrap_err().kind(), ErrorKind::Limit);
        let free = sockets.pop().unwrap().local_addr();
        drop(hub.bind_at(free).unwrap());
        hub.bind().unwrap();
    }
}
