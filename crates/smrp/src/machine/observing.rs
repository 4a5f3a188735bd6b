//! What an observer is told. Without one each place costs a look at an option.

use super::SessionMachine;
use super::ledger::Charge;
use super::stream::{SendState, Stream};
use crate::StreamId;
use crate::budget::Pressure;
use crate::error::SessionError;
use crate::trace::{Observe, Observed};
use crate::wire::{Code, Header, Preface, frame_type, number, take_varint};
use bytes::Bytes;
use wirekit::Reader;

/// Frames that begin with their stream.
const OF_STREAMS: [u8; 10] = [
    number::OPEN,
    number::DATA,
    number::RESET,
    number::STOP,
    number::MAX_STREAM,
    number::MSG,
    number::MSG_SKIP,
    number::META,
    number::PRIORITY,
    number::BLOCKED,
];

/// A frame as its octets say, without its body.
pub(super) struct Glance {
    pub(super) name: &'static str,
    pub(super) number: u64,
    pub(super) len: usize,
    pub(super) stream: Option<StreamId>,
}

impl Glance {
    /// At the frame whose header this is, at the front of `octets`.
    pub(super) fn at(octets: &[u8], header: &Header) -> Self {
        let body = octets.get(header.len..).unwrap_or_default();
        let fields = if header.number == number::BLOCKED { body.get(1..).unwrap_or_default() } else { body };
        let has_stream = OF_STREAMS.contains(&header.number);
        let stream = has_stream.then(|| take_varint(&mut Reader::new(fields)).ok()).flatten();
        Self {
            name: frame_type(header.number.into()).map_or("unknown", |entry| entry.name),
            number: header.number.into(),
            len: header.len + header.body_len,
            stream: stream.map(StreamId::new),
        }
    }
}

/// All frames of what is written, piece by piece: a header is never cut, a body may be.
pub(super) fn frames_of<'a>(chunks: impl Iterator<Item = &'a Bytes>, mut each: impl FnMut(Glance)) {
    let mut skip = 0;
    for chunk in chunks {
        let mut at = skip;
        while let Some(rest) = chunk.get(at..).filter(|rest| !rest.is_empty()) {
            if let Ok(Some((_, len))) = Preface::decode(rest) {
                at += len;
                continue;
            }
            let Ok(Some(header)) = Header::decode(rest) else { return };
            let glance = Glance::at(rest, &header);
            at += glance.len;
            each(glance);
        }
        skip = at - chunk.len();
    }
}

impl SessionMachine {
    /// Tells this observer what it does from now on.
    pub fn set_observer(&mut self, observer: Box<dyn Observe>) {
        self.observer = Some(observer);
        self.ledger.notes = Some(Vec::new());
        self.observe_attached();
    }

    pub(super) fn observe_attached(&mut self) {
        let (role, epoch) = (self.role, self.epoch);
        self.observe(|| Observed::LinkAttached { role, epoch });
    }

    #[inline]
    pub(super) fn observe(&mut self, what: impl FnOnce() -> Observed) {
        if let Some(observer) = &mut self.observer {
            observer.observe(self.now, what());
        }
    }

    #[inline]
    pub(super) fn is_observed(&self) -> bool {
        self.observer.is_some()
    }

    pub(super) fn observe_frame(&mut self, octets: &[u8], header: &Header) {
        let Glance { name, number, len, stream } = Glance::at(octets, header);
        self.observe(|| Observed::FrameReceived { frame: name, frame_type: number, length: len as u64, stream });
    }

    pub(super) fn observe_sent<'a>(&mut self, chunks: impl Iterator<Item = &'a Bytes>, replayed: bool) {
        let Some(observer) = &mut self.observer else { return };
        let now = self.now;
        frames_of(chunks, |Glance { name, number, len, stream }| {
            let length = len as u64;
            observer.observe(now, Observed::FrameSent { frame: name, frame_type: number, length, stream, replayed });
        });
    }

    /// What was charged since the last time.
    pub(super) fn observe_charges(&mut self) {
        let charges = self.ledger.notes.as_mut().map(core::mem::take).unwrap_or_default();
        for charge in charges {
            let thousandths = charge.thousandths().unsigned_abs();
            self.observe(|| Observed::LedgerCharged { charge: charge.word(), thousandths });
        }
    }

    pub(super) fn observe_pressure(&mut self, pressure: Pressure) {
        let word = match pressure {
            Pressure::Free => "free",
            Pressure::Near => "near",
            Pressure::Full => "full",
        };
        self.observe(|| Observed::BudgetUpdated { pressure: word });
    }

    /// Our direction of a stream is at its end, where it is.
    pub(super) fn observe_send_end(&mut self, id: StreamId) {
        if self.observer.is_none() {
            return;
        }
        let Some(stream) = self.table.get(id) else { return };
        let (how, code) = match stream.send.state {
            SendState::Finished => ("finished", None),
            SendState::Reset(code) => ("reset", Some(code)),
            _ => return,
        };
        let octets = stream.send.sent;
        self.observe(|| Observed::StreamEnded { stream: id, direction: "send", how, code, octets });
    }

    /// The peer's direction of a stream is at its end.
    pub(super) fn observe_receive_end(&mut self, id: StreamId, how: &'static str, code: Option<Code>) {
        if self.observer.is_some() {
            let octets = self.table.get(id).map_or(0, |stream| stream.recv.received);
            self.observe(|| Observed::StreamEnded { stream: id, direction: "receive", how, code, octets });
        }
    }

    /// Counts what goes out again on another link, for the session and for the streams whose data it is.
    pub(super) fn count_replayed(&mut self) {
        self.stats.replayed_len += self.link.again.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        let (table, replayed) = (&self.table, &mut self.replayed);
        frames_of(self.link.again.iter(), |glance| {
            if let Some(id) = glance.stream.filter(|id| table.get(*id).is_some()) {
                *replayed.entry(id).or_default() += glance.len as u64;
            }
        });
    }

    pub(super) fn observe_opened(&mut self, stream: &Stream, by: &'static str) {
        let (id, kind) = (stream.id, stream.kind);
        self.observe(|| Observed::StreamOpened { stream: id, by, kind });
    }

    pub(super) fn observe_drop(&mut self, what: &'static str, why: &'static str, stream: Option<StreamId>, count: u64) {
        self.observe(|| Observed::Dropped { what, why, stream, count });
    }

    pub(super) fn observe_end(&mut self) {
        let (by, code) = match self.end.as_deref() {
            Some(SessionError::Closed { code }) => ("local", Some(*code)),
            Some(SessionError::ClosedByPeer { code, .. }) => ("peer", Some(*code)),
            Some(SessionError::Superseded) => ("peer", Some(Code::SUPERSEDED)),
            Some(SessionError::Fault(fault)) => ("local", Some(fault.code())),
            Some(SessionError::ResumeRefused(code)) => ("peer", Some(*code)),
            Some(SessionError::OverBudget { .. }) => ("local", Some(Code::OVERLOAD)),
            _ => ("nobody", None),
        };
        self.observe(|| Observed::SessionEnded { by, code });
    }
}

impl Charge {
    /// As in the events of a trace.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Frame => "frame",
            Self::Open => "open",
            Self::Reset => "reset",
            Self::ProvokedReset => "provoked_reset",
            Self::Ping => "ping",
            Self::Empty => "empty",
            Self::Useless => "useless",
            Self::Metadata(_) => "metadata",
            Self::Settings => "settings",
            Self::Auth => "auth",
            Self::AuthFailed => "auth_failed",
        }
    }
}
