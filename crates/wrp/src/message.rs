//! A message of its own.

use crate::{Builder, DecodeError, Limits, MessageRef, MessageType, Qos};
use bytes::{Bytes, BytesMut};

/// A WRP message in its general form: every field that any type can have.
///
/// Empty texts, lists and maps are absent and are not written. An empty payload is not: `Some` of nothing is written as
/// empty octets, which is how a stream says that a packet has none. Fields are not checked until [`validate`](Self::validate)
/// is asked; [`Event`](crate::Event), [`Request`](crate::Request) and [`Crud`](crate::Crud) build messages that are valid.
///
/// ```
/// use wrp::{Event, Limits, Message};
///
/// let event = Event::new("mac:112233445566/config", "event:device-status").payload("online").build()?;
/// let octets = event.encode();
/// let came = Message::decode(&octets, &Limits::default())?;
/// assert_eq!((came.payload.as_deref(), came.validate()), (Some(&b"online"[..]), Ok(())));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
//= WRP-F1
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// What it is for.
    pub msg_type: MessageType,
    /// Where it comes from, a [`Locator`](crate::Locator).
    pub source: String,
    /// Where it goes, a [`Locator`](crate::Locator).
    pub dest: String,
    /// Names a request and its reply. Any text.
    pub transaction_uuid: String,
    /// What the payload is, a media type.
    pub content_type: String,
    /// What payload is wanted back, a media type.
    pub accept: String,
    /// How it went, with the numbers of HTTP.
    pub status: Option<i64>,
    /// Why it was not delivered, 0 for delivered.
    pub rdr: Option<i64>,
    /// Texts of the form `label: value`.
    pub headers: Vec<String>,
    /// Values by name, in the order in which they are written.
    pub metadata: Vec<(String, String)>,
    /// What is acted on.
    pub path: String,
    /// What it carries.
    pub payload: Option<Bytes>,
    /// The name of a local service, without `/`.
    pub service_name: String,
    /// Where a local service listens.
    pub url: String,
    /// Whose it is.
    pub partner_ids: Vec<String>,
    /// The session of the device.
    pub session_id: String,
    /// How much it matters.
    pub qos: Qos,
}

impl Message {
    /// Reads a message in MessagePack. The payload is a slice of `octets`, not a copy. Says nothing about whether the message
    /// makes sense, see [`validate`](Self::validate): a server's acknowledgements do not and must be readable.
    ///
    /// # Errors
    /// [`DecodeError`].
    //= WRP-R1
    pub fn decode(octets: &Bytes, limits: &Limits) -> Result<Self, DecodeError> {
        let message = MessageRef::decode(octets, limits)?;
        let payload = message.payload.map(|payload| octets.slice_ref(payload));
        Ok(message.to_message(payload))
    }

    /// The message in MessagePack, as the reference implementation writes it.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.encoded_len());
        self.encode_into(&mut out);
        out.freeze()
    }

    /// What changes a copy of this message.
    #[must_use]
    pub const fn to_builder(self) -> Builder {
        Builder::from_message(self)
    }

    /// The reply to this request: of its type and transaction, back to where it came from, saying how it went.
    //= WRP-N19
    #[must_use]
    pub fn reply(&self, status: i64) -> Builder {
        let message = Self {
            msg_type: self.msg_type,
            source: self.dest.clone(),
            dest: self.source.clone(),
            transaction_uuid: self.transaction_uuid.clone(),
            status: Some(status),
            ..Self::default()
        };
        message.to_builder()
    }

    /// True where this acknowledges a message that `source` sent, rather than being one: it is an event that says how the
    /// delivery went, back at where it came from.
    //= WRP-A1
    #[must_use]
    pub fn is_qos_ack_for(&self, source: &str) -> bool {
        self.msg_type == MessageType::EVENT && self.rdr.is_some() && self.dest == source
    }
}
