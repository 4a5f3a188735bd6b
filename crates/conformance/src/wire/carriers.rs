//! Wire cases of carriers: what lies beneath the protocol. The server echoes as in smp-framing, or begins a session of smrp.
//!
//! | line | meaning |
//! | --- | --- |
//! | `open` | a connection, ready for the protocol |
//! | `bare` | a connection of the carrier at the bottom, with nothing said on it |
//! | `tls`, `tls version=1.2 alpn=h2,smrp/1 identity=right` | TLS on a new connection; `identity` is `right`, `other` or left out, `version` `1.2` or `1.3` |
//! | `tls-refused ...` | the same, and the server refuses it |
//! | `agreed smrp/1`, `agreed nothing` | what ALPN chose |
//! | `upgrade`, `upgrade 'Name: value' ...` | a WebSocket on it, asked for with these lines besides |
//! | `head 'GET / HTTP/1.1' 'Name: value' ...` | any request; `piece` in front sends it octet by octet |
//! | `answer 404`, `answer 400 \| closed` | the answer to it; with 101 a WebSocket begins |
//! | `has 'name: value'`, `has-not 'name'` | a header of that answer |
//! | `send UNIT`, `bytewise UNIT` | a unit of smp-framing, on a WebSocket as one binary message |
//! | `raw hex HH ...`, `raw 'text'` | octets as they are, beneath any WebSocket |
//! | `ws binary CONTENT`, `ws text`, `ws ping`, `ws pong`, `ws continuation`, `ws close 1000 'why'`, `ws 3 CONTENT` | a frame; in front of the word may stand `unfinished`, `unmasked`, `reserved=4`, `says=70000` (a length), `wide` (the longest form of it) |
//! | `expect message ARG...` | the next message of the echo |
//! | `expect pong CONTENT`, `expect close 1002`, `expect close any` | the next frame; `\|` between what may come |
//! | `expect closed`, `expect closed cleanly` | the end comes, with nothing before it; of TLS with close_notify |
//! | `half-close` | this direction ends: a FIN, of TLS a close_notify |
//! | `reset` | a TCP reset |
//! | `leave` | the runner drops the connection without a word, of TLS without close_notify |
//! | `others` | another connection works as if nothing had happened |
//! | `cannot-connect URL says='words'`, `cannot-listen URL says='words'`, `no-url TEXT says='words'` | what postroad says (`--self` alone); PORT, CA, OTHER, CERT, KEY and FOLDER stand for what the case has |

use super::link::{Came, Ended, Link, PATIENCE};
use super::ours::Ours;
use super::smp;
use super::target::{Target, upgrade};
use super::tls::{self, BOTH};
use super::ws::{self, Frame, Head, Opcode};
use crate::notation::{CaseUnit, NotationError, argument, canonical, hex, matches, render, words};
use postroad::url::Address;
use std::collections::VecDeque;

/// A case's place and what it has.
#[derive(Debug)]
pub struct Place<'a> {
    /// Where.
    pub target: &'a Target,
    /// Our server, where it is one.
    pub ours: Option<&'a Ours>,
}

struct Run<'a> {
    place: &'a Place<'a>,
    link: Option<Link>,
    answer: Head,
    agreed: Option<Vec<u8>>,
    buffer: VecDeque<u8>,
    joiner: smp::Joiner,
}

/// Words that begin a line, and how many words stand behind them at least.
const VERBS: [(&str, usize); 22] = [
    ("open", 0),
    ("bare", 0),
    ("tls", 0),
    ("tls-refused", 0),
    ("agreed", 1),
    ("upgrade", 0),
    ("head", 1),
    ("piece", 1),
    ("answer", 1),
    ("has", 1),
    ("has-not", 1),
    ("send", 1),
    ("bytewise", 1),
    ("raw", 1),
    ("ws", 1),
    ("expect", 1),
    ("half-close", 0),
    ("reset", 0),
    ("leave", 0),
    ("others", 0),
    ("cannot-connect", 2),
    ("cannot-listen", 2),
];

