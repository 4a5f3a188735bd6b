//! TCP without a protocol on it.

use crate::harness::{Stopwatch, Timing};
use crate::loopback::{SMALL_LEN, small};
use crate::net;
use crate::smp121::bare::{OUTSTANDING, scaled};
use crate::smp121::road::SERVER;
use crate::streams::{Bare, echo};
use anyhow::ensure;
use bytes::Bytes;
use socket2::SockRef;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Makes a connection for each request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    server: SocketAddr,
}

impl Asker {
    /// With a server of its own, on a port of its own: what closed connections leave behind does not stand in its way.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((SERVER, 0)).await?;
        // What it accepts has it from it.
        SockRef::from(&listener).set_tcp_nodelay(true)?;
        let server = listener.local_addr()?;
        tokio::spawn(serve(listener));
        Ok(Self { server })
    }
}

impl super::Asker for Asker {
    async fn ask(&self, message: Bytes) -> anyhow::Result<()> {
        let mut tcp = TcpStream::connect(self.server).await?;
        tcp.set_nodelay(true)?;
        tcp.write_all(&message).await?;
        let mut reply = [0; SMALL_LEN];
        tcp.read_exact(&mut reply).await?;
        ensure!(reply == *message, "another reply than was asked for");
        Ok(())
    }
}

/// A request on each connection. Where it fails, the listener is closed, and the client's connections with it.
async fn serve(listener: TcpListener) -> anyhow::Result<()> {
    loop {
        let (mut tcp, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut request = [0; SMALL_LEN];
            tcp.read_exact(&mut request).await?;
            tcp.write_all(&request).await
        });
    }
}

/// One request after another on one connection.
pub(super) async fn ping_kept(count: u64) -> anyhow::Result<Timing> {
    let (client, server) = net::tcp().await?;
    echo(Bare::new(client, small()), Bare::new(server, small()), count).await
}

/// So many in flight on one connection. For each reply that is whole the next request goes out.
pub(super) async fn many_kept(count: u64) -> anyhow::Result<Timing> {
    let (mut client, mut server) = net::tcp().await?;
    tokio::spawn(async move {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let len = server.read(&mut buffer).await?;
            ensure!(len > 0, "the stream ended");
            server.write_all(buffer.get(..len).unwrap_or_default()).await?;
        }
        #[allow(unreachable_code, reason = "tells the type")]
        anyhow::Ok(())
    });
    let task = async move {
        let requests = small().repeat(usize::try_from(OUTSTANDING)?);
        let mut buffer = vec![0; 64 * 1024];
        let watch = Stopwatch::start();
        client.write_all(&requests).await?;
        let (mut done, mut part_len) = (0, 0);
        while done < count {
            let len = client.read(&mut buffer).await?;
            ensure!(len > 0, "the stream ended");
            let whole_count = (part_len + len) / SMALL_LEN;
            part_len = (part_len + len) % SMALL_LEN;
            client.write_all(requests.get(..whole_count * SMALL_LEN).unwrap_or_default()).await?;
            done += u64::try_from(whole_count)?;
        }
        Ok(scaled(watch.stop(), count, done))
    };
    tokio::spawn(task).await?
}
