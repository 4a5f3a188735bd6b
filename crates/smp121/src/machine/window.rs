//! Things kept by connection number.

use std::collections::VecDeque;

/// Connection numbers wrap at 2^32. Inside, they are counted on in 64 bits from here, so that they compare as numbers do.
const EPOCH: u64 = 1 << 32;

/// The place of a connection number that nothing is near to.
pub(super) const fn place(number: u32) -> u64 {
    EPOCH + number as u64
}

/// The place of a connection number that is nearest to `near`.
//= SMP121-O15
pub(super) fn place_near(number: u32, near: u64) -> u64 {
    near.wrapping_add_signed(i64::from(number.wrapping_sub(number_at(near)).cast_signed()))
}

/// The connection number of a place.
pub(super) fn number_at(place: u64) -> u32 {
    u32::try_from(place & 0xffff_ffff).unwrap_or(0)
}

/// Things at consecutive places. Those in front go as they are done; the first place that is kept never goes back.
#[derive(Debug)]
pub(super) struct Window<T> {
    front: u64,
    slots: VecDeque<Option<T>>,
}

impl<T> Window<T> {
    pub(super) const fn new(front: u64) -> Self {
        Self { front, slots: VecDeque::new() }
    }

    /// The first place that may hold anything.
    pub(super) const fn front(&self) -> u64 {
        self.front
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    fn index(&self, place: u64) -> Option<usize> {
        usize::try_from(place.checked_sub(self.front)?).ok()
    }

    pub(super) fn get_mut(&mut self, place: u64) -> Option<&mut T> {
        let index = self.index(place)?;
        self.slots.get_mut(index)?.as_mut()
    }

    pub(super) fn get(&self, place: u64) -> Option<&T> {
        let index = self.index(place)?;
        self.slots.get(index)?.as_ref()
    }

    /// Puts a thing at a free place. Callers keep places within a bounded distance from the front.
    pub(super) fn insert(&mut self, place: u64, thing: T) -> Option<&mut T> {
        if self.slots.is_empty() {
            self.front = place.max(self.front);
        }
        while place < self.front {
            self.slots.push_front(None);
            self.front -= 1;
        }
        let index = self.index(place)?;
        while self.slots.len() <= index {
            self.slots.push_back(None);
        }
        let slot = self.slots.get_mut(index)?;
        *slot = Some(thing);
        slot.as_mut()
    }

    /// Takes a thing out, and forgets the empty places at both ends.
    pub(super) fn remove(&mut self, place: u64) -> Option<T> {
        let index = self.index(place)?;
        let thing = self.slots.get_mut(index)?.take()?;
        while matches!(self.slots.front(), Some(None)) {
            self.slots.pop_front();
            self.front += 1;
        }
        while matches!(self.slots.back(), Some(None)) {
            self.slots.pop_back();
        }
        Some(thing)
    }

    /// The first thing there is.
    pub(super) fn first(&self) -> Option<(u64, &T)> {
        Some((self.front, self.slots.front()?.as_ref()?))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        (self.front..).zip(&self.slots).filter_map(|(place, slot)| Some((place, slot.as_ref()?)))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u64, &mut T)> {
        (self.front..).zip(&mut self.slots).filter_map(|(place, slot)| Some((place, slot.as_mut()?)))
    }

    /// Takes everything out, in order.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (u64, T)> + use<T> {
        let slots = core::mem::take(&mut self.slots);
        let places = self.front..;
        self.front += u64::try_from(slots.len()).unwrap_or(0);
        places.zip(slots).filter_map(|(place, slot)| Some((place, slot?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_across_both_wraps() {
        for near in [0x7fff_fffe_u32, 0xffff_fffe] {
            let near = place(near);
            for step in 0..5u64 {
                assert_eq!(place_near(number_at(near + step), near), near + step);
                assert_eq!(place_near(number_at(near - step), near), near - step);
            }
        }
    }

    #[test]
    fn the_front_goes_on_only_past_what_is_done() {
        let mut window = Window::new(place(7));
        window.insert(place(7), 'a');
        window.insert(place(9), 'c');
        window.insert(place(8), 'b');
        assert_eq!(window.remove(place(8)), Some('b'));
        assert_eq!((window.front(), window.get(place(9))), (place(7), Some(&'c')));
        assert_eq!(window.remove(place(7)), Some('a'));
        assert_eq!(window.front(), place(9));
        assert_eq!(window.remove(place(7)), None);
        assert_eq!(window.drain().collect::<Vec<_>>(), [(place(9), 'c')]);
        assert!(window.is_empty());
    }

    #[test]
    fn a_place_before_the_front_can_still_be_taken() {
        let mut window = Window::new(place(0));
        window.insert(place(9), 'c');
        window.insert(place(7), 'a');
        assert_eq!(
            window.iter().map(|(place, thing)| (number_at(place), *thing)).collect::<Vec<_>>(),
            [(7, 'a'), (9, 'c')]
        );
    }
}
