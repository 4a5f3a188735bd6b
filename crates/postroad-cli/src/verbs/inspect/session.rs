//! Links of SMRP, from hex, from octets of one direction, and from captures.

use super::{SCHEMA, segments};
use crate::failure::Failure;
use crate::parts::hex;
use crate::talk::{Talk, data_line};
use postroad::escape;
use postroad::inspect::capture::{CaptureError, CaptureReader};
use postroad::inspect::session::{Broken, InspectedFrame, Inspector, Item, SessionFound, Sessions, Unfinished, Value};
use postroad::inspect::tcp::TcpDirection;
use serde_json::{Map, json};
use std::io::{self, Read};

/// The first octets of captures, by which they are told from octets as they are.
const CAPTURES: [[u8; 4]; 5] = [
    [0x0a, 0x0d, 0x0d, 0x0a],
    [0xa1, 0xb2, 0xc3, 0xd4],
    [0xa1, 0xb2, 0x3c, 0x4d],
    [0xd4, 0xc3, 0xb2, 0xa1],
    [0x4d, 0x3c, 0xb2, 0xa1],
];

/// How many there were.
#[derive(Default)]
struct Counts {
    frames: u64,
    faults: u64,
}

/// Octets of one direction: with a preface in front, or frames alone.
pub(super) fn show_octets(mut source: impl Read, shown: &str, talk: &Talk) -> Result<(), Failure> {
    let mut first = [0; 4];
    let len = read_some(&mut source, &mut first, shown)?;
    let begun = first.get(..len).unwrap_or_default();
    let mut source = begun.chain(source);
    let mut inspector = if begun.first() == Some(&0x8B) { Inspector::new() } else { Inspector::frames() };
    let (mut buffer, mut counts) = (vec![0; 64 * 1024], Counts::default());
    loop {
        let len = read_some(&mut source, &mut buffer, shown)?;
        if len == 0 {
            break;
        }
        inspector.feed(buffer.get(..len).unwrap_or_default());
        while let Some(item) = inspector.next_item() {
            show_item(None, &item, &mut counts, talk)?;
        }
    }
    let unfinished = (inspector.left_len() > 0)
        .then(|| Unfinished::Begun { left_len: inspector.left_len(), missing_len: inspector.missing_len() });
    show_end(None, unfinished, &counts, talk)
}

/// A file or standard input: a capture, or octets of one direction.
pub(super) fn show_source(mut source: impl Read, shown: &str, ports: &[u16], talk: &Talk) -> Result<(), Failure> {
    let mut first = [0; 4];
    let len = read_some(&mut source, &mut first, shown)?;
    let begun = first.get(..len).unwrap_or_default();
    let is_capture = CAPTURES.contains(&first);
    let source = begun.chain(source);
    if is_capture {
        return show_capture(source, shown, ports, talk);
    }
    if !ports.is_empty() {
        return Err(Failure::usage("--port does not fit here", format!("{shown} is no capture, and has no ports"))
            .with_fix("leave it out, or give a pcap or pcapng file"));
    }
    show_octets(source, shown, talk)
}

/// As many octets as there are, up to the buffer's length.
fn read_some(source: &mut impl Read, buffer: &mut [u8], shown: &str) -> Result<usize, Failure> {
    let mut filled = 0;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
        match source.read(room) {
            Ok(0) => break,
            Ok(len) => filled += len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::file(format!("could not read {shown}"), &error)),
        }
    }
    Ok(filled)
}

fn show_capture(source: impl Read, shown: &str, ports: &[u16], talk: &Talk) -> Result<(), Failure> {
    let mut sessions = Sessions::on_ports(ports);
    let mut counts = Counts::default();
    let mut reader = CaptureReader::new(source).map_err(|error| segments::failure(shown, error))?;
    let mut cut = None;
    loop {
        let packet = match reader.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            Err(error) if error.is_cut() => {
                cut = Some(error);
                break;
            }
            Err(error) => return Err(segments::failure(shown, error)),
        };
        match sessions.find(&packet) {
            SessionFound::Items(direction, items) => {
                items.iter().try_for_each(|item| show_item(Some(&direction), item, &mut counts, talk))?;
            }
            SessionFound::Lost(direction, loss) => {
                show_line(Some(&direction), "lost", &loss.to_string(), talk)?;
                counts.faults += 1;
            }
            SessionFound::Unreadable(why) => tracing::debug!(packet = packet.number, "unreadable: {why}"),
            _ => {}
        }
    }
    for (direction, unfinished) in sessions.unfinished() {
        show_line(Some(&direction), "unfinished", &words(unfinished), talk)?;
    }
    show_capture_end(cut.as_ref(), sessions.count(), &counts, talk)
}

fn words(unfinished: Unfinished) -> String {
    match unfinished {
        Unfinished::Begun { left_len, missing_len } => {
            format!("{left_len} octets of something that needs at least {missing_len} more")
        }
        Unfinished::Lost(loss) => loss.to_string(),
        _ => "it is not whole".to_owned(),
    }
}

fn begin(direction: Option<&TcpDirection>) -> Map<String, serde_json::Value> {
    let mut object = Map::new();
    object.insert("schema".to_owned(), SCHEMA.into());
    if let Some(direction) = direction {
        object.insert("source".to_owned(), direction.source.to_string().into());
        object.insert("destination".to_owned(), direction.destination.to_string().into());
        object.insert("connection".to_owned(), direction.number.into());
    }
    object
}

