//! Unix sockets: a file is the address, so its life is looked after here.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use crate::accept::{Accept, AcceptCounts, AcceptLoop, AcceptPolicy};
use crate::address::PeerAddr;
use crate::error::{CarrierError, ErrorKind};
use crate::guard::Guarded;

/// A Unix socket connection whose first bytes are watched for TLS and HTTP.
pub type Stream = Guarded<UnixStream>;

/// Connects to the socket file at `path`.
///
/// # Errors
/// `Refused` if there is no such file or nobody listens at it, else `Io`.
pub async fn connect(path: impl AsRef<Path>) -> Result<Stream, CarrierError> {
    let path = path.as_ref();
    let stream = UnixStream::connect(path).await.map_err(|error| {
        let kind = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ErrorKind::Refused,
            _ => ErrorKind::Io,
        };
        CarrierError::new(kind, "connect to", error.to_string())
            .at(path.display())
            .remedy_is("start the listener, or check the path and its permissions")
            .caused_by(error)
    })?;
    Ok(Guarded::new(stream, PeerAddr::Unix(Some(path.to_owned()))))
}

#[derive(Debug)]
struct Source(UnixListener);

impl Accept for Source {
    type Conn = UnixStream;

    async fn accept(&self) -> io::Result<Self::Conn> {
        self.0.accept().await.map(|(stream, _)| stream)
    }
}

/// A listening Unix socket. Removes its file when it is dropped, unless another one lies there by then.
#[derive(Debug)]
pub struct Listener {
    accept: AcceptLoop<Source>,
    path: PathBuf,
    /// Device and inode of our file, so that a successor's file is left alone.
    file: Option<(u64, u64)>,
}

impl Listener {
    /// Listens at `path`. A socket file that nobody listens at any more is removed first; a live one is not, nor is a
    /// file that is no socket.
    ///
    /// # Errors
    /// `AddressInUse` if somebody listens there or the file is no socket, else `Io`. Must be called inside a tokio runtime.
    pub async fn bind(path: impl AsRef<Path>, policy: AcceptPolicy) -> Result<Self, CarrierError> {
        let path = path.as_ref();
        let listener = match UnixListener::bind(path) {
            Ok(listener) => listener,
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                remove_stale(path).await?;
                UnixListener::bind(path).map_err(|error| CarrierError::io("listen at", error).at(path.display()))?
            }
            Err(error) => return Err(CarrierError::io("listen at", error).at(path.display())),
        };
        let file = fs::symlink_metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
        Ok(Self { accept: AcceptLoop::new(Source(listener), policy), path: path.to_owned(), file })
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
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
        let stream =
            self.accept.accept().await.map_err(|error| CarrierError::io("accept at", error).at(self.path.display()))?;
        Ok(Guarded::new(stream, PeerAddr::Unix(None)))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let now = fs::symlink_metadata(&self.path).ok().map(|meta| (meta.dev(), meta.ino()));
        if self.file.is_some() && now == self.file {
            // Nothing to do about a failure here: a stale file is removed by the next listener.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes the socket file at `path` if nobody listens there.
async fn remove_stale(path: &Path) -> Result<(), CarrierError> {
    let in_use =
        |cause: &'static str| CarrierError::new(ErrorKind::AddressInUse, "listen at", cause).at(path.display());
    let meta = fs::symlink_metadata(path).map_err(|error| CarrierError::io("look at", error).at(path.display()))?;
    if !meta.file_type().is_socket() {
        return Err(in_use("a file that is no socket lies there").remedy_is("remove it, or choose another path"));
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|error| CarrierError::io("remove the stale socket", error).at(path.display()))
        }
        _ => Err(in_use("somebody listens there").remedy_is("stop the other program, or choose another path")),
    }
}
