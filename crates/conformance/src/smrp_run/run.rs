//! Running one case against a session.

use super::actions::{act, config_error};
use super::end::{Half, config, role};
use super::events::Told;
use super::frames::frame;
use super::peer::{Link, Peer, Sent};
use crate::case::{Case, duration};
use crate::notation::{hex, words};
use crate::run::Failure;
use core::time::Duration;
use smrp::{Config, Input, Role};
use std::collections::VecDeque;
use wirekit::{Instant, Machine};

/// Outputs and timers that one step may take: more is a session that never rests.
pub(super) const ROUNDS_MAX: usize = 100_000;
/// How the octets of the peer are cut; 0 is not at all.
const CUTTINGS: [usize; 5] = [0, 1, 3, 7, 1_000];
/// Pieces of a few octets are tried up to this many octets of a case.
const SMALL_PIECES_LEN_MAX: usize = 60_000;

/// Runs a case under all ways of cutting.
///
/// # Errors
/// The first [`Failure`].
pub fn run(case: &Case) -> Result<(), Failure> {
    let mut received_len = 0;
    for piece_len in CUTTINGS {
        let is_slow = (1..100).contains(&piece_len) && received_len > SMALL_PIECES_LEN_MAX;
        if piece_len > 0 && (case.config.session.uncut || is_slow) {
            continue;
        }
        let cutting = if piece_len == 0 { "uncut".to_owned() } else { format!("in pieces of {piece_len}") };
        let fail = |step: usize, detail: String| Failure { step, cutting: cutting.clone(), detail };
        let mut run = Run::new(case, piece_len).map_err(|detail| fail(0, format!("the case is wrong: {detail}")))?;
        for (at, line) in case.steps.iter().enumerate() {
            run.step(line).map_err(|detail| fail(at, detail))?;
        }
        run.nothing_left().map_err(|detail| fail(case.steps.len(), detail))?;
        received_len = run.received_len;
    }
    Ok(())
}

pub(super) struct Run {
    pub(super) piece_len: usize,
    pub(super) received_len: usize,
    pub(super) now: Instant,
    pub(super) config: Config,
    /// Why there is no session, where the configuration cannot be.
    pub(super) refusal: Option<String>,
    pub(super) session: Option<Half>,
    pub(super) link: Link,
    /// The link that asks to become another one of the session.
    pub(super) fresh: Option<(Half, Link)>,
    pub(super) fresh_count: u8,
    pub(super) peer: Peer,
    pub(super) is_held: bool,
    pub(super) handles: Vec<bytes::Bytes>,
    pub(super) sent: VecDeque<Sent>,
    pub(super) events: VecDeque<Told>,
    /// The `Debug` form of every event.
    pub(super) debug: String,
}

impl Run {
    fn new(case: &Case, piece_len: usize) -> Result<Self, String> {
        let (config, role) = (config(&case.config)?, role(&case.config.session)?);
        let now = Instant::from_epoch(Duration::from_secs(1_000_000));
        let (session, refusal) = match Half::new(role, config.clone(), 1, now) {
            Ok(session) => (Some(session), None),
            Err(error) => (None, Some(config_error(&error))),
        };
        let mut run = Self {
            piece_len,
            received_len: 0,
            now,
            config,
            refusal,
            session,
            link: Link::default(),
            fresh: None,
            fresh_count: 0,
            peer: Peer::new(role),
            is_held: false,
            handles: Vec::new(),
            sent: VecDeque::new(),
            events: VecDeque::new(),
            debug: String::new(),
        };
        run.drain()?;
        Ok(run)
    }

    /// The half that the newest link belongs to.
    pub(super) fn half(&mut self) -> Result<&mut Half, String> {
        match (&mut self.fresh, &mut self.session) {
            (Some((half, _)), _) | (None, Some(half)) => Ok(half),
            (None, None) => Err("there is no session: the configuration was refused".into()),
        }
    }

    fn step(&mut self, line: &str) -> Result<(), String> {
        let all = words(line);
        let (verb, rest) = all.split_first().ok_or("an empty line")?;
        let (verb, count) = match verb.split_once('*') {
            Some((verb, count)) => (verb, count.parse::<u64>().map_err(|_| "no count")?),
            None => (verb.as_str(), 1),
        };
        if verb == "flight" {
            let mut all = Vec::new();
            for at in 0..count {
                all.extend(self.octets(&stepped(rest, at))?);
            }
            return self.receive(&all);
        }
        (0..count).try_for_each(|at| self.once(verb, &stepped(rest, at)))
    }

