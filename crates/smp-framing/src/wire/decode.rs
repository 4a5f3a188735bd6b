//! Octets to units. No octet string is wrong: it is whole units and perhaps the start of one more.
//= SMPF-R21 SMPF-R20 SMPF-R4 SMPF-OCT-1 SMPF-OCT-2

use super::{FRAME_HEADER_LEN, PLAIN_HEADER_LEN};
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

/// Code and length of a whole unit with one argument that is no frame.
#[inline(always)]
fn single(octets: &[u8]) -> Option<(Code, usize)> {
    let &[meta, high, low] = octets.first_chunk::<3>()?;
    let code = Code::from_meta(meta);
    let wire_len = 3 + usize::from(u16::from_be_bytes([high, low]));
    (meta & 0x0f == 1 && !code.is_frame() && wire_len <= octets.len()).then_some((code, wire_len))
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

/// Takes units off the front of a read buffer, however the stream was cut.
///
/// Keeps no octets of its own: what is not a whole unit yet stays in the caller's buffer. A unit shares the buffer's
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
    pub fn decode(&self, buffer: &mut BytesMut) -> Result<Option<Unit>, LimitExceeded> {
        let (code, ident, count, wire_len) = match single(buffer) {
            // By far the most frequent unit, found without the general walk.
            Some((code, wire_len)) => (code, FrameIdent { id: 0, number: 0 }, 1, wire_len),
            None => match decode(buffer) {
                Ok(unit) => (unit.code, unit.ident, unit.count, unit.wire_len()),
                Err(Incomplete { missing_len }) => {
                    self.check(buffer.len() + missing_len)?;
                    return Ok(None);
                }
            },
        };
        self.check(wire_len)?;
        let mut octets = buffer.split_to(wire_len).freeze();
        bytes::Buf::advance(&mut octets, header_len(code));
        Ok(Some(Unit::assemble(code, ident, Arguments::from_wire(usize::from(count), octets))))
    }

    /// The content of the whole unit without ID that `buffer` starts with, where it is all there, not too long, and has
    /// payload.
    #[inline(always)]
    pub(crate) fn decode_message(&self, buffer: &mut BytesMut) -> Option<Arguments> {
        let (count, wire_len) = match single(buffer) {
            Some((_, wire_len)) => (1, wire_len),
            None => decode(buffer).ok().map(|unit| (unit.count(), unit.wire_len()))?,
        };
        let has_payload = wire_len > PLAIN_HEADER_LEN + count * LENGTH_LEN;
        if !has_payload || wire_len > self.unit_len_max {
            return None;
        }
        let mut octets = buffer.split_to(wire_len).freeze();
        bytes::Buf::advance(&mut octets, PLAIN_HEADER_LEN);
        Some(Arguments::from_wire(count, octets))
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
        assert!(Decoder::new(5).decode(&mut BytesMut::from(&octets[..])).unwrap().is_some());
        let error = Decoder::new(4).decode(&mut BytesMut::from(&octets[..3])).unwrap_err();
        assert_eq!((error.limit, error.max, error.got), (Limit::UnitLen, 4, 5));
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
