//! What time does to requests.

use super::{ACKS_ALONE_COUNT, Remote, State, Waiting};
use crate::ExchangeError;
use crate::machine::event::ExchangeId;
use crate::machine::link::Link;
use crate::machine::shared::Shared;
use crate::machine::window::number_at;
use crate::wire::Action;
use wirekit::Instant;

impl Remote {
    /// Does what is due.
    pub(in crate::machine) fn handle_timeout(&mut self, link: &mut Link, shared: &mut Shared) {
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
    pub(super) fn ask_again(&mut self, at: u64, link: &mut Link, shared: &mut Shared) {
        let Some(flight) = self.flights.get_mut(at) else { return };
        if !flight.is_delivered && flight.request.probes_left().is_some() && link.probes(&flight.request) {
            shared.counters.probes_count += 1;
            link.send_probe(&mut flight.request, shared.now);
            let rto = link.rtt.rto(&link.profile, flight.backoff);
            let timer_at = shared.now + link.wait(&flight.request, rto);
            flight.timer_at = Some(timer_at);
            link.arm(timer_at);
            self.queue(at, link);
            return;
        }
        shared.counters.timeouts_count += 1;
        flight.backoff = flight.backoff.saturating_add(1);
        if let Some(reply) = &flight.reply
            && link.profile.acknowledges_parts
        {
            let offset = reply.contiguous_len();
            link.respond(number_at(at), self.mailslot, Action::Accepted { offset }, shared.now);
            if flight.backoff <= ACKS_ALONE_COUNT {
                let timer_at = shared.now + flight.reply_wait(link);
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

    /// Ends exchanges whose callers' time is up.
    pub(super) fn on_deadlines(&mut self, shared: &mut Shared) {
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
    pub(in crate::machine) fn has_forgotten(&self) -> bool {
        self.flights.iter().any(|(_, flight)| flight.request.flight_len() > 0 && flight.timer_at.is_none())
    }

    pub(in crate::machine) fn flight_len(&self) -> usize {
        self.flights.iter().map(|(_, flight)| flight.request.flight_len()).sum()
    }

    /// When something is due after `now`.
    pub(in crate::machine) fn next_timer(&self, now: Instant) -> Option<Instant> {
        let resolution = match self.state {
            State::Resolving { timer_at, .. } => timer_at,
            _ => None,
        };
        let waiting = self.waiting.iter().filter_map(|waiting| waiting.deadline);
        let flights = self.flights.iter().flat_map(|(_, flight)| [flight.timer_at, flight.deadline]).flatten();
        resolution.into_iter().chain(waiting).chain(flights).filter(|at| *at > now).min()
    }
}
