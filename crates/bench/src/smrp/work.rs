//! What each contender does, and where its two ends run.

use super::link::{Link, Security, writes};
use crate::harness::{Stopwatch, Timing, clock};
use crate::net;
use anyhow::Context as _;
use bytes::Bytes;
use std::future::Future;
use std::thread;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::runtime::Builder;

pub(super) const BULK_LEN: usize = 64 << 10;
pub(super) const SMALL_LEN: usize = 64;
pub(super) const IN_FLIGHT: usize = 100;
/// A peer that stands still is an error, not a wait.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is done so and so many times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Pieces of 64 KiB over so many streams, each of which is then answered by one octet.
    Bulk { streams: usize },
    /// 64 octets there and back, one after the other.
    Echo,
    /// 64 octets and as many back, 100 at once.
    Requests,
    /// A stream for 8 octets there and back, 100 at once.
    OpenEchoClose,
    /// Messages one way, and one octet back at the end.
    Messages { len: usize },
    /// 8 octets there and back on a stream, the most urgent one where there are such, every 1 or 2 ms, while another stream takes what it can.
    Ping,
}

/// What a ping begins with; bulk begins with something else.
pub(super) const PING: [u8; 8] = [1; 8];
/// Between two pings.
const PING_PAUSE: Duration = Duration::from_millis(1);

/// Where the ends run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topology {
    /// On one runtime with two workers.
    Shared,
    /// Each on a runtime of its own, in a thread of its own.
    TwoThreads,
}

impl Topology {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Shared => "one runtime",
            Self::TwoThreads => "two threads",
        }
    }
}

/// One way of putting the work over connections.
pub(super) trait Peer: Send + 'static {
    type Client: Send;

    /// TCP connections that it takes for this work.
    fn connections(_: Work) -> usize {
        1
    }

    /// Serves until the connections end.
    fn serve(links: Vec<Link>, work: Work) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Gets ready.
    fn connect(links: Vec<Link>, work: Work) -> impl Future<Output = anyhow::Result<Self::Client>> + Send;

    /// Does it `count` times; of single items it may say how long each took.
    fn work(
        client: &mut Self::Client,
        work: Work,
        count: u64,
        nanos: &mut Vec<f64>,
    ) -> impl Future<Output = anyhow::Result<()>> + Send;
}

pub(super) fn small(len: usize) -> Bytes {
    Bytes::from(vec![7; len])
}

/// Runs the work `count` times after a warm-up.
pub(super) fn run<P: Peer>(topology: Topology, security: &Security, work: Work, count: u64) -> anyhow::Result<Timing> {
    match topology {
        Topology::Shared => net::runtime()?.block_on(async {
            let (clients, servers) = links(P::connections(work)).await?;
            let (near, far) = (security.clone(), security.clone());
            let serving = tokio::spawn(async move { P::serve(secured(&far, servers, false).await?, work).await });
            let timing =
                tokio::spawn(async move { client::<P>(secured(&near, clients, true).await?, work, count).await });
            let timing = timing.await?;
            serving.abort();
            timing
        }),
        Topology::TwoThreads => {
            let runtime = || Builder::new_current_thread().enable_all().build().context("start a runtime");
            let (clients, servers) = runtime()?.block_on(async {
                let (clients, servers) = links(P::connections(work)).await?;
                let std =
                    |links: Vec<TcpStream>| links.into_iter().map(TcpStream::into_std).collect::<Result<Vec<_>, _>>();
                anyhow::Ok((std(clients)?, std(servers)?))
            })?;
            let far = security.clone();
            let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
            let server = thread::spawn(move || {
                runtime()?.block_on(async {
                    let links = servers.into_iter().map(TcpStream::from_std).collect::<Result<Vec<_>, _>>()?;
                    tokio::select! {
                        served = async { P::serve(secured(&far, links, false).await?, work).await } => served,
                        _ = stopped => Ok(()),
                    }
                })
            });
            let timing = runtime()?.block_on(async {
                let links = clients.into_iter().map(TcpStream::from_std).collect::<Result<Vec<_>, _>>()?;
                client::<P>(secured(security, links, true).await?, work, count).await
            });
            drop(stop);
            drop(server.join().map_err(|_| anyhow::anyhow!("the server panicked"))?);
            timing
        }
    }
}

async fn links(count: usize) -> anyhow::Result<(Vec<TcpStream>, Vec<TcpStream>)> {
    let (mut clients, mut servers) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let (client, server) = net::tcp().await?;
        clients.push(client);
        servers.push(server);
    }
    Ok((clients, servers))
}

async fn secured(security: &Security, links: Vec<TcpStream>, is_client: bool) -> anyhow::Result<Vec<Link>> {
    let mut secured = Vec::new();
    for tcp in links {
        secured.push(if is_client { security.client(tcp).await? } else { security.server(tcp).await? });
    }
    Ok(secured)
}

async fn client<P: Peer>(links: Vec<Link>, work: Work, count: u64) -> anyhow::Result<Timing> {
    let all = measured::<P>(links, work, count);
    tokio::time::timeout(PATIENCE, all)
        .await
        .map_err(|_| anyhow::anyhow!("{work:?} of {count} took longer than {PATIENCE:?}"))?
}

async fn measured<P: Peer>(links: Vec<Link>, work: Work, count: u64) -> anyhow::Result<Timing> {
    let mut client = P::connect(links, work).await?;
    let mut nanos = Vec::new();
    P::work(&mut client, work, count / 8 + 1, &mut nanos).await?;
    nanos.clear();
    let (watch, written) = (Stopwatch::start(), writes());
    P::work(&mut client, work, count, &mut nanos).await?;
    let timing = watch.stop();
    let written = writes() - written;
    nanos.sort_by(f64::total_cmp);
    let at = |share: usize| nanos.get(nanos.len() * share / 100).copied();
    // Of pings the tail is what counts.
    let first = if work == Work::Ping { 95 } else { 50 };
    Ok(Timing { percentiles: at(first).zip(at(99)), writes: (work != Work::Ping).then_some(written), ..timing })
}

/// Divides `count` among workers.
pub(super) fn shares(count: u64, workers: usize) -> Vec<u64> {
    let workers = workers as u64;
    (0..workers).map(|worker| count / workers + u64::from(worker < count % workers)).collect()
}

/// Something that goes on beside the pings until the last one.
pub(super) struct Beside(tokio::task::JoinHandle<anyhow::Result<()>>);

impl Beside {
    pub(super) fn start(bulk: impl Future<Output = anyhow::Result<()>> + Send + 'static) -> Self {
        Self(tokio::spawn(bulk))
    }

    pub(super) fn end(self) -> anyhow::Result<()> {
        anyhow::ensure!(!self.0.is_finished(), "bulk ended before the pings did");
        self.0.abort();
        Ok(())
    }
}

/// One ping, a while after the last one.
pub(super) async fn ping(nanos: &mut Vec<f64>, ping: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::time::sleep(PING_PAUSE).await;
    timed(nanos, ping).await
}

/// Times one item.
pub(super) async fn timed<T>(nanos: &mut Vec<f64>, item: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let start = clock();
    let result = item.await?;
    nanos.push(start.elapsed().as_secs_f64() * 1e9);
    Ok(result)
}
