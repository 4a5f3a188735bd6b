//! Any octets, in any pieces, give the units that a slow reader finds, and encode to the octets that they came from.
//! The input: two octets for the cuts, one for a limit, then the stream.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postroad_fuzz::{Cuts, oracle};
use smp_framing::wire::{Decoder, ReceiveBuffer, decode};
use smp_framing::{Code, EncodeError, Limit};

fuzz_target!(|input: &[u8]| {
    let Some((&[high, low, limit], octets)) = input.split_first_chunk::<3>() else { return };
    let expected = oracle::units(octets);
    borrowed(octets, &expected);
    cut(octets, &expected, Cuts::new(u16::from_be_bytes([high, low])));
    limited(octets, &expected, usize::from(limit) + 1);
});

fn borrowed(octets: &[u8], expected: &[oracle::Plain]) {
    let mut rest = octets;
    for plain in expected {
        let unit = decode(rest).unwrap();
        assert_eq!(
            (unit.code().number(), unit.wire_len(), unit.count()),
            (plain.code, plain.wire_len, plain.arguments.len())
        );
        assert_eq!(unit.ident().map(|ident| (ident.id, ident.number)), plain.ident);
        assert!(unit.arguments().eq(plain.arguments.iter().map(Vec::as_slice)));
        rest = &rest[plain.wire_len..];
    }
    let missing_len = decode(rest).unwrap_err().missing_len;
    assert!(missing_len > 0);
    assert_eq!(Decoder::missing_len(rest), if rest.is_empty() { 0 } else { missing_len });
    // As many octets as are said to be missing, if they are zero, and no fewer, finish the unit. Half a LENGTH counts as
    // if the other half made it 0.
    let filled = |rest: &[u8], len: usize| [rest, &vec![0; len]].concat();
    let finishes =
        |rest: &[u8]| decode(&filled(rest, missing_len)).is_ok_and(|unit| unit.wire_len() == rest.len() + missing_len);
    let mut ends_in_zero = rest.to_vec();
    ends_in_zero.last_mut().map(|last| *last = 0);
    assert!(decode(&filled(rest, missing_len - 1)).is_err());
    assert!(finishes(rest) || finishes(&ends_in_zero));
}

fn cut(octets: &[u8], expected: &[oracle::Plain], mut cuts: Cuts) {
    let decoder = Decoder::new(Decoder::UNIT_LEN_MAX);
    let (mut buffer, mut rest, mut got, mut at) = (ReceiveBuffer::new(), octets, 0, 0);
    while !rest.is_empty() {
        let (now, later) = rest.split_at(cuts.next(rest.len()));
        buffer.incoming().extend_from_slice(now);
        rest = later;
        loop {
            let before_len = buffer.len();
            let Some(unit) = decoder.decode(&mut buffer).unwrap() else { break };
            let consumed = &octets[at..][..before_len - buffer.len()];
            at += consumed.len();
            assert_eq!(oracle::plain(&unit, consumed.len()), expected[got]);
            got += 1;
            match unit.to_octets() {
                Ok(encoded) => assert_eq!(encoded, consumed),
                Err(EncodeError::ReservedCode { code }) => {
                    assert!(Code::from_number(code).unwrap().is_reserved() && code == unit.code().number());
                }
                Err(other) => panic!("{other}"),
            }
            // However the arguments are kept, they encode the same.
            let copied = unit.arguments().iter().map(bytes::Bytes::copy_from_slice).collect::<smp_framing::Arguments>();
            assert_eq!((&copied, copied.arguments_len()), (unit.arguments(), unit.arguments().arguments_len()));
            assert_eq!(copied.compact(), copied);
        }
    }
    assert_eq!(got, expected.len());
}

/// A unit longer than the limit is refused, and one that is not, is not, wherever the stream ends.
fn limited(octets: &[u8], expected: &[oracle::Plain], unit_len_max: usize) {
    let decoder = Decoder::new(unit_len_max);
    let mut buffer = ReceiveBuffer::from(octets);
    for plain in expected {
        match decoder.decode(&mut buffer) {
            Ok(unit) => assert!(unit.is_some() && plain.wire_len <= unit_len_max),
            Err(exceeded) => {
                assert!(plain.wire_len > unit_len_max && exceeded.limit == Limit::UnitLen);
                return;
            }
        }
    }
    let least_len = buffer.len() + buffer.missing_len();
    match decoder.decode(&mut buffer) {
        Ok(unit) => assert!(unit.is_none() && (buffer.is_empty() || least_len <= unit_len_max)),
        Err(exceeded) => assert!(exceeded.got == least_len as u64 && least_len > unit_len_max),
    }
}
