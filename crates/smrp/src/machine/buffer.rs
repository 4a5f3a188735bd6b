//! Octets in order: large pieces by reference, small ones joined.

use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;

/// Where joined pieces are sealed.
const JOINED_LEN_MAX: usize = 16 << 10;

/// A queue of octets. Empty it holds no memory of its own.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    chunks: VecDeque<Bytes>,
    tail: BytesMut,
    len: usize,
}

impl Buffer {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a piece by reference.
    pub(crate) fn push(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        self.seal();
        self.len += piece.len();
        self.chunks.push_back(piece);
    }

    /// Appends a copy, joined with its neighbours.
    //= SMRP-X9
    pub(crate) fn push_slice(&mut self, piece: &[u8]) {
        self.len += piece.len();
        if self.tail.len() + piece.len() > JOINED_LEN_MAX {
            self.seal();
        }
        self.tail.extend_from_slice(piece);
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push_back(core::mem::take(&mut self.tail).freeze());
        }
    }

    /// Takes a piece of at most `max` octets from the front.
    pub(crate) fn pop(&mut self, max: usize) -> Option<Bytes> {
        if self.chunks.is_empty() {
            self.seal();
        }
        let front = self.chunks.front_mut()?;
        let piece = if front.len() > max { front.split_to(max) } else { self.chunks.pop_front()? };
        self.len -= piece.len();
        if self.len == 0 {
            self.chunks = VecDeque::new();
        }
        Some(piece)
    }

    /// Copies as much as fits.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> usize {
        let mut read = 0;
        while read < into.len() {
            let Some(rest) = into.get_mut(read..) else { break };
            if self.chunks.is_empty() {
                self.seal();
            }
            let Some(front) = self.chunks.front_mut() else { break };
            let len = front.len().min(rest.len());
            if let (Some(to), Some(from)) = (rest.get_mut(..len), front.get(..len)) {
                to.copy_from_slice(from);
            }
            front.advance(len);
            if front.is_empty() {
                self.chunks.pop_front();
            }
            read += len;
        }
        self.len -= read;
        if self.len == 0 {
            self.chunks = VecDeque::new();
        }
        read
    }

    /// Everything in one piece.
    pub(crate) fn take_all(&mut self) -> Bytes {
        self.seal();
        let all = if self.chunks.len() == 1 {
            self.chunks.pop_front().unwrap_or_default()
        } else {
            let mut joined = BytesMut::with_capacity(self.len);
            self.chunks.iter().for_each(|chunk| joined.extend_from_slice(chunk));
            joined.freeze()
        };
        self.clear();
        all
    }

    /// Drops everything and says how much it was.
    pub(crate) fn clear(&mut self) -> usize {
        let len = self.len;
        *self = Self::default();
        len
    }

    /// Drops what is behind the first `keep` octets and says how much it was.
    pub(crate) fn truncate(&mut self, keep: usize) -> usize {
        if keep >= self.len {
            return 0;
        }
        let dropped = self.len - keep;
        let mut kept = Self::default();
        while kept.len < keep {
            let Some(piece) = self.pop(keep - kept.len) else { break };
            kept.push(piece);
        }
        *self = kept;
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_come_out_as_they_went_in_however_they_are_cut() {
        //= SMRP-X9
        let mut rng = testkit::Rng::new(7);
        let (mut buffer, mut model) = (Buffer::default(), VecDeque::new());
        for step in 0..5_000_u32 {
            let piece: Vec<u8> = (0..rng.below(3_000)).map(|_| step.to_le_bytes()[0]).collect();
            match rng.below(5) {
                0 => buffer.push(Bytes::from(piece.clone())),
                1 => buffer.push_slice(&piece),
                2 => {
                    let popped = buffer.pop(piece.len() + 1).unwrap_or_default();
                    assert_eq!(model.drain(..popped.len()).collect::<Vec<u8>>(), popped);
                    continue;
                }
                3 => {
                    let mut into = piece;
                    let read = buffer.read(&mut into);
                    assert_eq!(model.drain(..read).collect::<Vec<u8>>(), into[..read]);
                    continue;
                }
                _ => {
                    let keep = usize::try_from(rng.below(20_000)).unwrap();
                    let dropped = buffer.truncate(keep);
                    model.truncate(model.len() - dropped);
                    assert!(model.len() <= keep);
                    continue;
                }
            }
            model.extend(piece);
            assert_eq!(buffer.len(), model.len());
        }
        assert_eq!(buffer.take_all(), model.into_iter().collect::<Vec<u8>>());
        assert!(buffer.is_empty());
    }
}
