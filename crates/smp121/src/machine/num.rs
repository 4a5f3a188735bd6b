//! Widths of numbers.

/// A length of the wire in memory. Exact wherever `usize` has 32 bits or more.
pub(super) fn to_usize(len: u32) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

/// A length in memory on the wire; the most there can be for one that is longer.
pub(super) fn to_u32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// A length in memory for a counter.
pub(super) fn to_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
