//! Requests and replies of `smp121` beside bare sockets and other protocols.

mod bare;
mod ours;
mod peers;
mod road;

use crate::args::Settings;
use crate::figure::{Aim, Bound, Figure, Unit};
use crate::harness::{Contender, Plan, Timing};
use crate::machine::Noise;
use anyhow::Context as _;
use road::Road;
use std::future::Future;
use tokio::runtime::Builder;

const SMP_UDP: &str = "smp121 over UDP";
const SMP_RAW: &str = "smp121 over raw IP";
const BARE_UDP: &str = "bare UDP";
const BARE_RAW: &str = "bare raw IP";
const BARE_UDP_BATCHED: &str = "bare UDP, batched calls";
const BARE_UDP_JOINED: &str = "bare UDP, joined by the system";
const BARE_RAW_BATCHED: &str = "bare raw IP, batched calls";

/// Octets of a large message.
const LARGE_LEN: usize = 16 << 20;
/// Segments of the size that the internet takes.
const SEGMENT_LEN: usize = 1400;
/// Segments of the size that the loopback interface takes.
const LONG_SEGMENT_LEN: usize = 65_000;

const PLACEMENT: &str = "Client and server are tasks on one tokio current-thread runtime, so nothing is woken on another \
    processor; a handler on another one costs some 20 us more each way, for all alike.";

/// Runs something on a runtime of its own that is gone afterwards, and all its tasks.
fn alone<F: Future<Output = anyhow::Result<Timing>>>(future: F) -> anyhow::Result<Timing> {
    Builder::new_current_thread().enable_all().build().context("start the runtime")?.block_on(future)
}

fn contender<'a, F: Future<Output = anyhow::Result<Timing>>>(
    name: &'static str,
    run: impl Fn(u64) -> F + 'a,
) -> Contender<'a> {
    Contender::counted(name, move |count| alone(run(count)))
}

/// As [`contender`]; the 99th percentile counts.
fn tail_of<'a, F: Future<Output = anyhow::Result<Timing>>>(
    name: &'static str,
    run: impl Fn(u64) -> F + 'a,
) -> Contender<'a> {
    Contender::counted(name, move |count| {
        let timing = alone(run(count))?;
        Ok(Timing { percentiles: timing.percentiles.map(|(_, p99)| (p99, p99)), ..timing })
    })
}

/// The group.
pub(crate) fn figures(settings: &Settings, noise: &mut Noise) -> anyhow::Result<Vec<Figure>> {
    let time = |ours, peers, most| Aim { ours, peers, bound: Bound::TimeAtMost(most) };
    let rate = |ours, peers, least| Aim { ours, peers, bound: Bound::RateAtLeast(least) };
    let mut plans = vec![
        Plan {
            group: "smp121",
            name: "request and reply of 64 B".into(),
            note: PLACEMENT,
            unit: Unit::Micros,
            contenders: vec![
                contender(SMP_UDP, |count| ours::ping(Road::Udp, count)),
                contender(BARE_UDP, |count| bare::ping(Road::Udp, count)),
                contender(SMP_RAW, |count| ours::ping(Road::Raw, count)),
                contender(BARE_RAW, |count| bare::ping(Road::Raw, count)),
            ],
            aims: vec![time(SMP_UDP, &[BARE_UDP], 1.25), time(SMP_RAW, &[BARE_RAW], 1.25)],
        },
        Plan {
            group: "smp121",
            name: "request and reply of 64 B, 99th percentile".into(),
            note: PLACEMENT,
            unit: Unit::Micros,
            contenders: vec![
                tail_of(SMP_UDP, |count| ours::ping(Road::Udp, count)),
                tail_of(BARE_UDP, |count| bare::ping(Road::Udp, count)),
                tail_of(SMP_RAW, |count| ours::ping(Road::Raw, count)),
                tail_of(BARE_RAW, |count| bare::ping(Road::Raw, count)),
            ],
            aims: vec![time(SMP_UDP, &[BARE_UDP], 2.0), time(SMP_RAW, &[BARE_RAW], 2.0)],
        },
        Plan {
            group: "smp121",
            name: "request and reply of 64 B, 100 at once".into(),
            note: "A hundred tasks, each with one request at a time, to seven mailslots; of the bare sockets, as many datagrams \
                in flight, from one task.",
            unit: Unit::Messages,
            contenders: vec![
                contender(SMP_UDP, |count| ours::many(Road::Udp, count)),
                contender(BARE_UDP, |count| bare::many(Road::Udp, count)),
                contender(BARE_UDP_BATCHED, |count| bare::many_batched(Road::Udp, false, count)),
                contender(BARE_UDP_JOINED, |count| bare::many_batched(Road::Udp, true, count)),
                contender(SMP_RAW, |count| ours::many(Road::Raw, count)),
                contender(BARE_RAW, |count| bare::many(Road::Raw, count)),
                contender(BARE_RAW_BATCHED, |count| bare::many_batched(Road::Raw, false, count)),
            ],
            aims: vec![
                rate(SMP_UDP, &[BARE_UDP, BARE_UDP_BATCHED], 0.75),
                rate(SMP_RAW, &[BARE_RAW, BARE_RAW_BATCHED], 0.75),
            ],
        },
    ];
    for (len, name) in [
        (SEGMENT_LEN, "16 MiB messages, segments of 1,400 B"),
        (LONG_SEGMENT_LEN, "16 MiB messages, segments of 65,000 B"),
    ] {
        plans.push(Plan {
            group: "smp121",
            name: name.into(),
            note: "Requests one after another, each answered with nothing. The bare sockets send the same octets in datagrams of the \
                same length, and nobody puts them together; the system joins those of UDP. With long segments, what is left is \
                four passes over the octets in memory (copy and checksum, at each end) that bare sockets do without, so there \
                is no aim for it.",
            unit: Unit::Gigabytes(16.0 * 1024.0 * 1024.0),
            contenders: vec![
                contender(SMP_UDP, move |count| ours::large(Road::Udp, len, count)),
                contender(BARE_UDP, move |count| bare::large(Road::Udp, len, count)),
                contender(SMP_RAW, move |count| ours::large(Road::Raw, len, count)),
                contender(BARE_RAW, move |count| bare::large(Road::Raw, len, count)),
            ],
            aims: if len == SEGMENT_LEN { vec![rate(SMP_RAW, &[BARE_RAW], 0.6)] } else { Vec::new() },
        });
    }
    let wanted = plans.into_iter().filter(|plan| settings.wants(&plan.name));
    let mut figures = wanted.map(|plan| plan.measure(settings, noise)).collect::<anyhow::Result<Vec<_>>>()?;
    figures.extend(peers::figures(settings, noise)?);
    Ok(figures)
}
