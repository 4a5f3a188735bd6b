//! A slow reader of smp121 segments, written from the tables of `docs/wire/smp121.md`.

use smp121::wire::PseudoHeader;

/// A segment as the tables have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plain {
    pub number: u32,
    pub field: u32,
    pub mailslot: u16,
    pub flags: u8,
    /// Number, mailslot, action, variable data.
    pub records: Vec<(u32, u16, u8, Vec<u8>)>,
    pub data: Vec<u8>,
    pub length: u16,
}

/// The number of `len` octets at `at`.
fn number(octets: &[u8], at: usize, len: usize) -> Option<u32> {
    let mut value = 0;
    for index in at..at + len {
        value = value * 256 + u32::from(*octets.get(index)?);
    }
    Some(value)
}

/// What the octets say, whatever their checksum; `None` where they are no segment.
pub fn plain(octets: &[u8]) -> Option<Plain> {
    let length = number(octets, 10, 2)? as usize;
    if octets.len() < 16 || length < 16 || length > octets.len() {
        return None;
    }
    let octets = &octets[..length];
    let mut records = Vec::new();
    let mut at = 16;
    for _ in 0..octets[13] {
        let size = number(octets, at + 6, 1)? as usize;
        let action = number(octets, at + 7, 1)? as u8;
        let data = octets.get(at + 8..at + 8 + size)?;
        records.push((number(octets, at, 4)?, number(octets, at + 4, 2)? as u16, action, data.to_vec()));
        at += 8 + size;
    }
    Some(Plain {
        number: number(octets, 0, 4)?,
        field: number(octets, 4, 4)?,
        mailslot: number(octets, 8, 2)? as u16,
        flags: octets[12],
        records,
        data: octets[at..].to_vec(),
        length: length as u16,
    })
}

/// The right checksum of the octets that the length covers: words one by one, the carry brought round at once.
pub fn checksum(covered: &[u8], pseudo: &PseudoHeader) -> u16 {
    let mut octets = match pseudo {
        PseudoHeader::V4 { source, destination } => [source.octets(), destination.octets()].concat(),
        PseudoHeader::V6 { source, destination } => [source.octets(), destination.octets()].concat(),
        _ => Vec::new(),
    };
    octets.extend([0, 121]);
    octets.extend((covered.len() as u16).to_be_bytes());
    octets.extend(&covered[..14]);
    octets.extend([0, 0]);
    octets.extend(&covered[16..]);
    let mut sum = 0u32;
    for pair in octets.chunks(2) {
        sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
