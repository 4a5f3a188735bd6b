//! JSON and other formats of serde.

use crate::event;
use wrp::{JsonError, Limits, Message, Qos};

//= WRP-J1, WRP-J2
#[test]
fn json_has_the_payload_in_base64_and_one_line_feed() {
    let message = event().to_builder().content_type("a<b>&\u{2028}\"").payload(vec![0, 255]).build().unwrap();
    let wanted = concat!(
        r#"{"msg_type":4,"source":"self:","dest":"event:x","content_type":"a\u003cb\u003e\u0026\u2028\"","payload":"AP8="}"#,
        "\n"
    );
    assert_eq!(message.to_json(), wanted);
    assert!(Message { qos: Qos(1), ..message }.to_json().ends_with(",\"qos\":1}\n"));
}

//= WRP-J3, WRP-J4, WRP-J5, WRP-J6
#[test]
fn json_is_read_leniently_where_the_reference_is_and_says_what_is_wrong() {
    let read = |text: &str| Message::from_json(text.as_bytes());
    assert_eq!(read(r#"{"QoS":7,"URL":null,"dest":"a","DEST":"b"}"#).unwrap().dest, "b");
    assert_eq!(read(r#"{"payload":"AAEC\n/w=="}"#).unwrap().payload.as_deref(), Some(&[0, 1, 2, 255][..]));
    for wrong in [
        r#"{"payload":"AAEC_w=="}"#,
        r#"{"payload":"AAEC/w"}"#,
        r#"{"msg_type":4.0}"#,
        r#"{"msg_type":4e0}"#,
        r#"{"msg_type":"4"}"#,
        r#"{"headers":[1]}"#,
        r#"{"metadata":{"a":1}}"#,
        r#"{"source":7}"#,
        "[]",
        "7",
    ] {
        assert!(matches!(read(wrong), Err(JsonError::Type(_))), "{wrong}: {:?}", read(wrong));
    }
    for broken in ["", "{", "{\"source\":\"a", "{} {}", "{}x", "\u{feff}{}"] {
        assert!(matches!(read(broken), Err(JsonError::Syntax(_))), "{broken}: {:?}", read(broken));
    }
}

//= WRP-J3, WRP-R7
#[test]
fn metadata_keeps_its_order_in_json_and_in_messagepack() {
    let text = r#"{"msg_type":4,"metadata":{"z":"1","a":"2","m":"3","z":"4"}}"#;
    let message = Message::from_json(text.as_bytes()).unwrap();
    let wanted = [("z", "4"), ("a", "2"), ("m", "3")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(message.metadata, wanted);
    assert_eq!(Message::decode(&message.encode(), &Limits::default()).unwrap().metadata, wanted);
    let twice = Message { metadata: [&wanted[..], &wanted[1..], &wanted[..1]].concat(), ..Message::default() };
    assert_eq!(Message::decode(&twice.encode(), &Limits::default()).unwrap().metadata, wanted);
}
