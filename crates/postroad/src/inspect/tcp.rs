//! Captured packets to the octets of TCP streams, one for each direction of a connection.

use super::capture::CapturedPacket;
use super::ip::IpPacket;
use super::packet::{Unreadable, ip_of};
use bytes::Bytes;
use core::fmt;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use wirekit::Reader;

const TCP: u8 = 6;
const SYN: u8 = 0x02;

/// Directions that are followed at the same time.
pub const STREAM_COUNT_MAX: usize = 4_096;
/// Octets that one direction keeps because others are to come before them.
pub const AHEAD_LEN_MAX: usize = 1 << 20;
/// Pieces of those.
const AHEAD_COUNT_MAX: usize = 1_024;

/// One direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct TcpDirection {
    /// Who sends.
    pub source: SocketAddr,
    /// Who receives.
    pub destination: SocketAddr,
    /// Which connection between these two ports it is in the capture, from 0.
    pub number: u32,
}

impl fmt::Display for TcpDirection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} > {}", self.source, self.destination)?;
        if self.number > 0 { write!(f, " #{}", self.number) } else { Ok(()) }
    }
}

/// What a packet is to the streams.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TcpFound {
    /// The next octets of one direction, in order.
    Octets(TcpDirection, Vec<Bytes>),
    /// It brings nothing new: no octets, octets that came before, or octets that wait for others.
    Nothing,
    /// One direction cannot be followed any further.
    Lost(TcpDirection, TcpLoss),
    /// No TCP, or not of these ports.
    Other,
    /// It cannot be read.
    Unreadable(Unreadable),
}

/// Why a direction cannot be followed any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TcpLoss {
    /// Octets behind this place in the stream were not recorded.
    Missing {
        /// Octets of the stream in front of what is missing.
        offset: u64,
    },
    /// There are [`STREAM_COUNT_MAX`] others.
    TooMany,
}

impl fmt::Display for TcpLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { offset } => write!(f, "octets behind octet {offset} are not in the capture"),
            Self::TooMany => write!(f, "limit STREAM_COUNT_MAX reached: {STREAM_COUNT_MAX} directions are followed"),
        }
    }
}

/// Puts the streams of a capture together. Holds at most [`STREAM_COUNT_MAX`] directions, and of each [`AHEAD_LEN_MAX`] octets.
#[derive(Debug, Default)]
pub struct TcpStreams {
    ports: Vec<u16>,
    streams: HashMap<(SocketAddr, SocketAddr), Direction>,
}

#[derive(Debug, Default)]
struct Direction {
    number: u32,
    /// The sequence number of the first octet, as far as it is known.
    first: u32,
    /// The sequence number of the next octet.
    next: u32,
    /// Octets in order so far.
    len: u64,
    /// By how far they are ahead when they came; they are looked at in the order of the stream.
    ahead: BTreeMap<u64, Bytes>,
    ahead_len: usize,
    is_lost: bool,
}

/// What a segment of TCP says.
struct Segment<'a> {
    sequence: u32,
    is_first: bool,
    octets: &'a [u8],
    /// All of its octets were recorded.
    is_whole: bool,
}

impl TcpStreams {
    /// Of these ports at either end; of all where there are none.
    #[must_use]
    pub fn of_ports(ports: &[u16]) -> Self {
        Self { ports: ports.to_vec(), streams: HashMap::new() }
    }

    /// What this packet brings.
    pub fn find(&mut self, packet: &CapturedPacket<'_>) -> TcpFound {
        let ip = match ip_of(packet) {
            Ok(Some(ip)) if ip.protocol == TCP => ip,
            Ok(_) => return TcpFound::Other,
            Err(why) => return TcpFound::Unreadable(why),
        };
        if let Some(offset) = ip.fragment {
            return TcpFound::Unreadable(Unreadable::Fragment { offset });
        }
        let Some((source_port, destination_port, segment)) = read(&ip) else {
            return TcpFound::Unreadable(Unreadable::Header);
        };
        if !self.ports.is_empty() && ![source_port, destination_port].iter().any(|port| self.ports.contains(port)) {
            return TcpFound::Other;
        }
        let source = SocketAddr::new(ip.source, source_port);
        let destination = SocketAddr::new(ip.destination, destination_port);
        self.take(source, destination, &segment)
    }

