//! Reading cases, cutting octets, and saying what came in the words of the vectors.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use smp_framing::machine::{ConnectionMachine, Event, Input};
use smp_framing::reassembler::SequenceFault;
use smp_framing::wire::{Decoder, ReceiveBuffer};
use smp_framing::{Arguments, Code, Config, FrameIdent, Mode, Unit};
use testkit::Rng;
use testkit::vectors::{octets, octets_list, to_hex};
use wirekit::{Instant, Machine};

/// Runs `check` over every case of a file and names the ones that do not hold. Nothing where there are no vectors.
pub(crate) fn for_each_case(file: &str, check: impl Fn(&Value) -> Result<(), String>) {
    let Some(cases) = testkit::vectors::cases(file).unwrap() else { return };
    let wrong = cases.iter().filter_map(|case| Some(format!("{}: {}", case["id"], check(case).err()?)));
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{} of {} cases of {file}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// The octets of a case's `wire`.
pub(crate) fn wire(case: &Value) -> Vec<u8> {
    octets(&case["wire"]).unwrap()
}

pub(crate) fn arguments(value: &Value) -> Arguments {
    octets_list(value).unwrap().into_iter().map(Bytes::from).collect()
}

/// Arguments as plain hex strings, however the case wrote them. `null` is what one peer makes of an empty one.
pub(crate) fn plain_arguments(value: &Value) -> Value {
    let one = |value: &Value| if value.is_null() { String::new() } else { to_hex(&octets(value).unwrap()) };
    value.as_array().unwrap().iter().map(one).collect()
}

pub(crate) fn arguments_json(arguments: &Arguments) -> Value {
    arguments.iter().map(to_hex).collect()
}

/// A unit as the vectors write it.
pub(crate) fn unit_json(unit: &Unit) -> Value {
    let mut fields = Map::new();
    fields.insert("code".into(), unit.code().number().into());
    fields.insert("args".into(), arguments_json(unit.arguments()));
    if let Some(FrameIdent { id, number }) = unit.ident() {
        fields.insert("id".into(), id.into());
        fields.insert("frame".into(), number.into());
    }
    fields.into()
}

/// A unit from how the vectors write it.
pub(crate) fn unit_from(value: &Value) -> Unit {
    let number = |field: &str| value[field].as_u64().unwrap();
    let code = Code::from_number(u8::try_from(number("code")).unwrap()).unwrap();
    let arguments = arguments(&value["args"]);
    let unit = match code.is_frame() {
        true => {
            let ident = FrameIdent {
                id: u16::try_from(number("id")).unwrap(),
                number: u32::try_from(number("frame")).unwrap(),
            };
            Unit::frame(code, ident, arguments)
        }
        false => Unit::plain(code, arguments),
    };
    unit.unwrap()
}

/// An expected list of units or events with its arguments as plain hex.
pub(crate) fn plain(list: &Value) -> Vec<Value> {
    let one = |value: &Value| {
        let mut value = value.clone();
        if value.get("args").is_some() {
            value["args"] = plain_arguments(&value["args"]);
        }
        value
    };
    list.as_array().unwrap().iter().map(one).collect()
}

/// Ways to cut `len` octets, as lengths of chunks: all of them where there are few, else every single cut, fixed chunks and
/// random ones.
pub(crate) fn cuttings(len: usize) -> Vec<Vec<usize>> {
    if len <= 11 {
        let cuts = 0..1u32 << len.saturating_sub(1);
        return cuts.map(|cuts| every_cutting(len, cuts)).collect();
    }
    let mut all = vec![vec![len]];
    all.extend([1, 2, 3, 7, 1460].map(|size| vec![size; len.div_ceil(size)]));
    let singles: Vec<usize> = if len <= 400 { (1..len).collect() } else { (1..40).chain(len - 40..len).collect() };
    all.extend(singles.into_iter().map(|at| vec![at, len - at]));
    let mut rng = Rng::new(len as u64);
    for _ in 0..10 {
        let size_max = rng.range(2..len.max(3));
        all.push(rng.cut(&vec![0; len], size_max).into_iter().map(<[u8]>::len).collect());
    }
    all
}

/// The cutting whose cuts are the bits of `cuts`.
fn every_cutting(len: usize, cuts: u32) -> Vec<usize> {
    let mut sizes = Vec::new();
    let mut size = 0;
    for at in 0..len {
        size += 1;
        if cuts >> at & 1 == 1 || at + 1 == len {
            sizes.push(size);
            size = 0;
        }
    }
    sizes
}

/// The chunks of a cutting.
pub(crate) fn chunks<'a>(octets: &'a [u8], sizes: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = octets;
    sizes.iter().map(move |size| {
        let (chunk, behind) = rest.split_at((*size).min(rest.len()));
        rest = behind;
        chunk
    })
}

/// The units in `octets` under a cutting, and how much the last one still needs.
pub(crate) fn decode_cut(octets: &[u8], sizes: &[usize]) -> (Vec<Unit>, usize) {
    let decoder = Decoder::new(Decoder::UNIT_LEN_MAX);
    let mut buffer = ReceiveBuffer::new();
    let mut units = Vec::new();
    for chunk in chunks(octets, sizes) {
        buffer.incoming().extend_from_slice(chunk);
        while let Some(unit) = decoder.decode(&mut buffer).unwrap() {
            units.push(unit);
        }
    }
    (units, buffer.missing_len())
}

