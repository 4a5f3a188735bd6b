//! What goes to the carrier: small frames joined, large data by reference.

use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;

/// Data from this length on goes by reference.
const BY_REFERENCE_MIN: usize = 2_048;
/// Memory for small frames: at first for a few, then for many.
const FIRST_CAPACITY: usize = 960;
const TAIL_CAPACITY: usize = 16 << 10;

/// The driver's buffer: pieces in the order in which they go out.
pub struct Transmit {
    chunks: VecDeque<Bytes>,
    tail: BytesMut,
    len: usize,
    len_max: usize,
}

/// Not the octets: a token may be among them.
//= SMRP-A8
impl core::fmt::Debug for Transmit {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Transmit").field("len", &self.len).field("len_max", &self.len_max).finish_non_exhaustive()
    }
}

impl Transmit {
    /// With room for `len_max` octets before the session stops adding to it; one frame more may pass that.
    #[must_use]
    pub fn new(len_max: usize) -> Self {
        Self { chunks: VecDeque::new(), tail: BytesMut::new(), len: 0, len_max }
    }

    /// Octets that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True where nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pieces, oldest first.
    pub fn chunks(&self) -> impl ExactSizeIterator<Item = &Bytes> {
        self.chunks.iter()
    }

    /// The piece, where there is just one.
    #[cfg(feature = "tokio")]
    pub(crate) fn only_chunk(&self) -> Option<&Bytes> {
        if self.chunks.len() == 1 { self.chunks.front() } else { None }
    }

    /// `len` octets were written.
    pub fn advance(&mut self, len: usize) {
        let mut left = len.min(self.len);
        self.len -= left;
        while left > 0 {
            let Some(front) = self.chunks.front_mut() else { break };
            if front.len() <= left {
                left -= front.len();
                self.chunks.pop_front();
            } else {
                bytes::Buf::advance(front, left);
                break;
            }
        }
    }

    /// Gives memory back where nothing waits.
    pub fn shrink(&mut self) {
        if self.len == 0 {
            self.chunks = VecDeque::new();
            self.tail = BytesMut::new();
        }
    }

    /// Everything that waits, joined.
    pub fn take(&mut self) -> Bytes {
        let mut all = BytesMut::with_capacity(self.len);
        self.chunks.drain(..).for_each(|chunk| all.extend_from_slice(&chunk));
        self.len = 0;
        all.freeze()
    }

    pub(crate) fn room(&self) -> usize {
        self.len_max.saturating_sub(self.len + self.tail.len())
    }

    /// Where small frames are written.
    pub(crate) fn tail(&mut self) -> &mut BytesMut {
        if self.tail.capacity() - self.tail.len() < 64 {
            let is_first = self.len + self.tail.len() == 0;
            self.tail.reserve(if is_first { FIRST_CAPACITY } else { TAIL_CAPACITY });
        }
        &mut self.tail
    }

    pub(crate) fn put_data(&mut self, data: Bytes) {
        if data.len() < BY_REFERENCE_MIN {
            self.tail.extend_from_slice(&data);
        } else {
            self.seal();
            self.len += data.len();
            self.chunks.push_back(data);
        }
    }

    pub(crate) fn put_chunk(&mut self, chunk: Bytes) {
        self.seal();
        self.len += chunk.len();
        self.chunks.push_back(chunk);
    }

    /// What is written so far becomes pieces. Says how many there are.
    pub(crate) fn seal(&mut self) -> usize {
        if !self.tail.is_empty() {
            let chunk = self.tail.split().freeze();
            self.len += chunk.len();
            self.chunks.push_back(chunk);
        }
        self.chunks.len()
    }

    /// The pieces behind the first `count`.
    pub(crate) fn since(&self, count: usize) -> impl Iterator<Item = &Bytes> {
        self.chunks.iter().skip(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_advanced_over_wherever_a_write_ends() {
        let mut transmit = Transmit::new(100);
        transmit.tail().extend_from_slice(b"head");
        transmit.put_data(Bytes::from(vec![7; 5_000]));
        transmit.put_data(Bytes::from_static(b"small"));
        transmit.seal();
        assert_eq!((transmit.len(), transmit.chunks().len(), transmit.room()), (5_009, 3, 0));
        transmit.advance(6);
        assert_eq!(transmit.chunks().next().unwrap().len(), 4_998);
        transmit.advance(4_998);
        assert_eq!(transmit.take(), &b"small"[..]);
        assert!(transmit.is_empty());
    }
}
