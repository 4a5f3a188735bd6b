//! Packets that came and are not read.

use crate::{Encoding, End};
use bytes::Bytes;
use core::ops::RangeInclusive;
use std::collections::VecDeque;

#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) payload: Bytes,
    pub(crate) encoding: Encoding,
    pub(crate) end: Option<End>,
}

impl Stored {
    /// True where a packet with the same number says something else.
    pub(crate) fn differs(&self, other: &Self) -> bool {
        self.payload != other.payload || self.encoding != other.encoding || self.end != other.end
    }
}

/// Packets by number, from the next to be read on. Bounded by whoever inserts.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// The number of the first slot: the next to be read.
    first: u64,
    slots: VecDeque<Option<Stored>>,
    /// Packets without a hole from the first slot on.
    contiguous_count: u64,
    /// Octets of payload in all slots.
    len: usize,
}

impl Window {
    /// The next to be read.
    pub(crate) const fn first(&self) -> u64 {
        self.first
    }

    /// The first that is missing.
    pub(crate) const fn first_missing(&self) -> u64 {
        self.first + self.contiguous_count
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// True where what is next is there.
    pub(crate) const fn has_next(&self) -> bool {
        self.contiguous_count > 0
    }

    fn slot(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.first)?).ok()
    }

    pub(crate) fn get(&self, number: u64) -> Option<&Stored> {
        self.slots.get(self.slot(number)?)?.as_ref()
    }

    /// Puts a packet where none is. The number is not below the first.
    pub(crate) fn insert(&mut self, number: u64, stored: Stored) {
        let Some(at) = self.slot(number) else { return };
        if self.slots.len() <= at {
            self.slots.resize_with(at + 1, || None);
        }
        let Some(slot) = self.slots.get_mut(at) else { return };
        self.len += stored.payload.len();
        *slot = Some(stored);
        let known = usize::try_from(self.contiguous_count).unwrap_or(usize::MAX);
        let more = self.slots.iter().skip(known).take_while(|slot| slot.is_some()).count();
        self.contiguous_count += more as u64;
    }

    /// Takes what is next.
    pub(crate) fn take(&mut self) -> Option<Stored> {
        let stored = self.slots.front_mut()?.take()?;
        self.slots.pop_front();
        self.first += 1;
        self.contiguous_count -= 1;
        self.len -= stored.payload.len();
        Some(stored)
    }

    pub(crate) fn clear(&mut self) {
        self.slots = VecDeque::new();
        self.contiguous_count = 0;
        self.len = 0;
    }

    /// Numbers that are missing below the farthest that came, and the one behind it, as `max` ranges at most. Where the last
    /// packet came nothing behind it is missing.
    //= SSP-R8
    pub(crate) fn missing(&self, max: usize) -> Vec<RangeInclusive<u64>> {
        let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
        let last_at = self.slots.iter().position(|slot| slot.as_ref().is_some_and(|stored| stored.end.is_some()));
        let ends_at = last_at.unwrap_or(self.slots.len());
        let holes = self.slots.iter().take(ends_at).enumerate().filter(|(_, slot)| slot.is_none()).map(|(at, _)| at);
        let behind = last_at.is_none().then_some(self.slots.len());
        for at in holes.chain(behind) {
            let number = self.first + at as u64;
            let count = ranges.len();
            match ranges.last_mut() {
                Some(range) if *range.end() + 1 == number => *range = *range.start()..=number,
                _ if count == max => break,
                _ => ranges.push(number..=number),
            }
        }
        ranges
    }
}
