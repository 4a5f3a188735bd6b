//! `postroad inspect --protocol smp121`.

use crate::support::{bad, good, json, run_with_input, text};
use serde_json::Value;
use std::net::IpAddr;
use std::path::Path;

/// An example of the wire document.
struct Example {
    name: String,
    hex: String,
    /// Source and destination; both zero where there are none.
    addresses: (String, String),
    segment: Value,
}

fn examples() -> Vec<Example> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/wire/smp121.md");
    let document = std::fs::read_to_string(path).unwrap();
    let example = |block: &str| {
        let (name, rest) = block.split_once('\n').unwrap();
        let body = rest.split("```").next().unwrap();
        let says = body.lines().find_map(|line| line.strip_prefix('=')).map(|line| json(line.trim())).unwrap();
        let octets = body.lines().filter(|line| !line.starts_with('='));
        let hex: String = octets.map(|line| line.split('#').next().unwrap()).collect::<Vec<_>>().join(" ");
        let addresses = says["pseudo"].as_str().unwrap().split_once('>').unwrap_or(("0.0.0.0", "0.0.0.0"));
        Example {
            name: name.to_owned(),
            hex,
            addresses: (addresses.0.to_owned(), addresses.1.to_owned()),
            segment: says["segment"].clone(),
        }
    };
    document.split("```hex name=").skip(1).map(example).collect()
}

/// Everything that `says` names is so in `got`.
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

/// A pcap file of raw IPv4 packets between the addresses of the first examples, with times of a second apart.
fn capture(segments: &[Vec<u8>]) -> Vec<u8> {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let mut file = words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, 101]);
    for (at, segment) in segments.iter().enumerate() {
        let len = 20 + segment.len();
        let [high, low] = u16::try_from(len).unwrap().to_be_bytes();
        let (seconds, len) = (1_700_000_000 + u32::try_from(at).unwrap(), u32::try_from(len).unwrap());
        file.extend(words(&[seconds, 1, len, len]));
        file.extend([0x45, 0, high, low, 0, 0, 0x40, 0, 60, 121, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        file.extend(segment);
    }
    file
}

fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn example(name: &str) -> Vec<u8> {
    octets(&examples().into_iter().find(|example| example.name == name).unwrap().hex)
}

//= SMP121-O10
#[test]
fn every_example_of_the_wire_document_is_shown_as_it_says() {
    let mut checked = 0;
    for Example { name, hex, addresses: (source, destination), segment } in examples() {
        let common = ["inspect", "--protocol", "smp121", "--json", "--hex", &hex];
        let got = json(&good(&[&common[..], &["--source", &source, "--destination", &destination]].concat()));
        assert!(holds(&segment, &got), "{name}: {got:#}");
        assert_eq!(json(&good(&common))["checksum"], "unchecked", "{name}: without addresses");
        checked += 1;
    }
    assert!(checked >= 19, "only {checked} examples were found");
}

//= SMP121-O10
#[test]
fn a_segment_is_shown_to_people_with_all_that_is_wrong() {
    let hex = "12 34 56 79 00 00 00 04 01 07 00 20 4c 02 25 f9 12 34 56 78 01 07 04 02 00 00 00 02 6e 65 78 74 00 00";
    let shown =
        good(&["inspect", "--protocol", "smp121", "--hex", hex, "--source", "10.0.0.1", "--destination", "10.0.0.2"]);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[0], "invalid");
    assert_eq!(
        lines[1],
        "  header: number=305419897 field=4 mailslot=263 length=32 flags=0x4c (REQ|RPY|reserved 0x40) responses=2 checksum=0x25f9 (wrong, should be 0xe0f7)"
    );
    assert_eq!(lines[2], "  record: number=305419896 mailslot=263 action=2 (accepted) offset=2");
    assert!(lines[3].starts_with("  dropped: response record 1 of 2"), "{shown}");
    assert!(lines[4].starts_with("  note: 2 octets behind"), "{shown}");
    assert!(lines[5].starts_with("  dropped: checksum 0x25f9"), "{shown}");
    assert_eq!(lines.len(), 6);
}