    fn take(&mut self, source: SocketAddr, destination: SocketAddr, segment: &Segment<'_>) -> TcpFound {
        let key = (source, destination);
        let followed_count = self.streams.len();
        let direction = match self.streams.get_mut(&key) {
            Some(known) => {
                // The same first segment again is no other connection.
                if segment.is_first && known.first != segment.sequence && known.len > 0 {
                    *known = Direction {
                        number: known.number.saturating_add(1),
                        first: segment.sequence,
                        next: segment.sequence,
                        ..Direction::default()
                    };
                }
                known
            }
            None if followed_count >= STREAM_COUNT_MAX => {
                return TcpFound::Lost(TcpDirection { source, destination, number: 0 }, TcpLoss::TooMany);
            }
            None => {
                let begun = Direction { first: segment.sequence, next: segment.sequence, ..Direction::default() };
                self.streams.entry(key).or_insert(begun)
            }
        };
        let name = TcpDirection { source, destination, number: direction.number };
        if direction.is_lost {
            return TcpFound::Nothing;
        }
        match direction.take(segment) {
            Ok(pieces) if pieces.is_empty() => TcpFound::Nothing,
            Ok(pieces) => TcpFound::Octets(name, pieces),
            Err(loss) => {
                direction.is_lost = true;
                direction.ahead = BTreeMap::new();
                TcpFound::Lost(name, loss)
            }
        }
    }

    /// The directions that wait for octets which did not come, at the end of a capture.
    #[must_use]
    pub fn unfinished(&self) -> Vec<(TcpDirection, TcpLoss)> {
        let waiting = self.streams.iter().filter(|(_, direction)| !direction.ahead.is_empty());
        let mut waiting: Vec<(TcpDirection, TcpLoss)> = waiting
            .map(|((source, destination), direction)| {
                let name = TcpDirection { source: *source, destination: *destination, number: direction.number };
                (name, TcpLoss::Missing { offset: direction.len })
            })
            .collect();
        waiting.sort_unstable_by_key(|(name, _)| *name);
        waiting
    }
}

impl Direction {
    fn take(&mut self, segment: &Segment<'_>) -> Result<Vec<Bytes>, TcpLoss> {
        let missing = TcpLoss::Missing { offset: self.len };
        // How far ahead of what is wanted it begins; the upper half of the numbers is behind.
        let ahead = segment.sequence.wrapping_sub(self.next);
        let is_behind = ahead > u32::MAX / 2;
        let known_len = if is_behind { usize::try_from(ahead.wrapping_neg()).unwrap_or(usize::MAX) } else { 0 };
        let octets = segment.octets.get(known_len..).unwrap_or_default();
        if !segment.is_whole {
            return Err(missing);
        }
        if octets.is_empty() {
            return Ok(Vec::new());
        }
        if !is_behind && ahead > 0 {
            self.ahead_len += octets.len();
            self.ahead.entry(self.len + u64::from(ahead)).or_insert_with(|| Bytes::copy_from_slice(octets));
            if self.ahead_len > AHEAD_LEN_MAX || self.ahead.len() > AHEAD_COUNT_MAX {
                return Err(missing);
            }
            return Ok(Vec::new());
        }
        let mut pieces = vec![Bytes::copy_from_slice(octets)];
        self.pass(octets.len());
        while let Some(entry) = self.ahead.first_entry().filter(|entry| *entry.key() <= self.len) {
            let (at, piece) = entry.remove_entry();
            self.ahead_len = self.ahead_len.saturating_sub(piece.len());
            let known_len = usize::try_from(self.len - at).unwrap_or(usize::MAX);
            if known_len < piece.len() {
                let new = piece.slice(known_len..);
                self.pass(new.len());
                pieces.push(new);
            }
        }
        Ok(pieces)
    }

    fn pass(&mut self, len: usize) {
        self.len += len as u64;
        // Numbers go round.
        self.next = self.next.wrapping_add(u32::try_from(len).unwrap_or_default());
    }
}

/// The ports and what is said, where the header is there whole.
fn read<'a>(ip: &IpPacket<'a>) -> Option<(u16, u16, Segment<'a>)> {
    let mut reader = Reader::new(ip.payload);
    let (source, destination) = (reader.u16().ok()?, reader.u16().ok()?);
    let (sequence, _acknowledged) = (reader.u32().ok()?, reader.u32().ok()?);
    let (words, flags) = (reader.u8().ok()? >> 4, reader.u8().ok()?);
    let header_len = usize::from(words) * 4;
    if header_len < 20 {
        return None;
    }
    let octets = ip.payload.get(header_len..)?;
    let is_first = flags & SYN != 0;
    // The first one takes a number for itself.
    let sequence = if is_first { sequence.wrapping_add(1) } else { sequence };
    Some((source, destination, Segment { sequence, is_first, octets, is_whole: ip.payload.len() == ip.whole_len }))
}
