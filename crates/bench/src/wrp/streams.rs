//! Streams cut into messages and joined again, beside the compressor alone.

use super::reference::Reference;
use crate::figure::{Aim, Bound, Count, Figure, Unit};
use crate::harness::{Contender, Plan, Stopwatch, Timing};
use bytes::Bytes;
use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress};
use std::hint::black_box;
use testkit::vectors::wrp::{json_lines, random};
use wirekit::Instant;
use wrp::{Limits as MessageLimits, Message};
use wrp_ssp::{Encoding, Fill, Level, Limits, Options, Reassembler, Segmenter, Timing as StreamTiming};

const SSP: &str = "wrp-ssp";
const SSP_UNSHRUNK: &str = "wrp-ssp, compresses whatever becomes of it";
const FLATE: &str = "flate2 on zlib-rs";
const LIBDEFLATE: &str = "libdeflate (C)";
const MEMCPY: &str = "memcpy";
const REFERENCE: &str = "the reference (Go)";
const REFERENCE_DEFAULT: &str = "the reference (Go), default level";

const PACKET_LEN: usize = 65_536;
/// Packets of plain octets that are used in turn: more than the caches hold of one.
const PACKETS: usize = 16;

const NOTE: &str = "Packets of 64 KiB on one thread; octets are those of the stream. Out: cut, compressed, written as MessagePack. In: read, joined, \
    decompressed, given out. A stream that is at hand whole is cut without a copy. The peers compress or decompress the same packets into a buffer that is used again, with the same container, and do nothing else. The reference \
    implementation does all that we do, in a process beside us, where it can be built.";

#[derive(Clone, Copy)]
struct Case {
    data: &'static str,
    encoding: Encoding,
    level: Level,
    name: &'static str,
}

const CASES: [Case; 5] = [
    Case { data: "text", encoding: Encoding::Identity, level: Level::Default, name: "identity" },
    Case { data: "text", encoding: Encoding::Deflate, level: Level::Default, name: "deflate" },
    Case { data: "text", encoding: Encoding::Deflate, level: Level::Fastest, name: "deflate+fastest" },
    Case { data: "text", encoding: Encoding::Gzip, level: Level::Default, name: "gzip" },
    Case { data: "random", encoding: Encoding::Gzip, level: Level::Default, name: "gzip" },
];

/// The level of zlib-rs that ours is.
fn zlib_level(level: Level) -> u32 {
    if level == Level::Fastest { 2 } else { 7 }
}

/// The one of libdeflate whose packets are about as long.
fn libdeflate_level(level: Level) -> i32 {
    if level == Level::Fastest { 1 } else { 7 }
}

fn data(case: Case) -> Vec<u8> {
    if case.data == "text" { json_lines(1, PACKETS * PACKET_LEN) } else { random(1, PACKETS * PACKET_LEN) }
}

fn base() -> anyhow::Result<Message> {
    Ok(wrp::Event::new("mac:112233445566/log", "event:log").build()?)
}

fn options(case: Case, unshrunk: bool) -> Options {
    Options::new("s1").with_encoding(case.encoding, case.level).with_unshrunk(unshrunk)
}

/// So many packets out.
fn cut(plain: &'static [u8], case: Case, unshrunk: bool, count: u64) -> anyhow::Result<Timing> {
    let mut segmenter = Segmenter::new(base()?, options(case, unshrunk))?;
    let mut out = Vec::new();
    let watch = Stopwatch::start();
    for packet in plain.chunks(PACKET_LEN).cycle().take(usize::try_from(count)?) {
        segmenter.push_bytes(&mut Bytes::from_static(packet));
        out.clear();
        anyhow::ensure!(segmenter.poll_encoded(&mut out), "a packet is full");
        black_box(&out);
    }
    Ok(watch.stop())
}

/// So many packets in; each time round they are those of a new stream.
fn join(messages: &[Bytes], count: u64) -> anyhow::Result<Timing> {
    let limits = MessageLimits::default();
    let mut stream = Reassembler::new(Limits::default(), StreamTiming::default());
    let mut len = 0;
    let watch = Stopwatch::start();
    for at in 0..usize::try_from(count)? {
        if at % messages.len() == 0 {
            stream = Reassembler::new(Limits::default(), StreamTiming::default());
        }
        let octets = messages.get(at % messages.len()).ok_or_else(|| anyhow::anyhow!("no packets"))?;
        stream.take_encoded(Instant::EPOCH, octets, &limits)?;
        while let Fill::Octets(octets) = stream.fill(Instant::EPOCH) {
            len += black_box(octets).len();
            let read_len = octets.len();
            stream.consume(read_len);
        }
    }
    let timing = watch.stop();
    anyhow::ensure!(len as u64 == count * PACKET_LEN as u64, "{len} octets came");
    Ok(timing)
}

