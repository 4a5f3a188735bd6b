//! Segments taken apart, broken ones too.

use super::{PSEUDO, Raw, raw, record};
use proptest::prelude::*;
use smp121::inspect::{Fault, Verdict, inspect, kind_word};
use smp121::wire::{DecodeError, Flags, Position, decode};

fn words(raw: &Raw) -> Vec<&'static str> {
    let octets = raw.octets();
    inspect(&octets, octets.len(), Some(&PSEUDO)).faults.iter().map(Fault::word).collect()
}

//= SMP121-O10
#[test]
fn all_that_is_wrong_is_named_at_once() {
    let body = [record(1, 2, 9, b"abc"), record(3, 4, 2, b"ab"), record(5, 6, 3, b"x")].concat();
    let bad = raw(0x4c, 0, &body).with(|raw| {
        raw.count = 3;
        raw.checksum = Some(1);
        raw.trailing = vec![0; 7];
    });
    assert_eq!(
        words(&bad),
        ["unknown_action", "response_size", "response_size", "request_and_reply", "trailing", "checksum"]
    );
    let octets = bad.octets();
    let seen = inspect(&octets, octets.len(), Some(&PSEUDO));
    assert_eq!((seen.fields.len(), seen.records.len(), seen.kind), (7, 3, None));
    assert_eq!(seen.field("number"), Some(0x1234_5678));
    assert_eq!(seen.flags(), Some(Flags::from_octet(0x4c)));
    let texts: Vec<String> = seen.faults.iter().map(Fault::to_string).collect();
    assert!(
        texts[0].contains("record 0") && texts[1].contains("2 octets") && texts[4].starts_with("7 octets"),
        "{texts:?}"
    );
    assert_eq!(seen.faults.iter().filter(|fault| fault.drops()).count(), 2);
}

//= SMP121-O10
#[test]
fn fields_are_shown_as_far_as_they_go() {
    let octets = raw(0x07, 5, b"hello").octets();
    for (len, fields) in [(0, 0), (3, 0), (4, 1), (9, 2), (10, 3), (11, 3), (12, 4), (13, 5), (14, 6), (15, 6), (16, 7)]
    {
        let seen = inspect(&octets[..len], len, Some(&PSEUDO));
        assert_eq!(seen.fields.len(), fields, "{len}");
        assert_eq!(seen.checksum, Verdict::Unchecked);
        let expected = match len {
            16 => DecodeError::LengthBeyondDatagram { length: 21, len },
            _ => DecodeError::Short { len },
        };
        assert_eq!(seen.faults, [Fault::Drop(expected)]);
    }
}

//= SMP121-O10
#[test]
fn records_are_shown_as_far_as_they_go() {
    let body = [record(1, 2, 3, b""), record(4, 5, 2, &[0; 4])].concat();
    for (count, shown) in [(0, 0), (1, 1), (2, 2), (3, 2), (255, 2)] {
        let octets = raw(0, 0, &body).with(|raw| raw.count = count).octets();
        let seen = inspect(&octets, octets.len(), Some(&PSEUDO));
        assert_eq!(seen.records.len(), shown, "{count}");
        let is_beyond = seen.faults.iter().any(|fault| fault.word() == "responses_beyond_segment");
        assert_eq!(is_beyond, count > 2);
        assert_eq!(seen.data.is_empty(), count >= 2);
    }
    let half = raw(0, 0, &[&body[..], &[0; 7]].concat()).with(|raw| raw.count = 3).octets();
    let seen = inspect(&half, half.len(), Some(&PSEUDO));
    assert_eq!((seen.records.len(), seen.data), (2, &[][..]), "what is behind is half a record and no data");
}

//= SMP121-O10
#[test]
fn the_checksum_is_right_wrong_or_unchecked() {
    let octets = raw(0x07, 5, b"hello").octets();
    assert_eq!(inspect(&octets, 21, Some(&PSEUDO)).checksum, Verdict::Right);
    assert_eq!(inspect(&octets, 21, None).checksum, Verdict::Unchecked);
    let wrong = raw(0x07, 5, b"hello").with(|raw| raw.checksum = Some(7)).octets();
    let seen = inspect(&wrong, 21, Some(&PSEUDO));
    assert_eq!(seen.checksum, Verdict::Wrong { expected: 0x36cf });
    assert_eq!(kind_word(&seen.kind.unwrap()), "request", "what it would mean is shown all the same");
    assert_eq!(seen.position(), Some(Position::First { total: 5 }));
    // Records beyond the end do not hide that the sum is right.
    let beyond = raw(0, 0, b"").with(|raw| raw.count = 1).octets();
    assert_eq!(inspect(&beyond, 16, Some(&PSEUDO)).checksum, Verdict::Right);
}

//= SMP121-O10
#[test]
fn what_was_not_recorded_is_no_fault_of_the_segment() {
    let octets = raw(0x07, 5, b"hello").octets();
    for len in 0..21 {
        let seen = inspect(&octets[..len], 21, Some(&PSEUDO));
        assert_eq!(seen.faults, [Fault::Truncated { len, whole_len: 21 }], "{len}");
        assert_eq!((seen.checksum, seen.kind), (Verdict::Unchecked, None));
    }
    // But a length beyond the whole datagram is one.
    let long = raw(0x07, 5, b"hello").with(|raw| raw.length = Some(30)).octets();
    let seen = inspect(&long[..18], 21, None);
    let beyond = Fault::Drop(DecodeError::LengthBeyondDatagram { length: 30, len: 21 });
    assert_eq!(seen.faults, [Fault::Truncated { len: 18, whole_len: 21 }, beyond]);
    // And what is there whole is judged though what trails it is not.
    let trailing = raw(0x07, 5, b"hello").with(|raw| raw.trailing = vec![0; 9]).octets();
    for len in [21, 25, 29] {
        let seen = inspect(&trailing[..len], 30, Some(&PSEUDO));
        assert_eq!(seen.checksum, Verdict::Right);
        assert_eq!(seen.faults, [Fault::Truncated { len, whole_len: 30 }, Fault::Trailing { len: 9 }]);
    }
}

proptest! {
    //= SMP121-O10, SMP121-O7
    #[test]
    fn it_says_drop_exactly_where_the_decoder_refuses(
        body in proptest::collection::vec(any::<u8>(), 0..80), flags: u8, count in 0u8..4, field: u32,
        length in proptest::option::of(0u16..120), checksum in proptest::option::of(any::<u16>()),
    ) {
        let octets = raw(flags, field, &body).with(|raw| {
            raw.count = count;
            raw.length = length;
            raw.checksum = checksum;
        }).octets();
        let refused = decode(&octets, &PSEUDO).and_then(|segment| segment.kind());
        let seen = inspect(&octets, octets.len(), Some(&PSEUDO));
        prop_assert_eq!(refused.is_err(), seen.faults.iter().any(Fault::drops));
        match refused {
            Ok(kind) => prop_assert_eq!(seen.kind, Some(kind)),
            Err(error) => prop_assert!(seen.faults.contains(&Fault::Drop(error)), "{} not in {:?}", error, seen.faults),
        }
    }
}
