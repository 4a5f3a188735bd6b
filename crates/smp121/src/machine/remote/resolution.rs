//! A name and its number: asking for it, taking it, losing it.

use super::{NAME_INTERVAL_MAX, RESETS_MAX, Remote, State, Waiting};
use crate::ExchangeError;
use crate::machine::event::{Event, ExchangeId, Resolved};
use crate::machine::link::{Control, Link};
use crate::machine::num::to_usize;
use crate::machine::shared::Shared;
use crate::machine::window::{Window, place, place_near};
use crate::wire::NameReply;
use std::collections::VecDeque;
use wirekit::Instant;

impl Remote {
    /// Asks for the name, where it is not known and not asked for yet.
    pub(in crate::machine) fn resolve(&mut self, link: &mut Link, shared: &mut Shared) {
        self.wants_resolution = true;
        self.activate(link, shared);
    }

    //= SMP121-R-E, SMP121-R-K
    pub(super) fn begin_resolution(&mut self, link: &mut Link, shared: &Shared) {
        self.state = State::Resolving { begun_at: shared.now, sent_at: None, timer_at: None, tries: 0 };
        link.push_control(Control::NameRequest { remote: self.id.remote });
    }

    /// The name request went.
    pub(in crate::machine) fn on_name_request_sent(&mut self, link: &mut Link, now: Instant) {
        if let State::Resolving { sent_at, timer_at, tries, .. } = &mut self.state {
            let rto = |backoff| link.rtt.rto(&link.profile, backoff);
            let at = now + rto((*tries).min(2)).min(rto(0).max(NAME_INTERVAL_MAX));
            *sent_at = (*tries == 0).then_some(now);
            *timer_at = Some(at);
            *tries += 1;
            link.arm(at);
        }
    }

    /// A name reply for this name came. `false` where nobody waits for it.
    //= SMP121-W17, SMP121-A15, SMP121-A17
    pub(in crate::machine) fn on_name_reply(
        &mut self,
        reply: &NameReply<'_>,
        link: &mut Link,
        shared: &mut Shared,
    ) -> bool {
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
    pub(in crate::machine) fn on_reset(&mut self, number: u32, link: &mut Link, shared: &mut Shared) -> bool {
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

    /// True where a datagram that began with these numbers is, or may be, on its way.
    pub(in crate::machine) fn quotes(&self, number: u32) -> bool {
        match self.state {
            State::Resolved => self.flights.get(place_near(number, self.next)).is_some(),
            State::Resolving { .. } => number == 0,
            State::Unresolved => false,
        }
    }

    pub(super) fn on_resolution_timeout(&mut self, link: &mut Link, shared: &mut Shared) {
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
}
