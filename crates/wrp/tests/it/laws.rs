//! The laws of every machine.

use crate::event;
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::Duration;
use testkit::Rng;
use testkit::laws::{Effort, Subject, check};
use wirekit::{Instant, Machine};
use wrp::link::{Config, Event, Input, Link, Outgoing};

struct Ends;

impl Subject for Ends {
    type Machine = Link;

    fn make(&self, seed: u64) -> Link {
        let mut config = if seed.is_multiple_of(2) { Config::device() } else { Config::cloud("mac:112233445566") };
        config.message_len_max = 200;
        if seed.is_multiple_of(3) {
            config.ping_interval = Some(Duration::from_millis(seed % 7));
        }
        Link::new(config)
    }

    fn step(&self, machine: &mut Link, now: Instant, rng: &mut Rng) -> String {
        let mut message = event();
        message.payload = Some(rng.bytes(20).into());
        let octets = message.encode();
        let input = match rng.range(0..20) {
            0 => Input::Opened,
            1 => Input::Text { len: 3 },
            2 => Input::Paused(rng.chance(2)),
            3..6 => Input::SignOfLife,
            6..10 => Input::Send(&message),
            10 => Input::SendOctets(octets.clone()),
            _ => Input::Message(&octets),
        };
        format!("{:?}", machine.handle(now, input))
    }

    fn hostile(&self, machine: &mut Link, now: Instant, rng: &mut Rng) -> String {
        let len = rng.range(0..400);
        let octets = Bytes::from(rng.bytes(len));
        let input = if rng.chance(3) { Input::SendOctets(octets.clone()) } else { Input::Message(&octets) };
        format!("{:?}", machine.handle(now, input))
    }

    fn transmit(&self, machine: &mut Link, now: Instant) -> Option<Vec<u8>> {
        let mut out = VecDeque::new();
        let any = machine.poll_transmit(now, &mut out);
        let octets = out.into_iter().flat_map(|outgoing| match outgoing {
            Outgoing::Message(octets) => octets.to_vec(),
            Outgoing::Ping(octets) => [b"ping", &octets[..]].concat(),
        });
        any.then(|| octets.collect())
    }

    fn describe(&self, event: &Event) -> String {
        format!("{event:?}")
    }

    fn is_final(&self, _: &Event) -> bool {
        // A link can be opened anew.
        false
    }
}

//= WRP-N10, WRP-N11
#[test]
fn a_link_keeps_the_laws() {
    let effort = Effort { seeds: 0..200, ..Effort::default() };
    if let Err(violation) = check(&Ends, &effort) {
        panic!("{violation}");
    }
}
