//! Wire cases of smp121. The implementation has a mailslot, which the URL names, and answers each request with its content.
//!
//! | line | meaning |
//! | --- | --- |
//! | `resolve` | asks for the mailslot's name; the reply must be the next thing, and `n0` and `m` are then what it offers |
//! | `send SEGMENT` | a datagram goes out (`SEGMENT` as in [`crate::smp121::notation`]) |
//! | `expect SEGMENT`, `expect X \| Y` | the next datagram is one of these; `_` stands for any word, records that are not named may ride along |
//! | `may SEGMENT` | from here on this may come as well |
//! | `reply nK CONTENT` | the reply to that request is complete, whatever its parts; it is acknowledged |
//! | `reply nK CONTENT unacknowledged` | the same, without the acknowledgement |
//! | `silent nK` | nothing comes: a request goes out under that number, and its reply is the next thing |
//!
//! `NAME` is the mailslot's name, `BEYOND` one octet more than the largest request that it takes. Acknowledgements and Busy alone may come at any time, and so may
//! replies that were there before and were not acknowledged.

use super::target::Target;
use crate::notation::{NotationError, argument, words};
use crate::smp121::notation::{self, Names};
use core::time::Duration;
use postroad::url::{Address, Host, Node};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

/// No reply is put together beyond this.
const REPLY_LEN_MAX: u32 = 1 << 20;

#[derive(Debug)]
enum Socket {
    Udp(UdpSocket),
    /// A raw socket, for which reading and writing are the same calls.
    Raw(UdpSocket),
}

/// Runner's ends on raw IP so far: each case has an address of its own, as it has a port of its own on UDP.
static ADDRESSES: AtomicU16 = AtomicU16::new(0);

fn say(error: impl core::fmt::Display) -> String {
    error.to_string()
}

impl Socket {
    async fn open(node: &Node) -> Result<(Self, Names), String> {
        match node {
            Node::Udp(host, port) => {
                let place = tokio::net::lookup_host(format!("{host}:{port}")).await.map_err(say)?.next();
                let place = place.ok_or_else(|| format!("{host} has no address"))?;
                let any: SocketAddr = if place.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
                let socket = UdpSocket::bind(any).await.map_err(say)?;
                socket.connect(place).await.map_err(say)?;
                Ok((Self::Udp(socket), Names::new(false, false)))
            }
            Node::Ip(Host::Ip(IpAddr::V4(server))) => {
                let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::RAW, Some(121.into()));
                let socket = socket.map_err(|error| format!("no raw socket: {error}"))?;
                socket.set_nonblocking(true).map_err(say)?;
                if server.is_loopback() {
                    let [high, low] = (ADDRESSES.fetch_add(1, Ordering::Relaxed) + 1).to_be_bytes();
                    let own = SocketAddr::from((Ipv4Addr::new(127, 121, high, low), 0));
                    socket.bind(&own.into()).map_err(say)?;
                }
                socket.connect(&SocketAddr::from((*server, 0)).into()).map_err(say)?;
                let own = socket.local_addr().map_err(say)?.as_socket().ok_or("no address")?;
                let names = Names { here: IpAddr::V4(*server), there: own.ip(), ..Names::new(false, true) };
                Ok((Self::Raw(UdpSocket::from_std(socket.into()).map_err(say)?), names))
            }
            _ => Err("the runner speaks smp121 over UDP, or to an IPv4 address".into()),
        }
    }

    async fn send(&self, payload: &[u8]) -> Result<(), String> {
        let (Self::Udp(socket) | Self::Raw(socket)) = self;
        // An error is of a datagram before: nobody is there, which is seen where something is expected.
        let _told_later = socket.send(payload).await;
        Ok(())
    }

    /// The next datagram, without the internet header.
    async fn receive(&self) -> Result<Vec<u8>, String> {
        let (Self::Udp(socket) | Self::Raw(socket)) = self;
        let mut buffer = vec![0; 65_536];
        let len = socket.recv(&mut buffer).await.map_err(say)?;
        buffer.truncate(len);
        if matches!(self, Self::Udp(_)) {
            return Ok(buffer);
        }
        let header_len = usize::from(buffer.first().copied().unwrap_or(0) & 15) * 4;
        Ok(buffer.split_off(header_len.min(buffer.len())))
    }
}

