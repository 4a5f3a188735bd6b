//! One endpoint of protocol 121 under everything a peer and an application can do; and two of them over a link that loses, doubles, delays and
//! damages, after which every exchange ends with its reply.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use postroad_fuzz::endpoint::{HERE, Link, THERE, Watched};
use smp121::machine::{Input as Incoming, SendOptions};
use smp121::wire::{self, Action, Data, Direction, NameReply, Outgoing, Position, PseudoHeader, Response};
use std::time::Duration;
use wirekit::datagram::{PathError, PathErrorKind};
use wirekit::{Instant, Machine};

#[derive(Arbitrary, Debug)]
enum Input {
    Alone { seed: u8, small: bool, ops: Vec<Op> },
    Pair { seeds: [u8; 2], small: bool, ops: Vec<PairOp> },
}

#[derive(Arbitrary, Debug)]
enum Op {
    Octets(Vec<u8>),
    Segment { said: Said, near: u8, mailslot: u8, records: Vec<(u8, u8, u16)> },
    Send { len: u16, reply_len_max: u16, timeout_ms: Option<u16> },
    Cancel { at: u8 },
    Serve { len: u16 },
    Resolve,
    GetAnother { name: u8 },
    Free,
    Redefine,
    PathError { kind: u8, number: Option<u8> },
    Wait { ms: u16 },
}

#[derive(Arbitrary, Debug)]
enum Said {
    NameRequest(u8),
    NameReply { named: bool, len_max: u16, outstanding: u8 },
    Part { is_reply: bool, offset: Option<u16>, total: u16, len: u16, is_last: bool },
    Records,
    Reset,
}

#[derive(Arbitrary, Debug)]
enum PairOp {
    Send {
        from_first: bool,
        len: u16,
    },
    Wait {
        ms: u16,
    },
    /// What the link does with the datagrams that come next: 2 bits each.
    Fates(u32),
    Damage {
        at: u16,
    },
}

/// A number near one that the machine knows.
fn number(watched: &Watched, near: u8) -> u32 {
    let known = &watched.numbers;
    let base = known.get(usize::from(near) % known.len().max(1)).copied().unwrap_or(7);
    base.wrapping_add(u32::from(near >> 5)).wrapping_sub(u32::from(near & 1))
}

fn alone(seed: u8, small: bool, ops: &[Op]) {
    let mut watched = Watched::new(seed, small);
    let mut now = Instant::from_epoch(Duration::from_secs(1));
    for op in ops {
        apply(&mut watched, op, now);
        if let Op::Wait { ms } = op {
            let end = now + Duration::from_millis(u64::from(*ms) * 4);
            while let Some(deadline) = watched.machine.poll_timeout().filter(|deadline| deadline.at <= end) {
                now = now.max(deadline.at);
                watched.machine.handle_timeout(now);
                watched.drain(now);
            }
            now = end;
        }
        watched.drain(now);
        watched.check();
    }
    // All is answered, or given up, and then nothing is left.
    watched.serve(now, 3);
    for _ in 0..20_000 {
        watched.drain(now);
        watched.serve(now, 3);
        let Some(deadline) = watched.machine.poll_timeout() else { break };
        now = now.max(deadline.at);
        watched.machine.handle_timeout(now);
    }
    assert_eq!(watched.machine.poll_timeout(), None, "no timer is left");
    assert_eq!((watched.machine.counters().assembly_len, watched.machine.counters().replies_len), (0, 0));
    assert!(watched.open.is_empty(), "every exchange has ended");
}

