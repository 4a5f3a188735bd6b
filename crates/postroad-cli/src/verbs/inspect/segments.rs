//! Segments of the Simple Messaging Protocol, from hex and from captures.

use super::SCHEMA;
use crate::failure::Failure;
use crate::parts::hex;
use crate::talk::{Talk, data_line};
use postroad::escape;
use postroad::inspect::capture::{CaptureError, CaptureReader, CapturedPacket};
use postroad::inspect::{Datagram, Found, InspectedRecord, InspectedSegment, Unreadable, find};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

/// What a capture held.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    packets: u64,
    segments: u64,
    other: u64,
    unreadable: u64,
}

/// Shows a bare segment.
pub(super) fn show_bare(segment: &InspectedSegment, talk: &Talk) -> Result<(), Failure> {
    if talk.is_json() {
        let mut object = begin_json();
        put_segment(&mut object, segment);
        data_line(&Value::Object(object).to_string())
    } else {
        data_line(&segment_text("", segment))
    }
}

/// Shows the segments of a capture.
pub(super) fn show_capture(source: impl Read, shown: &str, talk: &Talk) -> Result<(), Failure> {
    let mut counts = Counts::default();
    let ended = match CaptureReader::new(source) {
        Ok(mut reader) => show_packets(&mut reader, &mut counts, talk)?,
        Err(error) => Some(error),
    };
    match ended {
        None => show_end("clean", None, counts, talk),
        Some(error) if error.is_cut() => show_end("incomplete", Some(&error), counts, talk),
        Some(error) => Err(failure(shown, error)),
    }
}

pub(super) fn failure(shown: &str, error: CaptureError) -> Failure {
    match error {
        CaptureError::Read { source, .. } => Failure::file(format!("could not read {shown}"), &source),
        error => Failure::new("capture", format!("{shown} cannot be read as a capture"), error.to_string())
            .with_fix("give a pcap or pcapng file, as tcpdump -w and Wireshark write them, or one segment with --hex"),
    }
}

fn show_packets<R: Read>(
    reader: &mut CaptureReader<R>,
    counts: &mut Counts,
    talk: &Talk,
) -> Result<Option<CaptureError>, Failure> {
    loop {
        let packet = match reader.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => return Ok(None),
            Err(error) => return Ok(Some(error)),
        };
        counts.packets += 1;
        match find(&packet) {
            Found::Datagram(datagram) => {
                counts.segments += 1;
                show_datagram(&packet, &datagram, talk)?;
            }
            Found::Unreadable(why) => {
                counts.unreadable += 1;
                show_unreadable(&packet, why, talk)?;
            }
            _ => counts.other += 1,
        }
    }
}

fn show_datagram(packet: &CapturedPacket<'_>, datagram: &Datagram<'_>, talk: &Talk) -> Result<(), Failure> {
    let segment = InspectedSegment::of(datagram);
    let carrier = if datagram.is_udp { "udp" } else { "ip" };
    let (source, destination) = (address(datagram.source), address(datagram.destination));
    if talk.is_json() {
        let mut object = packet_json(packet);
        put(&mut object, "source", source);
        put(&mut object, "destination", destination);
        put(&mut object, "carrier", carrier);
        put_segment(&mut object, &segment);
        return data_line(&Value::Object(object).to_string());
    }
    data_line(&segment_text(&format!("{} {source} > {destination} {carrier} ", packet_text(packet)), &segment))
}

fn show_unreadable(packet: &CapturedPacket<'_>, why: Unreadable, talk: &Talk) -> Result<(), Failure> {
    if talk.is_json() {
        let mut object = packet_json(packet);
        put(&mut object, "unreadable", why.word());
        put(&mut object, "text", why.to_string());
        return data_line(&Value::Object(object).to_string());
    }
    data_line(&format!("{} unreadable: {why}", packet_text(packet)))
}

fn show_end(end: &str, error: Option<&CaptureError>, counts: Counts, talk: &Talk) -> Result<(), Failure> {
    let Counts { packets, segments, other, unreadable } = counts;
    if talk.is_json() {
        let mut object = begin_json();
        put(&mut object, "end", end);
        for (key, count) in [("packets", packets), ("segments", segments), ("other", other), ("unreadable", unreadable)]
        {
            put(&mut object, key, count);
        }
        if let Some(error) = error {
            put(&mut object, "text", error.to_string());
        }
        return data_line(&Value::Object(object).to_string());
    }
    let why = error.map(|error| format!(": {error}")).unwrap_or_default();
    data_line(&format!(
        "{end}{why} ({packets} packets: {segments} segments, {other} of other protocols, {unreadable} unreadable)"
    ))
}

fn address(address: SocketAddr) -> String {
    if address.port() == 0 { address.ip().to_string() } else { address.to_string() }
}

/// Seconds and microseconds since 1970.
fn seconds(time: Duration) -> String {
    format!("{}.{:06}", time.as_secs(), time.subsec_micros())
}

fn packet_text(packet: &CapturedPacket<'_>) -> String {
    let time = packet.time.map(|time| format!(" {}", seconds(time))).unwrap_or_default();
    format!("#{}{time}", packet.number)
}

fn begin_json() -> Map<String, Value> {
    let mut object = Map::new();
    put(&mut object, "schema", SCHEMA);
    object
}

