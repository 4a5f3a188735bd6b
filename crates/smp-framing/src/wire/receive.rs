//! Octets on their way in.

use super::decode::Head;
use crate::Arguments;
use bytes::{Bytes, BytesMut};
use std::sync::Arc;

/// What came and was not taken yet: whole units, and perhaps the beginning of one more.
///
/// Append to [`incoming`](Self::incoming), take with [`Decoder::decode`](super::Decoder::decode). Whole units are set apart
/// many at a time, so that taking one costs a reference count and no more; they share the memory that they were read into.
/// That memory is used again once all units that came in it are dropped.
///
/// ```
/// use smp_framing::wire::{Decoder, ReceiveBuffer};
///
/// let mut buffer = ReceiveBuffer::new();
/// buffer.incoming().extend_from_slice(&[0x01, 0x00, 0x02, b'h', b'i', 0x01, 0x00]);
/// let decoder = Decoder::new(Decoder::UNIT_LEN_MAX);
/// let unit = decoder.decode(&mut buffer)?.unwrap();
/// assert_eq!(unit.into_arguments(), "hi".into());
/// assert_eq!((decoder.decode(&mut buffer)?, buffer.len(), buffer.missing_len()), (None, 2, 1));
/// # Ok::<(), smp_framing::LimitExceeded>(())
/// ```
#[derive(Debug, Default)]
pub struct ReceiveBuffer {
    incoming: BytesMut,
    whole: WholeUnits,
}

impl ReceiveBuffer {
    /// An empty buffer that holds no memory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the carrier writes: append to it, and leave alone what is there already.
    #[inline]
    pub const fn incoming(&mut self) -> &mut BytesMut {
        &mut self.incoming
    }

    #[inline]
    pub(crate) const fn parts(&mut self) -> (&mut BytesMut, &mut WholeUnits) {
        (&mut self.incoming, &mut self.whole)
    }

    /// Octets that were not taken yet.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.whole.rest().len() + self.incoming.len()
    }

    /// True where every octet was taken.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.whole.is_spent() && self.incoming.is_empty()
    }

    /// How many octets the unit at the front still needs at least; 0 where it is whole, or none has begun.
    #[must_use]
    pub fn missing_len(&self) -> usize {
        if self.whole.is_spent() { super::Decoder::missing_len(&self.incoming) } else { 0 }
    }

    /// Drops what was not taken.
    pub fn clear(&mut self) {
        self.whole.drop_units();
        self.incoming.clear();
    }

    /// Gives the memory back where the buffer is empty.
    pub fn release(&mut self) {
        if self.is_empty() {
            *self = Self::new();
        }
    }
}

impl From<&[u8]> for ReceiveBuffer {
    fn from(octets: &[u8]) -> Self {
        Self { incoming: octets.into(), whole: WholeUnits::default() }
    }
}

/// Whole units that are taken one by one. Each takes a count of the chunk and a range of it: a `Bytes` of its own would be
/// built in memory and moved from there, which costs more than the count.
#[derive(Debug, Default)]
pub(crate) struct WholeUnits {
    /// Kept when it is used up: the next one goes into the same allocation where nobody else holds it.
    chunk: Option<Arc<Bytes>>,
    /// How much of it was taken.
    at: usize,
}

impl WholeUnits {
    #[inline]
    pub(super) fn rest(&self) -> &[u8] {
        self.chunk.as_ref().and_then(|chunk| chunk.get(self.at..)).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn is_spent(&self) -> bool {
        self.rest().is_empty()
    }

    /// The arguments of the unit at the front, whose header was read.
    #[inline(always)]
    pub(super) fn take(&mut self, head: &Head) -> Arguments {
        let start = self.at + head.header_len();
        self.at += head.wire_len;
        match &self.chunk {
            Some(chunk) => Arguments::from_wire(usize::from(head.count), Arc::clone(chunk), start, self.at),
            None => Arguments::new(),
        }
    }

    /// Puts other units in the place of those that were taken.
    pub(super) fn refill(&mut self, units: Bytes) {
        self.at = 0;
        match self.chunk.as_mut().and_then(Arc::get_mut) {
            Some(chunk) => *chunk = units,
            None => self.chunk = Some(Arc::new(units)),
        }
    }

    /// Holds the memory of units that were all taken no longer, so that it can be used again.
    #[inline]
    pub(super) fn let_go(&mut self) {
        if self.at > 0 {
            self.drop_units();
        }
    }

    /// Drops what was taken and what was not.
    fn drop_units(&mut self) {
        self.at = 0;
        match self.chunk.as_mut().and_then(Arc::get_mut) {
            Some(chunk) => *chunk = Bytes::new(),
            None => self.chunk = None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Decoder;

    const MESSAGE: [u8; 5] = [0x01, 0x00, 0x02, b'a', b'b'];

    fn take(buffer: &mut ReceiveBuffer) -> Option<Arguments> {
        Decoder::new(Decoder::UNIT_LEN_MAX).decode(buffer).unwrap().map(crate::Unit::into_arguments)
    }

    #[test]
    fn units_stay_where_they_were_read() {
        let mut buffer = ReceiveBuffer::from(&[&MESSAGE[..], &MESSAGE].concat()[..]);
        let start = buffer.incoming().as_ptr();
        let units = [take(&mut buffer).unwrap(), take(&mut buffer).unwrap()];
        assert_eq!(
            units.each_ref().map(|unit| unit.get(0).unwrap().as_ptr()),
            [start.wrapping_add(3), start.wrapping_add(8)]
        );
    }

    #[test]
    fn memory_is_used_again_once_the_units_are_dropped_and_not_before() {
        let mut buffer = ReceiveBuffer::new();
        let mut read = |is_kept: bool| {
            buffer.incoming().reserve(64);
            buffer.incoming().extend_from_slice(&MESSAGE);
            let unit = take(&mut buffer).unwrap();
            let at = unit.get(0).unwrap().as_ptr();
            let kept = is_kept.then_some(unit);
            assert_eq!(take(&mut buffer), None);
            (at, kept)
        };
        let (first, _) = read(false);
        for _ in 0..100 {
            assert_eq!(read(false).0, first, "the same place");
        }
        let (_, kept) = read(true);
        let (other, _) = read(false);
        assert_ne!(other, first);
        assert_eq!(kept, Some("ab".into()));
    }

    #[test]
    fn what_is_there_is_counted_wherever_it_lies() {
        let mut buffer = ReceiveBuffer::from(&[&MESSAGE[..], &MESSAGE, &MESSAGE[..4]].concat()[..]);
        assert_eq!((buffer.len(), buffer.is_empty()), (14, false));
        take(&mut buffer);
        assert_eq!((buffer.len(), buffer.missing_len()), (9, 0), "a whole unit is at the front");
        take(&mut buffer);
        assert_eq!((buffer.len(), buffer.missing_len()), (4, 1));
        buffer.release();
        assert_eq!(buffer.len(), 4, "what waits is not given away");
        buffer.incoming().extend_from_slice(b"b");
        assert!(take(&mut buffer).is_some() && take(&mut buffer).is_none() && buffer.is_empty());
        buffer.release();
        assert_eq!(buffer.incoming().capacity(), 0);
    }

    #[test]
    fn clearing_drops_units_too() {
        let mut buffer = ReceiveBuffer::from(&[&MESSAGE[..], &MESSAGE, &MESSAGE[..1]].concat()[..]);
        take(&mut buffer);
        buffer.clear();
        assert!(buffer.is_empty() && take(&mut buffer).is_none());
    }
}
