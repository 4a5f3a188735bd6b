//! Bad inputs, each by name, with what comes of it.

use super::{PSEUDO, Raw, raw, record};
use smp121::wire::{DecodeError, Kind, Position, decode, decode_unchecked};

const REQ: u8 = 0x04;
const RPY: u8 = 0x08;
const NAM: u8 = 0x10;
const RST: u8 = 0x20;
const SOM: u8 = 0x01;
const EOM: u8 = 0x02;

fn outcome(octets: &[u8]) -> Result<(), DecodeError> {
    decode(octets, &PSEUDO)?.kind().map(drop)
}

fn refused(octets: &[u8]) -> DecodeError {
    outcome(octets).unwrap_err()
}

//= SMP121-R-J, SMP121-A33
#[test]
fn each_is_refused_for_its_own_reason() {
    use DecodeError as E;
    let request = || raw(SOM | EOM | REQ, 5, b"hello");
    let with_records = |count: u8, body: &[u8]| raw(0, 0, body).with(|raw| raw.count = count);
    let name = |flags: u8, data: &[u8]| raw(NAM | flags, 0, data);
    let mut long_name = vec![b'n'; 65_000];
    let cases: Vec<(&str, Raw, DecodeError)> = vec![
        ("a length of 0", request().with(|raw| raw.length = Some(0)), E::LengthBelowHeader { length: 0 }),
        ("a length of 15", request().with(|raw| raw.length = Some(15)), E::LengthBelowHeader { length: 15 }),
        (
            "a length one beyond",
            request().with(|raw| raw.length = Some(22)),
            E::LengthBeyondDatagram { length: 22, len: 21 },
        ),
        (
            "a length of 65,535",
            request().with(|raw| raw.length = Some(65_535)),
            E::LengthBeyondDatagram { length: 65_535, len: 21 },
        ),
        ("REQ and RPY", raw(REQ | RPY | SOM, 1, b"x"), E::RequestAndReply),
        ("REQ and RPY without data", raw(REQ | RPY, 0, b""), E::RequestAndReply),
        ("REQ and RPY and NAM", name(REQ | RPY, b"n\0"), E::RequestAndReply),
        ("REQ and RPY and RST", raw(REQ | RPY | RST, 0, b""), E::RequestAndReply),
        ("reserved bit 6", raw(REQ | SOM | 0x40, 1, b"x"), E::ReservedFlags { bits: 0x40 }),
        ("reserved bit 7", raw(0x80, 0, b""), E::ReservedFlags { bits: 0x80 }),
        ("both reserved bits on a reset", raw(RST | 0xc0, 0, b""), E::ReservedFlags { bits: 0xc0 }),
        ("data that goes nowhere", raw(0, 0, b"x"), E::DataWithoutDirection { len: 1 }),
        ("SOM and EOM alone with data", raw(SOM | EOM, 1, b"x"), E::DataWithoutDirection { len: 1 }),
        ("a name that goes nowhere", name(0, b"n\0"), E::NameWithoutDirection { len: 2 }),
        ("a name without NUL", name(REQ, b"printer"), E::NameWithoutNul),
        ("a name request without data", name(REQ, b""), E::NameWithoutNul),
        ("an empty name", name(REQ, b"\0"), E::NameEmpty),
        ("an empty name with more behind it", name(REQ, b"\0printer\0"), E::NameEmpty),
        ("a name of 256 octets", name(REQ, &[&[b'n'; 256][..], &[0]].concat()), E::NameWithoutNul),
        ("a name of 65,000 octets without NUL", name(REQ, &long_name), E::NameWithoutNul),
        (
            "a name of 64 KiB with its NUL at the very end",
            name(REQ, {
                long_name.push(0);
                &long_name
            }),
            E::NameWithoutNul,
        ),
        ("a name reply without data", name(RPY, b""), E::NameReplyShort { len: 0 }),
        ("a name reply of one octet", name(RPY, b"\0"), E::NameReplyShort { len: 1 }),
        ("a name reply with a name without NUL", name(RPY, b"\0\x10printer"), E::NameWithoutNul),
        ("a name reply with an empty name", name(RPY, b"\0\x10\0"), E::NameEmpty),
        ("more data than the total", raw(SOM | REQ, 4, b"hello"), E::DataBeyondTotal { offset: 0, len: 5, total: 4 }),
        ("data of an empty message", raw(SOM | RPY, 0, b"x"), E::DataBeyondTotal { offset: 0, len: 1, total: 0 }),
        (
            "one octet at 2^32 - 1",
            raw(REQ, u32::MAX, b"x"),
            E::DataBeyondTotal { offset: u32::MAX, len: 1, total: u32::MAX },
        ),
        (
            "two octets at 2^32 - 2",
            raw(RPY, u32::MAX - 1, b"xy"),
            E::DataBeyondTotal { offset: u32::MAX - 1, len: 2, total: u32::MAX },
        ),
        ("one record and no room", with_records(1, b""), E::ResponsesBeyondSegment { index: 0, count: 1 }),
        (
            "one record and room for all but an octet",
            with_records(1, &record(1, 2, 3, b"")[..7]),
            E::ResponsesBeyondSegment { index: 0, count: 1 },
        ),
        (
            "255 records and room for one",
            with_records(255, &record(1, 2, 3, b"")),
            E::ResponsesBeyondSegment { index: 1, count: 255 },
        ),
        (
            "a record of size 255 at the end",
            with_records(1, &[0, 0, 0, 1, 0, 2, 255, 2]),
            E::ResponsesBeyondSegment { index: 0, count: 1 },
        ),
        (
            "a record one octet longer than what is left",
            with_records(1, &[0, 0, 0, 1, 0, 2, 4, 2, 0, 0, 0]),
            E::ResponsesBeyondSegment { index: 0, count: 1 },
        ),
        (
            "255 records of size 255 with one octet too few",
            with_records(255, &record(1, 2, 9, &[7; 255]).repeat(255)[..255 * 263 - 1 - 1_550]),
            E::ResponsesBeyondSegment { index: 249, count: 255 },
        ),
        (
            "a record that lies behind the length",
            with_records(1, b"").with(|raw| raw.trailing = record(1, 2, 3, b"")),
            E::ResponsesBeyondSegment { index: 0, count: 1 },
        ),
    ];
    assert!(cases.len() >= 35, "{}", cases.len());
    for (case, raw, expected) in &cases {
        assert_eq!(refused(&raw.octets()), *expected, "{case}");
    }
}

