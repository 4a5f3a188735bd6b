//! What is known of one peer, and what goes there, whichever mailslot it is for.

use super::bucket::Bucket;
use super::congestion::Congestion;
use super::responses::Responses;
use super::rtt::RttEstimator;
use super::transfer::{Acked, Patience, Transfer};
use crate::config::{Config, SEGMENT_LEN_MIN};
use crate::wire::{Action, HEADER_LEN, PseudoHeader, Response};
use crate::{Profile, config::Addressing};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use wirekit::Instant;

/// Retransmission time-outs of a long segment in a row before the path is taken to swallow such.
//= SMP121-O18
const BLACK_HOLE_COUNT: u32 = 3;

/// How often a peer asks in vain for one long segment of a reply before that: it is there, and hears what is short.
//= SMP121-O18
const ASKED_COUNT: u32 = 4;

/// How long one segment that arrived shows what the path takes.
const PASSED_TIME: Duration = Duration::from_secs(1);

/// Control segments that wait for one peer. More are dropped: both sides ask again.
const CONTROL_COUNT_MAX: usize = 32;

/// Something short that goes before messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Control {
    /// Ask for the name of this remote mailslot.
    NameRequest { remote: u32 },
    /// Answer for this mailslot of ours, by number.
    NameReply { number: u32, mailslot: u16 },
    /// There is none of this name.
    NoSuchName { name: Box<[u8]> },
    /// A request is unknown.
    Reset { number: u32, mailslot: u16 },
}

/// A message that has something to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    /// A request of ours: the remote mailslot and the place in its window.
    Request { remote: u32, place: u64 },
    /// A reply of ours: the mailslot and the place.
    Reply { mailslot: u16, place: u64 },
}

impl Sender {
    const fn place(self) -> u64 {
        match self {
            Self::Request { place, .. } | Self::Reply { place, .. } => place,
        }
    }

    fn is_beside(self, other: Self) -> bool {
        match (self, other) {
            (Self::Request { remote: a, .. }, Self::Request { remote: b, .. }) => a == b,
            (Self::Reply { mailslot: a, .. }, Self::Reply { mailslot: b, .. }) => a == b,
            _ => false,
        }
    }
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) address: SocketAddr,
    /// The address of ours that the peer knows.
    pub(super) local: IpAddr,
    addressing: Addressing,
    pub(super) profile: Profile,
    segment_len_max: usize,
    pub(super) rtt: RttEstimator,
    pub(super) congestion: Congestion,
    pub(super) responses: Responses,
    pub(super) control: VecDeque<Control>,
    pub(super) sending: VecDeque<Sender>,
    pub(super) name_requests: Bucket,
    /// It answered with something that only the owner of its address can know.
    pub(super) is_proven: bool,
    /// Octets of its requests in assembly or waiting, charges included.
    pub(super) assembly_len: usize,
    /// Octets of replies kept for it.
    pub(super) replies_len: usize,
    /// A request of it waits until fewer octets of replies are kept.
    pub(super) holds_requests: bool,
    /// When anything valid last came.
    pub(super) heard_at: Instant,
    pub(super) sent_at: Instant,
    /// Octets of replies whose final acknowledgement waits.
    unacked_len: usize,
    /// Something arrived that was taken for lost: packets overtake each other on the way.
    reorders: bool,
    /// The longest segment that was acknowledged lately, in octets of data, and when.
    passed: (usize, Instant),
    /// When something of this peer is due at the earliest. It may be too early, never too late.
    timer_at: Option<Instant>,
}

impl Link {
    pub(super) fn new(address: SocketAddr, local: IpAddr, config: &Config, now: Instant) -> Self {
        Self {
            address,
            local,
            addressing: config.addressing,
            profile: config.profile,
            segment_len_max: config.segment_len_max,
            rtt: RttEstimator::default(),
            congestion: Congestion::new(config.segment_len_max - HEADER_LEN, config.limits.flight_len_max),
            responses: Responses::default(),
            control: VecDeque::new(),
            sending: VecDeque::new(),
            name_requests: Bucket::new(config.limits.name_requests_per_second, now),
            is_proven: false,
            assembly_len: 0,
            replies_len: 0,
            holds_requests: false,
            heard_at: now,
            sent_at: now,
            unacked_len: 0,
            reorders: false,
            passed: (0, now),
            timer_at: None,
        }
    }

    /// Octets of a segment behind the header: data and records.
    pub(super) const fn body_len_max(&self) -> usize {
        self.segment_len_max - HEADER_LEN
    }

