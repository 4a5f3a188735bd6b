//! What a stack can do.

use crate::url::{Mode, Url};
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
}

impl Capability {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Headers, Self::RequestReply, Self::Bodies];

    /// Why the stack of `url` cannot do it and what to do instead; `None` where it can.
    pub(crate) fn missing(self, url: &Url) -> Option<(&'static str, &'static str)> {
        match (self, url.options().mode) {
            (Self::Headers, _) => Some((
                "the Streaming Message Protocol has no headers",
                "put them into a part of their own, as JSON for example",
            )),
            (Self::Bodies, Some(Mode::Node11)) => Some((
                "npm peers of the 1.1 generation take no frames, and bodies are made of frames",
                "leave mode= out where the peer is no npm program, or send messages that fit one unit",
            )),
            _ => None,
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Headers => "headers",
            Self::RequestReply => "requests with replies",
            Self::Bodies => "bodies of unknown length",
        })
    }
}
