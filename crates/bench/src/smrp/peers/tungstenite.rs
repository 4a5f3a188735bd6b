//! Messages on a WebSocket.

use crate::smrp::link::Link;
use crate::smrp::work::{Peer, Work, small};
use anyhow::Context as _;
use futures_util::{SinkExt as _, StreamExt as _};
use std::hint::black_box;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

pub(crate) struct Tungstenite;

async fn socket(mut links: Vec<Link>, role: Role) -> anyhow::Result<WebSocketStream<Link>> {
    let link = links.pop().context("a connection")?;
    Ok(WebSocketStream::from_raw_socket(link, role, Some(WebSocketConfig::default())).await)
}

impl Peer for Tungstenite {
    type Client = WebSocketStream<Link>;

    async fn serve(links: Vec<Link>, _: Work) -> anyhow::Result<()> {
        let mut link = socket(links, Role::Server).await?;
        while let Some(message) = link.next().await {
            let message = message?;
            if message.is_empty() {
                link.send(message).await?;
            } else {
                black_box(message);
            }
        }
        Ok(())
    }

    async fn connect(links: Vec<Link>, _: Work) -> anyhow::Result<Self::Client> {
        socket(links, Role::Client).await
    }

    async fn work(link: &mut Self::Client, work: Work, count: u64, _: &mut Vec<f64>) -> anyhow::Result<()> {
        let Work::Messages { len } = work else { anyhow::bail!("messages alone") };
        let message = small(len);
        for _ in 0..count {
            link.feed(Message::Binary(message.clone())).await?;
        }
        link.send(Message::Binary(small(0))).await?;
        link.next().await.context("an answer")??;
        Ok(())
    }
}
