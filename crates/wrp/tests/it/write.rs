//! The shortest forms.

use crate::event;
use wrp::{Message, MessageType, Qos};

//= WRP-W4
#[test]
fn numbers_are_as_short_as_they_go_with_a_sign() {
    let written = |qos| {
        let octets = Message { qos: Qos(qos), ..Message::default() }.encode();
        octets[15..].to_vec()
    };
    for (qos, wanted) in [
        (0, vec![0]),
        (127, vec![0x7f]),
        (128, vec![0xd1, 0, 0x80]),
        (32_767, vec![0xd1, 0x7f, 0xff]),
        (32_768, vec![0xd2, 0, 0, 0x80, 0]),
        (1 << 31, vec![0xd3, 0, 0, 0, 0, 0x80, 0, 0, 0]),
        (-1, vec![0xff]),
        (-32, vec![0xe0]),
        (-33, vec![0xd0, 0xdf]),
        (-128, vec![0xd0, 0x80]),
        (-129, vec![0xd1, 0xff, 0x7f]),
        (-32_769, vec![0xd2, 0xff, 0xff, 0x7f, 0xff]),
    ] {
        assert_eq!(written(qos), wanted, "{qos}");
    }
}

//= WRP-W2, WRP-W3
#[test]
fn qos_is_always_written_an_empty_payload_where_it_is_there_and_nothing_else_that_is_empty() {
    let nothing = Message { msg_type: MessageType::SERVICE_ALIVE, ..Message::default() };
    assert_eq!(nothing.encode(), [&[0x82, 0xa8][..], b"msg_type", &[10, 0xa3], b"qos", &[0]].concat());
    let empty = Message { payload: Some(bytes::Bytes::new()), ..nothing };
    let wanted = [&[0x83, 0xa8][..], b"msg_type", &[10, 0xa7], b"payload", &[0xc4, 0, 0xa3], b"qos", &[0]].concat();
    assert_eq!(empty.encode(), wanted);
}

//= WRP-W5
#[test]
fn lengths_and_counts_are_as_short_as_they_go() {
    let tag = |message: &Message, behind: &str| {
        let octets = message.encode();
        let at = octets.windows(behind.len()).position(|window| window == behind.as_bytes()).unwrap();
        octets[at + behind.len()]
    };
    for (len, text, octets) in
        [(31, 0xbf, 0xc4), (32, 0xd9, 0xc4), (255, 0xd9, 0xc4), (256, 0xda, 0xc5), (65_536, 0xdb, 0xc6)]
    {
        let message = Message { url: "x".repeat(len), payload: Some(vec![0; len].into()), ..event() };
        assert_eq!((tag(&message, "url"), tag(&message, "payload")), (text, octets), "{len}");
    }
    for (count, list, map) in [(1, 0x91, 0x81), (15, 0x9f, 0x8f), (16, 0xdc, 0xde), (65_536, 0xdd, 0xdf)] {
        let names = (0..count).map(|at| (at.to_string(), String::new())).collect();
        let message = Message { headers: vec![String::new(); count], metadata: names, ..event() };
        assert_eq!((tag(&message, "headers"), tag(&message, "metadata")), (list, map), "{count}");
    }
}
