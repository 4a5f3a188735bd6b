//! From octets to frames, and which of them may come now.

use super::event::Event;
use super::ledger::{Charge, PAUSE, Standing};
use super::link::Stage;
use super::{Phase, SessionMachine};
use crate::Role;
use crate::error::{Fault, SessionError};
use crate::trace::Observed;
use crate::wire::{
    Code, Frame, Header, Preface, PrefaceError, Scope, Security, Service, VERSION_1, WireError, WireErrorKind,
    frame_type, is_grease, number,
};
use bytes::{Bytes, BytesMut};
use wirekit::Instant;

/// Behind these frames the session may stop reading, so what follows them stays in the buffer.
const DECISIVE: [u8; 3] = [number::HELLO, number::AUTH, number::REATTACH];

impl SessionMachine {
    pub(super) fn received(&mut self, now: Instant, buffer: &mut BytesMut) {
        if self.phase != Phase::Linked || self.link.stage == Stage::Over || self.end.is_some() {
            buffer.clear();
            return;
        }
        //= SMRP-L3
        self.link.heard_at = now;
        if self.link.stage == Stage::Preface && !self.take_preface(buffer) {
            return;
        }
        while self.end.is_none() && !matches!(self.link.stage, Stage::Deciding | Stage::Over) {
            let len = match self.run_len(buffer) {
                Ok(0) => break,
                Ok(len) => len,
                Err(error) => {
                    self.fail(Fault::Wire(error));
                    break;
                }
            };
            let run = buffer.split_to(len).freeze();
            self.take_run(now, &run);
        }
        self.account();
        self.ledger.sent(self.credit.sent);
        match self.ledger.standing(now) {
            Standing::Good => {}
            Standing::Empty => {
                self.link.paused_until = Some(now + PAUSE);
                self.stats.ledger_pauses += 1;
                self.observe(|| Observed::LedgerPaused { pause: PAUSE });
                self.events.push_back(Event::Paused { pause: PAUSE });
            }
            Standing::Abuse => self.fail_rule(Code::ABUSE, 0, "too much wasted work"),
        }
    }

    /// Octets of the whole frames at the front of `buffer`, up to one behind which reading may stop.
    //= SMRP-F2
    fn run_len(&self, buffer: &[u8]) -> Result<usize, WireError> {
        let mut at = 0;
        while let Some(rest) = buffer.get(at..) {
            let Some(header) = Header::decode(rest)? else { break };
            let max = usize::try_from(self.ours.max_frame).unwrap_or(usize::MAX);
            if header.body_len > max {
                return Err(WireError::new(header.number, WireErrorKind::TooLong { len: header.body_len, max }));
            }
            let end = at + header.len + header.body_len;
            if end > buffer.len() {
                break;
            }
            at = end;
            if DECISIVE.contains(&header.number) {
                break;
            }
        }
        Ok(at)
    }

    fn take_run(&mut self, now: Instant, run: &Bytes) {
        let mut at = 0;
        while let Some(rest) = run.get(at..) {
            let short = if rest.first() == Some(&number::MSG) { self.take_whole_messages(run, at) } else { 0 };
            if short > 0 {
                at += short;
                continue;
            }
            let Ok(Some(header)) = Header::decode(rest) else { break };
            let len = header.len + header.body_len;
            if self.is_observed() {
                self.observe_frame(rest, &header);
            }
            match Frame::decode(header, run, at, true) {
                Ok(frame) => self.take_frame(now, frame, header, len, run.len()),
                Err(error) => self.fail(Fault::Wire(error)),
            }
            if self.is_observed() {
                self.observe_charges();
            }
            if self.end.is_some() || self.link.stage == Stage::Over {
                break;
            }
            at += len;
        }
        self.stats.received_len += run.len() as u64;
    }

    fn take_frame(&mut self, now: Instant, frame: Frame, header: Header, len: usize, run_len: usize) {
        self.stats.frames_received += 1;
        let frame_type = frame_type(header.number.into());
        let is_session = frame_type.is_some_and(|entry| entry.scope == Scope::Session);
        //= SMRP-S1
        if self.link.stage == Stage::Hello {
            return match frame {
                Frame::Hello(parameters) => self.on_hello(now, &parameters),
                Frame::Close { code, frame_type, reason } => self.on_close(code, frame_type, &reason),
                _ => self.fail_rule(Code::PROTOCOL_VIOLATION, header.number, "a frame before HELLO"),
            };
        }
        if is_session {
            //= SMRP-A3
            if self.link.stage == Stage::Auth {
                return self.close_with(
                    Code::AUTH_REQUIRED,
                    header.number.into(),
                    "authentication is demanded",
                    SessionError::Fault(Fault::rule(Code::AUTH_REQUIRED, header.number, "a session frame before AUTH")),
                );
            }
            //= SMRP-R9
            if self.link.stage == Stage::Reattaching {
                return self.fail_rule(
                    Code::PROTOCOL_VIOLATION,
                    header.number,
                    "a session frame before REATTACH_RESULT",
                );
            }
            //= SMRP-R1
            self.position += len as u64;
            self.link.has_session_frames = true;
            self.on_session_frame(now, frame, run_len);
            self.acknowledge_position();
        } else {
            match frame_type {
                //= SMRP-F7
                Some(entry) if entry.service != Service::Core => {
                    let kind = WireErrorKind::Unsupported;
                    self.fail(Fault::Wire(WireError::new(entry.number, kind)));
                }
                _ => self.on_link_frame(now, frame, header.number),
            }
        }
    }

