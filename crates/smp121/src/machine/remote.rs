//! The sending side: one mailslot of a peer, requests that wait for their turn, and those in flight.

use super::assembly::{Assembly, Part, Refused, Room};
use super::drop_reason::DropReason;
use super::event::{Event, ExchangeId, RemoteId, Resolved};
use super::link::{Control, Link, Sender};
use super::num::{to_u32, to_usize};
use super::shared::Shared;
use super::transfer::Transfer;
use super::window::{Window, number_at, place, place_near};
use super::{SendOptions, transfer::Acked};
use crate::wire::{Action, Data, NameReply, Position};
use crate::{ExchangeError, LimitExceeded, UsageError};
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::Duration;
use wirekit::Instant;

/// Finished exchanges whose replies are acknowledged again when they come again.
const FINISHED_COUNT_MAX: usize = 32;

/// How often one request is sent anew under another number before its caller is told.
const RESETS_MAX: u32 = 16;

/// How often a stop inside a reply is answered by an acknowledgement alone. Behind that the request goes along, since a peer
/// that was started anew knows nothing to acknowledge.
//= SMP121-R-H, SMP121-A11
const ACKS_ALONE_COUNT: u32 = 3;

/// What is known of the mailslot's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing, or nothing any more.
    Unresolved,
    /// A name request is under way.
    Resolving { begun_at: Instant, sent_at: Option<Instant>, timer_at: Option<Instant>, tries: u32 },
    /// The number is known.
    Resolved,
}

/// A request that waits for its number.
#[derive(Debug)]
struct Waiting {
    serial: u64,
    message: Bytes,
    options: SendOptions,
    deadline: Option<Instant>,
    /// How often it was reset.
    reset_count: u32,
    /// It was in flight before; the silence of the peer counts from here.
    heard_at: Instant,
}

/// A request that has a number.
#[derive(Debug)]
struct Flight {
    serial: u64,
    options: SendOptions,
    deadline: Option<Instant>,
    request: Transfer,
    /// The reply so far, where it comes in parts.
    reply: Option<Assembly>,
    /// Parts of the reply since one was acknowledged.
    parts_count: u32,
    /// The peer said that it has all of the request.
    is_delivered: bool,
    /// Nobody waits for the reply any more. The window has to move on all the same.
    //= SMP121-A19
    is_abandoned: bool,
    is_queued: bool,
    timer_at: Option<Instant>,
    backoff: u32,
    /// When the peer last said anything of it.
    heard_at: Instant,
    reset_count: u32,
}

#[derive(Debug)]
pub(super) struct Remote {
    pub(super) id: RemoteId,
    pub(super) name: Box<[u8]>,
    /// Handles that the application holds.
    pub(super) handle_count: u32,
    state: State,
    /// The peer's number for the mailslot.
    mailslot: u16,
    resolved: Resolved,
    /// The number that the next request gets.
    next: u64,
    /// The first number of the range that `next` is in.
    base: u64,
    flights: Window<Flight>,
    /// When the peer last said anything of any of them.
    heard_at: Instant,
    waiting: VecDeque<Waiting>,
    waiting_len: usize,
    /// Exchanges that are done, and how long their replies were.
    finished: VecDeque<(u64, u32)>,
    /// The application wants to hear when the name is resolved.
    wants_resolution: bool,
    /// It was resolved before, so the host speaks SMP and has, or had, the mailslot.
    was_resolved: bool,
}

impl Remote {
    pub(super) fn new(id: RemoteId, name: Box<[u8]>) -> Self {
        Self {
            id,
            name,
            handle_count: 1,
            state: State::Unresolved,
            mailslot: 0,
            resolved: Resolved { request_len_max: 0, outstanding_max: 0 },
            next: place(0),
            base: place(0),
            flights: Window::new(place(0)),
            heard_at: Instant::EPOCH,
            waiting: VecDeque::new(),
            waiting_len: 0,
            finished: VecDeque::new(),
            wants_resolution: false,
            was_resolved: false,
        }
    }

