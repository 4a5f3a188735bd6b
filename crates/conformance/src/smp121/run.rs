//! Running one case against an endpoint.

use super::notation::{Names, incoming, offered, outgoing};
use super::settings::{config, names};
use crate::case::{Case, duration};
use crate::notation::{NotationError, argument, hex, render, words};
use crate::run::Failure;
use bytes::Bytes;
use core::time::Duration;
use smp121::machine::{
    DropReason, EndpointMachine, Event, ExchangeId, Input, MailslotId, RemoteId, RequestId, SendOptions, TransmitBatch,
};
use smp121::{Config, UsageError};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use wirekit::datagram::{PathError, PathErrorKind};
use wirekit::{Instant, Machine};

/// Outputs and timers that one step may take: more is an endpoint that never rests.
const ROUNDS_MAX: usize = 100_000;

/// Runs a case.
///
/// # Errors
/// The first [`Failure`].
pub fn run(case: &Case) -> Result<(), Failure> {
    let fail = |step: usize, detail: String| Failure { step, cutting: "datagrams".into(), detail };
    let config = config(&case.config).map_err(|error| fail(0, format!("the case is wrong: {error}")))?;
    let mut run = Run::new(config, names(&case.config));
    for (at, line) in case.steps.iter().enumerate() {
        run.step(line).map_err(|detail| fail(at, detail))?;
    }
    run.nothing_left().map_err(|detail| fail(case.steps.len(), detail))
}

struct Run {
    machine: EndpointMachine,
    now: Instant,
    names: Names,
    mailslots: Vec<(Vec<u8>, MailslotId)>,
    remotes: BTreeMap<Vec<u8>, RemoteId>,
    exchanges: Vec<ExchangeId>,
    taken: Vec<RequestId>,
    /// As a case writes it, and the octets.
    sent: VecDeque<(String, Vec<u8>)>,
    events: VecDeque<String>,
}

