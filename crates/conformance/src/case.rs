//! A case: its data and the steps it takes.

use crate::notation::{CaseUnit, Content, NotationError, canonical, content, hex, words};
use core::time::Duration;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// A case as its file has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Unique among all cases.
    pub id: String,
    /// The requirements it is a case of.
    pub requirements: Vec<String>,
    /// Whether it shows what must happen, or that the opposite does not.
    pub kind: Kind,
    /// Why what is expected is right.
    pub why: String,
    /// Settings that differ from the defaults.
    #[serde(default)]
    pub config: Settings,
    /// What happens, and what is expected; see [`Step`].
    pub steps: Vec<String>,
}

/// Whether a case keeps or breaks the rule.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The rule is kept: it must work.
    Positive,
    /// The rule is broken or meets its limit: it must be noticed, refused or withstood.
    Negative,
}

impl Kind {
    /// As the file has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Positive => "positive",
            Self::Negative => "negative",
        }
    }
}

/// Settings of the end under test. What is left out is the engine's default, but for the two timers, which are off.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Of smp121: `spec`, `rdos`, or `busy`, which is `spec` that says when it is busy.
    pub profile: Option<String>,
    /// `strict`, `lenient`, `node-1.0` or `node-1.1`.
    pub mode: Option<String>,
    /// In octets of arguments.
    pub max_message_size: Option<usize>,
    /// True where frames are to be delivered as they come.
    #[serde(default)]
    pub frames: bool,
    /// False where faults are not to be answered with ERROR units.
    pub report_errors: Option<bool>,
    /// For example `30s`.
    pub heartbeat_interval: Option<String>,
    /// For example `120s`.
    pub peer_timeout: Option<String>,
    /// Limits by name: octets, counts, or milliseconds.
    #[serde(default)]
    pub limits: std::collections::BTreeMap<String, u64>,
    /// Of smrp.
    #[serde(default)]
    pub session: crate::smrp_run::Session,
}

/// One thing that happens or is expected.
///
/// | line | meaning |
/// | --- | --- |
/// | `receive UNIT`, `receive*COUNT UNIT` | the peer sends a unit, once or several times |
/// | `receive hex HH HH ...` | the peer sends octets |
/// | `end` | the peer's stream ends |
/// | `wait 30s` | time passes; timers fire at their instants |
/// | `do ACTION` | the application acts, and it works |
/// | `refused NAME ACTION` | the application acts, and is refused with the error of that name |
/// | `event EVENT` | the next thing the application is told |
/// | `sent UNIT`, `sent*COUNT UNIT` | the next unit that goes out |
/// | `sent hex HH HH ...` | the next octets that go out |
/// | `open ID ID ...` | the IDs of messages under way |
/// | `missing COUNT` | octets that the unit begun still needs at least |
///
/// Events and sent units that no line expects are a failure at the end, so a case also says what must not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Octets come. Runs of these are cut in many ways.
    Receive(Vec<u8>),
    /// The peer's stream ends.
    End,
    /// Time passes.
    Wait(Duration),
    /// The application acts; with a name, that refusal is expected.
    Act(Action, Option<String>),
    /// An event, in the form the engine renders.
    Event(String),
    /// A unit, in the form it is rendered, and how often in a row.
    Sent(String, usize),
    /// The next octets on the wire.
    SentOctets(Vec<u8>),
    /// Open IDs, in order.
    Open(Vec<u16>),
    /// Octets missing.
    Missing(usize),
}

