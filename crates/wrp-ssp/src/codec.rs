//! Payloads, compressed and back, with states and buffers that are used again for every packet.

mod gzip;
#[cfg(feature = "libdeflate")]
mod libdeflate;
#[cfg(not(feature = "libdeflate"))]
mod zlib;

use crate::{Encoding, Level};
use flate2::{Decompress, FlushDecompress, Status};
#[cfg(feature = "libdeflate")]
use libdeflate::Deflater;
use thiserror::Error;
#[cfg(not(feature = "libdeflate"))]
use zlib::Deflater;

/// Octets of output that any packet may have, whatever its ratio.
//= SSP-L4
pub const RATIO_FREE_LEN: usize = 64 * 1024;

/// Writes payloads.
#[derive(Debug)]
pub struct Compressor {
    encoding: Encoding,
    level: Level,
    /// Made when it is needed first: it takes some 300 kB.
    state: Option<Deflater>,
}

impl Compressor {
    /// For packets of this encoding.
    #[must_use]
    pub const fn new(encoding: Encoding, level: Level) -> Self {
        Self { encoding, level, state: None }
    }

    /// Appends `plain`, compressed alone. Nothing is written for nothing.
    //= SSP-E5, SSP-E6
    pub fn compress(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        if plain.is_empty() {
            return;
        }
        match self.encoding {
            Encoding::Identity => out.extend_from_slice(plain),
            Encoding::Deflate => self.deflate(plain, out),
            Encoding::Gzip => {
                out.extend_from_slice(&gzip::header(self.level));
                self.deflate(plain, out);
                out.extend_from_slice(&gzip::trailer(plain));
            }
        }
    }

    fn deflate(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        let level = self.level;
        self.state.get_or_insert_with(|| Deflater::new(level)).deflate(plain, out);
    }
}

/// Octets that `plain_len` octets take at most, whatever they are and at every level.
//= SSP-S8
#[must_use]
pub const fn compressed_len_max(plain_len: usize) -> usize {
    plain_len + plain_len / 8 + plain_len / 256 + 64
}

/// How far a packet may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Octets.
    pub len_max: usize,
    /// Times its payload, beyond [`RATIO_FREE_LEN`].
    pub ratio_max: usize,
}

/// Why a payload cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeFault {
    /// It ends in the middle.
    #[error("compressed data ends in the middle")]
    Truncated,
    /// It is no such data.
    #[error("not {0}")]
    Corrupt(&'static str),
    /// A checksum is wrong.
    #[error("the checksum of the gzip {0} is wrong")]
    Checksum(&'static str),
    /// The length behind the data is wrong.
    #[error("the length behind the gzip data is wrong")]
    Length,
    /// It becomes longer than allowed.
    #[error("{payload_len} octets become more than {max}, which {limit} allows")]
    TooLong {
        /// Octets as they came.
        payload_len: usize,
        /// Octets that are allowed.
        max: usize,
        /// The limit.
        limit: &'static str,
    },
}

/// Reads payloads.
#[derive(Debug, Default)]
pub struct Decompressor {
    /// Made when the first compressed payload comes: it takes some 40 kB.
    state: Option<Decompress>,
    plain: Vec<u8>,
    #[cfg(feature = "libdeflate")]
    whole: libdeflate::Whole,
}

impl Decompressor {
    /// The octets of a payload, all or none. What comes out is there until the next call.
    ///
    /// # Errors
    /// [`DecodeFault`].
    //= SSP-E5, SSP-E7, SSP-E8, SSP-E9, SSP-L3, SSP-L4
    pub fn decompress(&mut self, encoding: Encoding, payload: &[u8], caps: Caps) -> Result<&[u8], DecodeFault> {
        self.plain.clear();
        let mut room = Room::new(payload.len(), caps);
        // Only where nothing behind the data matters: how much of it was taken is not told. Faults are left to the slower way,
        // which knows what they are.
        #[cfg(feature = "libdeflate")]
        {
            self.whole.clear();
            if encoding == Encoding::Deflate && self.whole.inflate(payload, room.max) {
                return Ok(self.whole.last());
            }
        }
        match encoding {
            Encoding::Identity => {
                room.check(payload.len())?;
                self.plain.extend_from_slice(payload);
            }
            // What is behind the last block means nothing.
            Encoding::Deflate => {
                self.inflate(payload, &room)?;
            }
            Encoding::Gzip => {
                let mut rest = payload;
                loop {
                    rest = self.member(rest, &mut room)?;
                    if rest.is_empty() {
                        break;
                    }
                }
            }
        }
        Ok(&self.plain)
    }

    /// One member; what is behind it.
    fn member<'a>(&mut self, payload: &'a [u8], room: &mut Room) -> Result<&'a [u8], DecodeFault> {
        let data = gzip::skip_header(payload)?;
        let start = self.plain.len();
        let taken_len = self.inflate(data, room)?;
        let plain = self.plain.get(start..).unwrap_or_default();
        gzip::check_trailer(data.get(taken_len..).unwrap_or_default(), plain)
    }

    /// Appends what `data` holds; how much of it that took.
    fn inflate(&mut self, data: &[u8], room: &Room) -> Result<usize, DecodeFault> {
        let state = self.state.get_or_insert_with(|| Decompress::new(false));
        state.reset(false);
        loop {
            let taken_len = usize::try_from(state.total_in()).unwrap_or(usize::MAX);
            let rest = data.get(taken_len..).unwrap_or_default();
            let before_len = self.plain.len();
            // Grows by what came out, never by what is announced, and to one octet more than it may.
            let free_len = self.plain.capacity() - before_len;
            if free_len == 0 {
                let more_len = before_len.max(4 * data.len()).clamp(1024, 1 << 20);
                self.plain.reserve_exact(more_len.min(room.max + 1 - before_len.min(room.max)));
            }
            let status = state.decompress_vec(rest, &mut self.plain, FlushDecompress::None);
            room.check(self.plain.len())?;
            let is_stuck = self.plain.len() == before_len && state.total_in() == taken_len as u64;
            match status {
                Ok(Status::StreamEnd) => return Ok(usize::try_from(state.total_in()).unwrap_or(usize::MAX)),
                Ok(Status::Ok | Status::BufError) if !is_stuck || self.plain.len() == self.plain.capacity() => {}
                Ok(Status::Ok | Status::BufError) => return Err(DecodeFault::Truncated),
                Err(_) => return Err(DecodeFault::Corrupt("DEFLATE data")),
            }
        }
    }

    /// What came out last.
    #[must_use]
    pub fn last(&self) -> &[u8] {
        #[cfg(feature = "libdeflate")]
        if !self.whole.last().is_empty() {
            return self.whole.last();
        }
        &self.plain
    }

    /// Gives back memory that a large packet took.
    pub fn release(&mut self) {
        *self = Self::default();
    }
}

/// How much may come out.
struct Room {
    payload_len: usize,
    max: usize,
    limit: &'static str,
}

impl Room {
    fn new(payload_len: usize, caps: Caps) -> Self {
        let by_ratio = payload_len.saturating_mul(caps.ratio_max).max(RATIO_FREE_LEN);
        let (max, limit) =
            if by_ratio < caps.len_max { (by_ratio, "ratio_max") } else { (caps.len_max, "packet_len_max") };
        Self { payload_len, max, limit }
    }

    const fn check(&self, len: usize) -> Result<(), DecodeFault> {
        if len > self.max {
            return Err(DecodeFault::TooLong { payload_len: self.payload_len, max: self.max, limit: self.limit });
        }
        Ok(())
    }
}
