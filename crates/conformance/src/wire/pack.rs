//! MessagePack of the runner's own, as far as WRP messages go, with JSON for what it means: octets are text where they are UTF-8, else `hex:` and
//! digits.

use crate::notation;
use serde_json::{Map, Value};

/// The keys of a message, in the order in which they are written.
pub const KEYS: [&str; 17] = [
    "msg_type",
    "source",
    "dest",
    "transaction_uuid",
    "content_type",
    "accept",
    "status",
    "rdr",
    "headers",
    "metadata",
    "path",
    "payload",
    "service_name",
    "url",
    "partner_ids",
    "session_id",
    "qos",
];

/// Nesting beyond this is refused.
const DEPTH_MAX: usize = 16;

fn head(out: &mut Vec<u8>, len: usize, short: Option<(u8, usize)>, codes: [Option<u8>; 3]) {
    let (l8, l16, l32) = (u8::try_from(len), u16::try_from(len), u32::try_from(len).unwrap_or(u32::MAX));
    match (short, l8, l16, codes) {
        (Some((base, below)), Ok(len8), ..) if len < below => out.push(base | len8),
        (_, Ok(len), _, [Some(code), ..]) => out.extend([code, len]),
        (_, _, Ok(len), [_, Some(code), _]) => {
            out.push(code);
            out.extend(len.to_be_bytes());
        }
        (_, _, _, [.., code]) => {
            out.extend(code);
            out.extend(l32.to_be_bytes());
        }
    }
}

fn put(out: &mut Vec<u8>, value: &Value, is_payload: bool) {
    match value {
        Value::Null => out.push(0xc0),
        Value::Bool(is) => out.push(0xc2 | u8::from(*is)),
        Value::Number(number) => put_number(out, number.as_i64().unwrap_or(0)),
        Value::String(text) => {
            let octets = match text.strip_prefix("hex:") {
                Some(digits) => notation::hex(digits).unwrap_or_default(),
                None => text.as_bytes().to_vec(),
            };
            match is_payload {
                true => head(out, octets.len(), None, [Some(0xc4), Some(0xc5), Some(0xc6)]),
                false => head(out, octets.len(), Some((0xa0, 32)), [Some(0xd9), Some(0xda), Some(0xdb)]),
            }
            out.extend(octets);
        }
        Value::Array(list) => {
            head(out, list.len(), Some((0x90, 16)), [None, Some(0xdc), Some(0xdd)]);
            list.iter().for_each(|one| put(out, one, false));
        }
        Value::Object(map) => put_map(out, map),
    }
}

fn put_number(out: &mut Vec<u8>, number: i64) {
    let octets = number.to_be_bytes();
    let low = |len: usize| octets.get(8 - len..).unwrap_or_default();
    match number {
        -32..=127 => out.extend(low(1)),
        -128..=127 => {
            out.push(0xd0);
            out.extend(low(1));
        }
        -32_768..=32_767 => {
            out.push(0xd1);
            out.extend(low(2));
        }
        -2_147_483_648..=2_147_483_647 => {
            out.push(0xd2);
            out.extend(low(4));
        }
        _ => {
            out.push(0xd3);
            out.extend(octets);
        }
    }
}

/// Known keys in their order, then others in alphabetical order.
fn put_map(out: &mut Vec<u8>, map: &Map<String, Value>) {
    head(out, map.len(), Some((0x80, 16)), [None, Some(0xde), Some(0xdf)]);
    let known = KEYS.iter().filter_map(|key| map.get_key_value(*key));
    let others = map.iter().filter(|(key, _)| !KEYS.contains(&key.as_str()));
    for (key, value) in known.chain(others) {
        put(out, &Value::String(key.clone()), false);
        put(out, value, key == "payload");
    }
}

/// The octets of a message.
#[must_use]
pub fn encode(message: &Map<String, Value>) -> Vec<u8> {
    let mut out = Vec::new();
    put_map(&mut out, message);
    out
}

/// What octets say: the keys of the outermost map in their order, and the message.
///
/// # Errors
/// Where they are no map, or not one alone.
pub fn decode(octets: &[u8]) -> Result<(Vec<String>, Map<String, Value>), String> {
    let mut rest = octets;
    let count = match take(&mut rest, 1)? {
        [code @ 0x80..=0x8f] => usize::from(code & 15),
        [0xde] => number(take(&mut rest, 2)?),
        [0xdf] => number(take(&mut rest, 4)?),
        other => return Err(format!("{other:02x?} begins no message")),
    };
    let (keys, map) = pairs(&mut rest, count, 0)?;
    match rest {
        [] => Ok((keys, map)),
        _ => Err(format!("{} octets behind the message", rest.len())),
    }
}

/// True where a message is written as it should be: keys in order, everything in its shortest form, the quality of service there.
#[must_use]
pub fn is_canonical(octets: &[u8]) -> bool {
    decode(octets).is_ok_and(|(_, message)| message.contains_key("qos") && encode(&message) == octets)
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], String> {
    let (taken, behind) = rest.split_at_checked(len).ok_or("the message is cut")?;
    *rest = behind;
    Ok(taken)
}