fn packet_json(packet: &CapturedPacket<'_>) -> Map<String, Value> {
    let mut object = begin_json();
    put(&mut object, "packet", packet.number);
    put(&mut object, "time", packet.time.map(seconds));
    object
}

fn put(object: &mut Map<String, Value>, key: &str, value: impl Into<Value>) {
    object.insert(key.to_owned(), value.into());
}

fn put_segment(object: &mut Map<String, Value>, segment: &InspectedSegment) {
    put(object, "kind", segment.kind);
    let header: Map<String, Value> =
        segment.header.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect();
    put(object, "header", header);
    put(object, "flags", segment.flags.clone());
    put(object, "records", segment.records.iter().map(record_json).collect::<Vec<_>>());
    match segment.kind {
        Some("name_request") => put(object, "name", text_of(segment.name.as_deref())),
        Some("name_reply") => {
            put(object, "name", text_of(segment.name.as_deref()));
            put(object, "outstanding", segment.outstanding);
            put(object, "largest", segment.largest);
        }
        Some("request" | "reply") => {
            if let Some(total) = segment.total {
                put(object, "total", total);
            }
            if let Some(offset) = segment.offset {
                put(object, "offset", offset);
            }
            put(object, "last", segment.is_last);
        }
        _ => {}
    }
    if matches!(segment.kind, Some("request" | "reply" | "name_reply" | "reset")) {
        put(object, "number", segment.field("number"));
        put(object, "mailslot", segment.field("mailslot"));
    }
    put(object, "data", hex(&segment.data));
    put(object, "checksum", segment.checksum);
    if let Some(expected) = segment.checksum_expected {
        put(object, "checksum_expected", expected);
    }
    put(object, "faults", segment.faults.iter().map(|fault| fault.word).collect::<Vec<_>>());
    put(object, "fault_texts", segment.faults.iter().map(|fault| fault.text.clone()).collect::<Vec<_>>());
    put(object, "dropped", segment.faults.iter().any(|fault| fault.drops));
}

/// A name as text; `data` has its octets.
fn text_of(name: Option<&[u8]>) -> Option<String> {
    name.map(|name| String::from_utf8_lossy(name).into_owned())
}

fn record_json(record: &InspectedRecord) -> Value {
    let mut object = json!({
        "number": record.number, "mailslot": record.mailslot, "size": record.data.len(), "action": record.action, "data": hex(&record.data),
    });
    if let Some(fields) = object.as_object_mut() {
        if let Some(name) = record.name {
            put(fields, "name", name);
        }
        if let Some(offset) = record.offset {
            put(fields, "offset", offset);
        }
    }
    object
}

/// What a segment means in a line, then its header, its records and its faults, a line each.
fn segment_text(front: &str, segment: &InspectedSegment) -> String {
    let mut text = format!("{front}{}", segment.kind.unwrap_or("invalid"));
    let field = |key| segment.field(key).unwrap_or_default();
    if matches!(segment.kind, Some("request" | "reply" | "name_reply" | "reset")) {
        let _ = write!(text, " number={} mailslot={}", field("number"), field("mailslot"));
    }
    let figures = [
        ("total", segment.total),
        ("offset", segment.offset),
        ("largest", segment.largest),
        ("outstanding", segment.outstanding.map(u32::from)),
    ];
    for (key, value) in figures.iter().filter_map(|(key, value)| value.map(|value| (key, value))) {
        let _ = write!(text, " {key}={value}");
    }
    if segment.is_last == Some(true) {
        text.push_str(" last");
    }
    match &segment.name {
        Some(name) => {
            let _ = write!(text, " name=\"{}\"", escape::octets(name));
        }
        None if !segment.data.is_empty() => {
            let _ = write!(text, " [{}] \"{}\"", segment.data.len(), escape::octets(&segment.data));
        }
        None => {}
    }
    let _ = write!(text, "\n  header:");
    for (key, value) in &segment.header {
        let _ = match *key {
            "flags" => write!(text, " flags={value:#04x} ({})", segment.flags.as_deref().unwrap_or_default()),
            "checksum" => write!(text, " checksum={value:#06x} ({})", checksum_text(segment)),
            _ => write!(text, " {key}={value}"),
        };
    }
    for record in &segment.records {
        let _ = write!(text, "\n  record: number={} mailslot={}", record.number, record.mailslot);
        let _ = write!(text, " action={} ({})", record.action, record.name.unwrap_or("unknown"));
        let _ = match record.offset {
            Some(offset) => write!(text, " offset={offset}"),
            None if record.data.is_empty() => Ok(()),
            None => write!(text, " [{}] {}", record.data.len(), hex(&record.data)),
        };
    }
    for fault in &segment.faults {
        let weight = if fault.drops { "dropped" } else { "note" };
        let _ = write!(text, "\n  {weight}: {}", fault.text);
    }
    text
}

fn checksum_text(segment: &InspectedSegment) -> String {
    match (segment.checksum, segment.checksum_expected) {
        (_, Some(expected)) => format!("wrong, should be {expected:#06x}"),
        ("unchecked", _) => "not checked".to_owned(),
        (word, _) => word.to_owned(),
    }
}
