//! `postroad inspect`: octets to units. The decoding is the library's.

use crate::args::Inspect;
use crate::failure::Failure;
use crate::parts::hex;
use crate::talk::{Talk, data_line};
use postroad::escape;
use postroad::inspect::{End, InspectedUnit, Inspector};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Read};

const SCHEMA: &str = "postroad-inspect/1";

pub(crate) fn run(verb: &Inspect, talk: &Talk) -> Result<(), Failure> {
    let mut inspector = Inspector::new();
    match (&verb.hex, &verb.file) {
        (Some(text), _) => {
            inspector.feed(&octets_of(text)?);
            show_units(&mut inspector, talk)?;
        }
        (None, Some(path)) if path.as_os_str() == "-" => {
            feed_all(io::stdin().lock(), "standard input", &mut inspector, talk)?
        }
        (None, Some(path)) => {
            let shown = format!("`{}`", escape::text(&path.to_string_lossy()));
            let file = File::open(path).map_err(|error| {
                Failure::file(format!("could not read {shown}"), &error)
                    .with_fix("give the path of a file with the octets, or --hex with the octets themselves")
            })?;
            feed_all(file, &shown, &mut inspector, talk)?;
        }
        (None, None) => return Err(Failure::usage("nothing to inspect", "neither --hex nor a file was given")),
    }
    show_end(inspector.finish(), talk)
}

fn feed_all(mut source: impl Read, shown: &str, inspector: &mut Inspector, talk: &Talk) -> Result<(), Failure> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let len = match source.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Failure::file(format!("could not read {shown}"), &error)),
        };
        inspector.feed(buffer.get(..len).unwrap_or_default());
        show_units(inspector, talk)?;
    }
}

fn show_units(inspector: &mut Inspector, talk: &Talk) -> Result<(), Failure> {
    while let Some(unit) = inspector.next_unit() {
        data_line(&if talk.is_json() { unit_json(&unit).to_string() } else { unit_line(&unit) })?;
    }
    Ok(())
}

fn unit_json(unit: &InspectedUnit) -> Value {
    let args: Vec<String> = unit.arguments.iter().map(|argument| hex(argument)).collect();
    let mut object = json!({
        "schema": SCHEMA, "offset": unit.offset, "code": unit.code, "name": unit.name, "argc": args.len(), "args": args,
    });
    if let (Some(id), Some(frame), Some(fields)) = (unit.id, unit.frame, object.as_object_mut()) {
        fields.insert("id".to_owned(), id.into());
        fields.insert("frame".to_owned(), frame.into());
    }
    object
}

fn unit_line(unit: &InspectedUnit) -> String {
    let mut line = format!("@{} {}", unit.offset, unit.name);
    if !(0..=9).contains(&unit.code) {
        line.push_str(&format!(" {}", unit.code));
    }
    if let (Some(id), Some(frame)) = (unit.id, unit.frame) {
        line.push_str(&format!(" id={id} frame={frame}"));
    }
    line.push_str(&format!(" argc={}", unit.arguments.len()));
    for argument in &unit.arguments {
        line.push_str(&format!(" [{}] \"{}\"", argument.len(), escape::octets(argument)));
    }
    line
}

fn show_end(end: End, talk: &Talk) -> Result<(), Failure> {
    data_line(&match (end, talk.is_json()) {
        (End::Clean, true) => json!({"schema": SCHEMA, "end": "clean"}).to_string(),
        (End::Clean, false) => "clean".to_owned(),
        (End::Incomplete { missing_len, .. }, true) => {
            json!({"schema": SCHEMA, "end": "incomplete", "missing": missing_len}).to_string()
        }
        (End::Incomplete { missing_len, left_len }, false) => {
            format!("incomplete: {left_len} octets of a unit that needs at least {missing_len} more")
        }
    })
}

/// Hex digits to octets. Between octets there may be white space, commas and colons.
fn octets_of(text: &str) -> Result<Vec<u8>, Failure> {
    let refuse = |at: usize, why: &str| {
        Failure::usage("--hex holds something else than octets", format!("{why} (at character {})", at + 1))
            .with_fix("give two hex digits for each octet, as in --hex '01 00 02 68 69'")
    };
    let mut octets = Vec::new();
    let mut high: Option<u8> = None;
    for (at, character) in text.chars().enumerate() {
        let is_gap = character.is_whitespace() || character == ',' || character == ':';
        match (character.to_digit(16).and_then(|digit| u8::try_from(digit).ok()), high) {
            (Some(digit), None) => high = Some(digit),
            (Some(digit), Some(first)) => {
                octets.push(first << 4 | digit);
                high = None;
            }
            (None, None) if is_gap => {}
            (None, Some(_)) if is_gap => return Err(refuse(at, "an octet of one digit")),
            (None, _) => {
                let shown = escape::text(&character.to_string());
                return Err(refuse(at, &format!("`{shown}` is no hex digit")));
            }
        }
    }
    if high.is_some() { Err(refuse(text.chars().count(), "an octet of one digit")) } else { Ok(octets) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_read_with_gaps_between_octets_only() {
        assert_eq!(octets_of("01 00:0B,ff\n").unwrap(), [1, 0, 11, 255]);
        assert_eq!(octets_of("").unwrap(), [0u8; 0]);
        for text in ["0", "0 1", "0x01", "zz", "010"] {
            assert_eq!(octets_of(text).unwrap_err().exit_code, 2, "{text}");
        }
    }
}
