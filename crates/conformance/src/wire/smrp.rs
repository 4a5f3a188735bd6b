//! Wire cases of smrp. The runner is the initiator, the implementation the acceptor; it sends what comes on a stream both ways back on it. Frames are written and
//! read as in the cases in process ([`crate::smrp_run`]), with the tables of the specification.
//!
//! | line | meaning |
//! | --- | --- |
//! | `begin`, `begin max_frame=20000` | the whole handshake, with these settings besides much credit |
//! | `flight LINE ;; LINE ...` | what these lines send goes out in one piece |
//! | `bytewise LINE` | what this line sends goes out octet by octet |
//! | `send preface ...`, `send FRAME field=value FLAG ...`, `send*3 ...`, `send hex HH ...` | octets go out |
//! | `request 0 CONTENT`, `request 0 CONTENT cut 100` | a request on that stream, whole in OPEN, or in pieces of so many octets |
//! | `body 0 CONTENT`, `body 0 CONTENT cut 100` | a stream of octets, to its FIN |
//! | `reply 0 CONTENT` | all of it comes back on that stream, then FIN; metadata may be in front and behind |
//! | `expect FRAME ...`, `expect X \| Y` | the next frame is one of these; `field=*` any value, `...` anything more |
//! | `may FRAME ...` | from here on this may come as well |
//! | `silent` | nothing comes: a request goes out on the next stream, and its reply is the next thing |
//! | `closed CODE`, `closed CODE or ended` | CLOSE with that code comes and the carrier ends; or the carrier ends |
//! | `ended` | the carrier ends, without a CLOSE |
//! | `end` | the runner ends its direction |
//!
//! Credit, acknowledgements, tickets, settings, grease and pings (which are answered) may come at any time. A case that does not end with the end of the carrier ends
//! with `silent`.

use super::link::{Came, Link};
use super::target::Target;
use crate::notation::{argument, hex, words};
use crate::smrp::put_varint;
use crate::smrp_run::frames::{expected, frame, matches};
use crate::smrp_run::peer::{Link as Wire, Peer, Sent};
use core::time::Duration;
use smrp::Role;
use std::collections::VecDeque;

/// What may come at any time.
const ANY_TIME: [&str; 10] = [
    "PADDING",
    "PING",
    "TICKET",
    "SESSION_ACK",
    "SETTINGS",
    "MAX_DATA",
    "MAX_STREAM",
    "MAX_STREAMS",
    "BLOCKED",
    "UNKNOWN",
];
/// So that what comes back never waits.
const CREDIT: &str = "init_max_data=1048576 init_max_stream=1048576";
const VERBS: [&str; 13] = [
    "begin", "flight", "bytewise", "send", "request", "body", "reply", "expect", "may", "silent", "closed", "ended",
    "end",
];

struct Run {
    link: Link,
    peer: Peer,
    wire: Wire,
    security: u8,
    came: VecDeque<Sent>,
    may: Vec<Vec<String>>,
    /// The stream behind the last one that was opened.
    next: u64,
    barriers: u32,
    is_over: bool,
}

fn say(error: impl core::fmt::Display) -> String {
    error.to_string()
}

/// Whether a line can be understood, as far as that can be told without a connection.
///
/// # Errors
/// What is wrong with it.
pub fn check(line: &str) -> Result<(), String> {
    let all = words(line);
    let verb = all.first().map_or("", |word| word.split('*').next().unwrap_or_default());
    match (verb, all.get(1)) {
        _ if !VERBS.contains(&verb) => Err(format!("{line}: no such step")),
        ("flight" | "bytewise", Some(_)) => Ok(()),
        ("send" | "request" | "body" | "reply" | "expect" | "may" | "closed" | "flight" | "bytewise", None) => {
            Err(format!("{line}: something is missing"))
        }
        _ => Ok(()),
    }
}

/// Runs a case.
///
/// # Errors
/// The first thing that was not as expected.
pub async fn run(steps: &[String], target: &Target) -> Result<(), String> {
    let security = if target.url.transport().is_tls() { 0 } else { 2 };
    let mut run = Run {
        link: target.link().await?,
        peer: Peer::new(Role::Acceptor),
        wire: Wire::default(),
        security,
        came: VecDeque::new(),
        may: Vec::new(),
        next: 0,
        barriers: 0,
        is_over: false,
    };
    for line in steps {
        check(line).map_err(|error| format!("the case is wrong: {error}"))?;
        Box::pin(run.step(line)).await.map_err(|detail| format!("`{line:.200}`: {detail}"))?;
    }
    match run.is_over {
        true => Ok(()),
        false => run.silent().await.map_err(|detail| format!("at the end: {detail}")),
    }
}

