//! Reading what is written otherwise than we do.

use wrp::{Limits, Message, MessageRef, MessageType};

fn read(octets: &[u8]) -> MessageRef<'_> {
    MessageRef::decode(octets, &Limits::default()).unwrap()
}

//= WRP-R2
#[test]
fn every_width_of_a_number_is_read() {
    let number = |octets: &[u8]| {
        let octets = [&[0x81, 0xa6][..], b"status", octets].concat();
        MessageRef::decode(&octets, &Limits::default()).map(|message| message.status)
    };
    for (octets, wanted) in [
        (&[0x00][..], 0),
        (&[0x7f], 127),
        (&[0xff], -1),
        (&[0xe0], -32),
        (&[0xcc, 0xff], 255),
        (&[0xcd, 0xff, 0xff], 65_535),
        (&[0xce, 0xff, 0xff, 0xff, 0xff], 0xffff_ffff),
        (&[0xcf, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], i64::MAX),
        (&[0xd0, 0x80], -128),
        (&[0xd1, 0x80, 0x00], -32_768),
        (&[0xd1, 0x00, 0x80], 128),
        (&[0xd2, 0x80, 0, 0, 0], i64::from(i32::MIN)),
        (&[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0], i64::MIN),
    ] {
        assert_eq!(number(octets), Ok(Some(wanted)), "{octets:x?}");
    }
    assert_eq!(number(&[0xc0]), Ok(None), "nothing");
    let beyond = number(&[0xcf, 0x80, 0, 0, 0, 0, 0, 0, 0]).unwrap_err();
    assert_eq!(beyond.to_string(), "status: an integer beyond 2^63 - 1 (octet 8)");
}

//= WRP-R6, WRP-R7
#[test]
fn keys_may_be_octets_and_of_repeated_fields_the_last_counts() {
    assert_eq!(read(&[0x81, 0xc4, 3, b'u', b'r', b'l', 0xa1, b'x']).url, "x");
    assert_eq!(read(&[0x82, 0xa3, b'u', b'r', b'l', 0xa1, b'x', 0xa3, b'u', b'r', b'l', 0xa1, b'y']).url, "y");
    let twice = [&[0x81, 0xa8][..], b"metadata", &[0x82, 0xa1, b'k', 0xa1, b'1', 0xa1, b'k', 0xa1, b'2']].concat();
    assert_eq!(read(&twice).metadata.len(), 2);
    let message = Message::decode(&twice.into(), &Limits::default()).unwrap();
    assert_eq!(message.metadata, [("k".to_owned(), "2".to_owned())]);
}

/// Without `msg_type` it reads as 0, which is not valid.
//= WRP-R1, WRP-V1
#[test]
fn reading_does_not_judge() {
    let nothing = Message::decode(&[0x80][..].into(), &Limits::default()).unwrap();
    assert_eq!((nothing.msg_type, nothing.validate().is_err()), (MessageType(0), true));
}

/// A server acknowledges with its bare host name as source.
//= WRP-A1
#[test]
fn an_acknowledgement_of_a_server_is_read_and_known_as_one() {
    let ack = Message {
        msg_type: MessageType::EVENT,
        source: "talaria.example.com".into(),
        dest: "mac:112233445566/x".into(),
        rdr: Some(0),
        ..Message::default()
    };
    let came = Message::decode(&ack.encode(), &Limits::default()).unwrap();
    assert!(came.validate().is_err());
    assert!(came.is_qos_ack_for("mac:112233445566/x"));
    assert!(!came.is_qos_ack_for("mac:112233445566"));
    assert!(!Message { rdr: None, ..came }.is_qos_ack_for("mac:112233445566/x"));
}

//= WRP-R9
#[test]
fn unknown_fields_of_any_kind_are_passed_over() {
    for value in [
        &[0xc0][..],
        &[0xc2],
        &[0xca, 1, 2, 3, 4],
        &[0xcb, 1, 2, 3, 4, 5, 6, 7, 8],
        &[0xd3, 1, 2, 3, 4, 5, 6, 7, 8],
        &[0xd4, 1, 2],
        &[0xd5, 1, 2, 3],
        &[0xd6, 1, 2, 3, 4, 5],
        &[0xd7, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        &[0xd8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17],
        &[0xc7, 2, 1, 2, 3],
        &[0xc8, 0, 1, 1, 2],
        &[0xc9, 0, 0, 0, 0, 1],
        &[0xc5, 0, 1, 7],
        &[0xda, 0, 1, b'x'],
        &[0x82, 1, 0x92, 2, 3, 0x81, 4, 5, 6],
        &[0xdc, 0, 1, 0xde, 0, 1, 1, 0x90],
    ] {
        let octets = [&[0x82, 0xa1, b'x'][..], value, &[0xa3, b'u', b'r', b'l', 0xa1, b'y']].concat();
        assert_eq!(read(&octets).url, "y", "{value:x?}");
    }
}
