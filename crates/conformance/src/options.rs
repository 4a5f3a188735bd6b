//! The command line.

use conformance::case::duration;
use std::path::PathBuf;
use std::time::Duration;

/// How the command is called.
pub(crate) const USAGE: &str = "usage: conformance [MODE] [CHOICE..] [OUTPUT..]

modes:
  --engine          cases in process against our machines (the default)
  --self            wire cases against our own servers in this process, over every carrier
  --connect URL     wire cases against an implementation that listens there and plays the echo role
  --listen URL      wire cases against an implementation that connects there, once for each case, and plays the echo role

choice:
  --case ID         this case alone; may be repeated
  --system NAME     smp-framing, smp121, smrp, wrp, wrp-ssp or carriers
  --carrier NAME    with --self: tcp, unix, mem, ws, tls, wss, udp or ip
  --patience TIME   how long anything that has to come is waited for, as 500ms or 3s; 5s where nothing is said
  --exceptions FILE known faults: [[exception]] with id, reason, date and, where it is about one, carrier

output:
  --list            the cases, without running them
  --json            for programs, on standard output
  --markdown        with --engine: docs/conformance.md
  --junit FILE      JUnit XML
  --html FILE       a matrix for browsers, requirement by requirement
  --smrp-vectors    docs/smrp-vectors.toml";

/// What runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// In process.
    #[default]
    Engine,
    /// Our own servers.
    Own,
    /// Somebody who listens.
    Connect(String),
    /// Somebody who connects.
    Listen(String),
}

/// What the command line says.
#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) mode: Mode,
    pub(crate) list: bool,
    pub(crate) cases: Vec<String>,
    pub(crate) system: Option<String>,
    pub(crate) carrier: Option<String>,
    pub(crate) exceptions: Option<PathBuf>,
    pub(crate) patience: Option<Duration>,
    pub(crate) json: bool,
    pub(crate) markdown: bool,
    pub(crate) junit: Option<PathBuf>,
    pub(crate) html: Option<PathBuf>,
    pub(crate) smrp_vectors: bool,
}

impl Options {
    /// From the words behind the command.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        let (mut arguments, mut mode) = (arguments, None);
        while let Some(argument) = arguments.next() {
            let mut value = |what: &str| arguments.next().ok_or_else(|| format!("{argument} needs {what}"));
            let chosen = match argument.as_str() {
                "--engine" => Some(Mode::Engine),
                "--self" => Some(Mode::Own),
                "--connect" => Some(Mode::Connect(value("a URL")?)),
                "--listen" => Some(Mode::Listen(value("a URL")?)),
                _ => None,
            };
            match argument.as_str() {
                _ if chosen.is_some() && mode.is_some() => return Err(format!("{argument}: one mode at a time")),
                _ if chosen.is_some() => mode = chosen,
                "--list" => options.list = true,
                "--case" => options.cases.push(value("the id of a case")?),
                "--system" => options.system = Some(value("the name of a system")?),
                "--carrier" => options.carrier = Some(value("the name of a carrier")?),
                "--patience" => {
                    let time = value("a time")?;
                    options.patience = Some(duration(&time).map_err(|error| error.to_string())?);
                }
                "--exceptions" => options.exceptions = Some(value("a file")?.into()),
                "--json" => options.json = true,
                "--markdown" => options.markdown = true,
                "--junit" => options.junit = Some(value("a file")?.into()),
                "--html" => options.html = Some(value("a file")?.into()),
                "--smrp-vectors" => options.smrp_vectors = true,
                _ => return Err(format!("{argument}: no such option")),
            }
        }
        options.mode = mode.unwrap_or_default();
        let is_engine = options.mode == Mode::Engine;
        if options.markdown && !is_engine {
            return Err("--markdown is for --engine".into());
        }
        if (options.exceptions.is_some() || options.patience.is_some()) && is_engine {
            return Err("--exceptions and --patience are for wire cases: --self, --connect or --listen".into());
        }
        if options.carrier.is_some() && options.mode != Mode::Own {
            return Err("--carrier is for --self; elsewhere the URL says it".into());
        }
        Ok(options)
    }

    /// Whether a case of that name was chosen.
    pub(crate) fn has_case(&self, id: &str) -> bool {
        self.cases.is_empty() || self.cases.iter().any(|case| case == id)
    }

    /// Whether a system was chosen.
    pub(crate) fn has_system(&self, system: &str) -> bool {
        self.system.as_deref().is_none_or(|chosen| chosen == system)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn the_engine_is_the_default_and_modes_exclude_each_other() {
        assert_eq!(parse("").unwrap().mode, Mode::Engine);
        assert_eq!(parse("--list --self").unwrap().mode, Mode::Own);
        assert_eq!(parse("--connect smp+tcp://h:1 --case a --case b").unwrap().cases, ["a", "b"]);
        for line in [
            "--self --engine",
            "--connect",
            "--loud",
            "--self --markdown",
            "--exceptions f",
            "--patience 3s",
            "--self --patience 3",
            "--carrier tcp",
            "--listen u --carrier tcp",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
