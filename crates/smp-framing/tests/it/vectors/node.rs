//! `npm113_*.json` and `node108_*.json`: what two generations of the npm package send and take.

use super::support::*;
use crate::table::Table;
use serde_json::{Value, json};
use smp_framing::machine::{Command, ErrorReport, Event, UsageError};
use smp_framing::{Arguments, Code, Config, Mode, NodeGeneration, Unit, UserCode};
use std::collections::BTreeSet;
use std::time::Duration;
use testkit::vectors::{octets, octets_list};

const OLD: Mode = Mode::Node(NodeGeneration::V1_0);
/// Units of this many octets and more may be dropped: 1,000,000 less one read of 64 KiB.
const UNIT_LEN_BOUND: usize = 934_464;
const NEW: Mode = Mode::Node(NodeGeneration::V1_1);

/// Octets of any class: whatever they are, every cutting gives the same, in every mode, and nothing panics.
fn check_any(octets: &[u8]) -> Result<(), String> {
    decode_every_way(octets)?;
    for mode in [Mode::Strict, Mode::Lenient, OLD, NEW] {
        receive_every_way(mode, octets)?;
    }
    Ok(())
}

/// The number of the code that an operation sends.
fn code_of(call: &Value) -> u64 {
    match call["op"].as_str().unwrap() {
        "encode" => 0,
        "info" => 4,
        "error" => 5,
        "heartbeat" => 6,
        "stop" => 7,
        "pause" => 8,
        "resume" => 9,
        "custom" => call["code"].as_u64().unwrap(),
        other => panic!("unknown operation {other}"),
    }
}

/// That the units of one result carry what its call asked for.
fn check_call(call: &Value, units: &[Unit]) -> Result<(), String> {
    let code = code_of(call);
    let right_code = |unit: &Unit| u64::from(unit.code().number()) == code || code == 0 && unit.code().is_frame();
    same("codes", &true, &units.iter().all(right_code))?;
    if call["op"] == "error" {
        let [unit] = units else { return Err("an error is one unit".into()) };
        same("number", &Some(call["code"].to_string().as_bytes()), &unit.arguments().get(0))?;
        return same("a text", &true, &unit.arguments().get(1).is_some_and(|text| !text.is_empty()));
    }
    let asked = call.get("args").map_or_else(Vec::new, |args| octets_list(args).unwrap());
    let mut got: Vec<Vec<u8>> = Vec::new();
    for unit in units {
        got.resize(got.len().max(unit.arguments().count()), Vec::new());
        for (joined, part) in got.iter_mut().zip(unit.arguments()) {
            joined.extend_from_slice(part);
        }
    }
    same("content", &asked, &got)
}

/// Messages that a receiver in node mode puts together from all results of a case.
fn check_messages(calls: &[Value], units: &[u8]) -> Result<(), String> {
    let received = receive_every_way(OLD, units)?;
    let is_fault = |event: &&Event| matches!(event, Event::SequenceError(..) | Event::Abandoned(..));
    same("no fault of sequence", &None, &received.events.iter().find(is_fault))?;
    let is_message = |event: &&Event| matches!(event, Event::Message(_) | Event::Assembled(_));
    let ends = |call: &&Value| call["op"] == "encode" && call["options"]["complete"] != json!(false);
    let got = received.events.iter().filter(is_message).count();
    // A call that does not complete its message adds to one that another call does.
    let begun_only =
        calls.iter().filter(|call| call["op"] == "encode").count() > 0 && calls.iter().filter(ends).count() == 0;
    same("messages", &calls.iter().filter(ends).count(), &got)?;
    same("open", &begun_only, &!received.open.is_empty())
}

pub(crate) fn check_encode(case: &Value) -> Result<(), String> {
    let (calls, results) = (case["calls"].as_array().unwrap(), case["results"].as_array().unwrap());
    let class = case["class"].as_str().unwrap();
    let mut all = Vec::new();
    for (call, result) in calls.iter().zip(results) {
        let Some(units) = result.get("units") else { continue };
        let parts: Vec<Vec<u8>> = units.as_array().unwrap().iter().map(|unit| octets(unit).unwrap()).collect();
        all.extend(parts.concat());
        if class == "same_as_1.0" {
            let (units, missing_len) = decode_every_way(&parts.concat())?;
            same("missing", &0, &missing_len)?;
            same("one unit each", &parts.len(), &units.len())?;
            check_call(call, &units)?;
        }
    }
    match class {
        "same_as_1.0" => {
            same("something came out", &false, &all.is_empty())?;
            check_messages(calls, &all)
        }
        "throws" | "refused" => same("nothing came out", &true, &all.is_empty()),
        "corrupt" | "1.1_only" => check_any(&all),
        other => Err(format!("unknown class {other}")),
    }
}

