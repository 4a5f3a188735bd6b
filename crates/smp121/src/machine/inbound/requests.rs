//! Requests: from their first part to the application, in order.

use super::{Entry, Inbound, Stage, WINDOW, charge, request_id};
use crate::machine::assembly::{Assembly, Part, Refused, Room};
use crate::machine::drop_reason::DropReason;
use crate::machine::event::{MailslotId, RequestId};
use crate::machine::link::Link;
use crate::machine::mailslots::Turn;
use crate::machine::shared::Shared;
use crate::wire::{Action, Data, Position};
use bytes::Bytes;

impl Inbound {
    /// A place in the mailslot's queue for a request. The next in turn needs none, or a full queue could keep it out.
    //= SMP121-L2
    pub(super) fn admit(&mut self, at: u64, shared: &mut Shared) -> Result<(), DropReason> {
        let queue_max = shared.config.limits.mailslot_queue_max;
        let is_next = self.next == Some(at);
        let mailslot = shared.mailslots.get_mut(self.mailslot).ok_or(DropReason::OutsideWindow)?;
        if !is_next {
            if mailslot.queued_count >= queue_max {
                return Err(DropReason::MailslotQueue);
            }
            mailslot.queued_count += 1;
        }
        let entry = Entry {
            serial: shared.serial(),
            stage: Stage::Assembling(Assembly::default()),
            total: 0,
            copies_count: 0,
            is_in_parts: false,
            parts_count: 0,
            is_counted: !is_next,
            is_queued: false,
            timer_at: Some(shared.now + shared.config.timing.assembly_idle_timeout),
            tries: 0,
            overtaken_count: 0,
            touched_at: shared.now,
        };
        self.entries.insert(at, entry);
        Ok(())
    }

    /// Whoever sends a number has the replies to all those a window before it, acknowledged or not.
    pub(super) fn forget_before(&mut self, at: u64, link: &mut Link, shared: &mut Shared) {
        let is_over = |entry: &Entry| matches!(entry.stage, Stage::Replying(_) | Stage::TooLarge);
        while let Some(place) = self.entries.first().filter(|(_, entry)| is_over(entry)).map(|(place, _)| place)
            && place + WINDOW <= at
        {
            self.drop_entry(place, link, shared);
        }
    }

    pub(super) fn on_part(
        &mut self,
        at: u64,
        data: &Data<'_>,
        link: &mut Link,
        shared: &mut Shared,
    ) -> Result<(), DropReason> {
        let Some(entry) = self.entries.get_mut(at) else { return Err(DropReason::OutsideWindow) };
        entry.touched_at = shared.now;
        match &mut entry.stage {
            Stage::Assembling(_) => return self.assemble(at, data, link, shared),
            Stage::TooLarge => link.respond(data.number, data.mailslot, Action::TooLarge, shared.now),
            Stage::Replying(transfer) => {
                // The reply, or some of it, was lost; or this is a mere copy.
                //= SMP121-R-G, SMP121-A34
                if transfer.is_begun() && shared.now.saturating_since(transfer.sent_at()) >= link.quiet() {
                    transfer.answer(shared.now);
                    link.on_asked(transfer);
                    self.queue(at, link);
                }
            }
            Stage::Waiting(_) | Stage::Offered(_) | Stage::InService => on_copy(entry, data, link, shared),
        }
        Err(DropReason::Duplicate)
    }

    pub(super) fn assemble(
        &mut self,
        at: u64,
        data: &Data<'_>,
        link: &mut Link,
        shared: &mut Shared,
    ) -> Result<(), DropReason> {
        let is_next = self.next == Some(at);
        let mailslot_len_max = shared.mailslots.get_mut(self.mailslot).map_or(0, |mailslot| mailslot.len_max);
        let Some(entry) = self.entries.get_mut(at) else { return Err(DropReason::OutsideWindow) };
        let limits = &shared.config.limits;
        let before_len = entry.charged_len(limits.fragment_overhead_len);
        if let Position::First { total } = data.position
            && total > mailslot_len_max
        {
            entry.stage = Stage::TooLarge;
            entry.timer_at = None;
            charge(before_len, 0, link, shared);
            link.respond(data.number, data.mailslot, Action::TooLarge, shared.now);
            self.advance(link, shared);
            return Ok(());
        }
        let Stage::Assembling(assembly) = &mut entry.stage else { return Err(DropReason::Duplicate) };
        let conflict_count = assembly.conflict_count();
        // Requests that wait for their turn may fill half of the room.
        let peer_len_max = if is_next { limits.peer_assembly_len_max } else { limits.peer_assembly_len_max / 2 };
        let room = Room {
            len: peer_len_max
                .saturating_sub(link.assembly_len)
                .min(limits.assembly_len_max.saturating_sub(shared.assembly_len)),
            gaps_max: limits.gaps_max,
            overhead_len: limits.fragment_overhead_len,
        };
        let taken = assembly.take(data.position, data.octets, &room);
        shared.counters.conflicts_count += u64::from(assembly.conflict_count() - conflict_count);
        let offset = assembly.contiguous_len();
        if taken == Ok(Part::Whole) {
            let message = core::mem::take(assembly).into_message();
            entry.stage = Stage::Waiting(message);
            entry.total = offset;
            entry.copies_count = 1;
        } else {
            entry.is_in_parts = true;
        }
        entry.timer_at = Some(shared.now + shared.config.timing.assembly_idle_timeout);
        let after_len = entry.charged_len(limits.fragment_overhead_len);
        charge(before_len, after_len, link, shared);
        self.acknowledge(at, taken, offset, data, link, shared)?;
        self.advance(link, shared);
        Ok(())
    }