/// Whether a line can be understood.
///
/// # Errors
/// [`NotationError`] where not.
pub fn check(line: &str) -> Result<(), NotationError> {
    let words = words(line);
    let (verb, rest) = words.split_first().ok_or_else(|| NotationError::new(line, "nothing"))?;
    let known = VERBS.iter().any(|(known, least)| known == verb && rest.len() >= *least)
        || (verb == "no-url" && rest.len() == 2);
    match verb.as_str() {
        _ if !known => Err(NotationError::new(line, "no such step")),
        "ws" => frame(rest).map(drop),
        "send" | "bytewise" => CaseUnit::parse(rest).map(drop),
        "raw" => raw(rest).map(drop),
        "expect" => rest.split(|word| word == "|").try_for_each(|one| wanted(one).map(drop)),
        _ => Ok(()),
    }
}

/// Runs a case.
///
/// # Errors
/// The first thing that was not as expected.
pub async fn run(steps: &[String], place: &Place<'_>) -> Result<(), String> {
    let mut run = Run {
        place,
        link: None,
        answer: Head::default(),
        agreed: None,
        buffer: VecDeque::new(),
        joiner: smp::Joiner::default(),
    };
    for line in steps {
        check(line).map_err(|error| format!("the case is wrong: {error}"))?;
        Box::pin(run.step(&words(line))).await.map_err(|detail| format!("`{line:.200}`: {detail}"))?;
    }
    Ok(())
}

fn say(error: impl core::fmt::Display) -> String {
    error.to_string()
}

fn raw(words: &[String]) -> Result<Vec<u8>, NotationError> {
    match words {
        [first, rest @ ..] if first == "hex" => hex(&rest.concat()),
        _ => Ok(words.iter().map(|word| argument(word)).collect::<Result<Vec<_>, _>>()?.concat()),
    }
}

/// The octets of a frame.
fn frame(words: &[String]) -> Result<Vec<u8>, NotationError> {
    let bad = || NotationError::new(words.join(" "), "no frame");
    let mut made = Frame::new(Opcode::BINARY, Vec::new(), true);
    let (mut says, mut wide, mut rest) = (None, false, words);
    while let [first, behind @ ..] = rest {
        match first.split_once('=') {
            None if first == "unfinished" => made.fin = false,
            None if first == "unmasked" => made.masked = false,
            None if first == "wide" => wide = true,
            Some(("reserved", bits)) => made.reserved = bits.parse().map_err(|_| bad())?,
            Some(("says", len)) => says = Some(len.parse::<u64>().map_err(|_| bad())?),
            _ => break,
        }
        rest = behind;
    }
    let (word, content) = rest.split_first().ok_or_else(bad)?;
    made.opcode = match word.as_str() {
        "continuation" => Opcode::CONTINUATION,
        "text" => Opcode::TEXT,
        "binary" => Opcode::BINARY,
        "close" => Opcode::CLOSE,
        "ping" => Opcode::PING,
        "pong" => Opcode::PONG,
        other => Opcode(other.parse().map_err(|_| bad())?),
    };
    made.payload = match (word.as_str(), content) {
        ("close", [code, why @ ..]) if code.len() == 4 && !code.starts_with('\'') => {
            let code: u16 = code.parse().map_err(|_| bad())?;
            [&code.to_be_bytes()[..], &raw(why)?].concat()
        }
        _ => raw(content)?,
    };
    let octets = made.octets();
    if says.is_none() && !wide {
        return Ok(octets);
    }
    let mask = if made.masked { 0x80 } else { 0 };
    let first = octets.first().copied().unwrap_or(0);
    let len = says.unwrap_or(made.payload.len() as u64);
    let body = octets.get(octets.len() - made.payload.len() - if made.masked { 4 } else { 0 }..).unwrap_or_default();
    Ok([&[first, mask | 127][..], &len.to_be_bytes(), body].concat())
}

