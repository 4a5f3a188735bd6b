//! What is sent, in which order.

use super::EndpointMachine;
use super::inbound::OUTSTANDING_MAX;
use super::link::{Control, Link, Sender};
use super::num::to_u64;
use super::peers::Peer;
use super::shared::Shared;
use super::transfer::{NextPart, Transfer};
use super::transmit::TransmitBatch;
use crate::config::Addressing;
use crate::wire::{self, Data, Direction, HEADER_LEN, NameReply, Outgoing, PseudoHeader, reset_record};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// Answers to strangers that wait. More are dropped; their rate is limited anyway.
const STRANGER_COUNT_MAX: usize = 64;

/// Octets of a segment that is short for its records. Records never take more than half of one that carries data.
const RECORDS_SHARE: usize = 2;

/// Answers to those of whom nothing is to be remembered.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    queue: VecDeque<(SocketAddr, IpAddr, Control)>,
}

impl Strangers {
    pub(super) fn push(&mut self, destination: SocketAddr, source: IpAddr, control: Control) {
        if self.queue.len() < STRANGER_COUNT_MAX {
            self.queue.push_back((destination, source, control));
        }
    }

    fn send(&mut self, shared: &mut Shared, out: &mut TransmitBatch) -> bool {
        let mut sent = false;
        while out.has_room() {
            let Some((destination, source, control)) = self.queue.pop_front() else { break };
            let pseudo = match shared.config.addressing {
                Addressing::Ip => PseudoHeader::between(source, destination.ip()),
                Addressing::None => Some(PseudoHeader::None),
            };
            let Some(pseudo) = pseudo else { continue };
            let profile = shared.config.profile;
            let segment = match &control {
                Control::Reset { number, mailslot } => Outgoing::Reset { number: *number, mailslot: *mailslot },
                Control::NoSuchName { name } => no_such_name(name, profile.echoes_name),
                Control::NameRequest { .. } | Control::NameReply { .. } => continue,
            };
            let record = match control {
                Control::Reset { number, mailslot } => vec![reset_record(number, mailslot)],
                _ => Vec::new(),
            };
            shared.counters.resets_sent_count += u64::from(!record.is_empty());
            let (_, len) = out.push(destination, source, 0, |octets| wire::encode(&segment, &record, &pseudo, octets));
            count_sent(shared, len);
            sent = true;
        }
        sent
    }
}

impl EndpointMachine {
    pub(super) fn transmit(&mut self, out: &mut TransmitBatch) -> bool {
        let mut sent = self.strangers.send(&mut self.shared, out);
        while out.has_room() {
            let Some(key) = self.peers.next_work() else { break };
            let Some(peer) = self.peers.get_mut(key) else { continue };
            let mut has_more = true;
            while has_more && out.has_room() {
                has_more = peer.send_one(&mut self.shared, out);
                sent |= has_more;
            }
            self.peers.settle_timer(key);
            if has_more {
                self.peers.put_work_back(key);
            }
        }
        sent
    }
}

impl Peer {
    /// Appends one datagram. `false` where there is nothing that may go now.
    fn send_one(&mut self, shared: &mut Shared, out: &mut TransmitBatch) -> bool {
        self.send_control(shared, out) || self.send_part(shared, out) || self.send_responses(shared, out)
    }

