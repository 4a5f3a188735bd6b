//! The sending side: one mailslot of a peer, requests that wait for their turn, and those in flight.

mod replies;
mod resolution;
mod timers;

use super::SendOptions;
use super::assembly::{Assembly, Refused};
use super::drop_reason::DropReason;
use super::event::{Event, ExchangeId, RemoteId, Resolved};
use super::link::{Link, Sender};
use super::shared::Shared;
use super::transfer::Transfer;
use super::window::{Window, place};
use crate::{ExchangeError, LimitExceeded, Profile, UsageError};
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::Duration;
use wirekit::Instant;

/// Finished exchanges whose replies are acknowledged again when they come again.
const FINISHED_COUNT_MAX: usize = 32;

/// The longest pause between two name requests, unless the peer's own time is longer: with losses, a few tries may not be
/// enough within the time that a name has.
const NAME_INTERVAL_MAX: Duration = Duration::from_secs(4);

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

impl Flight {
    /// How long to wait for an answer. A peer may reset a request that is at work, because a copy of it came; the more often
    /// it did, the more time it gets.
    //= SMP121-A14
    fn rto(&self, link: &Link) -> Duration {
        let Profile { rto_min, backoff_max, .. } = link.profile;
        let at_least = rto_min.saturating_mul(1 << self.reset_count.min(backoff_max).min(16));
        link.rtt.rto(&link.profile, self.backoff).max(at_least)
    }

    /// How long to wait for the next part of a reply that has begun before it is asked for.
    fn reply_wait(&self, link: &Link) -> Duration {
        let rto = link.rtt.rto(&link.profile, self.backoff);
        if link.profile.acknowledges_parts && link.rtt.is_known() {
            rto.min(link.rtt.probe_wait(self.backoff, false))
        } else {
            rto
        }
    }
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
            let rto = flight.rto(link);
            let factor = if link.profile.rto_per_request { in_flight_count.max(1) } else { 1 };
            let rto = rto.saturating_mul(factor);
            let timer_at = now + if flight.is_delivered { rto } else { link.wait(&flight.request, rto) };
            flight.timer_at = Some(timer_at);
            link.arm(timer_at);
        }
        flight.is_queued = flight.request.wants_to_send() || !is_own_turn;
        flight.is_queued
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
