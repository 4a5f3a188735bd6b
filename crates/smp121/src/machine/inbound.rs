//! The receiving side: requests of one peer to one mailslot of ours, and the replies to them.

use super::assembly::{Assembly, Part, Refused, Room};
use super::drop_reason::DropReason;
use super::event::{Event, MailslotId, PeerKey, RequestId};
use super::link::{Link, Sender};
use super::mailslots::Turn;
use super::num::{to_u64, to_usize};
use super::shared::Shared;
use super::transfer::{Acked, Transfer};
use super::window::{Window, number_at, place, place_near};
use crate::ReplyError;
use crate::wire::{Action, Data, Position};
use bytes::Bytes;
use wirekit::Instant;

/// Requests that may be in flight: as the source demands at least, and as the deployed implementation has room for.
//= SMP121-R-I, SMP121-A24
pub(super) const OUTSTANDING_MAX: u16 = 16;

/// Numbers that are taken, from the next in turn on. Twice what is offered, since the deployed implementation sends more
/// than it was offered.
//= SMP121-A12
const WINDOW: u64 = 2 * OUTSTANDING_MAX as u64;

/// How far a new range of numbers lies ahead of the one before: farther than a peer gets while both are good.
//= SMP121-A18
const RANGE_STEP: u64 = 1 << 24;

/// A number that was handed out and not used yet is good for this long, so that a name request that comes twice gets one
/// answer.
//= SMP121-A17
const PENDING_TIME: core::time::Duration = core::time::Duration::from_secs(30);

/// How far a request has come.
#[derive(Debug)]
enum Stage {
    /// Parts of it are here.
    Assembling(Assembly),
    /// It is whole, and waits for those in front of it.
    Waiting(Bytes),
    /// It is in the mailslot's queue.
    Offered(Bytes),
    /// The application has it.
    InService,
    /// It is answered.
    Replying(Transfer),
    /// It was too large.
    //= SMP121-A19
    TooLarge,
}

#[derive(Debug)]
struct Entry {
    serial: u64,
    stage: Stage,
    /// How long the request is, once it is whole.
    total: u32,
    /// How often it came, once it is whole.
    copies_count: u32,
    /// It came in parts, so the peer knows acknowledgements.
    is_in_parts: bool,
    parts_count: u32,
    /// It counts in its mailslot's queue.
    is_counted: bool,
    is_queued: bool,
    timer_at: Option<Instant>,
    tries: u32,
    /// When anything of it last came, or its reply was given: it is kept only so long.
    touched_at: Instant,
}

impl Entry {
    /// Octets charged for the request.
    fn charged_len(&self, overhead_len: usize) -> usize {
        match &self.stage {
            Stage::Assembling(assembly) if assembly.charged_len() == 0 => 0,
            Stage::Assembling(assembly) => assembly.charged_len() + overhead_len,
            Stage::Waiting(message) | Stage::Offered(message) => message.len() + overhead_len,
            Stage::InService | Stage::Replying(_) | Stage::TooLarge => 0,
        }
    }

    fn reply_len(&self) -> usize {
        match &self.stage {
            Stage::Replying(transfer) => to_usize(transfer.total()),
            _ => 0,
        }
    }
}

#[derive(Debug)]
pub(super) struct Inbound {
    mailslot: MailslotId,
    peer: PeerKey,
    /// The next number in turn, once a range is in use.
    next: Option<u64>,
    entries: Window<Entry>,
    /// The request that is offered or in service. One at a time, so that they are processed in order.
    //= SMP121-R-I
    in_turn: Option<u64>,
    /// The first number of a range that was handed out and is not in use, and when.
    pending: Option<(u64, Instant)>,
}

impl Inbound {
    pub(super) const fn new(mailslot: MailslotId, peer: PeerKey) -> Self {
        let entries = Window::new(place(0));
        Self { mailslot, peer, next: None, entries, in_turn: None, pending: None }
    }

    pub(super) const fn mailslot(&self) -> MailslotId {
        self.mailslot
    }

    /// True where nothing would be lost with it but a number that is not in use.
    pub(super) fn is_idle(&self) -> bool {
        self.entries.is_empty()
    }

    /// True where a datagram of a reply with this number is, or may be, on its way.
    pub(super) fn quotes(&self, number: u32) -> bool {
        let entry = self.next.and_then(|next| self.entries.get(place_near(number, next)));
        entry.is_some_and(|entry| matches!(entry.stage, Stage::Replying(_)))
    }

