//! How cases write units and their content, and a codec of the runner's own.
//!
//! The runner does not use the codec under test to make what it sends or to read what comes back: a fault on both sides
//! of one codec would cancel out.
//!
//! | written | means |
//! | --- | --- |
//! | `0 'hello' .` | a unit of code 0 with two arguments, the second empty |
//! | `2@7#1 'ab'` | a unit of code 2 with ID 7 and frame number 1 |
//! | `'text'` | an argument, the octets of the text |
//! | `.` | an argument of no octets |
//! | `00ff` | an argument in hex |
//! | `61*1492` | an argument, octet 61 (hex) 1,492 times |
//! | `ramp*300` | an argument, octets counting up from 0, modulo 256 |
//! | `...` | in an expectation, as the last word: more arguments of any content may follow |

use core::fmt;

/// A line of a case that says nothing the runner understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotationError {
    /// The words.
    pub text: String,
    /// What is wrong with them.
    pub reason: &'static str,
}

impl NotationError {
    pub(crate) fn new(text: impl Into<String>, reason: &'static str) -> Self {
        Self { text: text.into(), reason }
    }
}

impl fmt::Display for NotationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.text, self.reason)
    }
}

impl core::error::Error for NotationError {}

/// The content of a unit or an event: its arguments.
pub type Content = Vec<Vec<u8>>;

/// The words of a line: split at spaces, but not inside quotes.
#[must_use]
pub fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for character in line.chars() {
        if character == '\'' {
            quoted = !quoted;
        }
        if character.is_whitespace() && !quoted {
            if !word.is_empty() {
                words.push(core::mem::take(&mut word));
            }
        } else {
            word.push(character);
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// The octets of one argument.
///
/// # Errors
/// [`NotationError`] for words that are none.
pub fn argument(word: &str) -> Result<Vec<u8>, NotationError> {
    if word == "." {
        return Ok(Vec::new());
    }
    if let Some(text) = word.strip_prefix('\'') {
        let text = text.strip_suffix('\'').ok_or_else(|| NotationError::new(word, "a quote is open"))?;
        return Ok(text.as_bytes().to_vec());
    }
    let Some((what, count)) = word.split_once('*') else {
        return hex(word);
    };
    let count: usize = count.parse().map_err(|_| NotationError::new(word, "no count behind the star"))?;
    if what == "ramp" {
        return Ok((0..=u8::MAX).cycle().take(count).collect());
    }
    hex(what).map(|once| once.repeat(count))
}

/// The octets of hex digits; spaces do not count.
///
/// # Errors
/// [`NotationError`] for other characters and half octets.
pub fn hex(text: &str) -> Result<Vec<u8>, NotationError> {
    let digits: Option<Vec<u32>> =
        text.chars().filter(|character| !character.is_whitespace()).map(|character| character.to_digit(16)).collect();
    let digits = digits.ok_or_else(|| NotationError::new(text, "neither hex, quoted text nor `.`"))?;
    if digits.len() % 2 == 1 {
        return Err(NotationError::new(text, "half an octet"));
    }
    let octet = |pair: &[u32]| u8::try_from(pair.iter().fold(0, |octet, digit| octet << 4 | digit)).unwrap_or(0);
    Ok(digits.chunks(2).map(octet).collect())
}

/// All words as arguments.
///
/// # Errors
/// The first word's that is none.
pub fn content(words: &[String]) -> Result<Content, NotationError> {
    words.iter().map(|word| argument(word)).collect()
}

/// Arguments as a case would write them; long ones by length and hash.
pub fn render<'a>(arguments: impl IntoIterator<Item = &'a [u8]>) -> String {
    arguments.into_iter().map(|octets| format!(" {}", render_one(octets))).collect()
}

fn render_one(octets: &[u8]) -> String {
    let Some((first, rest)) = octets.split_first() else { return ".".into() };
    if octets.len() > 24 {
        return match rest.iter().all(|octet| octet == first) {
            true => format!("{first:02x}*{}", octets.len()),
            false => format!("{} octets, hash {:016x}", octets.len(), fnv(octets)),
        };
    }
    match octets.iter().all(|octet| (octet.is_ascii_graphic() || *octet == b' ') && *octet != b'\'') {
        true => format!("'{}'", String::from_utf8_lossy(octets)),
        false => octets.iter().map(|octet| format!("{octet:02x}")).collect(),
    }
}

fn fnv(octets: &[u8]) -> u64 {
    octets.iter().fold(0xcbf2_9ce4_8422_2325, |hash, octet| (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3))
}

/// A unit as cases write it. It can be what no sender may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseUnit {
    /// 0 to 15 on the wire; more only to ask an encoder for it.
    pub code: u8,
    /// ID and frame number, of codes 1 to 3.
    pub ident: Option<(u16, u32)>,
    /// Its arguments.
    pub arguments: Content,
}

impl CaseUnit {
    /// From the words of a line.
    ///
    /// # Errors
    /// [`NotationError`] where they are no unit.
    pub fn parse(words: &[String]) -> Result<Self, NotationError> {
        let (head, rest) = words.split_first().ok_or_else(|| NotationError::new("", "no unit"))?;
        let (code, ident) = match head.split_once('@') {
            None => (head.as_str(), None),
            Some((code, ident)) => (code, Some(parse_ident(ident)?)),
        };
        let code: u8 = code.parse().map_err(|_| NotationError::new(head, "no code"))?;
        if ident.is_some() != (1..=3).contains(&code) {
            return Err(NotationError::new(head, "codes 1 to 3 have ID and frame number, the others do not"));
        }
        Ok(Self { code, ident, arguments: content(rest)? })
    }

