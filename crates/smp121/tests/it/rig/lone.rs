//! One machine, and whatever a test says that peers send to it.

use super::{A, B, Seen, What, raw_ip};
use bytes::Bytes;
use smp121::machine::{
    Counters, DropReason, EndpointMachine, Event, ExchangeId, Input, MailslotId, RemoteId, Request, SendOptions,
    TransmitBatch,
};
use smp121::wire::{self, Data, Direction, NameReply, Outgoing, Position, PseudoHeader, Response};
use smp121::{Config, ConfigBuilder, ExchangeError};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use wirekit::datagram::PathError;
use wirekit::{Instant, Machine};

/// The machine lives at [`B`]; its peer at [`A`], unless a test takes others.
pub(crate) struct Lone {
    pub(crate) machine: EndpointMachine,
    pub(crate) now: Instant,
    batch: TransmitBatch,
}

/// A datagram that went out.
#[derive(Clone, Debug)]
pub(crate) struct Out {
    pub(crate) to: SocketAddr,
    pub(crate) dscp: u8,
    pub(crate) seen: Seen,
}

impl Lone {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(change: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Self {
        let config = change(Config::builder([7; 32])).build().unwrap();
        Self {
            machine: EndpointMachine::new(config),
            now: Instant::from_epoch(Duration::from_secs(1000)),
            batch: TransmitBatch::new(1024, 1 << 24),
        }
    }

    pub(crate) fn counters(&self) -> &Counters {
        self.machine.counters()
    }

    pub(crate) fn dropped(&self, reason: DropReason) -> u64 {
        self.counters().dropped_count(reason)
    }

    // What comes in.

    pub(crate) fn octets(&mut self, source: IpAddr, payload: &[u8]) {
        self.datagram(raw_ip(source), B, payload);
    }

    pub(crate) fn datagram(&mut self, source: SocketAddr, destination: IpAddr, payload: &[u8]) {
        self.machine.handle(self.now, Input::Datagram { source, destination, payload }).unwrap();
    }

    pub(crate) fn segment_from(&mut self, source: IpAddr, segment: &Outgoing<'_>, records: &[Response]) {
        let payload = encoded(source, segment, records);
        self.octets(source, &payload);
    }

    pub(crate) fn segment(&mut self, segment: &Outgoing<'_>, records: &[Response]) {
        self.segment_from(A, segment, records);
    }

    pub(crate) fn records(&mut self, records: &[Response]) {
        self.segment(&Outgoing::Responses, records);
    }

    pub(crate) fn name_request(&mut self, name: &[u8]) {
        self.segment(&Outgoing::NameRequest { name }, &[]);
    }

    pub(crate) fn name_reply(&mut self, number: u32, mailslot: u16, name: Option<&[u8]>) {
        let reply = NameReply { number, request_len_max: 100_000, mailslot, outstanding_max: 16, name };
        self.segment(&Outgoing::NameReply(reply), &[]);
    }

    /// A request that fits one segment.
    pub(crate) fn request(&mut self, number: u32, mailslot: u16, octets: &[u8]) {
        self.segment(&whole(Direction::Request, number, mailslot, octets), &[]);
    }

    pub(crate) fn reply(&mut self, number: u32, mailslot: u16, octets: &[u8]) {
        self.segment(&whole(Direction::Reply, number, mailslot, octets), &[]);
    }

    /// A part of a message: at offset 0 with `total`, elsewhere without.
    pub(crate) fn part(
        &mut self,
        direction: Direction,
        number: u32,
        mailslot: u16,
        offset: u32,
        total: u32,
        octets: &[u8],
    ) {
        self.segment(&part(direction, number, mailslot, offset, total, octets), &[]);
    }

    pub(crate) fn path_error(&mut self, error: &PathError) {
        self.machine.handle(self.now, Input::PathError(error)).unwrap();
    }

    // What goes out.

    /// Everything that goes out now.
    pub(crate) fn out(&mut self) -> Vec<Out> {
        let mut all = Vec::new();
        while self.machine.poll_transmit(self.now, &mut self.batch) {
            assert!(!self.batch.is_empty(), "true means something");
            for transmit in self.batch.iter() {
                let pseudo = PseudoHeader::between(transmit.source, transmit.destination.ip()).unwrap();
                all.push(Out {
                    to: transmit.destination,
                    dscp: transmit.dscp,
                    seen: Seen::read(transmit.payload, &pseudo),
                });
            }
            self.batch.clear();
            assert!(all.len() < 100_000, "a drain ends");
        }
        all
    }

    pub(crate) fn seen(&mut self) -> Vec<Seen> {
        self.out().into_iter().map(|out| out.seen).collect()
    }

    /// In lines, connection numbers counted from `base`.
    pub(crate) fn lines(&mut self, base: u32) -> Vec<String> {
        let label = |number: u32| number.wrapping_sub(base).cast_signed().to_string();
        self.seen().iter().map(|seen| seen.describe(&label)).collect()
    }

    /// What is due now is done.
    pub(crate) fn machine_timeout(&mut self) {
        self.machine.handle_timeout(self.now);
    }

    /// When the machine wants to be called.
    pub(crate) fn timer(&self) -> Option<Instant> {
        self.machine.poll_timeout().map(|deadline| deadline.at)
    }

    /// Nothing is to be sent.
    pub(crate) fn is_silent(&mut self) -> bool {
        self.out().is_empty()
    }

    /// Lets time pass, all timers at their instants; gives what went out meanwhile and when, counted from now.
    pub(crate) fn wait(&mut self, duration: Duration) -> Vec<(Duration, Seen)> {
        let (start, end) = (self.now, self.now + duration);
        let mut all = Vec::new();
        for round in 0.. {
            assert!(round < 100_000, "timers end");
            all.extend(self.seen().into_iter().map(|seen| (self.now - start, seen)));
            match self.machine.poll_timeout().filter(|deadline| deadline.at <= end) {
                Some(deadline) => {
                    self.now = self.now.max(deadline.at);
                    self.machine.handle_timeout(self.now);
                }
                None => break,
            }
        }
        self.now = end;
        all
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.machine.poll_event()).collect()
    }

