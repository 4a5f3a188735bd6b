//! What a session holds, and what it makes of a budget that it shares with others.
//!
//! The budget is a counter behind an atomic, which the machine itself looks at: a figure that a driver hands in would be old when it is used, and
//! what is let go of must be given back at once, in whatever state a session is dropped. A machine still does the same for the same
//! calls, as long as its budget has the same said to it.

use super::SessionMachine;
use crate::budget::Pressure;

/// What a stream counts for, its own memory apart from what it has buffered.
const STREAM_LEN: u64 = 512;
/// Octets of messages that are not whole which a session may hold whatever is left.
const ASSEMBLY_FLOOR: u64 = 64 << 10;
/// Octets that a stream takes to be sent when little is left.
const SEND_FLOOR: usize = 16 << 10;
/// Octets of datagrams each way when little is left.
const DATAGRAM_FLOOR: usize = 64 << 10;
/// What is kept for another link at the least: so much is told before a peer that keeps to the settings acknowledges.
const REPLAY_FLOOR: u64 = 128 << 10;
/// Streams of each end that may be there when nothing is left.
const STREAM_FLOOR: usize = 8;

impl SessionMachine {
    /// Octets that it holds, or has let the peer send beyond its floor.
    //= SMRP-FC11
    fn held_len(&self, promised: u64) -> u64 {
        let untaken = self.credit.received.saturating_sub(self.credit.taken);
        let promised = if self.end.is_some() { 0 } else { promised };
        let beyond = promised.saturating_sub(self.credit.floor + ASSEMBLY_FLOOR);
        let datagrams = (self.datagrams.out_len + self.datagrams.incoming_len) as u64;
        untaken.max(beyond) + self.queued_len + self.replay.len() + datagrams + self.table.len() as u64 * STREAM_LEN
    }

    fn promised(&self) -> u64 {
        self.credit.told.saturating_sub(self.credit.taken).max(self.credit.window)
    }

    /// Tells the budget, where there is one.
    #[inline]
    pub(super) fn account(&mut self) {
        if self.share.budget().is_some() {
            let pressure = self.share.hold(self.held_len(self.promised()));
            if pressure != self.pressure {
                self.pressure = pressure;
                self.observe_pressure(pressure);
            }
        }
    }

    /// Octets were handed in to be sent.
    #[inline]
    pub(super) fn queued(&mut self, len: usize) {
        self.queued_len += len as u64;
        self.account();
    }

    /// The window that may be given, of one that was used up.
    //= SMRP-FC12
    pub(super) fn window_within_budget(&mut self, window: u64) -> u64 {
        let floor = self.credit.floor;
        if self.share.budget().is_none() || window <= floor {
            return window;
        }
        let len = self.held_len(self.credit.incomplete.saturating_add(window));
        if self.share.try_widen(len) { window } else { floor }
    }

    /// Whether messages that are not whole may be as long as they have become.
    //= SMRP-FC13
    pub(super) fn may_assemble(&mut self) -> bool {
        let incomplete = self.credit.incomplete;
        if incomplete > self.config.limits.assembly_len_max {
            return false;
        }
        if self.share.budget().is_none() || incomplete <= ASSEMBLY_FLOOR {
            return true;
        }
        let len = self.held_len(incomplete.saturating_add(self.credit.window));
        self.share.try_hold(len)
    }

    /// True where nothing is left.
    //= SMRP-FC13
    pub(super) fn is_over_budget(&mut self) -> bool {
        self.account();
        self.pressure == Pressure::Full
    }

    /// True where a stream more would be too many.
    //= SMRP-FC13
    pub(super) fn refuses_streams(&mut self) -> bool {
        self.pressure == Pressure::Full && self.table.len() >= STREAM_FLOOR && self.is_over_budget()
    }

    #[inline]
    fn is_pressed(&self) -> bool {
        self.pressure >= Pressure::Near
    }

    //= SMRP-FC12
    pub(super) fn stream_window_max(&self) -> Option<u64> {
        (!self.is_pressed()).then_some(self.config.limits.stream_window_max)
    }

    //= SMRP-FC12
    #[inline]
    pub(super) fn send_len_max(&self) -> usize {
        let max = self.config.limits.send_buffer_len_max;
        if self.is_pressed() { max.min(SEND_FLOOR) } else { max }
    }

    //= SMRP-FC12
    pub(super) fn datagram_len_max(&self) -> usize {
        let max = self.config.limits.datagram_queue_len_max;
        if self.is_pressed() { max.min(DATAGRAM_FLOOR) } else { max }
    }

    //= SMRP-FC12, SMRP-R4
    pub(super) fn replay_len_max(&self) -> u64 {
        let max = self.config.limits.replay_len_max as u64;
        if self.is_pressed() { max.min(REPLAY_FLOOR.max(self.ours.ack_every)) } else { max }
    }
}
