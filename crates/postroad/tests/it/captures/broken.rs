//! Captures that end too early, lie, or are none.

use super::*;
use postroad::inspect::capture::{INTERFACE_COUNT_MAX, PACKET_LEN_MAX};
use proptest::prelude::*;
use std::io;

fn pcapng(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = section(Order::Little);
    interface(&mut file, Order::Little, RAW, 0, &[(9, vec![6])]);
    for packet in packets {
        enhanced(&mut file, Order::Little, 0, 1, packet, packet.len());
        simple(&mut file, Order::Little, packet, packet.len());
    }
    file
}

fn malformed(file: &[u8]) -> &'static str {
    match read(file).error {
        Some(CaptureError::Malformed { what, .. }) => what,
        other => panic!("{other:?}"),
    }
}

//= SMP121-O11
#[test]
fn a_capture_cut_anywhere_gives_the_packets_in_front_of_the_cut() {
    for file in [pcap(RAW, &packets(3)), pcapng(&packets(2))] {
        let whole_count = read(&file[..]).segments.len();
        let mut clean_count = 0;
        let mut before = 0;
        for len in 0..=file.len() {
            let read = read(&file[..len]);
            match &read.error {
                None => clean_count += 1,
                Some(error) => assert!(error.is_cut(), "{len}: {error:?}"),
            }
            assert!(read.segments.len() >= before, "{len}");
            before = read.segments.len();
        }
        assert_eq!(before, whole_count);
        // At the end of the head, of other blocks, and of each packet.
        assert!(clean_count > whole_count && clean_count <= whole_count + 2, "{clean_count}");
    }
}

//= SMP121-O11
#[test]
fn what_is_no_capture_is_said_to_be_none() {
    for file in [&b"GET / HTTP/1.1\r\n"[..], &[0; 64], &[0xff; 64], b"\xa1\xb2\xc3\xd5rest of it"] {
        assert!(matches!(read(file).error, Some(CaptureError::NotACapture)));
    }
    let nothing = read(&b""[..]).error.unwrap();
    assert!(nothing.is_cut() && nothing.to_string().contains("octet 0"), "{nothing}");
    let mut no_magic = section(Order::Little);
    no_magic[8] ^= 1;
    assert!(malformed(&no_magic).contains("magic"));
}

//= SMP121-O11
#[test]
fn a_packet_of_the_most_octets_is_read_and_one_more_refused() {
    let most = vec![0x45; PACKET_LEN_MAX as usize];
    let mut file = pcap(RAW, [&most]);
    assert_eq!(read(&file[..]).times.len(), 1);
    file[24 + 8..24 + 12].copy_from_slice(&(PACKET_LEN_MAX + 1).to_le_bytes());
    file.push(0);
    assert!(
        matches!(read(&file[..]).error, Some(CaptureError::PacketTooLong { len, offset: 40 }) if len == PACKET_LEN_MAX + 1)
    );
    let mut newer = section(Order::Little);
    interface(&mut newer, Order::Little, RAW, 0, &[]);
    let mut longer = newer.clone();
    enhanced(&mut newer, Order::Little, 0, 0, &most, most.len());
    assert_eq!(read(&newer[..]).times.len(), 1);
    enhanced(&mut longer, Order::Little, 0, 0, &[&most[..], &[0]].concat(), most.len() + 1);
    assert!(matches!(read(&longer[..]).error, Some(CaptureError::PacketTooLong { .. })));
}

//= SMP121-O11
#[test]
fn a_section_has_so_many_interfaces_and_no_more() {
    let mut file = section(Order::Little);
    for _ in 0..INTERFACE_COUNT_MAX {
        interface(&mut file, Order::Little, RAW, 0, &[]);
    }
    let packet = &packets(1)[0];
    enhanced(&mut file, Order::Little, INTERFACE_COUNT_MAX as u32 - 1, 0, packet, packet.len());
    assert_eq!(read(&file[..]).segments.len(), 1);
    interface(&mut file, Order::Little, RAW, 0, &[]);
    assert!(matches!(read(&file[..]).error, Some(CaptureError::TooManyInterfaces)));
}

