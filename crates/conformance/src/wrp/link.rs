//! One end of a link between a device and its cloud.
//!
//! | line | meaning |
//! | --- | --- |
//! | `link device`, `link cloud NAME`, `link quiet`, behind it at will the most octets of a message | an end opens; `quiet` without pings |
//! | `arrives HEX`, `arrives-text LEN`, `arrives-sign`, `pauses`, `resumes` | what comes, and whether this end reads |
//! | `got`, `passed-over WORD`, `silent SECONDS` | the next event: the message is the one of `reads` and the like; `text`, `too-long` or `no-message` |
//! | `say`, `say HEX`, `unsendable WORD` | the message goes, or octets; the last one was refused: `invalid` or `too-long` |
//! | `goes HEX`, `pings TEXT` | what goes out next |
//! | `passes SECONDS` | time |
//! | `quiet` | nothing goes out, no event waits |
//! | `hello HEADER \| HEADER ... => DEVICE TOKEN`, `greets DEVICE TOKEN => HEADER \| ...` | the headers of a device, read and written; `-` for nothing |
//! | `tries UP_SECONDS RANDOM => MILLISECONDS` | how long a device waits that was connected that long, with a chance of 0 to 1 |

use super::{decode_word, expect, octets, or_nothing};
use bytes::Bytes;
use core::time::Duration;
use std::collections::VecDeque;
use wirekit::{Instant, Machine};
use wrp::Message;
use wrp::link::{Backoff, BackoffConfig, Config, Event, Hello, Input, Link, Outgoing, Rejected, Unsendable};

/// A link, and what came of it so far.
#[derive(Debug, Default)]
pub(super) struct World {
    link: Option<Link>,
    now: Instant,
    outgoing: VecDeque<Outgoing>,
    refused: Option<&'static str>,
    backoff: Option<Backoff>,
}

impl World {
    /// Takes a step with the message of the case; `None` where it is no step of a link.
    pub(super) fn step(
        &mut self,
        word: &str,
        rest: &str,
        message: &mut Result<Message, String>,
    ) -> Option<Result<(), String>> {
        Some(match word {
            "link" => self.open(rest),
            "arrives" => octets(rest).and_then(|octets| self.hand(Input::Message(&octets.into()))),
            "arrives-text" => rest
                .parse()
                .map_err(|_| format!("`{rest}` is no length"))
                .and_then(|len| self.hand(Input::Text { len })),
            "arrives-sign" => self.hand(Input::SignOfLife),
            "pauses" | "resumes" => self.hand(Input::Paused(word == "pauses")),
            "say" => self.say(rest, message),
            "unsendable" => expect(&self.refused, &Some(rest)),
            "got" => self.next_event().and_then(|event| match event {
                Event::Message(received) => {
                    *message = Ok(received.message);
                    Ok(())
                }
                other => Err(format!("expected a message, got {other:?}")),
            }),
            "passed-over" => self.next_event().and_then(|event| expect(&rejected(&event)?, &rest)),
            "silent" => self.next_event().and_then(|event| match event {
                Event::Silent(time) => expect(&time.as_secs().to_string().as_str(), &rest),
                other => Err(format!("expected silence, got {other:?}")),
            }),
            "goes" => octets(rest).and_then(|octets| self.goes(&Outgoing::Message(octets.into()))),
            "pings" => self.goes(&Outgoing::Ping(Bytes::copy_from_slice(rest.as_bytes()))),
            "passes" => self.pass(rest),
            "quiet" => self.quiet(),
            "hello" => hello(rest),
            "greets" => greets(rest),
            "tries" => self.tries(rest),
            _ => return None,
        })
    }

    fn link(&mut self) -> Result<&mut Link, String> {
        self.link.as_mut().ok_or_else(|| "no link is open".to_owned())
    }

    fn open(&mut self, rest: &str) -> Result<(), String> {
        let words: Vec<&str> = rest.split(' ').collect();
        let (mut config, len_max) = match words.as_slice() {
            ["device", behind @ ..] => (Config::device(), behind.first()),
            ["cloud", name, behind @ ..] => (Config::cloud(name), behind.first()),
            ["quiet", behind @ ..] => (Config::without_pings(), behind.first()),
            _ => return Err(format!("`{rest}` is no end of a link")),
        };
        if let Some(len_max) = len_max {
            config.message_len_max = len_max.parse().map_err(|_| format!("`{len_max}` is no length"))?;
        }
        self.link = Some(Link::new(config));
        self.hand(Input::Opened)
    }

    fn hand(&mut self, input: Input<'_>) -> Result<(), String> {
        let now = self.now;
        self.link()?.handle(now, input).map_err(|error| error.to_string())
    }

