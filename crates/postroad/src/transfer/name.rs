//! Names that a peer chose.

use core::fmt;

/// The longest name that is taken, in octets: what common file systems have.
const NAME_LEN_MAX: usize = 255;

/// Why a name is none that a file can have here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing is left of it.
    Empty,
    /// It leads to another folder.
    Path,
    /// It has control characters.
    Control,
    /// It has more than 255 octets.
    TooLong,
    /// It begins with a dot, as hidden files and unfinished ones do.
    Hidden,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a file needs a name",
            Self::Path => "a file name must not lead to another folder",
            Self::Control => "a file name must not have control characters",
            Self::TooLong => "a file name has at most 255 octets",
            Self::Hidden => "a file name must not begin with a dot",
        })
    }
}

impl core::error::Error for NameError {}

/// `name` where it is a single plain component, whatever system it came from.
///
/// # Errors
/// [`NameError`]: nothing is cut off or replaced, so that a file never has another name than its sender believes.
pub fn safe_name(name: &str) -> Result<&str, NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.contains(['/', '\\']) || name == ".." || name == "." {
        return Err(NameError::Path);
    }
    if name.chars().any(char::is_control) {
        return Err(NameError::Control);
    }
    if name.starts_with('.') {
        return Err(NameError::Hidden);
    }
    if name.len() > NAME_LEN_MAX { Err(NameError::TooLong) } else { Ok(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_pass_and_everything_that_leads_elsewhere_does_not() {
        for name in ["a", "photo of me.jpg", "a..b", "münchen", "C:", &"x".repeat(255)] {
            assert_eq!(safe_name(name), Ok(name));
        }
        for (name, error) in [
            ("", NameError::Empty),
            ("..", NameError::Path),
            (".", NameError::Path),
            ("../../etc/passwd", NameError::Path),
            ("/etc/passwd", NameError::Path),
            ("a/b", NameError::Path),
            ("..\\x", NameError::Path),
            ("a\0b", NameError::Control),
            ("a\nb", NameError::Control),
            (".bashrc", NameError::Hidden),
        ] {
            assert_eq!(safe_name(name), Err(error), "{name:?}");
        }
        assert_eq!(safe_name(&"x".repeat(256)), Err(NameError::TooLong));
    }
}
