//! Any units, encoded, written in any pieces and decoded, are the same units.
#![no_main]

use arbitrary::Arbitrary;
use bytes::Buf;
use libfuzzer_sys::fuzz_target;
use postroad_fuzz::{AnyUnit, Cuts, drain, oracle};
use smp_framing::wire::{Decoder, ReceiveBuffer, TransmitBuffer, encode};
use smp_framing::{EncodeError, Unit};

#[derive(Arbitrary, Debug)]
struct Input {
    cuts: u16,
    vectored: bool,
    /// Encoded before anything is written; then one more for each piece.
    ahead: u8,
    units: Vec<AnyUnit>,
}

fuzz_target!(|input: Input| {
    let mut cuts = Cuts::new(input.cuts);
    let mut transmit = TransmitBuffer::new();
    let mut waiting = input.units.iter().map(AnyUnit::unit);
    let mut sent: Vec<Unit> = Vec::new();
    let mut octets = Vec::new();
    let mut len = 0;
    for unit in waiting.by_ref().take(usize::from(input.ahead)) {
        len += put(&mut transmit, unit, &mut sent);
    }
    loop {
        assert_eq!(transmit.remaining(), len - octets.len());
        let piece_len = cuts.next(transmit.remaining());
        octets.extend(drain(&mut transmit, piece_len, input.vectored));
        match waiting.next() {
            Some(unit) => len += put(&mut transmit, unit, &mut sent),
            None if transmit.has_remaining() => {}
            None => break,
        }
    }
    transmit.release();
    assert!(octets.len() == len && !transmit.has_remaining() && transmit.chunk().is_empty());
    let expected = oracle::units(&octets);
    assert_eq!(expected.iter().map(|plain| plain.wire_len).sum::<usize>(), octets.len());
    let mut buffer = ReceiveBuffer::from(&octets[..]);
    for (unit, plain) in sent.iter().zip(&expected) {
        assert_eq!(oracle::plain(unit, plain.wire_len), *plain);
        assert_eq!(Decoder::new(Decoder::UNIT_LEN_MAX).decode(&mut buffer).unwrap().as_ref(), Some(unit));
    }
    assert!(buffer.is_empty() && sent.len() == expected.len());
});

/// Encodes a unit; how many octets it has.
fn put(transmit: &mut TransmitBuffer, unit: Unit, sent: &mut Vec<Unit>) -> usize {
    let before = transmit.remaining();
    match encode(&unit, transmit) {
        Ok(()) => sent.push(unit),
        Err(error) => {
            assert!(unit.code().is_reserved() && matches!(error, EncodeError::ReservedCode { .. }));
            assert_eq!(transmit.remaining(), before, "what is refused leaves nothing behind");
        }
    }
    transmit.remaining() - before
}
