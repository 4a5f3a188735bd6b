//! What must hold for everything that a machine sends.

use smp_framing::machine::ConnectionMachine;
use smp_framing::reassembler::{Outcome, Reassembler};
use smp_framing::wire::{Decoder, ReceiveBuffer, TransmitBuffer};
use smp_framing::{Code, Config, Delivery, FrameIdent};
use wirekit::{Instant, Machine};

/// Reads what one machine sends, as the strictest peer would.
#[derive(Debug)]
pub struct Watch {
    frames: Reassembler,
    max_message_size: usize,
    has_stopped: bool,
    is_pausing: bool,
}

impl Watch {
    /// For a machine of this configuration.
    pub fn new(config: &Config) -> Self {
        let frames = config.to_builder().with_delivery(Delivery::Frames).build().unwrap();
        Self {
            frames: Reassembler::new(&frames),
            max_message_size: config.max_message_size(),
            has_stopped: false,
            is_pausing: false,
        }
    }

    /// Everything that the machine sends now.
    pub fn transmit(&mut self, machine: &mut ConnectionMachine, now: Instant) -> Vec<u8> {
        let may_send_data = !machine.is_paused();
        let mut sent = Vec::new();
        for round in 0.. {
            assert!(round < 10_000, "a drain ends");
            let mut out = TransmitBuffer::new();
            if !machine.poll_transmit(now, &mut out) {
                assert_eq!(bytes::Buf::remaining(&out), 0, "false means nothing");
                break;
            }
            let octets = crate::drain(&mut out, usize::MAX, false);
            self.read(&octets, may_send_data);
            sent.extend(octets);
        }
        sent
    }

    fn read(&mut self, octets: &[u8], may_send_data: bool) {
        assert!(!octets.is_empty());
        let mut buffer = ReceiveBuffer::from(octets);
        while let Some(unit) = Decoder::new(Decoder::UNIT_LEN_MAX).decode(&mut buffer).unwrap() {
            assert!(!self.has_stopped, "nothing after STOP");
            assert!(!unit.code().is_reserved(), "no reserved code");
            assert!(may_send_data || !unit.code().is_data(), "no data while paused");
            match unit.code() {
                Code::Stop => self.has_stopped = true,
                Code::Pause => assert!(!std::mem::replace(&mut self.is_pausing, true), "PAUSE is said once"),
                Code::Resume => assert!(std::mem::replace(&mut self.is_pausing, false), "RESUME follows PAUSE"),
                Code::Error => assert!(unit.arguments().count() >= 2, "an ERROR has number and text"),
                _ => {}
            }
            if unit.code().is_data() {
                assert!(unit.arguments().arguments_len() <= self.max_message_size);
            }
            if let Some(FrameIdent { id, number }) = unit.ident() {
                let ident = FrameIdent { id, number };
                let taken = self.frames.accept(Instant::EPOCH, unit.code(), ident, unit.arguments().clone());
                assert!(matches!(taken, Outcome::Deliver(_)), "frames are in sequence: {taken:?}");
            }
        }
        assert!(buffer.is_empty(), "whole units");
    }

    /// True once STOP was sent.
    pub const fn has_stopped(&self) -> bool {
        self.has_stopped
    }
}