    fn say(&mut self, rest: &str, message: &Result<Message, String>) -> Result<(), String> {
        let now = self.now;
        let said = if rest.is_empty() {
            let message = message.as_ref().map_err(|word| format!("it was refused: {word}"))?;
            self.link()?.handle(now, Input::Send(message))
        } else {
            let octets = octets(rest)?.into();
            self.link()?.handle(now, Input::SendOctets(octets))
        };
        self.refused = said.err().map(|unsendable| match unsendable {
            Unsendable::Invalid(_) => "invalid",
            Unsendable::TooLong { .. } => "too-long",
            _ => "other",
        });
        Ok(())
    }

    fn next_event(&mut self) -> Result<Event, String> {
        self.link()?.poll_event().ok_or_else(|| "no event".to_owned())
    }

    fn drain(&mut self) -> Result<(), String> {
        let (now, mut out) = (self.now, core::mem::take(&mut self.outgoing));
        self.link()?.poll_transmit(now, &mut out);
        self.outgoing = out;
        Ok(())
    }

    fn goes(&mut self, wanted: &Outgoing) -> Result<(), String> {
        self.drain()?;
        expect(&self.outgoing.pop_front().as_ref(), &Some(wanted))
    }

    fn pass(&mut self, rest: &str) -> Result<(), String> {
        let time = rest.parse().map_err(|_| format!("`{rest}` is no number of seconds"))?;
        let until = self.now + Duration::from_secs(time);
        while let Some(deadline) = self.link()?.poll_timeout().filter(|deadline| deadline.at <= until) {
            self.now = self.now.max(deadline.at);
            let now = self.now;
            self.link()?.handle_timeout(now);
            self.drain()?;
        }
        self.now = until;
        Ok(())
    }

    fn quiet(&mut self) -> Result<(), String> {
        self.drain()?;
        let event = self.link()?.poll_event();
        match (self.outgoing.front(), event) {
            (None, None) => Ok(()),
            (outgoing, event) => Err(format!("expected nothing, got {outgoing:?}, {event:?}")),
        }
    }

    fn tries(&mut self, rest: &str) -> Result<(), String> {
        let (known, wanted) = rest.split_once(" => ").ok_or("UP RANDOM => MILLISECONDS")?;
        let (up, random) = known.split_once(' ').ok_or("UP RANDOM")?;
        let up = up.parse().map_err(|_| format!("`{up}` is no number of seconds"))?;
        let random = match random {
            "0" => 0,
            "0.5" => u32::MAX / 2,
            "1" => u32::MAX,
            _ => return Err(format!("`{random}` is not 0, 0.5 or 1")),
        };
        let backoff = self.backoff.get_or_insert_with(|| Backoff::new(BackoffConfig::default()));
        let pause = backoff.pause(Duration::from_secs(up), random);
        // To the nearest: a third of a second has no end.
        let millis = (pause + Duration::from_micros(500)).as_millis();
        expect(&millis.to_string().as_str(), &wanted)
    }
}

fn rejected(event: &Event) -> Result<&'static str, String> {
    match event {
        Event::Rejected(Rejected::Text { .. }) => Ok("text"),
        Event::Rejected(Rejected::TooLong { .. }) => Ok("too-long"),
        Event::Rejected(Rejected::Decode { error, .. }) => Ok(decode_word(error.kind)),
        other => Err(format!("expected something passed over, got {other:?}")),
    }
}

fn hello(line: &str) -> Result<(), String> {
    let (headers, wanted) = line.split_once(" => ").ok_or("HEADER | HEADER => DEVICE TOKEN")?;
    let headers: Vec<(&str, &str)> = headers.split(" | ").filter_map(|header| header.split_once(": ")).collect();
    let header = |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    let got = match Hello::read(header) {
        Ok(hello) => format!("{} {}", hello.device, or_nothing(hello.token.as_deref().unwrap_or_default())),
        Err(_) => "-".to_owned(),
    };
    expect(&got.as_str(), &wanted)
}

fn greets(line: &str) -> Result<(), String> {
    let (known, wanted) = line.split_once(" => ").ok_or("DEVICE TOKEN => HEADER | HEADER")?;
    let (device, token) = known.split_once(' ').ok_or("DEVICE TOKEN")?;
    let mut hello = Hello::new(device.parse().map_err(|_| format!("`{device}` is no device"))?);
    hello.token = Some(token.to_owned()).filter(|token| token != "-");
    let got = hello.headers().iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join(" | ");
    expect(&got.as_str(), &wanted)
}
