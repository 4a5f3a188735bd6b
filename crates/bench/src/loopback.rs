//! Over TCP on 127.0.0.1.

use crate::args::Settings;
use crate::bodies::{self, SmpBody};
use crate::figure::{Aim, Bound, Figure, Unit};
use crate::harness::{Contender, Plan};
use crate::machine::Noise;
use crate::net;
use crate::streams::{Bare, End, LengthDelimited, Smp, echo, one_way};
use bytes::Bytes;
use smp_framing::{Arguments, Config};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

const SMP: &str = "smp";
const SMP_UNTIMED: &str = "smp, no heartbeats";
const SMP_BODY: &str = "smp, body in frames";
const SMP_WHOLE: &str = "smp, 64 KiB messages";
const BARE: &str = "bare TCP";
const LDC: &str = "LengthDelimitedCodec";
const LDC_TUNED: &str = "LengthDelimitedCodec, 64 KiB buffers";

/// Octets of a small message.
pub(crate) const SMALL_LEN: usize = 64;

/// A small message that is free to clone.
pub(crate) fn small() -> Bytes {
    Bytes::from_static(&[0x5a; SMALL_LEN])
}

/// A message of 64 KiB: two arguments, as one cannot be that long. With the configuration that sends it in one unit.
pub(crate) fn large() -> anyhow::Result<(Arguments, Config)> {
    let half = bodies::piece().slice(..bodies::PIECE_LEN / 2);
    let config = Config::builder().with_max_message_size(bodies::PIECE_LEN + 4).build()?;
    Ok(([half.clone(), half].into(), config))
}

/// A contender that sends one way over pairs of TCP connections made by `end`.
fn sends<'a, E: End>(runtime: &'a Runtime, name: &'static str, end: impl Fn(TcpStream) -> E + 'a) -> Contender<'a> {
    Contender::counted(name, move |count| {
        runtime.block_on(async {
            let (client, server) = net::tcp().await?;
            one_way(end(client), end(server), count).await
        })
    })
}

fn echoes<'a, E: End>(runtime: &'a Runtime, name: &'static str, end: impl Fn(TcpStream) -> E + 'a) -> Contender<'a> {
    Contender::counted(name, move |count| {
        runtime.block_on(async {
            let (client, server) = net::tcp().await?;
            echo(end(client), end(server), count).await
        })
    })
}

/// The group.
pub(crate) fn figures(settings: &Settings, noise: &mut Noise) -> anyhow::Result<Vec<Figure>> {
    let runtime = net::runtime()?;
    let config = Config::default();
    let untimed = Config::builder().with_heartbeat_interval(None).with_peer_timeout(None).build()?;
    let (large, large_config) = large()?;
    let (piece, body_config) = (bodies::piece(), bodies::config()?);
    let at_least = |ours, peers| Aim { ours, peers, bound: Bound::RateAtLeast(0.95) };
    let plans = [
        Plan {
            group: "loopback",
            name: "TCP, 64 B one way".into(),
            note: "Fed one after another, flushed at the end; timed from the first fed to the last received.",
            unit: Unit::Messages,
            contenders: vec![
                sends(&runtime, SMP, |tcp| Smp::new(tcp, config, small())),
                sends(&runtime, LDC, |tcp| LengthDelimited::new(tcp, small())),
                sends(&runtime, LDC_TUNED, |tcp| LengthDelimited::tuned(tcp, small())),
            ],
            aims: vec![at_least(SMP, &[LDC, LDC_TUNED])],
        },
        Plan {
            group: "loopback",
            name: "TCP, 64 B echo".into(),
            note: "One at a time, each timed; the median of each round counts. Without heartbeats the runtime has no timer to look after.",
            unit: Unit::Micros,
            contenders: vec![
                echoes(&runtime, SMP, |tcp| Smp::new(tcp, config, small())),
                echoes(&runtime, SMP_UNTIMED, |tcp| Smp::new(tcp, untimed, small())),
                echoes(&runtime, BARE, |tcp| Bare::new(tcp, small())),
                echoes(&runtime, LDC, |tcp| LengthDelimited::new(tcp, small())),
            ],
            aims: vec![at_least(SMP, &[LDC]), at_least(SMP, &[BARE])],
        },
        Plan {
            group: "loopback",
            name: "TCP, bulk".into(),
            note: "Items of 64 KiB. A body is handed over in pieces of 64 KiB, and goes and is received as frames of up to \
                65,535 octets; bare TCP writes and reads 64 KiB at a time.",
            unit: Unit::Gigabytes(65_536.0),
            contenders: vec![
                sends(&runtime, SMP_BODY, |tcp| SmpBody::new(tcp, body_config, piece.clone())),
                sends(&runtime, SMP_WHOLE, |tcp| Smp::new(tcp, large_config, large.clone())),
                sends(&runtime, BARE, |tcp| Bare::new(tcp, piece.clone())),
                sends(&runtime, LDC, |tcp| LengthDelimited::new(tcp, piece.clone())),
            ],
            aims: vec![at_least(SMP_BODY, &[BARE]), at_least(SMP_WHOLE, &[BARE])],
        },
    ];
    let wanted = plans.into_iter().filter(|plan| settings.wants(&plan.name));
    wanted.map(|plan| plan.measure(settings, noise)).collect()
}
