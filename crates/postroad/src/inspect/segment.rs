//! Segments of the Simple Messaging Protocol, taken apart.

use super::packet::Datagram;
use smp121::inspect::{Inspection, Verdict, inspect, kind_word};
use smp121::wire::{Action, Kind, Position, PseudoHeader, RawResponse, layout};
use std::net::IpAddr;

/// A segment as far as its octets go.
///
/// ```
/// use postroad::inspect::InspectedSegment;
///
/// let octets = [0x12, 0x34, 0x56, 0x78, 0, 0, 0, 2, 1, 7, 0, 18, 0x0b, 0, 0x07, 0x3f, b'o', b'k'];
/// let segment = InspectedSegment::between(&octets, "10.0.0.2".parse().unwrap(), "10.0.0.1".parse().unwrap());
/// assert_eq!((segment.kind, segment.checksum), (Some("reply"), "right"));
/// assert_eq!((segment.total, &segment.data[..]), (Some(2), &b"ok"[..]));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InspectedSegment {
    /// The fields of the header that are there, key and value, in the order of the wire.
    pub header: Vec<(&'static str, u32)>,
    /// The names of the flags that are set, as in `SOM|EOM|REQ`.
    pub flags: Option<String>,
    /// The response records that are there.
    pub records: Vec<InspectedRecord>,
    /// What it means: `responses`, `name_request`, `name_reply`, `request`, `reply` or `reset`; `None` for nothing.
    pub kind: Option<&'static str>,
    /// Total size of the message, of its first segment.
    pub total: Option<u32>,
    /// Offset of the data, of other segments of a message.
    pub offset: Option<u32>,
    /// Whether the sender calls it the last of its message.
    pub is_last: Option<bool>,
    /// The mailslot's name, of name requests and replies.
    pub name: Option<Vec<u8>>,
    /// Requests that may be without a reply at once, of name replies.
    pub outstanding: Option<u16>,
    /// The largest request, of name replies.
    pub largest: Option<u32>,
    /// What stands behind the records.
    pub data: Vec<u8>,
    /// `right`, `wrong`, or `unchecked`.
    pub checksum: &'static str,
    /// What a wrong checksum should be.
    pub checksum_expected: Option<u16>,
    /// Everything that is wrong.
    pub faults: Vec<InspectedFault>,
}

/// A response record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InspectedRecord {
    /// The connection number.
    pub number: u32,
    /// The mailslot.
    pub mailslot: u16,
    /// The action.
    pub action: u8,
    /// The action's name, where it is a known one.
    pub name: Option<&'static str>,
    /// The acknowledged offset, of `accepted`.
    pub offset: Option<u32>,
    /// The variable data.
    pub data: Vec<u8>,
}

/// Something that is wrong with a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InspectedFault {
    /// Its word; `docs/wire/smp121.md` has all of them.
    pub word: &'static str,
    /// True where a receiver drops the segment because of it.
    pub drops: bool,
    /// What is wrong.
    pub text: String,
}

impl InspectedSegment {
    /// A bare segment. Without the addresses that it travelled between its checksum is not checked.
    #[must_use]
    pub fn bare(octets: &[u8]) -> Self {
        Self::new(&inspect(octets, octets.len(), None))
    }

    /// A segment between two addresses. Both zero (`0.0.0.0`) is what counts inside UDP. Where one is IPv4 and the other IPv6 the
    /// checksum is not checked.
    #[must_use]
    pub fn between(octets: &[u8], source: IpAddr, destination: IpAddr) -> Self {
        Self::new(&inspect(octets, octets.len(), PseudoHeader::between(source, destination).as_ref()))
    }

    /// The segment of a captured datagram.
    #[must_use]
    pub fn of(datagram: &Datagram<'_>) -> Self {
        Self::new(&inspect(datagram.octets, datagram.whole_len, datagram.pseudo().as_ref()))
    }

    /// The value of a field of the header: `number`, `field`, `mailslot`, `length`, `flags`, `responses` or `checksum`.
    #[must_use]
    pub fn field(&self, key: &str) -> Option<u32> {
        self.header.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }

    fn new(seen: &Inspection<'_>) -> Self {
        let faults = seen.faults.iter().map(|fault| InspectedFault {
            word: fault.word(),
            drops: fault.drops(),
            text: fault.to_string(),
        });
        let mut segment = Self {
            header: seen.fields.iter().map(|(field, value)| (field.key, *value)).collect(),
            flags: seen.flags().map(|flags| flags.to_string()),
            records: seen.records.iter().map(record).collect(),
            kind: seen.kind.as_ref().map(kind_word),
            data: seen.data.to_vec(),
            checksum: seen.checksum.word(),
            checksum_expected: match seen.checksum {
                Verdict::Wrong { expected } => Some(expected),
                _ => None,
            },
            faults: faults.collect(),
            ..Self::default()
        };
        segment.put_kind(seen.kind.as_ref());
        segment
    }

    fn put_kind(&mut self, kind: Option<&Kind<'_>>) {
        match kind {
            Some(Kind::NameRequest { name }) => self.name = Some(name.to_vec()),
            Some(Kind::NameReply(reply)) => {
                self.name = reply.name.map(<[u8]>::to_vec);
                self.outstanding = Some(reply.outstanding_max);
                self.largest = Some(reply.request_len_max);
            }
            Some(Kind::Data(data)) => {
                match data.position {
                    Position::First { total } => self.total = Some(total),
                    Position::At { offset } => self.offset = Some(offset),
                }
                self.is_last = Some(data.is_last);
            }
            _ => {}
        }
    }
}

fn record(raw: &RawResponse<'_>) -> InspectedRecord {
    InspectedRecord {
        number: raw.number,
        mailslot: raw.mailslot,
        action: raw.action,
        name: layout::action(raw.action).map(|action| action.name),
        offset: match raw.known().map(|response| response.action) {
            Some(Action::Accepted { offset }) => Some(offset),
            _ => None,
        },
        data: raw.data.to_vec(),
    }
}
