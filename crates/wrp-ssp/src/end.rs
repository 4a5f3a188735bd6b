//! How a stream ends.

use core::fmt;

/// Octets of a reason that is written, at most; a longer one is cut.
//= SSP-F4
pub const END_TEXT_LEN_MAX: usize = 256;

/// How a stream ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It is whole.
    Clean,
    /// Its sender could not go on; why, in the sender's words.
    Failed(String),
}

impl End {
    /// The value of the final header: `eof`, or a reason that no receiver takes for it.
    //= SSP-F2, SSP-F3, SSP-F4
    #[must_use]
    pub fn header(&self) -> String {
        match self {
            Self::Clean => "eof".to_owned(),
            Self::Failed(reason) => clean_reason(reason),
        }
    }

    /// What a final header says. One without a value ends the stream too, with a reason that nobody knows.
    //= SSP-F1, SSP-F2, SSP-F5
    #[must_use]
    pub fn from_header(value: &str) -> Self {
        match value.trim() {
            value if value.eq_ignore_ascii_case("eof") => Self::Clean,
            "" => Self::Failed("its sender gave no reason".to_owned()),
            value => Self::Failed(value.to_owned()),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clean => f.write_str("eof"),
            Self::Failed(reason) => f.write_str(reason),
        }
    }
}

/// A reason fit to be written: control characters become spaces, none is empty or reads as a clean end, and none is long.
//= SSP-F4
#[must_use]
pub fn clean_reason(reason: &str) -> String {
    let mut clean = String::with_capacity(reason.len().min(END_TEXT_LEN_MAX));
    for char in reason.trim().chars().map(|char| if char.is_control() { ' ' } else { char }) {
        if clean.len() + char.len_utf8() > END_TEXT_LEN_MAX {
            break;
        }
        clean.push(char);
    }
    match clean.trim() {
        "" => "unknown error".to_owned(),
        text if text.eq_ignore_ascii_case("eof") => format!("error: {text}"),
        text => text.to_owned(),
    }
}