/// One line of a case, its words not yet filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The name is resolved.
    Resolve,
    /// A datagram goes out.
    Send(Vec<String>),
    /// One of these comes.
    Expect(Vec<Vec<String>>),
    /// This may come.
    May(Vec<String>),
    /// A reply comes: its number, its content, whether it is acknowledged.
    Reply(String, Vec<u8>, bool),
    /// Nothing comes.
    Silent(String),
}

impl Step {
    /// From a line.
    ///
    /// # Errors
    /// [`NotationError`] where it is none.
    pub fn parse(line: &str) -> Result<Self, NotationError> {
        let words = words(line);
        let (verb, rest) = words.split_first().ok_or_else(|| NotationError::new(line, "nothing"))?;
        let trial = |words: &[String]| {
            let mut names = Names { mailslot: Some(1), ..Names::new(false, false) };
            names.on_offered(1);
            let filled: Vec<String> = words.iter().map(|word| fill(word, "echo", 8)).collect();
            notation::incoming(&filled, &names).map(|_| words.to_vec())
        };
        Ok(match (verb.as_str(), rest) {
            ("resolve", []) => Self::Resolve,
            ("send", [_, ..]) => Self::Send(trial(rest)?),
            ("expect", [_, ..]) => Self::Expect(rest.split(|word| word == "|").map(<[String]>::to_vec).collect()),
            ("may", [_, ..]) => Self::May(rest.to_vec()),
            ("reply", [number, content]) => Self::Reply(number.clone(), argument(content)?, true),
            ("reply", [number, content, word]) if word == "unacknowledged" => {
                Self::Reply(number.clone(), argument(content)?, false)
            }
            ("silent", [number]) => Self::Silent(number.clone()),
            _ => return Err(NotationError::new(line, "no such step")),
        })
    }
}

/// A word with what this mailslot is called and takes.
fn fill(word: &str, name: &str, largest: u32) -> String {
    word.replace("NAME", &format!("'{name}'")).replace("BEYOND", &largest.saturating_add(1).to_string())
}

/// A reply under way.
#[derive(Default)]
struct Reply {
    total: Option<u32>,
    /// Octets by place.
    octets: BTreeMap<u32, u8>,
}

impl Reply {
    fn content(&self) -> Option<Vec<u8>> {
        let total = self.total?;
        (self.octets.len() == usize::try_from(total).ok()?).then(|| self.octets.values().copied().collect())
    }
}

struct Run {
    socket: Socket,
    names: Names,
    name: String,
    largest: u32,
    may: Vec<String>,
    /// What came of replies, by number.
    replies: BTreeMap<u32, Reply>,
    /// Numbers whose replies were expected.
    claimed: Vec<u32>,
    patience: Duration,
}

/// Runs a case.
///
/// # Errors
/// The first thing that was not as expected.
pub async fn run(steps: &[String], target: &Target) -> Result<(), String> {
    let parsed: Result<Vec<Step>, _> = steps.iter().map(|line| Step::parse(line)).collect();
    let parsed = parsed.map_err(|error| format!("the case is wrong: {error}"))?;
    let Address::Mailslot { node, name } = target.url.address() else { return Err("no mailslot".into()) };
    let (socket, names) = Socket::open(node).await?;
    let name = String::from_utf8_lossy(name).into_owned();
    let (may, claimed) = (Vec::new(), Vec::new());
    let mut run =
        Run { socket, names, name, largest: 0, may, replies: BTreeMap::new(), claimed, patience: target.patience };
    for (line, step) in steps.iter().zip(parsed) {
        run.step(step).await.map_err(|detail| format!("`{line}`: {detail}"))?;
    }
    match run.replies.keys().find(|number| !run.claimed.contains(number)) {
        Some(number) => {
            Err(format!("a reply to {} that no line expects", number.wrapping_sub(run.names.base.unwrap_or(0))))
        }
        None => Ok(()),
    }
}

