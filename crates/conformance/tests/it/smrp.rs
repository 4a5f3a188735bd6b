//! The implementation of SMRP against a codec made from the specification's table.

use bytes::{Bytes, BytesMut};
use conformance::smrp::{hex, read, sequence, sets, table, vectors, write};
use smrp::wire::{Frame, Header, REGISTRY, Scope, frame_type};

fn frame(number: u8, flags: u8, body: &[u8]) -> Bytes {
    let mut out = BytesMut::from(&[number, flags][..]);
    smrp::wire::put_varint(&mut out, body.len() as u64);
    out.extend_from_slice(body);
    out.freeze()
}

fn decode(octets: &Bytes, on_octets: bool) -> Result<Frame, smrp::wire::WireError> {
    let header = Header::decode(octets).unwrap().unwrap();
    assert_eq!(header.len + header.body_len, octets.len());
    Frame::decode(header, octets, 0, on_octets)
}

#[test]
fn the_registry_of_the_implementation_is_that_of_the_specification() {
    //= SMRP-F9
    let rows = table().unwrap();
    assert_eq!(rows.len(), REGISTRY.len());
    for (row, entry) in rows.iter().zip(REGISTRY) {
        let mask = row.flags.iter().fold(0, |mask, (bit, _)| mask | bit);
        assert_eq!(
            (row.number, row.name.as_str(), row.on_octets, mask),
            (entry.number, entry.name, entry.on_octets, entry.flags)
        );
    }
    let page = std::fs::read_to_string(conformance::repository().join("docs/smrp.md")).unwrap();
    for entry in REGISTRY {
        let scope = match entry.scope {
            Scope::Link => "L",
            Scope::Session => "S",
            Scope::Packet => "P",
        };
        assert!(page.contains(&format!("| {:02X} | {} | {scope} |", entry.number, entry.name)), "{}", entry.name);
    }
}

#[test]
fn both_codecs_agree_on_every_frame_with_every_flag() {
    //= SMRP-F1, SMRP-F5, SMRP-F9, SMRP-C1, SMRP-C2, SMRP-C3
    let mut count = 0;
    for row in table().unwrap() {
        for flags in sets(&row) {
            for seed in 0..100 {
                let body = write(&row, flags, &mut sequence(seed << 16 | u64::from(flags)));
                let octets = frame(row.number, flags, &body);
                let decoded = decode(&octets, false);
                let decoded =
                    decoded.unwrap_or_else(|error| panic!("{} {flags:#x} {}: {error}", row.name, hex(&octets)));
                let mut again = BytesMut::new();
                decoded.encode(&mut again);
                assert_eq!(hex(&again), hex(&octets), "{} {decoded:?}", row.name);
                assert!(read(&row, flags, &body).is_ok());
                count += 1;
                // What the table refuses the implementation refuses too.
                for cut in 0..body.len() {
                    let body = &body[..cut];
                    if read(&row, flags, body).is_err() {
                        assert!(decode(&frame(row.number, flags, body), false).is_err(), "{} {}", row.name, hex(body));
                    }
                }
            }
        }
    }
    assert!(count > 10_000, "{count}");
}

#[test]
fn the_vectors_of_the_specification_hold() {
    //= SMRP-F9
    let page: toml::Table = toml::from_str(&vectors().unwrap()).unwrap();
    let frames = page["frame"].as_array().unwrap();
    assert!(frames.len() > REGISTRY.len());
    for vector in frames {
        let text = vector["frame"].as_str().unwrap();
        let octets: Vec<u8> =
            (0..text.len() / 2).map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).unwrap()).collect();
        let octets = Bytes::from(octets);
        let decoded = decode(&octets, false).unwrap();
        assert_eq!(frame_type(decoded.number()).unwrap().name, vector["name"].as_str().unwrap());
        let mut again = BytesMut::new();
        decoded.encode(&mut again);
        assert_eq!(again, octets);
    }
}
