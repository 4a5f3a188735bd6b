//! Memory of connections on which nothing happens.

use crate::args::Settings;
use crate::children::{measure, number};
use crate::figure::{Count, Figure};
use crate::loopback::small;
use crate::streams::{End, LengthDelimited, Smp};
use crate::{machine, net};
use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use smp_framing::Config;
use std::time::Duration;
use testkit::allocations;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::JoinHandle;

/// Octets that one end of an idle connection may cost beyond its carrier.
const EXTRA_LEN_MAX: f64 = 8192.0;

/// Octets that one end of an idle stream of smrp may cost.
const STREAM_LEN_MAX: f64 = 400.0;
/// Idle streams on a session.
const STREAMS: u16 = 100;

const NOTE: &str = "each end waits in a task of its own after one message each way; per end, beyond bare TCP, whose task \
    keeps no buffer";

/// The group.
pub(crate) fn figures(settings: &Settings) -> anyhow::Result<Vec<Figure>> {
    let count = settings.connection_count.to_string();
    crate::progress(&format!("  {count} connections"));
    let bare = measure(&["idle", "bare", &count])?;
    let mut figures = Vec::new();
    for (how, name, at_most) in [
        ("smp", "smp", Some(EXTRA_LEN_MAX)),
        ("handles", "smp, handles", Some(EXTRA_LEN_MAX)),
        ("ldc", "LengthDelimitedCodec", None),
        ("smrp", "smrp, a session with its task", Some(EXTRA_LEN_MAX)),
    ] {
        let report = measure(&["idle", how, &count])?;
        for (key, kind) in [("rss", "RSS"), ("heap", "heap")] {
            figures.push(Figure::Count(Count {
                group: "idle",
                name: format!("{kind} of an end, {count} idle connections, {name}"),
                note: format!("{NOTE} ({:.0} octets)", number(&bare, key)?),
                unit: "octets",
                value: number(&report, key)? - number(&bare, key)?,
                at_most,
            }));
        }
    }
    let (sessions, streams) = (measure(&["idle", "smrp", "100"])?, measure(&["idle", "smrp streams", "100"])?);
    figures.push(Figure::Count(Count {
        group: "idle",
        name: format!("heap of an end of an idle stream of smrp, {STREAMS} on a session"),
        note: "opened with a message each way, its handles kept".into(),
        unit: "octets",
        value: (number(&streams, "heap")? - number(&sessions, "heap")?) / f64::from(STREAMS),
        at_most: Some(STREAM_LEN_MAX),
    }));
    Ok(figures)
}

/// In a process of its own: memory per end with `count` connections open.
pub(crate) fn child(how: &str, count: usize) -> anyhow::Result<Value> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    // The first connections pay for what is there once.
    let mut kept = runtime.block_on(open(how, 16))?;
    let before_kib = machine::status_kib("VmRSS")?;
    let mut result = Ok(Vec::new());
    let heap = allocations::measure(|| result = runtime.block_on(open(how, count)));
    kept.extend(result?);
    let after_kib = machine::status_kib("VmRSS")?;
    #[allow(clippy::cast_precision_loss, reason = "counts below 2^52")]
    let per_end = |octets: i64| octets as f64 / (2 * count) as f64;
    let rss = i64::try_from(after_kib)? - i64::try_from(before_kib)?;
    let running = kept.iter().filter(|task| !task.is_finished()).count();
    if running != kept.len() {
        bail!("{} of {} ends stopped waiting", kept.len() - running, kept.len());
    }
    Ok(json!({ "rss": per_end(rss * 1024), "heap": per_end(heap.bytes_current) }))
}

async fn open(how: &str, count: usize) -> anyhow::Result<Vec<JoinHandle<anyhow::Result<()>>>> {
    let mut tasks = Vec::with_capacity(2 * count);
    for _ in 0..count {
        let (client, server) = net::tcp().await?;
        match how {
            "bare" => tasks.extend([tokio::spawn(bare(client)), tokio::spawn(bare(server))]),
            "smp" => {
                tasks.extend([client, server].map(|tcp| tokio::spawn(wait(Smp::new(tcp, Config::default(), small())))))
            }
            "handles" => tasks.extend([client, server].map(|tcp| tokio::spawn(handles(tcp)))),
            "ldc" => {
                tasks.extend([client, server].map(|tcp| tokio::spawn(wait(LengthDelimited::new(tcp, small())))));
            }
            "smrp" => tasks.extend(smrp_ends(client, server, 0)),
            "smrp streams" => tasks.extend(smrp_ends(client, server, STREAMS)),
            other => bail!("no way {other:?} to be idle"),
        }
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    Ok(tasks)
}

/// A message each way, then waits for one that does not come.
async fn wait<E: End>(mut end: E) -> anyhow::Result<()> {
    end.send(1).await?;
    end.receive(2).await
}

async fn handles(tcp: TcpStream) -> anyhow::Result<()> {
    let (sender, mut receiver) = smp_framing::Connection::new(tcp, Config::default()).spawn();
    sender.send(small()).await?;
    while receiver.receive().await?.is_some() {}
    Ok(())
}

/// Both ends of a session, and of some streams on it.
fn smrp_ends(client: TcpStream, server: TcpStream, streams: u16) -> [JoinHandle<anyhow::Result<()>>; 2] {
    let config = || smrp::Config::new(smrp::Security::Plaintext, true);
    let carrier = |tcp| smrp::Carrier::new(tcp, smrp::Security::Plaintext, true);
    let near = async move {
        let session = smrp::Dial::new(config()).connect(carrier(client)).await?;
        session.request(small(), smrp::Request::default()).await?.await?;
        let mut kept = Vec::with_capacity(streams.into());
        for _ in 0..streams {
            let mut stream = session.open_bidi(smrp::Request::default()).await?;
            stream.write_all(b"x").await?;
            stream.read_u8().await?;
            kept.push(stream);
        }
        session.closed().await;
        anyhow::Ok(())
    };
    let far = async move {
        let smrp::Accepted::Session(session) = smrp::Acceptor::new(config())?.accept(carrier(server)).await? else {
            bail!("not a session of its own")
        };
        session.accept_request().await?.reply(small())?;
        let mut kept = Vec::with_capacity(streams.into());
        for _ in 0..streams {
            let mut stream = session.accept().await?.into_bidi().context("both ways")?;
            stream.read_u8().await?;
            stream.write_all(b"x").await?;
            kept.push(stream);
        }
        session.closed().await;
        anyhow::Ok(())
    };
    [tokio::spawn(near), tokio::spawn(far)]
}

/// The least there can be: one octet on the stack.
async fn bare(mut tcp: TcpStream) -> anyhow::Result<()> {
    tcp.write_all(&small()).await?;
    let mut octet = [0];
    while tcp.read(&mut octet).await? > 0 {}
    Ok(())
}
