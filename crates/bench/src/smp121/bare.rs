//! Sockets without a protocol.

use super::LARGE_LEN;
use super::road::{CLIENT, RECEIVE_BUFFER_LEN, Road, SERVER};
use crate::harness::{Stopwatch, Timing, clock};
use anyhow::Context as _;
use socket2::{Domain, Protocol, SockAddr, Type};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::UdpSocket;
use tokio::sync::Semaphore;
use wirekit::datagram::{DatagramSocket, Outgoing};

/// Requests at once.
pub(super) const OUTSTANDING: u64 = 100;

/// A protocol number for experiments (RFC 3692).
const EXPERIMENTAL: i32 = 253;

/// Times calls one by one. The clock of all of them runs from [`begin`](Self::begin) to [`end`](Self::end).
pub(super) struct Laps {
    nanos: Vec<f64>,
    watch: Stopwatch,
}

impl Laps {
    pub(super) fn begin(count: u64) -> anyhow::Result<Self> {
        Ok(Self { nanos: Vec::with_capacity(usize::try_from(count)?), watch: Stopwatch::start() })
    }

    pub(super) fn add(&mut self, start: Instant) {
        self.nanos.push(start.elapsed().as_secs_f64() * 1e9);
    }

    pub(super) fn end(mut self) -> Timing {
        let timing = self.watch.stop();
        self.nanos.sort_by(f64::total_cmp);
        let at = |percent: usize| self.nanos.get(self.nanos.len() * percent / 100).copied().unwrap_or(f64::NAN);
        Timing { percentiles: Some((at(50), at(99))), ..timing }
    }
}

/// Calls of which nothing is timed, before `count` others.
pub(super) const fn warm_up(count: u64) -> u64 {
    count / 8 + 1
}

/// What `count` items took where `done` were timed.
pub(super) fn scaled(timing: Timing, count: u64, done: u64) -> Timing {
    #[allow(clippy::cast_precision_loss, reason = "counts below 2^52")]
    let share = count as f64 / done as f64;
    Timing { wall: timing.wall.mul_f64(share), cpu: timing.cpu.mul_f64(share), ..timing }
}

/// A socket with one call a datagram.
struct Bare {
    socket: UdpSocket,
    peer: SocketAddr,
    /// Octets in front of the payload of what is received: of raw IPv4 the header.
    header_len: usize,
}

impl Bare {
    /// Two sockets that know each other.
    fn pair(road: Road) -> anyhow::Result<[Self; 2]> {
        let bind = |address: IpAddr| -> anyhow::Result<UdpSocket> {
            let socket: std::net::UdpSocket = match road {
                Road::Udp => std::net::UdpSocket::bind((address, 0))?,
                Road::Raw => {
                    let socket = socket2::Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(EXPERIMENTAL)))
                        .context("raw sockets need CAP_NET_RAW")?;
                    socket.bind(&SockAddr::from(SocketAddr::new(address, 0)))?;
                    // The calls on it are the same.
                    OwnedFd::from(socket).into()
                }
            };
            // As large as ours; past the system's limit where this process may.
            if rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER_LEN).is_err() {
                rustix::net::sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER_LEN)?;
            }
            socket.set_nonblocking(true)?;
            Ok(UdpSocket::from_std(socket)?)
        };
        let (client, server) = (bind(CLIENT)?, bind(SERVER)?);
        let header_len = match road {
            Road::Udp => 0,
            Road::Raw => 20,
        };
        let port_of = |socket: &UdpSocket| match road {
            Road::Udp => socket.local_addr().map(|address| address.port()),
            Road::Raw => Ok(0),
        };
        let (to_client, to_server) =
            (SocketAddr::new(CLIENT, port_of(&client)?), SocketAddr::new(SERVER, port_of(&server)?));
        Ok([Self { socket: client, peer: to_server, header_len }, Self { socket: server, peer: to_client, header_len }])
    }

    async fn send(&self, payload: &[u8]) -> io::Result<()> {
        self.socket.send_to(payload, self.peer).await.map(drop)
    }

    /// The payload of a datagram.
    async fn receive<'a>(&self, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
        let (len, _) = self.socket.recv_from(buffer).await?;
        Ok(buffer.get(self.header_len..len).unwrap_or_default())
    }
}

/// One datagram forth and back after another.
pub(super) async fn ping(road: Road, count: u64) -> anyhow::Result<Timing> {
    let [client, server] = Bare::pair(road)?;
    tokio::spawn(echo(server));
    let message = crate::loopback::small();
    let task = async move {
        let mut buffer = vec![0; 2048];
        for _ in 0..warm_up(count) {
            client.send(&message).await?;
            client.receive(&mut buffer).await?;
        }
        let mut laps = Laps::begin(count)?;
        for _ in 0..count {
            let start = clock();
            client.send(&message).await?;
            client.receive(&mut buffer).await?;
            laps.add(start);
        }
        anyhow::Ok(laps.end())
    };
    tokio::spawn(task).await?
}

