//! What the peer says.

use super::event::{AbandonReason, ErrorReport, Event, Frame};
use super::small_units::Verdict;
use super::{CloseReason, ConnectionMachine, Phase, error_number};
use crate::reassembler::{Outcome, SequenceFault};
use crate::wire::ReceiveBuffer;
use crate::{Arguments, Code, FrameIdent, Limit, LimitExceeded, UserCode};

/// Frames other than LAST ones with less payload than this are small.
const SMALL_FRAME_LEN: usize = 32;

impl ConnectionMachine {
    pub(super) fn received(&mut self, buffer: &mut ReceiveBuffer) {
        if !buffer.is_empty() {
            self.received_at = self.now;
        }
        while !self.is_full() {
            if self.stop_reading || !matches!(self.phase, Phase::Open | Phase::Draining(_)) {
                // After a STOP in either direction, or a fatal fault, nothing is looked at any more.
                //= SMPF-R14
                buffer.clear();
                return;
            }
            match self.decoder.decode(buffer) {
                Ok(Some(unit)) => {
                    let (code, ident, arguments) = unit.into_parts();
                    self.take(code, ident, arguments);
                }
                Ok(None) => return,
                //= SMPF-L-UNIT-BYTES
                Err(exceeded) => {
                    buffer.clear();
                    self.fail(CloseReason::Limit(exceeded), error_number::UNIT_TOO_LARGE);
                    self.stop_reading = true;
                }
            }
        }
    }

    pub(super) fn received_eof(&mut self, missing_len: usize) {
        match self.phase {
            Phase::Open if missing_len > 0 => self.end(CloseReason::Truncated { missing_len }),
            Phase::Open => self.end(CloseReason::PeerClosed),
            Phase::Draining(reason) => self.end(reason),
            Phase::Stopped(..) | Phase::StoppedByPeer(_) | Phase::Closed => self.finish_closing(),
        }
    }

    /// The peer closed after a STOP, or took too long to.
    pub(super) fn finish_closing(&mut self) {
        match self.phase {
            Phase::Stopped(reason, _) => self.end(reason),
            Phase::StoppedByPeer(_) => self.end(CloseReason::StoppedByPeer),
            Phase::Open | Phase::Draining(_) | Phase::Closed => {}
        }
    }

    #[inline]
    fn take(&mut self, code: Code, ident: FrameIdent, arguments: Arguments) {
        if self.is_small(code, &arguments) {
            self.count_small();
        }
        match code {
            Code::Message => self.events.push_back(Event::Message(arguments)),
            Code::NewFrame | Code::ContinuingFrame | Code::LastFrame => self.take_frame(code, ident, arguments),
            _ => self.take_control(code, arguments),
        }
    }

    #[inline]
    fn is_small(&self, code: Code, arguments: &Arguments) -> bool {
        match code {
            Code::NewFrame | Code::ContinuingFrame => arguments.payload_len() < SMALL_FRAME_LEN,
            _ => arguments.payload_len() == 0,
        }
    }

    //= SMPF-L-SMALL-UNITS
    #[cold]
    fn count_small(&mut self) {
        match self.small_units.count(self.now) {
            Verdict::Pause if self.phase == Phase::Open => {
                self.counters.small_unit_pauses = self.counters.small_unit_pauses.saturating_add(1);
                self.update_pause();
            }
            Verdict::End(exceeded) if self.phase == Phase::Open => {
                self.fail(CloseReason::Limit(exceeded), error_number::SLOW_DOWN);
                self.stop_reading = true;
            }
            // While this end drains, a flood is only counted.
            Verdict::Fine | Verdict::Pause | Verdict::End(_) => {}
        }
    }

