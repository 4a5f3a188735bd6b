//! `postroad inspect --protocol wrp`.

use crate::support::{bad, good, json, run_with_input, text};
use std::path::Path;

const EVENT: &str =
    "85a86d73675f7479706504a6736f75726365a573656c663aa464657374a76576656e743a78a77061796c6f6164c4026f6ba3716f7300";

#[test]
fn every_example_of_the_page_is_shown_and_valid() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/wire/wrp.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("| `8")?.split_once('`').map(|(hex, _)| hex)).collect();
    assert!(rows.len() >= 5);
    for row in rows {
        let shown = json(&good(&["inspect", "--protocol", "wrp", "--json", "--hex", &format!("8{row}")]));
        assert!(shown["message"]["msg_type"].is_u64() && shown["invalid"].is_null(), "{shown}");
        assert!(shown["packet"].is_null());
    }
}

#[test]
fn a_message_is_shown_field_by_field() {
    let shown = good(&["inspect", "--protocol", "wrp", "--hex", EVENT]);
    let wanted = [
        "msg_type         4 SimpleEvent",
        "source           \"self:\"",
        "dest             \"event:x\"",
        "payload          [2] \"ok\"",
        "valid",
    ];
    assert_eq!(shown.lines().collect::<Vec<_>>(), wanted);
}

#[test]
fn a_packet_of_a_stream_is_shown_and_what_is_not_valid_too() {
    // {"msg_type": 4, "headers": ["stream-id: s1", "stream-packet-number: 7", "stream-final-packet: disk on fire"]}
    let mut octets = vec![0x82, 0xa8];
    octets.extend_from_slice(b"msg_type\x04\xa7headers\x93");
    for header in ["stream-id: s1", "stream-packet-number: 7", "stream-final-packet: \u{1b}[2Jfire"] {
        octets.extend_from_slice(&[0xd9, u8::try_from(header.len()).unwrap()]);
        octets.extend_from_slice(header.as_bytes());
    }
    let output = run_with_input(&["inspect", "--protocol", "wrp", "-"], &octets);
    let shown = text(&output.stdout);
    assert!(shown.contains("packet 7 of stream s1, identity, the last: \\u{1b}[2Jfire\n"), "{shown}");
    assert!(shown.ends_with("not valid: SimpleEvent needs a source\n"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "foreign text cannot write on the terminal");
    let machine = json(&text(&run_with_input(&["inspect", "--protocol", "wrp", "-", "--json"], &octets).stdout));
    assert_eq!((machine["packet"]["number"].as_u64(), machine["packet"]["stream_id"].as_str()), (Some(7), Some("s1")));
    assert_eq!(machine["invalid"], "SimpleEvent needs a source");
}

#[test]
fn octets_that_are_no_message_are_an_answer_that_says_where() {
    let shown = good(&["inspect", "--protocol", "wrp", "--hex", "81 a3 75 72 6c 07"]);
    assert_eq!(shown, "no WRP message: url: text was expected, MessagePack 0x07 came (octet 5)\n");
    let machine = json(&good(&["inspect", "--protocol", "wrp", "--json", "--hex", "81"]));
    assert_eq!((machine["error"]["offset"].as_u64(), machine["error"]["field"].is_null()), (Some(0), true));
    let refused =
        bad(&["inspect", "--protocol", "wrp", "--source", "10.0.0.1", "--destination", "10.0.0.2", "--hex", "80"], 2);
    assert!(refused.contains("smp121"), "{refused}");
}
