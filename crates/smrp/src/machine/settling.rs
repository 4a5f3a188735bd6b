//! Frames about the session as a whole: HELLO, PING, GOAWAY, CLOSE, tickets.

use super::event::{Event, Ticket};
use super::ledger::Charge;
use super::link::Stage;
use super::stream::{RecvState, SendState};
use super::{Drain, PeerGoing, SessionMachine};
use crate::error::{Fault, SessionError, shown};
use crate::trace::Observed;
use crate::wire::{Code, Frame, Parameters, number, parameter};
use crate::{Direction, Role, Settings, StreamId};
use bytes::Bytes;
use core::time::Duration;
use wirekit::Instant;

/// What a first GOAWAY names: every stream.
const ALL_STREAMS: u64 = crate::wire::VARINT_MAX;

impl SessionMachine {
    //= SMRP-S1, SMRP-S2, SMRP-P11
    pub(super) fn on_hello(&mut self, now: Instant, parameters: &Parameters) {
        let settings = match Settings::from_parameters(parameters) {
            Ok(settings) => settings,
            Err(error) => return self.fail(Fault::Settings(error)),
        };
        match parameters.get(parameter::PREFACE_HASH) {
            Some(hash) if Some(hash.as_ref()) == self.link.preface_hash_expected.as_ref().map(|hash| &hash[..]) => {}
            Some(hash) if hash.len() == 32 => return self.fail(Fault::PrefaceHash),
            _ => return self.fail(Fault::Settings(crate::SettingsError::Malformed("preface_hash"))),
        }
        self.link.is_reattaching = parameters.get(parameter::REATTACHING).is_some();
        if self.link.is_reattaching && self.role == Role::Initiator {
            return self.fail(Fault::Settings(crate::SettingsError::Malformed("reattaching")));
        }
        if self.was_established {
            //= SMRP-R13
            if let Some(name) = self.peer.lowered_by(&settings) {
                return self.fail(Fault::Settings(crate::SettingsError::NotRaised(name)));
            }
            self.link.stage = Stage::Reattaching;
            return;
        }
        self.learn(&settings);
        self.peer = settings;
        if self.ours.resumable_with(&self.peer).is_none() {
            self.replay.stop_keeping();
        }
        if self.role == Role::Acceptor && self.config.demands_auth {
            self.link.stage = Stage::Auth;
        } else {
            self.link.is_authenticated = true;
            self.establish(now);
        }
    }

    /// What the peer's first HELLO allows beyond the floor.
    //= SMRP-S4
    fn learn(&mut self, settings: &Settings) {
        self.credit.max = self.credit.max.max(settings.init_max_data);
        let ways = [(Direction::Bidi, settings.max_streams_bidi), (Direction::Uni, settings.max_streams_uni)];
        for (direction, max) in ways {
            if self.table.allow_ours(direction, max) {
                self.events.push_back(Event::MayOpen(direction));
            }
        }
        for id in self.table.ids() {
            let Some(stream) = self.table.get_mut(id) else { continue };
            stream.send.max = stream.send.max.max(settings.init_max_stream);
            if let Some(messages) = &mut stream.send.messages {
                messages.max = messages.max.max(settings.init_max_msgs);
            }
            self.schedule(id);
        }
    }

    pub(super) fn establish(&mut self, now: Instant) {
        //= SMRP-R9
        if self.link.is_reattaching && self.role == Role::Acceptor && !self.was_established {
            self.link.stage = Stage::Reattaching;
            return;
        }
        //= SMRP-FC13
        if self.role == Role::Acceptor && !self.was_established && self.is_over_budget() {
            let max = self.config.budget.as_ref().map_or(0, crate::Budget::len_max);
            return self.close_with(Code::OVERLOAD, 0, "no memory is left", SessionError::OverBudget { max });
        }
        self.link.stage = Stage::Established;
        if !self.was_established {
            self.was_established = true;
            self.observe(|| Observed::SessionEstablished {});
            if !self.link.awaits_auth {
                self.events.push_back(Event::Established);
            }
            if self.role == Role::Acceptor {
                self.issue_ticket();
            }
            self.send_ping(now);
        }
    }

    /// Hands the initiator what it needs for another link.
    //= SMRP-R6
    pub(super) fn issue_ticket(&mut self) {
        let Some(offline) = self.ours.resumable_with(&self.peer) else { return };
        let handle = Bytes::copy_from_slice(&self.random());
        let lifetime = Duration::from_secs(86_400);
        let ms = u64::try_from(offline.as_millis()).unwrap_or(u64::MAX);
        self.put_control(&Frame::Ticket { lifetime_s: lifetime.as_secs(), offline_ms: ms, handle: handle.clone() });
        self.events.push_back(Event::Ticket(Ticket { handle, lifetime, offline }));
    }

