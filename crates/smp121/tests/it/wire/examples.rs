//! The examples of `docs/wire/smp121.md`: what the page says of octets must hold, and an encoder makes the same octets.

use serde_json::{Value, json};
use smp121::inspect::{Inspection, inspect, kind_word};
use smp121::wire::{Action, Kind, Outgoing, PseudoHeader, Response, decode, encode, layout};
use std::net::IpAddr;
use testkit::vectors::{from_hex, to_hex};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/wire/smp121.md");

/// A fenced block `hex name=NAME`.
#[derive(Clone, Debug)]
pub(crate) struct Example {
    pub(crate) name: String,
    pub(crate) octets: Vec<u8>,
    pub(crate) pseudo: PseudoHeader,
    pub(crate) says: Value,
}

pub(crate) fn examples() -> Vec<Example> {
    let page = std::fs::read_to_string(PAGE).unwrap();
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
        let pseudo = pseudo_of(says["pseudo"].as_str().unwrap());
        examples.push(Example { name: name.to_owned(), octets: from_hex(&hex).unwrap(), pseudo, says });
    }
    examples
}

fn pseudo_of(text: &str) -> PseudoHeader {
    let Some((source, destination)) = text.split_once('>') else {
        assert_eq!(text, "none");
        return PseudoHeader::None;
    };
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    PseudoHeader::between(address(source), address(destination)).unwrap()
}

/// A segment in the words of the page.
pub(crate) fn words(segment: &Inspection<'_>) -> Value {
    let records: Vec<Value> = segment
        .records
        .iter()
        .map(|record| {
            let mut object = json!({
                "number": record.number, "mailslot": record.mailslot, "action": record.action, "size": record.data.len(),
            });
            if let Some(name) = layout::action(record.action).map(|action| action.name) {
                object["name"] = name.into();
            }
            if let Some(Action::Accepted { offset }) = record.known().map(|known| known.action) {
                object["offset"] = offset.into();
            }
            object
        })
        .collect();
    let faults: Vec<&str> = segment.faults.iter().map(|fault| fault.word()).collect();
    let mut object = json!({ "checksum": segment.checksum.word(), "records": records, "faults": faults });
    if let Some(kind) = &segment.kind {
        object["kind"] = kind_word(kind).into();
        put_kind(kind, &mut object);
    }
    object
}

fn put_kind(kind: &Kind<'_>, object: &mut Value) {
    let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    match kind {
        Kind::NameRequest { name } => object["name"] = text(name).into(),
        Kind::NameReply(reply) => {
            object["number"] = reply.number.into();
            object["largest"] = reply.request_len_max.into();
            object["mailslot"] = reply.mailslot.into();
            object["outstanding"] = reply.outstanding_max.into();
            object["name"] = reply.name.map(text).into();
        }
        Kind::Data(data) => {
            object["number"] = data.number.into();
            object["mailslot"] = data.mailslot.into();
            match data.position {
                smp121::wire::Position::First { total } => object["total"] = total.into(),
                smp121::wire::Position::At { offset } => object["offset"] = offset.into(),
            }
            object["last"] = data.is_last.into();
            object["data"] = to_hex(data.octets).into();
        }
        Kind::Reset { number, mailslot } => {
            object["number"] = (*number).into();
            object["mailslot"] = (*mailslot).into();
        }
        _ => {}
    }
}

/// Everything that `says` names is so in `got`; what it leaves out is not asked.
fn holds(says: &Value, got: &Value) -> bool {
    match (says, got) {
        (Value::Object(says), Value::Object(got)) => {
            says.iter().all(|(key, value)| got.get(key).is_some_and(|got| holds(value, got)))
        }
        (Value::Array(says), Value::Array(got)) => {
            says.len() == got.len() && says.iter().zip(got).all(|(says, got)| holds(says, got))
        }
        _ => says == got,
    }
}

//= SMP121-O10, SMP121-W1, SMP121-A2
#[test]
fn the_page_is_right_about_every_example() {
    let examples = examples();
    assert!(examples.len() >= 19, "{}", examples.len());
    for example in &examples {
        let got = words(&inspect(&example.octets, example.octets.len(), Some(&example.pseudo)));
        assert!(holds(&example.says["segment"], &got), "{}: {got:#}", example.name);
    }
}

//= SMP121-O6
#[test]
fn the_encoder_makes_every_example_without_faults() {
    let mut made_count = 0;
    for example in examples() {
        let Ok(segment) = decode(&example.octets, &example.pseudo) else { continue };
        let responses: Vec<Option<Response>> = segment.responses.map(|raw| raw.known()).collect();
        let Some(responses) = responses.into_iter().collect::<Option<Vec<Response>>>() else { continue };
        let outgoing = match segment.kind() {
            Ok(Kind::Responses) => Outgoing::Responses,
            Ok(Kind::NameRequest { name }) => Outgoing::NameRequest { name },
            Ok(Kind::NameReply(reply)) => Outgoing::NameReply(reply),
            Ok(Kind::Data(data)) => Outgoing::Data(data),
            Ok(Kind::Reset { number, mailslot }) => Outgoing::Reset { number, mailslot },
            _ => continue,
        };
        let mut out = Vec::new();
        encode(&outgoing, &responses, &example.pseudo, &mut out);
        assert_eq!(out, example.octets[..out.len()], "{}", example.name);
        made_count += 1;
    }
    assert_eq!(
        made_count, 17,
        "all but those with faults and the one with an unknown action; trailing octets do not count"
    );
}
