//! DEFLATE by zlib-rs, which is Rust.

use super::{RATIO_FREE_LEN, compressed_len_max};
use crate::Level;
use flate2::{Compress, Compression, FlushCompress, Status};

/// Writes DEFLATE data. Made when it is needed first: it takes some 300 kB.
#[derive(Debug)]
pub(super) struct Deflater(Compress);

impl Deflater {
    pub(super) fn new(level: Level) -> Self {
        Self(Compress::new(Compression::new(number(level)), false))
    }

    /// Appends `plain`, compressed.
    pub(super) fn deflate(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        let state = &mut self.0;
        state.reset();
        out.reserve(compressed_len_max(plain.len()));
        loop {
            let taken_len = usize::try_from(state.total_in()).unwrap_or(usize::MAX);
            let rest = plain.get(taken_len..).unwrap_or_default();
            match state.compress_vec(rest, out, FlushCompress::Finish) {
                Ok(Status::StreamEnd) | Err(_) => return,
                // Never, as there is room for the worst case; and if there were not, there is now.
                Ok(Status::Ok | Status::BufError) => out.reserve(RATIO_FREE_LEN),
            }
        }
    }
}

/// The numbers whose packets are no longer than those of the reference at the same word, measured on text, source code and a
/// program. Level 1 and 6 would be half again as fast and up to a quarter longer; 9 is longer than 8 on text.
const fn number(level: Level) -> u32 {
    match level {
        Level::None => 0,
        Level::Fastest => 2,
        Level::Default => 7,
        Level::Best => 8,
    }
}
