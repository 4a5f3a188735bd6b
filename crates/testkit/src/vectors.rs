//! The shared test vectors: finding them, and reading octets as their README writes them.
//!
//! They live outside the repository: in `../shared/vectors` beside it, or where `POSTROAD_VECTORS` points. A lone clone
//! has none; its tests say so in one line and pass. Where `CI` is `true` their absence is a failure.

pub mod wrp;

use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Once;

/// Why vectors could not be used. Its `Debug` form is the text for people too, as tests unwrap it.
pub enum VectorError {
    /// They are not there, and this run needs them.
    Missing {
        /// Where they were looked for.
        at: PathBuf,
    },
    /// A file is not there or cannot be read.
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file is no JSON, or not of the schema.
    Malformed {
        /// Which file or value.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl core::fmt::Display for VectorError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Missing { at } => write!(
                f,
                "no test vectors at {}: set POSTROAD_VECTORS to the directory that holds them (CI must have them)",
                at.display()
            ),
            Self::Read { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Malformed { what, reason } => write!(f, "{what}: {reason}"),
        }
    }
}

impl core::fmt::Debug for VectorError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

impl core::error::Error for VectorError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            Self::Missing { .. } | Self::Malformed { .. } => None,
        }
    }
}

/// What decides where vectors are looked for and whether they may be missing. [`Environment::of_process`] is the real
/// one; tests make their own.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `POSTROAD_VECTORS`.
    pub vectors: Option<PathBuf>,
    /// True where `CI` is `true`.
    pub ci: bool,
}

impl Environment {
    /// As this process was started.
    #[must_use]
    pub fn of_process() -> Self {
        Self {
            vectors: std::env::var_os("POSTROAD_VECTORS").map(PathBuf::from),
            ci: std::env::var_os("CI").is_some_and(|value| value == "true"),
        }
    }

    /// The directory of the vectors, `None` where they may be missing and are.
    ///
    /// # Errors
    /// [`VectorError::Missing`] where they must be there (CI, or `POSTROAD_VECTORS` set) and are not.
    pub fn directory(&self) -> Result<Option<PathBuf>, VectorError> {
        let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
        let at = self.vectors.clone().unwrap_or_else(beside);
        if at.is_dir() {
            return Ok(Some(at));
        }
        if self.ci || self.vectors.is_some() {
            return Err(VectorError::Missing { at });
        }
        Ok(None)
    }
}

/// The cases of one file, for example `smp/spec10_units.json`. `None`, and one line on stderr for the whole run, where there
/// are no vectors and need not be.
///
/// # Errors
/// [`VectorError`] where vectors must be there and are not, or a file is not as it should be.
pub fn cases(file: &str) -> Result<Option<Vec<Value>>, VectorError> {
    let Some(directory) = Environment::of_process().directory()? else {
        say_skipped();
        return Ok(None);
    };
    cases_in(&directory, file).map(Some)
}

/// The cases of one file under `directory`.
///
/// # Errors
/// [`VectorError`] where the file cannot be read, or has no cases.
pub fn cases_in(directory: &Path, file: &str) -> Result<Vec<Value>, VectorError> {
    let path = directory.join(file);
    let text = std::fs::read_to_string(&path).map_err(|source| VectorError::Read { path: path.clone(), source })?;
    let malformed = |reason: String| VectorError::Malformed { what: file.to_owned(), reason };
    let mut whole: Value = serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
    match whole.get_mut("cases").map(Value::take) {
        Some(Value::Array(cases)) if !cases.is_empty() => Ok(cases),
        _ => Err(malformed("no list `cases` with anything in it".into())),
    }
}

/// Past the test harness, which would swallow a printed line of a test that passes.
fn say_skipped() {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        let line = "skipped: the shared test vectors are not here (set POSTROAD_VECTORS to their directory)";
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    });
}

