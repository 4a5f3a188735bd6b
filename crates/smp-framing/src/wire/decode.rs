//! Octets to units. No octet string is wrong: it is whole units and perhaps the start of one more.
//= SMPF-R21 SMPF-R20 SMPF-R4 SMPF-OCT-1 SMPF-OCT-2

use super::receive::WholeUnits;
use super::{FRAME_HEADER_LEN, PLAIN_HEADER_LEN, ReceiveBuffer};
use crate::arguments::{Iter, LENGTH_LEN};
use crate::{Arguments, Code, FrameIdent, Limit, LimitExceeded, Unit};
use bytes::BytesMut;

/// The octets end inside a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incomplete {
    /// The least number of octets that can finish the unit: LENGTHs not yet seen count 2, their payloads 0.
    pub missing_len: usize,
}

/// A unit borrowed from the octets it was decoded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitRef<'a> {
    code: Code,
    ident: FrameIdent,
    count: u8,
    encoded: &'a [u8],
}

impl<'a> UnitRef<'a> {
    /// What the unit is.
    #[inline]
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// ID and frame number, of frames.
    #[inline]
    #[must_use]
    pub fn ident(&self) -> Option<FrameIdent> {
        self.code.is_frame().then_some(self.ident)
    }

    /// How many arguments it has.
    #[inline]
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count as usize
    }

    /// Its arguments, in order.
    #[inline]
    #[must_use]
    pub const fn arguments(&self) -> Iter<'a> {
        Iter::over_wire(self.encoded)
    }

    /// Octets of the whole unit.
    #[inline]
    #[must_use]
    pub const fn wire_len(&self) -> usize {
        header_len(self.code) + self.encoded.len()
    }
}

#[inline(always)]
const fn header_len(code: Code) -> usize {
    if code.is_frame() { FRAME_HEADER_LEN } else { PLAIN_HEADER_LEN }
}

/// The unit at the start of `octets`. Copies and allocates nothing.
///
/// # Errors
/// [`Incomplete`] where the octets end before the unit does.
#[inline(always)]
pub fn decode(octets: &[u8]) -> Result<UnitRef<'_>, Incomplete> {
    let Some((&meta, after_meta)) = octets.split_first() else {
        return Err(Incomplete { missing_len: PLAIN_HEADER_LEN });
    };
    let code = Code::from_meta(meta);
    let count = meta & 0x0f;
    let (ident, arguments) = if code.is_frame() {
        let Some((&[id0, id1, n0, n1, n2, n3], arguments)) = after_meta.split_first_chunk::<6>() else {
            let header_missing_len = FRAME_HEADER_LEN - octets.len();
            return Err(Incomplete { missing_len: header_missing_len + usize::from(count) * LENGTH_LEN });
        };
        (FrameIdent { id: u16::from_be_bytes([id0, id1]), number: u32::from_be_bytes([n0, n1, n2, n3]) }, arguments)
    } else {
        (FrameIdent { id: 0, number: 0 }, after_meta)
    };
    let encoded = walk(arguments, count)?;
    Ok(UnitRef { code, ident, count, encoded })
}

/// What the header and the LENGTHs of a whole unit say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) code: Code,
    ident: FrameIdent,
    pub(super) count: u8,
    /// Octets of the whole unit.
    pub(super) wire_len: usize,
}

impl Head {
    /// That of the unit at the start of `octets`, if it is all there.
    #[inline(always)]
    fn of(octets: &[u8]) -> Result<Self, Incomplete> {
        if let Some(head) = Self::of_single(octets) {
            return Ok(head);
        }
        decode(octets).map(|unit| Self {
            code: unit.code,
            ident: unit.ident,
            count: unit.count,
            wire_len: unit.wire_len(),
        })
    }

    /// By far the most frequent unit, one argument and no ID, found without the general walk.
    #[inline(always)]
    fn of_single(octets: &[u8]) -> Option<Self> {
        let &[meta, high, low] = octets.first_chunk::<3>()?;
        let code = Code::from_meta(meta);
        let wire_len = PLAIN_HEADER_LEN + LENGTH_LEN + usize::from(u16::from_be_bytes([high, low]));
        let is_single = meta & 0x0f == 1 && !code.is_frame() && wire_len <= octets.len();
        is_single.then_some(Self { code, ident: FrameIdent { id: 0, number: 0 }, count: 1, wire_len })
    }

