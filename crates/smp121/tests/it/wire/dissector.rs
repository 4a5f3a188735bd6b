//! The Wireshark dissector `docs/wire/smp121.lua` says what the decoder says. Needs tshark: without it the tests say in one line that
//! they skipped, and with `CI=true` that is a failure.

use super::examples::{examples, words};
use super::{PSEUDO, raw, record};
use serde_json::Value;
use smp121::inspect::{Fault, inspect};
use smp121::wire::layout::{ACTIONS, FAULTS, UDP_PORT};
use smp121::wire::{DecodeError, PseudoHeader};
use std::io::Write as _;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::rng::Rng;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/wire/smp121.lua");
const FIELDS: [&str; 17] = [
    "smp121.kind",
    "smp121.checksum.status",
    "smp121.fault",
    "smp121.number",
    "smp121.field",
    "smp121.mailslot",
    "smp121.length",
    "smp121.responses",
    "smp121.record.number",
    "smp121.record.action",
    "smp121.record.offset",
    "smp121.total",
    "smp121.offset",
    "smp121.last",
    "smp121.name",
    "smp121.outstanding",
    "smp121.data",
];

/// One packet: a datagram between addresses, and how many of its octets were recorded.
#[derive(Clone, Debug)]
struct Packet {
    pseudo: PseudoHeader,
    octets: Vec<u8>,
    kept_len: usize,
}

impl Packet {
    fn whole(pseudo: PseudoHeader, octets: Vec<u8>) -> Self {
        Self { pseudo, kept_len: octets.len(), octets }
    }

    /// The internet header, and UDP's where there are no addresses.
    fn head(&self) -> Vec<u8> {
        let len = self.octets.len();
        let short = |len: usize| u16::try_from(len).unwrap().to_be_bytes();
        let v4 = |protocol: u8, len: usize, addresses: [[u8; 4]; 2]| {
            let [high, low] = short(20 + len);
            [&[0x45, 0, high, low, 0, 0, 0x40, 0, 60, protocol, 0, 0][..], &addresses.concat()].concat()
        };
        match self.pseudo {
            PseudoHeader::V4 { source, destination } => v4(121, len, [source.octets(), destination.octets()]),
            PseudoHeader::V6 { source, destination } => {
                let [high, low] = short(len);
                [&[0x60, 0, 0, 0, high, low, 121, 60][..], &source.octets(), &destination.octets()].concat()
            }
            _ => {
                let udp = [50_000u16.to_be_bytes(), UDP_PORT.to_be_bytes(), short(8 + len), [0, 0]].concat();
                [v4(17, 8 + len, [[10, 0, 0, 1], [10, 0, 0, 2]]), udp].concat()
            }
        }
    }
}

fn capture(packets: &[Packet]) -> Vec<u8> {
    let whole =
        |packet: &Packet| ([&packet.head()[..], &packet.octets].concat(), packet.octets.len() - packet.kept_len);
    capture_of(packets.iter().map(whole))
}

/// A capture file of link type 101, raw IP, of packets that each lack some octets at the end.
fn capture_of(packets: impl Iterator<Item = (Vec<u8>, usize)>) -> Vec<u8> {
    let mut file = Vec::new();
    // Magic, version 2.4, zone, accuracy, most octets of a packet, link type.
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, 101u32] {
        file.extend(word.to_le_bytes());
    }
    for (packet, missing_len) in packets {
        let kept_len = packet.len() - missing_len;
        for word in [0, 0, kept_len, packet.len()] {
            file.extend(u32::try_from(word).unwrap().to_le_bytes());
        }
        file.extend(&packet[..kept_len]);
    }
    file
}

fn has_tshark() -> bool {
    let found = Command::new("tshark").arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "tshark is missing; CI has to have it");
        let _ = writeln!(std::io::stderr(), "skipped: tshark is missing");
    }
    found
}

