//! Session frames that were sent and may have to be sent again.

use bytes::{Buf, Bytes};
use std::collections::VecDeque;

/// What was sent beyond the peer's last known position.
//= SMRP-R2
#[derive(Debug, Default)]
pub(crate) struct Replay {
    chunks: VecDeque<Bytes>,
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
        self.begin = self.end;
    }

    pub(crate) fn keeps(&self) -> bool {
        self.keeps
    }

    /// Octets kept.
    pub(crate) fn len(&self) -> u64 {
        self.end - self.begin
    }

    pub(crate) fn sent(&mut self, chunk: &Bytes) {
        self.end += chunk.len() as u64;
        if self.keeps {
            self.chunks.push_back(chunk.clone());
        } else {
            self.begin = self.end;
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
    pub(crate) fn kept(&self) -> impl Iterator<Item = Bytes> + '_ {
        self.chunks.iter().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_acknowledged_is_dropped_wherever_it_ends() {
        //= SMRP-R2, SMRP-R3
        let mut replay = Replay::new(true);
        for piece in ["abc", "defg", "h"] {
            replay.sent(&Bytes::from_static(piece.as_bytes()));
        }
        let kept = |replay: &Replay| replay.kept().flatten().collect::<Vec<u8>>();
        assert!(replay.acknowledged(4));
        assert_eq!((kept(&replay), replay.len()), (b"efgh".to_vec(), 4));
        assert!(!replay.acknowledged(3), "before one already told");
        assert!(!replay.acknowledged(9), "beyond what was sent");
        assert!(replay.acknowledged(8));
        assert_eq!(kept(&replay), b"");
        replay.sent(&Bytes::from_static(b"xyz"));
        replay.stop_keeping();
        replay.sent(&Bytes::from_static(b"more"));
        assert_eq!((replay.len(), replay.end), (0, 15));
    }
}
