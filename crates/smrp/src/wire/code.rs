//! Codes: why a session, a stream or a route ended.

use core::fmt;

/// A code of section 18 of the specification, or one of the application's own from 0x1000 on.
//= SMRP-E2
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(u64);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
        impl Code {
            $($(#[$doc])* pub const $name: Self = Self($value);)*

            /// The name in the registry, `None` for a code that is not in it.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }

        /// All codes of the registry.
        #[cfg(test)]
        const REGISTRY: &[Code] = &[$(Code::$name),*];
    };
}

codes! {
    /// In good order.
    NO_ERROR = 0x00;
    /// A fault of ours.
    INTERNAL = 0x01;
    /// A rule of the protocol was broken that has no code of its own.
    PROTOCOL_VIOLATION = 0x02;
    /// A frame that cannot be read.
    FRAME_ENCODING = 0x03;
    /// A frame that must be understood and is not, or has no place here.
    UNSUPPORTED_FRAME = 0x04;
    /// No version in common.
    VERSION = 0x05;
    /// What both ends saw of the preface differs, or their security does.
    DOWNGRADE = 0x06;
    /// More octets or messages than were allowed.
    FLOW_CONTROL = 0x07;
    /// More streams than were allowed.
    STREAM_LIMIT = 0x08;
    /// A frame that its stream cannot take.
    STREAM_STATE = 0x09;
    /// Data behind the end of a stream, or an end before its data.
    FINAL_SIZE = 0x0A;
    /// A setting that is out of range or missing.
    SETTINGS = 0x0B;
    /// No authentication in time.
    AUTH_REQUIRED = 0x0C;
    /// Authentication failed.
    AUTH_FAILED = 0x0D;
    /// The identity expired and was not renewed.
    AUTH_EXPIRED = 0x0E;
    /// The identity may not do this.
    FORBIDDEN = 0x0F;
    /// Nothing was heard for too long.
    IDLE = 0x10;
    /// TLS within the session failed.
    CRYPTO = 0x11;
    /// A key has been used as often as it may be.
    KEY_LIMIT = 0x12;
    /// The session goes on over another link.
    SUPERSEDED = 0x13;
    /// The session cannot be resumed.
    RESUME_REFUSED = 0x14;
    /// Too much wasted work.
    ABUSE = 0x15;
    /// Too busy.
    OVERLOAD = 0x16;
    /// The end shuts down.
    SHUTDOWN = 0x17;
    /// No path works.
    NO_VIABLE_PATH = 0x18;
    /// The application let go of the stream.
    CANCELLED = 0x100;
    /// Not processed; may be tried again.
    REFUSED = 0x101;
    /// Its time has passed.
    DEADLINE = 0x102;
    /// A reader that was too slow for what it asked.
    TOO_FAR_BEHIND = 0x103;
    /// Octets that are needed are gone.
    RESUME_GAP = 0x104;
    /// A quota is used up.
    QUOTA = 0x105;
    /// Nothing of that name.
    NOT_FOUND = 0x106;
    /// The destination cannot be reached.
    UNREACHABLE = 0x107;
    /// A message above the limit.
    TOO_LARGE = 0x108;
    /// No route.
    NO_ROUTE = 0x200;
    /// Too many hops.
    TTL = 0x201;
    /// Too long for the next link.
    MTU = 0x202;
    /// A label that the link does not have.
    LABEL_UNKNOWN = 0x203;
    /// A label's quota is used up.
    LABEL_QUOTA = 0x204;
    /// Policy forbids it.
    POLICY = 0x205;
    /// A hop's code is wrong.
    BAD_MAC = 0x206;
}

impl Code {
    /// The first code of applications.
    pub const APPLICATION_MIN: u64 = 0x1000;

    /// A code by its number, known or not.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#x}", self.0),
        }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_its_name_and_an_unknown_one_its_number() {
        //= SMRP-E2
        assert_eq!(Code::FLOW_CONTROL.to_string(), "FLOW_CONTROL");
        assert_eq!(Code::new(0x1234).to_string(), "0x1234");
        let mut numbers: Vec<u64> = REGISTRY.iter().map(|code| code.number()).collect();
        numbers.dedup();
        assert_eq!(numbers.len(), REGISTRY.len());
        assert!(numbers.iter().all(|number| *number < Code::APPLICATION_MIN));
    }
}
