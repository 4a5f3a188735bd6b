//! Any file is read to an end, in any pieces alike; each packet lies within its bounds; what is found in it is within it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postroad::inspect::capture::{CaptureError, CaptureReader, PACKET_LEN_MAX};
use postroad::inspect::{Found, InspectedSegment, find};
use std::io::{self, Read};

fuzz_target!(|octets: &[u8]| {
    let whole = read(octets, octets.len());
    let cut = read(Crumbs(octets), octets.len());
    assert_eq!(whole, cut, "pieces make no difference");
});

/// A line for each packet, and one for the end.
fn read(file: impl Read, file_len: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut reader = match CaptureReader::new(file) {
        Ok(reader) => reader,
        Err(error) => return vec![said(&error)],
    };
    let mut packets_len = 0;
    loop {
        match reader.next_packet() {
            Ok(None) => break,
            Ok(Some(packet)) => {
                assert!(
                    packet.octets.len() <= PACKET_LEN_MAX as usize && packet.octets.len() <= packet.whole_len as usize
                );
                packets_len += packet.octets.len() + 16;
                assert!(packets_len <= file_len, "no packet comes from nothing");
                let found = find(&packet);
                if let Found::Datagram(datagram) = &found {
                    assert!(
                        datagram.octets.len() <= packet.octets.len() && datagram.octets.len() <= datagram.whole_len
                    );
                    let segment = InspectedSegment::of(datagram);
                    assert!(segment.data.len() <= datagram.octets.len());
                    lines.push(format!("{segment:?}"));
                }
                lines.push(format!("{} {:?} {found:?}", packet.number, packet.time));
            }
            Err(error) => {
                lines.push(said(&error));
                assert!(matches!(reader.next_packet(), Ok(None)));
                break;
            }
        }
    }
    lines
}

fn said(error: &CaptureError) -> String {
    assert!(!matches!(error, CaptureError::Read { .. }), "memory does not fail");
    error.to_string()
}

/// Three octets at a time.
struct Crumbs<'a>(&'a [u8]);

impl Read for Crumbs<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(3);
        self.0.read(&mut buffer[..len])
    }
}