impl Run {
    async fn step(&mut self, line: &str) -> Result<(), String> {
        if let Some(lines) = line.strip_prefix("flight ") {
            let mut octets = Vec::new();
            for line in lines.split(" ;; ") {
                octets.extend(self.octets(&words(line))?);
            }
            return self.link.send(&octets).await;
        }
        let all = words(line);
        let (verb, rest) = all.split_first().ok_or("an empty line")?;
        let first = || rest.first().ok_or("something is missing");
        match verb.as_str() {
            "bytewise" => {
                for octet in self.octets(rest)? {
                    self.link.send(&[octet]).await?;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Ok(())
            }
            "begin" => self.begin(rest).await,
            "reply" => {
                let content = rest.get(1).ok_or("reply STREAM CONTENT")?;
                self.reply(first()?, &argument(content).map_err(say)?).await
            }
            "expect" => {
                let patterns: Vec<&[String]> = rest.split(|word| word == "|").collect();
                self.expect(&patterns).await.map(drop)
            }
            "may" => {
                self.may.push(rest.to_vec());
                Ok(())
            }
            "silent" => self.silent().await,
            "closed" => self.closed(first()?, rest.len() > 1).await,
            "ended" => self.ended().await,
            "end" => self.link.end().await,
            _ => {
                let octets = self.octets(&all)?;
                self.link.send(&octets).await
            }
        }
    }

    /// The octets of a line that sends.
    fn octets(&mut self, line: &[String]) -> Result<Vec<u8>, String> {
        let (verb, rest) = line.split_first().ok_or("an empty line")?;
        let (verb, count) = match verb.split_once('*') {
            Some((verb, count)) => (verb, count.parse::<u64>().map_err(|_| "no count")?),
            None => (verb.as_str(), 1),
        };
        match (verb, rest) {
            ("send", [first, rest @ ..]) if first == "hex" => hex(&rest.concat()).map_err(say),
            ("send", [first, rest @ ..]) if first == "preface" => {
                self.peer.preface(rest, self.security, &mut self.wire)
            }
            ("send", rest) => {
                let mut all = Vec::new();
                for _ in 0..count {
                    all.extend(self.frame(rest)?);
                }
                Ok(all)
            }
            ("request" | "body", [stream, content, more @ ..]) => {
                let cut = match more {
                    [word, len] if word == "cut" => Some(len.parse().map_err(|_| "cut LEN")?),
                    [] => None,
                    _ => return Err(format!("{more:?} behind the content")),
                };
                self.stream(verb == "body", stream, &argument(content).map_err(say)?, cut)
            }
            _ => Err(format!("`{}` sends nothing", line.join(" "))),
        }
    }

    fn frame(&mut self, words: &[String]) -> Result<Vec<u8>, String> {
        let stream = words.iter().find_map(|word| word.strip_prefix("stream=")?.parse::<u64>().ok());
        if let (true, Some(stream)) = (words.iter().any(|word| word == "OPEN"), stream)
            && stream % 4 == 0
        {
            self.next = self.next.max(stream + 4);
        }
        let composed = frame(words, &self.peer.known)?;
        if composed.is_session {
            self.peer.known.sent_len += composed.octets.len() as u64;
        }
        Ok(composed.octets)
    }

    /// A stream with all that goes through it. What it is stands in its metadata, for those who want to know.
    fn stream(&mut self, is_body: bool, stream: &str, content: &[u8], cut: Option<usize>) -> Result<Vec<u8>, String> {
        let content = wrapped(is_body, content);
        let (kind, name) = if is_body { ("octets", "body") } else { ("request", "parts") };
        let open = format!("OPEN stream={stream} kind={kind} type='application/vnd.postroad.{name}'");
        let Some(cut) = cut else {
            return self.frame(&words(&format!("{open} data={} FIN", digits(&content))));
        };
        let mut octets = self.frame(&words(&open))?;
        let pieces: Vec<&[u8]> = content.chunks(cut).collect();
        for (at, piece) in pieces.iter().enumerate() {
            let end = if at + 1 == pieces.len() { " FIN" } else { "" };
            octets.extend(self.frame(&words(&format!("DATA stream={stream} data={}{end}", digits(piece))))?);
        }
        Ok(octets)
    }

    async fn begin(&mut self, settings: &[String]) -> Result<(), String> {
        let preface = self.octets(&words("send preface"))?;
        let hello = self.octets(&[&words(&format!("send HELLO {CREDIT}"))[..], settings].concat())?;
        self.link.send(&[preface, hello].concat()).await?;
        self.greeting().await
    }

    async fn greeting(&mut self) -> Result<(), String> {
        let preface = words(&format!("preface versions=1 security={} nonce=fresh ...", self.security));
        self.expect(&[&preface]).await?;
        self.expect(&[&words("HELLO preface_hash=right ...")]).await.map(drop)
    }

    /// The next frame that says something; `None` where the carrier ended.
    async fn next(&mut self) -> Result<Option<Sent>, String> {
        loop {
            if let Some(sent) = self.came.pop_front() {
                return Ok(Some(sent));
            }
            match self.link.receive().await? {
                Came::Octets(octets) => self.came.extend(self.peer.read(&octets, &mut self.wire)?),
                Came::Ended(_) if Peer::left_len(&self.wire) > 0 => return Err("it left inside a frame".into()),
                Came::Ended(_) => return Ok(None),
            }
            for data in core::mem::take(&mut self.peer.pings) {
                let pong = format!("PING ACK data={}", crate::smrp::number(&data));
                let octets = self.frame(&words(&pong))?;
                self.link.send(&octets).await?;
            }
        }
    }

    async fn expect(&mut self, patterns: &[&[String]]) -> Result<Sent, String> {
        let wanted: Result<Vec<_>, _> = patterns.iter().map(|pattern| expected(pattern, &self.peer.known)).collect();
        let wanted = wanted?;
        let shown = || patterns.iter().map(|pattern| pattern.join(" ")).collect::<Vec<_>>().join(" | ");
        loop {
            let Some(sent) = self.next().await? else {
                return Err(format!("expected `{}`, got the end", shown()));
            };
            if wanted.iter().any(|pattern| matches_named(pattern, &sent.words)) {
                return Ok(sent);
            }
            if !self.is_passed_over(&sent)? {
                return Err(format!("expected `{}`, got `{:.200}`", shown(), sent.words.join(" ")));
            }
        }
    }

    fn is_passed_over(&self, sent: &Sent) -> Result<bool, String> {
        let name = sent.words.first().map_or("", String::as_str);
        if ANY_TIME.contains(&name) && !sent.words.iter().any(|word| word == "ACK") {
            return Ok(true);
        }
        for pattern in &self.may {
            if matches_named(&expected(pattern, &self.peer.known)?, &sent.words) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// All of a stream, whatever it is cut into.
    async fn reply(&mut self, stream: &str, content: &[u8]) -> Result<(), String> {
        let (one, other) = (wrapped(false, content), wrapped(true, content));
        let data = format!("DATA stream={stream} ...");
        let meta = format!("META stream={stream} ...");
        let mut got = Vec::new();
        loop {
            let sent = self.expect(&[&words(&data), &words(&meta)]).await?;
            if let Some(octets) = sent.data {
                got.extend(octets);
            }
            if sent.words.iter().any(|word| word == "FIN") {
                break;
            }
        }
        match got == one || got == other {
            true => Ok(()),
            false => Err(format!("{} octets that are not those that were sent: {:.120}", got.len(), digits(&got))),
        }
    }

    async fn silent(&mut self) -> Result<(), String> {
        self.barriers += 1;
        let (stream, text) = (self.next.to_string(), format!("'barrier-{}'", self.barriers));
        let octets = self.octets(&["request".into(), stream.clone(), text.clone()])?;
        self.link.send(&octets).await?;
        self.reply(&stream, &argument(&text).map_err(say)?).await
    }

    async fn ended(&mut self) -> Result<(), String> {
        self.is_over = true;
        while let Some(sent) = self.next().await? {
            if !self.is_passed_over(&sent)? {
                return Err(format!("not ended, but `{:.200}`", sent.words.join(" ")));
            }
        }
        Ok(())
    }

    async fn closed(&mut self, code: &str, or_ended: bool) -> Result<(), String> {
        self.is_over = true;
        let close = words(&format!("CLOSE code={code} ..."));
        let wanted = expected(&close, &self.peer.known)?;
        loop {
            match self.next().await? {
                None if or_ended => return Ok(()),
                None => return Err(format!("the carrier ended without CLOSE {code}")),
                Some(sent) if matches_named(&wanted, &sent.words) => break,
                Some(sent) if self.is_passed_over(&sent)? || is_greeting(&sent) => {}
                Some(sent) => return Err(format!("expected CLOSE {code}, got `{:.200}`", sent.words.join(" "))),
            }
        }
        match self.next().await? {
            None => Ok(()),
            Some(sent) => Err(format!("`{:.200}` behind CLOSE", sent.words.join(" "))),
        }
    }
}

/// What an acceptor may have said before it saw what is wrong.
fn is_greeting(sent: &Sent) -> bool {
    sent.words.first().is_some_and(|name| name == "preface" || name == "HELLO")
}

fn matches_named(pattern: &[String], words: &[String]) -> bool {
    pattern.first() == words.first() && matches(pattern, words)
}

/// Content as `docs/wire/smrp-streams.md` has it: a message of one part, or the content behind a head without parts.
fn wrapped(is_body: bool, content: &[u8]) -> Vec<u8> {
    let mut out = if is_body { vec![2, 0, 0] } else { vec![0, 1] };
    if !is_body {
        put_varint(&mut out, content.len() as u64);
    }
    out.extend(content);
    out
}

fn digits(octets: &[u8]) -> String {
    match octets {
        [] => ".".into(),
        _ => octets.iter().map(|octet| format!("{octet:02x}")).collect(),
    }
}
