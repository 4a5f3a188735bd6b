//! Frames in the words of cases, both ways.

use super::body::{Values, compose, field_name, implied_flags, kinds};
use super::proof;
use super::tables::{Kind, Parameter, Tables, tables};
use crate::notation::{argument, render};
use crate::smrp::{Row, hex, number, put_varint, read, varint};

/// The largest number of a varint.
pub(crate) const MOST: u64 = (1 << 62) - 1;
/// The C flag.
const CRITICAL: u8 = 0x80;
/// The type that says that another one follows.
const EXTENSION: u8 = 0xFF;
const STREAM_KINDS: [&str; 6] = ["octets", "messages", "unordered", "request", "subscription", "tunnel"];
const PRIORITY_FIELD: &str = "kind_and_priority";

/// What words of cases stand for.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Octets of session frames that the peer has sent.
    pub(crate) sent_len: u64,
    /// Octets of session frames that came to the peer.
    pub(crate) received_len: u64,
    /// Handles of the tickets that came to the peer.
    pub(crate) tickets: Vec<Vec<u8>>,
    /// The hash of the prefaces for the peer's HELLO.
    pub(crate) hash: Vec<u8>,
    /// The hash that the HELLO of the end under test must have.
    pub(crate) hash_due: Vec<u8>,
}

/// A frame for the end under test.
#[derive(Debug)]
pub(crate) struct Composed {
    pub(crate) octets: Vec<u8>,
    pub(crate) is_session: bool,
}

/// A frame that came from the end under test.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Its name, and its fields in alphabetical order.
    pub(crate) words: Vec<String>,
    pub(crate) is_session: bool,
    pub(crate) len: usize,
    /// The handle of a TICKET.
    pub(crate) handle: Option<Vec<u8>>,
    /// The data of a PING that asks for an answer.
    pub(crate) ping: Option<Vec<u8>>,
    /// What a frame of a stream of octets carries.
    pub(crate) data: Option<Vec<u8>>,
}

/// What stands in front of a frame's name: how it is spoilt.
#[derive(Default)]
struct Spoilt {
    flags: u8,
    length: Option<u64>,
    is_long: bool,
    cut: usize,
    extra: usize,
}

/// The octets of a frame.
pub(crate) fn frame(words: &[String], known: &Known) -> Result<Composed, String> {
    let (spoilt, words) = spoilt(words)?;
    let (name, rest) = words.split_first().ok_or("no frame")?;
    let tables = tables()?;
    if name == "UNKNOWN" {
        return unknown(rest, &spoilt);
    }
    let row = tables.row_named(name).ok_or(format!("{name}: no such frame"))?;
    let mut body = Body { row, parameters: tables.parameters(name), values: Values::new(), list: Vec::new(), flags: 0 };
    let mut raw = None;
    for word in rest {
        match word.split_once('=') {
            Some(("body", octets)) => raw = Some(argument(octets).map_err(|error| error.to_string())?),
            Some((key, value)) => body.put(key, value, known, tables)?,
            None => body.flag(word)?,
        }
    }
    let (body, flags) = match raw {
        Some(raw) => (raw, body.flags),
        None => body.compose(name, known)?,
    };
    Ok(Composed { octets: spoilt.wrap(row.number, flags, body)?, is_session: row.is_session })
}

fn spoilt(words: &[String]) -> Result<(Spoilt, &[String]), String> {
    let (mut spoilt, mut rest) = (Spoilt::default(), words);
    while let [first, behind @ ..] = rest {
        let bad = || format!("{first}: no number");
        match first.split_once('=') {
            Some(("flags", value)) => spoilt.flags = u8::from_str_radix(value, 16).map_err(|_| bad())?,
            Some(("length", value)) => spoilt.length = Some(value.parse().map_err(|_| bad())?),
            Some(("cut", value)) => spoilt.cut = value.parse().map_err(|_| bad())?,
            Some(("extra", value)) => spoilt.extra = value.parse().map_err(|_| bad())?,
            None if first == "long-length" => spoilt.is_long = true,
            _ => break,
        }
        rest = behind;
    }
    Ok((spoilt, rest))
}

impl Spoilt {
    fn wrap(&self, number: u8, flags: u8, mut body: Vec<u8>) -> Result<Vec<u8>, String> {
        body.truncate(body.len().checked_sub(self.cut).ok_or("cut: the body is shorter")?);
        body.extend(core::iter::repeat_n(0, self.extra));
        let length = self.length.unwrap_or(body.len() as u64);
        let mut out = vec![number, flags | self.flags];
        match self.is_long {
            false => put_varint(&mut out, length),
            true if length < 0x40 => out.extend([0x40, length.to_le_bytes()[0]]),
            true => return Err("long-length: the body is too long for it".into()),
        }
        out.extend(body);
        Ok(out)
    }
}

