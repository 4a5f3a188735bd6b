//! Byte streams inside the process: for tests, demos and parts of one program that speak a protocol to each other.
//! Datagrams are in [`datagram`].

pub mod datagram;

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, DuplexStream, ReadBuf};
use tokio::sync::mpsc;

use crate::address::PeerAddr;
use crate::error::{CarrierError, ErrorKind};
use crate::forward::forward_writes;

/// Bytes one direction holds before a write waits, unless told otherwise: 64 KiB.
pub const CAPACITY_DEFAULT: usize = 64 * 1024;
/// Connections that may wait to be accepted: 128.
pub const BACKLOG_MAX: usize = 128;

/// One end of a byte stream inside the process. A full direction makes writes wait; a dropped end is an end of stream
/// for reads and `BrokenPipe` for writes.
#[derive(Debug)]
pub struct Stream {
    io: DuplexStream,
    peer: PeerAddr,
}

impl Stream {
    /// Who is at the other end.
    pub fn peer(&self) -> &PeerAddr {
        &self.peer
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, buf)
    }
}

forward_writes!([] Stream);

/// Two connected ends; each direction holds at most `capacity` bytes (at least 1), allocated as they are used.
pub fn duplex(capacity: usize) -> (Stream, Stream) {
    let (a, b) = tokio::io::duplex(capacity.max(1));
    let peer = |name: &str| PeerAddr::Memory(name.to_owned());
    (Stream { io: a, peer: peer("duplex") }, Stream { io: b, peer: peer("duplex") })
}

#[derive(Debug)]
struct Entry {
    id: u64,
    capacity: usize,
    incoming: mpsc::Sender<Stream>,
}

fn registry() -> MutexGuard<'static, HashMap<String, Entry>> {
    static NAMES: OnceLock<Mutex<HashMap<String, Entry>>> = OnceLock::new();
    NAMES.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// Connects to the listener of that `name` in this process.
///
/// # Errors
/// `Refused` if there is none or it is gone.
pub async fn connect(name: &str) -> Result<Stream, CarrierError> {
    let refused = || {
        CarrierError::new(ErrorKind::Refused, "connect to", "no listener of that name in this process")
            .at(PeerAddr::Memory(name.to_owned()))
            .remedy_is("listen first; memory addresses do not reach other processes")
    };
    let (incoming, capacity) = match registry().get(name) {
        Some(entry) => (entry.incoming.clone(), entry.capacity),
        None => return Err(refused()),
    };
    static NEXT_CLIENT: AtomicU64 = AtomicU64::new(1);
    let client = NEXT_CLIENT.fetch_add(1, Ordering::Relaxed);
    let (near, far) = tokio::io::duplex(capacity);
    let far = Stream { io: far, peer: PeerAddr::Memory(format!("{name}#{client}")) };
    incoming.send(far).await.map_err(|_| refused())?;
    Ok(Stream { io: near, peer: PeerAddr::Memory(name.to_owned()) })
}

/// A name in this process that others connect to. The name is free again when it is dropped.
#[derive(Debug)]
pub struct Listener {
    name: String,
    id: u64,
    incoming: tokio::sync::Mutex<mpsc::Receiver<Stream>>,
}

impl Listener {
    /// Takes `name`; each direction of each connection holds at most `capacity` bytes (at least 1).
    ///
    /// # Errors
    /// `AddressInUse` if the name is taken.
    pub fn bind(name: &str, capacity: usize) -> Result<Self, CarrierError> {
        static NEXT_LISTENER: AtomicU64 = AtomicU64::new(1);
        let mut names = registry();
        if names.contains_key(name) {
            return Err(CarrierError::new(ErrorKind::AddressInUse, "listen at", "the name is taken")
                .at(PeerAddr::Memory(name.to_owned()))
                .remedy_is("choose another name, or drop the other listener"));
        }
        let id = NEXT_LISTENER.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = mpsc::channel(BACKLOG_MAX);
        names.insert(name.to_owned(), Entry { id, capacity: capacity.max(1), incoming: sender });
        Ok(Self { name: name.to_owned(), id, incoming: tokio::sync::Mutex::new(receiver) })
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits for the next connection. Cancel-safe.
    ///
    /// # Errors
    /// `Io` if the name was taken out of the registry, which dropping the listener does.
    pub async fn accept(&self) -> Result<Stream, CarrierError> {
        self.incoming.lock().await.recv().await.ok_or_else(|| {
            CarrierError::new(ErrorKind::Io, "accept at", "the listener is gone")
                .at(PeerAddr::Memory(self.name.clone()))
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut names = registry();
        if names.get(&self.name).is_some_and(|entry| entry.id == self.id) {
            names.remove(&self.name);
        }
    }
}