fn number(octets: &[u8]) -> usize {
    octets.iter().fold(0, |number, octet| number << 8 | usize::from(*octet))
}

fn pairs(rest: &mut &[u8], count: usize, depth: usize) -> Result<(Vec<String>, Map<String, Value>), String> {
    let (mut keys, mut map) = (Vec::new(), Map::new());
    for _ in 0..count {
        let Value::String(key) = value(rest, depth + 1)? else { return Err("a key that is no text".into()) };
        let value = value(rest, depth + 1)?;
        keys.push(key.clone());
        map.insert(key, value);
    }
    Ok((keys, map))
}

fn text(octets: &[u8]) -> Value {
    let shown = || format!("hex:{}", octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>());
    Value::String(core::str::from_utf8(octets).map_or_else(|_| shown(), str::to_owned))
}

fn value(rest: &mut &[u8], depth: usize) -> Result<Value, String> {
    if depth > DEPTH_MAX {
        return Err("a message nested too deep".into());
    }
    let code = *take(rest, 1)?.first().unwrap_or(&0);
    let mut len = |octets: usize| take(rest, octets).map(number);
    Ok(match code {
        0..=0x7f => code.into(),
        0xe0..=0xff => i8::from_be_bytes([code]).into(),
        0xc0 => Value::Null,
        0xc2 | 0xc3 => (code == 0xc3).into(),
        0xcc => take(rest, 1).map(number)?.into(),
        0xcd => take(rest, 2).map(number)?.into(),
        0xce => take(rest, 4).map(number)?.into(),
        0xcf => take(rest, 8).map(number)?.into(),
        0xd0..=0xd3 => {
            let octets = take(rest, 1 << (code - 0xd0))?;
            let sign = if octets.first().is_some_and(|first| *first >= 0x80) { -1 } else { 0 };
            octets.iter().fold(sign, |number: i64, octet| number << 8 | i64::from(*octet)).into()
        }
        0xa0..=0xbf => text(take(rest, usize::from(code & 31))?),
        0xc4..=0xc6 => {
            let len = len(1 << (code - 0xc4))?;
            text(take(rest, len)?)
        }
        0xd9..=0xdb => {
            let len = len(1 << (code - 0xd9))?;
            text(take(rest, len)?)
        }
        0x90..=0x9f => list(rest, usize::from(code & 15), depth)?,
        0xdc => {
            let count = len(2)?;
            list(rest, count, depth)?
        }
        0x80..=0x8f => pairs(rest, usize::from(code & 15), depth)?.1.into(),
        0xde => {
            let count = len(2)?;
            pairs(rest, count, depth)?.1.into()
        }
        _ => return Err(format!("{code:#04x} within a message")),
    })
}

fn list(rest: &mut &[u8], count: usize, depth: usize) -> Result<Value, String> {
    (0..count).map(|_| value(rest, depth + 1)).collect::<Result<Vec<_>, _>>().map(Value::Array)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_written_as_the_table_of_the_wire_page_says() {
        for (json, hex) in [
            (
                r#"{"msg_type":4,"source":"self:","dest":"event:x","qos":0}"#,
                "84a86d73675f7479706504a6736f75726365a573656c663aa464657374a76576656e743a78a3716f7300",
            ),
            (
                r#"{"msg_type":4,"source":"self:","dest":"event:x","payload":"ok","qos":0}"#,
                "85a86d73675f7479706504a6736f75726365a573656c663aa464657374a76576656e743a78a77061796c6f6164c4026f6ba3716f7300",
            ),
            (r#"{"msg_type":2,"status":200,"qos":0}"#, "83a86d73675f7479706502a6737461747573d100c8a3716f7300"),
        ] {
            let message: Map<String, Value> = serde_json::from_str(json).unwrap();
            let octets = notation::hex(hex).unwrap();
            assert_eq!(encode(&message), octets);
            assert_eq!(decode(&octets).unwrap().1, message);
            assert!(is_canonical(&octets));
            for len in 0..octets.len() {
                assert!(decode(&octets[..len]).is_err());
            }
        }
    }

    #[test]
    fn what_is_not_written_as_it_should_be_is_told() {
        // No quality of service; a number wider than it has to be; another order.
        for hex in ["81a86d73675f747970650a", "82a86d73675f74797065cc0aa3716f7300", "82a3716f7300a86d73675f747970650a"]
        {
            let octets = notation::hex(hex).unwrap();
            assert!(decode(&octets).is_ok() && !is_canonical(&octets), "{hex}");
        }
        assert!(decode(&notation::hex("82a86d73675f747970650aa3716f730000").unwrap()).is_err());
        assert!(decode(&[0x81, 0xa1, b'x', 0xdc, 0xff, 0xff]).is_err());
    }
}
