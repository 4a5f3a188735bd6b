//! What leaves the machine: segments, and the response records that wait for one to ride on (facts 4 and 5).

use super::defect::Defect;
use super::segment::{HEADER_LEN, Outgoing, Response};
use super::{ACK_DELAY, PEER_COUNT_MAX, WAITING_COUNT_MAX};
use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use wirekit::Instant;

/// What IPv4 can carry behind a header without options.
const SEGMENT_LEN_MAX: usize = 65_535 - 20;

#[derive(Debug)]
struct Waiting {
    /// Newest last; they leave newest first.
    responses: Vec<Response>,
    /// The earliest of their deadlines: all leave with the one that is due.
    due_at: Instant,
}

#[derive(Debug)]
pub(super) struct Outbox {
    address: Ipv4Addr,
    /// The time of the call that is being handled.
    now: Instant,
    waiting: BTreeMap<Ipv4Addr, Waiting>,
    segments: VecDeque<(Ipv4Addr, Vec<u8>)>,
    defects: Vec<Defect>,
}

impl Outbox {
    pub(super) const fn new(address: Ipv4Addr) -> Self {
        Self { address, now: Instant::EPOCH, waiting: BTreeMap::new(), segments: VecDeque::new(), defects: Vec::new() }
    }

    /// A call at `now` begins. Time that goes back stands still.
    pub(super) fn begin(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    /// Puts `response` to the others for `peer`. Nothing leaves now: RESET and TOO_LARGE wait as long as an ACK.
    pub(super) fn queue(&mut self, peer: Ipv4Addr, response: Response) {
        if self.waiting.len() >= PEER_COUNT_MAX && !self.waiting.contains_key(&peer) {
            return self.note(Defect::OutOfMemory);
        }
        let due_at = self.now + ACK_DELAY;
        let waiting = self.waiting.entry(peer).or_insert_with(|| Waiting { responses: Vec::new(), due_at });
        if waiting.responses.len() >= WAITING_COUNT_MAX {
            return self.note(Defect::OutOfMemory);
        }
        waiting.responses.push(response);
    }

    /// Drops all responses for `peer`, of whatever mailslot.
    pub(super) fn flush(&mut self, peer: Ipv4Addr) {
        self.waiting.remove(&peer);
    }

    /// Sends a segment with all responses for `peer`: no limit, no look at any MTU.
    pub(super) fn send(&mut self, peer: Ipv4Addr, mut segment: Outgoing<'_>) {
        let mut responses = self.waiting.remove(&peer).map_or_else(Vec::new, |waiting| waiting.responses);
        responses.reverse();
        if responses.len() > usize::from(u8::MAX) {
            self.note(Defect::RecordCountWrapped { peer });
        }
        if HEADER_LEN + segment.data.len() > SEGMENT_LEN_MAX {
            // The facts say that sizes are 16 bits wide, not what comes of it. The plainest: as many octets as the low half says.
            self.note(Defect::LengthWrapped { peer });
            segment.data = segment.data.get(..segment.data.len() & 0xffff).unwrap_or_default();
        }
        let octets = segment.encode(self.address, peer, &responses);
        if octets.len() > SEGMENT_LEN_MAX {
            return self.note(Defect::LengthWrapped { peer });
        }
        if self.segments.len() >= WAITING_COUNT_MAX {
            return self.note(Defect::OutOfMemory);
        }
        self.segments.push_back((peer, octets));
    }

    /// Sends what responses are due, in segments of their own.
    pub(super) fn supervise(&mut self) {
        let now = self.now;
        let due = |(&peer, waiting): (&Ipv4Addr, &Waiting)| (waiting.due_at <= now).then_some(peer);
        let due: Vec<_> = self.waiting.iter().filter_map(due).collect();
        for peer in due {
            self.send(peer, Outgoing::default());
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn poll(&mut self) -> Option<(Ipv4Addr, Vec<u8>)> {
        self.segments.pop_front()
    }

    pub(super) fn note(&mut self, defect: Defect) {
        if self.defects.len() < WAITING_COUNT_MAX {
            self.defects.push(defect);
        }
    }

    pub(super) fn defects(&self) -> &[Defect] {
        &self.defects
    }

    /// Everything that waits is gone; what went wrong stays on record.
    pub(super) fn reboot(&mut self) {
        self.waiting.clear();
        self.segments.clear();
    }
}
