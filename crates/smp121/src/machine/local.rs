//! Exchanges within the endpoint: no network, no segments, the same mailslots.

use super::SendOptions;
use super::event::{ExchangeId, MailslotId, PeerKey, RemoteId, Request, RequestId};
use super::mailslots::Turn;
use super::shared::Shared;
use crate::{ExchangeError, LimitExceeded, ReplyError, UsageError};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use wirekit::Instant;

/// A handle by the short way.
#[derive(Debug)]
struct Route {
    name: Box<[u8]>,
}

#[derive(Debug)]
struct Exchange {
    id: ExchangeId,
    mailslot: MailslotId,
    /// Until it is received.
    message: Option<Bytes>,
    reply_len_max: usize,
    deadline: Option<Instant>,
    is_abandoned: bool,
}

//= SMP121-U5
#[derive(Debug, Default)]
pub(super) struct Locals {
    routes: BTreeMap<u64, Route>,
    exchanges: BTreeMap<u64, Exchange>,
    deadlines: BTreeSet<(Instant, u64)>,
}

impl Locals {
    pub(super) fn get(&mut self, name: &[u8], shared: &mut Shared) -> RemoteId {
        let serial = shared.serial();
        self.routes.insert(serial, Route { name: name.into() });
        RemoteId { peer: PeerKey::LOCAL, remote: 0, serial }
    }

    pub(super) fn free(&mut self, remote: RemoteId) {
        self.routes.remove(&remote.serial);
    }

    /// What the mailslot takes; `None` where there is none of the name.
    pub(super) fn resolve(&self, remote: RemoteId, shared: &mut Shared) -> Result<Option<u32>, UsageError> {
        let route = self.routes.get(&remote.serial).ok_or(UsageError::Gone)?;
        Ok(shared.mailslots.by_name(&route.name).map(|mailslot| mailslot.len_max))
    }

    pub(super) fn send(
        &mut self,
        remote: RemoteId,
        message: Bytes,
        options: SendOptions,
        shared: &mut Shared,
    ) -> Result<ExchangeId, UsageError> {
        let route = self.routes.get(&remote.serial).ok_or(UsageError::Gone)?;
        let id = ExchangeId { serial: shared.serial(), remote };
        let waiting_max = shared.config.limits.waiting_count_max;
        let Some(mailslot) = shared.mailslots.by_name(&route.name) else {
            shared.done(id, Err(ExchangeError::NoSuchMailslot));
            return Ok(id);
        };
        let (len, max) = (message.len(), super::num::to_usize(mailslot.len_max));
        if len > max {
            return Err(UsageError::TooLarge { len, max });
        }
        if mailslot.turn_count() >= waiting_max {
            return Err(LimitExceeded::new("waiting_count_max", waiting_max, mailslot.turn_count() + 1).into());
        }
        mailslot.push(Turn::Local { serial: id.serial }, &mut shared.events);
        let deadline = options.timeout.map(|timeout| shared.now + timeout);
        self.deadlines.extend(deadline.map(|at| (at, id.serial)));
        let exchange = Exchange {
            id,
            mailslot: mailslot.id,
            message: Some(message),
            reply_len_max: options.reply_len_max,
            deadline,
            is_abandoned: false,
        };
        self.exchanges.insert(id.serial, exchange);
        Ok(id)
    }

    /// Hands a request to the application. `None` where nobody waits for its reply any more.
    pub(super) fn receive(&mut self, serial: u64, shared: &mut Shared) -> Option<Request> {
        let exchange = self.exchanges.get_mut(&serial)?;
        if exchange.is_abandoned {
            self.exchanges.remove(&serial);
            return None;
        }
        let id = RequestId { peer: PeerKey::LOCAL, mailslot: exchange.mailslot, place: 0, serial };
        shared.counters.requests_count += 1;
        Some(Request { id, source: None, message: exchange.message.take()? })
    }

    pub(super) fn reply(&mut self, serial: u64, reply: Bytes, shared: &mut Shared) -> Result<(), ReplyError> {
        let exchange = self.exchanges.remove(&serial).ok_or(ReplyError::Void)?;
        if let Some(at) = exchange.deadline {
            self.deadlines.remove(&(at, serial));
        }
        shared.counters.replies_count += 1;
        if exchange.is_abandoned {
            return Err(ReplyError::Void);
        }
        let (len, max) = (reply.len(), exchange.reply_len_max);
        let outcome = if len > max { Err(ExchangeError::ReplyTooLarge { len, max }) } else { Ok(reply) };
        shared.counters.exchanges_count += u64::from(outcome.is_ok());
        shared.done(exchange.id, outcome);
        Ok(())
    }

    pub(super) fn cancel(&mut self, serial: u64) {
        if let Some(exchange) = self.exchanges.get_mut(&serial) {
            exchange.is_abandoned = true;
        }
    }

    /// A mailslot is gone, and what waited in it.
    pub(super) fn on_mailslot_gone(&mut self, id: MailslotId, shared: &mut Shared) {
        let (gone, left) =
            core::mem::take(&mut self.exchanges).into_iter().partition(|(_, other)| other.mailslot == id);
        self.exchanges = left;
        let gone: BTreeMap<u64, Exchange> = gone;
        for (serial, exchange) in gone {
            if let Some(at) = exchange.deadline {
                self.deadlines.remove(&(at, serial));
            }
            if !exchange.is_abandoned {
                shared.done(exchange.id, Err(ExchangeError::MailslotGone));
            }
        }
    }

    pub(super) fn handle_timeout(&mut self, shared: &mut Shared) {
        while let Some((at, serial)) = self.deadlines.first().copied()
            && at <= shared.now
        {
            self.deadlines.pop_first();
            if let Some(exchange) = self.exchanges.get_mut(&serial)
                && !core::mem::replace(&mut exchange.is_abandoned, true)
            {
                exchange.deadline = None;
                shared.done(exchange.id, Err(ExchangeError::Timeout));
            }
        }
    }

    pub(super) fn next_timer(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }
}
