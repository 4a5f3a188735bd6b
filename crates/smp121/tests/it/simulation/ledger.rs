//! Who asked what, how often it was served, and what came back.

use bytes::Bytes;
use smp121::ExchangeError;
use std::collections::{BTreeMap, BTreeSet};
use testkit::Rng;
use wirekit::Instant;

/// A request of the simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RequestName {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) incarnation: u64,
    pub(super) serial: u64,
}

#[derive(Debug)]
struct Record {
    message: Bytes,
    served_count: u64,
    /// One of its two ends restarted after it was sent, so it may run again.
    is_excused: bool,
    is_cancelled: bool,
    outcome: Option<Result<(), ExchangeError>>,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    records: BTreeMap<RequestName, Record>,
    by_message: BTreeMap<Bytes, RequestName>,
    /// The last request that was served, by sender and its life, and receiver and its life.
    last_served: BTreeMap<(usize, u64, usize, u64), u64>,
    restarted: BTreeSet<(usize, usize)>,
    pub(super) trace: u64,
}

/// The reply to a request: any octets that only this request gives.
fn reply_to(message: &[u8], len_max: usize) -> Bytes {
    let seed = message
        .iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, octet| (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3));
    let mut rng = Rng::new(seed);
    let len = rng.range(0..len_max);
    rng.bytes(len).into()
}

impl Ledger {
    /// A message of about `len` octets that no other request has.
    pub(super) fn new_request(&mut self, name: RequestName, len: usize, seed: u64) -> Bytes {
        let mut message = format!("{} {} {} {};", name.from, name.to, name.incarnation, name.serial).into_bytes();
        let stream = name.serial * 64 + (name.from * 8 + name.to) as u64;
        message.extend(Rng::with_stream(seed, stream).bytes(len.saturating_sub(message.len())));
        let message = Bytes::from(message);
        let record =
            Record { message: message.clone(), served_count: 0, is_excused: false, is_cancelled: false, outcome: None };
        self.records.insert(name, record);
        self.by_message.insert(message.clone(), name);
        message
    }

    pub(super) fn on_cancelled(&mut self, name: RequestName) {
        if let Some(record) = self.records.get_mut(&name) {
            record.is_cancelled = true;
        }
    }

    /// A node lost its memory: what it was part of may be served again.
    pub(super) fn on_reboot(&mut self, node: usize) {
        for (name, record) in &mut self.records {
            if (name.from == node || name.to == node) && record.outcome.is_none() {
                record.is_excused = true;
                self.restarted.insert((name.from, name.to));
            }
        }
    }

    /// A node serves a request. Says what to reply.
    pub(super) fn on_service(
        &mut self,
        node: usize,
        life: u64,
        from: usize,
        message: &Bytes,
        len_max: usize,
    ) -> Result<Bytes, String> {
        let name =
            *self.by_message.get(message).ok_or("a request was served that nobody sent, or with other octets")?;
        let record = self.records.get_mut(&name).ok_or("no record")?;
        if (name.to, name.from) != (node, from) {
            return Err(format!("{name:?} was served by node {node} for node {from}"));
        }
        record.served_count += 1;
        if record.served_count > 1 && !record.is_excused {
            return Err(format!("{name:?} was served {} times though nobody restarted", record.served_count));
        }
        let last = self.last_served.insert((name.from, name.incarnation, node, life), name.serial);
        if let Some(last) = last.filter(|last| *last >= name.serial)
            && !record.is_excused
        {
            return Err(format!("{name:?} was served after request {last}"));
        }
        Ok(reply_to(message, len_max))
    }

    pub(super) fn on_done(
        &mut self,
        name: RequestName,
        outcome: Result<&Bytes, ExchangeError>,
        len_max: usize,
    ) -> Result<(), String> {
        let record = self.records.get_mut(&name).ok_or("an exchange ended that was never begun")?;
        if let Ok(reply) = outcome {
            if record.served_count == 0 {
                return Err(format!("{name:?} has a reply and was never served"));
            }
            if *reply != reply_to(&record.message, len_max) {
                return Err(format!("{name:?} has the wrong reply of {} octets", reply.len()));
            }
        }
        record.outcome = Some(outcome.map(|_| ()));
        Ok(())
    }

    pub(super) fn check_end(&self) -> Result<(), String> {
        for (name, record) in &self.records {
            let is_over = record.outcome.is_some() || record.is_cancelled || record.is_excused;
            if !is_over {
                return Err(format!("{name:?} never ended"));
            }
        }
        Ok(())
    }

    pub(super) fn ok_count(&self) -> usize {
        self.records.values().filter(|record| record.outcome == Some(Ok(()))).count()
    }

    /// Remembers what arrived, in a hash that two runs of one seed must agree on.
    pub(super) fn trace(&mut self, now: Instant, node: usize, datagram: &[u8]) {
        let head = now.since_epoch().as_nanos().to_be_bytes();
        for octet in head.iter().chain(&[u8::try_from(node).unwrap()]).chain(datagram) {
            self.trace = (self.trace ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
