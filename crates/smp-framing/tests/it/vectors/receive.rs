//! `spec10_units.json` and `spec10_sequences.json`: octets, the units they are, and what a receiver reports.

use super::support::*;
use serde_json::Value;
use smp_framing::Mode;

pub(crate) fn check_units(case: &Value) -> Result<(), String> {
    let wire = wire(case);
    let (units, missing_len) = decode_every_way(&wire)?;
    same("units", &plain(&case["units"]), &units.iter().map(unit_json).collect())?;
    same("end", &case["end"].as_str().unwrap(), &if missing_len == 0 { "clean" } else { "incomplete" })?;
    if let Some(missing) = case.get("missing") {
        same("missing", &missing.as_u64().unwrap(), &(missing_len as u64))?;
    }
    let encoded: Vec<u8> = case["units"].as_array().unwrap().iter().flat_map(|unit| encode(&unit_from(unit))).collect();
    let decoded: Vec<u8> = units.iter().flat_map(encode).collect();
    same("the units encoded", &&wire[..encoded.len().min(wire.len())], &&encoded[..])?;
    same("the decoded units encoded", &encoded, &decoded)?;
    same("the end of the last unit", &(missing_len == 0), &(encoded.len() == wire.len()))
}

/// Octets of a unit, the reserved codes too: those an encoder refuses, so their twin of a user code is encoded and its code put
/// back.
fn encode(unit: &smp_framing::Unit) -> Vec<u8> {
    if !unit.code().is_reserved() {
        return unit.to_octets().unwrap();
    }
    let twin = smp_framing::Unit::plain(smp_framing::Code::User13, unit.arguments().clone()).unwrap();
    let mut octets = twin.to_octets().unwrap();
    octets[0] = unit.code().number() << 4 | octets[0] & 0x0f;
    octets
}

#[test]
//= SMPF-R1 SMPF-R3 SMPF-R4 SMPF-R20 SMPF-R21 SMPF-EX-1 SMPF-EX-2 SMPF-ABS-1 SMPF-R10
//= SMPF-OCT-1 SMPF-OCT-2 SMPF-OCT-3 SMPF-OCT-4 SMPF-OCT-5 SMPF-OCT-6 SMPF-OCT-7 SMPF-OCT-8 SMPF-OCT-9
//= SMPF-DEF-4 SMPF-DEF-6 SMPF-DEF-7 SMPF-DEF-8 SMPF-DEF-9 SMPF-DEF-10 SMPF-DEF-11 SMPF-PAY-2
fn octets_are_the_units_of_the_vectors_under_every_cutting_and_back() {
    for_each_case("smp/spec10_units.json", check_units);
}

#[test]
fn a_changed_unit_case_does_not_hold() {
    none_holds_changed("smp/spec10_units.json", check_units, |case| {
        case["units"].as_array_mut().unwrap().pop().is_some()
    });
    none_holds_changed("smp/spec10_units.json", check_units, |case| {
        let was_clean = case["end"] == "clean";
        case["end"] = if was_clean { "incomplete" } else { "clean" }.into();
        true
    });
    none_holds_changed("smp/spec10_units.json", check_units, |case| {
        let missing = case["missing"].as_u64();
        case["missing"] = (missing.unwrap_or(0) + 1).into();
        missing.is_some()
    });
}

pub(crate) fn check_sequence(case: &Value) -> Result<(), String> {
    let mode = if case["mode"] == "lenient" { Mode::Lenient } else { Mode::Strict };
    let wire = wire(case);
    let received = receive_every_way(mode, &wire)?;
    same("events", &plain(&case["events"]), &received.events.iter().map(event_json).collect())?;
    let open: Vec<u16> = serde_json::from_value(case["open"].clone()).unwrap();
    same("open", &open, &received.open)?;
    let end = case.get("end").and_then(Value::as_str).unwrap_or("clean");
    same("end", &end, &if received.missing_len == 0 { "clean" } else { "incomplete" })?;
    let (units, _) = decode_cut(&wire, &[wire.len()]);
    let until_stop = units.iter().position(|unit| unit.code() == smp_framing::Code::Stop);
    let looked_at = until_stop.map(|at| units.iter().take(at + 1).flat_map(encode).count());
    let ignored = looked_at.map(|len| (wire.len() - len) as u64).filter(|len| *len > 0);
    same("ignored", &case.get("ignored").and_then(Value::as_u64).or(ignored), &ignored)
}

#[test]
//= SMPF-R5 SMPF-R6 SMPF-R7 SMPF-R8 SMPF-R9 SMPF-R10 SMPF-R11 SMPF-R12 SMPF-R13 SMPF-R14 SMPF-R17 SMPF-R18
//= SMPF-CONV-4 SMPF-CONV-5 SMPF-DEF-2 SMPF-DEF-3 SMPF-CODE-0 SMPF-CODE-1 SMPF-CODE-2 SMPF-CODE-3
//= SMPF-CODE-4 SMPF-CODE-5 SMPF-CODE-6 SMPF-CODE-7 SMPF-CODE-8 SMPF-CODE-9
//= SMPF-CODE-10 SMPF-CODE-11 SMPF-CODE-12 SMPF-CODE-13 SMPF-CODE-14 SMPF-CODE-15
fn a_receiver_reports_what_the_vectors_say_under_every_cutting() {
    for_each_case("smp/spec10_sequences.json", check_sequence);
}

#[test]
fn a_changed_sequence_case_does_not_hold() {
    none_holds_changed("smp/spec10_sequences.json", check_sequence, |case| {
        case["events"].as_array_mut().unwrap().pop().is_some()
    });
    none_holds_changed("smp/spec10_sequences.json", check_sequence, |case| {
        case["open"].as_array_mut().unwrap().push(77.into());
        true
    });
    none_holds_changed("smp/spec10_sequences.json", check_sequence, |case| {
        case.as_object_mut().unwrap().remove("mode").is_some()
    });
}
