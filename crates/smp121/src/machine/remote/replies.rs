//! What the peer says of requests: acknowledgements, refusals, replies.

use super::{FINISHED_COUNT_MAX, Remote};
use crate::ExchangeError;
use crate::machine::assembly::{Assembly, Part, Room};
use crate::machine::drop_reason::DropReason;
use crate::machine::link::Link;
use crate::machine::num::{to_u32, to_usize};
use crate::machine::shared::Shared;
use crate::machine::transfer::Acked;
use crate::machine::window::{number_at, place_near};
use crate::wire::{Action, Data, Position};
use bytes::Bytes;
use std::time::Duration;

impl Remote {
    /// A response to a request. `false` where it is to nothing in flight.
    pub(in crate::machine) fn on_response(
        &mut self,
        number: u32,
        action: Action,
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
                    flight.timer_at = Some(now + flight.rto(link));
                } else if flight.request.has_acked_beyond(offset) {
                    // Asked again, the peer says that it has less than it had. Otherwise it is an old acknowledgement.
                    if flight.backoff > 0 && flight.reply.is_none() {
                        flight.is_delivered = false;
                        link.rewind(&mut flight.request, offset);
                        self.queue(at, link);
                    }
                } else {
                    match link.on_ack(&mut flight.request, offset, now) {
                        Acked::Advanced { .. } => {
                            flight.backoff = 0;
                            let rto = link.rtt.rto(&link.profile, 0);
                            flight.timer_at = Some(now + link.wait(&flight.request, rto));
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
                flight.timer_at = Some(now + flight.rto(link));
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
    pub(in crate::machine) fn on_reply(
        &mut self,
        data: &Data<'_>,
        link: &mut Link,
        shared: &mut Shared,
    ) -> Result<(), DropReason> {
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

    pub(super) fn assemble_reply(
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
            let action = Action::Accepted { offset };
            if delay.is_zero() {
                flight.parts_count = 0;
            }
            if matches!(taken, Ok(Part::OutOfOrder | Part::Duplicate)) {
                link.respond_again(data.number, self.mailslot, action, now);
            } else {
                link.respond(data.number, self.mailslot, action, now + delay);
            }
        }
        let timer_at = now + flight.reply_wait(link);
        flight.timer_at = Some(timer_at);
        link.arm(timer_at);
        Ok(())
    }

    /// A reply that was complete comes again: its acknowledgement was lost.
    pub(super) fn on_finished_reply(&self, at: u64, link: &mut Link, shared: &Shared) -> Result<(), DropReason> {
        let (_, total) = self.finished.iter().rev().find(|(place, _)| *place == at).ok_or(DropReason::Unknown)?;
        let delay = shared.config.timing.ack_delay;
        link.respond_final(number_at(at), self.mailslot, *total, shared.now, delay);
        Err(DropReason::Duplicate)
    }

    /// The reply is whole.
    //= SMP121-R-A
    pub(super) fn complete(&mut self, at: u64, reply: Bytes, link: &mut Link, shared: &mut Shared) {
        let total = to_u32(reply.len());
        link.respond_final(number_at(at), self.mailslot, total, shared.now, shared.config.timing.ack_delay);
        if self.finished.len() >= FINISHED_COUNT_MAX {
            self.finished.pop_front();
        }
        self.finished.push_back((at, total));
        shared.counters.exchanges_count += 1;
        self.end(at, Ok(reply), link, shared);
    }

    pub(super) fn end(&mut self, at: u64, outcome: Result<Bytes, ExchangeError>, link: &mut Link, shared: &mut Shared) {
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
}
