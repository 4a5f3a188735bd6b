//! Sockets at either end: TCP or Unix.

use super::{Options, Place};
use crate::{Error, ErrorKind};
use postroad_transport::accept::AcceptPolicy;
use postroad_transport::tcp::{self, TcpConfig};
use postroad_transport::{CarrierError, ErrorKind as CarrierKind, unix};
use smrp::Code;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::net::{TcpStream, UnixStream};

/// A connection that is forwarded.
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Its two directions, each of which may end before the other.
pub(super) enum Halves {
    Tcp(ReadHalf<TcpStream>, WriteHalf<TcpStream>),
    Unix(ReadHalf<UnixStream>, WriteHalf<UnixStream>),
}

impl Socket {
    /// A connection to a target, or the code that says why there is none.
    pub(super) async fn connect(target: &Place, options: &Options) -> Result<Self, (Code, Error)> {
        let opening = async {
            match target {
                Place::Tcp { host, port } => {
                    let tcp = TcpConfig::default()
                        .with_watch_first_bytes(false)
                        .with_connect_timeout(options.connect_timeout);
                    let stream = tcp::connect(&format!("{host}:{port}"), &tcp).await?;
                    Ok(Self::Tcp(stream.into_inner()))
                }
                Place::Unix(path) => unix::connect(path).await.map(|stream| Self::Unix(stream.into_inner())),
            }
        };
        let what = || format!("could not reach {target}");
        match tokio::time::timeout(options.connect_timeout, opening).await {
            Ok(Ok(socket)) => Ok(socket),
            Ok(Err(error)) => Err((code_of(&error), Error::carrier(what(), error))),
            Err(_) => {
                let why = format!("it took longer than {:?}", options.connect_timeout);
                Err((Code::UNREACHABLE, Error::new(ErrorKind::Timeout, what(), why)))
            }
        }
    }

    pub(super) fn split(self) -> Halves {
        match self {
            Self::Tcp(stream) => {
                let (read, write) = tokio::io::split(stream);
                Halves::Tcp(read, write)
            }
            Self::Unix(stream) => {
                let (read, write) = tokio::io::split(stream);
                Halves::Unix(read, write)
            }
        }
    }

    /// Ends it so that its other end sees that it broke, as far as its kind can say that.
    pub(super) fn abort(self) {
        if let Self::Tcp(stream) = &self {
            // Where this fails the other end sees an end instead.
            drop(stream.set_zero_linger());
        }
    }
}

fn code_of(error: &CarrierError) -> Code {
    match error.kind() {
        CarrierKind::Refused => super::TARGET_REFUSED,
        CarrierKind::Dns => Code::NOT_FOUND,
        _ => Code::UNREACHABLE,
    }
}

/// Where connections come in.
pub(super) enum Door {
    Tcp(tcp::Listener),
    Unix(unix::Listener),
}

impl Door {
    /// A door, and the place with its real port.
    pub(super) async fn open(place: &Place) -> Result<(Self, Place), Error> {
        let failed = |error| Error::carrier(format!("could not listen at {place}"), error);
        match place {
            Place::Tcp { host, port } => {
                let tcp = TcpConfig::default().with_watch_first_bytes(false);
                let listener = tcp::Listener::bind(&format!("{host}:{port}"), tcp).await.map_err(failed)?;
                let port = listener.local_addr().port();
                Ok((Self::Tcp(listener), Place::Tcp { host: host.clone(), port }))
            }
            Place::Unix(path) => {
                let listener = unix::Listener::bind(path, AcceptPolicy::default()).await.map_err(failed)?;
                Ok((Self::Unix(listener), place.clone()))
            }
        }
    }

    /// The next connection, and who it is. Cancel-safe.
    pub(super) async fn accept(&self) -> Result<(Socket, String), CarrierError> {
        match self {
            Self::Tcp(listener) => {
                let stream = listener.accept().await?;
                let peer = stream.peer().to_string();
                Ok((Socket::Tcp(stream.into_inner()), peer))
            }
            Self::Unix(listener) => {
                let stream = listener.accept().await?;
                let peer = stream.peer().to_string();
                Ok((Socket::Unix(stream.into_inner()), peer))
            }
        }
    }
}
