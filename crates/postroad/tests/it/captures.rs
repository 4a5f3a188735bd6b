//! Segments out of capture files, broken ones too.

mod broken;
mod build;
mod foreign;
mod links;
mod sessions;

use build::*;
use postroad::inspect::capture::{CaptureError, CaptureReader};
use postroad::inspect::{Found, InspectedSegment, Unreadable, find};
use std::time::Duration;

/// What a reader made of a capture.
#[derive(Debug, Default)]
struct Read {
    segments: Vec<InspectedSegment>,
    /// Source and destination of each.
    ways: Vec<(String, String)>,
    unreadable: Vec<Unreadable>,
    other: usize,
    times: Vec<Option<Duration>>,
    /// Recorded octets and whole length of each packet.
    lens: Vec<(usize, u32)>,
    error: Option<CaptureError>,
}

fn read(file: impl std::io::Read) -> Read {
    let mut read = Read::default();
    let mut reader = match CaptureReader::new(file) {
        Ok(reader) => reader,
        Err(error) => return Read { error: Some(error), ..read },
    };
    loop {
        match reader.next_packet() {
            Ok(None) => return read,
            Ok(Some(packet)) => {
                assert_eq!(packet.number as usize, read.times.len() + 1);
                read.times.push(packet.time);
                read.lens.push((packet.octets.len(), packet.whole_len));
                match find(&packet) {
                    Found::Datagram(datagram) => {
                        assert!(datagram.octets.len() <= datagram.whole_len);
                        read.segments.push(InspectedSegment::of(&datagram));
                        read.ways.push((datagram.source.to_string(), datagram.destination.to_string()));
                    }
                    Found::Unreadable(why) => read.unreadable.push(why),
                    _ => read.other += 1,
                }
            }
            Err(error) => {
                read.error = Some(error);
                assert!(matches!(reader.next_packet(), Ok(None)), "an error is the end");
                return read;
            }
        }
    }
}

fn data(read: &Read) -> Vec<&[u8]> {
    assert!(read.error.is_none(), "{:?}", read.error);
    assert!(read.segments.iter().all(|segment| segment.checksum == "right" && segment.faults.is_empty()), "{read:#?}");
    read.segments.iter().map(|segment| &segment.data[..]).collect()
}

fn packets(count: u8) -> Vec<Vec<u8>> {
    (0..count).map(|at| ipv4(121, &segment(&V4, &[b'a' + at; 3]))).collect()
}

//= SMP121-O11
#[test]
fn both_orders_and_both_resolutions_of_pcap_are_read() {
    let ip = ipv4(121, &segment(&V4, b"abc"));
    for order in [Order::Little, Order::Big] {
        for (nanos, time) in [(false, Duration::new(7, 9_000)), (true, Duration::new(7, 9))] {
            let mut file = pcap_head(order, nanos, RAW);
            pcap_packet(&mut file, order, (7, 9), &ip, ip.len());
            let read = read(&file[..]);
            assert_eq!((data(&read), &read.times[..]), (vec![&b"abc"[..]], &[Some(time)][..]), "{order:?} {nanos}");
        }
    }
}

//= SMP121-O11
#[test]
fn every_packet_block_of_pcapng_is_read_in_both_orders() {
    let ip = packets(3);
    for order in [Order::Little, Order::Big] {
        let mut file = section(order);
        interface(&mut file, order, RAW, 0, &[]);
        enhanced(&mut file, order, 0, 1_000_001, &ip[0], ip[0].len());
        block(&mut file, order, 5, &[0; 24]);
        older(&mut file, order, 0, 2_000_002, &ip[1]);
        block(&mut file, order, 0x0bad_cafe, &[1, 2, 3, 4]);
        simple(&mut file, order, &ip[2], ip[2].len());
        let read = read(&file[..]);
        assert_eq!(data(&read), [b"aaa", b"bbb", b"ccc"], "{order:?}");
        let times = [Some(Duration::from_micros(1_000_001)), Some(Duration::from_micros(2_000_002)), None];
        assert_eq!(read.times, times);
    }
}

