//! The repository's own vectors: the examples of `docs/wire/smp-framing.md`. What its head says about them must hold.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

use crate::vectors::support::*;
use serde_json::Value;
use smp_framing::framer::{Framer, is_whole};
use smp_framing::{Code, Mode, Unit};
use testkit::vectors::from_hex;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/wire/smp-framing.md");

/// A fenced block `hex name=NAME`.
#[derive(Clone, Debug)]
struct Example {
    name: String,
    octets: Vec<u8>,
    says: Value,
}

fn parse(page: &str) -> Vec<Example> {
    let mut examples = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("```hex name=") else { continue };
        let (mut hex, mut says) = (String::new(), Value::Null);
        for line in lines.by_ref().take_while(|line| !line.starts_with("```")) {
            match line.strip_prefix('=') {
                Some(json) => says = serde_json::from_str(json).unwrap_or_else(|error| panic!("{name}: {error}")),
                None => hex.push_str(line.split('#').next().unwrap()),
            }
        }
        examples.push(Example { name: name.to_owned(), octets: from_hex(&hex).unwrap(), says });
    }
    examples
}

fn examples() -> Vec<Example> {
    parse(&std::fs::read_to_string(PAGE).unwrap())
}

/// Checks everything an example says; says how many things that were.
fn check(Example { octets, says, .. }: &Example) -> Result<usize, String> {
    let mut checked_count = 0;
    if let Some(units) = says.get("units") {
        let (got, missing_len) = decode_every_way(octets)?;
        same("units", &plain(units), &got.iter().map(unit_json).collect())?;
        same("end", &says["end"].as_str().unwrap(), &if missing_len == 0 { "clean" } else { "incomplete" })?;
        let missing = says.get("missing").and_then(Value::as_u64).unwrap_or(0);
        same("missing", &missing, &(missing_len as u64))?;
        checked_count += 1;
    }
    if let Some(events) = says.get("events") {
        let received = receive_every_way(Mode::Strict, octets)?;
        same("events", &plain(events), &received.events.iter().map(event_json).collect())?;
        let open: Vec<u16> = serde_json::from_value(says["open"].clone()).unwrap();
        same("open", &open, &received.open)?;
        checked_count += 1;
    }
    if let Some(call) = says.get("call") {
        let arguments = arguments(&call["args"]);
        let max = usize::try_from(call["max_message_size"].as_u64().unwrap()).unwrap();
        let units: Vec<Unit> = match is_whole(&arguments, max) {
            Ok(true) => vec![Unit::plain(Code::Message, arguments).unwrap()],
            Ok(false) => Framer::new(arguments, max, 0, 0).unwrap().collect(),
            Err(error) => return Err(error.to_string()),
        };
        let sent: Vec<u8> = units.iter().flat_map(|unit| unit.to_octets().unwrap()).collect();
        same("octets", octets, &sent)?;
        checked_count += 1;
    }
    Ok(checked_count)
}

#[test]
//= SMPF-R4 SMPF-R6 SMPF-R8 SMPF-R9 SMPF-R10 SMPF-R11 SMPF-R13 SMPF-R14 SMPF-R17 SMPF-R18 SMPF-R21 SMPF-EX-1 SMPF-EX-2
fn the_examples_of_the_wire_document_hold() {
    let examples = examples();
    assert!(examples.len() >= 15, "{} examples", examples.len());
    for example in examples {
        match check(&example) {
            Ok(0) => panic!("{} says nothing that is checked", example.name),
            Ok(_) => {}
            Err(error) => panic!("{}: {error}", example.name),
        }
    }
}

#[test]
fn a_changed_octet_in_an_example_is_noticed() {
    for example in examples() {
        let mut changed = example.clone();
        changed.octets[0] ^= 0x40;
        let noticed = std::panic::catch_unwind(|| check(&changed)).map_or(true, |result| result.is_err());
        assert!(noticed, "{} holds with another first octet", example.name);
    }
}

#[test]
fn an_example_is_read_with_its_remarks_and_its_line() {
    let page = "text\n```hex name=a\n01 00 # one\n01 61\n= {\"units\":[]}\n```\n```hex\n00\n```\n";
    let examples = parse(page);
    assert_eq!(examples.len(), 1);
    assert_eq!((&examples[0].name[..], &examples[0].octets[..]), ("a", &[1, 0, 1, 0x61][..]));
    assert!(examples[0].says["units"].is_array());
}
