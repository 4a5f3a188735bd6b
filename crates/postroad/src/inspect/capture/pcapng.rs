//! The newer format: blocks, each with its length in front and behind.

use super::{CaptureError, Head, INTERFACE_COUNT_MAX, Order, Source};
use std::io::Read;
use std::time::Duration;

/// The type of the block that begins a section. It reads the same from both sides.
pub(super) const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
/// The older kind of packet block.
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// Type and length in front, length behind.
const BLOCK_LEN_MIN: u32 = 12;
const RESOLUTION: u16 = 9;
const TIME_OFFSET: u16 = 14;

/// What a section says that packets depend on.
#[derive(Debug)]
pub(super) struct Section {
    order: Order,
    interfaces: Vec<Interface>,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link_type: u16,
    /// The most octets recorded of a packet; 0 for no such limit.
    snap_len: u32,
    resolution: u8,
    offset_secs: i64,
}

impl Section {
    /// Behind the type of a section's first block.
    pub(super) fn begin<R: Read>(source: &mut Source<R>) -> Result<Self, CaptureError> {
        let [l0, l1, l2, l3, magic @ ..] = source.array::<8>("the head of a section")?;
        let order = match u32::from_be_bytes(magic) {
            0x1a2b_3c4d => Order::Big,
            0x4d3c_2b1a => Order::Little,
            _ => return Err(malformed(source, "a section without its magic number")),
        };
        let len = order.u32([l0, l1, l2, l3]);
        let mut block = Block { order, len, left_len: len };
        block.take(source, 12)?;
        block.finish(source)?;
        Ok(Self { order, interfaces: Vec::new() })
    }

    /// Reads on to the next packet, whose octets go into `packet`.
    pub(super) fn next_packet<R: Read>(
        &mut self,
        source: &mut Source<R>,
        packet: &mut Vec<u8>,
    ) -> Result<Option<Head>, CaptureError> {
        loop {
            let Some(kind) = source.array_or_end::<4>("the head of a block")? else { return Ok(None) };
            let kind = self.order.u32(kind);
            if kind == SECTION {
                *self = Self::begin(source)?;
                continue;
            }
            let len = self.order.u32(source.array::<4>("the head of a block")?);
            let mut block = Block { order: self.order, len, left_len: len };
            block.take(source, 8)?;
            let head = match kind {
                INTERFACE => {
                    self.interface(source, &mut block)?;
                    None
                }
                ENHANCED_PACKET | PACKET => Some(self.packet(source, &mut block, kind, packet)?),
                SIMPLE_PACKET => Some(self.simple_packet(source, &mut block, packet)?),
                _ => None,
            };
            block.finish(source)?;
            if head.is_some() {
                return Ok(head);
            }
        }
    }

    fn interface<R: Read>(&mut self, source: &mut Source<R>, block: &mut Block) -> Result<(), CaptureError> {
        if self.interfaces.len() >= INTERFACE_COUNT_MAX {
            return Err(CaptureError::TooManyInterfaces);
        }
        let [l0, l1, _, _, s0, s1, s2, s3] = block.array::<8, _>(source)?;
        let mut interface = Interface {
            link_type: self.order.u16([l0, l1]),
            snap_len: self.order.u32([s0, s1, s2, s3]),
            resolution: 6,
            offset_secs: 0,
        };
        while block.left_len >= 4 + 4 {
            let [c0, c1, l0, l1] = block.array::<4, _>(source)?;
            let (code, len) = (self.order.u16([c0, c1]), self.order.u16([l0, l1]));
            let padded_len = u32::from(len).next_multiple_of(4);
            match (code, len) {
                (0, _) => break,
                (RESOLUTION, 1) => [interface.resolution, ..] = block.array::<4, _>(source)?,
                (TIME_OFFSET, 8) => {
                    let octets = block.array::<8, _>(source)?;
                    interface.offset_secs = match self.order {
                        Order::Little => i64::from_le_bytes(octets),
                        Order::Big => i64::from_be_bytes(octets),
                    };
                }
                _ => {
                    block.take(source, padded_len)?;
                    source.skip(padded_len)?;
                }
            }
        }
        self.interfaces.push(interface);
        Ok(())
    }

