//! What the fuzz targets share: a slow reader of the wire, cuts of a stream, and material made from few octets.
#![forbid(unsafe_code)]

pub mod endpoint;
pub mod oracle;
pub mod segment;
pub mod watch;

use arbitrary::Arbitrary;
use bytes::{Buf, Bytes};
use smp_framing::wire::TransmitBuffer;
use smp_framing::{Arguments, Code, FrameIdent, Unit};
use std::io::IoSlice;

/// A payload of any length from four octets of input.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Payload {
    len: u16,
    kind: u8,
    fill: u8,
}

impl Payload {
    /// The payload: mostly short, now and then long enough to be sent from where it is.
    pub fn bytes(self) -> Bytes {
        let len = usize::from(self.len);
        let len = match self.kind % 16 {
            1 => len % 20_000,
            2 => len % 4_096,
            _ => len % 64,
        };
        (0..len).map(|at| self.fill.wrapping_add(at as u8)).collect::<Vec<u8>>().into()
    }
}

/// Up to 15 payloads.
pub fn arguments(payloads: &[Payload]) -> Arguments {
    payloads.iter().take(15).map(|payload| payload.bytes()).collect()
}

/// A unit of any code.
#[derive(Arbitrary, Clone, Debug)]
pub struct AnyUnit {
    code: u8,
    id: u16,
    number: u32,
    payloads: Vec<Payload>,
}

impl AnyUnit {
    /// The unit.
    pub fn unit(&self) -> Unit {
        let code = Code::from_meta(self.code);
        let ident = FrameIdent { id: self.id, number: self.number };
        let arguments = arguments(&self.payloads);
        match Unit::frame(code, ident, arguments.clone()) {
            Some(unit) => unit,
            None => Unit::plain(code, arguments).unwrap(),
        }
    }
}

/// A sequence of numbers from a seed: where to cut a stream.
#[derive(Clone, Debug)]
pub struct Cuts(u64);

impl Cuts {
    /// The cuts of this seed.
    pub fn new(seed: u16) -> Self {
        Self(u64::from(seed) << 16 | 1)
    }

    /// 1 to `max`, small ones often.
    pub fn next(&mut self, max: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let value = (self.0 >> 33) as usize;
        let max = if value & 1 == 0 { max.min(8) } else { max };
        1 + (value >> 1) % max.max(1)
    }
}

/// Takes `len` octets off the front, through the slices that a vectored write would get where `vectored`.
pub fn drain(buffer: &mut TransmitBuffer, len: usize, vectored: bool) -> Vec<u8> {
    let len = len.min(buffer.remaining());
    let mut octets = Vec::with_capacity(len);
    if vectored {
        let mut slices = [IoSlice::new(&[]); 8];
        let filled = buffer.chunks_vectored(&mut slices);
        for slice in &slices[..filled] {
            let room = len - octets.len();
            octets.extend_from_slice(&slice[..slice.len().min(room)]);
        }
        assert!(len == 0 || !octets.is_empty(), "there is something, so there is a slice");
        buffer.advance(octets.len());
    } else {
        octets.resize(len, 0);
        buffer.copy_to_slice(&mut octets);
    }
    octets
}
