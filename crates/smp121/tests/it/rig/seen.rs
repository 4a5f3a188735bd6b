//! A segment that was sent, taken apart.

use smp121::wire::{self, Action, Direction, Kind, Position, PseudoHeader, Response};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Records,
    NameRequest(Vec<u8>),
    NameReply { number: u32, request_len_max: u32, mailslot: u16, outstanding_max: u16, name: Option<Vec<u8>> },
    Data { direction: Direction, number: u32, mailslot: u16, position: Position, is_last: bool, octets: Vec<u8> },
    Reset { number: u32, mailslot: u16 },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) what: What,
    pub(crate) records: Vec<Response>,
    pub(crate) len: usize,
    pub(crate) payload: Vec<u8>,
}

impl Seen {
    /// Takes apart what a machine sent, which must be right.
    pub(crate) fn read(payload: &[u8], pseudo: &PseudoHeader) -> Self {
        let segment = wire::decode(payload, pseudo).expect("what a machine sends is valid");
        let what = match segment.kind().expect("what a machine sends means something") {
            Kind::Responses => What::Records,
            Kind::NameRequest { name } => What::NameRequest(name.to_vec()),
            Kind::NameReply(reply) => What::NameReply {
                number: reply.number,
                request_len_max: reply.request_len_max,
                mailslot: reply.mailslot,
                outstanding_max: reply.outstanding_max,
                name: reply.name.map(<[u8]>::to_vec),
            },
            Kind::Data(data) => What::Data {
                direction: data.direction,
                number: data.number,
                mailslot: data.mailslot,
                position: data.position,
                is_last: data.is_last,
                octets: data.octets.to_vec(),
            },
            Kind::Reset { number, mailslot } => What::Reset { number, mailslot },
            other => panic!("{other:?}"),
        };
        let records = segment.responses.map(|raw| raw.known().expect("only known records are sent")).collect();
        Self { what, records, len: payload.len(), payload: payload.to_vec() }
    }

    pub(crate) fn is_reset(&self) -> bool {
        matches!(self.what, What::Reset { .. }) || self.records.iter().any(|record| record.action == Action::Reset)
    }

    pub(crate) const fn is_data(&self, wanted: Direction) -> bool {
        matches!(self.what, What::Data { direction, .. } if direction as u8 == wanted as u8)
    }

    /// The offset that this acknowledges for a number.
    pub(crate) fn acked(&self, wanted: u32) -> Option<u32> {
        self.records.iter().find_map(|record| match record.action {
            Action::Accepted { offset } if record.number == wanted => Some(offset),
            _ => None,
        })
    }

    /// In a line, connection numbers as `label` has them.
    pub(crate) fn describe(&self, label: &dyn Fn(u32) -> String) -> String {
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let mut words = match &self.what {
            What::Records => Vec::new(),
            What::NameRequest(name) => vec![format!("name? {}", text(name))],
            What::NameReply { outstanding_max: 0, .. } => vec!["name! none".to_owned()],
            What::NameReply { number, .. } => vec![format!("name! {}", label(*number))],
            What::Reset { number, .. } => vec![format!("reset {}", label(*number))],
            What::Data { direction, number, position, is_last, octets, .. } => {
                let word = if *direction == Direction::Request { "request" } else { "reply" };
                let start = position.offset();
                let end = start as usize + octets.len();
                let total =
                    if let Position::First { total } = position { format!(" of {total}") } else { String::new() };
                let last = if *is_last { " end" } else { "" };
                vec![format!("{word} {} {start}..{end}{total}{last}", label(*number))]
            }
        };
        words.extend(self.records.iter().map(|record| {
            let number = label(record.number);
            match record.action {
                Action::Accepted { offset } => format!("ack {number} {offset}"),
                Action::Reset => format!("unknown {number}"),
                Action::TooLarge => format!("too-large {number}"),
                Action::Busy => format!("busy {number}"),
                other => panic!("{other:?}"),
            }
        }));
        words.join(" + ")
    }
}