    fn packet<R: Read>(
        &self,
        source: &mut Source<R>,
        block: &mut Block,
        kind: u32,
        packet: &mut Vec<u8>,
    ) -> Result<Head, CaptureError> {
        let head = block.array::<20, _>(source)?;
        let [i0, i1, i2, i3, h0, h1, h2, h3, l0, l1, l2, l3, k0, k1, k2, k3, w0, w1, w2, w3] = head;
        // The older kind counts lost packets in the other half.
        let index = if kind == PACKET { self.order.u16([i0, i1]).into() } else { self.order.u32([i0, i1, i2, i3]) };
        let interface = self.interface_at(source, index)?;
        let (high, low) = (self.order.u32([h0, h1, h2, h3]), self.order.u32([l0, l1, l2, l3]));
        let kept_len = self.order.u32([k0, k1, k2, k3]);
        block.take(source, kept_len)?;
        source.packet(kept_len, packet)?;
        Ok(Head {
            time: interface.time(u64::from(high) << 32 | u64::from(low)),
            link_type: interface.link_type,
            whole_len: self.order.u32([w0, w1, w2, w3]),
        })
    }

    fn simple_packet<R: Read>(
        &self,
        source: &mut Source<R>,
        block: &mut Block,
        packet: &mut Vec<u8>,
    ) -> Result<Head, CaptureError> {
        let whole_len = self.order.u32(block.array::<4, _>(source)?);
        let interface = self.interface_at(source, 0)?;
        let snap_len = if interface.snap_len == 0 { u32::MAX } else { interface.snap_len };
        let kept_len = whole_len.min(snap_len).min(block.left_len.saturating_sub(4));
        block.take(source, kept_len)?;
        source.packet(kept_len, packet)?;
        Ok(Head { time: None, link_type: interface.link_type, whole_len })
    }

    fn interface_at<R: Read>(&self, source: &Source<R>, index: u32) -> Result<Interface, CaptureError> {
        let interface = usize::try_from(index).ok().and_then(|index| self.interfaces.get(index));
        interface.copied().ok_or_else(|| malformed(source, "a packet of an interface that was not described"))
    }
}

impl Interface {
    fn time(&self, ticks: u64) -> Option<Duration> {
        let exponent = u32::from(self.resolution & 0x7f);
        let base: u128 = if self.resolution & 0x80 == 0 { 10 } else { 2 };
        let per_second = base.checked_pow(exponent)?;
        let nanos = u128::from(ticks).checked_mul(1_000_000_000)?.checked_div(per_second)?;
        let time = Duration::from_nanos(u64::try_from(nanos).ok()?);
        let offset = Duration::from_secs(self.offset_secs.unsigned_abs());
        if self.offset_secs < 0 { time.checked_sub(offset) } else { time.checked_add(offset) }
    }
}

/// A block under way: no more is read of it than its length says, whatever lies in it.
#[derive(Debug)]
struct Block {
    order: Order,
    len: u32,
    left_len: u32,
}

impl Block {
    /// `len` octets are read, by the caller. The length behind the block is never among them.
    fn take<R: Read>(&mut self, source: &Source<R>, len: u32) -> Result<(), CaptureError> {
        let left_len = self.left_len.checked_sub(len).filter(|left_len| *left_len >= 4);
        if self.len < BLOCK_LEN_MIN || !self.len.is_multiple_of(4) {
            return Err(malformed(source, "a block of an impossible length"));
        }
        self.left_len = left_len.ok_or_else(|| malformed(source, "something that its block has no room for"))?;
        Ok(())
    }

    fn array<const N: usize, R: Read>(&mut self, source: &mut Source<R>) -> Result<[u8; N], CaptureError> {
        self.take(source, u32::try_from(N).unwrap_or(u32::MAX))?;
        source.array("a block")
    }

    fn finish<R: Read>(self, source: &mut Source<R>) -> Result<(), CaptureError> {
        source.skip(self.left_len.saturating_sub(4))?;
        let behind = self.order.u32(source.array("a block")?);
        if behind == self.len { Ok(()) } else { Err(malformed(source, "a block with two lengths")) }
    }
}

fn malformed<R>(source: &Source<R>, what: &'static str) -> CaptureError {
    CaptureError::Malformed { offset: source.offset, what }
}