    /// The pseudo header of what is sent there. `None` never comes of addresses that were checked.
    pub(super) fn pseudo_header(&self) -> PseudoHeader {
        match self.addressing {
            Addressing::Ip => PseudoHeader::between(self.local, self.address.ip()).unwrap_or(PseudoHeader::None),
            Addressing::None => PseudoHeader::None,
        }
    }

    /// The largest message that can be sent there.
    pub(super) const fn message_len_max(&self) -> usize {
        if self.profile.segments { u32::MAX as usize } else { self.body_len_max() }
    }

    /// The oldest message that has something to send to or from the same mailslot as `sender`, which may be that itself.
    pub(super) fn oldest_beside(&self, sender: Sender) -> Sender {
        self.sending
            .iter()
            .copied()
            .filter(|other| other.is_beside(sender))
            .fold(sender, |oldest, other| if other.place() < oldest.place() { other } else { oldest })
    }

    pub(super) fn arm(&mut self, at: Instant) {
        self.timer_at = Some(self.timer_at.map_or(at, |other| other.min(at)));
    }

    pub(super) const fn timer_at(&self) -> Option<Instant> {
        self.timer_at
    }

    pub(super) const fn set_timer(&mut self, at: Option<Instant>) {
        self.timer_at = at;
    }

    /// Queues a control segment, once. Name requests always find a place: there is one for each handle at most.
    pub(super) fn push_control(&mut self, control: Control) {
        let has_room = self.control.len() < CONTROL_COUNT_MAX || matches!(control, Control::NameRequest { .. });
        if has_room && !self.control.contains(&control) {
            self.control.push_back(control);
        }
    }

    /// Queues a response that goes alone at `due_at`.
    pub(super) fn respond(&mut self, number: u32, mailslot: u16, action: Action, due_at: Instant) {
        self.responses.push(Response { number, mailslot, action }, due_at);
        self.arm(due_at);
    }

    /// Queues an acknowledgement that says again what was said, since something came that was not next.
    pub(super) fn respond_again(&mut self, number: u32, mailslot: u16, action: Action, now: Instant) {
        self.responses.push_again(Response { number, mailslot, action }, now);
        self.arm(now);
    }

    /// Queues the final acknowledgement of a reply. It waits for a segment to ride on, unless so much waits that the
    /// peer's window may be closed by it.
    //= SMP121-R-A, SMP121-R-C
    pub(super) fn respond_final(&mut self, number: u32, mailslot: u16, total: u32, now: Instant, delay: Duration) {
        self.unacked_len += super::num::to_usize(total).min(2 * self.body_len_max());
        let is_due = self.unacked_len > 4 * self.body_len_max() || self.is_acknowledged_at_once(total);
        let delay = if is_due { Duration::ZERO } else { delay };
        self.respond(number, mailslot, Action::Accepted { offset: total }, now + delay);
    }

    /// `count` records went with a segment.
    pub(super) fn on_responses_sent(&mut self, count: usize) {
        self.responses.sent(count);
        if self.responses.is_empty() {
            self.unacked_len = 0;
        }
    }

    /// How long nothing must have been sent for a repetition by the peer to mean that something was lost.
    pub(super) fn quiet(&self) -> Duration {
        self.rtt.srtt().max(self.profile.rto_min / 4)
    }

    /// An acknowledgement of a part of `transfer`.
    pub(super) fn on_ack(&mut self, transfer: &mut Transfer, offset: u32, now: Instant) -> Acked {
        let (before, used_len, sent_at) = (transfer.flight_len(), self.congestion.flight_len(), transfer.sent_at());
        let srtt = self.rtt.srtt();
        // What is overtaken by no more than that is not lost (RFC 8985, section 6.2).
        let reordering = if self.reorders { srtt / 4 } else { Duration::ZERO };
        let patience = Patience { quiet: self.quiet(), reordering, segment_len: self.body_len_max() };
        let resent_at = transfer.fast_resent_at();
        let acked = transfer.on_ack(offset, now, patience);
        self.congestion.moved(before, transfer.flight_len());
        match acked {
            Acked::Advanced { len, rtt } => {
                self.on_passed(len, now);
                self.congestion.on_acked(len, used_len);
                // An answer this soon is to the first copy.
                self.reorders |= resent_at.is_some_and(|at| now.saturating_since(at) < srtt / 2);
                // The last acknowledgement of a message waits on purpose, so its time says nothing of the path.
                //= SMP121-A21
                if let Some(rtt) = rtt
                    && offset < transfer.total()
                {
                    self.rtt.sample(rtt);
                }
            }
            Acked::Lost => self.congestion.on_loss(now, sent_at),
            Acked::Again | Acked::Stale => {}
        }
        acked
    }