//= SMP121-O11
#[test]
fn blocks_that_lie_are_malformed() {
    let good = pcapng(&packets(1));
    let section_len = section(Order::Little).len();
    let packet_at = section_len + 28;
    assert_eq!(good[packet_at..packet_at + 4], [6, 0, 0, 0], "behind an interface with one option");
    let with = |at: usize, octets: &[u8]| {
        let mut file = good.clone();
        file[at..at + octets.len()].copy_from_slice(octets);
        file
    };
    for len in [0u32, 4, 8, 11, 13, 29] {
        assert_eq!(malformed(&with(packet_at + 4, &len.to_le_bytes())), "a block of an impossible length", "{len}");
    }
    assert!(malformed(&with(packet_at + 4, &12u32.to_le_bytes())).contains("no room"));
    assert!(
        malformed(&with(section_len + 4, &16u32.to_le_bytes())).contains("no room"),
        "an interface without its head"
    );
    // An option that reaches beyond its interface.
    assert!(malformed(&with(section_len + 16, &[2, 0, 0xff, 0xff])).contains("no room"));
    // More of a packet than its block holds.
    assert!(malformed(&with(packet_at + 20, &0xffff_fff0u32.to_le_bytes())).contains("no room"));
    assert!(malformed(&with(packet_at + 20, &70u32.to_le_bytes())).contains("no room"));
    // Another interface than there is.
    assert!(malformed(&with(packet_at + 8, &1u32.to_le_bytes())).contains("interface"));
    // Two lengths.
    assert!(malformed(&with(section_len - 4, &99u32.to_le_bytes())).contains("two lengths"));
    // A simple packet in front of any interface.
    let mut early = section(Order::Big);
    simple(&mut early, Order::Big, b"abcd", 4);
    assert!(malformed(&early).contains("interface"));
}

//= SMP121-O11
#[test]
fn what_a_head_claims_costs_no_memory() {
    let mut file = pcap_head(Order::Little, false, RAW);
    pcap_packet(&mut file, Order::Little, (0, 0), &[], 0);
    let kept_at = 24 + 8;
    file[kept_at..kept_at + 4].copy_from_slice(&PACKET_LEN_MAX.to_le_bytes());
    let mut reader = CaptureReader::new(&file[..]).unwrap();
    assert!(reader.next_packet().unwrap_err().is_cut());
    // A block of 4 GiB that is passed over is not held.
    let mut file = section(Order::Little);
    file.extend([9, 0, 0, 0, 0xfc, 0xff, 0xff, 0xff]);
    let zeros = io::Read::take(io::repeat(0), 40 << 20);
    let read = read(io::Read::chain(&file[..], zeros));
    assert!(read.error.unwrap().is_cut());
}

/// Gives octets one at a time, with an interruption before each, and then fails or ends.
struct Slow<'a> {
    octets: &'a [u8],
    was_interrupted: bool,
    fails: bool,
}

impl io::Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !std::mem::replace(&mut self.was_interrupted, true) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.was_interrupted = false;
        match self.octets.split_first() {
            Some((first, rest)) if !buffer.is_empty() => {
                buffer[0] = *first;
                self.octets = rest;
                Ok(1)
            }
            None if self.fails => Err(io::Error::other("the disk is gone")),
            _ => Ok(0),
        }
    }
}

//= SMP121-O11
#[test]
fn a_source_may_be_slow_and_its_error_stays_its_error() {
    for file in [pcap(RAW, &packets(2)), pcapng(&packets(1))] {
        let slow = |octets, fails| read(Slow { octets, was_interrupted: false, fails });
        assert_eq!(data(&slow(&file, false)).len(), 2);
        for len in (0..file.len()).step_by(7) {
            let error = slow(&file[..len], true).error.unwrap();
            assert!(
                matches!(&error, CaptureError::Read { source, .. } if source.to_string() == "the disk is gone"),
                "{len}: {error:?}"
            );
        }
    }
}

proptest! {
    //= SMP121-O11
    #[test]
    fn any_octets_are_read_to_an_end(octets in proptest::collection::vec(any::<u8>(), 0..600), which in 0usize..4) {
        let mut file = match which {
            0 => pcap_head(Order::Little, false, 1),
            1 => pcap_head(Order::Big, true, 276),
            2 => section(Order::Big),
            _ => pcapng(&packets(1)),
        };
        file.extend(&octets);
        let read = read(&file[..]);
        prop_assert!(read.times.len() <= file.len() / 16);
    }

    //= SMP121-O11
    #[test]
    fn a_damaged_capture_is_read_to_an_end(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), is_newer: bool) {
        let mut file = if is_newer { pcapng(&packets(3)) } else { pcap(1, &packets(3)) };
        for (at, octet) in changes {
            let at = at.index(file.len());
            file[at] = octet;
        }
        let read = read(&file[..]);
        prop_assert!(read.segments.len() + read.unreadable.len() + read.other == read.times.len());
    }
}