/// A folder of our own that is gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("smp121-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn tshark(file: &Path, arguments: &[&str]) -> String {
    let output = Command::new("tshark")
        .arg("-r")
        .arg(file)
        .args(["-n", "-X", &format!("lua_script:{SCRIPT}")])
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("Lua"), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

/// What tshark says of each packet: the values of each field, those of several occurrences apart.
fn dissected(packets: &[Packet], name: &str) -> Vec<Vec<Vec<String>>> {
    let folder = Folder::new(name);
    let file = folder.0.join("capture.pcap");
    std::fs::write(&file, capture(packets)).unwrap();
    let mut arguments = vec!["-T", "fields", "-E", "separator=/t", "-E", "occurrence=a", "-E", "aggregator=;"];
    for field in &FIELDS {
        arguments.extend(["-e", field]);
    }
    let text = tshark(&file, &arguments);
    let values = |cell: &str| cell.split(';').filter(|value| !value.is_empty()).map(str::to_owned).collect();
    text.lines().map(|line| line.split('\t').map(values).collect()).collect()
}

/// What our own inspection says, in the same form.
fn expected(packet: &Packet) -> Vec<Vec<String>> {
    let kept = &packet.octets[..packet.kept_len];
    let seen = inspect(kept, packet.octets.len(), Some(&packet.pseudo));
    let said = words(&seen);
    let text = |value: &Value| match value {
        Value::Null => Vec::new(),
        Value::Bool(value) => vec![u8::from(*value).to_string()],
        Value::String(text) if text.is_empty() => Vec::new(),
        Value::String(text) => vec![text.clone()],
        value => vec![value.to_string()],
    };
    let records = |key: &str| {
        seen.records
            .iter()
            .zip(said["records"].as_array().unwrap())
            .flat_map(|(_, record)| text(&record[key]))
            .collect()
    };
    let header = |key: &str| seen.field(key).map(|value| value.to_string()).into_iter().collect();
    let mut faults: Vec<String> = seen.faults.iter().map(|fault| fault.word().to_owned()).collect();
    faults.sort();
    let name = match seen.kind {
        Some(smp121::wire::Kind::NameRequest { name }) => Some(name),
        Some(smp121::wire::Kind::NameReply(reply)) => reply.name,
        _ => None,
    };
    let checksum = if seen.fields.len() < 7 { Vec::new() } else { vec![seen.checksum.word().to_owned()] };
    vec![
        text(&said["kind"]),
        checksum,
        faults,
        header("number"),
        header("field"),
        header("mailslot"),
        header("length"),
        header("responses"),
        records("number"),
        records("action"),
        records("offset"),
        text(&said["total"]),
        text(&said["offset"]),
        text(&said["last"]),
        name.map(testkit::vectors::to_hex).into_iter().collect(),
        text(&said["outstanding"]),
        text(&said["data"]),
    ]
}

fn compare(packets: &[Packet], name: &str) {
    let got = dissected(packets, name);
    assert_eq!(got.len(), packets.len());
    for (index, (packet, mut got)) in packets.iter().zip(got).enumerate() {
        got.resize(FIELDS.len(), Vec::new());
        got[2].sort();
        let expected = expected(packet);
        for (field, (got, expected)) in FIELDS.iter().zip(got.iter().zip(&expected)) {
            let octets = testkit::vectors::to_hex(&packet.octets);
            assert_eq!(got, expected, "{field} of packet {}: {octets}, {} kept", index + 1, packet.kept_len);
        }
    }
}

