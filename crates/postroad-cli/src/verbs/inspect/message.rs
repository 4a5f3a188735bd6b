//! WRP messages, for people and for machines.

use super::SCHEMA;
use crate::failure::Failure;
use crate::talk::{Talk, data_line};
use postroad::inspect::{InspectedMessage, InspectedStreamPacket, NoMessage};
use serde_json::{Value, json};

pub(super) fn show(octets: Vec<u8>, talk: &Talk) -> Result<(), Failure> {
    let inspected = InspectedMessage::new(&octets.into());
    if talk.is_json() {
        return data_line(&match inspected {
            Ok(message) => message_json(&message).to_string(),
            Err(error) => {
                let NoMessage { why, offset, field, .. } = error;
                json!({"schema": SCHEMA, "error": {"why": why, "offset": offset, "field": field}}).to_string()
            }
        });
    }
    let message = match inspected {
        Ok(message) => message,
        Err(error) => {
            let field = error.field.map(|field| format!("{field}: ")).unwrap_or_default();
            return data_line(&format!("no WRP message: {field}{} (octet {})", error.why, error.offset));
        }
    };
    for (key, value) in &message.fields {
        data_line(&format!("{key:16} {value}"))?;
    }
    match &message.packet {
        None => {}
        Some(InspectedStreamPacket::Good { stream_id, number, encoding, end, estimated_len }) => {
            let mut line = format!("packet {number} of stream {stream_id}, {}", encoding.unwrap_or("identity"));
            if let Some(len) = estimated_len {
                line.push_str(&format!(", {len} octets expected in all"));
            }
            if let Some(end) = end {
                line.push_str(&format!(", the last: {end}"));
            }
            data_line(&line)?;
        }
        Some(InspectedStreamPacket::Bad(why)) => data_line(&format!("no packet of a stream: {why}"))?,
        Some(other) => data_line(&format!("{other:?}"))?,
    }
    match &message.invalid {
        None => data_line("valid"),
        Some(why) => data_line(&format!("not valid: {why}")),
    }
}

fn message_json(message: &InspectedMessage) -> Value {
    // The text was written by the library, so it reads.
    let whole: Value = serde_json::from_str(&message.json).unwrap_or(Value::Null);
    let packet = match &message.packet {
        Some(InspectedStreamPacket::Good { stream_id, number, encoding, end, estimated_len }) => json!({
            "stream_id": stream_id, "number": number, "encoding": encoding, "end": end, "estimated_length": estimated_len,
        }),
        Some(InspectedStreamPacket::Bad(why)) => json!({"error": why}),
        _ => Value::Null,
    };
    json!({"schema": SCHEMA, "message": whole, "packet": packet, "invalid": message.invalid})
}
