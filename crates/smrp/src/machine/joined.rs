//! Messages that came, one behind the other: short ones share memory.

use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;

/// Memory that short messages share.
const SHARED_LEN: usize = 4 << 10;
/// A message above this has memory of its own.
const SHORT_LEN_MAX: usize = SHARED_LEN / 4;

/// Messages in order. Short ones are cut out of shared memory when they are taken, so one that is kept for long holds at most
/// 4 KiB; none costs an allocation of its own. Empty it holds no memory.
#[derive(Debug, Default)]
pub struct Messages {
    chunks: VecDeque<Chunk>,
    tail: BytesMut,
    tail_count: u32,
    /// The length of each message in `chunks` and `tail`.
    lens: VecDeque<u32>,
}

/// Messages without gaps between them.
#[derive(Debug)]
struct Chunk {
    octets: Bytes,
    count: u32,
}

impl Messages {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lens.len()
    }

    /// True where there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lens.is_empty()
    }

    /// Takes the oldest one.
    pub fn pop(&mut self) -> Option<Bytes> {
        let len = self.lens.pop_front()?;
        if self.chunks.is_empty() {
            self.seal();
        }
        let front = self.chunks.front_mut()?;
        front.count -= 1;
        if front.count > 0 {
            return Some(front.octets.split_to(len as usize));
        }
        let message = self.chunks.pop_front()?.octets;
        if self.lens.is_empty() {
            *self = Self::default();
        }
        Some(message)
    }

    /// Appends a message by reference. One of 4 GiB and more cannot come: the highest `max_message` is 4 GiB.
    pub(crate) fn push(&mut self, message: Bytes) {
        self.seal();
        self.lens.push_back(u32::try_from(message.len()).unwrap_or(u32::MAX));
        self.chunks.push_back(Chunk { octets: message, count: 1 });
    }

    /// Appends a copy. Of what is to follow, `ahead` octets are known: memory for them is asked for at once.
    //= SMRP-X9
    pub(crate) fn push_slice(&mut self, message: &[u8], ahead: usize) {
        if message.len() > SHORT_LEN_MAX {
            return self.push(Bytes::copy_from_slice(message));
        }
        if self.tail.len() + message.len() > SHARED_LEN {
            self.seal();
        }
        if self.tail.capacity() == 0 {
            self.tail.reserve((message.len() + ahead).min(SHARED_LEN));
        }
        self.tail.extend_from_slice(message);
        self.tail_count += 1;
        self.lens.push_back(u32::try_from(message.len()).unwrap_or(u32::MAX));
    }

    fn seal(&mut self) {
        if self.tail_count > 0 {
            let octets = core::mem::take(&mut self.tail).freeze();
            self.chunks.push_back(Chunk { octets, count: core::mem::take(&mut self.tail_count) });
        }
    }

    /// Moves messages to `other` until these come to `len_max` octets, each as 64 at least. Memory that is shared moves as one, so they may be
    /// 4 KiB more. Says how many they are and how many octets they have.
    pub(crate) fn move_to(&mut self, other: &mut Self, len_max: usize) -> (u64, u64) {
        self.seal();
        let (mut messages, mut octets, mut weight) = (0, 0, 0);
        while weight < len_max
            && let Some(chunk) = self.chunks.pop_front()
        {
            messages += u64::from(chunk.count);
            octets += chunk.octets.len() as u64;
            weight += chunk.octets.len().max(64 * chunk.count as usize);
            other.lens.extend(self.lens.drain(..chunk.count as usize));
            other.chunks.push_back(chunk);
        }
        if self.lens.is_empty() {
            *self = Self::default();
        }
        (messages, octets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::Rng;

    #[test]
    fn messages_come_out_as_they_went_in_however_they_are_moved() {
        //= SMRP-X9
        let mut rng = Rng::new(11);
        let (mut first, mut second, mut model) = (Messages::default(), Messages::default(), VecDeque::new());
        let mut taken = 0;
        for step in 0..20_000_u32 {
            let len = usize::try_from(if rng.below(9) == 0 { rng.below(3_000) } else { rng.below(100) }).unwrap();
            let message = vec![step.to_le_bytes()[0]; len];
            match rng.below(4) {
                0 => first.push(Bytes::from(message.clone())),
                1 => first.push_slice(&message, 500),
                2 => {
                    // The other end takes from what was moved first.
                    let mut left = rng.below(20);
                    while left > 0
                        && let Some(message) = second.pop()
                    {
                        assert_eq!(Some(message), model.pop_front());
                        (left, taken) = (left - 1, taken + 1);
                    }
                    continue;
                }
                _ => {
                    let (before, len) = (second.len() + first.len(), first.len());
                    let (count, _) = first.move_to(&mut second, usize::try_from(rng.below(5_000)).unwrap());
                    assert_eq!(second.len() + first.len(), before);
                    assert_eq!(first.len() as u64 + count, len as u64);
                    continue;
                }
            }
            model.push_back(Bytes::from(message));
        }
        while let Some(message) = second.pop().or_else(|| first.pop()) {
            assert_eq!(Some(message), model.pop_front());
        }
        assert!(model.is_empty() && first.is_empty() && second.is_empty() && taken > 5_000);
    }

    #[test]
    fn what_is_moved_is_bounded_and_so_is_what_one_message_holds() {
        //= SMRP-X9
        let (mut from, mut to) = (Messages::default(), Messages::default());
        (0..1_000).for_each(|_| from.push_slice(&[7; 10], 10_000));
        let (count, octets) = from.move_to(&mut to, 16 << 10);
        // A shared piece holds 409 of these, which weigh 64 each.
        assert_eq!((count, octets), (409, 4_090));
        let empty = Messages::default();
        assert_eq!((empty.tail.capacity(), empty.lens.capacity()), (0, 0));
        (0..4_000).for_each(|_| from.push_slice(&[], 10_000));
        let (count, octets) = from.move_to(&mut Messages::default(), usize::MAX);
        assert_eq!((count, octets), (4_591, 5_910));
        assert_eq!(from.lens.capacity(), 0);
    }
}
