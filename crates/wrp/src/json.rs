//! The JSON form.

use crate::Message;
use serde::Serialize as _;
use serde_json::ser::{CompactFormatter, Formatter};
use std::io;
use thiserror::Error;

/// Why a text is no message in JSON.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JsonError {
    /// It is no JSON, or ends too early, or more is behind it, or it is not UTF-8.
    #[error("not JSON: {0}")]
    Syntax(#[source] serde_json::Error),
    /// A field holds something of another kind.
    #[error("not a WRP message: {0}")]
    Type(#[source] serde_json::Error),
}

impl Message {
    /// The message in JSON: keys as in MessagePack, the payload in base64, `qos` where it is not 0, one line feed at the end.
    //= WRP-J1, WRP-J2
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = Vec::new();
        // Neither a vector nor the texts and numbers of a message can fail.
        let _cannot_fail = self.serialize(&mut serde_json::Serializer::with_formatter(&mut out, Escaping));
        out.push(b'\n');
        String::from_utf8(out).unwrap_or_default()
    }

    /// Reads a message in JSON. Nothing but white space may be behind it.
    ///
    /// # Errors
    /// [`JsonError`].
    //= WRP-J3, WRP-J4, WRP-J6
    pub fn from_json(text: &[u8]) -> Result<Self, JsonError> {
        serde_json::from_slice(text).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => JsonError::Type(error),
            _ => JsonError::Syntax(error),
        })
    }
}

/// Writes what could end a script or a line where JSON is put into other text as escapes.
struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W: io::Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (plain, special) = rest.split_at_checked(at).unwrap_or((rest, ""));
            CompactFormatter.write_string_fragment(writer, plain)?;
            let mut chars = special.chars();
            if let Some(char) = chars.next() {
                write!(writer, "\\u{:04x}", u32::from(char))?;
            }
            rest = chars.as_str();
        }
        CompactFormatter.write_string_fragment(writer, rest)
    }
}