    /// The peer's number for it, where it is known.
    pub(super) fn mailslot(&self) -> Option<u16> {
        (self.state == State::Resolved).then_some(self.mailslot)
    }

    pub(super) fn resolved(&self) -> Option<Resolved> {
        (self.state == State::Resolved).then_some(self.resolved)
    }

    /// True where nothing would be lost with it.
    pub(super) fn is_idle(&self) -> bool {
        self.handle_count == 0 && self.flights.is_empty() && self.waiting.is_empty()
    }

    pub(super) const fn was_resolved(&self) -> bool {
        self.was_resolved
    }

    pub(super) const fn is_resolving(&self) -> bool {
        matches!(self.state, State::Resolving { .. })
    }

    fn exchange(&self, serial: u64) -> ExchangeId {
        ExchangeId { serial, remote: self.id }
    }

    /// Takes a request.
    pub(super) fn send(
        &mut self,
        message: Bytes,
        options: SendOptions,
        link: &mut Link,
        shared: &mut Shared,
    ) -> Result<ExchangeId, UsageError> {
        let limits = &shared.config.limits;
        let max = self.request_len_max(link);
        if message.len() > max {
            return Err(UsageError::TooLarge { len: message.len(), max });
        }
        let count = self.waiting.len() + 1;
        if count > limits.waiting_count_max {
            return Err(LimitExceeded::new("waiting_count_max", limits.waiting_count_max, count).into());
        }
        let waiting_len = self.waiting_len + message.len();
        if waiting_len > limits.waiting_len_max && count > 1 {
            return Err(LimitExceeded::new("waiting_len_max", limits.waiting_len_max, waiting_len).into());
        }
        let (serial, now) = (shared.serial(), shared.now);
        let deadline = options.timeout.map(|timeout| now + timeout);
        if let Some(deadline) = deadline {
            link.arm(deadline);
        }
        self.waiting_len = waiting_len;
        self.waiting.push_back(Waiting { serial, message, options, deadline, reset_count: 0, heard_at: now });
        self.activate(link, shared);
        Ok(self.exchange(serial))
    }

    fn request_len_max(&self, link: &Link) -> usize {
        let sendable = link.message_len_max();
        if self.state == State::Resolved { sendable.min(self.resolved.request_len_max) } else { sendable }
    }

    /// Gives numbers to requests that wait, as many as may be in flight, or asks for the name where there is no number.
    //= SMP121-R-E, SMP121-R-I, SMP121-W18, SMP121-A24
    fn activate(&mut self, link: &mut Link, shared: &mut Shared) {
        match self.state {
            State::Resolving { .. } => return,
            State::Unresolved => {
                if !self.waiting.is_empty() || self.wants_resolution {
                    self.begin_resolution(link, shared);
                }
                return;
            }
            State::Resolved => {}
        }
        let outstanding_max = u64::from(self.resolved.outstanding_max.min(link.profile.outstanding_max));
        while self.flights.is_empty() || self.next - self.flights.front() < outstanding_max {
            let Some(waiting) = self.waiting.pop_front() else { break };
            self.waiting_len -= waiting.message.len();
            let (len, max) = (waiting.message.len(), self.request_len_max(link));
            if len > max {
                let exchange = self.exchange(waiting.serial);
                shared.done(exchange, Err(ExchangeError::RequestTooLarge { len, max }));
                continue;
            }
            self.launch(waiting, link, shared.now);
        }
    }

    fn launch(&mut self, waiting: Waiting, link: &mut Link, now: Instant) {
        let flight = Flight {
            serial: waiting.serial,
            options: waiting.options,
            deadline: waiting.deadline,
            request: Transfer::new(waiting.message, now),
            reply: None,
            parts_count: 0,
            is_delivered: false,
            is_abandoned: false,
            is_queued: true,
            timer_at: None,
            backoff: 0,
            heard_at: if waiting.reset_count > 0 { waiting.heard_at } else { now },
            reset_count: waiting.reset_count,
        };
        link.sending.push_back(Sender::Request { remote: self.id.remote, place: self.next });
        self.flights.insert(self.next, flight);
        self.next += 1;
    }

