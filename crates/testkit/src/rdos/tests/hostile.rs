//! Octets of any kind: no panic, nothing without a bound, and always the same.

use super::*;
use crate::Rng;

/// A segment that has a chance to mean something: right checksum, fields near those that are in use.
fn segment(rng: &mut Rng) -> Vec<u8> {
    let near = |rng: &mut Rng, around: u32| match rng.below(4) {
        0 => u32::from_be_bytes([rng.next_u8(), rng.next_u8(), rng.next_u8(), rng.next_u8()]),
        _ => around.wrapping_add(u32::from(rng.next_u8() % 24)).wrapping_sub(4),
    };
    let mut octets = Vec::new();
    octets.extend(near(rng, 0x1000).to_be_bytes());
    octets.extend(near(rng, 4).to_be_bytes());
    octets.extend(if rng.chance(900) { NUMBER } else { 0 }.to_be_bytes());
    octets.extend([0, 0, rng.next_u8() & 0x3f, rng.next_u8() % 3, 0, 0]);
    for _ in 0..octets[13] {
        octets.extend(near(rng, 0x1000).to_be_bytes());
        octets.extend(NUMBER.to_be_bytes());
        octets.extend([4 * u8::from(rng.chance(800)), rng.next_u8() % 18]);
        octets.extend(near(rng, 4).to_be_bytes());
    }
    let len = rng.range(0..12);
    octets.extend(if rng.chance(100) { b"\x00\x10echo\0".to_vec() } else { rng.bytes(len) });
    octets.truncate((octets.len() - rng.range(0..3)).max(16));
    seal(B, A, &mut octets);
    octets
}

#[test]
fn hostile_octets_do_no_harm() {
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let mut host = machine(A);
        let local = host.define(b"echo", 64);
        let remote = host.get(START, B, b"echo");
        for ms in 0..200 {
            let now = at(ms * 40);
            match rng.below(8) {
                0 => drop(host.send(now, remote, b"request", 20)),
                1 => {
                    if let Some((ticket, message)) = host.receive(local) {
                        assert!(message.len() <= 64, "seed {seed}");
                        host.reply(now, ticket, &message);
                    }
                }
                2 => hand(&mut host, now, B, &name_request(b"echo")),
                _ => host.handle_datagram(now, B, A, &segment(&mut rng)),
            }
            host.handle_timeout(now);
            let sent = sent(&mut host, B);
            assert!(sent.len() <= 40, "seed {seed}: {} at once", sent.len());
            if let Some(tick_at) = host.poll_timeout() {
                assert!(tick_at > now && tick_at <= now + TICK, "seed {seed}: nothing is due after a timeout");
            }
            host.handle_timeout(now);
            assert_eq!(host.poll_transmit(), None, "seed {seed}: a second look finds nothing");
        }
        assert!(!host.crashes().is_empty(), "seed {seed}: nothing in 200 segments meant anything");
    }
}

#[test]
fn octets_without_any_sense_are_dropped() {
    let mut rng = Rng::new(7);
    let (mut host, _) = server();
    for _ in 0..5000 {
        let len = rng.range(0..80);
        host.handle_datagram(START, A, B, &rng.bytes(len));
        let len = rng.range(0..80);
        host.handle_packet(START, &rng.bytes(len));
    }
    // A checksum or two may fit by chance; that such a segment would also be answered is not to be expected.
    assert_eq!(run(&mut host, A, at(2000)), []);
}
