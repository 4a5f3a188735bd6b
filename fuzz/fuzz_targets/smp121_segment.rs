//! Any octets are the segment that a slow reader finds, or none; the checksum is right exactly where the slow sum says so; what is seen
//! through is what the decoder says; and what means something encodes to what means the same. The input: one octet for the addresses, then the datagram.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postroad_fuzz::segment::{Plain, checksum, plain};
use smp121::inspect::{Fault, Verdict, inspect};
use smp121::wire::{
    Action, DecodeError, Kind, Outgoing, PseudoHeader, Response, Segment, decode, decode_unchecked, encode,
};

fuzz_target!(|octets: &[u8]| {
    let Some((which, octets)) = octets.split_first() else { return };
    let pseudo = match which % 3 {
        0 => PseudoHeader::V4 { source: [10, 0, 0, *which].into(), destination: [10, 0, 0, 2].into() },
        1 => PseudoHeader::V6 { source: [*which; 16].into(), destination: [0xfe; 16].into() },
        _ => PseudoHeader::None,
    };
    let expected = plain(octets);
    let unchecked = decode_unchecked(octets);
    assert_eq!(unchecked.as_ref().ok().map(|segment| read(segment, octets)), expected);
    inspected(octets, &pseudo);
    let Some(expected) = expected else {
        assert!(decode(octets, &pseudo).is_err());
        return;
    };
    let length = usize::from(expected.length);
    let right = checksum(&octets[..length], &pseudo);
    let found = u16::from_be_bytes([octets[14], octets[15]]);
    let is_right = found == right || (found == 0xffff && right == 0);
    match decode(octets, &pseudo) {
        Ok(segment) => assert!(is_right && read(&segment, octets) == expected),
        Err(error) => assert!(!is_right && error == DecodeError::Checksum { found, expected: right }),
    }
    let mut mended = octets.to_vec();
    mended[14..16].copy_from_slice(&right.to_be_bytes());
    let segment = decode(&mended, &pseudo).unwrap();
    inspected(&mended, &pseudo);
    again(&segment, &pseudo);
});

fn read(segment: &Segment<'_>, octets: &[u8]) -> Plain {
    let records = segment.responses.map(|raw| (raw.number, raw.mailslot, raw.action, raw.data.to_vec()));
    let Segment { number, field, mailslot, flags, data, .. } = *segment;
    Plain {
        number,
        field,
        mailslot,
        flags: flags.octet(),
        records: records.collect(),
        data: data.to_vec(),
        length: u16::from_be_bytes([octets[10], octets[11]]),
    }
}

/// Seen through, the octets are dropped exactly where the decoder refuses them.
fn inspected(octets: &[u8], pseudo: &PseudoHeader) {
    let refused = decode(octets, pseudo).and_then(|segment| segment.kind());
    let seen = inspect(octets, octets.len(), Some(pseudo));
    assert_eq!(refused.is_err(), seen.faults.iter().any(Fault::drops));
    match refused {
        Ok(kind) => assert_eq!((seen.kind, seen.checksum), (Some(kind), Verdict::Right)),
        Err(error) => assert!(seen.faults.contains(&Fault::Drop(error))),
    }
    // A recording that lacks octets is never right where the whole is not, and never blamed for what is missing.
    let cut = &octets[..octets.len() / 2];
    let seen_cut = inspect(cut, octets.len(), Some(pseudo));
    assert!(seen_cut.checksum == Verdict::Unchecked || seen_cut.checksum == seen.checksum);
    assert!(seen_cut.faults.iter().filter(|fault| fault.drops()).all(|fault| seen.faults.contains(fault)));
}

/// What means something encodes, and means the same again.
fn again(segment: &Segment<'_>, pseudo: &PseudoHeader) {
    let Ok(kind) = segment.kind() else { return };
    let outgoing = match kind {
        Kind::Responses => Outgoing::Responses,
        Kind::NameRequest { name } => Outgoing::NameRequest { name },
        Kind::NameReply(reply) => Outgoing::NameReply(reply),
        Kind::Data(data) => Outgoing::Data(data),
        Kind::Reset { number, mailslot } => Outgoing::Reset { number, mailslot },
        _ => return,
    };
    let responses: Vec<Response> = segment.responses.filter_map(|raw| raw.known()).collect();
    let mut out = Vec::new();
    assert_eq!(encode(&outgoing, &responses, pseudo, &mut out), responses.len());
    let second = decode(&out, pseudo).unwrap();
    assert_eq!(second.kind(), Ok(kind));
    let kept: Vec<Response> = second.responses.map(|raw| raw.known().unwrap()).collect();
    assert_eq!(kept, responses);
    assert!(
        kept.iter().all(|response| response.encoded_len()
            == if matches!(response.action, Action::Accepted { .. }) { 12 } else { 8 })
    );
}
