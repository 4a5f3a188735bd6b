//! Percent-encoding, where file paths and names need it.

use core::fmt;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Which octets stay as they are, beside letters, digits and `-._~`.
#[derive(Clone, Copy)]
pub(super) enum Keep {
    /// `/` too.
    Path,
    /// `/`, `:`, `,` and `+` too: an option's value is often a path or an origin.
    Value,
    /// Nothing else.
    Name,
}

pub(super) fn encode(f: &mut fmt::Formatter<'_>, octets: &[u8], keep: Keep) -> fmt::Result {
    for &octet in octets {
        let kept = match keep {
            Keep::Path => octet == b'/',
            Keep::Value => matches!(octet, b'/' | b':' | b',' | b'+'),
            Keep::Name => false,
        };
        if kept || octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            write!(f, "{}", char::from(octet))?;
        } else {
            write!(f, "%{octet:02X}")?;
        }
    }
    Ok(())
}

/// The octets behind percent-encoding, or the offset of a `%` that two hex digits do not follow.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, usize> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        if *first != b'%' {
            octets.push(*first);
            rest = after;
            continue;
        }
        let digits = after.first_chunk::<2>().and_then(|pair| {
            let digit = |octet: u8| char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            Some(digit(pair[0])? << 4 | digit(pair[1])?)
        });
        let Some(octet) = digits else { return Err(text.len() - rest.len()) };
        octets.push(octet);
        rest = after.get(2..).unwrap_or_default();
    }
    Ok(octets)
}

pub(super) fn path_octets(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

pub(super) fn path_from(octets: Vec<u8>) -> PathBuf {
    OsString::from_vec(octets).into()
}