    /// Its octets, by the octet tables of `docs/wire/smp-framing.md`. Lengths are cut to 16 bits and counts to 4.
    #[must_use]
    pub fn octets(&self) -> Vec<u8> {
        let low = |value: usize, mask: usize| value & mask;
        let meta = usize::from(self.code) << 4 | low(self.arguments.len(), 15);
        let mut octets = vec![u8::try_from(low(meta, 255)).unwrap_or(0)];
        if let Some((id, number)) = self.ident {
            octets.extend_from_slice(&id.to_be_bytes());
            octets.extend_from_slice(&number.to_be_bytes());
        }
        for argument in &self.arguments {
            octets.extend_from_slice(&u16::try_from(low(argument.len(), 0xffff)).unwrap_or(0).to_be_bytes());
            octets.extend_from_slice(argument);
        }
        octets
    }

    /// The unit at the start of `octets` and its length there, `None` where it is not whole.
    #[must_use]
    pub fn read(octets: &[u8]) -> Option<(Self, usize)> {
        let mut rest = octets;
        let mut take = |len: usize| {
            let (taken, behind) = rest.split_at_checked(len)?;
            rest = behind;
            Some(taken)
        };
        let meta = *take(1)?.first()?;
        let code = meta >> 4;
        let ident = match (1..=3).contains(&code) {
            false => None,
            true => {
                let id = u16::from_be_bytes(take(2)?.try_into().ok()?);
                Some((id, u32::from_be_bytes(take(4)?.try_into().ok()?)))
            }
        };
        let mut arguments = Content::new();
        for _ in 0..meta & 0x0f {
            let len = u16::from_be_bytes(take(2)?.try_into().ok()?);
            arguments.push(take(usize::from(len))?.to_vec());
        }
        let len = octets.len() - rest.len();
        Some((Self { code, ident, arguments }, len))
    }
}

impl fmt::Display for CaseUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some((id, number)) = self.ident {
            write!(f, "@{id}#{number}")?;
        }
        f.write_str(&render(self.arguments.iter().map(Vec::as_slice)))
    }
}

/// `ID#NUMBER`.
///
/// # Errors
/// [`NotationError`] where it is not.
pub fn parse_ident(word: &str) -> Result<(u16, u32), NotationError> {
    let wrong = || NotationError::new(word, "no ID#NUMBER");
    let (id, number) = word.split_once('#').ok_or_else(wrong)?;
    Ok((id.parse().map_err(|_| wrong())?, number.parse().map_err(|_| wrong())?))
}

/// An expectation in the form in which what came is rendered: the arguments are read and written again.
///
/// `head_count` words stand before the arguments.
///
/// # Errors
/// [`NotationError`] where a word is no argument.
pub fn canonical(words: &[String], head_count: usize) -> Result<String, NotationError> {
    let (head, rest) = words.split_at_checked(head_count).unwrap_or((words, &[]));
    let (rest, open) = match rest.split_last() {
        Some((last, before)) if last == "..." => (before, " ..."),
        _ => (rest, ""),
    };
    let arguments = content(rest)?;
    Ok(format!("{}{}{open}", head.join(" "), render(arguments.iter().map(Vec::as_slice))))
}

/// Whether what came is what was expected; `...` at the end of an expectation stands for any more arguments.
#[must_use]
pub fn matches(expected: &str, got: &str) -> bool {
    match expected.strip_suffix(" ...") {
        Some(beginning) => got == beginning || got.strip_prefix(beginning).is_some_and(|rest| rest.starts_with(' ')),
        None => expected == got,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(line: &str) -> CaseUnit {
        CaseUnit::parse(&words(line)).unwrap()
    }

    #[test]
    fn units_are_written_as_the_byte_tables_say() {
        assert_eq!(unit("0 'hi' .").octets(), [0x02, 0, 2, b'h', b'i', 0, 0]);
        assert_eq!(unit("1@258#16909060 ff").octets(), [0x11, 1, 2, 1, 2, 3, 4, 0, 1, 0xff]);
        assert_eq!(unit("15").octets(), [0xf0]);
        assert_eq!(unit("0 61*3").octets(), [0x01, 0, 3, b'a', b'a', b'a']);
    }

    #[test]
    fn units_are_read_as_they_were_written_and_not_before_they_are_whole() {
        for line in ["0", "4 'a b' . 00", "3@65535#4294967295 61*30"] {
            let octets = unit(line).octets();
            assert_eq!(CaseUnit::read(&octets), Some((unit(line), octets.len())));
            for len in 0..octets.len() {
                assert_eq!(CaseUnit::read(&octets[..len]), None, "{line} cut at {len}");
            }
            assert_eq!(unit(line).to_string(), line);
        }
    }

    #[test]
    fn what_is_no_unit_is_refused() {
        for line in ["", "x", "1 'a'", "0@1#2", "0 'a", "0 zz", "0 abc", "1@65536#0", "0 61*x"] {
            assert!(CaseUnit::parse(&words(line)).is_err(), "{line}");
        }
    }

    #[test]
    fn an_expectation_matches_what_it_says_and_nothing_else() {
        let expected = canonical(&words("5 '420' ..."), 1).unwrap();
        assert!(matches(&expected, "5 '420'") && matches(&expected, "5 '420' 'no'"));
        assert!(!matches(&expected, "5 '4200'") && !matches(&expected, "5 '421' 'no'"));
        assert!(!matches("message 'a'", "message 'a' 'b'"));
        assert_eq!(canonical(&words("message 6162"), 1).unwrap(), "message 'ab'");
    }
}
