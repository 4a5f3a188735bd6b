//! DEFLATE by libdeflate, which is C: smaller packets in less time, and faster reading where there is nothing around the data.

use crate::Level;
use core::fmt;
use libdeflater::{CompressionLvl, DecompressionError};

/// Writes DEFLATE data. Made when it is needed first.
pub(super) struct Deflater(libdeflater::Compressor);

impl Deflater {
    pub(super) fn new(level: Level) -> Self {
        let level = match level {
            Level::None => 0,
            Level::Fastest => 1,
            Level::Default => 7,
            Level::Best => 12,
        };
        Self(libdeflater::Compressor::new(CompressionLvl::new(level).unwrap_or_default()))
    }

    /// Appends `plain`, compressed.
    pub(super) fn deflate(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        let room = self.0.deflate_compress_bound(plain.len());
        out.resize(start + room, 0);
        // There is room for the worst case, the only reason that could be.
        let len = self.0.deflate_compress(plain, out.get_mut(start..).unwrap_or_default()).unwrap_or(0);
        out.truncate(start + len);
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Deflater")
    }
}

/// Reads DEFLATE data that is there whole, into a buffer that is used again.
#[derive(Default)]
pub(super) struct Whole {
    state: Option<libdeflater::Decompressor>,
    /// All of it written at some time; the first `len` octets count.
    buffer: Vec<u8>,
    len: usize,
}

impl Whole {
    /// Reads what `data` begins with, at most `max` octets. `false` where it is not that.
    pub(super) fn inflate(&mut self, data: &[u8], max: usize) -> bool {
        let state = self.state.get_or_insert_with(libdeflater::Decompressor::new);
        loop {
            match state.deflate_decompress(data, &mut self.buffer) {
                Ok(len) if len <= max => {
                    self.len = len;
                    return true;
                }
                // Grows when something was too small for what really came, never by what is announced; never two at once.
                Err(DecompressionError::InsufficientSpace) if self.buffer.len() < max => {
                    let more = (2 * self.buffer.len()).max(super::RATIO_FREE_LEN).min(max);
                    self.buffer = Vec::new();
                    self.buffer.resize(more, 0);
                }
                _ => {
                    self.buffer = Vec::new();
                    return false;
                }
            }
        }
    }

    pub(super) fn last(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }

    pub(super) const fn clear(&mut self) {
        self.len = 0;
    }
}

impl fmt::Debug for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Whole").field("len", &self.len).finish_non_exhaustive()
    }
}