    /// The application gives an exchange up.
    //= SMP121-A19
    pub(super) fn cancel(&mut self, serial: u64) {
        if let Some(at) = self.waiting.iter().position(|waiting| waiting.serial == serial) {
            if let Some(waiting) = self.waiting.remove(at) {
                self.waiting_len -= waiting.message.len();
            }
        } else if let Some((_, flight)) = self.flights.iter_mut().find(|(_, flight)| flight.serial == serial) {
            flight.is_abandoned = true;
        }
    }

    // Name resolution.

    /// Asks for the name, where it is not known and not asked for yet.
    pub(super) fn resolve(&mut self, link: &mut Link, shared: &mut Shared) {
        self.wants_resolution = true;
        self.activate(link, shared);
    }

    //= SMP121-R-E, SMP121-R-K
    fn begin_resolution(&mut self, link: &mut Link, shared: &Shared) {
        self.state = State::Resolving { begun_at: shared.now, sent_at: None, timer_at: None, tries: 0 };
        link.push_control(Control::NameRequest { remote: self.id.remote });
    }

    /// The name request went.
    pub(super) fn on_name_request_sent(&mut self, link: &mut Link, now: Instant) {
        if let State::Resolving { sent_at, timer_at, tries, .. } = &mut self.state {
            let at = now + link.rtt.rto(&link.profile, (*tries).min(2));
            *sent_at = (*tries == 0).then_some(now);
            *timer_at = Some(at);
            *tries += 1;
            link.arm(at);
        }
    }

    /// A name reply for this name came. `false` where nobody waits for it.
    //= SMP121-W17, SMP121-A15, SMP121-A17
    pub(super) fn on_name_reply(&mut self, reply: &NameReply<'_>, link: &mut Link, shared: &mut Shared) -> bool {
        let State::Resolving { sent_at, .. } = self.state else { return false };
        if reply.outstanding_max == 0 {
            self.fail(ExchangeError::NoSuchMailslot, link, shared);
            return true;
        }
        // An old reply must not bring back numbers that were used: their replies may still be on their way.
        let first = place_near(reply.number, self.next);
        if reply.mailslot == 0 || (self.was_resolved && (self.base..self.next).contains(&first)) {
            return false;
        }
        if let Some(sent_at) = sent_at {
            link.rtt.sample(shared.now.saturating_since(sent_at));
        }
        self.state = State::Resolved;
        self.was_resolved = true;
        self.mailslot = reply.mailslot;
        let request_len_max = to_usize(reply.request_len_max).min(link.message_len_max());
        self.resolved = Resolved { request_len_max, outstanding_max: reply.outstanding_max };
        self.next = place(reply.number);
        self.base = self.next;
        self.flights = Window::new(self.next);
        self.finished.clear();
        if core::mem::take(&mut self.wants_resolution) {
            shared.events.push_back(Event::Resolved { remote: self.id, outcome: Ok(self.resolved) });
        }
        self.activate(link, shared);
        true
    }

    /// A reset for a number. `false` where it is not in flight.
    //= SMP121-R-D, SMP121-R-K, SMP121-A13, SMP121-A14
    pub(super) fn on_reset(&mut self, number: u32, link: &mut Link, shared: &mut Shared) -> bool {
        if self.state != State::Resolved || self.flights.get(place_near(number, self.next)).is_none() {
            return false;
        }
        let (now, id) = (shared.now, self.id);
        let mut again = VecDeque::new();
        for (_, flight) in self.flights.drain() {
            link.drop_transfer(&flight.request);
            if flight.is_abandoned {
                continue;
            }
            if flight.reset_count >= RESETS_MAX {
                shared.done(ExchangeId { serial: flight.serial, remote: id }, Err(ExchangeError::Reset));
                continue;
            }
            again.push_back(Waiting {
                serial: flight.serial,
                message: flight.request.into_message(),
                options: flight.options,
                deadline: flight.deadline,
                reset_count: flight.reset_count + 1,
                heard_at: now,
            });
        }
        self.waiting_len += again.iter().map(|waiting| waiting.message.len()).sum::<usize>();
        again.append(&mut self.waiting);
        self.waiting = again;
        self.state = State::Unresolved;
        self.activate(link, shared);
        true
    }

