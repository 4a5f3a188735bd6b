//! The laws of every machine.

use crate::packet;
use std::time::Duration;
use testkit::Rng;
use testkit::laws::{Effort, Subject, check};
use wirekit::{Instant, Machine};
use wrp_ssp::{Event, Fill, Input, Limits, Reassembler, Timing};

struct Stream;

impl Subject for Stream {
    type Machine = Reassembler;

    fn make(&self, seed: u64) -> Reassembler {
        let limits = Limits { gap_max: 10, window_len_max: 300, ..Limits::default() };
        let total_timeout = seed.is_multiple_of(2).then_some(Duration::from_secs(90));
        Reassembler::new(limits, Timing { idle_timeout: Duration::from_secs(20), total_timeout })
    }

    fn step(&self, machine: &mut Reassembler, now: Instant, rng: &mut Rng) -> String {
        let number = machine.stats().taken_count + rng.below(12);
        let mut headers = Vec::new();
        if rng.chance(20) {
            headers.push("stream-final-packet: eof");
        }
        if rng.chance(100) {
            headers.push("stream-encoding: gzip");
        }
        let len = rng.range(0..60);
        let message = packet(number.saturating_sub(rng.below(6)), &headers, &rng.bytes(len));
        let said = match rng.range(0..100) {
            0 => format!("{:?}", machine.handle(now, Input::Close)),
            1..30 => match machine.fill(now) {
                Fill::Octets(octets) => {
                    let len = octets.len().min(7);
                    let octets = octets[..len].to_vec();
                    machine.consume(len);
                    format!("{octets:?}")
                }
                other => format!("{other:?}"),
            },
            _ => format!("{:?}", machine.handle(now, Input::Message(&message))),
        };
        format!("{number} {said}")
    }

    fn hostile(&self, machine: &mut Reassembler, now: Instant, rng: &mut Rng) -> String {
        let len = rng.range(0..200);
        let mut message = packet(rng.next_u64(), &["stream-encoding: deflate"], &rng.bytes(len));
        let text = String::from_utf8_lossy(&rng.bytes(20)).into_owned();
        message.headers.push(format!("stream-packet-number: {}", rng.below(30)));
        message.headers.push(text);
        format!("{:?}", machine.handle(now, Input::Message(&message)))
    }

    fn transmit(&self, machine: &mut Reassembler, now: Instant) -> Option<Vec<u8>> {
        machine.poll_transmit(now, &mut ()).then(Vec::new)
    }

    fn describe(&self, event: &Event) -> String {
        format!("{event:?}")
    }

    fn is_final(&self, _: &Event) -> bool {
        false
    }
}

//= SSP-T2
#[test]
fn the_reassembler_keeps_the_laws() {
    let effort = Effort { seeds: 0..200, ..Effort::default() };
    if let Err(violation) = check(&Stream, &effort) {
        panic!("{violation}");
    }
}