    /// Name resolution and resets go first: they are short, and others wait for them.
    fn send_control(&mut self, shared: &mut Shared, out: &mut TransmitBatch) -> bool {
        while let Some(control) = self.link.control.pop_front() {
            let echoes_name = self.link.profile.echoes_name;
            match control {
                Control::NameRequest { remote } => {
                    let Self { remotes, link, .. } = self;
                    let remote = remotes.get_mut(super::num::to_usize(remote)).and_then(Option::as_mut);
                    let Some(remote) = remote.filter(|remote| remote.is_resolving()) else { continue };
                    emit(&Outgoing::NameRequest { name: &remote.name }, 0, link, shared, out);
                    remote.on_name_request_sent(link, shared.now);
                }
                Control::NameReply { number, mailslot } => {
                    let Some(mailslot) = shared.mailslots.by_number(mailslot) else { continue };
                    let name = mailslot.name.clone();
                    let reply = NameReply {
                        number,
                        request_len_max: mailslot.len_max.min(self.link.profile.offered_len_max),
                        mailslot: mailslot.id.number,
                        outstanding_max: OUTSTANDING_MAX,
                        name: echoes_name.then_some(&*name),
                    };
                    emit(&Outgoing::NameReply(reply), 0, &mut self.link, shared, out);
                }
                Control::NoSuchName { name } => {
                    emit(&no_such_name(&name, echoes_name), 0, &mut self.link, shared, out);
                }
                Control::Reset { number, mailslot } => {
                    shared.counters.resets_sent_count += 1;
                    let profile = self.link.profile;
                    if profile.sends_reset_record {
                        let record = reset_record(number, mailslot);
                        self.link.responses.push(record, shared.now);
                    }
                    let segment = if profile.sends_reset_flag {
                        Outgoing::Reset { number, mailslot }
                    } else {
                        Outgoing::Responses
                    };
                    emit(&segment, 0, &mut self.link, shared, out);
                }
            }
            return true;
        }
        false
    }

    /// The next part of a message: mailslots in turn, and of each the oldest message first. The peer serves them in order, so
    /// parts of later ones would only fill its memory. What is sent again does not wait for its turn.
    fn send_part(&mut self, shared: &mut Shared, out: &mut TransmitBatch) -> bool {
        for _ in 0..self.link.sending.len() {
            let Some(first) = self.link.sending.pop_front() else { return false };
            let sender = if self.is_urgent(first) { first } else { self.link.oldest_beside(first) };
            if sender != first {
                self.link.sending.retain(|other| *other != sender);
                self.link.sending.push_back(first);
            }
            let Self { remotes, inbound, link, .. } = self;
            let (outcome, has_more) = match sender {
                Sender::Request { remote, place } => {
                    let remote = remotes.get_mut(super::num::to_usize(remote)).and_then(Option::as_mut);
                    let Some(remote) = remote else { continue };
                    let Some(mailslot) = remote.mailslot() else { continue };
                    let turn = remote.turn_of(place);
                    let Some((transfer, dscp)) = remote.sending(turn) else { continue };
                    let head = Head { direction: Direction::Request, place: turn, mailslot, dscp };
                    let outcome = send_transfer(transfer, head, link, shared, out);
                    (outcome, outcome != Outcome::Blocked && remote.on_sent(turn, turn == place, link, shared.now))
                }
                Sender::Reply { mailslot, place } => {
                    let Some(inbound) = inbound.get_mut(&mailslot) else { continue };
                    let Some(transfer) = inbound.sending(place) else { continue };
                    let dscp = shared.mailslots.by_number(mailslot).map_or(0, |mailslot| mailslot.dscp);
                    let head = Head { direction: Direction::Reply, place, mailslot, dscp };
                    let outcome = send_transfer(transfer, head, link, shared, out);
                    (outcome, outcome != Outcome::Blocked && inbound.on_sent(place, link, shared))
                }
            };
            match outcome {
                Outcome::Blocked => {
                    // The window is full; what is urgent behind it may still go.
                    self.link.sending.push_back(sender);
                }
                Outcome::Sent => {
                    if has_more {
                        self.link.sending.push_back(sender);
                    }
                    return true;
                }
                Outcome::Nothing => {}
            }
        }
        false
    }

    fn is_urgent(&mut self, sender: Sender) -> bool {
        let transfer = match sender {
            Sender::Request { remote, place } => {
                let remote = self.remotes.get_mut(super::num::to_usize(remote)).and_then(Option::as_mut);
                remote.and_then(|remote| remote.sending(place)).map(|(transfer, _)| &*transfer)
            }
            Sender::Reply { mailslot, place } => {
                self.inbound.get_mut(&mailslot).and_then(|inbound| inbound.sending(place)).map(|transfer| &*transfer)
            }
        };
        transfer.is_some_and(Transfer::is_urgent)
    }

    /// Records that waited long enough for a segment to ride on.
    //= SMP121-A27
    fn send_responses(&mut self, shared: &mut Shared, out: &mut TransmitBatch) -> bool {
        if self.link.responses.due_at().is_none_or(|at| at > shared.now) {
            return false;
        }
        emit(&Outgoing::Responses, 0, &mut self.link, shared, out);
        true
    }
}