    /// Everything that waits or flies has failed.
    pub(super) fn fail(&mut self, error: ExchangeError, link: &mut Link, shared: &mut Shared) {
        let id = self.id;
        for (_, flight) in self.flights.drain() {
            link.drop_transfer(&flight.request);
            if !flight.is_abandoned {
                shared.done(ExchangeId { serial: flight.serial, remote: id }, Err(error));
            }
        }
        for waiting in self.waiting.drain(..) {
            shared.done(ExchangeId { serial: waiting.serial, remote: id }, Err(error));
        }
        self.waiting_len = 0;
        self.state = State::Unresolved;
        if core::mem::take(&mut self.wants_resolution) {
            shared.events.push_back(Event::Resolved { remote: id, outcome: Err(error) });
        }
    }

    /// True where a datagram that began with these numbers is, or may be, on its way.
    pub(super) fn quotes(&self, number: u32) -> bool {
        match self.state {
            State::Resolved => self.flights.get(place_near(number, self.next)).is_some(),
            State::Resolving { .. } => number == 0,
            State::Unresolved => false,
        }
    }

    // Responses and replies.

    /// A response to a request. `false` where it is to nothing in flight.
    pub(super) fn on_response(
        &mut self,
        number: u32,
        action: Action,
        is_bare: bool,
        link: &mut Link,
        shared: &mut Shared,
    ) -> bool {
        let at = place_near(number, self.next);
        let Some(flight) = self.flights.get_mut(at) else { return false };
        let now = shared.now;
        self.heard_at = now;
        match action {
            Action::Accepted { offset } => {
                flight.heard_at = now;
                if offset == flight.request.total() && flight.request.is_sent() {
                    // All of it is there; what follows is asking whether the reply is.
                    flight.is_delivered = true;
                    link.finish(&mut flight.request, now);
                    flight.timer_at = Some(now + link.rtt.rto(&link.profile, flight.backoff));
                } else if flight.request.has_acked_beyond(offset) {
                    // Asked again, the peer says that it has less than it had. Otherwise it is an old acknowledgement.
                    if flight.backoff > 0 && flight.reply.is_none() {
                        flight.is_delivered = false;
                        link.rewind(&mut flight.request, offset);
                        self.queue(at, link);
                    }
                } else {
                    match link.on_ack(&mut flight.request, offset, is_bare, now) {
                        Acked::Advanced { .. } => {
                            flight.backoff = 0;
                            flight.timer_at = Some(now + link.rtt.rto(&link.profile, 0));
                        }
                        Acked::Lost => shared.counters.fast_resent_count += 1,
                        Acked::Again | Acked::Stale => {}
                    }
                    self.queue(at, link);
                }
            }
            Action::Busy => {
                flight.heard_at = now;
                flight.is_delivered = true;
                link.finish(&mut flight.request, now);
                flight.timer_at = Some(now + link.rtt.rto(&link.profile, flight.backoff));
            }
            Action::TooLarge => {
                let (len, max) = (flight.request.message().len(), self.resolved.request_len_max);
                self.end(at, Err(ExchangeError::RequestTooLarge { len, max }), link, shared);
            }
            Action::Reset => return self.on_reset(number, link, shared),
        }
        if let Some(timer_at) = self.flights.get(at).and_then(|flight| flight.timer_at) {
            link.arm(timer_at);
        }
        true
    }

