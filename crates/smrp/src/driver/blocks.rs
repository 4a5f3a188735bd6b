//! Memory for bulk: blocks of a thread that go round.
//!
//! Bulk takes memory in large pieces and lets go of it a moment later. An allocator returns such pieces to the system and asks for them again, and the
//! system clears every page of them anew, which costs more than copying the octets. So the blocks stay here, and are written again once nobody holds a part
//! of them any more. There is one store for all sessions of a thread: an idle session holds none.

use bytes::{Bytes, BytesMut};
use std::cell::RefCell;
use std::collections::VecDeque;

/// Octets of a block.
pub(super) const BLOCK_LEN: usize = 128 << 10;
/// Blocks that a thread keeps beside the open one.
const BLOCKS_MAX: usize = 32;
/// Blocks that are looked at before there is a new one: whoever holds parts of the oldest may hold them for long.
const TRIES: usize = 4;

/// The blocks of a thread.
#[derive(Default)]
struct Blocks {
    /// Where octets go next, as far as there is room.
    open: Option<BytesMut>,
    /// Written, oldest first.
    written: VecDeque<BytesMut>,
}

thread_local! {
    static BLOCKS: RefCell<Blocks> = RefCell::default();
}

impl Blocks {
    fn take(&mut self, room: usize) -> BytesMut {
        match self.open.take() {
            Some(open) if open.capacity() >= room => return open,
            Some(open) => self.keep(open),
            None => {}
        }
        for _ in 0..TRIES.min(self.written.len()) {
            let Some(mut block) = self.written.pop_front() else { break };
            if block.try_reclaim(room) {
                return block;
            }
            self.written.push_back(block);
        }
        BytesMut::with_capacity(BLOCK_LEN)
    }

    /// Those that somebody holds parts of for long make way for others.
    fn keep(&mut self, block: BytesMut) {
        if self.written.len() == BLOCKS_MAX {
            self.written.pop_front();
        }
        self.written.push_back(block);
    }

    fn put(&mut self, block: BytesMut) {
        let has_more = self.open.as_ref().is_none_or(|open| block.capacity() > open.capacity());
        let other = if has_more { self.open.replace(block) } else { Some(block) };
        if let Some(other) = other {
            self.keep(other);
        }
    }
}

/// An empty buffer with room for `room` octets, a block at most.
pub(super) fn take(room: usize) -> BytesMut {
    BLOCKS.with_borrow_mut(|blocks| blocks.take(room))
}

/// Gives a buffer back that [`take`] gave. What was split off it is not touched until all of that is dropped.
pub(super) fn put(mut block: BytesMut) {
    block.clear();
    BLOCKS.with_borrow_mut(|blocks| blocks.put(block));
}

/// A copy of these octets, a block at most.
pub(super) fn copy(octets: &[u8]) -> Bytes {
    let mut block = take(octets.len());
    block.extend_from_slice(octets);
    let copied = block.split().freeze();
    put(block);
    copied
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_go_where_there_is_room_and_a_block_serves_again_once_nobody_holds_a_part() {
        let first = copy(&[1; 100 << 10]);
        let second = copy(&[2; 28 << 10]);
        assert_eq!(second.as_ptr() as usize - first.as_ptr() as usize, 100 << 10, "the rest of the same block");
        let third = copy(&[3; 1]);
        let block = first.as_ptr();
        drop(first);
        assert_ne!(copy(&[4; BLOCK_LEN]).as_ptr(), block, "half of it is held");
        drop((second, third));
        let again: Vec<Bytes> = (0..3).map(|_| copy(&[5; BLOCK_LEN])).collect();
        assert!(again.iter().any(|piece| piece.as_ptr() == block), "nobody holds it");
        assert!(again.iter().all(|piece| piece[..] == [5; BLOCK_LEN]));
    }

    #[test]
    fn parts_that_are_held_for_long_hold_little_beside_them_and_a_thread_keeps_few_blocks() {
        let held: Vec<Bytes> = (0..4_000).map(|_| copy(&[7; 5_000])).collect();
        let mut blocks: Vec<usize> = held.iter().map(|piece| piece.as_ptr() as usize).collect();
        blocks.sort_unstable();
        let apart = blocks.windows(2).filter(|pair| pair[1] - pair[0] != 5_000).count();
        assert!(apart <= held.len() * 5_000 / (BLOCK_LEN - 5_000) + 1, "{apart} blocks");
        BLOCKS.with_borrow(|blocks| assert_eq!(blocks.written.len(), BLOCKS_MAX));
    }
}