fn be32(payload: &[u8], at: usize) -> u32 {
    payload.get(at..at + 4).unwrap_or_default().iter().fold(0, |number, octet| number << 8 | u32::from(*octet))
}

impl Run {
    fn filled(&self, words: &[String]) -> Vec<String> {
        words.iter().map(|word| fill(word, &self.name, self.largest)).collect()
    }

    async fn send(&self, words: &[String]) -> Result<(), String> {
        let segment = notation::incoming(&self.filled(words), &self.names).map_err(say)?;
        self.socket.send(&segment.payload).await
    }

    async fn step(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Resolve => self.resolve().await,
            Step::Send(words) => self.send(&words).await,
            Step::Expect(patterns) => {
                let patterns: Vec<String> = patterns.iter().map(|words| self.filled(words).join(" ")).collect();
                self.expect(&patterns).await.map(drop)
            }
            Step::May(words) => {
                self.may.push(self.filled(&words).join(" "));
                Ok(())
            }
            Step::Reply(number, content, is_acknowledged) => self.reply(&number, &content, is_acknowledged).await,
            Step::Silent(number) => {
                let line = format!("request {number} m whole 'barrier {number}'");
                self.send(&words(&line)).await?;
                self.reply(&number, format!("barrier {number}").as_bytes(), true).await
            }
        }
    }

    async fn resolve(&mut self) -> Result<(), String> {
        self.send(&words("name-request NAME")).await?;
        (self.names.base, self.names.mailslot) = (None, None);
        let payload =
            self.expect(&[format!("name-reply _ _ _ _ '{}'", self.name), "name-reply _ _ _ _".into()]).await?;
        let number = notation::offered(&payload).ok_or("the name reply says that there is no such mailslot")?;
        self.names.on_offered(number);
        self.names.mailslot = u16::try_from(be32(&payload, 8) >> 16).ok();
        self.largest = be32(&payload, 4);
        (self.replies, self.claimed) = (BTreeMap::new(), Vec::new());
        Ok(())
    }

    /// The next datagram, as a case would write it.
    async fn next(&self, deadline: Instant) -> Result<(Vec<u8>, String), String> {
        let payload = timeout_at(deadline, self.socket.receive()).await;
        let payload = payload.map_err(|_| format!("nothing for {:?}", self.patience))??;
        let text = notation::outgoing(&payload, self.names.there, &self.names)?;
        Ok((payload, text))
    }

    async fn expect(&mut self, patterns: &[String]) -> Result<Vec<u8>, String> {
        let deadline = Instant::now() + self.patience;
        loop {
            let (payload, text) = self.next(deadline).await?;
            if patterns.iter().any(|pattern| fits(pattern, &text)) {
                return Ok(payload);
            }
            if !self.is_passed_over(&payload, &text) {
                return Err(format!("expected `{}`, got `{text}`", patterns.join(" | ")));
            }
        }
    }

    /// True for what may come at any time.
    fn is_passed_over(&self, payload: &[u8], text: &str) -> bool {
        let is_again = text.starts_with("reply ") && self.claimed.contains(&be32(payload, 0));
        let records = text.strip_prefix("records + ").map(|records| records.split(" + "));
        let is_told = records.is_some_and(|mut all| all.all(|one| one.starts_with("ack ") || one.starts_with("busy ")));
        is_again || is_told || self.may.iter().any(|pattern| fits(pattern, text))
    }

    async fn reply(&mut self, number: &str, content: &[u8], is_acknowledged: bool) -> Result<(), String> {
        let step: u32 = number.strip_prefix('n').and_then(|step| step.parse().ok()).ok_or("no number as n0")?;
        let wanted = self.names.base.ok_or("nothing is resolved yet")?.wrapping_add(step);
        let mut deadline = Instant::now() + self.patience;
        // One that was there before is asked for anew.
        if self.claimed.contains(&wanted) {
            self.replies.remove(&wanted);
        }
        self.claimed.push(wanted);
        let mut part_count = 0u32;
        loop {
            if let Some(got) = self.replies.get(&wanted).and_then(Reply::content) {
                if is_acknowledged {
                    self.acknowledge(number, got.len()).await?;
                }
                return match got == content {
                    true => Ok(()),
                    false => Err(format!("the reply has other content, {} octets", got.len())),
                };
            }
            let (payload, text) = self.next(deadline).await?;
            if !text.starts_with("reply ") {
                if !self.is_passed_over(&payload, &text) {
                    return Err(format!("expected a part of the reply, got `{text}`"));
                }
                continue;
            }
            let this = be32(&payload, 0);
            self.take_part(this, &payload)?;
            if this == wanted {
                part_count += 1;
                deadline = Instant::now() + self.patience;
                let at = self.replies.get(&this).map_or(0, |reply| reply.octets.len());
                let is_whole = self.replies.get(&this).is_some_and(|reply| reply.content().is_some());
                // Every second part, as the sender's window needs it.
                if part_count.is_multiple_of(2) && !is_whole {
                    self.acknowledge(number, at).await?;
                }
            }
        }
    }

    async fn acknowledge(&self, number: &str, offset: usize) -> Result<(), String> {
        self.send(&words(&format!("records + ack {number} m {offset}"))).await
    }

    fn take_part(&mut self, number: u32, payload: &[u8]) -> Result<(), String> {
        let (field, flags, count) =
            (be32(payload, 4), payload.get(12).copied().unwrap_or(0), payload.get(13).copied().unwrap_or(0));
        let mut at = 16;
        for _ in 0..count {
            at += 8 + usize::from(payload.get(at + 6).copied().unwrap_or(0));
        }
        let data = payload.get(at..).unwrap_or_default();
        let reply = self.replies.entry(number).or_default();
        let offset = if flags & 1 != 0 { 0 } else { field };
        if flags & 1 != 0 {
            if reply.total.is_some_and(|total| total != field) {
                return Err(format!("a reply with totals {:?} and {field}", reply.total));
            }
            reply.total = Some(field);
        }
        let end = u64::from(offset) + data.len() as u64;
        if end > u64::from(reply.total.unwrap_or(REPLY_LEN_MAX)) || end > u64::from(REPLY_LEN_MAX) {
            return Err(format!("a part of a reply up to {end}, beyond its total"));
        }
        for (place, octet) in (offset..).zip(data) {
            if reply.octets.insert(place, *octet).is_some_and(|before| before != *octet) {
                return Err(format!("octet {place} of a reply is one thing, then another"));
            }
        }
        Ok(())
    }
}