    /// A part of a reply.
    //= SMP121-R-B, SMP121-R-C
    pub(super) fn on_reply(&mut self, data: &Data<'_>, link: &mut Link, shared: &mut Shared) -> Result<(), DropReason> {
        let at = place_near(data.number, self.next);
        let now = shared.now;
        let Some(flight) = self.flights.get_mut(at) else { return self.on_finished_reply(at, link, shared) };
        self.heard_at = now;
        flight.heard_at = now;
        flight.backoff = 0;
        flight.is_delivered = true;
        link.finish(&mut flight.request, now);
        let len_max = flight.options.reply_len_max;
        if let Position::First { total } = data.position {
            if to_usize(total) > len_max {
                let error = ExchangeError::ReplyTooLarge { len: to_usize(total), max: len_max };
                link.respond(data.number, self.mailslot, Action::TooLarge, now);
                self.end(at, Err(error), link, shared);
                return Ok(());
            }
            if to_usize(total) == data.octets.len() && flight.reply.is_none() {
                let reply = Bytes::copy_from_slice(data.octets);
                self.complete(at, reply, link, shared);
                return Ok(());
            }
        }
        self.assemble_reply(at, data, link, shared)
    }

    fn assemble_reply(
        &mut self,
        at: u64,
        data: &Data<'_>,
        link: &mut Link,
        shared: &mut Shared,
    ) -> Result<(), DropReason> {
        let now = shared.now;
        let limits = &shared.config.limits;
        let Some(flight) = self.flights.get_mut(at) else { return Err(DropReason::Unknown) };
        let assembly = flight.reply.get_or_insert_default();
        let conflict_count = assembly.conflict_count();
        let room = Room {
            len: flight.options.reply_len_max.saturating_mul(2).saturating_add(limits.fragment_overhead_len),
            gaps_max: limits.gaps_max,
            overhead_len: limits.fragment_overhead_len,
        };
        let taken = assembly.take(data.position, data.octets, &room);
        shared.counters.conflicts_count += u64::from(assembly.conflict_count() - conflict_count);
        let offset = assembly.contiguous_len();
        let delay = match taken {
            Ok(Part::Whole) => {
                let reply = flight.reply.take().map(Assembly::into_message).unwrap_or_default();
                self.complete(at, reply, link, shared);
                return Ok(());
            }
            Ok(Part::Next) => {
                flight.parts_count += 1;
                if flight.parts_count >= 2 { Duration::ZERO } else { shared.config.timing.part_ack_delay }
            }
            Ok(Part::OutOfOrder | Part::Duplicate) => Duration::ZERO,
            Err(refused) => return Err(refused.into()),
        };
        if link.profile.acknowledges_parts {
            if delay.is_zero() {
                flight.parts_count = 0;
            }
            link.respond(data.number, self.mailslot, Action::Accepted { offset }, now + delay);
        }
        let timer_at = now + link.rtt.rto(&link.profile, 0);
        flight.timer_at = Some(timer_at);
        link.arm(timer_at);
        Ok(())
    }

    /// A reply that was complete comes again: its acknowledgement was lost.
    fn on_finished_reply(&self, at: u64, link: &mut Link, shared: &Shared) -> Result<(), DropReason> {
        let (_, total) = self.finished.iter().rev().find(|(place, _)| *place == at).ok_or(DropReason::Unknown)?;
        let delay = shared.config.timing.ack_delay;
        link.respond_final(number_at(at), self.mailslot, *total, shared.now, delay);
        Err(DropReason::Duplicate)
    }

    /// The reply is whole.
    //= SMP121-R-A
    fn complete(&mut self, at: u64, reply: Bytes, link: &mut Link, shared: &mut Shared) {
        let total = to_u32(reply.len());
        link.respond_final(number_at(at), self.mailslot, total, shared.now, shared.config.timing.ack_delay);
        if self.finished.len() >= FINISHED_COUNT_MAX {
            self.finished.pop_front();
        }
        self.finished.push_back((at, total));
        shared.counters.exchanges_count += 1;
        self.end(at, Ok(reply), link, shared);
    }

