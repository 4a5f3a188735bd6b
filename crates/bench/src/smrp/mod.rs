//! Sessions of SMRP over one plain TCP connection on loopback, beside HTTP/2, yamux and the bare connection.

mod ours;
mod peers;
mod work;

use crate::args::Settings;
use crate::figure::{Aim, Bound, Figure, Unit};
use crate::harness::{Contender, Plan};
use crate::machine::Noise;
use ours::Ours;
use peers::{bare::Bare, delimited::Delimited, http2::Http2, tungstenite::Tungstenite, yamux::Yamux};
use work::{BULK_LEN, IN_FLIGHT, Peer, SMALL_LEN, Topology, Work, run};

const OURS: &str = "smrp, default settings";
const H2: &str = "h2, windows of 4 and 16 MiB";
const YAMUX: &str = "yamux";
const BARE: &str = "bare TCP";
const DELIMITED: &str = "TCP with LengthDelimitedCodec";
const TUNGSTENITE: &str = "tokio-tungstenite";

const NOTE: &str = "One connection. Requests: h2 a new stream each, yamux a ping on one of so many open streams (a new stream each in the row that opens and closes), bare TCP a connection for each in flight. \
    \"Two threads\" is a current-thread runtime for each end in a thread of its own; otherwise both ends are tasks on one multi-thread runtime with 2 workers.";

/// The group.
pub(crate) fn figures(settings: &Settings, noise: &mut Noise) -> anyhow::Result<Vec<Figure>> {
    let plans = plans().into_iter().filter(|plan| settings.wants(&plan.name));
    plans.map(|plan| plan.measure(settings, noise)).collect()
}

fn contender<'a, P: Peer>(name: &'static str, topology: Topology, work: Work) -> Contender<'a> {
    Contender::counted(name, move |count| run::<P>(topology, work, count))
}

fn plans<'a>() -> Vec<Plan<'a>> {
    let mut plans = Vec::new();
    for topology in [Topology::Shared, Topology::TwoThreads] {
        let plan = |name: &str, unit, contenders, aims| Plan {
            group: "smrp",
            name: format!("sessions, {name}, {}", topology.name()),
            note: NOTE,
            unit,
            contenders,
            aims,
        };
        let rate = |peers, bound| Aim { ours: OURS, peers, bound: Bound::RateAtLeast(bound) };
        let time = |peers, bound| Aim { ours: OURS, peers, bound: Bound::TimeAtMost(bound) };
        let bulk = Unit::Gigabytes(BULK_LEN as f64);
        plans.push(plan(
            "bulk on one stream",
            bulk,
            vec![
                contender::<Ours>(OURS, topology, Work::Bulk { streams: 1 }),
                contender::<Http2>(H2, topology, Work::Bulk { streams: 1 }),
                contender::<Yamux>(YAMUX, topology, Work::Bulk { streams: 1 }),
                contender::<Bare>(BARE, topology, Work::Bulk { streams: 1 }),
            ],
            vec![rate(&[H2, YAMUX], 1.0), rate(&[BARE], 0.9)],
        ));
        plans.push(plan(
            "bulk on 100 streams",
            bulk,
            vec![
                contender::<Ours>(OURS, topology, Work::Bulk { streams: IN_FLIGHT }),
                contender::<Http2>(H2, topology, Work::Bulk { streams: IN_FLIGHT }),
                contender::<Yamux>(YAMUX, topology, Work::Bulk { streams: IN_FLIGHT }),
            ],
            vec![rate(&[H2, YAMUX], 1.0)],
        ));
        plans.push(plan(
            "64 B there and back on an open stream",
            Unit::Micros,
            vec![
                contender::<Ours>(OURS, topology, Work::Echo),
                contender::<Http2>(H2, topology, Work::Echo),
                contender::<Yamux>(YAMUX, topology, Work::Echo),
                contender::<Bare>(BARE, topology, Work::Echo),
            ],
            vec![time(&[H2, YAMUX], 1.0), time(&[BARE], 1.15)],
        ));
        plans.push(plan(
            "64 B requests, 100 in flight",
            Unit::Messages,
            vec![
                contender::<Ours>(OURS, topology, Work::Requests),
                contender::<Http2>(H2, topology, Work::Requests),
                contender::<Yamux>(YAMUX, topology, Work::Requests),
            ],
            vec![rate(&[H2], 1.2), rate(&[YAMUX], 1.0)],
        ));
        plans.push(plan(
            "open, echo, close, 100 in flight",
            Unit::Messages,
            vec![
                contender::<Ours>(OURS, topology, Work::OpenEchoClose),
                contender::<Http2>(H2, topology, Work::OpenEchoClose),
                contender::<Yamux>(YAMUX, topology, Work::OpenEchoClose),
            ],
            vec![rate(&[H2, YAMUX], 1.0)],
        ));
        for len in [16, SMALL_LEN] {
            plans.push(plan(
                &format!("{len} B messages one way"),
                Unit::Messages,
                vec![
                    contender::<Ours>(OURS, topology, Work::Messages { len }),
                    contender::<Tungstenite>(TUNGSTENITE, topology, Work::Messages { len }),
                    contender::<Delimited>(DELIMITED, topology, Work::Messages { len }),
                ],
                vec![rate(&[TUNGSTENITE], 1.0), rate(&[DELIMITED], 0.6)],
            ));
        }
    }
    plans
}
