//! Messages of parts and headers as octets of SMRP. What these are is said to the peer by a content type.

use crate::{Error, ErrorKind, Message};
use bytes::{BufMut, Bytes, BytesMut};
use smrp::wire::{Parameters, ParametersBuilder, parameter, put_varint, take_varint};
use wirekit::Reader;

/// Headers and parts, each with its length in front.
pub(super) const PARTS: &str = "application/vnd.postroad.parts";
/// The length of a head, a head of parts, then content.
pub(super) const BODY: &str = "application/vnd.postroad.body";

/// Parts and headers that a message may have. A claim is checked against the octets that are there in any case.
const COUNT_MAX: u64 = 65_536;

/// Metadata that says where something goes, and what it is.
pub(crate) fn metadata(name: Option<&str>, content_type: &str) -> Parameters {
    let list = ParametersBuilder::new();
    let list = match name {
        Some(name) => list.with(parameter::NAME, name.as_bytes()),
        None => list,
    };
    list.with(parameter::CONTENT_TYPE, content_type.as_bytes()).build()
}

/// Metadata of a reply that is a refusal.
pub(super) fn refusal() -> Parameters {
    ParametersBuilder::new().with_number(parameter::STATUS, 500).build()
}

pub(super) fn is_refusal(metadata: Option<&Parameters>) -> bool {
    let status = metadata.and_then(|metadata| metadata.number(parameter::STATUS)).flatten();
    status.is_some_and(|status| status >= 400)
}

pub(crate) fn content_type(metadata: Option<&Parameters>) -> Option<Bytes> {
    metadata?.get(parameter::CONTENT_TYPE)
}

/// A trailer as metadata.
pub(super) fn trailer(value: &[u8]) -> Parameters {
    let mut header = BytesMut::new();
    put_varint(&mut header, TRAILER.len() as u64);
    header.put_slice(TRAILER);
    header.put_slice(value);
    ParametersBuilder::new().with(parameter::HEADER, &header).build()
}

const TRAILER: &[u8] = b"trailer";

pub(super) fn trailer_of(metadata: Option<&Parameters>) -> Bytes {
    let header = metadata.and_then(|metadata| metadata.get(parameter::HEADER)).unwrap_or_default();
    let at = 1 + TRAILER.len();
    if header.get(1..at) == Some(TRAILER) { header.slice(at..) } else { Bytes::new() }
}

/// A message as octets.
pub(super) fn encode(message: &Message) -> Bytes {
    let mut out = BytesMut::with_capacity(message.payload_len() + 16);
    put_varint(&mut out, message.headers().len() as u64);
    for (name, value) in message.headers() {
        for octets in [name.as_bytes(), value] {
            put_varint(&mut out, octets.len() as u64);
            out.put_slice(octets);
        }
    }
    put_varint(&mut out, message.part_count() as u64);
    message.parts().iter().for_each(|part| put_varint(&mut out, part.len() as u64));
    message.parts().iter().for_each(|part| out.put_slice(part));
    out.freeze()
}

/// A head, with its length in front.
pub(super) fn encode_head(head: &Message) -> Bytes {
    let encoded = encode(head);
    let mut out = BytesMut::with_capacity(encoded.len() + 4);
    put_varint(&mut out, encoded.len() as u64);
    out.put_slice(&encoded);
    out.freeze()
}

/// Octets as a message, which shares their memory. What says that it is no such thing is one part as it is.
pub(super) fn decode(octets: &Bytes, content_type: Option<&[u8]>) -> Result<Message, Error> {
    if content_type != Some(PARTS.as_bytes()) {
        return Ok(Message::from(octets.clone()));
    }
    read(octets).ok_or_else(|| {
        Error::new(ErrorKind::Protocol, "could not take a message", "its parts do not fill it as they say")
    })
}

/// A head of a body.
pub(super) fn decode_head(octets: &Bytes) -> Result<Message, Error> {
    decode(octets, Some(PARTS.as_bytes()))
}

fn read(octets: &Bytes) -> Option<Message> {
    let mut reader = Reader::new(octets);
    let mut message = Message::new();
    let headers = take_varint(&mut reader).ok().filter(|count| *count <= COUNT_MAX)?;
    for _ in 0..headers {
        let name = String::from_utf8(counted(octets, &mut reader)?.to_vec()).ok()?;
        let value = counted(octets, &mut reader)?;
        message = message.with_header(name, value);
    }
    let parts = take_varint(&mut reader).ok().filter(|count| *count <= COUNT_MAX)?;
    let mut lens = Vec::new();
    for _ in 0..parts {
        lens.push(usize::try_from(take_varint(&mut reader).ok()?).ok()?);
    }
    for len in lens {
        message = message.with_part(slice(octets, &mut reader, len)?);
    }
    (reader.remaining_len() == 0).then_some(message)
}

fn counted(octets: &Bytes, reader: &mut Reader<'_>) -> Option<Bytes> {
    let len = usize::try_from(take_varint(reader).ok()?).ok()?;
    slice(octets, reader, len)
}

fn slice(octets: &Bytes, reader: &mut Reader<'_>, len: usize) -> Option<Bytes> {
    let from = reader.position();
    reader.take(len).ok()?;
    Some(octets.slice(from..from + len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_back_with_all_its_parts_and_headers() {
        let messages = [
            Message::new(),
            Message::from("one"),
            Message::from("").with_part("two").with_part(vec![0; 70_000]),
            Message::from("x").with_header("a", "1").with_header("a", ""),
        ];
        for message in messages {
            let octets = encode(&message);
            assert_eq!(decode(&octets, Some(PARTS.as_bytes())).unwrap(), message);
            for cut in 0..octets.len().min(20) {
                assert!(decode(&octets.slice(..cut), Some(PARTS.as_bytes())).is_err(), "{cut}");
            }
        }
        let raw = Bytes::from_static(b"\xFF anything");
        assert_eq!(decode(&raw, None).unwrap(), Message::from(raw.clone()));
        assert!(decode(&raw, Some(PARTS.as_bytes())).is_err());
        let lies = Bytes::from_static(&[0, 0xBF, 0xFF, 0xFF, 0xFF]);
        assert!(decode(&lies, Some(PARTS.as_bytes())).is_err(), "a count that nothing is there for");
    }

    #[test]
    fn a_trailer_is_a_header_of_the_metadata() {
        assert_eq!(trailer_of(Some(&trailer(b"sum"))), &b"sum"[..]);
        assert_eq!(trailer_of(None), &b""[..]);
        assert!(is_refusal(Some(&refusal())) && !is_refusal(None));
    }
}
