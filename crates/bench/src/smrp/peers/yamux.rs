//! yamux, with a task that drives each connection.

use crate::smrp::link::Link;
use crate::smrp::work::{BULK_LEN, Beside, IN_FLIGHT, PING, Peer, SMALL_LEN, Work, ping, shares, timed};
use anyhow::{Context as _, bail};
use futures_util::{AsyncReadExt as _, AsyncWriteExt as _};
use std::future::poll_fn;
use std::hint::black_box;
use std::task::Poll;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::compat::TokioAsyncReadCompatExt as _;
use yamux::{Config, Connection, Mode, Stream};

pub(crate) struct Yamux;

type Opening = oneshot::Sender<Result<Stream, yamux::ConnectionError>>;

#[derive(Clone)]
pub(crate) struct Opener(mpsc::Sender<Opening>);

impl Opener {
    async fn open(&self) -> anyhow::Result<Stream> {
        let (sender, receiver) = oneshot::channel();
        self.0.send(sender).await.ok().context("the connection is open")?;
        Ok(receiver.await??)
    }
}

pub(crate) struct Client {
    opener: Opener,
    streams: Vec<Stream>,
}

fn connection(mut links: Vec<Link>, mode: Mode) -> anyhow::Result<Connection<tokio_util::compat::Compat<Link>>> {
    Ok(Connection::new(links.pop().context("a connection")?.compat(), Config::default(), mode))
}

/// Drives the client's connection and opens streams as they are asked for.
fn drive(mut connection: Connection<tokio_util::compat::Compat<Link>>) -> Opener {
    let (sender, mut openings) = mpsc::channel::<Opening>(256);
    tokio::spawn(async move {
        let mut opening: Option<Opening> = None;
        poll_fn(|cx| {
            loop {
                if opening.is_none()
                    && let Poll::Ready(next) = openings.poll_recv(cx)
                {
                    match next {
                        Some(next) => opening = Some(next),
                        None => return Poll::Ready(()),
                    }
                }
                if opening.is_some()
                    && let Poll::Ready(stream) = connection.poll_new_outbound(cx)
                {
                    if let Some(opening) = opening.take() {
                        drop(opening.send(stream));
                    }
                    continue;
                }
                match connection.poll_next_inbound(cx) {
                    Poll::Ready(None | Some(Err(_))) => return Poll::Ready(()),
                    Poll::Ready(Some(Ok(stream))) => drop(stream),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await;
    });
    Opener(sender)
}

impl Peer for Yamux {
    type Client = Client;

    async fn serve(links: Vec<Link>, work: Work) -> anyhow::Result<()> {
        let mut connection = connection(links, Mode::Server)?;
        while let Some(stream) = poll_fn(|cx| connection.poll_next_inbound(cx)).await {
            let mut stream = stream?;
            tokio::spawn(async move {
                if matches!(work, Work::Bulk { .. }) {
                    let mut octets = vec![0; BULK_LEN];
                    while stream.read(&mut octets).await? > 0 {
                        black_box(&octets);
                    }
                    stream.write_all(b"x").await?;
                } else {
                    let mut octets = vec![0; if work == Work::Ping { BULK_LEN } else { SMALL_LEN }];
                    loop {
                        let len = stream.read(&mut octets).await?;
                        let Some(octets) = octets.get(..len).filter(|octets| !octets.is_empty()) else { break };
                        if work == Work::Ping && !octets.starts_with(&PING) {
                            black_box(octets);
                            continue;
                        }
                        stream.write_all(octets).await?;
                        stream.flush().await?;
                    }
                }
                stream.close().await?;
                anyhow::Ok(())
            });
        }
        Ok(())
    }

    async fn connect(links: Vec<Link>, work: Work) -> anyhow::Result<Client> {
        let opener = drive(connection(links, Mode::Client)?);
        let count = match work {
            Work::Echo | Work::Ping => 1,
            Work::Requests => IN_FLIGHT,
            _ => 0,
        };
        let mut streams = Vec::new();
        for _ in 0..count {
            streams.push(opener.open().await?);
        }
        Ok(Client { opener, streams })
    }

    async fn work(client: &mut Client, work: Work, count: u64, nanos: &mut Vec<f64>) -> anyhow::Result<()> {
        let mut tasks = JoinSet::<anyhow::Result<Option<Stream>>>::new();
        match work {
            Work::Bulk { streams } => {
                let piece = vec![7; BULK_LEN];
                for share in shares(count, streams).into_iter().filter(|share| *share > 0) {
                    let mut stream = client.opener.open().await?;
                    let piece = piece.clone();
                    tasks.spawn(async move {
                        for _ in 0..share {
                            stream.write_all(&piece).await?;
                        }
                        stream.close().await?;
                        let mut octet = [0];
                        stream.read_exact(&mut octet).await?;
                        Ok(None)
                    });
                }
            }
            Work::Echo => {
                let stream = client.streams.first_mut().context("a stream")?;
                let mut octets = [7; SMALL_LEN];
                for _ in 0..count {
                    timed(nanos, async {
                        stream.write_all(&octets).await?;
                        stream.flush().await?;
                        Ok(stream.read_exact(&mut octets).await?)
                    })
                    .await?;
                }
            }
            Work::Requests => {
                for (share, mut stream) in shares(count, IN_FLIGHT).into_iter().zip(client.streams.drain(..)) {
                    tasks.spawn(async move {
                        let mut octets = [7; SMALL_LEN];
                        for _ in 0..share {
                            stream.write_all(&octets).await?;
                            stream.flush().await?;
                            stream.read_exact(&mut octets).await?;
                        }
                        Ok(Some(stream))
                    });
                }
            }
            Work::OpenEchoClose => {
                for share in shares(count, IN_FLIGHT) {
                    let opener = client.opener.clone();
                    tasks.spawn(async move {
                        let mut octets = [7; 8];
                        for _ in 0..share {
                            let mut stream = opener.open().await?;
                            stream.write_all(&octets).await?;
                            stream.close().await?;
                            stream.read_exact(&mut octets).await?;
                            if stream.read(&mut octets).await? != 0 {
                                bail!("more than was sent");
                            }
                        }
                        Ok(None)
                    });
                }
            }
            Work::Ping => {
                let mut bulk = client.opener.open().await?;
                let bulk = async move {
                    let piece = vec![7; BULK_LEN];
                    loop {
                        bulk.write_all(&piece).await?;
                    }
                };
                let stream = client.streams.first_mut().context("a stream")?;
                let beside = Beside::start(bulk);
                for _ in 0..count {
                    ping(nanos, async {
                        stream.write_all(&PING).await?;
                        stream.flush().await?;
                        Ok(stream.read_exact(&mut [0; 8]).await?)
                    })
                    .await?;
                }
                beside.end()?;
            }
            Work::Messages { .. } => bail!("yamux has no messages"),
        }
        while let Some(done) = tasks.join_next().await {
            client.streams.extend(done??);
        }
        Ok(())
    }
}
