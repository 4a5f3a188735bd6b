//! Messages of the facade as WRP messages, and back.

use crate::{Error, ErrorKind, Message};
use bytes::Bytes;
use std::sync::Arc;

/// The header of a stream's packets that has what stands in front of its content.
pub(super) const HEAD: &str = "postroad-head";

/// The header of a stream's last packet that has what stands behind its content.
pub(super) const TRAILER: &str = "postroad-trailer";

/// Octets of a trailer.
pub(super) const TRAILER_LEN_MAX: usize = 1024;

fn unsupported(what: &str, why: impl Into<String>, remedy: &str) -> Error {
    Error::new(ErrorKind::Unsupported, what, why).with_remedy(remedy)
}

/// Text that survives the way: nothing that ends a line, and nothing at its ends that would be cut off.
fn is_a_line(text: &str) -> bool {
    text.trim() == text && !text.chars().any(char::is_control)
}

/// `label: value` for each header.
fn headers(message: &Message, what: &str) -> Result<Vec<String>, Error> {
    let mut texts = Vec::with_capacity(message.headers().len());
    for (name, value) in message.headers() {
        let shown = crate::escape::text(name);
        if name.is_empty() || name.contains(':') || !is_a_line(name) {
            let why = format!("`{shown}` is no name for a header");
            return Err(unsupported(what, why, "give it a name without `:` and control characters"));
        }
        let text =
            core::str::from_utf8(value).ok().filter(|value| is_a_line(value)).map(|value| format!("{name}: {value}"));
        let Some(text) = text else {
            let why = format!("the header `{shown}` is no line of text, and WRP carries nothing else there");
            return Err(unsupported(what, why, "put it into the message itself"));
        };
        if wrp_ssp::label_of(&text).is_some() || is_ours(name) {
            let why = format!("the header `{shown}` belongs to streams");
            return Err(Error::new(ErrorKind::Usage, what, why).with_remedy("give it another name"));
        }
        texts.push(text);
    }
    Ok(texts)
}

fn is_ours(name: &str) -> bool {
    name.eq_ignore_ascii_case(HEAD) || name.eq_ignore_ascii_case(TRAILER)
}

/// Puts headers and payload of `message` into `base`.
pub(super) fn outgoing(mut base: wrp::Message, message: Message, what: &str) -> Result<wrp::Message, Error> {
    base.headers = headers(&message, what)?;
    let count = message.part_count();
    let mut parts = message.into_parts();
    base.payload = parts.pop();
    if parts.is_empty() {
        return Ok(base);
    }
    let why = format!("it has {count} parts, and a WRP message has one payload");
    Err(unsupported(what, why, "join them into one part, or put some into headers"))
}

/// Puts headers and head of a stream into `base`.
pub(super) fn outgoing_head(mut base: wrp::Message, head: &Message, what: &str) -> Result<wrp::Message, Error> {
    base.headers = headers(head, what)?;
    match head.parts() {
        [] => {}
        [only] => {
            let text = core::str::from_utf8(only).ok().filter(|text| is_a_line(text));
            let remedy = "put it into the content, or write it as JSON";
            let text =
                text.ok_or_else(|| unsupported(what, "the head of a stream over wrp is a line of text", remedy))?;
            base.headers.push(format!("{HEAD}: {text}"));
        }
        parts => {
            let why = format!("its head has {} parts, and over wrp it has one", parts.len());
            return Err(unsupported(what, why, "join them into one part, or put some into headers"));
        }
    }
    Ok(base)
}

/// The header of the last packet.
pub(super) fn trailer_header(trailer: &[u8]) -> Result<Option<String>, Error> {
    if trailer.is_empty() {
        return Ok(None);
    }
    let text = core::str::from_utf8(trailer).ok().filter(|text| is_a_line(text) && text.len() <= TRAILER_LEN_MAX);
    let why = format!(
        "its trailer is no line of text of at most {TRAILER_LEN_MAX} octets, and WRP carries nothing else there"
    );
    let text = text.ok_or_else(|| unsupported("could not finish a body", why, "put it into the content"))?;
    Ok(Some(format!("{TRAILER}: {text}")))
}

