//! Sessions of SMRP over one TCP connection on loopback, plain and with TLS, beside HTTP/2, yamux and the bare connection.

mod link;
mod ours;
mod peers;
mod work;

use crate::args::Settings;
use crate::figure::{Aim, Bound, Figure, Unit};
use crate::harness::{Contender, Plan};
use crate::machine::Noise;
use crate::net;
use link::Security;
use ours::Ours;
use peers::{bare::Bare, delimited::Delimited, http2::Http2, tungstenite::Tungstenite, yamux::Yamux};
use std::sync::Arc;
use work::{BULK_LEN, IN_FLIGHT, Peer, SMALL_LEN, Topology, Work, run};

const OURS: &str = "smrp, default settings";
const H2: &str = "h2, windows of 4 and 16 MiB";
const YAMUX: &str = "yamux";
const BARE: &str = "the bare connection";
const DELIMITED: &str = "LengthDelimitedCodec";
const TUNGSTENITE: &str = "tokio-tungstenite";

const NOTE: &str = "One connection. Requests: h2 a new stream each, yamux a ping on one of so many open streams (a new stream each in the row that opens and closes). \
    Messages one way are fed, not sent one by one, by all. The ping under bulk has the most urgent priority where there are priorities, and a connection of its own where there are no streams. \
    \"Two threads\" is a current-thread runtime for each end in a thread of its own; otherwise both ends are tasks on one multi-thread runtime with 2 workers.";

/// The group.
pub(crate) fn figures(settings: &Settings, noise: &mut Noise) -> anyhow::Result<Vec<Figure>> {
    let tls = Security::Tls(Arc::new(net::Tls::new()?));
    let all = [Topology::Shared, Topology::TwoThreads].into_iter();
    let all = all.flat_map(|topology| [&Security::Plain, &tls].map(|security| plans(topology, security)));
    let plans = all.flatten().filter(|plan| settings.wants(&plan.name));
    plans.map(|plan| plan.measure(settings, noise)).collect()
}

fn contender<'a, P: Peer>(name: &'static str, topology: Topology, security: &Security, work: Work) -> Contender<'a> {
    let security = security.clone();
    Contender::counted(name, move |count| run::<P>(topology, &security, work, count))
}

/// The contenders that speak of streams, doing the same.
fn multiplexers<'a>(topology: Topology, security: &Security, work: Work) -> Vec<Contender<'a>> {
    vec![
        contender::<Ours>(OURS, topology, security, work),
        contender::<Http2>(H2, topology, security, work),
        contender::<Yamux>(YAMUX, topology, security, work),
    ]
}

fn plans<'a>(topology: Topology, security: &Security) -> Vec<Plan<'a>> {
    let over = if matches!(security, Security::Plain) { "" } else { "TLS, " };
    let plan = |name: &str, unit, contenders, aims| Plan {
        group: "smrp",
        name: format!("sessions, {name}, {over}{}", topology.name()),
        note: NOTE,
        unit,
        contenders,
        aims,
    };
    let rate = |peers, bound| Aim { ours: OURS, peers, bound: Bound::RateAtLeast(bound) };
    let time = |peers, bound| Aim { ours: OURS, peers, bound: Bound::TimeAtMost(bound) };
    let streams = |work| multiplexers(topology, security, work);
    let and_bare = |work| {
        let mut all = multiplexers(topology, security, work);
        all.push(contender::<Bare>(BARE, topology, security, work));
        all
    };
    let bulk = Unit::Gigabytes(BULK_LEN as f64);
    let mut plans = vec![
        plan(
            "bulk on one stream",
            bulk,
            and_bare(Work::Bulk { streams: 1 }),
            vec![rate(&[H2, YAMUX], 1.0), rate(&[BARE], 0.9)],
        ),
        plan("bulk on 100 streams", bulk, streams(Work::Bulk { streams: IN_FLIGHT }), vec![rate(&[H2, YAMUX], 1.0)]),
        plan(
            "64 B there and back on an open stream",
            Unit::Micros,
            and_bare(Work::Echo),
            vec![time(&[H2, YAMUX], 1.0), time(&[BARE], 1.15)],
        ),
        plan(
            "64 B requests, 100 in flight",
            Unit::Messages,
            streams(Work::Requests),
            vec![rate(&[H2], 1.2), rate(&[YAMUX], 1.0)],
        ),
        plan(
            "open, echo, close, 100 in flight",
            Unit::Messages,
            streams(Work::OpenEchoClose),
            vec![rate(&[H2, YAMUX], 1.0)],
        ),
        plan(
            "p95 of an 8 B ping under bulk",
            Unit::Micros,
            and_bare(Work::Ping),
            vec![time(&[H2, YAMUX], 1.0), Aim { ours: OURS, peers: &[], bound: Bound::MicrosAtMost(2_000.0) }],
        ),
    ];
    for len in [16, SMALL_LEN] {
        let work = Work::Messages { len };
        plans.push(plan(
            &format!("{len} B messages one way"),
            Unit::Messages,
            vec![
                contender::<Ours>(OURS, topology, security, work),
                contender::<Tungstenite>(TUNGSTENITE, topology, security, work),
                contender::<Delimited>(DELIMITED, topology, security, work),
            ],
            vec![rate(&[TUNGSTENITE], 1.0), rate(&[DELIMITED], 0.6)],
        ));
    }
    plans
}