    #[inline(always)]
    pub(super) const fn header_len(&self) -> usize {
        header_len(self.code)
    }

    #[inline(always)]
    fn has_payload(&self) -> bool {
        self.wire_len > self.header_len() + usize::from(self.count) * LENGTH_LEN
    }
}

/// The octets of `count` arguments at the start of `octets`.
#[inline(always)]
fn walk(octets: &[u8], count: u8) -> Result<&[u8], Incomplete> {
    let mut end = 0;
    for left in (0..usize::from(count)).rev() {
        let Some(&[high, low]) = octets.get(end..).and_then(|rest| rest.first_chunk::<LENGTH_LEN>()) else {
            // `end` may lie past what is there, where an argument before was cut.
            return Err(Incomplete { missing_len: end + (left + 1) * LENGTH_LEN - octets.len() });
        };
        end += LENGTH_LEN + usize::from(u16::from_be_bytes([high, low]));
    }
    octets.get(..end).ok_or_else(|| Incomplete { missing_len: end - octets.len() })
}

/// Whole units that are set apart at once: many, since that costs as much as taking a few, and few enough that the octets
/// looked at for it, a cache line each, are still in the nearest cache when they are taken.
const GATHER_COUNT: usize = 256;

/// Takes units off the front of what came, however the stream was cut.
///
/// Keeps no octets of its own: what is not a whole unit yet stays in the [`ReceiveBuffer`]. A unit shares the buffer's
/// memory; nothing is copied.
#[derive(Clone, Copy, Debug)]
pub struct Decoder {
    unit_len_max: usize,
}

impl Decoder {
    /// The longest unit that there can be: a frame with 15 arguments of 65,535 octets.
    pub const UNIT_LEN_MAX: usize = FRAME_HEADER_LEN + 15 * (LENGTH_LEN + 65_535);

    /// A decoder that takes units of up to `unit_len_max` octets, header and LENGTHs counted.
    #[must_use]
    pub const fn new(unit_len_max: usize) -> Self {
        Self { unit_len_max }
    }

    /// The next whole unit, `None` where more octets are needed.
    ///
    /// # Errors
    /// [`LimitExceeded`] as soon as the LENGTHs say that the unit is longer than the decoder takes. There is no way to
    /// go on behind it: octets that are skipped cannot be told from octets that are lost.
    #[inline(always)]
    pub fn decode(&self, buffer: &mut ReceiveBuffer) -> Result<Option<Unit>, LimitExceeded> {
        let (incoming, whole) = buffer.parts();
        self.decode_from(incoming, whole)
    }

    /// [`decode`](Self::decode) for whoever keeps the two parts of a [`ReceiveBuffer`] apart.
    #[inline(always)]
    pub(crate) fn decode_from(
        &self,
        incoming: &mut BytesMut,
        whole: &mut WholeUnits,
    ) -> Result<Option<Unit>, LimitExceeded> {
        let Some(head) = self.next_head(incoming, whole)? else { return Ok(None) };
        Ok(Some(Unit::assemble(head.code, head.ident, whole.take(&head))))
    }

    /// The content of the unit at the front, where that is a whole message with payload; else nothing is taken.
    #[inline(always)]
    pub(crate) fn decode_message(&self, buffer: &mut ReceiveBuffer) -> Option<Arguments> {
        let (incoming, whole) = buffer.parts();
        let head = self.next_head(incoming, whole).ok()??;
        (head.code == Code::Message && head.has_payload()).then(|| whole.take(&head))
    }

    /// What the next whole unit is.
    #[inline(always)]
    fn next_head(&self, incoming: &mut BytesMut, whole: &mut WholeUnits) -> Result<Option<Head>, LimitExceeded> {
        if whole.is_spent() {
            whole.let_go();
            if incoming.is_empty() || !self.gather(incoming, whole)? {
                return Ok(None);
            }
        }
        let Ok(head) = Head::of(whole.rest()) else { return Ok(None) };
        // Looked at again: it may have been gathered with another limit.
        self.check(head.wire_len)?;
        Ok(Some(head))
    }

