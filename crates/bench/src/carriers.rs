//! Over TLS and WebSocket, on TCP on 127.0.0.1.

use crate::args::Settings;
use crate::bodies::{self, SmpBody};
use crate::figure::{Aim, Bound, Figure, Unit};
use crate::harness::{Contender, Plan};
use crate::loopback::{large, small};
use crate::machine::Noise;
use crate::net::{self, Tls};
use crate::streams::{Bare, End, Smp, Tungstenite, one_way};
use smp_framing::Config;
use std::future::Future;
use tokio::runtime::Runtime;

const SMP: &str = "smp";
const SMP_BODY: &str = "smp, body in frames";
const SMP_WHOLE: &str = "smp, 64 KiB messages";
const SMP_RUSTLS: &str = "smp on bare tokio-rustls";
const RUSTLS: &str = "bare tokio-rustls";
const TUNGSTENITE: &str = "bare tokio-tungstenite";

const TLS_NOTE: &str = "TLS 1.3, AES-256-GCM, ring. Bare: one write for each item.";
const WS_NOTE: &str = "Bare: one binary message for each item, fed, flushed at the end. The client masks.";

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

/// The group.
pub(crate) fn figures(settings: &Settings, noise: &mut Noise) -> anyhow::Result<Vec<Figure>> {
    let runtime = net::runtime()?;
    let tls = Tls::new()?;
    let config = Config::default();
    let (large, large_config) = large()?;
    let (piece, body_config) = (bodies::piece(), bodies::config()?);
    let at_least = |ours, peers| Aim { ours, peers, bound: Bound::RateAtLeast(0.95) };
    let plan = |name: &str, note, unit, contenders, aims| Plan {
        group: "carriers",
        name: name.into(),
        note,
        unit,
        contenders,
        aims,
    };
    let bulk = Unit::Gigabytes(65_536.0);
    let plans = [
        plan(
            "TLS, 64 B one way",
            TLS_NOTE,
            Unit::Messages,
            vec![
                sends(&runtime, SMP, || tls.ours(), |io| Smp::new(io, config, small())),
                sends(&runtime, RUSTLS, || tls.bare(), |io| Bare::new(io, small())),
            ],
            vec![at_least(SMP, &[RUSTLS])],
        ),
        plan(
            "TLS, bulk",
            TLS_NOTE,
            bulk,
            vec![
                sends(&runtime, SMP_BODY, || tls.ours(), |io| SmpBody::new(io, body_config, piece.clone())),
                sends(&runtime, SMP_WHOLE, || tls.ours(), |io| Smp::new(io, large_config, large.clone())),
                sends(&runtime, SMP_RUSTLS, || tls.bare(), |io| SmpBody::new(io, body_config, piece.clone())),
                sends(&runtime, RUSTLS, || tls.bare(), |io| Bare::new(io, piece.clone())),
            ],
            vec![at_least(SMP_BODY, &[RUSTLS]), at_least(SMP_WHOLE, &[RUSTLS])],
        ),
        plan(
            "WebSocket, 64 B one way",
            WS_NOTE,
            Unit::Messages,
            vec![
                sends(&runtime, SMP, net::web_socket, |io| Smp::new(io, config, small())),
                sends(&runtime, TUNGSTENITE, net::tungstenite, |io| Tungstenite::new(io, small())),
            ],
            vec![at_least(SMP, &[TUNGSTENITE])],
        ),
        plan(
            "WebSocket, bulk",
            WS_NOTE,
            bulk,
            vec![
                sends(&runtime, SMP_BODY, net::web_socket, |io| SmpBody::new(io, body_config, piece.clone())),
                sends(&runtime, SMP_WHOLE, net::web_socket, |io| Smp::new(io, large_config, large.clone())),
                sends(&runtime, TUNGSTENITE, net::tungstenite, |io| Tungstenite::new(io, piece.clone())),
            ],
            vec![at_least(SMP_BODY, &[TUNGSTENITE]), at_least(SMP_WHOLE, &[TUNGSTENITE])],
        ),
    ];
    let wanted = plans.into_iter().filter(|plan| settings.wants(&plan.name));
    wanted.map(|plan| plan.measure(settings, noise)).collect()
}
