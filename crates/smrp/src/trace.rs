//! What a session tells an observer: the events of a trace, as data.
//!
//! No event holds payload, metadata, a name, a token or a ticket: numbers, lengths, codes and words of ours are all that there is.
//= SMRP-A8, SMRP-PR4

use crate::wire::Code;
use crate::{Kind, Role, StreamId};
use core::fmt::Debug;
use core::time::Duration;
use wirekit::Instant;

/// Takes what a session does. It is called in the middle of things, so it should do little: put it in a queue.
pub trait Observe: Debug + Send {
    /// Something was done. `now` counts from the session's beginning.
    fn observe(&mut self, now: Instant, what: Observed);
}

/// A value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// A count, an id, or octets.
    Number(u64),
    /// Milliseconds, with their fraction.
    Millis(f64),
    /// Yes or no.
    Flag(bool),
    /// A word out of a list that is ours.
    Word(&'static str),
    /// A code of the protocol.
    Code(Code),
}

/// What a field may hold.
trait Field {
    const SHAPE: &'static str;
    fn value(&self) -> Option<Value>;
}

macro_rules! fields {
    ($($type:ty, $shape:literal, $self:ident => $value:expr;)*) => {
        $(impl Field for $type {
            const SHAPE: &'static str = $shape;
            fn value(&self) -> Option<Value> {
                let $self = self;
                $value
            }
        })*
    };
}

fields! {
    u64, "number", it => Some(Value::Number(*it));
    bool, "true or false", it => Some(Value::Flag(*it));
    &'static str, "word", it => Some(Value::Word(it));
    Duration, "milliseconds", it => Some(Value::Millis(it.as_secs_f64() * 1_000.0));
    StreamId, "number", it => Some(Value::Number(it.number()));
    Code, "code", it => Some(Value::Code(*it));
    Kind, "word", it => Some(Value::Word(it.word()));
    Role, "word", it => Some(Value::Word(match it { Role::Initiator => "initiator", Role::Acceptor => "acceptor" }));
    Option<u64>, "number, or absent", it => it.map(Value::Number);
    Option<StreamId>, "number, or absent", it => it.map(|id| Value::Number(id.number()));
    Option<Code>, "code, or absent", it => it.map(Value::Code);
}

/// One event of the schema.
#[derive(Clone, Copy, Debug)]
pub struct EventSchema {
    /// Its name, without the name space.
    pub name: &'static str,
    /// What it tells.
    pub about: &'static str,
    /// Its fields: name, shape, and what it says.
    pub fields: &'static [(&'static str, &'static str, &'static str)],
}

macro_rules! events {
    ($($name:literal $variant:ident, $about:literal, { $($field:ident: $type:ty, $says:literal;)* })*) => {
        /// What a session did.
        #[derive(Clone, Copy, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum Observed {
            $(#[doc = $about] $variant {
                $(#[doc = $says] $field: $type,)*
            },)*
        }

        /// All events, in the order of the specification.
        pub const SCHEMA: &[EventSchema] = &[$(EventSchema {
            name: $name,
            about: $about,
            fields: &[$((stringify!($field), <$type as Field>::SHAPE, $says)),*],
        }),*];

        impl Observed {
            /// Its name, without the name space.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $name,)*
                }
            }

            /// Its fields, those that are absent left out.
            pub fn fields(&self, mut each: impl FnMut(&'static str, Value)) {
                match self {
                    $(Self::$variant { $($field,)* } => {
                        $(if let Some(value) = $field.value() {
                            each(stringify!($field), value);
                        })*
                    })*
                }
            }
        }
    };
}

