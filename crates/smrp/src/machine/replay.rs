//! Session frames that were sent and may have to be sent again.

use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;

/// What was sent at once and is shorter than this is copied: by reference it would hold all the memory that it was written to.
const COPIED_LEN_MAX: usize = 4 << 10;
/// Where copies are sealed.
const JOINED_LEN_MAX: usize = 16 << 10;

/// What was sent beyond the peer's last known position.
//= SMRP-R2
#[derive(Debug, Default)]
pub(crate) struct Replay {
    chunks: VecDeque<Bytes>,
    /// Copies, behind `chunks`.
    joined: BytesMut,
    /// The position of the first octet kept.
    begin: u64,
    /// The position behind the last octet sent.
    end: u64,
    /// False where the peer does not resume: then only positions are kept.
    keeps: bool,
}

impl Replay {
    pub(crate) fn new(keeps: bool) -> Self {
        Self { keeps, ..Self::default() }
    }

    pub(crate) fn stop_keeping(&mut self) {
        self.keeps = false;
        self.chunks = VecDeque::new();
        self.joined = BytesMut::new();
        self.begin = self.end;
    }

    pub(crate) fn keeps(&self) -> bool {
        self.keeps
    }

    /// Octets kept.
    pub(crate) fn len(&self) -> u64 {
        self.end - self.begin
    }

    /// `len` octets in these pieces were sent at once.
    //= SMRP-X9
    pub(crate) fn sent<'a>(&mut self, len: usize, chunks: impl Iterator<Item = &'a Bytes>) {
        self.end += len as u64;
        if !self.keeps {
            self.begin = self.end;
        } else if len < COPIED_LEN_MAX {
            if self.joined.len() + len > JOINED_LEN_MAX {
                self.seal();
            }
            chunks.for_each(|chunk| self.joined.extend_from_slice(chunk));
        } else {
            self.seal();
            self.chunks.extend(chunks.cloned());
        }
    }

    fn seal(&mut self) {
        if !self.joined.is_empty() {
            self.chunks.push_back(core::mem::take(&mut self.joined).freeze());
        }
    }

    /// The peer has everything before `position`. False where that cannot be.
    //= SMRP-R3
    pub(crate) fn acknowledged(&mut self, position: u64) -> bool {
        if position < self.begin || position > self.end {
            return false;
        }
        let mut drop_len = position - self.begin;
        self.begin = position;
        while drop_len > 0 {
            if self.chunks.is_empty() {
                self.seal();
            }
            let Some(front) = self.chunks.front_mut() else { break };
            let len = front.len() as u64;
            if len <= drop_len {
                drop_len -= len;
                self.chunks.pop_front();
            } else {
                front.advance(usize::try_from(drop_len).unwrap_or(usize::MAX));
                break;
            }
        }
        if self.chunks.is_empty() && self.chunks.capacity() > 64 {
            self.chunks = VecDeque::new();
        }
        true
    }

    /// What has to be sent again.
    pub(crate) fn kept(&mut self) -> impl Iterator<Item = Bytes> + '_ {
        self.seal();
        self.chunks.iter().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(replay: &mut Replay, piece: &[u8]) {
        let (head, tail) = piece.split_at(piece.len() / 2);
        let pieces = [Bytes::copy_from_slice(head), Bytes::copy_from_slice(tail)];
        replay.sent(piece.len(), pieces.iter());
    }

    #[test]
    fn what_is_acknowledged_is_dropped_wherever_it_ends() {
        //= SMRP-R2, SMRP-R3
        let mut replay = Replay::new(true);
        let large = vec![b'x'; COPIED_LEN_MAX];
        for piece in [&b"abc"[..], b"defg", b"h"] {
            sent(&mut replay, piece);
        }
        let kept = |replay: &mut Replay| replay.kept().flatten().collect::<Vec<u8>>();
        assert!(replay.acknowledged(4));
        assert_eq!((kept(&mut replay), replay.len()), (b"efgh".to_vec(), 4));
        assert!(!replay.acknowledged(3), "before one already told");
        assert!(!replay.acknowledged(9), "beyond what was sent");
        assert!(replay.acknowledged(8));
        assert_eq!(kept(&mut replay), b"");
        for piece in [&b"ijk"[..], &large, b"l", &large] {
            sent(&mut replay, piece);
        }
        assert!(replay.acknowledged(10));
        assert_eq!(kept(&mut replay), [b"k", &large[..], b"l", &large].concat());
        assert!(replay.acknowledged(8 + 3 + 4_096 + 1 + 4_095));
        assert_eq!(kept(&mut replay), b"x");
        sent(&mut replay, b"xyz");
        replay.stop_keeping();
        sent(&mut replay, b"more");
        assert_eq!((replay.len(), replay.end), (0, 8 + 4 + 2 * 4_096 + 3 + 4));
    }
}
