//! Mailslots of our own.

use super::event::{Event, MailslotId, PeerKey};
use crate::config::Limits;
use crate::wire::NAME_LEN_MAX;
use crate::{LimitExceeded, UsageError};
use std::collections::{BTreeMap, VecDeque};

/// A request whose turn it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn {
    /// Of a peer: its place in the window, and the serial number of the entry there.
    Peer { peer: PeerKey, place: u64, serial: u64 },
    /// Of this endpoint.
    Local { serial: u64 },
}

/// A mailslot of ours.
#[derive(Debug)]
pub(super) struct Mailslot {
    pub(super) id: MailslotId,
    pub(super) name: Box<[u8]>,
    /// The largest request, in octets.
    pub(super) len_max: u32,
    /// The code point of its replies.
    pub(super) dscp: u8,
    /// Requests of peers that are assembled or wait, not counting those next in turn.
    pub(super) queued_count: usize,
    turns: VecDeque<Turn>,
    /// An event says already that there is something to receive.
    is_announced: bool,
}

impl Mailslot {
    /// Puts a request in whose turn it is. At most one for each peer, and as many local ones as may wait.
    pub(super) fn push(&mut self, turn: Turn, events: &mut VecDeque<Event>) {
        self.turns.push_back(turn);
        if !core::mem::replace(&mut self.is_announced, true) {
            events.push_back(Event::Ready(self.id));
        }
    }

    /// The next request, oldest first.
    pub(super) fn pop(&mut self) -> Option<Turn> {
        let turn = self.turns.pop_front();
        // Announced anew only once it was seen empty.
        self.is_announced = turn.is_some();
        turn
    }

    pub(super) fn turn_count(&self) -> usize {
        self.turns.len()
    }
}

#[derive(Debug)]
pub(super) struct Mailslots {
    by_number: BTreeMap<u16, Mailslot>,
    by_name: BTreeMap<Box<[u8]>, u16>,
    last_number: u16,
    was_defined: bool,
}

impl Mailslots {
    /// Numbers count up from `first`, so that those of an earlier life are not given again at once.
    pub(super) const fn new(first: u16) -> Self {
        Self { by_number: BTreeMap::new(), by_name: BTreeMap::new(), last_number: first, was_defined: false }
    }

    /// True where there never was one.
    pub(super) const fn is_untouched(&self) -> bool {
        !self.was_defined
    }

    pub(super) fn define(
        &mut self,
        name: &[u8],
        len_max: usize,
        serial: u64,
        limits: &Limits,
    ) -> Result<MailslotId, UsageError> {
        check_name(name)?;
        if self.by_name.contains_key(name) {
            return Err(UsageError::NameTaken);
        }
        // Half, so that requests which wait for their turn never keep out the one whose turn it is.
        let most = (limits.peer_assembly_len_max / 2).max(1);
        let Some(len) = u32::try_from(len_max).ok().filter(|len| *len > 0 && len_max <= most) else {
            return Err(UsageError::MailslotLen { max: most, got: len_max });
        };
        let count = self.by_number.len() + 1;
        if count > limits.mailslots_max {
            return Err(LimitExceeded::new("mailslots_max", limits.mailslots_max, count).into());
        }
        let number = self.free_number();
        self.was_defined = true;
        let id = MailslotId { number, serial };
        let name: Box<[u8]> = name.into();
        self.by_name.insert(name.clone(), number);
        let mailslot =
            Mailslot { id, name, len_max: len, dscp: 0, queued_count: 0, turns: VecDeque::new(), is_announced: false };
        self.by_number.insert(number, mailslot);
        Ok(id)
    }

    /// The next number that is neither 0 nor taken. There is one: not all can be defined.
    fn free_number(&mut self) -> u16 {
        loop {
            self.last_number = self.last_number.wrapping_add(1);
            if self.last_number != 0 && !self.by_number.contains_key(&self.last_number) {
                return self.last_number;
            }
        }
    }

    pub(super) fn undefine(&mut self, id: MailslotId) -> Option<Mailslot> {
        self.get_mut(id)?;
        let mailslot = self.by_number.remove(&id.number)?;
        self.by_name.remove(&mailslot.name);
        Some(mailslot)
    }

    pub(super) fn get_mut(&mut self, id: MailslotId) -> Option<&mut Mailslot> {
        self.by_number.get_mut(&id.number).filter(|mailslot| mailslot.id == id)
    }

    pub(super) fn by_number(&mut self, number: u16) -> Option<&mut Mailslot> {
        self.by_number.get_mut(&number)
    }

    pub(super) fn by_name(&mut self, name: &[u8]) -> Option<&mut Mailslot> {
        let number = self.by_name.get(name)?;
        self.by_number.get_mut(number)
    }
}

/// A name that can be on the wire.
//= SMP121-A16
pub(super) fn check_name(name: &[u8]) -> Result<(), UsageError> {
    if name.is_empty() || name.len() > NAME_LEN_MAX || name.contains(&0) {
        return Err(UsageError::Name { len: name.len() });
    }
    Ok(())
}
