//! A connection and nothing on it; of pings and bulk, a connection each.

use crate::smrp::link::Link;
use crate::smrp::work::{BULK_LEN, Beside, PING, Peer, SMALL_LEN, Work, ping, timed};
use anyhow::{Context as _, bail};
use std::hint::black_box;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Mutex;

pub(crate) struct Bare;

pub(crate) struct Client {
    link: Link,
    bulk: Option<Arc<Mutex<Link>>>,
}

async fn echo<const LEN: usize>(mut link: Link) -> anyhow::Result<()> {
    let mut octets = [0; LEN];
    loop {
        link.read_exact(&mut octets).await?;
        link.write_all(&octets).await?;
        link.flush().await?;
    }
}

impl Peer for Bare {
    type Client = Client;

    fn connections(work: Work) -> usize {
        if work == Work::Ping { 2 } else { 1 }
    }

    async fn serve(mut links: Vec<Link>, work: Work) -> anyhow::Result<()> {
        let bulk = if work == Work::Ping { links.pop() } else { None };
        let mut link = links.pop().context("a connection")?;
        match work {
            // Each round says in front how long it is.
            Work::Bulk { .. } => {
                let mut octets = vec![0; BULK_LEN];
                loop {
                    let mut left = usize::try_from(link.read_u64().await?)?;
                    while left > 0 {
                        let most = left.min(octets.len());
                        let read = link.read(octets.get_mut(..most).context("a range")?).await?;
                        if read == 0 {
                            bail!("cut off");
                        }
                        left -= read;
                        black_box(&octets);
                    }
                    link.write_all(b"x").await?;
                    link.flush().await?;
                }
            }
            Work::Ping => {
                let mut bulk = bulk.context("a second connection")?;
                tokio::spawn(async move {
                    let mut octets = vec![0; BULK_LEN];
                    while bulk.read(&mut octets).await? > 0 {
                        black_box(&octets);
                    }
                    anyhow::Ok(())
                });
                echo::<8>(link).await
            }
            _ => echo::<SMALL_LEN>(link).await,
        }
    }

    async fn connect(mut links: Vec<Link>, work: Work) -> anyhow::Result<Client> {
        let bulk = if work == Work::Ping { links.pop().map(|link| Arc::new(Mutex::new(link))) } else { None };
        Ok(Client { link: links.pop().context("a connection")?, bulk })
    }

    async fn work(client: &mut Client, work: Work, count: u64, nanos: &mut Vec<f64>) -> anyhow::Result<()> {
        let link = &mut client.link;
        match work {
            Work::Ping => {
                let bulk = client.bulk.clone().context("a second connection")?;
                let bulk = async move {
                    let (mut bulk, piece) = (bulk.lock().await, vec![7; BULK_LEN]);
                    loop {
                        bulk.write_all(&piece).await?;
                    }
                };
                let beside = Beside::start(bulk);
                for _ in 0..count {
                    ping(nanos, async {
                        link.write_all(&PING).await?;
                        link.flush().await?;
                        link.read_exact(&mut [0; 8]).await?;
                        Ok(())
                    })
                    .await?;
                }
                beside.end()?;
            }
            Work::Echo => {
                let mut octets = [7; SMALL_LEN];
                for _ in 0..count {
                    timed(nanos, async {
                        link.write_all(&octets).await?;
                        link.flush().await?;
                        Ok(link.read_exact(&mut octets).await?)
                    })
                    .await?;
                }
            }
            _ => {
                let piece = vec![7; BULK_LEN];
                link.write_u64(count * BULK_LEN as u64).await?;
                for _ in 0..count {
                    link.write_all(&piece).await?;
                }
                link.flush().await?;
                link.read_u8().await?;
            }
        }
        Ok(())
    }
}