    fn end(&mut self, at: u64, outcome: Result<Bytes, ExchangeError>, link: &mut Link, shared: &mut Shared) {
        let Some(flight) = self.flights.remove(at) else { return };
        link.drop_transfer(&flight.request);
        if !flight.is_abandoned {
            let exchange = self.exchange(flight.serial);
            shared.done(exchange, outcome);
        }
        // The next one's turn begins.
        if let Some(next) = self.flights.get_mut(self.flights.front()) {
            next.heard_at = shared.now;
        }
        self.activate(link, shared);
    }

    // Sending.

    /// Puts a request among those that have something to send, if it has and is not there yet.
    fn queue(&mut self, at: u64, link: &mut Link) {
        let remote = self.id.remote;
        if let Some(flight) = self.flights.get_mut(at)
            && !flight.is_queued
            && flight.request.wants_to_send()
        {
            flight.is_queued = true;
            link.sending.push_back(Sender::Request { remote, place: at });
        }
    }

    /// The place that goes in the turn of `at`. Requests are served in order, so they go in order: a later one that overtook the
    /// first would only take up the peer's room. What is lost goes at once.
    //= SMP121-R-I
    pub(super) fn turn_of(&self, at: u64) -> u64 {
        let wants = |flight: &Flight| flight.is_queued && flight.request.wants_to_send();
        match self.flights.get(at) {
            Some(flight) if !flight.request.is_urgent() => {
                self.flights.iter().find(|(_, flight)| wants(flight)).map_or(at, |(place, _)| place)
            }
            _ => at,
        }
    }

    /// The request at a place, for sending: what to send, and its number, and its code point.
    pub(super) fn sending(&mut self, at: u64) -> Option<(&mut Transfer, u8)> {
        let flight = self.flights.get_mut(at)?;
        Some((&mut flight.request, flight.options.dscp))
    }

    /// A part of the request went, or there was none to send, in its own turn or in that of another. `true` where there is
    /// more.
    pub(super) fn on_sent(&mut self, at: u64, is_own_turn: bool, link: &mut Link, now: Instant) -> bool {
        let in_flight_count = u32::try_from(self.flights.iter().count()).unwrap_or(u32::MAX);
        let Some(flight) = self.flights.get_mut(at) else { return false };
        if flight.timer_at.is_none() {
            let rto = link.rtt.rto(&link.profile, flight.backoff);
            let factor = if link.profile.rto_per_request { in_flight_count.max(1) } else { 1 };
            let timer_at = now + rto.saturating_mul(factor);
            flight.timer_at = Some(timer_at);
            link.arm(timer_at);
        }
        flight.is_queued = flight.request.wants_to_send() || !is_own_turn;
        flight.is_queued
    }

    // Time.

    /// Does what is due.
    pub(super) fn handle_timeout(&mut self, link: &mut Link, shared: &mut Shared) {
        self.on_resolution_timeout(link, shared);
        self.on_deadlines(shared);
        let now = shared.now;
        let give_up = shared.config.timing.give_up_timeout;
        // Requests are served in order, so that a sign of one is a sign for those behind it.
        //= SMP121-A22
        let (front, heard_at) = (self.flights.front(), self.heard_at);
        let due: Vec<u64> = self
            .flights
            .iter()
            .filter(|(_, flight)| flight.timer_at.is_some_and(|at| at <= now))
            .map(|(place, _)| place)
            .collect();
        for at in due {
            let Some(flight) = self.flights.get_mut(at) else { continue };
            flight.timer_at = None;
            let heard_at = if at == front { flight.heard_at } else { flight.heard_at.max(heard_at) };
            if now.saturating_since(heard_at) >= give_up {
                self.fail(ExchangeError::PeerGone, link, shared);
                return;
            }
            self.ask_again(at, link, shared);
        }
    }

