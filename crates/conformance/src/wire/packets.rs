//! Packets of streams over WRP messages, put together by the runner.

use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io::Read as _;

/// No stream is put together beyond this.
const LEN_MAX: u64 = 1 << 20;

/// What came of one stream.
#[derive(Debug, Default)]
pub struct Packets {
    name: Option<String>,
    pieces: BTreeMap<u64, Vec<u8>>,
    /// The number of the last one, and what it says.
    last: Option<(u64, String)>,
}

impl Packets {
    /// Takes a packet; the content where the stream is whole, or why it ended early.
    ///
    /// # Errors
    /// Where it is no packet, or not one of this stream.
    pub fn take(&mut self, message: &Map<String, Value>) -> Result<Option<Result<Vec<u8>, String>>, String> {
        let headers = message.get("headers").and_then(Value::as_array).ok_or("no packet of a stream: no headers")?;
        let header = |label: &str| {
            let of = |line: &Value| {
                let (name, value) = line.as_str()?.split_once(':')?;
                name.trim().eq_ignore_ascii_case(label).then(|| value.trim().to_owned())
            };
            headers.iter().filter_map(of).next_back()
        };
        let name = header("stream-id").ok_or("a packet without stream-id")?;
        if *self.name.get_or_insert_with(|| name.clone()) != name {
            return Err(format!("a packet of {name}, another stream"));
        }
        let number = header("stream-packet-number").and_then(|number| number.parse::<u64>().ok());
        let number = number.ok_or("a packet without a number")?;
        let payload = octets(message.get("payload"))?;
        let piece = unpacked(header("stream-encoding").as_deref(), &payload)?;
        // The first counts.
        if *self.pieces.entry(number).or_insert_with(|| piece.clone()) != piece {
            return Err(format!("packet {number} is one thing, then another"));
        }
        if let Some(says) = header("stream-final-packet") {
            self.last = Some((number, says));
        }
        Ok(match &self.last {
            Some((_, says)) if !says.eq_ignore_ascii_case("eof") => Some(Err(says.clone())),
            Some((last, _)) if (0..=*last).all(|number| self.pieces.contains_key(&number)) => {
                Some(Ok(self.pieces.values().flatten().copied().collect()))
            }
            _ => None,
        })
    }
}

fn octets(payload: Option<&Value>) -> Result<Vec<u8>, String> {
    let text = payload.and_then(Value::as_str).unwrap_or_default();
    match text.strip_prefix("hex:") {
        Some(digits) => crate::notation::hex(digits).map_err(|error| error.to_string()),
        None => Ok(text.as_bytes().to_vec()),
    }
}

fn unpacked(encoding: Option<&str>, payload: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let read = match encoding.unwrap_or("identity").to_ascii_lowercase().as_str() {
        "identity" | "" => return Ok(payload.to_vec()),
        "gzip" => flate2::read::MultiGzDecoder::new(payload).take(LEN_MAX).read_to_end(&mut out),
        "deflate" => flate2::read::DeflateDecoder::new(payload).take(LEN_MAX).read_to_end(&mut out),
        other => return Err(format!("an encoding {other:?} that there is not")),
    };
    read.map(|_| out).map_err(|error| format!("a packet that does not unpack: {error}"))
}
