//! An emulator of RDOS's implementation of SMP (IP protocol 121): what it says on the wire and what it takes from
//! there, with its defects, so that an implementation can be tested against the only other one that is known.
//!
//! It shares no code with the implementation under test: codec and checksum are its own. It does no I/O, and all that
//! depends on time or on the machine is handed in. What a real machine would not survive is noted in [`Host::crashes`].
//!
//! # What is modelled
//!
//! The numbers are those of the sections of `facts/smp121-rdos.md`, which lies with the other shared material beside
//! the repository; 0 sums up the others. Where it leaves a behaviour open, the plainest is taken and a comment beside
//! the code says so.
//!
//! - 1, header (`segment.rs`): 16 octets, big-endian, flags from the lowest bit on, no flag for a reset, reserved bits
//!   0 on the way out and ignored on the way in; the Length field written and never read; EOM written and never looked
//!   at.
//! - 2, checksum (`checksum.rs`): over the pseudo header with the length of the datagram; 0 is a sum like any other; a
//!   wrong one is dropped in silence.
//! - 1, order of dispatch (here): a name segment first (one with REQ and RPY is dropped with its records, one with
//!   neither counts for its records alone), then REQ, then RPY; REQ with RPY is a request. Records come before the data
//!   of their datagram.
//! - 4, response records (`outbox.rs`, here): RESET is action 1; all that wait for a host leave with any segment to it,
//!   newest first; an ACK not of size 4 does nothing; unknown actions up to 15 are stepped over; a higher one or a
//!   cut-off record drops the rest.
//! - 7, names (`server.rs`, `client.rs`): replies carry the name and are told apart by source and name alone; an
//!   unknown name is not answered; a valid name, or one with a 0 in mailslot, size or maximum, is not taken from a
//!   reply; a name request empties the window of that client and mailslot, jumps its number by 65536 and drops all
//!   records for that host.
//! - 3, numbers and windows (`server.rs`): the first is the tick counter; signed comparison; 16 from the next expected
//!   on; RESET outside, also for a duplicate of a request that is queued or in service; no RESET for a reply outside.
//! - 4 and 8, requests (`assembly.rs`, `server.rs`): parts are put together without any ACK; a part from below is
//!   counted as new; incomplete requests are handed over behind a complete one; TOO_LARGE leaves a hole for ever; one
//!   queue for each mailslot; no timer.
//! - 4 and 8, replies (`server.rs`, `client.rs`): one segment of any length; kept until a full ACK or a name request;
//!   resent for a duplicate request from the last ACK offset on, called the whole; the client takes the total for the
//!   length, cuts at the server's maximum, and overruns its caller's buffer.
//! - 5, ACKs (`client.rs`, `outbox.rs`): one, when a reply is complete, 1.0 to 1.1 s late unless a segment takes it
//!   along; never a second time.
//! - 6, timers (`client.rs`, here): a tick of 100 ms; requests after 3, 6, 12, 24, 24 s times the number in flight,
//!   names without that factor; never the end.
//! - 7, resets (`client.rs`): one mailslot at a time, requests in order of their places in the table behind those that
//!   wait, first sent again without any octets.
//! - 9 and 10, limits (`client.rs`): 16 places; one request too many after a resolution; places that are never freed
//!   again; a size check that reads the wrong field.
//! - 1, IPv4 (`ip.rs`): version 4, TTL 60, DF, no options out, no reassembly in.
//!
//! Of 11, the user's calls, only what shows on the wire. Not modelled, as nothing of it does: calls between two threads
//! of one machine, the end of a thread, usage counts of handles, and the estimator of round-trip times, which the
//! original never feeds, so that the timeout stays at 3 s.

mod assembly;
mod checksum;
mod client;
mod defect;
mod ip;
mod outbox;
mod segment;
mod server;

pub use client::{RemoteMailslot, SendTicket};
pub use defect::Defect;
pub use server::{LocalMailslot, RequestTicket};

use client::Client;
use core::time::Duration;
use outbox::Outbox;
use segment::{NAM, REQ, RPY, Record, Segment};
use server::Server;
use std::net::Ipv4Addr;
use wirekit::Instant;

/// How long the supervisor sleeps.
pub const TICK: Duration = Duration::from_millis(100);

/// How long a response waits for a segment to ride on. The next [`TICK`] sends it.
pub const ACK_DELAY: Duration = Duration::from_secs(1);

/// The timeout of every host, which the first resend of anything waits for.
pub const HOST_TIMEOUT: Duration = Duration::from_secs(3);

/// Steps of the tick counter in a millisecond.
pub const TICKS_PER_MS: u32 = 1193;

