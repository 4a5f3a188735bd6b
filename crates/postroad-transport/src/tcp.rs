//! TCP: no delay for small writes, dead peers noticed, and a time-out for connecting.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};

use crate::accept::{Accept, AcceptCounts, AcceptLoop, AcceptPolicy};
use crate::address::PeerAddr;
use crate::error::{CarrierError, ErrorKind};
use crate::guard::Guarded;

/// A plain TCP connection whose first bytes are watched for TLS and HTTP.
pub type Stream = Guarded<TcpStream>;

/// What the kernel counts keep-alive times in, and the least it takes.
const SECOND: Duration = Duration::from_secs(1);
/// Questions to a silent peer before it is given up.
const PROBES: u32 = 3;
/// The most that Linux takes for the time before the first question, and for the time between two.
const KEEPALIVE_MAX: Duration = Duration::from_secs(32_767);

/// Settings of a TCP socket; the same for both ends. Checked where they are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpConfig {
    nodelay: bool,
    keepalive: Option<Duration>,
    dead_after: Duration,
    connect_timeout: Duration,
    congestion: Option<String>,
    backlog: u32,
    watch_first_bytes: bool,
    accept: AcceptPolicy,
}

impl Default for TcpConfig {
    fn default() -> Self {
        Self {
            nodelay: true,
            keepalive: Some(Duration::from_secs(30)),
            dead_after: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            congestion: None,
            backlog: 1024,
            watch_first_bytes: true,
            accept: AcceptPolicy::default(),
        }
    }
}

impl TcpConfig {
    /// Whether small writes leave at once instead of waiting for more (`TCP_NODELAY`). Default `true`.
    #[must_use]
    pub fn with_nodelay(mut self, nodelay: bool) -> Self {
        self.nodelay = nodelay;
        self
    }

    /// After how much silence the kernel asks whether the peer lives (`SO_KEEPALIVE`), in whole seconds from 1 s to
    /// 32,767 s; `None` never asks. Default 30 s. Costs the peer nothing but an answer.
    #[must_use]
    pub fn with_keepalive(mut self, idle: Option<Duration>) -> Self {
        self.keepalive = idle;
        self
    }

    /// How long the peer may leave bytes or keep-alive questions unanswered before reads and writes fail, from 1 s to
    /// 98,301 s. Default 60 s. A peer that is silent anyway is lost within this and the time of
    /// [`with_keepalive`](Self::with_keepalive).
    #[must_use]
    pub fn with_dead_after(mut self, dead_after: Duration) -> Self {
        self.dead_after = dead_after;
        self
    }

    /// How long name resolution and connecting may take together. Default 10 s.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Name of the congestion control to use, as the kernel knows it ("cubic", "reno", "bbr"). Default: the system's.
    /// Linux only; elsewhere a name is an error.
    #[must_use]
    pub fn with_congestion_control(mut self, name: Option<&str>) -> Self {
        self.congestion = name.map(str::to_owned);
        self
    }

    /// How many connections may wait in the kernel to be accepted. Default 1024.
    #[must_use]
    pub fn with_backlog(mut self, backlog: u32) -> Self {
        self.backlog = backlog;
        self
    }

    /// Whether a plain stream watches its first bytes for TLS and HTTP. Default `true`; switch it off where any bytes
    /// may come (a tunnel).
    #[must_use]
    pub fn with_watch_first_bytes(mut self, watch: bool) -> Self {
        self.watch_first_bytes = watch;
        self
    }

    /// How the accept loop pauses when something is scarce.
    #[must_use]
    pub fn with_accept_policy(mut self, policy: AcceptPolicy) -> Self {
        self.accept = policy;
        self
    }

    fn check(&self) -> Result<(), CarrierError> {
        let refuse = |action: &'static str, cause: String| Err(CarrierError::new(ErrorKind::Config, action, cause));
        if let Some(idle) = self.keepalive
            && (!(SECOND..=KEEPALIVE_MAX).contains(&idle) || idle.subsec_nanos() != 0)
        {
            return refuse(
                "set keepalive",
                format!("{idle:?} is not in whole seconds from {SECOND:?} to {KEEPALIVE_MAX:?}"),
            );
        }
        let dead_after_max = PROBES * KEEPALIVE_MAX;
        if !(SECOND..=dead_after_max).contains(&self.dead_after) {
            return refuse(
                "set dead_after",
                format!("{:?} is not from {SECOND:?} to {dead_after_max:?}", self.dead_after),
            );
        }
        Ok(())
    }

