//! What each contender does, and where its two ends run.

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
}

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
    fn serve(links: Vec<TcpStream>, work: Work) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Gets ready.
    fn connect(links: Vec<TcpStream>, work: Work) -> impl Future<Output = anyhow::Result<Self::Client>> + Send;

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
pub(super) fn run<P: Peer>(topology: Topology, work: Work, count: u64) -> anyhow::Result<Timing> {
    match topology {
        Topology::Shared => net::runtime()?.block_on(async {
            let (clients, servers) = links(P::connections(work)).await?;
            let serving = tokio::spawn(P::serve(servers, work));
            let timing = tokio::spawn(client::<P>(clients, work, count)).await?;
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
            let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
            let server = thread::spawn(move || {
                runtime()?.block_on(async {
                    let links = servers.into_iter().map(TcpStream::from_std).collect::<Result<Vec<_>, _>>()?;
                    tokio::select! {
                        served = P::serve(links, work) => served,
                        _ = stopped => Ok(()),
                    }
                })
            });
            let timing = runtime()?.block_on(async {
                let links = clients.into_iter().map(TcpStream::from_std).collect::<Result<Vec<_>, _>>()?;
                client::<P>(links, work, count).await
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

async fn client<P: Peer>(links: Vec<TcpStream>, work: Work, count: u64) -> anyhow::Result<Timing> {
    let all = measured::<P>(links, work, count);
    tokio::time::timeout(PATIENCE, all)
        .await
        .map_err(|_| anyhow::anyhow!("{work:?} of {count} took longer than {PATIENCE:?}"))?
}

async fn measured<P: Peer>(links: Vec<TcpStream>, work: Work, count: u64) -> anyhow::Result<Timing> {
    let mut client = P::connect(links, work).await?;
    let mut nanos = Vec::new();
    P::work(&mut client, work, count / 8 + 1, &mut nanos).await?;
    nanos.clear();
    let watch = Stopwatch::start();
    P::work(&mut client, work, count, &mut nanos).await?;
    let timing = watch.stop();
    nanos.sort_by(f64::total_cmp);
    let at = |share: usize| nanos.get(nanos.len() * share / 100).copied();
    Ok(Timing { percentiles: at(50).zip(at(99)), ..timing })
}

/// Divides `count` among workers.
pub(super) fn shares(count: u64, workers: usize) -> Vec<u64> {
    let workers = workers as u64;
    (0..workers).map(|worker| count / workers + u64::from(worker < count % workers)).collect()
}

/// Times one item.
pub(super) async fn timed<T>(nanos: &mut Vec<f64>, item: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let start = clock();
    let result = item.await?;
    nanos.push(start.elapsed().as_secs_f64() * 1e9);
    Ok(result)
}
