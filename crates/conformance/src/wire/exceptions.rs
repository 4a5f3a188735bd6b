//! What an implementation is known not to do: a file of its own, never a line in the cases.

use serde::Deserialize;

/// One known fault.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// The case.
    pub id: String,
    /// Why it fails, for readers.
    pub reason: String,
    /// Since when, as `2026-11-27`.
    pub date: String,
    /// Only over this carrier.
    pub carrier: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    exception: Vec<Exception>,
}

impl Exception {
    /// Whether it is about this run of a case.
    #[must_use]
    pub fn is_about(&self, id: &str, carrier: &str) -> bool {
        self.id == id && self.carrier.as_deref().is_none_or(|of| of == carrier)
    }
}

/// The exceptions of a file's text.
///
/// # Errors
/// Where it is no file of exceptions, has one twice, or one without a reason or a date.
pub fn parse(text: &str) -> Result<Vec<Exception>, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    for (at, exception) in file.exception.iter().enumerate() {
        let Exception { id, reason, date, .. } = exception;
        if reason.trim().is_empty() {
            return Err(format!("the exception of {id} has no reason"));
        }
        let parts: Vec<&str> = date.split('-').collect();
        let is_number = |part: &&str, len| part.len() == len && part.bytes().all(|octet| octet.is_ascii_digit());
        let is_date =
            matches!(&parts[..], [year, month, day] if is_number(year, 4) && is_number(month, 2) && is_number(day, 2));
        if !is_date {
            return Err(format!("the exception of {id} has no date as 2026-11-27, but {date:?}"));
        }
        let is_same = |other: &Exception| other.id == *id && other.carrier == exception.carrier;
        if file.exception.iter().take(at).any(is_same) {
            return Err(format!("the exception of {id} is there twice"));
        }
    }
    Ok(file.exception)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_has_a_reason_and_a_date_and_is_there_once() {
        let one = |id: &str, reason: &str, date: &str| {
            format!("[[exception]]\nid = {id:?}\nreason = {reason:?}\ndate = {date:?}\n")
        };
        assert_eq!(parse("").unwrap(), []);
        assert_eq!(parse(&one("a", "b", "2026-11-27")).unwrap().len(), 1);
        for (text, said) in [
            (one("a", " ", "2026-11-27"), "no reason"),
            (one("a", "b", "yesterday"), "no date"),
            (one("a", "b", "26-11-2027"), "no date"),
            (one("a", "b", "2026-11-27").repeat(2), "twice"),
            ("[[exception]]\nid = 'a'\n".into(), "missing field"),
            (one("a", "b", "2026-11-27") + "until = 3\n", "unknown field"),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn an_exception_can_be_about_one_carrier() {
        let exception =
            Exception { id: "a".into(), reason: "b".into(), date: "2026-11-27".into(), carrier: Some("ws".into()) };
        assert!(exception.is_about("a", "ws") && !exception.is_about("a", "tcp") && !exception.is_about("b", "ws"));
    }
}
