//! A TCP connection and nothing on it.

use crate::smrp::work::{BULK_LEN, Peer, SMALL_LEN, Work, timed};
use anyhow::{Context as _, bail};
use std::hint::black_box;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) struct Bare;

impl Peer for Bare {
    type Client = TcpStream;

    async fn serve(mut links: Vec<TcpStream>, work: Work) -> anyhow::Result<()> {
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
                }
            }
            _ => {
                let mut octets = [0; SMALL_LEN];
                loop {
                    link.read_exact(&mut octets).await?;
                    link.write_all(&octets).await?;
                }
            }
        }
    }

    async fn connect(mut links: Vec<TcpStream>, _: Work) -> anyhow::Result<TcpStream> {
        links.pop().context("a connection")
    }

    async fn work(link: &mut TcpStream, work: Work, count: u64, nanos: &mut Vec<f64>) -> anyhow::Result<()> {
        if work == Work::Echo {
            let mut octets = [7; SMALL_LEN];
            for _ in 0..count {
                timed(nanos, async {
                    link.write_all(&octets).await?;
                    Ok(link.read_exact(&mut octets).await?)
                })
                .await?;
            }
        } else {
            let piece = vec![7; BULK_LEN];
            link.write_u64(count * BULK_LEN as u64).await?;
            for _ in 0..count {
                link.write_all(&piece).await?;
            }
            link.read_u8().await?;
        }
        Ok(())
    }
}
