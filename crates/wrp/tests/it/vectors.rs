//! What was observed of the reference implementation. The README beside the vectors says what must hold.

use bytes::Bytes;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use testkit::vectors::{cases, from_hex, to_hex, wrp::data};
use wrp::{DecodeErrorKind, DeviceId, Invalid, JsonError, Limits, Locator, Message, MessageType, Qos};

/// Cases of level `may` where we do something else than the reference, and what.
const OTHERWISE: [(&str, &str); 6] = [
    // Empty lists and maps are absent, and are not written.
    ("empty-lists", "written-shorter"),
    ("empty-lists-typed", "written-shorter"),
    // Behind a message there is nothing, unless `trailing_len_max` allows it.
    ("trailing-bytes", "trailing"),
    ("json-trailing", "json_syntax"),
    // Text is UTF-8, validated or not: nothing else can be kept in a `String`.
    ("source-not-utf8-not-validated", "not_utf8"),
    ("json-invalid-utf8", "json_syntax"),
];

fn otherwise(name: &str) -> Option<&'static str> {
    OTHERWISE.iter().find(|(known, _)| *known == name).map(|(_, class)| *class)
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(list) => list.iter().map(|text| text.as_str().unwrap().to_owned()).collect(),
        Value::Object(repeat) => {
            vec![repeat["repeat"].as_str().unwrap().to_owned(); repeat["count"].as_u64().unwrap() as usize]
        }
        _ => panic!("{value}"),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(repeat) => repeat["repeat"].as_str().unwrap().repeat(repeat["count"].as_u64().unwrap() as usize),
        _ => panic!("{value}"),
    }
}

/// A message object of the vectors.
fn message(fields: &Map<String, Value>) -> Message {
    let mut message = Message::default();
    for (key, value) in fields {
        match key.as_str() {
            "msg_type" => message.msg_type = MessageType(value.as_i64().unwrap()),
            "source" => message.source = text(value),
            "dest" => message.dest = text(value),
            "transaction_uuid" => message.transaction_uuid = text(value),
            "content_type" => message.content_type = text(value),
            "accept" => message.accept = text(value),
            "path" => message.path = text(value),
            "service_name" => message.service_name = text(value),
            "url" => message.url = text(value),
            "session_id" => message.session_id = text(value),
            "status" => message.status = value.as_i64(),
            "rdr" => message.rdr = value.as_i64(),
            "qos" => message.qos = Qos(value.as_i64().unwrap()),
            "headers" => message.headers = texts(value),
            "partner_ids" => message.partner_ids = texts(value),
            "metadata" => {
                let entries = value.as_object().unwrap().iter();
                message.metadata = entries.map(|(name, value)| (name.clone(), text(value))).collect();
            }
            "metadata_empty" => {}
            "payload_hex" => message.payload = Some(from_hex(value.as_str().unwrap()).unwrap().into()),
            "payload" => message.payload = Some(data(value).unwrap().into()),
            other => panic!("a field {other}"),
        }
    }
    message
}

fn class(fault: &Invalid) -> &'static str {
    match fault {
        Invalid::MessageType(_) => "invalid_message_type",
        Invalid::Missing { .. } => "missing_required",
        Invalid::Unsupported { .. } => "unsupported_field",
        Invalid::Locator { .. } => "invalid_locator",
        Invalid::ServiceName(_) | Invalid::Qos(_) => "invalid_message",
        other => panic!("{other}"),
    }
}

fn decode_class(kind: DecodeErrorKind) -> &'static str {
    match kind {
        DecodeErrorKind::Short { .. } => "msgpack_short",
        DecodeErrorKind::Type { .. } | DecodeErrorKind::Range => "msgpack_type",
        DecodeErrorKind::Depth { .. } => "msgpack_depth",
        DecodeErrorKind::NotUtf8 => "not_utf8",
        DecodeErrorKind::Trailing { .. } => "trailing",
        other => panic!("{other}"),
    }
}

/// Equal, apart from the order of the metadata, which is free.
fn assert_same(mut ours: Message, mut theirs: Message, name: &str) {
    ours.metadata.sort();
    theirs.metadata.sort();
    assert_eq!(ours, theirs, "{name}");
}