/// What the peer put behind the content; of the last packet.
pub(super) fn trailer_of(message: &wrp::Message) -> Option<Bytes> {
    let value = |text: &String| {
        let (name, value) = text.split_once(':')?;
        name.trim().eq_ignore_ascii_case(TRAILER).then(|| Bytes::copy_from_slice(value.trim().as_bytes()))
    };
    message.headers.iter().rev().find_map(value)
}

/// A WRP message as the facade's: its payload is the part.
pub(super) fn incoming(message: wrp::Message) -> Message {
    let mut parts = Message::new();
    if let Some(payload) = &message.payload {
        parts = parts.with_part(payload.clone());
    }
    with_headers(parts, message)
}

/// The head of a stream, by its first packet.
pub(super) fn incoming_head(mut message: wrp::Message) -> Message {
    message.payload = None;
    let mut head = Message::new();
    for text in &message.headers {
        if let Some((name, value)) = text.split_once(':')
            && name.trim().eq_ignore_ascii_case(HEAD)
        {
            head = head.with_part(value.trim().to_owned());
        }
    }
    with_headers(head, message)
}

fn with_headers(mut into: Message, message: wrp::Message) -> Message {
    for text in &message.headers {
        let (name, value) = text.split_once(':').unwrap_or((text, ""));
        let name = name.trim();
        if wrp_ssp::label_of(text).is_none() && !is_ours(name) {
            into = into.with_header(name, value.trim().to_owned());
        }
    }
    into.with_wrp(Arc::new(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> wrp::Message {
        wrp::Event::new("self:", "event:x").build().unwrap()
    }

    //= WRP-N20
    #[test]
    fn headers_and_payload_go_there_and_back() {
        for message in [
            Message::new(),
            Message::from(""),
            Message::from(vec![0, 255]).with_header("a", "b: c").with_header("A", "").with_header("grün", "gelb"),
        ] {
            let back = incoming(outgoing(base(), message.clone(), "x").unwrap());
            assert_eq!(back, message);
            assert_eq!(back.as_wrp().unwrap().dest, "event:x");
            let head = incoming_head(outgoing_head(base(), &message_of_text(&message), "x").unwrap());
            assert_eq!(head, message_of_text(&message));
        }
    }

    fn message_of_text(message: &Message) -> Message {
        message.headers().iter().fold(Message::from("{\"name\":\"ü\"}"), |head, (name, value)| {
            head.with_header(name.clone(), value.clone())
        })
    }

    //= WRP-N20
    #[test]
    fn what_wrp_cannot_carry_is_refused_with_a_reason() {
        for (message, kind) in [
            (Message::from("a").with_part("b"), ErrorKind::Unsupported),
            (Message::new().with_header("a:b", "c"), ErrorKind::Unsupported),
            (Message::new().with_header("", "c"), ErrorKind::Unsupported),
            (Message::new().with_header("a", " c"), ErrorKind::Unsupported),
            (Message::new().with_header("a", "b\nc"), ErrorKind::Unsupported),
            (Message::new().with_header("a", vec![0xff]), ErrorKind::Unsupported),
            (Message::new().with_header("Stream-Id", "c"), ErrorKind::Usage),
            (Message::new().with_header("postroad-HEAD", "c"), ErrorKind::Usage),
        ] {
            let error = outgoing(base(), message.clone(), "x").unwrap_err();
            assert_eq!(error.kind(), kind, "{message:?}: {error}");
        }
        assert!(outgoing_head(base(), &Message::from("a\n"), "x").is_err());
        assert!(outgoing_head(base(), &Message::from("a").with_part("b"), "x").is_err());
        assert!(trailer_header(&[b'x'; 1025]).is_err());
        assert!(trailer_header(&[0]).is_err());
        assert_eq!(trailer_header(b"").unwrap(), None);
    }
}
