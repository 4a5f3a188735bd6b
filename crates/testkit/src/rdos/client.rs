//! The side that sends requests (facts 3 to 9).

use super::assembly::UNWRITTEN;
use super::defect::Defect;
use super::outbox::Outbox;
use super::segment::{Action, EOM, NAM, Outgoing, REQ, Response, SOM, Segment};
use super::{HOST_TIMEOUT, WAITING_COUNT_MAX, WINDOW, below, doubled, until_nul, wide};
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use wirekit::Instant;

/// A mailslot of another machine, as `get` gave it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RemoteMailslot(u64);

/// A request that was sent, or waits to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SendTicket(u64);

#[derive(Debug)]
struct Request {
    ticket: SendTicket,
    octets: Vec<u8>,
    /// The caller's buffer for the reply.
    buffer_len: usize,
    /// Octets sent so far. The resend timer sets it back, a RESET forgets to.
    sent_len: usize,
    connection: u32,
    sent_at: Instant,
    timeout: Duration,
}

#[derive(Debug)]
struct Mailslot {
    handle: RemoteMailslot,
    host: Ipv4Addr,
    name: Vec<u8>,
    is_valid: bool,
    number: u16,
    max_size: u32,
    max_outstanding: u16,
    /// Numbers of the oldest request in the table and of the next one to go into it. What lies between is in flight.
    oldest: u32,
    next: u32,
    /// The place of the oldest. The table is a ring of as many places as the peer allows; the real one has 16 at all times.
    head: u16,
    table: BTreeMap<u16, Request>,
    waiting: VecDeque<Request>,
    name_sent_at: Instant,
    name_timeout: Duration,
}

#[derive(Debug)]
pub(super) struct Client {
    stalls_when_full: bool,
    mailslots: Vec<Mailslot>,
    replies: BTreeMap<SendTicket, Vec<u8>>,
    next_handle: u64,
    next_ticket: u64,
}

impl Client {
    pub(super) const fn new(stalls_when_full: bool) -> Self {
        Self { stalls_when_full, mailslots: Vec::new(), replies: BTreeMap::new(), next_handle: 0, next_ticket: 0 }
    }

    /// Handles and tickets go on counting, so that those from before mean nothing.
    pub(super) fn reboot(&mut self) {
        self.mailslots.clear();
        self.replies.clear();
    }

    /// One object for each host and name, however often it is asked for. A new one asks for its number at once.
    pub(super) fn get(&mut self, out: &mut Outbox, host: Ipv4Addr, name: &[u8]) -> RemoteMailslot {
        if let Some(known) = self.mailslots.iter().find(|mailslot| mailslot.host == host && mailslot.name == name) {
            return known.handle;
        }
        let handle = RemoteMailslot(self.next_handle);
        self.next_handle += 1;
        let mut mailslot = Mailslot {
            handle,
            host,
            name: name.to_vec(),
            is_valid: false,
            number: 0,
            max_size: 0,
            max_outstanding: 0,
            oldest: 0,
            next: 0,
            head: 0,
            table: BTreeMap::new(),
            waiting: VecDeque::new(),
            name_sent_at: out.now(),
            name_timeout: HOST_TIMEOUT,
        };
        mailslot.ask_for_name(out);
        self.mailslots.push(mailslot);
        handle
    }

    pub(super) fn send(
        &mut self,
        out: &mut Outbox,
        handle: RemoteMailslot,
        octets: &[u8],
        buffer_len: usize,
    ) -> Option<SendTicket> {
        let mailslot = self.mailslots.iter_mut().find(|mailslot| mailslot.handle == handle)?;
        if !mailslot.passes_size_check(octets.len()) || mailslot.waiting.len() >= WAITING_COUNT_MAX {
            return None;
        }
        let ticket = SendTicket(self.next_ticket);
        self.next_ticket += 1;
        let (connection, sent_at, timeout) = (0, out.now(), HOST_TIMEOUT);
        let octets = octets.to_vec();
        mailslot.waiting.push_back(Request { ticket, octets, buffer_len, sent_len: 0, connection, sent_at, timeout });
        mailslot.fill_table(out);
        Some(ticket)
    }

    pub(super) fn poll_reply(&mut self, ticket: SendTicket) -> Option<Vec<u8>> {
        self.replies.remove(&ticket)
    }

