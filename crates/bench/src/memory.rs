//! Peak memory of a long body.

use crate::args::Settings;
use crate::bodies::{self, SmpBody};
use crate::children::{measure, number};
use crate::figure::{Count, Figure};
use crate::harness::clock;
use crate::streams::End;
use crate::{machine, net};
use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use smp_framing::{Connection, Incoming};

const GIB: u64 = 1 << 30;

/// The group.
pub(crate) fn figures(settings: &Settings) -> anyhow::Result<Vec<Figure>> {
    let gib = settings.body_gib;
    let mut figures = Vec::new();
    for (how, name) in [("connection", "one owner"), ("handles", "sender and receiver handles")] {
        crate::progress(&format!("  {gib} GiB, {name}"));
        let report = measure(&["body", how, &gib.to_string()])?;
        let seconds = number(&report, "seconds")?;
        #[allow(clippy::cast_precision_loss, reason = "small")]
        let rate = (gib * GIB) as f64 / seconds / 1e9;
        figures.push(Figure::Count(Count {
            group: "memory",
            name: format!("peak RSS of a {gib} GiB body, {name}"),
            note: format!(
                "both ends in one process of its own, over TCP; {:.1} MiB before the connection was made; {rate:.2} GB/s",
                number(&report, "before_kib")? / 1024.0
            ),
            unit: "MiB",
            value: number(&report, "peak_kib")? / 1024.0,
            at_most: Some(64.0),
        }));
    }
    figures.extend(crate::wrp::memory::figures()?);
    Ok(figures)
}

/// In a process of its own: passes a body of so many GiB.
pub(crate) fn child(how: &str, gib: u64) -> anyhow::Result<Value> {
    let runtime = net::runtime()?;
    let before_kib = machine::status_kib("VmHWM")?;
    let start = clock();
    match how {
        "connection" => runtime.block_on(connection(gib * GIB))?,
        "handles" => runtime.block_on(handles(gib * GIB))?,
        other => bail!("no way {other:?} to pass a body"),
    }
    let seconds = start.elapsed().as_secs_f64();
    Ok(json!({ "before_kib": before_kib, "peak_kib": machine::status_kib("VmHWM")?, "seconds": seconds }))
}

async fn connection(len: u64) -> anyhow::Result<()> {
    let (client, server) = net::tcp().await?;
    let mut sender = SmpBody::new(client, bodies::config()?, bodies::piece());
    let mut receiver = SmpBody::new(server, bodies::config()?, bodies::piece());
    let count = len / bodies::PIECE_LEN as u64;
    let sends = tokio::spawn(async move { sender.send(count).await.map(|()| sender) });
    let receives = tokio::spawn(async move { receiver.receive(count).await.map(|()| receiver) });
    let _sender = sends.await?.context("sender")?;
    let _receiver = receives.await?.context("receiver")?;
    Ok(())
}

async fn handles(len: u64) -> anyhow::Result<()> {
    let (client, server) = net::tcp().await?;
    let (sender, _replies) = Connection::new(client, bodies::config()?).spawn();
    let (_replier, mut receiver) = Connection::new(server, bodies::config()?).spawn();
    let piece = bodies::piece();
    let sends = tokio::spawn(async move {
        let mut body = sender.open_body(1).await?;
        for _ in 0..len / piece.len() as u64 {
            body.write(0, piece.clone()).await?;
        }
        body.finish().await?;
        sender.flush().await?;
        anyhow::Ok(sender)
    });
    let receives = tokio::spawn(async move {
        let Some(Incoming::Body(mut body)) = receiver.receive().await? else { bail!("no body came") };
        let mut received_len = 0;
        while let Some((_, payload)) = body.next().await? {
            received_len += payload.len() as u64;
        }
        ensure!(received_len == len, "{received_len} octets came of {len}");
        anyhow::Ok(receiver)
    });
    let _sender = sends.await?.context("sender")?;
    let _receiver = receives.await?.context("receiver")?;
    Ok(())
}
