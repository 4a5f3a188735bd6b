//! Links of WRP over a WebSocket on loopback, beside MessagePack on a bare WebSocket.

use crate::figure::Unit;
use crate::harness::{Contender, Plan, Timing};
use crate::net;
use crate::streams::{End, echo, one_way};
use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use postroad::{Connection, Incoming, Listener};
use std::hint::black_box;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as WsMessage;

const OURS: &str = "postroad, wrp+ws";
const BARE: &str = "rmp-serde on tokio-tungstenite";

const NOTE: &str = "Events from a device to its server. Bare: a derived struct with the fields that an event has, written and read by rmp-serde, a binary \
    message each, fed, flushed at the end, by whoever has the socket. Ours checks each event at both ends, tells events from replies, packets and acknowledgements, keeps the link alive, and \
    goes by way of a task and two queues at each end.";

/// The fields of an event.
#[derive(serde::Serialize, serde::Deserialize)]
struct Event {
    msg_type: i64,
    source: String,
    dest: String,
    #[serde(with = "serde_bytes")]
    payload: Vec<u8>,
    qos: i64,
}

/// One end of a bare WebSocket.
struct Bare {
    socket: WebSocketStream<TcpStream>,
    event: Event,
}

impl Bare {
    fn new(socket: WebSocketStream<TcpStream>, len: usize) -> Self {
        let event = Event {
            msg_type: 4,
            source: "mac:112233445566/log".to_owned(),
            dest: "event:log".to_owned(),
            payload: vec![7; len],
            qos: 0,
        };
        Self { socket, event }
    }
}

impl End for Bare {
    async fn send(&mut self, count: u64) -> anyhow::Result<()> {
        for _ in 0..count {
            let octets = rmp_serde::to_vec_named(&self.event)?;
            self.socket.feed(WsMessage::Binary(octets.into())).await?;
        }
        Ok(self.socket.flush().await?)
    }

    async fn receive(&mut self, count: u64) -> anyhow::Result<()> {
        for _ in 0..count {
            match self.socket.next().await.context("the stream ended")?? {
                WsMessage::Binary(octets) => drop(black_box(rmp_serde::from_slice::<Event>(&octets)?)),
                other => bail!("{other:?} instead of a binary message"),
            }
        }
        Ok(())
    }
}

/// One end of a link of ours.
struct Ours {
    connection: Connection,
    payload: Bytes,
    _listener: Option<Listener>,
}

impl End for Ours {
    async fn send(&mut self, count: u64) -> anyhow::Result<()> {
        for _ in 0..count {
            self.connection.send(self.payload.clone()).await?;
        }
        Ok(self.connection.flush().await?)
    }

    async fn receive(&mut self, count: u64) -> anyhow::Result<()> {
        for _ in 0..count {
            match self.connection.receive().await? {
                Some(Incoming::Message(message)) => drop(black_box(message)),
                other => bail!("{other:?} instead of a message"),
            }
        }
        Ok(())
    }
}

async fn ours(len: usize) -> anyhow::Result<(Ours, Ours)> {
    let mut listener = postroad::listen("wrp+ws://127.0.0.1:0").await?;
    let url = format!("{}?device=mac:112233445566/log&dest=event:log", listener.url());
    let (client, server) = tokio::join!(postroad::connect(url), listener.accept());
    let payload = Bytes::from(vec![7; len]);
    let client = Ours { connection: client?, payload: payload.clone(), _listener: Some(listener) };
    Ok((client, Ours { connection: server?, payload, _listener: None }))
}

async fn bare(len: usize) -> anyhow::Result<(Bare, Bare)> {
    let (client, server) = net::tungstenite(net::tcp().await?, 64 * 1024).await?;
    Ok((Bare::new(client, len), Bare::new(server, len)))
}

/// What is done over a pair of ends.
#[derive(Clone, Copy)]
enum Way {
    OneWay,
    Echo,
}

async fn over<E: End>((client, server): (E, E), way: Way, count: u64) -> anyhow::Result<Timing> {
    match way {
        Way::OneWay => one_way(client, server, count).await,
        Way::Echo => echo(client, server, count).await,
    }
}

pub(super) fn plans(runtime: &Runtime) -> Vec<Plan<'_>> {
    let plan = |name: &str, len: usize, way, unit| Plan {
        group: "wrp",
        name: format!("WRP over a WebSocket, {name}"),
        note: NOTE,
        unit,
        contenders: vec![
            Contender::counted(OURS, move |count| runtime.block_on(async { over(ours(len).await?, way, count).await })),
            Contender::counted(BARE, move |count| runtime.block_on(async { over(bare(len).await?, way, count).await })),
        ],
        aims: Vec::new(),
    };
    vec![
        plan("events of 100 octets", 100, Way::OneWay, Unit::Messages),
        plan("events of 64 KiB", 65_536, Way::OneWay, Unit::Gigabytes(65_536.0)),
        plan("an event there and back", 100, Way::Echo, Unit::Micros),
    ]
}
