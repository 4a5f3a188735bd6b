//! The request convention: what the first argument of a message says. `docs/guide/request-reply.md` has it for peers.

use bytes::Bytes;

/// A message whose first part begins like this belongs to the convention.
const PREFIXES: [&str; 3] = ["postroad-request/", "postroad-reply/", "postroad-body/"];
const REQUEST: &str = "postroad-request/1 ";
const REPLY: &str = "postroad-reply/1 ";
const BODY: &str = "postroad-body/1";

/// What the peer of a dropped request is told.
pub(crate) const DROPPED: &str = "the request was dropped without a reply";

/// What a reply of a mailslot begins with where it is a refusal.
const REFUSAL: &str = "postroad-error/1 ";

/// The words of a reply that is a refusal.
pub(crate) fn refusal(reply: &[u8]) -> Option<&[u8]> {
    reply.strip_prefix(REFUSAL.as_bytes())
}

/// True for a reply that a peer could take for a refusal, of this version of the convention or another.
pub(crate) fn is_like_refusal(reply: &[u8]) -> bool {
    reply.starts_with(b"postroad-error/")
}

/// The reply that refuses, with as many of the words as fit into `len_max` octets.
pub(crate) fn refusal_of(words: &str, len_max: usize) -> Bytes {
    let end = (0..=words.len().min(len_max)).rev().find(|end| words.is_char_boundary(*end)).unwrap_or(0);
    format!("{REFUSAL}{}", words.get(..end).unwrap_or_default()).into()
}

/// No tag is longer: the longest prefix, a number of 20 digits and a word.
pub(crate) const TAG_LEN_MAX: usize = 64;

/// Parts that a stream of unknown length can have in front of its content.
pub(crate) const HEAD_PARTS_MAX: usize = 12;

/// How the arguments behind a tag are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Each one is a part; the message is delivered when it is whole.
    Whole,
    /// The last but one is a stream, delivered as it comes; the last is the trailer; those before are the head.
    Body,
    /// A text that says why there is no reply.
    Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    Request { id: u64, form: Form },
    Reply { id: u64, form: Form },
    Body,
}

impl Tag {
    pub(crate) fn to_bytes(self) -> Bytes {
        let word = |form: Form| match form {
            Form::Whole => "",
            Form::Body => " body",
            Form::Error => " error",
        };
        match self {
            Self::Request { id, form } => format!("{REQUEST}{id}{}", word(form)).into(),
            Self::Reply { id, form } => format!("{REPLY}{id}{}", word(form)).into(),
            Self::Body => Bytes::from_static(BODY.as_bytes()),
        }
    }

    /// The form of the arguments behind the tag.
    pub(crate) const fn form(self) -> Form {
        match self {
            Self::Request { form, .. } | Self::Reply { form, .. } => form,
            Self::Body => Form::Body,
        }
    }
}

/// True where an application's message would be taken for one of the convention.
pub(crate) fn is_reserved(first: &[u8]) -> bool {
    PREFIXES.iter().any(|prefix| first.starts_with(prefix.as_bytes()))
}

/// The tag in a first argument: `Ok(None)` where it is the application's own.
///
/// # Errors
/// Why it is no tag of this version although it begins like one.
pub(crate) fn parse(first: &[u8]) -> Result<Option<Tag>, &'static str> {
    if !is_reserved(first) {
        return Ok(None);
    }
    let text = core::str::from_utf8(first).map_err(|_| "a tag must be ASCII")?;
    if text == BODY {
        return Ok(Some(Tag::Body));
    }
    if let Some(rest) = text.strip_prefix(REQUEST) {
        let (id, form) = id_and_form(rest)?;
        if form == Form::Error {
            return Err("a request cannot be an error");
        }
        return Ok(Some(Tag::Request { id, form }));
    }
    if let Some(rest) = text.strip_prefix(REPLY) {
        let (id, form) = id_and_form(rest)?;
        return Ok(Some(Tag::Reply { id, form }));
    }
    Err("it is of another version than 1, or mistyped")
}

fn id_and_form(rest: &str) -> Result<(u64, Form), &'static str> {
    let (digits, word) = rest.split_once(' ').unwrap_or((rest, ""));
    let form = match (word, rest.len() > digits.len()) {
        ("", false) => Form::Whole,
        ("body", true) => Form::Body,
        ("error", true) => Form::Error,
        _ => return Err("the word behind the number is neither `body` nor `error`"),
    };
    let canonical = digits.bytes().all(|octet| octet.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    let id = digits.parse().ok().filter(|_| canonical);
    Ok((id.ok_or("the number is no decimal below 2^64 without leading zeros")?, form))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_survive_the_wire() {
        for form in [Form::Whole, Form::Body, Form::Error] {
            for id in [0, 7, u64::MAX] {
                let reply = Tag::Reply { id, form };
                assert_eq!(parse(&reply.to_bytes()), Ok(Some(reply)));
                assert!(reply.to_bytes().len() <= TAG_LEN_MAX);
                if form != Form::Error {
                    let request = Tag::Request { id, form };
                    assert_eq!(parse(&request.to_bytes()), Ok(Some(request)));
                    assert!(request.to_bytes().len() <= TAG_LEN_MAX);
                }
            }
        }
        assert_eq!(parse(&Tag::Body.to_bytes()), Ok(Some(Tag::Body)));
        assert_eq!(&Tag::Request { id: 7, form: Form::Body }.to_bytes()[..], b"postroad-request/1 7 body");
    }

    #[test]
    fn refusals_are_cut_at_a_character_and_told_from_other_replies() {
        assert_eq!(refusal(&refusal_of("out of paper", 400)), Some(&b"out of paper"[..]));
        assert_eq!(refusal(&refusal_of("grün", 3)), Some(&b"gr"[..]));
        assert_eq!(refusal(&refusal_of("grün", 4)), Some("grü".as_bytes()));
        assert_eq!(refusal(b"postroad-error/2 x"), None);
        assert!(is_like_refusal(b"postroad-error/2 x") && !is_like_refusal(b"a postroad-error/1 x"));
    }

    #[test]
    fn what_only_looks_like_a_tag_is_refused() {
        for text in [
            "postroad-request/1 ",
            "postroad-request/1 07",
            "postroad-request/1 +7",
            "postroad-request/1 7 ",
            "postroad-request/1 7 bodies",
            "postroad-request/1 7 error",
            "postroad-request/1 18446744073709551616",
            "postroad-request/2 7",
            "postroad-reply/1",
            "postroad-body/1 7",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(b"postroad-reply/1 \xff").is_err());
        assert_eq!(parse(b"postroad"), Ok(None));
        assert_eq!(parse(b""), Ok(None));
    }
}
