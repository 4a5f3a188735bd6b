//! Standard output and standard error: data on the one, talk on the other.

use crate::args::{Color, Common};
use crate::failure::Failure;
use std::future::Future;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// After this long without a result, say what is being waited for.
const SILENCE_MAX: Duration = Duration::from_secs(2);

/// How to talk to whoever ran the command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Talk {
    json: bool,
    quiet: bool,
    verbose: u8,
    coloured: bool,
    stderr_is_terminal: bool,
}

impl Talk {
    pub(crate) fn new(common: &Common) -> Self {
        let stderr_is_terminal = io::stderr().is_terminal();
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let coloured = match common.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto if set("NO_COLOR") => false,
            Color::Auto => set("CLICOLOR_FORCE") || stderr_is_terminal,
        };
        Self { json: common.json, quiet: common.quiet, verbose: common.verbose, coloured, stderr_is_terminal }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    pub(crate) fn is_coloured(&self) -> bool {
        self.coloured
    }

    pub(crate) fn verbosity(&self) -> u8 {
        self.verbose
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Progress bars are for people who watch.
    pub(crate) fn shows_progress(&self) -> bool {
        self.stderr_is_terminal && !self.quiet && !self.json
    }

    pub(crate) fn red(&self, text: &str) -> String {
        self.paint("31;1", text)
    }

    pub(crate) fn green(&self, text: &str) -> String {
        self.paint("32", text)
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.coloured { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Something worth knowing, unless quiet was asked for.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet {
            self.error_line(text);
        }
    }

    /// On standard error whatever was asked for. There is nowhere to report a failure of that.
    pub(crate) fn error_line(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Waits for `future`, and says so after two seconds.
    pub(crate) async fn waiting<F: Future>(&self, for_what: &str, future: F) -> F::Output {
        tokio::pin!(future);
        match tokio::time::timeout(SILENCE_MAX, &mut future).await {
            Ok(output) => output,
            Err(_) => {
                self.say(&format!("waiting for {for_what}"));
                future.await
            }
        }
    }
}

/// A line of data, with its line break, at once.
pub(crate) fn data_line(line: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| Failure::output(&error))
}

/// Data as it is.
pub(crate) fn data(octets: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(octets).and_then(|()| out.flush()).map_err(|error| Failure::output(&error))
}

pub(crate) fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// `len` for people: 3 digits and a unit.
pub(crate) fn human_octets(len: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = len as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    let name = units.get(unit).copied().unwrap_or("B");
    if unit == 0 { format!("{len} {name}") } else { format!("{value:.1} {name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_read_well() {
        for (len, text) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1 << 20, "1.0 MiB"), (u64::MAX, "16777216.0 TiB")]
        {
            assert_eq!(human_octets(len), text);
        }
    }
}
