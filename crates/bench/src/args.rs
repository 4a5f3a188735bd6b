//! What the command line says.

use anyhow::{Context as _, bail};
use std::path::PathBuf;
use std::time::Duration;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Measures postroad beside its peers, in turns, in the same run.

usage: cargo xtask bench -- [GROUP...] [OPTION...]

groups (all where none is named):
  codec        encode and decode in memory, one thread
  loopback     message rate, echo and bulk over TCP on 127.0.0.1
  carriers     message rate and bulk over TLS and WebSocket
  smp121       requests and replies over UDP and raw IP (needs CAP_NET_RAW), beside TCP, QUIC and NATS
               (where nats-server is installed, Debian: nats-server; else its rows are skipped)
  wrp          WRP messages, and streams over them, beside rmp-serde, flate2, libdeflate and memcpy, and the reference
               (where Go 1.26 can build it: it fetches its modules, or POSTROAD_REFERENCE_MODFILE names a go.mod; else
               its rows are left out); links over a WebSocket
  smrp         sessions of SMRP over one TCP connection, beside h2, yamux and the bare connection
  allocations  allocations per message in steady state
  memory       peak memory of a long body
  idle         memory of idle connections

options:
  --rounds N       rounds per figure, at least 5 (default 7)
  --seconds S      time of one contender in one round (default 0.25)
  --only TEXT      figures whose name contains TEXT
  --body-len N     GiB of the body in group `memory` (default 10)
  --connections N  idle connections (default 5000)
  --json           figures as JSON on standard output
  --markdown       writes docs/performance.md

The exit code is 0 where every aim was met, 1 where one was missed, 2 where measuring failed.
example: cargo xtask bench -- codec loopback --rounds 11";

/// Groups of figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Codec,
    Loopback,
    Carriers,
    Smp121,
    Wrp,
    Smrp,
    Allocations,
    Memory,
    Idle,
}

impl Group {
    const ALL: [Self; 9] = [
        Self::Codec,
        Self::Loopback,
        Self::Carriers,
        Self::Smp121,
        Self::Wrp,
        Self::Smrp,
        Self::Allocations,
        Self::Memory,
        Self::Idle,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Codec => "codec",
            Self::Loopback => "loopback",
            Self::Carriers => "carriers",
            Self::Smp121 => "smp121",
            Self::Wrp => "wrp",
            Self::Smrp => "smrp",
            Self::Allocations => "allocations",
            Self::Memory => "memory",
            Self::Idle => "idle",
        }
    }
}

/// Where the report goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Text,
    Json,
    Markdown,
}

/// How to measure.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) groups: Vec<Group>,
    pub(crate) rounds: usize,
    pub(crate) round_time: Duration,
    pub(crate) only: Option<String>,
    pub(crate) body_gib: u64,
    pub(crate) connection_count: usize,
    pub(crate) output: Output,
}

impl Settings {
    /// True where the figure of this name is wanted.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|only| name.contains(only))
    }
}

/// What to do.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Help,
    /// One measurement in a process of its own: its name and parameters.
    Child(Vec<String>),
    Measure(Settings),
}

/// Reads the arguments.
pub(crate) fn parse(args: impl Iterator<Item = String>) -> anyhow::Result<Action> {
    let mut settings = Settings {
        groups: Vec::new(),
        rounds: 7,
        round_time: Duration::from_millis(250),
        only: None,
        body_gib: 10,
        connection_count: 5000,
        output: Output::Text,
    };
    let mut args = args;
    while let Some(arg) = args.next() {
        let mut value = || args.next().with_context(|| format!("{arg} needs a value, see --help"));
        match arg.as_str() {
            "-h" | "--help" => return Ok(Action::Help),
            "--child" => return Ok(Action::Child(args.collect())),
            "--rounds" => settings.rounds = value()?.parse().context("--rounds takes a number")?,
            "--seconds" => {
                let seconds: f64 = value()?.parse().context("--seconds takes a number")?;
                settings.round_time = Duration::try_from_secs_f64(seconds).context("--seconds")?;
            }
            "--only" => settings.only = Some(value()?),
            "--body-len" => settings.body_gib = value()?.parse().context("--body-len takes a number of GiB")?,
            "--connections" => settings.connection_count = value()?.parse().context("--connections takes a number")?,
            "--json" => settings.output = Output::Json,
            "--markdown" => settings.output = Output::Markdown,
            name => match Group::ALL.into_iter().find(|group| group.name() == name) {
                Some(group) => settings.groups.push(group),
                None => bail!("no group or option {name:?}, see --help"),
            },
        }
    }
    if settings.rounds < 5 {
        bail!("--rounds {}: a median needs at least 5", settings.rounds);
    }
    if settings.groups.is_empty() {
        settings.groups = Group::ALL.into();
    }
    Ok(Action::Measure(settings))
}

/// The workspace this program was built from, looked for upwards from here.
pub(crate) fn workspace_root() -> anyhow::Result<PathBuf> {
    let here = std::env::current_dir().context("current directory")?;
    let root = here.ancestors().find(|path| path.join("crates/bench/Cargo.toml").is_file());
    Ok(root.context("start it inside the workspace: docs/performance.md is written there")?.to_owned())
}