    //= SMRP-L1, SMRP-X7
    pub(super) fn on_ping(&mut self, now: Instant, data: u64) {
        let least = Duration::from_millis(self.ours.min_ping_ms);
        let is_early = self.link.pinged_at.is_some_and(|then| now.saturating_since(then) < least);
        self.link.pinged_at = Some(now);
        if is_early {
            self.ledger.charge(Charge::Ping);
        }
        self.link.pong = Some(data);
    }

    pub(super) fn on_pong(&mut self, now: Instant, data: u64) {
        match self.link.ping {
            Some((waiting, since)) if waiting == data => {
                self.link.ping = None;
                self.rtt.sample(now.saturating_since(since));
            }
            _ => self.ledger.charge(Charge::Useless),
        }
    }

    pub(super) fn send_ping(&mut self, now: Instant) {
        if self.link.ping.is_none() {
            self.link.ping_count += 1;
            let data = self.link.ping_count;
            self.link.ping = Some((data, now));
            self.link.ping_at = now;
            self.link.put(&Frame::Ping { ack: false, data });
        }
    }

    //= SMRP-L4
    pub(super) fn on_close(&mut self, code: Code, frame_type: u64, reason: &[u8]) {
        self.link.out.clear();
        self.link.stage = Stage::Over;
        if code == Code::SUPERSEDED {
            return self.end_with(SessionError::Superseded);
        }
        self.end_with(SessionError::ClosedByPeer { code, frame_type, reason: shown(reason) });
    }

    pub(super) fn on_settings(&mut self, now: Instant, parameters: &Parameters) {
        self.ledger.charge(Charge::Settings);
        if !self.link.counts_settings(now) {
            return self.fail_rule(Code::ABUSE, number::SETTINGS, "more than 8 SETTINGS in a minute");
        }
        if let Err(error) = self.peer.raise(parameters) {
            self.fail(Fault::Raised(error));
        }
    }

    pub(super) fn on_ticket(&mut self, lifetime_s: u64, offline_ms: u64, handle: Bytes) {
        if self.role == Role::Acceptor {
            return self.fail_rule(Code::PROTOCOL_VIOLATION, number::TICKET, "TICKET from the initiator");
        }
        self.handle = Some(handle.clone());
        let (lifetime, offline) = (Duration::from_secs(lifetime_s), Duration::from_millis(offline_ms));
        self.events.push_back(Event::Ticket(Ticket { handle, lifetime, offline }));
    }

    //= SMRP-L6, SMRP-L8, SMRP-L11
    pub(super) fn on_goaway(&mut self, frame: Frame) {
        let Frame::GoAway { is_final, bidi, uni, drain_ms, code, redirect } = frame else { return };
        let named = (!redirect.is_empty()).then(|| shown(&redirect));
        let redirect = named.or_else(|| self.redirect().map(str::to_owned));
        self.peer_going = Some(Box::new(PeerGoing { redirect: redirect.clone() }));
        let drain = Duration::from_millis(drain_ms);
        self.events.push_back(Event::GoingAway { is_final, drain, code, redirect });
        if !is_final {
            return;
        }
        let role = self.role;
        for id in self.table.ids().into_iter().filter(|id| id.opener() == role) {
            let count = if id.direction() == Direction::Bidi { bidi } else { uni };
            if id.index() >= count {
                self.was_refused(id);
            }
        }
    }

    /// A stream of ours that the peer did not process.
    fn was_refused(&mut self, id: StreamId) {
        let Some(stream) = self.table.get_mut(id) else { return };
        self.queued_len -= stream.send.drop_queued(0);
        stream.send.stopped = Some(Code::REFUSED);
        let (sends, receives) = (!stream.send.is_done(), !stream.recv.has_ended);
        if sends {
            stream.send.state = SendState::Reset(Code::REFUSED);
        }
        if receives {
            stream.recv.state = RecvState::Reset(Code::REFUSED);
            stream.recv.has_ended = true;
        }
        if sends {
            self.observe_send_end(id);
        }
        if receives {
            self.observe_receive_end(id, "reset", Some(Code::REFUSED));
        }
        self.wake(id);
        self.forget_if_done(id);
    }

    /// Begins a drain: the peer opens nothing more, what is open has this long to end.
    //= SMRP-L6, SMRP-L7
    pub fn drain(&mut self, now: Instant, duration: Duration, redirect: Option<&str>) {
        let now = self.at(now);
        if self.drain.is_some() || self.end.is_some() {
            return;
        }
        let grace = self.rtt.smoothed.unwrap_or(Duration::from_millis(50)).max(Duration::from_millis(10)) * 2;
        let final_at = now + grace.min(duration);
        self.drain =
            Some(Box::new(Drain { final_at, ends_at: now + duration, duration, is_final: false, refused_count: 0 }));
        self.put_goaway(false, (ALL_STREAMS, ALL_STREAMS), duration, redirect.unwrap_or_default());
    }

