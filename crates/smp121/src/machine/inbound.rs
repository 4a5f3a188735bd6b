//! The receiving side: requests of one peer to one mailslot of ours, and the replies to them.

mod replies;
mod requests;

use super::assembly::Assembly;
use super::drop_reason::DropReason;
use super::event::{Event, MailslotId, PeerKey, RequestId};
use super::link::Link;
use super::num::{to_u64, to_usize};
use super::shared::Shared;
use super::transfer::Transfer;
use super::window::{Window, number_at, place, place_near};
use crate::wire::Data;
use bytes::Bytes;
use std::collections::VecDeque;
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
    /// How often its reply was sent again because a later one arrived.
    overtaken_count: u32,
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
    /// Those last acknowledged, a window at most.
    acknowledged: VecDeque<u64>,
}

impl Inbound {
    pub(super) const fn new(mailslot: MailslotId, peer: PeerKey) -> Self {
        let entries = Window::new(place(0));
        let acknowledged = VecDeque::new();
        Self { mailslot, peer, next: None, entries, in_turn: None, pending: None, acknowledged }
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
        // A late copy.
        //= SMP121-A12
        if !link.profile.resets_late_copies && self.acknowledged.contains(&at) {
            return Err(DropReason::Duplicate);
        }
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
        self.acknowledged.clear();
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

    fn drop_entry(&mut self, at: u64, link: &mut Link, shared: &mut Shared) {
        if let Some(entry) = self.entries.remove(at) {
            release(&entry, self.mailslot, link, shared);
        }
    }
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

/// A request took up `before_len` octets and takes up `after_len`.
fn charge(before_len: usize, after_len: usize, link: &mut Link, shared: &mut Shared) {
    link.assembly_len = link.assembly_len.saturating_sub(before_len).saturating_add(after_len);
    shared.assembly_len = shared.assembly_len.saturating_sub(before_len).saturating_add(after_len);
    shared.counters.assembly_len = to_u64(shared.assembly_len);
}

const fn request_id(peer: PeerKey, mailslot: MailslotId, place: u64, serial: u64) -> RequestId {
    RequestId { peer, mailslot, place, serial }
}
