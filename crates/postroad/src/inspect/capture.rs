//! Capture files, pcap and pcapng, one packet at a time.
//!
//! Read here and not by a library: from a pipe no octet is read ahead of the packet it belongs to, an error of the source stays that error, and what
//! is wrong says where it is.

mod pcapng;

use pcapng::Section;
use std::io::{self, Read};
use std::time::Duration;
use thiserror::Error;

/// The most octets of one packet, which is what the common recorders write at most.
pub const PACKET_LEN_MAX: u32 = 262_144;

/// The most interfaces of one section of a pcapng file.
pub const INTERFACE_COUNT_MAX: usize = 1_024;

/// Reads a capture. Holds one packet, at most [`PACKET_LEN_MAX`] octets, and the interfaces of one section.
#[derive(Debug)]
pub struct CaptureReader<R> {
    source: Source<R>,
    format: Format,
    packet: Vec<u8>,
    number: u64,
    is_over: bool,
}

/// One packet as it was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CapturedPacket<'a> {
    /// Its place in the file, from 1.
    pub number: u64,
    /// Since 1970, where the file says it.
    pub time: Option<Duration>,
    /// The kind of link that it was recorded on, a LINKTYPE number.
    pub link_type: u16,
    /// What was recorded of it.
    pub octets: &'a [u8],
    /// How many octets it had.
    pub whole_len: u32,
}

/// Why a capture cannot be read on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The source failed.
    #[error("reading failed at octet {offset}")]
    Read {
        /// Octets that were read before.
        offset: u64,
        /// What the system says.
        source: io::Error,
    },
    /// It begins like neither format.
    #[error("this is no pcap and no pcapng file")]
    NotACapture,
    /// It ends inside a header or packet.
    #[error("the capture ends at octet {offset}, inside {what}")]
    Cut {
        /// Where it ends.
        offset: u64,
        /// What had begun.
        what: &'static str,
    },
    /// A packet longer than any recorder writes.
    #[error("a packet of {len} octets at octet {offset} is beyond the {PACKET_LEN_MAX} that are read")]
    PacketTooLong {
        /// Where it begins.
        offset: u64,
        /// The length that it claims.
        len: u32,
    },
    /// More interfaces than a section may have here.
    #[error("more than {INTERFACE_COUNT_MAX} interfaces")]
    TooManyInterfaces,
    /// What no recorder writes.
    #[error("{what} at octet {offset}")]
    Malformed {
        /// Where it begins.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
}

impl CaptureError {
    /// True where the file only ends too early, as one does whose recorder was stopped.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        matches!(self, Self::Cut { .. })
    }
}

#[derive(Debug)]
enum Format {
    Pcap { order: Order, nanos_per_tick: u32, link_type: u16 },
    Pcapng(Section),
}

/// Which octet of a number comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

impl Order {
    const fn u32(self, octets: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(octets),
            Self::Big => u32::from_be_bytes(octets),
        }
    }

    const fn u16(self, octets: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(octets),
            Self::Big => u16::from_be_bytes(octets),
        }
    }
}

/// What a format's reader found: a packet whose octets are in the buffer.
#[derive(Clone, Copy, Debug)]
struct Head {
    time: Option<Duration>,
    link_type: u16,
    whole_len: u32,
}

impl<R: Read> CaptureReader<R> {
    /// Reads the head of a capture.
    ///
    /// # Errors
    /// [`CaptureError`], [`NotACapture`](CaptureError::NotACapture) for anything that begins otherwise.
    pub fn new(source: R) -> Result<Self, CaptureError> {
        let mut source = Source { inner: source, offset: 0 };
        let magic = source.array::<4>("its first octets")?;
        let format = match u32::from_be_bytes(magic) {
            pcapng::SECTION => Format::Pcapng(Section::begin(&mut source)?),
            0xa1b2_c3d4 => pcap(&mut source, Order::Big, 1_000)?,
            0xa1b2_3c4d => pcap(&mut source, Order::Big, 1)?,
            0xd4c3_b2a1 => pcap(&mut source, Order::Little, 1_000)?,
            0x4d3c_b2a1 => pcap(&mut source, Order::Little, 1)?,
            _ => return Err(CaptureError::NotACapture),
        };
        Ok(Self { source, format, packet: Vec::new(), number: 0, is_over: false })
    }

