//! All streams of a session, and how many there may be.

use super::stream::Stream;
use crate::{Direction, INDEX_MAX, Role, StreamId};
use core::hash::{BuildHasherDefault, Hasher};
use std::collections::HashMap;
use std::collections::VecDeque;

/// Ids are small, rise, and are bounded in number: mixing them once is enough.
#[derive(Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    }
}

type Map = HashMap<StreamId, Box<Stream>, BuildHasherDefault<IdHasher>>;

/// What is counted for the streams of one opener in one direction.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Class {
    /// The index of the next stream.
    pub(crate) next: u64,
    /// Streams that may be opened.
    pub(crate) max: u64,
    /// Of the peer's: how many are over.
    pub(crate) over: u64,
    /// Of the peer's: how many at once.
    pub(crate) at_once: u64,
}

#[derive(Debug)]
pub(crate) struct Table {
    map: Map,
    ours: [Class; 2],
    theirs: [Class; 2],
    role: Role,
    /// Our streams whose OPEN was not written, oldest first.
    pub(crate) unopened: [VecDeque<StreamId>; 2],
    /// The application waits for a stream to be allowed.
    pub(crate) wants_open: [bool; 2],
}

/// What becomes of the id of a stream that the peer opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Fresh,
    /// Not above the last one.
    Old,
    /// Above the limit.
    TooMany,
}

const fn slot(direction: Direction) -> usize {
    direction.class() as usize
}

impl Table {
    pub(crate) fn new(role: Role, floor: u64, bidi: u64, uni: u64) -> Self {
        let ours = Class { max: floor, ..Class::default() };
        let theirs = |at_once| Class { max: at_once, at_once, ..Class::default() };
        Self {
            map: Map::default(),
            ours: [ours; 2],
            theirs: [theirs(bidi), theirs(uni)],
            role,
            unopened: [VecDeque::new(), VecDeque::new()],
            wants_open: [false; 2],
        }
    }

    pub(crate) fn get(&self, id: StreamId) -> Option<&Stream> {
        self.map.get(&id).map(Box::as_ref)
    }

    pub(crate) fn get_mut(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.map.get_mut(&id).map(Box::as_mut)
    }

    pub(crate) fn insert(&mut self, stream: Stream) {
        self.map.insert(stream.id, Box::new(stream));
    }

    pub(crate) fn ids(&self) -> Vec<StreamId> {
        let mut ids: Vec<StreamId> = self.map.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Stream> {
        self.map.values().map(Box::as_ref)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.map.values_mut().map(Box::as_mut)
    }

    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    fn class_of(&self, id: StreamId) -> Option<&Class> {
        let classes = if id.opener() == self.role { &self.ours } else { &self.theirs };
        classes.get(slot(id.direction()))
    }

    /// The id was used, or passed over.
    pub(crate) fn was_opened(&self, id: StreamId) -> bool {
        self.class_of(id).is_some_and(|class| id.index() < class.next)
    }

    /// Our next stream in this direction; `Err(true)` where ids are used up, `Err(false)` where the peer allows no more.
    pub(crate) fn next_of_ours(&mut self, direction: Direction) -> Result<StreamId, bool> {
        let role = self.role;
        let Some(class) = self.ours.get_mut(slot(direction)) else { return Err(false) };
        if class.next > INDEX_MAX {
            return Err(true);
        }
        if class.next >= class.max {
            if let Some(wants) = self.wants_open.get_mut(slot(direction)) {
                *wants = true;
            }
            return Err(false);
        }
        let id = StreamId::of(role, direction, class.next);
        class.next += 1;
        if let Some(list) = self.unopened.get_mut(slot(direction)) {
            list.push_back(id);
        }
        Ok(id)
    }

    /// True where the application waited for this.
    //= SMRP-C8
    pub(crate) fn allow_ours(&mut self, direction: Direction, max: u64) -> bool {
        let at = slot(direction);
        let (Some(class), Some(wants)) = (self.ours.get_mut(at), self.wants_open.get_mut(at)) else { return false };
        if max <= class.max {
            return false;
        }
        class.max = max;
        core::mem::take(wants)
    }

    pub(crate) fn max_of_ours(&self, direction: Direction) -> u64 {
        self.ours.get(slot(direction)).map_or(0, |class| class.max)
    }

    //= SMRP-ST1, SMRP-ST2, SMRP-ST3
    pub(crate) fn admit(&mut self, id: StreamId) -> Admission {
        let Some(class) = self.theirs.get_mut(slot(id.direction())) else { return Admission::Old };
        if id.index() < class.next {
            return Admission::Old;
        }
        if id.index() >= class.max {
            return Admission::TooMany;
        }
        // Passed over, never used: they are over.
        class.over += id.index() - class.next;
        class.next = id.index() + 1;
        Admission::Fresh
    }

    /// Forgets a stream; a limit to tell the peer where it is time.
    //= SMRP-ST4
    pub(crate) fn remove(&mut self, id: StreamId) -> Option<(Direction, u64)> {
        self.map.remove(&id)?;
        if self.map.is_empty() && self.map.capacity() > 64 {
            self.map = Map::default();
        }
        if id.opener() == self.role {
            return None;
        }
        let class = self.theirs.get_mut(slot(id.direction()))?;
        class.over += 1;
        // There are no more ids than these.
        let max = class.over.saturating_add(class.at_once).min(INDEX_MAX + 1);
        if max - class.max < class.at_once.div_ceil(2) {
            return None;
        }
        class.max = max;
        Some((id.direction(), max))
    }

    /// One more than the highest index that the peer has opened.
    pub(crate) fn count_of_theirs(&self, direction: Direction) -> u64 {
        self.theirs.get(slot(direction)).map_or(0, |class| class.next)
    }
}
