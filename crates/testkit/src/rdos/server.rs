//! The side that owns mailslots (facts 3, 4, 7 and 8).

use super::assembly::Assembly;
use super::defect::Defect;
use super::outbox::Outbox;
use super::segment::{Action, EOM, NAM, Outgoing, RPY, Response, SOM, Segment};
use super::{PEER_COUNT_MAX, WAITING_COUNT_MAX, WINDOW, below, until_nul, wide};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;

/// Numbers are selectors of the processor: never 0, eight apart. Which ones, the facts leave open.
const FIRST_NUMBER: u16 = 0x0108;
const NUMBER_STEP: u16 = 8;

/// How far a number jumps when its client asks for the name again.
const JUMP: u32 = 65_536;

/// A mailslot of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalMailslot(u16);

impl LocalMailslot {
    /// Its number on the wire.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// A request that the application has in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestTicket(u64);

#[derive(Debug)]
struct Request {
    client: Ipv4Addr,
    connection: u32,
    octets: Vec<u8>,
}

#[derive(Debug)]
struct Reply {
    octets: Vec<u8>,
    /// The last ACK offset: a resend begins there.
    acked_len: usize,
}

/// What a mailslot knows of one client. There is no timer here, and none anywhere else on this side.
#[derive(Debug)]
struct Window {
    next_expected: u32,
    assemblies: BTreeMap<u32, Assembly>,
    /// Kept until a full ACK or the next name request.
    replies: BTreeMap<u32, Reply>,
}

#[derive(Debug)]
struct Mailslot {
    number: u16,
    name: Vec<u8>,
    max_size: u32,
    windows: BTreeMap<Ipv4Addr, Window>,
    /// One queue for all clients.
    queue: VecDeque<Request>,
    in_service: Option<(RequestTicket, Ipv4Addr, u32)>,
}

#[derive(Debug)]
pub(super) struct Server {
    mailslots: Vec<Mailslot>,
    next_number: u16,
    next_ticket: u64,
}

impl Server {
    pub(super) const fn new() -> Self {
        Self { mailslots: Vec::new(), next_number: FIRST_NUMBER, next_ticket: 0 }
    }

    /// Tickets go on counting, so that one from before answers nothing.
    pub(super) fn reboot(&mut self) {
        self.mailslots.clear();
        self.next_number = FIRST_NUMBER;
    }

    pub(super) fn define(&mut self, name: &[u8], max_size: u32) -> LocalMailslot {
        let number = self.next_number;
        self.next_number = self.next_number.checked_add(NUMBER_STEP).unwrap_or(NUMBER_STEP);
        let (windows, queue) = (BTreeMap::new(), VecDeque::new());
        self.mailslots.push(Mailslot { number, name: name.to_vec(), max_size, windows, queue, in_service: None });
        LocalMailslot(number)
    }

    /// A receive buffer shorter than the mailslot's maximum lowers that (fact 11).
    pub(super) fn shorten(&mut self, mailslot: LocalMailslot, buffer_len: u32) {
        if let Some(mailslot) = self.by_number(mailslot.0) {
            mailslot.max_size = mailslot.max_size.min(buffer_len);
        }
    }

    /// The oldest request of a mailslot, `None` also while one is in hand: the one thread of a mailslot answers before it
    /// receives again. What the original does with a thread that does not, is lose or stall a request; nobody needs that.
    pub(super) fn receive(&mut self, mailslot: LocalMailslot) -> Option<(RequestTicket, Vec<u8>)> {
        let ticket = RequestTicket(self.next_ticket);
        let mailslot = self.by_number(mailslot.0).filter(|mailslot| mailslot.in_service.is_none())?;
        let Request { client, connection, octets } = mailslot.queue.pop_front()?;
        mailslot.in_service = Some((ticket, client, connection));
        self.next_ticket += 1;
        Some((ticket, octets))
    }

    /// Answers the request in hand, even where its number is long gone: the answer goes out under the old number, and is kept.
    pub(super) fn reply(&mut self, out: &mut Outbox, ticket: RequestTicket, octets: &[u8]) -> bool {
        let holds = |mailslot: &&mut Mailslot| mailslot.in_service.is_some_and(|(held, ..)| held == ticket);
        let Some(mailslot) = self.mailslots.iter_mut().find(holds) else { return false };
        let Some((_, client, connection)) = mailslot.in_service.take() else { return false };
        let reply = Reply { octets: octets.to_vec(), acked_len: 0 };
        send_reply(out, client, mailslot.number, connection, &reply);
        let Some(window) = mailslot.windows.get_mut(&client) else { return true };
        if window.replies.len() >= WAITING_COUNT_MAX {
            out.note(Defect::OutOfMemory);
        } else {
            window.replies.insert(connection, reply);
        }
        true
    }