/// What an application, or a user of the codec, can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// `send ARG...`
    Send(Content),
    /// `information ARG...`
    Information(Content),
    /// `error NUMBER TEXT ARG...`
    Error(u16, String, Content),
    /// `heartbeat ARG...`
    Heartbeat(Content),
    /// `user CODE ARG...`
    User(u8, Content),
    /// `pause`
    PausePeer,
    /// `resume`
    ResumePeer,
    /// `close ARG...`
    Close(Content),
    /// `abort`
    Abort,
    /// `open-body ARGC FIRST_NUMBER`: bodies are counted from 0 in a case.
    OpenBody(u8, u32),
    /// `feed-body BODY INDEX ARG`
    FeedBody(usize, u8, Vec<u8>),
    /// `finish-body BODY`
    FinishBody(usize),
    /// `abandon-body BODY`
    AbandonBody(usize),
    /// `plan MAX_MESSAGE_SIZE ID#FIRST_NUMBER ARG...`: what a message becomes, without a connection.
    Plan(usize, (u16, u32), Content),
    /// `encode UNIT`: one unit to octets, without a connection.
    Encode(CaseUnit),
}

impl Step {
    /// From a line of a case.
    ///
    /// # Errors
    /// [`NotationError`] where the line is no step.
    pub fn parse(line: &str) -> Result<Self, NotationError> {
        let all = words(line);
        let (verb, rest) = all.split_first().ok_or_else(|| NotationError::new(line, "an empty line"))?;
        let (verb, count) = match verb.split_once('*') {
            Some((verb, count)) => (verb, count.parse().map_err(|_| NotationError::new(line, "no count"))?),
            None => (verb.as_str(), 1),
        };
        let raw = rest.first().is_some_and(|word| word == "hex");
        let first = || rest.first().ok_or_else(|| NotationError::new(line, "something is missing behind the verb"));
        Ok(match verb {
            "receive" if raw => Self::Receive(hex(&rest.get(1..).unwrap_or_default().concat())?.repeat(count)),
            "receive" => Self::Receive(CaseUnit::parse(rest)?.octets().repeat(count)),
            "end" => Self::End,
            "wait" => Self::Wait(duration(first()?)?),
            "do" => Self::Act(Action::parse(rest)?, None),
            "refused" => {
                let (name, action) = rest.split_first().ok_or_else(|| NotationError::new(line, "no refusal"))?;
                Self::Act(Action::parse(action)?, Some(name.clone()))
            }
            "event" => Self::Event(canonical(rest, event_head_count(first()?))?),
            "sent" if raw => Self::SentOctets(hex(&rest.get(1..).unwrap_or_default().concat())?.repeat(count)),
            "sent" => Self::Sent(canonical(rest, 1)?, count),
            "open" => Self::Open(rest.iter().map(|id| number(id)).collect::<Result<_, _>>()?),
            "missing" => Self::Missing(number(first()?)?),
            _ => return Err(NotationError::new(line, "no such verb")),
        })
    }
}

/// How many words of an event stand before its arguments.
fn event_head_count(name: &str) -> usize {
    match name {
        "user" | "reserved" | "semantic_error" | "frame" | "assembled" | "error" => 2,
        "abandoned" | "sequence_error" => 3,
        "closed" => 2,
        _ => 1,
    }
}

impl Action {
    fn parse(words: &[String]) -> Result<Self, NotationError> {
        let line = || words.join(" ");
        let (name, rest) = words.split_first().ok_or_else(|| NotationError::new("", "no action"))?;
        let word = |at: usize| rest.get(at).ok_or_else(|| NotationError::new(line(), "something is missing"));
        let behind = |count: usize| content(rest.get(count..).unwrap_or_default());
        Ok(match name.as_str() {
            "send" => Self::Send(behind(0)?),
            "information" => Self::Information(behind(0)?),
            "error" => {
                let text = String::from_utf8_lossy(&crate::notation::argument(word(1)?)?).into_owned();
                Self::Error(number(word(0)?)?, text, behind(2)?)
            }
            "heartbeat" => Self::Heartbeat(behind(0)?),
            "user" => Self::User(number(word(0)?)?, behind(1)?),
            "pause" => Self::PausePeer,
            "resume" => Self::ResumePeer,
            "close" => Self::Close(behind(0)?),
            "abort" => Self::Abort,
            "open-body" => Self::OpenBody(number(word(0)?)?, number(word(1)?)?),
            "feed-body" => Self::FeedBody(number(word(0)?)?, number(word(1)?)?, crate::notation::argument(word(2)?)?),
            "finish-body" => Self::FinishBody(number(word(0)?)?),
            "abandon-body" => Self::AbandonBody(number(word(0)?)?),
            "plan" => Self::Plan(number(word(0)?)?, crate::notation::parse_ident(word(1)?)?, behind(2)?),
            "encode" => Self::Encode(CaseUnit::parse(rest)?),
            _ => return Err(NotationError::new(line(), "no such action")),
        })
    }
}

