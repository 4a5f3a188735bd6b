//! What stands between client and server, and does to octets what networks do.

use crate::stacks::Place;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use testkit::Rng;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What happens to what passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    #[default]
    Pass,
    /// Nothing passes, and nothing is closed.
    Stall,
    /// The client seems to read slowly: [`SLOW_LEN`] octets at a time, with pauses. Of datagrams one in five is lost, both ways.
    Slow,
}

const SLOW_LEN: usize = 2_048;
const SLOW_PAUSE: Duration = Duration::from_millis(20);
/// One datagram at most.
const BUFFER_LEN: usize = 64 << 10;

/// A relay; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Relay {
    mode: watch::Sender<Mode>,
    cuts: watch::Sender<u64>,
    _task: JoinSet<()>,
}

type Half = (Box<dyn AsyncRead + Send + Unpin>, Box<dyn AsyncWrite + Send + Unpin>);

enum Front {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Relay {
    /// A relay to `server`, and where it listens itself; `socket` is its path where paths are listened at.
    pub(crate) async fn start(server: Place, socket: PathBuf, seed: u64) -> io::Result<(Self, Place)> {
        let (mode, modes) = watch::channel(Mode::default());
        let (cuts, cut) = watch::channel(0);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut task = JoinSet::new();
        let front = match &server {
            Place::Tcp(_) => {
                let listener = TcpListener::bind(any).await?;
                let place = Place::Tcp(listener.local_addr()?);
                task.spawn(relay_streams(Front::Tcp(listener), server, modes, cut));
                place
            }
            Place::Unix(_) => {
                let listener = UnixListener::bind(&socket)?;
                task.spawn(relay_streams(Front::Unix(listener), server, modes, cut));
                Place::Unix(socket)
            }
            Place::Udp(server) => {
                let front = Arc::new(UdpSocket::bind(any).await?);
                let place = Place::Udp(front.local_addr()?);
                task.spawn(relay_datagrams(front, *server, modes, cut, Rng::new(seed)));
                place
            }
            Place::Direct(_) => server,
        };
        Ok((Self { mode, cuts, _task: task }, front))
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Closes every connection. Of datagrams: what comes next has another source.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|count| *count += 1);
    }
}

impl Front {
    async fn accept(&self) -> io::Result<Half> {
        Ok(match self {
            Self::Tcp(listener) => tcp(listener.accept().await?.0),
            Self::Unix(listener) => unix(listener.accept().await?.0),
        })
    }
}

fn tcp(stream: TcpStream) -> Half {
    drop(stream.set_nodelay(true));
    let (reader, writer) = stream.into_split();
    (Box::new(reader), Box::new(writer))
}

fn unix(stream: UnixStream) -> Half {
    let (reader, writer) = stream.into_split();
    (Box::new(reader), Box::new(writer))
}

/// A connection to `place`, for the relay or for nothing but to be accepted.
pub(crate) async fn connect(place: &Place) -> io::Result<Half> {
    match place {
        Place::Tcp(address) => TcpStream::connect(address).await.map(tcp),
        Place::Unix(path) => UnixStream::connect(path).await.map(unix),
        Place::Udp(_) | Place::Direct(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}

async fn relay_streams(front: Front, server: Place, modes: watch::Receiver<Mode>, mut cut: watch::Receiver<u64>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok(()) = cut.changed() => connections.shutdown().await,
            Some(_) = connections.join_next() => {}
            Ok((from_client, to_client)) = front.accept() => {
                let (server, modes) = (server.clone(), modes.clone());
                connections.spawn(async move {
                    let Ok((from_server, to_server)) = connect(&server).await else { return };
                    // One end gone, both are: a process that was killed says no more.
                    tokio::select! {
                        () = pump(from_client, to_server, modes.clone(), false) => {}
                        () = pump(from_server, to_client, modes, true) => {}
                    }
                });
            }
            else => return,
        }
    }
}

async fn pump(
    mut from: Box<dyn AsyncRead + Send + Unpin>,
    mut to: Box<dyn AsyncWrite + Send + Unpin>,
    mut modes: watch::Receiver<Mode>,
    is_to_client: bool,
) {
    let mut buffer = vec![0; BUFFER_LEN];
    loop {
        let Ok(mode) = modes.wait_for(|mode| *mode != Mode::Stall).await.map(|mode| *mode) else { return };
        let is_slow = mode == Mode::Slow && is_to_client;
        let room = if is_slow { SLOW_LEN } else { BUFFER_LEN };
        let Some(room) = buffer.get_mut(..room) else { return };
        let len = tokio::select! {
            read = from.read(room) => match read {
                Ok(0) | Err(_) => return,
                Ok(len) => len,
            },
            Ok(()) = modes.changed() => continue,
        };
        if to.write_all(buffer.get(..len).unwrap_or_default()).await.is_err() {
            return;
        }
        if is_slow {
            tokio::time::sleep(SLOW_PAUSE).await;
        }
    }
}

