//! What a stack can do.

use crate::url::{Mode, Protocol, Url};
use core::fmt;

/// Something that not every stack can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// Headers beside the parts of a message.
    Headers,
    /// Requests that get a reply.
    RequestReply,
    /// Streams of unknown length.
    Bodies,
    /// Files, with [`transfer`](crate::transfer).
    Files,
    /// Messages of several parts.
    Parts,
    /// Messages that nobody acknowledges: [`send`](crate::Connection::send) without a wait for the other end.
    OneWay,
    /// Messages and requests from the end that listens.
    BothWays,
}

impl Capability {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Headers, Self::RequestReply, Self::Bodies, Self::Files, Self::Parts, Self::OneWay, Self::BothWays];

    /// Why the stack of `url` cannot do it and what to do instead; `None` where it can.
    pub(crate) fn missing(self, url: &Url) -> Option<(&'static str, &'static str)> {
        match url.protocol() {
            Protocol::Smp => self.missing_in_smp(url.options().mode),
            Protocol::Smp121 => self.missing_in_smp121(),
            Protocol::Wrp => self.missing_in_wrp(),
            Protocol::Smrp => None,
        }
    }

    fn missing_in_smp(self, mode: Option<Mode>) -> Option<(&'static str, &'static str)> {
        match (self, mode) {
            (Self::Headers, _) => Some((
                "the Streaming Message Protocol has no headers",
                "put them into a part of their own, as JSON for example",
            )),
            (Self::Bodies | Self::Files, Some(Mode::Node11)) => Some((
                "npm peers of the 1.1 generation take no frames, and bodies and files are made of frames",
                "leave mode= out where the peer is no npm program, or send messages that fit one unit",
            )),
            _ => None,
        }
    }

    const fn missing_in_wrp(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Parts => Some(("a WRP message has one payload", "join the parts into one, or put some into headers")),
            _ => None,
        }
    }

    const fn missing_in_smp121(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::RequestReply | Self::Files => None,
            Self::Headers => Some((
                "the Simple Messaging Protocol has no headers",
                "put them into the message itself, as JSON for example",
            )),
            Self::Bodies => Some((
                "a mailslot takes whole messages and no streams",
                "send what fits as a request; files go with `transfer::send_file`",
            )),
            Self::Parts => Some(("to a mailslot a message is one octet string", "join the parts into one")),
            Self::OneWay => Some((
                "every message to a mailslot has a reply",
                "`send` waits for that receipt; where this takes too long, send in a task of its own",
            )),
            Self::BothWays => Some((
                "a mailslot answers and asks nothing",
                "let the other end listen too, and connect to its mailslot",
            )),
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Headers => "headers",
            Self::RequestReply => "requests with replies",
            Self::Bodies => "bodies of unknown length",
            Self::Files => "files",
            Self::Parts => "messages of several parts",
            Self::OneWay => "messages without a reply",
            Self::BothWays => "messages from the end that listens",
        })
    }
}
