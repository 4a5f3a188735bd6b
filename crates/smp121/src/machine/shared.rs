//! What all peers share.

use super::bucket::Bucket;
use super::event::{Counters, Event, ExchangeId};
use super::mailslots::Mailslots;
use crate::{Config, ExchangeError};
use bytes::Bytes;
use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use std::collections::VecDeque;
use wirekit::Instant;

/// First connection numbers are below this: the deployed implementation compares them as signed.
//= SMP121-A18
const FIRST_NUMBER_END: u32 = 0x7fff_0000;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Config,
    /// The latest time that was told.
    pub(super) now: Instant,
    pub(super) mailslots: Mailslots,
    pub(super) events: VecDeque<Event>,
    pub(super) counters: Counters,
    pub(super) resets: Bucket,
    /// Octets of requests in assembly or waiting, of all peers, charges included.
    pub(super) assembly_len: usize,
    rng: ChaCha20Rng,
    last_serial: u64,
}

impl Shared {
    pub(super) fn new(config: Config) -> Self {
        let mut rng = ChaCha20Rng::from_seed(config.seed);
        let [first, second, ..] = rng.next_u32().to_be_bytes();
        Self {
            now: Instant::EPOCH,
            mailslots: Mailslots::new(u16::from_be_bytes([first, second])),
            events: VecDeque::new(),
            counters: Counters::default(),
            resets: Bucket::new(config.limits.resets_per_second, Instant::EPOCH),
            assembly_len: 0,
            rng,
            last_serial: 0,
            config,
        }
    }

    /// A number that nothing else of this endpoint has.
    pub(super) const fn serial(&mut self) -> u64 {
        self.last_serial += 1;
        self.last_serial
    }

    /// A first connection number: 1 to 0x7ffeffff, unknown to whoever does not see it.
    //= SMP121-A18, SMP121-I11
    pub(super) fn first_number(&mut self) -> u32 {
        loop {
            let number = self.rng.next_u32() >> 1;
            if (1..FIRST_NUMBER_END).contains(&number) {
                return number;
            }
        }
    }

    pub(super) fn done(&mut self, exchange: ExchangeId, outcome: Result<Bytes, ExchangeError>) {
        self.events.push_back(Event::Done { exchange, outcome });
    }
}