//= SMP121-R-J, SMP121-W1
#[test]
fn every_length_below_a_header_is_refused() {
    let octets = raw(SOM | EOM | REQ, 0, b"").octets();
    for len in 0..16 {
        assert_eq!(refused(&octets[..len]), DecodeError::Short { len }, "{len}");
    }
    assert_eq!(outcome(&octets), Ok(()));
}

//= SMP121-W5, SMP121-O7
#[test]
fn every_truncation_is_refused() {
    let mut whole =
        raw(SOM | EOM | REQ, 9, &[&record(1, 2, 2, &[0; 4])[..], &record(3, 4, 1, b""), b"some data"].concat());
    whole.count = 2;
    let octets = whole.octets();
    assert_eq!(outcome(&octets), Ok(()));
    for len in 16..octets.len() {
        let length = u16::try_from(octets.len()).unwrap();
        assert_eq!(refused(&octets[..len]), DecodeError::LengthBeyondDatagram { length, len });
    }
}

//= SMP121-W5, SMP121-A3
#[test]
fn every_length_that_a_datagram_can_claim_is_judged_alike() {
    let body = vec![0x55; 64];
    for length in 0..=u16::MAX {
        let octets = raw(RPY, 0, &body).with(|raw| raw.length = Some(length)).octets();
        let expected = match length {
            0..16 => Err(DecodeError::LengthBelowHeader { length }),
            16..=80 => Ok(()),
            _ => Err(DecodeError::LengthBeyondDatagram { length, len: 80 }),
        };
        assert_eq!(outcome(&octets), expected, "{length}");
    }
}

//= SMP121-A3
#[test]
fn octets_behind_the_length_are_neither_summed_nor_delivered() {
    let mut request = raw(SOM | EOM | REQ, 5, b"hello");
    for trailing in [&b"x"[..], b"more", &[0xff; 1_000]] {
        request.trailing = trailing.to_vec();
        let octets = request.octets();
        assert_eq!(decode(&octets, &PSEUDO).unwrap().data, b"hello");
    }
}