    /// Sets whole units apart; `false` where there are none.
    #[inline(never)]
    fn gather(&self, incoming: &mut BytesMut, whole: &mut WholeUnits) -> Result<bool, LimitExceeded> {
        let mut end = 0;
        for _ in 0..GATHER_COUNT {
            let rest = incoming.get(end..).unwrap_or_default();
            let (unit_len, is_whole) = match Head::of(rest) {
                Ok(head) => (head.wire_len, true),
                Err(Incomplete { missing_len }) => (rest.len() + missing_len, false),
            };
            match self.check(unit_len) {
                Ok(()) if is_whole => end += unit_len,
                // What came before has its turn first.
                Ok(()) => break,
                Err(_) if end > 0 => break,
                Err(exceeded) => return Err(exceeded),
            }
        }
        if end > 0 {
            whole.refill(incoming.split_to(end).freeze());
        }
        Ok(end > 0)
    }

    /// How many octets the unit that `buffer` starts with still needs at least; 0 at a boundary.
    #[must_use]
    pub fn missing_len(buffer: &[u8]) -> usize {
        match decode(buffer) {
            Err(Incomplete { missing_len }) if !buffer.is_empty() => missing_len,
            _ => 0,
        }
    }

    #[inline]
    fn check(&self, wire_len: usize) -> Result<(), LimitExceeded> {
        if wire_len > self.unit_len_max {
            return Err(LimitExceeded { limit: Limit::UnitLen, max: self.unit_len_max as u64, got: wire_len as u64 });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_at_the_limit_passes_and_one_past_it_fails_before_it_is_there() {
        let octets = [0x01, 0x00, 0x02, b'a', b'b'];
        assert!(Decoder::new(5).decode(&mut ReceiveBuffer::from(&octets[..])).unwrap().is_some());
        let error = Decoder::new(4).decode(&mut ReceiveBuffer::from(&octets[..3])).unwrap_err();
        assert_eq!((error.limit, error.max, error.got), (Limit::UnitLen, 4, 5));
        let mut gathered = ReceiveBuffer::from(&[&octets[..], &octets].concat()[..]);
        assert!(Decoder::new(5).decode(&mut gathered).unwrap().is_some());
        assert_eq!(Decoder::new(4).decode(&mut gathered).unwrap_err().got, 5, "set apart by a decoder that takes more");
    }

    #[test]
    fn what_came_before_a_unit_that_is_too_long_is_taken_first() {
        let mut buffer = ReceiveBuffer::from(&[0x60, 0x01, 0, 1, b'a', 0x01, 0, 9][..]);
        let decoder = Decoder::new(4);
        let mut next = || decoder.decode(&mut buffer);
        assert_eq!(next().unwrap().unwrap().code(), Code::Heartbeat);
        assert_eq!(next().unwrap().unwrap().code(), Code::Message);
        assert_eq!((next().unwrap_err().got, next().unwrap_err().got), (12, 12));
    }

    #[test]
    fn the_longest_unit_is_as_long_as_stated() {
        let mut octets = vec![0x2f, 0, 0, 0, 0, 0, 0];
        for _ in 0..15 {
            octets.extend_from_slice(&[0xff; 2]);
            octets.resize(octets.len() + 65_535, 0);
        }
        assert_eq!(octets.len(), Decoder::UNIT_LEN_MAX);
        assert_eq!(decode(&octets).unwrap().wire_len(), octets.len());
    }

    #[test]
    fn what_is_missing_counts_every_length_that_must_still_come() {
        let missing = |octets: &[u8]| decode(octets).unwrap_err().missing_len;
        assert_eq!((missing(&[]), missing(&[0x02]), missing(&[0x12])), (1, 4, 6 + 4));
        assert_eq!((missing(&[0x12, 0, 1, 0, 0]), missing(&[0x12, 0, 1, 0, 0, 0, 2, 0])), (2 + 4, 3));
        assert_eq!((missing(&[0x02, 0, 3, b'a']), missing(&[0x01, 0, 3, b'a'])), (2 + 2, 2));
        assert_eq!((Decoder::missing_len(&[]), Decoder::missing_len(&[0x01])), (0, 2));
    }
}
