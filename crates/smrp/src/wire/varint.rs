//! Numbers of 1, 2, 4 or 8 octets.

use bytes::BufMut;
use wirekit::{Reader, Short};

/// The largest number that a varint holds: 2^62 - 1.
pub const VARINT_MAX: u64 = (1 << 62) - 1;

/// Octets of the shortest form of `value`: 1, 2, 4 or 8.
#[must_use]
#[inline]
pub const fn varint_len(value: u64) -> usize {
    match value {
        0..=0x3F => 1,
        0x40..=0x3FFF => 2,
        0x4000..=0x3FFF_FFFF => 4,
        _ => 8,
    }
}

/// Writes the shortest form. Numbers above [`VARINT_MAX`] become it: what a limit of ours cannot say, it says as the highest one.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "each arm has checked the size")]
pub fn put_varint(out: &mut impl BufMut, value: u64) {
    match varint_len(value) {
        1 => out.put_u8(value as u8),
        2 => out.put_u16(value as u16 | 0x4000),
        4 => out.put_u32(value as u32 | 0x8000_0000),
        _ => out.put_u64(value.min(VARINT_MAX) | 0xC000_0000_0000_0000),
    }
}

/// Reads a varint of any length.
///
/// # Errors
/// [`Short`] where octets are missing; nothing is taken then.
//= SMRP-C2
#[inline]
pub fn take_varint(reader: &mut Reader<'_>) -> Result<u64, Short> {
    take(reader).map(|(value, _)| value)
}

/// A varint and how many octets it took.
#[inline]
pub(crate) fn take(reader: &mut Reader<'_>) -> Result<(u64, usize), Short> {
    let mut ahead = *reader;
    let first = ahead.u8()?;
    let high = u64::from(first & 0x3F);
    let (value, len) = match first >> 6 {
        0 => (high, 1),
        1 => (high << 8 | u64::from(ahead.u8()?), 2),
        2 => {
            let [b, c, d] = ahead.array::<3>()?;
            (high << 24 | u64::from(u32::from_be_bytes([0, b, c, d])), 4)
        }
        _ => {
            let [b, c, d, e, f, g, h] = ahead.array::<7>()?;
            (high << 56 | u64::from_be_bytes([0, b, c, d, e, f, g, h]), 8)
        }
    };
    *reader = ahead;
    Ok((value, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_written_shortest_and_read_back() {
        //= SMRP-C1, SMRP-C2
        for (value, len) in [
            (0, 1),
            (0x3F, 1),
            (0x40, 2),
            (0x3FFF, 2),
            (0x4000, 4),
            (0x3FFF_FFFF, 4),
            (0x4000_0000, 8),
            (VARINT_MAX, 8),
        ] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!((out.len(), varint_len(value)), (len, len), "{value:#x}");
            let mut reader = Reader::new(&out);
            assert_eq!(take(&mut reader), Ok((value, len)));
            for cut in 0..len {
                let mut reader = Reader::new(&out[..cut]);
                assert!(take(&mut reader).is_err());
                assert_eq!(reader.position(), 0, "a read that fails takes nothing");
            }
        }
        let mut out = Vec::new();
        put_varint(&mut out, 0x1234_5678);
        assert_eq!(out, [0x92, 0x34, 0x56, 0x78], "big endian");
    }

    #[test]
    fn longer_forms_are_read_and_too_large_numbers_saturate() {
        //= SMRP-C3
        for long in [&[0x40, 1][..], &[0x80, 0, 0, 1], &[0xC0, 0, 0, 0, 0, 0, 0, 1]] {
            assert_eq!(take_varint(&mut Reader::new(long)), Ok(1));
        }
        let mut out = Vec::new();
        put_varint(&mut out, u64::MAX);
        assert_eq!(take_varint(&mut Reader::new(&out)), Ok(VARINT_MAX));
    }
}