    /// A name reply belongs to the mailslot of its source whose name it repeats; nothing else ties it to a request.
    pub(super) fn handle_name_reply(&mut self, out: &mut Outbox, peer: Ipv4Addr, segment: &Segment<'_>, data: &[u8]) {
        let Some((max_outstanding, name)) =
            data.split_first_chunk().and_then(|(max, name)| Some((max, until_nul(name)?)))
        else {
            return out.note(Defect::NameBeyondSegment { peer });
        };
        let max_outstanding = u16::from_be_bytes(*max_outstanding);
        let asks = |mailslot: &&mut Mailslot| mailslot.host == peer && mailslot.name == name;
        let Some(mailslot) = self.mailslots.iter_mut().find(asks) else { return };
        if mailslot.is_valid || segment.mailslot == 0 || segment.offset == 0 || max_outstanding == 0 {
            return;
        }
        if max_outstanding > WINDOW {
            out.note(Defect::TableOverrun { peer, max_outstanding });
        }
        mailslot.is_valid = true;
        mailslot.number = segment.mailslot;
        mailslot.max_size = segment.offset;
        mailslot.max_outstanding = max_outstanding;
        (mailslot.oldest, mailslot.next, mailslot.head) = (segment.connection, segment.connection, 0);
        mailslot.activate(out);
    }

    /// A segment of a reply. Whatever does not belong to a request in flight is dropped without a word, not even the ACK again.
    pub(super) fn handle_reply(&mut self, out: &mut Outbox, peer: Ipv4Addr, segment: &Segment<'_>, data: &[u8]) {
        let Some(mailslot) = self.by_number(peer, segment.mailslot) else { return };
        let Some(place) = mailslot.find(segment.connection) else { return };
        // Only a first segment begins a reply, and each first segment ends it: there is never one that others could join.
        if !segment.has(SOM) {
            return;
        }
        let (connection, number) = (segment.connection, segment.mailslot);
        if segment.offset > mailslot.max_size {
            out.queue(peer, Response { connection, mailslot: number, action: Action::TooLarge });
        }
        // The total is taken for the number of octets present; one above the server's own maximum is cut to that.
        let reply_len = segment.offset.min(mailslot.max_size);
        let Some(request) = mailslot.table.remove(&place) else { return };
        out.queue(peer, Response { connection, mailslot: number, action: Action::Ack(reply_len) });
        let reply = request.take_reply(out, peer, wide(reply_len), data);
        self.replies.insert(request.ticket, reply);
        let stalls_when_full = self.stalls_when_full;
        if let Some(mailslot) = self.by_number(peer, number) {
            mailslot.release(out, place, stalls_when_full);
        }
    }

    /// Obeyed for numbers in flight; whether the request is still open is not looked at.
    pub(super) fn handle_reset(&mut self, out: &mut Outbox, peer: Ipv4Addr, connection: u32, number: u16) {
        let Some(mailslot) = self.by_number(peer, number) else { return };
        if mailslot.index(connection).is_none() {
            return;
        }
        mailslot.is_valid = false;
        out.flush(peer);
        // In order of places, not of age, and behind those that never had one.
        mailslot.waiting.extend(core::mem::take(&mut mailslot.table).into_values());
        (mailslot.oldest, mailslot.next, mailslot.head) = (0, 0, 0);
        mailslot.name_timeout = HOST_TIMEOUT;
        mailslot.ask_for_name(out);
    }

    /// Resends names and requests that are due. Never gives up.
    pub(super) fn supervise(&mut self, out: &mut Outbox) {
        for mailslot in &mut self.mailslots {
            if mailslot.is_valid {
                mailslot.resend(out);
            } else if out.now() - mailslot.name_sent_at >= mailslot.name_timeout {
                mailslot.name_timeout = doubled(mailslot.name_timeout);
                mailslot.ask_for_name(out);
            }
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.mailslots.iter().all(|mailslot| mailslot.is_valid && mailslot.table.is_empty())
    }

    fn by_number(&mut self, host: Ipv4Addr, number: u16) -> Option<&mut Mailslot> {
        let is_it = |mailslot: &&mut Mailslot| mailslot.is_valid && mailslot.host == host && mailslot.number == number;
        self.mailslots.iter_mut().find(is_it)
    }
}

impl Mailslot {
    /// The name, with its NUL; all else 0.
    fn ask_for_name(&mut self, out: &mut Outbox) {
        self.name_sent_at = out.now();
        let data = [&self.name[..], &[0]].concat();
        out.send(self.host, Outgoing { flags: NAM | REQ, data: &data, ..Outgoing::default() });
    }

    /// The check of the original, which reads the wrong field: number + 65536 x (low 16 bits of the maximum). Before the first
    /// resolution there is nothing to read; the facts let such requests wait, so here they pass.
    fn passes_size_check(&self, len: usize) -> bool {
        self.number == 0 || len as u64 <= u64::from(self.number) + (u64::from(self.max_size & 0xffff) << 16)
    }

    fn in_flight_count(&self) -> u32 {
        self.next.wrapping_sub(self.oldest)
    }

