//! The examples of the page on the wire format.

use crate::event;
use testkit::vectors::{from_hex, to_hex};
use wrp::{Limits, Message, MessageType};

/// What the rows of the table stand for, in its order.
fn wanted() -> Vec<Message> {
    let of = |msg_type| Message { msg_type, ..Message::default() };
    vec![
        event(),
        event().to_builder().payload("ok").build().unwrap(),
        Message { status: Some(200), ..of(MessageType::AUTHORIZATION) },
        of(MessageType::SERVICE_ALIVE),
        Message { service_name: "a".into(), url: "b".into(), ..of(MessageType::SERVICE_REGISTRATION) },
    ]
}

//= WRP-W1
#[test]
fn the_examples_of_the_page_are_what_is_written() {
    let page = include_str!("../../../../docs/wire/wrp.md");
    let rows: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("| `8")?.split_once('`').map(|(hex, _)| hex)).collect();
    let wanted = wanted();
    assert_eq!(rows.len(), wanted.len());
    for (row, message) in rows.into_iter().zip(wanted) {
        let hex = format!("8{row}");
        assert_eq!(to_hex(&message.encode()), hex);
        assert_eq!(Message::decode(&from_hex(&hex).unwrap().into(), &Limits::default()).unwrap(), message);
        assert_eq!(message.validate(), Ok(()));
    }
}
