//! The Internet checksum: the one's complement of the one's complement sum of 16-bit words (RFC 1071).

/// A checksum under way. Parts may be added in any number of pieces; each piece but the last must have an even length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checksum(u64);

impl Checksum {
    /// The sum of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(0)
    }

    /// Adds `bytes`; an odd last byte counts as the high half of a word.
    #[must_use]
    pub fn with(self, bytes: &[u8]) -> Self {
        // The sum is the same in either order of octets, but for the order of its own two (RFC 1071, 2 B), so words are
        // taken as they lie in memory.
        let sum = u16::from_be(fold(native_sum(bytes)));
        Self(fold_once(self.0 + u64::from(sum)))
    }

    /// The checksum as it goes on the wire.
    #[must_use]
    pub fn finish(self) -> u16 {
        !fold(self.0)
    }
}

/// Four-byte words into a 64-bit sum: carries gather in the upper half and cannot overflow below 2^32 words, as many as no
/// slice here has. Wrapping additions, since checked ones keep the compiler from using vectors: 3 to 4 times as slow.
fn native_sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let last = match *rest {
        [a] => [a, 0, 0, 0],
        [a, b] => [a, b, 0, 0],
        [a, b, c] => [a, b, c, 0],
        _ => [0; 4],
    };
    words
        .iter()
        .fold(u64::from(u32::from_ne_bytes(last)), |sum, word| sum.wrapping_add(u64::from(u32::from_ne_bytes(*word))))
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap_or(u16::MAX)
}

/// Keeps a running sum below 2^33, so that any number of pieces can follow.
const fn fold_once(sum: u64) -> u64 {
    (sum & 0xffff_ffff) + (sum >> 32)
}

/// The checksum of `bytes`. Over bytes that hold their own right checksum it is 0.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u16 {
    Checksum::new().with(bytes).finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Byte by byte, as RFC 1071 describes it.
    fn oracle(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !u16::try_from(sum).unwrap()
    }

    #[test]
    fn the_worked_example_of_rfc_1071_holds() {
        // Section 3: 00 01 f2 03 f4 f5 f6 f7 sums to ddf2.
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    }

    #[test]
    fn nothing_sums_to_all_ones() {
        assert_eq!(checksum(&[]), 0xffff);
    }

    #[test]
    fn carries_of_long_and_large_words_are_kept() {
        let bytes = vec![0xff; 1 << 20];
        assert_eq!(checksum(&bytes), 0);
        let mut bytes = vec![0xfe; 65_535];
        bytes[17] = 0x01;
        assert_eq!(checksum(&bytes), oracle(&bytes));
    }

    proptest! {
        #[test]
        fn agrees_with_the_oracle_whole_and_in_two_pieces(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 0usize..64) {
            prop_assert_eq!(checksum(&bytes), oracle(&bytes));
            let cut = (cut * 2).min(bytes.len() & !1);
            let (a, b) = bytes.split_at(cut);
            prop_assert_eq!(Checksum::new().with(a).with(b).finish(), oracle(&bytes));
        }

        #[test]
        fn bytes_that_hold_their_checksum_sum_to_zero(mut bytes in proptest::collection::vec(any::<u8>(), 1..100)) {
            if bytes.len() % 2 == 1 { bytes.push(0); }
            let sum = checksum(&bytes);
            bytes.extend_from_slice(&sum.to_be_bytes());
            prop_assert_eq!(checksum(&bytes), 0);
        }
    }
}