async fn echo(server: Bare) -> io::Result<()> {
    let mut buffer = vec![0; 2048];
    loop {
        let payload = server.receive(&mut buffer).await?;
        server.send(payload).await?;
    }
}

/// So many at once, a call for each datagram.
pub(super) async fn many(road: Road, count: u64) -> anyhow::Result<Timing> {
    let [client, server] = Bare::pair(road)?;
    tokio::spawn(echo(server));
    let message = crate::loopback::small();
    let task = async move {
        let mut buffer = vec![0; 2048];
        let watch = Stopwatch::start();
        for _ in 0..OUTSTANDING {
            client.send(&message).await?;
        }
        for _ in 0..count {
            client.receive(&mut buffer).await?;
            client.send(&message).await?;
        }
        anyhow::Ok(watch.stop())
    };
    tokio::spawn(task).await?
}

/// So many at once, as many datagrams in a call as there are, by the carriers that our endpoints use too. `joins` as in
/// [`Road::sockets_with`].
pub(super) async fn many_batched(road: Road, joins: bool, count: u64) -> anyhow::Result<Timing> {
    let [client, server] = road.sockets_with(joins)?;
    let peer = server.local_addr();
    tokio::spawn(async move {
        let mut batch = server.receive_batch(32, 2048);
        loop {
            poll_fn(|cx| server.poll_receive(cx, &mut batch)).await?;
            let replies: Vec<_> = batch.datagrams().map(|came| Outgoing::new(came.source, came.payload)).collect();
            send_all(&*server, &replies).await?;
        }
        #[allow(unreachable_code, reason = "tells the type")]
        anyhow::Ok(())
    });
    let task = async move {
        let message = crate::loopback::small();
        let mut batch = client.receive_batch(32, 2048);
        let watch = Stopwatch::start();
        let first: Vec<_> = (0..OUTSTANDING).map(|_| Outgoing::new(peer, &message)).collect();
        send_all(&*client, &first).await?;
        let mut done = 0;
        while done < count {
            poll_fn(|cx| client.poll_receive(cx, &mut batch)).await?;
            let next: Vec<_> = batch.datagrams().map(|_| Outgoing::new(peer, &message)).collect();
            done += u64::try_from(next.len())?;
            send_all(&*client, &next).await?;
        }
        anyhow::Ok(scaled(watch.stop(), count, done))
    };
    tokio::spawn(task).await?
}

async fn send_all(socket: &dyn DatagramSocket, mut datagrams: &[Outgoing<'_>]) -> anyhow::Result<()> {
    while !datagrams.is_empty() {
        match socket.try_send(datagrams) {
            Ok(count) => datagrams = datagrams.get(count..).unwrap_or_default(),
            Err(wirekit::datagram::SendError::WouldBlock) => poll_fn(|cx| socket.poll_send_ready(cx)).await?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Large messages one way, cut into datagrams, so many in flight that none is lost. Nothing is put together at the other end.
pub(super) async fn large(road: Road, len: usize, count: u64) -> anyhow::Result<Timing> {
    let [client, server] = road.sockets()?;
    let peer = server.local_addr();
    let in_flight = if len > 8192 { 8 } else { 32 };
    let window = Arc::new(Semaphore::new(in_flight));
    let each = u64::try_from(LARGE_LEN.div_ceil(len))?;
    let taker = tokio::spawn({
        let window = Arc::clone(&window);
        async move {
            let mut batch = server.receive_batch(32, 65_535);
            let mut left = each * count;
            while left > 0 {
                poll_fn(|cx| server.poll_receive(cx, &mut batch)).await?;
                window.add_permits(batch.len());
                left = left.saturating_sub(u64::try_from(batch.len())?);
            }
            anyhow::Ok(())
        }
    });
    let message = vec![0x5a; LARGE_LEN];
    let watch = Stopwatch::start();
    let giver = tokio::spawn(async move {
        for _ in 0..count {
            let datagrams: Vec<_> = message.chunks(len).map(|part| Outgoing::new(peer, part)).collect();
            let mut rest = &*datagrams;
            while !rest.is_empty() {
                let count = window.available_permits().clamp(1, in_flight).min(rest.len());
                window.acquire_many(u32::try_from(count)?).await?.forget();
                let (now, later) = rest.split_at(count);
                send_all(&*client, now).await?;
                rest = later;
            }
        }
        anyhow::Ok(())
    });
    giver.await??;
    taker.await??;
    Ok(watch.stop())
}
