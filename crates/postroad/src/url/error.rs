//! What can be wrong with a URL, where, and what to write instead.

use core::fmt;

/// A text that is no URL of ours: what is wrong, at which octet, and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlError {
    pub(super) kind: UrlErrorKind,
    pub(super) text: String,
    pub(super) at: usize,
    pub(super) remedy: String,
}

impl UrlError {
    /// What is wrong.
    #[must_use]
    pub const fn kind(&self) -> &UrlErrorKind {
        &self.kind
    }

    /// The text that was to be a URL.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The octet of the text, from 0, where it goes wrong.
    #[must_use]
    pub const fn at(&self) -> usize {
        self.at
    }

    /// What to write instead.
    #[must_use]
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = crate::escape::text(&self.text);
        write!(f, "`{shown}`: {} (at character {}); {}", self.kind, self.at + 1, self.remedy)
    }
}

impl core::error::Error for UrlError {}

/// What is wrong with a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UrlErrorKind {
    /// There is no `://`.
    NoScheme,
    /// There is a carrier, and no protocol in front of it.
    NoProtocol,
    /// There is a protocol, and no carrier behind it.
    NoTransport,
    /// A word of the scheme is none that is known.
    UnknownWord(String),
    /// Words that are known and cannot stand on each other.
    NoSuchStack(String),
    /// Nothing behind `://`.
    NoAuthority,
    /// A user name or password in front of the host.
    UserInfo,
    /// A host that is neither a name nor an address.
    Host(String),
    /// No port where one is needed.
    NoPort,
    /// A port that is no number from 0 to 65,535.
    Port(String),
    /// A port where the carrier has none.
    PortOnIp(String),
    /// A path where the carrier has none.
    Path(String),
    /// A host and no mailslot.
    NoMailslot,
    /// A mailslot name that is too long or has a NUL in it; its length in octets.
    MailslotName(usize),
    /// A `%` without two hex digits, or octets that are no text where text is needed.
    Percent,
    /// An option that is none.
    UnknownOption(String),
    /// An option that other stacks have.
    OptionElsewhere(&'static str),
    /// An option given twice.
    OptionTwice(&'static str),
    /// A value that the option cannot have.
    OptionValue {
        /// The option.
        option: &'static str,
        /// Its value, percent-decoded.
        value: String,
    },
}

impl fmt::Display for UrlErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &str| format!("`{}`", crate::escape::text(text));
        match self {
            Self::NoScheme => f.write_str("no `://`, so no protocol and no carrier are named"),
            Self::NoProtocol => f.write_str("a carrier without a protocol in front of it"),
            Self::NoTransport => f.write_str("a protocol without a carrier behind it"),
            Self::UnknownWord(word) => write!(f, "unknown word {} in front of `://`", shown(word)),
            Self::NoSuchStack(stack) => write!(f, "{} is no stack", shown(stack)),
            Self::NoAuthority => f.write_str("nothing behind `://`"),
            Self::UserInfo => f.write_str("a user name in front of the host"),
            Self::Host(host) => write!(f, "{} is no host", shown(host)),
            Self::NoPort => f.write_str("no port"),
            Self::Port(port) => write!(f, "{} is no port", shown(port)),
            Self::PortOnIp(port) => {
                write!(f, "the port {}: IP protocol 121 has none, since a mailslot's name does their work", shown(port))
            }
            Self::NoMailslot => f.write_str("no mailslot is named behind the host"),
            Self::MailslotName(len) => write!(f, "a mailslot name of {len} octets that cannot be"),
            Self::Path(path) => write!(f, "the path {}, which this carrier cannot have", shown(path)),
            Self::Percent => f.write_str("a `%` that two hex digits of readable text do not follow"),
            Self::UnknownOption(option) => write!(f, "unknown option {}", shown(option)),
            Self::OptionElsewhere(option) => write!(f, "the option `{option}` does not go with this stack"),
            Self::OptionTwice(option) => write!(f, "the option `{option}` is there twice"),
            Self::OptionValue { option, value } => write!(f, "{} is no value of `{option}`", shown(value)),
        }
    }
}
