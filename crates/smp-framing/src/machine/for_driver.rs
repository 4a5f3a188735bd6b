//! What our own driver needs beside the calls that all machines have.

use super::{CloseReason, ConnectionMachine, Phase, SendRules};
use crate::Delivery;
use crate::reassembler::Reassembler;
use wirekit::Instant;

impl ConnectionMachine {
    /// Delivers frames as they come, whatever the configuration said; before the first octet came.
    pub(crate) fn deliver_frames(&mut self) {
        self.config.delivery = Delivery::Frames;
        self.reassembler = Reassembler::new(&self.config);
    }

    pub(crate) const fn assembly_len_max(&self) -> usize {
        self.config.limits.assembly_len_max
    }

    /// The carrier takes nothing since this instant: when the peer counts as lost for that.
    pub(crate) fn stalled_deadline(&self, since: Instant) -> Option<Instant> {
        self.config.peer_timeout.map(|timeout| since + timeout)
    }

    /// The peer takes nothing any more.
    pub(crate) fn lose_peer(&mut self) {
        self.end(CloseReason::PeerLost);
    }

    /// The driver does not read, for reasons of its own: that the peer is not heard is not the peer's fault.
    pub(crate) fn excuse_silence(&mut self, now: Instant) {
        self.advance_clock(now);
        self.received_at = self.now;
    }

    /// The carrier did not take the STOP yet: the wait for the peer's end has not begun.
    pub(crate) fn postpone_linger(&mut self, now: Instant) {
        self.advance_clock(now);
        if let Phase::Stopped(_, until) = &mut self.phase {
            *until = self.now + self.config.limits.stop_linger;
        }
    }

    pub(crate) const fn send_rules(&self) -> SendRules {
        SendRules::new(&self.config)
    }
}
