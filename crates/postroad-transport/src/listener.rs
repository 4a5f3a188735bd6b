//! One listener type for whichever carrier it is.

#[cfg(any(feature = "tls", feature = "ws"))]
use std::net::SocketAddr;

#[cfg(any(feature = "tls", feature = "ws"))]
use tokio::net::TcpStream;

use crate::accept::AcceptCounts;
use crate::address::PeerAddr;
use crate::error::CarrierError;
#[cfg(any(feature = "tls", feature = "ws"))]
use crate::limit::HandshakePermit;
use crate::stream::Carrier;

/// A listener of any carrier.
///
/// ```no_run
/// # async fn serve(listener: postroad_transport::CarrierListener) -> Result<(), postroad_transport::CarrierError> {
/// loop {
///     let pending = listener.accept().await?;
///     tokio::spawn(async move {
///         match pending.handshake().await {
///             Ok(carrier) => println!("{} from {:?}", carrier.name(), carrier.peer()),
///             Err(error) => eprintln!("{error}"),
///         }
///     });
/// }
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum CarrierListener {
    /// Plain TCP.
    #[cfg(feature = "tcp")]
    Tcp(crate::tcp::Listener),
    /// A Unix socket.
    #[cfg(all(unix, feature = "unix"))]
    Unix(crate::unix::Listener),
    /// A name inside this process.
    #[cfg(feature = "memory")]
    Memory(crate::memory::Listener),
    /// TLS over TCP.
    #[cfg(feature = "tls")]
    Tls(crate::tcp::Listener, crate::tls::Server),
    /// WebSocket over TCP.
    #[cfg(feature = "ws")]
    Ws(crate::tcp::Listener, crate::ws::Server),
    /// WebSocket over TLS over TCP. The TLS server's `handshakes_max` counts for both handshakes.
    #[cfg(all(feature = "ws", feature = "tls"))]
    Wss(crate::tcp::Listener, crate::tls::Server, crate::ws::Server),
}

impl CarrierListener {
    /// The name of the carrier as it stands in a URL.
    pub fn name(&self) -> &'static str {
        match self {
            #[cfg(feature = "tcp")]
            Self::Tcp(_) => "tcp",
            #[cfg(all(unix, feature = "unix"))]
            Self::Unix(_) => "unix",
            #[cfg(feature = "memory")]
            Self::Memory(_) => "mem",
            #[cfg(feature = "tls")]
            Self::Tls(..) => "tls",
            #[cfg(feature = "ws")]
            Self::Ws(..) => "ws",
            #[cfg(all(feature = "ws", feature = "tls"))]
            Self::Wss(..) => "wss",
        }
    }

    /// Where it listens, with the real port.
    pub fn local_addr(&self) -> PeerAddr {
        match self {
            #[cfg(all(unix, feature = "unix"))]
            Self::Unix(listener) => PeerAddr::Unix(Some(listener.path().to_owned())),
            #[cfg(feature = "memory")]
            Self::Memory(listener) => PeerAddr::Memory(listener.name().to_owned()),
            #[cfg(feature = "tcp")]
            Self::Tcp(listener) => listener.local_addr().into(),
            #[cfg(feature = "tls")]
            Self::Tls(listener, _) => listener.local_addr().into(),
            #[cfg(feature = "ws")]
            Self::Ws(listener, _) => listener.local_addr().into(),
            #[cfg(all(feature = "ws", feature = "tls"))]
            Self::Wss(listener, ..) => listener.local_addr().into(),
        }
    }

    /// What the accept loop has been through; all zero for memory.
    pub fn counts(&self) -> AcceptCounts {
        match self {
            #[cfg(all(unix, feature = "unix"))]
            Self::Unix(listener) => listener.counts(),
            #[cfg(feature = "memory")]
            Self::Memory(_) => AcceptCounts::default(),
            #[cfg(feature = "tcp")]
            Self::Tcp(listener) => listener.counts(),
            #[cfg(feature = "tls")]
            Self::Tls(listener, _) => listener.counts(),
            #[cfg(feature = "ws")]
            Self::Ws(listener, _) => listener.counts(),
            #[cfg(all(feature = "ws", feature = "tls"))]
            Self::Wss(listener, ..) => listener.counts(),
        }
    }

    /// Waits for the next connection, not for its handshake: run [`Pending::handshake`] in a task of its own, so that no
    /// slow peer holds up the others. Cancel-safe.
    ///
    /// # Errors
    /// Only if the listener listens no more; no shortage ends it.
    pub async fn accept(&self) -> Result<Pending, CarrierError> {
        let step = match self {
            #[cfg(feature = "tcp")]
            Self::Tcp(listener) => Step::Ready(listener.accept().await?.into()),
            #[cfg(all(unix, feature = "unix"))]
            Self::Unix(listener) => Step::Ready(listener.accept().await?.into()),
            #[cfg(feature = "memory")]
            Self::Memory(listener) => Step::Ready(listener.accept().await?.into()),
            #[cfg(feature = "tls")]
            Self::Tls(listener, server) => {
                let permit = server.limit().acquire().await;
                let (io, peer) = listener.accept_raw().await?;
                Step::Tls { io, peer, server: server.clone(), permit }
            }
            #[cfg(feature = "ws")]
            Self::Ws(listener, server) => {
                let permit = server.limit().acquire().await;
                let (io, peer) = listener.accept_raw().await?;
                Step::Ws { io, peer, server: server.clone(), permit }
            }
            #[cfg(all(feature = "ws", feature = "tls"))]
            Self::Wss(listener, tls, ws) => {
                let permit = tls.limit().acquire().await;
                let (io, peer) = listener.accept_raw().await?;
                Step::Wss { io, peer, tls: tls.clone(), ws: ws.clone(), permit }
            }
        };
        Ok(Pending(step))
    }
}

