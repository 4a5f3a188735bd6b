//! All 256 flag octets.

use super::{PSEUDO, raw};
use smp121::inspect::kind_word;
use smp121::wire::{Flags, decode};

/// What the table of `docs/wire/smp121.md` says of a flag octet, with and without data that would do as a name, a name reply
/// and a part of a message.
fn by_the_table(flags: u8, has_data: bool) -> &'static str {
    let bit = |number: u8| flags >> number & 1 == 1;
    let (som, req, rpy, nam, rst) = (bit(0), bit(2), bit(3), bit(4), bit(5));
    if req && rpy {
        return "request_and_reply";
    }
    if bit(6) || bit(7) {
        return "reserved_flags";
    }
    match (rst, nam, req, rpy) {
        (true, ..) => "reset",
        (_, true, true, _) if has_data => "name_request",
        (_, true, true, _) => "name_without_nul",
        (_, true, _, true) if has_data => "name_reply",
        (_, true, _, true) => "name_reply_short",
        (_, true, ..) if has_data => "name_without_direction",
        (_, _, true, _) if som => "request at 0",
        (_, _, true, _) => "request at 100",
        (_, _, _, true) if som => "reply at 0",
        (_, _, _, true) => "reply at 100",
        _ if has_data => "data_without_direction",
        _ => "responses",
    }
}

//= SMP121-W6, SMP121-W7, SMP121-W8, SMP121-W32, SMP121-W4, SMP121-R-J1, SMP121-A1, SMP121-O5
#[test]
fn each_octet_means_what_the_table_says() {
    for flags in 0..=u8::MAX {
        for data in [&b""[..], b"name\0"] {
            let octets = raw(flags, 100, data).octets();
            let segment = decode(&octets, &PSEUDO).unwrap();
            assert_eq!(segment.flags.octet(), flags);
            let got = match segment.kind() {
                Ok(smp121::wire::Kind::Data(data)) => {
                    format!("{} at {}", kind_word(&smp121::wire::Kind::Data(data)), data.position.offset())
                }
                Ok(kind) => kind_word(&kind).to_owned(),
                Err(error) => smp121::inspect::Fault::Drop(error).word().to_owned(),
            };
            assert_eq!(got, by_the_table(flags, !data.is_empty()), "{flags:#010b}, {} octets", data.len());
        }
    }
}

//= SMP121-W33
#[test]
fn eom_marks_the_last_part_and_decides_nothing() {
    for (flags, is_last) in [(0x05, false), (0x07, true), (0x08, false), (0x0a, true)] {
        let octets = raw(flags, 100, b"abc").octets();
        match decode(&octets, &PSEUDO).unwrap().kind().unwrap() {
            smp121::wire::Kind::Data(data) => assert_eq!((data.is_last, data.octets), (is_last, &b"abc"[..])),
            other => panic!("{other:?}"),
        }
    }
}

//= SMP121-A1
#[test]
fn the_octets_that_rdos_sends_are_understood() {
    for (octet, shown) in [
        (0x07, "SOM|EOM|REQ"),
        (0x0b, "SOM|EOM|RPY"),
        (0x14, "REQ|NAM"),
        (0x18, "RPY|NAM"),
        (0x00, "-"),
        (0x20, "RST"),
        (0xff, "SOM|EOM|REQ|RPY|NAM|RST|reserved 0xc0"),
    ] {
        assert_eq!(Flags::from_octet(octet).to_string(), shown);
    }
}
