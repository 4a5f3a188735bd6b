//! What is counted, of a session and of a stream.

use super::SessionMachine;
use super::stream::Stream;
use crate::StreamId;
use core::time::Duration;

/// What a session has done. Octets are those of frames; messages and streams count in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Octets received.
    pub received_len: u64,
    /// Octets handed to the carrier.
    pub transmitted_len: u64,
    /// Frames received.
    pub frames_received: u64,
    /// Frames written.
    pub frames_sent: u64,
    /// Frames of unknown types that were skipped.
    pub frames_skipped: u64,
    /// Frames that came for closed streams.
    pub frames_late: u64,
    /// Streams opened by either end.
    pub streams_opened: u64,
    /// Streams of the peer that were refused.
    pub streams_refused: u64,
    /// Datagrams dropped before they were sent, for either reason.
    pub datagrams_dropped: u64,
    /// Of these, those whose age passed its limit.
    pub datagrams_expired: u64,
    /// Of these, those that newer ones displaced: the queue was full.
    pub datagrams_displaced: u64,
    /// Datagrams that came and were dropped, for either reason: the queue was full, or nobody may send any.
    pub datagrams_lost: u64,
    /// Of these, those that the peer's scopes do not cover.
    pub datagrams_forbidden: u64,
    /// Messages begun to be sent, of channels.
    pub messages_sent: u64,
    /// Messages that began to come, of channels.
    pub messages_received: u64,
    /// Messages whose time passed before they were sent whole.
    pub messages_expired: u64,
    /// Messages that the peer gave up.
    pub messages_skipped: u64,
    /// Messages and requests that were refused as too large, or for want of memory.
    pub messages_refused: u64,
    /// Octets of data that came when nobody wanted them any more.
    pub data_dropped_len: u64,
    /// How often the session's credit was used up while there was more to send.
    pub blocked_count: u64,
    /// Octets of session frames that went out again on another link.
    pub replayed_len: u64,
    /// How often a link was replaced.
    pub reattached: u64,
    /// Wasted work of the peer, in thousandths.
    pub ledger_charged: u64,
    /// How often reading stopped because of wasted work.
    pub ledger_pauses: u64,
    /// The smoothed round trip, where one was measured.
    pub rtt: Option<Duration>,
    /// Octets of data that may be sent now, as far as the session alone is asked.
    pub credit_left: u64,
    /// Octets of data that came and were neither taken nor given back.
    pub untaken_len: u64,
    /// Of these, octets of messages that are not whole.
    pub incomplete_len: u64,
    /// Octets of session frames that are kept for another link.
    pub replay_len: u64,
}

/// What a stream has done. Each figure is from its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamStats {
    /// Octets of data sent.
    pub sent_len: u64,
    /// Octets that wait to be sent.
    pub queued_len: u64,
    /// Octets of data that may be sent now, as far as the stream alone is asked.
    pub credit_left: u64,
    /// How often its own credit was used up while it had more to send.
    pub blocked_count: u64,
    /// Octets of its frames that went out again on another link.
    pub replayed_len: u64,
    /// Messages begun to be sent.
    pub messages_sent: u64,
    /// Messages whose time passed before they were sent whole.
    pub messages_expired: u64,
    /// Octets of data that came.
    pub received_len: u64,
    /// Of these, octets that were taken or given back.
    pub taken_len: u64,
    /// Messages that began to come.
    pub messages_received: u64,
    /// Messages that the peer gave up.
    pub messages_skipped: u64,
}

impl StreamStats {
    fn of(stream: &Stream) -> Self {
        let (send, recv) = (&stream.send, &stream.recv);
        let mut stats = Self {
            sent_len: send.sent,
            queued_len: send.queued_len() as u64,
            credit_left: send.max.saturating_sub(send.sent),
            blocked_count: send.blocked_count.into(),
            received_len: recv.received,
            taken_len: recv.taken,
            ..Self::default()
        };
        if let Some(messages) = &send.messages {
            stats.messages_sent = messages.begun;
            stats.messages_expired = messages.expired;
        }
        if let Some(messages) = &recv.messages {
            stats.messages_received = messages.begun;
            stats.messages_skipped = messages.skipped;
        }
        stats
    }
}

impl SessionMachine {
    /// What it has done so far. Looks at every stream that is there.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = Stats {
            rtt: self.rtt.smoothed,
            ledger_charged: self.ledger.charged,
            credit_left: self.credit.room(),
            untaken_len: self.credit.received - self.credit.taken,
            incomplete_len: self.credit.incomplete,
            replay_len: self.replay.len(),
            ..self.stats
        };
        for stream in self.table.iter().map(StreamStats::of) {
            stats.messages_sent += stream.messages_sent;
            stats.messages_expired += stream.messages_expired;
            stats.messages_received += stream.messages_received;
            stats.messages_skipped += stream.messages_skipped;
        }
        stats
    }

    /// What a stream has done so far; `None` once it is over and let go of.
    #[must_use]
    pub fn stream_stats(&self, id: StreamId) -> Option<StreamStats> {
        let stats = StreamStats::of(self.table.get(id)?);
        let replayed_len = self.replayed.get(&id).copied().unwrap_or_default();
        Some(StreamStats { replayed_len, ..stats })
    }
}
