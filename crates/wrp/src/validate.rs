//! Whether a message makes sense.

use crate::{DeviceId, Field, Locator, LocatorError, Message, MessageRef, MessageType, Qos, Rule};
use thiserror::Error;

/// Why a message makes no sense: the first fault, in the order of the fields.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Invalid {
    /// A type that means nothing.
    #[error("message type {0} means nothing; valid are 2 to 11")]
    MessageType(i64),
    /// A field is missing that the type must have.
    #[error("{msg_type} needs a {}", field.name())]
    Missing {
        /// The field.
        field: Field,
        /// The type.
        msg_type: MessageType,
    },
    /// A field is there that the type does not have.
    #[error("{msg_type} has no {}", field.name())]
    Unsupported {
        /// The field.
        field: Field,
        /// The type.
        msg_type: MessageType,
    },
    /// The source or destination names nobody.
    #[error("{}: {error}", field.name())]
    Locator {
        /// Which of them.
        field: Field,
        /// What is wrong.
        error: LocatorError,
    },
    /// A service's name holds a `/`.
    #[error("service_name {0:?} holds a `/`")]
    ServiceName(String),
    /// Not 0 to 99.
    #[error("qos {0} is not 0 to 99")]
    Qos(i64),
}

impl Message {
    /// True where the field is there.
    #[must_use]
    pub fn has(&self, field: Field) -> bool {
        match field {
            Field::MsgType => true,
            Field::Source => !self.source.is_empty(),
            Field::Dest => !self.dest.is_empty(),
            Field::TransactionUuid => !self.transaction_uuid.is_empty(),
            Field::ContentType => !self.content_type.is_empty(),
            Field::Accept => !self.accept.is_empty(),
            Field::Status => self.status.is_some(),
            Field::Rdr => self.rdr.is_some(),
            Field::Headers => !self.headers.is_empty(),
            Field::Metadata => !self.metadata.is_empty(),
            Field::Path => !self.path.is_empty(),
            Field::Payload => self.payload.as_ref().is_some_and(|payload| !payload.is_empty()),
            Field::ServiceName => !self.service_name.is_empty(),
            Field::Url => !self.url.is_empty(),
            Field::PartnerIds => !self.partner_ids.is_empty(),
            Field::SessionId => !self.session_id.is_empty(),
            Field::Qos => self.qos != Qos::default(),
        }
    }

    /// Checks the message by the rules of its type, field by field in their order.
    ///
    /// # Errors
    /// [`Invalid`]: the first fault.
    //= WRP-V1, WRP-V2, WRP-V3, WRP-V4, WRP-V5
    pub fn validate(&self) -> Result<(), Invalid> {
        let text = |field| match field {
            Field::Source => &*self.source,
            Field::Dest => &*self.dest,
            _ => &*self.service_name,
        };
        check(self.msg_type, self.qos, |field| self.has(field), text)
    }

    /// The device that the message comes from, where its source names one.
    #[must_use]
    pub fn source_device(&self) -> Option<DeviceId> {
        self.source.parse::<Locator>().ok()?.device_id()
    }
}

impl MessageRef<'_> {
    /// True where the field is there.
    #[must_use]
    pub const fn has(&self, field: Field) -> bool {
        match field {
            Field::MsgType => true,
            Field::Source => !self.source.is_empty(),
            Field::Dest => !self.dest.is_empty(),
            Field::TransactionUuid => !self.transaction_uuid.is_empty(),
            Field::ContentType => !self.content_type.is_empty(),
            Field::Accept => !self.accept.is_empty(),
            Field::Status => self.status.is_some(),
            Field::Rdr => self.rdr.is_some(),
            Field::Headers => !self.headers.is_empty(),
            Field::Metadata => !self.metadata.is_empty(),
            Field::Path => !self.path.is_empty(),
            Field::Payload => matches!(self.payload, Some([_, ..])),
            Field::ServiceName => !self.service_name.is_empty(),
            Field::Url => !self.url.is_empty(),
            Field::PartnerIds => !self.partner_ids.is_empty(),
            Field::SessionId => !self.session_id.is_empty(),
            Field::Qos => self.qos.0 != 0,
        }
    }

    /// As [`Message::validate`].
    ///
    /// # Errors
    /// [`Invalid`]: the first fault.
    pub fn validate(&self) -> Result<(), Invalid> {
        let text = |field| match field {
            Field::Source => self.source,
            Field::Dest => self.dest,
            _ => self.service_name,
        };
        check(self.msg_type, self.qos, |field| self.has(field), text)
    }
}

/// The rules. `text` is asked for the source, the destination and the name of a service alone.
fn check<'a>(
    msg_type: MessageType,
    qos: Qos,
    has: impl Fn(Field) -> bool,
    text: impl Fn(Field) -> &'a str,
) -> Result<(), Invalid> {
    if !msg_type.is_valid() {
        return Err(Invalid::MessageType(msg_type.0));
    }
    for field in Field::ALL {
        match (field.rule(msg_type), has(field)) {
            (Rule::Required, false) => return Err(Invalid::Missing { field, msg_type }),
            (Rule::Refused, true) => return Err(Invalid::Unsupported { field, msg_type }),
            (_, false) => continue,
            (_, true) => {}
        }
        match field {
            Field::Source | Field::Dest => {
                Locator::check(text(field)).map_err(|error| Invalid::Locator { field, error })?;
            }
            Field::ServiceName if text(field).contains('/') => {
                return Err(Invalid::ServiceName(text(field).to_owned()));
            }
            Field::Qos if !qos.is_valid() => return Err(Invalid::Qos(qos.0)),
            _ => {}
        }
    }
    Ok(())
}
