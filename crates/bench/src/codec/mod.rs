//! Encoding and decoding in memory, on one thread.

mod decode;
mod encode;

use crate::args::Settings;
use crate::figure::{Aim, Bound, Figure, Unit};
use crate::harness::{Contender, Plan};
use crate::machine::Noise;
use bytes::Bytes;

/// Octets that are encoded, or decoded, between two looks at the clock: about what stays in a second-level cache.
const BUFFER_LEN: usize = 256 * 1024;

pub(super) const SMP: &str = "smp-framing";
pub(super) const SMP_MADE: &str = "smp-framing, unit made from Bytes";
pub(super) const SMP_BORROWED: &str = "smp-framing, borrowed";
pub(super) const SMP_CODEC: &str = "smp-framing, UnitCodec";
pub(super) const LENGTH_DELIMITED: &str = "LengthDelimitedCodec";
pub(super) const LENGTH_DELIMITED_PARTS: &str = "LengthDelimitedCodec, a frame for each part";
pub(super) const TUNGSTENITE: &str = "tungstenite frames";
pub(super) const FASTWEBSOCKETS: &str = "fastwebsockets frames";

const PEERS: &[&str] = &[LENGTH_DELIMITED, TUNGSTENITE, FASTWEBSOCKETS];

/// One message size, and how each side puts it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) name: &'static str,
    /// Octets of payload, all arguments together.
    pub(super) payload_len: usize,
    /// How `smp-framing` carries it.
    pub(super) carriage: Carriage,
}

/// How `smp-framing` carries a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carriage {
    /// One unit with one argument.
    Whole,
    /// One unit with fifteen arguments, the largest unit there can be.
    Largest,
    /// One argument, in frames of up to 65,535 octets.
    Frames,
}

const SHAPES: &[Shape] = &[
    Shape { name: "16 B", payload_len: 16, carriage: Carriage::Whole },
    Shape { name: "128 B", payload_len: 128, carriage: Carriage::Whole },
    Shape { name: "1 KiB", payload_len: 1024, carriage: Carriage::Whole },
    Shape { name: "16 KiB", payload_len: 16 * 1024, carriage: Carriage::Whole },
    Shape { name: "960 KiB, largest unit", payload_len: 15 * 65_535, carriage: Carriage::Largest },
    Shape { name: "1 MiB, 17 frames", payload_len: 1024 * 1024, carriage: Carriage::Frames },
];

impl Shape {
    /// Messages in one batch.
    pub(super) fn batch_count(&self) -> u32 {
        let count = u32::try_from(BUFFER_LEN / self.payload_len).unwrap_or(1);
        if self.payload_len > BUFFER_LEN { 4 } else { count }
    }

    /// A payload that costs nothing to clone, so that reference counts of the payload fall on nobody.
    pub(super) fn payload(&self) -> Bytes {
        let octets: Vec<u8> = (0..self.payload_len).map(|at| (at % 251).to_le_bytes()[0]).collect();
        Bytes::from_static(Box::leak(octets.into_boxed_slice()))
    }
}

const ENCODE_NOTE: &str = "One message after another until 256 KiB are there (4 messages where one is larger), then the \
    buffer is emptied; both are timed. smp-framing and fastwebsockets borrow what they encode, LengthDelimitedCodec and \
    tungstenite take it by value, as does the unit made from Bytes; the payload is static, so its clones are free. All \
    append to one buffer, but fastwebsockets can only begin a buffer: it fills up to 256 in turn. From 4 KiB on \
    smp-framing hands the payload to the system call by reference, the others copy it.";
const DECODE_NOTE: &str = "256 KiB of messages that are there already (4 messages where one is larger); taking each and \
    dropping it is timed, filling the buffer is not. LengthDelimitedCodec and smp-framing share the buffer, but for the \
    borrowed units, whose buffer is never written anew and so stays in the caches; tungstenite and \
    fastwebsockets offer no other way than reading from a stream, which here is memory, so their copy is timed.";

/// The group.
pub(crate) fn figures(settings: &Settings, noise: &mut Noise) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for shape in SHAPES {
        let name = format!("encode {}", shape.name);
        if settings.wants(&name) {
            let contenders = vec![
                Contender::batched(SMP, encode::Smp::new(shape)?),
                Contender::batched(SMP_MADE, encode::SmpMade::new(shape)),
                Contender::batched(LENGTH_DELIMITED, encode::LengthDelimited::new(shape)),
                Contender::batched(TUNGSTENITE, encode::Tungstenite::new(shape)),
                Contender::batched(FASTWEBSOCKETS, encode::FastWebSockets::new(shape)),
            ];
            let aims = vec![Aim { ours: SMP, peers: PEERS, bound: Bound::TimeAtMost(1.2) }];
            let plan = Plan { group: "codec", name, note: ENCODE_NOTE, unit: Unit::Nanos, contenders, aims };
            figures.push(plan.measure(settings, noise)?);
        }
        let name = format!("decode {}", shape.name);
        if settings.wants(&name) {
            figures.push(decode_plan(shape, name)?.measure(settings, noise)?);
        }
    }
    Ok(figures)
}

fn decode_plan(shape: &Shape, name: String) -> anyhow::Result<Plan<'static>> {
    let mut contenders = vec![
        Contender::batched(SMP, decode::Owned::new(shape)?),
        Contender::batched(SMP_CODEC, decode::Codec::new(shape)?),
        Contender::batched(SMP_BORROWED, decode::Borrowed::new(shape)?),
        Contender::batched(LENGTH_DELIMITED, decode::LengthDelimited::new(shape)?),
        Contender::batched(TUNGSTENITE, decode::Tungstenite::new(shape)?),
        Contender::batched(FASTWEBSOCKETS, decode::FastWebSockets::new(shape)?),
    ];
    let half_of = |peers| Aim { ours: SMP, peers, bound: Bound::TimeAtMost(0.5) };
    let mut aims = vec![half_of(&[LENGTH_DELIMITED])];
    if shape.carriage != Carriage::Whole {
        // One frame of 1 MiB is one LENGTH to read; fifteen arguments or seventeen frames are as many, each in memory that
        // no cache holds yet. Both comparisons are shown: with one frame, and with as many byte strings as we give.
        contenders.push(Contender::batched(LENGTH_DELIMITED_PARTS, decode::LengthDelimited::of_parts(shape)?));
        aims.push(half_of(&[LENGTH_DELIMITED_PARTS]));
    }
    Ok(Plan { group: "codec", name, note: DECODE_NOTE, unit: Unit::Nanos, contenders, aims })
}