    /// True where a lost segment of `transfer` is found out by a probe: it has several, and the peer acknowledges each two.
    pub(super) fn probes(&self, transfer: &Transfer) -> bool {
        let is_in_parts = super::num::to_usize(transfer.total()) > self.body_len_max();
        is_in_parts && self.profile.acknowledges_parts && self.rtt.is_known()
    }

    /// How long to wait for an acknowledgement of `transfer`, where a time-out would come after `rto`.
    pub(super) fn wait(&self, transfer: &Transfer, rto: Duration) -> Duration {
        match transfer.probes_left() {
            Some(probes_count) if self.probes(transfer) => {
                self.rtt.probe_wait(probes_count, transfer.is_recovering()).min(rto)
            }
            _ => rto,
        }
    }

    /// The final acknowledgement of a message of so many octets is not delayed.
    pub(super) fn is_acknowledged_at_once(&self, total: u32) -> bool {
        super::num::to_usize(total) > 4 * self.body_len_max()
    }

    /// An acknowledgement of `transfer` is overdue.
    pub(super) fn send_probe(&mut self, transfer: &mut Transfer, now: Instant) {
        let sent_at = transfer.sent_at();
        if transfer.send_probe() {
            self.congestion.on_loss(now, sent_at);
        }
    }

    /// All of `transfer` has arrived, as something else than an acknowledgement shows.
    pub(super) fn finish(&mut self, transfer: &mut Transfer, now: Instant) {
        let (before, used_len) = (transfer.flight_len(), self.congestion.flight_len());
        let len = transfer.finish();
        self.congestion.moved(before, 0);
        self.on_passed(len, now);
        self.congestion.on_acked(len, used_len);
    }

    /// `transfer` is dropped.
    pub(super) fn drop_transfer(&mut self, transfer: &Transfer) {
        self.congestion.moved(transfer.flight_len(), 0);
    }

    /// Something is about to be sent: after a long silence the window starts small again.
    pub(super) fn on_idle(&mut self, now: Instant) {
        let idle = now.saturating_since(self.sent_at.max(self.heard_at));
        self.congestion.on_idle(idle, self.rtt.rto(&self.profile, 0));
    }

    /// Nothing came back for `transfer` in time. Of a message of one segment, the time of service may be the reason, where
    /// the peer was heard since; that is no sign of congestion.
    pub(super) fn on_timeout(&mut self, transfer: &mut Transfer, now: Instant) {
        let (before, sent_at) = (transfer.flight_len(), transfer.sent_at());
        let may_be_service = super::num::to_usize(transfer.total()) <= self.body_len_max() && self.heard_at > sent_at;
        let timeouts_count = transfer.on_timeout();
        if before > 0 && !may_be_service {
            self.congestion.on_timeout(now, sent_at);
        }
        self.congestion.moved(before, 0);
        if timeouts_count >= BLACK_HOLE_COUNT && self.may_swallow(transfer) {
            self.set_segment_len_max(SEGMENT_LEN_MIN);
        }
    }

    /// The peer asked for a segment of `transfer`, a reply, that went to it a while ago.
    //= SMP121-O18
    pub(super) fn on_asked(&mut self, transfer: &Transfer) {
        if transfer.asked_count() >= ASKED_COUNT && self.may_swallow(transfer) {
            self.set_segment_len_max(SEGMENT_LEN_MIN);
        }
    }

    /// True where the next segment of `transfer` is long, and none as long has arrived since that went first.
    fn may_swallow(&self, transfer: &Transfer) -> bool {
        let segment_len = transfer.unacked_len().min(self.body_len_max());
        let (passed_len, passed_at) = self.passed;
        let has_passed = passed_len >= segment_len && passed_at > transfer.stalled_at();
        segment_len > SEGMENT_LEN_MIN - HEADER_LEN && !has_passed && self.profile.segments
    }

    /// So many octets arrived at the peer. The longest segment among the latest is what the path takes.
    fn on_passed(&mut self, len: usize, now: Instant) {
        let len = len.min(self.body_len_max());
        let (passed_len, passed_at) = self.passed;
        if len >= passed_len || now.saturating_since(passed_at) > PASSED_TIME {
            self.passed = (len, now);
        }
    }

    /// The peer had more of `transfer` than `offset`, and has no more.
    pub(super) fn rewind(&mut self, transfer: &mut Transfer, offset: u32) {
        let before = transfer.flight_len();
        transfer.rewind(offset);
        self.congestion.moved(before, transfer.flight_len());
    }

    /// The path takes segments of at most `len` octets.
    pub(super) fn set_segment_len_max(&mut self, len: usize) {
        let len = len.max(SEGMENT_LEN_MIN);
        if len < self.segment_len_max {
            self.segment_len_max = len;
            self.congestion.on_segment_len(self.body_len_max());
        }
    }
}
