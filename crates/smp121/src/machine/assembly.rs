//! A message that comes in parts.

use super::num::{to_u32, to_usize};
use crate::wire::Position;
use bytes::{Bytes, BytesMut};
use std::collections::BTreeMap;

/// Octets kept before the first part says how long the message is.
const AHEAD_LEN_MAX: u32 = 64 * 1024;

/// What became of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// It was next, and more is missing.
    Next,
    /// It leaves a gap in front of it, or filled one while others are left.
    OutOfOrder,
    /// All of it was here already.
    Duplicate,
    /// The message is whole.
    Whole,
}

/// Why a part was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It says another total than an earlier one.
    //= SMP121-A4
    OtherTotal,
    /// It reaches beyond the total.
    BeyondTotal,
    /// One gap too many.
    Gaps,
    /// Too far ahead of the first part.
    Ahead,
    /// More octets than there is room for.
    Room,
}

/// What a message may take up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Octets it may grow by, charges included.
    pub(super) len: usize,
    /// Gaps.
    pub(super) gaps_max: usize,
    /// Charged for each run behind a gap.
    pub(super) overhead_len: usize,
}

/// The parts of a message so far: what is there from the start, and runs behind gaps. Grows by what came, never by what
/// was announced.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    total: Option<u32>,
    prefix: BytesMut,
    runs: BTreeMap<u32, BytesMut>,
    runs_len: usize,
    overhead_len: usize,
    /// Parts that overlapped others and had other octets.
    conflict_count: u32,
}

impl Assembly {
    /// Octets from the start without a gap: the offset to acknowledge.
    pub(super) fn contiguous_len(&self) -> u32 {
        to_u32(self.prefix.len())
    }

    /// Octets held, charges included.
    pub(super) fn charged_len(&self) -> usize {
        self.prefix.len() + self.runs_len + self.runs.len() * self.overhead_len
    }

    pub(super) fn has_gaps(&self) -> bool {
        !self.runs.is_empty()
    }

    pub(super) const fn conflict_count(&self) -> u32 {
        self.conflict_count
    }

    /// Takes a part in. Where it overlaps what is here, what is here stays.
    //= SMP121-I12, SMP121-L17
    pub(super) fn take(&mut self, position: Position, octets: &[u8], room: &Room) -> Result<Part, Refused> {
        if let Position::First { total } = position
            && *self.total.get_or_insert(total) != total
        {
            return Err(Refused::OtherTotal);
        }
        let start = position.offset();
        let end =
            u32::try_from(octets.len()).ok().and_then(|len| start.checked_add(len)).ok_or(Refused::BeyondTotal)?;
        match self.total {
            Some(total) if end > total => return Err(Refused::BeyondTotal),
            Some(total) if self.farthest().max(end) > total => return Err(Refused::OtherTotal),
            None if end > AHEAD_LEN_MAX => return Err(Refused::Ahead),
            _ => {}
        }
        if octets.len() + room.overhead_len > room.len {
            return Err(Refused::Room);
        }
        self.overhead_len = room.overhead_len;
        let before = self.contiguous_len();
        let held_len = self.prefix.len() + self.runs_len;
        if start <= before {
            self.extend_prefix(start, octets);
        } else {
            self.store(start, octets, room.gaps_max)?;
        }
        if self.total == Some(self.contiguous_len()) {
            return Ok(Part::Whole);
        }
        Ok(if self.prefix.len() + self.runs_len == held_len && !octets.is_empty() {
            Part::Duplicate
        } else if self.has_gaps() {
            Part::OutOfOrder
        } else {
            Part::Next
        })
    }

    /// The whole message, once [`take`](Self::take) said so.
    pub(super) fn into_message(self) -> Bytes {
        self.prefix.freeze()
    }

    fn farthest(&self) -> u32 {
        let run_end = self.runs.last_key_value().map_or(0, |(start, run)| end_of(*start, run));
        run_end.max(self.contiguous_len())
    }