    /// The number for a name reply. What is open stays until the number is used: a name request may be an old one, or of
    /// somebody else.
    //= SMP121-R-K, SMP121-O14, SMP121-A17, SMP121-A18
    pub(super) fn offer(&mut self, shared: &mut Shared) -> u32 {
        if let Some((number, issued_at)) = self.pending
            && shared.now.saturating_since(issued_at) < PENDING_TIME
        {
            return number_at(number);
        }
        let number = match (self.pending, self.next) {
            (Some((before, _)), _) | (None, Some(before)) => before + RANGE_STEP,
            (None, None) => place(shared.first_number()),
        };
        self.pending = Some((number, shared.now));
        number_at(number)
    }

    /// A part of a request.
    //= SMP121-R-D, SMP121-R-G, SMP121-R-I
    pub(super) fn on_request(
        &mut self,
        data: &Data<'_>,
        link: &mut Link,
        shared: &mut Shared,
    ) -> Result<(), DropReason> {
        self.adopt(data.number, link, shared);
        let Some(next) = self.next else { return Err(DropReason::OutsideWindow) };
        let at = place_near(data.number, next);
        if at >= next + WINDOW || (at < next && self.entries.get(at).is_none()) {
            return Err(DropReason::OutsideWindow);
        }
        link.is_proven = true;
        if at >= next && self.entries.get(at).is_none() {
            self.admit(at, shared)?;
            self.forget_before(at, link, shared);
        }
        self.on_part(at, data, link, shared)
    }

    /// The peer uses the number it was offered: whatever was before is gone.
    //= SMP121-R-K, SMP121-A13, SMP121-A14, SMP121-O14
    fn adopt(&mut self, number: u32, link: &mut Link, shared: &mut Shared) {
        let Some((first, _)) = self.pending else { return };
        if self.next.is_some_and(|next| next + 2 * WINDOW > first) {
            // The range in use has come this far.
            self.pending = None;
            return;
        }
        if !(first..first + WINDOW).contains(&place_near(number, first)) {
            return;
        }
        self.flush(link, shared);
        self.pending = None;
        self.next = Some(first);
        self.entries = Window::new(first);
    }

    /// Drops everything that is open.
    pub(super) fn flush(&mut self, link: &mut Link, shared: &mut Shared) {
        self.in_turn = None;
        for (place, entry) in self.entries.drain() {
            if matches!(entry.stage, Stage::InService) {
                shared.events.push_back(Event::Void(request_id(self.peer, self.mailslot, place, entry.serial)));
            }
            release(&entry, self.mailslot, link, shared);
        }
    }

