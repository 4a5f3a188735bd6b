//! Decoders, each as its users call it.

use super::Shape;
use super::encode::{FRAME_PAYLOAD_LEN, length_delimited, message, put, put_tungstenite};
use crate::harness::Batch;
use anyhow::{Context as _, anyhow};
use bytes::{Buf, Bytes, BytesMut};
use fastwebsockets::{Role, WebSocket};
use futures_util::FutureExt as _;
use smp_framing::UnitCodec;
use smp_framing::wire::{self, ReceiveBuffer, TransmitBuffer};
use std::hint::black_box;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::protocol::frame::FrameSocket;
use tokio_util::codec::{Decoder, Encoder, LengthDelimitedCodec};

/// A batch of encoded units, and how many units there are.
fn smp_octets(shape: &Shape) -> anyhow::Result<(Vec<u8>, usize)> {
    let mut out = TransmitBuffer::new();
    for _ in 0..shape.batch_count() {
        put(shape, &message(shape), &mut out)?;
    }
    let mut octets = vec![0; out.remaining()];
    out.copy_to_slice(&mut octets);
    let mut unit_count = 0;
    let mut rest = &octets[..];
    while let Ok(unit) = wire::decode(rest) {
        unit_count += 1;
        rest = rest.get(unit.wire_len()..).unwrap_or_default();
    }
    Ok((octets, unit_count))
}

/// Units as `Bytes` that share the read buffer.
pub(super) struct Owned {
    shape: Shape,
    octets: Vec<u8>,
    unit_count: usize,
    decoder: wire::Decoder,
    buffer: ReceiveBuffer,
}

impl Owned {
    pub(super) fn new(shape: &Shape) -> anyhow::Result<Self> {
        let (octets, unit_count) = smp_octets(shape)?;
        let decoder = wire::Decoder::new(wire::Decoder::UNIT_LEN_MAX);
        Ok(Self { shape: *shape, octets, unit_count, decoder, buffer: ReceiveBuffer::new() })
    }
}

impl Batch for Owned {
    fn prepare(&mut self) {
        self.buffer.clear();
        self.buffer.incoming().extend_from_slice(&self.octets);
    }

    fn run(&mut self) -> anyhow::Result<u32> {
        let mut count = 0;
        while let Some(unit) = self.decoder.decode(&mut self.buffer)? {
            black_box(unit);
            count += 1;
        }
        (count == self.unit_count).then(|| self.shape.batch_count()).context("units are missing")
    }
}

/// As `Framed` gets them.
pub(super) struct Codec {
    shape: Shape,
    octets: Vec<u8>,
    unit_count: usize,
    codec: UnitCodec,
    buffer: BytesMut,
}

impl Codec {
    pub(super) fn new(shape: &Shape) -> anyhow::Result<Self> {
        let (octets, unit_count) = smp_octets(shape)?;
        Ok(Self { shape: *shape, octets, unit_count, codec: UnitCodec::default(), buffer: BytesMut::new() })
    }
}

impl Batch for Codec {
    fn prepare(&mut self) {
        self.buffer.clear();
        self.buffer.extend_from_slice(&self.octets);
    }

    fn run(&mut self) -> anyhow::Result<u32> {
        let mut count = 0;
        while let Some(unit) = self.codec.decode(&mut self.buffer)? {
            black_box(unit);
            count += 1;
        }
        (count == self.unit_count).then(|| self.shape.batch_count()).context("units are missing")
    }
}

/// Units that borrow from the read buffer.
pub(super) struct Borrowed {
    shape: Shape,
    octets: Vec<u8>,
    unit_count: usize,
}

impl Borrowed {
    pub(super) fn new(shape: &Shape) -> anyhow::Result<Self> {
        let (octets, unit_count) = smp_octets(shape)?;
        Ok(Self { shape: *shape, octets, unit_count })
    }
}

impl Batch for Borrowed {
    fn prepare(&mut self) {}

    fn run(&mut self) -> anyhow::Result<u32> {
        let mut rest = black_box(&self.octets[..]);
        let mut count = 0;
        while let Ok(unit) = wire::decode(rest) {
            black_box(unit.arguments().next());
            rest = rest.get(unit.wire_len()..).unwrap_or_default();
            count += 1;
        }
        (count == self.unit_count).then(|| self.shape.batch_count()).context("units are missing")
    }
}

pub(super) struct LengthDelimited {
    shape: Shape,
    octets: Vec<u8>,
    frame_count: u32,
    codec: LengthDelimitedCodec,
    buffer: BytesMut,
}

