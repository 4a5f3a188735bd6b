//! Names, and what name replies say.

use super::{PSEUDO, raw};
use smp121::wire::{Kind, NAME_LEN_MAX, NameReply, decode};

const REQUEST: u8 = 0x14;
const REPLY: u8 = 0x18;

fn asked(data: &[u8]) -> Option<Vec<u8>> {
    let octets = raw(REQUEST, 0, data).octets();
    match decode(&octets, &PSEUDO).unwrap().kind() {
        Ok(Kind::NameRequest { name }) => Some(name.to_vec()),
        Ok(other) => panic!("{other:?}"),
        Err(_) => None,
    }
}

//= SMP121-W16, SMP121-A16, SMP121-L14
#[test]
fn a_name_has_1_to_255_octets() {
    for len in 0..=300 {
        let name = vec![b'n'; len];
        let got = asked(&[&name[..], &[0]].concat());
        assert_eq!(got, (1..=NAME_LEN_MAX).contains(&len).then_some(name), "{len}");
    }
}

//= SMP121-W16, SMP121-A16
#[test]
fn a_name_is_octets_and_ends_at_its_first_nul() {
    assert_eq!(asked(b"\xff\xfe\x80\0").unwrap(), b"\xff\xfe\x80", "not UTF-8");
    assert_eq!(asked("käse\0".as_bytes()).unwrap(), "käse".as_bytes());
    assert_eq!(asked(b"\x1b[2J\x07\n\0").unwrap(), b"\x1b[2J\x07\n");
    assert_eq!(asked(b"one\0two\0").unwrap(), b"one");
    assert_eq!(asked(&[&b"one\0"[..], &[b'x'; 60_000]].concat()).unwrap(), b"one", "64 kB behind it");
    let every: Vec<u8> = (1..=u8::MAX).collect();
    assert_eq!(asked(&[&every[..], &[0]].concat()).unwrap(), every);
}

//= SMP121-W3, SMP121-W17, SMP121-W19
#[test]
fn a_name_reply_says_four_things_and_maybe_the_name() {
    let reply = |field: u32, data: &[u8]| {
        let octets = raw(REPLY, field, data).octets();
        match decode(&octets, &PSEUDO).unwrap().kind() {
            Ok(Kind::NameReply(NameReply { number, request_len_max, mailslot, outstanding_max, name })) => {
                assert_eq!((number, request_len_max, mailslot), (0x1234_5678, field, 0x0107));
                (outstanding_max, name.map(<[u8]>::to_vec))
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(reply(1_000_000, b"\0\x10"), (16, None));
    assert_eq!(reply(0, b"\0\x10printer\0"), (16, Some(b"printer".to_vec())));
    assert_eq!(reply(u32::MAX, b"\xff\xffp\0"), (65_535, Some(b"p".to_vec())));
    assert_eq!(reply(0, b"\0\0printer\0"), (0, Some(b"printer".to_vec())), "there is no such mailslot");
    assert_eq!(reply(1, &[&b"\x01\x00"[..], &[b'n'; 255], b"\0rest"].concat()), (256, Some(vec![b'n'; 255])));
}