    fn once(&mut self, verb: &str, rest: &[String]) -> Result<(), String> {
        let first = || rest.first().map(String::as_str).ok_or("something is missing");
        match verb {
            "receive" => {
                let octets = self.octets(rest)?;
                self.receive(&octets)
            }
            "begin" => self.begin(rest),
            "greet" => self.greet(rest),
            "do" => self.act(rest, None),
            "refused" => self.act(rest.get(1..).unwrap_or_default(), Some(first()?)),
            "read" => self.act(&[&["read".to_owned()], rest].concat(), None),
            "sent" => self.take_sent(rest).map(drop),
            "lost" => {
                let lost = self.take_sent(rest)?;
                self.peer.known.received_len -= lost.session_len;
                Ok(())
            }
            "event" => self.event(rest),
            "closed" => self.closed(rest),
            "wait" => self.wait(duration(first()?).map_err(|error| error.to_string())?),
            "hold" | "go" => {
                self.is_held = verb == "hold";
                self.drain()
            }
            "end" => {
                let now = self.now;
                let half = self.half()?;
                half.inbox.clear();
                let Ok(()) = half.machine.handle(now, Input::LinkLost);
                self.drain()
            }
            "link" => self.open_link(rest),
            "whatever" => {
                self.sent.clear();
                Ok(())
            }
            _ => self.look(verb, rest),
        }
    }

    /// The octets of what the peer sends.
    fn octets(&mut self, words: &[String]) -> Result<Vec<u8>, String> {
        let wrong = |error: String| format!("the case is wrong: {error}");
        let link = match &mut self.fresh {
            Some((_, link)) => link,
            None => &mut self.link,
        };
        match words.split_first() {
            Some((first, rest)) if first == "hex" => hex(&rest.concat()).map_err(|error| wrong(error.to_string())),
            Some((first, rest)) if first == "preface" => {
                let security = self.config.security.number();
                self.peer.preface(rest, security, link).map_err(wrong)
            }
            _ => {
                let composed = frame(words, &self.peer.known).map_err(wrong)?;
                if composed.is_session {
                    self.peer.known.sent_len += composed.octets.len() as u64;
                }
                Ok(composed.octets)
            }
        }
    }

    fn receive(&mut self, octets: &[u8]) -> Result<(), String> {
        self.received_len += octets.len();
        let piece_len = if self.piece_len == 0 { octets.len().max(1) } else { self.piece_len };
        for piece in octets.chunks(piece_len) {
            self.half()?.inbox.extend_from_slice(piece);
            self.drain()?;
        }
        Ok(())
    }

    /// Both say hello, and the end under test does it as it must.
    fn greet(&mut self, settings: &[String]) -> Result<(), String> {
        let tested = self.half()?.machine.role();
        let hello = [&["HELLO".to_owned()], settings].concat();
        if tested == Role::Initiator {
            self.take_greeting()?;
        }
        let preface = self.octets(&["preface".to_owned()])?;
        let hello = self.octets(&hello)?;
        self.receive(&preface)?;
        self.receive(&hello)?;
        if tested == Role::Acceptor { self.take_greeting() } else { Ok(()) }
    }

    fn take_greeting(&mut self) -> Result<(), String> {
        let security = format!("security={}", self.config.security.number());
        for due in [format!("preface versions=* {security} nonce=fresh"), "HELLO preface_hash=right ...".to_owned()] {
            self.take_sent(&words(&due))?;
        }
        Ok(())
    }

    /// The handshake, and what follows it by itself.
    fn begin(&mut self, settings: &[String]) -> Result<(), String> {
        self.greet(settings)?;
        let is_by_itself = |words: &[String]| match words.first().map(String::as_str) {
            Some("TICKET" | "UNKNOWN") => true,
            Some("PING") => !words.iter().any(|word| word == "ACK"),
            _ => false,
        };
        self.sent.retain(|sent| !is_by_itself(&sent.words));
        let count = self.events.len();
        self.events.retain(|event| event.words != ["established"]);
        let awaits_auth = self.config.demands_auth || self.config.credential != smrp::Credential::None;
        if self.events.len() == count && !awaits_auth {
            return Err(format!("no session began: {:?}", self.events));
        }
        self.events.retain(|event| event.words.first().is_none_or(|word| word != "ticket"));
        for data in core::mem::take(&mut self.peer.pings) {
            let pong = format!("PING ACK data={}", crate::smrp::number(&data));
            let octets = self.octets(&words(&pong))?;
            self.receive(&octets)?;
        }
        Ok(())
    }

    fn act(&mut self, action: &[String], refusal: Option<&str>) -> Result<(), String> {
        let now = self.now;
        let got = act(self.half()?, now, action).map_err(|error| format!("`{}`: {error}", action.join(" ")))?;
        if got.is_none() && action.first().is_some_and(|verb| verb == "relink") {
            self.link = Link::default();
        }
        match (got, refusal) {
            (None, None) => self.drain(),
            (Some(got), Some(expected)) if got == expected => self.drain(),
            (got, expected) => Err(format!("expected refusal {expected:?}, got {got:?}")),
        }
    }
}

/// Words of a step that is repeated: `7+4` is 4 more each time.
fn stepped(words: &[String], at: u64) -> Vec<String> {
    let stepped = |word: &String| {
        let (key, value) = word.split_once('=').map_or(("", word.as_str()), |(key, value)| (key, value));
        let (first, step) = value.split_once('+')?;
        let (first, step): (u64, u64) = (first.parse().ok()?, step.parse().ok()?);
        let separator = if key.is_empty() { "" } else { "=" };
        Some(format!("{key}{separator}{}", first + step * at))
    };
    words.iter().map(|word| stepped(word).unwrap_or_else(|| word.clone())).collect()
}