fn number<T: core::str::FromStr>(word: &str) -> Result<T, NotationError> {
    word.parse().map_err(|_| NotationError::new(word, "no number of the range"))
}

/// `250ms`, `30s` or `5m`.
///
/// # Errors
/// [`NotationError`] for anything else.
pub fn duration(word: &str) -> Result<Duration, NotationError> {
    let digits = word.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let count: u64 = number(digits)?;
    match word.get(digits.len()..) {
        Some("ms") => Ok(Duration::from_millis(count)),
        Some("s") => Ok(Duration::from_secs(count)),
        Some("m") => Ok(Duration::from_secs(count * 60)),
        _ => Err(NotationError::new(word, "neither ms, s nor m")),
    }
}

/// Why cases could not be loaded.
#[derive(Debug)]
pub struct LoadError {
    /// Which file.
    pub file: String,
    /// What is wrong.
    pub reason: String,
}

impl core::fmt::Display for LoadError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}: {}", self.file, self.reason)
    }
}

impl core::error::Error for LoadError {}

#[derive(Deserialize)]
struct CaseFile<C> {
    case: Vec<C>,
}

/// The cases of a file's text.
///
/// # Errors
/// [`LoadError`] where it is no file of cases.
pub fn parse_file(file: &str, text: &str) -> Result<Vec<Case>, LoadError> {
    parse_as(file, text)
}

pub(crate) fn parse_as<C: DeserializeOwned>(file: &str, text: &str) -> Result<Vec<C>, LoadError> {
    let parsed: CaseFile<C> = toml::from_str(text)
        .map_err(|error| LoadError { file: file.to_owned(), reason: error.to_string().replace('\n', " ") })?;
    Ok(parsed.case)
}

/// True for the name of a file with wire cases, which are read elsewhere.
#[must_use]
pub fn is_wire_file(name: &str) -> bool {
    name.starts_with("sockets") && name.ends_with(".toml")
}

/// All cases in `directory` that run in process, in order of file name and place.
///
/// # Errors
/// [`LoadError`] where a file cannot be read or is none, or an id is there twice.
pub fn load(directory: &Path) -> Result<Vec<Case>, LoadError> {
    load_as(directory, |name| !is_wire_file(name), |case: &Case| &case.id)
}

/// All cases of one sort, in the files in `directory` whose names are taken.
pub(crate) fn load_as<C: DeserializeOwned>(
    directory: &Path,
    takes: impl Fn(&str) -> bool,
    id: impl Fn(&C) -> &String,
) -> Result<Vec<C>, LoadError> {
    let fail = |path: &Path, reason: String| LoadError { file: path.display().to_string(), reason };
    let entries = std::fs::read_dir(directory).map_err(|error| fail(directory, error.to_string()))?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect();
    names.retain(|name| name.ends_with(".toml") && takes(name));
    names.sort();
    let mut cases = Vec::new();
    for name in names {
        let path = directory.join(&name);
        let text = std::fs::read_to_string(&path).map_err(|error| fail(&path, error.to_string()))?;
        cases.extend(parse_as(&name, &text)?);
    }
    let mut ids = std::collections::BTreeSet::new();
    match cases.iter().find(|case| !ids.insert(id(case))) {
        Some(double) => Err(fail(directory, format!("the id {} is there twice", id(double)))),
        None => Ok(cases),
    }
}