    /// Of some mailslots of one name the newest answers; where there is none, nobody does.
    pub(super) fn handle_name_request(&mut self, out: &mut Outbox, ticks: u32, peer: Ipv4Addr, data: &[u8]) {
        let Some(name) = until_nul(data) else { return out.note(Defect::NameBeyondSegment { peer }) };
        let Some(mailslot) = self.mailslots.iter_mut().rev().find(|mailslot| mailslot.name == name) else { return };
        if mailslot.windows.len() >= PEER_COUNT_MAX && !mailslot.windows.contains_key(&peer) {
            return out.note(Defect::OutOfMemory);
        }
        let next_expected = mailslot.windows.get(&peer).map_or(ticks, |old| old.next_expected.wrapping_add(JUMP));
        let (assemblies, replies) = (BTreeMap::new(), BTreeMap::new());
        mailslot.windows.insert(peer, Window { next_expected, assemblies, replies });
        // Also at the first request of a client, where the facts do not tell apart.
        out.flush(peer);
        let data = [&WINDOW.to_be_bytes()[..], &mailslot.name, &[0]].concat();
        let (offset, mailslot) = (mailslot.max_size, mailslot.number);
        out.send(peer, Outgoing { connection: next_expected, offset, mailslot, flags: NAM | RPY, data: &data });
    }

    pub(super) fn handle_request(&mut self, out: &mut Outbox, peer: Ipv4Addr, segment: &Segment<'_>, data: &[u8]) {
        let connection = segment.connection;
        let response = |action| Response { connection, mailslot: segment.mailslot, action };
        // A number that is no mailslot, and a client that never asked for the name: the facts do not say. RESET, as for any
        // number outside of the window; otherwise nothing would heal after a reboot.
        let Some(mailslot) = self.by_number(segment.mailslot) else { return out.queue(peer, response(Action::Reset)) };
        let Some(window) = mailslot.windows.get_mut(&peer) else { return out.queue(peer, response(Action::Reset)) };
        if below(connection, window.next_expected) {
            return match window.replies.get(&connection) {
                Some(reply) => send_reply(out, peer, mailslot.number, connection, reply),
                // Answered and acknowledged, or still in the queue or in service: all the same here.
                None => out.queue(peer, response(Action::Reset)),
            };
        }
        if connection.wrapping_sub(window.next_expected) >= u32::from(WINDOW) {
            return out.queue(peer, response(Action::Reset));
        }
        let is_first = segment.has(SOM);
        let assembly = match window.assemblies.entry(connection) {
            Entry::Occupied(entry) => entry.into_mut(),
            // A part before the first one is dropped in silence.
            Entry::Vacant(_) if !is_first => return,
            // No place, and the number is not counted as used: all behind it wait for ever.
            Entry::Vacant(_) if segment.offset > mailslot.max_size => {
                return out.queue(peer, response(Action::TooLarge));
            }
            Entry::Vacant(entry) => entry.insert(Assembly::new(wide(segment.offset))),
        };
        if !assembly.store(if is_first { 0 } else { wide(segment.offset) }, data) {
            out.note(Defect::DuplicateCounted { peer, connection });
        }
        if connection == window.next_expected && assembly.is_complete() {
            mailslot.hand_over(out, peer);
        }
    }

    /// An ACK of a reply. Below a former one it says nothing, from the end of the reply on it ends the exchange.
    pub(super) fn handle_ack(&mut self, peer: Ipv4Addr, connection: u32, mailslot: u16, offset: u32) {
        let window = self.by_number(mailslot).and_then(|mailslot| mailslot.windows.get_mut(&peer));
        let Some(window) = window else { return };
        let Some(reply) = window.replies.get_mut(&connection) else { return };
        reply.acked_len = reply.acked_len.max(wide(offset));
        if reply.acked_len >= reply.octets.len() {
            window.replies.remove(&connection);
        }
    }

    fn by_number(&mut self, number: u16) -> Option<&mut Mailslot> {
        self.mailslots.iter_mut().find(|mailslot| mailslot.number == number)
    }
}

impl Mailslot {
    /// Hands the next request of `client` to the application, and with it all that follow without a gap, complete or not.
    fn hand_over(&mut self, out: &mut Outbox, client: Ipv4Addr) {
        let Some(window) = self.windows.get_mut(&client) else { return };
        while let Some(assembly) = window.assemblies.remove(&window.next_expected) {
            let connection = window.next_expected;
            window.next_expected = connection.wrapping_add(1);
            if !assembly.is_complete() {
                out.note(Defect::IncompleteRequest { mailslot: LocalMailslot(self.number), connection });
            }
            if self.queue.len() >= WAITING_COUNT_MAX {
                out.note(Defect::OutOfMemory);
            } else {
                self.queue.push_back(Request { client, connection, octets: assembly.into_octets() });
            }
        }
    }
}

/// Sends a reply from its last ACK offset on, whatever that is, as one segment that calls itself the whole.
fn send_reply(out: &mut Outbox, client: Ipv4Addr, mailslot: u16, connection: u32, reply: &Reply) {
    let offset = u32::try_from(reply.octets.len()).unwrap_or(u32::MAX);
    let data = reply.octets.get(reply.acked_len..).unwrap_or_default();
    out.send(client, Outgoing { connection, offset, mailslot, flags: RPY | SOM | EOM, data });
}
