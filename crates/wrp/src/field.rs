//! The fields of a message, as data: everything that walks over them uses this table.

use crate::MessageType;

/// A field, in the order in which they are written and checked.
//= WRP-F1
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names are those on the wire")]
pub enum Field {
    MsgType,
    Source,
    Dest,
    TransactionUuid,
    ContentType,
    Accept,
    Status,
    Rdr,
    Headers,
    Metadata,
    Path,
    Payload,
    ServiceName,
    Url,
    PartnerIds,
    SessionId,
    Qos,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An integer of 64 bits with sign.
    Integer,
    /// The same, or nothing.
    OptionalInteger,
    /// UTF-8.
    Text,
    /// A list of UTF-8 texts.
    TextList,
    /// UTF-8 texts by UTF-8 texts.
    TextMap,
    /// Octets.
    Octets,
}

/// Whether a type of message may carry a field.
//= WRP-F2
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// It must be there.
    Required,
    /// It may be there.
    Optional,
    /// It must not be there.
    Refused,
}

impl Field {
    /// All of them, in order.
    pub const ALL: [Self; 17] = [
        Self::MsgType,
        Self::Source,
        Self::Dest,
        Self::TransactionUuid,
        Self::ContentType,
        Self::Accept,
        Self::Status,
        Self::Rdr,
        Self::Headers,
        Self::Metadata,
        Self::Path,
        Self::Payload,
        Self::ServiceName,
        Self::Url,
        Self::PartnerIds,
        Self::SessionId,
        Self::Qos,
    ];

    /// The key on the wire, in MessagePack and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MsgType => "msg_type",
            Self::Source => "source",
            Self::Dest => "dest",
            Self::TransactionUuid => "transaction_uuid",
            Self::ContentType => "content_type",
            Self::Accept => "accept",
            Self::Status => "status",
            Self::Rdr => "rdr",
            Self::Headers => "headers",
            Self::Metadata => "metadata",
            Self::Path => "path",
            Self::Payload => "payload",
            Self::ServiceName => "service_name",
            Self::Url => "url",
            Self::PartnerIds => "partner_ids",
            Self::SessionId => "session_id",
            Self::Qos => "qos",
        }
    }

    /// The field with this key. Case counts.
    //= WRP-R6
    #[must_use]
    pub fn from_key(key: &[u8]) -> Option<Self> {
        Some(match key {
            b"msg_type" => Self::MsgType,
            b"source" => Self::Source,
            b"dest" => Self::Dest,
            b"transaction_uuid" => Self::TransactionUuid,
            b"content_type" => Self::ContentType,
            b"accept" => Self::Accept,
            b"status" => Self::Status,
            b"rdr" => Self::Rdr,
            b"headers" => Self::Headers,
            b"metadata" => Self::Metadata,
            b"path" => Self::Path,
            b"payload" => Self::Payload,
            b"service_name" => Self::ServiceName,
            b"url" => Self::Url,
            b"partner_ids" => Self::PartnerIds,
            b"session_id" => Self::SessionId,
            b"qos" => Self::Qos,
            _ => return None,
        })
    }

    /// What it holds.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::MsgType | Self::Qos => Kind::Integer,
            Self::Status | Self::Rdr => Kind::OptionalInteger,
            Self::Headers | Self::PartnerIds => Kind::TextList,
            Self::Metadata => Kind::TextMap,
            Self::Payload => Kind::Octets,
            _ => Kind::Text,
        }
    }

    /// Whether a message of this type may carry it.
    //= WRP-F2
    #[must_use]
    pub const fn rule(self, msg_type: MessageType) -> Rule {
        use Rule::{Optional, Refused, Required};
        let [auth, request, event, crud, registration] = match self {
            Self::MsgType => return Required,
            Self::Source | Self::Dest => [Refused, Required, Required, Required, Refused],
            Self::TransactionUuid => [Refused, Required, Optional, Required, Refused],
            Self::Accept => [Refused, Optional, Refused, Optional, Refused],
            Self::Status => [Required, Optional, Refused, Optional, Refused],
            Self::Path => [Refused, Refused, Refused, Optional, Refused],
            Self::ServiceName | Self::Url => [Refused, Refused, Refused, Refused, Required],
            Self::ContentType
            | Self::Rdr
            | Self::Headers
            | Self::Metadata
            | Self::Payload
            | Self::PartnerIds
            | Self::SessionId
            | Self::Qos => [Refused, Optional, Optional, Optional, Refused],
        };
        match msg_type.0 {
            2 => auth,
            3 => request,
            4 => event,
            5..=8 => crud,
            9 => registration,
            _ => Refused,
        }
    }
}
