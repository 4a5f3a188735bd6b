//! How cases write segments, and a codec of the runner's own.
//!
//! | written | means |
//! | --- | --- |
//! | `name-request 'printer'` | a name request |
//! | `name-reply n0 m 1000 16 'printer'` | number, mailslot, largest request, outstanding, name (may be left out) |
//! | `request n0 m whole 'hello'` | a request of one segment |
//! | `reply 100 9 0/3000 07*1384` | the first part of a reply of 3,000 octets |
//! | `reply 100 9 @2768 07*232 end` | a part at an offset; `end` sets EOM |
//! | `reset 100 9` | the flag |
//! | `records` | nothing but records |
//! | `+ ack 100 9 5`, `+ unknown 100 9`, `+ too-large 100 9`, `+ busy 100 9` | records, behind any of these |
//! | `hex 00 01 ...` | octets |
//!
//! `n0`, `n1` are numbers counted from the first one that the endpoint offers, `o0`, `o1` from the first that is far from those; `m` is the number
//! of the mailslot that it defined first, `m1` of the one behind. In front of
//! a segment that is received may stand `from=10.0.0.9`, `to=224.0.0.1` (the sum is as if it came here), `flags=0f` (hex), `length=99`,
//! `count=3` (of records), `checksum=ffff` (hex), `trailing=3`.

use crate::notation::{NotationError, argument, hex, render};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What `n` and `m` stand for, and who talks to whom.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// The endpoint under test.
    pub here: IpAddr,
    /// Its peer.
    pub there: IpAddr,
    /// False where the addresses count as zero in the checksum.
    pub sums_addresses: bool,
    /// The first number that was offered.
    pub base: Option<u32>,
    /// The first number that was offered far from that.
    pub other: Option<u32>,
    /// The first mailslot's number.
    pub mailslot: Option<u16>,
}

/// Numbers up to this far behind the first are written with `n`.
const NEAR: u32 = 1 << 27;
/// Mailslots up to this far behind the first are written with `m`.
const MAILSLOTS_MAX: u16 = 16;

impl Names {
    /// Before anything was said, over IPv4 or IPv6.
    #[must_use]
    pub const fn new(is_ipv6: bool, sums_addresses: bool) -> Self {
        let (here, there) = if is_ipv6 { (HERE6, THERE6) } else { (HERE, THERE) };
        Self { here, there, sums_addresses, base: None, other: None, mailslot: None }
    }

    /// The endpoint offers a number.
    pub fn on_offered(&mut self, number: u32) {
        let base = *self.base.get_or_insert(number);
        if number.wrapping_sub(base) >= NEAR {
            self.other.get_or_insert(number);
        }
    }

    fn number(&self, word: &str) -> Result<u32, NotationError> {
        let (base, step) = match (word.strip_prefix('n'), word.strip_prefix('o')) {
            (Some(step), _) => (self.base, step),
            (_, Some(step)) => (self.other, step),
            _ => return parse(word),
        };
        let base = base.ok_or_else(|| NotationError::new(word, "no number was offered yet"))?;
        Ok(base.wrapping_add(parse(step)?))
    }

    fn mailslot(&self, word: &str) -> Result<u16, NotationError> {
        let Some(step) = word.strip_prefix('m') else { return parse(word) };
        let first = self.mailslot.ok_or_else(|| NotationError::new(word, "no mailslot is defined yet"))?;
        Ok(first.wrapping_add(if step.is_empty() { 0 } else { parse(step)? }))
    }

    fn write_number(&self, number: u32) -> String {
        let near = |base: Option<u32>| base.map(|base| number.wrapping_sub(base)).filter(|step| *step < NEAR);
        match (near(self.base), near(self.other)) {
            (Some(step), _) => format!("n{step}"),
            (_, Some(step)) => format!("o{step}"),
            _ => number.to_string(),
        }
    }

    fn write_mailslot(&self, mailslot: u16) -> String {
        match self.mailslot.map(|first| mailslot.wrapping_sub(first)) {
            Some(0) => "m".into(),
            Some(step) if step < MAILSLOTS_MAX => format!("m{step}"),
            _ => mailslot.to_string(),
        }
    }
}

fn parse<T: core::str::FromStr>(word: &str) -> Result<T, NotationError> {
    word.parse().map_err(|_| NotationError::new(word, "no number of the range"))
}

/// A datagram to hand in.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Who sent it.
    pub source: IpAddr,
    /// Where it went.
    pub destination: IpAddr,
    /// What it carries.
    pub payload: Vec<u8>,
}

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const HERE6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2));
const THERE6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1));

#[derive(Default)]
struct Header {
    number: u32,
    field: u32,
    mailslot: u16,
    flags: u8,
}