/// A frame of a type that the registry does not have, or that is written behind 0xFF.
fn unknown(words: &[String], spoilt: &Spoilt) -> Result<Composed, String> {
    let (mut number, mut body, mut flags) = (None, Vec::new(), 0);
    for word in words {
        match word.split_once('=') {
            Some(("type", value)) => number = u64::from_str_radix(value, 16).ok(),
            Some(("body", value)) => body = argument(value).map_err(|error| error.to_string())?,
            None if word == "CRITICAL" => flags = CRITICAL,
            _ => return Err(format!("{word}: UNKNOWN has type=, body= and CRITICAL")),
        }
    }
    let number = number.ok_or("no type")?;
    let octets = match u8::try_from(number) {
        Ok(number) if number != EXTENSION => spoilt.wrap(number, flags, body)?,
        _ => {
            let mut extended = Vec::new();
            put_varint(&mut extended, number);
            extended.extend(body);
            spoilt.wrap(EXTENSION, flags, extended)?
        }
    };
    Ok(Composed { octets, is_session: false })
}

/// A body while its words are read.
struct Body<'a> {
    row: &'a Row,
    parameters: Vec<Parameter>,
    values: Values,
    list: Vec<u8>,
    flags: u8,
}

impl Body<'_> {
    fn put(&mut self, key: &str, value: &str, known: &Known, tables: &Tables) -> Result<(), String> {
        if let Some(id) = key.strip_prefix('#') {
            let id = u64::from_str_radix(id, 16).map_err(|_| format!("{key}: no id"))?;
            let octets = argument(value).map_err(|error| error.to_string())?;
            self.parameter(id, &octets);
        } else if let Some((_, kind)) = kinds(self.row).into_iter().find(|(name, _)| name == key) {
            let octets = octets_of(kind, value, known, tables, known.received_len)?;
            self.values.insert(key.to_owned(), octets);
        } else if let Some(parameter) = self.parameters.iter().find(|parameter| parameter.name == key) {
            let (id, kind) = (parameter.id, parameter.kind);
            if value == "none" {
                self.values.insert(format!("no {key}"), Vec::new());
                return Ok(());
            }
            let octets = octets_of(kind, value, known, tables, known.received_len)?;
            let mut written = Vec::new();
            match kind {
                Kind::Number => put_varint(&mut written, number(&octets)),
                _ => written = octets,
            }
            self.values.insert(format!("has {key}"), Vec::new());
            self.parameter(id, &written);
        } else if self.row.name == "OPEN" && key == "kind" {
            let kind = STREAM_KINDS.iter().position(|name| *name == value).or_else(|| value.parse().ok());
            self.priority((15, kind.and_then(|kind| u8::try_from(kind << 4).ok()).ok_or("no such kind")?));
        } else if self.row.name == "OPEN" && key == "urgency" {
            self.priority((0xF8, value.parse().map_err(|_| "no urgency")?));
        } else {
            return Err(format!("{} has no {key}", self.row.name));
        }
        Ok(())
    }

    fn priority(&mut self, (keep, bits): (u8, u8)) {
        let octet = self.values.get(PRIORITY_FIELD).and_then(|octets| octets.last()).copied().unwrap_or(0x0B);
        self.values.insert(PRIORITY_FIELD.into(), vec![octet & keep | bits]);
    }

    fn parameter(&mut self, id: u64, octets: &[u8]) {
        put_varint(&mut self.list, id);
        put_varint(&mut self.list, octets.len() as u64);
        self.list.extend(octets);
    }

    fn flag(&mut self, word: &str) -> Result<(), String> {
        let setting = self.parameters.iter().find(|parameter| parameter.name == word).map(|parameter| parameter.id);
        match (word, self.row.flags.iter().find(|(_, name)| name == word), setting) {
            ("CRITICAL", ..) => self.flags |= CRITICAL,
            (_, Some((bit, _)), _) => self.flags |= bit,
            ("sequential", ..) => self.priority((0xF7, 0)),
            (_, _, Some(id)) => self.parameter(id, &[]),
            _ => return Err(format!("{} has no flag {word}", self.row.name)),
        }
        Ok(())
    }

    fn compose(mut self, name: &str, known: &Known) -> Result<(Vec<u8>, u8), String> {
        let has = |key: &str, values: &Values| values.contains_key(key);
        if name == "HELLO" && !has("no preface_hash", &self.values) && !has("has preface_hash", &self.values) {
            self.parameter(1, &known.hash);
        }
        if name == "OPEN" {
            self.values.entry(PRIORITY_FIELD.into()).or_insert_with(|| vec![0x0B]);
        }
        if !self.list.is_empty() {
            self.values.insert("parameters".into(), self.list);
        }
        let mut flags = self.flags;
        let body = compose(self.row, &self.values, &mut flags)?;
        Ok((body, flags))
    }
}