/// Segments of all kinds, and one of each fault.
fn samples() -> Vec<Packet> {
    let mut packets: Vec<Packet> =
        examples().into_iter().map(|example| Packet::whole(example.pseudo, example.octets)).collect();
    let v6 =
        PseudoHeader::V6 { source: Ipv6Addr::LOCALHOST, destination: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9) };
    let two_records = [record(1, 2, 2, &[0, 0, 1, 0]), record(3, 4, 1, b"")].concat();
    let raws = [
        raw(0x07, 5, b"hello").with(|raw| raw.length = Some(15)),
        raw(0x07, 5, b"hello").with(|raw| raw.length = Some(22)),
        raw(0x07, 5, b"hello").with(|raw| raw.checksum = Some(0)),
        raw(0x07, 2, &[0x7a, 0xaa]).with(|raw| raw.checksum = Some(0xffff)),
        raw(0x00, 0, &two_records).with(|raw| raw.count = 2),
        raw(0x00, 0, &two_records).with(|raw| raw.count = 3),
        raw(0x00, 0, &record(1, 2, 9, &[7; 255])).with(|raw| raw.count = 1),
        raw(0x00, 0, &record(1, 2, 2, &[7; 3])).with(|raw| raw.count = 1),
        raw(0x0c, 0, b""),
        raw(0x44, 0, b"x"),
        raw(0x10, 0, b"x"),
        raw(0x00, 0, b"x"),
        raw(0x14, 0, b"name"),
        raw(0x14, 0, b"\0"),
        raw(0x14, 0, &[&[b'n'; 255][..], b"\0tail"].concat()),
        raw(0x14, 0, &[&[b'n'; 256][..], b"\0"].concat()),
        raw(0x14, 0, b"\xff\x1b[2J\xfe\0"),
        raw(0x18, 9, b"\0"),
        raw(0x18, 9, b"\0\x10\0"),
        raw(0x05, 4, b"hello"),
        raw(0x04, u32::MAX, b"x"),
        raw(0x07, 5, b"hello").with(|raw| raw.trailing = vec![1; 3]),
    ];
    for raw in &raws {
        for pseudo in [PSEUDO, v6, PseudoHeader::None] {
            packets.push(Packet::whole(pseudo, raw.octets_between(&pseudo)));
        }
    }
    let whole = raw(0x07, 9, &[&two_records[..], b"some data"].concat()).with(|raw| raw.count = 2).octets();
    for len in 1..whole.len() {
        packets.push(Packet::whole(PSEUDO, whole[..len].to_vec()));
        packets.push(Packet { pseudo: PSEUDO, octets: whole.clone(), kept_len: len });
    }
    packets
}

//= SMP121-O9, SMP121-O8
#[test]
fn it_says_what_the_decoder_says_of_every_kind_and_fault() {
    if !has_tshark() {
        return;
    }
    let packets = samples();
    let named = |word: &str| {
        packets.iter().any(|packet| {
            let seen = inspect(&packet.octets[..packet.kept_len], packet.octets.len(), Some(&packet.pseudo));
            seen.faults.iter().any(|fault| fault.word() == word)
        })
    };
    assert!(FAULTS.iter().all(|fault| named(fault.word)), "each fault is among the packets");
    compare(&packets, "samples");
}

//= SMP121-O9
#[test]
fn it_says_what_the_decoder_says_of_damaged_segments() {
    if !has_tshark() {
        return;
    }
    let mut rng = Rng::new(121);
    let samples = samples();
    let mut packets = Vec::new();
    for round in 0..2_000 {
        let mut packet = samples[round % samples.len()].clone();
        for _ in 0..=rng.below(3) {
            let at = usize::try_from(rng.below(packet.octets.len() as u64)).unwrap();
            packet.octets[at] ^= 1 << rng.below(8);
        }
        packets.push(packet);
    }
    compare(&packets, "damaged");
}

//= SMP121-O9
#[test]
fn another_udp_port_is_recognised_by_a_right_checksum_alone() {
    if !has_tshark() {
        return;
    }
    let folder = Folder::new("ports");
    let file = folder.0.join("capture.pcap");
    let right = raw(0x07, 5, b"hello").octets_between(&PseudoHeader::None);
    let wrong = raw(0x07, 5, b"hello").octets_between(&PSEUDO);
    let longer = [&right[..], b"x"].concat();
    let packets = [right, wrong, longer].map(|octets| Packet::whole(PseudoHeader::None, octets));
    let mut octets = capture(&packets);
    let port = UDP_PORT.to_be_bytes();
    for at in 0..octets.len() - 1 {
        if octets[at..at + 2] == port {
            octets[at..at + 2].copy_from_slice(&[0xd0, 0x01]);
        }
    }
    std::fs::write(&file, octets).unwrap();
    let shown = tshark(&file, &["-T", "fields", "-e", "smp121.kind"]);
    assert_eq!(shown.lines().collect::<Vec<_>>(), ["request", "", ""]);
}

