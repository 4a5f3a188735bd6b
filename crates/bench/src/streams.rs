//! Ends of connections that can send and take items, and what is timed over a pair of them.

use crate::harness::{Stopwatch, Timing, clock};
use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt as _};
use smp_framing::machine::Event;
use smp_framing::{Arguments, Config, Connection};
use std::future::Future;
use std::hint::black_box;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Barrier;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

/// What connections can be made of.
pub(crate) trait Carrier: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<C: AsyncRead + AsyncWrite + Unpin + Send + 'static> Carrier for C {}

/// One end of a connection that carries items of one size.
pub(crate) trait End: Send + 'static {
    /// Sends `count` items and flushes.
    fn send(&mut self, count: u64) -> impl Future<Output = anyhow::Result<()>> + Send;
    /// Takes `count` items.
    fn receive(&mut self, count: u64) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// Time from the first of `count` items sent to the last one taken, each end in a task of its own, after a warm-up.
pub(crate) async fn one_way<E: End>(mut client: E, mut server: E, count: u64) -> anyhow::Result<Timing> {
    let warm_up = count / 8 + 1;
    let line = Arc::new(Barrier::new(3));
    let (client_line, server_line) = (Arc::clone(&line), Arc::clone(&line));
    let sender = tokio::spawn(async move {
        client.send(warm_up).await?;
        client_line.wait().await;
        client.send(count).await?;
        anyhow::Ok(client)
    });
    let receiver = tokio::spawn(async move {
        server.receive(warm_up).await?;
        server_line.wait().await;
        server.receive(count).await?;
        anyhow::Ok(server)
    });
    line.wait().await;
    let watch = Stopwatch::start();
    let _client = sender.await?.context("sender")?;
    let _server = receiver.await?.context("receiver")?;
    Ok(watch.stop())
}

/// Time of `count` items going forth and back one at a time, each timed.
pub(crate) async fn echo<E: End>(mut client: E, mut server: E, count: u64) -> anyhow::Result<Timing> {
    let warm_up = count / 8 + 1;
    let answerer = tokio::spawn(async move {
        for _ in 0..warm_up + count {
            server.receive(1).await?;
            server.send(1).await?;
        }
        anyhow::Ok(())
    });
    let asker = tokio::spawn(async move {
        for _ in 0..warm_up {
            client.send(1).await?;
            client.receive(1).await?;
        }
        let mut nanos = Vec::with_capacity(usize::try_from(count)?);
        let watch = Stopwatch::start();
        for _ in 0..count {
            let start = clock();
            client.send(1).await?;
            client.receive(1).await?;
            nanos.push(start.elapsed().as_secs_f64() * 1e9);
        }
        anyhow::Ok((watch.stop(), nanos))
    });
    let (timing, mut nanos) = asker.await?.context("asker")?;
    answerer.await?.context("answerer")?;
    nanos.sort_by(f64::total_cmp);
    let at = |numerator: usize| nanos.get(nanos.len() * numerator / 100).copied().unwrap_or(f64::NAN);
    Ok(Timing { percentiles: Some((at(50), at(99))), ..timing })
}

/// A connection of ours that carries whole messages.
pub(crate) struct Smp<C> {
    connection: Connection<C>,
    message: Arguments,
}

impl<C: Carrier> Smp<C> {
    pub(crate) fn new(carrier: C, config: Config, message: impl Into<Arguments>) -> Self {
        Self { connection: Connection::new(carrier, config), message: message.into() }
    }
}

impl<C: Carrier> End for Smp<C> {
    async fn send(&mut self, count: u64) -> anyhow::Result<()> {
        for _ in 0..count {
            self.connection.feed(self.message.clone()).await?;
        }
        Ok(self.connection.flush().await?)
    }

    async fn receive(&mut self, count: u64) -> anyhow::Result<()> {
        for _ in 0..count {
            match self.connection.receive().await? {
                Some(Event::Message(message)) => drop(black_box(message)),
                other => bail!("{other:?} instead of a message"),
            }
        }
        Ok(())
    }
}

/// Length-delimited frames of tokio-util.
pub(crate) struct LengthDelimited<C> {
    framed: Framed<C, LengthDelimitedCodec>,
    payload: Bytes,
}

impl<C: Carrier> LengthDelimited<C> {
    /// With the buffers that come by default.
    pub(crate) fn new(carrier: C, payload: Bytes) -> Self {
        Self { framed: Framed::new(carrier, LengthDelimitedCodec::new()), payload }
    }

    /// With buffers of 64 KiB.
    pub(crate) fn tuned(carrier: C, payload: Bytes) -> Self {
        let mut framed = Framed::with_capacity(carrier, LengthDelimitedCodec::new(), 64 * 1024);
        framed.set_backpressure_boundary(64 * 1024);
        Self { framed, payload }
    }
}

impl<C: Carrier> End for LengthDelimited<C> {
    async fn send(&mut self, count: u64) -> anyhow::Result<()> {
        for _ in 0..count {
            self.framed.feed(self.payload.clone()).await?;
        }
        Ok(SinkExt::<Bytes>::flush(&mut self.framed).await?)
    }

    async fn receive(&mut self, count: u64) -> anyhow::Result<()> {
        for _ in 0..count {
            drop(black_box(self.framed.next().await.context("the stream ended")??));
        }
        Ok(())
    }
}

/// A carrier without framing: one write for each item, reads of up to 64 KiB.
pub(crate) struct Bare<C> {
    carrier: C,
    payload: Bytes,
    buffer: Vec<u8>,
}

impl<C: Carrier> Bare<C> {
    pub(crate) fn new(carrier: C, payload: Bytes) -> Self {
        Self { carrier, payload, buffer: vec![0; 64 * 1024] }
    }
}

impl<C: Carrier> End for Bare<C> {
    async fn send(&mut self, count: u64) -> anyhow::Result<()> {
        for _ in 0..count {
            self.carrier.write_all(&self.payload).await?;
        }
        Ok(self.carrier.flush().await?)
    }

    async fn receive(&mut self, count: u64) -> anyhow::Result<()> {
        let mut left_len = count * self.payload.len() as u64;
        while left_len > 0 {
            match self.carrier.read(&mut self.buffer).await? {
                0 => bail!("the stream ended"),
                len => left_len = left_len.checked_sub(len as u64).context("more came than was sent")?,
            }
            black_box(self.buffer.first());
        }
        Ok(())
    }
}

/// A WebSocket of tokio-tungstenite; each item is a binary message.
pub(crate) struct Tungstenite<C> {
    socket: WebSocketStream<C>,
    payload: Bytes,
}

impl<C: Carrier> Tungstenite<C> {
    pub(crate) const fn new(socket: WebSocketStream<C>, payload: Bytes) -> Self {
        Self { socket, payload }
    }
}

impl<C: Carrier> End for Tungstenite<C> {
    async fn send(&mut self, count: u64) -> anyhow::Result<()> {
        for _ in 0..count {
            self.socket.feed(Message::Binary(self.payload.clone())).await?;
        }
        Ok(self.socket.flush().await?)
    }

    async fn receive(&mut self, count: u64) -> anyhow::Result<()> {
        for _ in 0..count {
            match self.socket.next().await.context("the stream ended")?? {
                Message::Binary(payload) => drop(black_box(payload)),
                other => bail!("{other:?} instead of a binary message"),
            }
        }
        Ok(())
    }
}
