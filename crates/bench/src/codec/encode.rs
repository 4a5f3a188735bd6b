//! Encoders, each as its users call it.

use super::{Carriage, Shape};
use crate::harness::Batch;
use anyhow::{Context as _, anyhow};
use bytes::{Buf, Bytes, BytesMut};
use smp_framing::framer::Framer;
use smp_framing::wire::{TransmitBuffer, encode};
use smp_framing::{Arguments, Code, Unit};
use std::hint::black_box;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_util::codec::{Encoder, LengthDelimitedCodec};

/// Octets of payload in a frame, where a message goes as frames.
pub(super) const FRAME_PAYLOAD_LEN: usize = 65_535;

/// Encodes a message that is at hand as a unit, as `fastwebsockets` does with a borrowed payload.
pub(super) struct Smp {
    shape: Shape,
    unit: Unit,
    message: Arguments,
    out: TransmitBuffer,
}

impl Smp {
    pub(super) fn new(shape: &Shape) -> anyhow::Result<Self> {
        let message = message(shape);
        let unit = Unit::plain(Code::Message, message.clone()).context("a message is no frame")?;
        Ok(Self { shape: *shape, unit, message, out: TransmitBuffer::new() })
    }
}

impl Batch for Smp {
    fn prepare(&mut self) {}

    fn run(&mut self) -> anyhow::Result<u32> {
        for _ in 0..self.shape.batch_count() {
            if self.shape.carriage == Carriage::Frames {
                put(&self.shape, black_box(&self.message), &mut self.out)?;
            } else {
                encode(black_box(&self.unit), &mut self.out)?;
            }
        }
        black_box(self.out.chunk());
        self.out.advance(self.out.remaining());
        Ok(self.shape.batch_count())
    }
}

/// Makes a unit of each message by value first, as `LengthDelimitedCodec` and `tungstenite` are called.
pub(super) struct SmpMade {
    shape: Shape,
    message: Arguments,
    out: TransmitBuffer,
}

impl SmpMade {
    pub(super) fn new(shape: &Shape) -> Self {
        Self { shape: *shape, message: message(shape), out: TransmitBuffer::new() }
    }
}

/// The payload as arguments.
pub(super) fn message(shape: &Shape) -> Arguments {
    let payload = shape.payload();
    match shape.carriage {
        Carriage::Whole | Carriage::Frames => payload.into(),
        Carriage::Largest => {
            (0..15).map(|index| payload.slice(index * FRAME_PAYLOAD_LEN..(index + 1) * FRAME_PAYLOAD_LEN)).collect()
        }
    }
}

/// Appends one message of the shape.
pub(super) fn put(shape: &Shape, message: &Arguments, out: &mut TransmitBuffer) -> anyhow::Result<()> {
    if shape.carriage == Carriage::Frames {
        for frame in Framer::new(message.clone(), FRAME_PAYLOAD_LEN + 2, 1, 0)? {
            encode(&frame, out)?;
        }
        return Ok(());
    }
    let unit = Unit::plain(Code::Message, message.clone()).context("a message is no frame")?;
    Ok(encode(&unit, out)?)
}

impl Batch for SmpMade {
    fn prepare(&mut self) {}

    fn run(&mut self) -> anyhow::Result<u32> {
        for _ in 0..self.shape.batch_count() {
            put(&self.shape, black_box(&self.message), &mut self.out)?;
        }
        black_box(self.out.chunk());
        self.out.advance(self.out.remaining());
        Ok(self.shape.batch_count())
    }
}

/// The codec, with a limit that lets the largest shape pass.
pub(super) fn length_delimited() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().max_frame_length(4 << 20).new_codec()
}

pub(super) struct LengthDelimited {
    shape: Shape,
    payload: Bytes,
    codec: LengthDelimitedCodec,
    out: BytesMut,
}

impl LengthDelimited {
    pub(super) fn new(shape: &Shape) -> Self {
        Self { shape: *shape, payload: shape.payload(), codec: length_delimited(), out: BytesMut::new() }
    }
}

impl Batch for LengthDelimited {
    fn prepare(&mut self) {}

    fn run(&mut self) -> anyhow::Result<u32> {
        for _ in 0..self.shape.batch_count() {
            self.codec.encode(black_box(&self.payload).clone(), &mut self.out)?;
        }
        black_box(&self.out[..]);
        self.out.clear();
        Ok(self.shape.batch_count())
    }
}

pub(super) struct Tungstenite {
    shape: Shape,
    payload: Bytes,
    out: Vec<u8>,
}

impl Tungstenite {
    pub(super) fn new(shape: &Shape) -> Self {
        Self { shape: *shape, payload: shape.payload(), out: Vec::new() }
    }
}

/// An unmasked frame, as servers send.
pub(super) fn put_tungstenite(payload: Bytes, out: &mut Vec<u8>) -> anyhow::Result<()> {
    Ok(Frame::message(payload, OpCode::Data(Data::Binary), true).format(out)?)
}

impl Batch for Tungstenite {
    fn prepare(&mut self) {}

    fn run(&mut self) -> anyhow::Result<u32> {
        for _ in 0..self.shape.batch_count() {
            put_tungstenite(black_box(&self.payload).clone(), &mut self.out)?;
        }
        black_box(&self.out[..]);
        self.out.clear();
        Ok(self.shape.batch_count())
    }
}

pub(super) struct FastWebSockets {
    shape: Shape,
    payload: Bytes,
    outs: Vec<Vec<u8>>,
}

impl FastWebSockets {
    pub(super) fn new(shape: &Shape) -> Self {
        let count = usize::try_from(shape.batch_count().min(256)).unwrap_or(1);
        Self { shape: *shape, payload: shape.payload(), outs: vec![Vec::new(); count] }
    }
}

impl Batch for FastWebSockets {
    fn prepare(&mut self) {}

    fn run(&mut self) -> anyhow::Result<u32> {
        use fastwebsockets::{Frame, OpCode, Payload};
        let mut count = 0;
        while count < self.shape.batch_count() {
            let left = usize::try_from(self.shape.batch_count() - count)?;
            for out in self.outs.iter_mut().take(left) {
                count += 1;
                let payload = Payload::Borrowed(black_box(&self.payload));
                let mut frame = Frame::new(true, OpCode::Binary, None, payload);
                if black_box(frame.write(out)).is_empty() {
                    return Err(anyhow!("an empty frame"));
                }
            }
        }
        Ok(count)
    }
}