/// Requests a server takes from one client at once, and places in a client's table.
pub const WINDOW: u16 = 16;

/// The emulator's own bound on each of its queues. RDOS has none.
const WAITING_COUNT_MAX: usize = 4096;

/// The emulator's own bound on the hosts it knows. RDOS has none.
const PEER_COUNT_MAX: usize = 4096;

/// What a machine is before anything happens. Made with [`Config::new`] and changed field by field.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Its one address.
    pub address: Ipv4Addr,
    /// When it was switched on. The ticks of its supervisor are counted from here; their phase in a real machine is anyone's guess.
    pub booted_at: Instant,
    /// What the tick counter stood at then. Connection numbers begin with the counter at the first name request of a client.
    pub ticks_at_boot: u32,
    /// Whether its table of requests stalls for good where replies come out of order while it is full. True as in the original, as
    /// far as reading can tell; false for tests in which a stalled client would hide what they look for.
    pub stalls_when_full: bool,
}

impl Config {
    /// A machine at `address` that is switched on at `booted_at`, with its tick counter at 0x1000.
    #[must_use]
    pub const fn new(address: Ipv4Addr, booted_at: Instant) -> Self {
        Self { address, booted_at, ticks_at_boot: 0x1000, stalls_when_full: true }
    }
}

/// One RDOS machine. The calls for applications return at once where those of RDOS block.
#[derive(Debug)]
pub struct Host {
    config: Config,
    /// When the supervisor looks next.
    tick_at: Instant,
    packet_id: u16,
    out: Outbox,
    server: Server,
    client: Client,
}

