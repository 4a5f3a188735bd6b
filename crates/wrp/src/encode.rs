//! A message in MessagePack, as the reference implementation writes it.

use crate::{Field, Message};
use bytes::BufMut;

/// Octets that a key, a length or a number takes at most.
const HEADER_LEN_MAX: usize = 9;

impl Message {
    /// How many octets [`encode_into`](Self::encode_into) writes at most: nearly, and never fewer.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        // All keys, with a length each, and qos.
        let fixed = 3 + Field::ALL.iter().map(|field| field.name().len() + 1 + HEADER_LEN_MAX).sum::<usize>();
        let texts = [
            &self.source,
            &self.dest,
            &self.transaction_uuid,
            &self.content_type,
            &self.accept,
            &self.path,
            &self.service_name,
            &self.url,
            &self.session_id,
        ];
        let entry = |text: &String| text.len() + 5;
        fixed
            + texts.iter().map(|text| text.len()).sum::<usize>()
            + self.headers.iter().chain(&self.partner_ids).map(entry).sum::<usize>()
            + self.metadata.iter().map(|(name, value)| entry(name) + entry(value)).sum::<usize>()
            + self.payload.as_ref().map_or(0, |payload| payload.len())
    }

    /// Appends the message. Fields in their order, `qos` always, others where they are there; numbers as short as they go with
    /// a sign. Text longer than 4 GiB cannot be told from shorter text and is cut.
    //= WRP-W1, WRP-W2, WRP-W3, WRP-W4, WRP-W5
    pub fn encode_into(&self, out: &mut impl BufMut) {
        self.encode_with_payload(self.payload.as_deref(), out);
    }

    /// As [`encode_into`](Self::encode_into), with this payload in place of the message's own: for many messages that differ in
    /// little else.
    pub fn encode_with_payload(&self, payload: Option<&[u8]>, out: &mut impl BufMut) {
        let is_written = |field: &Field| match field {
            Field::MsgType | Field::Qos => true,
            Field::Payload => payload.is_some(),
            field => self.has(*field),
        };
        let count = Field::ALL.iter().filter(|field| is_written(field)).count();
        put_count(out, count, 0x80, 0xde);
        put_key(out, Field::MsgType);
        put_integer(out, self.msg_type.0);
        put_field(out, Field::Source, &self.source);
        put_field(out, Field::Dest, &self.dest);
        put_field(out, Field::TransactionUuid, &self.transaction_uuid);
        put_field(out, Field::ContentType, &self.content_type);
        put_field(out, Field::Accept, &self.accept);
        put_optional(out, Field::Status, self.status);
        put_optional(out, Field::Rdr, self.rdr);
        put_list(out, Field::Headers, &self.headers);
        if !self.metadata.is_empty() {
            put_key(out, Field::Metadata);
            put_count(out, self.metadata.len(), 0x80, 0xde);
            for (name, value) in &self.metadata {
                put_text(out, name);
                put_text(out, value);
            }
        }
        put_field(out, Field::Path, &self.path);
        if let Some(payload) = payload {
            put_key(out, Field::Payload);
            put_len(out, payload.len(), 0xc4);
            out.put_slice(payload);
        }
        put_field(out, Field::ServiceName, &self.service_name);
        put_field(out, Field::Url, &self.url);
        put_list(out, Field::PartnerIds, &self.partner_ids);
        put_field(out, Field::SessionId, &self.session_id);
        put_key(out, Field::Qos);
        put_integer(out, self.qos.0);
    }
}

/// A key: all are shorter than 32 octets.
#[inline]
fn put_key(out: &mut impl BufMut, field: Field) {
    let name = field.name();
    out.put_u8(0xa0 | u8::try_from(name.len()).unwrap_or(0));
    out.put_slice(name.as_bytes());
}

#[inline]
fn put_field(out: &mut impl BufMut, field: Field, text: &str) {
    if !text.is_empty() {
        put_key(out, field);
        put_text(out, text);
    }
}

fn put_optional(out: &mut impl BufMut, field: Field, value: Option<i64>) {
    if let Some(value) = value {
        put_key(out, field);
        put_integer(out, value);
    }
}

fn put_list(out: &mut impl BufMut, field: Field, texts: &[String]) {
    if !texts.is_empty() {
        put_key(out, field);
        put_count(out, texts.len(), 0x90, 0xdc);
        for text in texts {
            put_text(out, text);
        }
    }
}

#[inline]
fn put_text(out: &mut impl BufMut, text: &str) {
    match u8::try_from(text.len()) {
        Ok(len @ 0..32) => out.put_u8(0xa0 | len),
        _ => put_len(out, text.len(), 0xd9),
    }
    out.put_slice(text.as_bytes());
}

/// A length of 1, 2 or 4 octets; `tag` says 1, the next two say 2 and 4.
fn put_len(out: &mut impl BufMut, len: usize, tag: u8) {
    if let Ok(len) = u8::try_from(len) {
        out.put_slice(&[tag, len]);
    } else if let Ok(len) = u16::try_from(len) {
        out.put_u8(tag + 1);
        out.put_u16(len);
    } else {
        out.put_u8(tag + 2);
        out.put_u32(u32::try_from(len).unwrap_or(u32::MAX));
    }
}

/// How many entries: in the low half of `short`, or behind `tag`, which says 2 octets, and the next one 4.
fn put_count(out: &mut impl BufMut, count: usize, short: u8, tag: u8) {
    match u8::try_from(count) {
        Ok(count @ 0..16) => out.put_u8(short | count),
        _ => match u16::try_from(count) {
            Ok(count) => {
                out.put_u8(tag);
                out.put_u16(count);
            }
            Err(_) => {
                out.put_u8(tag + 1);
                out.put_u32(u32::try_from(count).unwrap_or(u32::MAX));
            }
        },
    }
}

/// The shortest form with a sign: 128 takes three octets.
//= WRP-W4
fn put_integer(out: &mut impl BufMut, value: i64) {
    if let Ok(value) = i8::try_from(value) {
        if value >= -32 {
            out.put_i8(value);
        } else {
            out.put_u8(0xd0);
            out.put_i8(value);
        }
    } else if let Ok(value) = i16::try_from(value) {
        out.put_u8(0xd1);
        out.put_i16(value);
    } else if let Ok(value) = i32::try_from(value) {
        out.put_u8(0xd2);
        out.put_i32(value);
    } else {
        out.put_u8(0xd3);
        out.put_i64(value);
    }
}