    fn extend_prefix(&mut self, start: u32, octets: &[u8]) {
        let known_len = (self.prefix.len() - to_usize(start)).min(octets.len());
        let (known, new) = octets.split_at_checked(known_len).unwrap_or((octets, &[]));
        let here = self.prefix.get(to_usize(start)..).and_then(|here| here.get(..known_len));
        if here != Some(known) {
            self.conflict_count += 1;
        }
        self.prefix.extend_from_slice(new);
        // Runs that the prefix has reached join it; where both have octets, those that came first stay.
        while let Some(entry) = self.runs.first_entry()
            && to_usize(*entry.key()) <= self.prefix.len()
        {
            let (start, run) = entry.remove_entry();
            self.runs_len -= run.len();
            let covered_len = (self.prefix.len() - to_usize(start)).min(run.len());
            let (first, behind) = run.split_at_checked(covered_len).unwrap_or((&run, &[]));
            let later = self.prefix.get_mut(to_usize(start)..).and_then(|later| later.get_mut(..covered_len));
            if let Some(later) = later.filter(|later| **later != *first) {
                self.conflict_count += 1;
                later.copy_from_slice(first);
            }
            self.prefix.extend_from_slice(behind);
        }
    }

    /// Keeps octets that leave a gap in front of them.
    fn store(&mut self, start: u32, octets: &[u8], gaps_max: usize) -> Result<(), Refused> {
        if octets.is_empty() {
            return Ok(());
        }
        let end = start + to_u32(octets.len());
        // What is here already stays, so only what lies between runs is new.
        let mut from = start;
        let mut pieces = [None; 2];
        let before = self.runs.range(..=start).next_back().map(|(start, run)| end_of(*start, run));
        from = from.max(before.unwrap_or(0).min(end));
        let behind = self.runs.range(start + 1..end).next().map(|(start, run)| (*start, end_of(*start, run)));
        let until = behind.map_or(end, |(start, _)| start);
        if from < until {
            pieces[0] = Some((from, until));
        }
        // Beyond one run that lies inside, what is left is taken up to the next; a sender resends the rest.
        if let Some((_, run_end)) = behind
            && run_end < end
        {
            let next = self.runs.range(run_end..end).next().map_or(end, |(start, _)| *start);
            if run_end < next {
                pieces[1] = Some((run_end, next));
            }
        }
        self.check_overlap(start, octets);
        for (from, until) in pieces.into_iter().flatten() {
            let piece = octets.get(to_usize(from - start)..to_usize(until - start)).unwrap_or_default();
            self.add_run(from, piece, gaps_max)?;
        }
        Ok(())
    }

    fn add_run(&mut self, start: u32, piece: &[u8], gaps_max: usize) -> Result<(), Refused> {
        let end = start + to_u32(piece.len());
        let before = self.runs.range_mut(..start).next_back().filter(|(at, run)| end_of(**at, run) == start);
        if let Some((&before_start, run)) = before {
            run.extend_from_slice(piece);
            self.runs_len += piece.len();
            if let Some(behind) = self.runs.remove(&end)
                && let Some(run) = self.runs.get_mut(&before_start)
            {
                run.extend_from_slice(&behind);
            }
            return Ok(());
        }
        let mut run = BytesMut::from(piece);
        if let Some(behind) = self.runs.remove(&end) {
            run.extend_from_slice(&behind);
        } else if self.runs.len() >= gaps_max {
            return Err(Refused::Gaps);
        }
        self.runs_len += piece.len();
        self.runs.insert(start, run);
        Ok(())
    }

    /// Counts octets that differ from those that are here.
    fn check_overlap(&mut self, start: u32, octets: &[u8]) {
        let end = start + to_u32(octets.len());
        let differs =
            self.runs.range(..end).rev().take_while(|(at, run)| end_of(**at, run) > start).any(|(at, run)| {
                let from = (*at).max(start);
                let until = end_of(*at, run).min(end);
                run.get(to_usize(from - at)..to_usize(until - at))
                    != octets.get(to_usize(from - start)..to_usize(until - start))
            });
        self.conflict_count += u32::from(differs);
    }
}

fn end_of(start: u32, run: &BytesMut) -> u32 {
    start.saturating_add(to_u32(run.len()))
}

#[cfg(test)]
mod tests;
