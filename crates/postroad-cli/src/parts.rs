//! Parts of messages from the command line, and parts to look at.

use crate::args::Parts;
use crate::failure::Failure;
use postroad::{Bytes, Message, escape};
use serde_json::{Value, json};
use std::fmt::Write;
use tokio::io::AsyncReadExt;

/// Octets of one part that are read from a file or standard input. Larger things travel by `copy`.
const PART_LEN_MAX: u64 = 16 << 20;

/// The message that `--part` describes; without any, one without parts.
pub(crate) async fn message(parts: &Parts) -> Result<Message, Failure> {
    if parts.parts.iter().filter(|part| *part == "-").count() > 1 {
        let failure = Failure::usage("standard input can be one part only", "`--part -` is there more than once");
        return Err(failure.with_fix("leave one of them out"));
    }
    let mut message = Message::new();
    for part in &parts.parts {
        message = message.with_part(read(part).await?);
    }
    for header in &parts.headers {
        let (name, value) = header.split_once(':').ok_or_else(|| {
            Failure::usage(format!("`{}` is no header", escape::text(header)), "it has no `:`")
                .with_fix("write --header NAME:VALUE")
        })?;
        message = message.with_header(name.trim(), value.trim().to_owned());
    }
    Ok(message)
}

async fn read(part: &str) -> Result<Bytes, Failure> {
    if part == "-" {
        return read_all(tokio::io::stdin(), "standard input").await;
    }
    let Some(path) = part.strip_prefix('@') else { return Ok(Bytes::copy_from_slice(part.as_bytes())) };
    let what = format!("`{}`", escape::text(path));
    let file = tokio::fs::File::open(path).await.map_err(|error| {
        Failure::file(format!("could not read {what}"), &error)
            .with_fix("give the path of a file behind the @; text that begins with @ goes by standard input")
    })?;
    read_all(file, &what).await
}

async fn read_all(source: impl tokio::io::AsyncRead + Unpin, what: &str) -> Result<Bytes, Failure> {
    let mut octets = Vec::new();
    source
        .take(PART_LEN_MAX + 1)
        .read_to_end(&mut octets)
        .await
        .map_err(|error| Failure::file(format!("could not read {what}"), &error))?;
    if octets.len() as u64 > PART_LEN_MAX {
        let why = "it has more than 16 MiB";
        return Err(Failure::new("limit", format!("{what} is too long for a part"), why)
            .with_fix("postroad copy FILE URL (to a `serve --save`)"));
    }
    Ok(octets.into())
}

pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::with_capacity(octets.len() * 2), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

/// Parts for machines: always `hex`, and `text` where it is UTF-8.
pub(crate) fn to_json(message: &Message) -> Vec<Value> {
    let part = |part: &Bytes| json!({"hex": hex(part), "text": std::str::from_utf8(part).ok()});
    message.parts().iter().map(part).collect()
}

/// Headers for machines, in order: pairs of name and value.
pub(crate) fn headers_to_json(message: &Message) -> Vec<Value> {
    message.headers().iter().map(|(name, value)| json!([name, String::from_utf8_lossy(value)])).collect()
}

/// Headers and parts for people, in one line, with everything dangerous spelled out.
pub(crate) fn to_line(message: &Message) -> String {
    let header = |(name, value): &(String, Bytes)| format!("{}: {};", escape::text(name), escape::octets(value));
    let headers = message.headers().iter().map(header);
    let parts = message.parts().iter().map(|part| format!("\"{}\"", escape::octets(part)));
    let shown: Vec<String> = headers.chain(parts).collect();
    if shown.is_empty() { "no parts".to_owned() } else { shown.join(" ") }
}

/// True where a terminal shows `octets` as they are and does nothing else.
pub(crate) fn is_plain_text(octets: &[u8]) -> bool {
    let plain = |c: char| !c.is_control() || c == '\n' || c == '\t' || c == '\r';
    std::str::from_utf8(octets).is_ok_and(|text| text.chars().all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_no_control_characters() {
        assert!(is_plain_text("grüße\n\tx".as_bytes()));
        assert!(!is_plain_text(b"\x1b[2J") && !is_plain_text(b"\xff") && !is_plain_text(b"a\0"));
        assert_eq!(to_line(&Message::from("a\u{1b}b").with_part(vec![0xff])), "\"a\\u{1b}b\" \"\\xff\"");
    }
}
