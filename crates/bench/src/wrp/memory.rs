//! Peak memory of streams that come out of order.

use crate::children::{measure, number};
use crate::figure::{Count, Figure};
use crate::harness::clock;
use crate::machine;
use anyhow::{bail, ensure};
use bytes::Bytes;
use serde_json::{Value, json};
use std::hint::black_box;
use testkit::Rng;
use wirekit::Instant;
use wrp_ssp::{
    Demultiplexer, DemuxLimits, Encoding, Fill, Level, Limits, Options, Reassembler, Refused, Routed, Segmenter,
    StreamKey, Timing,
};

const PACKET_LEN: usize = 65_536;
const MIB: u64 = 1 << 20;

pub(crate) fn figures() -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (how, name, note) in [
        (
            "one",
            "peak RSS of a 1 GiB stream out of order",
            "packets of 64 KiB, identity, in any order within windows of 256, a tenth of them twice; each is made, written, read and joined",
        ),
        (
            "many",
            "peak RSS of 1,000 streams of 1 MiB at once",
            "packets of 8 KiB, a packet of each stream in turn, the second of each pair first",
        ),
    ] {
        crate::progress(&format!("  {name}"));
        let report = measure(&["stream", how])?;
        let seconds = number(&report, "seconds")?;
        figures.push(Figure::Count(Count {
            group: "memory",
            name: name.to_owned(),
            note: format!("{note}; {:.1} MiB before; {seconds:.2} s", number(&report, "before_kib")? / 1024.0),
            unit: "MiB",
            value: number(&report, "peak_kib")? / 1024.0,
            at_most: Some(64.0),
        }));
    }
    Ok(figures)
}

/// In a process of its own.
pub(crate) fn child(how: &str) -> anyhow::Result<Value> {
    let before_kib = machine::status_kib("VmHWM")?;
    let start = clock();
    match how {
        "one" => one()?,
        "many" => many()?,
        other => bail!("no way {other:?} to pass a stream"),
    }
    let seconds = start.elapsed().as_secs_f64();
    Ok(json!({ "before_kib": before_kib, "peak_kib": machine::status_kib("VmHWM")?, "seconds": seconds }))
}

fn base() -> anyhow::Result<wrp::Message> {
    Ok(wrp::Event::new("mac:112233445566/log", "event:log").build()?)
}

/// Packets of a window leave in any order; each has octets of its own.
fn one() -> anyhow::Result<()> {
    let count = 1024 * MIB / PACKET_LEN as u64;
    let options = Options::new("s1").with_encoding(Encoding::Identity, Level::Default);
    let mut segmenter = Segmenter::new(base()?, options)?;
    let mut stream = Reassembler::new(
        Limits { window_len_max: 20 << 20, stream_len_max: 2048 * MIB, ..Limits::default() },
        Timing::default(),
    );
    let (mut rng, limits) = (Rng::new(7), wrp::Limits::default());
    let mut window: Vec<Bytes> = Vec::new();
    let mut len = 0_u64;
    for number in 0..count {
        let plain = vec![number.to_le_bytes()[0]; PACKET_LEN];
        segmenter.push(&plain);
        if number == count - 1 {
            segmenter.finish(wrp_ssp::End::Clean);
        }
        let mut out = Vec::with_capacity(PACKET_LEN + 512);
        ensure!(segmenter.poll_encoded(&mut out), "a packet is full");
        let octets = Bytes::from(out);
        if rng.chance(100) {
            window.push(octets.clone());
        }
        window.push(octets);
        if (number + 1) % 256 == 0 {
            rng.shuffle(&mut window);
            for octets in window.drain(..) {
                match stream.take_encoded(Instant::EPOCH, &octets, &limits) {
                    // A copy of the last packet, or of one before it.
                    Ok(()) | Err(Refused::Ended) => {}
                    Err(refused) => return Err(refused.into()),
                }
                while let Fill::Octets(octets) = stream.fill(Instant::EPOCH) {
                    let read_len = black_box(octets).len();
                    len += read_len as u64;
                    stream.consume(read_len);
                }
            }
        }
    }
    ensure!(len == 1024 * MIB && stream.fill(Instant::EPOCH) == Fill::End, "{len} octets came");
    Ok(())
}

fn many() -> anyhow::Result<()> {
    const LEN: usize = 8192;
    let limits = DemuxLimits { streams_per_source_max: 1000, ..DemuxLimits::default() };
    let mut demux = Demultiplexer::new(Limits::default(), Timing::default(), limits, None);
    let mut senders = Vec::new();
    for id in 0..1000 {
        let options =
            Options::new(format!("s{id}")).with_packet_len(LEN).with_encoding(Encoding::Identity, Level::Default);
        senders.push((
            StreamKey { source: "mac:112233445566/log".into(), stream_id: format!("s{id}") },
            Segmenter::new(base()?, options)?,
        ));
    }
    let plain = vec![7; LEN];
    let mut len = 0_u64;
    let rounds = MIB / (2 * LEN as u64);
    for round in 0..rounds {
        for (key, sender) in &mut senders {
            let mut next = || {
                sender.push(&plain);
                sender.poll_message().ok_or_else(|| anyhow::anyhow!("a packet is full"))
            };
            let (first, second) = (next()?, next()?);
            for message in [second, first] {
                ensure!(demux.take_message(Instant::EPOCH, &message) == Routed::Taken(key.clone()), "round {round}");
            }
            while let Some(Fill::Octets(octets)) = demux.fill(Instant::EPOCH, key) {
                let read_len = black_box(octets).len();
                len += read_len as u64;
                demux.consume(key, read_len);
            }
        }
    }
    ensure!(len == 1000 * MIB, "{len} octets came");
    Ok(())
}