//= SMP121-O9
#[test]
fn inside_a_tunnel_the_inner_addresses_count() {
    if !has_tshark() {
        return;
    }
    let folder = Folder::new("tunnel");
    let file = folder.0.join("capture.pcap");
    let inner = Packet::whole(PSEUDO, raw(0x07, 5, b"hello").octets());
    let inner = [inner.head(), inner.octets].concat();
    let length = u8::try_from(20 + inner.len()).unwrap();
    let outer = [0x45, 0, 0, length, 0, 0, 0x40, 0, 60, 4, 0, 0, 192, 0, 2, 1, 192, 0, 2, 77];
    std::fs::write(&file, capture_of([([&outer[..], &inner].concat(), 0)].into_iter())).unwrap();
    let shown = tshark(&file, &["-T", "fields", "-e", "smp121.checksum.status"]);
    assert_eq!(shown.trim_end(), "right");
}

//= SMP121-O9
#[test]
fn what_is_wrong_is_a_remark_in_the_list() {
    if !has_tshark() {
        return;
    }
    let folder = Folder::new("experts");
    let file = folder.0.join("capture.pcap");
    let wrong = raw(0x07, 5, b"hello").with(|raw| raw.checksum = Some(7)).octets();
    std::fs::write(&file, capture(&[Packet::whole(PSEUDO, wrong)])).unwrap();
    let shown = tshark(&file, &["-T", "fields", "-e", "_ws.expert.message", "-e", "_ws.expert.severity"]);
    assert_eq!(shown.trim_end(), "the checksum is wrong\t8388608", "an error");
    let listed = tshark(&file, &[]);
    assert!(
        listed.contains("SMP121") && listed.contains("request connection 305419896, mailslot 263, 5 of 5"),
        "{listed}"
    );
}

//= SMP121-O8
#[test]
fn the_table_names_every_fault() {
    let all = [
        Fault::Drop(DecodeError::Short { len: 0 }),
        Fault::Drop(DecodeError::LengthBelowHeader { length: 0 }),
        Fault::Drop(DecodeError::LengthBeyondDatagram { length: 0, len: 0 }),
        Fault::Drop(DecodeError::Checksum { found: 0, expected: 0 }),
        Fault::Drop(DecodeError::ResponsesBeyondSegment { index: 0, count: 0 }),
        Fault::Drop(DecodeError::RequestAndReply),
        Fault::Drop(DecodeError::ReservedFlags { bits: 0 }),
        Fault::Drop(DecodeError::NameWithoutDirection { len: 0 }),
        Fault::Drop(DecodeError::DataWithoutDirection { len: 0 }),
        Fault::Drop(DecodeError::NameWithoutNul),
        Fault::Drop(DecodeError::NameEmpty),
        Fault::Drop(DecodeError::NameReplyShort { len: 0 }),
        Fault::Drop(DecodeError::DataBeyondTotal { offset: 0, len: 0, total: 0 }),
        Fault::Truncated { len: 0, whole_len: 0 },
        Fault::Trailing { len: 0 },
        Fault::UnknownAction { index: 0, action: 0 },
        Fault::ResponseSize { index: 0, action: 0, size: 0 },
    ];
    let named: Vec<_> = all.iter().map(|fault| (fault.word(), fault.drops())).collect();
    let table: Vec<_> = FAULTS.iter().map(|fault| (fault.word, fault.drops)).collect();
    assert_eq!(named, table);
    assert_eq!(ACTIONS.map(|action| action.code), [1, 2, 3, 4]);
}
