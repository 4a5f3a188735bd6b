//! How a packet's payload is written.

use core::str::FromStr;
use thiserror::Error;

/// How a packet's payload is written. Each packet is compressed alone, and each of a stream may have another encoding.
//= SSP-E1
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// GZIP (RFC 1952), one member or several.
    #[default]
    Gzip,
    /// Raw DEFLATE (RFC 1951), without the wrapper of zlib.
    Deflate,
}

/// How hard to try. It is never written; a name that says it can be read.
//= SSP-E3
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Level {
    /// Stored, not compressed.
    None,
    /// Level 1.
    Fastest,
    /// Level 6.
    #[default]
    Default,
    /// Level 9.
    Best,
}

/// A name that means no encoding.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{name:?} is no encoding; there are gzip, deflate and identity, the first two with +none, +fastest or +best behind at will"
)]
pub struct EncodingError {
    name: String,
}

impl Encoding {
    /// The value of the header. `None` for identity, which goes without.
    //= SSP-E4
    #[must_use]
    pub const fn header(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Deflate => Some("deflate"),
        }
    }

    /// An encoding with a level, as options name it: `gzip`, `deflate+best`, `identity`, or nothing for identity. Case counts.
    ///
    /// # Errors
    /// [`EncodingError`].
    //= SSP-E1, SSP-E2, SSP-E3
    pub fn parse(name: &str) -> Result<(Self, Level), EncodingError> {
        let unknown = || EncodingError { name: name.chars().take(64).collect() };
        let (stem, level) = match name.split_once('+') {
            None => (name, Level::Default),
            Some((stem, "none")) => (stem, Level::None),
            // Huffman codes alone, which the backends here cannot be asked for: what is as fast.
            Some((stem, "fastest" | "huffman")) => (stem, Level::Fastest),
            Some((stem, "best")) => (stem, Level::Best),
            Some(_) => return Err(unknown()),
        };
        match stem {
            "gzip" => Ok((Self::Gzip, level)),
            "deflate" => Ok((Self::Deflate, level)),
            "" | "identity" if stem == name => Ok((Self::Identity, Level::Default)),
            _ => Err(unknown()),
        }
    }
}

impl FromStr for Encoding {
    type Err = EncodingError;

    fn from_str(name: &str) -> Result<Self, EncodingError> {
        Self::parse(name).map(|(encoding, _)| encoding)
    }
}