    /// Sets the options on `stream`, whichever end opened it.
    ///
    /// # Errors
    /// If the system refuses an option; `Config` if it does not know the congestion control, or a time is out of range.
    pub fn apply(&self, stream: &TcpStream) -> Result<(), CarrierError> {
        self.check()?;
        let set = || -> io::Result<()> {
            stream.set_nodelay(self.nodelay)?;
            let socket = SockRef::from(stream);
            if let Some(idle) = self.keepalive {
                let interval = (self.dead_after / PROBES).max(SECOND);
                let keepalive = TcpKeepalive::new().with_time(idle);
                #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple", target_os = "freebsd"))]
                let keepalive = keepalive.with_interval(interval).with_retries(PROBES);
                #[cfg(not(any(
                    target_os = "linux",
                    target_os = "android",
                    target_vendor = "apple",
                    target_os = "freebsd"
                )))]
                let _ = interval;
                socket.set_tcp_keepalive(&keepalive)?;
            }
            #[cfg(any(target_os = "linux", target_os = "android"))]
            socket.set_tcp_user_timeout(Some(self.dead_after))?;
            Ok(())
        };
        set().map_err(|error| CarrierError::io("set options of a TCP socket", error))?;
        self.apply_congestion(stream)
    }

    #[cfg(any(target_os = "linux", target_os = "freebsd"))]
    fn apply_congestion(&self, stream: &TcpStream) -> Result<(), CarrierError> {
        let Some(name) = &self.congestion else { return Ok(()) };
        SockRef::from(stream).set_tcp_congestion(name.as_bytes()).map_err(|error| {
            CarrierError::new(ErrorKind::Config, "choose congestion control", format!("{name:?}: {error}"))
                .remedy_is("use one that the kernel has loaded and allows")
                .caused_by(error)
        })
    }

    #[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
    fn apply_congestion(&self, _stream: &TcpStream) -> Result<(), CarrierError> {
        match &self.congestion {
            None => Ok(()),
            Some(name) => Err(CarrierError::new(
                ErrorKind::Config,
                "choose congestion control",
                format!("{name:?}: this system has no choice of congestion control"),
            )),
        }
    }

    pub(crate) fn guard(&self, stream: TcpStream, peer: SocketAddr) -> Stream {
        if self.watch_first_bytes { Guarded::new(stream, peer.into()) } else { Guarded::unwatched(stream, peer.into()) }
    }
}

/// Connects to `host:port`, a name or a number (`localhost:7001`, `[::1]:7001`).
///
/// Every address of a name is tried in turn; each gets its share of the time that is left.
///
/// # Errors
/// `Dns`, `Refused`, `TimedOut` or `Io`, with the address in the message; `Config` for settings out of their range.
pub async fn connect(address: &str, config: &TcpConfig) -> Result<Stream, CarrierError> {
    let (stream, peer) = connect_raw(address, config).await?;
    Ok(config.guard(stream, peer))
}

pub(crate) async fn connect_raw(address: &str, config: &TcpConfig) -> Result<(TcpStream, SocketAddr), CarrierError> {
    config.check()?;
    let deadline = Instant::now() + config.connect_timeout;
    let addresses = resolve(address, deadline).await?;
    let mut last = None;
    for (tried, peer) in (0_u32..).zip(&addresses) {
        let left = u32::try_from(addresses.len()).unwrap_or(u32::MAX).saturating_sub(tried).max(1);
        let share = deadline.saturating_duration_since(Instant::now()) / left;
        match timeout(share, TcpStream::connect(peer)).await {
            Ok(Ok(stream)) => {
                config.apply(&stream)?;
                return Ok((stream, *peer));
            }
            Ok(Err(error)) => last = Some(CarrierError::io("connect to", error).at(address)),
            Err(_) => last = Some(timed_out("connect to", config.connect_timeout).at(address)),
        }
    }
    Err(last.unwrap_or_else(|| no_address(address)))
}