fn in_front(direction: Option<&TcpDirection>) -> String {
    direction.map_or_else(String::new, |direction| format!("{direction} "))
}

fn show_line(direction: Option<&TcpDirection>, key: &str, text: &str, talk: &Talk) -> Result<(), Failure> {
    if talk.is_json() {
        let mut object = begin(direction);
        object.insert(key.to_owned(), text.into());
        return data_line(&serde_json::Value::Object(object).to_string());
    }
    data_line(&format!("{}{key}: {text}", in_front(direction)))
}

fn show_item(direction: Option<&TcpDirection>, item: &Item, counts: &mut Counts, talk: &Talk) -> Result<(), Failure> {
    match item {
        Item::Preface { offset, preface } => {
            let (versions, nonce) = (&preface.versions, hex(&preface.nonce));
            if talk.is_json() {
                let mut object = begin(direction);
                object.insert("offset".to_owned(), (*offset).into());
                let security = preface.security.to_string();
                object.insert(
                    "preface".to_owned(),
                    json!({"versions": versions, "security": preface.security.number(), "text": security, "nonce": nonce}),
                );
                return data_line(&serde_json::Value::Object(object).to_string());
            }
            let versions: Vec<String> = versions.iter().map(|version| format!("{version:#x}")).collect();
            data_line(&format!(
                "{}@{offset} PREFACE versions={} security={:?} nonce={nonce}",
                in_front(direction),
                versions.join(","),
                preface.security
            ))
        }
        Item::Frame(frame) => {
            counts.frames += 1;
            counts.faults += u64::from(frame.fault.is_some());
            if talk.is_json() {
                return data_line(&serde_json::Value::Object(frame_json(direction, frame)).to_string());
            }
            data_line(&format!("{}@{} {}", in_front(direction), frame.offset, escape::text(&frame.to_string())))
        }
        Item::Broken(broken) => {
            counts.faults += 1;
            show_broken(direction, broken, talk)
        }
        _ => Ok(()),
    }
}

fn show_broken(direction: Option<&TcpDirection>, broken: &Broken, talk: &Talk) -> Result<(), Failure> {
    if talk.is_json() {
        let mut object = begin(direction);
        object.insert("offset".to_owned(), broken.offset.into());
        object.insert("broken".to_owned(), broken.why.to_string().into());
        return data_line(&serde_json::Value::Object(object).to_string());
    }
    data_line(&format!("{}@{} BROKEN: {}", in_front(direction), broken.offset, broken.why))
}

fn frame_json(direction: Option<&TcpDirection>, frame: &InspectedFrame) -> Map<String, serde_json::Value> {
    let mut object = begin(direction);
    let fields: Vec<serde_json::Value> =
        frame.fields.iter().map(|field| json!({"name": field.name, "value": value_json(&field.value)})).collect();
    let rest = json!({
        "offset": frame.offset, "len": frame.wire_len, "type": frame.number, "name": frame.name, "flags": frame.flags,
        "flag_names": frame.flag_names, "fields": fields,
    });
    if let serde_json::Value::Object(rest) = rest {
        object.extend(rest);
    }
    if let Some(fault) = &frame.fault {
        object.insert("fault".to_owned(), json!({"code": fault.code().to_string(), "text": fault.kind.to_string()}));
    }
    object
}

fn value_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Number(number) => (*number).into(),
        Value::Code(code) => json!({"code": code.number(), "name": code.name()}),
        Value::Octets(octets) => hex(octets).into(),
        Value::Secret(len) => json!({"secret": len}),
        Value::Parameters(list) => list
            .iter()
            .map(|parameter| json!({"id": parameter.id, "name": parameter.name, "value": value_json(&parameter.value)}))
            .collect(),
        _ => serde_json::Value::Null,
    }
}

fn show_end(
    direction: Option<&TcpDirection>,
    unfinished: Option<Unfinished>,
    counts: &Counts,
    talk: &Talk,
) -> Result<(), Failure> {
    let end = if unfinished.is_some() { "incomplete" } else { "clean" };
    if talk.is_json() {
        let mut object = begin(direction);
        object.insert("end".to_owned(), end.into());
        object.insert("frames".to_owned(), counts.frames.into());
        object.insert("faults".to_owned(), counts.faults.into());
        if let Some(Unfinished::Begun { missing_len, .. }) = unfinished {
            object.insert("missing".to_owned(), missing_len.into());
        }
        return data_line(&serde_json::Value::Object(object).to_string());
    }
    let why = unfinished.map(|unfinished| format!(": {}", words(unfinished))).unwrap_or_default();
    data_line(&format!("{end}{why} ({} frames, {} faults)", counts.frames, counts.faults))
}

fn show_capture_end(
    cut: Option<&CaptureError>,
    directions: usize,
    counts: &Counts,
    talk: &Talk,
) -> Result<(), Failure> {
    let end = if cut.is_some() { "incomplete" } else { "clean" };
    if talk.is_json() {
        let text = cut.map(ToString::to_string);
        return data_line(
            &json!({
                "schema": SCHEMA, "end": end, "text": text, "directions": directions, "frames": counts.frames,
                "faults": counts.faults,
            })
            .to_string(),
        );
    }
    let why = cut.map(|error| format!(": {error}")).unwrap_or_default();
    data_line(&format!("{end}{why} ({directions} directions, {} frames, {} faults)", counts.frames, counts.faults))
}