fn apply(watched: &mut Watched, op: &Op, now: Instant) {
    match op {
        Op::Octets(octets) => watched.take(now, octets),
        Op::Segment { said, near, mailslot, records } => segment(watched, said, *near, *mailslot, records, now),
        Op::Send { len, reply_len_max, timeout_ms } => {
            let mut options = SendOptions::default().with_reply_len_max(usize::from(*reply_len_max));
            if let Some(ms) = timeout_ms {
                options = options.with_timeout(Duration::from_millis(u64::from(*ms)));
            }
            watched.send(now, usize::from(*len) % 20_000, options);
        }
        Op::Cancel { at } => watched.cancel(usize::from(*at)),
        Op::Serve { len } => watched.serve(now, usize::from(*len) % 20_000),
        Op::Resolve => _ = watched.machine.resolve(now, watched.remote),
        Op::GetAnother { name } => _ = watched.machine.get(THERE, HERE.ip(), &[1 + name % 4]),
        Op::Free => watched.machine.free(watched.remote),
        Op::Redefine => watched.redefine(now),
        Op::PathError { kind, number: near } => {
            let kinds = [
                PathErrorKind::ProtocolUnreachable,
                PathErrorKind::HostUnreachable,
                PathErrorKind::TooLong { mtu: u32::from(*kind) * 8 },
                PathErrorKind::Other,
            ];
            let mut error = PathError::new(THERE, kinds[usize::from(*kind) % 4]);
            error.quoted = near.map(|near| {
                let [a, b, c, d] = number(watched, near).to_be_bytes();
                [a, b, c, d, 0, 0, 0, 0]
            });
            watched.machine.handle(now, Incoming::PathError(&error)).unwrap();
        }
        Op::Wait { .. } => {}
    }
}

fn segment(watched: &mut Watched, said: &Said, near: u8, mailslot: u8, records: &[(u8, u8, u16)], now: Instant) {
    let mailslot = if mailslot < 200 { watched.mailslot.number() } else { u16::from(mailslot) };
    let number_of = number(watched, near);
    let records: Vec<Response> = records
        .iter()
        .take(20)
        .map(|(near, action, offset)| {
            let offset = u32::from(*offset);
            let action =
                [Action::Reset, Action::Accepted { offset }, Action::TooLarge, Action::Busy][usize::from(*action) % 4];
            Response { number: number(watched, *near), mailslot, action }
        })
        .collect();
    let name = [1 + near % 4];
    let octets = vec![near; 1400];
    let segment = match said {
        Said::NameRequest(name) if *name < 250 => {
            Outgoing::NameRequest { name: if *name < 200 { b"m" } else { b"none" } }
        }
        Said::NameRequest(_) => Outgoing::NameRequest { name: &name },
        Said::NameReply { named, len_max, outstanding } => Outgoing::NameReply(NameReply {
            number: number_of,
            request_len_max: u32::from(*len_max),
            mailslot,
            outstanding_max: u16::from(*outstanding),
            name: named.then_some(b"m"),
        }),
        Said::Part { is_reply, offset, total, len, is_last } => Outgoing::Data(Data {
            direction: if *is_reply { Direction::Reply } else { Direction::Request },
            number: number_of,
            mailslot,
            position: match offset {
                None => Position::First { total: u32::from(*total) },
                Some(offset) => Position::At { offset: u32::from(*offset) },
            },
            is_last: *is_last,
            octets: &octets[..usize::from(*len) % 1400],
        }),
        Said::Records => Outgoing::Responses,
        Said::Reset => Outgoing::Reset { number: number_of, mailslot },
    };
    let mut payload = Vec::new();
    wire::encode(&segment, &records, &PseudoHeader::between(THERE.ip(), HERE.ip()).unwrap(), &mut payload);
    watched.take(now, &payload);
}

fn pair(seeds: [u8; 2], small: bool, ops: &[PairOp]) {
    let mut link = Link::new(seeds, small);
    for op in ops {
        match op {
            PairOp::Send { from_first, len } => link.send(usize::from(!*from_first), usize::from(*len) % 20_000),
            PairOp::Wait { ms } => link.run_for(Duration::from_millis(u64::from(*ms) % 5000)),
            PairOp::Fates(fates) => link.fates(*fates),
            PairOp::Damage { at } => link.damage(usize::from(*at)),
        }
    }
    link.heal_and_finish();
}

fuzz_target!(|input: Input| {
    match input {
        Input::Alone { seed, small, ops } => alone(seed, small, &ops[..ops.len().min(200)]),
        Input::Pair { seeds, small, ops } => pair(seeds, small, &ops[..ops.len().min(200)]),
    }
});