fn messages(case: Case, unshrunk: bool) -> anyhow::Result<Vec<Bytes>> {
    let mut segmenter = Segmenter::new(base()?, options(case, unshrunk))?;
    let packets = data(case);
    Ok(packets
        .chunks(PACKET_LEN)
        .filter_map(|packet| {
            segmenter.push(packet);
            segmenter.poll_message().map(|message| message.encode())
        })
        .collect())
}

/// The same backend, with the same container where there is one.
fn compressor(case: Case) -> Compress {
    let level = Compression::new(zlib_level(case.level));
    if case.encoding == Encoding::Gzip { Compress::new_gzip(level, 15) } else { Compress::new(level, false) }
}

fn deflate_alone(plain: &[u8], case: Case, count: u64) -> anyhow::Result<Timing> {
    let mut state = compressor(case);
    let mut out = Vec::with_capacity(2 * PACKET_LEN);
    let watch = Stopwatch::start();
    for packet in plain.chunks(PACKET_LEN).cycle().take(usize::try_from(count)?) {
        state.reset();
        out.clear();
        state.compress_vec(packet, &mut out, FlushCompress::Finish)?;
        black_box(&out);
    }
    Ok(watch.stop())
}

fn inflate_alone(payloads: &[Vec<u8>], case: Case, count: u64) -> anyhow::Result<Timing> {
    let mut state = Decompress::new(false);
    let mut out = Vec::with_capacity(2 * PACKET_LEN);
    let watch = Stopwatch::start();
    for payload in payloads.iter().cycle().take(usize::try_from(count)?) {
        state.reset(false);
        out.clear();
        if case.encoding == Encoding::Gzip {
            // A state for gzip cannot be reset, so the container is opened by hand.
            let data = payload.get(10..).unwrap_or_default();
            state.decompress_vec(data, &mut out, FlushDecompress::Finish)?;
            let mut crc = Crc::new();
            crc.update(&out);
            black_box(crc.sum());
        } else {
            state.decompress_vec(payload, &mut out, FlushDecompress::Finish)?;
        }
        black_box(&out);
    }
    Ok(watch.stop())
}

fn libdeflate_out(plain: &[u8], case: Case, count: u64) -> anyhow::Result<Timing> {
    let level =
        libdeflater::CompressionLvl::new(libdeflate_level(case.level)).map_err(|_| anyhow::anyhow!("a level"))?;
    let mut state = libdeflater::Compressor::new(level);
    let mut out = vec![0; 2 * PACKET_LEN];
    let watch = Stopwatch::start();
    for packet in plain.chunks(PACKET_LEN).cycle().take(usize::try_from(count)?) {
        match case.encoding {
            Encoding::Gzip => state.gzip_compress(packet, &mut out)?,
            _ => state.deflate_compress(packet, &mut out)?,
        };
        black_box(&out);
    }
    Ok(watch.stop())
}

fn libdeflate_in(payloads: &[Vec<u8>], case: Case, count: u64) -> anyhow::Result<Timing> {
    let mut state = libdeflater::Decompressor::new();
    let mut out = vec![0; PACKET_LEN];
    let watch = Stopwatch::start();
    for payload in payloads.iter().cycle().take(usize::try_from(count)?) {
        match case.encoding {
            Encoding::Gzip => state.gzip_decompress(payload, &mut out)?,
            _ => state.deflate_decompress(payload, &mut out)?,
        };
        black_box(&out);
    }
    Ok(watch.stop())
}

fn copy(plain: &[u8], count: u64) -> anyhow::Result<Timing> {
    let mut out = vec![0; PACKET_LEN];
    let watch = Stopwatch::start();
    for packet in plain.chunks(PACKET_LEN).cycle().take(usize::try_from(count)?) {
        out.copy_from_slice(black_box(packet));
        black_box(&out);
    }
    Ok(watch.stop())
}

/// What the peers decompress.
fn payloads(plain: &[u8], case: Case) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut state = compressor(case);
    plain
        .chunks(PACKET_LEN)
        .map(|packet| {
            state.reset();
            let mut out = Vec::with_capacity(2 * PACKET_LEN);
            state.compress_vec(packet, &mut out, FlushCompress::Finish)?;
            Ok(out)
        })
        .collect()
}