/// The datagram that words describe.
///
/// # Errors
/// [`NotationError`] where they describe none.
pub fn incoming(words: &[String], names: &Names) -> Result<Incoming, NotationError> {
    let (mut source, mut destination) = (names.there, names.here);
    let (mut flags, mut length, mut checksum, mut claimed, mut trailing) = (None, None, None, None, 0);
    let mut rest = words;
    while let [first, behind @ ..] = rest
        && let Some((key, value)) = first.split_once('=')
    {
        let bad = || NotationError::new(first.clone(), "no number of the range");
        match key {
            "from" => source = value.parse().map_err(|_| bad())?,
            "to" => destination = value.parse().map_err(|_| bad())?,
            "count" => claimed = Some(parse::<u8>(value)?),
            "flags" => flags = Some(u8::from_str_radix(value, 16).map_err(|_| bad())?),
            "checksum" => checksum = Some(u16::from_str_radix(value, 16).map_err(|_| bad())?),
            "length" => length = Some(parse::<u16>(value)?),
            "trailing" => trailing = parse::<usize>(value)?,
            _ => return Err(NotationError::new(first.clone(), "no such setting of a segment")),
        }
        rest = behind;
    }
    if let [first, behind @ ..] = rest
        && first == "hex"
    {
        return Ok(Incoming { source, destination, payload: hex(&behind.concat())? });
    }
    let mut parts = rest.split(|word| word == "+");
    let (mut header, data) = main_part(parts.next().unwrap_or_default(), names)?;
    let (mut body, mut count) = (Vec::new(), 0u8);
    for record in parts {
        put_record(record, names, &mut body)?;
        count = count.wrapping_add(1);
    }
    body.extend(data);
    header.flags = flags.unwrap_or(header.flags);
    let whole_len = u16::try_from(16 + body.len()).map_err(|_| NotationError::new(rest.join(" "), "too long"))?;
    let length = length.unwrap_or(whole_len);
    let mut payload = header.number.to_be_bytes().to_vec();
    payload.extend(header.field.to_be_bytes());
    payload.extend(header.mailslot.to_be_bytes());
    payload.extend(length.to_be_bytes());
    payload.extend([header.flags, claimed.unwrap_or(count), 0, 0]);
    payload.extend(body);
    let covered = payload.get(..usize::from(length)).unwrap_or(&payload);
    let right = checksum_of(source, names.here, names, length, covered);
    let checksum = checksum.unwrap_or(right).to_be_bytes();
    payload.splice(14..16, checksum);
    payload.extend(core::iter::repeat_n(0xee, trailing));
    Ok(Incoming { source, destination, payload })
}

fn main_part(words: &[String], names: &Names) -> Result<(Header, Vec<u8>), NotationError> {
    let line = || words.join(" ");
    let word = |at: usize| words.get(at).ok_or_else(|| NotationError::new(line(), "something is missing"));
    let named = |octets: Vec<u8>| [octets, vec![0]].concat();
    let kind = word(0)?.as_str();
    Ok(match kind {
        "records" => (Header::default(), Vec::new()),
        "name-request" => (Header { flags: 0x14, ..Header::default() }, named(argument(word(1)?)?)),
        "name-reply" => {
            let header = Header {
                number: names.number(word(1)?)?,
                mailslot: names.mailslot(word(2)?)?,
                field: parse(word(3)?)?,
                flags: 0x18,
            };
            let mut data = parse::<u16>(word(4)?)?.to_be_bytes().to_vec();
            if let Some(name) = words.get(5) {
                data.extend(named(argument(name)?));
            }
            (header, data)
        }
        "reset" => {
            let (number, mailslot) = (names.number(word(1)?)?, names.mailslot(word(2)?)?);
            (Header { number, mailslot, field: 0, flags: 0x20 }, Vec::new())
        }
        "request" | "reply" => {
            let data = argument(word(4)?)?;
            let (number, mailslot) = (names.number(word(1)?)?, names.mailslot(word(2)?)?);
            let direction = if kind == "request" { 0x04 } else { 0x08 };
            let end = if words.get(5).is_some_and(|word| word == "end") { 0x02 } else { 0 };
            let place = word(3)?;
            let (field, place) = if place == "whole" {
                (u32::try_from(data.len()).unwrap_or(u32::MAX), 0x03)
            } else if let Some(total) = place.strip_prefix("0/") {
                (parse(total)?, 0x01)
            } else if let Some(offset) = place.strip_prefix('@') {
                (parse(offset)?, 0)
            } else {
                return Err(NotationError::new(line(), "neither `whole`, `0/TOTAL` nor `@OFFSET`"));
            };
            (Header { number, mailslot, field, flags: direction | place | end }, data)
        }
        _ => return Err(NotationError::new(line(), "no such segment")),
    })
}

fn put_record(words: &[String], names: &Names, out: &mut Vec<u8>) -> Result<(), NotationError> {
    let line = || words.join(" ");
    let word = |at: usize| words.get(at).ok_or_else(|| NotationError::new(line(), "something is missing"));
    let action = match word(0)?.as_str() {
        "unknown" => 1,
        "ack" => 2,
        "too-large" => 3,
        "busy" => 4,
        other => other
            .strip_prefix("action-")
            .ok_or_else(|| NotationError::new(line(), "no such record"))
            .and_then(parse::<u8>)?,
    };
    out.extend(names.number(word(1)?)?.to_be_bytes());
    out.extend(names.mailslot(word(2)?)?.to_be_bytes());
    let data = match (action, words.get(3)) {
        (2, Some(offset)) => parse::<u32>(offset)?.to_be_bytes().to_vec(),
        (_, Some(data)) => argument(data)?,
        (_, None) => Vec::new(),
    };
    out.push(u8::try_from(data.len()).map_err(|_| NotationError::new(line(), "too long"))?);
    out.push(action);
    out.extend(data);
    Ok(())
}