//= SMP121-O10, SMP121-O11
#[test]
fn a_capture_is_shown_packet_by_packet_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("capture.pcap");
    let mut octets = capture(&[example("request"), example("bit-flipped"), example("acknowledgement")]);
    // A fragment, and TCP.
    let len = 16 + 20 + 28;
    let (fragment_at, tcp_at) = (octets.len(), octets.len() + len);
    octets.extend_from_within(fragment_at - len..);
    octets.extend_from_within(fragment_at - len..fragment_at);
    octets[fragment_at + 16 + 7] = 5;
    octets[tcp_at + 16 + 9] = 6;
    std::fs::write(&file, &octets).unwrap();
    let shown = good(&["inspect", "--protocol", "smp121", file.to_str().unwrap()]);
    let lines: Vec<&str> = shown.lines().filter(|line| !line.starts_with("  ")).collect();
    assert_eq!(
        lines,
        [
            "#1 1700000000.000001 10.0.0.1 > 10.0.0.2 ip request number=305419896 mailslot=263 total=5 last [5] \"hello\"",
            "#2 1700000001.000001 10.0.0.1 > 10.0.0.2 ip request number=305419896 mailslot=263 total=5 last [5] \"helln\"",
            "#3 1700000002.000001 10.0.0.1 > 10.0.0.2 ip responses",
            "#4 1700000002.000001 unreadable: a fragment at offset 40; record where datagrams are whole",
            "clean (5 packets: 3 segments, 1 of other protocols, 1 unreadable)",
        ]
    );
    assert!(shown.contains("  dropped: checksum 0x36cf should be 0x37cf"), "{shown}");
    let lines: Vec<Value> = text(&run_with_input(&["inspect", "--protocol", "smp121", "--json", "-"], &octets).stdout)
        .lines()
        .map(json)
        .collect();
    assert_eq!(lines.len(), 5);
    let first = &lines[0];
    assert_eq!((&first["packet"], &first["time"]), (&1.into(), &"1700000000.000001".into()));
    assert_eq!(
        (&first["source"], &first["carrier"], &first["kind"]),
        (&"10.0.0.1".into(), &"ip".into(), &"request".into())
    );
    assert_eq!((&lines[1]["faults"][0], &lines[1]["dropped"]), (&"checksum".into(), &true.into()));
    assert_eq!((&lines[3]["unreadable"], &lines[3]["packet"]), (&"fragment".into(), &4.into()));
    let end = &lines[4];
    assert_eq!((&end["end"], &end["packets"], &end["segments"]), (&"clean".into(), &5.into(), &3.into()));
    assert_eq!((&end["other"], &end["unreadable"]), (&1.into(), &1.into()));
}

//= SMP121-O11
#[test]
fn a_broken_capture_is_shown_as_far_as_it_goes() {
    let whole = capture(&[example("request"), example("reply")]);
    let cut = run_with_input(&["inspect", "--protocol", "smp121", "-"], &whole[..whole.len() - 1]);
    let shown = text(&cut.stdout);
    assert!(cut.status.success() && shown.contains("#1 "), "{shown}");
    assert!(
        shown.ends_with("inside a packet (1 packets: 1 segments, 0 of other protocols, 0 unreadable)\n"),
        "{shown}"
    );
    let mut lies = whole;
    let at = 24 + 16 + 41 + 8;
    lies[at..at + 4].copy_from_slice(&[0xff; 4]);
    let broken = run_with_input(&["inspect", "--protocol", "smp121", "-"], &lies);
    assert_eq!(broken.status.code(), Some(1));
    assert!(text(&broken.stdout).contains("#1 ") && text(&broken.stderr).contains("4294967295 octets"));
    let none = run_with_input(&["inspect", "--protocol", "smp121", "-"], b"hello, this is text");
    assert_eq!(none.status.code(), Some(1));
    assert!(text(&none.stderr).contains("no pcap and no pcapng file") && text(&none.stderr).contains("tcpdump"));
}

//= SMP121-O10
#[test]
fn names_of_mailslots_cannot_write_on_the_terminal() {
    let hex = "00 00 00 00 00 00 00 00 00 00 00 15 14 00 00 00 1b 5b 32 4a 00";
    let shown = good(&["inspect", "--protocol", "smp121", "--hex", hex]);
    assert!(shown.contains("name_request name=\"\\u{1b}[2J\"") && !shown.contains('\u{1b}'), "{shown}");
}

#[test]
fn addresses_that_do_not_fit_are_refused() {
    let hex = "00";
    let six: IpAddr = "::1".parse().unwrap();
    for args in [
        &["--protocol", "smp121", "--hex", hex, "--source", "10.0.0.1"][..],
        &["--protocol", "smp121", "--hex", hex, "--source", "10.0.0.1", "--destination", &six.to_string()],
        &["--protocol", "smp121", "--hex", hex, "--source", "here", "--destination", "10.0.0.1"],
        &["--protocol", "smp121", "-", "--source", "10.0.0.1", "--destination", "10.0.0.2"],
        &["--protocol", "smp", "--hex", hex, "--source", "10.0.0.1", "--destination", "10.0.0.2"],
        &["--protocol", "smp121", "--hex", "0"],
        &["--protocol", "smp121"],
    ] {
        bad(&[&["inspect"][..], args].concat(), 2);
    }
    assert!(bad(&["inspect", "--protocol", "smp121", "/nonexistent"], 1).contains("/nonexistent"));
    let short = good(&["inspect", "--protocol", "smp121", "--hex", "00"]);
    assert!(short.contains("dropped: 1 octets are fewer than the 16 of a header"), "{short}");
}