#[test]
//= SMPF-N5 SMPF-R7 SMPF-R11 SMPF-R17
fn what_both_generations_send_is_read_as_it_was_asked_for() {
    for_each_case("smp/npm113_encode.json", check_encode);
    for_each_case("smp/node108_encode.json", check_encode);
}

#[test]
fn a_changed_call_does_not_hold() {
    for file in ["smp/npm113_encode.json", "smp/node108_encode.json"] {
        none_holds_changed(file, check_encode, |case| {
            let is_same = case["class"] == "same_as_1.0";
            let call = &mut case["calls"][0];
            match call["op"] == "error" {
                true => call["code"] = json!(999),
                false => call["args"] = json!(["00112233"]),
            }
            is_same
        });
    }
}

/// What the peer's event says about the unit it stands for, as the vectors write units; `None` for its own complaints and for
/// messages it put together.
fn unit_of_event(event: &Value) -> Option<Value> {
    if event["event"] == "errorMessage" {
        return Some(json!({"code": 5}));
    }
    let code = event.get("flag")?;
    let mut unit = json!({"code": code, "args": plain_arguments(event.get("args")?)});
    if let Some(number) = event.get("framex") {
        unit["id"] = event["id"].clone();
        unit["frame"] = number.clone();
    }
    Some(unit)
}

/// Where the peer's receiver does what the readings do not: a gap that it does not notice (R13), and a NEW FRAME on an open
/// ID that does not begin afresh for it (R9).
const READ_OTHERWISE: [&str; 2] = ["frames-gap-to-message", "second-new-frame-to-message"];

fn check_delivered(case: &Value, received: &Received, units: &[Unit]) -> Result<(), String> {
    let events = case["events"].as_array().unwrap();
    if events.iter().any(|event| event["event"] == "super") {
        // Three arguments whatever the first octet counts: not this protocol's layout.
        return same("a layout of 1.1 alone", &true, &(received.missing_len > 0));
    }
    let expected: Vec<Value> = events.iter().filter_map(unit_of_event).collect();
    let got = units.iter().map(|unit| match unit.code() {
        Code::Error => json!({"code": 5}),
        _ => unit_json(unit),
    });
    same("units", &expected, &got.collect())?;
    for (event, report) in events.iter().filter(|event| event["event"] == "errorMessage").zip(&received.events) {
        let Event::Error(report) = report else { return Err(format!("an error came as {report:?}")) };
        same("number", &event["code"].as_u64(), &report.number.map(u64::from))?;
        same("text", &event["message"].as_str(), &Some(report.text.as_str()))?;
    }
    let whole = events.iter().filter(|event| event.get("complete").is_some());
    let whole: Vec<Value> = whole.map(|event| json!([event["id"], plain_arguments(&event["args"])])).collect();
    let assembled: Vec<Value> = received
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Assembled(message) => Some(json!([message.id, arguments_json(&message.arguments)])),
            _ => None,
        })
        .collect();
    if READ_OTHERWISE.contains(&case["id"].as_str().unwrap()) {
        let told = |event: &Event| matches!(event, Event::SequenceError(..) | Event::Abandoned(..));
        return same("a fault told", &true, &received.events.iter().any(told));
    }
    if case["options"]["toMessage"] == json!(true) {
        return same("messages of frames", &whole, &assembled);
    }
    Ok(())
}

pub(crate) fn check_stream(case: &Value) -> Result<(), String> {
    let wire = wire(case);
    check_any(&wire)?;
    if case["class"] != "delivered" {
        return Ok(());
    }
    let (units, _) = decode_every_way(&wire)?;
    check_delivered(case, &receive_every_way(OLD, &wire)?, &units)
}

#[test]
//= SMPF-N5 SMPF-R18 SMPF-R21
fn what_both_generations_take_is_taken_by_us_as_well() {
    for_each_case("smp/npm113_stream.json", check_stream);
    for_each_case("smp/node108_stream.json", check_stream);
}

