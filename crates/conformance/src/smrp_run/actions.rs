//! What the application does, in the words of cases.

use super::end::{Half, security};
use super::events::{code_name, kind_name};
use super::tables::tables;
use crate::case::duration;
use crate::notation::{argument, render};
use bytes::Bytes;
use core::time::Duration;
use smrp::wire::{Parameters, ParametersBuilder};
use smrp::{
    Code, ConfigError, Credential, DatagramError, Grant, Kind, OpenError, Priority, ReceiveError, Request, SendError,
    StreamId,
};
use wirekit::Instant;

/// What came of an action: `None` where it worked, else the name of the refusal.
pub(crate) type Outcome = Result<Option<String>, String>;

/// The words of an action, taken one by one.
struct Words<'a> {
    left: &'a [String],
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Result<&'a str, String> {
        let (first, rest) = self.left.split_first().ok_or("something is missing")?;
        self.left = rest;
        Ok(first)
    }

    fn stream(&mut self) -> Result<StreamId, String> {
        let word = self.next()?;
        word.parse().map(StreamId::new).map_err(|_| format!("{word}: no stream"))
    }

    fn octets(&mut self) -> Result<Bytes, String> {
        argument(self.next()?).map(Bytes::from).map_err(|error| error.to_string())
    }

    fn code(&mut self) -> Result<Code, String> {
        code(self.next()?)
    }

    /// The value of `KEY=VALUE` among what is left.
    fn value(&self, key: &str) -> Option<&'a str> {
        self.left.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    fn time(&self, key: &str) -> Result<Option<Duration>, String> {
        self.value(key).map(|word| duration(word).map_err(|error| error.to_string())).transpose()
    }

    fn has(&self, word: &str) -> bool {
        self.left.iter().any(|other| other == word)
    }

    fn text(&self, key: &str) -> Option<&'a str> {
        self.value(key).map(|text| text.trim_matches('\''))
    }

    /// The parameters of metadata among what is left.
    fn metadata(&self) -> Result<Option<Parameters>, String> {
        let (mut list, mut is_there) = (ParametersBuilder::new(), false);
        for (id, key) in [(2, "name"), (4, "type"), (6, "header"), (8, "status")] {
            if let Some(word) = self.value(key) {
                list = match word.parse() {
                    Ok(number) if id == 8 => list.with_number(id, number),
                    _ => list.with(id, &argument(word).map_err(|error| error.to_string())?),
                };
                is_there = true;
            }
        }
        Ok(is_there.then(|| list.build()))
    }

    fn request(&self) -> Result<Request, String> {
        let mut request = Request::default();
        request.metadata = self.metadata()?;
        request.ttl = self.time("ttl")?;
        request.priority = self.priority()?;
        Ok(request)
    }

    fn priority(&self) -> Result<Priority, String> {
        let urgency = self.value("urgency").map_or(Ok(3), str::parse).map_err(|_| "no urgency")?;
        let priority = Priority::new(urgency);
        Ok(if self.has("sequential") { priority } else { priority.incremental() })
    }
}

fn code(word: &str) -> Result<Code, String> {
    let number = tables()?.code(word).or_else(|| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok());
    number.map(Code::new).ok_or(format!("{word}: no code"))
}

/// Does it.
pub(crate) fn act(half: &mut Half, now: Instant, words: &[String]) -> Outcome {
    let mut words = Words { left: words };
    let verb = words.next()?;
    match verb {
        "open" | "request" | "reply" | "write" | "send" | "finish" | "metadata" | "datagram" => {
            sending(half, now, verb, &mut words)
        }
        "read" => reading(half, now, &mut words),
        "reset" | "stop" | "refuse" | "release" | "release-send" | "release-receive" | "priority" => {
            ending(half, now, verb, &mut words)
        }
        _ => session(half, now, verb, &mut words),
    }
}