events! {
    "link_attached" LinkAttached, "The session has a link.", {
        role: Role, "Which end this is.";
        epoch: u64, "0 for the first link, higher for each that came after.";
    }
    "link_lost" LinkLost, "The link is lost.", {
        keep: Duration, "How long the session is kept without one; 0 where it is not.";
    }
    "session_established" SessionEstablished, "The handshake is over.", {
    }
    "session_ended" SessionEnded, "The session is over.", {
        by: &'static str, "Who ended it: local, peer, or nobody (silence, a lost link, a time-out).";
        code: Option<Code>, "The code of CLOSE, where there was one.";
    }
    "frame_sent" FrameSent, "A frame was handed to the carrier.", {
        frame: &'static str, "Its name in the registry, or unknown.";
        frame_type: u64, "Its number.";
        length: u64, "Octets with the header.";
        stream: Option<StreamId>, "Its stream, where it has one.";
        replayed: bool, "Whether it went out on an earlier link already.";
    }
    "frame_received" FrameReceived, "A frame came.", {
        frame: &'static str, "Its name in the registry, or unknown.";
        frame_type: u64, "Its number.";
        length: u64, "Octets with the header.";
        stream: Option<StreamId>, "Its stream, where it has one.";
    }
    "position_updated" PositionUpdated, "A position was told.", {
        direction: &'static str, "sent: the peer has so much of ours; received: we told it that we have so much.";
        octets: u64, "The position.";
        kept: u64, "Octets that are kept for another link.";
    }
    "credit_updated" CreditUpdated, "A limit was raised.", {
        direction: &'static str, "given: the peer may send; got: we may.";
        stream: Option<StreamId>, "The stream; absent for the session.";
        octets: u64, "The limit.";
        messages: Option<u64>, "The limit of messages, of a channel.";
        window: Option<u64>, "How wide the window is, of what is given.";
    }
    "credit_blocked" CreditBlocked, "Somebody has more to send than there is credit for.", {
        by: &'static str, "local or peer.";
        at: u64, "The limit of the session at which it stands.";
    }
    "ledger_charged" LedgerCharged, "The peer did what may prove to be wasted work.", {
        charge: &'static str, "For what, as in section 19 of the specification.";
        thousandths: u64, "How much.";
    }
    "ledger_paused" LedgerPaused, "Nothing is left in the ledger: reading stops.", {
        pause: Duration, "For how long.";
    }
    "budget_updated" BudgetUpdated, "How much is left of the budget of memory has changed.", {
        pressure: &'static str, "free, near or full.";
    }
    "stream_opened" StreamOpened, "A stream was opened.", {
        stream: StreamId, "Its id.";
        by: &'static str, "local or peer.";
        kind: Kind, "What it carries.";
    }
    "stream_ended" StreamEnded, "One direction of a stream is at its end.", {
        stream: StreamId, "Its id.";
        direction: &'static str, "send or receive.";
        how: &'static str, "finished, reset, or stopped: the receiver wants no more.";
        code: Option<Code>, "The code, but where it was finished.";
        octets: u64, "Octets that went this way.";
    }
    "dropped" Dropped, "Something of the application's was dropped.", {
        what: &'static str, "datagram_out, datagram_in, message_out, message_in, stream or data.";
        why: &'static str, "expired, queue_full, forbidden, skipped, too_large, quota, refused or late.";
        stream: Option<StreamId>, "The stream, where it has one.";
        count: u64, "How many; octets of data.";
    }
    "events_dropped" EventsDropped, "Events are missing from this trace.", {
        count: u64, "How many.";
        why: &'static str, "queue_full: they were not written fast enough; file_full: the trace is as long as it may be.";
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::fmt::Write as _;

    fn table() -> String {
        let mut table = String::new();
        for event in SCHEMA {
            writeln!(table, "### {}\n\n{}\n", event.name, event.about).unwrap();
            if !event.fields.is_empty() {
                writeln!(table, "| field | shape | says |\n| --- | --- | --- |").unwrap();
                for (name, shape, says) in event.fields {
                    writeln!(table, "| {name} | {shape} | {says} |").unwrap();
                }
                table.push('\n');
            }
        }
        table
    }

    #[test]
    fn the_paper_has_the_events_of_the_code() {
        //= SMRP-PR4
        let paper = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/smrp-qlog.md");
        let paper = std::fs::read_to_string(paper).unwrap();
        let (_, events) = paper.split_once("## Events\n\n").expect("the section of events");
        assert!(events.trim_end() == table().trim_end(), "docs/smrp-qlog.md must end with this:\n\n{}", table());
    }
}
