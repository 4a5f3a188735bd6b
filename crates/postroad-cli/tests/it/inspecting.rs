//! `postroad inspect`.

use crate::support::{bad, good, json, run_with_input, text};
use std::path::Path;

/// The examples of the wire document that say which units they are: octets and the JSON about them.
fn examples() -> Vec<(String, String, serde_json::Value)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/wire/smp-framing.md");
    let document = std::fs::read_to_string(path).unwrap();
    let mut examples = Vec::new();
    for block in document.split("```hex name=").skip(1) {
        let (name, rest) = block.split_once('\n').unwrap();
        let body = rest.split("```").next().unwrap();
        let about = body.lines().find_map(|line| line.trim().strip_prefix('=')).map(|line| json(line.trim()));
        let octets = body.lines().filter(|line| !line.trim_start().starts_with('='));
        let hex: String = octets.map(|line| line.split('#').next().unwrap_or_default()).collect::<Vec<_>>().join(" ");
        examples.push((name.trim().to_owned(), hex, about.unwrap_or_default()));
    }
    examples
}

#[test]
fn every_example_of_the_wire_document_is_shown_as_it_says() {
    let mut checked = 0;
    for (name, hex, about) in examples() {
        let Some(units) = about.get("units").and_then(|units| units.as_array()) else { continue };
        let output = good(&["inspect", "--protocol", "smp", "--json", "--hex", &hex]);
        let lines: Vec<_> = output.lines().map(json).collect();
        let (end, shown) = lines.split_last().unwrap();
        assert_eq!(shown.len(), units.len(), "{name}");
        for (shown, unit) in shown.iter().zip(units) {
            for field in ["code", "args", "id", "frame"] {
                assert_eq!(shown.get(field), unit.get(field), "{name}: {field}");
            }
            assert_eq!(shown["argc"], unit["args"].as_array().unwrap().len(), "{name}");
        }
        assert_eq!(end["end"], about["end"], "{name}");
        assert_eq!(end.get("missing"), about.get("missing"), "{name}");
        checked += 1;
    }
    assert!(checked >= 4, "only {checked} examples were found");
}

#[test]
fn files_and_standard_input_are_inspected_alike() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("capture");
    let octets = [&[0x01, 0x00, 0x02][..], b"hi", &[0x60]].concat();
    std::fs::write(&file, &octets).unwrap();
    let from_file = good(&["inspect", file.to_str().unwrap()]);
    assert_eq!(from_file, "@0 MESSAGE argc=1 [2] \"hi\"\n@5 HEARTBEAT argc=0\nclean\n");
    assert_eq!(text(&run_with_input(&["inspect", "-"], &octets).stdout), from_file);
    let empty = run_with_input(&["inspect", "-", "--json"], b"");
    assert_eq!(json(&text(&empty.stdout))["end"], "clean");
}

#[test]
fn foreign_text_cannot_write_on_the_terminal() {
    let shown = good(&["inspect", "--hex", "01 00 04 1b 5b 32 4a"]);
    assert!(shown.contains("\\u{1b}[2J") && !shown.contains('\u{1b}'), "{shown}");
}

#[test]
fn what_is_no_input_is_refused() {
    for args in [
        &["inspect"][..],
        &["inspect", "--hex", "0g"],
        &["inspect", "--hex", "012"],
        &["inspect", "--protocol", "smrp", "-"],
    ] {
        bad(args, 2);
    }
    assert!(bad(&["inspect", "/nonexistent"], 1).contains("/nonexistent"));
}
