//! Lengths in front of messages, by `tokio_util`.

use crate::smrp::link::Link;
use crate::smrp::work::{Peer, Work, small};
use anyhow::Context as _;
use futures_util::{SinkExt as _, StreamExt as _};
use std::hint::black_box;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

pub(crate) struct Delimited;

impl Peer for Delimited {
    type Client = Framed<Link, LengthDelimitedCodec>;

    async fn serve(mut links: Vec<Link>, _: Work) -> anyhow::Result<()> {
        let mut link = Framed::new(links.pop().context("a connection")?, LengthDelimitedCodec::new());
        while let Some(message) = link.next().await {
            let message = message?;
            if message.is_empty() {
                link.send(message.freeze()).await?;
            } else {
                black_box(message);
            }
        }
        Ok(())
    }

    async fn connect(mut links: Vec<Link>, _: Work) -> anyhow::Result<Self::Client> {
        Ok(Framed::new(links.pop().context("a connection")?, LengthDelimitedCodec::new()))
    }

    async fn work(link: &mut Self::Client, work: Work, count: u64, _: &mut Vec<f64>) -> anyhow::Result<()> {
        let Work::Messages { len } = work else { anyhow::bail!("messages alone") };
        let message = small(len);
        for _ in 0..count {
            link.feed(message.clone()).await?;
        }
        link.send(small(0)).await?;
        link.next().await.context("an answer")??;
        Ok(())
    }
}
