//! WRP messages, field by field, and the packets of streams that they carry.

use crate::escape;
use bytes::Bytes;
use wrp::{Field, Limits, Message};
use wrp_ssp::PacketRef;

/// Texts and payloads are shown up to this many octets.
const SHOWN_LEN_MAX: usize = 200;

/// A WRP message.
///
/// ```
/// use postroad::inspect::InspectedMessage;
///
/// let octets = [&[0x82, 0xa8][..], b"msg_type", &[10, 0xa3], b"qos", &[0]].concat();
/// let message = InspectedMessage::new(&octets.into()).unwrap();
/// assert_eq!(message.fields[0], ("msg_type", "10 ServiceAlive".to_owned()));
/// assert_eq!((message.invalid, message.packet), (None, None));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InspectedMessage {
    /// The fields that are there, by their keys, in order, shown safely.
    pub fields: Vec<(&'static str, String)>,
    /// The whole message in its JSON form.
    pub json: String,
    /// Why its type does not allow it to be so; `None` where it does.
    pub invalid: Option<String>,
    /// The packet of a stream that it carries.
    pub packet: Option<InspectedStreamPacket>,
}

/// A packet of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InspectedStreamPacket {
    /// One that can be joined.
    Good {
        /// The stream.
        stream_id: String,
        /// Its place.
        number: u64,
        /// How the payload is written; `None` for as it is.
        encoding: Option<&'static str>,
        /// In the last packet: `eof`, or why the stream ended.
        end: Option<String>,
        /// How long the stream may become.
        estimated_len: Option<u64>,
    },
    /// It has headers of a stream that make no sense.
    Bad(String),
}

/// Why octets are no WRP message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NoMessage {
    /// What is wrong.
    pub why: String,
    /// The octet at which it is.
    pub offset: usize,
    /// The field, where it is in one that is known.
    pub field: Option<&'static str>,
}

impl InspectedMessage {
    /// Reads a message in MessagePack.
    ///
    /// # Errors
    /// [`NoMessage`].
    pub fn new(octets: &Bytes) -> Result<Self, NoMessage> {
        let message = Message::decode(octets, &Limits::default()).map_err(|error| NoMessage {
            why: error.kind.to_string(),
            offset: error.offset,
            field: error.field.map(Field::name),
        })?;
        let packet = match PacketRef::from_message(&message) {
            Ok(None) => None,
            Ok(Some(packet)) => Some(InspectedStreamPacket::Good {
                stream_id: packet.stream_id.to_owned(),
                number: packet.number,
                encoding: packet.encoding.header(),
                end: packet.end.map(|end| escape::text(&end.to_string())),
                estimated_len: packet.estimated_len,
            }),
            Err(error) => Some(InspectedStreamPacket::Bad(escape::text(&error.to_string()))),
        };
        Ok(Self {
            fields: fields(&message),
            json: message.to_json().trim_end().to_owned(),
            invalid: message.validate().err().map(|fault| escape::text(&fault.to_string())),
            packet,
        })
    }
}

fn fields(message: &Message) -> Vec<(&'static str, String)> {
    let is_there = |field: &Field| message.has(*field) || (*field == Field::Payload && message.payload.is_some());
    Field::ALL.into_iter().filter(is_there).map(|field| (field.name(), value(message, field))).collect()
}

fn value(message: &Message, field: Field) -> String {
    let texts = |texts: &[String]| texts.iter().map(|text| shown(text)).collect::<Vec<_>>().join(", ");
    match field {
        Field::MsgType => format!("{} {}", message.msg_type.0, message.msg_type),
        Field::Source => shown(&message.source),
        Field::Dest => shown(&message.dest),
        Field::TransactionUuid => shown(&message.transaction_uuid),
        Field::ContentType => shown(&message.content_type),
        Field::Accept => shown(&message.accept),
        Field::Status => message.status.unwrap_or_default().to_string(),
        Field::Rdr => message.rdr.unwrap_or_default().to_string(),
        Field::Headers => texts(&message.headers),
        Field::Metadata => {
            let entries = message.metadata.iter().map(|(name, value)| format!("{} = {}", shown(name), shown(value)));
            entries.collect::<Vec<_>>().join(", ")
        }
        Field::Path => shown(&message.path),
        Field::Payload => {
            let payload = message.payload.as_deref().unwrap_or_default();
            let beginning = payload.get(..payload.len().min(SHOWN_LEN_MAX)).unwrap_or_default();
            let more = if payload.len() > SHOWN_LEN_MAX { " ..." } else { "" };
            format!("[{}] \"{}\"{more}", payload.len(), escape::octets(beginning))
        }
        Field::ServiceName => shown(&message.service_name),
        Field::Url => shown(&message.url),
        Field::PartnerIds => texts(&message.partner_ids),
        Field::SessionId => shown(&message.session_id),
        Field::Qos => message.qos.0.to_string(),
    }
}

fn shown(text: &str) -> String {
    let beginning: String = text.chars().take(SHOWN_LEN_MAX).collect();
    let more = if beginning.len() < text.len() { " ..." } else { "" };
    format!("\"{}\"{more}", escape::text(&beginning))
}