impl LengthDelimited {
    /// Each message in one frame.
    pub(super) fn new(shape: &Shape) -> anyhow::Result<Self> {
        Self::of_frames(shape, &[shape.payload()])
    }

    /// Each byte string that `smp-framing` gives in a frame of its own.
    pub(super) fn of_parts(shape: &Shape) -> anyhow::Result<Self> {
        let payload = shape.payload();
        let cuts = (0..payload.len()).step_by(FRAME_PAYLOAD_LEN);
        let parts: Vec<Bytes> = cuts.map(|at| payload.slice(at..payload.len().min(at + FRAME_PAYLOAD_LEN))).collect();
        Self::of_frames(shape, &parts)
    }

    fn of_frames(shape: &Shape, frames: &[Bytes]) -> anyhow::Result<Self> {
        let (mut octets, mut frame_count) = (BytesMut::new(), 0);
        for _ in 0..shape.batch_count() {
            for frame in frames {
                length_delimited().encode(frame.clone(), &mut octets)?;
                frame_count += 1;
            }
        }
        let (codec, buffer) = (length_delimited(), BytesMut::new());
        Ok(Self { shape: *shape, octets: octets.to_vec(), frame_count, codec, buffer })
    }
}

impl Batch for LengthDelimited {
    fn prepare(&mut self) {
        self.buffer.clear();
        self.buffer.extend_from_slice(&self.octets);
    }

    fn run(&mut self) -> anyhow::Result<u32> {
        let mut count = 0;
        while let Some(frame) = self.codec.decode(&mut self.buffer)? {
            black_box(frame);
            count += 1;
        }
        (count == self.frame_count).then(|| self.shape.batch_count()).context("frames are missing")
    }
}

/// Encoded WebSocket frames as a stream that begins anew when told to.
struct Memory {
    octets: Arc<[u8]>,
    at: usize,
}

impl Memory {
    fn new(shape: &Shape) -> anyhow::Result<Self> {
        let mut octets = Vec::new();
        for _ in 0..shape.batch_count() {
            put_tungstenite(shape.payload(), &mut octets)?;
        }
        Ok(Self { octets: octets.into(), at: 0 })
    }

    fn take(&mut self, room: usize) -> &[u8] {
        let from = self.at;
        self.at = self.octets.len().min(from + room);
        self.octets.get(from..self.at).unwrap_or_default()
    }
}

impl Read for Memory {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let taken = self.take(buffer.len());
        let (front, _) = buffer.split_at_mut(taken.len());
        front.copy_from_slice(taken);
        Ok(front.len())
    }
}

impl AsyncRead for Memory {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let room = buffer.remaining();
        buffer.put_slice(self.get_mut().take(room));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

pub(super) struct Tungstenite {
    shape: Shape,
    socket: FrameSocket<Memory>,
}

impl Tungstenite {
    pub(super) fn new(shape: &Shape) -> anyhow::Result<Self> {
        Ok(Self { shape: *shape, socket: FrameSocket::new(Memory::new(shape)?) })
    }
}

impl Batch for Tungstenite {
    fn prepare(&mut self) {
        self.socket.get_mut().at = 0;
    }

    fn run(&mut self) -> anyhow::Result<u32> {
        let count = self.shape.batch_count();
        for _ in 0..count {
            black_box(self.socket.read(None)?.context("a frame is missing")?);
        }
        Ok(count)
    }
}

pub(super) struct FastWebSockets {
    shape: Shape,
    octets: Arc<[u8]>,
    socket: WebSocket<Memory>,
}

impl FastWebSockets {
    pub(super) fn new(shape: &Shape) -> anyhow::Result<Self> {
        let memory = Memory::new(shape)?;
        let octets = Arc::clone(&memory.octets);
        Ok(Self { shape: *shape, octets, socket: WebSocket::after_handshake(memory, Role::Client) })
    }
}

impl Batch for FastWebSockets {
    fn prepare(&mut self) {
        let memory = Memory { octets: Arc::clone(&self.octets), at: 0 };
        self.socket = WebSocket::after_handshake(memory, Role::Client);
    }

    fn run(&mut self) -> anyhow::Result<u32> {
        let count = self.shape.batch_count();
        for _ in 0..count {
            let frame = self.socket.read_frame().now_or_never().ok_or_else(|| anyhow!("memory never waits"))??;
            black_box(frame);
        }
        Ok(count)
    }
}