    /// A place in the mailslot's queue for a request. The next in turn needs none, or a full queue could keep it out.
    //= SMP121-L2
    fn admit(&mut self, at: u64, shared: &mut Shared) -> Result<(), DropReason> {
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
            touched_at: shared.now,
        };
        self.entries.insert(at, entry);
        Ok(())
    }

    /// Whoever sends a number has the replies to all those a window before it, acknowledged or not.
    fn forget_before(&mut self, at: u64, link: &mut Link, shared: &mut Shared) {
        let is_over = |entry: &Entry| matches!(entry.stage, Stage::Replying(_) | Stage::TooLarge);
        while let Some(place) = self.entries.first().filter(|(_, entry)| is_over(entry)).map(|(place, _)| place)
            && place + WINDOW <= at
        {
            self.drop_entry(place, link, shared);
        }
    }

    fn on_part(&mut self, at: u64, data: &Data<'_>, link: &mut Link, shared: &mut Shared) -> Result<(), DropReason> {
        let Some(entry) = self.entries.get_mut(at) else { return Err(DropReason::OutsideWindow) };
        entry.touched_at = shared.now;
        match &mut entry.stage {
            Stage::Assembling(_) => return self.assemble(at, data, link, shared),
            Stage::TooLarge => link.respond(data.number, data.mailslot, Action::TooLarge, shared.now),
            Stage::Replying(transfer) => {
                // The reply, or some of it, was lost; or this is a mere copy.
                //= SMP121-R-G, SMP121-A34
                if transfer.is_begun() && shared.now.saturating_since(transfer.sent_at()) >= link.quiet() {
                    transfer.resend_edge();
                    self.queue(at, link);
                }
            }
            Stage::Waiting(_) | Stage::Offered(_) | Stage::InService => on_copy(entry, data, link, shared),
        }
        Err(DropReason::Duplicate)
    }

    fn assemble(&mut self, at: u64, data: &Data<'_>, link: &mut Link, shared: &mut Shared) -> Result<(), DropReason> {
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
            self.advance(shared);
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
        self.advance(shared);
        Ok(())
    }

    /// Says what of a request is here.
    //= SMP121-R-C, SMP121-A10
    fn acknowledge(
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
            Part::Whole => timing.ack_delay.min(link.profile.rto_min / 2),
            Part::OutOfOrder | Part::Duplicate => core::time::Duration::ZERO,
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

    /// Offers the next request in turn, if it is whole and the one before it was answered.
    //= SMP121-R-I, SMP121-A19
    fn advance(&mut self, shared: &mut Shared) {
        while self.in_turn.is_none()
            && let Some(next) = self.next
            && let Some(entry) = self.entries.get_mut(next)
        {
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
    pub(super) fn receive(
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

    /// The application's answer.
    //= SMP121-R-B
    pub(super) fn reply(
        &mut self,
        id: RequestId,
        reply: Bytes,
        link: &mut Link,
        shared: &mut Shared,
    ) -> Result<(), ReplyError> {
        let entry = self.entries.get_mut(id.place).filter(|entry| entry.serial == id.serial).ok_or(ReplyError::Void)?;
        if !matches!(entry.stage, Stage::InService) {
            return Err(ReplyError::Void);
        }
        let max = link.message_len_max().min(shared.config.limits.reply_len_max);
        if reply.len() > max {
            return Err(ReplyError::TooLarge { len: reply.len(), max });
        }
        link.responses.forget_ack(number_at(id.place), self.mailslot.number);
        link.replies_len += reply.len();
        shared.counters.replies_len += to_u64(reply.len());
        entry.stage = Stage::Replying(Transfer::new(reply, shared.now));
        entry.touched_at = shared.now;
        entry.timer_at = None;
        shared.counters.replies_count += 1;
        self.in_turn = None;
        self.queue(id.place, link);
        self.advance(shared);
        Ok(())
    }

    /// A response to a reply. `false` where it is to nothing that is open.
    pub(super) fn on_response(
        &mut self,
        number: u32,
        action: Action,
        is_bare: bool,
        link: &mut Link,
        shared: &mut Shared,
    ) -> bool {
        let Some(next) = self.next else { return false };
        let at = place_near(number, next);
        let Some(entry) = self.entries.get_mut(at) else { return false };
        let Stage::Replying(transfer) = &mut entry.stage else { return false };
        entry.touched_at = shared.now;
        let is_over = match action {
            // Of an empty reply, 0 acknowledges the whole.
            //= SMP121-A8
            Action::Accepted { offset } if offset == transfer.total() && transfer.is_sent() => {
                link.finish(transfer, shared.now);
                true
            }
            Action::Accepted { offset } => {
                match link.on_ack(transfer, offset, is_bare, shared.now) {
                    Acked::Advanced { .. } => {
                        entry.tries = 0;
                        entry.timer_at = None;
                        arm_reply(entry, link, shared);
                    }
                    Acked::Lost => shared.counters.fast_resent_count += 1,
                    Acked::Again | Acked::Stale => {}
                }
                self.queue(at, link);
                false
            }
            // The peer's caller has no room for it, and knows.
            //= SMP121-A20
            Action::TooLarge => true,
            Action::Busy | Action::Reset => return false,
        };
        if is_over {
            self.drop_entry(at, link, shared);
        }
        true
    }

    fn drop_entry(&mut self, at: u64, link: &mut Link, shared: &mut Shared) {
        if let Some(entry) = self.entries.remove(at) {
            release(&entry, self.mailslot, link, shared);
        }
    }

    fn queue(&mut self, at: u64, link: &mut Link) {
        let mailslot = self.mailslot.number;
        if let Some(entry) = self.entries.get_mut(at)
            && let Stage::Replying(transfer) = &entry.stage
            && !entry.is_queued
            && transfer.wants_to_send()
        {
            entry.is_queued = true;
            link.sending.push_back(Sender::Reply { mailslot, place: at });
        }
    }

    /// The reply at a place, for sending.
    pub(super) fn sending(&mut self, at: u64) -> Option<&mut Transfer> {
        match &mut self.entries.get_mut(at)?.stage {
            Stage::Replying(transfer) => Some(transfer),
            _ => None,
        }
    }

    /// A part of the reply went, or there was none to send. `true` where there is more.
    pub(super) fn on_sent(&mut self, at: u64, link: &mut Link, shared: &Shared) -> bool {
        let Some(entry) = self.entries.get_mut(at) else { return false };
        let Stage::Replying(transfer) = &entry.stage else { return false };
        entry.is_queued = transfer.wants_to_send();
        let is_queued = entry.is_queued;
        if entry.timer_at.is_none() {
            arm_reply(entry, link, shared);
        }
        is_queued
    }

    /// Does what is due.
    //= SMP121-R-H, SMP121-A11
    pub(super) fn handle_timeout(&mut self, link: &mut Link, shared: &mut Shared) {
        let now = shared.now;
        let due: Vec<u64> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.timer_at.is_some_and(|at| at <= now))
            .map(|(place, _)| place)
            .collect();
        for at in due {
            let Some(entry) = self.entries.get_mut(at) else { continue };
            entry.timer_at = None;
            let is_over = match &mut entry.stage {
                Stage::Assembling(_) => true,
                // One in front of it never came. While one is in service, waiting is nothing strange.
                Stage::Waiting(_) if self.in_turn.is_none() => true,
                Stage::Waiting(_) => {
                    entry.timer_at = Some(now + shared.config.timing.assembly_idle_timeout);
                    false
                }
                Stage::Replying(transfer) => {
                    link.on_timeout(transfer, now);
                    if entry.tries < shared.config.timing.reply_tries_max {
                        entry.tries += 1;
                        shared.counters.timeouts_count += 1;
                        if !transfer.wants_to_send() {
                            transfer.resend_edge();
                        }
                        self.queue(at, link);
                        continue;
                    }
                    transfer.park();
                    let keep_until = entry.touched_at + shared.config.timing.reply_retention;
                    if keep_until > now {
                        entry.timer_at = Some(keep_until);
                    }
                    keep_until <= now
                }
                _ => false,
            };
            if is_over {
                self.drop_entry(at, link, shared);
            }
        }
    }

    /// True where something is in flight that nothing would ever send again.
    pub(super) fn has_forgotten(&self) -> bool {
        self.entries.iter().any(|(_, entry)| {
            matches!(&entry.stage, Stage::Replying(transfer) if transfer.flight_len() > 0) && entry.timer_at.is_none()
        })
    }

    pub(super) fn flight_len(&self) -> usize {
        let replies = self.entries.iter().map(|(_, entry)| match &entry.stage {
            Stage::Replying(transfer) => transfer.flight_len(),
            _ => 0,
        });
        replies.sum()
    }

    /// When something is due after `now`.
    pub(super) fn next_timer(&self, now: Instant) -> Option<Instant> {
        self.entries.iter().filter_map(|(_, entry)| entry.timer_at).filter(|at| *at > now).min()
    }

    /// Drops the oldest replies that were sent whole, beside the newest one, until no more than `len_max` octets are kept
    /// for the peer.
    pub(super) fn trim_replies(&mut self, len_max: usize, newest: u64, link: &mut Link, shared: &mut Shared) {
        let is_sent = |entry: &Entry| matches!(&entry.stage, Stage::Replying(transfer) if transfer.is_sent());
        while link.replies_len > len_max {
            let oldest = self.entries.iter().find(|(place, entry)| *place != newest && is_sent(entry));
            let Some((place, _)) = oldest else { return };
            self.drop_entry(place, link, shared);
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

/// Sets the timer of a reply, later where only its delayed acknowledgement is missing.
fn arm_reply(entry: &mut Entry, link: &mut Link, shared: &Shared) {
    let Stage::Replying(transfer) = &entry.stage else { return };
    let rto = link.rtt.rto(&link.profile, 0);
    let rto = if transfer.is_sent() { rto.max(shared.config.timing.reply_rto_min) } else { rto };
    let timer_at = shared.now + rto.saturating_mul(1 << entry.tries.min(16));
    entry.timer_at = Some(timer_at);
    link.arm(timer_at);
}

/// An entry goes: what it took up is free.
fn release(entry: &Entry, mailslot: MailslotId, link: &mut Link, shared: &mut Shared) {
    let overhead_len = shared.config.limits.fragment_overhead_len;
    charge(entry.charged_len(overhead_len), 0, link, shared);
    let reply_len = entry.reply_len();
    link.replies_len = link.replies_len.saturating_sub(reply_len);
    shared.counters.replies_len = shared.counters.replies_len.saturating_sub(to_u64(reply_len));
    if let Stage::Replying(transfer) = &entry.stage {
        link.drop_transfer(transfer);
    }
    if entry.is_counted
        && let Some(mailslot) = shared.mailslots.get_mut(mailslot)
    {
        mailslot.queued_count = mailslot.queued_count.saturating_sub(1);
    }
}

fn uncount(entry: &mut Entry, mailslot: MailslotId, shared: &mut Shared) {
    if core::mem::take(&mut entry.is_counted)
        && let Some(mailslot) = shared.mailslots.get_mut(mailslot)
    {
        mailslot.queued_count = mailslot.queued_count.saturating_sub(1);
    }
}

/// A request took up `before_len` octets and takes up `after_len`.
fn charge(before_len: usize, after_len: usize, link: &mut Link, shared: &mut Shared) {
    link.assembly_len = link.assembly_len.saturating_sub(before_len).saturating_add(after_len);
    shared.assembly_len = shared.assembly_len.saturating_sub(before_len).saturating_add(after_len);
    shared.counters.assembly_len = to_u64(shared.assembly_len);
}

const fn request_id(peer: PeerKey, mailslot: MailslotId, place: u64, serial: u64) -> RequestId {
    RequestId { peer, mailslot, place, serial }
}
