//! Over TLS and WebSocket, on TCP on 127.0.0.1.

use crate::args::Settings;
use crate::bodies::{self, SmpBody};
use crate::figure::{Aim, Bound, Figure, Unit};
use crate::harness::{Contender, Plan};
use crate::loopback::{large, small};
use crate::machine::Noise;
use crate::net::{self, Tls};
use crate::streams::{Bare, Carrier, End, Smp, Tungstenite, one_way};
use bytes::Bytes;
use postroad_transport::ws;
use smp_framing::Config;
use std::future::Future;
use tokio::runtime::Runtime;
use tokio_tungstenite::WebSocketStream;

const SMP: &str = "smp";
const SMP_BODY: &str = "smp, body in frames";
const SMP_WHOLE: &str = "smp, 64 KiB messages";
const SMP_RUSTLS: &str = "smp on bare tokio-rustls";
const RUSTLS: &str = "bare tokio-rustls";
const TUNGSTENITE: &str = "bare tokio-tungstenite";
const TUNGSTENITE_SMALL: &str = "bare tokio-tungstenite, 8 KiB read buffer";

/// Tungstenite's own read buffer.
const READ_LEN: usize = 128 * 1024;
/// One that is good for small messages.
const READ_LEN_SMALL: usize = 8 * 1024;

const TLS_NOTE: &str = "TLS 1.3, AES-256-GCM, ring. Bare: one write for each item.";
const WS_NOTE: &str = "Bare: one binary message for each item, fed, flushed at the end, with tungstenite's read \
    buffer of 128 KiB and with one of 8 KiB, which is better for small messages. The client masks.";
const WSS_NOTE: &str = "TLS 1.3, AES-256-GCM, ring. Bare: tokio-tungstenite over tokio-rustls, one binary message for each \
    item, fed, flushed at the end. The client masks.";

/// A contender that sends one way over the pairs that `connect` makes.
fn sends<'a, C, F, E: End>(
    runtime: &'a Runtime,
    name: &'static str,
    connect: impl Fn() -> F + 'a,
    end: impl Fn(C) -> E + 'a,
) -> Contender<'a>
where
    F: Future<Output = anyhow::Result<(C, C)>>,
{
    Contender::counted(name, move |count| {
        runtime.block_on(async {
            let (client, server) = connect().await?;
            one_way(end(client), end(server), count).await
        })
    })
}

const fn at_least(ours: &'static str, peers: &'static [&'static str]) -> Aim {
    Aim { ours, peers, bound: Bound::RateAtLeast(0.95) }
}

fn plan<'a>(name: &str, note: &'static str, unit: Unit, contenders: Vec<Contender<'a>>, aims: Vec<Aim>) -> Plan<'a> {
    Plan { group: "carriers", name: name.into(), note, unit, contenders, aims }
}

const BULK: Unit = Unit::Gigabytes(65_536.0);

fn over_tls<'a>(runtime: &'a Runtime, tls: &'a Tls) -> anyhow::Result<[Plan<'a>; 2]> {
    let config = Config::default();
    let (large, large_config) = large()?;
    let (piece, body_config) = (bodies::piece(), bodies::config()?);
    let bare_piece = piece.clone();
    let rustls_piece = piece.clone();
    Ok([
        plan(
            "TLS, 64 B one way",
            TLS_NOTE,
            Unit::Messages,
            vec![
                sends(runtime, SMP, || tls.ours(), move |io| Smp::new(io, config, small())),
                sends(runtime, RUSTLS, || tls.bare(), |io| Bare::new(io, small())),
            ],
            vec![at_least(SMP, &[RUSTLS])],
        ),
        plan(
            "TLS, bulk",
            TLS_NOTE,
            BULK,
            vec![
                sends(runtime, SMP_BODY, || tls.ours(), move |io| SmpBody::new(io, body_config, piece.clone())),
                sends(runtime, SMP_WHOLE, || tls.ours(), move |io| Smp::new(io, large_config, large.clone())),
                sends(
                    runtime,
                    SMP_RUSTLS,
                    || tls.bare(),
                    move |io| SmpBody::new(io, body_config, rustls_piece.clone()),
                ),
                sends(runtime, RUSTLS, || tls.bare(), move |io| Bare::new(io, bare_piece.clone())),
            ],
            vec![at_least(SMP_BODY, &[RUSTLS]), at_least(SMP_WHOLE, &[RUSTLS])],
        ),
    ])
}