/// What is expected, in the form in which what comes is shown.
fn wanted(words: &[String]) -> Result<String, NotationError> {
    match words.first().map(String::as_str) {
        Some("message" | "pong") => canonical(words, 1),
        Some("close") if words.len() == 2 => Ok(words.join(" ")),
        Some("closed") if words.len() == 1 || words.get(1).is_some_and(|word| word == "cleanly") => Ok(words.join(" ")),
        _ => Err(NotationError::new(words.join(" "), "nothing that can come")),
    }
}

fn client(words: &[String], place: &Place<'_>) -> Result<tls::Client, String> {
    let mut client = place.target.tls_client();
    for word in words {
        match word.split_once('=') {
            Some(("version", "1.2")) => client.versions = tls::ONLY_1_2,
            Some(("version", "1.3")) => client.versions = tls::ONLY_1_3,
            Some(("version", "both")) => client.versions = BOTH,
            Some(("alpn", names)) => {
                client.alpn =
                    names.split(',').filter(|name| !name.is_empty()).map(|name| name.as_bytes().to_vec()).collect();
            }
            Some(("identity", which)) => {
                let ours = place.ours.ok_or("identities are for our own server")?;
                client.identity = Some(ours.identity(which == "right")?);
            }
            _ => return Err(format!("{word}: no setting of TLS")),
        }
    }
    Ok(client)
}

