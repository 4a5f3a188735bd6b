//! What falls due, and why.

use super::link::Stage;
use super::stream::{RecvState, SendState};
use super::{Loss, Phase, SessionMachine};
use crate::Role;
use crate::error::SessionError;
use crate::wire::Code;
use core::time::Duration;
use wirekit::{Deadline, Instant, earliest};

/// Why a session wants to be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The preface should be there.
    Preface,
    /// The handshake should be over.
    Handshake,
    /// A sign of life is due from us.
    Ping,
    /// A sign of life was due from the peer.
    Idle,
    /// Reading goes on after wasted work.
    Pause,
    /// The session has been without a link for long enough.
    Detached,
    /// Nobody has listened at the other end for long enough.
    Refused,
    /// The time of a stream has passed.
    StreamDeadline,
    /// The drain names its last streams.
    DrainFinal,
    /// The drain is over.
    DrainEnd,
    /// The identity expires.
    AuthExpiry,
}

impl SessionMachine {
    pub(super) fn next_deadline(&self) -> Option<Deadline<Reason>> {
        let limits = &self.config.limits;
        if self.end.is_some() {
            return None;
        }
        let deadline = |at, reason| Some(Deadline::new(at, reason));
        let streams = self.deadlines.first().map(|(at, _)| Deadline::new(*at, Reason::StreamDeadline));
        if self.phase == Phase::Detached {
            let loss = self.loss.as_ref();
            let until = loss.map(|loss| Deadline::new(loss.until, Reason::Detached));
            let refused = loss.and_then(|loss| loss.refused_since);
            let refused = refused.map(|since| Deadline::new(since + limits.refused_timeout, Reason::Refused));
            return earliest([until, refused]);
        }
        let drain = self.drain.as_ref().map(|drain| {
            if drain.is_final {
                Deadline::new(drain.ends_at, Reason::DrainEnd)
            } else {
                Deadline::new(drain.final_at, Reason::DrainFinal)
            }
        });
        let link = match self.link.stage {
            Stage::Preface => deadline(self.link.opened_at + limits.preface_timeout, Reason::Preface),
            Stage::Hello | Stage::Auth | Stage::Reattaching => {
                deadline(self.link.opened_at + limits.handshake_timeout, Reason::Handshake)
            }
            Stage::Deciding if !self.link.is_authenticated => {
                deadline(self.link.opened_at + limits.handshake_timeout, Reason::Handshake)
            }
            Stage::Established => self.idle().map(|idle| {
                if self.link.ping.is_none() {
                    Deadline::new(self.link.heard_at + idle / 3, Reason::Ping)
                } else {
                    Deadline::new(self.link.heard_at + idle, Reason::Idle)
                }
            }),
            _ => None,
        };
        let pause = self.link.paused_until.map(|at| Deadline::new(at, Reason::Pause));
        let expiry = if self.role == Role::Acceptor { self.expires_at } else { None };
        let expiry = expiry.map(|at| Deadline::new(at, Reason::AuthExpiry));
        earliest([link, streams, drain, pause, expiry])
    }

    fn idle(&self) -> Option<Duration> {
        self.ours.idle_with(&self.peer)
    }

    pub(super) fn timers_due(&mut self, now: Instant) {
        while let Some(deadline) = self.next_deadline().filter(|deadline| deadline.is_due(now)) {
            self.due(now, deadline.reason);
        }
    }

    fn due(&mut self, now: Instant, reason: Reason) {
        let limits = &self.config.limits;
        match reason {
            //= SMRP-R20
            Reason::Preface | Reason::Handshake if self.loss.is_some() => {
                // Silence says nothing about who kept the session: a host that was not reached, a process that was stopped.
                self.link_lost(now);
                self.redial_failed(now, false);
            }
            //= SMRP-P12, SMRP-X10
            Reason::Preface => {
                let after = limits.preface_timeout;
                self.link.out.clear();
                self.end_with(SessionError::HandshakeTimeout { what: "preface", after });
            }
            //= SMRP-P12, SMRP-A3
            Reason::Handshake => {
                let after = limits.handshake_timeout;
                let (code, what) = match self.link.stage {
                    Stage::Auth | Stage::Deciding => (Code::AUTH_REQUIRED, "authentication"),
                    _ => (Code::PROTOCOL_VIOLATION, "handshake"),
                };
                self.close_with(code, 0, "the handshake took too long", SessionError::HandshakeTimeout { what, after });
            }
            //= SMRP-L2
            Reason::Ping => self.send_ping(now),
            //= SMRP-L2
            Reason::Idle => {
                let idle = self.idle().unwrap_or_default();
                if self.is_resumable() {
                    self.link_lost(now);
                } else {
                    self.close_with(Code::IDLE, 0, "nothing was heard", SessionError::Idle(idle));
                }
            }
            Reason::Pause => self.link.paused_until = None,
            //= SMRP-R5
            Reason::Detached => {
                if let Some(Loss { keep, .. }) = self.loss.as_deref() {
                    self.end_with(SessionError::NotReattached(*keep));
                }
            }
            //= SMRP-R19
            Reason::Refused => self.end_with(SessionError::NobodyListens(limits.refused_timeout)),
            Reason::StreamDeadline => self.stream_due(now),
            Reason::DrainFinal => self.finish_drain(),
            //= SMRP-L7
            Reason::DrainEnd => {
                self.close_with(Code::SHUTDOWN, 0, "the drain is over", SessionError::Closed { code: Code::SHUTDOWN });
            }
            //= SMRP-A10
            Reason::AuthExpiry => {
                let error = SessionError::Closed { code: Code::AUTH_EXPIRED };
                self.close_with(Code::AUTH_EXPIRED, 0, "the identity expired", error);
            }
        }
    }

    /// The time of a stream has passed: what of it is not over ends with DEADLINE.
    //= SMRP-O5
    fn stream_due(&mut self, now: Instant) {
        let Some((_, id)) = self.deadlines.pop_first() else { return };
        if let Some(stream) = self.table.get_mut(id) {
            stream.has_deadline = false;
        }
        self.reset_half(id, Code::DEADLINE, 0);
        self.stop_half(now, id, Code::DEADLINE);
        let Some(stream) = self.table.get_mut(id) else { return };
        if stream.recv.state == RecvState::Stopped {
            // Whoever waits for it is told at once, not when the peer has answered.
            stream.recv.state = RecvState::Reset(Code::DEADLINE);
        }
        if stream.send.stopped.is_none()
            && matches!(stream.send.state, SendState::Reset(_) | SendState::Resetting { .. })
        {
            stream.send.stopped = Some(Code::DEADLINE);
        }
        self.wake(id);
        self.forget_if_done(id);
    }
}