    fn take_frame(&mut self, code: Code, ident: FrameIdent, arguments: Arguments) {
        if self.reassembler.abandons(code, ident.id) {
            self.events.push_back(Event::Abandoned(ident.id, AbandonReason::Replaced));
        }
        match self.reassembler.accept(self.now, code, ident, arguments) {
            Outcome::Kept => {}
            Outcome::Deliver(arguments) => self.events.push_back(Event::Frame(Frame { code, ident, arguments })),
            Outcome::Assembled(assembled) => self.events.push_back(Event::Assembled(assembled)),
            Outcome::Dropped => self.counters.broken_frames = self.counters.broken_frames.saturating_add(1),
            //= SMPF-R12 SMPF-R13
            Outcome::OutOfSequence(fault) => {
                let number = match fault {
                    SequenceFault::NoNewFrame => error_number::BAD_ID,
                    SequenceFault::Gap | SequenceFault::Repeat => error_number::BAD_FRAME_NUMBER,
                };
                let text = format!("frame {} of message {} is out of sequence", ident.number, ident.id);
                self.report(&ErrorReport::new(number, text));
                self.events.push_back(Event::SequenceError(ident, fault));
            }
            Outcome::Refused(exceeded) => self.refuse(ident.id, exceeded),
            Outcome::Fatal(exceeded) => {
                self.fail(CloseReason::Limit(exceeded), error_number::BAD_ID);
                self.stop_reading = true;
            }
        }
    }

    fn refuse(&mut self, id: u16, exceeded: LimitExceeded) {
        let number = match exceeded.limit {
            Limit::OpenIds | Limit::BrokenIds => error_number::BAD_ID,
            Limit::AssemblyIdle => error_number::TIMED_OUT,
            _ => error_number::MESSAGE_TOO_LARGE,
        };
        self.report(&ErrorReport::new(number, format!("message {id} dropped: {exceeded}")));
        self.events.push_back(Event::Abandoned(id, AbandonReason::Limit(exceeded)));
    }

    pub(super) fn expire_assemblies(&mut self) {
        while let Some((id, outcome)) = self.reassembler.expire(self.now) {
            match outcome {
                Outcome::Fatal(exceeded) => {
                    self.fail(CloseReason::Limit(exceeded), error_number::BAD_ID);
                    self.stop_reading = true;
                }
                Outcome::Refused(exceeded) => self.refuse(id, exceeded),
                _ => {}
            }
        }
    }

    fn take_control(&mut self, code: Code, arguments: Arguments) {
        match code {
            Code::Information => self.events.push_back(Event::Information(arguments)),
            Code::Error => self.take_error(arguments),
            Code::Heartbeat => self.events.push_back(Event::Heartbeat(arguments)),
            Code::Stop => self.take_stop(arguments),
            //= SMPF-R15
            Code::Pause => {
                self.is_paused = true;
                self.events.push_back(Event::Pause(arguments));
            }
            Code::Resume => {
                self.is_paused = false;
                self.held_since = None;
                self.events.push_back(Event::Resume(arguments));
            }
            other => match UserCode::try_from(other) {
                Ok(user) => self.events.push_back(Event::User(user, arguments)),
                //= SMPF-R18
                Err(reserved) => self.events.push_back(Event::Reserved(reserved, arguments)),
            },
        }
    }

    /// An ERROR is told and never answered, whatever is wrong with it.
    //= SMPF-R17 SMPF-B-ERROR
    fn take_error(&mut self, arguments: Arguments) {
        let (Some(number), Some(text)) = (arguments.get(0), arguments.get(1)) else {
            self.events.push_back(Event::SemanticError(Code::Error, arguments));
            return;
        };
        let digits = |octets: &[u8]| match core::str::from_utf8(octets) {
            Ok(text) if text.bytes().all(|octet| octet.is_ascii_digit()) => text.parse::<u16>().ok(),
            _ => None,
        };
        let number = digits(number);
        let text = String::from_utf8_lossy(text).into_owned();
        let given_up = arguments.get(2).filter(|_| number == Some(error_number::DROPPED)).and_then(digits);
        if let Some(id) = given_up
            && self.reassembler.abandon(id)
        {
            self.events.push_back(Event::Abandoned(id, AbandonReason::BySender));
        }
        self.events.push_back(Event::Error(Box::new(ErrorReport { number, text, arguments })));
    }

    //= SMPF-R14 SMPF-CONV-6 SMPF-CODE-7
    fn take_stop(&mut self, arguments: Arguments) {
        self.events.push_back(Event::Stop(arguments));
        self.outgoing.drop_all();
        self.phase = Phase::StoppedByPeer(self.now + self.config.limits.stop_linger);
    }
}
