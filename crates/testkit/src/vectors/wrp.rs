//! What the vectors of WRP describe instead of listing: octets by a rule, and messages by their fields.

use super::VectorError;
use serde_json::Value;

const WORDS: [&str; 32] = [
    "device", "stream", "packet", "header", "event", "source", "target", "metric", "report", "status", "reboot",
    "firmware", "config", "radio", "signal", "channel", "network", "gateway", "router", "client", "server", "cloud",
    "agent", "message", "payload", "encode", "decode", "final", "estimate", "window", "buffer", "partner",
];

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Generator(u64);

impl Generator {
    /// Starts at `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn word(&mut self) -> &'static str {
        WORDS.get(usize::try_from(self.next() >> 59).unwrap_or_default()).copied().unwrap_or_default()
    }
}

/// Text in lines of twelve words.
#[must_use]
pub fn words(seed: u64, len: usize) -> Vec<u8> {
    let mut generator = Generator::new(seed);
    let mut out = Vec::with_capacity(len + 16);
    for at in 1.. {
        if out.len() >= len {
            break;
        }
        out.extend_from_slice(generator.word().as_bytes());
        out.push(if at % 12 == 0 { b'\n' } else { b' ' });
    }
    out.truncate(len);
    out
}

/// One JSON object a line.
#[must_use]
pub fn json_lines(seed: u64, len: usize) -> Vec<u8> {
    let mut generator = Generator::new(seed);
    let mut out = Vec::with_capacity(len + 100);
    for at in 0.. {
        if out.len() >= len {
            break;
        }
        let (value, name) = (generator.next() % 100_000, generator.word());
        out.extend_from_slice(format!("{{\"seq\":{at},\"value\":{value},\"name\":\"{name}\"}}\n").as_bytes());
    }
    out.truncate(len);
    out
}

/// Octets without any pattern.
#[must_use]
pub fn random(seed: u64, len: usize) -> Vec<u8> {
    let mut generator = Generator::new(seed);
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        out.extend_from_slice(&generator.next().to_le_bytes());
    }
    out.truncate(len);
    out
}

/// The octets that a description stands for.
///
/// # Errors
/// [`VectorError::Malformed`].
pub fn data(value: &Value) -> Result<Vec<u8>, VectorError> {
    let malformed = || VectorError::Malformed { what: value.to_string(), reason: "no description of octets".into() };
    let number = |key: &str| value.get(key).and_then(Value::as_u64).ok_or_else(malformed);
    let len = || number("length").map(|len| usize::try_from(len).unwrap_or(usize::MAX));
    let text = |key: &str| value.get(key).and_then(Value::as_str).ok_or_else(malformed);
    Ok(match text("kind")? {
        "hex" => super::from_hex(text("hex")?)?,
        "utf8" => text("text")?.as_bytes().to_vec(),
        "repeat" => super::from_hex(text("hex")?)?.into_iter().cycle().take(len()?).collect(),
        "counter" => {
            let (start, step) = (number("start")?, number("step")?);
            let at = |index: u64| start.wrapping_add(index.wrapping_mul(step)).to_le_bytes()[0];
            (0..number("length")?).map(at).collect()
        }
        "random" => random(number("seed")?, len()?),
        "words" => words(number("seed")?, len()?),
        "json_lines" => json_lines(number("seed")?, len()?),
        "concat" => {
            let parts = value.get("parts").and_then(Value::as_array).ok_or_else(malformed)?;
            parts.iter().map(data).collect::<Result<Vec<_>, _>>()?.concat()
        }
        _ => return Err(malformed()),
    })
}