fn sending(half: &mut Half, now: Instant, verb: &str, words: &mut Words<'_>) -> Outcome {
    let machine = &mut half.machine;
    if verb == "datagram" {
        let flow = words.next()?.parse().map_err(|_| "no flow")?;
        let data = words.octets()?;
        return Ok(machine.send_datagram(now, flow, data, words.time("ttl")?).err().map(|error| match error {
            DatagramError::TooLarge { .. } => "too-large".into(),
            _ => "session-over".into(),
        }));
    }
    let id = words.stream()?;
    let same = |got: Result<StreamId, OpenError>| match got {
        Ok(got) if got == id => Ok(None),
        Ok(got) => Err(format!("opened {got}")),
        Err(error) => Ok(Some(open_error(&error))),
    };
    let sent = match verb {
        "open" => {
            let wanted = words.next()?;
            let kinds = [Kind::Bytes, Kind::Messages, Kind::UnorderedMessages, Kind::Request];
            let kind = kinds.into_iter().find(|kind| kind_name(*kind) == wanted).ok_or("no such kind")?;
            return same(machine.open(now, kind, id.direction(), words.request()?));
        }
        "request" => {
            let body = words.octets()?;
            return same(machine.request(now, body, words.request()?));
        }
        "reply" => machine.send_whole(id, words.octets()?),
        "write" => {
            let octets = words.octets()?;
            match machine.write(id, &octets) {
                Ok(len) if len < octets.len() => return Err(format!("only {len} octets were taken")),
                other => other.map(drop),
            }
        }
        "send" => {
            let data = words.octets()?;
            machine.send_message(now, id, data, words.time("ttl")?)
        }
        "finish" => match words.metadata()? {
            Some(trailer) => machine.finish_with(id, trailer),
            None => machine.finish(id),
        },
        _ => machine.send_metadata(id, words.metadata()?.ok_or("no metadata")?),
    };
    Ok(sent.err().map(|error| send_error(&error)))
}

fn reading(half: &mut Half, now: Instant, words: &mut Words<'_>) -> Outcome {
    let machine = &mut half.machine;
    if words.left.first().is_some_and(|word| word == "datagram") {
        words.next()?;
        let got = machine.receive_datagram();
        let got = got.map(|(flow, data)| format!("{flow}{}", render([&data[..]])));
        return differs("datagram", words.left, got.as_deref().unwrap_or("none"));
    }
    let id = words.stream()?;
    let form = words.left.first().map_or("", String::as_str);
    let got = match form {
        "message" => machine.receive_message(now, id),
        "whole" => machine.receive_whole(now, id).map(Some),
        _ => {
            // No more than is expected, so that what is left can be looked at later.
            let wanted = words.left.first().map_or(Ok(Vec::new()), |word| argument(word));
            let most = wanted.map_or(1, |octets| octets.len().max(1));
            let (mut all, mut end) = (Vec::new(), None);
            while all.len() < most {
                match machine.read_chunk(now, id, most - all.len()) {
                    Ok(Some(chunk)) => all.extend_from_slice(&chunk),
                    other => {
                        end = Some(other);
                        break;
                    }
                }
            }
            match end {
                Some(end) if all.is_empty() => end,
                _ => Ok(Some(Bytes::from(all))),
            }
        }
    };
    let expected = if ["message", "whole"].contains(&form) { words.left.get(1..) } else { Some(words.left) };
    match got {
        Ok(Some(octets)) => differs("read", expected.unwrap_or_default(), render([&octets[..]]).trim_start()),
        Ok(None) => differs("read", expected.unwrap_or_default(), "end"),
        Err(error) => Ok(Some(receive_error(&error))),
    }
}

fn differs(what: &str, expected: &[String], got: &str) -> Outcome {
    let canonical = |word: &String| match argument(word) {
        Ok(octets) if word.starts_with('\'') || word.contains('*') || word == "." || word.len() > 3 => {
            render([&octets[..]]).trim_start().to_owned()
        }
        _ => word.clone(),
    };
    let expected = expected.iter().map(canonical).collect::<Vec<_>>().join(" ");
    if expected == got { Ok(None) } else { Err(format!("{what}: expected `{expected}`, got `{got}`")) }
}