async fn relay_datagrams(
    front: Arc<UdpSocket>,
    server: SocketAddr,
    modes: watch::Receiver<Mode>,
    mut cut: watch::Receiver<u64>,
    mut rng: Rng,
) {
    let mut backs: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut replies = JoinSet::new();
    let mut buffer = vec![0; BUFFER_LEN];
    loop {
        let (len, client) = tokio::select! {
            Ok(()) = cut.changed() => {
                backs.clear();
                replies.shutdown().await;
                continue;
            }
            received = front.recv_from(&mut buffer) => match received {
                Ok(received) => received,
                // ICMP about one who is gone.
                Err(_) => continue,
            },
        };
        if !passes(*modes.borrow(), &mut rng) {
            continue;
        }
        let back = match backs.get(&client) {
            Some(back) => Arc::clone(back),
            None => {
                let Ok(back) = UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await else { continue };
                if back.connect(server).await.is_err() {
                    continue;
                }
                let back = Arc::new(back);
                backs.insert(client, Arc::clone(&back));
                let rng = Rng::with_stream(rng.next_u64(), backs.len() as u64);
                replies.spawn(relay_replies(Arc::clone(&back), Arc::clone(&front), client, modes.clone(), rng));
                back
            }
        };
        let _may_be_gone = back.send(buffer.get(..len).unwrap_or_default()).await;
    }
}

async fn relay_replies(
    back: Arc<UdpSocket>,
    front: Arc<UdpSocket>,
    client: SocketAddr,
    modes: watch::Receiver<Mode>,
    mut rng: Rng,
) {
    let mut buffer = vec![0; BUFFER_LEN];
    loop {
        match back.recv(&mut buffer).await {
            Ok(len) if passes(*modes.borrow(), &mut rng) => {
                let _may_be_gone = front.send_to(buffer.get(..len).unwrap_or_default(), client).await;
            }
            Ok(_) => {}
            // The server is gone for a while; each such error answers one datagram.
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

fn passes(mode: Mode, rng: &mut Rng) -> bool {
    match mode {
        Mode::Pass => true,
        Mode::Stall => false,
        Mode::Slow => !rng.chance(200),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    const SOON: Duration = Duration::from_millis(100);

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut reader, mut writer) = stream.split();
                    tokio::io::copy(&mut reader, &mut writer).await
                });
            }
        });
        address
    }

    #[tokio::test]
    async fn passes_stalls_slows_and_cuts() {
        let server = Place::Tcp(echo().await);
        let (relay, place) = Relay::start(server, PathBuf::new(), 1).await.unwrap();
        let (mut reader, mut writer) = connect(&place).await.unwrap();
        let mut came = [0; 4];
        writer.write_all(b"pass").await.unwrap();
        reader.read_exact(&mut came).await.unwrap();
        assert_eq!(&came, b"pass");

        relay.set(Mode::Stall);
        writer.write_all(b"wait").await.unwrap();
        assert!(timeout(SOON, reader.read_exact(&mut came)).await.is_err(), "nothing passes");
        relay.set(Mode::Pass);
        reader.read_exact(&mut came).await.unwrap();
        assert_eq!(&came, b"wait");

        relay.set(Mode::Slow);
        writer.write_all(&[7; SLOW_LEN * 20]).await.unwrap();
        let mut all = vec![0; SLOW_LEN * 20];
        assert!(timeout(SLOW_PAUSE * 10, reader.read_exact(&mut all)).await.is_err(), "it takes 20 pauses");

        relay.cut();
        while reader.read(&mut all).await.is_ok_and(|len| len > 0) {}
    }

    #[tokio::test]
    async fn datagrams_are_lost_and_get_another_source() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = Place::Udp(server.local_addr().unwrap());
        let (relay, place) = Relay::start(at, PathBuf::new(), 1).await.unwrap();
        let Place::Udp(place) = place else { panic!("of another kind") };
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut buffer = [0; 8];
        client.send_to(b"one", place).await.unwrap();
        let (_, first) = server.recv_from(&mut buffer).await.unwrap();
        relay.set(Mode::Stall);
        client.send_to(b"two", place).await.unwrap();
        assert!(timeout(SOON, server.recv_from(&mut buffer)).await.is_err());
        relay.set(Mode::Pass);
        relay.cut();
        tokio::time::sleep(SOON).await;
        client.send_to(b"three", place).await.unwrap();
        let (len, second) = server.recv_from(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..len], b"three");
        assert_ne!(first, second);
    }
}