//= SMP121-O11
#[test]
fn a_new_section_forgets_the_interfaces_and_may_turn_the_order() {
    let ip = packets(2);
    let mut file = section(Order::Little);
    interface(&mut file, Order::Little, 9_999, 0, &[]);
    interface(&mut file, Order::Little, RAW, 0, &[]);
    enhanced(&mut file, Order::Little, 1, 0, &ip[0], ip[0].len());
    file.extend(section(Order::Big));
    interface(&mut file, Order::Big, RAW, 0, &[]);
    enhanced(&mut file, Order::Big, 0, 0, &ip[1], ip[1].len());
    assert_eq!(data(&read(&file[..])), [b"aaa", b"bbb"]);
    // What was interface 1 is none in the new section.
    enhanced(&mut file, Order::Big, 1, 0, &ip[1], ip[1].len());
    let read = read(&file[..]);
    assert_eq!(read.segments.len(), 2);
    assert!(matches!(read.error, Some(CaptureError::Malformed { .. })), "{:?}", read.error);
}

//= SMP121-O11
#[test]
fn times_follow_the_resolution_and_offset_of_their_interface() {
    let ip = packets(1).remove(0);
    let offset = |secs: i64, order: Order| (14u16, order.u64(secs.cast_unsigned()).to_vec());
    for order in [Order::Little, Order::Big] {
        for (options, ticks, time) in [
            (vec![], 5_000_000, Some(Duration::from_secs(5))),
            (vec![(9, vec![9])], 5_000_000_001, Some(Duration::new(5, 1))),
            (vec![(9, vec![3])], 1_500, Some(Duration::from_millis(1_500))),
            (vec![(9, vec![0x80 | 10])], 1_536, Some(Duration::from_millis(1_500))),
            (vec![(9, vec![0])], 77, Some(Duration::from_secs(77))),
            (vec![(9, vec![6]), offset(100, order)], 1, Some(Duration::new(100, 1_000))),
            (vec![(9, vec![6]), offset(-3, order)], 5_000_000, Some(Duration::from_secs(2))),
            (vec![(9, vec![6]), offset(-30, order)], 5_000_000, None),
            (vec![(9, vec![127])], u64::MAX, None),
            (vec![(9, vec![0xff])], u64::MAX, Some(Duration::ZERO)),
            (vec![(9, vec![0])], u64::MAX, None),
            (vec![offset(i64::MIN, order)], 1, None),
            (vec![(2, b"eth10".to_vec()), (9, vec![0]), (0, vec![]), (9, vec![6])], 7, Some(Duration::from_secs(7))),
            // An option of a length that it does not have is passed over.
            (vec![(9, vec![0, 0])], 7_000_000, Some(Duration::from_secs(7))),
        ] {
            let mut file = section(order);
            interface(&mut file, order, RAW, 0, &options);
            enhanced(&mut file, order, 0, ticks, &ip, ip.len());
            let read = read(&file[..]);
            assert!(read.error.is_none(), "{options:?}: {:?}", read.error);
            assert_eq!(read.times, [time], "{order:?} {options:?} {ticks}");
        }
    }
}

//= SMP121-O11
#[test]
fn what_was_not_recorded_is_named() {
    let ip = ipv4(121, &segment(&V4, b"hello"));
    for kept_len in [ip.len() - 1, ip.len() - 5, 20 + 16, 20 + 3, 20] {
        let mut little = pcap_head(Order::Little, false, RAW);
        pcap_packet(&mut little, Order::Little, (0, 0), &ip[..kept_len], ip.len());
        let mut enhanced_file = section(Order::Big);
        interface(&mut enhanced_file, Order::Big, RAW, 0, &[]);
        enhanced(&mut enhanced_file, Order::Big, 0, 0, &ip[..kept_len], ip.len());
        let mut simple_file = section(Order::Little);
        interface(&mut simple_file, Order::Little, RAW, kept_len as u32, &[]);
        simple(&mut simple_file, Order::Little, &ip[..kept_len], ip.len());
        for file in [little, enhanced_file, simple_file] {
            let read = read(&file[..]);
            assert_eq!(read.lens, [(kept_len, ip.len() as u32)]);
            let segment = &read.segments[0];
            assert_eq!((segment.checksum, segment.kind), ("unchecked", None), "{kept_len}");
            let words: Vec<_> = segment.faults.iter().map(|fault| fault.word).collect();
            assert_eq!(words, ["truncated"], "{kept_len}");
            assert!(segment.faults[0].text.contains("of 21 octets"), "{}", segment.faults[0].text);
        }
    }
    // A simple packet that is cut although its interface names no limit: what its block holds.
    let mut file = section(Order::Little);
    interface(&mut file, Order::Little, RAW, 0, &[]);
    simple(&mut file, Order::Little, &ip[..36], ip.len());
    assert_eq!(read(&file[..]).lens, [(36, ip.len() as u32)]);
}