/// Which message a part is of.
#[derive(Clone, Copy)]
struct Head {
    direction: Direction,
    place: u64,
    mailslot: u16,
    dscp: u8,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Sent,
    /// The congestion window is full.
    Blocked,
    /// There is nothing to send any more.
    Nothing,
}

fn send_transfer(
    transfer: &mut Transfer,
    head: Head,
    link: &mut Link,
    shared: &mut Shared,
    out: &mut TransmitBatch,
) -> Outcome {
    if !transfer.wants_to_send() {
        return Outcome::Nothing;
    }
    link.on_idle(shared.now);
    let body_len_max = link.body_len_max();
    let number = super::window::number_at(head.place);
    if head.direction == Direction::Reply && !transfer.is_begun() {
        if !link.congestion.has_room(transfer.message().len().min(body_len_max)) {
            return Outcome::Blocked;
        }
        // The reply says that the request is here; one that waits for its turn does not.
        //= SMP121-R-B
        link.responses.forget_ack(number, head.mailslot);
    }
    // A message of one segment stays one, whatever waits to ride along.
    let records_len = if transfer.message().len() <= body_len_max {
        body_len_max - transfer.message().len()
    } else {
        link.responses.fitting_len(body_len_max / RECORDS_SHARE)
    };
    let data_len_max = if transfer.message().len() <= body_len_max { body_len_max } else { body_len_max - records_len };
    let part: NextPart = transfer.next_part(data_len_max);
    if !transfer.is_urgent() && !link.congestion.has_room(part.range.len()) {
        return Outcome::Blocked;
    }
    let message = transfer.message().clone();
    let data = Data {
        direction: head.direction,
        number,
        mailslot: head.mailslot,
        position: part.position,
        is_last: part.is_last,
        octets: message.get(part.range.clone()).unwrap_or_default(),
    };
    emit_with(&Outgoing::Data(data), records_len, head.dscp, link, shared, out);
    let before_len = transfer.flight_len();
    transfer.on_sent(&part, shared.now);
    link.congestion.moved(before_len, transfer.flight_len());
    shared.counters.resent_count += u64::from(part.is_again);
    Outcome::Sent
}

/// Appends a segment that has room for all records that may wait.
fn emit(segment: &Outgoing<'_>, dscp: u8, link: &mut Link, shared: &mut Shared, out: &mut TransmitBatch) {
    let data_len = match segment {
        Outgoing::NameRequest { name } => name.len() + 1,
        Outgoing::NameReply(reply) => 2 + reply.name.map_or(0, |name| name.len() + 1),
        _ => 0,
    };
    let records_len = link.body_len_max().saturating_sub(data_len);
    emit_with(segment, records_len, dscp, link, shared, out);
}

/// Appends a segment with as many records as fit into `records_len`.
//= SMP121-W24, SMP121-W25
fn emit_with(
    segment: &Outgoing<'_>,
    records_len: usize,
    dscp: u8,
    link: &mut Link,
    shared: &mut Shared,
    out: &mut TransmitBatch,
) {
    let pseudo = link.pseudo_header();
    let records = link.responses.fitting(records_len);
    let (record_count, len) =
        out.push(link.address, link.local, dscp, |octets| wire::encode(segment, records, &pseudo, octets));
    link.on_responses_sent(record_count);
    link.sent_at = shared.now;
    debug_assert!(len <= link.body_len_max() + HEADER_LEN, "a segment of {len} octets is too long for the path");
    count_sent(shared, len);
}

fn count_sent(shared: &mut Shared, len: usize) {
    shared.counters.datagrams_sent_count += 1;
    shared.counters.sent_len += to_u64(len);
}

/// The answer of the source to a name that nobody has: no outstanding messages.
//= SMP121-W19
const fn no_such_name(name: &[u8], echoes_name: bool) -> Outgoing<'_> {
    let name = if echoes_name { Some(name) } else { None };
    Outgoing::NameReply(NameReply { number: 0, request_len_max: 0, mailslot: 0, outstanding_max: 0, name })
}