impl Run<'_> {
    fn link(&mut self) -> Result<&mut Link, String> {
        self.link.as_mut().ok_or_else(|| "no connection is open".into())
    }

    fn host(&self) -> (String, String) {
        match self.place.target.url.address() {
            Address::Network { host, path, .. } => (host.to_string(), path.clone()),
            _ => ("localhost".into(), "/".into()),
        }
    }

    async fn step(&mut self, words: &[String]) -> Result<(), String> {
        let (verb, rest) = words.split_first().ok_or("nothing")?;
        match verb.as_str() {
            "open" => self.begin(self.place.target.link().await?),
            "bare" => self.begin(self.place.target.bare().await?),
            "tls" => {
                let client = client(rest, self.place)?;
                let (link, agreed) = self.place.target.secure_with(&client).await?;
                self.agreed = agreed;
                self.begin(link);
            }
            "tls-refused" => return self.tls_refused(rest).await,
            "agreed" => {
                let agreed =
                    self.agreed.as_ref().map_or_else(|| "nothing".into(), |name| String::from_utf8_lossy(name));
                return if rest == [agreed.to_string()] { Ok(()) } else { Err(format!("{agreed} was chosen")) };
            }
            "upgrade" => {
                let lines = lines(rest)?;
                let (host, path) = self.host();
                let link = self.link.take().ok_or("no connection is open")?;
                self.link = Some(upgrade(link, &host, &path, &lines).await?);
            }
            "head" | "piece" => return self.head(verb == "piece", rest).await,
            "answer" => return self.answered(rest).await,
            "has" | "has-not" => return self.has(verb == "has", rest),
            "send" => return self.link()?.send(&CaseUnit::parse(rest).map_err(say)?.octets()).await,
            "bytewise" => {
                for octet in CaseUnit::parse(rest).map_err(say)?.octets() {
                    self.link()?.send(&[octet]).await?;
                    tokio::time::sleep(core::time::Duration::from_millis(1)).await;
                }
            }
            "raw" => return self.link()?.write(&raw(rest).map_err(say)?).await,
            "ws" => return self.link()?.write(&frame(rest).map_err(say)?).await,
            "expect" => return self.expect(rest).await,
            "half-close" => return self.link()?.shut().await,
            "reset" => self.link.take().ok_or("no connection is open")?.reset(),
            "leave" => self.link = None,
            "others" => {
                return smp::run(&["send 0 'others'".into(), "expect message 'others'".into()], self.place.target)
                    .await;
            }
            _ => return said(self.place, verb, rest).await,
        }
        Ok(())
    }

    fn begin(&mut self, link: Link) {
        (self.buffer, self.joiner) = (VecDeque::new(), smp::Joiner::default());
        self.link = Some(link);
    }

    /// Some servers say so in the handshake, some only behind it.
    async fn tls_refused(&mut self, words: &[String]) -> Result<(), String> {
        let client = client(words, self.place)?;
        let Ok((mut link, _)) = self.place.target.secure_with(&client).await else { return Ok(()) };
        link.write(&CaseUnit { code: 0, ident: None, arguments: vec![b"in?".to_vec()] }.octets()).await?;
        match link.octets().await? {
            Err(_) => Ok(()),
            Ok(octets) => Err(format!("the server let it in, and sent {} octets", octets.len())),
        }
    }

    async fn head(&mut self, in_pieces: bool, words: &[String]) -> Result<(), String> {
        let text = lines(words)?;
        let octets = format!("{text}\r\n").into_bytes();
        let step = if in_pieces { 1 } else { octets.len() };
        for piece in octets.chunks(step) {
            self.link()?.write(piece).await?;
            if in_pieces {
                tokio::time::sleep(core::time::Duration::from_millis(1)).await;
            }
        }
        Ok(())
    }

    async fn answered(&mut self, words: &[String]) -> Result<(), String> {
        let wanted: Vec<&String> = words.iter().filter(|word| *word != "|").collect();
        let head = self.link()?.head().await;
        let got = match &head {
            Ok(head) => head.status().map_or_else(|| head.first.clone(), |status| status.to_string()),
            Err(why) if why.starts_with("no answer to the handshake") => "closed".into(),
            Err(why) => return Err(why.clone()),
        };
        if !wanted.contains(&&got) {
            return Err(format!("the answer is {got}"));
        }
        self.answer = head.unwrap_or_default();
        if got == "101" {
            ws::check_answer(&self.answer)?;
            self.link = self.link.take().map(|link| link.into_websocket(true));
        }
        Ok(())
    }

    fn has(&self, is_wanted: bool, words: &[String]) -> Result<(), String> {
        let line = String::from_utf8_lossy(&raw(words).map_err(say)?).into_owned();
        let (name, value) = line.split_once(": ").unwrap_or((&line, ""));
        let got = self.answer.header(&name.to_ascii_lowercase());
        let is_there = if value.is_empty() { got.is_some() } else { got == Some(value) };
        if is_there == is_wanted { Ok(()) } else { Err(format!("{name} is {got:?}")) }
    }

    async fn expect(&mut self, words: &[String]) -> Result<(), String> {
        let all = words.split(|word| word == "|").map(wanted).collect::<Result<Vec<_>, _>>().map_err(say)?;
        let got = self.next().await?;
        let is_one = |one: &String| match one.as_str() {
            "close any" => got.starts_with("close "),
            "closed" => got.starts_with("closed"),
            one => matches(one, &got),
        };
        if all.iter().any(is_one) { Ok(()) } else { Err(format!("expected `{}`, got `{got}`", all.join(" | "))) }
    }

    /// What comes next, as a case would write it.
    async fn next(&mut self) -> Result<String, String> {
        let mut message = Vec::new();
        loop {
            if let Some((unit, len)) = CaseUnit::read(self.buffer.make_contiguous()) {
                self.buffer.drain(..len);
                let content = match unit.code {
                    0 => Some(unit.arguments),
                    1..=3 => self.joiner.join(unit)?,
                    _ => None,
                };
                if let Some(content) = content {
                    return Ok(format!("message{}", render(content.iter().map(Vec::as_slice))));
                }
                continue;
            }
            let link = self.link.as_mut().ok_or("no connection is open")?;
            if !link.is_websocket() {
                match link.receive().await? {
                    Came::Octets(octets) => self.buffer.extend(octets),
                    Came::Ended(Ended::Cleanly(_)) => return Ok("closed cleanly".into()),
                    Came::Ended(Ended::Broken(why)) => return Ok(format!("closed: {why}")),
                }
                continue;
            }
            match link.frame().await? {
                Err(Ended::Cleanly(_)) => return Ok("closed cleanly".into()),
                Err(Ended::Broken(why)) => return Ok(format!("closed: {why}")),
                Ok(frame) if frame.masked => return Err("a masked frame from a server".into()),
                Ok(frame) if frame.reserved != 0 => return Err("a frame with reserved bits".into()),
                Ok(frame) => match frame.opcode {
                    Opcode::PONG => return Ok(format!("pong{}", render([frame.payload.as_slice()]))),
                    Opcode::PING => {}
                    Opcode::CLOSE => {
                        let code = frame.payload.first_chunk::<2>().map(|code| u16::from_be_bytes(*code));
                        return Ok(code.map_or_else(|| "close none".into(), |code| format!("close {code}")));
                    }
                    Opcode::BINARY | Opcode::CONTINUATION => {
                        message.extend(frame.payload);
                        if frame.fin {
                            self.buffer.extend(core::mem::take(&mut message));
                        }
                    }
                    Opcode(other) => return Err(format!("a frame of opcode {other}")),
                },
            }
        }
    }
}

