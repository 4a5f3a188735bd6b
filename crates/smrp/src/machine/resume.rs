//! Links come and go, the session stays.

use super::event::{Event, Reattach};
use super::link::{Link, Stage};
use super::{Loss, Phase, SessionMachine};
use crate::Role;
use crate::credential::Channel;
use crate::error::SessionError;
use crate::trace::Observed;
use crate::wire::{Code, Frame, Security, number};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use wirekit::Instant;

/// A session that took another link.
#[derive(Debug)]
pub struct Adoption {
    /// What is to be written on the link that was left, where it still lives, before it is closed.
    pub farewell: Bytes,
}

impl SessionMachine {
    /// Whether the loss of the link is not the end.
    #[must_use]
    pub fn is_resumable(&self) -> bool {
        let has_ticket = self.role == Role::Acceptor || self.handle.is_some();
        self.was_established && self.replay.keeps() && has_ticket && self.end.is_none()
    }

    /// True while it has no link.
    #[must_use]
    pub fn is_detached(&self) -> bool {
        self.phase == Phase::Detached
    }

    //= SMRP-K3, SMRP-L10, SMRP-R5, SMRP-R20
    pub(super) fn link_lost(&mut self, now: Instant) {
        if self.phase != Phase::Linked {
            return;
        }
        let is_unanswered = self.link.stage == Stage::Preface;
        self.link.stage = Stage::Over;
        self.link.out = BytesMut::new();
        let keep = self.ours.resumable_with(&self.peer);
        match keep {
            Some(keep) if self.is_resumable() => {
                self.phase = Phase::Detached;
                if self.loss.is_some() {
                    // The link that was to be another one did not come to be.
                    self.redial_failed(now, is_unanswered);
                } else {
                    self.loss = Some(Box::new(Loss { until: now + keep, keep, refused_since: None }));
                }
                self.observe(|| Observed::LinkLost { keep });
                self.events.push_back(Event::Detached { keep });
            }
            _ => {
                self.observe(|| Observed::LinkLost { keep: core::time::Duration::ZERO });
                self.end_with(SessionError::LinkLost);
            }
        }
    }

    /// Of the initiator: an attempt at another link came to nothing. `is_refused` where the carrier says that nobody listens there:
    /// whoever kept the session is gone then, unless somebody listens again soon.
    //= SMRP-R19
    pub fn redial_failed(&mut self, now: Instant, is_refused: bool) {
        let now = self.at(now);
        if self.phase == Phase::Detached
            && let Some(loss) = &mut self.loss
        {
            loss.refused_since = is_refused.then(|| loss.refused_since.unwrap_or(now));
        }
    }

    #[cfg(all(test, feature = "tokio"))]
    pub(crate) fn detach_for_test(&mut self) {
        self.phase = Phase::Detached;
    }

    /// Begins another link; hand in what comes on it from now on. The carrier may be of another kind, `config` says of which.
    /// False where this session cannot do that, and it is as it was then: it is over, is the acceptor, or the carrier is less safe than it may be.
    pub fn relink(&mut self, now: Instant, security: Security, is_local: bool) -> bool {
        self.relink_over(now, security, is_local, Channel::default())
    }

    /// As [`relink`](Self::relink), with what the carrier knows of the new connection.
    //= SMRP-R9, SMRP-R12, SMRP-R16, SMRP-A7
    pub fn relink_over(&mut self, now: Instant, security: Security, is_local: bool, channel: Channel) -> bool {
        let now = self.at(now);
        let Some(handle) = self.handle.clone() else { return false };
        if !self.is_resumable() || self.role == Role::Acceptor || self.is_lower(security) {
            return false;
        }
        let mut config = self.config.as_ref().clone();
        config.security = security;
        config.is_local = is_local;
        config.channel = channel;
        // A token is not shown where it could be read.
        if config.check().is_err() {
            return false;
        }
        if self.phase == Phase::Linked {
            self.link_lost(now);
        }
        self.config = Arc::new(config);
        self.epoch += 1;
        let nonce = self.nonce();
        self.link = Link::new(now, self.config.channel.clone());
        self.link.is_authenticated = true;
        self.link.epoch = self.epoch;
        self.link.greet(&self.config, &self.ours, nonce, true);
        self.link.put(&Frame::Reattach { epoch: self.epoch, received: self.position, handle });
        self.phase = Phase::Linked;
        self.observe_attached();
        true
    }

    fn is_lower(&self, security: Security) -> bool {
        self.config.security == Security::Tls && security != Security::Tls
    }

    //= SMRP-R9
    pub(super) fn on_reattach(&mut self, epoch: u64, received: u64, handle: Bytes) {
        //= SMRP-A19
        if self.link.stage == Stage::Auth {
            let code = if self.link.auth_failures > 0 { Code::AUTH_FAILED } else { Code::AUTH_REQUIRED };
            return self.fail_rule(code, number::REATTACH, "REATTACH of one who was not believed");
        }
        if self.role == Role::Initiator || self.link.stage != Stage::Reattaching {
            return self.fail_rule(Code::PROTOCOL_VIOLATION, number::REATTACH, "REATTACH out of place");
        }
        self.link.decided_from = self.link.stage;
        self.link.stage = Stage::Deciding;
        self.link.epoch = epoch;
        self.events.push_back(Event::Reattach(Reattach { handle, epoch, received }));
    }

