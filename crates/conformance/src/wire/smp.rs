//! Wire cases of smp-framing.
//!
//! | line | meaning |
//! | --- | --- |
//! | `send UNIT`, `send*COUNT UNIT`, `send hex HH ...` | octets go out, in one piece (`UNIT` as in [`crate::notation`]) |
//! | `bytewise UNIT`, `bytewise hex HH ...` | octets go out one by one |
//! | `expect X`, `expect X \| Y` | the next thing that comes is one of these: `message ARG...` (whole or of frames, joined), `unit CODE ARG...`, `closed` |
//! | `may X` | from here on this may come as well, any number of times |
//! | `silent` | nothing comes: the runner sends a message, and its echo is the next thing |
//! | `end` | the runner ends its direction |
//! | `reset` | the runner ends the connection without order |
//!
//! Heartbeats, PAUSE and RESUME may come at any time. A case that does not end with `closed` ends with `silent`.

use super::link::{Came, Link};
use super::target::Target;
use crate::notation::{CaseUnit, Content, NotationError, canonical, hex, matches, render, words};
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

/// One line of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Octets go out.
    Send(Vec<u8>),
    /// Octets go out one by one.
    Bytewise(Vec<u8>),
    /// One of these comes.
    Expect(Vec<String>),
    /// This may come.
    May(String),
    /// Nothing comes.
    Silent,
    /// This direction ends.
    End,
    /// All ends.
    Reset,
}

const CLOSED: &str = "closed";

fn octets(words: &[String]) -> Result<Vec<u8>, NotationError> {
    match words {
        [first, rest @ ..] if first == "hex" => hex(&rest.concat()),
        _ => Ok(CaseUnit::parse(words)?.octets()),
    }
}

fn pattern(words: &[String]) -> Result<String, NotationError> {
    match words.first().map(String::as_str) {
        Some("message") => canonical(words, 1),
        Some("unit") if words.len() > 1 => canonical(words, 2),
        Some(CLOSED) if words.len() == 1 => Ok(CLOSED.into()),
        _ => Err(NotationError::new(words.join(" "), "neither `message`, `unit` nor `closed`")),
    }
}

impl Step {
    /// From a line.
    ///
    /// # Errors
    /// [`NotationError`] where it is none.
    pub fn parse(line: &str) -> Result<Self, NotationError> {
        let words = words(line);
        let (first, rest) = words.split_first().ok_or_else(|| NotationError::new(line, "nothing"))?;
        let (verb, count) = match first.split_once('*') {
            Some((verb, count)) => (verb, count.parse().map_err(|_| NotationError::new(line, "no count"))?),
            None => (first.as_str(), 1),
        };
        match verb {
            "send" => Ok(Self::Send(octets(rest)?.repeat(count))),
            "bytewise" => Ok(Self::Bytewise(octets(rest)?)),
            "expect" => Ok(Self::Expect(rest.split(|word| word == "|").map(pattern).collect::<Result<_, _>>()?)),
            "may" => Ok(Self::May(pattern(rest)?)),
            "silent" if rest.is_empty() => Ok(Self::Silent),
            "end" if rest.is_empty() => Ok(Self::End),
            "reset" if rest.is_empty() => Ok(Self::Reset),
            _ => Err(NotationError::new(line, "no such step")),
        }
    }
}

/// A message of frames under way to the runner.
struct Open {
    next: u32,
    content: Content,
}

/// Messages of frames under way to the runner.
#[derive(Default)]
pub(super) struct Joiner(BTreeMap<u16, Open>);

impl Joiner {
    /// Takes a frame; the message where it was the last.
    pub(super) fn join(&mut self, unit: CaseUnit) -> Result<Option<Content>, String> {
        let said = format!("{unit:.60}");
        let Some((id, number)) = unit.ident else { return Err(format!("`{said}` without ID")) };
        if unit.code == 1 || (unit.code == 3 && !self.0.contains_key(&id)) {
            // A sender numbers from 0.
            if number != 0 {
                return Err(format!("`{said}` opens a message with frame number {number}"));
            }
            self.0.insert(id, Open { next: 1, content: unit.arguments });
        } else {
            let open =
                self.0.get_mut(&id).ok_or_else(|| format!("`{said}` goes on with a message that is not open"))?;
            if number != open.next || unit.arguments.len() != open.content.len() {
                return Err(format!(
                    "`{said}` where frame number {} and {} arguments are due",
                    open.next,
                    open.content.len()
                ));
            }
            open.next = open.next.wrapping_add(1);
            for (all, more) in open.content.iter_mut().zip(unit.arguments) {
                all.extend(more);
            }
        }
        Ok(if unit.code == 3 { self.0.remove(&id).map(|open| open.content) } else { None })
    }
}