impl Run {
    fn new(config: Config, names: Names) -> Self {
        Self {
            machine: EndpointMachine::new(config),
            now: Instant::from_epoch(Duration::from_secs(1_000_000)),
            names,
            mailslots: Vec::new(),
            remotes: BTreeMap::new(),
            exchanges: Vec::new(),
            taken: Vec::new(),
            sent: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    fn step(&mut self, line: &str) -> Result<(), String> {
        let all = words(line);
        let (verb, rest) = all.split_first().ok_or("an empty line")?;
        let (verb, count) = match verb.split_once('*') {
            Some((verb, count)) => (verb, count.parse::<usize>().map_err(|_| "no count")?),
            None => (verb.as_str(), 1),
        };
        let wrong = |error: NotationError| format!("the case is wrong: {error}");
        match verb {
            "receive" => {
                for _ in 0..count {
                    let datagram = incoming(rest, &self.names).map_err(wrong)?;
                    let source = SocketAddr::new(datagram.source, 0);
                    let destination = datagram.destination;
                    let input = Input::Datagram { source, destination, payload: &datagram.payload };
                    let Ok(()) = self.machine.handle(self.now, input);
                    self.drain()?;
                }
                Ok(())
            }
            "wait" => self.wait(duration(rest.first().ok_or("how long?")?).map_err(wrong)?),
            "do" => match self.act(rest).map_err(wrong)? {
                None => self.drain(),
                Some(refusal) => Err(format!("refused with {refusal}")),
            },
            "refused" => {
                let (expected, action) = rest.split_first().ok_or("no refusal")?;
                match self.act(action).map_err(wrong)? {
                    Some(got) if got == *expected => Ok(()),
                    got => Err(format!("expected refusal {expected}, got {got:?}")),
                }
            }
            "report" => {
                let error = self.report(rest).map_err(wrong)?;
                let Ok(()) = self.machine.handle(self.now, Input::PathError(&error));
                self.drain()
            }
            _ => self.look(verb, count, rest),
        }
    }

    /// What has to be so by now.
    fn look(&mut self, verb: &str, count: usize, rest: &[String]) -> Result<(), String> {
        match verb {
            "sent" if rest.first().is_some_and(|word| word == "hex") => {
                let expected = hex(&rest.get(1..).unwrap_or_default().concat())
                    .map_err(|error| format!("the case is wrong: {error}"))?;
                let got = self.sent.pop_front().map(|(_, octets)| octets);
                let text = |octets: Vec<u8>| octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
                if got.as_ref() == Some(&expected) { Ok(()) } else { Err(format!("sent hex: got {:?}", got.map(text))) }
            }
            "sent" => (0..count).try_for_each(|_| expect("sent", rest, self.sent.pop_front().map(|(text, _)| text))),
            "event" => expect("event", rest, self.events.pop_front()),
            "silent" => match (self.sent.front(), self.events.front()) {
                (None, None) => Ok(()),
                (sent, event) => {
                    Err(format!("expected silence, got sent {:?}, event {event:?}", sent.map(|(text, _)| text)))
                }
            },
            "dropped" => {
                let (word, count) = (rest.first().ok_or("what?")?, rest.get(1).ok_or("how often?")?);
                let reason =
                    DropReason::ALL.into_iter().find(|reason| reason.word() == word).ok_or("no such reason")?;
                let got = self.machine.counters().dropped_count(reason);
                if got.to_string() == *count { Ok(()) } else { Err(format!("dropped {word} {got}, expected {count}")) }
            }
            "counted" => {
                let (word, count) = (rest.first().ok_or("what?")?, rest.get(1).ok_or("how much?")?);
                let counters = self.machine.counters();
                let got = match word.as_str() {
                    "conflicts" => counters.conflicts_count,
                    "resent" => counters.resent_count,
                    "requests" => counters.requests_count,
                    "assembly-len" => counters.assembly_len,
                    "replies-len" => counters.replies_len,
                    "sent-datagrams" => counters.datagrams_sent_count,
                    _ => return Err("no such counter".into()),
                };
                if got.to_string() == *count { Ok(()) } else { Err(format!("{word} {got}, expected {count}")) }
            }
            "idle" => {
                let counters = self.machine.counters();
                let kept = (counters.assembly_len, counters.replies_len);
                match self.machine.poll_timeout() {
                    None if kept == (0, 0) => Ok(()),
                    timer => Err(format!("not idle: {timer:?}, kept {kept:?}")),
                }
            }
            _ => Err(format!("the case is wrong: no verb {verb}")),
        }
    }

    /// `None` where it was taken, else the name of the refusal.
    fn act(&mut self, words: &[String]) -> Result<Option<String>, NotationError> {
        let line = || words.join(" ");
        let word = |at: usize| words.get(at).ok_or_else(|| NotationError::new(line(), "something is missing"));
        let index = |at: usize| word(at)?.parse::<usize>().map_err(|_| NotationError::new(line(), "no index"));
        let missing = || NotationError::new(line(), "the case has no such thing");
        Ok(match word(0)?.as_str() {
            "define" => {
                let name = argument(word(1)?)?;
                match self.machine.define(&name, index(2)?) {
                    Ok(id) => {
                        self.names.mailslot.get_or_insert(id.number());
                        self.mailslots.push((name, id));
                        None
                    }
                    Err(error) => Some(usage(error)),
                }
            }
            "undefine" => {
                let name = argument(word(1)?)?;
                let id = self.mailslots.iter().rev().find(|(other, _)| *other == name).ok_or_else(missing)?.1;
                self.machine.undefine(self.now, id).err().map(usage)
            }
            "take" => {
                let request = self.mailslots.iter().find_map(|(_, id)| self.machine.receive(*id));
                match request {
                    Some(request) => {
                        self.taken.push(request.id);
                        self.events.push_back(format!("taken{}", render([&request.message[..]])));
                        None
                    }
                    None => Some("nothing".into()),
                }
            }
            "answer" => {
                let id = self.taken.get(index(1)?).copied().ok_or_else(missing)?;
                let reply = Bytes::from(argument(word(2)?)?);
                self.machine.reply(self.now, id, reply).err().map(|error| first_word(&format!("{error:?}")))
            }
            "send" => {
                let remote = match self.remote(argument(word(1)?)?) {
                    Ok(remote) => remote,
                    Err(error) => return Ok(Some(usage(error))),
                };
                let mut options = SendOptions::default();
                for pair in words.get(3..).unwrap_or_default().chunks(2) {
                    let value = pair.get(1).ok_or_else(missing)?;
                    let number = || value.parse::<usize>().map_err(|_| NotationError::new(line(), "no number"));
                    options = match pair.first().map(String::as_str) {
                        Some("reply-max") => options.with_reply_len_max(number()?),
                        Some("timeout") => options.with_timeout(duration(value)?),
                        _ => return Err(missing()),
                    };
                }
                match self.machine.send(self.now, remote, Bytes::from(argument(word(2)?)?), options) {
                    Ok(id) => {
                        self.exchanges.push(id);
                        None
                    }
                    Err(error) => Some(usage(error)),
                }
            }
            "cancel" => {
                self.machine.cancel(self.exchanges.get(index(1)?).copied().ok_or_else(missing)?);
                None
            }
            "resolve" => {
                let remote = self.remote(argument(word(1)?)?);
                remote.and_then(|remote| self.machine.resolve(self.now, remote)).err().map(usage)
            }
            _ => return Err(NotationError::new(line(), "no such action")),
        })
    }

    /// `too-long 1000`, `port`, `protocol` or `host`, and the number that is quoted.
    fn report(&self, words: &[String]) -> Result<PathError, NotationError> {
        let line = || NotationError::new(words.join(" "), "no report of the network");
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<u32>().ok());
        let (kind, quoted) = match words.first().map(String::as_str) {
            Some("too-long") => (PathErrorKind::TooLong { mtu: number(1).ok_or_else(line)? }, number(2)),
            Some("port") => (PathErrorKind::PortUnreachable, number(1)),
            Some("protocol") => (PathErrorKind::ProtocolUnreachable, number(1)),
            Some("host") => (PathErrorKind::HostUnreachable, number(1)),
            _ => return Err(line()),
        };
        let quoted = quoted.map(|number| {
            let [a, b, c, d] = number.to_be_bytes();
            [a, b, c, d, 0, 0, 0, 0]
        });
        let mut error = PathError::new(SocketAddr::new(self.names.there, 0), kind);
        error.quoted = quoted;
        Ok(error)
    }

    fn remote(&mut self, name: Vec<u8>) -> Result<RemoteId, UsageError> {
        if let Some(remote) = self.remotes.get(&name) {
            return Ok(*remote);
        }
        let remote = self.machine.get(SocketAddr::new(self.names.there, 0), self.names.here, &name)?;
        self.remotes.insert(name, remote);
        Ok(remote)
    }

    fn wait(&mut self, time: Duration) -> Result<(), String> {
        let until = self.now + time;
        for _ in 0..ROUNDS_MAX {
            match self.machine.poll_timeout().filter(|deadline| deadline.at <= until) {
                Some(deadline) => {
                    self.now = self.now.max(deadline.at);
                    self.machine.handle_timeout(self.now);
                    self.drain()?;
                }
                None => {
                    self.now = until;
                    return Ok(());
                }
            }
        }
        Err("its deadlines never end".into())
    }

    fn drain(&mut self) -> Result<(), String> {
        let mut batch = TransmitBatch::new(64, 65_536);
        for _ in 0..ROUNDS_MAX {
            batch.clear();
            let has_sent = self.machine.poll_transmit(self.now, &mut batch);
            for transmit in batch.iter() {
                let destination: IpAddr = transmit.destination.ip();
                if let Some(number) = offered(transmit.payload) {
                    self.names.on_offered(number);
                }
                let text = outgoing(transmit.payload, destination, &self.names).map_err(|why| format!("sent {why}"))?;
                let to = if destination == self.names.there { String::new() } else { format!("to={destination} ") };
                self.sent.push_back((to + &text, transmit.payload.to_vec()));
            }
            let event = self.machine.poll_event();
            let has_event = event.is_some();
            self.events.extend(event.and_then(|event| self.render(&event)));
            if !has_sent && !has_event {
                return Ok(());
            }
        }
        Err("its output never ends".into())
    }

    fn render(&self, event: &Event) -> Option<String> {
        let index = |id: &ExchangeId| self.exchanges.iter().position(|other| other == id).unwrap_or(usize::MAX);
        Some(match event {
            Event::Done { exchange, outcome: Ok(reply) } => format!("done {}{}", index(exchange), render([&reply[..]])),
            Event::Done { exchange, outcome: Err(error) } => {
                format!("failed {} {}", index(exchange), first_word(&format!("{error:?}")))
            }
            Event::Resolved { outcome: Ok(resolved), .. } => {
                format!("resolved {} {}", resolved.request_len_max, resolved.outstanding_max)
            }
            Event::Resolved { outcome: Err(error), .. } => format!("unresolved {}", first_word(&format!("{error:?}"))),
            Event::Void(id) => {
                format!("void {}", self.taken.iter().position(|other| other == id).unwrap_or(usize::MAX))
            }
            _ => return None,
        })
    }

    fn nothing_left(&mut self) -> Result<(), String> {
        match (self.sent.pop_front(), self.events.pop_front()) {
            (None, None) => Ok(()),
            (Some((sent, _)), _) => Err(format!("nothing more was expected, but `{sent}` was sent")),
            (_, Some(event)) => Err(format!("nothing more was expected, but the event `{event}` came")),
        }
    }
}

fn expect(what: &str, words: &[String], got: Option<String>) -> Result<(), String> {
    let expected = words.join(" ");
    match got {
        Some(got) if got == expected => Ok(()),
        got => Err(format!("{what}: expected `{expected}`, got {got:?}")),
    }
}

fn usage(error: UsageError) -> String {
    match error {
        UsageError::Limit(limit) => limit.limit.into(),
        other => first_word(&format!("{other:?}")),
    }
}

/// The name of a variant from its debug form.
fn first_word(debug: &str) -> String {
    debug.chars().take_while(|character| character.is_alphanumeric()).collect()
}
