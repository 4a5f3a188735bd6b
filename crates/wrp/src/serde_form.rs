//! Serialize and Deserialize: one form for all formats, with the keys of the wire.
//!
//! Formats for people have the payload in base64; keys are read in any case, nothing (`null`) is absent, of repeated keys the
//! last one counts, unknown ones are passed over.

use crate::{Field, Message, MessageType, Qos, metadata};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use core::fmt;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

//= WRP-J1, WRP-J2
impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_for_people = serializer.is_human_readable();
        let mut map = serializer.serialize_map(None)?;
        for field in Field::ALL {
            let key = field.name();
            if field != Field::MsgType && field != Field::Payload && !self.has(field) {
                continue;
            }
            match field {
                Field::MsgType => map.serialize_entry(key, &self.msg_type.0)?,
                Field::Source => map.serialize_entry(key, &self.source)?,
                Field::Dest => map.serialize_entry(key, &self.dest)?,
                Field::TransactionUuid => map.serialize_entry(key, &self.transaction_uuid)?,
                Field::ContentType => map.serialize_entry(key, &self.content_type)?,
                Field::Accept => map.serialize_entry(key, &self.accept)?,
                Field::Status => map.serialize_entry(key, &self.status)?,
                Field::Rdr => map.serialize_entry(key, &self.rdr)?,
                Field::Headers => map.serialize_entry(key, &self.headers)?,
                Field::Metadata => map.serialize_entry(key, &Metadata(&self.metadata))?,
                Field::Path => map.serialize_entry(key, &self.path)?,
                Field::Payload => match &self.payload {
                    Some(payload) if is_for_people && !payload.is_empty() => {
                        map.serialize_entry(key, &STANDARD.encode(payload))?;
                    }
                    Some(payload) if !is_for_people => map.serialize_entry(key, &Octets(payload))?,
                    _ => {}
                },
                Field::ServiceName => map.serialize_entry(key, &self.service_name)?,
                Field::Url => map.serialize_entry(key, &self.url)?,
                Field::PartnerIds => map.serialize_entry(key, &self.partner_ids)?,
                Field::SessionId => map.serialize_entry(key, &self.session_id)?,
                Field::Qos => map.serialize_entry(key, &self.qos.0)?,
            }
        }
        map.end()
    }
}

struct Metadata<'a>(&'a [(String, String)]);

impl Serialize for Metadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

struct Octets<'a>(&'a [u8]);

impl Serialize for Octets<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

//= WRP-J3, WRP-J4
impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let is_for_people = deserializer.is_human_readable();
        deserializer.deserialize_map(MessageVisitor { is_for_people })
    }
}

struct MessageVisitor {
    is_for_people: bool,
}

impl<'de> Visitor<'de> for MessageVisitor {
    type Value = Message;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a WRP message, a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Message, A::Error> {
        let mut message = Message::default();
        while let Some(mut key) = map.next_key::<String>()? {
            key.make_ascii_lowercase();
            let Some(field) = Field::from_key(key.as_bytes()) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            match field {
                Field::MsgType => message.msg_type = MessageType(map.next_value::<Option<i64>>()?.unwrap_or_default()),
                Field::Status => message.status = map.next_value()?,
                Field::Rdr => message.rdr = map.next_value()?,
                Field::Qos => message.qos = Qos(map.next_value::<Option<i64>>()?.unwrap_or_default()),
                Field::Headers => message.headers = map.next_value::<Option<_>>()?.unwrap_or_default(),
                Field::PartnerIds => message.partner_ids = map.next_value::<Option<_>>()?.unwrap_or_default(),
                Field::Metadata => {
                    let entries: Option<OwnMetadata> = map.next_value()?;
                    message.metadata = entries.map(|entries| entries.0).unwrap_or_default();
                }
                Field::Payload if self.is_for_people => {
                    message.payload = match map.next_value::<Option<String>>()? {
                        Some(text) => Some(from_base64(text).map_err(A::Error::custom)?),
                        None => None,
                    };
                }
                Field::Payload => {
                    message.payload = map.next_value::<Option<OwnOctets>>()?.map(|octets| octets.0.into())
                }
                text => *text_of(&mut message, text) = map.next_value::<Option<String>>()?.unwrap_or_default(),
            }
        }
        Ok(message)
    }
}

fn text_of(message: &mut Message, field: Field) -> &mut String {
    match field {
        Field::Source => &mut message.source,
        Field::Dest => &mut message.dest,
        Field::TransactionUuid => &mut message.transaction_uuid,
        Field::ContentType => &mut message.content_type,
        Field::Accept => &mut message.accept,
        Field::Path => &mut message.path,
        Field::ServiceName => &mut message.service_name,
        Field::Url => &mut message.url,
        _ => &mut message.session_id,
    }
}

/// Line breaks inside are passed over.
//= WRP-J5
fn from_base64(mut text: String) -> Result<Bytes, base64::DecodeError> {
    text.retain(|char| !matches!(char, '\r' | '\n'));
    STANDARD.decode(text).map(Bytes::from)
}

struct OwnOctets(Vec<u8>);

impl<'de> Deserialize<'de> for OwnOctets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OctetsVisitor;
        impl Visitor<'_> for OctetsVisitor {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("octets")
            }

            fn visit_bytes<E>(self, octets: &[u8]) -> Result<Vec<u8>, E> {
                Ok(octets.to_vec())
            }

            fn visit_byte_buf<E>(self, octets: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(octets)
            }
        }
        deserializer.deserialize_byte_buf(OctetsVisitor).map(Self)
    }
}

/// In the order of the text, which a map of the standard library would lose.
struct OwnMetadata(Vec<(String, String)>);

impl<'de> Deserialize<'de> for OwnMetadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;
        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Vec<(String, String)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(entries)
            }
        }
        let entries = deserializer.deserialize_map(EntriesVisitor)?;
        Ok(Self(metadata::last_of_each_name(entries)))
    }
}