/// The octets of a value as a case writes it; numbers as 8 octets. `position` is what that word stands for.
fn octets_of(kind: Kind, word: &str, known: &Known, tables: &Tables, position: u64) -> Result<Vec<u8>, String> {
    let number = match kind {
        Kind::Octets | Kind::Parameters => {
            let ticket = word.strip_prefix("ticket").map(|at| at.parse().unwrap_or(known.tickets.len()));
            return match ticket {
                Some(at) => known.tickets.get(at.wrapping_sub(1)).cloned().ok_or("no such ticket came".into()),
                None => argument(word).map_err(|error| error.to_string()),
            };
        }
        Kind::Code => tables.code(word),
        Kind::FrameType => tables.row_named(word).map(|row| u64::from(row.number)),
        Kind::Number => position_of(word, position),
    };
    number.or_else(|| plain(word)).map(|number| number.to_be_bytes().to_vec()).ok_or(format!("{word}: no number"))
}

fn plain(word: &str) -> Option<u64> {
    match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None if word == "max" => Some(MOST),
        None => word.parse().ok(),
    }
}

/// `position`, `position-3`.
fn position_of(word: &str, position: u64) -> Option<u64> {
    let rest = word.strip_prefix("position")?;
    let by: i64 = if rest.is_empty() { 0 } else { rest.parse().ok()? };
    position.checked_add_signed(by)
}

fn shown(kind: Kind, octets: &[u8], tables: &Tables) -> String {
    let value = number(octets);
    match kind {
        Kind::Number if value == MOST => "max".into(),
        Kind::Number => value.to_string(),
        Kind::Code => tables.code_name(value),
        Kind::FrameType => {
            let row = u8::try_from(value).ok().filter(|value| *value != 0).and_then(|value| tables.row_of(value));
            row.map_or_else(|| value.to_string(), |row| row.name.clone())
        }
        Kind::Octets | Kind::Parameters => render([octets]).trim_start().to_owned(),
    }
}

/// The frame at the front of `octets`, `None` where it is not whole.
pub(crate) fn seen(octets: &[u8], known: &Known) -> Result<Option<Seen>, String> {
    let [kind, flags, rest @ ..] = octets else { return Ok(None) };
    let mut left = rest;
    let Ok(length) = varint(&mut left) else { return Ok(None) };
    let mut shortest = Vec::new();
    put_varint(&mut shortest, length);
    if !rest.starts_with(&shortest) || shortest.len() > 4 {
        return Err(format!("a length that is not in its shortest form: {}", hex(octets.get(..8).unwrap_or(octets))));
    }
    let Some(body) = usize::try_from(length).ok().and_then(|length| left.get(..length)) else { return Ok(None) };
    let len = octets.len() - left.len() + body.len();
    let tables = tables()?;
    let Some(row) = tables.row_of(*kind).filter(|_| *kind != EXTENSION) else {
        let words =
            vec!["UNKNOWN".into(), format!("body={}", shown(Kind::Octets, body, tables)), format!("type={kind:02x}")];
        return Ok(Some(Seen { words, is_session: false, len, handle: None, ping: None, data: None }));
    };
    let values = read(row, *flags, body).map_err(|error| format!("{}: {error}", row.name))?;
    let mut words = words_of(row, *flags, &values, known, tables)?;
    words.sort();
    let value = |wanted: &str| values.iter().find(|(name, _)| name == wanted).map(|(_, octets)| octets.clone());
    let handle = value("handle").filter(|_| row.name == "TICKET");
    let ping = value("data").filter(|_| row.name == "PING" && *flags == 0);
    let data = value("data").filter(|_| row.name == "DATA");
    words.insert(0, row.name.clone());
    Ok(Some(Seen { words, is_session: row.is_session, len, handle, ping, data }))
}