    /// How far `connection` is from the oldest in flight. The comparison is signed, so that numbers past 0x7fff_ffff are lost
    /// while older ones are in flight.
    fn index(&self, connection: u32) -> Option<u32> {
        let index = connection.wrapping_sub(self.oldest);
        (!below(connection, self.oldest) && index < self.in_flight_count()).then_some(index)
    }

    /// The place of the request in flight with this number. That it is still this request which has it, is not looked at.
    fn find(&self, connection: u32) -> Option<u16> {
        let place = self.place(self.index(connection)?);
        self.table.contains_key(&place).then_some(place)
    }

    /// The place `index` behind the oldest. A valid mailslot has at least one.
    fn place(&self, index: u32) -> u16 {
        let place = (u64::from(self.head) + u64::from(index)) % u64::from(self.max_outstanding.max(1));
        u16::try_from(place).unwrap_or(0)
    }

    /// After a resolution: sends what waits until more than the maximum is in flight, which is one too late.
    fn activate(&mut self, out: &mut Outbox) {
        while self.in_flight_count() <= u32::from(self.max_outstanding) {
            let Some(request) = self.waiting.pop_front() else { return };
            self.put_into_table(out, request);
        }
    }

    /// At all other times: sends what waits while there is a place.
    fn fill_table(&mut self, out: &mut Outbox) {
        while self.is_valid && self.in_flight_count() < u32::from(self.max_outstanding) {
            let Some(request) = self.waiting.pop_front() else { return };
            self.put_into_table(out, request);
        }
    }

    fn put_into_table(&mut self, out: &mut Outbox, mut request: Request) {
        let place = self.place(self.in_flight_count());
        request.connection = self.next;
        request.timeout = HOST_TIMEOUT;
        self.next = self.next.wrapping_add(1);
        request.send(out, self.host, self.number);
        if let Some(forgotten) = self.table.insert(place, request) {
            out.note(Defect::OldestForgotten { ticket: forgotten.ticket });
        }
    }

    /// Frees places after the request at `place` was answered.
    ///
    /// The facts know that this can stall for good where replies come out of order while the table is full, not how. Here: a
    /// full table frees its oldest place only for the answer to the oldest request, and no other; one that is not full frees all that
    /// are empty up to the oldest open request.
    fn release(&mut self, out: &mut Outbox, place: u16, stalls_when_full: bool) {
        let is_full = stalls_when_full && self.in_flight_count() >= u32::from(self.max_outstanding);
        if is_full && place == self.head {
            self.free_oldest();
        }
        while !is_full && self.in_flight_count() > 0 && !self.table.contains_key(&self.head) {
            self.free_oldest();
        }
        self.fill_table(out);
        if self.in_flight_count() >= u32::from(self.max_outstanding) && self.table.is_empty() {
            out.note(Defect::SlotsStalled { peer: self.host });
        }
    }

    fn free_oldest(&mut self) {
        self.head = self.place(1);
        self.oldest = self.oldest.wrapping_add(1);
    }

    /// Resends whole messages. The more requests are in flight the longer each waits.
    fn resend(&mut self, out: &mut Outbox) {
        let in_flight_count = self.in_flight_count();
        let mut due: Vec<_> = self.table.values_mut().collect();
        due.retain(|request| out.now() - request.sent_at >= request.timeout.saturating_mul(in_flight_count));
        due.sort_by_key(|request| request.connection.wrapping_sub(self.oldest));
        for request in due {
            request.sent_len = 0;
            request.timeout = doubled(request.timeout);
            request.send(out, self.host, self.number);
        }
    }
}

impl Request {
    /// Sends all that was not sent yet as one segment that calls itself the whole.
    fn send(&mut self, out: &mut Outbox, host: Ipv4Addr, mailslot: u16) {
        let offset = u32::try_from(self.octets.len()).unwrap_or(u32::MAX);
        let data = self.octets.get(self.sent_len..).unwrap_or_default();
        out.send(host, Outgoing { connection: self.connection, offset, mailslot, flags: REQ | SOM | EOM, data });
        self.sent_len = self.octets.len();
        self.sent_at = out.now();
    }

    /// `reply_len` octets from the place where `data` begins, into the caller's buffer, whether they are there or not.
    fn take_reply(&self, out: &mut Outbox, peer: Ipv4Addr, reply_len: usize, data: &[u8]) -> Vec<u8> {
        if data.len() < reply_len {
            let (taken_len, present_len) = (reply_len, data.len());
            out.note(Defect::ReplyBeyondSegment { peer, taken_len, present_len });
        }
        if reply_len > self.buffer_len {
            out.note(Defect::ReplyBeyondBuffer { ticket: self.ticket, reply_len, buffer_len: self.buffer_len });
        }
        let len = reply_len.min(self.buffer_len);
        let present = data.get(..len).unwrap_or(data);
        let mut reply = present.to_vec();
        reply.resize(len, UNWRITTEN);
        reply
    }
}
