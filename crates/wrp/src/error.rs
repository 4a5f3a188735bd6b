//! Why octets are no message.

use crate::Field;
use core::fmt;
use thiserror::Error;

/// Why octets are no message: what, at which octet, in which field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub struct DecodeError {
    /// What is wrong.
    pub kind: DecodeErrorKind,
    /// Where, from the first octet of the message.
    pub offset: usize,
    /// In which field; `None` outside of all that are known.
    pub field: Option<Field>,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field {
            Some(field) => write!(f, "{}: {} (octet {})", field.name(), self.kind, self.offset),
            None => write!(f, "{} (octet {})", self.kind, self.offset),
        }
    }
}

/// What is wrong with octets that should be a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// They end too early, or announce more than there is.
    #[error("the message ends in the middle: {missing_len} octets more were announced at least")]
    Short {
        /// Octets that are missing at least.
        missing_len: usize,
    },
    /// A value of another kind.
    #[error("{expected} was expected, MessagePack 0x{tag:02x} came")]
    Type {
        /// What belongs there.
        expected: Expected,
        /// The octet that says what came.
        tag: u8,
    },
    /// An integer beyond 64 bits with sign.
    #[error("an integer beyond 2^63 - 1")]
    Range,
    /// Nested too deep.
    #[error("values are nested deeper than {max}")]
    Depth {
        /// The limit.
        max: usize,
    },
    /// Text that is not UTF-8.
    #[error("text that is not UTF-8")]
    NotUtf8,
    /// Larger than the reader takes.
    #[error(transparent)]
    Limit(LimitExceeded),
    /// More behind the message.
    #[error("{len} octets are left behind the message; raise trailing_len_max to pass over them")]
    Trailing {
        /// Octets that are left.
        len: usize,
    },
}

/// What belongs in a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words say it")]
pub enum Expected {
    Map,
    Key,
    Integer,
    Text,
    TextList,
    Octets,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Map => "a map",
            Self::Key => "a key",
            Self::Integer => "an integer",
            Self::Text => "text",
            Self::TextList => "a list of texts",
            Self::Octets => "octets (bin)",
        })
    }
}

/// A limit of the reader was exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{got} exceeds {limit} = {max}")]
pub struct LimitExceeded {
    /// The field of [`Limits`](crate::Limits).
    pub limit: &'static str,
    /// Its value.
    pub max: usize,
    /// What came.
    pub got: usize,
}