fn ending(half: &mut Half, now: Instant, verb: &str, words: &mut Words<'_>) -> Outcome {
    let (machine, id) = (&mut half.machine, words.stream()?);
    match verb {
        "reset" => {
            let code = words.code()?;
            let reliable = words.value("reliable").map_or(Ok(0), str::parse).map_err(|_| "no number")?;
            machine.reset(now, id, code, reliable);
        }
        "stop" => machine.stop(now, id, words.code()?),
        "refuse" => machine.refuse_stream(now, id, words.code()?),
        "priority" => machine.set_priority(id, words.priority()?, words.has("tell")),
        _ => {
            if verb != "release-receive" {
                machine.release_send(now, id);
            }
            if verb != "release-send" {
                machine.release_receive(now, id);
            }
        }
    }
    Ok(None)
}

fn session(half: &mut Half, now: Instant, verb: &str, words: &mut Words<'_>) -> Outcome {
    let machine = &mut half.machine;
    match verb {
        "drain" => {
            let time = duration(words.next()?).map_err(|error| error.to_string())?;
            machine.drain(now, time, words.text("redirect"));
        }
        "close" => {
            let code = words.code()?;
            let reason = words.octets().unwrap_or_default();
            machine.close(now, code, &String::from_utf8_lossy(&reason));
        }
        "close-when-sent" => machine.close_when_sent(now),
        "believe" => {
            let mut grant = Grant::default();
            grant.subject = words.text("subject").map(str::to_owned);
            let scopes = words.text("scopes").map(|list| list.split(' ').map(str::to_owned).collect());
            grant.scopes = scopes;
            grant.expires_after = words.time("expires")?;
            machine.authenticated(now, Some(grant));
        }
        "disbelieve" => machine.authenticated(now, None),
        "show" => {
            let token = String::from_utf8_lossy(&words.octets()?).into_owned();
            return Ok(machine.authenticate(Credential::Bearer(token)).err().map(|error| config_error(&error)));
        }
        "relink" => {
            let security = security(words.value("security"))?;
            let worked = machine.relink(now, security, !words.has("leaves-host"));
            return Ok((!worked).then(|| "cannot".to_owned()));
        }
        "redial-refused" => machine.redial_failed(now, true),
        "redial-failed" => machine.redial_failed(now, false),
        other => return Err(format!("{other}: no such action")),
    }
    Ok(None)
}

fn open_error(error: &OpenError) -> String {
    match error {
        OpenError::Blocked => "blocked",
        OpenError::GoingAway { .. } => "going-away",
        OpenError::Metadata { .. } => "metadata-too-long",
        OpenError::TooLarge { .. } => "too-large",
        OpenError::OverBudget => "over-budget",
        OpenError::IdsUsedUp => "ids-used-up",
        _ => "session-over",
    }
    .into()
}

fn send_error(error: &SendError) -> String {
    match error {
        SendError::Blocked => "blocked".into(),
        SendError::Stopped(code) => format!("stopped:{}", code_name(*code)),
        SendError::Finished => "finished".into(),
        SendError::TooLarge { .. } => "too-large".into(),
        SendError::Kind(_) => "kind".into(),
        SendError::NoStream(_) => "no-stream".into(),
        _ => "session-over".into(),
    }
}

fn receive_error(error: &ReceiveError) -> String {
    match error {
        ReceiveError::Blocked => "blocked".into(),
        ReceiveError::Reset(code) => format!("reset:{}", code_name(*code)),
        ReceiveError::TooLarge(_) => "too-large".into(),
        ReceiveError::Kind(_) => "kind".into(),
        ReceiveError::NoStream(_) => "no-stream".into(),
        ReceiveError::Session(error) => {
            let why = super::events::ended(error).join(":");
            format!("session-over:{why}")
        }
        _ => "refused".into(),
    }
}

/// Why a configuration cannot be.
pub(crate) fn config_error(error: &ConfigError) -> String {
    match error {
        ConfigError::Settings(_) => "settings",
        ConfigError::InnerSecurity => "inner-security",
        ConfigError::TokenInPlaintext => "token-in-plaintext",
        ConfigError::TokenLen { .. } => "token-too-long",
        ConfigError::OverBudget { .. } => "over-budget",
        ConfigError::NotBound => "not-bound",
        _ => "limit",
    }
    .into()
}
