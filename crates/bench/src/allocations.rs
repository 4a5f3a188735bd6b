//! How often the steady state allocates.

use crate::bodies::{self, SmpBody};
use crate::figure::{Count, Figure};
use crate::loopback::{large, small};
use crate::net;
use crate::streams::{End, LengthDelimited, Smp};
use smp_framing::Config;
use testkit::allocations::{AllocationInfo, measure};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

/// Items before counting begins, in which buffers reach their size.
const WARM_UP_COUNT: u64 = 20_000;
/// Items counted.
const COUNT: u64 = 200_000;

const NOTE: &str = "from feeding to receiving, both ends over TCP on one thread, after a warm-up";

/// The group.
pub(crate) fn figures() -> anyhow::Result<Vec<Figure>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let config = Config::default();
    let (large, large_config) = large()?;
    let (piece, body_config) = (bodies::piece(), bodies::config()?);
    let figures = vec![
        count(&runtime, "64 B messages", Some(0.01), COUNT, |tcp| Smp::new(tcp, config, small()))?,
        count(&runtime, "64 B messages, LengthDelimitedCodec", None, COUNT, |tcp| LengthDelimited::new(tcp, small()))?,
        count(&runtime, "64 KiB messages", None, COUNT / 10, |tcp| Smp::new(tcp, large_config, large.clone()))?,
        count(&runtime, "64 KiB pieces of a body", None, COUNT / 10, |tcp| {
            SmpBody::new(tcp, body_config, piece.clone())
        })?,
    ];
    Ok(figures.into_iter().flatten().collect())
}

fn count<E: End>(
    runtime: &Runtime,
    name: &str,
    at_most: Option<f64>,
    items: u64,
    end: impl Fn(TcpStream) -> E,
) -> anyhow::Result<[Figure; 2]> {
    let (client, server) = runtime.block_on(net::tcp())?;
    let (mut client, mut server) = (end(client), end(server));
    let mut pass = |count| {
        runtime.block_on(async {
            let (sent, received) = tokio::join!(client.send(count), server.receive(count));
            sent.and(received)
        })
    };
    pass(WARM_UP_COUNT)?;
    let mut result = Ok(());
    let AllocationInfo { count_total, bytes_total, .. } = measure(|| result = pass(items));
    result?;
    #[allow(clippy::cast_precision_loss, reason = "counts below 2^52")]
    let per_item = |total: u64| total as f64 / items as f64;
    let figure = |name, unit, value, at_most| {
        Figure::Count(Count { group: "allocations", name, note: NOTE.into(), unit, value, at_most })
    };
    Ok([
        figure(format!("{name}: allocations"), "per item", per_item(count_total), at_most),
        figure(format!("{name}: octets allocated"), "per item", per_item(bytes_total), None),
    ])
}
