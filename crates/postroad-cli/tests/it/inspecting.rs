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
        &["inspect", "--protocol", "smtp", "-"],
    ] {
        bad(args, 2);
    }
    assert!(bad(&["inspect", "/nonexistent"], 1).contains("/nonexistent"));
}

/// Every vector of the specification of SMRP, one behind the other, and the names of their types.
fn vectors() -> (String, Vec<String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/smrp-vectors.toml");
    let document = std::fs::read_to_string(path).unwrap();
    let values = |key: &str| -> Vec<String> {
        let start = format!("{key} = \"");
        document.lines().filter_map(|line| line.strip_prefix(&start)?.strip_suffix('"').map(str::to_owned)).collect()
    };
    (values("frame").join(" "), values("name"))
}

#[test]
fn every_frame_of_smrp_is_shown_by_its_name() {
    let (hex, names) = vectors();
    assert!(names.len() > 80, "{}", names.len());
    let output = good(&["inspect", "--protocol", "smrp", "--json", "--hex", &hex]);
    let lines: Vec<_> = output.lines().map(json).collect();
    let (end, shown) = lines.split_last().unwrap();
    assert_eq!((end["end"].as_str(), end["frames"].as_u64()), (Some("clean"), Some(names.len() as u64)));
    for (shown, name) in shown.iter().zip(&names) {
        assert_eq!(shown["name"].as_str(), Some(&name[..]), "{shown}");
        assert!(!shown["fields"].as_array().unwrap().is_empty() || name.starts_with("LS_"), "{shown}");
    }
    let stop = good(&["inspect", "--protocol", "smrp", "--hex", "13 00 03 04 41 00 13 00 01"]);
    assert_eq!(
        stop,
        "@0 STOP stream=4 code=CANCELLED\nincomplete: 3 octets of something that needs at least 1 more (1 frames, 0 faults)\n"
    );
    let hidden = good(&["inspect", "--protocol", "smrp", "--hex", "05 00 09 03 02 06 73 65 63 72 65 74"]);
    assert_eq!(hidden.lines().next(), Some("@0 AUTH method=3 parameters={token (6 octets)}"));
    let broken = run_with_input(&["inspect", "--protocol", "smrp", "-"], b"SSH-2.0-x\r\n");
    assert!(broken.status.success(), "{}", text(&broken.stderr));
}

#[test]
fn sessions_are_found_in_a_capture_and_ports_belong_to_captures() {
    let preface = [&b"\x8BSMRP\r\n\x1A\x00\x16\x01\x00\x00\x00\x01\x02"[..], &[7; 16]].concat();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("session.pcap");
    let tcp_len = 20 + preface.len();
    let [high, low] = u16::try_from(20 + tcp_len).unwrap().to_be_bytes();
    let ip = [0x45, 0, high, low, 0, 0, 0x40, 0, 64, 6, 0, 0, 127, 0, 0, 1, 127, 0, 0, 2];
    let tcp = [0x9C, 0x40, 0x1D, 0x13, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x18, 0xFF, 0xFF, 0, 0, 0, 0];
    let packet = [&ip[..], &tcp, &preface].concat();
    let mut capture = [0xa1b2_c3d4_u32, 0x0002_0004, 0, 0, 262_144, 101].map(u32::to_be_bytes).concat();
    let len = u32::try_from(packet.len()).unwrap();
    capture.extend([1, 2, len, len].map(u32::to_be_bytes).concat());
    capture.extend(&packet);
    std::fs::write(&file, &capture).unwrap();
    let file = file.to_str().unwrap();
    for port in [&[][..], &["--port", "7443"]] {
        let output = good(&[&["inspect", "--protocol", "smrp", file], port].concat());
        assert!(
            output
                .starts_with("127.0.0.1:40000 > 127.0.0.2:7443 @0 PREFACE versions=0x1 security=Plaintext nonce=0707"),
            "{output}"
        );
        assert!(output.ends_with("clean (1 directions, 0 frames, 0 faults)\n"), "{output}");
    }
    assert!(!good(&["inspect", "--protocol", "smrp", file, "--port", "1"]).contains("PREFACE"));
    let cut = run_with_input(&["inspect", "--protocol", "smrp", "-", "--json"], &capture[..capture.len() - 1]);
    assert!(text(&cut.stdout).contains("\"end\":\"incomplete\""), "{}", text(&cut.stdout));
    let mut lies = capture.clone();
    lies[32..36].copy_from_slice(&u32::MAX.to_be_bytes());
    let lied = run_with_input(&["inspect", "--protocol", "smrp", "-"], &lies);
    assert_eq!(lied.status.code(), Some(1));
    assert!(text(&lied.stderr).contains("at octet 40"), "{}", text(&lied.stderr));
    for (wrong, words) in [
        (&["inspect", "--protocol", "smrp", "--hex", "13", "--port", "1"][..], "have no ports"),
        (&["inspect", "--hex", "13", "--port", "1"], "--protocol smrp"),
        (
            &["inspect", "--protocol", "smrp", "--hex", "13", "--source", "1.1.1.1", "--destination", "1.1.1.1"],
            "--port N",
        ),
    ] {
        let error = bad(wrong, 2);
        assert!(error.contains(words), "{error}");
    }
}
