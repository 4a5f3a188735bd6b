//! The most frequent message, in and out without the queues, by the same rules.

use super::{ConnectionMachine, Phase};
use crate::wire::{ReceiveBuffer, TransmitBuffer};
use crate::{Arguments, Code};
use wirekit::Instant;

impl ConnectionMachine {
    /// [`send`](Self::send) and [`poll_transmit`](wirekit::Machine::poll_transmit) in one, for a message of one argument, or one that
    /// came off the wire, that fits one unit while nothing waits before it; `false`, and nothing done, where that is not
    /// so.
    #[inline(always)]
    pub fn send_at_once(&mut self, now: Instant, message: &Arguments, out: &mut TransmitBuffer) -> bool {
        let may_go = self.phase == Phase::Open && !self.is_paused && self.outgoing.is_drained();
        if !may_go || !self.outgoing.fits_at_once(message) {
            return false;
        }
        self.advance_clock(now);
        self.sent_at = self.now;
        out.put_unit(Code::Message, None, message);
        true
    }

    /// [`Input::Received`](super::Input::Received) and [`poll_event`](wirekit::Machine::poll_event) in one, for a whole message with payload at the front of
    /// `buffer` while no event waits before it; `None`, and nothing taken, where that is not so. The time of arrival is not
    /// noted: say it once a read with [`note_received`](Self::note_received).
    #[inline(always)]
    pub fn receive_at_once(&mut self, buffer: &mut ReceiveBuffer) -> Option<Arguments> {
        let may_come = self.phase == Phase::Open && self.events.is_empty() && !self.stop_reading;
        if may_come { self.decoder.decode_message(buffer) } else { None }
    }

    /// Octets came at `now`.
    #[inline]
    pub fn note_received(&mut self, now: Instant) {
        self.advance_clock(now);
        self.received_at = self.now;
    }
}
