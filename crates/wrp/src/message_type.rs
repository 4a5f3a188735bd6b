//! What a message is for.

use core::fmt;

/// The type of a message, as it goes on the wire.
///
/// 2 to 11 mean something. Others can be read, so that a peer can be told what was wrong, and are never valid.
//= WRP-T1
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageType(pub i64);

impl MessageType {
    /// Says whether a client may be here.
    pub const AUTHORIZATION: Self = Self(2);
    /// A request, or its reply.
    pub const REQUEST: Self = Self(3);
    /// An event: nobody replies to it.
    pub const EVENT: Self = Self(4);
    /// Makes something.
    pub const CREATE: Self = Self(5);
    /// Reads something.
    pub const RETRIEVE: Self = Self(6);
    /// Changes something.
    pub const UPDATE: Self = Self(7);
    /// Removes something.
    pub const DELETE: Self = Self(8);
    /// A local service says its name and where it listens.
    pub const SERVICE_REGISTRATION: Self = Self(9);
    /// A local service is alive.
    pub const SERVICE_ALIVE: Self = Self(10);
    /// What has no type.
    pub const UNKNOWN: Self = Self(11);

    /// All types that mean something.
    pub const ALL: [Self; 10] = [
        Self::AUTHORIZATION,
        Self::REQUEST,
        Self::EVENT,
        Self::CREATE,
        Self::RETRIEVE,
        Self::UPDATE,
        Self::DELETE,
        Self::SERVICE_REGISTRATION,
        Self::SERVICE_ALIVE,
        Self::UNKNOWN,
    ];

    /// True for 2 to 11.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        matches!(self.0, 2..=11)
    }

    /// True where a `transaction_uuid` must be there: a request and the four that act on something.
    //= WRP-T2
    #[must_use]
    pub const fn requires_transaction(self) -> bool {
        matches!(self.0, 3 | 5..=8)
    }

    /// True where a server may acknowledge it for its quality of service.
    //= WRP-T3
    #[must_use]
    pub const fn supports_qos_ack(self) -> bool {
        matches!(self.0, 3..=8)
    }

    /// Its name. `None` for those that have none: 2, and what is not valid.
    //= WRP-T4
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            3 => "SimpleRequestResponse",
            4 => "SimpleEvent",
            5 => "Create",
            6 => "Retrieve",
            7 => "Update",
            8 => "Delete",
            9 => "ServiceRegistration",
            10 => "ServiceAlive",
            11 => "Unknown",
            _ => return None,
        })
    }

    /// The type with this name: as [`name`](Self::name) gives it, with `MessageType` behind it, as its decimal number, or
    /// `event`. Case counts.
    //= WRP-T4
    #[must_use]
    pub fn from_name(text: &str) -> Option<Self> {
        if text == "event" {
            return Some(Self::EVENT);
        }
        let stem = text.strip_suffix("MessageType").unwrap_or(text);
        Self::ALL
            .into_iter()
            .filter(|known| *known != Self::AUTHORIZATION)
            .find(|known| known.name() == Some(stem) || known.0.to_string() == text)
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None if *self == Self::AUTHORIZATION => f.write_str("Authorization"),
            None => write!(f, "type {}", self.0),
        }
    }
}