/// Whether a segment is what is expected: word by word, and with all records that are named.
fn fits(pattern: &str, text: &str) -> bool {
    let (mut wanted, mut got) = (pattern.split(" + "), text.split(" + "));
    let (Some(wanted_main), Some(got_main)) = (wanted.next(), got.next()) else { return false };
    let (one, other) = (words(wanted_main), words(got_main));
    let main = one.len() == other.len() && one.iter().zip(&other).all(|(one, other)| one == "_" || one == other);
    let records: Vec<&str> = got.collect();
    main && wanted.all(|record| records.contains(&record))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_fit_by_words_and_by_the_records_that_are_named() {
        assert!(fits("name-reply _ _ 1000 _ 'a b'", "name-reply n0 m 1000 16 'a b'"));
        assert!(fits("reply n0 m whole 'x'", "reply n0 m whole 'x' + ack n0 m 3"));
        assert!(fits("records + too-large n0 m", "records + ack n1 m 3 + too-large n0 m"));
        assert!(!fits("records + too-large n0 m", "records + ack n1 m 3"));
        assert!(!fits("reply n0 m whole 'x'", "reply n0 m whole 'y'") && !fits("name-reply _ _", "name-reply 1 2 3"));
    }

    #[test]
    fn lines_are_read_and_what_is_none_is_refused() {
        assert!(Step::parse("send checksum=0001 request n0 m whole 'x' + ack n0 m 3").is_ok());
        assert!(Step::parse("send request n0 m 0/BEYOND 'x'").is_ok());
        for line in ["", "send", "send nothing", "resolve 3", "reply n0", "reply n0 'x' never", "silent", "wait 3s"] {
            assert!(Step::parse(line).is_err(), "{line}");
        }
    }
}