//= WRP-W1, WRP-W2, WRP-W3, WRP-W4, WRP-W5, WRP-V1, WRP-V2, WRP-V3, WRP-V4, WRP-V5, WRP-J1
#[test]
fn messages_are_written_octet_for_octet_or_refused_for_the_same_reason() {
    let Some(cases) = cases("wrp/messages.json").unwrap() else { return };
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let wanted = case["result"]["class"].as_str().unwrap();
        let fields = case["message"].as_object().unwrap();
        if wanted == "not_utf8" {
            // Cannot be kept in a message at all; what comes is refused, see the decoding of `source-not-utf8`.
            assert!(fields.keys().any(|key| matches!(key.as_str(), "source_hex" | "headers_hex")), "{name}");
            continue;
        }
        let mut ours = message(fields);
        if case["form"] == "typed" {
            ours = ours.to_builder().build().unwrap();
        }
        let result = ours.validate();
        assert_eq!(result.as_ref().map_or_else(class, |()| "ok"), wanted, "{name}: {result:?}");
        if wanted != "ok" {
            continue;
        }
        let octets = ours.encode();
        assert_same(Message::decode(&octets, &Limits::NONE).unwrap(), ours.clone(), name);
        assert!(octets.len() <= ours.encoded_len(), "{name}");
        if otherwise(name).is_some() {
            assert_eq!(case["level"], "may", "{name}");
            assert!((octets.len() as u64) < case["msgpack_length"].as_u64().unwrap(), "{name}");
            continue;
        }
        assert_eq!(octets.len() as u64, case["msgpack_length"].as_u64().unwrap(), "{name}");
        if case["byte_exact"] == true {
            assert_eq!(to_hex(&Sha256::digest(&octets)), case["msgpack_sha256"].as_str().unwrap(), "{name}");
            if let Some(hex) = case["msgpack_hex"].as_str() {
                assert_eq!(to_hex(&octets), hex, "{name}");
            }
        } else if let Some(hex) = case["msgpack_hex"].as_str() {
            let theirs = Message::decode(&from_hex(hex).unwrap().into(), &Limits::NONE).unwrap();
            assert_same(theirs, ours.clone(), name);
        }
        if let Some(json) = case["json"].as_str() {
            let json: Value = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::from_str::<Value>(&ours.to_json()).unwrap(), json, "{name}");
            let mut wanted = ours.clone();
            // JSON has no empty payload.
            wanted.payload = wanted.payload.filter(|payload| !payload.is_empty());
            assert_same(Message::from_json(ours.to_json().as_bytes()).unwrap(), wanted, name);
        }
    }
}

fn decode(case: &Value, octets: &Bytes) -> Result<Message, &'static str> {
    let message = match case["format"].as_str().unwrap() {
        "msgpack" => Message::decode(octets, &Limits::default()).map_err(|error| decode_class(error.kind))?,
        _ => Message::from_json(octets).map_err(|error| match error {
            JsonError::Syntax(_) => "json_syntax",
            JsonError::Type(_) => "json_type",
            other => panic!("{other}"),
        })?,
    };
    if case["validate"] == "standard" {
        message.validate().map_err(|fault| class(&fault))?;
    }
    Ok(message)
}

//= WRP-R1, WRP-R2, WRP-R3, WRP-R4, WRP-R5, WRP-R6, WRP-R7, WRP-R8, WRP-R9, WRP-J3, WRP-J4, WRP-J5, WRP-J6, WRP-L2, WRP-L3
#[test]
fn octets_are_read_or_refused_for_the_same_reason() {
    let Some(cases) = cases("wrp/decode.json").unwrap() else { return };
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let octets = Bytes::from(data(&case["input"]).unwrap());
        let came = decode(&case, &octets);
        let mut wanted = case["result"]["class"].as_str().unwrap();
        if let Some(class) = otherwise(name) {
            assert_eq!(case["level"], "may", "{name}");
            wanted = class;
        }
        if name == "nested-1000" {
            assert_eq!(case["level"], "may", "{name}");
            wanted = "msgpack_depth";
        }
        assert_eq!(came.as_ref().map_or_else(|class| *class, |_| "ok"), wanted, "{name}: {came:?}");
        if let (Ok(came), Some(theirs)) = (came, case["message"].as_object()) {
            assert_same(came, message(theirs), name);
        }
    }
}

//= WRP-D1, WRP-D2, WRP-D3, WRP-D4, WRP-D5, WRP-D6, WRP-D7, WRP-D8
#[test]
fn locators_and_device_ids_are_taken_apart_alike() {
    let Some(cases) = cases("wrp/locators.json").unwrap() else { return };
    for case in cases {
        let input = case["input"].as_str().unwrap();
        let locator = input.parse::<Locator>();
        assert_eq!(locator.is_ok(), case["locator_result"]["class"] == "ok", "{input:?}: {locator:?}");
        if let Ok(locator) = &locator {
            let id = locator.device_id().map(|id| id.to_string()).unwrap_or_default();
            let ours = [locator.scheme().name(), locator.authority(), locator.service(), locator.ignored(), &id];
            let theirs = ["scheme", "authority", "service", "ignored", "id"].map(|key| case[key].as_str().unwrap());
            assert_eq!(ours, theirs, "{input:?}");
            let recommends_another_text = case["recommended"]["string"].is_string();
            assert_eq!(locator.to_string() == case["string"].as_str().unwrap(), !recommends_another_text, "{input:?}");
            let again: Locator = locator.to_string().parse().unwrap();
            assert_eq!(
                (again.authority(), again.service(), again.ignored()),
                (locator.authority(), locator.service(), locator.ignored()),
                "{input:?} reads as itself"
            );
        }
        let device = input.parse::<DeviceId>();
        let wanted = case["recommended"]["device_id_result"].as_str().or(case["device_id_result"]["class"].as_str());
        assert_eq!(device.is_ok(), wanted == Some("ok"), "{input:?}: {device:?}");
        if let Ok(device) = device {
            assert_eq!(device.to_string(), case["device_id"].as_str().unwrap(), "{input:?}");
        }
    }
}
