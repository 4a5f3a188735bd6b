//! Pairs of connections over every stack.

use postroad::dev_certs::DevCa;
use postroad::url::Stack;
use postroad::{ConnectOptions, Connection, Limits, ListenOptions, Listener, Url, connect_with, listen_with};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What a test needs to keep alive, and both ends.
pub(crate) struct Pair {
    pub(crate) client: Connection,
    pub(crate) server: Connection,
    _listener: Listener,
    _folder: tempfile::TempDir,
}

/// The stacks that have connections; those of mailslots are in `mailslots.rs`.
pub(crate) fn stacks() -> Vec<&'static str> {
    let all: Vec<String> = Stack::ALL.iter().map(ToString::to_string).collect();
    let stacks = [smp_stacks(), session_stacks()].concat();
    let of = |protocol: &str| all.iter().filter(|stack| stack.starts_with(protocol)).count();
    assert_eq!(stacks.len(), of("smp+") + of("smrp+"));
    stacks
}

/// Those whose units have codes and limits of their own.
pub(crate) fn smp_stacks() -> Vec<&'static str> {
    vec![
        "smp+tcp",
        "smp+tls",
        "smp+ws",
        "smp+wss",
        "smp+unix",
        "smp+mem",
        "smp+smrp+tcp",
        "smp+smrp+tls",
        "smp+smrp+ws",
        "smp+smrp+wss",
        "smp+smrp+unix",
        "smp+smrp+mem",
    ]
}

/// Those whose connections are sessions.
pub(crate) fn session_stacks() -> Vec<&'static str> {
    vec!["smrp+tcp", "smrp+tls", "smrp+ws", "smrp+wss", "smrp+unix", "smrp+mem"]
}

/// The stacks whose connections carry WRP.
pub(crate) fn wrp_stacks() -> Vec<String> {
    let all: Vec<String> =
        Stack::ALL.iter().map(ToString::to_string).filter(|stack| stack.starts_with("wrp+")).collect();
    assert_eq!(all.len(), 18);
    all
}

pub(crate) struct Setup {
    pub(crate) limits: Limits,
    pub(crate) query: &'static str,
    pub(crate) request_timeout: Duration,
}

impl Default for Setup {
    fn default() -> Self {
        Self { limits: Limits::default(), query: "", request_timeout: Duration::from_secs(20) }
    }
}

pub(crate) async fn pair(stack: &str) -> Pair {
    pair_with(stack, Setup::default()).await
}

pub(crate) async fn pair_with(stack: &str, setup: Setup) -> Pair {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let folder = tempfile::tempdir().unwrap();
    let transport = stack.rsplit('+').next().unwrap();
    let authority = match transport {
        "unix" => folder.path().join("a socket.sock").to_str().unwrap().replace(' ', "%20"),
        "mem" => format!("pair-{}", NEXT.fetch_add(1, Ordering::Relaxed)),
        "ws" | "wss" => "localhost:0/a/path".to_owned(),
        _ => "127.0.0.1:0".to_owned(),
    };
    let ca = DevCa::generate().unwrap();
    let identity = ca.issue_server(&["localhost", "127.0.0.1", "::1"]).unwrap();
    let listen = ListenOptions::new()
        .with_limits(setup.limits)
        .with_request_timeout(setup.request_timeout)
        .with_identity_pem(identity.certificate_pem, identity.key_pem);
    let connect = ConnectOptions::new()
        .with_limits(setup.limits)
        .with_request_timeout(setup.request_timeout)
        .with_ca_pem(ca.certificate_pem());
    let mut listener = listen_with(format!("{stack}://{authority}{}", setup.query), listen).await.unwrap();
    let url: Url = listener.url().clone();
    assert_ne!(url.port(), Some(0));
    let (client, server) = tokio::join!(connect_with(url, connect), listener.accept());
    Pair { client: client.unwrap(), server: server.unwrap(), _listener: listener, _folder: folder }
}

/// Echoes requests and messages until the connection ends.
pub(crate) fn spawn_echo(connection: Connection) -> tokio::task::JoinHandle<Result<(), postroad::Error>> {
    use postroad::Incoming;
    tokio::spawn(async move {
        while let Some(incoming) = connection.receive().await? {
            match incoming {
                Incoming::Message(message) => connection.send(message).await?,
                Incoming::Request(request) => {
                    let message = request.message().clone();
                    request.reply(message).await?;
                }
                Incoming::RequestBody(request, mut body) => {
                    let mut reply = request.reply_body(body.head().clone()).await?;
                    while let Some(piece) = body.next().await? {
                        reply.write(piece).await?;
                    }
                    reply.finish_with(body.trailer().unwrap_or_default().to_vec()).await?;
                }
                Incoming::Body(mut body) => {
                    let mut back = connection.open_body(body.head().clone()).await?;
                    while let Some(piece) = body.next().await? {
                        back.write(piece).await?;
                    }
                    back.finish_with(body.trailer().unwrap_or_default().to_vec()).await?;
                }
                _ => {}
            }
        }
        Ok(())
    })
}

/// `len` octets that are not all the same.
pub(crate) fn pattern(len: usize, seed: u8) -> postroad::Bytes {
    (0..len).map(|at| (at as u64).wrapping_mul(2_654_435_761).to_be_bytes()[5] ^ seed).collect::<Vec<u8>>().into()
}

pub(crate) async fn within<F: Future>(seconds: u64, future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(seconds), future).await.expect("it took too long")
}

/// A relay to a port of this host whose connections can be cut.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) port: u16,
    cut: Arc<Notify>,
    counts: Arc<RelayCounts>,
}

#[derive(Debug, Default)]
struct RelayCounts {
    accepted: AtomicUsize,
    open: AtomicUsize,
}

impl Relay {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = Self { port: listener.local_addr().unwrap().port(), cut: Arc::default(), counts: Arc::default() };
        let (cut, counts) = (relay.cut.clone(), relay.counts.clone());
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                counts.accepted.fetch_add(1, Ordering::SeqCst);
                counts.open.fetch_add(1, Ordering::SeqCst);
                let (cut, counts) = (cut.clone(), counts.clone());
                tokio::spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await {
                        tokio::select! {
                            _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                            () = cut.notified() => {}
                        }
                    }
                    counts.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        relay
    }

    /// Cuts all connections that are open now.
    pub(crate) fn cut(&self) {
        self.cut.notify_waiters();
    }

    /// How many there were.
    pub(crate) fn connection_count(&self) -> usize {
        self.counts.accepted.load(Ordering::SeqCst)
    }

    /// Waits until none is open.
    pub(crate) async fn all_closed(&self) {
        while self.counts.open.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