    /// Of the acceptor: this session goes on over the link of `fresh`, which told [`Event::Reattach`]. `fresh` is to be dropped then.
    ///
    /// # Errors
    /// The code with which `fresh` is to [`refuse_reattach`](Self::refuse_reattach). This session is as it was, whoever asked.
    //= SMRP-R8, SMRP-R10, SMRP-R11, SMRP-R12, SMRP-R13, SMRP-R14
    pub fn adopt(&mut self, now: Instant, fresh: &mut Self, reattach: &Reattach) -> Result<Adoption, Code> {
        let now = self.at(now);
        if self.end.is_some() || self.role != Role::Acceptor || !self.replay.keeps() || reattach.epoch <= self.epoch {
            return Err(Code::RESUME_REFUSED);
        }
        let is_same = self.access.subject() == fresh.access.subject();
        if !is_same || self.access.was_granted && !fresh.access.was_granted {
            return Err(Code::FORBIDDEN);
        }
        if self.is_lower(fresh.config.security) {
            return Err(Code::DOWNGRADE);
        }
        if self.peer.lowered_by(&fresh.peer).is_some() {
            return Err(Code::SETTINGS);
        }
        if !self.replay.acknowledged(reattach.received) {
            return Err(Code::RESUME_REFUSED);
        }
        let mut farewell = BytesMut::new();
        if self.phase == Phase::Linked {
            Frame::Close { code: Code::SUPERSEDED, frame_type: 0, reason: Bytes::new() }.encode(&mut farewell);
        }
        self.epoch = reattach.epoch;
        //= SMRP-A19
        fresh.access.go_on(&self.access, now);
        self.access = core::mem::take(&mut fresh.access);
        self.expires_at = fresh.expires_at.map(|at| now + at.saturating_since(fresh.now));
        self.link = core::mem::replace(&mut fresh.link, Link::new(now, Channel::default()));
        fresh.link.stage = Stage::Over;
        fresh.end_with(SessionError::Superseded);
        // The other session had a clock of its own.
        self.link.forget_times(now);
        self.phase = Phase::Linked;
        self.observe_attached();
        let result = Frame::ReattachResult { code: Code::NO_ERROR, epoch: self.epoch, received: self.position };
        self.link.put(&result);
        self.go_on(now);
        self.issue_ticket();
        Ok(Adoption { farewell: farewell.freeze() })
    }

    /// Refuses what [`Event::Reattach`] asked for; this link is closed.
    //= SMRP-R15
    pub fn refuse_reattach(&mut self, now: Instant, code: Code) {
        self.at(now);
        let epoch = self.link.epoch;
        self.link.put(&Frame::ReattachResult { code, epoch, received: 0 });
        self.close_with(
            code,
            number::REATTACH.into(),
            "the session is not taken back",
            SessionError::ResumeRefused(code),
        );
    }

    //= SMRP-R10
    pub(super) fn on_reattach_result(&mut self, now: Instant, code: Code, epoch: u64, received: u64) {
        if self.link.stage != Stage::Reattaching || epoch != self.link.epoch {
            return self.fail_rule(Code::PROTOCOL_VIOLATION, number::REATTACH_RESULT, "REATTACH_RESULT out of place");
        }
        if code != Code::NO_ERROR {
            self.link.stage = Stage::Over;
            self.link.out.clear();
            return self.end_with(SessionError::ResumeRefused(code));
        }
        if !self.replay.acknowledged(received) {
            return self.fail_rule(Code::RESUME_REFUSED, number::REATTACH_RESULT, "a position that cannot be");
        }
        self.go_on(now);
    }

    /// The link is there: first what the peer did not get, then everything else.
    fn go_on(&mut self, now: Instant) {
        self.link.stage = Stage::Established;
        self.loss = None;
        self.link.told = self.position;
        self.link.heard_at = now;
        self.link.again = self.replay.kept().collect();
        self.count_replayed();
        self.stats.reattached += 1;
        self.rtt.on_other_link();
        self.events.push_back(Event::Reattached);
        self.send_ping(now);
    }

    /// Tells the peer what it need not keep.
    //= SMRP-R1, SMRP-R2
    pub(super) fn acknowledge_position(&mut self) {
        if self.replay.keeps() && self.position - self.link.told >= self.peer.ack_every / 2 {
            let (direction, octets, kept) = ("received", self.position, self.replay.len());
            self.link.told = octets;
            self.link.put(&Frame::SessionAck { received: octets });
            self.observe(|| Observed::PositionUpdated { direction, octets, kept });
        }
    }
}
