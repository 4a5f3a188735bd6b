//! Links taken apart for people.

use bytes::Bytes;
use smrp::inspect::{BODY_LEN_MAX, BrokenKind, InspectedFrame, Inspector, Item, Value};
use smrp::wire::{Frame, Parameters, ParametersBuilder, Preface, REGISTRY, Security, parameter};
use std::collections::BTreeSet;
use std::path::Path;

/// The value of a line `key = "value"`.
fn quoted<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.strip_prefix(key)?.trim_start().strip_prefix('=')?.trim().strip_prefix('"')?.strip_suffix('"')
}

fn octets(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|two| u8::from_str_radix(core::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

fn frames(octets: &[u8]) -> Vec<InspectedFrame> {
    let mut inspector = Inspector::frames();
    inspector.feed(octets);
    let items = core::iter::from_fn(|| inspector.next_item());
    items.map(|item| if let Item::Frame(frame) = item { frame } else { panic!("{item:?}") }).collect()
}

/// A value as the vectors write it, whose digits say how long a field is.
fn is(value: &Value, text: &str) -> bool {
    match value {
        Value::Number(number) => u64::from_str_radix(text, 16) == Ok(*number),
        Value::Code(code) => u64::from_str_radix(text, 16) == Ok(code.number()),
        Value::Octets(value) => value[..] == octets(text),
        Value::Secret(len) => len * 2 == text.len(),
        Value::Parameters(list) => {
            // Written again, with ids and lengths in as many octets as they had.
            let read =
                Parameters::read(octets(text).into(), smrp::wire::Rules { known: &[], repeatable: &[], text: &[] })
                    .unwrap();
            let wanted: Vec<(u64, Bytes)> = read.iter().collect();
            list.len() == wanted.len()
                && list.iter().zip(&wanted).all(|(parameter, (id, value))| {
                    parameter.id == *id
                        && match &parameter.value {
                            Value::Octets(octets) => octets == value,
                            Value::Secret(len) => *len == value.len(),
                            _ => false,
                        }
                })
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_vector_is_shown_with_the_names_and_values_of_the_specification() {
    //= SMRP-F9
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/smrp-vectors.toml");
    let document = std::fs::read_to_string(path).unwrap();
    let mut names = BTreeSet::new();
    for block in document.split("[[frame]]").skip(1) {
        let get = |key| block.lines().find_map(|line| quoted(line, key)).unwrap();
        let (name, wanted, wire) = (get("name"), get("fields"), octets(get("frame")));
        let [frame] = &frames(&wire)[..] else { panic!("{block}") };
        assert_eq!((frame.name, frame.wire_len), (Some(name), wire.len()), "{block}");
        let wanted: Vec<(&str, &str)> = wanted
            .split(", ")
            .filter(|field| !field.is_empty())
            .map(|field| field.split_once(" =").map(|(name, value)| (name, value.trim())).unwrap())
            .collect();
        let shown: Vec<&str> = frame.fields.iter().map(|field| field.name).collect();
        assert_eq!(shown, wanted.iter().map(|(name, _)| *name).collect::<Vec<_>>(), "{block}");
        for (field, (_, text)) in frame.fields.iter().zip(&wanted) {
            assert!(is(&field.value, text), "{block}\n{field:?}");
        }
        let flags: usize = block.lines().find_map(|line| line.strip_prefix("flags = ")?.parse().ok()).unwrap();
        assert_eq!(frame.flag_names.len(), flags.count_ones() as usize, "{block}");
        let has_fault = frame.fault.is_some();
        let on_octets = REGISTRY.iter().find(|entry| entry.name == name).unwrap().on_octets;
        assert_eq!(has_fault, !on_octets || Frame::decode_for_test(&wire).is_err(), "{block}\n{frame}");
        names.insert(name.to_owned());
    }
    assert_eq!(names.len(), REGISTRY.len(), "every type");
}

trait DecodeForTest {
    fn decode_for_test(wire: &[u8]) -> Result<Frame, smrp::wire::WireError>;
}

impl DecodeForTest for Frame {
    fn decode_for_test(wire: &[u8]) -> Result<Self, smrp::wire::WireError> {
        let header = smrp::wire::Header::decode(wire)?.unwrap();
        Self::decode(header, &Bytes::copy_from_slice(wire), 0, true)
    }
}

fn encoded(frame: &Frame) -> Vec<u8> {
    let mut out = bytes::BytesMut::new();
    frame.encode(&mut out);
    out.to_vec()
}

#[test]
fn credentials_are_never_shown_whole_or_cut() {
    //= SMRP-A8, SMRP-PR2
    let secret = b"eyJ-a-secret-that-lets-somebody-in";
    let token = ParametersBuilder::new()
        .with(parameter::TOKEN, secret)
        .with(parameter::SIGNATURE, secret)
        .with(0x4444, secret)
        .build();
    let all = [
        Frame::Auth { method: 3, parameters: token },
        Frame::Ticket { lifetime_s: 1, offline_ms: 2, handle: Bytes::from_static(secret) },
        Frame::Reattach { epoch: 1, received: 2, handle: Bytes::from_static(secret) },
        Frame::NewToken { token: Bytes::from_static(secret) },
    ];
    let hex: String = secret.iter().map(|octet| format!("{octet:02x}")).collect();
    for frame in &all {
        let wire = encoded(frame);
        let [whole] = &frames(&wire)[..] else { panic!() };
        assert!(whole.to_string().contains("(34 octets)"), "{whole}");
        // With a length that lies, the body is none, and says no more.
        for cut in 3..wire.len() {
            let mut wire = wire[..cut].to_vec();
            wire[2] = u8::try_from(cut - 3).unwrap();
            for frame in frames(&wire) {
                let said = format!("{frame} {frame:?}");
                let shows = |part: &str| said.contains(part);
                assert!(!shows("secret") && !shows("eyJ") && !shows(&hex[..8]), "{said}");
            }
        }
    }
    let shown = frames(&encoded(&all[0]))[0].to_string();
    assert_eq!(shown, "AUTH method=3 parameters={token (34 octets) signature (34 octets) 0x4444=(34 octets)}");
}

#[test]
fn a_preface_then_frames_whatever_the_pieces() {
    let preface = Preface {
        versions: vec![1, 0x0A1A_2A3A],
        security: Security::Plaintext,
        nonce: [7; 16],
        parameters: Parameters::default(),
    };
    let stop = encoded(&Frame::Stop { stream: smrp::StreamId::new(4), code: smrp::Code::CANCELLED });
    let mut wire = preface.encode().to_vec();
    let preface_len = wire.len();
    wire.extend_from_slice(&stop);
    for piece_len in [1, 2, 5, wire.len()] {
        let mut inspector = Inspector::new();
        let mut items = Vec::new();
        for piece in wire.chunks(piece_len) {
            inspector.feed(piece);
            items.extend(core::iter::from_fn(|| inspector.next_item()));
        }
        let [Item::Preface { offset: 0, preface: read }, Item::Frame(frame)] = &items[..] else { panic!("{items:?}") };
        assert_eq!((read, frame.offset), (&preface, preface_len as u64));
        assert_eq!(frame.to_string(), "STOP stream=4 code=CANCELLED");
        assert_eq!((inspector.left_len(), inspector.missing_len()), (0, 0));
    }
    for cut in 1..wire.len() {
        let mut inspector = Inspector::new();
        inspector.feed(&wire[..cut]);
        while inspector.next_item().is_some() {}
        let missing = inspector.missing_len();
        assert!(missing <= wire.len() - cut, "{cut}: {missing}");
        assert_eq!(missing == 0, cut == preface_len, "{cut}");
    }
}

#[test]
fn what_is_wrong_says_where_and_ends_it_or_not() {
    // A fault within a frame leaves the next one where it is.
    let all = frames(&[0x13, 0x00, 0x01, 0x04, 0x13, 0x7F, 0x03, 0x04, 0x41, 0x00, 0xF0, 0x00, 0x01, 0xAA]);
    assert_eq!(all.iter().map(|frame| frame.offset).collect::<Vec<_>>(), [0, 4, 10]);
    assert_eq!(all[0].to_string(), "STOP stream=4 FAULT FRAME_ENCODING: its body ends within a field");
    assert!(all[1].fault.is_some() && all[2].fault.is_none());
    assert_eq!(all[2].to_string(), "type 0xf0 body=aa");
    let broken = |mut inspector: Inspector, octets: &[u8]| {
        inspector.feed(octets);
        let mut last = None;
        while let Some(item) = inspector.next_item() {
            last = Some(item);
        }
        let Some(Item::Broken(broken)) = last else { panic!("{last:?}") };
        assert!(inspector.next_item().is_none());
        inspector.feed(&[0; 100]);
        assert!(inspector.next_item().is_none() && inspector.left_len() == 0);
        broken
    };
    let not = broken(Inspector::new(), b"SSH-2.0-x");
    assert!(matches!(not.why, BrokenKind::Preface(_)) && not.offset == 0, "{not}");
    let length = broken(Inspector::frames(), &[0x13, 0x00, 0x03, 0x04, 0x41, 0x00, 0x11, 0x00, 0x40, 0x01]);
    assert_eq!(length.to_string(), "at octet 6: DATA: its length is not written in the shortest form");
    let len = (u32::try_from(BODY_LEN_MAX).unwrap() + 1) | 0x8000_0000;
    let long = broken(Inspector::frames(), &[&[0x11, 0][..], &len.to_be_bytes()].concat());
    assert_eq!(long.why, BrokenKind::TooLong(BODY_LEN_MAX + 1));
}

proptest::proptest! {
    #[test]
    fn no_octets_make_it_panic_or_show_more_than_came(octets in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        for mut inspector in [Inspector::new(), Inspector::frames()] {
            inspector.feed(&octets);
            let mut seen = 0;
            while let Some(item) = inspector.next_item() {
                if let Item::Frame(frame) = item {
                    proptest::prop_assert!(frame.fields.len() <= frame.wire_len);
                    seen += frame.wire_len;
                    let _line = frame.to_string();
                }
            }
            proptest::prop_assert!(seen <= octets.len());
            let _missing = inspector.missing_len();
        }
    }
}