//= SMP121-A25, SMP121-I19
#[test]
fn what_is_odd_and_valid_is_taken() {
    let data = |raw: &Raw| {
        let octets = raw.octets();
        match decode(&octets, &PSEUDO).unwrap().kind().unwrap() {
            Kind::Data(data) => (data.position, data.is_last, data.octets.len()),
            other => panic!("{other:?}"),
        }
    };
    for (case, raw, expected) in [
        ("an empty message", raw(SOM | EOM | REQ, 0, b""), (Position::First { total: 0 }, true, 0)),
        ("a first segment without data", raw(SOM | EOM | REQ, 900, b""), (Position::First { total: 900 }, true, 0)),
        ("EOM in front of the total", raw(SOM | EOM | RPY, 900, b"abc"), (Position::First { total: 900 }, true, 3)),
        ("a middle without data", raw(REQ, 77, b""), (Position::At { offset: 77 }, false, 0)),
        ("no SOM at offset 0", raw(REQ, 0, b"abc"), (Position::At { offset: 0 }, false, 3)),
        ("offset 2^32 - 1 without data", raw(RPY | EOM, u32::MAX, b""), (Position::At { offset: u32::MAX }, true, 0)),
        (
            "the last octet there can be",
            raw(RPY, u32::MAX - 1, b"x"),
            (Position::At { offset: u32::MAX - 1 }, false, 1),
        ),
        ("a total of 2^32 - 1", raw(SOM | REQ, u32::MAX, b"x"), (Position::First { total: u32::MAX }, false, 1)),
        ("data that fills the total", raw(SOM | EOM | REQ, 5, b"hello"), (Position::First { total: 5 }, true, 5)),
    ] {
        assert_eq!(data(&raw), expected, "{case}");
    }
}

//= SMP121-W8
#[test]
fn the_data_of_a_reset_means_nothing() {
    for flags in [RST, RST | SOM | EOM, RST | REQ, RST | RPY, RST | NAM, RST | NAM | REQ] {
        for data in [&b""[..], b"x", b"\0\0\0"] {
            let octets = raw(flags, u32::MAX, data).octets();
            let kind = decode(&octets, &PSEUDO).unwrap().kind().unwrap();
            assert_eq!(kind, Kind::Reset { number: 0x1234_5678, mailslot: 0x0107 }, "{flags:#x}");
        }
    }
}

//= SMP121-A27
#[test]
fn a_segment_without_anything_is_only_responses() {
    for flags in [0, SOM, EOM, SOM | EOM, NAM, NAM | SOM] {
        let octets = raw(flags, 0, b"").octets();
        let segment = decode(&octets, &PSEUDO).unwrap();
        assert_eq!((segment.kind(), segment.responses.count_left()), (Ok(Kind::Responses), 0), "{flags:#x}");
    }
}

//= SMP121-R-J
#[test]
fn the_checksum_is_judged_before_records_and_flags() {
    let bad = raw(REQ | RPY, 0, b"").with(|raw| {
        raw.count = 3;
        raw.checksum = Some(0xdead);
    });
    assert!(matches!(refused(&bad.octets()), DecodeError::Checksum { found: 0xdead, .. }));
    assert_eq!(
        decode_unchecked(&bad.octets()).unwrap_err(),
        DecodeError::ResponsesBeyondSegment { index: 0, count: 3 }
    );
}

//= SMP121-L15
#[test]
fn what_a_header_claims_costs_no_memory() {
    let claims = raw(0, 0, b"").with(|raw| {
        raw.count = 255;
        raw.length = Some(65_535);
    });
    let octets = claims.octets();
    let records = raw(0, 0, &record(1, 2, 9, b"").repeat(255)).with(|raw| raw.count = 255).octets();
    let used = testkit::allocations::measure(|| {
        assert!(decode(&octets, &PSEUDO).is_err());
        assert_eq!(decode(&records, &PSEUDO).unwrap().responses.count(), 255);
    });
    assert_eq!(used.count_total, 0);
}