/// What our own library says about a URL.
async fn said(place: &Place<'_>, verb: &str, words: &[String]) -> Result<(), String> {
    let ours = place.ours.ok_or("for our own library alone")?;
    let [url, says] = words else { return Err("URL says='words'".into()) };
    let says = says.strip_prefix("says=").ok_or("says='words'")?;
    let says = String::from_utf8_lossy(&argument(says).map_err(say)?).into_owned();
    let url = String::from_utf8_lossy(&argument(url).map_err(say)?).into_owned();
    let port = place.target.url.port().unwrap_or(0).to_string();
    let mut text = url.replace("PORT", &port);
    for (word, path) in ours.files()? {
        text = text.replace(word, &path);
    }
    let result = match verb {
        "no-url" => text.parse::<postroad::Url>().map(drop).map_err(say),
        "cannot-listen" => postroad::listen(text.as_str()).await.map(drop).map_err(say),
        _ => {
            let connecting = tokio::time::timeout(PATIENCE * 2, postroad::connect(text.as_str()));
            let connected = connecting.await.map_err(|_| "neither connected nor refused")?;
            connected.map(drop).map_err(say)
        }
    };
    match result {
        Ok(()) => Err(format!("{text} was taken")),
        Err(why) if why.contains(&says) => Ok(()),
        Err(why) => Err(format!("it says: {why}")),
    }
}

/// Words in quotes as lines of a head.
fn lines(words: &[String]) -> Result<String, String> {
    let line =
        |word: &String| argument(word).map_err(say).map(|line| format!("{}\r\n", String::from_utf8_lossy(&line)));
    words.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(line: &str) -> Vec<u8> {
        frame(&words(line)).unwrap()
    }

    #[test]
    fn frames_are_written_as_the_words_say() {
        assert_eq!(octets("unmasked text 'Hello'"), b"\x81\x05Hello");
        assert_eq!(octets("unmasked unfinished reserved=4 binary ff"), [0x42, 1, 0xff]);
        assert_eq!(octets("unmasked close 1000 'x'"), [0x88, 3, 0x03, 0xe8, b'x']);
        assert_eq!(octets("unmasked says=70000 binary 61"), [0x82, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70, b'a']);
        assert_eq!(octets("unmasked 11 ."), [0x8b, 0]);
        assert_eq!(octets("says=2 ping 61").len(), 2 + 8 + 4 + 1);
    }

    #[test]
    fn lines_that_are_no_steps_are_refused() {
        for line in [
            "",
            "ws",
            "ws nothing 'a'",
            "expect",
            "expect pong 'a' | nothing",
            "send",
            "raw",
            "raw hex 0",
            "wait 3s",
            "no-url x",
        ] {
            assert!(check(line).is_err(), "{line}");
        }
        for line in [
            "expect pong 'a' | close any | closed cleanly",
            "answer 400 | closed",
            "tls version=1.2",
            "no-url 'x' says='y'",
        ] {
            assert!(check(line).is_ok(), "{line}");
        }
    }
}
