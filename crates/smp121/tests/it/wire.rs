//! The wire: vectors both ways, bad inputs by name, properties.

mod bad_inputs;
mod checksum;
mod dissector;
mod examples;
mod flags;
mod inspecting;
mod layout;
mod names;
mod records;
mod round_trip;

use smp121::wire::PseudoHeader;
use std::net::Ipv4Addr;

/// From 10.0.0.1 to 10.0.0.2.
pub(crate) const PSEUDO: PseudoHeader =
    PseudoHeader::V4 { source: Ipv4Addr::new(10, 0, 0, 1), destination: Ipv4Addr::new(10, 0, 0, 2) };

/// A segment in the making, any nonsense in it. Written from the tables of `docs/wire/smp121.md`, without the crate.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    pub(crate) number: u32,
    pub(crate) field: u32,
    pub(crate) mailslot: u16,
    /// The length that the header claims, where another than the right one.
    pub(crate) length: Option<u16>,
    pub(crate) flags: u8,
    pub(crate) count: u8,
    /// The checksum, where another than the right one.
    pub(crate) checksum: Option<u16>,
    /// Records and data.
    pub(crate) body: Vec<u8>,
    /// Behind the length's end.
    pub(crate) trailing: Vec<u8>,
}

/// A segment with these flags, union field and data.
pub(crate) fn raw(flags: u8, field: u32, body: &[u8]) -> Raw {
    Raw {
        number: 0x1234_5678,
        field,
        mailslot: 0x0107,
        length: None,
        flags,
        count: 0,
        checksum: None,
        body: body.to_vec(),
        trailing: Vec::new(),
    }
}

/// The checksum, word by word with the carry brought round at once.
pub(crate) fn oracle(octets: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in octets.chunks(2) {
        sum += u32::from(pair[0]) * 256 + pair.get(1).map_or(0, |low| u32::from(*low));
        if sum > 0xffff {
            sum -= 0xffff;
        }
    }
    !u16::try_from(sum).unwrap()
}

/// The pseudo header as octets.
pub(crate) fn pseudo_octets(pseudo: &PseudoHeader, length: u16) -> Vec<u8> {
    let [high, low] = length.to_be_bytes();
    match pseudo {
        PseudoHeader::V4 { source, destination } => {
            [&source.octets()[..], &destination.octets(), &[0, 121, high, low]].concat()
        }
        PseudoHeader::V6 { source, destination } => {
            [&source.octets()[..], &destination.octets(), &[0, 0, high, low, 0, 0, 0, 121]].concat()
        }
        _ => [[0; 8].as_slice(), &[0, 121, high, low]].concat(),
    }
}

impl Raw {
    pub(crate) fn octets(&self) -> Vec<u8> {
        self.octets_between(&PSEUDO)
    }

    /// The octets, with the right checksum for these addresses unless another was asked for.
    pub(crate) fn octets_between(&self, pseudo: &PseudoHeader) -> Vec<u8> {
        let length = self.length.unwrap_or_else(|| u16::try_from(16 + self.body.len()).unwrap());
        let mut octets = self.number.to_be_bytes().to_vec();
        octets.extend(self.field.to_be_bytes());
        octets.extend(self.mailslot.to_be_bytes());
        octets.extend(length.to_be_bytes());
        octets.extend([self.flags, self.count, 0, 0]);
        octets.extend(&self.body);
        octets.extend(&self.trailing);
        let covered = &octets[..octets.len().min(usize::from(length))];
        let right = oracle(&[&pseudo_octets(pseudo, length)[..], covered].concat());
        octets[14..16].copy_from_slice(&self.checksum.unwrap_or(right).to_be_bytes());
        octets
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// A response record.
pub(crate) fn record(number: u32, mailslot: u16, action: u8, data: &[u8]) -> Vec<u8> {
    let mut octets = number.to_be_bytes().to_vec();
    octets.extend(mailslot.to_be_bytes());
    octets.extend([u8::try_from(data.len()).unwrap(), action]);
    octets.extend(data);
    octets
}
