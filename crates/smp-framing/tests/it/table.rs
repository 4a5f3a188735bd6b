//! A machine on a table: time by hand, octets by hand.

use bytes::BufMut;
use smp_framing::machine::{Command, ConnectionMachine, Event, Input, UsageError};
use smp_framing::wire::{Decoder, ReceiveBuffer, TransmitBuffer};
use smp_framing::{Arguments, Code, Config, ConfigBuilder, FrameIdent, Limits, Unit};
use std::time::Duration;
use wirekit::{Instant, Machine};

/// One machine, its time, and what it said.
pub(crate) struct Table {
    pub(crate) machine: ConnectionMachine,
    pub(crate) now: Instant,
    decoder: Decoder,
}

pub(crate) fn quiet() -> ConfigBuilder {
    Config::builder().with_heartbeat_interval(None).with_peer_timeout(None)
}

pub(crate) fn with_limits(change: impl FnOnce(&mut Limits)) -> ConfigBuilder {
    let mut limits = Limits::default();
    change(&mut limits);
    quiet().with_limits(limits)
}

impl Table {
    pub(crate) fn new(config: ConfigBuilder) -> Self {
        let now = Instant::EPOCH;
        let machine = ConnectionMachine::new(now, config.build().unwrap());
        Self { machine, now, decoder: Decoder::new(Decoder::UNIT_LEN_MAX) }
    }

    /// Hands octets in, polling events so that there is always room.
    pub(crate) fn receive(&mut self, octets: &[u8]) -> Vec<Event> {
        let mut buffer = ReceiveBuffer::from(octets);
        let mut events = Vec::new();
        loop {
            let before = (buffer.len(), events.len());
            self.machine.handle(self.now, Input::Received(&mut buffer)).unwrap();
            events.extend(self.events());
            if (buffer.len(), events.len()) == before {
                return events;
            }
        }
    }

    pub(crate) fn receive_units(&mut self, units: &[Unit]) -> Vec<Event> {
        let octets: Vec<u8> = units.iter().flat_map(|unit| unit.to_octets().unwrap()).collect();
        self.receive(&octets)
    }

    pub(crate) fn end_of_stream(&mut self) -> Vec<Event> {
        self.machine.handle(self.now, Input::ReceivedEof { missing_len: 0 }).unwrap();
        self.events()
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.machine.poll_event()).collect()
    }

    pub(crate) fn command(&mut self, command: Command) -> Result<(), UsageError> {
        self.machine.handle(self.now, Input::Command(command))
    }

    pub(crate) fn send(&mut self, message: impl Into<Arguments>) {
        self.machine.send(message.into()).unwrap();
    }

    /// Lets time pass and fires what is due on the way, in order.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.machine.poll_timeout().filter(|deadline| deadline.at <= end) {
            self.now = self.now.max(deadline.at);
            self.machine.handle_timeout(self.now);
        }
        self.now = end;
    }

    /// One buffer full, as units.
    pub(crate) fn transmit_once(&mut self) -> Vec<Unit> {
        let mut out = TransmitBuffer::new();
        self.machine.poll_transmit(self.now, &mut out);
        let mut octets = ReceiveBuffer::new();
        octets.incoming().put(&mut out);
        let units = std::iter::from_fn(|| self.decoder.decode(&mut octets).unwrap()).collect();
        assert!(octets.is_empty(), "a transmit ends at a boundary");
        units
    }

    /// Everything there is to send, as units.
    pub(crate) fn transmit(&mut self) -> Vec<Unit> {
        let mut units = Vec::new();
        loop {
            let more = self.transmit_once();
            if more.is_empty() {
                return units;
            }
            units.extend(more);
        }
    }

    pub(crate) fn transmit_codes(&mut self) -> Vec<Code> {
        self.transmit().iter().map(Unit::code).collect()
    }
}

pub(crate) fn plain(code: Code, arguments: impl Into<Arguments>) -> Unit {
    Unit::plain(code, arguments).unwrap()
}

pub(crate) fn frame(code: Code, id: u16, number: u32, arguments: impl Into<Arguments>) -> Unit {
    Unit::frame(code, FrameIdent { id, number }, arguments).unwrap()
}

/// The number of an ERROR unit.
pub(crate) fn error_number(unit: &Unit) -> u16 {
    assert_eq!(unit.code(), Code::Error, "{unit:?}");
    std::str::from_utf8(unit.arguments().get(0).unwrap()).unwrap().parse().unwrap()
}
