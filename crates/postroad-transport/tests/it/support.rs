//! Pairs of connected ends of every carrier, random bytes, and a time-out for everything.

use std::future::Future;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use postroad_transport::accept::AcceptPolicy;
use postroad_transport::dev_certs::DevCa;
use postroad_transport::tcp::TcpConfig;
use postroad_transport::{Carrier, CarrierError, CarrierListener, PeerAddr, memory, tcp, tls, unix, ws};

pub(crate) const ALL: [&str; 6] = ["tcp", "unix", "mem", "tls", "ws", "wss"];
/// Carriers whose ends can be closed one direction at a time.
pub(crate) const HALF_CLOSING: [&str; 4] = ["tcp", "unix", "mem", "tls"];

/// Nothing here may hang: 30 s is for a busy machine.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), Box::pin(what)).await.expect("took longer than 30 s")
}

/// For what must be named within a second.
pub(crate) async fn within_a_second<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(1), Box::pin(what)).await.expect("took longer than a second")
}

pub(crate) fn ca() -> &'static DevCa {
    static CA: OnceLock<DevCa> = OnceLock::new();
    CA.get_or_init(|| DevCa::generate().unwrap())
}

pub(crate) fn tls_server() -> tls::Server {
    let identity = ca().issue_server(&["localhost", "127.0.0.1"]).unwrap();
    tls::ServerConfig::new(identity.certificate_pem, identity.key_pem).build().unwrap()
}

pub(crate) fn tls_client() -> tls::Client {
    tls::ClientConfig::new().with_ca_pem(ca().certificate_pem()).build().unwrap()
}

/// A listener of the carrier at a free address, and a directory that must live as long as it.
pub(crate) async fn listener(name: &str) -> (CarrierListener, tempfile::TempDir) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let dir = tempfile::tempdir().unwrap();
    let tcp_listener = || tcp::Listener::bind("127.0.0.1:0", TcpConfig::default());
    let listener = match name {
        "tcp" => CarrierListener::Tcp(tcp_listener().await.unwrap()),
        "unix" => CarrierListener::Unix(
            unix::Listener::bind(dir.path().join("socket"), AcceptPolicy::default()).await.unwrap(),
        ),
        "mem" => {
            let name = format!("test-{}", NEXT.fetch_add(1, Ordering::Relaxed));
            CarrierListener::Memory(memory::Listener::bind(&name, memory::CAPACITY_DEFAULT).unwrap())
        }
        "tls" => CarrierListener::Tls(tcp_listener().await.unwrap(), tls_server()),
        "ws" => CarrierListener::Ws(tcp_listener().await.unwrap(), ws::ServerConfig::new().build().unwrap()),
        "wss" => {
            CarrierListener::Wss(tcp_listener().await.unwrap(), tls_server(), ws::ServerConfig::new().build().unwrap())
        }
        other => panic!("no carrier {other}"),
    };
    assert_eq!(listener.name(), name);
    (listener, dir)
}

pub(crate) async fn connect(name: &str, to: &PeerAddr) -> Result<Carrier, CarrierError> {
    let tcp = TcpConfig::default();
    let address = to.to_string();
    Ok(match (name, to) {
        ("tcp", _) => tcp::connect(&address, &tcp).await?.into(),
        ("tls", _) => tls_client().connect(&address, &tcp).await?.into(),
        ("ws", _) => ws::connect(&address, &ws::ClientConfig::new(), &tcp).await?.into(),
        ("wss", _) => ws::connect_tls(&address, &ws::ClientConfig::new(), &tls_client(), &tcp).await?.into(),
        ("unix", PeerAddr::Unix(Some(path))) => unix::connect(path).await?.into(),
        ("mem", PeerAddr::Memory(name)) => memory::connect(name).await?.into(),
        other => panic!("no carrier {other:?}"),
    })
}

/// Two connected ends: the client's and the server's.
pub(crate) async fn pair(name: &str) -> (Carrier, Carrier) {
    let (listener, _dir) = listener(name).await;
    let to = listener.local_addr();
    let (client, server) = tokio::join!(connect(name, &to), async { listener.accept().await?.handshake().await });
    (client.unwrap(), server.unwrap())
}

/// A plain listening socket with nothing of ours around it, and its address.
pub(crate) async fn bare_listener() -> (tokio::net::TcpListener, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// The same random bytes for the same seed.
pub(crate) fn random_bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15);
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}