/// The units in `octets`, the same for every cutting, and how much the last one still needs.
pub(crate) fn decode_every_way(octets: &[u8]) -> Result<(Vec<Unit>, usize), String> {
    let whole = decode_cut(octets, &[octets.len()]);
    for sizes in cuttings(octets.len()) {
        if decode_cut(octets, &sizes) != whole {
            return Err(format!("other units in chunks of {sizes:?}"));
        }
    }
    Ok(whole)
}

/// What a receiver says about `octets` under a cutting.
#[derive(Debug, PartialEq)]
pub(crate) struct Received {
    pub(crate) events: Vec<Event>,
    pub(crate) open: Vec<u16>,
    pub(crate) missing_len: usize,
}

pub(crate) fn receive_cut(mode: Mode, octets: &[u8], sizes: &[usize]) -> Received {
    let config = Config::builder().with_mode(mode).with_heartbeat_interval(None).with_peer_timeout(None);
    let mut machine = ConnectionMachine::new(Instant::EPOCH, config.build().unwrap());
    let mut buffer = ReceiveBuffer::new();
    let mut events = Vec::new();
    for chunk in chunks(octets, sizes) {
        buffer.incoming().extend_from_slice(chunk);
        loop {
            let before_len = buffer.len();
            machine.handle(Instant::EPOCH, Input::Received(&mut buffer)).unwrap();
            events.extend(std::iter::from_fn(|| machine.poll_event()));
            if buffer.len() == before_len {
                break;
            }
        }
    }
    let mut open: Vec<u16> = machine.open_ids().collect();
    open.sort_unstable();
    Received { events, open, missing_len: buffer.missing_len() }
}

/// What a receiver says about `octets`, the same for every cutting.
pub(crate) fn receive_every_way(mode: Mode, octets: &[u8]) -> Result<Received, String> {
    let whole = receive_cut(mode, octets, &[octets.len()]);
    for sizes in cuttings(octets.len()) {
        let cut = receive_cut(mode, octets, &sizes);
        if cut != whole {
            return Err(format!("in chunks of {sizes:?}: {cut:?}"));
        }
    }
    Ok(whole)
}

/// An event as `spec10_sequences.json` writes it.
pub(crate) fn event_json(event: &Event) -> Value {
    let plain = |name: &str, arguments: &Arguments| json!({"ev": name, "args": arguments_json(arguments)});
    match event {
        Event::Message(arguments) => plain("message", arguments),
        Event::Assembled(message) => json!({
            "ev": "assembled",
            "id": message.id,
            "first_frame": message.first_number,
            "frames": message.frame_count,
            "args": arguments_json(&message.arguments),
        }),
        Event::Information(arguments) => plain("info", arguments),
        Event::Error(report) => plain("error", &report.arguments),
        Event::Heartbeat(arguments) => plain("heartbeat", arguments),
        Event::Stop(arguments) => plain("stop", arguments),
        Event::Pause(arguments) => plain("pause", arguments),
        Event::Resume(arguments) => plain("resume", arguments),
        Event::User(code, arguments) => {
            json!({"ev": "user", "code": Code::from(*code).number(), "args": arguments_json(arguments)})
        }
        Event::Reserved(code, _) => json!({"ev": "reserved", "code": code.number()}),
        Event::Abandoned(id, _) => json!({"ev": "abandoned", "id": id}),
        Event::SequenceError(FrameIdent { id, number }, fault) => {
            let why = match fault {
                SequenceFault::NoNewFrame => "no_new_frame",
                SequenceFault::Gap => "gap",
                SequenceFault::Repeat => "repeat",
            };
            json!({"ev": "sequence_error", "id": id, "frame": number, "why": why})
        }
        Event::SemanticError(code, arguments) => {
            json!({"ev": "semantic_error", "code": code.number(), "args": arguments_json(arguments)})
        }
        other => json!({"ev": format!("{other:?}")}),
    }
}

/// An error that says both sides, where they differ.
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, got: &T) -> Result<(), String> {
    if expected == got {
        return Ok(());
    }
    let short = |side: &T| format!("{side:?}").chars().take(400).collect::<String>();
    Err(format!("{what}: expected {}, got {}", short(expected), short(got)))
}

/// Cases that must not hold any more after `change`: a check that takes them could not fail.
pub(crate) fn none_holds_changed(
    file: &str,
    check: impl Fn(&Value) -> Result<(), String>,
    change: impl Fn(&mut Value) -> bool,
) {
    let Some(cases) = testkit::vectors::cases(file).unwrap() else { return };
    let changed = cases.into_iter().filter_map(|mut case| change(&mut case).then_some(case));
    let changed: Vec<Value> = changed.collect();
    assert!(!changed.is_empty(), "nothing was changed in {file}");
    for case in changed {
        assert!(check(&case).is_err(), "{} of {file} holds although it was changed", case["id"]);
    }
}
