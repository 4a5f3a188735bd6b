//! The checksum and what it covers.

use super::{PSEUDO, oracle, pseudo_octets, raw};
use proptest::prelude::*;
use smp121::wire::{DecodeError, Outgoing, PseudoHeader, decode, encode};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const V6: PseudoHeader = PseudoHeader::V6 {
    source: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
    destination: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2),
};

fn v4(source: [u8; 4], destination: [u8; 4]) -> PseudoHeader {
    PseudoHeader::V4 { source: source.into(), destination: destination.into() }
}

fn is_wrong(octets: &[u8], pseudo: &PseudoHeader) -> bool {
    matches!(decode(octets, pseudo), Err(DecodeError::Checksum { .. }))
}

/// By hand: pseudo header 0a00+0001+0a00+0002+0079+0018 = 1494; header 0018+1400 = 1418; data 7072+696e+7465+7200 = 1c045,
/// brought round c046; 1494+1418+c046 = e8f2; its complement is 170d.
//= SMP121-W10, SMP121-W13, SMP121-W15
#[test]
fn the_example_worked_by_hand_holds() {
    let by_hand =
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x00, 0x18, 0x14, 0x00, 0x17, 0x0d, b'p', b'r', b'i', b'n', b't', b'e', b'r', 0];
    let mut out = Vec::new();
    encode(&Outgoing::NameRequest { name: b"printer" }, &[], &PSEUDO, &mut out);
    assert_eq!(out, by_hand);
    assert!(decode(&by_hand, &PSEUDO).is_ok());
}

//= SMP121-W10
#[test]
fn every_single_bit_counts() {
    for pseudo in [PSEUDO, V6, PseudoHeader::None] {
        let octets = raw(0x07, 5, b"hello").octets_between(&pseudo);
        assert!(decode(&octets, &pseudo).is_ok());
        for bit in 0..octets.len() * 8 {
            let mut flipped = octets.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&flipped, &pseudo).is_err(), "bit {bit}");
            // A flip in the length field may be found as one of length.
            assert!(is_wrong(&flipped, &pseudo) || matches!(bit / 8, 10 | 11), "bit {bit}");
        }
    }
}

//= SMP121-W13, SMP121-W14
#[test]
fn a_segment_that_went_astray_is_found_out() {
    let (from, to) = ([10, 0, 0, 1], [10, 0, 0, 2]);
    let octets = raw(0x07, 5, b"hello").octets();
    assert!(decode(&octets, &v4(from, to)).is_ok());
    for pseudo in [v4([10, 0, 0, 3], to), v4(from, [10, 0, 0, 3]), v4(from, [11, 0, 0, 2]), V6, PseudoHeader::None] {
        assert!(is_wrong(&octets, &pseudo), "{pseudo:?}");
    }
    // A sum has no order, so the way back has the same.
    assert!(decode(&octets, &v4(to, from)).is_ok());
}

//= SMP121-A31, SMP121-O3
#[test]
fn each_carrier_has_its_pseudo_header() {
    for pseudo in [PSEUDO, V6, PseudoHeader::None] {
        let mut out = Vec::new();
        encode(&Outgoing::NameRequest { name: b"a" }, &[], &pseudo, &mut out);
        let length = u16::try_from(out.len()).unwrap();
        assert_eq!(oracle(&[&pseudo_octets(&pseudo, length)[..], &out].concat()), 0, "{pseudo:?}");
        for other in [PSEUDO, V6, PseudoHeader::None] {
            assert_eq!(decode(&out, &other).is_ok(), other == pseudo, "{pseudo:?} {other:?}");
        }
    }
    let zeros = v4([0; 4], [0; 4]);
    let mut out = Vec::new();
    encode(&Outgoing::Responses, &[], &PseudoHeader::None, &mut out);
    assert!(decode(&out, &zeros).is_ok(), "no addresses are addresses of zero");
}

//= SMP121-W10
#[test]
fn a_checksum_of_zero_is_like_any_other() {
    let mut request = raw(0x07, 2, &[0x7a, 0xaa]);
    let zero = request.octets();
    assert_eq!(zero[14..16], [0, 0], "chosen so");
    assert!(decode(&zero, &PSEUDO).is_ok());
    // The same number in one's complement.
    request.checksum = Some(0xffff);
    assert!(decode(&request.octets(), &PSEUDO).is_ok());
    // Zero is no way to say that there is none.
    let unchecked = raw(0x07, 5, b"hello").with(|raw| raw.checksum = Some(0));
    assert_eq!(decode(&unchecked.octets(), &PSEUDO).unwrap_err(), DecodeError::Checksum { found: 0, expected: 0x36cf });
    let all_ones = raw(0x07, 5, b"hello").with(|raw| raw.checksum = Some(0xffff));
    assert_eq!(
        decode(&all_ones.octets(), &PSEUDO).unwrap_err(),
        DecodeError::Checksum { found: 0xffff, expected: 0x36cf }
    );
}

//= SMP121-W11
#[test]
fn an_odd_last_octet_is_the_high_half_of_a_word() {
    for len in 0..40 {
        let data = vec![0xa5; len];
        let octets = raw(0x04, 0, &data).octets();
        assert_eq!(octets.len(), 16 + len, "the pad is not sent");
        assert!(decode(&octets, &PSEUDO).is_ok(), "{len}");
    }
    // The octet in the low half has another checksum.
    let mut wrong = raw(0x07, 1, b"x").octets();
    let right = u16::from_be_bytes([wrong[14], wrong[15]]);
    let low = raw(0x07, 1, b"\0x").octets();
    let low_sum = u16::from_be_bytes([low[14], low[15]]);
    assert_ne!(right, low_sum);
    wrong[14..16].copy_from_slice(&low_sum.to_be_bytes());
    assert!(is_wrong(&wrong, &PSEUDO));
}

//= SMP121-A31
#[test]
fn addresses_of_both_kinds_do_not_mix() {
    let (four, six) = (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), IpAddr::V6(Ipv6Addr::LOCALHOST));
    assert_eq!(PseudoHeader::between(four, six), None);
    assert_eq!(PseudoHeader::between(six, four), None);
    let clothed = IpAddr::V6(Ipv4Addr::new(10, 0, 0, 2).to_ipv6_mapped());
    assert_eq!(PseudoHeader::between(four, clothed), Some(PSEUDO));
    assert!(matches!(PseudoHeader::between(six, six), Some(PseudoHeader::V6 { .. })));
}

proptest! {
    //= SMP121-W10, SMP121-W11
    #[test]
    fn encoder_and_oracle_agree(data in proptest::collection::vec(any::<u8>(), 0..200), source: u32, destination: u32, flags: u8) {
        let pseudo = PseudoHeader::V4 { source: source.into(), destination: destination.into() };
        let octets = raw(flags, 0, &data).octets_between(&pseudo);
        prop_assert!(decode(&octets, &pseudo).is_ok());
        let mut wrong = octets.clone();
        wrong[15] = wrong[15].wrapping_add(1);
        let expected = u16::from_be_bytes([octets[14], octets[15]]);
        let found = u16::from_be_bytes([wrong[14], wrong[15]]);
        let error = decode(&wrong, &pseudo).unwrap_err();
        prop_assert_eq!(error, DecodeError::Checksum { found, expected });
    }
}