async fn resolve(address: &str, deadline: Instant) -> Result<Vec<SocketAddr>, CarrierError> {
    let dns = |cause: String| CarrierError::new(ErrorKind::Dns, "resolve", cause).at(address);
    match timeout_at(deadline, lookup_host(address)).await {
        Ok(Ok(found)) => {
            let found: Vec<_> = found.collect();
            if found.is_empty() { Err(no_address(address)) } else { Ok(found) }
        }
        Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidInput => {
            Err(CarrierError::new(ErrorKind::Config, "read address", error.to_string())
                .at(address)
                .remedy_is("write it as host:port, or [ipv6]:port"))
        }
        Ok(Err(error)) => Err(dns(error.to_string()).caused_by(error)),
        Err(_) => Err(dns("the name service did not answer in time".to_owned())),
    }
}

fn no_address(address: &str) -> CarrierError {
    CarrierError::new(ErrorKind::Dns, "resolve", "the name has no address").at(address)
}

pub(crate) fn timed_out(action: &'static str, after: Duration) -> CarrierError {
    CarrierError::new(ErrorKind::TimedOut, action, format!("no answer within {after:?}"))
}

#[derive(Debug)]
struct Source(TcpListener);

impl Accept for Source {
    type Conn = (TcpStream, SocketAddr);

    async fn accept(&self) -> io::Result<Self::Conn> {
        self.0.accept().await
    }
}

/// A listening TCP socket.
#[derive(Debug)]
pub struct Listener {
    accept: AcceptLoop<Source>,
    config: TcpConfig,
    local: SocketAddr,
}

impl Listener {
    /// Listens at `host:port`; port 0 takes a free one, see [`local_addr`](Self::local_addr).
    ///
    /// # Errors
    /// `Dns`, `AddressInUse`, `Config` or `Io`, with the address in the message.
    pub async fn bind(address: &str, config: TcpConfig) -> Result<Self, CarrierError> {
        config.check()?;
        let mut last = None;
        for addr in resolve(address, Instant::now() + config.connect_timeout).await? {
            match Self::bind_one(addr, &config) {
                Ok((listener, local)) => {
                    let accept = AcceptLoop::new(Source(listener), config.accept);
                    return Ok(Self { accept, config, local });
                }
                Err(error) => last = Some(CarrierError::io("listen at", error).at(address)),
            }
        }
        Err(last.unwrap_or_else(|| no_address(address)))
    }

    fn bind_one(addr: SocketAddr, config: &TcpConfig) -> io::Result<(TcpListener, SocketAddr)> {
        let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        let listener = socket.listen(config.backlog)?;
        let local = listener.local_addr()?;
        Ok((listener, local))
    }

    /// Where it listens, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// What the accept loop has been through.
    pub fn counts(&self) -> AcceptCounts {
        self.accept.counts()
    }

    /// Waits for the next connection; survives shortages (see [`AcceptLoop`]). Cancel-safe.
    ///
    /// # Errors
    /// Only if the socket does not listen any more.
    pub async fn accept(&self) -> Result<Stream, CarrierError> {
        let (stream, peer) = self.accept_raw().await?;
        Ok(self.config.guard(stream, peer))
    }

    pub(crate) async fn accept_raw(&self) -> Result<(TcpStream, SocketAddr), CarrierError> {
        loop {
            let (stream, peer) =
                self.accept.accept().await.map_err(|error| CarrierError::io("accept at", error).at(self.local))?;
            match self.config.apply(&stream) {
                Ok(()) => return Ok((stream, peer)),
                // A peer that is gone already makes setting options fail; that must not end the loop.
                Err(error) if error.kind() == ErrorKind::Config => return Err(error.at(self.local)),
                Err(error) => tracing::debug!(%peer, %error, "dropped a connection that broke while it was accepted"),
            }
        }
    }
}

impl From<&Stream> for PeerAddr {
    fn from(stream: &Stream) -> Self {
        stream.peer().clone()
    }
}