/// An accepted connection whose handshakes, if its carrier has any, have not begun.
#[derive(Debug)]
#[must_use = "the handshake only runs when asked for"]
pub struct Pending(Step);

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "short-lived, moved once or twice")]
enum Step {
    Ready(Carrier),
    #[cfg(feature = "tls")]
    Tls {
        io: TcpStream,
        peer: SocketAddr,
        server: crate::tls::Server,
        permit: HandshakePermit,
    },
    #[cfg(feature = "ws")]
    Ws {
        io: TcpStream,
        peer: SocketAddr,
        server: crate::ws::Server,
        permit: HandshakePermit,
    },
    #[cfg(all(feature = "ws", feature = "tls"))]
    Wss {
        io: TcpStream,
        peer: SocketAddr,
        tls: crate::tls::Server,
        ws: crate::ws::Server,
        permit: HandshakePermit,
    },
}

impl Pending {
    /// Who connected, if the carrier knows.
    pub fn peer(&self) -> Option<PeerAddr> {
        match &self.0 {
            Step::Ready(carrier) => carrier.peer(),
            #[cfg(feature = "tls")]
            Step::Tls { peer, .. } => Some((*peer).into()),
            #[cfg(feature = "ws")]
            Step::Ws { peer, .. } => Some((*peer).into()),
            #[cfg(all(feature = "ws", feature = "tls"))]
            Step::Wss { peer, .. } => Some((*peer).into()),
        }
    }

    /// Makes the handshakes, each within its time-out; at once where there are none.
    ///
    /// # Errors
    /// As [`crate::tls::Server::handshake`] and [`crate::ws::Server::handshake`].
    pub async fn handshake(self) -> Result<Carrier, CarrierError> {
        match self.0 {
            Step::Ready(carrier) => Ok(carrier),
            #[cfg(feature = "tls")]
            Step::Tls { io, peer, server, permit } => {
                let stream = server.handshake(io, &peer.to_string()).await;
                drop(permit);
                stream.map(Into::into)
            }
            #[cfg(feature = "ws")]
            Step::Ws { io, peer, server, permit } => {
                let stream = server.handshake(io, &peer.to_string()).await;
                drop(permit);
                stream.map(Into::into)
            }
            #[cfg(all(feature = "ws", feature = "tls"))]
            Step::Wss { io, peer, tls, ws, permit } => {
                let peer = peer.to_string();
                let stream = ws.handshake(tls.handshake(io, &peer).await?, &peer).await;
                drop(permit);
                stream.map(Into::into)
            }
        }
    }
}