    fn on_session_frame(&mut self, now: Instant, frame: Frame, run_len: usize) {
        match frame {
            Frame::Data { stream, offset, fin, data } => self.on_data(now, stream, offset, fin, data, run_len),
            Frame::Msg(msg) => self.on_msg(now, msg, run_len),
            Frame::Open(open) => self.on_open(now, open, run_len),
            other => {
                self.ledger.charge(Charge::Frame);
                self.on_control(now, other);
            }
        }
    }

    fn on_link_frame(&mut self, now: Instant, frame: Frame, number: u8) {
        if !matches!(frame, Frame::Dgram { .. }) {
            self.ledger.charge(Charge::Frame);
        }
        match frame {
            Frame::Padding { .. } => {}
            Frame::Ping { ack: false, data } => self.on_ping(now, data),
            Frame::Ping { ack: true, data } => self.on_pong(now, data),
            Frame::Close { code, frame_type, reason } => self.on_close(code, frame_type, &reason),
            Frame::Auth { method, parameters } => self.on_auth(&parameters, method),
            Frame::AuthResult { code, parameters } => self.on_auth_result(now, code, &parameters),
            Frame::SessionAck { received } => {
                if !self.replay.acknowledged(received) {
                    return self.fail_rule(Code::PROTOCOL_VIOLATION, number, "a position that cannot be");
                }
                let (direction, octets, kept) = ("sent", received, self.replay.len());
                self.observe(|| Observed::PositionUpdated { direction, octets, kept });
            }
            Frame::Dgram { flow, data, .. } => self.on_datagram(flow, &data),
            Frame::Reattach { epoch, received, handle } => self.on_reattach(epoch, received, handle),
            Frame::ReattachResult { code, epoch, received } => self.on_reattach_result(now, code, epoch, received),
            Frame::Hello(_) => self.fail_rule(Code::PROTOCOL_VIOLATION, number, "a second HELLO"),
            //= SMRP-F3
            Frame::Unknown { .. } => {
                self.stats.frames_skipped += 1;
                self.ledger.charge(Charge::Useless);
            }
            //= SMRP-P13
            Frame::Handshake { .. } => {
                self.fail_rule(Code::UNSUPPORTED_FRAME, number, "TLS within the session was not agreed on")
            }
            _ => self.fail_rule(Code::UNSUPPORTED_FRAME, number, "a frame that has no place here"),
        }
    }

    /// Reads the peer's preface; false where more octets are needed or the session ended.
    fn take_preface(&mut self, buffer: &mut BytesMut) -> bool {
        let (preface, len) = match Preface::decode(buffer) {
            Ok(Some(read)) => read,
            Ok(None) => return false,
            //= SMRP-P8
            Err(error @ PrefaceError::Security(_)) => {
                if self.role == Role::Acceptor {
                    let nonce = self.nonce();
                    self.link.preface(self.config.security, vec![VERSION_1], nonce);
                }
                self.fail(Fault::Preface(error));
                return false;
            }
            //= SMRP-P2
            Err(error) => {
                self.end_with(SessionError::Fault(Fault::Preface(error)));
                self.link.out.clear();
                return false;
            }
        };
        let octets = buffer.split_to(len).freeze();
        self.stats.received_len += len as u64;
        match self.role {
            Role::Initiator => self.on_answer(&preface, &octets),
            Role::Acceptor => self.on_offer(&preface, &octets),
        }
        self.end.is_none()
    }

    /// The acceptor's preface.
    //= SMRP-P5, SMRP-P6, SMRP-P8
    fn on_answer(&mut self, preface: &Preface, octets: &[u8]) {
        if preface.versions != [VERSION_1] {
            let fault = Fault::Version { theirs: spoken(&preface.versions), ours: vec![VERSION_1] };
            self.end_with(SessionError::Fault(fault));
            self.link.out.clear();
            return;
        }
        if self.checks_security(preface.security) {
            self.link.expect_hash(self.role, octets);
            self.link.stage = Stage::Hello;
        }
    }

    /// The initiator's preface.
    //= SMRP-P5, SMRP-P6, SMRP-P7, SMRP-V1
    fn on_offer(&mut self, preface: &Preface, octets: &[u8]) {
        let nonce = self.nonce();
        let security = self.config.security;
        if !preface.versions.contains(&VERSION_1) {
            self.link.preface(security, vec![VERSION_1, VERSION_1], nonce);
            let fault = Fault::Version { theirs: spoken(&preface.versions), ours: vec![VERSION_1] };
            self.end_with(SessionError::Fault(fault));
            return;
        }
        let ours = self.link.preface(security, vec![VERSION_1], nonce);
        if self.checks_security(preface.security) {
            self.link.expect_hash(self.role, octets);
            self.link.hello(&self.config, &self.ours, &[octets, &ours], nonce);
            self.link.stage = Stage::Hello;
        }
    }

    fn checks_security(&mut self, theirs: Security) -> bool {
        let ours = self.config.security;
        if theirs != ours {
            self.fail(Fault::Security { theirs, ours });
        }
        theirs == ours
    }
}

/// Versions without grease and without the one said twice.
fn spoken(versions: &[u32]) -> Vec<u32> {
    let mut spoken: Vec<u32> = versions.iter().copied().filter(|version| !is_grease(*version)).collect();
    spoken.dedup();
    spoken
}
