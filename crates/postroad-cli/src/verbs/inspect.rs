//! `postroad inspect`: octets to units, segments and messages. The decoding is the library's.

mod message;
mod segments;
mod session;

use crate::args::Inspect;
use crate::failure::Failure;
use crate::parts::hex;
use crate::talk::{Talk, data_line};
use postroad::escape;
use postroad::inspect::{End, InspectedSegment, InspectedUnit, Inspector};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Read};

const SCHEMA: &str = "postroad-inspect/1";

/// Octets of a WRP message that are read at most.
const MESSAGE_LEN_MAX: u64 = 16 << 20;

pub(crate) fn run(verb: &Inspect, talk: &Talk) -> Result<(), Failure> {
    if verb.protocol != "smrp" && !verb.ports.is_empty() {
        return Err(Failure::usage("--port does not fit here", "only sessions are looked for in TCP streams")
            .with_fix("leave it out, or add --protocol smrp"));
    }
    match verb.protocol.as_str() {
        "smp121" => run_segments(verb, talk),
        "wrp" => run_message(verb, talk),
        "smrp" => run_session(verb, talk),
        // The argument parser lets no fifth one through.
        _ => run_units(verb, talk),
    }
}

fn run_units(verb: &Inspect, talk: &Talk) -> Result<(), Failure> {
    if verb.source.is_some() {
        return Err(Failure::usage(
            "--source and --destination do not fit here",
            "only the checksum of smp121 covers addresses",
        )
        .with_fix("leave them out, or add --protocol smp121"));
    }
    let mut inspector = Inspector::new();
    match &verb.hex {
        Some(text) => {
            inspector.feed(&octets_of(text)?);
            show_units(&mut inspector, talk)?;
        }
        None => {
            let (source, shown) = source_of(verb)?;
            feed_all(source, &shown, &mut inspector, talk)?;
        }
    }
    show_end(inspector.finish(), talk)
}

fn run_segments(verb: &Inspect, talk: &Talk) -> Result<(), Failure> {
    let Some(text) = &verb.hex else {
        if verb.source.is_some() {
            return Err(Failure::usage(
                "--source and --destination do not fit here",
                "a capture has the addresses of its packets",
            )
            .with_fix("leave them out, or give one segment with --hex"));
        }
        let (source, shown) = source_of(verb)?;
        return segments::show_capture(source, &shown, talk);
    };
    let octets = octets_of(text)?;
    let segment = match (verb.source, verb.destination) {
        (Some(source), Some(destination)) if source.is_ipv4() != destination.is_ipv4() => {
            return Err(Failure::usage(
                "--source and --destination do not go together",
                format!("{source} and {destination} are of different IP versions"),
            ));
        }
        (Some(source), Some(destination)) => InspectedSegment::between(&octets, source, destination),
        _ => InspectedSegment::bare(&octets),
    };
    segments::show_bare(&segment, talk)
}

fn run_session(verb: &Inspect, talk: &Talk) -> Result<(), Failure> {
    if verb.source.is_some() {
        return Err(Failure::usage("--source and --destination do not fit here", "sessions have no checksum")
            .with_fix("leave them out; --port N chooses among the streams of a capture"));
    }
    if let Some(text) = &verb.hex {
        if !verb.ports.is_empty() {
            return Err(Failure::usage("--port does not fit here", "octets in hex have no ports"));
        }
        return session::show_octets(&octets_of(text)?[..], "--hex", talk);
    }
    let (source, shown) = source_of(verb)?;
    session::show_source(source, &shown, &verb.ports, talk)
}

/// One message: a capture of several has no boundaries between them.
fn run_message(verb: &Inspect, talk: &Talk) -> Result<(), Failure> {
    if verb.source.is_some() {
        return Err(Failure::usage(
            "--source and --destination do not fit here",
            "only the checksum of smp121 covers addresses",
        )
        .with_fix("leave them out, or add --protocol smp121"));
    }
    if let Some(text) = &verb.hex {
        return message::show(octets_of(text)?, talk);
    }
    let (source, shown) = source_of(verb)?;
    let mut octets = Vec::new();
    let read = source.take(MESSAGE_LEN_MAX + 1).read_to_end(&mut octets);
    read.map_err(|error| Failure::file(format!("could not read {shown}"), &error))?;
    if octets.len() as u64 > MESSAGE_LEN_MAX {
        return Err(Failure::usage(
            format!("{shown} is no WRP message"),
            format!("it has more than {MESSAGE_LEN_MAX} octets"),
        )
        .with_fix("give a file with the octets of one message"));
    }
    message::show(octets, talk)
}

/// The file or standard input, and its name for people.
fn source_of(verb: &Inspect) -> Result<(Box<dyn Read>, String), Failure> {
    let Some(path) = &verb.file else {
        return Err(Failure::usage("nothing to inspect", "neither --hex nor a file was given"));
    };
    if path.as_os_str() == "-" {
        return Ok((Box::new(io::stdin().lock()), "standard input".to_owned()));
    }
    let shown = format!("`{}`", escape::text(&path.to_string_lossy()));
    let file = File::open(path).map_err(|error| {
        Failure::file(format!("could not read {shown}"), &error)
            .with_fix("give the path of a file with the octets, or --hex with the octets themselves")
    })?;
    Ok((Box::new(io::BufReader::new(file)), shown))
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
