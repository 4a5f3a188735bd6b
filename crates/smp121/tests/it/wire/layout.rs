//! The layout as data says what the decoder does.

use super::{PSEUDO, raw, record};
use smp121::wire::layout::{ACCEPTED, FLAGS, HEADER, OUTSTANDING, RECORD};
use smp121::wire::{Flags, Kind, decode};

//= SMP121-W1, SMP121-W12, SMP121-W31, SMP121-A2, SMP121-O8
#[test]
fn fields_stand_where_the_decoder_reads_them() {
    let body = record(0x0102_0304, 0x0506, 2, &[7, 8, 9, 10]);
    let octets = raw(0x07, 0xa1b2_c3d4, &body).with(|raw| raw.count = 1).octets();
    let segment = decode(&octets, &PSEUDO).unwrap();
    let value = |key: &str| HEADER.iter().find(|field| field.key == key).unwrap().value(&octets).unwrap();
    assert_eq!(value("number"), segment.number);
    assert_eq!(value("field"), segment.field);
    assert_eq!(value("mailslot"), u32::from(segment.mailslot));
    assert_eq!(value("length"), u32::try_from(octets.len()).unwrap());
    assert_eq!(value("flags"), u32::from(segment.flags.octet()));
    assert_eq!(value("responses"), 1);
    assert_eq!(value("checksum"), u32::from(u16::from_be_bytes([octets[14], octets[15]])));
    let raw = segment.responses.clone().next().unwrap();
    let value = |key: &str| RECORD.iter().find(|field| field.key == key).unwrap().value(&body).unwrap();
    assert_eq!((value("number"), value("mailslot")), (raw.number, u32::from(raw.mailslot)));
    assert_eq!((value("size"), value("action")), (4, u32::from(raw.action)));
    assert_eq!(ACCEPTED.value(raw.data), Some(0x0708_090a));
}

//= SMP121-O8
#[test]
fn fields_follow_each_other_without_gaps() {
    for fields in [&HEADER[..], &RECORD] {
        let mut at = 0;
        for field in fields {
            assert_eq!(field.offset, at, "{}", field.key);
            assert_eq!(field.value(&vec![0xff; at + field.len]).unwrap().count_ones() as usize, field.len * 8);
            assert_eq!(field.value(&vec![0xff; at + field.len - 1]), None, "{}", field.key);
            at += field.len;
        }
    }
}

//= SMP121-W6, SMP121-O8
#[test]
fn every_bit_of_the_flags_has_one_name() {
    let all = FLAGS.iter().fold(Flags::NONE, |all, known| {
        assert!(!all.intersects(known.flag), "{}", known.key);
        all | known.flag
    });
    assert_eq!(all.octet(), 0xff);
    assert!(FLAGS.iter().all(|known| (known.name == "reserved") == known.flag.intersects(Flags::RESERVED)));
}

//= SMP121-W17
#[test]
fn the_outstanding_messages_are_the_first_of_the_data() {
    let octets = raw(0x18, 0, &[0x01, 0x02]).octets();
    let segment = decode(&octets, &PSEUDO).unwrap();
    match segment.kind().unwrap() {
        Kind::NameReply(reply) => {
            assert_eq!(OUTSTANDING.value(segment.data), Some(u32::from(reply.outstanding_max)));
        }
        other => panic!("{other:?}"),
    }
}