impl Host {
    /// A machine without mailslots.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let (out, server, client) = (Outbox::new(config.address), Server::new(), Client::new(config.stalls_when_full));
        Self { config, tick_at: config.booted_at + TICK, packet_id: 0, out, server, client }
    }

    /// Its address.
    #[must_use]
    pub const fn address(&self) -> Ipv4Addr {
        self.config.address
    }

    /// Switches the machine off and on: mailslots, handles, tickets and all that waits are gone, calls with old ones find
    /// nothing. `ticks_at_boot` is what the tick counter stands at then. [`Host::crashes`] keeps what it has.
    pub fn reboot(&mut self, now: Instant, ticks_at_boot: u32) {
        self.config = Config { booted_at: now, ticks_at_boot, ..self.config };
        self.tick_at = now + TICK;
        self.packet_id = 0;
        self.out.reboot();
        self.server.reboot();
        self.client.reboot();
    }

    /// Defines a mailslot that takes messages of up to `max_size` octets. `name` has no NUL. Of equal names the newest is found.
    pub fn define(&mut self, name: &[u8], max_size: u32) -> LocalMailslot {
        self.server.define(name, max_size)
    }

    /// Receives into a buffer of `buffer_len` from now on, which lowers the mailslot's maximum where it is shorter.
    pub fn shorten_buffer(&mut self, mailslot: LocalMailslot, buffer_len: u32) {
        self.server.shorten(mailslot, buffer_len);
    }

    /// The oldest request of `mailslot`, whole as RDOS takes it to be. `None` also while the last one is not answered.
    pub fn receive(&mut self, mailslot: LocalMailslot) -> Option<(RequestTicket, Vec<u8>)> {
        self.server.receive(mailslot)
    }

    /// Answers a request. False where it is not the one in hand.
    pub fn reply(&mut self, now: Instant, ticket: RequestTicket, octets: &[u8]) -> bool {
        self.begin(now);
        self.server.reply(&mut self.out, ticket, octets)
    }

    /// The mailslot `name` of another machine, asked for at once the first time. It need not exist.
    pub fn get(&mut self, now: Instant, host: Ipv4Addr, name: &[u8]) -> RemoteMailslot {
        self.begin(now);
        self.client.get(&mut self.out, host, name)
    }

    /// Sends a request whose reply fits `max_reply_len` octets. `None` for a handle from before a reboot, and where RDOS's own
    /// check of the length, which looks at the wrong thing, fails.
    pub fn send(
        &mut self,
        now: Instant,
        mailslot: RemoteMailslot,
        octets: &[u8],
        max_reply_len: usize,
    ) -> Option<SendTicket> {
        self.begin(now);
        self.client.send(&mut self.out, mailslot, octets, max_reply_len)
    }

    /// The reply to a request, once.
    pub fn poll_reply(&mut self, ticket: SendTicket) -> Option<Vec<u8>> {
        self.client.poll_reply(ticket)
    }

    /// A datagram that came: what IP carried for protocol 121.
    pub fn handle_datagram(&mut self, now: Instant, source: Ipv4Addr, destination: Ipv4Addr, octets: &[u8]) {
        self.begin(now);
        if destination != self.config.address || checksum::of(source, destination, octets) != 0 {
            return;
        }
        // What RDOS does with less than a header the facts do not say; nothing is the plainest.
        let Some(segment) = Segment::decode(octets) else { return };
        let (is_request, is_reply) = (segment.has(REQ), segment.has(RPY));
        if segment.has(NAM) && is_request && is_reply {
            return;
        }
        let Some(data) = self.act_on_records(source, &segment) else { return };
        match (segment.has(NAM), is_request, is_reply) {
            (true, true, _) => self.server.handle_name_request(&mut self.out, self.config.ticks(now), source, data),
            (true, false, true) => self.client.handle_name_reply(&mut self.out, source, &segment, data),
            (false, true, _) => self.server.handle_request(&mut self.out, source, &segment, data),
            (false, false, true) => self.client.handle_reply(&mut self.out, source, &segment, data),
            (_, false, false) => {}
        }
    }

    /// The next segment to be sent: to whom, and what IP is to carry for protocol 121.
    pub fn poll_transmit(&mut self) -> Option<(Ipv4Addr, Vec<u8>)> {
        self.out.poll()
    }

    /// Lets the supervisor look where it is time.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.begin(now);
    }

    /// When the supervisor looks next; `None` while there is nothing that it could find.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let is_idle = self.client.is_idle() && self.out.is_idle();
        (!is_idle).then_some(self.tick_at)
    }

    /// What a real machine would not have survived so far, oldest first. Empty where the other side behaves.
    #[must_use]
    pub fn crashes(&self) -> &[Defect] {
        self.out.defects()
    }

    fn next_packet_id(&mut self) -> u16 {
        self.packet_id = self.packet_id.wrapping_add(1);
        self.packet_id
    }

    /// Every call begins with the tick that is due, if one is. Ticks that were missed are not made up for.
    fn begin(&mut self, now: Instant) {
        self.out.begin(now);
        if now < self.tick_at {
            return;
        }
        // The order of the two is open. This way an ACK can ride on a resend.
        self.client.supervise(&mut self.out);
        self.out.supervise();
        let late = (now - self.config.booted_at).as_nanos() % TICK.as_nanos();
        self.tick_at = now + (TICK - Duration::from_nanos(u64::try_from(late).unwrap_or(0)));
    }

    /// Acts on the records of a segment and returns its data, `None` where they take the data with them.
    fn act_on_records<'a>(&mut self, peer: Ipv4Addr, segment: &Segment<'a>) -> Option<&'a [u8]> {
        let mut rest = segment.body;
        for _ in 0..segment.response_count {
            let Some((record, behind)) = Record::decode(rest).filter(|(record, _)| record.action < 16) else {
                self.out.note(Defect::RecordsDropped { peer });
                return None;
            };
            self.act_on(peer, record);
            rest = behind;
        }
        Some(rest)
    }

    fn act_on(&mut self, peer: Ipv4Addr, record: Record<'_>) {
        let Record { connection, mailslot, action, data } = record;
        match action {
            1 => self.client.handle_reset(&mut self.out, peer, connection, mailslot),
            2 => {
                if let Ok(offset) = <[u8; 4]>::try_from(data) {
                    self.server.handle_ack(peer, connection, mailslot, u32::from_be_bytes(offset));
                }
            }
            4 => self.out.note(Defect::BusyTrap { peer }),
            // 3 is TOO_LARGE, and is ignored on both sides.
            _ => {}
        }
    }
}

impl Config {
    /// The low 32 bits of the tick counter.
    fn ticks(&self, now: Instant) -> u32 {
        let since_boot = (now - self.booted_at).as_nanos() * u128::from(TICKS_PER_MS) / 1_000_000;
        let low = u32::try_from(since_boot & u128::from(u32::MAX)).unwrap_or(0);
        self.ticks_at_boot.wrapping_add(low)
    }
}

/// How RDOS compares connection numbers: as signed ones, not around the circle.
const fn below(connection: u32, other: u32) -> bool {
    connection.cast_signed() < other.cast_signed()
}

/// The timeout after one more resend: 3, 6, 12, 24, 24 s.
fn doubled(timeout: Duration) -> Duration {
    if timeout <= Duration::from_secs(15) { timeout * 2 } else { timeout }
}

/// A name up to its NUL, `None` where there is none.
fn until_nul(data: &[u8]) -> Option<&[u8]> {
    let len = data.iter().position(|&octet| octet == 0)?;
    data.get(..len)
}

fn wide(len: u32) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