/// WebSockets made by `ours`, and those that `bare` makes with a read buffer of so many octets.
fn web_sockets<'a, C: Carrier, D: Carrier, F, G>(
    runtime: &'a Runtime,
    [small_name, bulk_name]: [&str; 2],
    note: &'static str,
    ours: impl Fn() -> F + Copy + 'a,
    bare: impl Fn(usize) -> G + Copy + 'a,
) -> anyhow::Result<[Plan<'a>; 2]>
where
    F: Future<Output = anyhow::Result<(ws::Stream<C>, ws::Stream<C>)>>,
    G: Future<Output = anyhow::Result<(WebSocketStream<D>, WebSocketStream<D>)>>,
{
    const PEERS: &[&str] = &[TUNGSTENITE, TUNGSTENITE_SMALL];
    let config = Config::default();
    let (large, large_config) = large()?;
    let (piece, body_config) = (bodies::piece(), bodies::config()?);
    let bare_of = |name, read_len, payload: Bytes| {
        sends(runtime, name, move || bare(read_len), move |io| Tungstenite::new(io, payload.clone()))
    };
    Ok([
        plan(
            small_name,
            note,
            Unit::Messages,
            vec![
                sends(runtime, SMP, ours, move |io| Smp::new(io, config, small())),
                bare_of(TUNGSTENITE, READ_LEN, small()),
                bare_of(TUNGSTENITE_SMALL, READ_LEN_SMALL, small()),
            ],
            vec![at_least(SMP, PEERS)],
        ),
        plan(
            bulk_name,
            note,
            BULK,
            vec![
                bare_of(TUNGSTENITE, READ_LEN, piece.clone()),
                bare_of(TUNGSTENITE_SMALL, READ_LEN_SMALL, piece.clone()),
                sends(runtime, SMP_BODY, ours, move |io| SmpBody::new(io, body_config, piece.clone())),
                sends(runtime, SMP_WHOLE, ours, move |io| Smp::new(io, large_config, large.clone())),
            ],
            vec![at_least(SMP_BODY, PEERS), at_least(SMP_WHOLE, PEERS)],
        ),
    ])
}

/// The group.
pub(crate) fn figures(settings: &Settings, noise: &mut Noise) -> anyhow::Result<Vec<Figure>> {
    let runtime = net::runtime()?;
    let tls = Tls::new()?;
    let ws_names = ["WebSocket, 64 B one way", "WebSocket, bulk"];
    let over_tcp = web_sockets(
        &runtime,
        ws_names,
        WS_NOTE,
        || async { net::web_socket(net::tcp().await?).await },
        |read_len| async move { net::tungstenite(net::tcp().await?, read_len).await },
    )?;
    let (wss_names, tls_ends) = (["WebSocket over TLS, 64 B one way", "WebSocket over TLS, bulk"], &tls);
    let over_both = web_sockets(
        &runtime,
        wss_names,
        WSS_NOTE,
        || async { Box::pin(net::web_socket(tls_ends.ours().await?)).await },
        |read_len| async move { Box::pin(net::tungstenite(tls_ends.bare().await?, read_len)).await },
    )?;
    let plans = over_tls(&runtime, &tls)?.into_iter().chain(over_tcp).chain(over_both);
    plans.filter(|plan| settings.wants(&plan.name)).map(|plan| plan.measure(settings, noise)).collect()
}
