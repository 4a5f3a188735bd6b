//! The JSON in front of a file.

use crate::{Error, ErrorKind, Message};
use serde_json::{Value, json};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Header {
    Put { name: String, len: Option<u64> },
    Get { name: String },
}

impl Header {
    pub(super) fn to_message(&self) -> Message {
        let object = match self {
            Self::Put { name, len: Some(len) } => json!({"name": name, "len": len}),
            Self::Put { name, len: None } => json!({"name": name}),
            Self::Get { name } => json!({"get": name}),
        };
        Message::from(object.to_string())
    }

    pub(super) fn parse(message: &Message) -> Result<Self, Error> {
        let refuse = |why: &str| Error::new(ErrorKind::Protocol, "could not take a file", why);
        let object: Value = match message.parts() {
            [only] => serde_json::from_slice(only).map_err(|_| refuse("its head is no JSON"))?,
            _ => return Err(refuse("its head must be one part")),
        };
        let text = |key: &str| object.get(key).and_then(Value::as_str).map(str::to_owned);
        if let Some(name) = text("get") {
            return Ok(Self::Get { name });
        }
        let name = text("name").ok_or_else(|| refuse("its head has neither `name` nor `get`"))?;
        let len = match object.get("len") {
            None | Some(Value::Null) => None,
            Some(len) => Some(len.as_u64().ok_or_else(|| refuse("`len` is no count of octets"))?),
        };
        Ok(Self::Put { name, len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_survive_the_wire_and_others_are_refused() {
        for header in [
            Header::Put { name: "a \"b\"".to_owned(), len: Some(u64::MAX) },
            Header::Put { name: String::new(), len: None },
            Header::Get { name: "x".to_owned() },
        ] {
            assert_eq!(Header::parse(&header.to_message()).unwrap(), header);
        }
        for text in ["", "[]", "{}", "{\"name\":1}", "{\"name\":\"a\",\"len\":-1}", "{\"name\":\"a\",\"len\":\"1\"}"] {
            assert!(Header::parse(&text.into()).is_err(), "{text}");
        }
        assert!(Header::parse(&Message::new()).is_err());
    }
}