    /// The outcomes among the events.
    pub(crate) fn outcomes(&mut self) -> Vec<(ExchangeId, Result<Bytes, ExchangeError>)> {
        let done = |event| match event {
            Event::Done { exchange, outcome } => Some((exchange, outcome)),
            _ => None,
        };
        self.events().into_iter().filter_map(done).collect()
    }

    // The application.

    pub(crate) fn define(&mut self, name: &[u8]) -> MailslotId {
        self.machine.define(name, 100_000).unwrap()
    }

    pub(crate) fn receive(&mut self, mailslot: MailslotId) -> Option<Request> {
        self.machine.receive(mailslot)
    }

    /// Everything that can be received and answered, in turn, is; the messages.
    pub(crate) fn serve(&mut self, mailslot: MailslotId, reply: &[u8]) -> Vec<Bytes> {
        let mut messages = Vec::new();
        while let Some(request) = self.machine.receive(mailslot) {
            self.machine.reply(self.now, request.id, Bytes::copy_from_slice(reply)).unwrap();
            messages.push(request.message);
        }
        messages
    }

    pub(crate) fn get(&mut self, name: &[u8]) -> RemoteId {
        self.machine.get(raw_ip(A), B, name).unwrap()
    }

    pub(crate) fn send(&mut self, remote: RemoteId, message: &[u8]) -> ExchangeId {
        self.send_with(remote, message, SendOptions::default())
    }

    pub(crate) fn send_with(&mut self, remote: RemoteId, message: &[u8], options: SendOptions) -> ExchangeId {
        self.machine.send(self.now, remote, Bytes::copy_from_slice(message), options).unwrap()
    }

    /// A mailslot of ours that the peer has the number of: the mailslot, and the first number of its range.
    pub(crate) fn server(&mut self) -> (MailslotId, u32) {
        let mailslot = self.define(b"printer");
        let number = self.offered(b"printer");
        (mailslot, number)
    }

    /// The number that a name request draws.
    pub(crate) fn offered(&mut self, name: &[u8]) -> u32 {
        self.name_request(name);
        let seen = self.seen();
        let number = seen.iter().find_map(|seen| match seen.what {
            What::NameReply { number, .. } => Some(number),
            _ => None,
        });
        number.expect("a name reply")
    }

    /// A mailslot of the peer's that was resolved 20 ms ago: number 9, range from `number`.
    pub(crate) fn client(&mut self, number: u32) -> RemoteId {
        let remote = self.get(b"printer");
        assert_eq!(self.machine.resolve(self.now, remote), Ok(None));
        assert_eq!(self.lines(number), ["name? printer"]);
        self.now = self.now + Duration::from_millis(20);
        self.name_reply(number, 9, Some(b"printer"));
        assert!(matches!(self.events()[..], [Event::Resolved { outcome: Ok(_), .. }]));
        remote
    }
}

pub(crate) fn whole<'a>(direction: Direction, number: u32, mailslot: u16, octets: &'a [u8]) -> Outgoing<'a> {
    part(direction, number, mailslot, 0, u32::try_from(octets.len()).unwrap(), octets)
}

pub(crate) fn part<'a>(
    direction: Direction,
    number: u32,
    mailslot: u16,
    offset: u32,
    total: u32,
    octets: &'a [u8],
) -> Outgoing<'a> {
    let position = if offset == 0 { Position::First { total } } else { Position::At { offset } };
    let end = offset.saturating_add(u32::try_from(octets.len()).unwrap());
    Outgoing::Data(Data { direction, number, mailslot, position, is_last: end == total, octets })
}

/// A segment from `source` to the machine.
pub(crate) fn encoded(source: IpAddr, segment: &Outgoing<'_>, records: &[Response]) -> Vec<u8> {
    let mut payload = Vec::new();
    let count = wire::encode(segment, records, &PseudoHeader::between(source, B).unwrap(), &mut payload);
    assert_eq!(count, records.len());
    payload
}
