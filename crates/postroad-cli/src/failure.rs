//! What went wrong, in four parts, and the exit code for it.

use crate::talk::Talk;
use postroad::ErrorKind;
use serde_json::json;
use std::fmt;
use std::io;

pub(crate) const FAILED: u8 = 1;
pub(crate) const USAGE: u8 = 2;

/// Why a verb did not get done.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: &'static str,
    pub(crate) exit_code: u8,
    pub(crate) what: String,
    pub(crate) why: String,
    pub(crate) fix: String,
    /// Whoever reads our output has gone: nothing to say, and nobody to say it to.
    pub(crate) is_broken_pipe: bool,
}

impl Failure {
    pub(crate) fn new(kind: &'static str, what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { kind, exit_code: FAILED, what: what.into(), why: why.into(), fix: String::new(), is_broken_pipe: false }
    }

    pub(crate) fn usage(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { exit_code: USAGE, ..Self::new("usage", what, why) }
    }

    pub(crate) fn with_fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = fix.into();
        self
    }

    /// A file that could not be read or written.
    pub(crate) fn file(what: impl Into<String>, error: &io::Error) -> Self {
        Self::new("file", what, error.to_string())
    }

    /// Standard output could not be written.
    pub(crate) fn output(error: &io::Error) -> Self {
        let is_broken_pipe = error.kind() == io::ErrorKind::BrokenPipe;
        let failure = Self::new("output", "could not write to standard output", error.to_string());
        Self { is_broken_pipe, ..failure }
    }

    pub(crate) fn tell(&self, talk: &Talk) {
        if self.is_broken_pipe {
            return;
        }
        if talk.is_json() {
            let error = json!({"kind": self.kind, "what": self.what, "why": self.why, "fix": self.fix});
            talk.error_line(&json!({"schema": "postroad-error/1", "error": error}).to_string());
            return;
        }
        talk.error_line(&format!("{} {}", talk.red("error:"), self.what));
        if !self.why.is_empty() {
            talk.error_line(&format!("  why: {}", self.why));
        }
        if !self.fix.is_empty() {
            talk.error_line(&format!("  fix: {}", self.fix));
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

impl From<postroad::Error> for Failure {
    fn from(error: postroad::Error) -> Self {
        let exit_code = if error.kind().is_usage() { USAGE } else { FAILED };
        let failure = Self::new(error.kind().word(), error.what(), error.why());
        Self { exit_code, fix: error.remedy().to_owned(), ..failure }
    }
}

impl From<postroad::UrlError> for Failure {
    fn from(error: postroad::UrlError) -> Self {
        postroad::Error::from(error).into()
    }
}

/// True where trying the same again can help.
pub(crate) fn is_connection_trouble(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Connect | ErrorKind::Lost | ErrorKind::Timeout | ErrorKind::Closed)
}
