//! What happens by itself.

use super::{CloseReason, ConnectionMachine, Phase, TimerReason, error_number};
use crate::{Arguments, Code, Limit, LimitExceeded};
use wirekit::{Deadline, Instant, earliest};

impl ConnectionMachine {
    pub(super) fn next_deadline(&self) -> Option<Deadline<TimerReason>> {
        let armed = |at: Option<Instant>, reason| at.map(|at| Deadline::new(at, reason));
        match self.phase {
            Phase::Open | Phase::Draining(_) => earliest([
                armed(self.config.heartbeat_interval.map(|interval| self.sent_at + interval), TimerReason::Heartbeat),
                armed(self.config.peer_timeout.map(|timeout| self.received_at + timeout), TimerReason::PeerLost),
                armed(self.reassembler.idle_check_at(), TimerReason::AssemblyIdle),
                armed(self.small_units.deadline(), TimerReason::SmallUnits),
                armed(self.paused_deadline(), TimerReason::Paused),
            ]),
            Phase::Stopped(_, until) | Phase::StoppedByPeer(until) => Some(Deadline::new(until, TimerReason::Linger)),
            Phase::Closed => None,
        }
    }

    /// Only what waits makes a pause too long.
    fn paused_deadline(&self) -> Option<Instant> {
        self.held_since.map(|since| since + self.config.limits.paused_timeout)
    }

    pub(super) fn fire_timers(&mut self) {
        // Each round disarms what it fires, and no reason is armed again at the same instant but the idle check, which
        // drops a message each time.
        while let Some(deadline) = self.next_deadline().filter(|deadline| deadline.is_due(self.now)) {
            self.fire(deadline.reason);
        }
    }

    fn fire(&mut self, reason: TimerReason) {
        match reason {
            //= SMPF-CODE-6 SMPF-R16 SMPF-B-HEARTBEAT
            TimerReason::Heartbeat => {
                if self.outgoing.has_control_room() {
                    self.outgoing.control_once(Code::Heartbeat, Arguments::new());
                }
                self.sent_at = self.now;
            }
            TimerReason::PeerLost => self.end(CloseReason::PeerLost),
            TimerReason::AssemblyIdle => self.expire_assemblies(),
            TimerReason::SmallUnits => {
                self.small_units.expire(self.now);
                self.update_pause();
            }
            //= SMPF-L-PAUSED
            TimerReason::Paused => {
                let millis = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
                let since = self.held_since.take().unwrap_or(self.now);
                let exceeded = LimitExceeded {
                    limit: Limit::Paused,
                    max: millis(self.config.limits.paused_timeout),
                    got: millis(self.now.saturating_since(since)),
                };
                self.fail(CloseReason::Limit(exceeded), error_number::TIMED_OUT);
            }
            //= SMPF-L-LINGER
            TimerReason::Linger => self.finish_closing(),
        }
    }
}
