//! The layout of segments as data: what tools list, and what the Wireshark dissector is made from.

use super::{Flags, HEADER_LEN, RESPONSE_HEADER_LEN};

/// The UDP port for segments inside UDP. Our choice: none is assigned to this protocol.
//= SMP121-O3
pub const UDP_PORT: u16 = 12121;

/// A number in a segment, big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its key in JSON and behind `smp121.` in Wireshark.
    pub key: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// Octets in front of it, from the start of what it belongs to.
    pub offset: usize,
    /// Its octets: 1, 2 or 4.
    pub len: usize,
    /// How it reads best.
    pub base: Base,
    /// What it says.
    pub meaning: &'static str,
}

/// How a number reads best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// In decimal digits.
    Decimal,
    /// In hex digits.
    Hex,
}

/// A flag of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlagName {
    /// Its bits.
    pub flag: Flags,
    /// Its key.
    pub key: &'static str,
    /// Its name in the source, or `reserved`.
    pub name: &'static str,
    /// What it says.
    pub meaning: &'static str,
}

/// An action of a response record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActionName {
    /// Its octet.
    pub code: u8,
    /// Its name.
    pub name: &'static str,
    /// Octets of variable data that it has.
    pub data_len: u8,
}

/// Something that can be wrong with a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultName {
    /// Its word in JSON and in Wireshark.
    pub word: &'static str,
    /// True where a receiver drops the segment because of it.
    pub drops: bool,
    /// What is wrong.
    pub text: &'static str,
}

const fn field(
    key: &'static str,
    name: &'static str,
    offset: usize,
    len: usize,
    base: Base,
    meaning: &'static str,
) -> Field {
    Field { key, name, offset, len, base, meaning }
}

/// The header, 16 octets.
//= SMP121-W1
pub const HEADER: [Field; 7] = [
    field("number", "Connection number", 0, 4, Base::Decimal, "the exchange, counted for each mailslot"),
    field("field", "Total, offset or largest", 4, 4, Base::Decimal, "total with SOM, largest message in a name reply"),
    field("mailslot", "Mailslot", 8, 2, Base::Decimal, "number of the mailslot that the request goes to"),
    field("length", "Length", 10, 2, Base::Decimal, "octets of header, response records and data"),
    field("flags", "Flags", 12, 1, Base::Hex, "the first one drawn is the lowest bit"),
    field("responses", "Responses", 13, 1, Base::Decimal, "count of the records behind the header"),
    field("checksum", "Checksum", 14, 2, Base::Hex, "over pseudo header, header and all behind it"),
];

/// A response record without its variable data, 8 octets.
//= SMP121-W20
pub const RECORD: [Field; 4] = [
    field("number", "Connection number", 0, 4, Base::Decimal, "the exchange that it answers"),
    field("mailslot", "Mailslot", 4, 2, Base::Decimal, "the mailslot of that exchange"),
    field("size", "Size", 6, 1, Base::Decimal, "octets of variable data"),
    field("action", "Action", 7, 1, Base::Decimal, "what is said of it"),
];

/// The variable data of action 2.
pub const ACCEPTED: Field =
    field("offset", "Acknowledged offset", 0, 4, Base::Decimal, "the next octet that is expected of the message");

/// What the data of a name reply begins with.
pub const OUTSTANDING: Field = field("outstanding", "Outstanding", 0, 2, Base::Decimal, "requests without a reply");

/// The flags, lowest bit first.
pub const FLAGS: [FlagName; 8] = [
    FlagName { flag: Flags::SOM, key: "som", name: "SOM", meaning: "first segment of a message" },
    FlagName { flag: Flags::EOM, key: "eom", name: "EOM", meaning: "last segment of a message" },
    FlagName { flag: Flags::REQ, key: "req", name: "REQ", meaning: "request" },
    FlagName { flag: Flags::RPY, key: "rpy", name: "RPY", meaning: "reply" },
    FlagName { flag: Flags::NAM, key: "nam", name: "NAM", meaning: "name resolution" },
    FlagName { flag: Flags::RST, key: "rst", name: "RST", meaning: "reset" },
    FlagName { flag: Flags::from_octet(0x40), key: "reserved6", name: "reserved", meaning: "must be 0" },
    FlagName { flag: Flags::from_octet(0x80), key: "reserved7", name: "reserved", meaning: "must be 0" },
];

/// The actions, by number.
pub const ACTIONS: [ActionName; 4] = [
    ActionName { code: 1, name: "reset", data_len: 0 },
    ActionName { code: 2, name: "accepted", data_len: 4 },
    ActionName { code: 3, name: "too large", data_len: 0 },
    ActionName { code: 4, name: "busy", data_len: 0 },
];

const fn drops(word: &'static str, text: &'static str) -> FaultName {
    FaultName { word, drops: true, text }
}

const fn passed_over(word: &'static str, text: &'static str) -> FaultName {
    FaultName { word, drops: false, text }
}

/// Everything that can be wrong: what makes a receiver drop a segment, then what it passes over.
//= SMP121-A33
pub const FAULTS: [FaultName; 17] = [
    drops("short", "fewer than the 16 octets of a header"),
    drops("length_below_header", "the length is below the 16 octets of a header"),
    drops("length_beyond_datagram", "the length is beyond what came"),
    drops("checksum", "the checksum is wrong"),
    drops("responses_beyond_segment", "a response record reaches beyond the segment"),
    drops("request_and_reply", "both REQ and RPY are set"),
    drops("reserved_flags", "a reserved flag is set"),
    drops("name_without_direction", "name resolution that is neither request nor reply"),
    drops("data_without_direction", "data that is neither request nor reply"),
    drops("name_without_nul", "the name has no NUL in its first 256 octets"),
    drops("name_empty", "the name is empty"),
    drops("name_reply_short", "the name reply lacks its outstanding messages"),
    drops("data_beyond_total", "the data reaches beyond the message"),
    passed_over("truncated", "not all octets were recorded"),
    passed_over("trailing", "octets behind the length's end are ignored"),
    passed_over("unknown_action", "a response record has an unknown action"),
    passed_over("response_size", "a response record has data that its action does not have"),
];

/// The action of this octet.
#[must_use]
pub fn action(code: u8) -> Option<ActionName> {
    ACTIONS.into_iter().find(|action| action.code == code)
}

impl Field {
    /// Its value in `octets`, those of what it belongs to; `None` where they end before it does.
    #[must_use]
    pub fn value(&self, octets: &[u8]) -> Option<u32> {
        let octets = octets.get(self.offset..self.offset.checked_add(self.len)?)?;
        Some(octets.iter().fold(0, |value, octet| value << 8 | u32::from(*octet)))
    }
}

const fn end_of(fields: &[Field]) -> usize {
    match fields {
        [.., last] => last.offset + last.len,
        [] => 0,
    }
}

const _: () = assert!(end_of(&HEADER) == HEADER_LEN && end_of(&RECORD) == RESPONSE_HEADER_LEN);