    /// The next packet; `None` at the end, and after an error.
    ///
    /// # Errors
    /// [`CaptureError`].
    pub fn next_packet(&mut self) -> Result<Option<CapturedPacket<'_>>, CaptureError> {
        if self.is_over {
            return Ok(None);
        }
        self.is_over = true;
        let head = match &mut self.format {
            Format::Pcap { order, nanos_per_tick, link_type } => {
                pcap_packet(&mut self.source, &mut self.packet, *order, *nanos_per_tick)?
                    .map(|(time, whole_len)| Head { time, link_type: *link_type, whole_len })
            }
            Format::Pcapng(section) => section.next_packet(&mut self.source, &mut self.packet)?,
        };
        let Some(Head { time, link_type, whole_len }) = head else { return Ok(None) };
        self.is_over = false;
        self.number += 1;
        let len = u32::try_from(self.packet.len()).unwrap_or(u32::MAX);
        let whole_len = whole_len.max(len);
        Ok(Some(CapturedPacket { number: self.number, time, link_type, octets: &self.packet, whole_len }))
    }
}

fn pcap<R: Read>(source: &mut Source<R>, order: Order, nanos_per_tick: u32) -> Result<Format, CaptureError> {
    let [.., l0, l1, l2, l3] = source.array::<20>("the head of the file")?;
    // The upper half may tell of checksums behind each packet.
    let link_type = u16::try_from(order.u32([l0, l1, l2, l3]) & 0xffff).unwrap_or_default();
    Ok(Format::Pcap { order, nanos_per_tick, link_type })
}

fn pcap_packet<R: Read>(
    source: &mut Source<R>,
    packet: &mut Vec<u8>,
    order: Order,
    nanos_per_tick: u32,
) -> Result<Option<(Option<Duration>, u32)>, CaptureError> {
    let Some(head) = source.array_or_end::<16>("the head of a packet")? else { return Ok(None) };
    let [s0, s1, s2, s3, t0, t1, t2, t3, k0, k1, k2, k3, w0, w1, w2, w3] = head;
    let nanos = u64::from(order.u32([t0, t1, t2, t3])) * u64::from(nanos_per_tick);
    let time = Duration::from_secs(order.u32([s0, s1, s2, s3]).into()).checked_add(Duration::from_nanos(nanos));
    source.packet(order.u32([k0, k1, k2, k3]), packet)?;
    Ok(Some((time, order.u32([w0, w1, w2, w3]))))
}

/// Counts octets, and reads exactly.
#[derive(Debug)]
struct Source<R> {
    inner: R,
    offset: u64,
}

impl<R: Read> Source<R> {
    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], CaptureError> {
        self.array_or_end(what)?.ok_or(CaptureError::Cut { offset: self.offset, what })
    }

    /// `None` where not one octet is left.
    fn array_or_end<const N: usize>(&mut self, what: &'static str) -> Result<Option<[u8; N]>, CaptureError> {
        let mut array = [0; N];
        let mut filled_len = 0;
        while let Some(room) = array.get_mut(filled_len..).filter(|room| !room.is_empty()) {
            match self.inner.read(room) {
                Ok(0) if filled_len == 0 => return Ok(None),
                Ok(0) => return Err(CaptureError::Cut { offset: self.offset, what }),
                Ok(len) => {
                    filled_len += len;
                    self.offset += u64::try_from(len).unwrap_or_default();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(CaptureError::Read { offset: self.offset, source }),
            }
        }
        Ok(Some(array))
    }

    /// A packet's octets into `packet`, which grows with what comes and not with what is claimed.
    fn packet(&mut self, len: u32, packet: &mut Vec<u8>) -> Result<(), CaptureError> {
        if len > PACKET_LEN_MAX {
            return Err(CaptureError::PacketTooLong { offset: self.offset, len });
        }
        packet.clear();
        let taken = self.inner.by_ref().take(len.into()).read_to_end(packet);
        self.offset += u64::try_from(packet.len()).unwrap_or_default();
        match taken {
            Ok(taken_len) if u64::try_from(taken_len) == Ok(len.into()) => Ok(()),
            Ok(_) => Err(CaptureError::Cut { offset: self.offset, what: "a packet" }),
            Err(source) => Err(CaptureError::Read { offset: self.offset, source }),
        }
    }

    /// Fewer octets than that are no fault here: whatever is read next finds the end.
    fn skip(&mut self, len: u32) -> Result<(), CaptureError> {
        match io::copy(&mut self.inner.by_ref().take(len.into()), &mut io::sink()) {
            Ok(skipped_len) => self.offset += skipped_len,
            Err(source) => return Err(CaptureError::Read { offset: self.offset, source }),
        }
        Ok(())
    }
}