struct Run {
    link: Option<Link>,
    buffer: VecDeque<u8>,
    joiner: Joiner,
    may: Vec<String>,
    barriers: u32,
    is_closed: bool,
}

/// Runs a case.
///
/// # Errors
/// The first thing that was not as expected.
pub async fn run(steps: &[String], target: &Target) -> Result<(), String> {
    let parsed: Vec<Step> = steps
        .iter()
        .map(|line| Step::parse(line).map_err(|error| format!("the case is wrong: {error}")))
        .collect::<Result<_, _>>()?;
    let mut run = Run {
        link: Some(target.link().await?),
        buffer: VecDeque::new(),
        joiner: Joiner::default(),
        may: Vec::new(),
        barriers: 0,
        is_closed: false,
    };
    for (line, step) in steps.iter().zip(parsed) {
        run.step(step).await.map_err(|detail| format!("`{line}`: {detail}"))?;
    }
    match run.is_closed {
        true => Ok(()),
        false => run.silent().await.map_err(|detail| format!("at the end: {detail}")),
    }
}

impl Run {
    async fn step(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Send(octets) => self.link()?.send(&octets).await,
            Step::Bytewise(octets) => {
                for octet in octets {
                    self.link()?.send(&[octet]).await?;
                    // So that they do not come in one read.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Ok(())
            }
            Step::Expect(patterns) => self.expect(&patterns).await,
            Step::May(pattern) => {
                self.may.push(pattern);
                Ok(())
            }
            Step::Silent => self.silent().await,
            Step::End => self.link()?.end().await,
            Step::Reset => {
                self.is_closed = true;
                self.link.take().ok_or("it is over already")?.reset();
                Ok(())
            }
        }
    }

    fn link(&mut self) -> Result<&mut Link, String> {
        self.link.as_mut().ok_or_else(|| "the connection is gone".into())
    }

    async fn expect(&mut self, patterns: &[String]) -> Result<(), String> {
        let is_one = |patterns: &[String], got: &str| patterns.iter().any(|pattern| matches(pattern, got));
        loop {
            let got = self.next().await?;
            if is_one(patterns, &got) {
                self.is_closed = got == CLOSED;
                return Ok(());
            }
            if !is_one(&self.may, &got) {
                return Err(format!("expected `{}`, got `{got}`", patterns.join(" | ")));
            }
        }
    }

    async fn silent(&mut self) -> Result<(), String> {
        self.barriers += 1;
        let text = format!("barrier {}", self.barriers).into_bytes();
        let unit = CaseUnit { code: 0, ident: None, arguments: vec![text.clone()] };
        self.link()?.send(&unit.octets()).await?;
        self.expect(&[format!("message{}", render([text.as_slice()]))]).await
    }

    /// The next thing that says something, as a case would write it.
    async fn next(&mut self) -> Result<String, String> {
        let mut stopped = false;
        loop {
            let Some(unit) = self.unit().await? else { return Ok(CLOSED.into()) };
            match unit.code {
                _ if stopped => return Err(format!("`{unit}` behind its STOP")),
                0 => return Ok(format!("message{}", render(unit.arguments.iter().map(Vec::as_slice)))),
                1..=3 => {
                    if let Some(content) = self.joiner.join(unit)? {
                        return Ok(format!("message{}", render(content.iter().map(Vec::as_slice))));
                    }
                }
                6 | 8 | 9 => {}
                7 => stopped = true,
                10..=12 => return Err(format!("`{unit}`, whose code is reserved")),
                _ => return Ok(format!("unit {unit}")),
            }
        }
    }

    /// The next unit; `None` where the other end is gone.
    async fn unit(&mut self) -> Result<Option<CaseUnit>, String> {
        loop {
            if let Some((unit, len)) = CaseUnit::read(self.buffer.make_contiguous()) {
                self.buffer.drain(..len);
                return Ok(Some(unit));
            }
            match self.link()?.receive().await? {
                Came::Octets(octets) => self.buffer.extend(octets),
                Came::Ended(_) if self.buffer.is_empty() => return Ok(None),
                Came::Ended(ended) => return Err(format!("it left inside a unit: {ended:?}")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_what_is_none_is_refused() {
        assert_eq!(Step::parse("send*2 6"), Ok(Step::Send(vec![0x60, 0x60])));
        assert_eq!(
            Step::parse("expect message 6162 | closed"),
            Ok(Step::Expect(vec!["message 'ab'".into(), "closed".into()]))
        );
        for line in [
            "",
            "send",
            "send x",
            "expect",
            "expect 'a'",
            "expect message 'a' |",
            "may",
            "silent 3",
            "wait 3s",
            "send*x 6",
        ] {
            assert!(Step::parse(line).is_err(), "{line}");
        }
    }
}
