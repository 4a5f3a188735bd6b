//! What waits to go to the carrier, and whether it has gone: without waiting for what is handed in later.

use super::SessionMachine;
use super::stream::{SendState, Stream};
use crate::StreamId;

/// What waited on the streams of a session at one time.
#[derive(Debug, Default)]
pub struct Unsent(Vec<Mark>);

/// How far one stream has to come.
#[derive(Debug)]
struct Mark {
    id: StreamId,
    /// Octets of a stream of octets.
    sent: u64,
    /// The message behind the last one, of a channel.
    message: u64,
    /// Its end was handed in too.
    is_finishing: bool,
}

impl Unsent {
    /// True where nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Mark {
    fn of(stream: &Stream) -> Self {
        let send = &stream.send;
        Self {
            id: stream.id,
            sent: send.sent + send.buffer.len() as u64,
            message: send.messages.as_ref().map_or(0, |messages| messages.next_id),
            is_finishing: send.state == SendState::Finishing,
        }
    }

    fn is_passed(&self, stream: &Stream) -> bool {
        let send = &stream.send;
        if send.is_done() {
            return true;
        }
        let has_sent = match &send.messages {
            // Messages whose time passes are never sent.
            Some(messages) => messages.outbox.front_id().is_none_or(|id| id >= self.message),
            None => send.sent >= self.sent || matches!(send.state, SendState::Resetting { .. }),
        };
        has_sent && !self.is_finishing
    }
}

impl SessionMachine {
    /// What was handed in on all streams and has not gone to the carrier.
    #[must_use]
    pub fn unsent(&self) -> Unsent {
        self.without_sent(Unsent(self.table.iter().map(Mark::of).collect()))
    }

    /// [`unsent`](Self::unsent) of one stream.
    #[must_use]
    pub fn unsent_of(&self, id: StreamId) -> Unsent {
        self.without_sent(Unsent(self.table.get(id).map(Mark::of).into_iter().collect()))
    }

    fn without_sent(&self, mut unsent: Unsent) -> Unsent {
        self.has_sent(&mut unsent);
        unsent
    }

    /// Whether all of it has gone to the carrier, or never will. What has is taken out.
    pub fn has_sent(&self, unsent: &mut Unsent) -> bool {
        unsent.0.retain(|mark| self.table.get(mark.id).is_some_and(|stream| !mark.is_passed(stream)));
        unsent.0.is_empty()
    }
}