/// Octets as the vectors write them: hex, `{"rep": hex, "n": count}`, `{"ramp": first, "n": count}`, or a list of those.
///
/// # Errors
/// [`VectorError::Malformed`] for anything else.
pub fn octets(value: &Value) -> Result<Vec<u8>, VectorError> {
    let malformed = |reason: &str| VectorError::Malformed { what: value.to_string(), reason: reason.to_owned() };
    match value {
        Value::String(hex) => from_hex(hex),
        Value::Array(parts) => parts.iter().map(octets).collect::<Result<Vec<_>, _>>().map(|parts| parts.concat()),
        Value::Object(fields) => {
            let count = fields.get("n").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
            let count = count.ok_or_else(|| malformed("no count `n`"))?;
            if let Some(hex) = fields.get("rep") {
                return octets(hex).map(|once| once.repeat(count));
            }
            let first = fields.get("ramp").and_then(Value::as_u64).and_then(|first| u8::try_from(first).ok());
            let first = first.ok_or_else(|| malformed("neither `rep` nor a `ramp` of 0 to 255"))?;
            Ok((0..=u8::MAX).cycle().skip(usize::from(first)).take(count).collect())
        }
        _ => Err(malformed("neither hex, object nor list")),
    }
}

/// A list of octet strings.
///
/// # Errors
/// [`VectorError::Malformed`] where `value` is no list of them.
pub fn octets_list(value: &Value) -> Result<Vec<Vec<u8>>, VectorError> {
    let malformed = || VectorError::Malformed { what: value.to_string(), reason: "no list of octet strings".into() };
    value.as_array().ok_or_else(malformed)?.iter().map(octets).collect()
}

/// Octets from hex digits; white space between them does not count.
///
/// # Errors
/// [`VectorError::Malformed`] for other characters and half octets.
pub fn from_hex(hex: &str) -> Result<Vec<u8>, VectorError> {
    let malformed = |reason: &str| VectorError::Malformed { what: hex.to_owned(), reason: reason.to_owned() };
    let digits: Option<Vec<u8>> = hex
        .chars()
        .filter(|character| !character.is_whitespace())
        .map(|character| character.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = digits.ok_or_else(|| malformed("not all hex digits"))?;
    let pairs = digits.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return Err(malformed("half an octet"));
    }
    Ok(pairs.map(|pair| pair.iter().fold(0, |octet, digit| octet << 4 | digit)).collect())
}

/// Octets as lower-case hex digits.
#[must_use]
pub fn to_hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_way_of_writing_octets_is_read() {
        assert_eq!(octets(&json!("")).unwrap(), b"");
        assert_eq!(octets(&json!("0001fF")).unwrap(), [0, 1, 255]);
        assert_eq!(octets(&json!({"rep": "6162", "n": 2})).unwrap(), b"abab");
        assert_eq!(octets(&json!({"ramp": 254, "n": 4})).unwrap(), [254, 255, 0, 1]);
        assert_eq!(octets(&json!(["61", {"rep": "62", "n": 2}, ["63"]])).unwrap(), b"abbc");
    }

    #[test]
    fn anything_else_is_refused() {
        for wrong in [json!("0"), json!("0g"), json!(7), json!({"n": 2}), json!({"ramp": 256, "n": 1}), json!(["0"])] {
            assert!(octets(&wrong).is_err(), "{wrong} was taken");
        }
        assert!(octets_list(&json!("61")).is_err());
    }

    #[test]
    fn hex_goes_there_and_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(&to_hex(&all)).unwrap(), all);
    }

    #[test]
    fn missing_vectors_are_skipped_at_home_and_an_error_in_ci() {
        let nowhere = PathBuf::from("/nonexistent/vectors");
        let told = Environment { vectors: Some(nowhere.clone()), ci: false };
        assert!(matches!(told.directory(), Err(VectorError::Missing { .. })), "a wrong path is never skipped");
        let ci = Environment { vectors: Some(nowhere), ci: true };
        assert!(matches!(ci.directory(), Err(VectorError::Missing { .. })));
        let here = Environment { vectors: Some(env!("CARGO_MANIFEST_DIR").into()), ci: true };
        assert!(here.directory().unwrap().is_some());
    }

    #[test]
    fn a_file_without_cases_is_an_error() {
        let directory = std::env::temp_dir().join(format!("testkit-vectors-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("empty.json"), r#"{"cases": []}"#).unwrap();
        std::fs::write(directory.join("good.json"), r#"{"cases": [{"id": "a"}]}"#).unwrap();
        assert!(cases_in(&directory, "empty.json").is_err());
        assert!(cases_in(&directory, "absent.json").is_err());
        assert_eq!(cases_in(&directory, "good.json").unwrap().len(), 1);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