#[test]
fn a_changed_stream_case_does_not_hold() {
    for file in ["smp/npm113_stream.json", "smp/node108_stream.json"] {
        none_holds_changed(file, check_stream, |case| {
            let is_delivered = case["class"] == "delivered";
            match case["events"].get_mut(0).and_then(|event| event.get_mut("args")) {
                Some(args) => *args = json!(["00112233"]),
                None => return false,
            }
            is_delivered
        });
    }
}

/// Code and count of arguments of every unit that the vectors show to be delivered.
fn delivered_shapes(files: &[&str]) -> Option<BTreeSet<(u8, usize)>> {
    let mut shapes = BTreeSet::new();
    for file in files {
        let cases = testkit::vectors::cases(file).unwrap()?;
        for case in cases.iter().filter(|case| case["class"] == "delivered") {
            let wire = wire(case);
            let (units, _) = decode_cut(&wire, &[wire.len()]);
            shapes.extend(units.iter().map(|unit| (unit.code().number(), unit.arguments().count())));
        }
    }
    Some(shapes)
}

/// A table in a node mode, with heartbeats so that all kinds go out.
fn node_table(mode: Mode) -> Table {
    Table::new(Config::builder().with_mode(mode).with_peer_timeout(None))
}

/// One of everything that an application can have sent without saying any argument.
fn send_everything_bare(table: &mut Table) -> Vec<Unit> {
    table.send(Arguments::new());
    table.command(Command::Information(Arguments::new())).unwrap();
    table.command(Command::Error(ErrorReport::new(400, ""))).unwrap();
    table.command(Command::Heartbeat(Arguments::new())).unwrap();
    table.command(Command::User(UserCode::User13, Arguments::new())).unwrap();
    table.command(Command::PausePeer).unwrap();
    let mut units = table.transmit();
    table.command(Command::ResumePeer).unwrap();
    units.extend(table.transmit());
    table.pass(Duration::from_secs(30));
    units.extend(table.transmit());
    table.command(Command::Close(Arguments::new())).unwrap();
    units.extend(table.transmit());
    units
}

#[test]
//= SMPF-N1 SMPF-N2
fn what_node_mode_sends_is_among_what_the_peer_was_seen_to_take() {
    let Some(shapes) = delivered_shapes(&["smp/npm113_stream.json", "smp/node108_stream.json"]) else { return };
    for mode in [OLD, NEW] {
        let units = send_everything_bare(&mut node_table(mode));
        assert_eq!(units.len(), 9, "{mode:?}");
        for unit in &units {
            let shape = (unit.code().number(), unit.arguments().count());
            assert!(shapes.contains(&shape), "{mode:?} sends code {} with {} arguments", shape.0, shape.1);
        }
    }
    let strict = send_everything_bare(&mut node_table(Mode::Strict));
    assert!(strict.iter().any(|unit| !shapes.contains(&(unit.code().number(), unit.arguments().count()))));
}

#[test]
//= SMPF-N4
fn frames_go_to_the_generation_that_takes_them_and_to_no_other() {
    let mut old = node_table(OLD);
    old.send(vec![7; 5000]);
    assert!(old.transmit().iter().all(|unit| unit.code().is_frame()));
    let mut new = node_table(NEW);
    new.send(vec![7; 5000]);
    assert_eq!(new.transmit_codes(), [Code::Message]);
}

#[test]
//= SMPF-N3 SMPF-N4
fn no_unit_reaches_the_size_at_which_the_peer_drops_its_buffer() {
    let message = |len: usize| -> Arguments {
        let full = std::iter::repeat_n(bytes::Bytes::from(vec![7; 65_535]), 14);
        full.chain([bytes::Bytes::from(vec![7; len - 1 - 15 * 2 - 14 * 65_535])]).collect()
    };
    let mut new = node_table(NEW);
    new.send(message(UNIT_LEN_BOUND - 1));
    assert_eq!(new.transmit()[0].to_octets().unwrap().len(), UNIT_LEN_BOUND - 1);
    for refused in [
        Command::Send(message(UNIT_LEN_BOUND)),
        Command::Information(message(UNIT_LEN_BOUND)),
        Command::User(UserCode::User13, message(UNIT_LEN_BOUND)),
    ] {
        assert!(matches!(new.command(refused), Err(UsageError::TooLargeForPeer { .. })));
    }
    let mut old = node_table(OLD);
    old.send(message(UNIT_LEN_BOUND));
    assert!(old.transmit().iter().all(|unit| unit.to_octets().unwrap().len() < UNIT_LEN_BOUND));
}
