//! `spec10_encode.json`: what a sender makes of a message, or why it refuses.

use super::support::*;
use serde_json::{Value, json};
use smp_framing::framer::{Framer, is_whole};
use smp_framing::{Arguments, Code, EncodeError, FrameIdent, Unit};
use testkit::vectors::octets;

/// The refusal by the name of the vectors.
fn refusal(error: EncodeError) -> &'static str {
    match error {
        EncodeError::ArgumentCount { .. } => "argc",
        EncodeError::ArgumentLength { .. } => "length",
        EncodeError::ReservedCode { .. } => "code",
        EncodeError::MaxMessageSize { .. } => "max_message_size",
        _ => "unknown",
    }
}

/// All units of a message in a row, and whether they are frames.
fn plan(arguments: Arguments, max: usize, id: u16, number: u32) -> Result<(bool, Vec<Vec<u8>>), EncodeError> {
    if is_whole(&arguments, max)? {
        let unit = Unit::plain(Code::Message, arguments).unwrap();
        return Ok((false, vec![unit.to_octets()?]));
    }
    let frames = Framer::new(arguments, max, id, number)?;
    Ok((true, frames.map(|frame| frame.to_octets()).collect::<Result<_, _>>()?))
}

/// One unit. What the types cannot hold at all is refused where it would become a `Code`, an ID or a frame number.
fn encode_unit(unit: &Value) -> Result<Vec<u8>, &'static str> {
    let code = u8::try_from(unit["code"].as_u64().unwrap()).ok().and_then(Code::from_number).ok_or("code")?;
    let arguments = arguments(&unit["args"]);
    let unit = if code.is_frame() {
        let id = u16::try_from(unit["id"].as_i64().unwrap()).map_err(|_| "id")?;
        let number = u32::try_from(unit["frame"].as_i64().unwrap()).map_err(|_| "frame")?;
        Unit::frame(code, FrameIdent { id, number }, arguments)
    } else {
        Unit::plain(code, arguments)
    };
    unit.unwrap().to_octets().map_err(refusal)
}

pub(crate) fn check_encode(case: &Value) -> Result<(), String> {
    let (call, result) = (&case["call"], &case["result"]);
    let got = if let Some(unit) = call.get("unit") {
        encode_unit(unit).map(|octets| (false, vec![octets]))
    } else {
        let number = |field: &str| call.get(field).and_then(Value::as_u64).unwrap_or(0);
        let max = usize::try_from(number("max_message_size")).unwrap();
        let id = u16::try_from(number("first_id")).unwrap();
        plan(arguments(&call["args"]), max, id, u32::try_from(number("first_frame")).unwrap()).map_err(refusal)
    };
    let expected = match (result.get("error"), result.get("frames")) {
        (Some(error), _) => Err(error.as_str().unwrap()),
        (None, Some(frames)) => Ok((true, frames.as_array().unwrap().iter().map(|one| octets(one).unwrap()).collect())),
        (None, None) => Ok((false, vec![octets(&result["wire"]).unwrap()])),
    };
    same("result", &expected, &got)?;
    if let Ok((_, units)) = &got {
        check_round_trip(call, &units.concat())?;
    }
    Ok(())
}

/// What was sent is received.
fn check_round_trip(call: &Value, octets: &[u8]) -> Result<(), String> {
    let Some(asked) = call.get("args") else { return Ok(()) };
    let received = receive_every_way(smp_framing::Mode::Strict, octets)?;
    let got: Vec<Value> = received.events.iter().map(event_json).map(|event| event["args"].clone()).collect();
    same("what arrives", &vec![plain_arguments(asked)], &got)
}

#[test]
//= SMPF-R1 SMPF-R2 SMPF-R3 SMPF-R5 SMPF-R6 SMPF-R7 SMPF-R11 SMPF-R18 SMPF-R19
//= SMPF-CONV-1 SMPF-CONV-2 SMPF-CONV-3 SMPF-DEF-1 SMPF-DEF-5 SMPF-DEF-14 SMPF-PAY-3
fn a_sender_makes_what_the_vectors_say_or_refuses_for_their_reason() {
    for_each_case("smp/spec10_encode.json", check_encode);
}

#[test]
fn a_changed_encode_case_does_not_hold() {
    none_holds_changed("smp/spec10_encode.json", check_encode, |case| {
        let is_refused = case["result"].get("error").is_some();
        case["result"] = if is_refused { json!({"kind": "message", "wire": "00"}) } else { json!({"error": "argc"}) };
        true
    });
    none_holds_changed("smp/spec10_encode.json", check_encode, |case| {
        case["result"].get_mut("frames").and_then(Value::as_array_mut).and_then(Vec::pop).is_some()
    });
    none_holds_changed("smp/spec10_encode.json", check_encode, |case| {
        let is_refused = case["result"].get("error").is_some();
        case["result"] = json!({"error": "another"});
        is_refused
    });
}