/// The checksum, word by word.
fn checksum_of(source: IpAddr, destination: IpAddr, names: &Names, length: u16, octets: &[u8]) -> u16 {
    let [high, low] = length.to_be_bytes();
    // The sum of IPv6 has the protocol and the length in 32 bits each, which comes to the same.
    let addresses = |address| match address {
        _ if !names.sums_addresses => Vec::new(),
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let pseudo = [addresses(source), addresses(destination), vec![0, 121, high, low]].concat();
    let mut sum: u32 = 0;
    for pair in pseudo.chunks(2).chain(octets.chunks(2)) {
        let word = pair.iter().fold(0, |word, octet| word << 8 | u32::from(*octet));
        sum += if pair.len() == 1 { word << 8 } else { word };
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum & 0xffff).unwrap_or(0)
}

/// What the endpoint sent, as a case would write it.
///
/// # Errors
/// What is wrong with it.
pub fn outgoing(payload: &[u8], destination: IpAddr, names: &Names) -> Result<String, String> {
    let take = |at: usize, len: usize| payload.get(at..at + len).ok_or_else(|| "a segment too short".to_owned());
    let be16 = |at: usize| take(at, 2).map(|octets| octets.iter().fold(0u16, |n, octet| n << 8 | u16::from(*octet)));
    let be32 = |at: usize| take(at, 4).map(|octets| octets.iter().fold(0u32, |n, octet| n << 8 | u32::from(*octet)));
    let header = take(0, 16)?;
    let (number, field, mailslot, length) = (be32(0)?, be32(4)?, be16(8)?, be16(10)?);
    let (flags, count) = (header.get(12).copied().unwrap_or(0), header.get(13).copied().unwrap_or(0));
    if usize::from(length) != payload.len() {
        return Err(format!("length field {length}, {} octets", payload.len()));
    }
    if checksum_of(names.here, destination, names, length, payload) != 0 {
        return Err("a wrong checksum".into());
    }
    let mut at = 16;
    let mut records = String::new();
    for _ in 0..count {
        let (number, mailslot) = (names.write_number(be32(at)?), names.write_mailslot(be16(at + 4)?));
        let (size, action) = (take(at + 6, 1)?.first().copied().unwrap_or(0), take(at + 7, 1)?.first().copied());
        let offset = if size == 4 { format!(" {}", be32(at + 8)?) } else { String::new() };
        let word = match (action, size) {
            (Some(1), 0) => "unknown",
            (Some(2), 4) => "ack",
            (Some(3), 0) => "too-large",
            (Some(4), 0) => "busy",
            _ => return Err(format!("action {action:?} with {size} octets")),
        };
        records.push_str(&format!(" + {word} {number} {mailslot}{offset}"));
        at += 8 + usize::from(size);
    }
    let data = payload.get(at..).unwrap_or_default();
    let (number, mailslot) = (names.write_number(number), names.write_mailslot(mailslot));
    let name = |octets: &[u8]| octets.strip_suffix(&[0]).map(|name| render([name])).ok_or("a name without NUL");
    let main = match flags {
        0 if data.is_empty() => "records".to_owned(),
        0x14 => format!("name-request{}", name(data)?),
        0x18 => {
            let outstanding = be16(at)?;
            let name = if data.len() > 2 { name(data.get(2..).unwrap_or_default())? } else { String::new() };
            format!("name-reply {number} {mailslot} {field} {outstanding}{name}")
        }
        0x20 => format!("reset {number} {mailslot}"),
        _ if flags & 0xf0 == 0 && (flags & 0x0c == 4 || flags & 0x0c == 8) => {
            let word = if flags & 4 != 0 { "request" } else { "reply" };
            let is_whole = flags & 3 == 3 && usize::try_from(field) == Ok(data.len());
            let place = match flags & 1 {
                _ if is_whole => "whole".to_owned(),
                1 => format!("0/{field}"),
                _ => format!("@{field}"),
            };
            let end = if flags & 2 != 0 && !is_whole { " end" } else { "" };
            format!("{word} {number} {mailslot} {place}{}{end}", render([data]))
        }
        _ => return Err(format!("flags {flags:#04x} with {} octets", data.len())),
    };
    Ok(main + &records)
}

/// The number that a name reply offers.
#[must_use]
pub fn offered(payload: &[u8]) -> Option<u32> {
    let is_offer = payload.get(12) == Some(&0x18) && payload.get(16..18).is_some_and(|octets| octets != [0, 0]);
    let number = payload.get(..4)?.iter().fold(0u32, |n, octet| n << 8 | u32::from(*octet));
    is_offer.then_some(number)
}