    fn put_goaway(&mut self, is_final: bool, (bidi, uni): (u64, u64), drain: Duration, redirect: &str) {
        self.put_control(&Frame::GoAway {
            is_final,
            bidi,
            uni,
            drain_ms: u64::try_from(drain.as_millis()).unwrap_or(u64::MAX),
            code: Code::SHUTDOWN,
            redirect: Bytes::copy_from_slice(redirect.as_bytes()),
        });
    }

    /// Whether a drain of ours has named its last streams, and each stream that the peer opened has come to its end.
    #[must_use]
    pub fn has_all(&self) -> bool {
        self.drain.as_ref().is_some_and(|drain| drain.is_final)
            && self.table.iter().all(|stream| stream.id.opener() == self.role || stream.recv.has_ended)
    }

    /// Where the peer says to go instead, once it goes away. It is what the peer says, escaped.
    #[must_use]
    pub fn redirect(&self) -> Option<&str> {
        self.peer_going.as_ref()?.redirect.as_deref()
    }

    pub(super) fn finish_drain(&mut self) {
        let Some(drain) = &mut self.drain else { return };
        drain.is_final = true;
        let duration = drain.duration;
        let counts = (self.table.count_of_theirs(Direction::Bidi), self.table.count_of_theirs(Direction::Uni));
        self.put_goaway(true, counts, duration, "");
        //= SMRP-L9
        if self.table.len() == 0 && self.may_send_session_frames() {
            // CLOSE follows at once, and what waits would not go out any more.
            let control = core::mem::take(&mut self.control);
            self.link.out.extend_from_slice(&control);
        }
        self.close_if_drained();
    }

    //= SMRP-L9
    pub(super) fn close_if_drained(&mut self) {
        let is_final = self.drain.as_ref().is_some_and(|drain| drain.is_final);
        if is_final && self.table.len() == 0 && self.end.is_none() {
            self.close_with(Code::NO_ERROR, 0, "drained", SessionError::Closed { code: Code::NO_ERROR });
        }
    }

    /// Closes once every stream has ended, and takes no new ones: for an application that let go of everything.
    //= SMRP-L9
    pub fn close_when_sent(&mut self, now: Instant) {
        let now = self.at(now);
        if self.end.is_some() {
            return;
        }
        // What waits to be told, such as what became of a stream, goes out first.
        if self.table.len() == 0 && self.control.is_empty() {
            let error = SessionError::Closed { code: Code::NO_ERROR };
            return self.close_with(Code::NO_ERROR, 0, "", error);
        }
        // A link that is not there has nobody to say goodbye to.
        self.drain(now, Duration::from_secs(60), None);
    }

    /// Closes the session now.
    pub fn close(&mut self, now: Instant, code: Code, reason: &str) {
        self.at(now);
        self.close_with(code, 0, reason, SessionError::Closed { code });
    }

    /// Frames about the session, and those about streams that carry no data.
    pub(super) fn on_control(&mut self, now: Instant, frame: Frame) {
        match frame {
            Frame::MaxData { octets } => self.on_max_data(octets),
            Frame::MaxStream { stream, octets, messages } => self.on_max_stream(stream, octets, messages),
            Frame::MaxStreams { class, count } => self.on_max_streams(class, count),
            Frame::Reset { stream, code, final_len, reliable_len } => {
                self.on_reset(now, stream, code, final_len, reliable_len);
            }
            Frame::Stop { stream, code } => self.on_stop(stream, code),
            Frame::Meta { stream, is_trailer, parameters } => self.on_meta(stream, is_trailer, parameters),
            Frame::Priority { stream, priority } => self.on_priority(stream, priority),
            Frame::Blocked { scope, stream, at } => self.on_blocked(now, scope, stream, at),
            Frame::MsgSkip { stream, first, count } => self.on_msg_skip(now, stream, first, count),
            Frame::Settings(parameters) => self.on_settings(now, &parameters),
            Frame::Ticket { lifetime_s, offline_ms, handle } => self.on_ticket(lifetime_s, offline_ms, handle),
            goaway @ Frame::GoAway { .. } => self.on_goaway(goaway),
            //= SMRP-F7
            other => {
                let number = u8::try_from(other.number()).unwrap_or(u8::MAX);
                self.fail_rule(Code::UNSUPPORTED_FRAME, number, "a frame of a service that was not agreed on");
            }
        }
    }
}
