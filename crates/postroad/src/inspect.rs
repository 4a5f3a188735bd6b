//! Octets of a capture to readable units, without a connection.
//!
//! [`Inspector`] cuts a recorded stream into units. [`InspectedSegment`] takes a segment of the Simple Messaging Protocol apart, and
//! [`capture`] with [`find`] gets them out of pcap and pcapng files. [`InspectedMessage`] does it with a message of WRP,
//! [`session`] with links of SMRP, out of captures by the TCP streams that [`tcp`] puts together.

pub mod capture;
mod ip;
mod message;
mod packet;
mod segment;
pub mod session;
pub mod tcp;

pub use message::{InspectedMessage, InspectedStreamPacket, NoMessage};
pub use packet::{Datagram, Found, Unreadable, find};
pub use segment::{InspectedFault, InspectedRecord, InspectedSegment};

use bytes::Bytes;
use smp_framing::Unit;
use smp_framing::wire::{Decoder, ReceiveBuffer};
use std::collections::VecDeque;

/// Cuts a stream of the Streaming Message Protocol into its units, however its octets are handed in.
///
/// ```
/// use postroad::inspect::{End, Inspector};
///
/// let mut inspector = Inspector::new();
/// inspector.feed(&[0x01, 0x00, 0x02, b'h', b'i', 0x60, 0x01]);
/// let unit = inspector.next_unit().unwrap();
/// assert_eq!((unit.name.as_str(), &unit.arguments[0][..]), ("MESSAGE", &b"hi"[..]));
/// assert_eq!(inspector.next_unit().unwrap().name, "HEARTBEAT");
/// assert_eq!(inspector.finish(), End::Incomplete { missing_len: 2, left_len: 1 });
/// ```
#[derive(Debug, Default)]
pub struct Inspector {
    buffer: ReceiveBuffer,
    offset: u64,
    units: VecDeque<InspectedUnit>,
}

/// One unit of the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InspectedUnit {
    /// Offset of its first octet.
    pub offset: u64,
    /// Octets of the whole unit.
    pub wire_len: usize,
    /// The number of its code.
    pub code: u8,
    /// The name of its code.
    pub name: String,
    /// ID of the message, of frames.
    pub id: Option<u16>,
    /// FRAME#, of frames.
    pub frame: Option<u32>,
    /// Its arguments.
    pub arguments: Vec<Bytes>,
}

/// How the octets end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// At a unit's boundary.
    Clean,
    /// Inside a unit.
    Incomplete {
        /// The least number of octets that could finish the unit.
        missing_len: usize,
        /// Octets of it that are there.
        left_len: usize,
    },
}

impl Inspector {
    /// An inspector at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes more octets. Holds at most one unfinished unit beside the units not taken yet.
    pub fn feed(&mut self, octets: &[u8]) {
        self.buffer.incoming().extend_from_slice(octets);
        let decoder = Decoder::new(Decoder::UNIT_LEN_MAX);
        loop {
            let before = self.buffer.len();
            // No unit is longer than the longest, so the limit is never met.
            let Ok(Some(unit)) = decoder.decode(&mut self.buffer) else { break };
            let wire_len = before - self.buffer.len();
            self.units.push_back(inspected(unit, self.offset, wire_len));
            self.offset += wire_len as u64;
        }
    }

    /// The next whole unit.
    pub fn next_unit(&mut self) -> Option<InspectedUnit> {
        self.units.pop_front()
    }

    /// How the octets ended.
    #[must_use]
    pub fn finish(&self) -> End {
        match self.buffer.missing_len() {
            0 => End::Clean,
            missing_len => End::Incomplete { missing_len, left_len: self.buffer.len() },
        }
    }
}

fn inspected(unit: Unit, offset: u64, wire_len: usize) -> InspectedUnit {
    let (code, ident) = (unit.code(), unit.ident());
    InspectedUnit {
        offset,
        wire_len,
        code: code.number(),
        name: code.to_string(),
        id: ident.map(|ident| ident.id),
        frame: ident.map(|ident| ident.number),
        arguments: unit.into_arguments().into_vec(),
    }
}