    /// Says what of a request is here.
    //= SMP121-R-C, SMP121-A10
    pub(super) fn acknowledge(
        &mut self,
        at: u64,
        taken: Result<Part, Refused>,
        offset: u32,
        data: &Data<'_>,
        link: &mut Link,
        shared: &Shared,
    ) -> Result<(), DropReason> {
        let (now, timing) = (shared.now, &shared.config.timing);
        let Some(entry) = self.entries.get_mut(at) else { return Ok(()) };
        if let Some(timer_at) = entry.timer_at {
            link.arm(timer_at);
        }
        // A part far ahead of a beginning that is not here: the peer has to go back.
        if taken == Err(Refused::Ahead) && link.profile.acknowledges_parts {
            link.respond(data.number, data.mailslot, Action::Accepted { offset }, now);
        }
        let delay = match taken? {
            // A request of one segment is acknowledged by its reply. One of several is, if the reply takes its time: the
            // peer would send the end of it again.
            Part::Whole if !entry.is_in_parts => return Ok(()),
            Part::Whole => timing.part_ack_delay,
            Part::OutOfOrder | Part::Duplicate => {
                if link.profile.acknowledges_parts {
                    entry.parts_count = 0;
                    link.respond_again(data.number, data.mailslot, Action::Accepted { offset }, now);
                }
                return Ok(());
            }
            Part::Next => {
                entry.parts_count += 1;
                if entry.parts_count >= 2 { core::time::Duration::ZERO } else { timing.part_ack_delay }
            }
        };
        if !link.profile.acknowledges_parts {
            return Ok(());
        }
        if delay.is_zero() {
            entry.parts_count = 0;
        }
        link.respond(data.number, data.mailslot, Action::Accepted { offset }, now + delay);
        Ok(())
    }

    /// Offers the next request in turn, if it is whole and the one before it was answered. While the peer acknowledges too
    /// little of the replies that it has, its requests wait: a reply that had to go would make its request run again.
    //= SMP121-R-I, SMP121-A19, SMP121-L20
    pub(in crate::machine) fn advance(&mut self, link: &mut Link, shared: &mut Shared) {
        while self.in_turn.is_none()
            && let Some(next) = self.next
            && let Some(entry) = self.entries.get_mut(next)
        {
            if matches!(entry.stage, Stage::Waiting(_)) && link.replies_len >= shared.config.limits.replies_len_max {
                link.holds_requests = true;
                return;
            }
            match core::mem::replace(&mut entry.stage, Stage::TooLarge) {
                Stage::Waiting(message) => {
                    entry.stage = Stage::Offered(message);
                    entry.timer_at = None;
                    self.in_turn = Some(next);
                    uncount(entry, self.mailslot, shared);
                    let turn = Turn::Peer { peer: self.peer, place: next, serial: entry.serial };
                    if let Some(mailslot) = shared.mailslots.get_mut(self.mailslot) {
                        mailslot.push(turn, &mut shared.events);
                    }
                }
                Stage::TooLarge => uncount(entry, self.mailslot, shared),
                other => {
                    entry.stage = other;
                    return;
                }
            }
            self.next = Some(next + 1);
        }
    }

    /// Hands the request at a place to the application. `None` where it is gone.
    pub(in crate::machine) fn receive(
        &mut self,
        at: u64,
        serial: u64,
        link: &mut Link,
        shared: &mut Shared,
    ) -> Option<(RequestId, Bytes)> {
        let entry = self.entries.get_mut(at).filter(|entry| entry.serial == serial)?;
        let before_len = entry.charged_len(shared.config.limits.fragment_overhead_len);
        match core::mem::replace(&mut entry.stage, Stage::InService) {
            Stage::Offered(message) => {
                charge(before_len, 0, link, shared);
                shared.counters.requests_count += 1;
                Some((request_id(self.peer, self.mailslot, at, serial), message))
            }
            other => {
                entry.stage = other;
                None
            }
        }
    }
}

/// A copy of a request that is whole and not answered yet. The second copy draws no answer; from the third on the peer
/// learns that the request is here.
//= SMP121-R-F, SMP121-A10
fn on_copy(entry: &mut Entry, data: &Data<'_>, link: &mut Link, shared: &Shared) {
    if matches!(data.position, Position::First { .. }) {
        entry.copies_count = entry.copies_count.saturating_add(1);
    }
    let is_asked_again = entry.copies_count >= 3;
    if !entry.is_in_parts && !is_asked_again {
        return;
    }
    let is_busy = link.profile.sends_busy && is_asked_again;
    let action = if is_busy { Action::Busy } else { Action::Accepted { offset: entry.total } };
    link.respond(data.number, data.mailslot, action, shared.now);
}

fn uncount(entry: &mut Entry, mailslot: MailslotId, shared: &mut Shared) {
    if core::mem::take(&mut entry.is_counted)
        && let Some(mailslot) = shared.mailslots.get_mut(mailslot)
    {
        mailslot.queued_count = mailslot.queued_count.saturating_sub(1);
    }
}
