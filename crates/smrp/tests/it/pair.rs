//! Two sessions joined by hand, without a carrier.

use bytes::BytesMut;
use core::time::Duration;
use smrp::wire::Security;
use smrp::{Config, Event, Input, Role, SessionMachine, Transmit};
use std::sync::Arc;
use wirekit::{Instant, Machine};

pub(crate) struct End {
    pub(crate) session: SessionMachine,
    pub(crate) inbox: BytesMut,
    pub(crate) events: Vec<Event>,
}

pub(crate) struct Pair {
    pub(crate) a: End,
    pub(crate) b: End,
    pub(crate) now: Instant,
    /// Octets that travel at once; everything where it is 0.
    pub(crate) piece_len: usize,
}

pub(crate) fn config() -> Config {
    Config::new(Security::Plaintext, true)
}

impl End {
    pub(crate) fn new(role: Role, config: Config, now: Instant, seed: u8) -> Self {
        let session = SessionMachine::new(role, Arc::new(config), [seed; 32], now).unwrap();
        Self { session, inbox: BytesMut::new(), events: Vec::new() }
    }

    pub(crate) fn transmit(&mut self, now: Instant) -> Vec<u8> {
        let mut transmit = Transmit::new(1 << 20);
        let mut out = Vec::new();
        while self.session.poll_transmit(now, &mut transmit) {
            out.extend_from_slice(&transmit.take());
        }
        out
    }

    pub(crate) fn receive(&mut self, now: Instant, octets: &[u8]) {
        self.inbox.extend_from_slice(octets);
        self.session.handle(now, Input::Received(&mut self.inbox)).unwrap();
    }

    pub(crate) fn collect(&mut self) {
        while let Some(event) = self.session.poll_event() {
            self.events.push(event);
        }
    }

    /// Takes the events so far.
    pub(crate) fn events(&mut self) -> Vec<Event> {
        self.collect();
        core::mem::take(&mut self.events)
    }

    pub(crate) fn opened(&mut self) -> Vec<smrp::StreamId> {
        let events = self.events();
        events
            .into_iter()
            .filter_map(|event| if let Event::Opened(opened) = event { Some(opened.stream) } else { None })
            .collect()
    }
}

impl Pair {
    pub(crate) fn new(a: Config, b: Config) -> Self {
        let now = Instant::from_epoch(Duration::from_secs(1));
        let (a, b) = (End::new(Role::Initiator, a, now, 1), End::new(Role::Acceptor, b, now, 2));
        Self { a, b, now, piece_len: 0 }
    }

    /// A pair whose handshake is over.
    pub(crate) fn ready(a: Config, b: Config) -> Self {
        let mut pair = Self::new(a, b);
        pair.pump();
        assert!(pair.a.events().contains(&Event::Established));
        assert!(pair.b.events().contains(&Event::Established));
        pair
    }

    /// Lets both talk until they are silent.
    pub(crate) fn pump(&mut self) {
        for _ in 0..100_000 {
            let (to_b, to_a) = (self.a.transmit(self.now), self.b.transmit(self.now));
            if to_a.is_empty() && to_b.is_empty() {
                self.a.collect();
                self.b.collect();
                return;
            }
            for (end, octets) in [(&mut self.b, to_b), (&mut self.a, to_a)] {
                let len = if self.piece_len == 0 { octets.len().max(1) } else { self.piece_len };
                for piece in octets.chunks(len) {
                    end.receive(self.now, piece);
                    end.collect();
                }
            }
        }
        panic!("the two never fall silent");
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            self.pump();
            let due = [&self.a, &self.b].iter().filter_map(|end| end.session.poll_timeout()).map(|due| due.at).min();
            match due.filter(|at| *at <= until) {
                Some(at) => {
                    self.now = self.now.max(at);
                    self.a.session.handle_timeout(self.now);
                    self.b.session.handle_timeout(self.now);
                }
                None => break,
            }
        }
        self.now = until;
        self.pump();
    }
}