fn words_of(
    row: &Row,
    flags: u8,
    values: &[(String, Vec<u8>)],
    known: &Known,
    tables: &Tables,
) -> Result<Vec<String>, String> {
    let kinds = kinds(row);
    let mut words = Vec::new();
    let mut values = values.iter().peekable();
    while let Some((name, octets)) = values.next() {
        let name = field_name(name);
        let kind = kinds.iter().find(|(other, _)| *other == name).map_or(Kind::Octets, |(_, kind)| *kind);
        match kind {
            Kind::Parameters => words.extend(parameters(row, octets, known, tables)?),
            _ if name == PRIORITY_FIELD => {
                let octet = octets.last().copied().unwrap_or_default();
                let kind = STREAM_KINDS.get(usize::from(octet >> 4)).map_or("unknown", |kind| kind);
                words.push(format!("kind={kind}"));
                words.extend((octet & 7 != 3).then(|| format!("urgency={}", octet & 7)));
                words.extend((octet & 8 == 0).then(|| "sequential".to_owned()));
            }
            _ if name == "length" && matches!(values.peek(), Some((next, _)) if next == "parameters") => {}
            _ if kind == Kind::Octets && octets.is_empty() => {}
            _ => words.push(format!("{name}={}", shown(kind, octets, tables))),
        }
    }
    let told = flags & !implied_flags(row);
    words.extend(row.flags.iter().filter(|(bit, _)| told & bit != 0).map(|(_, name)| name.clone()));
    let known_flags = row.flags.iter().fold(0, |mask, (bit, _)| mask | bit);
    let other = flags & !known_flags;
    words.extend((other != 0).then(|| format!("flags={other:02x}")));
    Ok(words)
}

fn parameters(row: &Row, octets: &[u8], known: &Known, tables: &Tables) -> Result<Vec<String>, String> {
    let list = tables.parameters(&row.name);
    let (mut left, mut words, mut taken) = (octets, Vec::new(), Values::new());
    while !left.is_empty() {
        let (id, len) = (varint(&mut left)?, varint(&mut left)?);
        let value = usize::try_from(len).ok().and_then(|len| left.split_at_checked(len));
        let (value, rest) = value.ok_or(format!("{}: parameters end within one", row.name))?;
        left = rest;
        let Some(parameter) = list.iter().find(|parameter| parameter.id == id) else {
            words.push(format!("#{id:x}={}", shown(Kind::Octets, value, tables)));
            continue;
        };
        taken.insert(parameter.name.clone(), value.to_vec());
        words.push(match parameter.name.as_str() {
            "preface_hash" => format!("preface_hash={}", if value == known.hash_due { "right" } else { "wrong" }),
            "signature" if proof::is_right(&taken, octets) => "signature=right".into(),
            name if parameter.kind == Kind::Number => {
                let mut octets = value;
                format!("{name}={}", shown(Kind::Number, &varint(&mut octets)?.to_be_bytes(), tables))
            }
            name if value.is_empty() => name.to_owned(),
            name => format!("{name}={}", shown(Kind::Octets, value, tables)),
        });
    }
    Ok(words)
}

/// The words of a frame that is expected, as [`seen`] has them.
pub(crate) fn expected(words: &[String], known: &Known) -> Result<Vec<String>, String> {
    let tables = tables()?;
    let (name, rest) = words.split_first().ok_or("no frame")?;
    let row = tables.row_named(name);
    let kinds = row.map(kinds).unwrap_or_default();
    let parameters = tables.parameters(name);
    let mut list = Vec::new();
    for word in rest {
        let Some((key, value)) = word.split_once('=') else {
            list.push(word.clone());
            continue;
        };
        let kind = kinds.iter().find(|(name, _)| name == key).map(|(_, kind)| *kind);
        let kind = kind.or_else(|| parameters.iter().find(|parameter| parameter.name == key).map(|found| found.kind));
        let is_verdict = ["*", "right", "wrong", "fresh"].contains(&value);
        list.push(match kind.filter(|_| !is_verdict) {
            Some(kind) => {
                let octets = octets_of(kind, value, known, tables, known.sent_len)?;
                format!("{key}={}", shown(kind, &octets, tables))
            }
            None => word.clone(),
        });
    }
    list.sort();
    list.insert(0, name.clone());
    Ok(list)
}

/// Whether words are as expected: `KEY=*` stands for any value, `...` for anything more.
pub(crate) fn matches(expected: &[String], seen: &[String]) -> bool {
    let may_have_more = expected.iter().any(|word| word == "...");
    let mut left: Vec<&String> = seen.iter().collect();
    let all = expected.iter().filter(|word| *word != "...").all(|word| {
        let any = word.strip_suffix('*').filter(|key| key.ends_with('='));
        let found = left.iter().position(|other| *other == word || any.is_some_and(|key| other.starts_with(key)));
        found.map(|at| left.remove(at)).is_some()
    });
    all && (may_have_more || left.is_empty())
}