/// How long text becomes, beside what the reference makes of it.
pub(super) fn sizes() -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for case in CASES.into_iter().filter(|case| case.encoding != Encoding::Identity && case.data == "text") {
        let plain = data(case);
        let whole: usize = messages_payload_len(case)?;
        #[allow(clippy::cast_precision_loss, reason = "counts below 2^52")]
        let share = |octets: f64| octets / plain.len() as f64;
        #[allow(clippy::cast_precision_loss, reason = "counts below 2^52")]
        let theirs = match Reference::start(&plain)? {
            Some(reference) => Some(share(reference.payloads_len(case.name)? as f64)),
            None => None,
        };
        #[allow(clippy::cast_precision_loss, reason = "counts below 2^52")]
        let ours = share(whole as f64);
        figures.push(Figure::Count(Count {
            group: "wrp",
            name: format!("size of text after {}", case.name),
            note: match theirs {
                Some(theirs) => format!(
                    "payloads over octets of the stream, packets of 64 KiB; the reference makes {theirs:.4} of it"
                ),
                None => "payloads over octets of the stream, packets of 64 KiB".to_owned(),
            },
            unit: "of the stream",
            value: ours,
            at_most: theirs,
        }));
    }
    Ok(figures)
}

fn messages_payload_len(case: Case) -> anyhow::Result<usize> {
    let limits = MessageLimits::default();
    let mut len = 0;
    for octets in messages(case, false)? {
        len += Message::decode(&octets, &limits)?.payload.map_or(0, |payload| payload.len());
    }
    Ok(len)
}

pub(super) fn plans() -> anyhow::Result<Vec<Plan<'static>>> {
    let mut plans = Vec::new();
    for case in CASES {
        let plain: &'static [u8] = Box::leak(data(case).into_boxed_slice());
        let unshrunk = case.data == "random";
        let ours = if unshrunk { SSP_UNSHRUNK } else { SSP };
        let mut outs = vec![Contender::counted(ours, move |count| cut(plain, case, unshrunk, count))];
        let whole = messages(case, unshrunk)?;
        let mut ins = vec![Contender::counted(ours, move |count| join(&whole, count))];
        if unshrunk {
            let found = messages(case, false)?;
            outs.push(Contender::counted(SSP, move |count| cut(plain, case, false, count)));
            ins.push(Contender::counted(SSP, move |count| join(&found, count)));
        }
        let at_least = |peers, bound| Aim { ours, peers, bound: Bound::RateAtLeast(bound) };
        let (mut out_aims, mut in_aims) = (Vec::new(), Vec::new());
        if let Some(reference) = Reference::start(plain)? {
            let run = |way: &'static str, encoding: &'static str| {
                let reference = reference.clone();
                move |count| reference.run(way, encoding, count)
            };
            outs.push(Contender::counted(REFERENCE, run("out", case.name)));
            ins.push(Contender::counted(REFERENCE, run("in", case.name)));
            let aim = |peers, bound| Aim { ours, peers, bound: Bound::RateAtLeast(bound) };
            if case.level == Level::Fastest {
                outs.push(Contender::counted(REFERENCE_DEFAULT, run("out", "deflate")));
                out_aims.push(aim(&[REFERENCE_DEFAULT], 4.0));
            } else if case.encoding != Encoding::Identity && !unshrunk {
                out_aims.push(aim(&[REFERENCE], 1.4));
            }
            if case.encoding != Encoding::Identity && !unshrunk {
                in_aims.push(aim(&[REFERENCE], 5.0));
            }
        }
        let aims = if case.encoding == Encoding::Identity {
            outs.push(Contender::counted(MEMCPY, move |count| copy(plain, count)));
            ins.push(Contender::counted(MEMCPY, move |count| copy(plain, count)));
            at_least(&[MEMCPY], 0.75)
        } else {
            let compressed = payloads(plain, case)?;
            let again = compressed.clone();
            outs.push(Contender::counted(FLATE, move |count| deflate_alone(plain, case, count)));
            outs.push(Contender::counted(LIBDEFLATE, move |count| libdeflate_out(plain, case, count)));
            ins.push(Contender::counted(FLATE, move |count| inflate_alone(&compressed, case, count)));
            ins.push(Contender::counted(LIBDEFLATE, move |count| libdeflate_in(&again, case, count)));
            at_least(&[FLATE], 0.97)
        };
        out_aims.insert(0, aims);
        in_aims.insert(0, aims);
        for (way, contenders, aims) in [("out", outs, out_aims), ("in", ins, in_aims)] {
            plans.push(Plan {
                group: "wrp",
                name: format!("WRP-SSP, {}, {}, {way}", case.data, case.name),
                note: NOTE,
                unit: Unit::Gigabytes(65_536.0),
                contenders,
                aims,
            });
        }
    }
    Ok(plans)
}
