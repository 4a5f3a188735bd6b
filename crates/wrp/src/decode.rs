//! A message as it lies in the octets that came.

mod cursor;

pub(crate) use cursor::Cursor;

use crate::{
    DecodeError, DecodeErrorKind, Expected, Field, Limits, Message, MessageType, Qos, TextList, TextMap, metadata,
};
use bytes::Bytes;

/// A message that borrows from the octets it was read from: reading allocates nothing.
///
/// The fields are those of [`Message`]. What is announced is bounded by what is there; what is there, by [`Limits`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "as in Message")]
pub struct MessageRef<'a> {
    pub msg_type: MessageType,
    pub source: &'a str,
    pub dest: &'a str,
    pub transaction_uuid: &'a str,
    pub content_type: &'a str,
    pub accept: &'a str,
    pub status: Option<i64>,
    pub rdr: Option<i64>,
    pub headers: TextList<'a>,
    pub metadata: TextMap<'a>,
    pub path: &'a str,
    pub payload: Option<&'a [u8]>,
    pub service_name: &'a str,
    pub url: &'a str,
    pub partner_ids: TextList<'a>,
    pub session_id: &'a str,
    pub qos: Qos,
}

impl<'a> MessageRef<'a> {
    /// Reads a message in MessagePack: fields in any order, unknown ones passed over, of repeated ones the last.
    ///
    /// # Errors
    /// [`DecodeError`].
    //= WRP-R1, WRP-R2, WRP-R6, WRP-R7, WRP-R9
    pub fn decode(octets: &'a [u8], limits: &Limits) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(octets, *limits);
        match cursor.message() {
            Ok(message) => Ok(message),
            Err(kind) => Err(DecodeError { kind, offset: cursor.fault_at(), field: cursor.field() }),
        }
    }

    /// A message of its own. `payload` is what its payload becomes, so that whoever has the octets as [`Bytes`] need not copy.
    #[must_use]
    pub fn to_message(&self, payload: Option<Bytes>) -> Message {
        let own = |list: TextList<'_>| list.iter().map(str::to_owned).collect();
        let metadata = self.metadata.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Message {
            msg_type: self.msg_type,
            source: self.source.to_owned(),
            dest: self.dest.to_owned(),
            transaction_uuid: self.transaction_uuid.to_owned(),
            content_type: self.content_type.to_owned(),
            accept: self.accept.to_owned(),
            status: self.status,
            rdr: self.rdr,
            headers: own(self.headers),
            metadata: metadata::last_of_each_name(metadata),
            path: self.path.to_owned(),
            payload,
            service_name: self.service_name.to_owned(),
            url: self.url.to_owned(),
            partner_ids: own(self.partner_ids),
            session_id: self.session_id.to_owned(),
            qos: self.qos,
        }
    }
}

impl<'a> Cursor<'a> {
    fn message(&mut self) -> Result<MessageRef<'a>, DecodeErrorKind> {
        self.check_message_len()?;
        let count = self.map_header(Expected::Map)?;
        let mut message = MessageRef::default();
        for _ in 0..count {
            self.set_field(None);
            let key = self.key()?;
            let field = Field::from_key(key);
            self.set_field(field);
            match field {
                Some(field) => self.value(field, &mut message)?,
                None => self.skip()?,
            }
        }
        self.set_field(None);
        self.check_trailing()?;
        Ok(message)
    }

    fn value(&mut self, field: Field, message: &mut MessageRef<'a>) -> Result<(), DecodeErrorKind> {
        match field {
            Field::MsgType => message.msg_type = MessageType(self.integer()?),
            Field::Source => message.source = self.text()?,
            Field::Dest => message.dest = self.text()?,
            Field::TransactionUuid => message.transaction_uuid = self.text()?,
            Field::ContentType => message.content_type = self.text()?,
            Field::Accept => message.accept = self.text()?,
            Field::Status => message.status = self.optional_integer()?,
            Field::Rdr => message.rdr = self.optional_integer()?,
            Field::Headers => message.headers = self.text_list()?,
            Field::Metadata => message.metadata = self.text_map()?,
            Field::Path => message.path = self.text()?,
            Field::Payload => message.payload = Some(self.payload()?),
            Field::ServiceName => message.service_name = self.text()?,
            Field::Url => message.url = self.text()?,
            Field::PartnerIds => message.partner_ids = self.text_list()?,
            Field::SessionId => message.session_id = self.text()?,
            Field::Qos => message.qos = Qos(self.integer()?),
        }
        Ok(())
    }

    /// Every entry is read once here, so that what iterates later finds nothing wrong.
    fn text_list(&mut self) -> Result<TextList<'a>, DecodeErrorKind> {
        let count = self.array_header()?;
        let octets = self.rest();
        for _ in 0..count {
            self.text()?;
        }
        Ok(TextList::new(count, octets))
    }

    fn text_map(&mut self) -> Result<TextMap<'a>, DecodeErrorKind> {
        let count = self.map_header(Expected::Map)?;
        let octets = self.rest();
        for _ in 0..count {
            self.text()?;
            self.text()?;
        }
        Ok(TextMap::new(count, octets))
    }
}