    /// No answer in time: the request, or what it lacks, is sent again, and the reply asked for where it has begun.
    //= SMP121-R-H, SMP121-A11, SMP121-A22
    fn ask_again(&mut self, at: u64, link: &mut Link, shared: &mut Shared) {
        let Some(flight) = self.flights.get_mut(at) else { return };
        shared.counters.timeouts_count += 1;
        flight.backoff = flight.backoff.saturating_add(1);
        if let Some(reply) = &flight.reply
            && link.profile.acknowledges_parts
        {
            let offset = reply.contiguous_len();
            link.respond(number_at(at), self.mailslot, Action::Accepted { offset }, shared.now);
            if flight.backoff <= ACKS_ALONE_COUNT {
                let timer_at = shared.now + link.rtt.rto(&link.profile, flight.backoff);
                flight.timer_at = Some(timer_at);
                link.arm(timer_at);
                return;
            }
        }
        if flight.is_delivered {
            flight.request.ask_again();
        } else {
            link.on_timeout(&mut flight.request, shared.now);
        }
        self.queue(at, link);
    }

    fn on_resolution_timeout(&mut self, link: &mut Link, shared: &mut Shared) {
        let State::Resolving { begun_at, timer_at, .. } = &mut self.state else { return };
        if timer_at.is_none_or(|at| at > shared.now) {
            return;
        }
        let timing = &shared.config.timing;
        let patience = if self.was_resolved { timing.give_up_timeout } else { timing.resolve_timeout };
        if shared.now.saturating_since(*begun_at) >= patience {
            let error = if self.was_resolved { ExchangeError::PeerGone } else { ExchangeError::NotResolved };
            self.fail(error, link, shared);
            return;
        }
        *timer_at = None;
        shared.counters.timeouts_count += 1;
        link.push_control(Control::NameRequest { remote: self.id.remote });
    }

    /// Ends exchanges whose callers' time is up.
    fn on_deadlines(&mut self, shared: &mut Shared) {
        let (now, id) = (shared.now, self.id);
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= now);
        if self.waiting.iter().any(|waiting| is_due(waiting.deadline)) {
            let (over, left) = self.waiting.drain(..).partition(|waiting| is_due(waiting.deadline));
            self.waiting = left;
            for waiting in over {
                let waiting: Waiting = waiting;
                self.waiting_len -= waiting.message.len();
                shared.done(ExchangeId { serial: waiting.serial, remote: id }, Err(ExchangeError::Timeout));
            }
        }
        for (_, flight) in self.flights.iter_mut() {
            if is_due(flight.deadline) {
                flight.deadline = None;
                if !core::mem::replace(&mut flight.is_abandoned, true) {
                    shared.done(ExchangeId { serial: flight.serial, remote: id }, Err(ExchangeError::Timeout));
                }
            }
        }
    }

    /// True where something is in flight that nothing would ever send again.
    pub(super) fn has_forgotten(&self) -> bool {
        self.flights.iter().any(|(_, flight)| flight.request.flight_len() > 0 && flight.timer_at.is_none())
    }

    pub(super) fn flight_len(&self) -> usize {
        self.flights.iter().map(|(_, flight)| flight.request.flight_len()).sum()
    }

    /// When something is due after `now`.
    pub(super) fn next_timer(&self, now: Instant) -> Option<Instant> {
        let resolution = match self.state {
            State::Resolving { timer_at, .. } => timer_at,
            _ => None,
        };
        let waiting = self.waiting.iter().filter_map(|waiting| waiting.deadline);
        let flights = self.flights.iter().flat_map(|(_, flight)| [flight.timer_at, flight.deadline]).flatten();
        resolution.into_iter().chain(waiting).chain(flights).filter(|at| *at > now).min()
    }
}

impl From<Refused> for DropReason {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::OtherTotal => Self::OtherTotal,
            Refused::BeyondTotal => Self::BeyondTotal,
            Refused::Gaps => Self::Gaps,
            Refused::Ahead | Refused::Room => Self::AssemblyRoom,
        }
    }
}
